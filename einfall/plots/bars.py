"""Bars of categorical results, in groups, with the word of what binds at the end of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from einfall.plots import names, style
from einfall.plots.quantity import RATIO, Quantity, fit_axis, spans
from einfall.plots.records import PlotError, Record, check_columns, positive, some, told

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "bars"

_CHARACTERS = 34  # in a line of the name of a group
_BAR_IN, _LEAST_IN = 0.16, 1.0  # height of a bar, and of all of them at least
_SLOTS = 3  # bars that there is room for, at least
_GROUP = 0.84  # part of the height of a group that bars fill
_WORDS = 0.34  # part of the axis kept for what is written at the ends of bars
_SHORTEST = 0.12  # of a logarithmic axis: the shortest bar


@dataclass(frozen=True, slots=True)
class Bars:
    """What bars show.

    Args:
        value: How long the bars are.
        case: Column of the groups.
        series: Column of the bars of a group, if it has more than one.
        bound: Column of the word at the end of a bar, or None.
    """

    value: Quantity
    case: str = "case"
    series: str | None = None
    bound: str | None = "bound"

    @property
    def columns(self) -> tuple[str, ...]:
        """What each record has."""
        more = (name for name in (self.series, self.bound) if name is not None)
        return (self.value.column, self.case, *more)

    def place(self, row: Record) -> tuple[str, str]:
        """Group and bar of a record."""
        return str(row[self.case]), "" if self.series is None else str(row[self.series])


def bars_figure(table: Iterable[Record], *, title: str, shown: Bars) -> Figure:
    """`plot_bars` as high as its bars need, under which of them is best, with a legend of series.

    Args:
        table: As in `plot_bars`.
        title: What is compared, and where.
        shown: Which columns are drawn.

    Raises:
        PlotError: As in `plot_bars`.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    groups, series = _order(rows, shown)
    height = _BAR_IN * len(groups) * (len(series) + 0.5)
    sheet = style.figure(height=1.1 + max(_LEAST_IN, height))
    plot_bars(rows, sheet.subplots(), shown)
    style.heading(sheet, title, _finding(rows, shown))
    handles: list[Artist] = style.patches(style.looks(series)) if len(series) > 1 else []
    if shown.value.unit == RATIO:
        handles.append(Line2D([], [], label="no change (1×)", **style.EQUAL))
    if handles:
        style.legend_below(sheet, handles)
    return sheet


def plot_bars(table: Iterable[Record], ax: Axes, shown: Bars) -> Axes:
    """A group for each case, from the top down, a bar for each series of it.

    At the end of a bar stand its value and what binds. Where values span more than 30 times, the
    axis is logarithmic, and bars begin at its edge. A value that is None or empty leaves its place
    free and says so.

    Args:
        table: Records with the columns of `shown`.
        ax: Where to draw.
        shown: Which columns are drawn.

    Raises:
        PlotError: There is no record or no answer, a column is lacking, a value is no number or
            below 0, or a bar is there twice.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    twice = [place for place, n in Counter(map(shown.place, rows)).items() if n > 1]
    if twice:
        raise PlotError(f"{WHAT}: want each bar once, found twice: {' '.join(twice[0])}")
    values = [_length(row, shown.value) for row in rows if told(row, shown.value.column)]
    least = _start(ax, shown.value, some(values, f"{WHAT}: answers"))
    groups, series = _order(rows, shown)
    looks, thick = style.looks(series), _GROUP / len(series)
    for row in rows:
        case, name = shown.place(row)
        y = groups.index(case) + (series.index(name) - (len(series) - 1) / 2) * thick
        if told(row, shown.value.column):
            end = _length(row, shown.value)
            ax.barh(y, end - least, 0.9 * thick, least, **looks[name].box())
            _write(ax, _words(row, end, shown), end, y, style.BLACK)
        else:
            _write(ax, "no answer", least, y, style.GREY)
    if shown.value.unit == RATIO:
        ax.axvline(1.0, **style.EQUAL)
    ax.set_yticks(range(len(groups)), [names.in_lines(name, _CHARACTERS) for name in groups])
    spare = max(0.0, _SLOTS - len(groups) * len(series)) / 2
    ax.set_ylim(len(groups) - 0.4 + spare, -0.6 - spare)
    style.dress(ax, title="", x=ax.get_xlabel(), grid="x")
    ax.tick_params(axis="y", length=0)
    return ax


def _order(rows: Sequence[Record], shown: Bars) -> tuple[list[str], list[str]]:
    """Groups and the bars of a group, as they come."""
    groups, series = zip(*map(shown.place, rows), strict=True)
    return list(dict.fromkeys(groups)), list(dict.fromkeys(series))


def _words(row: Record, value: float, shown: Bars) -> str:
    """What stands at the end of a bar."""
    bound = shown.bound is not None and told(row, shown.bound)
    return f"{shown.value.text(value)} · {row[shown.bound]}" if bound else shown.value.text(value)


def _length(row: Record, value: Quantity) -> float:
    """A value of at least 0."""
    return value.number(row, WHAT) and positive(row, WHAT, value.column)


def _start(ax: Axes, value: Quantity, values: Sequence[float]) -> float:
    """Scale of the axis with room for words at its end; where bars begin."""
    if spans(values):
        low, high = min(values), max(values)
        least = low / (high / low) ** _SHORTEST
        fit_axis(ax, "x", value, values)
        ax.set_xlim(least, high * (high / least) ** _WORDS)
        return least
    fit_axis(ax, "x", value, values, log=False)
    ax.set_xlim(0, (1 + _WORDS) * max(max(values), 1e-300))
    return 0.0


def _write(ax: Axes, text: str, x: float, y: float, colour: str) -> None:
    ax.annotate(
        text, (x, y), (3, 0), textcoords="offset points", fontsize=style.SMALL_PT, va="center",
        color=colour, bbox={"facecolor": style.WHITE, "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _finding(rows: Sequence[Record], shown: Bars) -> str:
    """Which bar is best and which worst, with their values."""
    answers = [row for row in rows if told(row, shown.value.column)]
    answers.sort(key=lambda row: _length(row, shown.value), reverse=shown.value.better == "higher")
    best, worst = (
        f"{names.brief(', '.join(part for part in shown.place(row) if part))} "
        f"({_words(row, _length(row, shown.value), shown)})"
        for row in (answers[0], answers[-1])
    )
    return f"Best is {best}, worst {worst}" if best != worst else best
