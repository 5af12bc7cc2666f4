"""Constraints of a sweep: `batch * keys <= 1M`, `latency_s < 2 ms`, `bound == mufu`.

Two sides and a sign; a side is a name or an amount, or several of them with `*`, `/` or `%` and
blanks between, worked out from left to right.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from einfall.scenarios.workloads import length_of
from einfall.units import UNITS, parse

_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_JOINS: Mapping[str, Callable[[Any, Any], Any]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_SPLIT = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*")
_JOIN = re.compile(r"\s+([*/%])\s+")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
SUFFIXES = {"bytes_per_s": "B/s", "bytes": "B", "hz": "Hz", "s": "s", "j": "J", "w": "W"}
"""What a column's name ends in, and the unit that this stands for."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition that a point has to meet; `names` are what it is about."""

    text: str
    sign: str
    left: tuple[str | float, ...]
    right: tuple[str | float, ...]
    names: frozenset[str]

    def holds(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401  a truth value, or an array
        """Whether it is met by each of the values, which may be arrays."""
        return _SIGNS[self.sign](_value(self.left, values), _value(self.right, values))


def read_constraint(text: str, names: Mapping[str, str]) -> Constraint:
    """Read a constraint.

    Args:
        text: As in the module.
        names: What it may speak of, with the unit of each: `B/s`, `size`, `text`, or nothing.

    Raises:
        ValueError: What is wrong.

    >>> read_constraint("batch * keys <= 1M", {"batch": "size", "keys": "size"}).right
    (1048576.0,)
    """
    parts = _SPLIT.split(text.strip())
    if len(parts) != 3 or not parts[0] or not parts[2]:
        raise ValueError(f"want a comparison such as 'keys <= 64K', found {text!r}")
    sides = [_JOIN.split(parts[0]), _JOIN.split(parts[2])]
    used = [word for side in sides for word in side[::2] if word in names]
    if not used:
        known = ", ".join(names)
        raise ValueError(f"want a comparison of one of {known}, found {text!r}")
    unit = next((names[word] for word in used if names[word] != "size"), names[used[0]])
    left, right = (_read_side(side, names, unit, text) for side in sides)
    if unit == "text" and (parts[1] not in ("==", "!=") or any(len(side) > 1 for side in sides)):
        raise ValueError(f"want == or != for a name, found {text!r}")
    return Constraint(text, parts[1], left, right, frozenset(used))


def unit_of_column(name: str) -> str:
    """Unit of a column by its name.

    >>> unit_of_column("latency_s"), unit_of_column("traffic_bytes.hbm"), unit_of_column("bound")
    ('s', 'B', 'text')
    """
    root = name.partition(".")[0]
    if root == "bound":
        return "text"
    return next((u for end, u in SUFFIXES.items() if root.endswith(f"_{end}")), "")


def _read_side(
    words: list[str], names: Mapping[str, str], unit: str, text: str
) -> tuple[str | float, ...]:
    """Names as they are, joints as they are, amounts as numbers."""
    found: list[str | float] = []
    for n, word in enumerate(words):
        if n % 2 or word in names:
            found.append(word)
        elif unit == "text":
            found += ["=", word]  # a name to compare with
        else:
            found.append(_amount(word, unit, names, text))
    return tuple(found)


def _amount(word: str, unit: str, names: Mapping[str, str], text: str) -> float:
    try:
        return float(word)
    except ValueError:
        pass
    try:
        return float(parse(word, unit) if unit in UNITS else length_of(word))
    except ValueError:
        if _NAME.fullmatch(word):
            raise ValueError(
                f"want one of {', '.join(names)}, found {word!r} in {text!r}"
            ) from None
        wanted = f"a quantity in {unit}" if unit in UNITS else "a number"
        raise ValueError(f"want {wanted}, found {word!r} in {text!r}") from None


def _value(side: tuple[str | float, ...], values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What a side comes to."""
    if side[0] == "=":
        return side[1]
    terms = [values[x] if isinstance(x, str) else x for x in side[::2]]
    found = terms[0]
    for join, term in zip(side[1::2], terms[1:], strict=True):
        found = _JOINS[str(join)](found, term)
    return found
