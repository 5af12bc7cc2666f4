"""Sums over ragged loop nests against their executions, one by one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.sim.nest import Factor, Loop, Nest, Work, merged

RANKS = ("A", "B", "C")


@st.composite
def nests(draw):
    """Two loops at most over each rank, mixed; tiles of a rank are multiples of the inner ones."""
    loops = []
    for rank in RANKS:
        inner = draw(st.integers(1, 5))
        tiles = [inner * draw(st.integers(1, 4)), inner][2 - draw(st.integers(0, 2)) :]
        loops.append([Loop(f"{rank.lower()}{i}", rank, tile) for i, tile in enumerate(tiles)])
    order = []
    while any(loops):
        order.append(draw(st.sampled_from([x for x in loops if x])).pop(0))
    return Nest({rank: draw(st.integers(1, 23)) for rank in RANKS}, tuple(order))


factors = st.builds(
    Factor,
    st.lists(st.sampled_from(RANKS), min_size=1, max_size=3, unique=True).map(tuple),
    st.none() | st.integers(1, 6),
)
works = st.builds(Work, st.integers(1, 5), st.lists(factors, max_size=4).map(tuple))


def executions(nest, at):
    """Extents of every execution inside the loops `at`, by cutting ranges."""
    per_rank = []
    for rank, whole in nest.extents.items():
        pieces = [whole]
        for loop in (x for x in nest.loops if x.rank == rank and x.name in at):
            pieces = [
                min(loop.tile, size - start)
                for size in pieces
                for start in range(0, size, loop.tile)
            ]
        per_rank.append([(rank, size) for size in pieces])
    return [dict(combined) for combined in product(*per_rank)]


@given(nests(), works, st.data())
def test_total_is_the_sum_over_all_executions(nest, work, data):
    at = [name for name in nest.names if data.draw(st.booleans())]
    assert work.total(nest, at) == sum(work.at(each) for each in executions(nest, at))


@given(nests(), st.data())
def test_without_factors_the_total_counts_executions(nest, data):
    at = [name for name in nest.names if data.draw(st.booleans())]
    assert Work(1).total(nest, at) == len(executions(nest, at))


@given(nests(), works)
def test_once_is_the_first_execution(nest, work):
    assert work.once(nest, nest.names) == work.at(executions(nest, nest.names)[0])


@given(nests(), st.lists(works, max_size=4))
def test_merged_works_add_up_to_the_same(nest, several):
    together = sum(work.total(nest, nest.names) for work in merged(several))
    assert together == sum(work.total(nest, nest.names) for work in several)


@given(st.lists(nests(), min_size=2, max_size=5), works, st.data())
def test_arrays_equal_scalars_element_by_element(many, work, data):
    loops = many[0].loops
    at = [loop.name for loop in loops if data.draw(st.booleans())]
    factor = [data.draw(st.integers(1, 3)) for _ in many]

    def extents(nest):
        return nest.extents

    swept = Nest(
        {r: np.array([float(extents(nest)[r]) for nest in many]) for r in RANKS},
        tuple(Loop(x.name, x.rank, np.array([float(x.tile * f) for f in factor])) for x in loops),
    )
    total, once = work.total(swept, at), work.once(swept, at)
    for i, nest in enumerate(many):
        scaled = tuple(Loop(x.name, x.rank, x.tile * factor[i]) for x in loops)
        one = Nest(nest.extents, scaled)
        assert np.broadcast_to(total, len(many))[i] == work.total(one, at)
        assert np.broadcast_to(once, len(many))[i] == work.once(one, at)


def test_a_divisor_rounds_up_in_each_ragged_execution():
    # 10 rows by 4: 4, 4, 2; lanes of 3 take 2 + 2 + 1.
    nest = Nest({"A": 10}, (Loop("a", "A", 4),))
    assert Work(1, (Factor(("A",), 3),)).total(nest, ["a"]) == 5


def test_ranks_flattened_on_one_side_round_up_together():
    # 3·5 points on 4 lanes take ⌈15/4⌉ = 4 turns, not ⌈3/4⌉·5.
    nest = Nest({"A": 3, "B": 5})
    assert Work(1, (Factor(("A", "B"), 4),)).total(nest, []) == 4


def test_an_empty_remainder_adds_nothing():
    nest = Nest({"A": np.array([8.0, 9.0])}, (Loop("a", "A", 4),))
    assert Work(1, (Factor(("A",), 4),)).total(nest, ["a"]) == pytest.approx([2, 3])
