"""Runs: for each of many rows a sorted list of disjoint half-open intervals, in three flat arrays.

The one data structure of the masks: the keys that a query attends, those that some or all queries
of a tile attend, the key tiles that a query tile visits. Its algebra is one sort: intervals become
+1 and -1 events, and what is covered often enough stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Intervals [start, stop) by row; sorted, non-empty, and neither overlapping nor touching.

    `rows` is how many rows there are, also those without an interval.
    """

    row: Ints
    start: Ints
    stop: Ints
    rows: int

    @property
    def length(self) -> Ints:
        """Elements of each row."""
        return total_by_row(self.row, self.stop - self.start, self.rows)

    @property
    def per_row(self) -> Ints:
        """Intervals of each row."""
        return np.bincount(self.row, minlength=self.rows).astype(np.int64)

    def take(self, wanted: Ints) -> Runs:
        """The rows named, in that order, a row as often as it is named."""
        first = np.searchsorted(self.row, wanted, side="left")
        last = np.searchsorted(self.row, wanted, side="right")
        owner, index = spread(first, last)
        return Runs(owner, self.start[index], self.stop[index], len(wanted))

    def points(self) -> tuple[Ints, Ints]:
        """(row, element) of every element."""
        owner, element = spread(self.start, self.stop)
        return self.row[owner], element


def runs_of(row: Ints, start: Ints, stop: Ints, rows: int) -> Runs:
    """Runs of intervals in any order, which may be empty, touch or overlap.

    >>> zero = np.zeros(2, dtype=np.int64)
    >>> runs = runs_of(zero, np.array([4, 0]), np.array([9, 5]), 1)
    >>> runs.start.tolist(), runs.stop.tolist()
    ([0], [9])
    """
    return covered(row, start, stop, rows, 1)


def covered(row: Ints, start: Ints, stop: Ints, rows: int, need: int | Ints) -> Runs:
    """What at least `need` (one number, or one a row, from 1 on) of the intervals cover."""
    some = stop > start
    if not some.all():
        row, start, stop = row[some], start[some], stop[some]
    if not len(row):
        return nothing(rows)
    if np.all(need == 1) and _is_in_order(row, start, stop):
        return joined(row, start, stop, rows)
    base, width = int(start.min()), int(stop.max()) - int(start.min()) + 1
    # Event = 2 (row width + position) + (1 for a start): one sort of plain numbers does it all.
    at = row * width - base
    events = np.concatenate([2 * (at + start) + 1, 2 * (at + stop)])
    events.sort()
    level = np.cumsum((events & 1) * 2 - 1)
    place = events >> 1
    settled = np.append(place[1:] != place[:-1], True)
    place, level = place[settled], level[settled]
    owner = place // width
    inside = level >= (need if np.isscalar(need) else np.asarray(need)[owner])
    before = np.concatenate([[False], inside[:-1]])
    rise, fall = inside & ~before, before & ~inside
    owner = owner[rise]
    return Runs(owner, place[rise] - owner * width + base, place[fall] - owner * width + base, rows)


def _is_in_order(row: Ints, start: Ints, stop: Ints) -> bool:
    """Whether rows come in order, and in a row neither end of an interval ever moves back."""
    onward = (start[1:] >= start[:-1]) & (stop[1:] >= stop[:-1])
    return bool(np.all((row[1:] > row[:-1]) | ((row[1:] == row[:-1]) & onward)))


def joined(row: Ints, start: Ints, stop: Ints, rows: int) -> Runs:
    """Runs of intervals in order, none of them empty, which may touch or overlap: without a sort.

    >>> zero = np.zeros(3, dtype=np.int64)
    >>> runs = joined(zero, np.array([0, 4, 9]), np.array([5, 7, 10]), 1)
    >>> runs.start.tolist(), runs.stop.tolist()
    ([0, 9], [7, 10])
    """
    new = np.append(True, (row[1:] != row[:-1]) | (start[1:] > stop[:-1]))[: len(row)]
    end = np.append(new[1:], True)[: len(row)]
    return Runs(row[new], start[new], stop[end], rows)


def nothing(rows: int) -> Runs:
    """Rows without an interval."""
    none = np.zeros(0, dtype=np.int64)
    return Runs(none, none, none, rows)


def everything(rows: int, width: int) -> Runs:
    """Rows that hold all of [0, width)."""
    return one_each(np.zeros(rows, dtype=np.int64), np.full(rows, width, dtype=np.int64))


def one_each(start: Ints, stop: Ints) -> Runs:
    """One interval a row, those that are empty left out."""
    some = np.flatnonzero(stop > start)
    return Runs(some, start[some], stop[some], len(start))


def union(parts: Sequence[Runs]) -> Runs:
    """Row by row what any of them holds."""
    return _merged(parts, 1)


def intersection(parts: Sequence[Runs]) -> Runs:
    """Row by row what all of them hold."""
    return _merged(parts, len(parts))


def _merged(parts: Sequence[Runs], need: int) -> Runs:
    if len(parts) == 1:
        return parts[0]
    row, start, stop = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "start", "stop")
    )
    return covered(row, start, stop, parts[0].rows, need)


def complement(runs: Runs, width: int) -> Runs:
    """Row by row what is left of [0, width).

    >>> left = complement(one_each(np.array([2]), np.array([5])), 9)
    >>> left.start.tolist(), left.stop.tolist()
    ([0, 5], [2, 9])
    """
    all_rows = np.arange(runs.rows)
    row = np.concatenate([all_rows, runs.row])
    start = np.concatenate([np.zeros_like(all_rows), runs.stop])
    order = np.lexsort((start, row))
    stop = np.concatenate([np.full_like(all_rows, width), runs.start])
    ends = np.lexsort((stop, np.concatenate([all_rows, runs.row])))
    return runs_of(row[order], start[order], stop[ends], runs.rows)


def difference(runs: Runs, without: Runs, width: int) -> Runs:
    """Row by row what the first holds and the second does not."""
    return intersection([runs, complement(without, width)])


def grouped(runs: Runs, group: Ints, groups: int, *, every: bool) -> Runs:
    """Rows gathered into groups: what any row of a group holds, or what every one of them does."""
    need: int | Ints = 1
    if every:
        need = np.maximum(np.bincount(group, minlength=groups), 1).astype(np.int64)
    return covered(group[runs.row], runs.start, runs.stop, groups, need)


def placed(parts: Sequence[Runs], rows: Sequence[Ints], total: int) -> Runs:
    """Runs put together from parts, each of which has the rows named; no row is named twice."""
    row = np.concatenate([at[part.row] for part, at in zip(parts, rows, strict=True)])
    order = np.argsort(row, kind="stable")
    start, stop = (np.concatenate([getattr(p, x) for p in parts]) for x in ("start", "stop"))
    return Runs(row[order], start[order], stop[order], total)


def spread(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """All elements of many ranges one after the other: (number of the range, element).

    >>> owner, element = spread(np.array([3, 7]), np.array([5, 8]))
    >>> owner.tolist(), element.tolist()
    ([0, 0, 1], [3, 4, 7])
    """
    counts = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - before[owner] + start[owner]


def total_by_row(row: Ints, amount: Ints, rows: int) -> Ints:
    """Sum of the amounts of each row; `row` is sorted.

    >>> total_by_row(np.array([0, 0, 2]), np.array([5, 1, 7]), 3).tolist()
    [6, 0, 7]
    """
    running = np.concatenate([[0], np.cumsum(amount)])
    edges = np.searchsorted(row, np.arange(rows + 1))
    return running[edges[1:]] - running[edges[:-1]]
