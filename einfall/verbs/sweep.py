"""`sweep`: a grid of shapes and machines, resumable, with progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from einfall.report.files import unwritable
from einfall.verbs.answers import DONE, NO, Answer, BadInputError, Mistakes
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.scenarios.sweeps.plan import Plan

_SERIAL_S = 5.0  # a sweep that one process does in less is done by one
_EACH_S = (1e-6, 4e-3)  # of a point worked out in an array, and by itself, in rough numbers


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep that ships, or a file.yaml")
    option(parser, "--out", "DIR", "write the table and its summary there; else only print")
    option(parser, "--workers", "N", "processes; all cores if left out, one where that is enough")
    option(parser, "--chunk", "N", "points that a killed sweep may lose; whole blocks are taken")
    option(parser, "--scheduler", "ADDRESS", "of a Dask scheduler, or local; needs einfall[dask]")
    option(parser, "--format", "csv", "csv, or parquet, which needs einfall[parquet]")


def _answer(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from pathlib import Path

    from einfall.report.sweeps import sweep_text
    from einfall.scenarios.sweeps import engines, runner, tables
    from einfall.scenarios.sweeps.reading import plan

    workers = mistakes.note(lambda: _count("--workers", args.workers))
    chunk = mistakes.note(lambda: _count("--chunk", args.chunk))
    form = args.format or "csv"
    mistakes.note(lambda: tables.check_format(form))
    if args.scheduler is not None:
        mistakes.note(engines.check_scheduler)
    mistakes.add(unwritable("--out", args.out))
    if args.format and args.out is None:
        mistakes.add("--format: wanted a folder for the table, found none; add --out DIR")
    ready = mistakes.settled(mistakes.note(lambda: plan(args.sweep)))
    with _progress(ready.sweep.name) as tell:
        found = runner.run_sweep(
            ready,
            out=Path(args.out) if args.out else None,
            form=form,
            workers=workers or _workers(ready),
            chunk=chunk,
            scheduler=args.scheduler,
            progress=tell,
        )
    code = DONE if found.total["kept"] else NO
    return Answer(found.record(), lambda: sweep_text(found), ready.notes, code)


def _count(name: str, text: str | None) -> int | None:
    """A positive whole number, or nothing.

    Raises:
        BadInputError: It is something else.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise BadInputError([f"{name}: wanted a positive whole number, found {text!r}"])
    return int(text)


def _workers(ready: Plan) -> int:
    """All cores, where one would take long."""
    from einfall.scenarios.sweeps.runner import cores

    each_s = _EACH_S[0] if all(case.arrays for case in ready.cases.values()) else _EACH_S[1]
    return cores() if ready.grid.points * each_s > _SERIAL_S else 1


@contextmanager
def _progress(name: str) -> Generator[Callable[[int, int], None] | None]:
    """A bar with rate and time left on stderr; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Points a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, Rate(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


VERB = Verb(
    about="Work out a grid of shapes and machines, from a YAML file.",
    usage="einfall sweep SWEEP [--out DIR] [--workers N] [--chunk N] [--scheduler ADDRESS] "
    "[--format csv|parquet] [--json]",
    example="einfall sweep exponentials --out out/exponentials",
    options=_options,
    answer=_answer,
)
