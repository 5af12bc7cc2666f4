"""The event simulation of a Pipeline: every task of every step on bounded resources, a timeline.

Tasks are issued in the order of `schedule`, each as soon as its operands are there, a step of the
window is free and so is its unit. Memories serve several tasks at once, in whatever time is left;
a task lasts until the slowest of its resources is done with it. When the state at the start of an
iteration, seen from now, has occurred before, the loop has become periodic and the rest of its
iterations is added at once: a million keys cost little more than a thousand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod

from einfall.sim.numeric import ceil_div, plain
from einfall.sim.pipeline import Dep, Phase, Pipeline, Task, Timing
from einfall.sim.schedule import issue_order, stages


@dataclass(frozen=True, slots=True)
class Span:
    """A box of the timeline: task on resource from start to end [s], and its loop coordinates."""

    task: str
    resource: str
    start_s: float
    end_s: float
    step: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The timing, and the timeline of the steps that were simulated one by one, step by step."""

    timing: Timing
    timeline: tuple[Span, ...]
    steps_simulated: int


def simulate(pipeline: Pipeline, *, timeline_limit: int = 2000) -> Simulation:
    """Run every phase; the timeline keeps the first `timeline_limit` spans of each.

    Args:
        pipeline: Plain numbers only; a sweep over arrays is the closed form's work.
        timeline_limit: Spans kept of each phase.

    Returns:
        Timing in the same type as the closed form answers, with the timeline.
    """
    phases: list[tuple[str, float]] = []
    spans: list[Span] = []
    busy: dict[str, float] = {}
    steps, begin = 0, 0.0
    for phase in pipeline.phases:
        run = _run_of(phase, timeline_limit)
        run.run()
        phases.append((phase.name, run.end))
        by_step = sorted(run.timeline, key=lambda span: [index for _, index in span.step])
        spans += [_later(span, begin) for span in by_step]
        for resource, spent in run.busy.items():
            busy[resource] = busy.get(resource, 0.0) + spent
        steps, begin = steps + run.steps, begin + run.end
    return Simulation(Timing(tuple(phases), busy), tuple(spans), steps)


def _run_of(phase: Phase, timeline_limit: int) -> _Run:
    """The kind of run that suits a phase."""
    if phase.nest.visits is None:
        return _Run(phase, timeline_limit)
    from einfall.sim.masked_events import MaskedRun

    return MaskedRun(phase, timeline_limit)


def _later(span: Span, by: float) -> Span:
    return Span(span.task, span.resource, span.start_s + by, span.end_s + by, span.step)


@dataclass(frozen=True, slots=True)
class _Iteration:
    """Where a loop stands: which iteration, how much of the rank it covers."""

    index: int
    extent: float
    first: bool
    last: bool


@dataclass(slots=True)
class _Step:
    """A step of which tasks are still to be issued."""

    where: Mapping[str, _Iteration]
    runs: frozenset[str]
    number: Mapping[str, int]  # executions of each task before this step
    release: float
    end: float

    @property
    def kind(self) -> tuple:
        """What distinguishes it from other steps, apart from its coordinates."""
        return tuple((it.extent, it.first, it.last) for it in self.where.values())


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a period adds is the difference between now and then."""

    now: float
    counts: Mapping[str, int]
    busy: Mapping[str, float]


class _History:
    """Finish times of a task's executions, as far back as anything may still wait for."""

    __slots__ = ("count", "keep", "recent", "start")

    def __init__(self, keep: int) -> None:
        self.count = 0
        self.start = 0.0
        self.keep = keep
        self.recent: deque[float] = deque(maxlen=keep)

    def append(self, time: float) -> None:
        self.recent.append(time)
        self.count += 1

    def at(self, index: int) -> float:
        """Finish of execution `index`; the start where it lies before the first."""
        back = self.count - index
        return self.recent[-back] if index >= 0 and back <= len(self.recent) else self.start

    def repeat(self, executions: int, times: int, period: float) -> None:
        """Append `times` copies of the last `executions`, each `period` later than before."""
        if not executions:
            return
        last = list(self.recent)[-executions:]
        for k in range(max(1, times - ceil(self.keep / executions)), times + 1):
            self.recent.extend(time + k * period for time in last)
        self.count += executions * times

    def since(self, time: float) -> list[float]:
        """The most recent finish times, back to the first that is not after `time`."""
        recent = []
        for finish in reversed(self.recent):
            if finish <= time:
                break
            recent.append(finish)
        return recent


class _Shared:
    """A memory's time: gaps between what is booked, and all time from `free` on."""

    __slots__ = ("free", "gaps")

    def __init__(self) -> None:
        self.free = 0.0
        self.gaps: list[tuple[float, float]] = []

    def serve(self, ready: float, length: float) -> float:
        """Book `length` of the time left from `ready` on, in pieces; the end of the last one."""
        left: list[tuple[float, float]] = []
        end = ready
        for gap in self.gaps:
            start, stop = max(gap[0], ready), gap[1]
            if length <= 0 or start >= stop:
                left.append(gap)
                continue
            end = min(stop, start + length)
            # The last piece leaves exactly nothing, whatever rounding would leave.
            length = 0.0 if end < stop else length - (end - start)
            left += [piece for piece in ((gap[0], start), (end, stop)) if piece[1] > piece[0]]
        if length > 0:
            if ready > self.free:
                left.append((self.free, ready))
            end = self.free = max(self.free, ready) + length
        self.gaps = left
        return end

    def forget(self, time: float) -> None:
        """Drop the gaps that end before a time."""
        self.gaps = [gap for gap in self.gaps if gap[1] > time]

    def shift(self, by: float) -> None:
        self.free += by
        self.gaps = [(start + by, stop + by) for start, stop in self.gaps]


class _Run:
    """The state of one phase's simulation; nothing else in this package is mutable."""

    def __init__(self, phase: Phase, timeline_limit: int) -> None:
        self.phase = phase
        self.limit = timeline_limit
        self.stage = stages(phase)
        self.depth = max(self.stage.values())
        self.order = issue_order(phase, self.stage)
        self.pending: deque[_Step | None] = deque()
        self.window: deque[float] = deque(maxlen=max(1, (phase.in_flight or 1) - self.depth))
        shared = {u.resource for t in phase.tasks for u in t.uses if u.shared}
        self.shared = {name: _Shared() for name in shared}
        self.free = {name: 0.0 for name in phase.resources if name not in shared}
        self.finish = {task.name: _History(_look_back(phase, task)) for task in phase.tasks}
        self.number = dict.fromkeys(self.finish, 0)
        self.marked = _marked_loops(phase)
        self.task = {task.name: task for task in phase.tasks}
        self.units = {task.name: task.units for task in phase.tasks}
        self.busy = dict.fromkeys(phase.resources, 0.0)
        self.now = self.end = self.start = 0.0
        self.steps = 0
        self.timeline: list[Span] = []
        self.lengths: dict[tuple, list[tuple[str, float]]] = {}
        once = [float(max(task.once_s(phase.nest).values())) for task in phase.tasks]
        self.unit = max(once) or 1.0
        # What was over before a whole step ago holds nothing back any more.
        self.past = sum(once) + sum(float(t.latency_s) for t in phase.tasks)

    def run(self) -> None:
        """Simulate the phase to its end."""
        self.loops(0, {r: plain(n) for r, n in self.phase.nest.extents.items()}, {})
        for _ in range(self.depth):
            self._slot(None)

    def loops(self, depth: int, extents: dict[str, float], where: dict[str, _Iteration]) -> None:
        """Run the loops from `depth` inwards; `extents` is what the outer ones leave of a rank."""
        if depth == len(self.phase.nest.loops):
            self._begin(where)
            return
        loop = self.phase.nest.loops[depth]
        extent, each = extents[loop.rank], plain(loop.tile)
        trips = int(plain(ceil_div(extent, each)))
        marked = loop.name in self.marked
        # The first and the last iteration may differ from those between them.
        begin, end = int(marked), trips - int(marked or extent % each > 0)
        seen: dict[tuple, tuple[int, _Snapshot]] = {}
        i = 0
        while i < trips:
            if begin <= i < end:
                i += self._skip(seen, i, end - i)
                if i == trips:
                    break
            tile = min(each, extent - i * each)
            here = _Iteration(i, tile, marked and i == 0, marked and i == trips - 1)
            self.loops(depth + 1, {**extents, loop.rank: tile}, {**where, loop.name: here})
            i += 1

    # --- periods ------------------------------------------------------------------------------

    def _skip(self, seen: dict[tuple, tuple[int, _Snapshot]], i: int, left: int) -> int:
        """Iterations that were added at once because the state repeats; 0 if it is new."""
        state = self._state()
        if state not in seen:
            counts = {name: history.count for name, history in self.finish.items()}
            seen[state] = (i, _Snapshot(self.now, counts, dict(self.busy)))
            return 0
        before, then = seen[state]
        repeats = left // (i - before)
        if repeats:
            self._repeat(then, repeats)
        seen.clear()
        return repeats * (i - before)

    def _state(self) -> tuple:
        """Everything that decides the future, relative to the present."""
        now, past, unit = self.now, self.past, self.unit

        def from_now(time: float) -> float:
            return round(max(time - now, -past) / unit, 8)

        return (
            tuple((step.kind, from_now(step.end)) for step in self.pending if step),
            tuple(map(from_now, self.window)),
            tuple(map(from_now, self.free.values())),
            tuple((from_now(m.free), *_ends(m.gaps, from_now)) for m in self.shared.values()),
            tuple(tuple(map(from_now, h.since(now - past))) for h in self.finish.values()),
        )

    def _repeat(self, then: _Snapshot, times: int) -> None:
        """Add `times` periods, each as long as the one from `then` until now."""
        period = self.now - then.now
        by = period * times
        more = {n: (h.count - then.counts[n]) * times for n, h in self.finish.items()}
        for name, history in self.finish.items():
            history.repeat(history.count - then.counts[name], times, period)
            self.number[name] += more[name]
        for step in (step for step in self.pending if step):
            step.end, step.release = step.end + by, step.release + by
            step.number = {name: n + more[name] for name, n in step.number.items()}
        self.window = deque((t + by for t in self.window), maxlen=self.window.maxlen)
        self.free = {name: time + by for name, time in self.free.items()}
        for memory in self.shared.values():
            memory.shift(by)
        self.busy = {n: b + (b - then.busy[n]) * times for n, b in self.busy.items()}
        self.end, self.now = self.end + by, self.now + by

    # --- steps --------------------------------------------------------------------------------

    def _begin(self, where: Mapping[str, _Iteration]) -> None:
        """Begin a step, and issue the tasks of its slot."""
        runs = frozenset(task.name for task in self.phase.tasks if _runs(task, where))
        full = self.phase.in_flight is not None and len(self.window) == self.window.maxlen
        release = self.window[0] if full else 0.0
        self._slot(_Step(where, runs, dict(self.number), release, release))
        for name in runs:
            self.number[name] += 1
        self.steps += 1

    def _slot(self, step: _Step | None) -> None:
        """Issue the tasks of one slot; without a new step the pipeline drains."""
        self.pending.append(step)
        for task in self.order:
            at = len(self.pending) - 1 - self.stage[task.name]
            behind = self.pending[at] if at >= 0 else None
            if behind is not None and task.name in behind.runs:
                self._issue(task, behind)
        if len(self.pending) > self.depth:
            done = self.pending.popleft()
            if done is not None:
                self.now = max(self.now, done.end)
                self.window.append(self.now)
                # No unit starts anything before it is free; a prefetch finds room later, too.
                seen = max(self.now - self.past, min(self.free.values(), default=0.0))
                for memory in self.shared.values():
                    memory.forget(seen)

    def _issue(self, task: Task, step: _Step) -> None:
        """Place a task at the earliest time that its operands and its unit allow."""
        waits = [self._wait(dep, step) for dep in task.after]
        units = [self.free[unit] for unit in self.units[task.name]]
        start = max([self.start if task.ahead else step.release, *waits, *units])
        finish = start
        for resource, length in self._lengths(task, step):
            if length > 0:
                memory = self.shared.get(resource)
                end = memory.serve(start, length) if memory else start + length
                self.busy[resource] += length
                self._show(Span(task.name, resource, end - length, end, ()), step)
                finish = max(finish, end)
        for unit in self.units[task.name]:
            self.free[unit] = finish
        finish += plain(task.latency_s)
        self.finish[task.name].append(finish)
        self.end = max(self.end, finish)
        if not task.ahead:
            step.end = max(step.end, finish)

    def _lengths(self, task: Task, step: _Step) -> list[tuple[str, float]]:
        """Time of this execution on each resource; tiles of one size take the same."""
        key = (task.name, tuple(step.where[name].extent for name in task.at))
        if key not in self.lengths:
            extents = _extents(self.phase, task, step.where)
            times = task.times(lambda work: work.at(extents))
            self.lengths[key] = [(resource, plain(time)) for resource, time in times.items()]
        return self.lengths[key]

    def _show(self, span: Span, step: _Step) -> None:
        if len(self.timeline) < self.limit:
            where = tuple((name, it.index) for name, it in step.where.items())
            self.timeline.append(Span(span.task, span.resource, span.start_s, span.end_s, where))

    def _wait(self, dep: Dep, step: _Step) -> float:
        """The time at which what `dep` names is over; a dependency before the start is over."""
        history, number = self.finish[dep.task], step.number[dep.task]
        if dep.loop is None:
            return history.at(number if dep.task in step.runs else number - 1)
        each = _executions(self.phase, self.task[dep.task], dep.loop, step.where)
        if dep.whole:
            # A tile that a deep pipeline still uses is not waited for: it has more slots then.
            iterations = max(dep.iterations, 1 + ceil(self.stage[dep.task] / max(each, 1)))
            read = history.at(number - each * (iterations - 1) - 1)
            return read - float(self.task[dep.task].latency_s)
        if step.where[dep.loop].first:
            return 0.0
        return history.at(number - each * dep.iterations)


def _ends(gaps: list[tuple[float, float]], from_now: Callable[[float], float]) -> list[float]:
    return [from_now(time) for gap in gaps for time in gap]


def _executions(phase: Phase, task: Task, loop: str, where: Mapping[str, _Iteration]) -> int:
    """Executions of a task in the present iteration of a loop."""
    nest = phase.nest
    split = nest.names.index(loop) + 1
    left = {x.rank: where[x.name].extent for x in nest.loops[:split]}
    trips = 1
    for x in nest.loops[split:]:
        if x.name in task.at:
            extent = left.get(x.rank, plain(nest.extents[x.rank]))
            trips *= int(plain(ceil_div(extent, x.tile)))
            left[x.rank] = min(plain(x.tile), extent)
    return trips


def _marked_loops(phase: Phase) -> set[str]:
    """Loops whose first or last iteration differs from the others for some task."""
    skipped = {name for task in phase.tasks for name in phase.nest.names if name not in task.at}
    return skipped | {d.loop for t in phase.tasks for d in t.after if d.loop and not d.whole}


def _look_back(phase: Phase, task: Task) -> int:
    """How many executions of the task anything may look back."""
    nest, most = phase.nest, 2
    for dep in (d for t in phase.tasks for d in t.after if d.task == task.name and d.loop):
        split = nest.names.index(dep.loop) + 1
        outer = nest.names[:split]
        inside = [x for x in nest.loops[split:] if x.name in task.at]
        names = [*outer, *(x.name for x in inside)]
        trips = (
            int(ceil_div(nest.tile(r, outer), nest.tile(r, names)))
            for r in {x.rank for x in inside}
        )
        most = max(most, prod(trips) * dep.iterations + 1)
    return most + 64


def _runs(task: Task, where: Mapping[str, _Iteration]) -> bool:
    """Whether the task runs in this step."""
    outside = (it for name, it in where.items() if name not in task.at)
    return all(it.first if task.when == "first" else it.last for it in outside)


def _extents(phase: Phase, task: Task, where: Mapping[str, _Iteration]) -> dict[str, float]:
    """What one execution of the task covers of each rank."""
    extents = {rank: plain(extent) for rank, extent in phase.nest.extents.items()}
    for loop in phase.nest.loops:
        if loop.name in task.at:
            extents[loop.rank] = where[loop.name].extent
    return extents
