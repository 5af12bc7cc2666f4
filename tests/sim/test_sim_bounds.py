"""Bounds, sweeps of strides and recommendations: published figures, laws, brute force."""

import csv
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.einsum_cascades.masks import Neighborhood, Tiling, count_tiles, neighborhood
from einfall.einsum_cascades.masks.natten import kernel_tiles
from einfall.einsum_cascades.masks.problem import read_sizes
from einfall.sim.bounds import Bounds, end_to_end, share_of_sparse
from einfall.sim.ladder import counted_ladder
from einfall.sim.strides import Axis, recommend, sweep_strides

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    with (GOLDEN / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@st.composite
def axes(draw, most=24):
    length = draw(st.integers(1, most))
    window = draw(st.integers(1, length))
    dilation = draw(st.integers(1, length // window))
    return Neighborhood(length, window, draw(st.integers(1, window)), dilation, draw(st.booleans()))


def tiles(dims):
    return st.tuples(*[st.integers(1, 9)] * dims)


def test_published_use_cases_are_counted_exactly():
    rows = golden("gna_use_cases.csv")
    assert len(rows) == 337
    for row in rows:
        sizes = [read_sizes(row[n]) for n in ("token_layout", "window", "stride", "dilation")]
        tiling = Tiling(read_sizes(row["q_tile"]), read_sizes(row["kv_tile"]))
        bounds = Bounds(neighborhood(*sizes), tiling)
        counts, kernel = bounds.tiles, bounds.kernel
        ours = {
            "q_tiles": counts.q_tiles,
            "visited_kv_tiles": counts.visited,
            "max_visited_per_q_tile": counts.most_visited,
            "dense_no_mask_tiles": counts.full,
            "dense_no_mask_tiles_ignoring_kv_pad": counts.full_ignoring_padding,
            "fully_block_sparse": int(kernel.skips_mask),
            "padded_q_tokens": kernel.q_tiles * int(np.prod(tiling.q)),
        }
        assert {name: int(row[name]) for name in ours} == ours, row
        assert counts.block_sparse == kernel.skips_mask
        speedups = {
            "flop_speedup": bounds.flop_speedup,
            "worst_tile_speedup": bounds.worst,
            "total_tile_speedup": bounds.total,
            "worst_tile_speedup_dynamic_kv": bounds.dynamic.speedup_worst,
        }
        assert {n: row[n] for n in speedups} == {n: f"{x:.4f}" for n, x in speedups.items()}


def test_pruned_strides_of_published_windows():
    wanted = defaultdict(dict)
    for row in golden("gna_strides.csv"):
        problem = tuple(read_sizes(row[n]) for n in ("input", "window", "q_tile", "kv_tile"))
        wanted[problem][read_sizes(row["stride"])] = row["worst_tile_speedup"]
    assert len(wanted) == 5
    for (length, window, q, kv), strides in wanted.items():
        sides = zip(length, window, q, kv, strict=True)
        kept = sweep_strides([Axis(n, w, 1, False, a, b) for n, w, a, b in sides])
        assert {c.stride: f"{c.tile_speedup_worst_q_tile:.4f}" for c in kept} == strides


@given(st.integers(2, 9), st.integers(2, 9), st.data())
def test_pruning_keeps_what_beats_every_smaller_stride(rows, cols, data):
    sides = [
        Axis(n, data.draw(st.integers(1, n)), 1, data.draw(st.booleans()), *data.draw(tiles(2)))
        for n in (rows, cols)
    ]
    worst = {}
    for strides in product(*(range(1, side.window + 1) for side in sides)):
        parts = [side.counts(s)[1].speedup_worst for side, s in zip(sides, strides, strict=True)]
        worst[strides] = parts[0] * parts[1]
    kept = {
        s
        for s in worst
        if all(
            worst[s] > worst[t] * (1 + 1e-12)
            for t in worst
            if t != s and t[0] <= s[0] and t[1] <= s[1]
        )
    }
    assert {choice.stride for choice in sweep_strides(sides)} == kept


@pytest.mark.parametrize("length", [(64,), (30, 40), (16, 44, 80)])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_what_is_recommended_has_only_full_tiles(length, sparsity):
    found = recommend(length, sparsity)
    assert found
    for choice in found:
        mask = neighborhood(length, choice.window, choice.stride, choice.dilation)
        counts = count_tiles(mask, Tiling(choice.q_tile, choice.kv_tile))
        assert choice.fully_block_sparse
        assert counts.block_sparse
        assert counts.speedup_total == pytest.approx(choice.tile_speedup_total)
        assert 1 - mask.density == pytest.approx(choice.sparsity)
    nearest = min(abs(choice.sparsity - sparsity) for choice in found)
    assert abs(found[0].sparsity - sparsity) <= nearest + 0.01


@given(st.lists(axes(), min_size=1, max_size=3), st.data())
def test_no_counted_rung_rises(parts, data):
    fields = (
        [getattr(a, n) for a in parts] for n in ("length", "window", "stride", "dilation", "causal")
    )
    mask = neighborhood(*fields)
    tiling = Tiling(data.draw(tiles(len(parts))), data.draw(tiles(len(parts))))
    rungs = counted_ladder(Bounds(mask, tiling), data.draw(st.integers(1, 10**6))).rungs
    speedups = [rung.speedup for rung in rungs]
    assert speedups == sorted(speedups, reverse=True)
    assert speedups[0] >= 1


@given(axes())
def test_unit_tiles_lose_nothing(axis):
    counts = count_tiles(axis, Tiling((1,), (1,)))
    assert counts.visited == counts.full == axis.pairs


@given(axes(), st.sampled_from((2, 4, 8)), st.sampled_from((2, 4, 8)))
def test_the_kernel_skips_no_mask_that_is_needed(axis, q, kv):
    # The predicate of NATTEN is sound for tiles that are powers of two from 2 on, and too strict
    # for some problems (GNA notes, section 4: no false positives in 95,232 cases).
    tiling = Tiling((q,), (kv,))
    if kernel_tiles(axis, tiling).skips_mask:
        assert count_tiles(axis, tiling).block_sparse


@given(axes(), st.integers(1, 9), st.integers(1, 9))
def test_the_kernel_runs_the_same_tiles_and_those_of_padding(axis, q, kv):
    tiling = Tiling((q,), (kv,))
    kernel, counts = kernel_tiles(axis, tiling), count_tiles(axis, tiling)
    assert kernel.q_tiles == counts.q_tiles + kernel.padding_only_q_tiles
    assert kernel.visited >= counts.visited
    if not kernel.padding_only_q_tiles:
        assert kernel.visited == counts.visited


@given(st.floats(1, 1e6), st.floats(0, 1))
def test_amdahl_lies_between_one_and_the_speedup_of_the_part(speedup, share):
    whole = end_to_end(speedup, share)
    assert whole * (1 + 1e-12) >= 1
    assert whole <= speedup * (1 + 1e-12)


def test_published_shares_of_hunyuan_video():
    # arXiv:2504.16922: 60.7 % self-attention, 15 of 50 steps dense; 11.11x gives 1.63x.
    assert round(end_to_end(11.11, share_of_sparse(0.607, 15, 50)), 2) == 1.63


def test_the_order_of_bounds_of_published_anchors():
    # Anchors of the GNA notes, section 5: FLOP, worst tile, total tile.
    anchors = [
        ([32768], [2048], [1], (256,), (128,), (16, 14.22, 14.32)),
        ([256, 256], [80, 80], [16, 1], (16, 16), (16, 8), (10.24, 8.533, 9.002)),
        ([30, 48, 80], [18, 24, 24], [2, 1, 8], (4, 8, 8), (2, 8, 8), (11.11, 6.0, 8.0)),
        ([30, 48, 80], [18, 24, 24], [18, 24, 24], (4, 8, 8), (2, 8, 8), (11.11, 6.667, 10.256)),
    ]
    for length, window, stride, q, kv, wanted in anchors:
        bounds = Bounds(neighborhood(length, window, stride), Tiling(q, kv))
        ours = (bounds.flop_speedup, bounds.worst, bounds.total)
        assert ours == pytest.approx(wanted, rel=5e-4)
