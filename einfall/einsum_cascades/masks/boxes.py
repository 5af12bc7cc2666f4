"""A range of a row-major flattened grid as boxes: at most 2·D - 1 of them in D dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from einfall.einsum_cascades.masks.runs import Ints

Boxes = tuple[Ints, list[Ints], list[Ints]]
"""Number of the range that a box belongs to, and per dimension its first and last + 1 coordinate"""


def boxes_of_ranges(lo: Ints, hi: Ints, layout: Sequence[int]) -> Boxes:
    """The boxes that make up the flattened ranges [lo, hi), sorted by range.

    >>> owner, lows, highs = boxes_of_ranges(np.array([3]), np.array([17]), (4, 5))
    >>> [list(zip(l.tolist(), h.tolist())) for l, h in zip(lows, highs)]
    [[(1, 3), (0, 1), (3, 4)], [(0, 5), (3, 5), (0, 2)]]
    """
    owner, lows, highs = _boxes(np.arange(len(lo)), lo, hi, layout)
    order = np.argsort(owner, kind="stable")
    return owner[order], [x[order] for x in lows], [x[order] for x in highs]


def _boxes(owner: Ints, lo: Ints, hi: Ints, layout: Sequence[int]) -> Boxes:
    if len(layout) == 1:
        return owner, [lo], [hi]
    inner = prod(layout[1:])
    # Whole slices of the first dimension, and what sticks out before and after them.
    first, last = -(-lo // inner), hi // inner
    single = lo // inner == (hi - 1) // inner
    whole = np.where(single, (hi - lo) == inner, last > first)
    first = np.where(single & whole, lo // inner, first)
    last = np.where(single & whole, lo // inner + 1, last)
    parts = [
        _slices(owner[whole], first[whole], last[whole], layout),
        _rest(owner, lo, hi, single & ~whole, inner, layout),
        _rest(owner, lo, first * inner, ~single & (first * inner > lo), inner, layout),
        _rest(owner, last * inner, hi, ~single & (hi > last * inner), inner, layout),
    ]
    sides = range(len(layout))
    return (
        np.concatenate([p[0] for p in parts]),
        [np.concatenate([p[1][d] for p in parts]) for d in sides],
        [np.concatenate([p[2][d] for p in parts]) for d in sides],
    )


def _slices(owner: Ints, first: Ints, last: Ints, layout: Sequence[int]) -> Boxes:
    """Boxes that hold all of the inner dimensions."""
    zero = np.zeros_like(first)
    return (
        owner,
        [first, *(zero for _ in layout[1:])],
        [last, *(zero + size for size in layout[1:])],
    )


def _rest(  # noqa: PLR0913  a range is two numbers, and so is a layout
    owner: Ints, lo: Ints, hi: Ints, chosen: np.ndarray, inner: int, layout: Sequence[int]
) -> Boxes:
    """Boxes of ranges that lie in one slice of the first dimension."""
    lo, hi, owner = lo[chosen], hi[chosen], owner[chosen]
    at = lo // inner
    number, lows, highs = _boxes(np.arange(len(lo)), lo - at * inner, hi - at * inner, layout[1:])
    return owner[number], [at[number], *lows], [at[number] + 1, *highs]
