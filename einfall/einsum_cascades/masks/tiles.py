"""Exact tile counts of a mask: what a kernel that skips empty tiles has to work on.

Queries are cut into query tiles and keys into key tiles, in every dimension of the layout, or
along the flattened sequence. A key tile is *visited* by a query tile if any pair of theirs is
attended, and *full* if all are, so that it needs no mask. From the keys that some, and that all,
queries of a tile attend (`Mask.cover`):

    visited = key tiles that touch what some attend     full = key tiles inside what all attend

Products of sequences are counted dimension by dimension, and sums, maxima and histograms multiply.
Compounds are decided tile by tile where their parts decide them, and by single queries elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.mask import (
    BUDGET,
    Complement,
    Intersection,
    Mask,
    MaskError,
    Product,
    Union,
)
from einfall.einsum_cascades.masks.neighborhood import Neighborhood
from einfall.einsum_cascades.masks.runs import Ints, Runs


@dataclass(frozen=True, slots=True)
class Tiling:
    """How queries and keys are cut.

    q, kv: tile sizes, one for each dimension of the layout, or one alone that cuts the flattened
    sequence. `dynamic` key tiles start at the first key that the query tile needs, static ones at
    multiples of their size. Dilated dimensions of GNA are cut inside each dilation class, as its
    kernels do; `in_place`, and along a flattened sequence, tokens stay where they stand.
    """

    q: tuple[int, ...]
    kv: tuple[int, ...]
    dynamic: bool = False
    in_place: bool = False

    def __post_init__(self) -> None:
        """Refuse tiles without a size.

        Raises:
            MaskError: All that is wrong with the tiles.
        """
        wrong = [
            f"{name}: wanted tile sizes of at least 1, found {_text(tile)}"
            for name, tile in (("q_tile", self.q), ("kv_tile", self.kv))
            if not tile or min(tile) < 1
        ]
        if len(self.q) != len(self.kv):
            wrong.append(
                f"kv_tile: wanted as many dimensions as q_tile ({_text(self.q)}), "
                f"found {_text(self.kv)}"
            )
        if wrong:
            raise MaskError(wrong)


@dataclass(frozen=True, slots=True, eq=False)
class TileCounts:
    """Tiles of a mask; `visits` and `times` are the histogram of key tiles visited by a query tile.

    `full` key tiles need no mask; one that reaches past the last key is full only in
    `full_ignoring_padding`. `q_tiles_of_dense` and `kv_tiles_of_dense` cut the whole grid without
    regard to dilation: what dense attention has.
    """

    q_tiles: int
    visited: int
    full: int
    full_ignoring_padding: int
    visits: Ints
    times: Ints
    q_tiles_of_dense: int
    kv_tiles_of_dense: int

    @property
    def most_visited(self) -> int:
        """Key tiles visited by the query tile that visits most."""
        return int(self.visits.max(initial=0))

    @property
    def of_dense(self) -> int:
        """Tiles of dense attention."""
        return self.q_tiles_of_dense * self.kv_tiles_of_dense

    @property
    def imbalance(self) -> float:
        """Key tiles of the heaviest query tile over those of the mean one; 1 is balanced."""
        return self.most_visited * self.q_tiles / self.visited if self.visited else 1.0

    @property
    def speedup_total(self) -> float:
        """Tiles of dense attention over tiles visited: the bound with many waves of tiles."""
        return self.of_dense / self.visited if self.visited else float("inf")

    @property
    def speedup_worst(self) -> float:
        """Key tiles of a dense row over those of the worst query tile: the bound with one wave."""
        return self.kv_tiles_of_dense / self.most_visited if self.visited else float("inf")

    @property
    def block_sparse(self) -> bool:
        """Whether every visited tile is full, so that no element is masked (padding apart)."""
        return self.visited == self.full_ignoring_padding


def count_tiles(mask: Mask, tiling: Tiling) -> TileCounts:
    """Count the tiles of a mask exactly.

    Args:
        mask: Any mask.
        tiling: One size, or as many as the mask's layout has dimensions.

    Raises:
        MaskError: The numbers of dimensions do not fit.

    >>> from einfall.einsum_cascades.masks import neighborhood
    >>> na = neighborhood([256, 256], [80, 80])
    >>> counts = count_tiles(na, Tiling((16, 16), (16, 8)))
    >>> round(counts.speedup_worst, 3), round(counts.speedup_total, 3)
    (6.095, 7.061)
    """
    dims = len(mask.query_layout)
    flat = len(tiling.q) == 1
    classes = not tiling.in_place and dims == len(tiling.q)
    if flat:
        per_tile = [_of_sequence(mask, *tiling.q, *tiling.kv, tiling.dynamic, classes=classes)]
    elif len(tiling.q) != dims or len(mask.key_layout) != dims:
        raise MaskError(
            [
                f"q_tile: wanted one size, or one for each dimension of the layout "
                f"{_text(mask.query_layout)}, found {_text(tiling.q)}"
            ]
        )
    elif isinstance(mask, Product):
        per_tile = [
            _of_sequence(axis, q, kv, tiling.dynamic, classes=classes)
            for axis, q, kv in zip(mask.axes, tiling.q, tiling.kv, strict=True)
        ]
    else:
        per_tile = [_of_grid(mask, tiling)]
    queries = (mask.queries,) if flat else mask.query_layout
    keys = (mask.keys,) if flat else mask.key_layout
    return _combined(per_tile, _tiles(queries, tiling.q), _tiles(keys, tiling.kv))


def _tiles(layout: Sequence[int], tile: Sequence[int]) -> int:
    return prod(-(-size // t) for size, t in zip(layout, tile, strict=True))


def _text(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "none"


@dataclass(frozen=True, slots=True, eq=False)
class _PerTile:
    """Counts for each query tile along one dimension, or of the whole problem."""

    visited: Ints
    full: Ints
    full_ignoring_padding: Ints


def _combined(parts: Sequence[_PerTile], q_tiles: int, kv_tiles: int) -> TileCounts:
    """Counts of a grid of query tiles whose counts are products over the dimensions."""
    histograms = (np.unique(part.visited, return_counts=True) for part in parts)
    visits, times = reduce(_multiplied, histograms)
    return TileCounts(
        q_tiles=prod(len(part.visited) for part in parts),
        visited=prod(int(part.visited.sum()) for part in parts),
        full=prod(int(part.full.sum()) for part in parts),
        full_ignoring_padding=prod(int(part.full_ignoring_padding.sum()) for part in parts),
        visits=visits,
        times=times,
        q_tiles_of_dense=q_tiles,
        kv_tiles_of_dense=kv_tiles,
    )


def _multiplied(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """The histogram of products of two independent counts."""
    values, where = np.unique(np.multiply.outer(a[0], b[0]), return_inverse=True)
    times = np.zeros(len(values), dtype=np.int64)
    np.add.at(times, where.ravel(), np.multiply.outer(a[1], b[1]).ravel())
    return values, times


# --- One dimension -------------------------------------------------------------------------------


def _of_sequence(mask: Mask, q: int, kv: int, dynamic: bool, *, classes: bool) -> _PerTile:
    """Counts of each query tile of a flattened mask; of a dilated one class by class if asked."""
    if classes and isinstance(mask, Neighborhood) and mask.dilation > 1:
        parts = [_of_sequence(c, q, kv, dynamic, classes=False) for c in mask.classes]
    else:
        lo = np.arange(0, mask.queries, q)
        hi = np.minimum(lo + q, mask.queries)
        # A chunk of query tiles at a time, so that memory does not grow with the problem.
        chunk = max(1, int(BUDGET / (mask.intervals_hint * mask.looks_at(q))))
        starts = range(0, len(lo), chunk)
        parts = [
            _of_ranges(mask, lo[i : i + chunk], hi[i : i + chunk], kv, dynamic) for i in starts
        ]
    return _PerTile(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in _PerTile.__slots__)
    )


def _of_ranges(mask: Mask, lo: Ints, hi: Ints, kv: int, dynamic: bool) -> _PerTile:
    if dynamic:
        visited, full, padded = _dynamic_sets(mask, lo, hi, kv)
        return _PerTile(visited.length, full.length, padded.length)
    sets = tile_sets(mask, lo, hi, kv)
    padded = sets.full.length
    # The last key tile, where it is ragged, is full only if padding is ignored.
    ragged = mask.keys // kv if mask.keys % kv else -1
    at_end = algebra.total_by_row(
        sets.full.row, (sets.full.stop == ragged + 1).astype(np.int64), len(lo)
    )
    return _PerTile(sets.visited.length, padded - at_end * (ragged >= 0), padded)


@dataclass(frozen=True, slots=True)
class TileSets:
    """Key tiles that each range of queries visits, and those that are full (padding ignored)."""

    visited: Runs
    full: Runs

    @property
    def _partial(self) -> Runs:
        if not len(self.visited.row):
            return self.visited
        return algebra.difference(self.visited, self.full, int(self.visited.stop.max()))


def tile_sets(mask: Mask, lo: Ints, hi: Ints, kv: int) -> TileSets:
    """Key tiles [j·kv, (j+1)·kv) that the queries [lo, hi) of each range visit, and the full ones.

    A union visits what a part visits, an intersection has full what all have full. Undecided are
    tiles that two parts hold in part: there, and only there, single queries are looked at.
    """
    tiles = -(-mask.keys // kv)
    if isinstance(mask, Complement):
        inner = tile_sets(mask.of, lo, hi, kv)
        visited, full = (algebra.complement(x, tiles) for x in (inner.full, inner.visited))
        return TileSets(visited, full)
    if not isinstance(mask, Union | Intersection):
        cover = mask.cover(lo, hi)
        return _in_tiles(cover.some, cover.every, kv, mask.keys)
    parts = [tile_sets(part, lo, hi, kv) for part in mask.parts]
    partial = [part._partial for part in parts]
    twice = _at_least_two(partial)
    if isinstance(mask, Union):
        found = TileSets(
            algebra.union([p.visited for p in parts]), algebra.union([p.full for p in parts])
        )
        doubt = algebra.difference(twice, found.full, tiles)
    else:
        found = TileSets(*(algebra.intersection([getattr(p, x) for p in parts]) for x in _SETS))
        doubt = algebra.intersection([twice, found.visited])
    unsure = np.unique(doubt.row)
    if not len(unsure):
        return found
    cover = mask.cover(lo[unsure], hi[unsure])
    exact = _in_tiles(cover.some, cover.every, kv, mask.keys)
    return TileSets(*(_replaced(getattr(found, x), getattr(exact, x), unsure) for x in _SETS))


_SETS = ("visited", "full")


def _at_least_two(parts: Sequence[Runs]) -> Runs:
    """Row by row what two or more of the parts hold."""
    row, start, stop = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "start", "stop")
    )
    return algebra.covered(row, start, stop, parts[0].rows, 2)


def _replaced(runs: Runs, by: Runs, rows: Ints) -> Runs:
    """Runs with those of some rows replaced."""
    kept = np.ones(runs.rows, dtype=bool)
    kept[rows] = False
    others = np.flatnonzero(kept)
    return algebra.placed([runs.take(others), by], [others, rows], runs.rows)


def _in_tiles(some: Runs, every: Runs, kv: int, keys: int) -> TileSets:
    """Runs of keys as runs of key tiles: outward what is visited, inward what is full."""
    visited = algebra.runs_of(some.row, some.start // kv, -(-some.stop // kv), some.rows)
    stop = np.where(every.stop == keys, -(-keys // kv), every.stop // kv)
    full = algebra.runs_of(every.row, -(-every.start // kv), stop, every.rows)
    return TileSets(visited, full)


def _dynamic_sets(mask: Mask, lo: Ints, hi: Ints, kv: int) -> tuple[Runs, Runs, Runs]:
    """Visited, full and full-ignoring-padding tiles when tiles start at the first key needed."""
    cover = mask.cover(lo, hi)
    origin = np.zeros(len(lo), dtype=np.int64)
    has_keys, first = np.unique(cover.some.row, return_index=True)
    origin[has_keys] = cover.some.start[first]
    some, every = (
        Runs(x.row, x.start - origin[x.row], x.stop - origin[x.row], x.rows)
        for x in (cover.some, cover.every)
    )
    visited = algebra.runs_of(some.row, some.start // kv, -(-some.stop // kv), some.rows)
    full = algebra.runs_of(every.row, -(-every.start // kv), every.stop // kv, every.rows)
    end = mask.keys - origin[every.row]
    stop = np.where(every.stop == end, -(-end // kv), every.stop // kv)
    return visited, full, algebra.runs_of(every.row, -(-every.start // kv), stop, every.rows)


# --- Several dimensions that do not separate -----------------------------------------------------


def _of_grid(mask: Mask, tiling: Tiling) -> _PerTile:
    """Counts of each query tile of a grid, for a mask that is no product over the dimensions."""
    grid = _Grid(mask, tiling)
    tiles = prod(grid.q_counts)
    chunk = max(1, int(BUDGET / (mask.intervals_hint * prod(tiling.q))))
    parts = [grid.count(np.arange(i, min(i + chunk, tiles))) for i in range(0, tiles, chunk)]
    return _PerTile(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in _PerTile.__slots__)
    )


@dataclass(frozen=True)
class _Grid:
    """Tiles of several dimensions over a mask that is only known along the flattened sequence."""

    mask: Mask
    tiling: Tiling

    @cached_property
    def q_counts(self) -> tuple[int, ...]:
        """Query tiles in each dimension."""
        sizes = zip(self.mask.query_layout, self.tiling.q, strict=True)
        return tuple(-(-size // tile) for size, tile in sizes)

    def count(self, q_tiles: Ints) -> _PerTile:
        """Counts of some query tiles, by their row-major numbers."""
        owner, lo, hi = self._ranges(q_tiles)
        cover = self.mask.cover(lo, hi)
        n = len(q_tiles)
        some, every = (
            algebra.grouped(runs, owner, n, every=e)
            for runs, e in ((cover.some, False), (cover.every, True))
        )
        origin = self._first_keys(some)
        visited = np.bincount(self._volumes(some, origin)[0], minlength=n)
        row, held, volume, whole = self._volumes(every, origin)
        full = np.bincount(row[held == whole], minlength=n)
        padded = np.bincount(row[held == volume], minlength=n)
        return _PerTile(visited, full, padded)

    def _ranges(self, q_tiles: Ints) -> tuple[Ints, Ints, Ints]:
        """The rows of tokens along the last dimension that each query tile is made of."""
        at = np.unravel_index(q_tiles, self.q_counts)
        owner, flat = np.arange(len(q_tiles)), np.zeros(len(q_tiles), dtype=np.int64)
        layout, tile = self.mask.query_layout, self.tiling.q
        for d, size in enumerate(layout[:-1]):
            first = at[d][owner] * tile[d]
            number, x = algebra.spread(first, np.minimum(first + tile[d], size))
            owner, flat = owner[number], flat[number] * size + x
        first = at[-1][owner] * tile[-1]
        last = np.minimum(first + tile[-1], layout[-1])
        return owner, flat * layout[-1] + first, flat * layout[-1] + last

    def _first_keys(self, some: Runs) -> list[Ints]:
        """Where the key tiles of each query tile begin in each dimension."""
        dims = len(self.mask.key_layout)
        origin = [np.zeros(some.rows, dtype=np.int64) for _ in range(dims)]
        if self.tiling.dynamic and len(some.row):
            row, start, _ = self._segments(some)
            at = np.unravel_index(start, self.mask.key_layout)
            for d in range(dims):
                least = np.full(some.rows, self.mask.keys)
                np.minimum.at(least, row, at[d])
                origin[d] = np.where(least == self.mask.keys, 0, least)
        return origin

    def _segments(self, runs: Runs) -> tuple[Ints, Ints, Ints]:
        """The runs cut where a row of keys along the last dimension ends."""
        size = self.mask.key_layout[-1]
        number, line = algebra.spread(runs.start // size, -(-runs.stop // size))
        start = np.maximum(runs.start[number], line * size)
        stop = np.minimum(runs.stop[number], (line + 1) * size)
        return runs.row[number], start, stop

    def _volumes(self, runs: Runs, origin: list[Ints]) -> tuple[Ints, Ints, Ints, int]:
        """Of each touched pair of tiles: its row, keys held, keys that exist, volume of a tile."""
        layout, tile = self.mask.key_layout, self.tiling.kv
        row, start, stop = self._segments(runs)
        at = list(np.unravel_index(start, layout))
        begin, end = at[-1] - origin[-1][row], at[-1] - origin[-1][row] + stop - start
        number, last = algebra.spread(begin // tile[-1], -(-end // tile[-1]))
        row = row[number]
        held = np.minimum(end[number], (last + 1) * tile[-1])
        held = held - np.maximum(begin[number], last * tile[-1])
        # Tile numbers per dimension, packed into one so that equal tiles are found by one sort.
        numbers = [(at[d][number] - origin[d][row]) // tile[d] for d in range(len(layout) - 1)]
        numbers.append(last)
        counts = [-(-size // t) + 1 for size, t in zip(layout, tile, strict=True)]
        packed = np.ravel_multi_index([row, *numbers], [runs.rows, *counts])
        tiles, where = np.unique(packed, return_inverse=True)
        total = np.bincount(where, weights=held, minlength=len(tiles)).astype(np.int64)
        row, *numbers = np.unravel_index(tiles, [runs.rows, *counts])
        volume = np.ones(len(tiles), dtype=np.int64)
        for d, size in enumerate(layout):
            first = origin[d][row] + numbers[d] * tile[d]
            volume = volume * (np.minimum(first + tile[d], size) - np.minimum(first, size))
        return row, total, volume, prod(tile)
