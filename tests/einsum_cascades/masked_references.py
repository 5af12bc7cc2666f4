"""Masks for tests, and what a masked cascade should compute and count, point by point.

A `Listed` mask is written out pair by pair, so that nothing rests on the families. `MaskedWalk` is
the `Walk` of a cascade of which a mask leaves out points.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from cascade_references import Walk
from hypothesis import strategies as st

from einfall.einsum_cascades.masks import Steps
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.runs import runs_of


@dataclass(frozen=True)
class Listed:
    """A mask as nested tuples of 0 and 1, [queries][keys] or [heads][queries][keys]."""

    rows: tuple
    is_dense = False

    @property
    def array(self):
        """As booleans, [heads, queries, keys]; one head if it is the same for all."""
        array = np.array(self.rows, dtype=bool)
        return array if array.ndim == 3 else array[None]

    def bind(self, queries, keys, heads=1):
        masks = tuple(map(as_mask, self.array))
        assert all((mask.queries, mask.keys) == (queries, keys) for mask in masks)
        return masks[0] if np.ndim(self.rows) == 2 else HeadMasks(masks)

    def __str__(self):
        return "listed"


def as_mask(array):
    """A mask with the pairs of a boolean array."""
    queries, keys = array.shape
    row, key = np.nonzero(array)
    return Steps(np.arange(queries + 1), runs_of(row, key, key + 1, queries), keys)


@st.composite
def listed(draw, queries, keys, heads=None, *, empty_queries=True):
    """Any mask of a size; without empty queries each attends one key at least."""
    shape = (queries, keys) if heads is None else (heads, queries, keys)
    part = draw(st.sampled_from((0.1, 0.4, 0.8)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    array = random.random(shape) < part
    if not empty_queries:
        first = random.integers(0, keys, shape[:-1])
        array |= np.arange(keys) == first[..., None]
    return Listed(_nested(array.astype(int).tolist()))


def _nested(values):
    return tuple(map(_nested, values)) if isinstance(values, list) else values


class MaskedWalk(Walk):
    """A walk over the points that the mask leaves; a step without any keeps the value before."""

    def __init__(self, cascade, inputs, sizes):
        super().__init__(cascade, inputs, sizes)
        self.attended = cache(self.attended)

    def value(self, name, coordinates):
        if name in self.inputs:
            return super().value(name, coordinates)
        einsum = self.cascade.by_name[name]
        indices = einsum.output.indices
        before = tuple(c - i.offset for c, i in zip(coordinates, indices, strict=True))
        if before != coordinates and min(before) >= 0:
            point = dict(zip((i.rank for i in indices), before, strict=True))
            if not any(True for _ in self.points(einsum, point)):
                return self.value(name, before)
        return super().value(name, coordinates)

    def exists(self, point):
        if not super().exists(point) or not self.cascade.is_masked(point):
            return super().exists(point)
        known = self.coordinates((0, 0, 0))
        ranks = tuple(rank for rank in point if rank in known)
        return tuple(point[rank] for rank in ranks) in self.attended(ranks)

    def attended(self, ranks):
        """The mask seen along some ranks: a set of coordinates."""
        points = np.argwhere(self.cascade.mask.spec.array).tolist()
        return {tuple(self.coordinates(each)[rank] for rank in ranks) for each in points}

    def coordinates(self, point):
        """A (head, query, key) on all ranks, parts and groups; on heads only if they differ."""
        mask = self.cascade.mask
        whole = dict(zip((mask.heads, mask.queries, mask.keys), point, strict=True))
        if len(mask.spec.array) == 1:
            whole.pop(mask.heads)
        found = dict(whole)
        for split in self.cascade.splits:
            if split.rank in whole:
                at = divmod(whole[split.rank], self.sizes[split.inner])
                found[split.outer], found[split.inner] = at
        for group in self.cascade.groups:
            if group.rank in whole:
                size, groups = self.sizes[group.rank], self.sizes[group.outer]
                found[group.outer] = whole[group.rank] * groups // size
        return found
