"""A mapping for any cascade on any spatial array, made by rule: fused as far as passes allow.

The cascade is cut into segments in program order. The *core* (Einsums over two sequence ranks at
once, as attention has) runs as one group: streamed over the keys where one pass is enough, with
whole fibers of keys on chip where it takes more and they fit, else one streamed group a pass. A
chain of running values is one group, too. Every other Einsum is a group of its own: a matrix
product keeps the smaller operand on chip, anything else is spread over all lanes.

It is a good mapping, not the best one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from einfall.einsum_cascades.counts import ops_per_output, ops_per_point
from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.einsum_cascades.passes import SEQUENCE_KEYS, fusion_conflict
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.layout import Layout
from einfall.sim.mapping import Binding, Group, Level, LoopSpec, Mapping, MappingError, Published
from einfall.sim.numeric import largest, plain

MATMUL_RULE = 0.5
"""Part of the buffer that one operand of a matrix product may take (FuseMax's linear layers)."""


CORE = "attention"
"""Name of the group in which a core runs at once, with its fibers on chip or streamed."""


def auto_mapping(
    cascade: Cascade, sizes: dict, machine: SpatialArray, *, fibers: bool = True
) -> Mapping:
    """The mapping of a cascade with the given rank sizes on a machine, by the rules above.

    Args:
        cascade: What is computed.
        sizes: Size of every rank; of an array the largest element decides.
        machine: On what.
        fibers: Whether whole fibers of keys may stay on chip; without them passes are streamed,
            which is faster where so few queries fit beside them that arrays stand idle.

    Raises:
        MappingError: No unit of the machine can do some op, or nothing fits the buffer.
    """
    layout = Layout(cascade, {r: int(largest(n)) for r, n in sizes.items()})
    plan = _Plan(cascade, layout, machine, fibers)
    groups, bindings = [], []
    for segment in plan.segments():
        for group, bound in segment:
            groups.append(group)
            bindings += bound
    return Mapping(
        name="auto",
        about="Made by rule for this cascade, shape and machine.",
        cascades=(cascade.name,),
        bind=tuple(bindings),
        groups=tuple(groups),
    )


Planned = tuple[Group, list[Binding]]


@dataclass(frozen=True)
class _Plan:
    """The cascade seen through the ranks of a mapping, with the choices that follow."""

    cascade: Cascade
    layout: Layout
    machine: SpatialArray
    fibers: bool

    # --- segments -----------------------------------------------------------------------------

    def segments(self) -> Iterator[list[Planned]]:
        """Groups of each segment of the cascade, in program order."""
        einsums = list(self.cascade.einsums)
        i = 0
        while i < len(einsums):
            core = self._core_from(i)
            chain = self._chain_from(i)
            if core:
                yield self._core(einsums[i : i + core])
            elif chain:
                yield [self._chain(einsums[i : i + chain])]
            else:
                yield [self._single(einsums[i])]
            i += core or chain or 1

    @cached_property
    def _sequence(self) -> list[str]:
        """Sequence ranks: the queries first, then the keys."""
        keyed = {r.symbol: r.shape_key for r in self.cascade.ranks if r.shape_key in SEQUENCE_KEYS}
        return sorted(keyed, key=lambda rank: (keyed[rank] == "keys", list(keyed).index(rank)))

    def _ranks(self, einsum: Einsum) -> set[str]:
        return {d.rank for d in self.layout.points(einsum)}

    def _core_from(self, start: int) -> int:
        """How many Einsums from `start` on are attention over two sequence ranks; 0 if none."""
        einsums = self.cascade.einsums
        if len(self._sequence) < 2 or not self._is_core(einsums[start]):
            return 0
        last = max(i for i, e in enumerate(einsums) if self._is_core(e))
        inside = {e.name for e in einsums[start : last + 1]}
        while last + 1 < len(einsums) and self._finishes(einsums[last + 1], inside):
            last += 1
            inside.add(einsums[last].name)
        return last + 1 - start

    def _is_core(self, einsum: Einsum) -> bool:
        return set(self._sequence[:2]) <= self._ranks(einsum)

    def _finishes(self, einsum: Einsum, inside: set[str]) -> bool:
        """Whether an Einsum after the core only works on what the core has made."""
        return all(a.tensor in inside for a in einsum.operands)

    def _chain_from(self, start: int) -> int:
        """How many Einsums from `start` on feed or read a running value; 0 if none does."""
        einsums = self.cascade.einsums
        running = [i for i, e in enumerate(einsums) if e.iterative_ranks and not self._is_core(e)]
        if len(self._sequence) > 1 or not running or running[-1] < start:
            return 0
        rank = self.cascade.root(einsums[running[-1]].iterative_ranks[0])
        members = [i for i in range(start, len(einsums)) if rank in self._ranks(einsums[i])]
        if not members or members[0] != start:
            return 0
        count = 0
        while start + count in members:
            count += 1
        names = [e.name for e in einsums[start : start + count]]
        return count if fusion_conflict(self.cascade, names, rank) is None else 0

    # --- groups -------------------------------------------------------------------------------

    def _core(self, einsums: list[Einsum]) -> list[Planned]:
        keys = self._sequence[1]
        inside = [e.name for e in einsums if keys in self._ranks(e)]
        if fusion_conflict(self.cascade, inside, keys) is None:
            return [self._streamed(einsums, CORE)]
        fibers = self._fibers(einsums) if self.fibers else None
        if fibers is not None:
            return [fibers]
        parts: list[list[Einsum]] = [[]]
        for einsum in einsums:
            names = [e.name for e in (*parts[-1], einsum) if keys in self._ranks(e)]
            if parts[-1] and fusion_conflict(self.cascade, names, keys) is not None:
                parts.append([])
            parts[-1].append(einsum)
        planned = []
        for number, part in enumerate(parts, 1):
            if any(self._is_core(e) for e in part):
                planned.append(self._streamed(part, f"pass {number}"))
            else:
                planned += [self._single(e) for e in part]
        return planned

    def _shared(self, einsums: Iterable[Einsum]) -> list[str]:
        """Ranks outside the sequence that every Einsum has: batch and heads, in cascade order."""
        common = set.intersection(*(self._ranks(e) for e in einsums))
        return [r for r in self.layout.extents if r in common and r not in self._sequence[:2]]

    def _streamed(self, einsums: list[Einsum], name: str) -> Planned:
        """Tiles of keys pass by tiles of queries; sums and running values wait in the buffer."""
        queries, keys = self._sequence[:2]
        array = self.array
        shared = self._shared(einsums)
        packed = [r for r in shared if "/" in r]
        loops = [LoopSpec(loop=r.lower(), rank=r, tile=1) for r in shared if r not in packed]
        loops += [
            LoopSpec(loop="p2", rank=queries, tile="fit"),
            LoopSpec(loop="m1", rank=keys, tile=f"{array}.rows"),
            *(LoopSpec(loop="r", rank=r, tile="fill") for r in packed),
            LoopSpec(loop="p1", rank=queries, tile=f"{array}.cols"),
        ]
        bound = [
            self._on_array(e, rows=(keys,), cols=(*packed, queries))
            if self._array_can(e) and {queries, keys} <= self._whole(e)
            else self._on_lanes(e, (*packed, queries, keys))
            for e in einsums
        ]
        hold, place = self._held(einsums, bound, streamed=True)
        return Group(
            name=name, einsums=_names(einsums), loops=tuple(loops), hold=hold, place=place
        ), bound

    def _held(
        self, einsums: list[Einsum], bound: list[Binding], *, streamed: bool
    ) -> tuple[dict[str, str], dict[str, Level]]:
        """Where the tensors of a streamed group stay: {tensor: loop}, {tensor: level}."""
        queries, keys = self._sequence[:2]
        own = {e.name: e for e in einsums}
        unit = {name: b.unit for b in bound for name in b.einsums}
        hold: dict[str, str] = {}
        place: dict[str, Level] = {}
        for tensor in dict.fromkeys(a.tensor for e in einsums for a in e.operands):
            if tensor not in own:
                ranks = {d.rank for d in self.layout.tensor(tensor)}
                hold[tensor] = "m1" if keys in ranks else "p2" if queries in ranks else ""
        for einsum in einsums:
            ranks = {d.rank for d in self.layout.tensor(einsum.name)}
            summed = einsum.reduce is not None and keys in self._ranks(einsum) - ranks
            if einsum.iterative_ranks or summed:
                hold[einsum.name], place[einsum.name] = "p2", "buffer"
            elif self._crosses(einsum, unit, einsums):
                place[einsum.name] = "buffer"
        return hold, place

    def _crosses(self, einsum: Einsum, unit: dict[str, str], einsums: list[Einsum]) -> bool:
        """Whether whole tiles of scores go from one unit to another."""
        readers = [e for e in einsums if einsum.name in {a.tensor for a in e.operands}]
        moved = any(unit[e.name] != unit[einsum.name] for e in readers)
        whole = {d.rank for d in self.layout.tensor(einsum.name) if d.tile is None}
        return moved and set(self._sequence[:2]) <= whole

    def _fibers(self, einsums: list[Einsum]) -> Planned | None:
        """Rows of scores with all their keys on chip; None if not even one row fits."""
        queries, keys = self._sequence[:2]
        shared = self._shared(einsums)
        loops = [LoopSpec(loop=r.lower(), rank=r, tile=1) for r in shared]
        loops.append(LoopSpec(loop="p1", rank=queries, tile="fit"))
        bound = []
        for einsum in einsums:
            kept = {d.rank for d in self.layout.dims(einsum.output.ranks)}
            if not self._array_can(einsum) or queries not in self._whole(einsum):
                bound.append(self._on_lanes(einsum, (queries, keys)))
                continue
            widths = sorted(kept - {*shared, queries, keys})
            rows = (keys,) if keys in kept else tuple(widths)
            bound.append(self._on_array(einsum, rows=rows, cols=(queries,)))
        hold, place = self._fiber_places(einsums, shared)
        group = Group(
            name=CORE,
            einsums=_names(einsums),
            loops=tuple(loops),
            hold=hold,
            place=place,
            in_flight=2,
        )
        return (group, bound) if self._fits(group, bound) else None

    def _fiber_places(
        self, einsums: list[Einsum], shared: list[str]
    ) -> tuple[dict[str, str], dict[str, Level]]:
        queries, keys = self._sequence[:2]
        own = {e.name for e in einsums}
        outer = shared[-1].lower() if shared else ""
        hold: dict[str, str] = {}
        place: dict[str, Level] = {}
        for tensor in dict.fromkeys(a.tensor for e in einsums for a in e.operands):
            ranks = {d.rank for d in self.layout.tensor(tensor)}
            if tensor in own and tensor not in self.cascade.outputs and keys in ranks:
                place[tensor], hold[tensor] = "buffer", "p1"
            elif tensor not in own:
                hold[tensor] = "p1" if queries in ranks else outer
        return hold, place

    def _fits(self, group: Group, bound: list[Binding]) -> bool:
        from einfall.sim.accounting import PHYSICAL
        from einfall.sim.tiling import check_capacity, group_context

        mapping = Mapping(name="auto", cascades=(self.cascade.name,), bind=bound, groups=(group,))
        try:
            check_capacity(group_context(self.layout, self.machine, mapping, group, PHYSICAL))
        except MappingError:
            return False
        return True

    def _chain(self, einsums: list[Einsum]) -> Planned:
        """A running value steps along its rank; its state stays in the registers of the array."""
        running = next(e for e in einsums if e.iterative_ranks)
        rank = self.cascade.root(running.iterative_ranks[0])
        shared = [r for r in self._shared(einsums) if r != rank]
        loops = [LoopSpec(loop=r.lower(), rank=r, tile=1) for r in (*shared, rank)]
        bound = []
        for einsum in einsums:
            widths = [r for r in self._widths(einsum) if r not in (*shared, rank)]
            if self._array_can(einsum) and len(widths) > 1:
                bound.append(self._on_array(einsum, rows=widths[:1], cols=widths[1:]))
            else:
                bound.append(self._on_lanes(einsum, widths))
        return Group(name="scan", einsums=_names(einsums), loops=tuple(loops)), bound

    def _single(self, einsum: Einsum) -> Planned:
        """One Einsum by itself: a matrix product, or work spread over lanes."""
        if "mac" in ops_per_point(einsum) and self._array_can(einsum):
            return self._matmul(einsum)
        binding = self._on_lanes(einsum, self._widths(einsum))
        groups = [
            Group(name=einsum.name, einsums=(einsum.name,), loops=loops, hold=hold, place=place)
            for loops, hold, place in self._lane_tilings(einsum)
        ]
        fitting = (group for group in groups if self._fits(group, [binding]))
        return next(fitting, groups[-1]), [binding]

    def _lane_tilings(
        self, einsum: Einsum
    ) -> Iterator[tuple[tuple[LoopSpec, ...], dict[str, str], dict[str, Level]]]:
        """(loops, hold, place) to try, from no loop at all to tiles of a sum that stays on chip."""
        widths = sorted(self._widths(einsum), key=lambda r: -self._extent(r))
        kept = [r for r in widths if r in self._kept(einsum)]
        reduced = [r for r in widths if r not in kept]
        yield (), {}, {}
        if kept:
            most = LoopSpec(loop=kept[0].lower(), rank=kept[0], tile="fit")
            others = tuple(LoopSpec(loop=r.lower(), rank=r, tile=1) for r in kept[1:])
            yield (most,), {}, {}
            yield (*others, most), {}, {}
        if reduced:
            singly = tuple(LoopSpec(loop=r.lower(), rank=r, tile=1) for r in kept)
            part = LoopSpec(loop=reduced[0].lower(), rank=reduced[0], tile="fit")
            held = singly[-1].loop if singly else ""
            yield (*singly, part), {einsum.name: held}, {einsum.name: "buffer"}

    def _matmul(self, einsum: Einsum) -> Planned:
        """A product of two operands: tiles of the longest rank pass by the operand without it."""
        kept = self._kept(einsum)
        shared = [
            r
            for r in self._widths(einsum)
            if all(r in ranks for ranks in self._read_ranks(einsum).values())
        ]
        batch = [r for r in shared if r in kept]
        rows, cols = self._sides(einsum, [r for r in self._widths(einsum) if r not in batch])
        binding = self._on_array(einsum, rows=rows, cols=cols)
        outer = [LoopSpec(loop=r.lower(), rank=r, tile=1) for r in batch]
        passing = [r for r in self._widths(einsum) if r in kept and r not in batch]
        if not passing:
            return Group(name=einsum.name, einsums=(einsum.name,), loops=tuple(outer)), [binding]
        moving = max(passing, key=self._extent)
        return self._blocked(einsum, outer, (rows, cols), moving), [binding]

    def _blocked(
        self,
        einsum: Einsum,
        outer: list[LoopSpec],
        sides: tuple[tuple[str, ...], tuple[str, ...]],
        moving: str,
    ) -> Group:
        """The first of three tilings of a product whose tiles fit the buffer.

        Weights held whole; a block of the rows held and weights fetched for each block; sums held
        and both operands fetched tile by tile.
        """
        kept, (rows, cols) = self._kept(einsum), sides
        array, half = self.array, MATMUL_RULE * self.machine.buffer.capacity_bytes
        read = self._read_ranks(einsum)
        weights = [name for name, ranks in read.items() if moving not in ranks]
        streams = [name for name in read if name not in weights]
        side = "rows" if moving in rows else "cols"
        passing = LoopSpec(loop="t1", rank=moving, tile=f"{array}.{side}")
        block = LoopSpec(loop="t2", rank=moving, tile="fit")
        batch = {spec.rank for spec in outer}
        others = [r for r in self._widths(einsum) if r in kept - batch - {moving}]
        inner = self._tiled("s", others, f"{array}.rows")
        reduced = [r for r in self._widths(einsum) if r not in kept]
        sums = self._tiled("k", reduced, f"{array}.cols")
        last = inner[-1].loop if inner else "t2"
        held = dict.fromkeys(weights, last)
        tile = self._bytes(read, weights, [s.rank for s in inner]) * self.machine.units[array].rows
        whole = Group(
            name=einsum.name,
            einsums=(einsum.name,),
            loops=(*outer, passing),
            hold=dict.fromkeys(weights, outer[-1].loop if outer else "")
            | dict.fromkeys(streams, "t1"),
            published=Published(registers="gemm"),
        )
        blocks = Group(
            name=einsum.name,
            einsums=(einsum.name,),
            loops=(*outer, block, *inner, passing),
            hold=held | dict.fromkeys(streams, "t2"),
            published=Published(registers="gemm", buffer_capacity=int(half + tile)),
        )
        tiles = Group(
            name=einsum.name,
            einsums=(einsum.name,),
            loops=(*outer, *inner, passing, *sums),
            hold={einsum.name: "t1"},
            place={einsum.name: "buffer"},
        )
        binding = self._on_array(einsum, rows=rows, cols=cols)
        small = self._bytes(read, weights, [s.rank for s in outer]) <= half
        fitting = (g for g in (whole, blocks) if self._fits(g, [binding]))
        return next((g for g in fitting if small or g is not whole), tiles)

    def _tiled(self, letter: str, ranks: list[str], edge: str) -> list[LoopSpec]:
        """Loops that cut ranks which lie side by side on one edge into what the edge holds."""
        ranks = sorted(ranks, key=self._extent)
        return [
            LoopSpec(loop=f"{letter}{i}", rank=rank, tile=edge if i == len(ranks) else "fill")
            for i, rank in enumerate(ranks, 1)
        ]

    def _bytes(
        self, ranks: MappingOf[str, list[str]], tensors: list[str], without: list[str]
    ) -> float:
        """Bytes of tensors with these ranks, for one coordinate of the ranks left out."""
        words = sum(prod(self._extent(r) for r in ranks[t] if r not in without) for t in tensors)
        return words * self.machine.word_bytes

    # --- bindings -----------------------------------------------------------------------------

    @cached_property
    def array(self) -> str:
        """The unit with the most elements that multiplies: "2d" on all machines that ship."""
        units = self.machine.units
        able = [name for name, unit in units.items() if unit.supports("mac")]
        return max(able or units, key=lambda name: units[name].pes)

    def _array_can(self, einsum: Einsum) -> bool:
        return all(
            self.machine.units[self.array].supports(op)
            for op in (*ops_per_point(einsum), *ops_per_output(einsum))
        )

    def _on_array(self, einsum: Einsum, *, rows: Iterable[str], cols: Iterable[str]) -> Binding:
        return Binding(unit=self.array, einsums=(einsum.name,), rows=tuple(rows), cols=tuple(cols))

    def _on_lanes(self, einsum: Einsum, ranks: Iterable[str]) -> Binding:
        """On the unit that does all its ops in the least time, ranks flattened over all lanes."""
        ops = ops_per_point(einsum) | ops_per_output(einsum)
        units = self.machine.units
        able = [n for n, unit in units.items() if all(unit.supports(op) for op in ops)]
        if not able:
            lacking = {n: [op for op in ops if not u.supports(op)] for n, u in units.items()}
            told = "; ".join(f"{n} lacks {', '.join(found)}" for n, found in lacking.items())
            raise MappingError(
                f"machine {self.machine.name}: wanted a unit that does {', '.join(ops)} for "
                f"{einsum.name}, found none ({told}); add the op to a unit"
            )
        others = [n for n in able if n != self.array] or able
        best = min(others, key=lambda n: units[n].cycles_per_point(ops) / units[n].pes)
        whole = self._whole(einsum)
        lanes = tuple(r for r in dict.fromkeys(ranks) if r in whole)
        rows = lanes[:1] if units[best].rows > 1 and len(lanes) > 1 else ()
        return Binding(
            unit=best,
            einsums=(einsum.name,),
            rows=rows,
            cols=tuple(r for r in lanes if r not in rows),
        )

    def _sides(self, einsum: Einsum, ranks: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ranks for the rows and the columns that take the fewest cycles, sums in time if equal."""
        unit = self.machine.units[self.array]
        kept = self._kept(einsum)

        tensors = [*self._read_ranks(einsum).values(), sorted(kept)]

        def even(places: tuple[str, ...]) -> bool:
            """Whether every tensor has all or none of the ranks that share a side."""
            for side in ("rows", "cols"):
                flat = {r for r, place in zip(ranks, places, strict=True) if place == side}
                if any(0 < len(flat & set(tensor)) < len(flat) for tensor in tensors):
                    return False
            return True

        def cost(places: tuple[str, ...]) -> tuple[float, int]:
            side = {"rows": 1.0, "cols": 1.0, "time": 1.0}
            for rank, place in zip(ranks, places, strict=True):
                side[place] *= self._extent(rank)
            cycles = side["time"] * -(-side["rows"] // unit.rows) * -(-side["cols"] // unit.cols)
            spatial = [r for r, place in zip(ranks, places, strict=True) if place != "time"]
            sums = sum(r not in kept for r in spatial)
            widest = max((r for r in ranks if r in kept), key=self._extent, default=None)
            on_cols = widest is not None and places[ranks.index(widest)] == "cols"
            return cycles, 2 * sums + (not on_cols) + len(spatial)

        # Ranks flattened onto one side must come and go together, or operands are fetched again.
        choices = filter(even, product(("rows", "cols", "time"), repeat=len(ranks)))
        best = min(choices, key=cost)
        sides = {s: tuple(r for r, p in zip(ranks, best, strict=True) if p == s) for s in best}
        return sides.get("rows", ()), sides.get("cols", ())

    def _whole(self, einsum: Einsum) -> set[str]:
        return {d.rank for d in self.layout.points(einsum) if d.tile is None}

    def _widths(self, einsum: Einsum) -> list[str]:
        return [d.rank for d in self.layout.points(einsum)]

    def _kept(self, einsum: Einsum) -> set[str]:
        return {d.rank for d in self.layout.dims(einsum.output.ranks)}

    def _read_ranks(self, einsum: Einsum) -> dict[str, list[str]]:
        """Ranks along which the Einsum reads each operand."""
        return {a.tensor: [d.rank for d in self.layout.dims(a.ranks)] for a in einsum.operands}

    def _extent(self, rank: str) -> float:
        return plain(self.layout.extents[rank])


def _names(einsums: list[Einsum]) -> tuple[str, ...]:
    return tuple(e.name for e in einsums)
