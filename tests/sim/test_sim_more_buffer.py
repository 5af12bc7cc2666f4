"""A larger buffer makes a mapping by rule slower by no more than filling larger tiles takes."""

from contextlib import suppress
from itertools import pairwise

import pytest

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load, with_overrides
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.mapping import DoesNotFitError


@pytest.mark.parametrize("name", ["attention_2pass", "attention_3pass", "attention_3pass_deferred"])
@pytest.mark.parametrize("queries", [3000, 65536])
def test_more_buffer_is_not_slower_but_for_the_fill_of_larger_tiles(name, queries):
    cascade, shape = load_cascade(name), {"heads": 3, "queries": queries, "head_dim": 64}
    times = []
    for mib in (2, 4, 16, 64, 128, 512, 2048):
        array = with_overrides(load("fusemax_cloud"), {"buffer.capacity": f"{mib} MiB"})
        with suppress(DoesNotFitError):
            mapping = mapping_for(cascade, shape, array, name="auto")
            times.append(estimate(cascade, shape, array, mapping).latency_s)
    assert len(times) > 4
    assert all(after <= 1.15 * before for before, after in pairwise(times)), times
