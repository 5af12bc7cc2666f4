"""Figures of a mask: itself with its tiles, the work of its query tiles, bounds by stride."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.mask import Mask, MaskError, Product
from einfall.einsum_cascades.masks.neighborhood import Neighborhood

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from einfall.sim.bounds import Bounds
    from einfall.sim.strides import Axis

_WINDOWS, _STRIDES = 12, 24
"""Most columns and rows of a heat map."""


def mask_figure(bounds: Bounds) -> Figure:
    """The mask of a small problem with its tiles in colour; of heads the first.

    Raises:
        MaskError: It has too many queries or keys for a picture.
    """
    from einfall.plots import MaskTiles
    from einfall.plots import mask_figure as drawn
    from einfall.plots.masks import MOST_TOKENS

    mask = bounds.mask.masks[0] if isinstance(bounds.mask, HeadMasks) else bounds.mask
    if max(mask.queries, mask.keys) > MOST_TOKENS:
        found = f"{mask.queries:,} x {mask.keys:,}"
        wanted = f"at most {MOST_TOKENS:,} queries and keys"
        raise MaskError([f"--draw: wanted {wanted} to draw, found {found}; ask a smaller problem"])
    q, kv = bounds.tiling.q, bounds.tiling.kv
    tiles = MaskTiles(
        q=prod(q),
        kv=prod(kv),
        q_order=_order(mask, mask.query_layout, q),
        kv_order=_order(mask, mask.key_layout, kv),
    )
    return drawn(mask.dense_array(), tiles)


def _order(mask: Mask, layout: Sequence[int], tile: Sequence[int]) -> np.ndarray | None:
    """The order in which tiles of several dimensions, or of dilation classes, take the tokens."""
    from einfall.plots import tile_order

    axes = mask.axes if isinstance(mask, Product) else (mask,)
    if len(tile) != len(layout):
        return None
    dilation = [a.dilation if isinstance(a, Neighborhood) else 1 for a in axes]
    dilation = dilation if len(dilation) == len(layout) else [1] * len(layout)
    if len(layout) == 1 and dilation == [1]:
        return None
    return tile_order(layout, tile, dilation)


def histogram_figure(bounds: Bounds) -> Figure:
    """How many query tiles visit so many key tiles."""
    from einfall.plots import figure, plot_tile_histogram, tile_histogram_table

    sheet = figure()
    table = tile_histogram_table(bounds.tiles.visits.tolist(), bounds.tiles.times.tolist())
    plot_tile_histogram(table, sheet.subplots())
    return sheet


def stride_table(axes: Sequence[Axis]) -> list[dict[str, object]]:
    """The worst-tile bound by stride and window: the strides worth their price, windows around.

    Windows keep the proportions of the one asked: multiples of its key tile in every dimension,
    from one tile up to the whole input.
    """
    from einfall.sim.strides import sweep_strides

    rows = []
    strides: set[tuple[int, ...]] = set()
    windows = _windows(axes)
    for window in windows:
        sides = [replace(axis, window=w) for axis, w in zip(axes, window, strict=True)]
        strides |= {choice.stride for choice in sweep_strides(sides)}
    for window in windows:
        for stride in sorted(strides, key=lambda s: (prod(s), s))[:_STRIDES]:
            if all(s <= w for s, w in zip(stride, window, strict=True)):
                rows.append(_cell(axes, window, stride))
    return rows


def _windows(axes: Sequence[Axis]) -> list[tuple[int, ...]]:
    """Windows of the proportions of the one asked, that one among them, smallest first."""
    parts = [n / 8 for n in range(1, 17)]
    scaled = {tuple(_scaled(axis, part) for axis in axes) for part in parts}
    scaled.add(tuple(axis.window for axis in axes))
    ranked = sorted(scaled, key=prod)
    middle = ranked.index(tuple(axis.window for axis in axes))
    first = max(0, min(middle - _WINDOWS // 2, len(ranked) - _WINDOWS))
    return ranked[first : first + _WINDOWS]


def _scaled(axis: Axis, part: float) -> int:
    """The window times a part, to whole key tiles, inside what the dilation leaves room for."""
    longest = axis.length // axis.dilation
    tiles = max(1, round(axis.window * part / axis.kv))
    return max(1, min(longest, tiles * axis.kv))


def _cell(axes: Sequence[Axis], window: Sequence[int], stride: Sequence[int]) -> dict[str, object]:
    from einfall.sim.bounds import text_of

    worst, sparse = 1.0, True
    for axis, w, s in zip(axes, window, stride, strict=True):
        _, counts = replace(axis, window=w).counts(s)
        worst *= counts.speedup_worst
        sparse = sparse and counts.block_sparse
    return {
        "stride": text_of(stride),
        "window": text_of(window),
        "speedup": worst,
        "fully_block_sparse": sparse,
    }
