"""The tornado: what each number does to time and energy when it is turned down and up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from einfall.plots import names, style
from einfall.plots.records import TORNADO, Record, check_columns, positive, short, some, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "tornado"

MOST = 20
"""Bars of a figure, in all its rows; those of the smallest effects are left out."""

_LOOKS = {"low": style.Look(style.ORANGE, "///", "v"), "high": style.Look(style.BLUE, "", "^")}
_THICK = 0.38  # of each of the two bars of a number, where numbers are 1 apart
_AT = {"low": -_THICK / 2, "high": _THICK / 2}
_TWICE = 1.995  # times: from this on changes are told as ratios, below it in percent
_SHOWN, _SHOWN_TIMES = 5e-5, 5e-3  # no bar and no number for smaller changes, and for ratios
_ROOM = 0.2  # of the axis: for the numbers beside the bars
_TIMES = (1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6)
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MOST_TICKS = 6
_LONGEST = 48  # characters of the name of a case


def tornado_figure(
    rows: Mapping[str, Mapping[str, Sequence[Record]]], *, title: str, sides: tuple[str, str]
) -> Figure:
    """A row of panels for each case, a panel for each quantity, on one axis; see `plot_tornado`.

    Args:
        rows: For each case and quantity, such as "time", a table of `records.TORNADO`. The tables
            of a case have the same numbers in the same order; one without any says so.
        title: What is turned, and where; the largest effect stands under it.
        sides: What is done to the numbers, down and up: "20 % less", "20 % more".

    Raises:
        PlotError: There is no case.
    """
    cases = dict(some(rows.items(), WHAT))
    shown = {n: _largest(panels, max(5, MOST // len(cases))) for n, panels in cases.items()}
    bars = [max(map(len, panels.values()), default=0) for panels in shown.values()]
    heights = [max(1.0, 0.45 + 0.26 * count) if count else 0.3 for count in bars]
    sheet = style.figure(height=1.1 + sum(heights))
    style.heading(sheet, title, _finding(shown, sides))
    across = max(map(len, shown.values()))
    axes = sheet.subplots(
        len(shown), across, sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    ratios = [ratio for panels in shown.values() for t in panels.values() for ratio in _ratios(t)]
    for (name, panels), row in zip(shown.items(), axes, strict=True):
        for ax, (quantity, table) in zip(row, panels.items(), strict=True):
            if table:
                plot_tornado(table, ax, span=ratios)
                ax.set_xlabel(_label(quantity, ratios), fontsize=style.LABEL_PT)
                ax.tick_params(labelbottom=True)
            else:
                ax.set_axis_off()
        style.panel(row[0], f"{names.brief(name, _LONGEST)}{_left_out(cases[name], panels)}")
    style.legend_below(sheet, style.patches(dict(zip(sides, _LOOKS.values(), strict=True))))
    return sheet


def plot_tornado(table: Iterable[Record], ax: Axes, *, span: Iterable[float] = ()) -> Axes:
    """Two bars for each number, from no change to what there is with less of it and with more.

    The axis is logarithmic, so that half and twice as much are equally far. Changes are told in
    percent if all are less than twofold, else as ratios. A side to which a number may not be turned
    says so instead of having a bar, and so does a number that changes nothing.

    Args:
        table: Records with the columns `records.TORNADO`: name, text, low and high: the ratio to
            what there was before (1.25 for +25 %), None where the value is refused.
        ax: Where to draw.
        span: Ratios for which the axis has to have room, besides those of the table.

    Raises:
        PlotError: There is no record, a column is lacking, or a ratio is not above 0.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, TORNADO)
    ratios = [*_ratios(rows), *span]
    for y, row in enumerate(rows):
        if all(
            told(row, side) and not _moves(positive(row, WHAT, side), ratios) for side in _LOOKS
        ):
            _write(ax, "no change", 1.0, y, style.GREY)
            continue
        for side, look in _LOOKS.items():
            if not told(row, side):
                _write(ax, "refused", 1.0, y + _AT[side], style.GREY)
                continue
            ratio = positive(row, WHAT, side)
            if _moves(ratio, ratios):
                ax.barh(y + _AT[side], ratio - 1, _THICK, 1.0, **look.box())
                _write(ax, _digits(ratio, ratios), ratio, y + _AT[side], style.BLACK)
    _axis(ax, ratios)
    ax.set_yticks(range(len(rows)), [f"{row['name']}  {row['text']}".strip() for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    style.dress(ax, title="", x=_label("", ratios), grid="x")
    ax.axvline(1.0, color=style.BLACK, linewidth=style.HAIR_PT)
    ax.tick_params(axis="y", length=0)
    return ax


def _ratios(table: Iterable[Record]) -> list[float]:
    return [positive(row, WHAT, s) for row in table for s in _LOOKS if told(row, s)]


def _largest(panels: Mapping[str, Sequence[Record]], most: int) -> dict[str, list[Record]]:
    """So many numbers of the largest changes of any quantity, in the order in which they come."""
    tables = {quantity: list(table) for quantity, table in panels.items()}
    for table in tables.values():
        check_columns(table, WHAT, TORNADO)
    numbers = max(map(len, tables.values()), default=0)
    effects = [
        max((abs(log(r)) for t in tables.values() for r in _ratios(t[i : i + 1])), default=0.0)
        for i in range(numbers)
    ]
    kept = sorted(sorted(range(numbers), key=lambda i: -effects[i])[:most])
    return {q: [table[i] for i in kept if i < len(table)] for q, table in tables.items()}


def _left_out(all_of: Mapping[str, Sequence[Record]], shown: Mapping[str, Sequence[Record]]) -> str:
    """What the title of a row says of numbers without bars."""
    there, drawn = (max(map(len, tables.values()), default=0) for tables in (all_of, shown))
    if not there:
        return ": no number changes anything"
    return f", {there - drawn} smaller effects left out" if there > drawn else ""


def _moves(ratio: float, ratios: Sequence[float]) -> bool:
    """Whether a change is large enough to be told among the others."""
    return abs(ratio - 1) >= (_SHOWN if _in_percent(ratios) else _SHOWN_TIMES)


def _in_percent(ratios: Sequence[float]) -> bool:
    return all(1 / _TWICE < ratio < _TWICE for ratio in ratios)


def _label(quantity: str, ratios: Sequence[float]) -> str:
    if _in_percent(ratios):
        return f"Change of {quantity} [%]" if quantity else "Change [%]"
    return f"{quantity.capitalize()} [times as much]" if quantity else "Ratio [times as much]"


def _digits(ratio: float, ratios: Sequence[float]) -> str:
    """A change with as many digits as can be compared at a glance.

    >>> _digits(1.2164, [1.2164]), _digits(0.9961, [0.9961]), _digits(0.5, [0.5, 2.0])
    ('+21.6', '−0.39', '0.5×')
    """
    if not _in_percent(ratios):
        return f"{ratio:.2f}×" if 0.8 < ratio < 1.25 else f"{short(ratio)}×"
    change = 100 * (ratio - 1)
    text = f"{change:+.3g}" if abs(change) >= 1 else f"{change:+.2f}"
    return text.replace("-", "−")


def _axis(ax: Axes, ratios: Sequence[float]) -> None:
    """A logarithmic axis around 1 with room for all bars and the numbers beside them."""
    low, high = min([1 - _SHOWN, *ratios]), max([1 + _SHOWN, *ratios])
    room = (high / low) ** _ROOM
    low, high = low / room, high * room
    percent = _in_percent(ratios)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator(_percents(low, high) if percent else _times(low, high)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _tick(at, percent=percent)))


def _tick(at: float, *, percent: bool) -> str:
    """A ratio on the axis.

    >>> _tick(0.9, percent=True), _tick(1.0, percent=True), _tick(0.5, percent=False)
    ('−10', '0', '0.5')
    """
    if not percent:
        return f"{at:.3g}" if at >= 1 else f"{at:.2g}"
    return f"{100 * (at - 1):+.3g}".replace("-", "−") if at != 1 else "0"


def _percents(low: float, high: float) -> list[float]:
    """Ratios at round changes.

    >>> _percents(0.85, 1.25)
    [0.9, 1.0, 1.1, 1.2]
    """
    step = next((s for s in _STEPS if (high - low) / s <= _MOST_TICKS), _STEPS[-1])
    first, last = ceil((low - 1) / step), floor((high - 1) / step)
    return [round(1 + i * step, 6) for i in range(first, last + 1)]


def _times(low: float, high: float) -> list[float]:
    """Round ratios on either side of 1, as many as an axis has room for.

    >>> [round(tick, 3) for tick in _times(0.02, 8.0)]
    [0.05, 0.1, 0.2, 0.333, 1.0, 3.0, 5.0]
    """
    gap = log(high / low) / _MOST_TICKS
    found, edge = [1.0], gap / 2
    for tick in _TIMES:
        if log(tick) >= edge + gap / 2:
            found += [at for at in (tick, 1 / tick) if low < at < high]
            edge = log(tick)
    return sorted(found)


def _finding(cases: Mapping[str, Mapping[str, Sequence[Record]]], sides: tuple[str, str]) -> str:
    """The largest change of the first quantity of the first case."""
    case, panels = next(iter(cases.items()))
    quantity, table = next(iter(panels.items()))
    changes = [(abs(log(positive(row, WHAT, side))), str(row["name"]), side, row)
               for row in table for side in _LOOKS if told(row, side)]  # fmt: skip
    if not changes:
        return ""
    _, name, side, row = max(changes, key=lambda change: change[0])
    ratio, how = positive(row, WHAT, side), dict(zip(_LOOKS, sides, strict=True))[side]
    unit = " %" if _in_percent([ratio]) else ""
    of = f" of {case}" if len(cases) > 1 else ""
    return f"Largest change: {name}, {how}: {_digits(ratio, [ratio])}{unit} {quantity}{of}"


def _write(ax: Axes, text: str, x: float, y: float, colour: str) -> None:
    """A word at the end of a bar."""
    right = x >= 1
    ax.annotate(
        text, (x, y), (2 if right else -2, 0), textcoords="offset points", va="center",
        ha="left" if right else "right", fontsize=style.SMALL_PT - 0.5, color=colour,
    )  # fmt: skip
