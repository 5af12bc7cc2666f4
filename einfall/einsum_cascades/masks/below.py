"""Blocks of queries that attend listed keys up to a limit of each query's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.mask import Cover, MaskError, _Blocks
from einfall.einsum_cascades.masks.runs import Ints, Runs


@final
@dataclass(frozen=True, eq=False)
class Below(_Blocks):
    """Query p of block i attends those keys of block i that come before limit[p].

    Block i holds the queries [edges[i], edges[i+1]), and inside a block the limit never falls: with
    limit[p] = p + 1 the mask is causal. So a part [a, b) of one block has

        some = of_block[i] ∩ [0, limit[b-1])        every = of_block[i] ∩ [0, limit[a])
    """

    limit: Ints
    width: int

    def __post_init__(self) -> None:
        """Refuse what the formula above would be wrong for.

        Raises:
            MaskError: A block is empty, or a limit falls inside one.
        """
        if np.any(np.diff(self.edges) < 1):
            raise MaskError(["below: wanted blocks of at least one query, found an empty one"])
        falls = self.limit[1:] < self.limit[:-1]
        falls[self.edges[1:-1] - 1] = False
        if falls.any():
            raise MaskError(["below: wanted limits that never fall in a block, found some that do"])

    def _size(self) -> tuple[int, int]:
        return len(self.limit), self.width

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Union and intersection over the parts of blocks that a range of queries is made of."""
        owner, block = self._parts(lo, hi)
        keys = self.of_block.take(block)
        begin = np.maximum(lo[owner], self.edges[block])
        end = np.minimum(hi[owner], self.edges[block + 1]) - 1
        some, every = (
            algebra.grouped(_limited(keys, self.limit[p]), owner, len(lo), every=e)
            for p, e in ((end, False), (begin, True))
        )
        return Cover(some, every)

    def _count_pairs(self) -> int:
        """Σ over blocks and intervals: queries x keys, one query at a time where a limit cuts."""
        row, start, stop = self.of_block.row, self.of_block.start, self.of_block.stop
        first, last = self.edges[row], self.edges[row + 1]
        whole = stop <= self.limit[first]
        total = int(((last - first) * (stop - start))[whole].sum())
        number, query = algebra.spread(first[~whole], last[~whole])
        ends = np.minimum(stop[~whole][number], self.limit[query])
        return total + int(np.maximum(ends - start[~whole][number], 0).sum())

    @property
    def has_keys(self) -> np.ndarray:
        """For each query whether it attends a key."""
        first = np.full(self.of_block.rows, self.width, dtype=np.int64)
        np.minimum.at(first, self.of_block.row, self.of_block.start)
        return np.repeat(first, np.diff(self.edges)) < self.limit

    def _count_empty_queries(self) -> int:
        """Queries whose limit comes before the first key of their block."""
        return int((~self.has_keys).sum())


def _limited(runs: Runs, limit: Ints) -> Runs:
    """Runs without what lies at or past the limit of their row; some may be left empty."""
    return Runs(runs.row, runs.start, np.minimum(runs.stop, limit[runs.row]), runs.rows)
