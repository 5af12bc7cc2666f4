"""Traffic or time against the capacity of a buffer: what more of it saves, and up to where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from einfall.plots import names, style
from einfall.plots.quantity import Quantity, fit_axis
from einfall.plots.records import Record, check_columns, column, positive, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "ski slope"

CAPACITY = Quantity("capacity_bytes", "Buffer capacity", "B")
TRAFFIC = Quantity("traffic_bytes", "Traffic", "B")

KNEE = 1.1
"""Times the least value of a series at which more capacity is no longer worth much."""

_ROOM, _ROOM_UP = 1.6, 1.3  # times: axes go on so far beyond what they show


@dataclass(frozen=True, slots=True)
class SkiSlope:
    """What a ski slope shows.

    Args:
        x: The capacity.
        y: What falls: traffic, or time.
        series: Column of the names of lines.
        floor: Column of the least that y can be, such as compulsory traffic, or None.
    """

    x: Quantity = CAPACITY
    y: Quantity = TRAFFIC
    series: str = "series"
    floor: str | None = "compulsory_bytes"

    @property
    def columns(self) -> tuple[str, ...]:
        """What each record has."""
        floor = () if self.floor is None else (self.floor,)
        return (self.x.column, self.y.column, self.series, *floor)

    def at(self, row: Record) -> tuple[float, float]:
        """Where a record stands."""
        return self.x.positive(row, WHAT), self.y.positive(row, WHAT)


TRAFFIC_SLOPE = SkiSlope()


def ski_slope_figure(
    table: Iterable[Record], *, title: str, shown: SkiSlope = TRAFFIC_SLOPE
) -> Figure:
    """`plot_ski_slope` under its knees, with names at the ends of the lines.

    Args:
        table: As in `plot_ski_slope`.
        title: What runs, and where.
        shown: Which columns are drawn.

    Raises:
        PlotError: As in `plot_ski_slope`.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    series = column(rows, shown.series)
    sheet = style.figure(height=max(3.4, 1.2 + 0.13 * len(series)))
    ax = plot_ski_slope(rows, sheet.subplots(), shown)
    style.heading(sheet, title, _finding(rows, shown))
    sheet.draw_without_rendering()  # the room for names is known from now on
    last = {name: shown.y.positive(_own(rows, name, shown)[-1], WHAT) for name in series}
    floors = {f"compulsory {shown.y.text(value)}": value for value in _floors(rows, shown)}
    names.name_ends(ax, last | floors)
    return sheet


def plot_ski_slope(table: Iterable[Record], ax: Axes, shown: SkiSlope = TRAFFIC_SLOPE) -> Axes:
    """A step line for each series on logarithmic axes, its knee marked, and the floor dashed.

    A value holds from its capacity up to the next one. The knee is the least capacity at which y is
    within 10 % of the least y of the series: beyond it more capacity saves little.

    Args:
        table: Records with the columns of `shown`, in any order.
        ax: Where to draw.
        shown: Which columns are drawn.

    Raises:
        PlotError: There is no record, a column is lacking, or a number is not above 0.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    xs, ys = zip(*map(shown.at, rows), strict=True)
    looks = style.looks(column(rows, shown.series))
    right, floors = _ROOM * max(xs), _floors(rows, shown)
    knees: dict[str, tuple[float, float]] = {}
    for i, (name, look) in enumerate(looks.items()):
        own = _own(rows, name, shown)
        steps, heights = zip(*map(shown.at, own), strict=True)
        ax.plot([*steps, right], [*heights, heights[-1]], drawstyle="steps-post",
                color=look.colour, linewidth=style.LINE_PT,
                linestyle=style.DASHES[i % len(style.DASHES)])  # fmt: skip
        knees[name] = shown.at(_knee(own, shown))
    for value in floors:
        ax.axhline(value, **style.EQUAL)
    fit_axis(ax, "x", shown.x, xs, log=True)
    fit_axis(ax, "y", shown.y, [*ys, *floors], log=True)
    ax.set(xlim=(min(xs), right), ylim=(min([*ys, *floors]) / _ROOM_UP, max(ys) * _ROOM_UP))
    _mark(ax, knees, shown)
    return style.dress(ax, title="", x=ax.get_xlabel(), y=ax.get_ylabel(), grid="both")


def _own(rows: Iterable[Record], name: str, shown: SkiSlope) -> list[Record]:
    """The records of a series by capacity."""
    own = [row for row in rows if str(row[shown.series]) == name]
    return sorted(own, key=lambda row: shown.x.positive(row, WHAT))


def _floors(rows: Iterable[Record], shown: SkiSlope) -> list[float]:
    """The different floors, in order of appearance."""
    if shown.floor is None:
        return []
    return list(dict.fromkeys(positive(row, WHAT, shown.floor) for row in rows))


def _knee(own: Sequence[Record], shown: SkiSlope) -> Record:
    """The first of the records, which go by capacity, that is within 10 % of the least."""
    least = min(shown.y.positive(row, WHAT) for row in own)
    return next(row for row in own if shown.y.positive(row, WHAT) <= KNEE * least)


def _mark(ax: Axes, knees: Mapping[str, tuple[float, float]], shown: SkiSlope) -> None:
    """Knees, and the capacities of those that have room for them."""
    for look, at in zip(style.looks(knees).values(), knees.values(), strict=True):
        ax.plot(*at, zorder=3, **look.point(5.5))
    places = {shown.x.text(x): (x, y) for x, y in sorted(knees.values(), reverse=True)}
    names.name_points(ax, places, above=True)


def _finding(rows: Sequence[Record], shown: SkiSlope) -> str:
    """The series with the least y, and the capacity that is enough for it."""
    knees = {n: _knee(_own(rows, n, shown), shown) for n in column(rows, shown.series)}
    best = min(knees, key=lambda name: shown.y.positive(knees[name], WHAT))
    at = shown.x.text(shown.x.positive(knees[best], WHAT))
    least = shown.y.text(shown.y.positive(knees[best], WHAT))
    name = names.brief(best)
    whose = f"{name} gets by with least" if len(knees) > 1 else name
    return f"{whose}: {least} from {at} on; more capacity saves less than 10 %"
