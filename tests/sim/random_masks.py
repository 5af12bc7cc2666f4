"""Random masks for the laws of the simulator: bands, blocks, neighbourhoods, complements, heads.

Every query attends something. Masks are built directly, not from text, so that any set of pairs
may come up, also such as no family has.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from einfall.einsum_cascades.masked import with_mask
from einfall.einsum_cascades.masks import Band, Mask, MaskError, Neighborhood, Steps, runs
from einfall.einsum_cascades.masks.heads import HeadMasks


@dataclass(frozen=True, eq=False)
class Given:
    """A mask that is there already, in place of one that is bound to a size."""

    mask: Mask | HeadMasks

    is_dense = False

    def bind(self, queries, keys, heads=1):
        assert (queries, keys) == (self.mask.queries, self.mask.keys)
        assert isinstance(self.mask, Mask) or self.mask.heads == heads
        return self.mask

    def __str__(self):
        return "given"


def masked(cascade, mask):
    return with_mask(cascade, Given(mask))


def causal(queries, keys=None):
    """The last query sees all keys."""
    keys = queries if keys is None else keys
    stop = np.arange(queries) + keys - queries + 1
    return Band(np.zeros(queries, dtype=np.int64), np.maximum(stop, 1), keys)


def window(queries, width):
    """The last `width` keys of each query."""
    at = np.arange(queries)
    return Band(np.maximum(at - width + 1, 0), at + 1, queries)


def everything(queries, keys):
    return Band(np.zeros(queries, dtype=np.int64), np.full(queries, keys), keys)


def from_array(array):
    """A mask of given pairs."""
    rows, starts, stops = [], [], []
    for row, attended in enumerate(array):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], attended, [False]]).astype(int)))
        rows += [row] * (len(edges) // 2)
        starts += edges[::2].tolist()
        stops += edges[1::2].tolist()
    found = runs.runs_of(np.array(rows), np.array(starts), np.array(stops), len(array))
    return Steps(np.arange(len(array) + 1), found, array.shape[1])


@st.composite
def bands(draw, queries, keys):
    start = np.sort(draw(st.lists(st.integers(0, keys - 1), min_size=queries, max_size=queries)))
    width = draw(st.lists(st.integers(1, keys), min_size=queries, max_size=queries))
    stop = np.minimum(np.maximum.accumulate(start + np.array(width)), keys)
    try:
        return Band(start, stop, keys)
    except MaskError:  # a gap between windows
        return causal(queries, keys)


@st.composite
def blocks(draw, queries, keys):
    """Blocks of queries that attend the same few intervals of keys."""
    cuts = draw(st.lists(st.integers(1, max(1, queries - 1)), max_size=4))
    edges = np.unique(np.array([0, *(c for c in cuts if c < queries), queries]))
    row, start, stop = [], [], []
    for block in range(len(edges) - 1):
        for _ in range(draw(st.integers(1, 3))):
            first = draw(st.integers(0, keys - 1))
            row.append(block)
            start.append(first)
            stop.append(draw(st.integers(first + 1, keys)))
    found = runs.runs_of(np.array(row), np.array(start), np.array(stop), len(edges) - 1)
    return Steps(edges, found, keys)


@st.composite
def neighbourhoods(draw, length):
    window = draw(st.integers(1, length))
    stride = draw(st.integers(1, window))
    dilation = draw(st.integers(1, length // window))
    return Neighborhood(length, window, stride, dilation, draw(st.booleans()))


@st.composite
def masks(draw, queries, keys):
    """One mask in which every query attends some key."""
    kinds = [bands(queries, keys), blocks(queries, keys), st.just(causal(queries, keys))]
    if queries == keys:
        kinds += [neighbourhoods(queries)]
    mask = draw(st.one_of(kinds))
    if draw(st.booleans()):
        mask = draw(st.sampled_from((mask & draw(st.one_of(kinds)), mask | draw(st.one_of(kinds)))))
    if draw(st.integers(0, 3)) == 0:
        mask = ~mask
    if mask.empty_queries:
        at = np.arange(queries) * keys // queries
        diagonal = Steps(np.arange(queries + 1), runs.one_each(at, at + 1), keys)
        mask = mask | diagonal
    return mask
