"""Kernels that follow each other: what two sides add up to, what an SM holds, scans and passes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.hw_models import load as load_machine
from einfall.sim.gpu.calibrated import calibration
from einfall.sim.gpu.grids import beside, resident, waves
from einfall.sim.gpu.predict import predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import load
from einfall.sim.gpu.unfused import COLUMNS, _seen, lost

H100 = load_machine("h100_sxm")
TIMES = st.floats(1e-7, 1e-1)
SCAN = Problem(batch=1, heads=16, kv_heads=16, queries=16384, keys=16384, causal=True)


def latency_s(name, problem, gpu=H100):
    kernel = load(name)
    return predict(kernel, gpu, problem, fit=calibration(kernel, gpu.name).parameters).latency_s


@given(TIMES, TIMES, st.floats(0.0, 1.0))
def test_two_sides_take_between_the_longer_and_their_sum(first, second, exposed):
    together = sum(beside(first, second, exposed))
    assert max(first, second) * 0.999 <= together <= (first + second) * 1.001


@given(TIMES, st.floats(0.05, 1.0))
def test_of_two_alike_the_exposed_share_of_one_shows(time_s, exposed):
    assert sum(beside(time_s, time_s, exposed)) == pytest.approx((1 + exposed) * time_s)


# Registers and shared memory as ptxas and Triton 3.6 say for sm_90a, blocks by NVIDIA's rule
# (64 Ki registers, 228 KiB less 1 KiB a block), of validate/kernels: states of 64 x 64 at chunk 64
# (2 and 3 stages), outputs at width 128 (3 stages) and at chunk 128, scores 128 x 64 of width 64
# and 128 x 128 of width 128.
COMPILED = [
    (4, 74, 40960, 5), (4, 72, 57344, 4), (4, 105, 73728, 3),
    (4, 255, 81920, 2), (4, 254, 24576, 2), (8, 255, 65536, 1),
]  # fmt: skip


@pytest.mark.parametrize(("warps", "registers", "shared_bytes", "blocks"), COMPILED)
def test_blocks_that_an_sm_holds(warps, registers, shared_bytes, blocks):
    assert resident(H100, warps, registers, shared_bytes) == blocks


@given(st.integers(1, 10**6), st.integers(1, 16))
def test_waves_hold_all_blocks_and_no_wave_is_empty(blocks, held):
    places = H100.sms * held
    rounds = waves(blocks, H100, held)
    assert rounds * places >= blocks > (rounds - 1) * places


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_scores_that_a_causal_softmax_reads(queries, keys):
    ends = [max(p + 1 + keys - queries, 0) for p in range(queries)]
    turns = sum(-(-end // COLUMNS) for end in ends)
    assert _seen(Problem(queries=queries, keys=keys, causal=True)) == (sum(ends), turns)


def test_a_long_scan_of_few_heads_is_as_long_as_its_chunks():
    few = replace(SCAN, heads=2, kv_heads=2, head_dim=64, value_dim=64, queries=32768, keys=32768)
    twice = replace(few, queries=65536, keys=65536)
    assert latency_s("triton_linear", twice) / latency_s("triton_linear", few) > 1.9
    doubled = replace(few, heads=4, kv_heads=4)
    assert latency_s("triton_linear", doubled) / latency_s("triton_linear", few) < 1.1


def test_more_stages_hide_the_latency_of_a_scan():
    two, three = (replace(SCAN, tile=(64, 64, 4, stages)) for stages in (2, 3))
    assert latency_s("triton_linear", three) < 0.9 * latency_s("triton_linear", two)


def test_a_tuner_takes_the_fastest_tile():
    tiles = ((64, 64, 4, 2), (64, 64, 4, 3), (64, 64, 8, 3), (128, 64, 8, 2))
    given_tile = [latency_s("triton_linear", replace(SCAN, tile=tile)) for tile in tiles]
    assert latency_s("triton_linear", SCAN) == min(given_tile)


def test_three_passes_are_the_sum_of_their_pieces():
    shape = Problem(batch=4, heads=16, kv_heads=16, queries=2048, keys=2048)
    pieces = [latency_s("triton_softmax_3pass", replace(shape, piece=p, tile=(128, 128, 8, 3)))
              for p in ("qk", "softmax", "pv")]  # fmt: skip
    whole = latency_s("triton_softmax_3pass", replace(shape, tile=(128, 128, 8, 3)))
    assert whole == pytest.approx(sum(pieces), rel=0.01)


def test_rows_that_begin_in_no_sector_are_slower():
    aligned = Problem(batch=2, heads=12, kv_heads=12, queries=1536, keys=1536)
    ragged = replace(aligned, queries=1500, keys=1500)
    assert latency_s("triton_softmax_3pass", ragged) > latency_s("triton_softmax_3pass", aligned)


# Passes of HBM that ncu counts of softmax_kernel on an H100: rows of 4096, 8192 and 16384 scores.
READ_PASSES = [(4096, 1.00), (8192, 1.27), (16384, 2.94)]


@pytest.mark.parametrize(("keys", "passes"), READ_PASSES)
def test_rows_that_do_not_stay_in_l2_are_read_again(keys, passes):
    live_bytes = H100.sms * 16 * keys * 2
    assert 1 + 2 * lost(live_bytes, H100) == pytest.approx(passes, abs=0.05)


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_longer_rows_never_stay_in_l2_more(first, second):
    shorter, longer = sorted((first, second))
    assert 0.0 <= lost(shorter, H100) <= lost(longer, H100) <= 1.0


def test_a_softmax_of_rows_that_leave_l2_takes_more_than_twice_as_long():
    rows = Problem(heads=1, kv_heads=1, queries=16384, keys=16384, piece="softmax")
    kept = replace(rows, heads=16, kv_heads=16, queries=4096, keys=4096)
    assert latency_s("triton_softmax_3pass", rows) > 2.0 * latency_s("triton_softmax_3pass", kept)


def test_decayed_scores_take_longer_where_a_chunk_is_long():
    outputs = replace(SCAN, head_dim=128, value_dim=128, chunk=128, piece="outputs")
    plain, decayed = (replace(outputs, decays=decays) for decays in (False, True))
    assert latency_s("triton_linear", decayed) > 1.05 * latency_s("triton_linear", plain)
