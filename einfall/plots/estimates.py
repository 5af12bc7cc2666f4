"""Where the energy and the time of an Estimate go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from einfall.plots import style
from einfall.plots.records import PlotError, Record, column, number, some
from einfall.plots.stacks import plot_energy_stack
from einfall.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from einfall.sim.estimate import Estimate

BESIDE = "beside another unit"
"""Time of a unit while a task that is shown on another one uses it too."""

_ROUNDING = 1e-9


def energy_table(estimates: Iterable[Estimate]) -> list[Record]:
    """Energy by component: the operations and the registers of each unit, the buffer, DRAM.

    Returns:
        Records of mapping, cascade, machine, component and energy_j, by estimate.

    Raises:
        PlotError: No estimate, or one of a sweep, whose numbers are arrays.
    """
    table: list[Record] = []
    for estimate in some(estimates, "energy"):
        whose = {"mapping": estimate.mapping.name, "cascade": estimate.cascade,
                 "machine": estimate.machine}  # fmt: skip
        components: dict[str, float] = {}
        for part, energy in estimate.parts_j.items():
            name = _component(part)
            components[name] = components.get(name, 0.0) + _plain(energy, f"energy of {part}")
        table += [{**whose, "component": c, "energy_j": e} for c, e in components.items()]
    return table


def plot_energy(estimates: Iterable[Estimate], ax: Axes) -> Axes:
    """`plot_energy_stack` of estimates, which are named by what tells them apart."""
    answers = some(estimates, "energy")
    names = _names(answers)
    bars = zip(names, (energy_table([estimate]) for estimate in answers), strict=True)
    return plot_energy_stack(({**row, "case": name} for name, bar in bars for row in bar), ax)


def unit_table(estimate: Estimate) -> list[Record]:
    """Busy time of each unit by Einsum or transfer.

    A unit may be in use beside the unit on which a task is shown, as the buffer is while the array
    reads it; that time is one record, "beside another unit".

    Returns:
        Records of unit, einsum and busy_s, by unit.

    Raises:
        PlotError: The estimate is of a sweep, whose numbers are arrays.
    """
    table: list[Record] = []
    for unit, total in estimate.busy_s.items():
        lines = [line for line in estimate.breakdown if line.unit == unit]
        times = {n.einsum: _plain(n.busy_s, f"busy time of {n.einsum}") for n in lines}
        whole = _plain(total, f"busy time of {unit}")
        left = whole - sum(times.values())
        if left > _ROUNDING * whole:
            times[BESIDE] = left
        table += [{"unit": unit, "einsum": e, "busy_s": t} for e, t in times.items()]
    return some(table, "time by unit")


def plot_units(estimate: Estimate, ax: Axes) -> Axes:
    """A bar for each unit: its busy time by Einsum, against the latency; the bound is in bold.

    The number after a bar is the part of the latency for which the unit is in use.
    """
    table = unit_table(estimate)
    latency = _plain(estimate.latency_s, "latency")
    scale, prefixed = style.prefix(latency, "s")
    lanes = {name: -i for i, name in enumerate(column(table, "unit"))}
    shown = column(table, "einsum")
    # In the order of the cascade, so that an Einsum looks as it does on the timeline.
    looks = _einsum_looks([n.einsum for n in estimate.breakdown if n.einsum in shown], shown)
    right = dict.fromkeys(lanes, 0.0)
    for row in table:
        unit, busy = str(row["unit"]), number(row, "time by unit", "busy_s") / scale
        ax.barh(lanes[unit], busy, 0.7, right[unit], **looks[str(row["einsum"])].box())
        right[unit] += busy
    for unit, end in right.items():
        text = f"{100 * end * scale / latency:.3g} %"
        ax.annotate(text, (end, lanes[unit]), (3, 0), textcoords="offset points",
                    fontsize=style.SMALL_PT, va="center",
                    bbox={"facecolor": style.WHITE, "edgecolor": "none", "pad": 0.8})  # fmt: skip
    ax.axvline(latency / scale, color=style.BLACK, linewidth=style.LINE_PT, linestyle="--")
    ax.set_yticks(list(lanes.values()), list(lanes))
    for name in ax.get_yticklabels():
        name.set_fontweight("bold" if name.get_text() == estimate.bound else "normal")
    ax.set_xlim(0, 1.12 * max(latency / scale, *right.values()))
    style.legend_beside(ax, style.patches(looks))
    ax.tick_params(axis="y", length=0)
    title = f"Busy time of each unit against the latency, {format_quantity(latency, 's')} (dashed)"
    return style.dress(ax, title=title, x=f"Time [{prefixed}]")


def _component(part: str) -> str:
    """What a part of the energy belongs to: registers are a component beside their unit."""
    component, _, action = part.partition(".")
    return f"{component} registers" if action.startswith("register_") else component


def _plain(value: object, what: str) -> float:
    try:
        return float(value)  # ty: ignore[invalid-argument-type]
    except TypeError:
        raise PlotError(
            f"{what}: want one number, found an array; draw one estimate of the sweep at a time"
        ) from None


def _einsum_looks(einsums: Iterable[str], shown: Collection[str]) -> dict[str, style.Look]:
    looks = style.task_looks(einsums)
    if BESIDE in shown:
        looks[BESIDE] = style.Look(style.WHITE, "....", "o")
    return looks


def _names(estimates: Sequence[Estimate]) -> list[str]:
    """Names of the bars: whatever tells the estimates apart."""
    facts = [(e.mapping.name, e.cascade, e.machine) for e in estimates]
    telling = [i for i, values in enumerate(zip(*facts, strict=True)) if len(set(values)) > 1]
    return [", ".join(fact[i] for i in telling or [0]) for fact in facts]
