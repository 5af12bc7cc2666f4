"""Which tiles of queries and keys a masked cascade works on, counted by kind.

A nest that cuts queries and keys into tiles does not run the product of the tiles but those pairs
in which some query attends some key; a pair that is run is run whole. Where keys are not cut, an
execution works on the key tiles that any of its queries attends. Pairs of one size are alike, so
that sums over a nest remain short: full or ragged on either side, four kinds at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product as combinations
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from einfall.sim.mapping import MappingError
from einfall.sim.numeric import Number, is_array

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import Mask
    from einfall.einsum_cascades.masks.runs import Ints, Runs

LARGEST_GRID = 1 << 26
"""Pairs of tiles that are looked at one by one, at most."""

Pieces = tuple[tuple[dict[str, Number], Number], ...]
"""(extents by rank, how many executions have them)."""

_Kinds = Counter[tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Visits:
    """Pairs of query and key tiles that some attended pair lies in.

    Attributes:
        masks: One for all heads, or one for each head, in order.
        queries: Rank of the queries in the nest.
        keys: Rank of the keys.
        key_tile: Size of the key tiles that are skipped where the nest does not cut the keys.
        heads: Ranks whose coordinates number the heads, slowest first, where masks differ.
    """

    masks: tuple[Mask, ...]
    queries: str
    keys: str
    key_tile: Number
    heads: tuple[str, ...] = ()
    _memo: dict[Hashable, _Kinds] = field(default_factory=dict, repr=False)

    @property
    def ranks(self) -> tuple[str, ...]:
        """The ranks whose tiles are not independent of each other."""
        return (*self.heads, self.queries, self.keys)

    def pieces(self, whole: Mapping[str, Number], tiles: Mapping[str, Number]) -> Pieces:
        """The executions of a task, by the extents that they have of the coupled ranks.

        Args:
            whole: Size of each rank.
            tiles: Tile of the ranks that are cut; arrays in a sweep over machines.

        >>> from einfall.einsum_cascades.masks import Band
        >>> causal = Band(np.zeros(6, dtype=int), np.arange(1, 7), 6)
        >>> Visits((causal,), "P", "M", 4).pieces({"P": 6, "M": 6}, {"P": 4, "M": 4})
        (({'P': 4, 'M': 4}, 1), ({'P': 2, 'M': 4}, 1), ({'P': 2, 'M': 2}, 1))
        """
        sizes = {rank: int(whole[rank]) for rank in self.ranks}
        columns = [tiles[rank] for rank in self.ranks if rank in tiles]
        names = [rank for rank in self.ranks if rank in tiles]
        if not any(map(is_array, (*columns, self.key_tile))):
            kinds = self._kinds(sizes, {r: int(tiles[r]) for r in names}, int(self.key_tile))
            return tuple((dict(zip(self.ranks, kind, strict=True)), n) for kind, n in kinds.items())
        return self._swept(sizes, names, [*columns, self.key_tile])

    def _swept(self, sizes: dict[str, int], names: list[str], columns: list[Number]) -> Pieces:
        """Each combination of tiles counted once, then gathered; kinds that it lacks: 0 times."""
        grid = np.broadcast_arrays(*columns)
        table = np.stack([x.ravel() for x in grid], axis=1)
        found, where = np.unique(table, axis=0, return_inverse=True)
        where = where.reshape(grid[0].shape)
        kinds = []
        for row in found.astype(int).tolist():
            kinds.append(
                [*self._kinds(sizes, dict(zip(names, row, strict=False)), row[-1]).items()]
            )
        most = max(map(len, kinds))
        none = ((0,) * len(self.ranks), 0)
        padded = [[*some, *[none] * (most - len(some))] for some in kinds]
        pieces = []
        for alike in zip(*padded, strict=True):
            extents = np.array([kind for kind, _ in alike], dtype=float)
            times = np.array([n for _, n in alike], dtype=float)
            by_rank = {rank: extents[where, i] for i, rank in enumerate(self.ranks)}
            pieces.append((by_rank, times[where]))
        return tuple(pieces)

    def _kinds(self, whole: dict[str, int], tiles: dict[str, int], key_tile: int) -> _Kinds:
        """Executions by the extents that they have of `ranks`."""
        total: _Kinds = Counter()
        for (sizes, masks), times in self._blocks(whole, tiles).items():
            sides = (tiles.get(self.queries, whole[self.queries]), tiles.get(self.keys), key_tile)
            for kind, n in self._pairs(masks, *sides).items():
                total[(*sizes, *kind)] += n * times
        return total

    def _blocks(
        self, whole: Mapping[str, int], tiles: Mapping[str, int]
    ) -> Counter[tuple[tuple[int, ...], tuple[Mask, ...]]]:
        """Heads that one execution covers: (how many of each rank, their masks), how often."""
        blocks: Counter[tuple[tuple[int, ...], tuple[Mask, ...]]] = Counter()
        for _, sizes, masks in self._head_blocks(whole, tiles):
            blocks[sizes, masks] += 1
        return blocks

    def _head_blocks(
        self, whole: Mapping[str, int], tiles: Mapping[str, int]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[Mask, ...]]]:
        """(coordinates of the block, sizes, masks) of each block of heads."""
        cuts = []
        for rank in self.heads:
            tile = tiles.get(rank, whole[rank])
            cuts.append([range(x, min(x + tile, whole[rank])) for x in range(0, whole[rank], tile)])
        for block in combinations(*map(enumerate, cuts)):
            ranges = [coordinates for _, coordinates in block]
            numbers = [0]
            for rank, coordinates in zip(self.heads, ranges, strict=True):
                numbers = [n * whole[rank] + x for n in numbers for x in coordinates]
            masks = tuple(dict.fromkeys(self.masks[n] for n in numbers))
            yield tuple(i for i, _ in block), tuple(map(len, ranges)), masks

    def _pairs(self, masks: tuple[Mask, ...], q: int, kv: int | None, key_tile: int) -> _Kinds:
        """(queries, keys) of the executions of one block of heads."""
        key = (masks, q, kv, key_tile if kv is None else None)
        if key not in self._memo:
            kinds: _Kinds = Counter()
            for sizes, visited in _visited(masks, q, kv or key_tile):
                keys, width = masks[0].keys, kv or key_tile
                count = _whole_rows if kv is None else _tile_pairs
                kinds.update(count(sizes, visited, keys, width))
            self._memo[key] = Counter(
                {kind: kinds[kind] for kind in sorted(kinds)[::-1] if kinds[kind]}
            )
        return self._memo[key]

    def grid(self, whole: Mapping[str, Number], tiles: Mapping[str, int]) -> np.ndarray:
        """Which tiles are visited: booleans [blocks of each rank of heads, query tiles, key tiles].

        Raises:
            MappingError: There are more than 2^26 pairs of tiles.
        """
        sizes = {rank: int(whole[rank]) for rank in self.ranks}
        q, kv = (tiles.get(rank, sizes[rank]) for rank in (self.queries, self.keys))
        blocks = [-(-sizes[r] // tiles.get(r, sizes[r])) for r in self.heads]
        shape = (*blocks, -(-sizes[self.queries] // q), -(-sizes[self.keys] // kv))
        if prod(shape) > LARGEST_GRID:
            found = " x ".join(f"{n:,}" for n in shape)
            raise MappingError(
                f"mask: wanted at most 2^26 pairs of tiles to simulate, found {found}; "
                f"ask without the simulation, or for larger tiles"
            )
        grid = np.zeros(shape, dtype=bool)
        for at, _, masks in self._head_blocks(sizes, tiles):
            row = 0
            for sizes_of, visited in _visited(masks, q, kv):
                grid[at][row : row + len(sizes_of)] = _filled(visited, shape[-1])
                row += len(sizes_of)
        return grid


def _visited(masks: tuple[Mask, ...], q: int, kv: int) -> Iterator[tuple[Ints, Runs]]:
    """(queries, visited key tiles) of query tiles, some at a time: memory does not grow with P."""
    from einfall.einsum_cascades.masks import runs
    from einfall.einsum_cascades.masks.mask import BUDGET
    from einfall.einsum_cascades.masks.tiles import tile_sets

    lo = np.arange(0, masks[0].queries, q)
    hi = np.minimum(lo + q, masks[0].queries)
    chunk = max(1, int(BUDGET / (q * sum(m.intervals_hint for m in masks))))
    for i in range(0, len(lo), chunk):
        first, last = lo[i : i + chunk], hi[i : i + chunk]
        yield last - first, runs.union([tile_sets(m, first, last, kv).visited for m in masks])


def _tile_pairs(queries: Ints, visited: Runs, keys: int, kv: int) -> _Kinds:
    """Pairs of tiles by their two sizes."""
    tiles, ragged = -(-keys // kv), _reaches_end(visited, keys, kv)
    full = visited.length - ragged
    kinds: _Kinds = Counter()
    for size in np.unique(queries).tolist():
        alike = queries == size
        kinds[size, min(kv, keys)] += int(full[alike].sum())
        kinds[size, keys - (tiles - 1) * kv] += int(ragged[alike].sum())
    return kinds


def _whole_rows(queries: Ints, visited: Runs, keys: int, kv: int) -> _Kinds:
    """Query tiles by their size and by the size of all that they visit."""
    missing = -(-keys // kv) * kv - keys
    width = visited.length * kv - _reaches_end(visited, keys, kv) * missing
    kinds, times = np.unique(np.stack([queries, width]), axis=1, return_counts=True)
    return Counter(dict(zip(map(tuple, kinds.T.tolist()), times.tolist(), strict=True)))


def _reaches_end(visited: Runs, keys: int, kv: int) -> Ints:
    """1 for each row that visits the last key tile where it is ragged, else 0."""
    last = np.zeros(visited.rows, dtype=np.int64)
    if keys % kv:
        last[visited.row[visited.stop == -(-keys // kv)]] = 1
    return last


def _filled(runs: Runs, width: int) -> np.ndarray:
    """Runs as booleans [rows, width]."""
    edges = np.zeros((runs.rows, width + 1), dtype=np.int8)
    edges[runs.row, runs.start] = 1
    edges[runs.row, runs.stop] = -1
    return np.cumsum(edges[:, :width], axis=1, dtype=np.int8).astype(bool)
