"""Masks and what their tiles cost: the mask itself, the work of its query tiles, maps of bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, to_hex, to_rgb
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from einfall.plots import heatmap, style
from einfall.plots.records import (
    BOUNDS,
    VISITS,
    PlotError,
    Record,
    check_columns,
    column,
    flag,
    number,
    positive,
    short,
    some,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_TOKENS = 2048
"""Queries and keys of the largest mask that a picture has dots for, padding included."""

TILE_KINDS = ("skipped", "full", "partial", "padding only")
"""What a tile is to a kernel that skips tiles."""

_MASKED = style.tint(style.ORANGE, 0.3)
_COLOURS = {
    "skipped": style.WHITE,
    "full": style.BLUE,
    "partial": style.ORANGE,
    "padding only": style.PALE,
}
_HATCH = "////"
_SMALLEST_PT, _SMALL_PT = 3.0, 8.0  # side of a tile with lines around it, and with dark ones
_SHADES = LinearSegmentedColormap.from_list(
    "bounds", [style.tint(style.BLUE, strength) for strength in (0.06, 0.45, 1.0)]
)
_FRAME: dict[str, Any] = {"facecolor": "none", "edgecolor": style.VERMILION, "linewidth": 1.4}
_MOST_BARS = 60
_WIDE = 100  # largest over smallest bar of a histogram that is logarithmic


def tile_order(
    layout: Sequence[int], tile: Sequence[int], dilation: Sequence[int] | None = None
) -> np.ndarray:
    """Tokens in the order in which a kernel with tiles of several dimensions takes them.

    The order is by dilation class, then by tile, then inside a tile, each row by row. A class has
    ⌈⌈L/tile⌉/dilation⌉ tiles along each dimension, as NATTEN's kernels run, so that a class may
    end in tiles of padding only.

    Args:
        layout: Tokens along each dimension.
        tile: Tokens of a tile along each dimension.
        dilation: Classes along each dimension, by default 1.

    Returns:
        Places in the flattened layout, -1 where a tile holds padding.

    >>> tile_order((3, 2), (2, 2)).tolist()
    [0, 1, 2, 3, 4, 5, -1, -1]
    """
    rank = len(layout)
    places, padded = np.zeros((1,) * 3 * rank, int), np.zeros((1,) * 3 * rank, bool)
    for i, (length, size, classes) in enumerate(
        zip(layout, tile, dilation or (1,) * rank, strict=True)
    ):
        tiles = -(-length // (size * classes))  # ⌈⌈L/tile⌉/dilation⌉, as it is the same
        at = np.arange(classes)[:, None] + classes * np.arange(tiles * size)
        shape = [1] * 3 * rank
        shape[i], shape[rank + i], shape[2 * rank + i] = classes, tiles, size
        at = at.reshape(shape)
        places = places + at * prod(layout[i + 1 :])
        padded = padded | (at >= length)
    return np.where(padded, -1, places).ravel()


@dataclass(frozen=True, slots=True, eq=False)
class MaskTiles:
    """How a mask is cut: queries and keys of a tile, and the order in which both are cut.

    An order lists queries or keys, -1 for padding, as `tile_order` does; by default they come as
    they are. Padding fills the last tile in any case.
    """

    q: int
    kv: int
    q_order: Sequence[int] | np.ndarray | None = None
    kv_order: Sequence[int] | np.ndarray | None = None


def mask_table(mask: np.ndarray, tiles: MaskTiles) -> list[Record]:
    """The tiles of a mask and what each is to a kernel that skips tiles.

    A tile is skipped if no pair in it is attended. It is full, and needs no mask, if each of its
    queries attends each of its keys and no key is padding; else it is partial. Where all queries or
    all keys are padding, it is "padding only".

    Args:
        mask: Which key each query attends: booleans of queries by keys.
        tiles: How it is cut.

    Returns:
        Records of q_tile, kv_tile (numbered in order), kind (of `TILE_KINDS`) and attended pairs.

    Raises:
        PlotError: The mask has no two dimensions or is too large to draw, or a tile or an order
            does not fit it.

    >>> causal = np.tri(4, dtype=bool)
    >>> [row["kind"] for row in mask_table(causal, MaskTiles(q=2, kv=2))]
    ['partial', 'skipped', 'full', 'partial']
    """
    cut = _cut(mask, tiles)
    return [
        {"q_tile": i, "kv_tile": j, "kind": str(kind), "attended": int(cut.attended[i, j])}
        for (i, j), kind in np.ndenumerate(cut.kinds)
    ]


def plot_mask(mask: np.ndarray, ax: Axes, tiles: MaskTiles) -> Axes:
    """The mask with its tiles coloured by what `mask_table` says of them; queries run down.

    In partial tiles the attended pairs are dark and the masked ones pale. The legend counts the
    tiles. Arguments and errors are those of `mask_table`.
    """
    cut = _cut(mask, tiles)
    rows, columns = cut.pairs.shape
    ax.imshow(_painted(cut, tiles), interpolation="nearest", extent=(0, columns, rows, 0))
    _hatch_padding(ax, cut, tiles)
    _draw_grid(ax, (rows, tiles.q), (columns, tiles.kv))
    for axis, size, tile in ((ax.xaxis, columns, tiles.kv), (ax.yaxis, rows, tiles.q)):
        axis.set_ticks(range(0, size + 1, tile * max(1, -(-size // (8 * tile)))))
    style.dress(
        ax, title=f"Tiles of {tiles.q} queries × {tiles.kv} keys",
        x="Key" if tiles.kv_order is None else "Key, in order of tiles",
        y="Query" if tiles.q_order is None else "Query, in order of tiles",
    )  # fmt: skip
    ax.spines[["top", "right"]].set_visible(True)
    ax.set_anchor("NW")
    ax.legend(handles=_mask_legend(cut), loc="upper left", bbox_to_anchor=(1.02, 1.0),
              borderaxespad=0.0, frameon=False, fontsize=style.SMALL_PT)  # fmt: skip
    return ax


def mask_figure(mask: np.ndarray, tiles: MaskTiles, *, title: str = "Mask") -> Figure:
    """`plot_mask`, under a title that says what part of the pairs and of the tiles is needed."""
    cut = _cut(mask, tiles)
    rows, columns = cut.pairs.shape
    drawn = style.figure(height=min(6.0, max(2.0, 0.9 + 4.4 * rows / columns)))
    plot_mask(mask, drawn.subplots(), tiles)
    pairs = short(100 * float(np.mean(mask)))
    counts = _counts(cut)
    visited = short(100 * (counts["full"] + counts["partial"]) / cut.kinds.size)
    found = f"{title}: attends {pairs} % of pairs, visits {visited} % of tiles"
    style.title(drawn, "\n".join(wrap(found, style.LINE)))
    return drawn


def tile_histogram_table(visits: Iterable[int], times: Iterable[int]) -> list[Record]:
    """How many query tiles (`times`) visit so many key tiles (`visits`), as records.

    Raises:
        ValueError: There are more of the ones than of the others.

    >>> tile_histogram_table([3, 5], [10, 2])[0]
    {'visited_kv_tiles': 3, 'q_tiles': 10}
    """
    pairs = zip(visits, times, strict=True)
    return [dict(zip(VISITS, (int(visited), int(q_tiles)), strict=True))
            for visited, q_tiles in pairs]  # fmt: skip


def plot_tile_histogram(table: Iterable[Record], ax: Axes) -> Axes:
    """Work per query tile: how many query tiles visit so many key tiles, the mean and the worst.

    The title has the imbalance, worst over mean. Many different numbers of key tiles share bars.
    The axis of query tiles is logarithmic where their numbers span two decades or more.

    Args:
        table: Records with the columns `records.VISITS`: visited_kv_tiles and q_tiles.
        ax: Where to draw.

    Raises:
        PlotError: A value is no number or below 0, or there is no query tile.
    """
    visits, times = _histogram(table)
    mean, worst = float(visits @ times / times.sum()), int(visits[times > 0].max())
    least = int(visits.min())
    step = -(-(int(visits.max()) - least + 1) // _MOST_BARS)
    heights = np.bincount((visits - least) // step, weights=times)
    lefts = least - 0.5 + step * np.arange(len(heights))
    ax.bar(lefts[heights > 0], heights[heights > 0], step, align="edge",
           **style.Look(style.SKY, "", "o").box())  # fmt: skip
    if heights.max() >= _WIDE * heights[heights > 0].min():
        style.decades(ax, "y", heights[heights > 0].tolist())
        ax.set_ylim(bottom=0.5 * heights[heights > 0].min())
    marks = (
        (worst, style.VERMILION, "-", f"worst {worst}"),
        (mean, style.BLACK, (0, (4, 2)), f"mean {short(mean)}"),
    )
    lines = [
        ax.axvline(x, color=colour, linestyle=dashes, linewidth=style.LINE_PT, label=label)
        for x, colour, dashes, label in marks
    ]
    ax.set_xlim(left=lefts[0] - 2 * step, right=lefts[-1] + 3 * step)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_beside(ax, lines)
    bars = f", {step} to a bar" if step > 1 else ""
    imbalance = f"{worst / mean:.2f}" if mean else "1.00"
    return style.dress(
        ax, title=f"Work per query tile: imbalance {imbalance} (worst over mean)",
        x=f"Key tiles visited by a query tile{bars}", y="Query tiles", grid="y",
    )  # fmt: skip


def plot_bound_heatmap(table: Iterable[Record], ax: Axes) -> Axes:
    """A bound of the speedup by stride (down) and window (across), written into each cell.

    A cell that is fully block-sparse has a frame and bold digits: no tile in it needs a mask. One
    that the table lacks, such as a stride larger than its window, is crossed out. Shades are
    logarithmic where the speedups span a decade or more.

    Args:
        table: Records with the columns `records.BOUNDS`: stride and window as text, speedup, and
            fully_block_sparse; strides and windows are drawn in order of appearance.
        ax: Where to draw; a scale of shades takes some of its place.

    Raises:
        PlotError: A speedup is no number above 0, a flag is neither yes nor no, or a cell is there
            twice.
    """
    cells = _cells(table)
    strides = list(dict.fromkeys(stride for stride, _ in cells))
    windows = list(dict.fromkeys(window for _, window in cells))
    grid = np.full((len(strides), len(windows)), np.nan)
    for (stride, window), (speedup, _) in cells.items():
        grid[strides.index(stride), windows.index(window)] = speedup
    norm = _norm([speedup for speedup, _ in cells.values()])
    image = ax.imshow(grid, cmap=_SHADES, norm=norm, aspect="auto", interpolation="nearest")
    heatmap.cross_out(ax, np.argwhere(np.isnan(grid)).tolist())
    size = heatmap.text_pt(ax, grid.shape, [short(speedup) for speedup, _ in cells.values()])
    for (stride, window), (speedup, sparse) in cells.items():
        x, y = windows.index(window), strides.index(stride)
        ax.text(x, y, short(speedup), fontsize=size, ha="center", va="center",
                color=style.ink(to_hex(_SHADES(norm(speedup)))),
                fontweight="bold" if sparse else "normal")  # fmt: skip
        if sparse:
            ax.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, **_FRAME))
    heatmap.name_cells(ax, windows, strides)
    _shade_scale(ax, image)
    return style.dress(ax, title="Bound of the speedup", x="Window", y="Stride")


def bound_heatmap_figure(
    table: Iterable[Record], *, title: str = "Bound of the speedup by stride and window"
) -> Figure:
    """`plot_bound_heatmap` as high as its strides need, with a legend."""
    cells = some(table, "bounds")
    rows, columns = len(column(cells, "stride")), len(column(cells, "window"))
    drawn = style.figure(height=1.9 + 0.2 * max(4, rows))
    style.panel(plot_bound_heatmap(cells, drawn.subplots()), "")
    style.title(drawn, "\n".join(wrap(title, style.LINE)))
    handles = []
    if any(flag(row, "bounds", "fully_block_sparse") for row in cells):
        handles.append(Patch(label="fully block-sparse: no tile needs a mask", **_FRAME))
    if len(cells) < rows * columns:
        handles.append(Patch(label="no bound", **style.NO_ANSWER))
    if handles:
        style.legend_below(drawn, handles)
    return drawn


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A mask in the order of its tiles, padded to whole ones, and what each tile is."""

    pairs: np.ndarray
    padded: np.ndarray
    attended: np.ndarray
    kinds: np.ndarray


def _cut(mask: np.ndarray, tiles: MaskTiles) -> _Cut:
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype != bool or not array.size:
        raise PlotError(
            "mask: want booleans of at least one query by one key, "
            f"found {array.dtype} of {' × '.join(map(str, array.shape)) or 'no dimension'}"
        )
    queries = _order(array.shape[0], tiles.q, tiles.q_order, "queries")
    keys = _order(array.shape[1], tiles.kv, tiles.kv_order, "keys")
    q_pad, kv_pad = queries < 0, keys < 0
    padded = q_pad[:, None] | kv_pad
    pairs = array[queries][:, keys] & ~padded
    per_tile = (len(queries) // tiles.q, tiles.q, len(keys) // tiles.kv, tiles.kv)
    attended = pairs.reshape(per_tile).sum(axis=(1, 3))
    # Padding among the queries needs no mask, as nobody reads their rows; among the keys it does.
    whole = (pairs | q_pad[:, None]).reshape(per_tile).all(axis=(1, 3))
    nothing = padded.reshape(per_tile).all(axis=(1, 3))
    kinds = np.select(
        [nothing, attended == 0, whole], ["padding only", "skipped", "full"], "partial"
    )
    return _Cut(pairs, padded, attended, kinds)


def _order(
    tokens: int, tile: int, order: Sequence[int] | np.ndarray | None, what: str
) -> np.ndarray:
    """Tokens in order, with padding to whole tiles as -1."""
    if tile < 1:
        raise PlotError(f"mask: want tiles of at least 1 of the {what}, found {tile}")
    found = np.arange(tokens) if order is None else np.asarray(order)
    if sorted(found[found >= 0].tolist()) != list(range(tokens)):
        raise PlotError(f"mask: want each of the {tokens} {what} once in their order")
    full = np.full(-(-len(found) // tile) * tile, -1)
    full[: len(found)] = found
    if len(full) > MOST_TOKENS:
        raise PlotError(
            f"mask: want at most {MOST_TOKENS} {what} with padding to have a dot for each, "
            f"found {len(full)}"
        )
    return full


def _painted(cut: _Cut, tiles: MaskTiles) -> np.ndarray:
    """Red, green and blue of each pair."""
    kinds = np.repeat(np.repeat(cut.kinds, tiles.q, axis=0), tiles.kv, axis=1)
    paint = np.empty((*cut.pairs.shape, 3))
    for kind, colour in _COLOURS.items():
        paint[kinds == kind] = to_rgb(colour)
    paint[(kinds == "partial") & ~cut.pairs] = to_rgb(_MASKED)
    paint[cut.padded] = to_rgb(_COLOURS["padding only"])
    return paint


def _hatch_padding(ax: Axes, cut: _Cut, tiles: MaskTiles) -> None:
    boxes = [
        Rectangle((j * tiles.kv, i * tiles.q), tiles.kv, tiles.q)
        for i, j in np.argwhere(cut.kinds == "padding only")
    ]
    ax.add_collection(
        PatchCollection(boxes, facecolor="none", edgecolor=style.BLACK, linewidth=0.0,
                        hatch=_HATCH, hatch_linewidth=style.HAIR_PT)
    )  # fmt: skip


def _draw_grid(ax: Axes, down: tuple[int, int], across: tuple[int, int]) -> None:
    """Lines between tiles, (size, tile) down and across, where tiles are large enough for them."""
    (rows, q_tile), (columns, kv_tile) = down, across
    tile_pt = 72 * min(style.room_in(ax)) * min(q_tile, kv_tile) / max(rows, columns)
    if tile_pt >= _SMALLEST_PT:
        line: dict[str, Any] = {
            "colors": style.GREY if tile_pt >= _SMALL_PT else style.PALE,
            "linewidth": 0.4,
        }
        ax.hlines(np.arange(0, rows + 1, q_tile), 0, columns, **line)
        ax.vlines(np.arange(0, columns + 1, kv_tile), 0, rows, **line)


def _counts(cut: _Cut) -> Counter[str]:
    return Counter(cut.kinds.ravel().tolist())


def _mask_legend(cut: _Cut) -> list[Artist]:
    counts = _counts(cut)
    handles: list[Artist] = []
    for kind, colour in _COLOURS.items():
        if counts[kind] or kind != "padding only":
            share = short(100 * counts[kind] / cut.kinds.size)
            hatch = _HATCH if kind == "padding only" else ""
            look = style.Look(colour, hatch, "").box()
            handles.append(Patch(label=f"{kind}: {counts[kind]:,} ({share} %)", **look))
    if counts["partial"]:
        look = style.Look(_MASKED, "", "").box()
        handles.insert(3, Patch(label="masked in a partial tile", **look))
    if cut.padded.any():
        handles.append(Patch(label="padding", **style.Look(_COLOURS["padding only"], "", "").box()))
    return handles


def _histogram(table: Iterable[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Visited key tiles and how many query tiles visit so many."""
    what = "histogram of tiles"
    rows = some(table, what)
    check_columns(rows, what, VISITS)
    visits, times = (np.array([number(row, what, name) for row in rows]) for name in VISITS)
    if min(visits.min(), times.min()) < 0 or not times.sum():
        raise PlotError(
            f"{what}: want values of at least 0 and a query tile, found visited_kv_tiles from "
            f"{visits.min():g} and q_tiles from {times.min():g} to {times.max():g}"
        )
    return visits.astype(int), times.astype(int)


def _cells(table: Iterable[Record]) -> dict[tuple[str, str], tuple[float, bool]]:
    """Speedup and whether it is fully block-sparse, by stride and window."""
    rows = some(table, "bounds")
    check_columns(rows, "bounds", BOUNDS)
    return {
        place: (positive(row, "bounds", "speedup"), flag(row, "bounds", "fully_block_sparse"))
        for place, row in heatmap.places(rows, "bounds", "stride", "window").items()
    }


def _norm(speedups: Sequence[float]) -> Normalize:
    """From values to shades."""
    low, high = min(speedups), max(speedups)
    if high >= 10 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)


def _shade_scale(ax: Axes, image: AxesImage) -> None:
    sheet = ax.get_figure()
    assert sheet is not None, "axes that are drawn on belong to a figure"
    scale = sheet.colorbar(image, ax=ax, pad=0.02, fraction=0.04)
    if isinstance(image.norm, LogNorm):
        style.log_axis(scale.ax, "y")
    scale.ax.tick_params(labelsize=style.SMALL_PT)
    scale.set_label("Speedup [times]", fontsize=style.LABEL_PT)
    scale.outline.set_linewidth(style.HAIR_PT)
