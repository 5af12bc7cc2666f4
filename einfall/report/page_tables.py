"""Tables of any JSON record as HTML: units in the heads of columns, cells that sort as numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from einfall.units import SI

Record: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]

MOST_ROWS = 200
"""Rows of a table that the page holds; the others are in its data, for its script to show."""

_FEW, _NARROW = 3, 40
"""Most columns and characters of a table that leaves room for another one beside it."""

_IN_LINE, _LINE, _WIDE = 6, 200, 28
"""Most values of a mapping that is one line, and characters of it; characters before a break."""

_UNITS: Mapping[str, tuple[str, bool]] = {
    "_bytes_per_s": ("B/s", True),
    "_flops_per_s": ("FLOP/s", True),
    "_macs_per_s": ("MAC/s", True),
    "_flops_per_byte": ("FLOP/B", False),
    "_bytes": ("B", True),
    "_flops": ("FLOP", True),
    "_hz": ("Hz", True),
    "_mj": ("mJ", False),
    "_ms": ("ms", False),
    "_us": ("µs", False),
    "_mm2": ("mm²", False),
    "_s": ("s", True),
    "_j": ("J", True),
    "_w": ("W", True),
}
"""Unit by the end of a name, the longest first, and whether a prefix suits it."""

_PARTS = frozenset(
    ("error", "mape", "p10", "p90", "median", "worst", "part", "sparsity", "utilization")
)
"""Names of parts of one, shown in percent."""

_UNUSUAL = ("u", "μ", "c", "d", "da", "h")  # another way to write one, or not in steps of 1,000
_PREFIXES = tuple(sorted(((float(s), p) for p, s in SI.items() if p not in _UNUSUAL), reverse=True))


def unit_of_name(name: str) -> tuple[str, str, bool]:
    """What a name of a record says without its unit, the unit, and whether a prefix suits it.

    >>> unit_of_name("latency_s"), unit_of_name("tile_speedup_total")
    (('latency', 's', True), ('tile speedup total', '×', False))
    """
    for end, (unit, prefixed) in _UNITS.items():
        if f"_{name}".endswith(end):
            return (name[: -len(end)] or name).replace("_", " "), unit, prefixed
    words = name.replace("_", " ")
    if name in _PARTS or name.endswith("_error"):
        return words, "%", False
    return (words, "×", False) if "speedup" in name else (words, "", False)


def number(value: float) -> str:
    """A number with four digits, all of those before the point.

    >>> number(0.0123456), number(437257420), number(1234.5), number(2.0)
    ('0.01235', '437,257,420', '1,234', '2')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def fact(name: str, value: object) -> tuple[str, str]:
    """A single value under its name, with its unit.

    >>> fact("latency_s", 0.0123), fact("fully_block_sparse", True), fact("error", 0.5)
    (('latency', '12.3 ms'), ('fully block sparse', 'yes'), ('error', '50 %'))
    """
    words, unit, prefixed = unit_of_name(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return name.replace("_", " "), plain(value)
    if unit == "%":
        return words, f"{number(100 * value)} %"
    if unit and prefixed:
        scale, prefix = _prefix([value], unit)
        return words, f"{number(value / scale)} {prefix}{unit}"
    return words, f"{number(value)} {unit}".strip()


def plain(value: object) -> str:
    """Any value of JSON as text for people.

    >>> plain({"mac": 2, "exp": None}), plain([1.5, "a"]), plain(True)
    ('mac 2', '1.5, a', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        told = ((key, plain(inner)) for key, inner in value.items())
        return ", ".join(f"{key} {text}" for key, text in told if text)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(inner) for inner in value)
    return "" if value is None else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reads_as_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Column:
    """A column: where its values are in a row, its head, what they are multiplied by to be shown.

    Without a scale the values are text; `right` has those that sort as numbers.
    """

    path: Path
    head: str
    scale: float | None
    right: bool

    def cell(self, row: Record) -> str:
        """What stands in a row."""
        value = value_at(row, self.path)
        return number(value * self.scale) if self.scale and _is_number(value) else plain(value)


def value_at(row: Any, path: Path) -> Any:  # noqa: ANN401  what JSON holds
    """The value at the end of a path, None where it ends before."""
    for step in path:
        row = row.get(step) if isinstance(row, Mapping) else None
    return row


def columns(rows: Sequence[Record], of: str = "") -> list[Column]:
    """The columns of rows; those without a value in any row are left out.

    Args:
        rows: The rows; a mapping of the same names in each becomes a column a name.
        of: Name of what the rows are in, whose unit is that of a column `value`.
    """
    found = (_column(path, [value_at(row, path) for row in rows], of) for path in _paths(rows))
    return [column for column in found if column is not None]


def _paths(rows: Sequence[Record]) -> Iterator[Path]:
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        inner = _same_names(values)
        yield from ((name, one) for one in inner) if inner else [(name,)]


def _same_names(values: Sequence[object]) -> tuple[str, ...]:
    """The names that all values have, where each is a mapping of plain values."""
    names = {tuple(v) if isinstance(v, Mapping) else () for v in values}
    if len(names) != 1:
        return ()
    inner = (one for v in values if isinstance(v, Mapping) for one in v.values())
    return names.pop() if all(_is_scalar(one) for one in inner) else ()


def _column(path: Path, values: Sequence[object], of: str) -> Column | None:
    there = [value for value in values if value not in (None, "")]
    if not there:
        return None
    name = of if of and path == ("value",) else path[-1]
    words, unit, prefixed = unit_of_name(name)
    words = "value" if name == of else " ".join((*(p.replace("_", " ") for p in path[:-1]), words))
    if not all(_is_number(value) for value in there):
        right = all(isinstance(v, str) and _reads_as_number(v) for v in there)
        return Column(path, " ".join(path).replace("_", " "), None, right)
    if unit == "%":
        return Column(path, f"{words} [%]", 100.0, True)
    scale, prefix = _prefix(there, unit) if prefixed else (1.0, "")
    return Column(path, f"{words} [{prefix}{unit}]" if unit else words, 1 / scale, True)


def _prefix(values: Iterable[Any], unit: str) -> tuple[float, str]:
    """The prefix under which the middle one of the values has one to three digits before the point.

    >>> _prefix([2e-3, 5e-3, 7.0], "s"), _prefix([4e12], "s"), _prefix([0], "B")
    ((0.001, 'm'), (1.0, ''), (1.0, ''))
    """
    sizes = sorted(abs(value) for value in values if value)
    middle = sizes[len(sizes) // 2] if sizes else 1.0
    most = 1.0 if unit == "s" else float("inf")  # nobody counts in kiloseconds
    least = 1.0 if unit.startswith(("B", "FLOP", "MAC")) else 0.0
    fits = (found for found in _PREFIXES if found[0] <= middle and least <= found[0] <= most)
    return next(fits, (1.0, ""))


def _is_scalar(value: object) -> bool:
    return not isinstance(value, Mapping | list | tuple)


@dataclass(frozen=True)
class Table:
    """A table of a page: its name, its rows, and where in the record they are (nowhere: `None`).

    `of` is as `columns` has it. A table of a mapping has its keys in a column of their own.
    """

    name: str
    rows: Sequence[Record]
    path: Path | None = None
    of: str = ""
    most: int = field(default=MOST_ROWS)

    def html(self) -> str:
        """The table, whose heads are buttons that sort it."""
        found = columns(self.rows, self.of)
        shown = self.rows[: self.most]
        body = "\n".join(_row(found, row) for row in shown)
        left = len(self.rows) - len(shown)
        data = f" data-path='{escape(json.dumps(self.path))}'" if self.path is not None else ""
        if left and self.path is not None:
            specs = [[c.path, c.scale, c.right] for c in found]
            data += f" data-columns='{escape(json.dumps(specs))}'"
        heads = "".join(_head(column, shown) for column in found)
        name, small = escape(self.name), " small" if _is_small(found, shown) else ""
        return (
            f'<div class="table{small}"><div class="scroll" role="region" aria-label="{name}" '
            f'tabindex="0"><table{data}><caption>{name}</caption>\n<thead><tr>{heads}</tr></thead>'
            f"\n<tbody>\n{body}\n</tbody></table></div>{self._left(left)}</div>\n"
        )

    def _left(self, left: int) -> str:
        if not left:
            return ""
        rest = f"{len(self.rows) - left:,} of {len(self.rows):,} rows"
        if self.path is None:
            return f'<p class="left">The first {rest}.</p>'
        return (
            f'<p class="left">The first {rest}; the others are in the data of this page. '
            '<button type="button" class="all" hidden>Show all rows</button></p>'
        )


def _is_small(found: Sequence[Column], shown: Sequence[Record]) -> bool:
    """Whether a table leaves room for another one beside it."""
    return len(found) <= _FEW and sum(_longest(column, shown) for column in found) <= _NARROW


def _longest(column: Column, shown: Sequence[Record]) -> int:
    return max((len(column.cell(row)) for row in shown), default=0)


def _head(column: Column, shown: Sequence[Record]) -> str:
    """The head of a column; one of text is as wide as its longest cell, up to where it breaks."""
    longest = min(_WIDE, _longest(column, shown))
    side = ' class="n"' if column.right else f' style="min-width:{longest}ch"'
    button = f'<button type="button">{escape(column.head)}</button>'
    return f'<th scope="col" aria-sort="none"{side}>{button}</th>'


def _row(found: Iterable[Column], row: Record) -> str:
    cells = (
        f'<td class="n">{escape(c.cell(row))}</td>'
        if c.right
        else f"<td>{escape(c.cell(row))}</td>"
        for c in found
    )
    return f"<tr>{''.join(cells)}</tr>"


def tables(record: Record, path: Path = ()) -> Iterator[Table]:
    """Every table that a record holds, in its order: lists of rows, mappings, mappings of them."""
    for key, value in record.items():
        at = (*path, key)
        name = _name(at)
        if isinstance(value, Mapping) and value and not _is_line(value):
            yield from _mapping_tables(name, key, value, at)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            yield Table(name, value, at)


def _name(path: Path) -> str:
    """A table's name: the steps to it, without units."""
    name = ": ".join(unit_of_name(step)[0] for step in path)
    return name[:1].upper() + name[1:]


def _mapping_tables(name: str, key: str, value: Record, at: Path) -> Iterator[Table]:
    inner = list(value.values())
    if any(isinstance(one, list) and one and isinstance(one[0], Mapping) for one in inner):
        yield from tables(value, at)
    elif all(isinstance(one, Mapping) for one in inner):
        yield Table(name, [{"name": step, **one} for step, one in value.items()], at)
    elif any(v not in (None, "") for v in inner):
        rows = [{"name": step, "value": one} for step, one in value.items()]
        yield Table(name, rows, at, of=key)


def facts(record: Record) -> list[tuple[str, str]]:
    """The single values of a record under their names; those without a value are left out."""
    single = (fact(k, v) for k, v in record.items() if not _holds_rows(v))
    return [(name, text) for name, text in single if text]


def _holds_rows(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping) and not _is_line(value)


def _is_line(value: Record) -> bool:
    """Whether a mapping reads as one line: a few values, words among them."""
    inner = list(value.values())
    scalar = 0 < len(inner) <= _IN_LINE and all(_is_scalar(one) for one in inner)
    return scalar and any(isinstance(one, str) for one in inner) and len(plain(value)) < _LINE
