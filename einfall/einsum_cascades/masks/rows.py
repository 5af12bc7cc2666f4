"""Key tiles that each single query of a grid visits, the tiles cutting the flattened sequence.

Such tiles do not separate over the dimensions, and the keys of one query are many short intervals.
But a gap of fewer than `kv` keys leaves out no tile, so that it may be bridged, and the rows of
keys under one another in a window often become one interval. What is bridged is no longer the keys
of a query; the tiles that it touches are the same.
"""

from __future__ import annotations

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.mask import BUDGET, Product
from einfall.einsum_cascades.masks.runs import Ints, Runs


def visited_by_rows(mask: Product, kv: int) -> tuple[int, int]:
    """Key tiles that all queries visit, each by itself, and those of the query that visits most.

    >>> from einfall.einsum_cascades.masks import neighborhood
    >>> na = neighborhood([4, 6], [2, 2])
    >>> visited_by_rows(na, 6)  # a row of the grid is a tile
    (48, 2)
    """
    first, *rest = mask.axes
    inner, width = Runs(*(np.zeros(1, dtype=np.int64),) * 2, np.ones(1, dtype=np.int64), 1), 1
    for axis in reversed(rest):
        inner, width = _stacked(axis.rows(), inner, width, kv), width * axis.keys
    outer = first.rows()
    keys_of_row = max(1, outer.length.max(initial=0)) * len(inner.row)
    chunk = max(1, int(BUDGET / max(1, keys_of_row)))
    total, most = 0, 0
    for lo in range(0, outer.rows, chunk):
        some = outer.take(np.arange(lo, min(lo + chunk, outer.rows)))
        found = _stacked(some, inner, width, kv)
        tiles = algebra.runs_of(
            found.row, found.start // kv, -(-found.stop // kv), found.rows
        ).length
        total, most = total + int(tiles.sum()), max(most, int(tiles.max()))
    return total, most


def _stacked(outer: Runs, inner: Runs, width: int, kv: int) -> Runs:
    """Lines of `width` keys one after the other: which lines a query has, and what of each.

    Where a query has one interval of a line, and what is left of the line is shorter than a tile,
    neighbouring lines are one interval.
    """
    joined = (inner.per_row == 1) & (width - inner.length < kv)
    whole = joined[inner.row]
    row, line = outer.points()
    parts = [
        _crossed(outer.row, outer.start, outer.stop - 1, _chosen(inner, whole), width),
        _crossed(row, line, line, _chosen(inner, ~whole), width),
    ]
    row, start, stop = (np.concatenate(each) for each in zip(*parts, strict=True))
    bridged = algebra.runs_of(row, start, stop + kv - 1, outer.rows * inner.rows)
    return Runs(bridged.row, bridged.start, bridged.stop - kv + 1, bridged.rows)


def _chosen(runs: Runs, which: np.ndarray) -> Runs:
    return Runs(runs.row[which], runs.start[which], runs.stop[which], runs.rows)


def _crossed(
    row: Ints, first: Ints, last: Ints, inner: Runs, width: int
) -> tuple[Ints, Ints, Ints]:
    """Intervals that begin in the first line and end in the last: each with each of the inner."""
    rows = np.add.outer(row * inner.rows, inner.row)
    starts = np.add.outer(first * width, inner.start)
    stops = np.add.outer(last * width, inner.stop)
    return rows.ravel(), starts.ravel(), stops.ravel()
