"""The one intermediate form of every machine: phases of looped steps, steps of tasks on resources.

A *step* is one innermost iteration of a phase's loop nest. Its *tasks* take time on named
resources, depend on each other (also across iterations) and count actions: operations, buffer
rows, bytes. `closed_form` and `events` both evaluate this value; neither knows a machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from einfall.sim.nest import Nest, Work, merged
from einfall.sim.numeric import Number, add, maximum


@dataclass(frozen=True, slots=True)
class Dep:
    """What a task waits for.

    Dep("K") waits for the latest execution of K at or before this step. Dep("RM", loop="m1") waits
    for the execution of RM at the same place of the previous m1 iteration: a recurrence.
    Dep("BQK", loop="m1", iterations=2, whole=True) waits until every execution of BQK two m1
    iterations ago has read its operands: with two slots, that is when a slot is free again.
    """

    task: str
    loop: str | None = None
    iterations: int = 1
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Time that one execution of a task takes on a resource [s].

    A unit works on one task at a time, in order. A `shared` resource (a memory) serves several at
    once, request by request; a task that it cannot serve in time is held up.
    """

    resource: str
    busy_s: Work
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """Actions of one execution: `amount` of `action` at `component`, such as row reads at buffer.

    `at` names the loops in which it happens where they are not those of its task.
    """

    component: str
    action: str
    amount: Work
    at: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Task:
    """One box of a step: an Einsum on a unit, or a transfer.

    It runs once for each iteration of the loops `at`; of the loops it is not in, only in their
    first or last iteration. `latency_s` passes after the resources are free again and before a
    dependent may start (fill and drain of an array). A task that runs `ahead` is held back by its
    own dependencies alone, not by the number of steps in flight: a prefetch or a store.
    `useful_s` is the part of the main resource's time in which every element of it works.
    """

    name: str
    uses: tuple[Use, ...]
    at: tuple[str, ...]
    when: Literal["first", "last"] = "first"
    after: tuple[Dep, ...] = ()
    latency_s: Number = 0.0
    ahead: bool = False
    counts: tuple[Count, ...] = ()
    useful_s: Work | None = None

    @property
    def resource(self) -> str:
        """The main resource, on which the task is shown."""
        return self.uses[0].resource

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The resources that work on nothing else meanwhile."""
        return tuple(dict.fromkeys(use.resource for use in self.uses if not use.shared))

    def times(self, measure: Callable[[Work], Number]) -> dict[str, Number]:
        """Time on each resource [s], each of its uses measured and added up."""
        times: dict[str, Number] = {}
        for use in self.uses:
            add(times, use.resource, measure(use.busy_s))
        return times

    def once_s(self, nest: Nest) -> dict[str, Number]:
        """Time of one execution on full tiles on each resource [s]."""
        return self.times(lambda work: work.once(nest, self.at))

    def total_s(self, nest: Nest) -> dict[str, Number]:
        """Time of all executions on each resource [s]."""
        return self.times(lambda work: work.total(nest, self.at))


@dataclass(frozen=True)
class Phase:
    """A loop nest of steps; tasks stand in program order.

    `in_flight` is how many steps may overlap: 1 is strictly one after the other, None as many as
    the busiest resource needs. `stages`, where given, are lock-step epochs as published mappings
    state them: the tasks of a stage overlap, stages follow each other. An `ideal` phase has neither
    fill nor drain: its busiest resource is its time. `charges` are actions of the phase as a whole,
    beside those that its tasks count. `tally` is what the tasks count, where it is known already.
    """

    name: str
    nest: Nest
    tasks: tuple[Task, ...]
    in_flight: int | None = None
    stages: tuple[tuple[str, ...], ...] = ()
    ideal: bool = False
    charges: Mapping[tuple[str, str], Number] = field(default_factory=dict)
    tally: tuple[Count, ...] | None = None

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources in use, in order of appearance."""
        return tuple(dict.fromkeys(u.resource for t in self.tasks for u in t.uses))

    @cached_property
    def once_s(self) -> Mapping[str, Mapping[str, Number]]:
        """Time of one execution of each task on each of its resources [s]."""
        return {task.name: task.once_s(self.nest) for task in self.tasks}

    @cached_property
    def total_s(self) -> Mapping[str, Mapping[str, Number]]:
        """Time of all executions of each task on each of its resources [s]."""
        return {task.name: task.total_s(self.nest) for task in self.tasks}

    def executions(self, task: Task) -> Number:
        """How often the task runs in the whole nest."""
        return Work(1).total(self.nest, task.at)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Phases that follow each other."""

    phases: tuple[Phase, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of all resources."""
        return tuple(dict.fromkeys(r for phase in self.phases for r in phase.resources))

    def tasks(self) -> Iterator[tuple[Phase, Task]]:
        """Every task with its phase."""
        for phase in self.phases:
            for task in phase.tasks:
                yield phase, task


@dataclass(frozen=True)
class Timing:
    """What an evaluator answers: the time of each phase and how long each resource is busy [s]."""

    phases: tuple[tuple[str, Number], ...]
    busy_s: Mapping[str, Number]

    @cached_property
    def latency_s(self) -> Number:
        """The time of the whole pipeline: phases follow each other."""
        return sum((time for _, time in self.phases), start=0.0)


def task_busy_s(phase: Phase, task: Task) -> Number:
    """Time of all executions of a task on its slowest resource [s]."""
    return maximum(*phase.total_s[task.name].values())


def busy_s(phase: Phase) -> dict[str, Number]:
    """Time for which each resource of the phase is in use [s]."""
    busy: dict[str, Number] = {}
    for task in phase.tasks:
        for resource, spent in phase.total_s[task.name].items():
            add(busy, resource, spent)
    return busy


def counts(pipeline: Pipeline) -> dict[tuple[str, str], Number]:
    """How often each action happens: {(component, action): n}, over the whole pipeline."""
    total: dict[tuple[str, str], Number] = {}
    for phase in pipeline.phases:
        for key, happened in (*_phase_counts(phase).items(), *phase.charges.items()):
            add(total, key, happened)
    return total


def _phase_counts(phase: Phase) -> dict[tuple[str, str], Number]:
    """Counts of one phase."""
    total: dict[tuple[str, str], Number] = {}
    for count in tally(phase.tasks) if phase.tally is None else phase.tally:
        assert count.at is not None, "a tally names the loops of every count"
        add(total, (count.component, count.action), count.amount.total(phase.nest, count.at))
    return total


def tally(tasks: Iterable[Task]) -> tuple[Count, ...]:
    """All that tasks count, in as few parts: those alike are added up before they are measured."""
    alike: dict[tuple[str, str, tuple[str, ...]], list[Work]] = {}
    for task in tasks:
        for count in task.counts:
            at = task.at if count.at is None else count.at
            alike.setdefault((count.component, count.action, at), []).append(count.amount)
    return tuple(
        Count(component, action, work, at)
        for (component, action, at), works in alike.items()
        for work in merged(works)
    )
