"""The closed form of a Pipeline: totals of its resources, its dependency chain, fill and drain.

    phase time = max( max_r (total_r - once_r), steps after the first · interval, recurrent )
                 + chain

`total_r` is the time for which resource r is taken and `once_r` that of a single step on full
tiles; `chain` is the longest path through the dependencies of one step: fill and drain. `interval`
is the time between steps that the window allows: none if enough steps overlap, the whole chain if
only one is in flight, and that of the software pipeline in between. `recurrent` is what running
values need: an update waits for the one before, however many steps overlap. For a single step this
is exactly the chain. Everything is a sum of products or a maximum: numbers may be NumPy arrays.

Under a mask steps and totals are those of the visited tiles, and a full step is the largest of
them. That tiles of one query wait for each other where few of them are left is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einfall.sim.numeric import Number, add, maximum
from einfall.sim.pipeline import Phase, Pipeline, Task, Timing, busy_s, task_busy_s
from einfall.sim.schedule import steps_after_first, windowed_interval_s


def evaluate(pipeline: Pipeline) -> Timing:
    """Time of each phase and busy time of each resource."""
    phases = tuple((phase.name, phase_time_s(phase)) for phase in pipeline.phases)
    busy: dict[str, Number] = {}
    for phase in pipeline.phases:
        for resource, spent in busy_s(phase).items():
            add(busy, resource, spent)
    return Timing(phases, busy)


@dataclass(frozen=True, slots=True)
class PhaseTerms:
    """The terms of the formula of the module, for a phase that is neither staged nor ideal [s].

    `busiest` is max_r (total_r - once_r); `windowed` the interval of the window times the steps
    after the first, 0 without a window; `recurrent` the time of running values that wait for
    themselves; `chain` one step from end to end.
    """

    busiest: Number
    windowed: Number
    recurrent: Number
    chain: Number

    @property
    def time_s(self) -> Number:
        """The time of the phase."""
        return maximum(self.busiest, self.windowed, self.recurrent) + self.chain


def phase_time_s(phase: Phase) -> Number:
    """Time of one phase [s], by the formula of the module."""
    if phase.stages:
        return _staged_time_s(phase)
    if phase.ideal:
        return maximum(*busy_s(phase).values())
    return phase_terms(phase).time_s


def phase_terms(phase: Phase) -> PhaseTerms:
    """What the time of a phase is made of."""
    total, once = held_s(phase, phase.total_s), held_s(phase, phase.once_s)
    windowed: Number = 0.0
    if phase.in_flight is not None:
        windowed = steps_after_first(phase) * windowed_interval_s(phase)
    busiest = maximum(*(total[r] - once[r] for r in total))
    return PhaseTerms(
        busiest=busiest,
        windowed=windowed,
        recurrent=_recurrent_s(phase, busiest),
        chain=maximum(chain_s(phase, phase.once_s), *once.values()),
    )


def held_s(phase: Phase, spent_s: Mapping[str, Mapping[str, Number]]) -> dict[str, Number]:
    """Time for which each resource is taken, given what each task takes on its resources.

    A unit is held by a task until the slowest of its memories has served it.
    """
    held: dict[str, Number] = {}
    for task in phase.tasks:
        longest = maximum(*spent_s[task.name].values())
        for resource, spent in spent_s[task.name].items():
            time = longest if resource in task.units else spent
            add(held, resource, time)
    return held


def _recurrent_s(phase: Phase, busiest_s: Number) -> Number:
    """Time of the running value that holds its loop up most [s]; 0 where nothing recurs.

    Along a loop of n iterations in each of its r runs, from the first task that reads the value to
    the one that makes it anew in `around` seconds, latencies included:

        r · (n - 1) · around + r · (the time in which the busiest resource does one iteration)
    """
    recurrences = [
        (first, dep.task, dep.loop)
        for first in phase.tasks
        for dep in first.after
        if dep.loop is not None and not dep.whole
    ]
    if not recurrences:
        return 0.0
    longest: Number = 0.0
    mean = {t.name: task_busy_s(phase, t) / phase.executions(t) for t in phase.tasks}
    names = phase.nest.names
    for first, maker, loop in recurrences:
        around = _around_s(phase, mean, first, maker)
        if around is None:
            continue
        outside = names[: names.index(loop)]
        links = phase.nest.sum_of((), (*outside, loop))
        runs = phase.nest.sum_of((), outside)
        time = (links - runs) * around + busiest_s * runs / links
        longest = maximum(longest, time)
    return longest


def _around_s(phase: Phase, mean_s: Mapping[str, Number], first: Task, maker: str) -> Number | None:
    """Mean time from the start of a task to the result of another of its step; None if no way."""
    reached: dict[str, Number] = {}
    for task in phase.tasks:
        waits = [reached[d.task] for d in task.after if d.loop is None and d.task in reached]
        if task is first or waits:
            start = maximum(*waits) if waits else 0.0
            reached[task.name] = start + mean_s[task.name] + task.latency_s
    return reached.get(maker)


def chain_s(phase: Phase, step_s: Mapping[str, Mapping[str, Number]]) -> Number:
    """The longest path through the dependencies of a step, each resource doing one task at a time.

    Of the first step, with all that runs in first and last iterations. A memory does one transfer
    at a time; what units read from it meanwhile does not hold it up.
    """
    finish: dict[str, Number] = {}
    free: dict[str, Number] = {}
    for task in phase.tasks:
        waits = [finish[d.task] for d in task.after if d.loop is None and d.task in finish]
        holds = task.units or (task.resource,)
        ready = [*(free[name] for name in holds if name in free), *waits]
        start = maximum(*ready) if ready else 0.0
        end = start + maximum(*step_s[task.name].values())
        free |= dict.fromkeys(holds, end)
        finish[task.name] = end + task.latency_s
    return maximum(*finish.values())


def _staged_time_s(phase: Phase) -> Number:
    """Lock-step epochs: Σ over stages of the busiest unit; what is in no stage overlaps all."""
    staged = {name for stage in phase.stages for name in stage}
    tasks = {task.name: task for task in phase.tasks}
    compute: Number = 0.0
    for stage in phase.stages:
        on: dict[str, Number] = {}
        for name in stage:
            spent = tasks[name].uses[0].busy_s.total(phase.nest, tasks[name].at)
            on[tasks[name].resource] = on.get(tasks[name].resource, 0.0) + spent
        compute = compute + maximum(*on.values())
    rest: dict[str, Number] = {}
    for task in phase.tasks:
        for use in task.uses:
            if task.name not in staged or use.resource != task.resource:
                spent = use.busy_s.total(phase.nest, task.at)
                rest[use.resource] = rest.get(use.resource, 0.0) + spent
    return maximum(compute, *rest.values()) if rest else compute
