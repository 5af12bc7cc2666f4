"""The tornado: what each number of a machine does to time and energy, the largest effect on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

from einfall.plots import style
from einfall.plots.records import SENSITIVITY, PlotError, Record, check_columns, number, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 20
"""Bars of a figure, in all its panels; those of the smallest effects are left out."""

QUANTITIES: Mapping[str, str] = {"latency": "Change of time [%]", "energy": "Change of energy [%]"}

_LOOKS = {"low": style.Look(style.ORANGE, "///", "v"), "high": style.Look(style.BLUE, "", "^")}
_THICK = 0.38  # of each of the two bars of a number, where numbers are 1 apart
_AT = {"low": -_THICK / 2, "high": _THICK / 2}
_WIDE = 100.0  # percent: beyond this the axis becomes logarithmic
_LINEAR = 10.0  # percent: up to this it then stays linear
_ROOM = 12.0  # times: how far a logarithmic axis goes on, for the numbers beside the bars
_SHOWN = 0.005  # percent: no bar and no number below
_LINE = 100  # characters in a line of the title of a figure


def plot_sensitivity(table: Iterable[Record], ax: Axes, quantity: str) -> Axes:
    """Two bars for each number, from 0 to the change with less of it and with more of it.

    Where a change exceeds 100 %, the axis is logarithmic beyond 10 %. A side to which a number may
    not be moved says so instead of having a bar.

    Args:
        table: Records with the columns `records.SENSITIVITY`, the largest effect first; changes are
            parts (0.25 for +25 %), None where the machine refuses the value.
        ax: Where to draw.
        quantity: "latency" or "energy".

    Raises:
        PlotError: There is no record, a column is lacking, or such a quantity.
    """
    if quantity not in QUANTITIES:
        known = " or ".join(QUANTITIES)
        raise PlotError(f"sensitivity: want the quantity {known}, found {quantity!r}")
    rows = some(table, "sensitivity")
    check_columns(rows, "sensitivity", SENSITIVITY)
    _axis(ax, [c for row in rows for side in _LOOKS if (c := _percent(row, quantity, side))])
    for at, row in enumerate(rows):
        for side, look in _LOOKS.items():
            change, y = _percent(row, quantity, side), at + _AT[side]
            if change is None:
                _write(ax, "refused", 0.0, y, style.GREY)
            elif abs(change) >= _SHOWN:
                ax.barh(y, change, _THICK, **look.box())
                _write(ax, _digits(change), change, y, style.BLACK)
    ax.axvline(0.0, color=style.BLACK, linewidth=style.HAIR_PT)
    ax.set_yticks(range(len(rows)), [f"{row['path']}  {row['text']}" for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    style.dress(ax, title="", x=QUANTITIES[quantity], grid="x")
    ax.tick_params(axis="y", length=0)
    return ax


def sensitivity_figure(
    panels: Mapping[str, Sequence[Record]], *, share: float, machine: str
) -> Figure:
    """Time and energy side by side, a row of panels for each cascade.

    Args:
        panels: The records of each cascade, as in `plot_sensitivity`; one without any says so.
        share: By what part each number is moved.
        machine: What is moved, for the title.

    Raises:
        PlotError: There is no cascade.
    """
    some(panels, "sensitivity")
    each = max(5, MOST // len(panels))
    shown = {cascade: _largest(rows, each) for cascade, rows in panels.items()}
    heights = [max(1.6, 0.8 + 0.3 * len(rows)) for rows in shown.values()]
    sheet = style.figure(height=0.9 + sum(heights))
    axes = sheet.subplots(len(shown), 2, sharey="row", squeeze=False, height_ratios=heights)
    for (cascade, rows), pair in zip(shown.items(), axes, strict=True):
        for ax, quantity in zip(pair, QUANTITIES, strict=True):
            if rows:
                plot_sensitivity(rows, ax, quantity)
            else:
                style.bare(ax, title="no number changes anything")
        left_out = len(panels[cascade]) - len(rows)
        more = f", {left_out} smaller effects left out" if left_out else ""
        style.panel(pair[0], f"{cascade}{more}")
    what = f"What each number of {machine} changes, moved by {100 * share:.3g} %"
    style.title(sheet, "\n".join(wrap(what, _LINE)))
    named = {
        f"{100 * share:.3g} % less": _LOOKS["low"],
        f"{100 * share:.3g} % more": _LOOKS["high"],
    }
    style.legend_below(sheet, style.patches(named))
    return sheet


def _largest(rows: Sequence[Record], most: int) -> list[Record]:
    """So many records of the largest changes of time or energy, in the order in which they come."""

    def change(row: Record) -> float:
        names = (f"{quantity}_{side}" for quantity in QUANTITIES for side in _LOOKS)
        found = [number(row, "sensitivity", name) for name in names if row[name] is not None]
        return max(map(abs, found), default=0.0)

    kept = sorted(range(len(rows)), key=lambda at: -change(rows[at]))[:most]
    return [rows[at] for at in sorted(kept)]


def _percent(row: Record, quantity: str, side: str) -> float | None:
    """The change in percent; None where the machine refuses it."""
    name = f"{quantity}_{side}"
    return None if row[name] is None else 100 * number(row, "sensitivity", name)


def _axis(ax: Axes, changes: Sequence[float]) -> None:
    """Room for all changes and the numbers beside them."""
    low, high = min(changes, default=0.0), max(changes, default=0.0)
    least, most = min(low, 0.0), max(high, 0.0)
    if max(most, -least) > _WIDE:
        ax.set_xscale("symlog", linthresh=_LINEAR)
        ax.xaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=_LINEAR))
        ax.set_xlim(_ROOM * min(least, -_LINEAR), _ROOM * max(most, _LINEAR))
    else:
        room = 0.22 * max(most - least, 2 * _SHOWN)
        ax.set_xlim(least - room, most + room)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _digits(change: float) -> str:
    """A change with its sign and as many digits as can be compared at a glance.

    >>> _digits(1261.6), _digits(-16.667), _digits(0.0403)
    ('+1262', '-16.7', '+0.04')
    """
    if abs(change) >= 999.5:
        return f"{change:+.0f}"
    return f"{change:+.3g}" if abs(change) >= 1 else f"{change:+.2f}"


def _write(ax: Axes, text: str, x: float, y: float, colour: str) -> None:
    """A word at the end of a bar."""
    right = x >= 0
    ax.annotate(
        text, (x, y), (2 if right else -2, 0), textcoords="offset points", va="center",
        ha="left" if right else "right", fontsize=style.SMALL_PT - 1, color=colour,
    )  # fmt: skip
