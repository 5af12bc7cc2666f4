"""Lines over a quantity, a series each, with marks where another resource begins to bind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from einfall.plots import names, style
from einfall.plots.quantity import RATIO, Quantity, fit_axis, ticks_at
from einfall.plots.records import Record, check_columns, column, some, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "lines"

_NEAR = 10.0  # times: how far from 1 a ratio may stay for the line at 1 to be drawn
_MOST_CHANGES = 2  # of what binds, that a title names
_CROWDED = 60  # points of all lines from which only changes of what binds are marked


@dataclass(frozen=True, slots=True)
class Lines:
    """What lines show.

    Args:
        x: What runs along.
        y: What runs up.
        series: Column of the names of lines.
        bound: Column of the resource that binds, if it is known.
        reference: Name of the line y = 1, drawn where some value is within ten times of it.
        log: Whether both axes are logarithmic; by default those whose values span more than 30
            times are.
    """

    x: Quantity
    y: Quantity
    series: str = "series"
    bound: str | None = None
    reference: str = ""
    log: bool | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each record has."""
        bound = () if self.bound is None else (self.bound,)
        return (self.x.column, self.y.column, self.series, *bound)


def lines_figure(table: Iterable[Record], *, title: str, shown: Lines) -> Figure:
    """`plot_lines` under what it finds, with the names at the ends of the lines.

    Args:
        table: As in `plot_lines`.
        title: What is compared, and where.
        shown: Which columns are drawn.

    Raises:
        PlotError: As in `plot_lines`.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    sheet = style.figure(height=max(3.4, 1.2 + 0.13 * len(column(rows, shown.series))))
    ax = plot_lines(rows, sheet.subplots(), shown)
    style.heading(sheet, title, _finding(rows, shown))
    if shown.bound is not None:
        looks = style.resource_looks(sorted(column(_answers(rows, shown), shown.bound)))
        style.legend_below(sheet, [Line2D([], [], label=f"bound by {name}", **look.point())
                                   for name, look in looks.items()])  # fmt: skip
    sheet.draw_without_rendering()  # the room for names is known from now on
    names.name_ends(ax, ends(rows, shown))
    return sheet


def plot_lines(
    table: Iterable[Record], ax: Axes, shown: Lines, looks: Mapping[str, style.Look] | None = None
) -> Axes:
    """A line for each series, its points marked by what binds there.

    Where it is not known what
    binds, each line has a marker of its own; else lines differ in their dashes, and markers have
    the looks of the resources. Of many points only the first, the last and those at which another
    resource begins to bind have markers; the latter are larger.

    Args:
        table: Records with the columns of `shown`, in any order; a y that is None or empty leaves a
            gap.
        ax: Where to draw.
        shown: Which columns are drawn.
        looks: Looks of series, by default in their order.

    Raises:
        PlotError: There is no record or no answer, a column is lacking, or a value is no number.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    answers = some(_answers(rows, shown), f"{WHAT}: answers")
    of_series = looks or style.looks(column(rows, shown.series))
    for i, name in enumerate(column(rows, shown.series)):
        own = _by_x([row for row in rows if str(row[shown.series]) == name], shown)
        dashes = style.DASHES[i % len(style.DASHES)] if shown.bound else "-"
        _draw(ax, own, shown, of_series[name], dashes)
        if shown.bound:
            resources = style.resource_looks(sorted(column(answers, shown.bound)))
            _mark_bounds(ax, own, shown, resources, crowded=len(answers) > _CROWDED)
    if _reference(answers, shown):
        ax.axhline(1.0, **style.EQUAL)
    xs, ys = ([q.number(row, WHAT) for row in answers] for q in (shown.x, shown.y))
    fit_axis(ax, "x", shown.x, xs, log=shown.log)
    fit_axis(ax, "y", shown.y, ys, log=shown.log)
    if ax.get_xscale() == "log" or len(set(xs)) == 1:
        ticks_at(ax, "x", shown.x, xs)
    if ax.get_yscale() == "linear" and min(ys) >= 0 and shown.y.unit != RATIO:
        ax.set_ylim(bottom=0)
    return style.dress(ax, title="", x=ax.get_xlabel(), y=ax.get_ylabel(), grid="both")


def ends(table: Iterable[Record], shown: Lines) -> dict[str, float]:
    """The height of each series at its largest x that has an answer, and of the line at 1."""
    answers = _answers(table, shown)
    last = {str(r[shown.series]): shown.y.number(r, WHAT) for r in _by_x(answers, shown)}
    return last | _reference(answers, shown)


def _answers(table: Iterable[Record], shown: Lines) -> list[Record]:
    return [row for row in table if told(row, shown.y.column)]


def _by_x(rows: Iterable[Record], shown: Lines) -> list[Record]:
    return sorted(rows, key=lambda row: shown.x.number(row, WHAT))


def _reference(answers: Iterable[Record], shown: Lines) -> dict[str, float]:
    """Name and height of the line at 1, where it is wanted and some value comes near."""
    near = any(1 / _NEAR < shown.y.number(row, WHAT) < _NEAR for row in answers)
    return {shown.reference: 1.0} if shown.reference and near else {}


def _draw(ax: Axes, own: Sequence[Record], shown: Lines, look: style.Look, dashes: object) -> None:
    """One line, broken where there is no answer."""
    xs = [shown.x.number(row, WHAT) for row in own]
    ys = [shown.y.number(row, WHAT) if told(row, shown.y.column) else nan for row in own]
    ax.plot(xs, ys, **look.point(0.0 if shown.bound else 4.0, dashes))


def _mark_bounds(
    ax: Axes, own: Sequence[Record], shown: Lines, resources: Mapping[str, style.Look], *,
    crowded: bool,
) -> None:  # fmt: skip
    """Markers of what binds; of many points those at which it changes, and the first and last."""
    answers, bound = _answers(own, shown), str(shown.bound)
    turns = [False, *(before[bound] != after[bound] for before, after in pairwise(answers))]
    for i, (row, turn) in enumerate(zip(answers, turns, strict=False)):
        if turn or not crowded or i in (0, len(answers) - 1):
            point = resources[str(row[bound])].point(7.0 if turn else 4.5)
            ax.plot(shown.x.number(row, WHAT), shown.y.number(row, WHAT), zorder=3, **point)


def _finding(rows: Sequence[Record], shown: Lines) -> str:
    """Which line is best where all end, and by how much; where what binds changes."""
    answers = _by_x(_answers(rows, shown), shown)
    last = shown.x.number(answers[-1], WHAT)
    heights = {
        str(row[shown.series]): shown.y.number(row, WHAT)
        for row in answers
        if shown.x.number(row, WHAT) == last
    }
    order = sorted(heights, key=heights.__getitem__, reverse=shown.y.better == "higher")
    best, worst = (
        f"{names.brief(name)}, {shown.y.text(heights[name])}" for name in (order[0], order[-1])
    )
    text = f"At {shown.x.text(last)} best is {best}"
    if len(order) > 1:
        text += f", worst {worst}"
    return "; ".join([text, *_turns(rows, shown)])


def _turns(rows: Sequence[Record], shown: Lines) -> list[str]:
    """In words, where another resource begins to bind, if that happens no more than twice."""
    found, bound = [], str(shown.bound)
    for name in column(rows, shown.series) if shown.bound else []:
        own = [row for row in _answers(rows, shown) if str(row[shown.series]) == name]
        for before, after in pairwise(_by_x(own, shown)):
            if before[bound] != after[bound]:
                at = shown.x.text(shown.x.number(after, WHAT))
                found.append(f"{names.brief(name)}: {before[bound]} → {after[bound]} at {at}")
    return found if len(found) <= _MOST_CHANGES else [f"what binds changes {len(found)} times"]
