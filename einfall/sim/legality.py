"""What a mapping must satisfy before it is lowered; all mistakes at once, with both numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from einfall.einsum_cascades.counts import ops_per_output, ops_per_point
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.passes import fusion_conflict
from einfall.einsum_cascades.windows import reads_in_windows
from einfall.hw_models.spatial_array import SpatialArray
from einfall.hw_models.yaml_door import did_you_mean
from einfall.sim.group import GroupContext, group_einsums
from einfall.sim.layout import Layout
from einfall.sim.mapping import Group, Mapping, MappingError
from einfall.sim.numeric import Number, largest


def check_mapping(cascade: Cascade, machine: SpatialArray, mapping: Mapping) -> None:
    """Refuse a mapping whose names do not fit the cascade and the machine.

    Raises:
        MappingError: Every name that is wrong, and every op that a unit cannot do; before those,
            maps that are read in windows.
    """
    refuse_windows(cascade)
    problems = [*_check_cascade(cascade, mapping)] or [
        *_check_coverage(cascade, mapping),
        *(p for group in mapping.groups for p in _check_names(cascade, group)),
        *_check_units(cascade, machine, mapping),
    ]
    if problems:
        raise MappingError("\n".join(f"mapping {mapping.name}: {p}" for p in problems))


def refuse_windows(cascade: Cascade) -> None:
    """Refuse a cascade that reads maps in windows: tiles with a halo are not modelled.

    Raises:
        MappingError: With every such access.
    """
    problems = [
        f"{einsum.name} reads {access}"
        for einsum in cascade.einsums
        for access, _ in reads_in_windows(cascade, einsum)
    ]
    if problems:
        raise MappingError(
            f"cascade {cascade.name}: wanted tensors read at plain coordinates, as all mappings on "
            f"spatial arrays need them, found a window: {'; '.join(problems)}; give the windows as "
            "an input of their own (im2col), as in MAP[n,c,y,x,u,v]"
        )


def check_group(context: GroupContext) -> None:
    """Refuse a group that fuses over a pass boundary, or tiles that do not nest.

    Raises:
        MappingError: With the two passes and the value that forces the second one.
    """
    problems = [
        *_check_passes(context),
        *_check_nesting(context),
        *_check_held(context),
        *_check_whole_tiles(context),
    ]
    if problems:
        where = f"mapping {context.mapping.name}, group {context.group.name}"
        raise MappingError("\n".join(f"{where}: {p}" for p in problems))


def _check_cascade(cascade: Cascade, mapping: Mapping) -> Iterator[str]:
    if cascade.name not in mapping.cascades:
        known = ", ".join(mapping.cascades)
        yield f"is for {known}, found cascade {cascade.name}; take another one, or `auto`"


def _check_coverage(cascade: Cascade, mapping: Mapping) -> Iterator[str]:
    """Each Einsum in exactly one group, producers not after their readers."""
    place: dict[str, int] = {}
    for number, group in enumerate(mapping.groups):
        for einsum in group_einsums(cascade, group):
            if einsum.name in place:
                yield f"wanted {einsum.name} in one group, found it in two"
            place[einsum.name] = number
    for einsum in cascade.einsums:
        if einsum.name not in place:
            yield f"wanted every Einsum in a group, found {einsum.name} in none"
            continue
        for access in einsum.operands:
            if place.get(access.tensor, 0) > place[einsum.name]:
                yield f"{einsum.name} reads {access.tensor} of a later group"


def _check_names(cascade: Cascade, group: Group) -> Iterator[str]:
    where = f"group {group.name}"
    if group.einsums != "all":
        yield from _unknown(where, "Einsums", group.einsums, cascade.by_name)
    tensors = cascade.tensor_ranks
    for field in ("hold", "place", "spill"):
        yield from _unknown(f"{where}, {field}", "tensors", getattr(group, field), tensors)
    yield from _unknown(f"{where}, direct", "tensors", group.direct, tensors)
    loops = [spec.loop for spec in group.loops]
    held = [loop for loop in group.hold.values() if loop]
    yield from _unknown(f"{where}, hold", "loops", held, loops)
    yield from (f"{where}: wanted each loop once, found {x} again" for x in _repeated(loops))
    ranks = Layout(cascade, _ones(cascade)).extents
    yield from _unknown(f"{where}, loops", "ranks", [s.rank for s in group.loops], ranks)


def _check_units(cascade: Cascade, machine: SpatialArray, mapping: Mapping) -> Iterator[str]:
    ranks = Layout(cascade, _ones(cascade)).extents
    for binding in mapping.bind:
        yield from _unknown("bind", "units", [binding.unit], machine.units)
        names = [name for name in binding.einsums if name != "rest"]
        yield from _unknown("bind", "Einsums", names, cascade.by_name)
        both = (*binding.rows, *binding.cols, *binding.order)
        yield from _unknown("bind", "ranks", dict.fromkeys(both), ranks)
        yield from (
            f"bind {', '.join(binding.einsums)}: wanted each rank once on the sides of "
            f"{binding.unit}, found {rank} again (rows {', '.join(binding.rows) or 'none'}; cols "
            f"{', '.join(binding.cols) or 'none'}); keep it on one side, the rest takes time"
            for rank in _repeated([*binding.rows, *binding.cols])
        )
    for einsum in cascade.einsums:
        bound = mapping.binding(einsum.name).unit
        if bound not in machine.units:
            continue
        unit = machine.units[bound]
        wanted = ops_per_point(einsum) | ops_per_output(einsum)
        for op in (kind for kind in wanted if not unit.supports(kind)):
            able = [name for name, other in machine.units.items() if other.supports(op)]
            way = f"bind it to {' or '.join(able)}" if able else f"add {op} to a unit"
            yield (
                f"{einsum.name} needs {op}, which unit {bound} of {machine.name} cannot do "
                f"(it does {', '.join(unit.ops)}); {way}"
            )


def _check_passes(context: GroupContext) -> Iterator[str]:
    """No loop over tiles of a rank may hold Einsums of different passes over it."""
    dims = {e.name: {d.rank for d in context.layout.points(e)} for e in context.einsums}
    looped = {x.rank: x for x in context.nest.loops}
    for rank, loop in looped.items():
        if rank not in {r.symbol for r in context.cascade.ranks}:
            continue
        if largest(context.layout.extents[rank]) <= largest(loop.tile):
            continue
        inside = [name for name, ranks in dims.items() if rank in ranks]
        conflict = _conflict(context.cascade, tuple(inside), rank)
        if conflict:
            yield (
                f"loop {loop.name} runs over tiles of {rank}, but {conflict}; put the passes into "
                f"groups of their own, or drop the loop and keep whole fibers of {rank}"
            )


@cache
def _conflict(cascade: Cascade, names: tuple[str, ...], rank: str) -> str | None:
    return fusion_conflict(cascade, names, rank)


def _check_nesting(context: GroupContext) -> Iterator[str]:
    """Tiles of a rank must be multiples of the tiles inside them."""
    last: dict[str, tuple[str, Number]] = {}
    for loop in context.nest.loops:
        if loop.rank in last:
            outer, tile = last[loop.rank]
            # An outer tile that covers the whole rank has nothing to be a multiple for.
            if largest((tile % loop.tile) * (tile < context.layout.extents[loop.rank])) > 0:
                yield (
                    f"loop {outer} over {loop.rank} takes {largest(tile):g}, no multiple of the "
                    f"{largest(loop.tile):g} of loop {loop.name} inside it"
                )
        last[loop.rank] = (loop.name, loop.tile)


def _check_whole_tiles(context: GroupContext) -> Iterator[str]:
    """The published accounting knows whole tiles only: its files divide and drop the rest."""
    if context.accounting.ragged:
        return
    for spec, loop in zip(context.group.loops, context.nest.loops, strict=True):
        extent = context.layout.extents[loop.rank]
        if spec.tile not in ("fit", "fill") and largest(extent % loop.tile) > 0:
            yield (
                f"--accounting artifact wanted a multiple of {largest(loop.tile):g} for "
                f"{loop.rank}, which loop {loop.name} cuts into such tiles, found "
                f"{largest(extent):g}; the default accounting counts ragged tiles exactly"
            )


def _check_held(context: GroupContext) -> Iterator[str]:
    """A running value or a sum that other iterations come between must be kept in the buffer.

    The published accounting takes for granted that sums stay somewhere.
    """
    if context.accounting.published:
        return
    for einsum in context.einsums:
        own = {d.rank for d in context.layout.tensor(einsum.name)}
        grown = {d.rank for d in context.layout.points(einsum)} - own
        along = [
            i
            for i, x in enumerate(context.nest.loops)
            if x.rank in grown and largest(context.layout.extents[x.rank] - x.tile) > 0
        ]
        if not along or context.level(einsum.name) == "buffer":
            continue
        between = [x.name for x in context.nest.loops[along[0] + 1 :] if x.rank in own]
        if between:
            yield (
                f"{einsum.name} grows along loop {context.nest.names[along[0]]} with loop "
                f"{between[0]} inside it: its tiles have to be kept; add place: "
                f"{{{einsum.name}: buffer}} and hold: {{{einsum.name}: …}} with a loop outside both"
            )


def _unknown(where: str, what: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    known = list(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            yield f"{where}: wanted {what} ({', '.join(known)}), found {name!r}{hint}"


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _ones(cascade: Cascade) -> dict[str, int]:
    return dict.fromkeys((r.symbol for r in cascade.ranks), 1) | dict.fromkeys(cascade.parent, 1)
