"""Two objectives and their frontier: what is worth building, and which machines of a sweep are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from einfall.plots import names, style
from einfall.plots.quantity import Quantity, fit_axis
from einfall.plots.records import PlotError, Record, check_columns, number, pick, some
from einfall.units import SQUARED

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "pareto"

AREA = Quantity("area_mm2", "Area", "mm^2")
LATENCY = Quantity("latency_s", "Latency", "s")

_LEAST_PT, _LARGEST_PT = 3.5, 11.0  # markers of points
_MIDDLE = 0.25  # of the largest area: points without a third quantity

_AREA_UNITS = {f"{prefix}m^2": float(size) * 1e6 for prefix, size in SQUARED.items()}


def pareto_table(rows: Iterable[Record], *, kernel: str = "pareto") -> list[Record]:
    """Area and latency of each machine of a sweep over the edge of its array, and who dominates.

    A machine is on the frontier of its model if no other is both smaller and faster.

    Args:
        rows: Results; metrics `area` [um^2 or mm^2] and `latency` [s] of each model and pe_dim.
        kernel: The kernel of these rows.

    Returns:
        Records of model, pe_dim, area_mm2, latency_s and frontier (True or False), by pe_dim.

    Raises:
        PlotError: A machine lacks its area or its latency, or a unit is unknown.

    >>> row = {"kernel": "pareto", "config": "fusemax", "model": "T5", "seq_len": "256K"}
    >>> area = row | {"pe_dim": 16, "metric": "area", "unit": "um^2", "value": 5e6}
    >>> time = row | {"pe_dim": 16, "metric": "latency", "unit": "s", "value": 2.0}
    >>> pareto_table([area, time])[0]["area_mm2"]
    5.0
    """
    what = f"pareto of {kernel}"
    found = list(rows)
    areas = {_place(r): _area_mm2(r, what) for r in pick(found, what, kernel=kernel, metric="area")}
    latencies = pick(found, what, kernel=kernel, metric="latency")
    # The area of a machine is the same for every model, so its rows may name none.
    pairs = [
        (_place(row), areas.get(_place(row), areas.get(("", _place(row)[1]))), number(row, what))
        for row in latencies
    ]
    lacking = [f"{model} {pe_dim}" for (model, pe_dim), area, _ in pairs if area is None]
    lacking += [f"{m} {d}" for m, d in areas if m and (m, d) not in {place for place, *_ in pairs}]
    if lacking:
        raise PlotError(f"{what}: want an area and a latency each, lacking: {', '.join(lacking)}")
    machines = [
        {"model": model, "pe_dim": pe_dim, "area_mm2": area, "latency_s": latency}
        for (model, pe_dim), area, latency in sorted(pairs, key=itemgetter(0))
    ]
    return [{**m, "frontier": not _dominated(m, machines)} for m in machines]


def plot_machines(table: Iterable[Record], ax: Axes) -> Axes:
    """`plot_pareto` of the machines of `pareto_table`, named by the edge of their array."""
    plot_pareto(table, ax, Pareto(AREA, LATENCY, name="pe_dim", series="model"))
    ax.set_title("Area against latency, by edge of the array [PEs]", loc="left")
    return ax


@dataclass(frozen=True, slots=True)
class Pareto:
    """Two objectives, and what else is told of their points.

    Args:
        x: What runs along; `better` of both says which way the frontier looks.
        y: What runs up.
        name: Column of the names of points.
        series: Column of those that compete with each other alone, or None.
        size: A third quantity, drawn as the area of markers, or None.
    """

    x: Quantity
    y: Quantity
    name: str = "name"
    series: str | None = None
    size: Quantity | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each record has."""
        size = () if self.size is None else (self.size.column,)
        series = () if self.series is None else (self.series,)
        return (self.x.column, self.y.column, self.name, *series, *size)

    def at(self, row: Record) -> tuple[float, float]:
        """Where a record stands."""
        return self.x.number(row, WHAT), self.y.number(row, WHAT)

    def fronts(self, rows: Sequence[Record]) -> dict[str, list[Record]]:
        """The records of each series that no other of it beats, by x."""
        groups: dict[str, list[Record]] = {}
        for row in rows:
            groups.setdefault("" if self.series is None else str(row[self.series]), []).append(row)
        return {
            group: sorted((r for r in own if not any(self.beats(o, r) for o in own)), key=self.at)
            for group, own in groups.items()
        }

    def beats(self, other: Record, row: Record) -> bool:
        """Whether the other is no worse in anything and better in something."""
        signs = [1 if axis.better == "higher" else -1 for axis in (self.x, self.y)]
        gains = [s * (a - b) for s, a, b in zip(signs, self.at(other), self.at(row), strict=True)]
        return min(gains) >= 0 and max(gains) > 0


def pareto_figure(table: Iterable[Record], *, title: str, shown: Pareto) -> Figure:
    """`plot_pareto` under how many are on the frontier, and the ends of it.

    Args:
        table: As in `plot_pareto`.
        title: What is compared, and where.
        shown: Which columns are drawn.

    Raises:
        PlotError: As in `plot_pareto`.
    """
    rows = some(table, WHAT)
    sheet = style.figure(height=3.9)
    ax = plot_pareto(rows, sheet.subplots(), shown)
    style.panel(ax, "")
    legend = ax.get_legend()
    if legend is not None:
        style.legend_below(sheet, [handle for handle in legend.legend_handles if handle])
        legend.remove()
    style.heading(sheet, title, _finding(rows, shown))
    return sheet


def plot_pareto(table: Iterable[Record], ax: Axes, shown: Pareto) -> Axes:
    """Points of two quantities, and the frontier of those that no other beats in both, as steps.

    Points on the frontier are filled and named, each name once, where it finds room; dominated ones
    are hollow and grey. An axis is logarithmic where its values span more than 30 times.

    Args:
        table: Records with the columns of `shown`.
        ax: Where to draw.
        shown: Which columns are drawn.

    Raises:
        PlotError: There is no record, a column is lacking, or a value is no number.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    xs, ys = zip(*map(shown.at, rows), strict=True)
    fit_axis(ax, "x", shown.x, xs)
    fit_axis(ax, "y", shown.y, ys)
    sizes = [shown.size.positive(row, WHAT) for row in rows] if shown.size else []
    fronts = shown.fronts(rows)
    looks = style.looks(fronts)
    for group, front in fronts.items():
        ax.plot(*zip(*map(shown.at, front), strict=True), color=looks[group].colour,
                linewidth=style.LINE_PT, zorder=2,
                drawstyle="steps-post" if shown.x.better == "lower" else "steps-pre")  # fmt: skip
    kept = {id(row) for front in fronts.values() for row in front}
    for row in rows:
        look = looks["" if shown.series is None else str(row[shown.series])]
        part = shown.size.positive(row, WHAT) / max(sizes) if shown.size else _MIDDLE
        x, y = shown.at(row)
        ax.plot(x, y, **_marker(look, part, on_front=id(row) in kept))
    ax.margins(0.12)
    left, above = shown.x.better == "lower", shown.y.better == "higher"
    names.name_points(ax, _names(fronts, shown), left=left, above=above)
    handles = _handles(looks, none_beaten=len(kept) == len(rows))
    handles += _sizes(sizes, shown.size) if shown.size else []
    if len(handles) > 1:
        style.legend_inside(ax, handles)
    title = f"{shown.y.label} against {shown.x.label.lower()}"
    return style.dress(ax, title=title, x=ax.get_xlabel(), y=ax.get_ylabel(), grid="both")


def _names(fronts: Mapping[str, Sequence[Record]], shown: Pareto) -> dict[str, tuple[float, float]]:
    """Where the names of points on a frontier stand, each once, at its best y."""
    rows = [row for front in fronts.values() for row in front]
    rows.sort(key=lambda row: shown.y.number(row, WHAT), reverse=shown.y.better == "higher")
    return {str(row[shown.name]): shown.at(row) for row in reversed(rows)}


def _handles(looks: Mapping[str, style.Look], *, none_beaten: bool) -> list[Artist]:
    """Series with their markers, and the dominated points if there are any."""
    named = {name or "frontier": look for name, look in looks.items()}
    first = next(iter(looks.values()))
    handles: list[Artist] = [
        Line2D([], [], label=name, **look.point(_LARGEST_PT / 2, "-"))
        for name, look in named.items()
    ]
    if not none_beaten:
        handles.append(Line2D([], [], label="dominated", **_marker(first, _MIDDLE, on_front=False)))
    return handles


def _sizes(values: Sequence[float], size: Quantity) -> list[Artist]:
    """Markers of the least and the largest of the third quantity."""
    look = style.Look(style.WHITE, "", "o")
    return [
        Line2D([], [], label=f"{size.label} {size.text(value)}",
               **_marker(look, value / max(values), on_front=True))
        for value in dict.fromkeys((min(values), max(values)))
    ]  # fmt: skip


def _marker(look: style.Look, part: float, *, on_front: bool) -> dict[str, Any]:
    """A point whose area is that part of the largest."""
    point = look.point(max(_LEAST_PT, _LARGEST_PT * sqrt(part)))
    if on_front:
        return point | {"zorder": 3}
    return point | {"markerfacecolor": style.WHITE, "markeredgecolor": style.GREY, "zorder": 1}


def _finding(rows: Sequence[Record], shown: Pareto) -> str:
    """How many points are on a frontier, and which is best in x and in y."""
    front = [row for own in shown.fronts(rows).values() for row in own]
    found = [f"{len(front)} of {len(rows)} on the frontier"]
    for axis in (shown.x, shown.y):
        order = sorted(front, key=lambda row, of=axis: of.number(row, WHAT))
        best = order[0 if axis.better == "lower" else -1]
        value = axis.text(axis.number(best, WHAT))
        found.append(f"best {axis.label.lower()} {value}, {names.brief(str(best[shown.name]))}")
    return "; ".join(found)


def _dominated(machine: Record, machines: Iterable[Record]) -> bool:
    """Whether another machine beats it for the same model."""
    same = (other for other in machines if other["model"] == machine["model"])
    return any(Pareto(AREA, LATENCY).beats(other, machine) for other in same)


def _place(row: Record) -> tuple[str, int]:
    return str(row["model"]), int(number(row, "pareto", "pe_dim"))


def _area_mm2(row: Record, what: str) -> float:
    unit = str(row["unit"])
    if unit not in _AREA_UNITS:
        raise PlotError(f"{what}: area: want a unit of {', '.join(_AREA_UNITS)}, found {unit!r}")
    return number(row, what) * _AREA_UNITS[unit]
