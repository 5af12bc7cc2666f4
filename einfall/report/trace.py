"""The timeline of a simulation in the format that chrome://tracing and ui.perfetto.dev open."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einfall.report.files import write

if TYPE_CHECKING:
    from einfall.sim.events import Simulation, Span


def chrome_trace(timelines: Mapping[str, Simulation]) -> dict[str, Any]:
    """Timelines as one Chrome trace: a process each, a thread for each of its resources.

    A span is a complete event; events stand in the order of their time, in microseconds, as the
    format wants, and no two processes share the number of a thread. Requests that a memory serves
    at the same time stand on rows of their own ("dram", "dram 2"), since events of a row must not
    cross.

    Args:
        timelines: Simulations by the name that their process gets.

    Source:
        "Trace Event Format", the Chromium project: phases X (complete) and M (metadata).
    """
    metadata: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    taken = 0
    for process, (title, simulation) in enumerate(timelines.items(), start=1):
        rows = list(_rows(simulation.timeline))
        names = dict.fromkeys(name for name, _ in rows)
        threads = {name: number for number, name in enumerate(names, start=taken + 1)}
        taken += len(threads)
        metadata += _names(process, title, threads)
        events += [_event(span, process, threads[name]) for name, span in rows]
    return {
        "traceEvents": [*metadata, *sorted(events, key=lambda event: event["ts"])],
        "displayTimeUnit": "ns",
        "otherData": {
            "timelines": [_about(*timeline) for timeline in timelines.items()],
            "left_out": "the end of long phases, and repetitions that the simulation leaps over",
        },
    }


def write_trace(timelines: Mapping[str, Simulation], path: str | Path) -> Path:
    """Write `chrome_trace` to a file."""
    text = json.dumps(chrome_trace(timelines)) + "\n"
    return write(path, lambda part: part.write_text(text, encoding="utf-8"))


def _about(title: str, simulation: Simulation) -> dict[str, Any]:
    """What the events alone do not say of a timeline."""
    return {
        "title": title,
        "latency_s": simulation.timing.latency_s,
        "steps_simulated": simulation.steps_simulated,
        "spans": len(simulation.timeline),
    }


def _names(process: int, title: str, threads: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Names of a process and its threads, in the order in which they are to be shown."""
    yield _metadata("process_name", process, 0, name=title)
    yield _metadata("process_sort_index", process, 0, sort_index=process)
    for name, thread in threads.items():
        yield _metadata("thread_name", process, thread, name=name)
        yield _metadata("thread_sort_index", process, thread, sort_index=thread)


def _rows(spans: Iterable[Span]) -> Iterable[tuple[str, Span]]:
    """Each span with the name of its row: the first of its resource that is free."""
    free: dict[str, list[float]] = {}
    for span in sorted(spans, key=lambda s: (s.start_s, s.end_s)):
        ends = free.setdefault(span.resource, [])
        slack = 1e-9 * span.end_s  # two floats that mean the same moment
        row = next((i for i, end in enumerate(ends) if end <= span.start_s + slack), len(ends))
        ends[row : row + 1] = [span.end_s]
        yield span.resource if row == 0 else f"{span.resource} {row + 1}", span


def _event(span: Span, process: int, thread: int) -> dict[str, Any]:
    return {
        "name": span.task,
        "cat": span.resource,
        "ph": "X",
        "ts": span.start_s * 1e6,
        "dur": (span.end_s - span.start_s) * 1e6,
        "pid": process,
        "tid": thread,
        "args": dict(span.step),
    }


def _metadata(kind: str, process: int, thread: int, **args: object) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": args}
