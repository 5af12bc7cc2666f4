"""Answers to the questions of a sweep: the least or most of a column where conditions hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from einfall.scenarios.sweeps.constraints import read_constraint
from einfall.scenarios.sweeps.listing import Listing, Row
from einfall.scenarios.sweeps.spec import Question

_BESIDE = ("latency_s", "speedup", "bound")
"""What is told of the point that answers, where it was asked for."""


def answers(listing: Listing) -> list[dict[str, Any]]:
    """A record for each question and each set of values that it is asked for.

    Beside the answer stand the axes in which the points that meet its conditions differ. One
    without such a point has None in its columns.
    """
    return [
        record for question in listing.plan.sweep.answers for record in _answer(listing, question)
    ]


def _answer(listing: Listing, question: Question) -> Iterator[dict[str, Any]]:
    by = [listing.column(name) for name in question.for_each]
    column = listing.column(question.column)
    meeting = listing.where(question.where)
    where = listing.varied(meeting, (column, *by))
    beside = [n for n in _BESIDE if n in listing.columns and n not in (column, *by)]
    for group in dict.fromkeys(
        tuple(row[name] for name in by) for row in _asked(listing, question)
    ):
        rows = [r for r in meeting if tuple(r[n] for n in by) == group and r[column] is not None]
        found = _first(rows, column, most=question.most is not None)
        record = {"ask": question.ask, **dict(zip(by, group, strict=True))}
        record |= {name: found and found[name] for name in (column, *where, *beside)}
        yield {**record, "index": found and found["index"]}


def _asked(listing: Listing, question: Question) -> tuple[Row, ...]:
    """Rows of the groups that are asked for: a condition on `for_each` alone leaves groups out."""
    conditions = [read_constraint(text, listing.plan.spoken_of) for text in question.where]
    return listing.where(tuple(c.text for c in conditions if c.names <= set(question.for_each)))


def _first(rows: list[Row], column: str, *, most: bool) -> Row | None:
    """The row of the least or most value; of several the first."""
    if not rows:
        return None
    return (max if most else min)(rows, key=lambda row: row[column])
