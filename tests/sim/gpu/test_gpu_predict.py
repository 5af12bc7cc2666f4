"""What every kernel's prediction obeys on every GPU, and how fast it answers."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.hw_models import load as load_machine
from einfall.hw_models import names as machine_names
from einfall.sim import closed_form, events
from einfall.sim.gpu.calibrated import SIBLINGS, calibration
from einfall.sim.gpu.lowering import pipeline
from einfall.sim.gpu.predict import predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import ScheduleError, find, load, names
from einfall.sim.gpu.sweep import latency_s

GPUS = machine_names("gpu")
H100 = load_machine("h100_sxm")
SHAPE = Problem(batch=2, heads=16, kv_heads=16, queries=2048, keys=2048, causal=True)


def with_hbm(gpu, factor):
    hbm = gpu.hbm.model_copy(
        update={"bandwidth_bytes_per_s": gpu.hbm.bandwidth_bytes_per_s * factor}
    )
    return gpu.model_copy(update={"hbm": hbm})


@pytest.mark.parametrize("name", names())
def test_every_kernel_answers_on_each_of_its_machines(name):
    kernel = load(name)
    size = 2**12 if kernel.does == "matmul" else 2**22
    problem = Problem(batch=2, heads=16, kv_heads=4, queries=512, keys=2048, size=size, causal=True)
    for machine in GPUS:
        gpu = load_machine(machine)
        if gpu.generation in kernel.generations:
            found = predict(kernel, gpu, problem, fit=calibration(kernel, machine).parameters)
            assert 1e-6 < found.latency_s < 1
            assert found.energy_j > 0
            assert gpu.clock.min_hz <= found.clock_hz <= gpu.clock.boost_hz
            assert found.bound
            assert found.why


@pytest.mark.parametrize("name", names())
def test_every_number_of_a_kernel_says_where_it_is_from(name):
    kernel = load(name)
    sourced = {key.split(".")[0] for key in kernel.sources}
    for part in ("tiles", "parameters"):
        if part in kernel.model_fields_set:
            assert part in sourced, f"{name}: {part}"


@given(st.integers(1, 8), st.sampled_from([256, 1000, 4096]), st.booleans(), st.floats(1.0, 4.0))
@settings(max_examples=30, deadline=None)
def test_more_bandwidth_is_never_slower(batch, length, causal, factor):
    problem = Problem(batch=batch, heads=8, kv_heads=8, queries=length, keys=length, causal=causal)
    for name in ("flash3", "flash2", "triton_flash"):
        before, after = (
            predict(load(name), g, problem, "boost") for g in (H100, with_hbm(H100, factor))
        )
        assert after.latency_s <= before.latency_s * (1 + 1e-9)


@given(st.integers(1, 8), st.sampled_from([256, 1000, 4096]))
@settings(max_examples=20, deadline=None)
def test_twice_the_sms_are_never_slower(batch, length):
    problem = Problem(batch=batch, heads=16, kv_heads=16, queries=length, keys=length)
    twice = H100.model_copy(update={"sms": 264})
    for name in ("flash3", "cudnn_hopper"):
        before, after = (predict(load(name), g, problem, "boost") for g in (H100, twice))
        assert after.latency_s <= before.latency_s * (1 + 1e-9)


@given(st.sampled_from([512, 1024, 4096]), st.sampled_from([64, 128, 256]))
@settings(max_examples=20, deadline=None)
def test_causal_takes_no_longer_than_dense_without_costs_of_masking(length, width):
    shape = {"batch": 4, "heads": 16, "kv_heads": 16, "queries": length, "keys": length}
    dense, causal = (
        Problem(**shape, head_dim=width, value_dim=width, causal=c) for c in (False, True)
    )
    kernel = load("triton_flash")
    free = kernel.parameters.model_copy(update={"mask_ops": 0.0, "list_cycles": 0.0})
    times = [predict(kernel, H100, p, "boost", fit=free).latency_s for p in (causal, dense)]
    assert times[0] <= times[1] * (1 + 1e-9)


FUSED = ("flash2", "flash3", "cudnn_hopper", "flex", "triton_flash")


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("width", [16, 40, 64, 72, 96, 128, 160, 192, 224, 256])
def test_any_head_width_group_and_window_is_answered(name, width):
    """Also of one query, and of a million; wider heads of one group take no less time."""
    kernel, fit = load(name), calibration(load(name), "h100_sxm").parameters
    for queries, kv_heads, window in ((1, 8, None), (4096, 1, None), (8192, 8, 300), (2**20, 8, 1)):
        shape = {"heads": 8, "kv_heads": kv_heads, "queries": queries, "keys": max(queries, 128)}
        widths = {"head_dim": width, "value_dim": width}
        problem = Problem(**shape, **widths, causal=True, window=window)
        found = predict(kernel, H100, problem, fit=fit)
        assert 2e-6 < found.latency_s < 100
        assert found.energy_j > 0


@given(
    st.sampled_from(FUSED), st.integers(1, 40), st.integers(1, 20), st.sampled_from([64, 128, 256]),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_more_queries_keys_and_sequences_take_no_less(name, tiles, batch, width, causal):
    """Of whole blocks of 256 at a fixed clock; list scheduling may win some percent from more."""
    kernel = load(name)
    widths = {"head_dim": width, "value_dim": width, "causal": causal}
    shape = {"batch": batch, "heads": 4, "kv_heads": 4, "queries": 256 * tiles, "keys": 256 * tiles}
    time = predict(kernel, H100, Problem(**shape, **widths), "boost").latency_s
    for more in ({"batch": batch + 4}, {"queries": 512 * tiles, "keys": 512 * tiles}):
        longer = predict(kernel, H100, Problem(**(shape | more), **widths), "boost").latency_s
        assert longer >= 0.97 * time


@pytest.mark.parametrize("name", ["flash2", "flash3", "cudnn_hopper", "flash3_decode"])
def test_pipeline_obeys_the_laws_of_every_machine(name):
    problem = SHAPE if "decode" not in name else Problem(batch=8, heads=32, kv_heads=8, keys=8192)
    steps = pipeline(load(name), H100, problem)
    simulated = events.simulate(steps)
    timing = closed_form.evaluate(steps)
    assert simulated.timing.latency_s >= max(simulated.timing.busy_s.values()) * 0.999999
    assert simulated.timing.latency_s <= sum(simulated.timing.busy_s.values()) * 2
    assert timing.latency_s == pytest.approx(simulated.timing.latency_s, rel=0.1)


def test_pipeline_refuses_kernels_without_steps():
    with pytest.raises(ScheduleError, match="key-tile steps"):
        pipeline(load("copy"), H100, Problem(size=2**20))


@pytest.mark.parametrize("causal", [False, True])
def test_sweep_gives_what_single_questions_give(causal):
    kernel, lengths = load("triton_flash"), np.array([1024, 2048, 4096, 8192])
    shape = {"batch": 4, "heads": 16, "kv_heads": 16, "causal": causal}
    together = latency_s(kernel, H100, Problem(queries=lengths, keys=lengths, **shape))
    for length, found in zip(lengths.tolist(), together, strict=True):
        one = predict(kernel, H100, Problem(queries=length, keys=length, **shape), exact=False)
        assert found == pytest.approx(one.latency_s, rel=0.02)


def test_h200_and_b300_are_predicted_from_their_siblings():
    for machine, (sibling,) in SIBLINGS.items():
        generation = load_machine(machine).generation
        assert generation == load_machine(sibling).generation
    kernel = load("triton_flash")
    assert calibration(kernel, "h200").machine == "h100_sxm"


def test_a_kernel_nobody_knows_says_what_was_wanted():
    with pytest.raises(
        ScheduleError, match="wanted a kernel that einfall has a schedule of, found"
    ):
        find("no such kernel", "fwd", H100)
    with pytest.raises(ScheduleError, match="head_dim of at most 256, found 512"):
        load("flash3").tile(Problem(head_dim=512, value_dim=512), "hopper")


def test_answers_within_a_millisecond_or_twenty():
    """Generous by far, so that a loaded machine does not fail it."""
    kernel = load("flash3")
    predict(kernel, H100, SHAPE)
    for exact, limit_s in ((False, 1e-3), (True, 20e-3)):
        begin = time.perf_counter()
        for _ in range(20):
            predict(kernel, H100, SHAPE, exact=exact)
        assert (time.perf_counter() - begin) / 20 < 5 * limit_s
