"""The event simulation of a masked phase: what is not visited is skipped, in every loop.

It is that of `events` with these differences. Steps that no attended pair lies in do not take
place; a task that is not in some of the loops runs in the first or the last visited step of them. A
recurrence goes back to the previous visited step at the same place, however long ago, and where
that is sooner than the program's stages allow, empty slots come first. A slot of a buffer is free
when the visited iteration that used it is over. Loops become periodic where visited tiles repeat;
and what an iteration over the same tiles has done before from the same state, it does again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from einfall.sim.events import Span, _extents, _History, _Iteration, _Run, _Step
from einfall.sim.numeric import ceil_div, plain
from einfall.sim.pipeline import Dep, Phase, Task
from einfall.sim.step_grid import Array, step_grid

FEWEST_STEPS = 8
"""Iterations of fewer steps are simulated again rather than remembered."""
MOST_KNOWN = 2048
"""Iterations that are remembered, at most."""
LONG = 1024
"""Executions of the longest task after which the clock starts anew."""

Coordinates = tuple[int, ...]
Places = dict[Coordinates, tuple[int, int]]
"""By coordinates: the latest execution there, and the slot in which its step began."""


@dataclass(frozen=True, slots=True)
class _Recurrence:
    """What later steps look back to along a loop: tasks that always run together.

    `names` are the loops that tell places apart. Where a task is in all loops outside `loop`, its
    places are `local`: forgotten when the loop begins anew, and told apart by inner loops alone.
    `lag` is by how many slots a task is issued later in its step than one that looks back to it.
    """

    maker: str
    loop: str
    depth: int
    names: tuple[str, ...]
    local: bool
    readers: frozenset[str]
    lag: int


@dataclass(slots=True)
class _VisitedStep(_Step):
    """A step, and the executions that its tasks look back to, by number of the dependency."""

    back: Mapping[int, int | None]
    makers: tuple[str, ...]
    widths: Mapping[frozenset[str], int]
    alike: Hashable  # what distinguishes it from other steps, apart from its coordinates

    def moved(self, time: float, numbers: Mapping[str, int]) -> _VisitedStep:
        """The same step later and further on."""
        return replace(
            self,
            release=self.release + time,
            end=self.end + time,
            number={name: n + numbers[name] for name, n in self.number.items()},
            back=self.shifted(numbers),
        )

    def shifted(self, numbers: Mapping[str, int]) -> dict[int, int | None]:
        """What it looks back to, further on."""
        return {
            at: None if n is None else n + numbers[self.makers[at]] for at, n in self.back.items()
        }


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the run stands, or how far it has come since another mark."""

    now: float
    slots: int
    counts: Mapping[str, int]  # executions that are issued
    numbers: Mapping[str, int]  # and those of steps that have begun
    busy: Mapping[str, float]

    def since(self, then: _Mark) -> _Mark:
        """What lies between."""
        return _Mark(
            self.now - then.now,
            self.slots - then.slots,
            {name: n - then.counts[name] for name, n in self.counts.items()},
            {name: n - then.numbers[name] for name, n in self.numbers.items()},
            {name: s - then.busy[name] for name, s in self.busy.items()},
        )


@dataclass(frozen=True, slots=True)
class _Effect:
    """How far an iteration came, and the state that it left, seen from its end."""

    passed: _Mark
    end: float
    pending: tuple[_VisitedStep | None, ...]
    window: tuple[float, ...]
    free: Mapping[str, float]
    shared: Mapping[str, tuple[float, tuple[tuple[float, float], ...]]]
    recent: Mapping[str, Array]  # finish times of the tasks issued
    begun: Mapping[str, tuple[tuple[int, Mapping[str, int]], ...]]
    last: Mapping[int, Places]


class MaskedRun(_Run):
    """The state of the simulation of one masked phase."""

    def __init__(self, phase: Phase, timeline_limit: int) -> None:
        """Begin at time 0.

        Raises:
            MappingError: More than 2^26 pairs of tiles.
        """
        super().__init__(phase, timeline_limit)
        self.grid = step_grid(phase)
        self.axes = frozenset(self.grid.axes)
        self.names = phase.nest.names
        self.marked -= self.axes
        self.slots = 0
        self.recurrences, self.index = _recurrences(phase, self.stage)
        self.last: list[Places] = [{} for _ in self.recurrences]
        self.whole = tuple(
            dict.fromkeys(d for t in phase.tasks for d in t.after if d.whole and d.loop)
        )
        makers = [r.maker for r in self.recurrences]
        for dep in self.whole:
            self.index[dep] = len(makers)
            makers.append(dep.task)
        self.makers = tuple(makers)
        # Slot and executions at the start of the latest visited iterations of a loop.
        self.begun: dict[str, deque[tuple[int, dict[str, int]]]] = {
            str(dep.loop): deque() for dep in self.whole
        }
        self.known: dict[tuple, _Effect] = {}
        self.sets: dict[tuple, frozenset[str]] = {}
        self.local = all(r.local for r in self.recurrences)

    def run(self) -> None:
        """Simulate the phase to its end."""
        extents = {r: plain(n) for r, n in self.phase.nest.extents.items()}
        self.walk(0, extents, {}, self.grid.code)
        for _ in range(self.depth):
            self._slot(None)
        self.end -= self.start

    def walk(
        self, depth: int, extents: dict[str, float], where: dict[str, _Iteration], code: Array
    ) -> None:
        """Run the visited iterations of the loops from `depth` inwards; `code` is their part."""
        if depth == len(self.names):
            self._visit(where, int(code))
            return
        loop = self.phase.nest.loops[depth]
        self._forget(depth)
        extent, each = extents[loop.rank], plain(loop.tile)
        trips = int(plain(ceil_div(extent, each)))
        for segment in self._segments(depth, trips, extent % each > 0, code, where):
            seen: dict[tuple, tuple[int, _Mark]] = {}
            i = 0
            while i < len(segment):
                i += self._skip_alike(seen, i, segment, depth, where)
                if i == len(segment):
                    break
                at = segment[i]
                tile = min(each, extent - at * each)
                first, last = (loop.name in self.marked and at == x for x in (0, trips - 1))
                here = {**where, loop.name: _Iteration(at, tile, first, last)}
                inside = code[at] if loop.name in self.axes else code
                self._iterate(depth, {**extents, loop.rank: tile}, here, inside)
                i += 1

    def _forget(self, depth: int) -> None:
        """A loop begins anew: its recurrences have nothing to look back to."""
        for recurrence, places in zip(self.recurrences, self.last, strict=True):
            if recurrence.depth == depth and recurrence.local:
                places.clear()

    def _iterate(
        self, depth: int, extents: dict[str, float], where: dict[str, _Iteration], code: Array
    ) -> None:
        """One iteration of the loop at `depth`: from memory, if it is known."""
        self._note_begin(self.names[depth])
        self._restart_clock()
        if depth + 1 == len(self.names) or not self.local:
            self.walk(depth + 1, extents, where, code)
            return
        state = (self._situation(depth), self._places(depth))
        key = (depth, self._pattern(depth + 1, code), _edges(where), state)
        known = self._known_effect(key)
        if known is not None:
            self._redo(known)
            return
        before, steps = self._mark(), self.steps
        self.walk(depth + 1, extents, where, code)
        if self.steps - steps >= FEWEST_STEPS and len(self.known) < MOST_KNOWN:
            self.known[key] = self._effect(before, depth)

    def _known_effect(self, key: tuple) -> _Effect | None:
        """What an iteration over the same tiles has done before from the same state."""
        return self.known.get(key)

    # --- tiles that repeat --------------------------------------------------------------------

    def _segments(
        self, depth: int, trips: int, ragged: bool, code: Array, where: Mapping[str, _Iteration]
    ) -> Iterator[list[int]]:
        """Visited iterations of a loop; those together that follow each other and are alike."""
        name = self.names[depth]
        if name not in self.axes:
            ends = (1, trips - 1) if name in self.marked else (trips - 1,) if ragged else ()
            parts = np.split(np.arange(trips), sorted({x for x in ends if 0 < x < trips}))
            yield from (part.tolist() for part in parts)
            return
        tiles = code.reshape(code.shape[0], -1)
        visited = np.flatnonzero(tiles.any(axis=1))
        if depth + 1 == len(self.names):
            keys = np.stack([tiles[visited, 0], *self._distances(visited, where)])
            alike = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
        elif self._is_packed(depth + 1):
            patterns = [self._pattern(depth + 1, code[i]) for i in visited]
            pairs = zip(patterns[1:], patterns, strict=False)
            alike = np.array([a == b for a, b in pairs], dtype=bool)
        else:
            alike = (tiles[visited[1:]] == tiles[visited[:-1]]).all(axis=1)
        yield from (part.tolist() for part in np.split(visited, np.flatnonzero(~alike) + 1))

    def _distances(self, visited: Array, where: Mapping[str, _Iteration]) -> Iterator[Array]:
        """Of the steps of the innermost loop: how long ago their places were visited before."""
        for recurrence, places in self._outer_recurrences(len(self.names) - 1):
            outside = _place(recurrence.names[:-1], where)
            found = [places.get((*outside, at)) for at in visited.tolist()]
            yield np.array([-1 if x is None else k - x[0] for k, x in enumerate(found)])

    def _outer_recurrences(self, depth: int) -> Iterator[tuple[_Recurrence, Places]]:
        """Recurrences along loops outside `depth` whose places that loop tells apart."""
        for recurrence, places in zip(self.recurrences, self.last, strict=True):
            if recurrence.depth < depth and self.names[depth] in recurrence.names:
                yield recurrence, places

    def _is_packed(self, depth: int) -> bool:
        """Whether it does not matter where along the loop at `depth` the visited tiles lie."""
        name = self.names[depth]
        return name in self.axes and all(
            r.depth >= depth or name not in r.names for r in self.recurrences
        )

    def _pattern(self, depth: int, code: Array) -> tuple:
        """The visited tiles from `depth` inwards, as a key."""
        if self._is_packed(depth):
            code = code[code.reshape(code.shape[0], -1).any(axis=1)]
        data = code.tobytes()
        return code.shape, data if len(data) <= 64 else blake2b(data, digest_size=16).digest()

    # --- periods ------------------------------------------------------------------------------

    def _skip_alike(
        self,
        seen: dict[tuple, tuple[int, _Mark]],
        i: int,
        segment: list[int],
        depth: int,
        where: Mapping[str, _Iteration],
    ) -> int:
        """Iterations of a segment that were added at once because the state repeats."""
        recurrent = any(r.depth == depth for r in self.recurrences)
        # The first of a segment looks back to other tiles than those after it, and in the inmost
        # loop other tiles are in the pipeline for longer.
        begin = max(int(recurrent), self.depth * (depth + 1 == len(self.names)))
        if i < begin or not self._may_skip(depth):
            return 0
        state = self._situation(depth)
        if state not in seen:
            seen[state] = (i, self._mark())
            return 0
        before, then = seen[state]
        seen.clear()
        period = i - before
        times = (len(segment) - i) // period
        if times:
            passed = self._mark().since(then)
            self._repeat_tiles(then, passed, times, depth)
            if depth + 1 == len(self.names):
                self._note_places(segment[before : i + times * period], period, passed, where)
        return times * period

    def _note_places(
        self, visited: list[int], period: int, passed: _Mark, where: Mapping[str, _Iteration]
    ) -> None:
        """Places of the innermost loop that were skipped, each as its like a period before."""
        for recurrence, places in self._outer_recurrences(len(self.names) - 1):
            outside = _place(recurrence.names[:-1], where)
            by = (passed.counts[recurrence.maker], passed.slots)
            for like, at in zip(visited, visited[period:], strict=False):
                copied = places.get((*outside, like))
                if copied is not None:
                    places[*outside, at] = (copied[0] + by[0], copied[1] + by[1])

    def _may_skip(self, depth: int) -> bool:
        """Whether every step of a row of like iterations looks back equally far."""
        inmost = depth + 1 == len(self.names)
        return self.local and all(
            r.depth >= depth or (inmost and self.names[depth] in r.names) for r in self.recurrences
        )

    def _repeat_tiles(self, then: _Mark, passed: _Mark, times: int, depth: int) -> None:
        """Add `times` periods of the loop at `depth`: the clock moves on, nothing else changes."""
        self._move_start(-passed.now * times)
        more = {name: n * times for name, n in passed.counts.items()}
        for name, history in self.finish.items():
            _repeat_history(history, passed.counts[name], times, passed.now)
            self.number[name] += more[name]
        for step in self.pending:
            if isinstance(step, _VisitedStep):
                step.number = {name: n + more[name] for name, n in step.number.items()}
                step.back = step.shifted(more)
        self.busy = {n: spent + passed.busy[n] * times for n, spent in self.busy.items()}
        self.slots += passed.slots * times
        for loop, starts in self.begun.items():
            if self.names.index(loop) >= depth:
                moved = [
                    (slot + passed.slots * times, {x: n + more[x] for x, n in numbers.items()})
                    for slot, numbers in starts
                ]
                self.begun[loop] = deque(moved)
        for r, places in zip(self.recurrences, self.last, strict=True):
            if r.depth == depth:
                for place, (n, slot) in places.items():
                    if slot >= then.slots:
                        places[place] = (n + more[r.maker], slot + passed.slots * times)

    def _move_start(self, by: float) -> None:
        """Times stay small, so that equal states have equal numbers: the start is what moves."""
        self.start += by
        for history in self.finish.values():
            history.start = self.start

    def _restart_clock(self) -> None:
        """Let times count from now, once they have grown large."""
        by = self.now
        if by < LONG * self.unit:
            return
        self._move_start(-by)
        self.now, self.end = 0.0, self.end - by
        nothing = dict.fromkeys(self.number, 0)
        self.pending = deque(
            x.moved(-by, nothing) if isinstance(x, _VisitedStep) else None for x in self.pending
        )
        self.window = deque((t - by for t in self.window), maxlen=self.window.maxlen)
        self.free = {name: time - by for name, time in self.free.items()}
        for memory in self.shared.values():
            memory.shift(-by)
        for history in self.finish.values():
            history.recent = deque((t - by for t in history.recent), maxlen=history.keep)

    # --- what an iteration does ---------------------------------------------------------------

    def _mark(self) -> _Mark:
        counts = {name: history.count for name, history in self.finish.items()}
        return _Mark(self.now - self.start, self.slots, counts, dict(self.number), dict(self.busy))

    def _situation(self, depth: int) -> tuple:
        """Everything that decides the future of the loops from `depth` on, but their places."""
        steps = [x for x in self.pending if isinstance(x, _VisitedStep)]
        waiting = tuple(x.alike if isinstance(x, _VisitedStep) else None for x in self.pending)
        times: list[Collection[float]] = [[x.end for x in steps], [x.release for x in steps]]
        times += [self.window, self.free.values()]
        times += [(m.free, *(t for gap in m.gaps for t in gap)) for m in self.shared.values()]
        times += [history.since(self.now - self.past) for history in self.finish.values()]
        found = np.fromiter((t for some in times for t in some), dtype=float)
        found = np.maximum(found - self.now, -self.past)
        times_of = np.rint(found * (1e8 / self.unit)).astype(np.int64).tobytes()
        state = waiting, tuple(map(len, times)), times_of
        begun = tuple(
            (self.number[name] - n, self._ago(name, n - 1))
            for loop, starts in self.begun.items()
            # An outer loop is looked back along in the first step of its iteration only.
            if self.names.index(loop) >= depth or (starts and starts[-1][0] == self.slots)
            for _, numbers in starts
            for name, n in numbers.items()
        )
        return state, begun

    def _ago(self, name: str, number: int) -> int | None:
        """How long ago an execution finished, as `_situation` rounds it; None if it did not."""
        history = self.finish[name]
        if not 0 <= number < history.count:
            return None
        return round((history.at(number) - self.now) * (1e8 / self.unit))

    def _places(self, depth: int) -> tuple:
        """How long ago the places were visited that the loops from `depth` on may look back to."""
        found = []
        for r, places in zip(self.recurrences, self.last, strict=True):
            if r.depth <= depth and places:
                latest = np.array([*places.values()], dtype=np.int64)
                ago = self.number[r.maker] - latest[:, 0]
                slots = np.minimum(self.slots - latest[:, 1], self.depth + 1)
                found.append((tuple(places), ago.tobytes(), slots.tobytes()))
        return tuple(found)

    def _effect(self, before: _Mark, depth: int) -> _Effect:
        """What has happened since `before`, in one iteration of the loop at `depth`."""
        passed = self._mark().since(before)
        now, back = self.now, {name: -n for name, n in self.number.items()}
        steps = (x.moved(-now, back) if isinstance(x, _VisitedStep) else None for x in self.pending)
        return _Effect(
            passed=passed,
            end=self.end - now,
            pending=tuple(steps),
            window=tuple(time - now for time in self.window),
            free={name: time - now for name, time in self.free.items()},
            shared={
                name: (m.free - now, tuple((a - now, b - now) for a, b in m.gaps))
                for name, m in self.shared.items()
            },
            recent={
                name: np.array(history.recent)[max(0, len(history.recent) - n) :] - now
                for (name, n), history in zip(
                    passed.counts.items(), self.finish.values(), strict=True
                )
            },
            begun={
                loop: _moved_starts(starts, -self.slots, back)
                for loop, starts in self.begun.items()
                if self.names.index(loop) >= depth
            },
            last={
                i: {at: (n + back[r.maker], slot - self.slots) for at, (n, slot) in places.items()}
                for i, (r, places) in enumerate(zip(self.recurrences, self.last, strict=True))
                if r.depth <= depth
            },
        )

    def _redo(self, effect: _Effect) -> None:
        """Bring about what an iteration is known to do."""
        passed = effect.passed
        self.now += passed.now
        self.slots += passed.slots
        self.number = {name: n + passed.numbers[name] for name, n in self.number.items()}
        self.busy = {name: spent + passed.busy[name] for name, spent in self.busy.items()}
        now, number = self.now, self.number
        self.end = max(self.end, now + effect.end)
        self.pending = deque(x.moved(now, number) if x else None for x in effect.pending)
        self.window = deque((t + now for t in effect.window), maxlen=self.window.maxlen)
        self.free = {name: time + now for name, time in effect.free.items()}
        for name, (free, gaps) in effect.shared.items():
            self.shared[name].free = free + now
            self.shared[name].gaps = [(a + now, b + now) for a, b in gaps]
        for name, recent in effect.recent.items():
            history = self.finish[name]
            history.recent.extend((recent + now).tolist())
            history.count += passed.counts[name]
        for loop, starts in effect.begun.items():
            self.begun[loop] = deque(_moved_starts(starts, self.slots, number))
        for i, places in effect.last.items():
            by = number[self.recurrences[i].maker]
            self.last[i] = {at: (n + by, slot + self.slots) for at, (n, slot) in places.items()}

    # --- steps --------------------------------------------------------------------------------

    def _note_begin(self, loop: str) -> None:
        """An iteration of a loop begins; those that nothing looks back to any more are dropped."""
        if loop not in self.begun:
            return
        starts = self.begun[loop]
        names = [dep.task for dep in self.whole if dep.loop == loop]
        starts.append((self.slots, {name: self.number[name] for name in names}))
        used = [self._start_used(dep) for dep in self.whole if dep.loop == loop]
        needed = [at for at in used if at is not None]
        for _ in range(min(needed) if len(needed) == len(used) else 0):
            starts.popleft()

    def _start_used(self, dep: Dep) -> int | None:
        """Which of the noted iterations has to be over before a slot of the buffer is free.

        The one after it begins there. A tile that a deep pipeline still uses is not waited for: it
        has more slots then.
        """
        starts = self.begun[str(dep.loop)]
        issued = self.number[dep.task] - self.stage[dep.task]
        for at in range(len(starts) - dep.iterations, -1, -1):
            if starts[at][1][dep.task] <= issued:
                return at
        return None

    def _visit(self, where: Mapping[str, _Iteration], code: int) -> None:
        """Begin a step once all that it looks back to can be issued before it."""
        runs = self._running(where, code)
        places = [_place(r.names, where) for r in self.recurrences]
        found = [last.get(at) for last, at in zip(self.last, places, strict=True)]
        for recurrence, before in zip(self.recurrences, found, strict=True):
            if before is not None and recurrence.readers & runs:
                while before[1] + recurrence.lag > self.slots:
                    self._slot(None)
        slot, numbers = self.slots, dict(self.number)
        full = self.phase.in_flight is not None and len(self.window) == self.window.maxlen
        release = self.window[0] if full else self.start
        back = {i: None if x is None else x[0] for i, x in enumerate(found)}
        back |= self._freed(runs)
        at = {name: it.index for name, it in where.items()} if self.grid.widths else {}
        widths = {axes: self.grid.width(axes, at) for axes in self.grid.widths}
        ago = tuple(None if n is None else numbers[self.makers[i]] - n for i, n in back.items())
        alike = (code, tuple(back), ago, _edges(where))
        self._slot(
            _VisitedStep(where, runs, numbers, release, release, back, self.makers, widths, alike)
        )
        for r, last, place in zip(self.recurrences, self.last, places, strict=True):
            if r.maker in runs:
                last[place] = (numbers[r.maker], slot)
        for name in runs:
            self.number[name] += 1
        self.steps += 1

    def _freed(self, runs: frozenset[str]) -> dict[int, int | None]:
        """The last execution that must have read its operands before a slot is free."""
        freed: dict[int, int | None] = {}
        for task in self.phase.tasks:
            for dep in task.after:
                if dep.whole and dep.loop and task.name in runs:
                    at = self._start_used(dep)
                    number = None if at is None else self.begun[dep.loop][at][1][dep.task] - 1
                    freed[self.index[dep]] = number
        return freed

    def _running(self, where: Mapping[str, _Iteration], code: int) -> frozenset[str]:
        """The tasks that run in a step."""
        others = tuple((n, it.first, it.last) for n, it in where.items() if n not in self.axes)
        if (code, others) not in self.sets:
            self.sets[code, others] = frozenset(
                task.name
                for task in self.phase.tasks
                if self.grid.runs(code, self.grid.class_of(task))
                and all(
                    first if task.when == "first" else last
                    for name, first, last in others
                    if name not in task.at
                )
            )
        return self.sets[code, others]

    def _slot(self, step: _Step | None) -> None:
        """Issue the tasks of one slot, and count it."""
        self.slots += 1
        super()._slot(step)

    def _lengths(self, task: Task, step: _Step) -> list[tuple[str, float]]:
        """Time of this execution on each resource; keys that no loop cuts as far as visited."""
        if not self.grid.widths or not isinstance(step, _VisitedStep):
            return super()._lengths(task, step)
        width = step.widths[self.grid.class_of(task)[0]]
        key = (task.name, tuple(step.where[name].extent for name in task.at), width)
        if key not in self.lengths:
            assert self.phase.nest.visits is not None, "a masked phase has a mask"
            extents = _extents(self.phase, task, step.where) | {self.phase.nest.visits.keys: width}
            times = task.times(lambda work: work.at(extents))
            self.lengths[key] = [(resource, plain(time)) for resource, time in times.items()]
        return self.lengths[key]

    def _show(self, span: Span, step: _Step) -> None:
        """Keep a box of the timeline, by the clock of the phase."""
        if len(self.timeline) >= self.limit:
            return
        begin, end = span.start_s - self.start, span.end_s - self.start
        super()._show(Span(span.task, span.resource, begin, end, ()), step)

    def _wait(self, dep: Dep, step: _Step) -> float:
        """The time at which what `dep` names is over."""
        if dep.loop is None or not isinstance(step, _VisitedStep):
            return super()._wait(dep, step)
        number = step.back[self.index[dep]]
        if number is None:
            return self.start
        finish = self.finish[dep.task].at(number)
        return finish - float(self.task[dep.task].latency_s) if dep.whole else finish


def _repeat_history(history: _History, executions: int, times: int, period: float) -> None:
    """Let the last executions happen `times` more; the very last of them keep their times."""
    recent = list(history.recent)
    kept, last = recent[: len(recent) - executions], recent[len(recent) - executions :]
    copies = [
        time - k * period
        for k in range(min(times, -(-history.keep // max(executions, 1))), -1, -1)
        for time in last
    ]
    history.recent = deque((time - times * period for time in kept), maxlen=history.keep)
    history.recent.extend(copies)
    history.count += executions * times


def _edges(where: Mapping[str, _Iteration]) -> tuple:
    """Whether loops are at their ends, and how much of their rank they cover."""
    return tuple((it.extent, it.first, it.last) for it in where.values())


def _place(names: tuple[str, ...], where: Mapping[str, _Iteration]) -> Coordinates:
    return tuple(where[name].index for name in names)


def _moved_starts(
    starts: deque[tuple[int, dict[str, int]]] | tuple[tuple[int, Mapping[str, int]], ...],
    slots: int,
    numbers: Mapping[str, int],
) -> tuple[tuple[int, dict[str, int]], ...]:
    return tuple(
        (slot + slots, {name: n + numbers[name] for name, n in begun.items()})
        for slot, begun in starts
    )


def _recurrences(
    phase: Phase, stage: Mapping[str, int]
) -> tuple[tuple[_Recurrence, ...], dict[Dep, int]]:
    """The recurrences of a phase, and which of them each dependency along a loop is."""
    names, tasks = phase.nest.names, {task.name: task for task in phase.tasks}
    found: dict[tuple, list[tuple[Dep, str]]] = {}
    for task in phase.tasks:
        for dep in task.after:
            if dep.loop is not None and not dep.whole:
                maker = tasks[dep.task]
                found.setdefault((maker.at, maker.when, dep.loop), []).append((dep, task.name))
    recurrences, index = [], {}
    for (at, _, loop), deps in found.items():
        depth = names.index(loop)
        local = set(names[:depth]) <= set(at)
        inner = names[depth + 1 :]
        apart = tuple(n for n in names if n in at and n != loop and (n in inner or not local))
        lag = max(stage[dep.task] - stage[reader] for dep, reader in deps)
        readers = frozenset(reader for _, reader in deps)
        index |= {dep: len(recurrences) for dep, _ in deps}
        maker = deps[0][0].task
        recurrences.append(_Recurrence(maker, loop, depth, apart, local, readers, lag))
    return tuple(recurrences), index
