"""How many key tiles each query tile works on: the one place that counts them for a schedule.

Only a list as long as the query tiles is made, never an N x N array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from einfall.sim.gpu.problem import Problem


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Steps of each query tile of one head, and how many of them compare and mask."""

    steps: np.ndarray
    masked: np.ndarray

    @property
    def total(self) -> float:
        """Steps of all query tiles."""
        return float(self.steps.sum())

    @property
    def longest(self) -> float:
        """Steps of the longest query tile."""
        return float(self.steps.max())

    @property
    def uniform(self) -> bool:
        """Whether all query tiles are alike."""
        return bool(self.steps[0] == self.steps.min() == self.steps.max())


def count(
    problem: Problem, rows: int, keys: int, *, skips: bool = True, block: int | None = None
) -> Ragged:
    """Steps of each query tile of `rows` queries over key tiles of `keys` keys.

    A mask whose tiles are listed in blocks of `block` queries and keys has whole blocks walked.

    >>> causal = Problem(queries=256, keys=256, causal=True)
    >>> count(causal, 64, 64).steps.tolist()
    [1.0, 2.0, 3.0, 4.0]
    >>> count(causal, 128, 64).masked.tolist()
    [2.0, 2.0]
    >>> count(causal, 64, 64, block=128).steps.tolist()
    [2.0, 2.0, 4.0, 4.0]
    """
    if problem.visited is not None:
        return _listed(problem.visited, problem.partial, problem.block or (rows, keys), rows, keys)
    P, M = int(problem.queries), int(problem.keys)
    band = (problem.causal, problem.window, skips)
    if block is None or not problem.masked:
        return _banded(P, M, rows, keys, *band)
    blocks = _banded(P, M, block, block, *band)
    visited, partial = (tuple(n.tolist()) for n in (blocks.steps, blocks.masked))
    walked = _listed(visited, partial, (block, block), rows, keys)
    tiles, most = -(-P // rows), -(-M // keys)
    return Ragged(np.minimum(walked.steps[:tiles], most), walked.masked[:tiles])


@lru_cache(maxsize=1024)
def _listed(
    visited: tuple[float, ...],
    partial: tuple[float, ...] | None,
    block: tuple[int, int],
    rows: int,
    keys: int,
) -> Ragged:
    """Of a list of blocks; a block of a mask is walked in the tiles of the kernel.

    >>> _listed((3,), None, (128, 128), rows=64, keys=64).steps.tolist()
    [6.0, 6.0]
    """
    each, times = block[1] / keys, max(1, block[0] // rows)
    steps = np.repeat(np.asarray(visited, dtype=float) * each, times)
    masked = np.zeros_like(steps)
    if partial is not None:
        masked = np.repeat(np.asarray(partial, dtype=float) * each, times)
    return Ragged(steps, masked)


@lru_cache(maxsize=4096)
def _banded(  # noqa: PLR0913  two lengths, two sides, the mask
    P: int, M: int, rows: int, keys: int, causal: bool, window: int | None, skips: bool
) -> Ragged:
    """Of a dense, causal or sliding-window problem; queries end where keys end."""
    first = np.arange(0, max(P, 1), rows)
    last = np.minimum(first + rows, P) - 1
    shift = M - P
    low, high = np.zeros_like(first), np.full_like(first, M)
    if causal:
        high = np.minimum(last + shift + 1, M)
    if window is not None:
        low = np.maximum(first + shift - window + 1, 0)
        if not causal:
            high = np.minimum(last + shift + window, M)
    if not skips:
        low, high = np.zeros_like(first), np.full_like(first, M)
    start, stop = low // keys, -(-np.maximum(high, 1) // keys)
    steps = (stop - start).astype(float)
    cut = 0 * steps
    if causal:
        cut = np.minimum(steps, stop - (first + shift + 1) // keys)
    if window is not None:
        left = -(-(last + shift - window + 1) // keys) - start
        right = 0 if causal else stop - (first + shift + window) // keys
        cut = np.minimum(steps, cut + np.maximum(left, 0) + np.maximum(right, 0))
    return Ragged(steps, np.maximum(cut, 0).astype(float))
