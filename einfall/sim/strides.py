"""Which strides, windows, dilations and tiles make a neighbourhood fast: sweep and recommendation.

A larger stride costs translational equivariance, so it must earn its place: of all strides only
those are kept that beat every stride that is smaller or equal in every dimension. Bounds of a
neighbourhood are products over its dimensions, so that a sweep looks at each dimension alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import log2, prod

import numpy as np

from einfall.einsum_cascades.masks import Neighborhood, Tiling, count_tiles
from einfall.einsum_cascades.masks.tiles import TileCounts

SHIPPED_TILES: dict[int, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]] = {
    1: (((256,), (128,)), ((128,), (128,))),
    2: (
        ((16, 16), (16, 8)),
        ((16, 16), (8, 16)),
        ((8, 32), (8, 16)),
        ((8, 32), (4, 32)),
        ((16, 8), (16, 8)),
        ((8, 16), (8, 16)),
    ),
    3: (
        ((8, 4, 8), (4, 4, 8)),
        ((8, 4, 8), (2, 8, 8)),
        ((2, 8, 16), (4, 4, 8)),
        ((2, 8, 16), (2, 8, 8)),
        ((4, 4, 16), (2, 4, 16)),
        ((2, 16, 8), (2, 8, 8)),
        ((4, 8, 8), (2, 8, 8)),
        ((4, 4, 8), (4, 4, 8)),
        ((2, 8, 8), (2, 8, 8)),
    ),
}
"""Tiles that NATTEN's Blackwell (256 x 128) and Hopper (128 x 128) kernels are compiled for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Parameters of a neighbourhood with their bounds."""

    window: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    q_tile: tuple[int, ...]
    kv_tile: tuple[int, ...]
    flop_speedup: float
    tile_speedup_total: float
    tile_speedup_worst_q_tile: float
    fully_block_sparse: bool

    @property
    def sparsity(self) -> float:
        """Part of all pairs that is not attended."""
        return 1 - 1 / self.flop_speedup


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a neighbourhood problem, of which the stride is still free."""

    length: int
    window: int
    dilation: int
    causal: bool
    q: int
    kv: int

    def counts(self, stride: int) -> tuple[Neighborhood, TileCounts]:
        """Mask and tiles with a stride."""
        axis = Neighborhood(self.length, self.window, stride, self.dilation, self.causal)
        return axis, count_tiles(axis, Tiling((self.q,), (self.kv,)))


def sweep_strides(axes: Sequence[Axis]) -> list[Choice]:
    """The strides worth their loss of equivariance, the slowest first.

    A stride is kept if its worst-tile bound beats that of every other stride that is smaller or
    equal in every dimension.

    Source:
        The pruning rule of Hassani et al., 2025, arXiv:2504.16922, appendix B.

    >>> kept = sweep_strides([Axis(256, 80, 1, False, 16, q) for q in (16, 8)])
    >>> [choice.stride for choice in kept]
    [(1, 1), (1, 16), (16, 1), (16, 16)]
    """
    tables = [[axis.counts(stride) for stride in range(1, axis.window + 1)] for axis in axes]
    worst = np.ones((1,))
    for table in tables:
        worst = np.multiply.outer(worst, [float(tiles.speedup_worst) for _, tiles in table])
    kept = np.argwhere(_beats_all_smaller(worst[0]))
    choices = [_choice(axes, tables, tuple(map(int, at))) for at in kept]
    return sorted(choices, key=lambda c: (c.tile_speedup_worst_q_tile, c.stride))


def _beats_all_smaller(values: np.ndarray) -> np.ndarray:
    """Where a value is larger than all others whose index is smaller or equal everywhere."""
    best = values
    for axis in range(values.ndim):
        best = np.maximum.accumulate(best, axis)
    before = np.full_like(values, -np.inf)
    for axis in range(values.ndim):
        shifted = np.roll(best, 1, axis)
        first = [slice(None)] * values.ndim
        first[axis] = slice(0, 1)
        shifted[tuple(first)] = -np.inf
        before = np.maximum(before, shifted)
    # Products of ratios that are equal may differ in their last bits.
    return values > before * (1 + 1e-12)


def _choice(
    axes: Sequence[Axis], tables: Sequence[Sequence[tuple[Neighborhood, TileCounts]]], at: tuple
) -> Choice:
    chosen = [table[i] for table, i in zip(tables, at, strict=True)]
    dense = prod(axis.length**2 for axis in axes)
    return Choice(
        window=tuple(axis.window for axis in axes),
        stride=tuple(mask.stride for mask, _ in chosen),
        dilation=tuple(axis.dilation for axis in axes),
        q_tile=tuple(axis.q for axis in axes),
        kv_tile=tuple(axis.kv for axis in axes),
        flop_speedup=dense / prod(mask.pairs for mask, _ in chosen),
        tile_speedup_total=prod(t.of_dense for _, t in chosen) / prod(t.visited for _, t in chosen),
        tile_speedup_worst_q_tile=prod(t.kv_tiles_of_dense for _, t in chosen)
        / prod(t.most_visited for _, t in chosen),
        fully_block_sparse=all(tiles.block_sparse for _, tiles in chosen),
    )


# --- Recommendation ------------------------------------------------------------------------------


def recommend(
    length: Sequence[int],
    sparsity: float,
    *,
    tiles: Sequence[tuple[tuple[int, ...], tuple[int, ...]]] | None = None,
    dilation: Sequence[int] | None = None,
    most: int = 12,
) -> list[Choice]:
    """Neighbourhoods near a wanted sparsity in which every visited tile is full.

    For each tile shape and dimension: windows that are multiples of the key tile (or the whole
    dimension), each with the smallest stride that leaves no partial tile. Of these, those nearest
    to the wanted sparsity (within a point); then those that cover like parts of each dimension, and
    then those with the smallest strides. Each window is listed once.

    Args:
        length: The layout of the tokens.
        sparsity: Wanted part of pairs that is not attended, from 0 up to 1.
        tiles: Query and key tiles to choose from; those that NATTEN ships by default.
        dilation: Of each dimension; 1 by default.
        most: How many to return.
    """
    dims = len(length)
    found = []
    for q_tile, kv_tile in tiles or SHIPPED_TILES[dims]:
        sides = zip(length, dilation or (1,) * dims, q_tile, kv_tile, strict=True)
        options = [list(_block_sparse(*side)) for side in sides]
        for combination in product(*options):
            axes = [axis for axis, _, _ in combination]
            tables = [[(mask, counts)] for _, mask, counts in combination]
            found.append(_choice(axes, tables, (0,) * dims))
    found.sort(key=lambda c: (_off(c, sparsity), _unevenness(c, length), prod(c.stride), c.stride))
    best: dict[tuple[int, ...], Choice] = {}
    for choice in found:
        best.setdefault(choice.window, choice)
    return list(best.values())[:most]


def _off(choice: Choice, sparsity: float) -> int:
    """Whole points of sparsity between what is wanted and what there is."""
    return int(abs(choice.sparsity - sparsity) * 100 + 0.5)


def _unevenness(choice: Choice, length: Sequence[int]) -> int:
    """Powers of two between the largest and the smallest part of a dimension in the window."""
    parts = [window / size for window, size in zip(choice.window, length, strict=True)]
    return round(log2(max(parts) / min(parts)))


def _block_sparse(
    length: int, dilation: int, q: int, kv: int
) -> Iterator[tuple[Axis, Neighborhood, TileCounts]]:
    """Windows along one dimension, each with its smallest stride that leaves no partial tile."""
    longest = length // dilation
    for window in sorted({*range(kv, longest + 1, kv), longest}):
        axis = Axis(length, window, dilation, False, q, kv)
        for stride in (1, *range(q, window + 1, q)):
            if stride <= window:
                mask, counts = axis.counts(stride)
                if counts.block_sparse:
                    yield axis, mask, counts
                    break
