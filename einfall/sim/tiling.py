"""Tile sizes of a mapping's loops, and the buffer that its tiles need.

`fit` is solved in closed form: the footprint is linear in the tile, so that the largest tile is
(capacity - what does not depend on it) / (bytes of one more unit), for a number or for an array.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import replace
from typing import TYPE_CHECKING

from einfall.einsum_cascades.einsum import Cascade, Split
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.accounting import Accounting
from einfall.sim.group import GroupContext, group_einsums
from einfall.sim.layout import Dim, Layout
from einfall.sim.mapping import DoesNotFitError, Group, LoopSpec, Mapping, MappingError
from einfall.sim.nest import Loop, Nest
from einfall.sim.numeric import Number, ceil_div, is_array, largest, maximum, minimum, product

if TYPE_CHECKING:
    from einfall.sim.visits import Visits

STEPS_BUFFERED = 8
"""Tiles of an intermediate in the buffer when as many steps overlap as it takes (an assumption)."""


def group_context(  # noqa: PLR0913 - a group stands where six things meet
    layout: Layout,
    machine: SpatialArray,
    mapping: Mapping,
    group: Group,
    accounting: Accounting,
    visits: Visits | None = None,
) -> GroupContext:
    """The group with its loops' tiles worked out; a mask leaves their sizes as they are.

    Raises:
        MappingError: Not even the smallest tile fits the buffer, or a tile cannot be resolved.
    """
    nest = Nest(layout.extents)
    return with_tiles(
        GroupContext(layout, machine, mapping, group, accounting, nest), layout, visits
    )


def with_tiles(context: GroupContext, layout: Layout, visits: Visits | None = None) -> GroupContext:
    """The group at the sizes of a layout, its loops' tiles worked out; see `group_context`."""
    group = context.group
    context = replace(context, layout=layout, nest=_nest(layout, group, {}))
    tiles: dict[str, Number] = {}
    for spec in (s for s in group.loops if s.tile not in ("fit", "fill")):
        tiles[spec.loop] = _plain_tile(context, spec)
    for spec in (s for s in group.loops if s.tile == "fill"):
        tiles[spec.loop] = _fill(context, spec, tiles)
    for spec in (s for s in group.loops if s.tile == "fit"):
        tiles[spec.loop] = _fit(context, spec, tiles)
    return replace(context, nest=replace(_nest(layout, group, tiles), visits=visits))


def footprint_bytes(context: GroupContext) -> dict[str, Number]:
    """Bytes of the buffer that each tensor holds while the group runs.

    elements of its tile inside the loop it is held at · word · slots; a tile that is loaded whole
    while the arrays work on the one before has two slots.
    """
    tensors = dict.fromkeys((*context.readers, *context.own))
    return {name: tensor_bytes(context, name) for name in tensors if is_buffered(context, name)}


def is_buffered(context: GroupContext, tensor: str) -> bool:
    """Whether a tensor has room of its own in the buffer."""
    held = context.level(tensor) in ("buffer", "spilled")
    return held and tensor not in context.group.shares


def tensor_bytes(context: GroupContext, tensor: str) -> Number:
    """Bytes of the buffer that one tensor takes, by the rule of `footprint_bytes`."""
    key = ("held", tensor, context.group.hold.get(tensor))
    inside, dims, slots = context.known(key, lambda: _held(context, tensor))
    tiles = {d.rank: context.nest.tile(d.rank, inside) for d in dims}
    elements = [1 - context.spilled_part(tensor), *[d.factor.value(tiles) for d in dims]]
    return product((product(elements), context.machine.word_bytes, slots))


def check_capacity(context: GroupContext) -> None:
    """Refuse a group whose tiles do not fit the buffer.

    Raises:
        DoesNotFitError: With what each tensor needs, and the capacity.
    """
    needs = footprint_bytes(context)
    total = sum(needs.values(), start=0)
    capacity = context.machine.buffer.capacity_bytes
    if largest(total - capacity) > 0:
        error = _does_not_fit(context, needs, total)
        error.where = total > capacity
        raise error


def _does_not_fit(
    context: GroupContext, needs: dict[str, Number], total: Number
) -> DoesNotFitError:
    worst = sorted(needs, key=lambda name: -largest(needs[name]))
    parts = ", ".join(f"{name} {largest(needs[name]):,.0f}" for name in worst)
    fit = [s.loop for s in context.group.loops if s.tile == "fit"]
    advice = (
        f"even the smallest tile of loop {fit[0]} is too large"
        if fit
        else "take smaller tiles, or let one be `fit`"
    )
    return DoesNotFitError(
        f"mapping {context.mapping.name}, group {context.group.name}: needs "
        f"{largest(total):,.0f} B of the buffer ({parts}), but buffer.capacity of "
        f"{context.machine.name} is {largest(context.machine.buffer.capacity_bytes):,.0f} B; "
        f"{advice}, or try --set buffer.capacity=2x"
    )


def _held(context: GroupContext, tensor: str) -> tuple[tuple[str, ...], tuple[Dim, ...], int]:
    """(loops inside which a tensor is kept, its dims, how many tiles of it there are at once)."""
    names = context.nest.names
    hold = context.group.hold.get(tensor)
    inside = names if hold is None else names[: names.index(hold) + 1] if hold else ()
    return inside, context.dims_of(tensor), _slots(context, tensor)


def _slots(context: GroupContext, tensor: str) -> int:
    """How many tiles of a tensor there are at once.

    One if it is renewed bit by bit, is a sum or a running value, or is loaded once; else one for
    what comes in and one for what is in use, or as many as steps are in flight.
    """
    hold = context.group.hold.get(tensor)
    einsum = context.own.get(tensor)
    renewed = context.loops_of(context.dims_of(tensor), hold)
    bit_by_bit = bool(renewed) and hold is not None and renewed[-1] != hold
    if not context.accounting.double_buffer or not renewed or bit_by_bit:
        return 1
    if einsum is None:
        return 2
    if einsum.iterative_ranks or (einsum.reduce and hold is not None):
        return 1
    return STEPS_BUFFERED if context.in_flight is None else context.in_flight


def _plain_tile(context: GroupContext, spec: LoopSpec) -> Number:
    tile = edge(context.machine, spec.tile)
    if tile is None:
        edges = ", ".join(f"{u}.rows, {u}.cols" for u in context.machine.units)
        raise MappingError(
            f"mapping {context.mapping.name}, group {context.group.name}, loop {spec.loop}: "
            f"wanted a whole number, fit, fill or one of {edges}, found {spec.tile!r}"
        )
    return tile


def edge(machine: SpatialArray, tile: int | str) -> Number | None:
    """The size that a tile names: a whole number, or an edge such as `2d.rows`; None if neither."""
    if isinstance(tile, int):
        return tile
    unit, _, side = tile.partition(".")
    if unit in machine.units and side in ("rows", "cols"):
        return getattr(machine.units[unit], side)
    return None


def _fill(context: GroupContext, spec: LoopSpec, tiles: MappingOf[str, Number]) -> Number:
    """As many coordinates as the other ranks on the same side of the array leave lanes for."""
    inner = {s.rank: tiles[s.loop] for s in context.group.loops if s.loop in tiles}
    for binding in context.mapping.bind:
        for ranks, side in ((binding.rows, "rows"), (binding.cols, "cols")):
            if spec.rank in ranks:
                taken: Number = 1
                for rank in (r for r in ranks if r != spec.rank):
                    extent = context.layout.extents[rank]
                    taken = taken * minimum(inner.get(rank, extent), extent)
                return maximum(1, getattr(context.machine.units[binding.unit], side) // taken)
    return 1


def _fit(context: GroupContext, spec: LoopSpec, tiles: MappingOf[str, Number]) -> Number:
    """The largest tile that the buffer holds, spread evenly over the iterations it leaves.

    In units of the next inner loop's tile over the same rank (of one coordinate if there is none).
    The published rule takes the largest divisor of the number of units, as its files do.
    """
    whole = context.layout.extents[spec.rank]
    inner = [s.loop for s in context.group.loops if s.rank == spec.rank and s.loop in tiles]
    unit = minimum(tiles[inner[0]], whole) if inner else 1
    units = ceil_div(whole, unit)
    published = context.group.published.buffer_capacity_bytes
    use_published = context.accounting.published and published is not None
    capacity = published if use_published else context.machine.buffer.capacity_bytes
    fixed, one = (_bytes_with(context, spec, tiles, size) for size in (0, unit))
    room = maximum(1, minimum((capacity - fixed) // maximum(one - fixed, 1), units))
    if context.accounting.published:
        return _largest_divisor(units, room) * unit
    return ceil_div(units, ceil_div(units, room)) * unit


def _bytes_with(
    context: GroupContext, spec: LoopSpec, tiles: MappingOf[str, Number], size: Number
) -> Number:
    trial = _nest(context.layout, context.group, {**tiles, spec.loop: size})
    needs = footprint_bytes(replace(context, nest=trial))
    return sum(needs.values(), start=0)


def _largest_divisor(n: Number, most: Number) -> Number:
    """The largest divisor of n that is at most `most`."""
    if is_array(n) or is_array(most):
        import numpy as np

        return np.vectorize(_largest_divisor, otypes=[float])(n, most)
    return next(d for d in range(int(most), 0, -1) if n % d == 0)


def _nest(layout: Layout, group: Group, tiles: MappingOf[str, Number]) -> Nest:
    """The nest of a group; loops whose tile is not known yet take the whole rank."""
    loops = tuple(
        Loop(spec.loop, spec.rank, tiles.get(spec.loop, layout.extents[spec.rank]))
        for spec in group.loops
    )
    return Nest(layout.extents, loops)


def split_tiles(cascade: Cascade, machine: SpatialArray, mapping: Mapping) -> dict[str, Number]:
    """Inner tile of every split rank of a cascade: that of the innermost loop over it.

    A rank that the mapping does not loop on is cut by the rows of the first unit.

    Raises:
        MappingError: Two groups cut the same rank into different tiles.
    """
    tiles: dict[str, Number] = {}
    for split in cascade.splits:
        found = {
            str(specs[-1].tile): edge(machine, specs[-1].tile)
            for group in mapping.groups
            if (specs := [s for s in group.loops if s.rank == split.rank])
            and _uses_parts(cascade, group, split)
        }
        if len(set(found.values())) > 1:
            raise MappingError(
                f"mapping {mapping.name}: wanted one tile of {split.rank}, which cascade "
                f"{cascade.name} splits, found {', '.join(sorted(found))}"
            )
        tile = next(iter(found.values()), None)
        tiles[split.rank] = _default_tile(machine) if tile is None else tile
    return tiles


def skipped_tile(machine: SpatialArray, mapping: Mapping, rank: str) -> Number:
    """Tile of a masked rank that is skipped in groups that do not cut it.

    The largest of the innermost tiles in which the other groups of the mapping cut it, as what they
    left out does not exist; the rows of the first unit where none does.
    """
    inner = [[s.tile for s in group.loops if s.rank == rank][-1:] for group in mapping.groups]
    sizes = [edge(machine, tile) for tiles in inner for tile in tiles]
    known = [size for size in sizes if size is not None]
    return maximum(*known) if known else _default_tile(machine)


def _uses_parts(cascade: Cascade, group: Group, split: Split) -> bool:
    """Whether an Einsum of the group iterates over the parts of a split rank."""
    parts = {split.outer, split.inner}
    einsums = group_einsums(cascade, group)
    return any(parts & set(cascade.iteration_ranks(e)) for e in einsums)


def _default_tile(machine: SpatialArray) -> Number:
    return next(iter(machine.units.values())).rows
