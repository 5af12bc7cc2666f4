"""Time and energy of a launch: short bursts with pauses, and loops that hold the power limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from einfall.validate.measuring.nvml import Gpu, Sample
from einfall.validate.measuring.statistics import Spread, spread_of

FLUSH_BYTES = 256 * 2**20
"""Written before each timed launch: more than twice any L2 here, as Triton's own benchmark does."""

HOST_AHEAD, MOST_FLUSHES = 2.0, 12
"""The L2 is flushed for so many times the host's time to enqueue a launch: if the GPU caught up
with the host, the time between events would hold the host's time as well. At most so often."""

BURST_S, REPEATS = 0.06, (12, 60)
"""Busy time that a burst aims at, and the least and most launches of it."""

GROUP_S, PAUSE_S = 5e-3, 5e-3
"""Busy time after which a burst pauses, and for how long, so that the clock stays up."""

WARM_S, ROUND_S, GRAPH_BELOW_S = 1.0, 20e-3, 1e-4
"""Of a sustained loop: what runs before the measurement; the work that is enqueued at a time; and
the time of a launch below which this is one CUDA graph, because the host would be too slow."""

Launch = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Burst:
    """Times of single launches with a cold L2, and readings taken while they ran."""

    spread: Spread
    repeats: int
    samples: Sequence[Sample]


class Timer:
    """Times launches one by one; holds the buffer that flushes the L2."""

    def __init__(self) -> None:
        """Take the buffer, and time one flush."""
        import torch  # ty: ignore[import-not-found]  an extra, `gpu`

        self._torch = torch
        self._buffer = torch.empty(FLUSH_BYTES, dtype=torch.int8, device="cuda")
        self.flushes = 1
        self._buffer.zero_()
        start, end = self._events()
        start.record()
        self._buffer.zero_()
        end.record()
        torch.cuda.synchronize()
        self._flush_s = 1e-3 * start.elapsed_time(end)

    def _events(self) -> tuple[Any, Any]:
        event = self._torch.cuda.Event
        return event(enable_timing=True), event(enable_timing=True)

    def _enqueue(self, launch: Launch) -> tuple[Any, Any]:
        start, end = self._events()
        for _ in range(self.flushes):
            self._buffer.zero_()
        start.record()
        launch()
        end.record()
        return start, end

    def times_s(self, launch: Launch, repeats: int) -> list[float]:
        """Times between events around single launches, the L2 flushed before each [s]."""
        pairs = [self._enqueue(launch) for _ in range(repeats)]
        self._torch.cuda.synchronize()
        return [1e-3 * start.elapsed_time(end) for start, end in pairs]

    def warm_up(self, launch: Launch) -> None:
        """Launch until compiled, and flush for so long that the host is ahead of the GPU."""
        launch()
        self._torch.cuda.synchronize()
        self.flushes, host_s = 1, []
        for _ in range(5):
            begin = time.perf_counter()
            self._enqueue(launch)
            host_s.append(time.perf_counter() - begin)
            self._torch.cuda.synchronize()
        self.flushes = 1 + min(MOST_FLUSHES, int(HOST_AHEAD * median(host_s) / self._flush_s))

    def burst(self, launch: Launch, gpu: Gpu | None, estimate_s: float) -> Burst:
        """Time launches in groups of `GROUP_S` with pauses; `launch` is warm."""
        least, most = REPEATS
        repeats = max(least, min(most, int(BURST_S / estimate_s)))
        group = max(1, min(repeats, int(GROUP_S / (estimate_s + self._flush_s * self.flushes))))
        times: list[float] = []
        samples: list[Sample] = []
        while len(times) < repeats:
            pairs = [self._enqueue(launch) for _ in range(group)]
            if gpu is not None:
                samples.append(gpu.sample())
            self._torch.cuda.synchronize()
            times += [1e-3 * start.elapsed_time(end) for start, end in pairs]
            time.sleep(PAUSE_S)
        return Burst(spread_of(times), len(times), samples)


@dataclass(frozen=True, slots=True)
class Sustained:
    """A loop without pauses: mean time, power, energy a launch, and the second half's clock."""

    launch_s: float
    power_w: float
    launch_j: float
    sm_hz: float
    reasons: int
    seconds: float
    launches: int
    temperature_c: float


def sustained(launches: Sequence[Launch], gpu: Gpu, seconds: float, estimate_s: float) -> Sustained:
    """Run launches in turn, back to back, and read the energy counter before and after.

    Args:
        launches: The same kernel on one or more sets of buffers, warm.
        gpu: Where clock and energy are read.
        seconds: How long to measure; `WARM_S` of the same comes before.
        estimate_s: Time of one launch, to decide how many are enqueued at a time, and how.
    """
    rounds = max(1, round(ROUND_S / estimate_s / len(launches)))
    together = [launch for _ in range(rounds) for launch in launches]
    replay = _graph(together) if estimate_s < GRAPH_BELOW_S else lambda: _all(together)
    _loop(replay, gpu, WARM_S)
    begin, energy = time.perf_counter(), gpu.energy_j()
    replays, samples = _loop(replay, gpu, seconds)
    spent_s, spent_j = time.perf_counter() - begin, gpu.energy_j() - energy
    n = replays * rounds * len(launches)
    late = [sample for at, sample in samples if at > seconds / 2]
    clock = sum(sample.sm_hz for sample in late) / len(late)
    return Sustained(
        *(spent_s / n, spent_j / spent_s, spent_j / n, clock, _any(late), spent_s, n),
        temperature_c=max(sample.temperature_c for sample in late),
    )


def _any(samples: Sequence[Sample]) -> int:
    """All reasons that held at some time."""
    reasons = 0
    for sample in samples:
        reasons |= sample.reasons
    return reasons


def _all(launches: Sequence[Launch]) -> None:
    for launch in launches:
        launch()


def _graph(launches: Sequence[Launch]) -> Launch:
    """The launches as one CUDA graph."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _all(launches)
    return graph.replay


def _loop(replay: Launch, gpu: Gpu, seconds: float) -> tuple[int, list[tuple[float, Sample]]]:
    """Replay for a time with one replay always queued: how many, and readings on the way."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    begin, replays, samples, before = time.perf_counter(), 0, [], None
    while (at := time.perf_counter() - begin) < seconds:
        replay()
        replays += 1
        samples.append((at, gpu.sample()))
        event = torch.cuda.Event()
        event.record()
        if before is not None:
            before.synchronize()
        before = event
    torch.cuda.synchronize()
    return replays, samples


def idle_power_w(gpu: Gpu, seconds: float) -> float:
    """Mean power with nothing running [W]."""
    begin, energy = time.perf_counter(), gpu.energy_j()
    time.sleep(seconds)
    return (gpu.energy_j() - energy) / (time.perf_counter() - begin)
