"""The map space, stated: which groups, loops, tiles, bindings, places and depths are tried.

`docs/search.md` states the same in words. A *candidate* is one group of a mapping: a run of Einsums
in program order with everything that a `Group` and its bindings say. Candidates of runs that follow
each other and cover the cascade make a mapping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from math import isqrt, prod
from typing import TypeAlias

from einfall.einsum_cascades.counts import ops_per_output, ops_per_point
from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.einsum_cascades.passes import SEQUENCE_KEYS, fusion_conflict
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.layout import Dim, Layout
from einfall.sim.mapping import MappingError
from einfall.sim.numeric import plain

WALK_LOOPS = 3
"""Loops over tiles in one nest, beside those over shared and packed ranks."""

SPLITS = 16
"""Even splits of a rank, and multiples of an edge of the array, up to this many."""

Pattern: TypeAlias = "tuple[str | None, str | None]"
"""A rank over the rows of an array and one over its columns."""

DEPTHS: tuple[int | None, ...] = (None, 1, 2, 4)
"""Steps in flight; None is as many as the busiest resource needs."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A loop over tiles: its name and its rank; the tiles are those of the order it stands in."""

    loop: str
    rank: str


@dataclass(frozen=True, slots=True)
class Spread:
    """An Einsum on a unit, with the ranks over its rows and its columns."""

    unit: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """Where scores and carried values live, and how many steps overlap."""

    wide: str
    carried: str
    depth: int | None


@dataclass(frozen=True)
class Space:
    """A cascade of a shape on a machine, seen as runs of Einsums."""

    cascade: Cascade
    shape: Mapping[str, int]
    machine: SpatialArray

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Size of every rank, splits by their default tile."""
        return {r: int(n) for r, n in rank_sizes(self.cascade, self.shape).items()}

    @cached_property
    def layout(self) -> Layout:
        """The cascade with these sizes."""
        return Layout(self.cascade, self.sizes)

    @cached_property
    def coarse(self) -> Layout:
        """The same with every split in one tile: nothing has fewer points."""
        whole = {s.rank: self.sizes[s.rank] for s in self.cascade.splits}
        return Layout(self.cascade, rank_sizes(self.cascade, self.shape, whole))

    @cached_property
    def sequence(self) -> tuple[str, ...]:
        """Sequence ranks: the queries first, then the keys."""
        keyed = {r.symbol: r.shape_key for r in self.cascade.ranks if r.shape_key in SEQUENCE_KEYS}
        return tuple(sorted(keyed, key=lambda r: (keyed[r] == "keys", list(keyed).index(r))))

    @cached_property
    def split_ranks(self) -> Mapping[str, set[str]]:
        """{rank: its two parts} of every split."""
        return {s.rank: {s.outer, s.inner} for s in self.cascade.splits}

    def extent(self, rank: str) -> int:
        """Size of a rank of the mapping."""
        return int(plain(self.layout.extents[rank]))

    @cached_property
    def grids(self) -> tuple[str, ...]:
        """Units with more than one row and more than one column."""
        units = self.machine.units
        return tuple(u for u in units if units[u].rows > 1 and units[u].cols > 1)

    def able(self, einsum: Einsum) -> tuple[str, ...]:
        """Units that do all ops of an Einsum."""
        ops = {*ops_per_point(einsum), *ops_per_output(einsum)}
        units = self.machine.units
        return tuple(u for u in units if all(units[u].supports(op) for op in ops))

    def check(self) -> None:
        """Refuse what no mapping of the space can do.

        Raises:
            MappingError: An Einsum that no unit can do, or a mask.
        """
        lost = [e.name for e in self.cascade.einsums if not self.able(e)]
        if lost:
            raise MappingError(
                f"machine {self.machine.name}: wanted a unit that does every op of "
                f"{', '.join(lost)}, found none; add the op to a unit"
            )
        if self.cascade.mask is not None:
            raise MappingError(
                f"search: wanted a dense cascade, found mask {self.cascade.mask.spec}; search "
                "without it and evaluate the mapping with `estimate --mapping FILE --mask …`"
            )

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every run of Einsums, the longest first."""
        n = len(self.cascade.einsums)
        spans = [(i, j) for i in range(n) for j in range(i + 1, n + 1)]
        return tuple(Run(self, i, j) for i, j in sorted(spans, key=lambda s: s[0] - s[1]))

    @cached_property
    def _tiles(self) -> dict[str, tuple[int, ...]]:
        return {}

    @cached_property
    def _nested(self) -> dict[str, tuple[tuple[int, int], ...]]:
        return {}

    def inner_tiles(self, rank: str) -> tuple[int, ...]:
        """Tiles of an innermost loop: divisors, multiples of edges, even splits; 1 … extent - 1."""
        if rank not in self._tiles:
            n = self.extent(rank)
            edges = {e for u in self.machine.units.values() for e in (u.rows, u.cols)}
            small = {d for d in range(1, isqrt(n) + 1) if n % d == 0}
            tiles = small | {n // d for d in small}
            tiles |= {k * edge for edge in edges if edge > 1 for k in range(1, SPLITS + 1)}
            tiles |= {-(-n // k) for k in range(2, SPLITS + 1)}
            self._tiles[rank] = tuple(sorted(t for t in tiles if t < n))
        return self._tiles[rank]

    def nested_tiles(self, rank: str) -> tuple[tuple[int, int], ...]:
        """(outer, inner) of two loops: the smallest outer tile for each number of its trips."""
        if rank not in self._nested:
            n = self.extent(rank)
            self._nested[rank] = tuple(
                (count * inner, inner)
                for inner in self.inner_tiles(rank)
                for count in _even_splits(-(-n // inner))
            )
        return self._nested[rank]


def _even_splits(units: int) -> list[int]:
    """The distinct ⌈units / k⌉ between 1 and `units`, both left out."""
    found, k = [], 2
    while k < units:
        size = -(-units // k)
        if size == 1:
            break
        found.append(size)
        k = max(k + 1, -(-units // (size - 1)) if size > 1 else units)
    return sorted(set(found))


@dataclass(frozen=True)
class Run:
    """Einsums from `start` up to `stop` of the program, that run in one group."""

    space: Space
    start: int
    stop: int

    @cached_property
    def einsums(self) -> tuple[Einsum, ...]:
        """The Einsums."""
        return self.space.cascade.einsums[self.start : self.stop]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(e.name for e in self.einsums)

    def points(self, einsum: Einsum) -> tuple[Dim, ...]:
        """Dims of the points of an Einsum, split ranks in one tile."""
        return self.space.coarse.points(einsum)

    def ranks(self, einsum: Einsum) -> set[str]:
        """Ranks of the points of an Einsum."""
        return {d.rank for d in self.points(einsum)}

    def whole(self, einsum: Einsum) -> list[str]:
        """Ranks that an Einsum has every point of, without those of a single one."""
        dims = self.space.layout.points(einsum)
        return [d.rank for d in dims if d.tile is None and self.space.extent(d.rank) > 1]

    def kept(self, einsum: Einsum) -> set[str]:
        """Ranks of the output."""
        return {d.rank for d in self.space.layout.dims(einsum.output.ranks)}

    @cached_property
    def neighbours(self) -> Mapping[str, tuple[str, ...]]:
        """For each Einsum those of the run that it reads, and those that read it."""
        reads = {e.name: {a.tensor for a in e.operands} for e in self.einsums}
        return {
            name: tuple(x for x in self.names if x in reads[name] or name in reads[x])
            for name in self.names
        }

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that come from DRAM."""
        read = dict.fromkeys(a.tensor for e in self.einsums for a in e.operands)
        return tuple(name for name in read if name not in self.names)

    @cached_property
    def results(self) -> tuple[str, ...]:
        """Tensors that go to DRAM."""
        cascade = self.space.cascade
        others = [e for e in cascade.einsums if e.name not in self.names]
        wanted = {a.tensor for e in others for a in e.operands} | set(cascade.outputs)
        return tuple(name for name in self.names if name in wanted)

    @cached_property
    def sizes_of_ranks(self) -> dict[str, int]:
        """Ranks of the run with more than one coordinate."""
        mine = set().union(*(self.ranks(e) for e in self.einsums))
        return {
            r: self.space.extent(r)
            for r in self.space.layout.extents
            if r in mine and self.space.extent(r) > 1
        }

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Ranks that every tensor has whole and that are no sequence: outermost loops by one."""
        common = set.intersection(*(set(self.whole(e)) & self.kept(e) for e in self.einsums))
        common = common.intersection(*(self.input_ranks(t) for t in self.inputs))
        return tuple(r for r in self.sizes_of_ranks if r in common - set(self.space.sequence))

    def input_ranks(self, tensor: str) -> set[str]:
        """Ranks of an input as the run reads it."""
        access = next(a for e in self.einsums for a in e.operands if a.tensor == tensor)
        return {d.rank for d in self.space.layout.dims(access.ranks)}

    @cached_property
    def is_attention(self) -> bool:
        """Whether the run has both sequence ranks."""
        return len(self.space.sequence) > 1 and set(self.space.sequence[:2]) <= set(
            self.sizes_of_ranks
        )

    @cached_property
    def packed(self) -> tuple[str, ...]:
        """Heads that share keys, beside the queries in the columns."""
        return tuple(r for r in self.sizes_of_ranks if "/" in r and r not in self.shared)

    @cached_property
    def walks(self) -> tuple[str, ...]:
        """Ranks that loops may cut: the sequences, or the three largest where there are not two."""
        free = [r for r in self.sizes_of_ranks if r not in (*self.shared, *self.packed)]
        if self.is_attention:
            free = [r for r in self.space.sequence[:2] if r in free]
        largest = sorted(free, key=lambda r: -self.sizes_of_ranks[r])[:WALK_LOOPS]
        return tuple(r for r in free if r in largest)

    @cached_property
    def uncut(self) -> set[str]:
        """Ranks that two passes go over: no loop may cut them."""
        return {
            rank
            for rank in self.walks
            if fusion_conflict(
                self.space.cascade, [e.name for e in self.einsums if rank in self.ranks(e)], rank
            )
        }

    @cached_property
    def tied(self) -> str | None:
        """The split rank whose parts the run uses, so that its tile is that of all such runs."""
        for rank, parts in self.space.split_ranks.items():
            if any(parts & set(self.space.cascade.iteration_ranks(e)) for e in self.einsums):
                return rank
        return None

    @cached_property
    def orders(self) -> tuple[tuple[Walk, ...], ...]:
        """Loop orders: each walk at most once, or one of them twice, and heads at any place."""
        found: list[tuple[str, ...]] = []
        for count in range(min(WALK_LOOPS, len(self.walks)) + 1):
            found += permutations(self.walks, count)
        for a in self.walks:
            others = [r for r in self.walks if r != a]
            found += [(a, b, a) for b in others]
        for rank in self.packed:
            found += [(*o[:i], rank, *o[i:]) for o in list(found) for i in range(len(o) + 1)]
        named = (self._named(order) for order in found)
        return tuple(order for order in named if self.tile_count(order))

    def _named(self, order: tuple[str, ...]) -> tuple[Walk, ...]:
        """Loops with names: the innermost over a rank ends in 1, the one outside it in 2."""
        shared = [Walk(f"{r.lower().replace('/', '_')}", r) for r in self.shared]
        walks = [
            Walk(f"{r.lower().replace('/', '_')}{order[i:].count(r)}", r)
            for i, r in enumerate(order)
        ]
        return (*shared, *walks)

    def tile_tables(
        self, order: tuple[Walk, ...]
    ) -> list[tuple[tuple[str, ...], list[tuple[int, ...]]]]:
        """(loops, their tiles) that vary together; every combination of them is a candidate."""
        tables: list[tuple[tuple[str, ...], list[tuple[int, ...]]]] = []
        for rank in dict.fromkeys(w.rank for w in order):
            loops = tuple(w.loop for w in order if w.rank == rank)
            if rank in self.shared:
                tables.append((loops, [(1,)]))
            elif len(loops) == 2:
                tables.append((loops, list(self.space.nested_tiles(rank))))
            else:
                tables.append((loops, [(t,) for t in self.space.inner_tiles(rank)]))
        return tables

    def split_tiles(self, order: tuple[Walk, ...]) -> tuple[int, ...]:
        """Tiles of the split rank that a run may meet without cutting it itself."""
        if self.tied is None or any(w.rank == self.tied for w in order):
            return ()
        n = self.space.extent(self.tied)
        default = min(n, next(iter(self.space.machine.units.values())).rows)
        return tuple(sorted({*self.space.inner_tiles(self.tied), default}))

    def tile_count(self, order: tuple[Walk, ...]) -> int:
        """How many combinations of tiles an order has."""
        free = prod(len(tiles) for _, tiles in self.tile_tables(order))
        return free * max(1, len(self.split_tiles(order)))

    def tile_counts_by_split(self, order: tuple[Walk, ...]) -> dict[int | None, int]:
        """The same for each tile of the split rank that the order uses or may meet."""
        met = self.split_tiles(order)
        if self.tied is None:
            return {None: self.tile_count(order)}
        if met:
            return dict.fromkeys(met, self.tile_count(order) // len(met))
        tables = self.tile_tables(order)
        loops = [w.loop for w in order if w.rank == self.tied]
        inner = Counter(tiles[-1] for own, rows in tables if loops[-1] in own for tiles in rows)
        others = prod(len(rows) for own, rows in tables if loops[-1] not in own)
        return {tile: n * others for tile, n in inner.items()}

    # --- bindings -----------------------------------------------------------------------------

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """(rank over the rows, rank over the columns) of the array, for the whole run."""
        if len(self.walks) > 1:
            return tuple(permutations(self.walks, 2))
        return ((None, self.walks[0] if self.walks else None),)

    @cached_property
    def _options(self) -> dict[tuple[str, Pattern], list[Spread]]:
        return {}

    def options(self, einsum: Einsum, pattern: Pattern) -> list[Spread]:
        """Where an Einsum may run."""
        key = (einsum.name, pattern)
        if key not in self._options:
            self._options[key] = self._options_of(einsum, pattern)
        return self._options[key]

    def _options_of(self, einsum: Einsum, pattern: Pattern) -> list[Spread]:
        whole = [r for r in self.whole(einsum) if r not in self.shared]
        kept = [r for r in whole if r in self.kept(einsum)]
        found = []
        for name in self.space.able(einsum):
            unit = self.space.machine.units[name]
            if unit.rows == 1 or unit.cols == 1:
                found.append(self._on_lanes(name, kept or whole))
            else:
                found += self._on_grid(name, whole, kept, pattern)
        return found

    def _on_lanes(self, unit: str, ranks: list[str]) -> Spread:
        first = [r for r in (*self.packed, *self.walks) if r in ranks]
        lanes = (*first, *(r for r in ranks if r not in first))
        tall = self.space.machine.units[unit].cols == 1 < self.space.machine.units[unit].rows
        return Spread(unit, lanes, ()) if tall else Spread(unit, (), lanes)

    def _on_grid(
        self, unit: str, whole: list[str], kept: list[str], pattern: Pattern
    ) -> Iterator[Spread]:
        """The pattern; a summed rank may give its rows to the longest rank of the output."""
        row, col = pattern
        by_size = sorted(kept, key=lambda r: -self.space.extent(r))
        packed = [r for r in self.packed if r in whole]
        on_cols = [r for r in by_size if r not in (row, *packed)][:1]
        cols = [col] if col in whole else on_cols
        spare = [r for r in by_size if r not in (*cols, *packed)][:1]
        rows = [[row]] if row in whole and row not in cols else [spare]
        if row in whole and row not in kept and spare:
            rows.append(spare)
        for side in rows:
            yield Spread(unit, tuple(r for r in side if r), (*packed, *(r for r in cols if r)))

    @cached_property
    def free(self) -> tuple[Einsum, ...]:
        """Sums of products over three ranks: any two of these may go over the sides of an array."""
        return tuple(e for e in self.einsums if e.reduce and len(self._laid_out(e)) > 2)

    def _laid_out(self, einsum: Einsum) -> list[str]:
        return [r for r in self.whole(einsum) if r not in (*self.shared, *self.packed)]

    def every_option(self, einsum: Einsum) -> list[Spread]:
        """Where an Einsum may run, whatever the pattern of the run."""
        found = [s for pattern in self.patterns for s in self.options(einsum, pattern)]
        if einsum in self.free:
            packed = tuple(r for r in self.packed if r in self.whole(einsum))
            grids = dict.fromkeys(s.unit for s in found if s.unit in self.space.grids)
            pairs = list(permutations(self._laid_out(einsum), 2))
            found += [Spread(u, (row,), (*packed, col)) for u in grids for row, col in pairs]
        return list(dict.fromkeys(found))

    def classes(self, pattern: Pattern) -> list[list[Einsum]]:
        """Einsums bound together by the pattern: those alike that lack a rank of it; none free."""
        alike: dict[object, list[Einsum]] = {}
        wanted = {r for r in pattern if r}
        for einsum in (e for e in self.einsums if e not in self.free):
            heavy = wanted <= set(self.whole(einsum))
            options = tuple(self.options(einsum, pattern))
            ranks = frozenset(d.rank for d in self.points(einsum))
            alike.setdefault(einsum.name if heavy else (ranks, options), []).append(einsum)
        return list(alike.values())

    @cached_property
    def _bound_together(self) -> list[dict[str, Spread]]:
        """Each binding once of the Einsums that follow the pattern of the run."""
        found: dict[tuple[tuple[str, Spread], ...], None] = {}
        for pattern in self.patterns:
            classes = self.classes(pattern)
            for chosen in product(*(self.options(c[0], pattern) for c in classes)):
                spreads = {e.name: s for c, s in zip(classes, chosen, strict=True) for e in c}
                found[tuple(sorted(spreads.items(), key=lambda item: item[0]))] = None
        return [dict(spreads) for spreads in found]

    def bindings(self) -> Iterator[dict[str, Spread]]:
        """Every choice of a unit and its sides for each Einsum, in program order."""
        names = [e.name for e in self.free]
        for together in self._bound_together:
            for chosen in product(*(self.every_option(e) for e in self.free)):
                spreads = together | dict(zip(names, chosen, strict=True))
                yield {name: spreads[name] for name in self.names}

    @cached_property
    def binding_count(self) -> int:
        """How many bindings there are."""
        return len(self._bound_together) * prod(len(self.every_option(e)) for e in self.free)

    def in_step(self, spreads: Mapping[str, Spread]) -> bool:
        """Whether all Einsums follow one pattern, so that scores may stay where they are made."""
        return any(
            all(spreads[e.name] in self.options(e, pattern) for e in self.einsums)
            for pattern in self.patterns
        )

    # --- places -------------------------------------------------------------------------------

    def growth(self, einsum: Einsum, order: tuple[Walk, ...]) -> tuple[int, ...]:
        """Loops along which a running value or a sum grows."""
        own = {d.rank for d in self.space.layout.tensor(einsum.name)}
        grown = self.ranks(einsum) - own
        return tuple(i for i, w in enumerate(order) if w.rank in grown)

    @cached_property
    def wide(self) -> tuple[str, ...]:
        """Tensors between Einsums of the run that span both sequences, or two ranks of a run."""
        found = []
        for einsum in self.einsums:
            read = any(einsum.name in {a.tensor for a in e.operands} for e in self.einsums)
            dims = {d.rank for d in self.space.layout.tensor(einsum.name) if d.tile is None}
            free = dims & set(self.sizes_of_ranks) - set(self.shared)
            spans = set(self.space.sequence[:2]) <= free if self.is_attention else len(free) > 1
            if read and not einsum.iterative_ranks and spans and einsum.name not in self.results:
                found.append(einsum.name)
        return tuple(found)

    @cached_property
    def overwrites(self) -> Mapping[str, str]:
        """{scores: those that they may overwrite}, as all other readers are done before."""
        by_name = {e.name: e for e in self.einsums}
        dims = {t: {d.rank for d in self.space.layout.tensor(t)} for t in self.wide}
        before: dict[str, set[str]] = {}
        found: dict[str, str] = {}
        for einsum in self.einsums:
            read = [a.tensor for a in einsum.operands if a.tensor in by_name]
            before[einsum.name] = set(read).union(*(before.get(t, ()) for t in read))
            for tensor in read if einsum.name in self.wide and not einsum.reduce else ():
                readers = {e for e in self.neighbours[tensor] if e not in before.get(tensor, ())}
                alone = readers <= before[einsum.name] | {einsum.name}
                if tensor in self.wide and dims[tensor] == dims[einsum.name] and alone:
                    found.setdefault(einsum.name, tensor)
        return found

    def variants(self, order: tuple[Walk, ...]) -> tuple[Variant, ...]:
        """Places of scores and carried values; depths only where scores wait in the buffer."""
        wide: list[tuple[str, int | None]] = [("registers", None)]
        wide += [("buffer", depth) for depth in DEPTHS] if self.wide else []
        grows = any(self.growth(e, order) for e in self.einsums)
        carried = ("buffer", "registers") if grows else ("registers",)
        return tuple(Variant(w, c, d) for w, d in wide for c in carried)

    def holds(self, tensor: str, order: tuple[Walk, ...]) -> list[str]:
        """Loops inside which an input may be kept, outermost first ("" for the whole run).

        Outside each run of loops that do not touch it, and inside its innermost loop.
        """
        ranks = self.input_ranks(tensor)
        touched = [w.rank in ranks for w in order]
        last = max((i for i, own in enumerate(touched) if own), default=-1)
        places = [
            order[i - 1].loop if i else ""
            for i in range(last)
            if not touched[i] and (i == 0 or touched[i - 1])
        ]
        return [*places, order[last].loop if last >= 0 else ""]

    def hold_count(self, order: tuple[Walk, ...]) -> int:
        """How many combinations of holds an order has."""
        return prod(len(self.holds(t, order)) for t in self.inputs)

    @cached_property
    def candidates(self) -> int:
        """How many candidates the run has."""
        nests = sum(
            self.tile_count(o) * self.hold_count(o) * len(self.variants(o)) for o in self.orders
        )
        return nests * self.binding_count
