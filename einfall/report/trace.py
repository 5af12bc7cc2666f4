"""The timeline of a simulation in the format that chrome://tracing and ui.perfetto.dev open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einfall.report.files import write

if TYPE_CHECKING:
    from einfall.sim.events import Simulation, Span

_PROCESS = 1


def chrome_trace(simulation: Simulation, title: str) -> dict[str, Any]:
    """The timeline as a Chrome trace: a thread for each resource, a complete event for each span.

    Times are in microseconds, as the format wants. Requests that a memory serves at the same time
    stand on rows of their own ("dram", "dram 2"), since events of a row must not cross.

    Source:
        "Trace Event Format", the Chromium project: phases X (complete) and M (metadata).
    """
    rows = list(_rows(simulation.timeline))
    names = list(dict.fromkeys(name for name, _ in rows))
    number = {name: i + 1 for i, name in enumerate(names)}
    events = [_metadata("process_name", 0, name=title)]
    for name, thread in number.items():
        events.append(_metadata("thread_name", thread, name=name))
        events.append(_metadata("thread_sort_index", thread, sort_index=thread))
    events += [_event(span, number[name]) for name, span in rows]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "title": title,
            "latency_s": simulation.timing.latency_s,
            "steps_simulated": simulation.steps_simulated,
            "spans": len(simulation.timeline),
            "left_out": "the end of long phases, and repetitions that the simulation leaps over",
        },
    }


def write_trace(simulation: Simulation, title: str, path: str | Path) -> Path:
    """Write `chrome_trace` to a file."""
    text = json.dumps(chrome_trace(simulation, title)) + "\n"
    return write(path, lambda part: part.write_text(text, encoding="utf-8"))


def _rows(spans: Iterable[Span]) -> Iterable[tuple[str, Span]]:
    """Each span with the name of its row: the first of its resource that is free."""
    free: dict[str, list[float]] = {}
    for span in sorted(spans, key=lambda s: (s.start_s, s.end_s)):
        ends = free.setdefault(span.resource, [])
        slack = 1e-9 * span.end_s  # two floats that mean the same moment
        row = next((i for i, end in enumerate(ends) if end <= span.start_s + slack), len(ends))
        ends[row : row + 1] = [span.end_s]
        yield span.resource if row == 0 else f"{span.resource} {row + 1}", span


def _event(span: Span, thread: int) -> dict[str, Any]:
    return {
        "name": span.task,
        "cat": span.resource,
        "ph": "X",
        "ts": span.start_s * 1e6,
        "dur": (span.end_s - span.start_s) * 1e6,
        "pid": _PROCESS,
        "tid": thread,
        "args": dict(span.step),
    }


def _metadata(kind: str, thread: int, **args: object) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": thread, "args": args}
