"""One battery for all GPUs that ship, their published peaks, and what a wrong file is told."""

from typing import get_args

import numpy as np
import pytest

from einfall.einsum_cascades import load as cascade
from einfall.hw_models import (
    Gpu,
    SpecError,
    UnsupportedOpError,
    as_array,
    load,
    machine_sources,
    names,
    read_spec,
    with_overrides,
)
from einfall.hw_models.constants import constants
from einfall.hw_models.library import DEVICES
from einfall.report.machine import machine_record, machine_text
from einfall.sim import mapping
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate

GPUS = names("gpu")
each_gpu = pytest.mark.parametrize("name", GPUS)
H100 = (DEVICES / "h100_sxm.yaml").read_text(encoding="utf-8")


def values(gpu) -> dict[str, object]:
    return {path: constant.value for path, constant in constants(gpu).items()}


def problems(*changes: tuple[str, str]) -> tuple[str, ...]:
    """Mistakes in the file of H100 with some of its text changed."""
    text = H100
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with pytest.raises(SpecError) as error:
        read_spec(text, Gpu)
    return error.value.problems


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(H100.splitlines(), 1) if text in line)


# --- the battery ---------------------------------------------------------------------------------


@each_gpu
def test_every_number_can_be_set_anew_and_stays_itself_times_one(name):
    gpu = load(name)
    scaled = {path: "1x" for path, value in values(gpu).items() if not isinstance(value, str)}
    assert len(scaled) > 40
    changed = with_overrides(gpu, scaled)
    assert changed == gpu
    assert {str(changed.sources[path].text) for path in scaled} == {"set by user: 1x"}


@each_gpu
def test_its_numbers_fit_each_other(name):
    gpu = load(name)
    assert gpu.clock.min_hz < gpu.clock.peak_at_hz
    assert gpu.power.voltage.top_hz <= gpu.clock.boost_hz
    assert gpu.hbm.bandwidth_bytes_per_s < gpu.l2.bandwidth_bytes_per_s
    assert gpu.l2.capacity_bytes < gpu.hbm.capacity_bytes
    assert gpu.sm.tensor["fp16"] == gpu.sm.tensor["bf16"] == 2 * gpu.sm.tensor["tf32"]
    assert (gpu.sm.tmem_capacity_bytes is not None) == (gpu.sm.mma_m == 128)
    assert gpu.energy_scale(gpu.clock.boost_hz) >= gpu.energy_scale(gpu.clock.min_hz)
    assert 0.5 < gpu.power.voltage_v(gpu.clock.min_hz) <= 1.1


@each_gpu
def test_the_tensor_cores_reach_half_their_peak_under_the_cap(name):
    """At the lowest voltage; energies that leave less would be wrong for every kernel."""
    gpu = load(name)
    lowest = gpu.energy.mma_j_per_flop["bf16"] * gpu.energy_scale(gpu.clock.min_hz)
    room_w = gpu.power.cap_w - gpu.power.active_floor_w
    assert room_w / lowest > 0.5 * gpu.peak_flops_per_s("bf16")


@each_gpu
def test_numbers_may_be_arrays(name):
    gpu = load(name)
    clocks = np.array([1e9, 1.2e9, 1.4e9])
    clock = gpu.clock.model_copy(update={"peak_at_hz": clocks})
    swept = gpu.model_copy(update={"clock": clock, "sms": np.array([10, 20, 30])})
    for i, hz in enumerate(clocks):
        one = gpu.model_copy(update={"sms": (10, 20, 30)[i]})
        assert swept.peak_flops_per_s("bf16")[i] == one.peak_flops_per_s("bf16", hz)
        assert swept.exps_per_clock[i] == one.exps_per_clock
        assert swept.fmas_per_clock[i] == one.fmas_per_clock
        assert swept.shared_bytes_per_clock[i] == one.shared_bytes_per_clock
        assert gpu.energy_scale(clocks)[i] == pytest.approx(gpu.energy_scale(hz), rel=1e-15)
        assert swept.ridge_flops_per_byte("bf16")[i] == pytest.approx(
            one.peak_flops_per_s("bf16", hz) / gpu.hbm.bandwidth_bytes_per_s, rel=1e-15
        )


@each_gpu
def test_it_is_shown_with_every_number(name):
    gpu = load(name)
    record, text = machine_record(gpu), machine_text(gpu)
    assert record["kind"] == "gpu"
    assert {field["path"] for field in record["fields"]} == set(values(gpu))
    assert record["peak_flops_per_s"]["bf16"] == gpu.peak_flops_per_s("bf16")
    for word in ("dense peak", "tensor.bf16", "achievable", "voltage.knee", "mma.bf16"):
        assert word in text


# --- what inherits -------------------------------------------------------------------------------


def differing(name: str, base: str) -> set[str]:
    own, below = values(load(name)), values(load(base))
    return {path for path in {*own, *below} if own.get(path) != below.get(path)}


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        (
            "h200", "h100_sxm",
            {"l2.bandwidth", "hbm.capacity", "hbm.bandwidth", "hbm.achievable", "energy.hbm",
             "power.active_floor"},
        ),
        ("h800", "h100_sxm", {"links.nvlink"}),
        (
            "b300", "b200",
            {
                "sm.mufu_per_clock", "sm.tensor.fp4", "hbm.capacity", "hbm.achievable", "power.cap",
                "links.pcie",
            },
        ),
        (
            "gb200", "b200",
            {
                "sms", "clock.peak_at", "hbm.capacity", "hbm.achievable", "power.cap",
                "power.active_floor", "links.pcie",
            },
        ),
        (
            "gb300", "b300",
            {
                "sms", "clock.peak_at", "clock.boost", "power.cap", "power.active_floor",
                "links.pcie",
            },
        ),
    ],
)  # fmt: skip
def test_only_what_the_sibling_has_of_its_own_changes(name, base, expected):
    assert differing(name, base) == expected
    inherited = set(machine_sources(name)) - expected - {"name", "about"}
    assert all(f"{name}.yaml" not in machine_sources(name)[path].file for path in inherited)


# --- outside numbers -----------------------------------------------------------------------------

PEAKS = [  # dense TFLOP/s, sums in fp32
    ("a100_sxm", "bf16", 312),  # NVIDIA A100 datasheet
    ("a100_sxm", "tf32", 156),  # NVIDIA A100 datasheet
    ("h100_sxm", "bf16", 989.4),  # NVIDIA H100 white paper, SXM5
    ("h100_sxm", "fp8", 1978.9),  # NVIDIA H100 white paper, SXM5
    ("h100_sxm", "tf32", 494.7),  # NVIDIA H100 white paper, SXM5
    ("h200", "bf16", 989.4),  # NVIDIA H200 datasheet
    ("h20", "bf16", 148),  # NVIDIA H20 datasheet
    ("h20", "fp8", 296),  # NVIDIA H20 datasheet
    ("b200", "bf16", 2250),  # NVIDIA HGX B200, 18 PFLOP/s dense of eight
    ("b200", "fp4", 9000),  # NVIDIA HGX B200, 72 PFLOP/s dense of eight
    ("gb200", "fp8", 4500),  # Verda, GB300 architecture, specifications of one GPU
    ("gb300", "bf16", 2500),  # Verda, GB300 architecture, specifications of one GPU
    ("gb300", "fp4", 15000),  # Verda, GB300 architecture, specifications of one GPU
    ("rtx4090", "bf16", 165.2),  # NVIDIA Ada white paper
    ("rtx4090", "fp8", 330.3),  # NVIDIA Ada white paper
    ("l40s", "bf16", 362.05),  # NVIDIA L40S datasheet
    ("l20", "bf16", 119.5),  # NVIDIA L20 datasheet
]


@pytest.mark.parametrize(("name", "dtype", "tflops"), PEAKS)
def test_peaks_are_those_of_the_datasheet(name, dtype, tflops):
    assert load(name).peak_flops_per_s(dtype) / 1e12 == pytest.approx(tflops, rel=5e-4)


# "How to scale your model", Rooflines: 989.4e12 / 3.35e12 FLOP/B.
RIDGE_H100 = 295
# Verda, GB300 architecture: Texp/s of one GPU; at what clock is not said.
EXPS = {"gb200": 5.0, "gb300": 10.7}
# NVIDIA H100, A100 and Ada white papers: fp32 TFLOP/s outside the tensor cores, at the boost.
VECTOR = {"h100_sxm": (66.9, 1.98e9), "a100_sxm": (19.5, 1.41e9), "rtx4090": (82.6, 2.52e9)}
# Public measurements of the best bf16 product, TFLOP/s (TileSight; ThunderKittens for H100).
PRODUCTS = {"a100_sxm": 299, "h100_sxm": 855, "h200": 928, "b200": 2185}
# FlashAttention-4, arXiv:2603.05451: cycles of exp and of both products, 128x128 tile, d = 128.
TILE_B200 = (1024, 1024)


def test_derived_numbers_are_those_published():
    assert round(load("h100_sxm").ridge_flops_per_byte("bf16")) == RIDGE_H100
    for name, exps in EXPS.items():
        gpu = load(name)
        assert gpu.exps_per_clock * gpu.clock.boost_hz / 1e12 == pytest.approx(exps, rel=0.07)
    for name, (tflops, clock_hz) in VECTOR.items():
        assert 2 * load(name).fmas_per_clock * clock_hz / 1e12 == pytest.approx(tflops, rel=2e-3)
    sm = load("b200").sm
    assert (128 * 128 / sm.mufu_per_clock, 4 * 128**3 / sm.tensor["bf16"]) == TILE_B200


@pytest.mark.parametrize("name", PRODUCTS)
def test_measured_products_stay_below_the_peak(name):
    assert 0.8 < PRODUCTS[name] * 1e12 / load(name).peak_flops_per_s("bf16") < 1


# Measured on one H100 SXM, sustained: (kernel, TFLOP/s, exps per FLOP, clock [MHz], power [W]).
SUSTAINED = [
    ("bf16 product, n = 8192", 679.4, 0, 1380, 692.5),
    ("cuDNN attention, d = 128", 580.9, 1 / 512, 1618, 688.4),
    ("cuDNN attention, d = 64", 440.0, 1 / 256, 1795, 684.6),
]


@pytest.mark.parametrize(("kernel", "tflops", "exps", "mhz", "watts"), SUSTAINED)
def test_energies_of_h100_add_up_to_the_power_it_draws(kernel, tflops, exps, mhz, watts):
    """Within 15 %: shared memory, L2, HBM and the vector pipes are left out."""
    gpu = load("h100_sxm")
    per_flop_j = gpu.energy.mma_j_per_flop["bf16"] + exps * gpu.energy.exp_j
    sm_w = tflops * 1e12 * per_flop_j * gpu.energy_scale(mhz * 1e6)
    assert gpu.power.active_floor_w + sm_w == pytest.approx(watts, rel=0.15)


def test_energies_of_h100_add_up_to_the_power_of_a_copy():
    gpu = load("h100_sxm")  # measured: copy of 1 GiB, 3.0 TB/s, 1980 MHz, 480.4 W
    l2_j = gpu.energy.l2_j_per_byte * gpu.energy_scale(1.98e9)
    watts = gpu.power.active_floor_w + 3.005e12 * (gpu.energy.hbm_j_per_byte + l2_j)
    assert watts == pytest.approx(480.4, rel=0.02)


# --- voltage -------------------------------------------------------------------------------------


def test_the_voltage_is_flat_up_to_the_knee_and_rises_in_a_line():
    power = load("h100_sxm").power
    assert power.voltage_v(210e6) == power.voltage_v(1200e6) == 0.74
    assert power.voltage_v(1380e6) == pytest.approx(0.80)
    assert power.voltage_v(1980e6) == 1.0
    assert power.voltage_v(2280e6) == pytest.approx(1.1)
    assert isinstance(power.voltage_v(1e9), float)
    assert load("h100_sxm").energy_scale(1380e6) == pytest.approx(1)


# --- what it refuses -----------------------------------------------------------------------------


def test_a_dtype_that_the_tensor_cores_lack_is_refused_with_those_they_have():
    gpu = load("a100_sxm")
    assert gpu.supports("bf16")
    assert not gpu.supports("fp8")
    with pytest.raises(UnsupportedOpError) as error:
        gpu.peak_flops_per_s("fp8")
    assert str(error.value).startswith(
        "a100_sxm: wanted a dtype of its tensor cores (bf16, fp16, tf32), found 'fp8'"
    )


@pytest.mark.parametrize(
    ("old", "new", "at", "problem"),
    [
        ("bf16: 4096", "bf61: 4096", "bf16: 4096",
         "sm.tensor.bf61: want a dtype (bf16, fp16, fp8, fp4, tf32), found 'bf61': "
         "did you mean 'bf16'?"),
        ("fp8: 0.38 pJ", "fp4: 0.38 pJ", "energy:",
         "energy: want mma for each dtype of sm.tensor (bf16, fp16, fp8, tf32), "
         "found none for fp8"),
        ("min: 210 MHz", "min: 2 GHz", "clock:",
         "clock: want min up to boost (1.98 GHz), found min 2 GHz"),
        ("sector: 32 B", "sector: 48 B", "l2:",
         "l2: want a line of whole sectors (48 B), found 128 B"),
        ("achievable: 0.932", "achievable: 1.2", "achievable:",
         "hbm.achievable: want less than or equal to 1, got 1.2"),
        ("idle: 119.1 W", "idle: 300 W", "power:",
         "power: want idle <= active_floor < cap (700 W), found idle 300 W, active_floor 132 W"),
        ("v_max: 1.00 V", "v_max: 0.5 V", "voltage:",
         "power.voltage: want v_max of v_min (0.74 V) at least, got 0.5"),
        ("knee: 1200 MHz", "knee: 2 GHz", "voltage:",
         "power.voltage: want top above knee (2 GHz), got 1.98 GHz"),
        ("mma_m: 64", "mma_m: 32", "mma_m:", "sm.mma_m: want 16, 64 or 128, got 32"),
        ("cap: 700 W", "cap: 700", "cap:",
         "power.cap: want a quantity in W, such as '2 W', got 700"),
        ("generation: hopper", "generation: volta", "generation:",
         "generation: want 'ampere', 'ada', 'hopper', 'blackwell' or 'blackwell_rtx', got 'volta'"),
        ("mufu_per_clock:", "mufu_per_clk:", "mufu_per_clock:",
         "sm.mufu_per_clk: want a known field (alu_lanes, convert_per_clock, fma_lanes, max_ctas, "
         "max_threads, mma_m, mufu_per_clock, register_capacity, shared_bytes_per_clock, "
         "shared_capacity, tensor, tmem_capacity), found 'mufu_per_clk': "
         "did you mean 'mufu_per_clock'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(old, new, at, problem):
    found = problems((old, new))
    assert f"<text>:{line_of(at)}: {problem}" in found
    assert len(found) <= 2  # a name that is wrong is also one that lacks


def test_mistakes_are_told_all_at_once():
    assert len(problems(("min: 210 MHz", "min: 2 GHz"), ("cap: 700 W", "cap: 0 kW"))) == 2


def test_an_unknown_field_is_refused_when_set():
    with pytest.raises(SpecError) as error:
        with_overrides(load("h100_sxm"), {"hbm.bandwith": "2x"})
    assert str(error.value) == (
        "--set hbm.bandwith: want one of achievable, bandwidth, capacity, latency, "
        "found 'bandwith': did you mean 'bandwidth'?"
    )


# --- no mapping --------------------------------------------------------------------------------


def test_a_mapping_onto_a_gpu_is_refused_with_the_machines_that_take_one():
    attention, shape = cascade("attention_1pass"), {"heads": 1, "queries": 64, "head_dim": 64}
    gpu = load("h100_sxm")
    asked = [
        lambda: as_array(gpu),
        lambda: mapping_for(attention, shape, gpu),
        lambda: mapping_for(attention, shape, gpu, name="auto"),
        lambda: estimate(attention, shape, gpu, mapping.load("fusemax")),
    ]
    for ask in asked:
        with pytest.raises(SpecError) as error:
            ask()
        assert error.value.problems == (
            "machine h100_sxm: wanted a spatial_array, whose units and buffers a mapping divides "
            f"work over, found a gpu; arrays are {', '.join(names('spatial_array'))}; cascades run "
            f"on GPUs ({', '.join(GPUS)}) too, by kernel schedules: einfall.sim.gpu",
        )
    assert as_array(load("flat_cloud")) is load("flat_cloud")


def test_generations_are_those_that_ship():
    shipped = {load(name).generation for name in GPUS}
    assert shipped == set(get_args(Gpu.model_fields["generation"].annotation))
