"""Running a sweep: chunk by chunk, from where it was left, to one table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einfall import __version__
from einfall.files import json_text, write_all, write_texts
from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps import tables
from einfall.scenarios.sweeps.chunks import Store, tally_of
from einfall.scenarios.sweeps.engines import check_scheduler, worked_out
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.reading import plan
from einfall.scenarios.sweeps.tally import Tally, bounds_of, effects_of, merged

BLOCKS, POINTS = 4, 262_144
"""Blocks of a chunk, and points that it has at most where it has several, if nothing is said."""

Progress = Callable[[int, int], None]  # points that are done, of how many


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    `resumed` are points whose chunks were there already; `seconds` is what the rest took.
    """

    plan: Plan
    total: Tally
    resumed: int
    seconds: float
    paths: tuple[Path, ...]

    @property
    def points_per_s(self) -> float | None:
        """Points that were worked out, a second; None where none were."""
        done = self.total["points"] - self.resumed
        return done / self.seconds if done and self.seconds else None

    @property
    def best(self) -> dict[str, list[dict[str, Any]]]:
        """The best points by each column, as rows."""
        asked = self.plan.sweep.columns
        return {
            name: [
                {"index": index, **self.plan.point(index), **{k: row[k] for k in asked}}
                for _, index, row in rows
            ]
            for name, rows in self.total["best"].items()
        }

    def answer(self) -> dict[str, Any]:
        """What the sweep answers, the same whoever works it out."""
        sweep, total = self.plan.sweep, self.total
        texts = [c.text for c in self.plan.constraints]
        refused = {
            kind: {**found, "point": self.plan.point(found["first"])}
            for kind, found in total["refused"].items()
        }
        return {
            "schema": "einfall/sweep/1",
            "sweep": sweep.name,
            "about": sweep.about,
            "source": sweep.source,
            "einfall": __version__,
            "key": self.plan.key,
            "method": sweep.method,
            "points": total["points"],
            "kept": total["kept"],
            "dropped": dict(zip(texts, total["dropped"], strict=True)),
            "refused": refused,
            "without_baseline": total["without_baseline"],
            "columns": list(self.plan.columns),
            "notes": list(self.plan.notes),
            "best": self.best,
            "bounds": bounds_of(total),
            "effects": effects_of(self.plan, total),
        }

    def record(self) -> dict[str, Any]:
        """The JSON document: the answer, and how long it took."""
        return {
            **self.answer(),
            "seconds": self.seconds,
            "points_per_s": self.points_per_s,
            "resumed": self.resumed,
            "files": [str(path) for path in self.paths],
        }


def run_sweep(  # noqa: PLR0913  what, where to, and by whom
    name_or_plan: str | Path | Plan,
    *,
    out: Path | None = None,
    form: str = "csv",
    workers: int = 1,
    chunk: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Run a sweep.

    The table is the same to the byte whatever workers, chunks and scheduler, and however often it
    was killed and run again.

    Args:
        name_or_plan: A sweep that ships, a YAML file, or one made ready by `plan`.
        out: Folder for the table and its summary; nothing is written without one, and nothing can
            be resumed.
        form: "csv" or "parquet".
        workers: Processes.
        chunk: Points of a chunk, what is lost when the sweep is killed; whole blocks of
            `plan.grid` are taken.
        scheduler: Address of a Dask scheduler, or "local".
        progress: Is told how far it is.

    Raises:
        SpecError: Mistakes in the sweep, a format or scheduler that is not there.
        OSError: A file cannot be written.
    """
    tables.check_format(form)
    if scheduler is not None:
        check_scheduler()
    ready = name_or_plan if isinstance(name_or_plan, Plan) else plan(name_or_plan)
    asks = _asks(ready, chunk)
    store = None
    if out is not None:
        key = f"{ready.key} {form} {asks[0][2]}"
        store = Store(out / f".{ready.sweep.name}.chunks", key)
    found: dict[int, Tally] = {}
    for n, _, _ in asks if store else ():
        there = store.read(n) if store else None
        if there:
            found[n] = there[0]
    resumed = sum(tally["points"] for tally in found.values())
    done, started = resumed, time.perf_counter()
    if progress:
        progress(done, ready.grid.points)
    left = [ask for ask in asks if ask[0] not in found]
    for n, data in worked_out(
        ready, left, form if store else None, workers=workers, scheduler=scheduler
    ):
        if store:
            store.write(n, data)
        found[n] = tally_of(data)
        done += found[n]["points"]
        if progress:
            progress(done, ready.grid.points)
    total = merged(found[n] for n, _, _ in asks)
    result = SweepResult(ready, total, resumed, time.perf_counter() - started, ())
    return result if store is None or out is None else _written(result, store, len(asks), form, out)


def _asks(ready: Plan, chunk: int | None) -> list[tuple[int, int, int]]:
    """The chunks: number, first block, and the block after the last."""
    if chunk is not None and chunk < 1:
        raise SpecError([f"--chunk: want a number of points, found {chunk}"])
    grid = ready.grid
    each = max((block.points for block in grid.blocks(0, 1)), default=1)
    step = min(BLOCKS, max(1, POINTS // each)) if chunk is None else -(-chunk // each)
    starts = range(0, grid.block_count, step)
    return [(n, start, min(start + step, grid.block_count)) for n, start in enumerate(starts)]


def _written(result: SweepResult, store: Store, count: int, form: str, out: Path) -> SweepResult:
    """The result with its table and summary; the chunks are in the table then."""
    name = result.plan.sweep.name
    table, summary = out / f"{name}.{form}", out / f"{name}.json"

    def write(path: Path) -> None:
        tables.write(result.plan, store.bodies(count), form, path)

    started = time.perf_counter()
    write_all({table: write})
    write_texts({summary: json_text(result.answer())})
    store.clear()
    seconds = result.seconds + time.perf_counter() - started
    return SweepResult(result.plan, result.total, result.resumed, seconds, (table, summary))


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
