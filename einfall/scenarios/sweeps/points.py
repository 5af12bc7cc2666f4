"""The points of a block: their columns, which of them count, and why others do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from einfall.scenarios.sweeps.axes import CHOICES
from einfall.scenarios.sweeps.cases import REFUSALS, Case, empty
from einfall.scenarios.sweeps.grid import Block
from einfall.scenarios.sweeps.plan import Choice, Plan
from einfall.scenarios.sweeps.spec import RATIOS


@dataclass
class Refused:
    """Points that cannot be, of one kind: how many, the first of them, and its reason."""

    count: int
    first: int
    why: str


@dataclass
class Table:
    """A block worked out.

    columns: What was asked, an array over the places of the axes each.
    kept: Which points count.
    dropped: How many points each constraint dropped; of several the first that it does not meet.
    cannot: Which points cannot be.
    refused: Points that cannot be, by the kind of error.
    without_baseline: Why some points have no baseline, if that is so.
    """

    columns: dict[str, np.ndarray]
    kept: np.ndarray
    dropped: list[int]
    cannot: np.ndarray
    refused: dict[str, Refused] = field(default_factory=dict)
    without_baseline: str | None = None


def evaluate(plan: Plan, block: Block) -> Table:
    """Work out a block of a sweep."""
    dims = block.dims
    columns = {name: empty(name, dims) for name in plan.asked}
    none, every = np.zeros(dims, dtype=bool), np.ones(dims, dtype=bool)
    table = Table(columns, every, [0] * len(plan.constraints), none)
    base = _baseline(plan, block, table)
    choosing = [a for a in range(len(dims)) if plan.is_choice(a)]
    for chosen in product(*(range(dims[a]) for a in choosing)):
        at: list[Any] = [slice(None)] * len(dims)
        for axis, place in zip(choosing, chosen, strict=True):
            at[axis] = place
        _evaluate_case(plan, block, table, at, base)
    return table


Base = Mapping[str, np.ndarray]
"""Columns of the baseline, over the places of the axes; one place where it fixes the axis."""


def _baseline(plan: Plan, block: Block, table: Table) -> Base:
    """What the points of a block are compared with; what cannot be of it is counted."""
    if plan.base is None:
        return {}
    left = [a for a, keys in enumerate(plan.axes) if keys in plan.base.axes]
    found = evaluate(plan.base, Block(0, tuple(block.ranges[a] for a in left)))
    table.without_baseline = next((refused.why for refused in found.refused.values()), None)
    dims = tuple(n if a in left else 1 for a, n in enumerate(block.dims))
    return {name: column.reshape(dims) for name, column in found.columns.items()}


def _before(plan: Plan, i: int) -> bool:
    """Whether a constraint is known before anything is worked out."""
    return not plan.constraints[i].names & set(plan.asked)


def _evaluate_case(plan: Plan, block: Block, table: Table, at: list[Any], base: Base) -> None:
    """The part of a block that is of one case."""
    places = [r[i] if isinstance(i, int) else r[0] for r, i in zip(block.ranges, at, strict=True)]
    names = plan.choice(places)
    case = plan.cases[names]
    left = [a for a, i in enumerate(at) if not isinstance(i, int)]
    single = [a for a in left if not set(plan.axes[a]) <= case.arrays]
    varied = [a for a in left if a not in single]
    for chosen in product(*(range(len(block.ranges[a])) for a in single)):
        here = list(at)
        settings: dict[str, Any] = {}
        for axis, place in zip(single, chosen, strict=True):
            here[axis] = place
            for key in plan.axes[axis]:
                settings[key] = plan.values_of(key, names)[block.ranges[axis][place]]
        for axis in (a for a, i in enumerate(at) if isinstance(i, int)):
            for key in (k for k in plan.axes[axis] if k not in CHOICES):
                settings[key] = plan.values_of(key, names)[block.ranges[axis][here[axis]]]
        for n, axis in enumerate(varied):
            shape = [1] * len(varied)
            shape[n] = -1
            for key in plan.axes[axis]:
                values = plan.values_of(key, names)
                own = np.array([values[i] for i in block.ranges[axis]], dtype=float)
                settings[key] = own.reshape(shape)
        _Part(plan, block, table, tuple(here), case, names, settings, base).fill()


@dataclass
class _Part:
    """The part of a block that has one set of single settings; all others are arrays."""

    plan: Plan
    block: Block
    table: Table
    at: tuple[Any, ...]
    case: Case
    names: Choice
    settings: dict[str, Any]
    base: Base

    def fill(self) -> None:
        """Work out the part, and put it into the table."""
        dims = self.table.kept[self.at].shape
        early = [_before(self.plan, i) for i in range(len(self.plan.constraints))]
        wanted = np.ones(dims, dtype=bool)
        known = self._known()
        for i in (i for i, before in enumerate(early) if before):
            wanted = self._constrain(i, known, wanted)
        found, refused = self._answer(self.settings, wanted, np.arange(wanted.size).reshape(dims))
        found |= self._ratios(found)
        for name, values in found.items():
            self.table.columns[name][self.at] = values
        kept = wanted & ~refused
        self.table.cannot[self.at] = wanted & refused
        for i in (i for i, before in enumerate(early) if not before):
            kept = self._constrain(i, {**known, **found}, kept)
        self.table.kept[self.at] = kept

    def _ratios(self, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """How the points compare with the baseline."""
        ratios = {}
        for name, of in RATIOS.items():
            if name in self.table.columns:
                column = self.base[of]
                own = tuple(
                    0 if isinstance(i, int) and n == 1 else i
                    for i, n in zip(self.at, column.shape, strict=True)
                )
                before, now = column[own], found[of]
                ratios[name] = before / now if name == "speedup" else now / before
        return ratios

    def _known(self) -> dict[str, Any]:
        """Everything that a constraint may speak of before anything is worked out."""
        from einfall.einsum_cascades.shapes import rank_sizes

        known: dict[str, Any] = dict(zip(CHOICES, self.names, strict=True))
        known |= dict(self.case.shape) | self.settings
        if not self.plan.constraints:
            return known
        shape = {k: v for k, v in known.items() if k not in CHOICES and "." not in k}
        cascade = replace(self.case.cascade, mask=None)
        try:
            sizes = rank_sizes(cascade, shape)
        except REFUSALS:
            defaults = {"kv_heads": "heads", "keys": "queries", "value_dim": "head_dim"}
            return {a: known.get(b) for a, b in defaults.items()} | known
        return {r.shape_key: sizes[r.symbol] for r in cascade.ranks if r.shape_key} | known

    def _constrain(self, i: int, values: Mapping[str, Any], wanted: np.ndarray) -> np.ndarray:
        """Points that meet a constraint, too; what it drops is counted."""
        constraint = self.plan.constraints[i]
        if any(values.get(name) is None for name in constraint.names):
            return wanted  # it speaks of what this cascade has not
        left = wanted & np.asarray(constraint.holds(values))
        self.table.dropped[i] += int(wanted.sum() - left.sum())
        return left

    def _answer(
        self, settings: dict[str, Any], wanted: np.ndarray, places: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Columns of the wanted points, and which of them cannot be.

        Args:
            settings: What is set; arrays go over the dimensions of `wanted`.
            wanted: Which points to work out.
            places: Where each lies in the part.
        """
        dims = wanted.shape
        if not wanted.any():
            return self._nothing(dims), np.zeros(dims, dtype=bool)
        if not wanted.all():
            return self._some(settings, wanted, places)
        if not dims:
            return self._one(settings, places)
        try:
            found = self.case.many(settings)
        except REFUSALS as error:
            return self._refused(error, settings, places)
        return {
            name: empty(name, dims) if values is None else np.broadcast_to(values, dims)
            for name, values in found.items()
        }, np.zeros(dims, dtype=bool)

    def _nothing(self, dims: tuple[int, ...]) -> dict[str, np.ndarray]:
        return {name: empty(name, dims) for name in self.case.columns}

    def _one(
        self, settings: dict[str, Any], places: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """A single point."""
        columns = self._nothing(())
        try:
            found = self.case.one(settings)
        except REFUSALS as error:
            self._count(error, np.ravel(places))
            return columns, np.ones((), dtype=bool)
        for name, value in found.items():
            if value is not None:
                columns[name][()] = value
        return columns, np.zeros((), dtype=bool)

    def _some(
        self, settings: dict[str, Any], wanted: np.ndarray, places: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Some of the points, in a row."""
        chosen = {
            key: np.broadcast_to(x, wanted.shape)[wanted] if isinstance(x, np.ndarray) else x
            for key, x in settings.items()
        }
        own = places[wanted]
        found, refused = self._answer(chosen, np.ones(own.shape, dtype=bool), own)
        columns, away = self._nothing(wanted.shape), np.zeros(wanted.shape, dtype=bool)
        for name, values in found.items():
            columns[name][wanted] = values
        away[wanted] = refused
        return columns, away

    def _refused(
        self, error: Exception, settings: dict[str, Any], places: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Leave out the points that an error is about; where it does not say, look in halves."""
        where = np.broadcast_to(getattr(error, "where", False), places.shape)
        if where.any():
            first = np.argmax(where.ravel())
            try:
                self.case.one(_numbers(settings, places.shape, int(first)))
                where = np.zeros(places.shape, dtype=bool)  # a single one can be: do not trust it
            except REFUSALS as own:
                self._count(own, places[where])
        if where.any():
            found, refused = self._answer(settings, ~where, places)
            return found, refused | where
        axis = int(np.argmax(places.shape))
        n = places.shape[axis]
        if n == 1:
            numbers = _numbers(settings, places.shape, 0)
            columns, refused = self._one(numbers, places.reshape(()))
            shape = places.shape
            return {k: v.reshape(shape) for k, v in columns.items()}, refused.reshape(shape)
        columns, away = self._nothing(places.shape), np.zeros(places.shape, dtype=bool)
        for half in (slice(0, n // 2), slice(n // 2, n)):
            at = (slice(None),) * axis + (half,)
            part = {
                key: x[at] if isinstance(x, np.ndarray) and x.shape[axis] == n else x
                for key, x in settings.items()
            }
            own = places[at]
            found, refused = self._answer(part, np.ones(own.shape, dtype=bool), own)
            for name, values in found.items():
                columns[name][at] = values
            away[at] = refused
        return columns, away

    def _count(self, error: Exception, places: np.ndarray) -> None:
        """Count points that cannot be."""
        first = self._index(int(places.min()))
        kind = type(error).__name__
        known = self.table.refused.setdefault(kind, Refused(0, first, str(error)))
        known.count += int(places.size)
        if first < known.first:
            known.first, known.why = first, str(error)

    def _index(self, place: int) -> int:
        """Index of a point of the part in the sweep."""
        left = [a for a, i in enumerate(self.at) if not isinstance(i, int)]
        inside = np.unravel_index(place, [len(self.block.ranges[a]) for a in left]) if left else ()
        local = dict(zip(left, map(int, inside), strict=True))
        index = 0
        for axis, n in enumerate(self.plan.grid.dims):
            index = index * n + self.block.ranges[axis][local.get(axis, self.at[axis])]
        return index


def _numbers(settings: Mapping[str, Any], dims: tuple[int, ...], place: int) -> dict[str, Any]:
    """The settings of one point of arrays."""
    found = {}
    for key, x in settings.items():
        if isinstance(x, np.ndarray):
            number = float(np.broadcast_to(x, dims).ravel()[place])
            x = int(number) if "." not in key else number  # a size is whole
        found[key] = x
    return found
