"""Plain records, what tables are made of, and how figures pick the rows that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")

Record: TypeAlias = Mapping[str, object]
"""A row of a table: column to value, text or number, as `csv.DictReader` gives it or computed."""

COLUMNS = ("kernel", "config", "model", "seq_len", "pe_dim", "metric", "unit", "value")
"""Columns of a table of results."""

RUNGS = ("name", "speedup", "limit", "kind")
"""Columns of a ladder: what bounds or tells the speedup, how large it is, what is lost on the way
down to it, and one of `KINDS`."""

LADDERS = ("case", "gpu", "name", "speedup", "kind")
"""Columns of several ladders side by side."""

KINDS = ("bound", "simulated", "measured")
"""Where the speedup of a rung comes from."""

BOUNDS = ("stride", "window", "speedup", "fully_block_sparse")
"""Columns of a table of bounds by stride and window."""

VISITS = ("visited_kv_tiles", "q_tiles")
"""Columns of a histogram: how many query tiles visit so many key tiles."""

TORNADO = ("name", "text", "low", "high")
"""Columns of a tornado: a number that is turned, its value as text, and how many times as much
there is of what is asked for with less and with more of it; None where that is refused."""

STACKED_TIME = ("case", "unit", "busy_s", "latency_s", "bound")
"""Columns of a stack of times: busy time of a unit of a case, and latency and bound of it."""

STACKED_ENERGY = ("case", "component", "energy_j")
"""Columns of a stack of energies."""

COMPARED = {
    "time": ("kernel", "machine", "predicted_ms", "measured_ms"),
    "energy": ("kernel", "machine", "predicted_mj", "measured_mj"),
}
"""Columns of a table of predictions beside measurements, by the quantity compared."""


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
    check_columns(found, what, COLUMNS)
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
        where = ", ".join(
            f"{c} {v!r}" for c, v in row.items() if c != column and v not in (None, "")
        )
        found = repr(row[column]) if column in row else "no such column"
        raise PlotError(f"{what}: {where or 'a row'}: want a number in {column}, found {found}")
    return value


def positive(row: Record, what: str, column: str) -> float:
    """The number above 0 in a column of a row.

    Raises:
        PlotError: It is no finite number, or 0 or less.
    """
    value = number(row, what, column)
    if value <= 0:
        name = row.get("name", "a row")
        raise PlotError(f"{what}: {name}: want {column} above 0, found {value:g}")
    return value


def told(row: Record, column: str) -> bool:
    """Whether a column of a row has an answer: anything but None and an empty text.

    >>> told({"value": 0.0}, "value"), told({"value": None}, "value"), told({"value": ""}, "value")
    (True, False, False)
    """
    return row[column] is not None and row[column] != ""


def short(value: float) -> str:
    """A number with three digits and no zeros that say nothing.

    >>> short(11.111), short(3.20), short(1234.5)
    ('11.1', '3.2', '1234')
    """
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


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


def check_columns(rows: Iterable[Record], what: str, columns: Sequence[str]) -> None:
    """Refuse rows that lack a column.

    Raises:
        PlotError: The columns lacking, each with the last row that lacks it.
    """
    lacking = {c: n for n, row in enumerate(rows, 1) for c in columns if c not in row}
    if lacking:
        missing = ", ".join(f"{column} (row {n})" for column, n in lacking.items())
        raise PlotError(f"{what}: want the columns {', '.join(columns)}, lacking: {missing}")


def flag(row: Record, what: str, column: str) -> bool:
    """The yes or no in a column of a row: True, 1, "1", "true", or their opposites.

    Raises:
        PlotError: It is neither.

    >>> flag({"sparse": "0"}, "bounds", "sparse"), flag({"sparse": True}, "bounds", "sparse")
    (False, True)
    """
    value = {"1": True, "true": True, "0": False, "false": False}.get(str(row[column]).lower())
    if value is None:
        raise PlotError(f"{what}: want 1 or 0 in {column}, found {row[column]!r}")
    return value
