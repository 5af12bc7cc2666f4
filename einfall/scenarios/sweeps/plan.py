"""A sweep made ready: its file checked, its axes read, how each of its cases is worked out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from einfall import __version__
from einfall.einsum_cascades import load as load_cascade
from einfall.einsum_cascades import to_text, with_mask
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.masks import MaskSpec, parse_mask
from einfall.einsum_cascades.shapes import DEFAULTS, ShapeError, rank_sizes, shape_keys
from einfall.hw_models import load as load_machine
from einfall.hw_models.library import Machine
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.yaml_door import Document, did_you_mean
from einfall.scenarios.sweeps import spec as files
from einfall.scenarios.sweeps.axes import (
    CHOICES,
    MACHINE,
    Axis,
    Column,
    Value,
    field_of,
    read_axes,
    unit_at,
)
from einfall.scenarios.sweeps.cases import REFUSALS, Case, parts_of
from einfall.scenarios.sweeps.constraints import Constraint, read_constraint, unit_of_column
from einfall.scenarios.sweeps.grid import Block, Grid
from einfall.scenarios.sweeps.spec import Sweep
from einfall.sim import choice, mapping
from einfall.sim.gpu.problem import ELEMENT_BYTES
from einfall.sim.gpu.schedule import names as kernel_names

ARRAYS, SINGLES = 65_536, 64
"""Points of a block where all are arrays, at most, and of one where each is by itself."""

TOLERANCE = 1e-9
"""How far arrays may be from what single numbers give, as a share of it."""

_WORDS: Mapping[str, float] = dict(ELEMENT_BYTES) | {"int8": 1}
_SAMPLED = 8  # points of a case for which arrays are compared with numbers
_CASES = 24  # cases that are sampled, at most

Choice = tuple[str | None, ...]  # cascade, machine, mapping, mask, dtype


@dataclass(frozen=True)
class Plan:
    """A sweep that can be run, anywhere: nothing in it is read from a file again.

    axes: Keys of each axis, and how many places it has.
    values: Values by key; of a machine's field by key and machine.
    cases: What is fixed, by the names that are chosen.
    notes: What a reader should know of how it is worked out.
    """

    sweep: Sweep
    axes: tuple[tuple[str, ...], ...]
    grid: Grid
    values: Mapping[str, tuple[Value, ...]]
    fields: Mapping[tuple[str, str | None], tuple[Value, ...]]
    cases: Mapping[Choice, Case]
    constraints: tuple[Constraint, ...]
    heads: Mapping[str, str]
    notes: tuple[str, ...] = ()

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
        found: dict[str, Any] = {k: (getattr(self.sweep, k) or (None,))[0] for k in CHOICES}
        for axis, keys in enumerate(self.axes):
            found |= {k: self.values[k][places[axis]] for k in keys if k in CHOICES}
        return tuple(found[key] for key in CHOICES)

    def values_of(self, key: str, names: Choice) -> tuple[Value, ...]:
        """Values of an axis's key, for the machine that is chosen."""
        if key.startswith(MACHINE):
            return self.fields[key, names[1]]
        return self.values[key]

    def point(self, index: int) -> dict[str, Value]:
        """What is set at an index, by the columns' names."""
        places = self.grid.place(index, self.grid.dims)
        names = self.choice(places)
        return {
            self.heads[key]: self.values_of(key, names)[places[axis]]
            for axis, keys in enumerate(self.axes)
            for key in keys
        }

    @cached_property
    def key(self) -> str:
        """A name for the sweep as it is: its file, all that it rests on, and the code."""
        parts: list[Any] = [__version__, code_digest(), np.__version__]
        parts += [self.sweep.model_dump_json(), sorted(map(str, self.fields.items()))]
        for names, case in self.cases.items():
            parts += [names, to_text(case.cascade), case.machine.model_dump_json(warnings=False)]
            if case.mapping and case.mapping.endswith((".yaml", ".yml")):
                parts.append(mapping.load(case.mapping).model_dump_json())
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
    return tuple(dict.fromkeys((*sweep.columns, *sweep.ranked, *sorted(more))))


# Reading ------------------------------------------------------------------------------------------


def plan(name_or_path: str | Path) -> Plan:
    """Read a sweep and make it ready.

    Raises:
        SpecError: No such sweep, or all the mistakes in its file.
    """
    sweep, document = files.read(name_or_path)
    if sweep is None:
        raise document.error()
    found = _Reader(sweep, document).plan()
    if document.problems:
        raise document.error()
    return found


class _Reader:
    """Reads what the names of a sweep stand for, and reports mistakes at their places."""

    def __init__(self, sweep: Sweep, document: Document) -> None:
        self.sweep, self.document = sweep, document
        self.axes = self._axes()
        self.cascades: dict[str, Cascade] = {}
        self.machines: dict[str, Machine] = {}
        self.masks: dict[str, MaskSpec] = {}
        self.columns = {c.key: c for axis in self.axes for c in axis.columns}

    def plan(self) -> Plan:
        self._read_names()
        fields, values = self._values()
        sizes = self._sizes(fields, values)
        constraints = self._constraints()
        if self.document.problems:
            raise self.document.error()
        found = Plan(
            sweep=self.sweep,
            axes=tuple(axis.keys for axis in self.axes),
            grid=Grid(sizes, SINGLES),
            values=values,
            fields=fields,
            cases={},
            constraints=constraints,
            heads={key: self._head(key) for key in self.columns},
        )
        found = replace(found, cases=self._cases(found))
        self._check_columns(found)
        if self.document.problems:
            raise self.document.error()
        return _tried(found)

    def _axes(self) -> list[Axis]:
        """Lists of names first, then the axes of the file."""
        axes, wrong = read_axes(self.sweep.axes)
        for at, text in wrong:
            self.document.report(at, text)
        own = {column.key for axis in axes for column in axis.columns}
        lists = []
        for key in CHOICES:
            names = getattr(self.sweep, key) or ()
            if key in own and names:
                self.document.report((key,), f"want {key} here or in axes, found it in both")
            elif len(names) > 1:
                lists.append(Axis((Column(key, names, (key,)),)))
            lacks = key in ("cascade", "machine") and not names and key not in own
            if lacks and not self._has_mistakes(key):
                self.document.report((key,), "want a value, found none")
        return [*lists, *axes]

    def _named(self, key: str) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        """The names of a choice, each with its place."""
        column = self.columns.get(key)
        if column is None:
            for name in getattr(self.sweep, key) or ():
                yield name, (key,)
        elif isinstance(column.values, tuple):
            for n, name in enumerate(column.values):
                yield str(name), (*column.at, n)

    def _read_names(self) -> None:
        for name, at in self._named("cascade"):
            self._note(at, lambda n=name: self.cascades.setdefault(n, load_cascade(n)))
        for name, at in self._named("mask"):
            if name != "dense":
                self._note(at, lambda n=name: self.masks.setdefault(n, parse_mask(n)))
        for name, at in self._named("machine"):
            self._note(at, lambda n=name: self.machines.setdefault(n, load_machine(n)))
        for name, at in self._named("dtype"):
            if name not in _WORDS:
                hint = did_you_mean(name, _WORDS)
                self.document.report(at, f"want one of {', '.join(_WORDS)}, found {name!r}{hint}")
        for name, at in self._named("mapping"):
            self._note(at, lambda n=name: _check_mapping(n))
        for path, value in self.sweep.set.items():
            for name in list(self.machines):
                change = {path: value}
                self._note(("set", path), lambda n=name, c=change: self._set(n, c))

    def _set(self, name: str, change: Mapping[str, Value]) -> None:
        self.machines[name] = with_overrides(self.machines[name], change)

    def _note(self, at: tuple[str | int, ...], attempt: Any) -> None:  # noqa: ANN401
        """Report what goes wrong at a place."""
        try:
            attempt()
        except (*REFUSALS, ValueError) as error:
            for line in dict.fromkeys(str(error).splitlines()):
                self.document.report(at, line.partition(": ")[2] if _is_path(line) else line)

    def _values(self) -> tuple[dict[Any, tuple[Value, ...]], dict[str, tuple[Value, ...]]]:
        fields: dict[tuple[str, str | None], tuple[Value, ...]] = {}
        values: dict[str, tuple[Value, ...]] = {}
        known = {k for c in self.cascades.values() for k in (*shape_keys(c), *DEFAULTS)}
        for key, column in self.columns.items():
            if key.startswith(MACHINE):
                for name, machine in self.machines.items():
                    self._note(
                        column.at,
                        lambda k=key, n=name, m=machine, c=column: fields.update(
                            {(k, n): c.read(m)}
                        ),
                    )
                continue
            if key not in CHOICES and known and key not in known:
                self._unknown_key(key, column.at, known)
                continue
            self._note(column.at, lambda k=key, c=column: values.update({k: c.read(None)}))
        for key in self.sweep.shape:
            if known and key not in known:
                self._unknown_key(key, ("shape", key), known)
            if key in self.columns:
                self.document.report(("shape", key), f"want {key} here or in axes, found both")
        self._check_sizes(values)
        return fields, values

    def _unknown_key(self, key: str, at: tuple[str | int, ...], known: set[str]) -> None:
        words = ", ".join(sorted(known))
        wanted = f"want a key of the shape ({words}), machine.… or one of {', '.join(CHOICES)}"
        hint = did_you_mean(key, (*known, *CHOICES))
        self.document.report(at, f"{wanted}, found {key!r}{hint}")

    def _check_sizes(self, values: Mapping[str, tuple[Value, ...]]) -> None:
        """Whether every cascade has the sizes it needs."""
        varied: Any = {k: v[0] for k, v in values.items() if k not in CHOICES}
        for cascade in self.cascades.values():
            try:
                rank_sizes(cascade, {**self.sweep.shape, **varied})
            except ShapeError as error:
                lacking = [p for p in error.problems if "wanted a size for" in p]
                for problem in lacking if len(varied) + len(self.sweep.shape) else error.problems:
                    if not self._has_mistakes("axes", "shape"):
                        self.document.report(("shape",), problem)

    def _has_mistakes(self, *fields: str) -> bool:
        return any(p.keys[:1] and p.keys[0] in fields for p in self.document.problems)

    def _sizes(
        self, fields: Mapping[tuple[str, str | None], Any], values: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """Places of each axis; what goes together has as many, on every machine."""
        sizes = []
        for axis in self.axes:
            found: dict[str, int] = {}
            for column in axis.columns:
                for name in self.machines if column.key.startswith(MACHINE) else (None,):
                    read = fields.get((column.key, name)) or values.get(column.key)
                    if read:
                        found[column.key + (f" on {name}" if name else "")] = len(read)
            if len(set(found.values())) > 1:
                numbers = ", ".join(f"{n} of {key}" for key, n in found.items())
                at = axis.columns[0].at
                self.document.report(at, f"want as many values of each, found {numbers}")
            sizes.append(next(iter(found.values()), 1))
        return tuple(sizes)

    def _constraints(self) -> tuple[Constraint, ...]:
        names = dict.fromkeys(("batch", "heads", "queries"), "size")
        keys = {k for c in self.cascades.values() for k in shape_keys(c)}
        names = dict.fromkeys(sorted(keys | set(self.sweep.shape)), "size")
        for key in self.columns:
            names[key] = "text" if key in CHOICES else self._unit(key)
        for name in (*files.ROOTS, *self.sweep.columns):
            names[name] = unit_of_column(name)
        found = []
        for n, text in enumerate(self.sweep.keep):
            self._note(("keep", n), lambda t=text: found.append(read_constraint(t, names)))
        return tuple(found)

    def _unit(self, key: str) -> str:
        """Unit of an axis: that of the machine's field, or a size."""
        if not key.startswith(MACHINE):
            return "size"
        for machine in self.machines.values():
            try:
                return unit_at(machine, key.removeprefix(MACHINE))
            except ValueError:
                continue
        return ""

    def _head(self, key: str) -> str:
        """Name of an axis in the table; that of a machine's field with its unit."""
        if not key.startswith(MACHINE):
            return key
        machine = next(iter(self.machines.values()))
        before, dot, _ = key.rpartition(".")
        return before + dot + field_of(machine, key.removeprefix(MACHINE))[1]

    def _cases(self, found: Plan) -> dict[Choice, Case]:
        """Every case that the axes choose between."""
        axes = [range(n) if found.is_choice(a) else (0,) for a, n in enumerate(found.grid.dims)]
        cases: dict[Choice, Case] = {}
        for places in product(*axes):
            names = found.choice(places)
            cascade, machine, mapped, mask, dtype = names
            if names in cases:
                continue
            what, on = self.cascades[str(cascade)], self.machines[str(machine)]
            if mask is not None and mask != "dense":
                try:
                    what = with_mask(what, self.masks[mask])
                except REFUSALS as error:
                    self.document.report(("mask",), str(error))
                    continue
            if dtype is not None and on.kind != "gpu":
                on = with_overrides(on, {"word": f"{_WORDS[dtype] * 8:g} bit"})
            columns = asked(found.sweep, found.constraints)
            exact = found.sweep.method == "exact"
            cases[names] = Case(
                what, on, mapped, dtype, dict(found.sweep.shape), columns, not exact
            )
        return cases

    def _check_columns(self, found: Plan) -> None:
        """Whether some case has each part that a column names."""
        wanted = [c for c in found.asked if "." in c]
        if not wanted:
            return
        parts: dict[str, dict[str, None]] = {}
        for names, case in found.cases.items():
            settings = {k: found.values_of(k, names)[0] for k in found.keys if k not in CHOICES}
            try:
                for root, its in parts_of(case, settings).items():
                    parts.setdefault(root, {}).update(dict.fromkeys(its))
            except REFUSALS:
                return  # the first point cannot be: nothing is known
        for column in wanted:
            root, _, part = column.partition(".")
            known = parts.get(root, {})
            if part not in known:
                n = next((i for i, c in enumerate(found.sweep.columns) if c == column), None)
                at = ("columns", n) if n is not None else ("columns",)
                hint = did_you_mean(part, known)
                text = f"want {root} of one of {', '.join(known)}, found {part!r}{hint}"
                self.document.report(at, text)


def _is_path(line: str) -> bool:
    """Whether a message starts with the field that it is about, which the file says itself."""
    head = line.partition(": ")[0]
    return head in {*CHOICES, "keys"} or head.startswith("--set ")


def _check_mapping(name: str) -> None:
    from einfall.sim.optical.mapping import parse_mapping

    if name.endswith((".yaml", ".yml")):
        mapping.load(name)
        return
    known = (*choice.names(), *kernel_names())
    if name in known:
        return
    try:
        parse_mapping(name)
    except REFUSALS:
        hint = did_you_mean(name, known)
        text = f"want a mapping, a kernel or a file.yaml, found {name!r}{hint}"
        raise ValueError(text) from None


# How each case is worked out ----------------------------------------------------------------------


def _tried(found: Plan) -> Plan:
    """The plan with arrays where they give, on a sample, what single numbers give."""
    from einfall.scenarios.sweeps.points import evaluate

    cases: dict[Choice, Case] = {}
    notes: dict[str, None] = {}
    farthest = 0.0
    for n, (names, single) in enumerate(found.cases.items()):
        case = single.with_arrays()
        varied = [a for a, keys in enumerate(found.axes) if set(keys) <= case.arrays]
        if not varied or prod(found.grid.dims[a] for a in varied) < _SAMPLED:
            cases[names] = single
            continue
        cases[names] = case
        if n >= _CASES:
            continue
        block = _sample(found, names)
        both = [evaluate(replace(found, cases={names: c}), block) for c in (case, single)]
        off = _difference(both[0].columns, both[1].columns, found.asked)
        same = np.array_equal(both[0].kept, both[1].kept)
        if case.approximate:
            farthest = max(farthest, off)
        elif off > TOLERANCE or not same:
            cases[names] = single
            notes[f"{names[0]} on {names[1]}: point by point, for arrays gave other numbers"] = None
    if any(case.approximate for case in cases.values()):
        notes[
            f"causal GPU kernels by their closed form: at most {farthest:.2%} from the exact "
            "answers at the sampled points"
        ] = None
    grid = Grid(found.grid.dims, min(ARRAYS, SINGLES * min(_together(found, cases.values()))))
    return replace(found, cases=cases, grid=grid, notes=tuple(notes))


def _together(found: Plan, cases: Iterable[Case]) -> Iterator[int]:
    """How many points of each case are worked out together, at most."""
    for case in cases:
        varied = [a for a, keys in enumerate(found.axes) if set(keys) <= case.arrays]
        yield prod(found.grid.dims[a] for a in varied)


def _sample(found: Plan, names: Choice) -> Block:
    """A few points of a case: the ends of its axes, the middle of those beyond the third."""
    fixed = next(
        places
        for places in product(
            *(range(n) if found.is_choice(a) else (0,) for a, n in enumerate(found.grid.dims))
        )
        if found.choice(places) == names
    )
    ranges: list[range] = []
    many = 1
    for axis, n in enumerate(found.grid.dims):
        if found.is_choice(axis):
            ranges.append(range(fixed[axis], fixed[axis] + 1))
        elif n > 1 and many < _SAMPLED:
            ranges.append(range(0, n, n - 1))
            many *= 2
        else:
            ranges.append(range(n // 2, n // 2 + 1))
    return Block(0, tuple(ranges))


def _difference(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], names: Sequence[str]
) -> float:
    """The largest difference of two tables, as a share."""
    worst = 0.0
    for name in names:
        a, b = ours[name], theirs[name]
        if a.dtype.kind == "U":
            worst = max(worst, float((a != b).any()))
            continue
        known = ~np.isnan(b)
        if (np.isnan(a) == known).any():
            return np.inf
        scale = np.maximum(np.abs(b[known]), 1e-300)
        worst = max(worst, float(np.max(np.abs(a[known] - b[known]) / scale, initial=0.0)))
    return worst
