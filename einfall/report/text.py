"""Text for people: tables and numbers, at most as wide as the terminal and without colour codes."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from einfall.sim.numeric import Number

WIDEST = 110
"""Columns of the widest line that is still read at a glance."""


_WIDTH: ContextVar[int] = ContextVar("width", default=0)


@contextmanager
def width(characters: int) -> Generator[None]:
    """Lines of so many columns, whatever the terminal has."""
    before = _WIDTH.set(characters)
    try:
        yield
    finally:
        _WIDTH.reset(before)


def columns() -> int:
    """Width of the terminal, 80 where there is none, never more than `WIDEST`.

    >>> with width(50):
    ...     columns()
    50
    """
    if _WIDTH.get():
        return _WIDTH.get()
    return max(40, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """A table without lines; columns whose header stands in `right` are set to the right.

    Cells that are too long for the terminal go on below; those of the first column never are.

    >>> print(table(["Einsum", "share"], [["BQK", "46 %"]], right={"share"}))
      Einsum   share
      BQK       46 %
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="")
    for name in header:
        side = "right" if name in right else "left"
        drawn.add_column(name, justify=side, overflow="fold", no_wrap=name == header[0])
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    page = io.StringIO()
    Console(
        file=page,
        width=columns() - 2,
        color_system=None,
        highlight=False,
        force_jupyter=False,  # in a notebook a console shows its text instead of writing it
    ).print(drawn)
    return "\n".join(f"  {line}".rstrip() for line in page.getvalue().splitlines())


def paragraph(text: str, indent: str = "") -> str:
    """Text broken into lines of the terminal's width."""
    return "\n".join(indent + line for line in _lines(text, columns() - len(indent)))


def _lines(text: str, width: int) -> list[str]:
    """Text broken into lines, but not between a number and its unit."""
    glued = re.sub(r"(\d) (?=[%\w])", "\\1\N{NO-BREAK SPACE}", text)
    return fill(glued, width).replace("\N{NO-BREAK SPACE}", " ").splitlines() or [""]


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, one a line, the second column aligned.

    >>> print(facts([("latency", "3 ms"), ("bound", "1d")]))
      latency  3 ms
      bound    1d
    """
    found = list(pairs)
    width = max((len(name) for name, _ in found), default=0) + 4
    room = max(20, columns() - width)
    lines = []
    for name, text in found:
        first, *rest = _lines(text, room)
        lines += [f"  {name:<{width - 4}}  {first}", *(" " * width + more for more in rest)]
    return "\n".join(lines)


def page(*parts: str) -> str:
    """Parts of an answer with an empty line between them."""
    return "\n\n".join(part for part in parts if part)


def amount(value: Number, unit: str) -> str:
    """A quantity with the prefix that a reader expects; see `units.format_quantity`.

    >>> amount(0.0123, "s")
    '12.3 ms'
    """
    from einfall.units import format_quantity

    return format_quantity(float(value), unit)


def count(n: Number) -> str:
    """A number of things: exact below 10^12, else four digits.

    >>> count(3145728), count(2.061e13), count(0.5)
    ('3,145,728', '2.061e+13', '0.5')
    """
    x = float(n)
    if abs(x) >= 1e12:
        return f"{x:.4g}"
    return f"{x:,.0f}" if x.is_integer() or abs(x) >= 1e6 else f"{x:,.4g}"


def percent(part: Number) -> str:
    """A part of one in percent, three digits.

    >>> percent(0.98561), percent(0.0072), percent(1.0)
    ('98.6 %', '0.72 %', '100 %')
    """
    x = float(part)
    digits = 0 if x >= 0.9995 else 1 if x >= 0.01 else 2
    return f"{100 * x:.{digits}f} %"
