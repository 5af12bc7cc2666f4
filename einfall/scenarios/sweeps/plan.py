"""A sweep made ready: its axes, their values, and how each of its cases is worked out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from einfall import __version__
from einfall.einsum_cascades import to_text
from einfall.scenarios.sweeps import spec as files
from einfall.scenarios.sweeps.axes import (
    CHOICES,
    MACHINE,
    Value,
)
from einfall.scenarios.sweeps.cases import Case
from einfall.scenarios.sweeps.constraints import Constraint
from einfall.scenarios.sweeps.grid import Grid
from einfall.scenarios.sweeps.spec import RATIOS, Sweep
from einfall.sim import mapping

Variant = tuple[str | None, str | None]  # a machine, and a change of it


class Choice(NamedTuple):
    """The names that are chosen, one of each of `CHOICES`."""

    workload: str | None
    cascade: str | None
    machine: str | None
    change: str | None
    mapping: str | None
    mask: str | None
    dtype: str | None

    @property
    def variant(self) -> Variant:
        """The machine and its change."""
        return self.machine, self.change


@dataclass(frozen=True)
class Plan:
    """A sweep that can be run, anywhere: nothing in it is read from a file again.

    axes: Keys of each axis, and how many places it has.
    values: Values by key; of a machine's field by key and machine.
    cases: What is fixed, by the names that are chosen.
    spoken_of: What a condition may be about, with the unit of each.
    heads: Names of the axes in the table.
    base: The points that speedups are over: this plan without the axes that the baseline fixes.
    notes: What a reader should know of how it is worked out.
    asked_as: The name or path that it was read from.
    """

    sweep: Sweep
    axes: tuple[tuple[str, ...], ...]
    grid: Grid
    values: Mapping[str, tuple[Value, ...]]
    fields: Mapping[tuple[str, Variant], tuple[Value, ...]]
    cases: Mapping[Choice, Case]
    constraints: tuple[Constraint, ...]
    spoken_of: Mapping[str, str]
    heads: Mapping[str, str]
    base: Plan | None = None
    notes: tuple[str, ...] = ()
    asked_as: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table: the index, the axes, and what is asked."""
        return ("index", *self.heads.values(), *self.sweep.columns)

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Columns that are worked out: those of the table and those of constraints."""
        return asked(self.sweep, self.constraints)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all axes in their order."""
        return tuple(key for axis in self.axes for key in axis)

    def is_choice(self, axis: int) -> bool:
        """Whether an axis chooses between cases."""
        return any(key in CHOICES for key in self.axes[axis])

    def choice(self, places: Sequence[int]) -> Choice:
        """The names that are chosen at a place of the grid."""
        found: dict[str, Any] = {k: (*self.sweep.names_of(k), None)[0] for k in CHOICES}
        for axis, keys in enumerate(self.axes):
            found |= {k: self.values[k][places[axis]] for k in keys if k in CHOICES}
        return Choice(**found)

    def values_of(self, key: str, names: Choice) -> tuple[Value, ...]:
        """Values of an axis's key, for the machine that is chosen."""
        if key.startswith(MACHINE):
            return self.fields[key, names.variant]
        return self.values[key]

    def set_at(self, index: int) -> tuple[Choice, dict[str, Value]]:
        """The names that are chosen at an index, and what is set, by key."""
        places = self.grid.place(index, self.grid.dims)
        names = self.choice(places)
        return names, {
            key: self.values_of(key, names)[places[axis]]
            for axis, keys in enumerate(self.axes)
            for key in keys
        }

    def estimate(self, index: int) -> Any:  # noqa: ANN401  any of our estimates
        """The estimate of the point at an index, by itself.

        Raises:
            REFUSALS: The point cannot be.
        """
        names, settings = self.set_at(index)
        numbers = {key: value for key, value in settings.items() if key not in CHOICES}
        return self.cases[names].estimate(numbers)

    def point(self, index: int) -> dict[str, Value]:
        """What is set at an index, by the columns' names."""
        return {self.heads[key]: value for key, value in self.set_at(index)[1].items()}

    @cached_property
    def key(self) -> str:
        """A name for the sweep as it is: its file, all that it rests on, and the code."""
        parts: list[Any] = [__version__, code_digest(), np.__version__]
        parts += [self.sweep.model_dump_json(), sorted(map(str, self.fields.items()))]
        for names, case in self.cases.items():
            parts += [names, to_text(case.cascade), case.machine.model_dump_json(warnings=False)]
            if case.mapping and case.mapping.endswith((".yaml", ".yml")):
                parts.append(mapping.load(case.mapping).model_dump_json())
        parts += [self.base.key] if self.base else []
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """What the answers come from: every file of the package but those that print and draw."""
    root = Path(files.__file__).parents[2]
    found = hashlib.sha256()
    parts = (
        "units.py",
        "einsum_cascades",
        "hw_models",
        "sim",
        "scenarios/sweeps",
        "scenarios/workloads.py",
    )
    for part in parts:
        for path in sorted((root / part).rglob("*")) if (root / part).is_dir() else [root / part]:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def asked(sweep: Sweep, constraints: Sequence[Constraint]) -> tuple[str, ...]:
    """Columns of the table, those that the best are found by, and those of constraints."""
    more = {n for c in constraints for n in c.names if n in files.ROOTS or "." in n}
    more = {n for n in more if not n.startswith(MACHINE)}
    found = (*sweep.columns, *sweep.ranked, *sorted(more))
    return tuple(dict.fromkeys((*found, *(RATIOS[n] for n in found if n in RATIOS))))
