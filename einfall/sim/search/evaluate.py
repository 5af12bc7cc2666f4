"""Cost of one candidate over all its tiles at once: the lowering and closed form of `estimate`.

The tiles of the loops are arrays in the nest of a `GroupContext`; what is lowered and evaluated is
what `estimate` lowers and evaluates for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import prod
from typing import Any, TypeVar

import numpy as np

from einfall.einsum_cascades.einsum import Einsum
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.accounting import PHYSICAL
from einfall.sim.closed_form import chain_s, phase_terms, phase_time_s
from einfall.sim.estimate import action_energy_j
from einfall.sim.group import GroupContext
from einfall.sim.layout import Layout
from einfall.sim.legality import check_group
from einfall.sim.mapping import Binding, Group, Level, LoopSpec, Mapping, MappingError
from einfall.sim.nest import Loop, Nest
from einfall.sim.numeric import Number, maximum, minimum, product
from einfall.sim.pipeline import Phase, Pipeline, counts
from einfall.sim.search.space import Run, Space, Spread, Variant, Walk
from einfall.sim.spatial import Draft, lower_group
from einfall.sim.tiling import STEPS_BUFFERED, is_buffered, tensor_bytes

Array = np.ndarray
Known = TypeVar("Known")


@dataclass(frozen=True)
class Grid:
    """All combinations of the tiles of an order, and the tile of a split rank.

    Loops whose tiles vary together share an axis and have length one on all others, so that what
    depends on one rank is worked out once for each of its tiles. Candidates of an order share its
    layout and its nest, and with the nest every sum over it that one of them has asked for.
    """

    run: Run
    order: tuple[Walk, ...]
    tiles: MappingOf[str, Array]
    split: Array | None
    shape: tuple[int, ...]
    _memo: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def known(self, key: Hashable, answer: Callable[[], Known]) -> Known:
        """What candidates of the order that differ elsewhere have in common, worked out once."""
        if key not in self._memo:
            self._memo[key] = answer()
        return self._memo[key]

    @cached_property
    def layout(self) -> Layout:
        """The cascade, its split rank cut into the tiles of the grid."""
        space = self.run.space
        if self.run.tied is None or self.split is None:
            return space.layout
        sizes = rank_sizes(space.cascade, space.shape, {self.run.tied: self.split})
        return Layout(space.cascade, sizes)

    @cached_property
    def nest(self) -> Nest:
        """The loops of the order, all their tiles at once."""
        loops = tuple(Loop(w.loop, w.rank, self.tiles.get(w.loop, 1)) for w in self.order)
        return Nest(self.layout.extents, loops)

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return prod(self.shape)

    def take(self, which: Array) -> Grid:
        """A list of those at the given places."""
        split = None if self.split is None else self._listed(self.split)[which]
        tiles = {k: self._listed(x)[which] for k, x in self.tiles.items()}
        return Grid(self.run, self.order, tiles, split, (len(which),))

    def _listed(self, x: Array) -> Array:
        return np.broadcast_to(x, self.shape).ravel() if x.shape != self.shape else x.ravel()


def grid_of(run: Run, order: tuple[Walk, ...]) -> Grid:
    """Every combination of tiles that the space has for an order."""
    tables = [t for t in run.tile_tables(order) if len(t[1]) != 1 or t[1] != [(1,)]]
    split_tiles = run.split_tiles(order)
    shape = tuple(len(rows) for _, rows in tables) + ((len(split_tiles),) if split_tiles else ())
    tiles: dict[str, Array] = {}

    def along(axis: int, values: list[int]) -> Array:
        ones = [1] * len(shape)
        ones[axis] = len(values)
        return np.array(values, dtype=float).reshape(ones)

    for axis, (loops, rows) in enumerate(tables):
        for k, loop in enumerate(loops):
            tiles[loop] = along(axis, [row[k] for row in rows])
    inner = [w.loop for w in order if w.rank == run.tied]
    split = tiles[inner[-1]] if inner else None
    if split_tiles:
        split = along(len(shape) - 1, [*split_tiles])
    return Grid(run, order, tiles, split, shape or (1,))


@dataclass(frozen=True)
class Candidate:
    """A run with everything chosen but its tiles."""

    run: Run
    order: tuple[Walk, ...]
    spreads: MappingOf[str, Spread]
    variant: Variant
    holds: MappingOf[str, str]

    @property
    def space(self) -> Space:
        """The space it belongs to."""
        return self.run.space

    def _on_grid(self, einsum: str) -> bool:
        return self.spreads[einsum].unit in self.space.grids

    def crosses(self, tensor: str) -> bool:
        """Whether a reader in the run is on another unit."""
        readers = [e for e in self.run.einsums if tensor in {a.tensor for a in e.operands}]
        unit = self.spreads[tensor].unit
        return any(self.spreads[e.name].unit != unit for e in readers)

    @cached_property
    def carried(self) -> dict[str, str]:
        """{tensor: loop outside all along which it grows} of running values and sums."""
        found = {}
        for einsum in self.run.einsums:
            growth = self.run.growth(einsum, self.order)
            if growth:
                found[einsum.name] = self.order[growth[0] - 1].loop if growth[0] else ""
        return found

    @cached_property
    def is_legal(self) -> bool:
        """Whether scores go from unit to unit, or to another layout, through the buffer only."""
        kept = [t for t in self.run.wide if t not in self.carried]
        if self.variant.wide == "buffer" or not kept:
            return True
        return not any(map(self.crosses, kept)) and self.run.in_step(self.spreads)

    def group(self, tiles: MappingOf[str, int] | None = None) -> Group:
        """The group of a mapping; without tiles they are all 1."""
        place: dict[str, Level] = {}
        hold = dict(self.holds)
        if self.variant.carried == "buffer":
            place |= dict.fromkeys(self.carried, "buffer")
            hold |= self.carried
        if self.variant.wide == "buffer":
            place |= {t: "buffer" for t in self.run.wide if t not in self.carried}
        first = {a.tensor: e.name for e in reversed(self.run.einsums) for a in e.operands}
        direct = [
            t
            for t in self.run.names
            if t in first
            and self._on_grid(t)
            and not self._on_grid(first[t])
            and (place.get(t) == "buffer" or t in self.run.results)
            and t not in self.carried
        ]
        names = self.run.names
        # Every value is known to be right: `_mapping` of the engine has the answer checked.
        return Group.model_construct(
            name=names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}",
            einsums=names,
            loops=tuple(
                LoopSpec.model_construct(
                    loop=w.loop, rank=w.rank, tile=tiles.get(w.loop, 1) if tiles else 1
                )
                for w in self.order
            ),
            hold=hold,
            place=place,
            direct=tuple(direct),
            shares=self._shares() if self.variant.wide == "buffer" else {},
            in_flight=self.variant.depth or "auto",
        )

    def _shares(self) -> dict[str, str]:
        """Scores in the buffer that overwrite others: it costs nothing, and less has to fit."""
        pairs = self.run.overwrites.items()
        return {new: old for new, old in pairs if not {new, old} & self.carried.keys()}

    def bindings(self) -> tuple[Binding, ...]:
        """The bindings of a mapping, Einsums that are spread alike in one."""
        alike: dict[Spread, list[str]] = {}
        for name, spread in self.spreads.items():
            alike.setdefault(spread, []).append(name)
        return tuple(
            Binding.model_construct(unit=s.unit, rows=s.rows, cols=s.cols, einsums=tuple(names))
            for s, names in alike.items()
        )

    @cached_property
    def mapping(self) -> Mapping:
        """A mapping of this group alone."""
        cascade = self.space.cascade.name
        return Mapping.model_construct(
            name="search", cascades=(cascade,), bind=self.bindings(), groups=(self.group(),)
        )

    def with_holds(self, holds: MappingOf[str, str]) -> Candidate:
        """The same with inputs kept elsewhere."""
        return replace(self, holds=holds)

    def context(self, grid: Grid) -> GroupContext:
        """The group on tiles that are arrays."""
        mapping, machine = self.mapping, self.space.machine
        group = mapping.groups[0]
        return GroupContext(grid.layout, machine, mapping, group, PHYSICAL, grid.nest)

    def needs(self, grid: Grid) -> tuple[Array, dict[str, dict[str, Array]], Array]:
        """(bytes of what the run makes, {input: {hold: bytes}}, whether registers hold the rest).

        What a tensor needs of the buffer depends on where it is kept itself, and on nothing else.
        """
        context, group = self.context(grid), self.mapping.groups[0]
        made = (tensor_bytes(context, t) for t in self.run.names if is_buffered(context, t))
        own = _spread(sum(made, start=0.0), grid.shape)
        by_hold: dict[str, dict[str, Array]] = {}
        for tensor in self.run.inputs:
            by_hold[tensor] = {}
            for hold in self.run.holds(tensor, self.order):
                # What else the names have answered is the same wherever an input is kept.
                kept = group.model_copy(update={"hold": {**group.hold, tensor: hold}})
                held = replace(context, group=kept)
                by_hold[tensor][hold] = _spread(tensor_bytes(held, tensor), grid.shape)
        return own, by_hold, self._registers_hold(grid)

    def least_bytes(self, grid: Grid, depths: Iterable[Variant]) -> tuple[Array, Array]:
        """(bytes of the buffer of the least of these depths and holds, whether registers hold).

        The bytes are those of any binding, the registers those of this one.
        """
        tightest = replace(self, variant=min(depths, key=lambda v: v.depth or STEPS_BUFFERED))
        needs = grid.known(("least bytes", tightest.variant), lambda: tightest._least_bytes(grid))
        return needs, self._registers_hold(grid)

    def _least_bytes(self, grid: Grid) -> Array:
        own, by_hold, _ = self.needs(grid)
        least = (np.minimum.reduce([*holds.values()]) for holds in by_hold.values())
        return own + sum(least, start=0.0)

    def is_refused(self, grid: Grid) -> bool:
        """Whether the legality of mappings refuses the group, whatever its binding."""
        key = ("refused", self.variant.wide, self.variant.carried)
        return grid.known(key, lambda: is_refused(self.context(grid)))

    def phase(self, grid: Grid) -> Phase:
        """The group lowered; drafts of tasks are shared with candidates that differ elsewhere."""
        context = self.context(grid)

        def keep(name: str, make: Callable[[], Draft]) -> Draft:
            return grid.known((name, self._rests_on(context, name)), make)

        return lower_group(context, keep)

    def _rests_on(self, context: GroupContext, task: str) -> Hashable:
        """What the draft of a task depends on; see `spatial._drafts`."""
        kind, _, tensor = task.rpartition(" ")
        if kind == "load":
            return self.holds[tensor]
        places = self.variant.wide, self.variant.carried
        if kind == "store":
            return places
        units = tuple(self.spreads[name].unit for name in self.run.neighbours[tensor])
        return self.spreads[tensor], units, context.is_fresh(context.own[tensor]), places

    def _registers_hold(self, grid: Grid) -> Array:
        """Whether scores and carried values that stay in an array have an element each."""
        fit = np.ones(grid.shape, dtype=bool)
        inside = self._in_registers()
        for tensor in inside:
            room = self.space.machine.units[self.spreads[tensor].unit].pes
            fit = fit & (_tile_elements(grid, tensor) <= room)
        for einsum in self.run.einsums:
            if einsum.reduce and einsum.name not in (*inside, *self.carried):
                key = ("sums", einsum.name, self.spreads[einsum.name])
                fit = fit & grid.known(key, partial(self._sums_fit, grid, einsum))
        return fit

    def _sums_fit(self, grid: Grid, einsum: Einsum) -> Array | bool:
        """Whether the sums of a step that wait for the next filling of the array have an element.

        A summed rank that fills a side several times goes round all outputs but those beside it:
        columns are filled in the outermost loop, then rows, then comes what takes time.
        """
        spread, nest = self.spreads[einsum.name], grid.nest
        unit = self.space.machine.units[spread.unit]
        tile = {d.rank: nest.tile(d.rank, nest.names) for d in self.run.points(einsum)}
        kept = {d.rank for d in grid.layout.tensor(einsum.name)}
        fit: Array | bool = True
        for side, width in ((spread.rows, unit.rows), (spread.cols, unit.cols)):
            if summed := [r for r in side if r in tile and r not in kept]:
                waits = product([1, *(tile[r] for r in side if r in tile)]) > width
                sums = product([1, *(tile[r] for r in kept if r not in spread.cols)])
                cols = product([1, *(tile[r] for r in kept if r in spread.cols)])
                if not set(summed) & set(spread.cols):
                    cols = minimum(cols, unit.cols)
                fit = fit & ~(np.asarray(waits) & (np.asarray(sums * cols) > unit.pes))
        return fit

    def _in_registers(self) -> list[str]:
        """Scores and carried values that are kept one in each element of an array."""
        wide = (
            []
            if self.variant.wide == "buffer"
            else [t for t in self.run.wide if t not in self.carried]
        )
        return wide + (list(self.carried) if self.variant.carried == "registers" else [])


def _tile_elements(grid: Grid, tensor: str) -> Number:
    """Elements of a tensor in one step."""
    dims, nest = grid.layout.tensor(tensor), grid.nest
    tiles = {d.rank: nest.tile(d.rank, nest.names) for d in dims}
    return product([1, *(d.factor.value(tiles) for d in dims)])


def is_refused(context: GroupContext) -> bool:
    """Whether the legality of mappings refuses the group."""
    try:
        check_group(context)
    except MappingError:
        return True
    return False


def least_time_s(phase: Phase, shape: tuple[int, ...]) -> Array:
    """The closed form with loads that take no time in the first step: a bound for other holds.

    Keeping an input further in moves more in all and no less after the first step, but its first
    tile may be smaller. A depth only makes the interval between steps longer.
    """
    first = dict(phase.once_s)
    for name in (name for name in first if name.startswith("load ")):
        first[name] = dict.fromkeys(first[name], 0.0)
    terms = phase_terms(phase)
    return _spread(maximum(terms.busiest, terms.recurrent) + chain_s(phase, first), shape)


def time_s(phase: Phase, shape: tuple[int, ...]) -> Array:
    """The closed form."""
    return _spread(phase_time_s(phase), shape)


def energy_j(machine: SpatialArray, phase: Phase, shape: tuple[int, ...]) -> Array:
    """Energy of everything that the phase counts."""
    parts = (
        n * action_energy_j(machine, component, action)
        for (component, action), n in counts(Pipeline((phase,))).items()
    )
    return _spread(sum(parts, start=0.0), shape)


def _spread(x: Number, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.asarray(x, dtype=float), shape)
