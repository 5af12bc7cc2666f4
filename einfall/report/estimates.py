"""One estimate for people: totals, what binds and why, and who takes the time and the energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from einfall.report.text import amount, count, facts, page, paragraph, percent, table

if TYPE_CHECKING:
    from einfall.sim.estimate import Estimate
    from einfall.sim.numeric import Number
    from einfall.sim.pipeline_estimate import PipelineEstimate

_IDLE = 0.9
"""Below this part of the time on its busiest resource, an estimate is bound by waiting as well."""


def estimate_text(estimate: Estimate, shape: Mapping[str, Number]) -> str:
    """The answer of `estimate`: totals, the reason, a line for each Einsum and transfer.

    Args:
        estimate: Plain numbers, no sweep.
        shape: Size of every shape key, defaults filled in.
    """
    e = estimate
    how = f", {e.accounting.name} accounting" if e.accounting.published else ""
    title = f"{e.cascade} on {e.machine}, mapping {e.mapping.name}{how}"
    sizes = ", ".join(f"{key} {count(size)}" for key, size in shape.items())
    return page(
        f"{title}\n{paragraph(sizes, '  ')}",
        facts(_totals(e)),
        paragraph(why(e)),
        breakdown(e),
    )


def _totals(e: Estimate) -> list[tuple[str, str]]:
    timing = "closed form" if e.simulation is None else "event simulation"
    cycles = f"{count(round(float(e.cycles)))} cycles at {amount(e.device.clock_hz, 'Hz')}"
    energy = amount(e.energy_j, "J")
    largest = sorted(e.parts_j.items(), key=lambda part: -part[1])[:3]
    shares = [f"{name} {percent(part / e.energy_j)}" for name, part in largest if e.energy_j]
    traffic = [f"{level} {amount(n, 'B')}" for level, n in e.traffic_bytes.items()]
    used = [f"{unit} {percent(part)}" for unit, part in e.utilization.items()]
    phases = [f"{name} {amount(s, 's')}" for name, s in e.phases_s.items()]
    lines = [
        ("latency", f"{amount(e.latency_s, 's')}: {cycles}, {timing}"),
        ("energy", f"{energy}: {', '.join(shares)}" if shares else energy),
        ("traffic", ", ".join(traffic)),
        ("utilization", ", ".join(used)),
        ("phases", ", ".join(phases) if len(phases) > 1 else ""),
        ("bound", e.bound),
    ]
    return [(name, text) for name, text in lines if text]


def why(e: Estimate) -> str:
    """One sentence on what binds: the busiest resource, what it does, and what comes next.

    A resource that is busy for less than 90 % of the time is not the whole reason.
    """
    share = {name: busy / e.latency_s for name, busy in e.busy_s.items()}
    ranked = sorted(share, key=lambda name: -share[name])
    lines = [line for line in e.breakdown if line.unit == e.bound]
    lines.sort(key=lambda line: -line.busy_s)
    most = [f"{x.einsum} {percent(x.busy_s / e.latency_s)}" for x in lines[:3] if x.busy_s]
    text = f"{e.bound} is busy {percent(share[e.bound])} of the time"
    text += f" ({', '.join(most)})" if most else ""
    if len(ranked) > 1:
        text += f"; next is {ranked[1]}, {percent(share[ranked[1]])}"
    if share[e.bound] < _IDLE:
        rest = percent(1 - share[e.bound])
        text += f"; the other {rest} it waits: for phases and steps before it, fill and drain"
    return f"{text}."


def closed_form_text(simulated: PipelineEstimate, closed_s: Number) -> str:
    """The closed form beside the simulation: its time [s] and by how much it differs."""
    off = float(closed_s / simulated.latency_s - 1)
    return f"The closed form says {amount(closed_s, 's')} ({100 * off:+.2f} %)."


def breakdown(e: PipelineEstimate) -> str:
    """A line for each Einsum and transfer; what several groups load or store is one line."""
    busy: dict[tuple[str, str], Number] = {}
    energy: dict[tuple[str, str], Number] = {}
    for line in e.breakdown:
        key = line.einsum, line.unit
        busy[key] = busy.get(key, 0.0) + line.busy_s
        energy[key] = energy.get(key, 0.0) + line.energy_j
    rows = [
        [
            *key,
            amount(spent, "s"),
            percent(spent / e.latency_s),
            amount(energy[key], "J"),
            percent(energy[key] / e.energy_j) if e.energy_j else "",
        ]
        for key, spent in busy.items()
    ]
    header = ["Einsum", "unit", "busy", "of time", "energy", "of energy"]
    return table(header, rows, right={"busy", "of time", "energy", "of energy"})
