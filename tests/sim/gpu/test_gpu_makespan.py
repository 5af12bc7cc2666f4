"""List scheduling: its bounds, and the closed forms against it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.sim.gpu.makespan import closed, listed
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.tiles import Ragged, count

steps = st.lists(st.integers(1, 30), min_size=1, max_size=12)
ORDERS = ("natural", "reversed", "lpt")


def ragged(lengths):
    return Ragged(np.array(lengths, dtype=float), np.zeros(len(lengths)))


@given(steps, st.integers(1, 20), st.integers(1, 30), st.sampled_from(ORDERS))
def test_makespan_lies_between_its_bounds(lengths, heads, places, order):
    """Mean and longest below; Graham's bound of greedy list scheduling above."""
    found = listed(ragged(lengths), heads, places, order, overhead=0)
    mean, longest = sum(lengths) * heads / places, max(lengths)
    assert found.steps >= max(mean, longest) * 0.999999
    assert found.steps <= mean + longest * (1 - 1 / places) + 1e-6


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40))
def test_closed_form_of_alike_blocks_is_the_simulation(length, tiles, heads, places):
    blocks = ragged([length] * tiles)
    for order in ORDERS:
        exact, formula = listed(blocks, heads, places, order), closed(blocks, heads, places, order)
        assert (formula.steps, formula.blocks) == (exact.steps, exact.blocks)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("queries", "heads"), [(4096, 64), (16384, 16), (8192, 32), (2048, 128)])
def test_closed_form_of_a_causal_ramp_is_near(order, queries, heads):
    blocks = count(Problem(queries=queries, keys=queries, causal=True), 128, 128)
    exact, formula = (f(blocks, heads, 132, order) for f in (listed, closed))
    assert formula.steps == pytest.approx(exact.steps, rel=0.06)


def test_longest_first_by_hand():
    # 4 4 3 3 2 2 1 1 over four places: 4+1, 4+1, 3+2, 3+2
    assert listed(ragged([1, 2, 3, 4]), 2, 4, "lpt", overhead=0).steps == 5


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([16, 64, 128]))
def test_causal_tiles_counted_one_by_one(queries, more, rows):
    keys = queries + more
    found = count(Problem(queries=queries, keys=keys, causal=True), rows, 64).steps
    for tile, steps_found in enumerate(found):
        last = min((tile + 1) * rows, queries) - 1
        assert steps_found == -(-(last + keys - queries + 1) // 64)


@given(st.integers(64, 600), st.integers(1, 300))
def test_window_visits_no_more_than_causal(queries, window):
    wide = count(Problem(queries=queries, keys=queries, causal=True), 64, 64)
    narrow = count(Problem(queries=queries, keys=queries, causal=True, window=window), 64, 64)
    assert (narrow.steps <= wide.steps).all()
    assert (narrow.masked <= narrow.steps).all()
    assert narrow.steps.min() >= 1


@given(
    st.integers(1, 900), st.integers(0, 900), st.sampled_from([None, 1, 64, 100, 300]),
    st.sampled_from([(64, 32), (64, 64), (128, 64), (128, 128)]),
)  # fmt: skip
def test_blocks_of_a_mask_are_walked_whole(queries, more, window, tile):
    problem = Problem(queries=queries, keys=queries + more, causal=True, window=window)
    own, whole = count(problem, *tile), count(problem, *tile, block=128)
    assert len(own.steps) == len(whole.steps)
    assert (whole.steps >= own.steps).all()
    assert (whole.masked >= own.masked).all()
    assert whole.steps.max() <= -(-(queries + more) // tile[1])
