"""A mapping prepared once: other sizes find its names read, and get the answer of a fresh one."""

import numpy as np
import pytest

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load
from einfall.sim.accounting import MODES, PHYSICAL
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.mapping import MappingError
from einfall.sim.mapping import load as load_mapping
from einfall.sim.prepared import prepared

SHAPES = [
    {"heads": 12, "queries": 1024, "head_dim": 64},
    {"heads": 2, "kv_heads": 1, "queries": 100, "keys": 4096, "head_dim": 64},
    {"heads": 3, "queries": 4096, "keys": 70, "head_dim": 8},  # all keys in less than one tile
    {"heads": 12, "queries": np.array([512.0, 8192.0]), "head_dim": 64},
]
QUESTIONS = [
    ("attention_1pass", "fusemax", "fusemax_cloud"),
    ("attention_3pass", "flat", "flat_cloud"),
]


@pytest.mark.parametrize(("cascade", "mapping", "machine"), QUESTIONS)
@pytest.mark.parametrize("accounting", MODES.values(), ids=lambda mode: mode.name)
def test_a_mapping_seen_before_answers_as_one_never_seen(cascade, mapping, machine, accounting):
    what, array = load_cascade(cascade), load(machine)
    answered = 0
    for shape in (*SHAPES, *SHAPES):
        how = mapping_for(what, shape, array, name=mapping)
        try:
            seen = estimate(what, shape, array, how, accounting=accounting)
        except MappingError:
            continue
        fresh = estimate(what, shape, array.model_copy(), how.model_copy(), accounting=accounting)
        assert seen.record() == fresh.record()
        answered += 1
    assert answered >= 4


def test_what_is_kept_is_told_apart_by_the_objects_and_by_the_tiles_of_split_ranks():
    what, array, how = (
        load_cascade("attention_1pass"),
        load("fusemax_cloud"),
        load_mapping("fusemax"),
    )
    ask = lambda sizes, mapping=how: prepared(what, sizes, array, mapping, PHYSICAL)  # noqa: E731
    first = ask({"M0": 256, "P": 1})
    assert ask({"M0": 256, "P": 1024}) is first
    assert ask({"M0": 70, "P": 1}) is not first
    assert ask({"M0": 256, "P": 1}, how.model_copy()) is not first


def test_a_mapping_that_is_refused_is_refused_again():
    what, array = load_cascade("attention_3pass"), load("fusemax_cloud")
    for _ in range(2):
        with pytest.raises(MappingError, match="is for"):
            estimate(what, SHAPES[0], array, load_mapping("fusemax"))
