"""Loop nests over ragged tiles, and amounts of work that are products over ranks.

A task of a step runs in some of the loops around it; what one execution costs is a product of
factors ⌈Π extents / divisor⌉. Because tiles of a rank are all full but the last, the sum over a
whole nest is a product of short sums: exact for lengths that no tile divides, and the same
expression for a number and for an array of a million shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product as combinations
from typing import TYPE_CHECKING

from einfall.sim.numeric import Number, ceil_div, floor_div, is_array, minimum, product, scaled

if TYPE_CHECKING:
    from einfall.sim.visits import Pieces, Visits


@dataclass(frozen=True, slots=True)
class Loop:
    """A temporal loop `name` over `rank`, each iteration taking `tile` coordinates of it."""

    name: str
    rank: str
    tile: Number


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops from outermost to innermost over ranks of the given extents.

    Loops over one rank take ever smaller tiles, each a multiple of the next; a tile larger than
    the rank is cut to it. `visits` couples two ranks by a mask: inside loops over the keys the
    executions are the pairs of tiles that it visits, each computed whole, and not the product of
    the tiles of both ranks; without one, the keys of an execution are those tiles of them that it
    visits. Loops over the queries alone cut them as ever: each query attends something.
    """

    extents: Mapping[str, Number]
    loops: tuple[Loop, ...] = ()
    visits: Visits | None = None
    # Sums over the same pieces come up again and again: each is worked out once.
    _memo: dict[Hashable, Number] = field(default_factory=dict, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the loops, outermost first."""
        return tuple(loop.name for loop in self.loops)

    def tile(self, rank: str, at: Iterable[str]) -> Number:
        """Coordinates of `rank` that one execution inside the loops `at` covers when it is full."""
        inside = tuple(at)
        key = ("tile", rank, inside)
        if key not in self._memo:
            tiles = [x.tile for x in self.loops if x.rank == rank and x.name in inside]
            whole = self.extents[rank]
            # One coordinate at a time needs no look at how many there are.
            single = bool(tiles) and not is_array(tiles[-1]) and tiles[-1] == 1
            self._memo[key] = 1 if single else minimum(tiles[-1], whole) if tiles else whole
        return self._memo[key]

    def pieces(self, rank: str, at: Iterable[str]) -> tuple[tuple[Number, Number], ...]:
        """(extent, how many) of the pieces into which the loops `at` cut `rank`: full, then rest.

        >>> Nest({"M": 10}, (Loop("m", "M", 4),)).pieces("M", ["m"])
        ((4, 2), (2, 1))
        """
        whole, tile = self.extents[rank], self.tile(rank, at)
        if not any(x.rank == rank and x.name in set(at) for x in self.loops):
            return ((whole, 1),)
        if not is_array(tile) and tile == 1:
            return ((1, whole),)
        full = floor_div(whole, tile)
        rest = whole - full * tile
        return ((tile, full), (rest, minimum(rest, 1)))

    def sum_of(self, factors: tuple[Factor, ...], at: tuple[str, ...]) -> Number:
        """Σ over all executions inside the loops `at` of Π factors."""
        key = (tuple([factor.key for factor in factors]), at)
        if key not in self._memo:
            self._memo[key] = self._sum_of(factors, at)
        return self._memo[key]

    def once(self, factors: tuple[Factor, ...], at: tuple[str, ...]) -> Number:
        """Π factors for one execution on full tiles inside the loops `at`.

        Under a mask, for the largest of the tiles that are visited.
        """
        key = ("once", tuple([factor.key for factor in factors]), at)
        if key not in self._memo:
            extents = {r: self.tile(r, at) for f in factors for r in f.ranks}
            if self.coupled(factors, at):
                extents |= self._largest_piece(at)
            self._memo[key] = Work(1, factors).at(extents)
        return self._memo[key]

    @property
    def dense(self) -> Nest:
        """The nest without its mask."""
        return Nest(self.extents, self.loops) if self.visits else self

    def coupled(self, factors: Iterable[Factor], at: Iterable[str]) -> tuple[str, ...]:
        """Ranks that the mask ties together for a task; none where it does not see the keys."""
        if self.visits is None:
            return ()
        inside, keys = set(at), self.visits.keys
        seen = any(x.rank == keys and x.name in inside for x in self.loops)
        seen = seen or any(keys in factor.ranks for factor in factors)
        return self.visits.ranks if seen else ()

    def visited(self, at: Iterable[str]) -> Pieces:
        """The visited executions inside the loops `at`, by what they cover of the coupled ranks."""
        assert self.visits is not None, "a dense nest visits the product of its pieces"
        inside = set(at)
        tiles = {
            x.rank: self.tile(x.rank, inside)
            for x in self.loops
            if x.name in inside and x.rank in self.visits.ranks
        }
        return self.visits.pieces(self.extents, tiles)

    def _largest_piece(self, at: tuple[str, ...]) -> dict[str, Number]:
        """Extents of the coupled ranks in the visited execution that covers most."""
        best: dict[str, Number] = {}
        most: Number = 0
        for extents, times in self.visited(at):
            covers = product(extents.values()) * minimum(times, 1)
            more = covers > most
            best = {r: _where(more, x, best.get(r, x)) for r, x in extents.items()}
            most = _where(more, covers, most)
        return best

    def _sum_of(self, factors: tuple[Factor, ...], at: tuple[str, ...]) -> Number:
        tied = self.coupled(factors, at)
        groups = _independent(factors, tied)
        sums = [self._sum_over_pieces(ranks, group, at) for ranks, group in groups]
        counted = {*tied, *(rank for factor in factors for rank in factor.ranks)}
        looped = (x.rank for x in self.loops if x.name in at and x.rank not in counted)
        return product([*sums, *(self.trips(rank, at) for rank in dict.fromkeys(looped))])

    def _sum_over_pieces(
        self, ranks: tuple[str, ...], factors: tuple[Factor, ...], at: tuple[str, ...]
    ) -> Number:
        """The sum for factors over the same ranks; other ranks multiply it."""
        near = tuple([x.name for x in self.loops if x.name in at and x.rank in ranks])
        key = (ranks, tuple([factor.key for factor in factors]), near)
        if key not in self._memo:
            terms = []
            for extents, times in self._combined(ranks, factors, near):
                values = [factor.value(extents) for factor in factors]
                terms.append(product([*times, *values]))
            self._memo[key] = sum(terms[1:], start=terms[0])
        return self._memo[key]

    def _combined(
        self, ranks: tuple[str, ...], factors: tuple[Factor, ...], near: tuple[str, ...]
    ) -> Iterator[tuple[dict[str, Number], list[Number]]]:
        """(extents, how often, as factors) of every combination of pieces of the ranks."""
        tied = self.coupled(factors, near)
        if not tied and len(ranks) == 1:
            for extent, times in self.pieces(ranks[0], near):
                yield {ranks[0]: extent}, [times]
            return
        alone = [rank for rank in ranks if rank not in tied]
        together: Pieces = self.visited(near) if tied else (({}, 1),)
        cut = [self.pieces(rank, near) for rank in alone]
        for extents, visits in together:
            for pieces in combinations(*cut):
                others = {rank: extent for rank, (extent, _) in zip(alone, pieces, strict=True)}
                times = [times for _, times in pieces]
                yield extents | others, [visits, *times] if tied else times

    def trips(self, rank: str, at: Iterable[str]) -> Number:
        """Iterations that the loops `at` make over `rank` in all: ⌈extent/tile⌉."""
        return ceil_div(self.extents[rank], self.tile(rank, at))


@dataclass(frozen=True, slots=True)
class Factor:
    """⌈Π extents of `ranks` / divisor⌉; without a divisor plainly the product of the extents."""

    ranks: tuple[str, ...]
    divisor: Number | None = None
    # What tells factors apart; an array is told by its identity.
    key: Hashable = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work the key out once: sums are looked up by it many times."""
        divisor = id(self.divisor) if is_array(self.divisor) else self.divisor
        object.__setattr__(self, "key", (self.ranks, divisor))

    def value(self, extents: Mapping[str, Number]) -> Number:
        """The factor for one execution that covers the given extents."""
        points = product([extents[rank] for rank in self.ranks])
        return points if self.divisor is None else ceil_div(points, self.divisor)


@dataclass(frozen=True, slots=True)
class Work:
    """coefficient · Π factors: what one execution of a task takes of something.

    >>> nest = Nest({"M": 600, "E": 64}, (Loop("m1", "M", 256),))
    >>> cycles = Work(1, (Factor(("E",)), Factor(("M",), 256)))
    >>> cycles.once(nest, ["m1"]), cycles.total(nest, ["m1"])
    (64, 192)
    """

    coefficient: Number
    factors: tuple[Factor, ...] = ()

    def at(self, extents: Mapping[str, Number]) -> Number:
        """The work of an execution that covers `extents`."""
        return product([self.coefficient, *[factor.value(extents) for factor in self.factors]])

    def once(self, nest: Nest, loops: Iterable[str]) -> Number:
        """The work of one execution on full tiles, inside the loops named."""
        return scaled(nest.once(self.factors, tuple(loops)), self.coefficient)

    def total(self, nest: Nest, loops: Iterable[str]) -> Number:
        """The sum over all executions inside the loops named, ragged tiles exact."""
        return scaled(nest.sum_of(self.factors, tuple(loops)), self.coefficient)

    def scaled(self, by: Number) -> Work:
        """The same work times `by`."""
        return Work(self.coefficient * by, self.factors)

    def over(self, *factors: Factor) -> Work:
        """The same work with more factors."""
        return Work(self.coefficient, self.factors + factors)


def merged(works: Iterable[Work]) -> tuple[Work, ...]:
    """The same work in as few parts: those with the same factors are added up.

    >>> [work.coefficient for work in merged([Work(1), Work(2)])]
    [3]
    """
    alike: dict[Hashable, Work] = {}
    for work in works:
        key = tuple(factor.key for factor in work.factors)
        more = alike[key].coefficient if key in alike else 0
        alike[key] = Work(work.coefficient + more, work.factors)
    return tuple(alike.values())


def _where(condition: object, a: Number, b: Number) -> Number:
    """`a` where the condition holds, else `b`."""
    if not is_array(condition):
        return a if condition else b
    import numpy as np

    return np.where(condition, a, b)


def _independent(
    factors: tuple[Factor, ...], tied: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], tuple[Factor, ...]]]:
    """Factors gathered so that no rank stands in two groups; sums then multiply group by group.

    Ranks that are `tied` stand in one.
    """
    ranks_of = [rank for factor in factors for rank in factor.ranks]
    if not tied and len(set(ranks_of)) == len(ranks_of):
        return [(tuple(sorted(factor.ranks)), (factor,)) for factor in factors]
    groups: list[tuple[set[str], list[Factor]]] = [(set(tied), [])] if tied else []
    for factor in factors:
        ranks, members = set(factor.ranks), [factor]
        for group in [g for g in groups if g[0] & ranks]:
            groups.remove(group)
            ranks |= group[0]
            members = group[1] + members
        groups.append((ranks, members))
    return [(tuple(sorted(ranks)), tuple(members)) for ranks, members in groups]
