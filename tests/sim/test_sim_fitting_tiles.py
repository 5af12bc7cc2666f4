"""Tiles that are to fit: as few iterations as the buffer allows, and even ones."""

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_questions import ask, small_machine

from einfall.einsum_cascades import library
from einfall.sim import mapping as mappings
from einfall.sim.estimate import estimate
from einfall.sim.mapping import DoesNotFitError

EDGE = 4
BASES = {"fusemax": "fusemax_cloud", "plus_cascade": "flat_cloud"}


def tile_of(estimated, loop="p2"):
    (phase,) = estimated.pipeline.phases
    return next(x.tile for x in phase.nest.loops if x.name == loop)


def with_tile(name, tile, loop="p2"):
    """A shipped mapping with the tile of a loop given."""
    mapping = mappings.load(name)
    (group,) = mapping.groups
    loops = tuple(
        spec.model_copy(update={"tile": tile}) if spec.loop == loop else spec
        for spec in group.loops
    )
    return mapping.model_copy(update={"groups": (group.model_copy(update={"loops": loops}),)})


@pytest.mark.parametrize("name", BASES)
@settings(deadline=None, max_examples=25)
@given(queries=st.integers(1, 400), capacity=st.integers(2500, 20000), width=st.integers(1, 16))
def test_one_iteration_fewer_would_not_fit_and_all_are_even(name, queries, capacity, width):
    machine = small_machine(BASES[name], EDGE, buffer__capacity=capacity)
    shape = {"queries": queries, "keys": 20, "head_dim": width, "value_dim": 3}
    tile = tile_of(ask("attention_1pass", shape, machine, name))
    units = ceil(queries / EDGE)
    iterations = ceil(queries / tile)
    assert min(tile, queries) == min(EDGE * ceil(units / iterations), queries)
    if iterations > 1:
        larger = with_tile(name, EDGE * ceil(units / (iterations - 1)))
        with pytest.raises(DoesNotFitError):
            estimate(library.load("attention_1pass"), shape, machine, larger)


def test_the_footprint_by_hand():
    # E = F = 8, 2 B a word, an array of 4 x 4. K and V: two tiles of 4·8 words each, 256 B. A row
    # of queries: Q 8, RM 1, RD 1 and RNV 8 words, 36 B, and in tiles of 4 rows 144 B.
    shape = {"queries": 40, "keys": 20, "head_dim": 8}
    fits = small_machine("fusemax_cloud", EDGE, buffer__capacity=256 + 10 * 144)
    short = small_machine("fusemax_cloud", EDGE, buffer__capacity=256 + 10 * 144 - 1)
    assert tile_of(ask("attention_1pass", shape, fits, "fusemax")) == 40
    assert tile_of(ask("attention_1pass", shape, short, "fusemax")) == 20
