"""Queries that a mask leaves without a key: their softmax does not exist."""

from __future__ import annotations

from functools import reduce

import numpy as np

from einfall.einsum_cascades.masks.below import Below
from einfall.einsum_cascades.masks.mask import BUDGET, Band, Mask, Product, Steps, Strided, Union
from einfall.einsum_cascades.masks.neighborhood import Neighborhood
from einfall.einsum_cascades.masks.radial import Radial


def queries_without_keys(mask: Mask) -> tuple[int, int]:
    """How many queries attend no key, and the first of them; -1 if there is none.

    >>> from einfall.einsum_cascades.masks.families import causal
    >>> queries_without_keys(causal(5, 3))
    (2, 0)
    """
    empty = ~has_keys(mask)
    return int(empty.sum()), int(empty.argmax()) if empty.any() else -1


def has_keys(mask: Mask) -> np.ndarray:
    """For each query whether it attends a key; without a look at the keys where a leaf tells."""
    if isinstance(mask, Radial | Neighborhood):
        return np.ones(mask.queries, dtype=bool)
    if isinstance(mask, Band):
        return mask.stop > mask.start
    if isinstance(mask, Strided):
        return mask.count > 0
    if isinstance(mask, Steps):
        return np.repeat(mask.of_block.per_row > 0, np.diff(mask.edges))
    if isinstance(mask, Below):
        return mask.has_keys
    if isinstance(mask, Product):
        return reduce(np.logical_and.outer, map(has_keys, mask.axes)).ravel()
    if isinstance(mask, Union):
        return np.logical_or.reduce([has_keys(part) for part in mask.of])
    return _row_by_row(mask)


def _row_by_row(mask: Mask) -> np.ndarray:
    chunk = max(1, int(BUDGET / mask.intervals_hint))
    starts = range(0, mask.queries, chunk)
    rows = (mask.rows(lo, min(lo + chunk, mask.queries)) for lo in starts)
    return np.concatenate([found.per_row > 0 for found in rows])
