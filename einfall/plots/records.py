"""Plain records, what tables are made of, and how figures pick the rows that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")

Record: TypeAlias = Mapping[str, object]
"""A row of a table: column to value, text or number, as `csv.DictReader` gives it or computed."""

COLUMNS = ("kernel", "config", "model", "seq_len", "pe_dim", "metric", "unit", "value")
"""Columns of a table of results."""


class PlotError(ValueError):
    """A table that lacks what a figure draws, or holds what it cannot draw."""


def pick(rows: Iterable[Record], what: str, **wanted: object) -> list[Record]:
    """The rows whose columns hold the wanted values.

    Args:
        rows: Rows with the columns `COLUMNS`.
        what: What draws them, for the message of an error.
        wanted: Value of a column, such as `metric="latency"`.

    Raises:
        PlotError: A row lacks a column, or no row is left.

    >>> row = dict.fromkeys(COLUMNS, "") | {"kernel": "attention", "metric": "latency"}
    >>> len(pick([row], "speedups", kernel="attention"))
    1
    """
    found = list(rows)
    _check_columns(found, what)
    left = [row for row in found if all(row[c] == value for c, value in wanted.items())]
    if not left:
        asked = ", ".join(f"{column} {value!r}" for column, value in wanted.items())
        there = "; ".join(
            f"{column}: {', '.join(sorted({str(row[column]) for row in found})) or 'none'}"
            for column in wanted
        )
        raise PlotError(f"{what}: want rows with {asked}, found {len(found)} rows with {there}")
    return left


def number(row: Record, what: str, column: str = "value") -> float:
    """The number in a column of a row.

    Raises:
        PlotError: It is no finite number.

    >>> number({"value": "2.5"}, "speedups")
    2.5
    """
    try:
        value = float(row[column])  # ty: ignore[invalid-argument-type]
    except (TypeError, ValueError, KeyError):
        value = float("nan")
    if value - value != 0:
        where = ", ".join(f"{c} {row[c]!r}" for c in COLUMNS if row.get(c) not in (None, ""))
        found = repr(row[column]) if column in row else "no such column"
        raise PlotError(f"{what}: {where}: want a number in {column}, found {found}")
    return value


def length(text: object) -> float:
    """A sequence length as a number; K and M are 2^10 and 2^20.

    >>> length("16K"), length("1M"), length(384)
    (16384.0, 1048576.0, 384.0)
    """
    plain = str(text)
    factor = {"K": 2**10, "M": 2**20}.get(plain[-1:], 1)
    try:
        return float(plain[:-1] if factor > 1 else plain) * factor
    except ValueError:
        raise PlotError(
            f"seq_len: want a number, which may end in K or M, found {plain!r}"
        ) from None


def column(table: Sequence[Record], name: str) -> list[str]:
    """The different values of a column, as text, in order of appearance.

    >>> column([{"model": "BERT"}, {"model": "T5"}, {"model": "BERT"}], "model")
    ['BERT', 'T5']
    """
    return list(dict.fromkeys(str(row[name]) for row in table))


def some(table: Iterable[Item], what: str) -> list[Item]:
    """The records, estimates or spans as a list.

    Raises:
        PlotError: It is empty.
    """
    rows = list(table)
    if not rows:
        raise PlotError(f"{what}: want at least one to draw, found none")
    return rows


def _check_columns(rows: Sequence[Record], what: str) -> None:
    lacking = {c: n for n, row in enumerate(rows, 1) for c in COLUMNS if c not in row}
    if lacking:
        missing = ", ".join(f"{column} (row {n})" for column, n in lacking.items())
        raise PlotError(f"{what}: want the columns {', '.join(COLUMNS)}, lacking: {missing}")
