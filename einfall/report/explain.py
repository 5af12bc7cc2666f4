"""Every term of an estimate: equation, numbers, result, and where each constant comes from.

The terms are read off the Pipeline that was evaluated, not written down a second time: whatever
is lowered, on any machine, explains itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING, Any

from einfall.einsum_cascades.counts import ops_per_point
from einfall.hw_models.constants import Constant, constants
from einfall.report.text import amount, count, page, table
from einfall.sim.closed_form import phase_terms, phase_time_s
from einfall.sim.estimate import action_energy_j
from einfall.sim.nest import Factor, Work
from einfall.sim.numeric import maximum
from einfall.sim.pipeline import Count, Phase, Pipeline, Task, Use, busy_s
from einfall.sim.schedule import steps

if TYPE_CHECKING:
    from einfall.einsum_cascades.einsum import Cascade
    from einfall.hw_models import SpatialArray
    from einfall.sim.estimate import Estimate
    from einfall.sim.numeric import Number


@dataclass(frozen=True, slots=True)
class Term:
    """One term: what it is of (an Einsum, a transfer, a group), its equation and its value.

    In the equation a rank stands for its extent within one execution, on full tiles.

    `constants` are paths of the machine; each has its source in `explain`'s list of constants.
    """

    of: str
    name: str
    equation: str
    numbers: str
    value: Number
    unit: str
    constants: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The value as people write it."""
        return amount(self.value, self.unit) if self.unit else count(self.value)

    def record(self) -> dict[str, Any]:
        """The term for JSON."""
        return {
            "of": self.of,
            "term": self.name,
            "equation": self.equation,
            "numbers": self.numbers,
            "value": float(self.value),
            "unit": self.unit,
            "constants": list(self.constants),
        }


@dataclass(frozen=True)
class Explanation:
    """The terms of an estimate, and the constants that they rest on, by path."""

    terms: tuple[Term, ...]
    constants: Mapping[str, Constant]

    def record(self) -> dict[str, Any]:
        """The keys that `--explain` adds to the JSON document."""
        return {
            "terms": [term.record() for term in self.terms],
            "constants": [constant.record() for constant in self.constants.values()],
        }

    def text(self) -> str:
        """The terms by what they are of, then the constants."""
        of = dict.fromkeys(term.of for term in self.terms)
        blocks = [_block(name, [t for t in self.terms if t.of == name]) for name in of]
        rows = [[c.path, c.text, c.source.status, c.source.text] for c in self.constants.values()]
        header = ["constant", "value", "status", "source"]
        return page(*blocks, "Constants\n" + table(header, rows))


def explain(cascade: Cascade, estimate: Estimate) -> Explanation:
    """Every term of an estimate.

    Args:
        cascade: What was estimated.
        estimate: The answer, plain numbers; its pipeline has all that was lowered.

    Returns:
        The terms of each Einsum and transfer, of each group, and of the whole.
    """
    reader = _Reader(cascade, estimate.device, frozenset(estimate.parts_j))
    terms = [
        *(
            replace(term, of=_name(estimate.pipeline, phase, task))
            for phase, task in estimate.pipeline.tasks()
            for term in reader.task(phase, task)
        ),
        *(term for phase in estimate.pipeline.phases for term in reader.phase(phase)),
        *_whole(estimate),
    ]
    known = constants(estimate.device)
    used = {path for term in terms for path in term.constants}
    return Explanation(tuple(terms), {path: known[path] for path in known if path in used})


def _name(pipeline: Pipeline, phase: Phase, task: Task) -> str:
    """Name of a task; with that of its group where there are several."""
    return task.name if len(pipeline.phases) == 1 else f"{task.name} (group {phase.name})"


@dataclass(frozen=True, slots=True)
class _Rate:
    """What a resource works on, and how long one piece takes [s], as a number and in words."""

    what: str
    each_s: Number
    equation: str
    numbers: str
    constants: tuple[str, ...]


@dataclass(frozen=True)
class _Reader:
    """Reads terms off tasks; `paid` are the actions whose energy is charged."""

    cascade: Cascade
    machine: SpatialArray
    paid: frozenset[str]

    def task(self, phase: Phase, task: Task) -> Iterator[Term]:
        yield self._executions(phase, task)
        if task.resource in self.machine.units:
            yield self._cycles_a_point(task)
        for use in task.uses:
            yield self._busy(phase, task, use)
        if task.latency_s:
            yield self._latency(task)
        for counted in task.counts:
            yield self._energy(phase, task, counted)

    def _executions(self, phase: Phase, task: Task) -> Term:
        """How often a task runs: the trips of the loops that it is in."""
        ranks = dict.fromkeys(loop.rank for loop in phase.nest.loops if loop.name in task.at)
        trips = {rank: phase.nest.trips(rank, task.at) for rank in ranks}
        several = [rank for rank, n in trips.items() if n != 1]
        symbols = _product(_cut(rank, phase.nest.tile(rank, task.at)) for rank in several)
        numbers = _product(count(trips[rank]) for rank in several)
        equation = symbols if several else "once"
        return Term(task.name, "executions", equation, numbers, phase.executions(task), "")

    def _cycles_a_point(self, task: Task) -> Term:
        """Cycles of one point: dedicated ops one after the other, or the slowest of them."""
        unit, at = self.machine.units[task.resource], f"units.{task.resource}"
        done = {c.action: c.amount.coefficient for c in task.counts if c.component == task.resource}
        ops = {kind: n for kind, n in done.items() if kind in unit.ops}
        value = task.uses[0].busy_s.coefficient * self.machine.clock_hz
        serial = float(sum(n * unit.ops[kind].cycles for kind, n in ops.items()))
        chained = len(ops) > 1 and not isclose(float(value), serial)
        equation = "slowest of ops · cycles each: " if chained else "sum of ops · cycles each: "
        equation += ", ".join(f"{n:g} {kind}" for kind, n in ops.items()) or "a copy"
        terms = [f"{n:g}·{unit.ops[kind].cycles:g}" for kind, n in ops.items()] or ["1"]
        numbers = f"max({', '.join(terms)})" if chained else " + ".join(terms)
        einsum = self.cascade.by_name.get(task.name)
        kinds = ops_per_point(einsum) if einsum else {}
        composed = [f"{at}.ops.{k}" for k in kinds if k in unit.ops and unit.ops[k].parts]
        paths = (f"{at}.issue", *composed)
        return Term(task.name, "cycles a point", equation, numbers, value, "", paths)

    def _busy(self, phase: Phase, task: Task, use: Use) -> Term:
        """Time on a resource: work over all executions · time of one piece of it."""
        rate = self._rate(use.resource)
        value = use.busy_s.total(phase.nest, task.at)
        pieces = Work(use.busy_s.coefficient / rate.each_s, use.busy_s.factors)
        symbols, numbers = _work(pieces, phase, task.at)
        equation = f"{rate.what} {rate.equation}, {rate.what} = {symbols}"
        name = f"busy on {use.resource}"
        numbers = f"{numbers} {rate.numbers}"
        return Term(task.name, name, equation, numbers, value, "s", rate.constants)

    def _rate(self, resource: str) -> _Rate:
        """What a resource works on, and how long one piece of it takes."""
        dram, buffer, clock_hz = self.machine.dram, self.machine.buffer, self.machine.clock_hz
        clock, word = amount(clock_hz, "Hz"), self.machine.word_bytes
        if resource == "dram":
            numbers = f"· {amount(word, 'B')} / {amount(dram.bandwidth_bytes_per_s, 'B/s')}"
            each_s = word / dram.bandwidth_bytes_per_s
            constants = ("word", "dram.bandwidth")
            return _Rate("words", each_s, "· word / dram.bandwidth", numbers, constants)
        if resource == "buffer":
            constants = ("buffer.ports", "buffer.row", "word", "clock")
            equation, numbers = "/ (ports · clock)", f"/ ({buffer.ports} · {clock})"
            return _Rate("rows", 1 / (buffer.ports * clock_hz), equation, numbers, constants)
        return _Rate("cycles", 1 / clock_hz, "/ clock", f"/ {clock}", ("clock",))

    def _latency(self, task: Task) -> Term:
        """Time until a result has left its array; it counts where something waits for it."""
        cycles = count(round(float(task.latency_s * self.machine.clock_hz)))
        equation = "cycles across the array / clock, in each execution"
        numbers = f"{cycles} / {amount(self.machine.clock_hz, 'Hz')}"
        return Term(task.name, "latency", equation, numbers, task.latency_s, "s", ("clock",))

    def _energy(self, phase: Phase, task: Task, counted: Count) -> Term:
        """Energy of one kind of action: how many · energy of each."""
        at = task.at if counted.at is None else counted.at
        key = (counted.component, counted.action)
        each = action_energy_j(self.machine, *key)
        paid = ".".join(key) in self.paid
        n = counted.amount.total(phase.nest, at)
        paths = _energy_paths(*key)
        symbols, numbers = _work(counted.amount, phase, at)
        equation = f"n · {_each(paths)}, n = {symbols}"
        numbers = f"{numbers} · {amount(each, 'J')}"
        numbers += "" if paid else ", which the published accounting leaves out"
        name = f"energy of {'.'.join(key)}"
        return Term(task.name, name, equation, numbers, n * each if paid else 0.0, "J", paths)

    def phase(self, phase: Phase) -> Iterator[Term]:
        """Time of a group in the closed form, and what is charged to it as a whole."""
        of = f"group {phase.name}"
        yield self._steps(of, phase)
        total = busy_s(phase)
        sums = ", ".join(f"{name} {amount(s, 's')}" for name, s in total.items())
        busiest = maximum(*total.values())
        yield Term(of, "busiest", "max over resources of their busy time", sums, busiest, "s")
        yield self._phase_time(of, phase, total)
        for key, n in phase.charges.items():
            each, paths = action_energy_j(self.machine, *key), _energy_paths(*key)
            equation = f"n · {_each(paths)}, n as published"
            numbers = f"{count(n)} · {amount(each, 'J')}"
            yield Term(of, f"energy of {'.'.join(key)}", equation, numbers, n * each, "J", paths)

    def _steps(self, of: str, phase: Phase) -> Term:
        """Innermost iterations of the nest, and its loops."""
        nest = phase.nest
        loops = [f"{x.name}: {x.rank} by {count(nest.tile(x.rank, [x.name]))}" for x in nest.loops]
        sizes = [f"{rank} {count(n)}" for rank, n in nest.extents.items()]
        numbers = ", ".join(sizes)
        return Term(of, "steps", ", ".join(loops) or "no loop", numbers, steps(nest), "")

    def _phase_time(self, of: str, phase: Phase, total: Mapping[str, Number]) -> Term:
        value = phase_time_s(phase)
        if phase.stages:
            stages = " | ".join(", ".join(stage) for stage in phase.stages)
            equation = "sum over lock-step stages of their busiest unit, not less than the busiest"
            return Term(of, "closed form", equation, stages, value, "s")
        if phase.ideal:
            return Term(of, "closed form", "busiest: all overlap", "", value, "s")
        terms = phase_terms(phase)
        # A single step leaves nothing but rounding.
        busiest = terms.busiest if terms.busiest > 1e-9 * value else 0.0
        parts = [("total - one step of each resource", busiest)]
        if phase.in_flight is not None:
            interval = f"steps after the first · interval with {phase.in_flight} in flight"
            parts.append((interval, terms.windowed))
        if terms.recurrent > max(terms.busiest, terms.windowed):
            parts.append(("updates of a running value that wait for each other", terms.recurrent))
        equation = f"max({', '.join(text for text, _ in parts)}) + one step from end to end"
        numbers = ", ".join(amount(s, "s") for _, s in parts)
        numbers = f"max({numbers})" if len(parts) > 1 else numbers
        numbers += f" + {amount(terms.chain, 's')}"
        return Term(of, "closed form", equation, numbers, value, "s")


def _whole(e: Estimate) -> Iterator[Term]:
    """Latency, cycles and energy of the whole."""
    how = "closed form" if e.simulation is None else "simulated"
    times = " + ".join(amount(s, "s") for s in e.phases_s.values())
    yield Term("whole", "latency", f"sum over groups, {how}", times, e.latency_s, "s")
    clock = amount(e.device.clock_hz, "Hz")
    latency = f"{amount(e.latency_s, 's')} · {clock}"
    yield Term("whole", "cycles", "latency · clock", latency, e.cycles, "", ("clock",))
    parts = " + ".join(f"{name} {amount(j, 'J')}" for name, j in e.parts_j.items())
    yield Term("whole", "energy", "sum over actions", parts, e.energy_j, "J")


def _energy_paths(component: str, action: str) -> tuple[str, ...]:
    """Paths of the constants that give the energy of an action and say what an action is."""
    if component == "dram":
        return ("dram.access_energy", "dram.access", "word")
    if component == "buffer":
        return (f"buffer.{action}_energy", "buffer.row", "word")
    if action.startswith("register_"):
        return (f"units.{component}.registers.{action.removeprefix('register_')}_energy",)
    return (f"units.{component}.ops.{action}.energy",)


def _each(paths: tuple[str, ...]) -> str:
    """Energy of one action in symbols: a DRAM byte is a part of an access."""
    return "dram.access_energy / dram.access" if "dram.access" in paths else paths[0]


def _work(work: Work, phase: Phase, at: tuple[str, ...]) -> tuple[str, str]:
    """An amount over all executions in symbols and in numbers, factors of one left out.

    Symbols are extents within one execution, on full tiles. Where the last tiles are smaller, the
    exact sum stands beside the product.
    """
    inside = {rank: phase.nest.tile(rank, at) for f in work.factors for rank in f.ranks}
    factors = [(f, f.value(inside)) for f in work.factors]
    several = [(f, n) for f, n in factors if n != 1]
    times = Work(1).total(phase.nest, at)
    lead = [] if work.coefficient == 1 else [_fraction(work.coefficient)]
    symbols = _product([*lead, *(_factor(f, inside) for f, _ in several), "executions"])
    numbers = _product([*lead, *(count(n) for _, n in several), count(times)])
    full, exact = work.once(phase.nest, at) * times, work.total(phase.nest, at)
    if not isclose(float(full), float(exact)):
        numbers = f"({numbers} less what the last tiles lack: {count(exact)})"
    return symbols, numbers


def _factor(factor: Factor, inside: Mapping[str, Number]) -> str:
    ranks = [rank for rank in factor.ranks if inside[rank] != 1]
    return _cut("·".join(ranks or factor.ranks), factor.divisor or 1)


def _cut(symbol: str, tile: Number) -> str:
    return symbol if tile == 1 else f"⌈{symbol}/{tile:g}⌉"


def _fraction(x: Number) -> str:
    """A number, as one over a whole number where it is that.

    >>> _fraction(0.00390625), _fraction(2.0)
    ('1/256', '2')
    """
    one_over = 1 / float(x) if x else 0.0
    return f"1/{one_over:.0f}" if one_over > 1 and one_over % 1 == 0 else f"{x:.6g}"


def _product(factors: Iterable[str]) -> str:
    return " · ".join(factors) or "1"


def _block(name: str, terms: Iterable[Term]) -> str:
    lines = [name]
    for term in terms:
        lines += [f"  {term.name} = {term.equation}", f"    = {term.numbers} = {term.result}"]
    return "\n".join(lines)
