"""The hierarchical roofline: what each unit and each level of memory lets an algorithm reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from einfall.plots import names, style
from einfall.plots.quantity import Quantity, fit_axis
from einfall.plots.records import (
    PlotError,
    Record,
    check_columns,
    column,
    number,
    positive,
    short,
    some,
    told,
)
from einfall.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "roofline"

ROOF, POINT = "roof", "point"
"""Kinds of rows."""

FLAT, SLOPED = ("compute", "exp"), ("memory", "shared", "link")
"""Resources of roofs: those with `flops_per_s`, and those with `bytes_per_s`."""

COLUMNS = {
    ROOF: ("name", "resource"),
    POINT: ("name", "level", "flop_per_byte", "flops_per_s", "bound"),
}
"""Columns of each kind of row, beside `kind`; a roof has `flops_per_s` or `bytes_per_s`, too."""

INTENSITY = Quantity("flop_per_byte", "Arithmetic intensity", "FLOP/B")
RATE = Quantity("flops_per_s", "Rate", "FLOP/s", better="higher")

_ROOM = 4.0  # times: axes go on so far beyond what they show
_LEAST_DECADES = 10.0  # times: from the lowest point or ridge to the highest roof, at least


def roofline_figure(table: Iterable[Record], *, title: str) -> Figure:
    """`plot_roofline` under the point that comes nearest to its roof, with names at the right.

    Args:
        table: As in `plot_roofline`.
        title: Which machine, and what runs there.
    """
    roofs, points = _checked(table)
    named = len(_flat(roofs)) + len(column(points, "name"))
    sheet = style.figure(height=max(3.9, 1.3 + 0.13 * named))
    ax = plot_roofline([*roofs, *points], sheet.subplots())
    style.panel(ax, "")
    style.heading(sheet, title, _finding(roofs, points))
    if _sloped(roofs):
        style.legend_below(sheet, _legend(roofs))
    sheet.draw_without_rendering()  # the room for names is known from now on
    tops = {_flat_name(n, rate): rate for n, rate in _flat(roofs).items()}
    reached = {_point_name(row): positive(row, WHAT, "flops_per_s") for row in points}
    names.name_ends(ax, tops | reached, bold=set(tops))
    return sheet


def plot_roofline(table: Iterable[Record], ax: Axes) -> Axes:
    """Flat roofs of units, slopes of memories and links, and what algorithms reach under them.

    A point of an algorithm stands at its rate and its intensity at one level; a line joins those of
    one algorithm. Points of a level have the marker that its slope has; a point on its slope is
    bound by that level. Names of roofs and algorithms belong to `roofline_figure`.

    Args:
        table: Records of two kinds. Kind "roof": `name`; `resource`, of `FLAT` or `SLOPED`;
            and `flops_per_s` [FLOP/s], for an exponential unit the rate of all operations when it
            is never idle, or `bytes_per_s` [B/s]. Kind "point", one for each algorithm and level:
            `name`; `level`, the name of a sloped roof; `flop_per_byte` [FLOP/B] there;
            `flops_per_s` reached; and `bound`, the resource that binds.
        ax: Where to draw.

    Raises:
        PlotError: There is no flat roof, a column is lacking, a kind or a resource is unknown, a
            level is no sloped roof, or a number is not above 0.
    """
    roofs, points = _checked(table)
    flat, sloped = _flat(roofs), _sloped(roofs)
    top = max(flat.values())
    looks = _level_looks(roofs)
    left, right, low = _window(roofs, points)
    for i, (name, rate) in enumerate(flat.items()):
        ridge = rate / max(sloped.values()) if sloped else left
        ax.plot([max(left, ridge), right], [rate] * 2, color=style.BLACK, linewidth=style.LINE_PT,
                linestyle=style.DASHES[i % len(style.DASHES)], label=name)  # fmt: skip
    for name, rate in sloped.items():
        ax.plot([left, top / rate], [rate * left, top], color=looks[name].colour,
                linewidth=style.LINE_PT)  # fmt: skip
        _on_slope(ax, looks[name], rate, top, low)
    for name in column(points, "name"):
        _draw_point(ax, [row for row in points if str(row["name"]) == name], looks, right)
    _fit(ax, (left, right), (low, top))
    return style.dress(ax, title="Roofline", x=ax.get_xlabel(), y=ax.get_ylabel(), grid="both")


def _checked(table: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """Roofs and points."""
    rows = some(table, WHAT)
    check_columns(rows, WHAT, ("kind",))
    roofs, points = ([row for row in rows if row["kind"] == kind] for kind in (ROOF, POINT))
    wrong = [row["kind"] for row in rows if row["kind"] not in COLUMNS]
    if wrong:
        raise PlotError(f"{WHAT}: want a kind of {', '.join(COLUMNS)}, found {wrong[0]!r}")
    check_columns(roofs, f"{WHAT}: roofs", COLUMNS[ROOF])
    check_columns(points, f"{WHAT}: points", COLUMNS[POINT])
    for row in roofs:
        if row["resource"] not in (*FLAT, *SLOPED):
            known = ", ".join((*FLAT, *SLOPED))
            raise PlotError(f"{WHAT}: {row['name']}: want a resource of {known}, found "
                            f"{row['resource']!r}")  # fmt: skip
    some(_flat(roofs), f"{WHAT}: roofs of {' or '.join(FLAT)}")
    levels = _sloped(roofs)
    lost = [row for row in points if str(row["level"]) not in levels]
    if lost:
        known = ", ".join(levels) or "none"
        raise PlotError(f"{WHAT}: {lost[0]['name']}: want a level of {known}, found "
                        f"{lost[0]['level']!r}")  # fmt: skip
    return roofs, points


def _flat(roofs: Iterable[Record]) -> dict[str, float]:
    """Rate of each unit [FLOP/s], the highest first."""
    found = {str(r["name"]): positive(r, WHAT, "flops_per_s") for r in roofs
             if r["resource"] in FLAT}  # fmt: skip
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _sloped(roofs: Iterable[Record]) -> dict[str, float]:
    """Rate of each level [B/s], the highest first."""
    found = {str(r["name"]): positive(r, WHAT, "bytes_per_s") for r in roofs
             if r["resource"] in SLOPED}  # fmt: skip
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _level_looks(roofs: Iterable[Record]) -> dict[str, style.Look]:
    return style.resource_looks(_sloped(roofs))


def _window(roofs: Sequence[Record], points: Sequence[Record]) -> tuple[float, float, float]:
    """Least and largest intensity [FLOP/B] and least rate [FLOP/s] of the axes."""
    flat, sloped = _flat(roofs), _sloped(roofs)
    top = max(flat.values())
    rates = [positive(row, WHAT, "flops_per_s") for row in points]
    low = min([top / _LEAST_DECADES, *flat.values(), *rates]) / _ROOM
    ridges = [top / rate for rate in sloped.values()]
    intensities = [positive(row, WHAT, "flop_per_byte") for row in points]
    shown = [*ridges, *intensities] or [1.0]
    left = min([*shown, *(low / rate for rate in sloped.values())])
    return left, max(shown) * _ROOM, low


def _fit(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    fit_axis(ax, "x", INTENSITY, x, log=True)
    fit_axis(ax, "y", RATE, y, log=True)
    ax.set(xlim=x, ylim=(y[0], y[1] * 1.6))


def _on_slope(ax: Axes, look: style.Look, rate: float, top: float, low: float) -> None:
    """The marker of a level on its slope, a third of the way down from its roof."""
    y = top ** (1 / 3) * low ** (2 / 3)
    ax.plot(y / rate, y, **look.point(4.0))


def _draw_point(
    ax: Axes, own: Sequence[Record], looks: dict[str, style.Look], right: float
) -> None:
    """One algorithm: its points, and the line through them to its name."""
    xs = [number(row, WHAT, "flop_per_byte") for row in own]
    y = positive(own[0], WHAT, "flops_per_s")
    ax.plot([min(xs), right], [y] * 2, color=style.GREY, linewidth=style.HAIR_PT, zorder=1)
    for row, x in zip(own, xs, strict=True):
        ax.plot(
            x, positive(row, WHAT, "flops_per_s"), zorder=4, **looks[str(row["level"])].point(6)
        )


def _flat_name(name: str, rate: float) -> str:
    return f"{name}: {format_quantity(rate, 'FLOP/s', digits=3)}"


def _point_name(row: Record) -> str:
    return f"{row['name']} · {row['bound']}" if told(row, "bound") else str(row["name"])


def _legend(roofs: Sequence[Record]) -> list[Artist]:
    """The levels with their slopes and markers."""
    looks = _level_looks(roofs)
    return [
        Line2D([], [], label=f"{name} {format_quantity(rate, 'B/s', digits=3)}",
               **looks[name].point(5.0, "-"))
        for name, rate in _sloped(roofs).items()
    ]  # fmt: skip


def _finding(roofs: Sequence[Record], points: Sequence[Record]) -> str:
    """Which algorithm comes nearest to the lowest roof above it, or where the ridges are."""
    if not points:
        units = [row for row in roofs if row["resource"] == "compute"] or roofs
        top, rate = next(iter(_flat(units).items()))
        ridges = ", ".join(f"{n} {short(rate / b)} FLOP/B" for n, b in _sloped(roofs).items())
        return f"{top} is within reach from {ridges}" if ridges else ""
    found = {
        name: _lowest(roofs, [row for row in points if str(row["name"]) == name])
        for name in column(points, "name")
    }
    name, (roof, part) = max(found.items(), key=lambda item: item[1][1])
    best = next(row for row in points if str(row["name"]) == name)
    bound = f", bound by {best['bound']}" if told(best, "bound") else ""
    return f"{name} reaches {short(100 * part)} % of the roof of {roof}{bound}"


def _lowest(roofs: Sequence[Record], levels: Sequence[Record]) -> tuple[str, float]:
    """The lowest roof above an algorithm, and what part of it is reached."""
    slopes = _sloped(roofs)
    heights = _flat(roofs) | {
        str(row["level"]): slopes[str(row["level"])] * positive(row, WHAT, "flop_per_byte")
        for row in levels
    }
    roof = min(heights, key=lambda name: heights[name])
    return roof, positive(levels[0], WHAT, "flops_per_s") / heights[roof]
