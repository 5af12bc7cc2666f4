"""What `einfall run` tells of a sweep: every point, the answers, what to draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from einfall.hw_models.yaml_door import Document, SpecError
from einfall.scenarios.findings import Drawing, Findings
from einfall.scenarios.sweeps import reading
from einfall.scenarios.sweeps.asking import answers
from einfall.scenarios.sweeps.listing import WHY, Listing, Row, listed
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.shown import heading, shown
from einfall.scenarios.tables import text_table

SHOWN = 48
"""Lines of a table that are printed; all are in its file."""


def planned(document: Document, asked_as: str) -> Plan:
    """The sweep made ready for a table, which always says what binds.

    Raises:
        SpecError: All the mistakes in its file.
    """
    return reading.planned(document, asked_as, beside=("bound",))


def run(ready: Plan, *, out: Path | None, figures: bool, accounting: str | None) -> Findings:
    """Work out every point of a sweep.

    Args:
        ready: As `planned` makes it.
        out: Folder for tables, JSON and figures.
        figures: Whether to draw.
        accounting: None, for the file says it.

    Raises:
        SpecError: An accounting from outside, or more points than a table has.
    """
    if accounting is not None:
        found = f"want none for {ready.sweep.name}, whose file says it, found {accounting!r}"
        raise SpecError([f"--accounting: {found}; write accounting: {accounting} in a copy"])
    listing = listed(ready)
    told = answers(listing)
    tables = {ready.sweep.name: _table(listing)} | ({"answers": told} if told else {})
    sections = [*_table_text(listing), *_answers_text(told), *_notes(listing)]

    def draw(_: Findings) -> Iterable[Drawing]:
        from einfall.scenarios.sweeps.figures import drawings

        return drawings(listing)

    found = Findings(ready.sweep, tables, sections, asked=ready.asked_as, draw=draw)
    return found if out is None else found.written(out, found.drawings() if figures else ())


def _table(listing: Listing) -> list[dict[str, Any]]:
    """The rows as they are written: every column in each, the reason last where there is one."""
    any_cannot = any(WHY in row for row in listing.rows)
    names = ("index", *listing.columns, *([WHY] if any_cannot else ()))
    return [{name: row.get(name) for name in names} for row in listing.rows]


def _table_text(listing: Listing) -> Iterator[str]:
    rows = listing.answered
    if not rows:
        yield "no point counts"
        return
    yield _text(listing.columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN:,} rows more: --out DIR writes all, --json prints them"


def _text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [[shown(name, row[name]) for name in columns] for row in rows]
    return text_table([heading(name) for name in columns], lines)


def _answers_text(told: list[dict[str, Any]]) -> Iterator[str]:
    """A heading for each question, a line for each of its answers."""
    for ask, records in groupby(told, key=itemgetter("ask")):
        rows = list(records)
        names = [name for name in rows[0] if name not in ("ask", "index")]
        answered = [row if row["index"] is not None else {**row, names[-1]: "none"} for row in rows]
        yield f"{ask}\n{_text(names, answered)}"


def _notes(listing: Listing) -> Iterator[str]:
    """What is not in the table, and what a reader should know of it."""
    lines = [f"{_points(n)} dropped by {text}" for text, n in listing.dropped.items() if n]
    cannot = [row[WHY] for row in listing.rows if WHY in row]
    if cannot:
        lines.append(f"{_points(len(cannot))} cannot be, the first: {cannot[0]}")
    if listing.without_baseline:
        lines.append(f"no speedup where the baseline cannot be: {listing.without_baseline}")
    lines += listing.plan.notes
    if lines:
        yield "\n".join(lines)


def _points(n: int) -> str:
    """So many points.

    >>> _points(1), _points(2000)
    ('1 point', '2,000 points')
    """
    return f"{n:,} point{'s' * (n != 1)}"
