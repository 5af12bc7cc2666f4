"""Rows of the scenario `fusemax` by what must hold between them, beside the published ones."""

import csv
import math
from pathlib import Path
from statistics import fmean, geometric_mean, harmonic_mean

import pytest

from einfall import hw_models
from einfall.einsum_cascades import library
from einfall.scenarios import pareto, workloads
from einfall.sim.accounting import ARTIFACT
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate

GOLDEN = Path(__file__).parents[1] / "golden" / "fusemax_headlines.csv"
LENGTHS = ("1K", "4K", "16K", "64K", "256K", "1M")
MODELS = ("BERT", "TrXL", "T5", "XLM")
CONFIGS = ("unfused", "flat", "plus_cascade", "plus_architecture", "plus_binding_fusemax")
FUSEMAX_EINSUMS = {"QK", "LM", "SLN", "SLD", "SLNV"}
EINSUMS = {  # of which the artifact publishes a share of the 2D array
    "unfused": set(),
    "flat": {"QK", "AV"},
    "plus_cascade": {"QK", "SLNV"},
    "plus_architecture": FUSEMAX_EINSUMS,
    "plus_binding_fusemax": FUSEMAX_EINSUMS,
}


def headlines():
    with GOLDEN.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@pytest.mark.parametrize("mode", ["artifact", "physical"])
def test_every_number_is_there_once_and_plausible(mode, request):
    answers = request.getfixturevalue(mode)
    wanted = {
        ("attention", config, model, length, metric)
        for config in CONFIGS
        for model in MODELS
        for length in LENGTHS
        for metric in (
            "traffic", "latency", "energy", "util_2d", "util_1d",
            *(f"util_2d_einsum_{einsum}" for einsum in EINSUMS[config]),
        )
    }  # fmt: skip
    for kernel, configs, metrics in (
        ("linear_layers", ("flat_arch", "fusemax_arch"), ("traffic", "latency", "energy")),
        ("end_to_end", CONFIGS, ("latency", "energy")),
    ):
        wanted |= {
            (kernel, config, model, length, metric)
            for config in configs
            for model in MODELS
            for length in LENGTHS
            for metric in metrics
        }
    plain = [row for row in answers.rows if row.pe_dim is None]
    assert {row.key for row in plain} == wanted
    assert len(plain) == len(wanted)
    for row in answers.rows:
        assert math.isfinite(row.value)
        assert row.value > 0
        assert row.unit != "fraction" or row.value <= 1 + 1e-9


def test_sweep_has_every_machine_with_all_metrics(artifact):
    sweep = [(r.model, r.pe_dim, r.metric) for r in artifact.rows if r.pe_dim is not None]
    wanted = {
        (model, edge, metric)
        for model in MODELS
        for edge in (16, 32, 64, 128, 256, 512)
        for metric in ("latency", "energy", "area", "array_2d_area")
    }
    assert set(sweep) == wanted
    assert len(sweep) == len(wanted)


@pytest.mark.parametrize("config", CONFIGS)
def test_attention_of_models_with_equal_heads_differs_by_their_number(artifact, config):
    # BERT, TrXL and T5 have heads of 64; only what wraps around is not proportional.
    for length in LENGTHS:
        bert, trxl, t5 = (artifact.attention[config, m, length] for m in ("BERT", "TrXL", "T5"))
        for other, heads in ((trxl, 16 / 12), (t5, 8 / 12)):
            assert other.latency_s == pytest.approx(bert.latency_s * heads, rel=1e-12)
            assert other.dram_bytes == pytest.approx(bert.dram_bytes * heads, rel=1e-12)
            exact = [point.energy_j - point.overflow_j for point in (bert, other)]
            assert exact[1] == pytest.approx(exact[0] * heads, rel=1e-12)
            assert other.array_2d == pytest.approx(bert.array_2d, rel=1e-12)
            assert other.einsums == pytest.approx(bert.einsums, rel=1e-12)


def test_end_to_end_is_attention_and_its_linear_layers(artifact):
    for config, layers in (("flat", "flat_arch"), ("plus_architecture", "fusemax_arch")):
        for metric in ("latency", "energy"):
            parts = (
                artifact.value("attention", config, "XLM", "4K", metric),
                artifact.value("linear_layers", layers, "XLM", "4K", metric),
            )
            whole = artifact.value("end_to_end", config, "XLM", "4K", metric)
            assert whole == pytest.approx(sum(parts), rel=1e-12)


@pytest.mark.parametrize("row", headlines(), ids=lambda row: "-".join(row.values()))
def test_means_over_models_and_lengths(artifact, row):
    mean = {"arithmetic": fmean, "geometric": geometric_mean, "harmonic": harmonic_mean}
    ratios = []
    for model in MODELS:
        for length in [row["only"]] if row["only"] else LENGTHS:
            ours, other = (
                artifact.value(row["kernel"], config, model, length, row["metric"])
                for config in (row["config"], row["against"])
            )
            ratios.append(other / ours if row["metric"] == "latency" else ours / other)
    # Half a digit (a little more: 6.46247 stands there as 6.463). Unfused differs by the artifact's
    # random search at 256K and 1M.
    half_a_digit = 0.55 * 10 ** -len(row["value"].partition(".")[2])
    searched = 2e-4 * float(row["value"]) if row["against"] == "unfused" else 0
    assert mean[row["mean"]](ratios) == pytest.approx(
        float(row["value"]), rel=0, abs=half_a_digit + searched
    )


def test_multiplications_take_95_percent_of_published_energy(artifact):
    shares = [
        point.macs_j / point.energy_j
        for (config, _, _), point in artifact.attention.items()
        if config == "plus_binding_fusemax"
    ]
    assert min(shares) == pytest.approx(0.9496, abs=1e-4)  # reference notes, section 10
    assert max(shares) < 0.97


def test_fusemax_is_fastest_and_takes_least_energy_in_both_modes(artifact, physical):
    for answers in (artifact, physical):
        for model in MODELS:
            for length in LENGTHS:
                at = {c: answers.attention[c, model, length] for c in CONFIGS}
                best = at.pop("plus_binding_fusemax")
                assert all(best.latency_s < other.latency_s for other in at.values())
                assert all(best.energy_j <= other.energy_j for other in at.values())
                assert at["flat"].latency_s <= at["unfused"].latency_s * (1 + 1e-12)
                assert at["flat"].energy_j <= at["unfused"].energy_j * (1 + 1e-12)


def test_physical_mode_charges_more_energy_and_no_less_time_for_fusemax(artifact, physical):
    for place, published in artifact.attention.items():
        assert physical.attention[place].energy_j > published.energy_j - published.overflow_j
        assert physical.attention[place].overflow_j == 0
        if place[0] == "plus_binding_fusemax":
            assert physical.attention[place].latency_s >= published.latency_s * (1 - 1e-12)


# --- The sweep over the size of the array --------------------------------------------------------

# Depth, read and write [pJ], area [um^2]: artifact of FuseMax (f543beb), effective ERT and ART.
REGISTERS = [
    (4, 2.182395, 1.894395, 16814.30968),
    (12, 2.190435, 1.902435, 16837.57936),
    (16, 2.190435, 1.902435, 16837.57936),
    (32, 2.194455, 1.906455, 16849.2142),
]
# Rows of the sweep's buffers with the address adder, pJ: the same, ERT columns of its CACTI table.
BUFFER_ROWS = {
    (64, 16): (14.352253, 44.555053),
    (64, 256): (1652.596453, 2120.106453),
    (64, 512): (9350.000473, 11450.440473),
    (128, 128): (484.276473, 970.325473),
    (128, 512): (9517.914493, 13740.244493),
}


@pytest.mark.parametrize(("depth", "read_pj", "write_pj", "area_um2"), REGISTERS)
def test_register_files_are_those_of_the_published_tables(depth, read_pj, write_pj, area_um2):
    file = pareto.registers(depth)
    assert file.read_energy_j * 1e12 == pytest.approx(read_pj, abs=1e-6)
    assert file.write_energy_j * 1e12 == pytest.approx(write_pj, abs=1e-6)
    assert file.area_mm2 * 1e6 == pytest.approx(area_um2, rel=1e-12)


@pytest.mark.parametrize(("point", "row_pj"), BUFFER_ROWS.items())
def test_buffers_of_the_sweep_cost_what_the_published_table_says(point, row_pj):
    head_dim, edge = point
    buffer = pareto.machine(edge, head_dim).buffer
    found = (buffer.read_energy_j * 1e12, buffer.write_energy_j * 1e12)
    assert found == pytest.approx(row_pj, abs=1e-6)


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("edge", [16, 32, 64, 128, 256, 512])
def test_buffers_of_the_sweep_are_the_smallest_that_hide_dram(head_dim, edge):
    # Reference notes, section 8: 16·D·P1·E bytes, doubled until memory is not slower.
    machine = pareto.machine(edge, head_dim)
    tiles = 2 * max(1, edge // head_dim)
    least = 16 * edge * max(1, tiles // (2**18 // edge)) * head_dim
    assert machine.buffer.capacity_bytes == least * (2 if edge == 512 else 1)
    assert machine.buffer.row_bytes == 2 * edge
    tried = hw_models.with_overrides(machine, {"buffer.capacity": float(least)})
    shape = {"batch": 64, "heads": 12, "queries": 2**18, "head_dim": head_dim}
    cascade = library.load("attention_1pass")
    for chip, bound in ((machine, "1d"), (tried, "dram" if edge == 512 else "1d")):
        mapping = mapping_for(cascade, shape, chip, name="fusemax", accounting=ARTIFACT)
        assert estimate(cascade, shape, chip, mapping, accounting=ARTIFACT).bound == bound


def test_larger_arrays_are_faster_and_larger(artifact):
    sweep = {(r.model, r.pe_dim, r.metric): r.value for r in artifact.rows if r.pe_dim is not None}
    for model in MODELS:
        for small, large in ((16, 32), (32, 64), (64, 128), (128, 256), (256, 512)):
            speedup = sweep[model, small, "latency"] / sweep[model, large, "latency"]
            assert speedup == pytest.approx(4, rel=0.01)
            assert sweep[model, small, "area"] < sweep[model, large, "area"]
    # The 256×256 arrays of the sweep are those of FuseMax with deeper 1D registers.
    full = hw_models.load("fusemax_cloud")
    swept = pareto.machine(256, 64)
    assert swept.units["2d"].pes == full.units["2d"].pes
    assert sweep["BERT", 256, "latency"] == pytest.approx(
        artifact.value("attention", "plus_binding_fusemax", "BERT", "256K", "latency"), rel=1e-12
    )


def test_workloads_are_those_of_the_evaluation():
    loads = workloads.load()
    found = {
        name: (m.model_dim, m.heads, m.head_dim, m.ffn_dim) for name, m in loads.models.items()
    }
    assert loads.batch == 64
    assert found == {  # reference notes, section 11
        "BERT": (768, 12, 64, 3072),
        "TrXL": (1024, 16, 64, 4096),
        "T5": (512, 8, 64, 2048),
        "XLM": (2048, 16, 128, 8192),
    }
