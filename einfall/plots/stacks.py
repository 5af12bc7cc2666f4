"""Where the time and the energy of each case go: units beside the one that binds, components."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from einfall.plots import names, style
from einfall.plots.quantity import Quantity, fit_axis
from einfall.plots.records import (
    STACKED_ENERGY,
    STACKED_TIME,
    PlotError,
    Record,
    check_columns,
    column,
    number,
    positive,
    short,
    some,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TIME = Quantity("latency_s", "Time", "s")
ENERGY = Quantity("energy_j", "Energy", "J")

OTHERS = "others"
"""Components of the energy that are too small to be seen, as one."""

_HIDDEN, _WAITING = style.Look(style.WHITE, "////", ""), style.Look(style.WHITE, "", "")
_BINDING = style.Look(style.GREY, "", "")
_CHARACTERS = 34  # in a line of the name of a case
_TALLEST_IN = 8.4  # of all cases
_CASE_IN, _THIN_IN, _THICK_IN = (
    0.12,
    0.115,
    0.2,
)  # between cases, of a hidden unit, of the binding one
_SMALLEST = 0.005  # of the largest total: energies that are shown on their own
_THICK = 0.66  # of a bar of energy, where cases are 1 apart
_SLOTS = 4  # bars that energies leave room for, at least
_ROOM = 1.14  # of an axis, for what is written at the ends of bars
_LIGHT = 0.55  # strength of the colours of hidden units


# Time ---------------------------------------------------------------------------------------------


def time_stack_figure(table: Iterable[Record], *, title: str) -> Figure:
    """`plot_time_stack` as high as its cases need, under what binds them.

    Of many cases only the largest hidden units are drawn, as many as a page has room for.

    Args:
        table: As in `plot_time_stack`.
        title: What is compared, and where.
    """
    cases = _cases(table)
    most = max(len(case.hidden) for case in cases)
    room = (_TALLEST_IN / len(cases) - _CASE_IN - _THICK_IN) / _THIN_IN
    drawn = max(0, min(most, int(room)))
    height = len(cases) * (_CASE_IN + _THICK_IN + drawn * _THIN_IN)
    sheet = style.figure(height=1.3 + max(0.7, height))
    style.panel(_draw_times(cases, sheet.subplots(), drawn), "")
    left_out = f"; the {drawn} busiest hidden units are drawn" if 0 < drawn < most else ""
    style.heading(sheet, title, _times_finding(cases) + (left_out if drawn else ""))
    named = {"binds": _BINDING, "exposed: fill, waits, fixed costs": _WAITING}
    style.legend_below(
        sheet, style.patches(named | ({"hidden behind what binds": _HIDDEN} if drawn else {}))
    )
    return sheet


def plot_time_stack(table: Iterable[Record], ax: Axes) -> Axes:
    """A thick bar for each case, its latency, and a thin one for each unit that hides behind it.

    The thick bar begins with the busy time of the unit that binds, solid; what is left of the
    latency is exposed: fill, drain, waits and fixed costs, in white. Thin bars of the other units,
    hatched as they are hidden, stand below, the busiest on top, each with its name. Of a bound that
    is none of the units, such as loads and stores together, only the name is known.

    Args:
        table: Records with the columns `records.STACKED_TIME`: case, unit, its busy_s, and
            latency_s and bound of the case, which all its records repeat.
        ax: Where to draw.

    Raises:
        PlotError: There is no record, a column is lacking, a latency is not above 0 or a busy time
            below 0, or the records of a case differ in what they should repeat.
    """
    cases = _cases(table)
    return _draw_times(cases, ax, max(len(case.hidden) for case in cases))


@dataclass(frozen=True, slots=True)
class _Case:
    """A bar of the stack of times; hidden units by their busy time, the largest first [s]."""

    name: str
    latency_s: float
    bound: str
    busy_s: float
    hidden: Mapping[str, float]


def _cases(table: Iterable[Record]) -> list[_Case]:
    rows = some(table, "time stack")
    check_columns(rows, "time stack", STACKED_TIME)
    return [_case([r for r in rows if str(r["case"]) == name]) for name in column(rows, "case")]


def _case(rows: Sequence[Record]) -> _Case:
    name, bound = str(rows[0]["case"]), str(rows[0]["bound"])
    latency = positive(rows[0], "time stack", "latency_s")
    if any((r["latency_s"], r["bound"]) != (rows[0]["latency_s"], rows[0]["bound"]) for r in rows):
        raise PlotError(f"time stack: {name}: want one latency_s and one bound, found several")
    busy: dict[str, float] = {}
    for row in rows:
        unit, found = str(row["unit"]), number(row, "time stack", "busy_s")
        if found < 0:
            raise PlotError(f"time stack: {name}: {unit}: want busy_s from 0, found {found:g}")
        busy[unit] = busy.get(unit, 0.0) + found
    others = sorted((unit for unit in busy if unit != bound), key=lambda unit: -busy[unit])
    return _Case(name, latency, bound, busy.get(bound, 0.0), {unit: busy[unit] for unit in others})


def _draw_times(cases: Sequence[_Case], ax: Axes, drawn: int) -> Axes:
    """The bars, with so many hidden units each; lengths up are in inches, as bars have them."""
    units = sorted({unit for case in cases for unit in (case.bound, *case.hidden)})
    looks = style.resource_looks(units)
    longest = max(max(case.latency_s, case.busy_s, *case.hidden.values(), 0.0) for case in cases)
    fit_axis(ax, "x", TIME, [longest], log=False)
    ax.set_xlim(0, _ROOM * longest)
    each = _THICK_IN + drawn * _THIN_IN + _CASE_IN
    tops = [i * each for i in range(len(cases))]
    for case, top in zip(cases, tops, strict=True):
        _draw_latency(case, ax, top + _THICK_IN / 2, looks[case.bound].colour)
        for i, (unit, busy) in enumerate(list(case.hidden.items())[:drawn]):
            y = top + _THICK_IN + (i + 0.5) * _THIN_IN
            pale = style.Look(style.tint(looks[unit].colour, _LIGHT), _HIDDEN.hatch, "")
            ax.barh(y, busy, 0.8 * _THIN_IN, **pale.box())
            _write(ax, f"{unit} {_share(busy, case)}", (busy, y))
    ax.set_ylim(len(cases) * each - _CASE_IN / 2, -_CASE_IN)
    named = [names.in_lines(case.name, _CHARACTERS) for case in cases]
    ax.set_yticks([top + _THICK_IN / 2 for top in tops], named)
    style.dress(ax, title="Time by unit", x=ax.get_xlabel(), grid="x")
    ax.tick_params(axis="y", length=0)
    return ax


def _draw_latency(case: _Case, ax: Axes, y: float, colour: str) -> None:
    """The thick bar, with the name of what binds in it, or behind it where it is short."""
    ax.barh(y, case.busy_s, _THICK_IN, **style.Look(colour, "", "").box())
    rest = max(0.0, case.latency_s - case.busy_s)
    ax.barh(y, rest, _THICK_IN, case.busy_s, **_WAITING.box())
    text, total = f"{case.bound} {_share(case.busy_s, case)}", TIME.text(case.latency_s)
    if not case.busy_s:
        text = f"bound by {case.bound}"
    width_pt = 72 * style.room_in(ax)[0] * case.busy_s / ax.get_xlim()[1]
    if width_pt > style.CHARACTER_EM * style.SMALL_PT * (len(text) + 2):
        ax.text(case.busy_s / 2, y, text, fontsize=style.SMALL_PT, color=style.ink(colour),
                ha="center", va="center")  # fmt: skip
    else:
        total = f"{total} · {text}"
    _write(ax, total, (max(case.latency_s, case.busy_s), y), bold=True)


def _share(busy_s: float, case: _Case) -> str:
    return f"{short(100 * busy_s / case.latency_s)} %"


def _times_finding(cases: Sequence[_Case]) -> str:
    """Where the case that exposes most of its time stands, and the fastest."""
    known = [case for case in cases if case.busy_s] or cases
    worst = min(known, key=lambda case: case.busy_s / case.latency_s)
    part = 100 * max(0.0, 1 - worst.busy_s / worst.latency_s)
    exposed = f"{short(part)} % of the time is exposed beyond {worst.bound}"
    if len(cases) == 1:
        return exposed
    fastest = min(cases, key=lambda case: case.latency_s)
    return (
        f"{names.brief(fastest.name)} is fastest, {TIME.text(fastest.latency_s)}, bound by "
        f"{fastest.bound}; in {names.brief(worst.name)} {exposed}"
    )


# Energy -------------------------------------------------------------------------------------------


def energy_stack_figure(table: Iterable[Record], *, title: str) -> Figure:
    """`plot_energy_stack` as high as its cases need, under the case that takes least.

    Args:
        table: As in `plot_energy_stack`.
        title: What is compared, and where.
    """
    rows = some(table, "energy stack")
    bars = _bars(rows)
    sheet = style.figure(height=1.5 + 0.24 * max(_SLOTS, len(bars)))
    ax = plot_energy_stack(rows, sheet.subplots())
    style.panel(ax, "")
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    style.heading(sheet, title, _energy_finding(bars))
    style.legend_below(sheet, style.patches(_energy_looks(_shown(bars))))
    return sheet


def plot_energy_stack(table: Iterable[Record], ax: Axes) -> Axes:
    """A bar for each case, its energy by component, the total at its end.

    Components below half a percent of the largest total are drawn as one, "others".

    Args:
        table: Records with the columns `records.STACKED_ENERGY`: case, component, energy_j.
        ax: Where to draw; the legend stands beside it.

    Raises:
        PlotError: There is no record, a column is lacking, an energy is no number or below 0, or
            all are 0.
    """
    bars = _shown(_bars(table))
    looks = _energy_looks(bars)
    totals = [sum(bar.values()) for bar in bars.values()]
    ends = [0.0] * len(bars)
    for component, look in looks.items():
        lengths = [bar.get(component, 0.0) for bar in bars.values()]
        ax.barh(range(len(bars)), lengths, _THICK, ends, **look.box())
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for y, (end, total) in enumerate(zip(ends, totals, strict=True)):
        _write(ax, ENERGY.text(total), (end, y), bold=True)
    fit_axis(ax, "x", ENERGY, totals, log=False)
    spare = max(0.0, _SLOTS - len(bars)) / 2
    ax.set(xlim=(0, _ROOM * max(totals)), ylim=(len(bars) - 0.5 + spare, -0.5 - spare))
    ax.set_yticks(range(len(bars)), [names.in_lines(name, _CHARACTERS) for name in bars])
    style.legend_beside(ax, style.patches(looks))
    style.dress(ax, title="Energy by component", x=ax.get_xlabel(), grid="x")
    ax.tick_params(axis="y", length=0)
    return ax


def _bars(table: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Energy by component of each case [J]."""
    rows = some(table, "energy")
    check_columns(rows, "energy", STACKED_ENERGY)
    bars: dict[str, dict[str, float]] = {}
    for row in rows:
        energy, component = number(row, "energy", "energy_j"), str(row["component"])
        if energy < 0:
            where = f"{row['case']}, {component}"
            raise PlotError(f"energy: {where}: want energy_j from 0, found {energy:g}")
        bar = bars.setdefault(str(row["case"]), {})
        bar[component] = bar.get(component, 0.0) + energy
    if not any(sum(bar.values()) for bar in bars.values()):
        raise PlotError("energy: want an energy above 0, found 0 everywhere")
    return bars


def _shown(bars: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The bars with their small components as one."""
    large = _SMALLEST * max(sum(bar.values()) for bar in bars.values())
    kept = {name for bar in bars.values() for name, energy in bar.items() if energy >= large}
    return {case: _gathered(bar, kept) for case, bar in bars.items()}


def _gathered(bar: Mapping[str, float], kept: Collection[str]) -> dict[str, float]:
    others = sum(energy for component, energy in bar.items() if component not in kept)
    return {c: e for c, e in bar.items() if c in kept} | ({OTHERS: others} if others else {})


def _energy_looks(bars: Mapping[str, Mapping[str, float]]) -> dict[str, style.Look]:
    """Looks from the left to the right; the small components stand last, in white."""
    components = dict.fromkeys(component for bar in bars.values() for component in bar)
    looks = style.looks(component for component in components if component != OTHERS)
    if OTHERS in components:
        looks[OTHERS] = style.Look(style.WHITE, "", "o")
    return looks


def _energy_finding(bars: Mapping[str, Mapping[str, float]]) -> str:
    """The case that takes least, and its largest component."""
    totals = {case: sum(bar.values()) for case, bar in bars.items()}
    least = min(totals, key=totals.__getitem__)
    bar = bars[least]
    largest = max(bar, key=bar.__getitem__)
    part = f", {short(100 * bar[largest] / totals[least])} % {largest}" if totals[least] else ""
    told = f"{ENERGY.text(totals[least])}{part}"
    if len(totals) == 1:
        return told
    most = max(totals, key=totals.__getitem__)
    return (
        f"{names.brief(least)} takes least ({told}), {names.brief(most)} most "
        f"({ENERGY.text(totals[most])})"
    )


def _write(ax: Axes, text: str, at: tuple[float, float], *, bold: bool = False) -> None:
    """Text behind the end of a bar."""
    ax.annotate(
        text, at, (3, 0), textcoords="offset points", va="center",
        fontsize=style.SMALL_PT if bold else style.SMALL_PT - 1,
        fontweight="bold" if bold else "normal",
    )  # fmt: skip
