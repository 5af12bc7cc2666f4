"""Lowering of a mapped cascade onto a spatial array: the Pipeline of a `SpatialArray`.

One step is one innermost iteration of a group's loops, such as a (m1, p1) tile of FuseMax. Its
tasks are Einsums on units, loads from and stores to DRAM; buffer rows pass the buffer's ports.

    cycles of an Einsum = cycles a point · Π temporal extents · ⌈rows' extent/rows⌉ · ⌈cols'/cols⌉

    words of an operand that enter the array = Π its extents · Π trips of the loops that it does
        not have and that lie outside the innermost loop it has (it is fetched again for each)

Left out: control, the network's own time, conflicts between banks, DRAM pages and refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeAlias

from einfall.einsum_cascades.counts import ops_per_output, ops_per_point
from einfall.einsum_cascades.einsum import Access, Cascade, Einsum
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.accounting import Accounting
from einfall.sim.group import GroupContext
from einfall.sim.layout import Dim, Layout
from einfall.sim.legality import check_group
from einfall.sim.mapping import Mapping, MappingError
from einfall.sim.nest import Factor, Work, merged
from einfall.sim.numeric import Number, is_array, minimum
from einfall.sim.pipeline import Count, Dep, Phase, Pipeline, Task, Use, tally
from einfall.sim.prepared import prepared
from einfall.sim.published import register_charges
from einfall.sim.tiling import check_capacity, skipped_tile, with_tiles

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import Mask
    from einfall.sim.visits import Visits


def lower(  # noqa: PLR0913 - the four values of the design, what is charged, and the mask
    cascade: Cascade,
    sizes: MappingOf[str, Number],
    machine: SpatialArray,
    mapping: Mapping,
    accounting: Accounting,
    masks: Sequence[Mask] = (),
) -> Pipeline:
    """The Pipeline of a cascade of the given rank sizes on a machine.

    Under a mask, loops over its keys run the tiles that it visits and no others, each as a whole:
    points beyond the mask are work of the array. Where a group does not cut the keys, its blocks
    of queries work on the key tiles that any of their queries attends; what is left out is neither
    computed nor written nor read. Tiles, buffers and schedules are those of the dense cascade.

    Args:
        cascade: What is computed.
        sizes: Size of every rank symbol, parts of splits included [elements].
        machine: On what.
        mapping: How.
        accounting: What is charged.
        masks: The cascade's mask at these sizes: one for all heads, one for each, or none.

    Returns:
        One phase for each group of the mapping, in their order.

    Raises:
        MappingError: The mapping does not fit the cascade or the machine, with both numbers.
    """
    plan = prepared(cascade, sizes, machine, mapping, accounting)
    layout = replace(plan.layout, sizes=sizes)
    visits = _visits(layout, machine, mapping, accounting, masks)
    phases = []
    for group in plan.groups:
        context = with_tiles(group, layout, visits)
        check_group(context)
        if not accounting.published:
            check_capacity(context)
        phases.append(lower_group(context))
    return Pipeline(tuple(phases))


def _visits(
    layout: Layout,
    machine: SpatialArray,
    mapping: Mapping,
    accounting: Accounting,
    masks: Sequence[Mask],
) -> Visits | None:
    """The tiles that a mask visits; None where it attends everything.

    Raises:
        MappingError: The published accounting, which knows dense attention only.
    """
    mask = layout.cascade.mask
    if mask is None or all(each.pairs == each.queries * each.keys for each in masks):
        return None
    if accounting.published:
        raise MappingError(
            f"mapping {mapping.name}: --accounting artifact wanted dense attention, as published, "
            f"found mask {mask.spec}; the default accounting counts the tiles of any mask"
        )
    queries, keys = (layout.dims((rank,))[0].rank for rank in (mask.queries, mask.keys))
    from einfall.sim.visits import Visits

    differ = mask.heads is not None and len(set(map(id, masks))) > 1
    heads = tuple(d.rank for d in layout.dims((mask.heads,))) if differ and mask.heads else ()
    tile = skipped_tile(machine, mapping, keys)
    return Visits(tuple(masks) if heads else tuple(masks[:1]), queries, keys, tile, heads)


def lower_group(context: GroupContext, keep: Keep | None = None) -> Phase:
    """The tasks of a group at its sizes; `keep` may know their drafts from another group."""
    published = context.group.published if context.accounting.published else None
    drafts = context.known("drafts", lambda: tuple(_drafts(context, keep or _make)))
    return Phase(
        name=context.group.name,
        nest=context.nest,
        tasks=tuple(draft.at(context) for draft in drafts),
        in_flight=context.in_flight,
        stages=published.stages if published else (),
        ideal=context.accounting.published,
        charges=register_charges(context) if published else {},
        tally=None if keep else context.known("tally", lambda: tally(d.task for d in drafts)),
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A task of a group but for the time in which its result crosses the array.

    That depends on sizes: `cycles` and, for each of the `sides` that it passes, the lanes in use
    (extent, width) less one.
    """

    task: Task
    cycles: Number = 0
    sides: tuple[tuple[Work, Number], ...] = ()

    def at(self, context: GroupContext) -> Task:
        """The task at the sizes of a group."""
        cycles, at = self.cycles, self.task.at
        for extent, width in self.sides:
            cycles = cycles + minimum(extent.once(context.nest, at), width) - 1
        if not is_array(cycles) and not cycles:
            return self.task
        return replace(self.task, latency_s=cycles / context.machine.clock_hz)


Keep: TypeAlias = Callable[[str, Callable[[], Draft]], Draft]
"""What is asked for the draft of a task of a name: it answers, or has it made."""


def _make(name: str, make: Callable[[], Draft]) -> Draft:
    return make()


def _drafts(context: GroupContext, keep: Keep) -> Iterator[Draft]:
    """Tasks in program order: each load before its first reader, then the rest.

    The draft of a load rests on the loop inside which the tensor is kept and on its readers; that
    of an Einsum on its own binding, the units of those that it reads and that read it, on whether
    it is fresh, and where its operands and its result live; that of a store on where that lives.
    """
    loaded: set[str] = set()
    for einsum in context.einsums:
        for name in dict.fromkeys(a.tensor for a in einsum.operands):
            if name not in loaded and _is_loaded(context, name):
                yield keep(_load_name(name), partial(_load, context, name))
                loaded.add(name)
        yield keep(einsum.name, _EinsumTask(context, einsum).draft)
        if einsum.name in context.results or context.level(einsum.name) in ("spilled", "stream"):
            yield keep(f"store {einsum.name}", partial(_store, context, einsum.name))
    stages = context.group.published.stages if context.accounting.published else ()
    yield from (_drain(context, name) for stage in stages for name in stage if " " in name)


# --- Einsums -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _EinsumTask:
    """One Einsum of a group on its unit."""

    context: GroupContext
    einsum: Einsum

    @cached_property
    def dims(self) -> tuple[Dim, ...]:
        return self.context.layout.points(self.einsum)

    @cached_property
    def ranks(self) -> set[str]:
        return {d.rank for d in self.dims}

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """Ranks spread over the rows of the unit, as far as the Einsum has every point of them."""
        return self._spatial(self.context.mapping.binding(self.einsum.name).rows)

    @cached_property
    def cols(self) -> tuple[str, ...]:
        """Ranks spread over its columns."""
        return self._spatial(self.context.mapping.binding(self.einsum.name).cols)

    def _spatial(self, side: tuple[str, ...]) -> tuple[str, ...]:
        whole = {d.rank for d in self.dims if d.tile is None}
        return tuple(rank for rank in side if rank in whole)

    @cached_property
    def trips(self) -> tuple[Factor, ...]:
        """The temporal loops of one execution, outermost first."""
        unit = self.context.unit(self.einsum)
        sides = {self.cols: unit.cols, self.rows: unit.rows}
        order = self.context.mapping.binding(self.einsum.name).order
        unlisted = [rank for rank in self._default_order() if rank not in order]
        factors: list[Factor] = []
        left = {d.rank: d for d in self.dims}
        for rank in (*unlisted, *order):
            if rank not in left:
                continue
            side = next((ranks for ranks in sides if rank in ranks), None)
            for done in side or (rank,):
                dim = left.pop(done)
            factors.append(Factor(side, sides[side]) if side else dim.factor)
        return tuple(factors)

    def _default_order(self) -> tuple[str, ...]:
        kept = {d.rank for d in self.context.layout.dims(self.einsum.output.ranks)}
        temporal = [d.rank for d in self.dims if d.rank not in (*self.cols, *self.rows)]
        return (*self.cols, *self.rows, *sorted(temporal, key=lambda rank: rank not in kept))

    @cached_property
    def ops(self) -> MappingOf[str, int]:
        return ops_per_point(self.einsum)

    @cached_property
    def cycles_per_point(self) -> Number:
        unit = self.context.unit(self.einsum)
        published = self.context.group.published
        if self.context.accounting.published and published.issue:
            unit = unit.model_copy(update={"issue": published.issue})
        return unit.cycles_per_point(self.ops) if self.ops else 1

    @cached_property
    def at(self) -> tuple[str, ...]:
        """Loops in which the Einsum runs each time.

        Those over its ranks; of the others, not those that must be over before it can start, and
        not those inside the loop that its result is held at.
        """
        hold = self.context.group.hold.get(self.einsum.name)
        renewed = self.context.loops_of(self.dims, hold)
        awaited = self.context.awaited_ranks(self.einsum)
        ranks = {x.name: x.rank for x in self.context.nest.loops}
        return tuple(n for n in renewed if ranks[n] in self.ranks or ranks[n] not in awaited)

    @cached_property
    def runs_last(self) -> bool:
        """Whether it runs in the last iteration of the loops it is not in, not in the first."""
        skipped = {x.rank for x in self.context.nest.loops if x.name not in self.at}
        return bool(skipped & self.context.awaited_ranks(self.einsum))

    def draft(self) -> Draft:
        return Draft(self._task(), *self._crossing())

    def _task(self) -> Task:
        clock = self.context.machine.clock_hz
        unit = self.context.unit(self.einsum)
        seconds = self.cycles_per_point / clock
        points = tuple(d.factor for d in self.dims)
        rows = [*self._buffer_rows()]
        streamed = [*self._streamed_words()]
        counts = [*self._op_counts(points), *self._register_counts(points)]
        counts += [Count("buffer", action, work, at) for action, work, at in rows]
        counts += _dram_counts(self.context, streamed)
        uses = [Use(self.resource, Work(seconds, self.trips)), *self._closing_use()]
        uses += _port_use(self.context, rows) + _dram_use(self.context, streamed)
        return Task(
            name=self.einsum.name,
            uses=tuple(uses),
            at=self.at,
            when="last" if self.runs_last else "first",
            after=tuple(self._deps()),
            counts=tuple(counts),
            useful_s=Work(seconds / unit.pes, points),
        )

    @property
    def resource(self) -> str:
        return self.context.mapping.binding(self.einsum.name).unit

    def _op_counts(self, points: tuple[Factor, ...]) -> Iterator[Count]:
        unit = self.context.unit(self.einsum)
        for ops, space in ((self.ops, points), (ops_per_output(self.einsum), self._stored())):
            for kind, n in unit.primitives_of(ops).items():
                yield Count(self.resource, kind, Work(n, space))

    def _closing_use(self) -> Iterator[Use]:
        """Time for what is done to each sum after it is complete."""
        ops = ops_per_output(self.einsum)
        if not ops:
            return
        unit = self.context.unit(self.einsum)
        left = {d.rank: d.factor for d in self.context.dims_of(self.einsum.name)}
        lanes = []
        for side, width in ((self.rows, unit.rows), (self.cols, unit.cols)):
            spread = tuple(rank for rank in side if left.pop(rank, None))
            lanes += [Factor(spread, width)] if spread else []
        seconds = unit.cycles_per_point(ops) / self.context.machine.clock_hz
        yield Use(self.resource, Work(seconds, (*lanes, *left.values())))

    def _register_counts(self, points: tuple[Factor, ...]) -> Iterator[Count]:
        """Each operand of a point arrives in a register and is read; a reduction adds its sum."""
        if self.context.accounting.published and self.context.group.published.registers:
            return
        sums = 1 if self.einsum.reduce else 0
        accesses = len(self.einsum.operands) + sums
        share: Number = 1
        if not self.context.accounting.every_register:
            share = 1 / self.context.unit(self.einsum).pes
        for action in ("register_read", "register_write"):
            yield Count(self.resource, action, Work(accesses * share, points))

    def words(self, tensor: str) -> Work:
        """Words of a tensor that cross the edge of the array in one execution."""
        dims = self.context.dims_of(tensor)
        ranks = {d.rank for d in dims}
        relevant = [i for i, f in enumerate(self.trips) if ranks & set(f.ranks)]
        inner = max(relevant, default=-1)
        again = [f for f in self.trips[: inner + 1] if not ranks & set(f.ranks)]
        return Work(1, (*(d.factor for d in dims), *again))

    def _reads(self) -> Iterator[tuple[str, Access]]:
        """Operands that come through the edge of the array, each once, with where they live."""
        for name, access in {a.tensor: a for a in self.einsum.operands}.items():
            level = self.context.level(name)
            if level == "registers" or self._is_at_hand(name, access):
                continue
            yield level, access

    def _is_at_hand(self, name: str, access: Access) -> bool:
        """Whether another Einsum has the value in the array already, and hands it on."""
        context = self.context
        first = context.readers[name][0] == self.einsum
        if context.layout.running_ranks(name):
            return not (first or context.layout.reads_end(access))
        producer = context.own.get(name)
        if producer is None or not first:
            return False
        if name in context.group.direct:
            return True
        same_unit = context.unit(producer) is context.unit(self.einsum)
        return same_unit and not context.is_swept(producer, self.einsum)

    def _buffer_rows(self) -> Iterator[tuple[str, Work, tuple[str, ...] | None]]:
        """(action, rows, loops) of the accesses to the global buffer."""
        row_words = self.context.row_words
        for level, access in self._reads():
            if level != "stream":
                yield "read", self.words(access.tensor).scaled(1 / row_words), None
        if self.context.level(self.einsum.name) != "buffer":
            return
        updates = self.words(self.einsum.name).scaled(1 / row_words)
        yield "write", updates, None
        if self._accumulates():
            # Sums come back to be added to; the first of each is not read.
            kept = Work(1 / row_words, self._stored())
            yield "read", updates, None
            own = {d.rank for d in self.context.dims_of(self.einsum.name)}
            loops = self.context.nest.loops
            yield (
                "read",
                kept.scaled(-1),
                tuple(x.name for x in loops if x.name in self.at and x.rank in own),
            )

    def _stored(self) -> tuple[Factor, ...]:
        return tuple(d.factor for d in self.context.dims_of(self.einsum.name))

    def _accumulates(self) -> bool:
        """Whether partial sums leave the array and return."""
        if not self.einsum.reduce:
            return False
        own = {d.rank for d in self.context.dims_of(self.einsum.name)}
        looped = any(
            x.rank in self.ranks - own for x in self.context.nest.loops if x.name in self.at
        )
        return looped or len(self.words(self.einsum.name).factors) > len(self._stored())

    def _streamed_words(self) -> Iterator[tuple[str, Work]]:
        """(action, words) that go straight between DRAM and the array while the Einsum runs."""
        for level, access in self._reads():
            if level == "stream":
                yield "read", self.words(access.tensor)
            elif part := self.context.spilled_part(access.tensor):
                yield "read", self.words(access.tensor).scaled(part)
        name = self.einsum.name
        if self.context.level(name) == "buffer" and (part := self.context.spilled_part(name)):
            yield "write", self.words(name).scaled(part)

    def _deps(self) -> Iterator[Dep]:
        context = self.context
        for access in self.einsum.operands:
            previous = context.layout.reads_previous(access)
            if _is_loaded(context, access.tensor):
                yield Dep(_load_name(access.tensor))
            elif access.tensor in context.own and previous is None:
                yield Dep(access.tensor)
            elif access.tensor in context.own:
                loops = [x.name for x in context.nest.loops if x.rank == previous]
                # Without a loop the iterations follow each other inside one execution.
                yield from (Dep(access.tensor, loop=name) for name in loops[-1:])

    def _crossing(self) -> tuple[Number, tuple[tuple[Work, Number], ...]]:
        """Way of a result across the array, where another unit or a memory needs it: see `Draft`.

        Inside the array results follow each other like waves, in place. A result that leaves goes
        down its column; made of operands from the edges alone it is late by their way across the
        columns, too. A value of another unit goes up the columns to those who read it.
        """
        if not self.context.accounting.fill_and_drain:
            return 0, ()
        unit = self.context.unit(self.einsum)
        readers = self.context.readers.get(self.einsum.name, ())
        handed_on = self.context.level(self.einsum.name) == "registers"
        others = [self.context.unit(e) for e in readers if self.context.unit(e) is not unit]
        into = max((other.rows for other in others if handed_on), default=1)
        if unit.rows == 1:
            return into - 1, ()
        if handed_on and not others:
            return 0, ()
        down = Work(1, (Factor(self.rows),)), unit.rows
        across = Work(1, (Factor(self.cols),)), unit.cols
        return 0, (down, across) if self.context.is_fresh(self.einsum) else (down,)


# --- Transfers -----------------------------------------------------------------------------------


def _load_name(tensor: str) -> str:
    return f"load {tensor}"


def _is_loaded(context: GroupContext, tensor: str) -> bool:
    """Whether the tensor comes from DRAM into the buffer, whole tiles at a time."""
    if tensor in context.inputs:
        return context.level(tensor) == "buffer"
    return context.level(tensor) == "spilled"


def _load(context: GroupContext, tensor: str) -> Draft:
    """Bring the tiles of a tensor from DRAM into the buffer.

    A tile that is replaced as a whole waits for a free slot: until the readers of the tile before
    the last are done. One that is renewed bit by bit takes the place of what was used up.
    """
    dims = context.dims_of(tensor)
    hold = context.group.hold.get(tensor)
    at = context.loops_of(dims, hold)
    own = 1 - context.spilled_part(tensor)
    words = Work(1, tuple(d.factor for d in dims))
    rows = [("write", words.scaled(1 / context.row_words), None)]
    moved = [("read", words.scaled(own))]
    after = [Dep(tensor)] if tensor in context.own else []
    whole_tiles = bool(at) and (hold is None or at[-1] == hold)
    if whole_tiles:
        slots = 2 if context.accounting.double_buffer else 1
        readers = context.readers[tensor]
        after += [Dep(e.name, loop=at[-1], iterations=slots, whole=True) for e in readers]
    task = Task(
        name=_load_name(tensor),
        uses=(*_dram_use(context, moved), *_port_use(context, rows)),
        at=at,
        after=tuple(after),
        ahead=whole_tiles or not at,
        counts=(
            *(Count("buffer", action, work, loops) for action, work, loops in rows),
            *_dram_counts(context, moved),
        ),
    )
    return Draft(task)


def _store(context: GroupContext, tensor: str) -> Draft:
    """Write a finished tile of a tensor to DRAM; from the buffer it takes row reads, too."""
    einsum = _EinsumTask(context, context.own[tensor])
    dims = context.dims_of(tensor)
    own = {d.rank for d in dims}
    at = tuple(x.name for x in context.nest.loops if x.name in einsum.at and x.rank in own)
    words = Work(1 - context.spilled_part(tensor), tuple(d.factor for d in dims))
    rows = []
    if context.level(tensor) == "buffer" and not context.accounting.published:
        rows = [("read", words.scaled(1 / context.row_words), None)]
    moved = [("write", words)]
    task = Task(
        name=f"store {tensor}",
        uses=(*_dram_use(context, moved), *_port_use(context, rows)),
        at=at,
        when="last",
        after=(Dep(tensor),),
        ahead=True,
        counts=(
            *(Count("buffer", action, work, loops) for action, work, loops in rows),
            *_dram_counts(context, moved),
        ),
    )
    return Draft(task)


def _drain(context: GroupContext, name: str) -> Draft:
    """The stall of an array that drains the result of an Einsum before anything else starts."""
    einsum = _EinsumTask(context, context.own[name.split()[-1]])
    unit = context.unit(einsum.einsum)
    once = Work(unit.rows * einsum.cycles_per_point / context.machine.clock_hz, einsum.trips)
    uses = (Use(einsum.resource, once),)
    return Draft(Task(name=name, uses=uses, at=einsum.at, useful_s=Work(0)))


def _port_use(context: GroupContext, rows: list) -> list[Use]:
    """Time of the buffer's ports: rows / (ports · clock)."""
    if not context.accounting.buffer_bandwidth:
        return []
    per_s = context.machine.buffer.ports * context.machine.clock_hz
    served = merged(work for _, work, at in rows if at is None)
    return [Use("buffer", work.scaled(1 / per_s), shared=True) for work in served]


def _dram_use(context: GroupContext, moved: list[tuple[str, Work]]) -> list[Use]:
    """Time of DRAM: bytes / bandwidth."""
    machine = context.machine
    per_word = machine.word_bytes / machine.dram.bandwidth_bytes_per_s
    return [Use("dram", words.scaled(per_word), shared=True) for _, words in moved]


def _dram_counts(context: GroupContext, moved: list[tuple[str, Work]]) -> list[Count]:
    word = context.machine.word_bytes
    return [Count("dram", f"{action}_bytes", words.scaled(word)) for action, words in moved]
