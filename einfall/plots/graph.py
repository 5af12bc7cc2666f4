"""The drawing of a cascade: tensors in layers, data flows down, running values come back up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path

from einfall.einsum_cascades.graph import graph, layers
from einfall.einsum_cascades.passes import whole_ranks
from einfall.plots import style
from einfall.plots.layered import Layout, Point, layout
from einfall.plots.records import PlotError, Record

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from einfall.einsum_cascades.einsum import Cascade

# Lengths are inches of a drawing at full size; on smaller axes text and boxes shrink alike.
_HEIGHT, _GAP, _PITCH = 0.34, 0.22, 0.62
_CHARACTER, _PADDING = 0.072, 0.16
_BOW = 0.45
_BOW_ROOM = 0.4
_REACH = 0.75  # a cubic curve goes out to 3/4 of the way to its control points
_MARGIN = 0.25
_LEGEND, _TITLE = 1.75, 0.35
_EDGE = 0.02  # of the width of a figure, left of its title

_INPUT = style.tint(style.GREY, 0.35)
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "input": ("input", {"boxstyle": "square,pad=0", "facecolor": _INPUT, "linewidth": 0.8}),
    "intermediate": ("intermediate", {"linewidth": 0.8}),
    "state": ("running value", {"linewidth": 1.2, "linestyle": "--"}),
    "output": ("output", {"linewidth": 2.2}),
}
_ROUND = f"round,pad=0,rounding_size={_HEIGHT / 4}"
_PASSES = (
    style.WHITE,
    style.tint(style.SKY, 0.35),
    style.tint(style.ORANGE, 0.6),
    style.tint(style.VERMILION, 0.75),
    style.tint(style.PURPLE, 1.0),
    style.tint(style.BLUE, 0.8),
)
"""Fill by pass, darker from one to the next, so that the order survives a print without colour."""


def graph_table(cascade: Cascade, rank: str | None = None) -> list[Record]:
    """The tensors of a cascade: kind, ranks, layer of the drawing, what each is made from.

    With a rank, `pass` is the earliest pass over it in which the tensor is made.

    Raises:
        PlotError: The rank is none of the whole ranks of the cascade.
    """
    drawn = _graph(cascade, rank)
    depth = {name: n for n, layer in enumerate(layers(cascade)) for name in layer}
    return [
        {
            "tensor": name,
            "kind": facts["kind"],
            "ranks": " ".join(facts["ranks"]),
            "layer": depth[name],
            "made_from": " ".join(drawn.predecessors(name)),
            **({} if rank is None else {"pass": facts["passes"][rank]}),
        }
        for name, facts in drawn.nodes.items()
    ]


def plot_graph(cascade: Cascade, ax: Axes, rank: str | None = None) -> Axes:
    """Boxes for tensors, arrows for what is made from what, dashed ones for values carried back.

    Args:
        cascade: The cascade.
        ax: Where to draw; `graph_figure` makes one that is large enough.
        rank: A whole rank, such as "M": the fill of a box says in which pass over it the tensor is
            made.

    Raises:
        PlotError: The rank is none of the whole ranks of the cascade.
    """
    drawn = _graph(cascade, rank)
    placed = _layout(cascade, drawn)
    left, right, bottom, top = _extent(placed, drawn)
    scale = _scale(ax, right - left, top - bottom)
    for a, b, back in drawn.edges.data("back"):
        points = _back(placed, drawn, a, b) if back else _forward(placed, a, b)
        ax.add_patch(_arrow(points, back=back, scale=scale))
    for name, facts in drawn.nodes.items():
        fill = _PASSES[0] if rank is None else _fill(facts["passes"][rank])
        _draw_box(ax, placed.boxes[name], _width(drawn, name), facts["kind"], fill)
        x, y = placed.boxes[name]
        below = _subscript(facts["ranks"])
        ax.text(x, y + (0.07 if below else 0), name, fontsize=(style.SMALL_PT + 0.5) * scale,
                fontweight="bold", ha="center", va="center")  # fmt: skip
        ax.text(x, y - 0.085, below, fontsize=(style.SMALL_PT - 1) * scale,
                ha="center", va="center")  # fmt: skip
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    style.legend_beside(ax, _legend(drawn, rank))
    over = "" if rank is None else f", passes over {rank}"
    return style.bare(ax, title=f"Cascade {cascade.name}{over}")


def graph_figure(cascade: Cascade, rank: str | None = None) -> Figure:
    """`plot_graph` on a figure of the size that it needs."""
    drawn = _graph(cascade, rank)
    left, right, bottom, top = _extent(_layout(cascade, drawn), drawn)
    width, height = right - left, top - bottom
    sheet = style.figure(width + _LEGEND, height + _TITLE)
    sheet.set_layout_engine("none")  # a layout by matplotlib would shrink the boxes, not the text
    share = width / (width + _LEGEND), height / (height + _TITLE)
    plot_graph(cascade, sheet.add_axes((_EDGE, 0, *share)), rank)
    return sheet


def _graph(cascade: Cascade, rank: str | None) -> nx.DiGraph:
    if rank is not None and rank not in whole_ranks(cascade):
        known = ", ".join(whole_ranks(cascade))
        raise PlotError(f"cascade {cascade.name}: want one of its ranks ({known}), found {rank!r}")
    return graph(cascade)


def _layout(cascade: Cascade, drawn: nx.DiGraph) -> Layout:
    edges = [(a, b) for a, b, back in drawn.edges.data("back") if not back]
    ends = {end for a, b, back in drawn.edges.data("back") if back for end in (a, b)}
    widths = {name: _width(drawn, name) + _BOW_ROOM * (name in ends) for name in drawn}
    return layout(layers(cascade), edges, widths, gap=_GAP, pitch=_PITCH)


def _subscript(ranks: Sequence[str]) -> str:
    return ",".join(rank.lower() for rank in ranks)


def _width(drawn: nx.DiGraph, name: str) -> float:
    """Width of a box [in], after the longer of its two lines."""
    below = 0.8 * len(_subscript(drawn.nodes[name]["ranks"]))
    return _PADDING + _CHARACTER * max(3, len(name), below)


def _extent(placed: Layout, drawn: nx.DiGraph) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of the drawing [in], with room for the bows of back edges."""
    points = [point for points in placed.bends.values() for point in points]
    xs = [x for x, _ in points]
    ys = [y for _, y in placed.boxes.values()]
    for name, (x, _) in placed.boxes.items():
        xs += [x - _width(drawn, name) / 2, x + _width(drawn, name) / 2]
    for a, b, back in drawn.edges.data("back"):
        xs += [x for x, _ in _back(placed, drawn, a, b)] if back else []
    half = _HEIGHT / 2 + _MARGIN
    return min(xs) - _MARGIN, max(xs) + _MARGIN, min(ys) - half, max(ys) + half


def _scale(ax: Axes, width: float, height: float) -> float:
    """How much smaller than full size the drawing comes out on these axes."""
    across, down = style.room_in(ax)
    return min(1.0, across / width, down / height)


def _forward(placed: Layout, a: str, b: str) -> list[Point]:
    """Points of a cubic curve from the foot of a box to the head of another, by its bends."""
    (start_x, start_y), (end_x, end_y) = placed.boxes[a], placed.boxes[b]
    half = _HEIGHT / 2
    through = [stop for x, y in placed.bends[a, b] for stop in ((x, y + half), (x, y - half))]
    stops = [(start_x, start_y - half), *through, (end_x, end_y + half)]
    points = stops[:1]
    for (x0, y0), (x1, y1) in pairwise(stops):
        middle = (y0 + y1) / 2
        points += [(x0, middle), (x1, middle), (x1, y1)]
    return points


def _back(placed: Layout, drawn: nx.DiGraph, a: str, b: str) -> list[Point]:
    """Points of one cubic curve out of the side of a box and into the same side of another.

    Of the two sides it takes the one on which it runs into less, else the outer one.
    """
    (x, y), (end_x, end_y) = placed.boxes[a], placed.boxes[b]
    centre = sum(at for at, _ in placed.boxes.values()) / len(placed.boxes)
    outer = 1 if x + end_x >= 2 * centre else -1
    side = min((outer, -outer), key=lambda side: _obstacles(placed, drawn, (a, b), side))
    start, bow, end = _turn(placed, drawn, (a, b), side)
    lift = 0.09
    if a == b:
        return [(start, y - lift), (bow, y - lift), (bow, y + lift), (end, y + lift)]
    return [(start, y), (bow, y), (bow, end_y), (end, end_y)]


def _turn(
    placed: Layout, drawn: nx.DiGraph, edge: tuple[str, str], side: int
) -> tuple[float, float, float]:
    """Where along the layers a back edge starts, which way out it is drawn, and where it ends."""
    a, b = edge
    (x, y), (end_x, end_y) = placed.boxes[a], placed.boxes[b]
    start, end = x + side * _width(drawn, a) / 2, end_x + side * _width(drawn, b) / 2
    return start, side * (max(side * start, side * end) + _BOW + 0.1 * abs(y - end_y)), end


def _obstacles(placed: Layout, drawn: nx.DiGraph, edge: tuple[str, str], side: int) -> int:
    """Boxes and passing edges in the rectangle that a back edge takes on this side."""
    start, bow, end = _turn(placed, drawn, edge, side)
    near = side * min(side * start, side * end)
    low, high = sorted((near, near + _REACH * (bow - near)))
    ys = sorted(placed.boxes[name][1] for name in edge)
    things = [
        (at, _width(drawn, name) / 2) for name, at in placed.boxes.items() if name not in edge
    ]
    things += [(at, 0.0) for points in placed.bends.values() for at in points]
    return sum(
        low < x + half and x - half < high and ys[0] <= y <= ys[1] for (x, y), half in things
    )


def _arrow(points: Sequence[Point], *, back: bool, scale: float) -> FancyArrowPatch:
    codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
    return FancyArrowPatch(
        path=Path(points, codes), arrowstyle="-|>", mutation_scale=7 * scale,
        color=style.VERMILION if back else style.GREY,
        linestyle="--" if back else "-", linewidth=(1.2 if back else 0.9) * scale,
        shrinkA=0, shrinkB=0, joinstyle="miter",
    )  # fmt: skip


def _draw_box(ax: Axes, middle: Point, width: float, kind: str, fill: str) -> None:
    corner = (middle[0] - width / 2, middle[1] - _HEIGHT / 2)
    looks: dict[str, Any] = {"boxstyle": _ROUND, "edgecolor": style.BLACK, "facecolor": fill}
    looks |= _KINDS[kind][1]
    ax.add_patch(FancyBboxPatch(corner, width, _HEIGHT, **looks))


def _fill(number: int) -> str:
    return _PASSES[min(number, len(_PASSES) - 1)]


def _legend(drawn: nx.DiGraph, rank: str | None) -> list[Artist]:
    kinds = {kind for _, kind in drawn.nodes.data("kind")}
    handles: list[Artist] = []
    for kind in (kind for kind in _KINDS if kind in kinds):
        name, looks = _KINDS[kind]
        swatch: dict[str, Any] = {"facecolor": style.WHITE, "edgecolor": style.BLACK} | looks
        swatch.pop("boxstyle", None)
        handles.append(Patch(label=name, **swatch))
    if any(back for _, _, back in drawn.edges.data("back")):
        line = Line2D([], [], color=style.VERMILION, linestyle="--", linewidth=1.2)
        line.set_label("to the next step")
        handles.append(line)
    if rank is not None:
        made = [facts["passes"][rank] for facts in drawn.nodes.values() if facts["kind"] != "input"]
        for n in sorted(set(made)):
            name = f"pass {n} over {rank}" if n else f"needs nothing of {rank}"
            handles.append(Patch(label=name, facecolor=_fill(n), edgecolor=style.GREY))
    return handles
