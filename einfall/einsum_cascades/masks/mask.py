"""What a mask is: which keys each query attends, and the algebra of masks.

A mask relates the queries [0, P) to the keys [0, M), both flattened row-major where they have a
layout of several dimensions. It answers one question exactly, for any ranges of queries at once:
which keys do *some* of them attend, and which do *all* of them (`cover`)? Tile counts, pairs and
pictures all follow from that; no P x M array is ever made.

    a & b, a | b, ~a      intersection, union and complement, exact
    Product(axes)         attended where every dimension is, the queries and keys being a grid
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import final

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.boxes import boxes_of_ranges
from einfall.einsum_cascades.masks.runs import Ints, Runs

BUDGET = 1 << 18
"""Intervals worked on at once, so that they stay in the cache; masks are asked in such chunks."""


class MaskError(ValueError):
    """A mask that cannot be, or that does not fit its problem; one line a problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one and join them into the message."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Cover:
    """Keys that some, and keys that all, of the queries of each range attend."""

    some: Runs
    every: Runs


class Mask(ABC):
    """Which keys [0, keys) each query [0, queries) attends."""

    @property
    @abstractmethod
    def query_layout(self) -> tuple[int, ...]:
        """Sizes of the dimensions of the queries; one for a sequence."""

    @property
    @abstractmethod
    def key_layout(self) -> tuple[int, ...]:
        """Sizes of the dimensions of the keys."""

    @property
    def queries(self) -> int:
        """How many queries there are: P."""
        return prod(self.query_layout)

    @property
    def keys(self) -> int:
        """How many keys there are: M."""
        return prod(self.key_layout)

    @abstractmethod
    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Keys that some and that all of the queries [lo, hi) of each range attend, exactly.

        Args:
            lo: First query of each range.
            hi: Query after the last; a range holds at least one.
        """

    @property
    def intervals_hint(self) -> float:
        """About how many intervals a query's keys make; it sizes the chunks, nothing else."""
        return 1.0

    def looks_at(self, queries: int) -> float:
        """About how many queries, or blocks of them, `cover` looks at in a range of so many."""
        return 1.0

    def rows(self, lo: int = 0, hi: int | None = None) -> Runs:
        """The keys of each single query of a range."""
        at = np.arange(lo, self.queries if hi is None else hi)
        return self.cover(at, at + 1).some

    @cached_property
    def pairs(self) -> int:
        """Attended (query, key) pairs, exactly."""
        return self._count_pairs()

    def _count_pairs(self) -> int:
        """By the keys of single queries; a family with a formula has its own."""
        return sum(int((rows.stop - rows.start).sum()) for rows in self._all_rows())

    @property
    def density(self) -> float:
        """Part of all pairs that is attended."""
        return self.pairs / (self.queries * self.keys)

    @cached_property
    def empty_queries(self) -> int:
        """Queries that attend no key; their softmax does not exist."""
        return self._count_empty_queries()

    def _count_empty_queries(self) -> int:
        """By the keys of single queries; a family with a formula has its own."""
        return sum(int((rows.per_row == 0).sum()) for rows in self._all_rows())

    def _all_rows(self) -> Iterator[Runs]:
        """The keys of every query, a chunk of queries at a time."""
        chunk = max(1, int(BUDGET / self.intervals_hint))
        for lo in range(0, self.queries, chunk):
            yield self.rows(lo, min(lo + chunk, self.queries))

    def dense_array(self) -> np.ndarray:
        """The mask as a boolean [queries, keys] array: for pictures and tests of small problems.

        Raises:
            MaskError: The array would have more than 2^26 elements.
        """
        if self.queries * self.keys > 1 << 26:
            size = f"{self.queries:,} x {self.keys:,}"
            raise MaskError([f"mask: wanted at most 2^26 pairs to draw or list, found {size}"])
        array = np.zeros((self.queries, self.keys), dtype=bool)
        array[self.rows().points()] = True
        return array

    def __and__(self, other: Mask) -> Mask:
        """Pairs that both attend."""
        return intersect(self, other)

    def __or__(self, other: Mask) -> Mask:
        """Pairs that either attends."""
        return unite(self, other)

    def __invert__(self) -> Mask:
        """Pairs that it does not attend."""
        return self.of if isinstance(self, Complement) else Complement(self)


# --- Masks of one dimension ----------------------------------------------------------------------


class _Sequence(Mask):
    """A mask of one dimension."""

    @property
    def query_layout(self) -> tuple[int, ...]:
        return (self._size()[0],)

    @property
    def key_layout(self) -> tuple[int, ...]:
        return (self._size()[1],)

    @abstractmethod
    def _size(self) -> tuple[int, int]:
        """Queries and keys."""


@final
@dataclass(frozen=True, eq=False)
class Band(_Sequence):
    """Each query p attends the keys [start[p], stop[p]), and neither end ever moves back.

    Dense, causal, sliding and neighbourhood windows. The windows of neighbouring queries leave no
    gap, so that a range of queries [lo, hi) has

        some = [start[lo], stop[hi-1])          every = [start[hi-1], stop[lo])
    """

    start: Ints
    stop: Ints
    width: int

    def __post_init__(self) -> None:
        """Refuse what the formula above would be wrong for."""
        stop = np.maximum(self.start, self.stop)
        monotone = np.all(self.start[1:] >= self.start[:-1]) and np.all(stop[1:] >= stop[:-1])
        if not monotone or np.any(self.start[1:] > stop[:-1]):
            raise MaskError(["band: wanted windows that move forward without a gap, found others"])

    def _size(self) -> tuple[int, int]:
        return len(self.start), self.width

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """By the formula of the class."""
        last = hi - 1
        some = algebra.one_each(self.start[lo], self.stop[last])
        return Cover(some, algebra.one_each(self.start[last], self.stop[lo]))

    def _count_pairs(self) -> int:
        """Σ (stop - start)."""
        return int(np.maximum(self.stop - self.start, 0).sum())


@dataclass(frozen=True, eq=False)
class _Blocks(_Sequence):
    """Queries in blocks, block i holding [edges[i], edges[i+1]), with the keys of each block."""

    edges: Ints
    of_block: Runs

    @property
    def intervals_hint(self) -> float:
        """Mean number of intervals of a block."""
        return 1.0 + len(self.of_block.row) / self.of_block.rows

    def looks_at(self, queries: int) -> float:
        """Blocks that a range lies in."""
        return min(queries, 1 + queries * self.of_block.rows / self.queries)

    def _parts(self, lo: Ints, hi: Ints) -> tuple[Ints, Ints]:
        """(number of the range, block) of every block that a range of queries lies in."""
        first = np.searchsorted(self.edges, lo, side="right") - 1
        last = np.searchsorted(self.edges, hi - 1, side="right") - 1
        return algebra.spread(first, last + 1)


@final
@dataclass(frozen=True, eq=False)
class Steps(_Blocks):
    """Queries in blocks that attend the same keys: block i holds [edges[i], edges[i+1]).

    Documents, blocks, halos, grids, strided and listed key blocks, random subsets of the keys.
    """

    width: int

    def _size(self) -> tuple[int, int]:
        return int(self.edges[-1]), self.width

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Union and intersection over the blocks that a range of queries lies in."""
        owner, block = self._parts(lo, hi)
        keys = self.of_block.take(block)
        some, every = (algebra.grouped(keys, owner, len(lo), every=e) for e in (False, True))
        return Cover(some, every)

    def _count_pairs(self) -> int:
        """Σ over blocks of queries x keys."""
        return int((np.diff(self.edges) * self.of_block.length).sum())


@final
@dataclass(frozen=True, eq=False)
class Strided(_Sequence):
    """Query p attends first[p] + i·step for i = 0 .. count[p]-1: dilated windows.

    Queries `step` apart have windows that move forward without a gap, as in a `Band`; one that
    attends nothing has in `first` a key of the same class.
    """

    first: Ints
    count: Ints
    step: int
    width: int

    def _size(self) -> tuple[int, int]:
        return len(self.first), self.width

    @property
    def intervals_hint(self) -> float:
        """Every key is an interval of its own."""
        return 1.0 + float(self.count.max(initial=0)) * min(self.step, 8)

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Class by class of queries that are a multiple of `step` apart."""
        owner, earliest = algebra.spread(lo, np.minimum(lo + self.step, hi))
        latest = earliest + (hi[owner] - 1 - earliest) // self.step * self.step
        end = self.first[latest] + self.count[latest] * self.step
        keys = np.maximum(0, -((self.first[earliest] - end) // self.step))
        which, i = algebra.spread(np.zeros_like(keys), keys)
        key = self.first[earliest][which] + i * self.step
        some = algebra.runs_of(owner[which], key, key + 1, len(lo))
        if self.step == 1:
            every = algebra.one_each(self.first[hi - 1], self.first[lo] + self.count[lo])
        else:  # neighbours have no key in common
            alone = np.flatnonzero(hi - lo == 1)
            of_one = some.take(alone)
            every = Runs(alone[of_one.row], of_one.start, of_one.stop, len(lo))
        return Cover(some, every)

    def _count_pairs(self) -> int:
        """Σ count."""
        return int(self.count.sum())


# --- Several dimensions --------------------------------------------------------------------------


@final
@dataclass(frozen=True, eq=False)
class Product(Mask):
    """A pair is attended iff it is attended along every dimension; the axes are sequences."""

    axes: tuple[Mask, ...]

    @property
    def query_layout(self) -> tuple[int, ...]:
        """Queries of each axis."""
        return tuple(axis.queries for axis in self.axes)

    @property
    def key_layout(self) -> tuple[int, ...]:
        """Keys of each axis."""
        return tuple(axis.keys for axis in self.axes)

    @property
    def intervals_hint(self) -> float:
        """Rows of the grid that a query's keys touch."""
        wide = prod(1 + axis.pairs / axis.queries for axis in self.axes[:-1])
        return wide * self.axes[-1].intervals_hint

    def _count_pairs(self) -> int:
        """Π pairs of the axes."""
        return prod(axis.pairs for axis in self.axes)

    def _count_empty_queries(self) -> int:
        """Queries without a key along some axis."""
        return self.queries - prod(axis.queries - axis.empty_queries for axis in self.axes)

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Box by box: a range of flattened queries is at most 2·D - 1 boxes of the grid.

        Over a box, the union of products is the product of the unions; over any set of queries the
        intersection of products is the product of the intersections.
        """
        owner, lows, highs = boxes_of_ranges(lo, hi, self.query_layout)
        covers = [
            axis.cover(low, high) for axis, low, high in zip(self.axes, lows, highs, strict=True)
        ]
        n, size = len(lo), self.key_layout
        boxes = _flattened([c.some for c in covers], size)
        some = algebra.grouped(boxes, owner, n, every=False)
        shared = [algebra.grouped(c.every, owner, n, every=True) for c in covers]
        return Cover(some, _flattened(shared, size))


def _flattened(axes: Sequence[Runs], layout: Sequence[int]) -> Runs:
    """The product of per-axis runs as runs of the row-major flattened grid, row by row."""
    outer = axes[0]
    for axis, size in zip(axes[1:], layout[1:], strict=True):
        row, at = outer.points()
        inner = axis.take(row)
        base = at[inner.row] * size
        outer = algebra.runs_of(row[inner.row], base + inner.start, base + inner.stop, outer.rows)
    return outer


# --- Algebra -------------------------------------------------------------------------------------


class _Compound(Mask):
    """A mask made of others of the same size."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Mask, ...]:
        """What it is made of."""

    @property
    def query_layout(self) -> tuple[int, ...]:
        return self._layout("query_layout")

    @property
    def key_layout(self) -> tuple[int, ...]:
        return self._layout("key_layout")

    def _layout(self, side: str) -> tuple[int, ...]:
        """The layout of the parts; one of several dimensions tells the others theirs."""
        return max((getattr(part, side) for part in self.parts), key=len)

    @property
    def intervals_hint(self) -> float:
        return sum(part.intervals_hint for part in self.parts)

    def looks_at(self, queries: int) -> float:
        """Every query by itself."""
        return float(queries)

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """From the keys of single queries: no shortcut over several of them would be exact."""
        owner, query = algebra.spread(lo, hi)
        rows = self._of([part.cover(query, query + 1).some for part in self.parts])
        if len(query) == len(lo):
            return Cover(rows, rows)
        some, every = (algebra.grouped(rows, owner, len(lo), every=e) for e in (False, True))
        return Cover(some, every)

    @abstractmethod
    def _of(self, rows: list[Runs]) -> Runs:
        """The keys of single queries, given those of the parts."""


@dataclass(frozen=True, eq=False)
class _Several(_Compound):
    """A compound of any number of masks."""

    of: tuple[Mask, ...]

    @property
    def parts(self) -> tuple[Mask, ...]:
        """The masks put together."""
        return self.of


@final
@dataclass(frozen=True, eq=False)
class Union(_Several):
    """Pairs that any of the parts attends."""

    def _of(self, rows: list[Runs]) -> Runs:
        return algebra.union(rows)


@final
@dataclass(frozen=True, eq=False)
class Intersection(_Several):
    """Pairs that all of the parts attend."""

    def _of(self, rows: list[Runs]) -> Runs:
        return algebra.intersection(rows)


@final
@dataclass(frozen=True, eq=False)
class Complement(_Compound):
    """Pairs that the part does not attend: what some attend becomes what not all leave out."""

    of: Mask

    @property
    def parts(self) -> tuple[Mask, ...]:
        """The one mask."""
        return (self.of,)

    @property
    def intervals_hint(self) -> float:
        """One interval more than the mask has."""
        return self.of.intervals_hint + 1

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """By De Morgan, without a look at single queries."""
        found = self.of.cover(lo, hi)
        some, every = (algebra.complement(x, self.keys) for x in (found.every, found.some))
        return Cover(some, every)

    def _of(self, rows: list[Runs]) -> Runs:
        return algebra.complement(rows[0], self.keys)

    def _count_pairs(self) -> int:
        """P·M minus those of the mask."""
        return self.queries * self.keys - self.of.pairs


def intersect(*masks: Mask) -> Mask:
    """The intersection; products over the same grid are intersected axis by axis.

    Raises:
        MaskError: The masks are of different sizes.
    """
    parts = _checked(masks, Intersection)
    if len(parts) > 1 and all(isinstance(part, Product) for part in parts):
        products = [part for part in parts if isinstance(part, Product)]
        if len({(p.query_layout, p.key_layout) for p in products}) == 1:
            axes = zip(*(p.axes for p in products), strict=True)
            return Product(tuple(intersect(*axis) for axis in axes))
    if all(isinstance(part, Band) for part in parts):
        return _narrowed([part for part in parts if isinstance(part, Band)])
    return parts[0] if len(parts) == 1 else Intersection(parts)


def _narrowed(bands: Sequence[Band]) -> Mask:
    """Bands intersected are a band, unless some query is left without a key in their midst."""
    start = np.maximum.reduce([band.start for band in bands])
    stop = np.minimum.reduce([band.stop for band in bands])
    if np.all(stop > start) and np.all(start[1:] <= stop[:-1]):
        return Band(start, stop, bands[0].width)
    return bands[0] if len(bands) == 1 else Intersection(tuple(bands))


def unite(*masks: Mask) -> Mask:
    """The union.

    Raises:
        MaskError: The masks are of different sizes.
    """
    parts = _checked(masks, Union)
    return parts[0] if len(parts) == 1 else Union(parts)


def _checked(masks: Sequence[Mask], kind: type[Union] | type[Intersection]) -> tuple[Mask, ...]:
    """The masks, those of the same kind taken apart, once they are known to fit each other."""
    sizes = {(m.queries, m.keys) for m in masks}
    layouts = {(m.query_layout, m.key_layout) for m in masks if len(m.query_layout) > 1}
    if len(sizes) > 1:
        found = " and ".join(f"{p:,} x {m:,}" for p, m in sorted(sizes))
        raise MaskError([f"mask: wanted masks of one size (queries x keys), found {found}"])
    if len(layouts) > 1:
        found = " and ".join("x".join(map(str, q)) for q, _ in sorted(layouts))
        raise MaskError([f"mask: wanted masks of one layout, found {found}"])
    flat: list[Mask] = []
    for mask in masks:
        flat += mask.of if isinstance(mask, kind) else (mask,)
    return tuple(flat)
