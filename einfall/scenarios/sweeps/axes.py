"""The axes of a sweep: what is varied, and the values it takes, as a YAML file writes them.

keys: [1K, 4K, 16K]                               a list
head_dim: {from: 64, to: 256, step: 64}           a range
queries: {from: 1K, to: 1M, points: 11, scale: log}
machine.hbm.bandwidth: [8 TB/s, 2x, +10%]         a machine's field; factors are of its own value
together: {heads: [32, 64], kv_heads: [8, 16]}    paired: the first with the first …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from einfall.hw_models.library import Machine
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.yaml_door import Spec, SpecError, did_you_mean, explain, short
from einfall.scenarios.workloads import length_of
from einfall.units import unit_of

CHOICES = ("workload", "cascade", "machine", "change", "mapping", "mask", "dtype")
"""Axes whose values are names."""

NAMED: Mapping[str, str] = {"workload": "workloads", "change": "changes"}
"""Those whose names are given in the file itself, and where."""

MACHINE = "machine."
_MOST = 10_000_000  # values of one axis

Value = int | float | str


class Range(Spec):
    """Values from one end to the other, both included: so many, or one every step."""

    from_: Value = Field(alias="from")
    to: Value
    step: Value | None = None
    points: int | None = Field(default=None, ge=2, le=_MOST)
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True, slots=True)
class Column:
    """One key of an axis and its values as they are written; a range is spread out for a machine.

    `at` is its place in the file. One that goes `together` with others may have a value twice:
    it is the rows that differ.
    """

    key: str
    values: tuple[Value, ...] | Range
    at: tuple[str | int, ...]
    together: bool = False

    def read(self, machine: Machine | None) -> tuple[Value, ...]:
        """The values: sizes, names, or numbers in base units of the machine's field.

        Raises:
            ValueError: With all that is wrong, one a line.
        """
        if self.key.startswith(MACHINE) and machine is None:
            return ()
        found = self._read(machine)
        return found if self.together else _different(found)

    def _read(self, machine: Machine | None) -> tuple[Value, ...]:
        if self.key in CHOICES:
            return _texts(self.values)
        if machine is not None and self.key.startswith(MACHINE):
            return _spread(self.values, _Field(machine, self.key.removeprefix(MACHINE)))
        return _spread(self.values, SIZE)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: a column, or several that go together."""

    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """What it sets."""
        return tuple(column.key for column in self.columns)


def read_axes(
    axes: Mapping[str, Any],
) -> tuple[list[Axis], list[tuple[tuple[str | int, ...], str]]]:
    """The axes in the order of the file, and what is wrong with them by place."""
    found: list[Axis] = []
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    for key, value in axes.items():
        if key != "together":
            column = _column(key, value, ("axes", key), wrong)
            found += [Axis((column,))] if column else []
            continue
        groups = value if isinstance(value, list) else [value]
        for n, group in enumerate(groups):
            at = ("axes", key, n) if isinstance(value, list) else ("axes", key)
            if not isinstance(group, Mapping) or len(group) < 2:
                message = "want two axes or more, such as {heads: [32, 64], kv_heads: [8, 16]}"
                wrong.append((at, f"{message}, found {short(group)}"))
                continue
            columns = [_column(k, v, (*at, k), wrong) for k, v in group.items()]
            found.append(Axis(tuple(replace(c, together=True) for c in columns if c)))
            wrong += _twice(found[-1], at)
    keys = [column for axis in found for column in axis.columns]
    seen: set[str] = set()
    for column in keys:
        if column.key in seen:
            wrong.append((column.at, f"want each axis once, found {column.key!r} again"))
        seen.add(column.key)
    return found, wrong


def _column(key: str, value: object, at: tuple[str | int, ...], wrong: list[Any]) -> Column | None:
    """One key and its values, or what is wrong with them."""
    if isinstance(value, Mapping):
        data = {str(k): v for k, v in value.items()}
        try:
            values: Any = Range.model_validate(data, by_alias=True, by_name=False)
        except ValidationError as error:
            wrong += [((*at, *keys), text) for keys, text in explain(error, Range, data)]
            return None
        if (values.step is None) == (values.points is None):
            wrong.append((at, f"want either step or points, found {short(dict(data))}"))
            return None
        return Column(key, values, at)
    if not isinstance(value, list) or not value:
        wrong.append((at, f"want a list of values or {{from, to, points}}, found {short(value)}"))
        return None
    bad = [x for x in value if isinstance(x, bool) or not isinstance(x, int | float | str)]
    if bad:
        wrong.append((at, f"want numbers and texts, found {short(bad[0])}"))
        return None
    return Column(key, tuple(value), at)


def _twice(axis: Axis, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with values that go together: a row that is there twice."""
    lists = [column.values for column in axis.columns if isinstance(column.values, tuple)]
    rows = list(zip(*lists, strict=False)) if len(lists) == len(axis.columns) else []
    for row in dict.fromkeys(row for i, row in enumerate(rows) if row in rows[:i]):
        names = ", ".join(map(str, row))
        yield at, f"want rows that differ, found {names} twice"


def _texts(values: tuple[Value, ...] | Range) -> tuple[Value, ...]:
    if isinstance(values, Range):
        raise ValueError("want a list of names, found a range")
    numbers = [x for x in values if not isinstance(x, str)]
    if numbers:
        raise ValueError(f"want names, found {short(numbers[0])}")
    return values


class _Size:
    """Reads sizes of a shape."""

    whole = True

    def read(self, value: Value) -> int:
        """A size such as 4096 or 4K."""
        if isinstance(value, str):
            return length_of(value)
        if value != int(value) or value < 1:
            raise ValueError(f"want a positive whole number such as 4096 or 4K, found {value!r}")
        return int(value)


SIZE = _Size()


class _Field:
    """Reads values of a machine's field, which it takes as `--set` does."""

    whole = False

    def __init__(self, machine: Machine, path: str) -> None:
        self.machine, self.path = machine, path
        self.unit = unit_at(machine, path)

    def read(self, value: Value) -> Value:
        """The number in base units, or the text that the field takes."""
        if self.unit and not isinstance(value, str):
            wanted = f"want a quantity in {self.unit}, a factor (2x) or a share (+10%)"
            raise ValueError(f"{wanted}, found {value!r}")
        try:
            changed = with_overrides(self.machine, {self.path: value})
        except SpecError as error:
            head = f"--set {self.path}: "
            raise ValueError("\n".join(p.removeprefix(head) for p in error.problems)) from None
        found = field_of(changed, self.path)[0]
        if isinstance(found, int | float | str) and not isinstance(found, bool):
            return found
        raise ValueError(f"want the path of a single value, found {short(found)} there")


def field_of(machine: Any, path: str) -> tuple[Any, str, Any]:  # noqa: ANN401
    """Value of a machine's field, the name of its attribute, and its description.

    Raises:
        ValueError: There is no such field.

    >>> from einfall.hw_models import load
    >>> field_of(load("b200"), "hbm.bandwidth")[:2]
    (8000000000000.0, 'bandwidth_bytes_per_s')
    """
    here, name, hint = machine, path, None
    for n, key in enumerate(path.split(".")):
        if isinstance(here, Mapping):
            known, name = list(map(str, here)), key
        else:
            fields = getattr(type(here), "model_fields", {})
            known = [field.alias or attribute for attribute, field in fields.items()]
            name = next((a for a, f in fields.items() if key == (f.alias or a)), key)
            hint = fields.get(name)
        if key not in known:
            at = MACHINE + ".".join(path.split(".")[:n]) if n else "machine"
            text = f"want one of {', '.join(sorted(known))} in {at.rstrip('.')}, found {key!r}"
            raise ValueError(text + did_you_mean(key, known))
        here = here[key] if isinstance(here, Mapping) else getattr(here, name)
    return here, name, hint


def unit_at(machine: Machine, path: str) -> str:
    """Base unit of a machine's field; none is ''.

    Raises:
        ValueError: There is no such field.
    """
    info: Any = field_of(machine, path)[2]
    if info is None:
        return ""
    found = (unit_of(part) for part in (*info.metadata, info.annotation))
    return next(filter(None, found), "")


def _spread(values: tuple[Value, ...] | Range, field: _Size | _Field) -> tuple[Value, ...]:
    """The values of a list or range, read one by one."""
    if not isinstance(values, Range):
        return tuple(_each(values, field))
    low, high = _each((values.from_, values.to), field)
    if isinstance(low, str) or isinstance(high, str):
        raise ValueError(f"want a range of numbers, found {low!r} to {high!r}")
    if values.scale == "log" and min(low, high) <= 0:
        raise ValueError(f"want ends above zero for scale: log, found {low:g} to {high:g}")
    if values.points is not None:
        between = np.geomspace if values.scale == "log" else np.linspace
        found = between(low, high, values.points).tolist()
        found[0], found[-1] = low, high
    else:
        (step,) = _each((values.step or 0,), field)
        if values.scale == "log" or isinstance(step, str):
            raise ValueError("want points for scale: log, found step")
        n = (high - low) / step
        if not 0 <= n <= _MOST:
            raise ValueError(f"want a step up to {high:g}, found {step:g} from {low:g}")
        found = [low + i * step for i in range(int(n + 1e-9) + 1)]
    return tuple(round(x) if field.whole else float(f"{x:.12g}") for x in found)


def _each(values: Sequence[Value], field: _Size | _Field) -> list[Any]:
    """Every value read; all mistakes at once."""
    found, wrong = [], []
    for value in values:
        try:
            found.append(field.read(value))
        except ValueError as error:
            wrong += str(error).splitlines()
    if wrong:
        raise ValueError("\n".join(dict.fromkeys(wrong)))
    return found


def _different(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The values, if no two are the same."""
    if len(set(values)) < len(values):
        twice = next(x for i, x in enumerate(values) if x in values[:i])
        raise ValueError(f"want values that differ, found {twice!r} twice; take fewer points")
    return values


def lines(error: ValueError) -> Iterator[str]:
    """The problems of an error, one by one."""
    yield from str(error).splitlines()
