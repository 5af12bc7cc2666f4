"""Arguments of mask families as text: read, and written so that they read as the same value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = "int | float | str | bool | tuple[int, ...] | tuple[float, ...]"
"""An argument: hashable, so that a whole mask is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an argument may be: `read` raises a ValueError that says what was wanted."""

    form: str
    read: Callable[[str], Value]
    show: Callable[[Value], str] = str


_SCALES = {"": 1, "K": 1 << 10, "M": 1 << 20}


def _count(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        match = re.fullmatch(r"(\d{1,12})([KM]?)", text, re.ASCII)
        number = int(match[1]) * _SCALES[match[2]] if match else -1
        if number < least:
            raise ValueError(
                f"wanted a whole number from {least} on, such as {max(least, 4)} or 4K"
            )
        return number

    return read


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split("x")
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"\d{1,9}", p, re.ASCII) for p in parts):
        raise ValueError("wanted one to three whole numbers joined with x, such as 30x48x80")
    return tuple(map(int, parts))


def _flags(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[01](x[01]){0,2}", text):
        raise ValueError("wanted 0 or 1 for each dimension, such as 1x0x0")
    return _sizes(text)


def _flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("wanted yes or no")
    return text == "yes"


def _lengths(text: str) -> Value:
    """Whole numbers joined with +, n*k for k times n; `@file` is read when sizes are known."""
    if text.startswith("@") and len(text) > 1:
        return text
    found: list[int] = []
    for part in text.split("+"):
        match = re.fullmatch(r"(\d{1,9})(?:\*(\d{1,7}))?", part, re.ASCII)
        if not match:
            raise ValueError(
                "wanted whole numbers joined with +, such as 100+200*3 (three of 200), or @FILE"
            )
        found += [int(match[1])] * int(match[2] or 1)
    return tuple(found)


def _reals(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split("+"))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise ValueError("wanted one number a head joined with +, such as 0.1+0.5")
    return found


def _file(text: str) -> str:
    if not text:
        raise ValueError("wanted the name of a file")
    return text


def _show_lengths(value: Value) -> str:
    if not isinstance(value, tuple):
        return str(value)
    runs = ((n, len(list(same))) for n, same in groupby(value))
    return "+".join(f"{n}*{k}" if k > 1 else f"{n}" for n, k in runs)


def _show_joined(sign: str) -> Callable[[Value], str]:
    def show(value: Value) -> str:
        numbers = value if isinstance(value, tuple) else ()
        return sign.join(str(n).removesuffix(".0") for n in numbers)

    return show


def lengths_of_file(path: Path) -> tuple[int, ...]:
    """Whole numbers of a file, separated by spaces, commas or line ends.

    Raises:
        ValueError: Each line that holds something else, or no file: one line a problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "other bytes"
        raise ValueError(f"{path}: wanted a text file of lengths, found {reason}") from None
    words = [
        (line, word)
        for line, row in enumerate(text.splitlines(), start=1)
        for word in re.split(r"[\s,+]+", row)
        if word
    ]
    wrong = [
        f"{path}:{line}: wanted whole numbers, found {word}"
        for line, word in words
        if not re.fullmatch(r"\d{1,9}", word, re.ASCII)
    ]
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(int(word) for _, word in words)


COUNT = Kind("N", _count(0))
SIZE = Kind("N", _count(1))
SIZES = Kind("AxBxC", _sizes, _show_joined("x"))
FLAGS = Kind("0x0x1", _flags, _show_joined("x"))
FLAG = Kind("yes|no", _flag, lambda value: "yes" if value else "no")
LENGTHS = Kind("A+B+C|@FILE", _lengths, _show_lengths)
REALS = Kind("A+B+C", _reals, _show_joined("+"))
FILE = Kind("FILE", _file)
