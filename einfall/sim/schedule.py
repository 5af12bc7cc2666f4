"""Software pipelining: in which slot after its step began each task is issued.

Slot j of the program issues the tasks of stage s for step j - s, older steps first. A task is a hop
of 1 + ⌈latency/interval⌉ stages behind one on another resource whose result it needs, so that in
steady state nothing waits for what is made in its own slot and the busiest resource never idles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, prod

from einfall.sim.nest import Nest
from einfall.sim.numeric import Number, ceil_div, maximum, plain
from einfall.sim.pipeline import Phase, Task, busy_s, task_busy_s


def steps(nest: Nest) -> Number:
    """Innermost iterations of a nest, under a mask those that are visited.

    >>> from einfall.sim.nest import Loop
    >>> steps(Nest({"P": 10, "M": 7}, (Loop("m", "M", 4), Loop("p", "P", 5))))
    4
    """
    return nest.sum_of((), nest.names)


def stages(phase: Phase) -> dict[str, int]:
    """The stage of each task.

    With one step in flight all are 0; with d of them they are below d, and a hop is one stage. A
    recurrence over n steps leaves no room for hops of more than n stages between its tasks; they
    are cut until it does. The program of a masked nest is that of all its tiles, but for n, which
    is what is visited.
    """
    recurrences = _recurrences(phase)
    phase = replace(phase, nest=phase.nest.dense)
    most = None if phase.in_flight is None else phase.in_flight - 1
    by_name = {task.name: task for task in phase.tasks}
    hops = {
        (dep.task, task.name): _hop(phase, by_name[dep.task], task)
        for task in phase.tasks
        for dep in task.after
        if dep.loop is None
    }
    longest = max(hops.values(), default=0)
    kept = [*_kept_order(phase), *recurrences]
    tries = (_stages(phase, hops, kept, most, cut) for cut in range(longest, -1, -1))
    return next(stage for stage in tries if stage is not None)


def issue_order(phase: Phase, stage: Mapping[str, int]) -> tuple[Task, ...]:
    """Tasks in the order in which a slot issues them.

    Of older steps first; in a window without recurrences of younger ones first, as the older ones
    may still wait for what is made in their own slot.
    """
    recurrent = any(d.loop is not None and not d.whole for t in phase.tasks for d in t.after)
    sign = -1 if phase.in_flight is None or recurrent else 1
    return tuple(sorted(phase.tasks, key=lambda task: sign * stage[task.name]))


def steps_after_first(phase: Phase) -> Number:
    """Steps beyond a full first one, the ragged ones for as much work as they have.

    steps · (1 - work of a full step / work of all steps)
    """
    every = _every_step(phase)
    if not every:
        return 0
    once = sum((maximum(*phase.once_s[t.name].values()) for t in every), start=0.0)
    total = sum((task_busy_s(phase, t) for t in every), start=0.0)
    return steps(phase.nest) * (1 - once / total)


def _every_step(phase: Phase) -> tuple[Task, ...]:
    """The tasks that run in every step, without those that run ahead of it."""
    every = set(phase.nest.names)
    return tuple(t for t in phase.tasks if not t.ahead and every <= set(t.at))


def windowed_interval_s(phase: Phase) -> Number:
    """Time between steps when only `in_flight` of them may overlap [s].

    The schedule of `stages`, carried out for a few steps with each task at its mean time a step;
    every time is a maximum of sums, so that numbers may be arrays. Tasks that run ahead, or not in
    every step, are left out.
    """
    window, stage = phase.in_flight or 1, stages(phase)
    every = _every_step(phase)
    order = [task for task in issue_order(phase, stage) if task in every]
    if not order:
        return 0.0
    count = steps(phase.nest)
    mean = {t.name: task_busy_s(phase, t) / count for t in order}
    free: dict[str, Number] = {}
    finish: dict[tuple[str, int], Number] = {}
    ends: list[Number] = [0.0] * (4 * window)
    for slot in range(len(ends) + max(stage.values())):
        for task in order:
            step = slot - stage[task.name]
            if not 0 <= step < len(ends):
                continue
            waits = [finish[d.task, step] for d in task.after if (d.task, step) in finish]
            release = ends[step - window] if step >= window else 0.0
            start = maximum(release, *waits, *(free.get(u, 0.0) for u in task.units))
            end = start + mean[task.name]
            free |= dict.fromkeys(task.units, end)
            finish[task.name, step] = end + task.latency_s
            ends[step] = maximum(ends[step], finish[task.name, step])
    return (ends[-1] - ends[-1 - 2 * window]) / (2 * window)


def _stages(
    phase: Phase,
    hops: Mapping[tuple[str, str], int],
    kept: list[tuple[str, str, int]],
    most: int | None,
    cut: int,
) -> dict[str, int] | None:
    """Stages with hops of at most `cut`; None if a recurrence has no room for them."""
    stage = {task.name: 0 for task in phase.tasks}
    edges = [*((first, then, min(hop, cut)) for (first, then), hop in hops.items()), *kept]
    for _ in range(len(stage) + 1):
        before = dict(stage)
        for first, then, hop in edges:
            wanted = max(stage[then], stage[first] + hop)
            stage[then] = wanted if most is None else min(wanted, most)
        if stage == before:
            return stage
    return None


def _kept_order(phase: Phase) -> list[tuple[str, str, int]]:
    """Tasks of a step that share a resource are issued in program order."""
    edges, last = [], {}
    for task in (t for t in phase.tasks if not t.ahead):
        if task.resource in last:
            edges.append((last[task.resource], task.name, 0))
        last[task.resource] = task.name
    return edges


def _recurrences(phase: Phase) -> list[tuple[str, str, int]]:
    """A task that reads what was made n steps ago is issued at most n stages before its maker.

    In a window n is taken as 1, its least, so that the schedule depends on no number.
    """
    unlimited = phase.in_flight is None
    return [
        (dep.task, task.name, -_steps_between(phase.nest, dep.loop) if unlimited else -1)
        for task in phase.tasks
        for dep in task.after
        if dep.loop is not None and not dep.whole
    ]


def _hop(phase: Phase, first: Task, then: Task) -> int:
    """Stages between a task and one that needs its result."""
    if first.resource == then.resource and phase.in_flight is None and not first.latency_s:
        return 0
    if phase.in_flight is not None:
        return int(first.resource != then.resource and not first.ahead)
    interval = float(maximum(*busy_s(phase).values())) / float(steps(phase.nest))
    return 1 + (ceil(float(first.latency_s) / interval) if interval > 0 else 0)


def _steps_between(nest: Nest, loop: str) -> int:
    """Steps in one iteration of a loop that a schedule may count on.

    Under a mask the mean of the iterations that are visited: where there are fewer, slots stay
    empty.
    """
    fewest = fewest_steps(nest, loop)
    if nest.visits is None:
        return fewest
    outer = nest.names[: nest.names.index(loop) + 1]
    return min(fewest, int(plain(steps(nest))) // int(plain(nest.sum_of((), outer))))


def fewest_steps(nest: Nest, loop: str) -> int:
    """Steps in one iteration of a loop where it has the fewest, in the ragged last tiles."""
    outer = nest.names[: nest.names.index(loop) + 1]
    trips = []
    for rank in {x.rank for x in nest.loops if x.name not in outer}:
        left = [size for size, times in nest.pieces(rank, outer) if times > 0]
        trips.append(int(ceil_div(min(left), nest.tile(rank, nest.names))))
    return prod(trips)
