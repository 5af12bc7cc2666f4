"""Random subsets of the keys: one exact draw, and what to expect of the tiles of all draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from einfall.einsum_cascades.masks.checks import at_least, refuse
from einfall.einsum_cascades.masks.mask import Steps
from einfall.einsum_cascades.masks.runs import runs_of


def random_keys(
    queries: int, keys: int, *, kept: int, seed: int, block: int | None = None
) -> Steps:
    """Queries attend `kept` of the keys, drawn without replacement: the exact mask of one seed.

    Args:
        queries: P.
        keys: M.
        kept: Keys of a draw.
        seed: Of numpy's default generator (PCG64).
        block: Queries that share a draw; None for all of them, 1 for a draw of each query's own.

    Source:
        SSA (stochastic or random subsets of keys at training time), one draw for all queries of a
        step; Zaheer et al., Big Bird, 2020, arXiv:2007.14062, section 2, draws by block of queries.

    >>> random_keys(4, 8, kept=2, seed=1).pairs
    8
    """
    refuse(_problems(queries, keys, kept, block))
    edges = np.unique(np.append(np.arange(0, queries, block or queries), queries))
    draws = len(edges) - 1
    generator = np.random.default_rng(seed)
    drawn = [np.sort(generator.choice(keys, kept, replace=False)) for _ in range(draws)]
    key = np.concatenate(drawn).astype(np.int64)
    row = np.repeat(np.arange(draws), kept)
    return Steps(edges, runs_of(row, key, key + 1, draws), keys)


def _problems(queries: int, keys: int, kept: int, block: int | None) -> list[str]:
    wrong = at_least(1, queries=queries, keys=keys, kept=kept, block=block or 1)
    if kept > keys:
        wrong.append(f"kept: wanted at most all {keys:,} keys, found {kept:,}")
    if block == 0:
        wrong.append("block: wanted at least 1, found 0")
    return wrong


@dataclass(frozen=True, slots=True)
class ExpectedTiles:
    """Means over all draws, not counts of one: `pairs` alone is the same in each.

    `full` tiles hold no key that is not drawn; `full_ignoring_padding` adds those past the last
    key, as in `TileCounts`. Tiles are static.
    """

    pairs: int
    q_tiles: int
    of_dense: int
    visited: float
    full: float
    full_ignoring_padding: float

    @property
    def speedup_total(self) -> float:
        """Tiles of dense attention over the mean of the tiles visited."""
        return self.of_dense / self.visited


def expected_random_keys(  # noqa: PLR0913  the draw and the tiles
    queries: int, keys: int, *, kept: int, q_tile: int, kv_tile: int, block: int | None = None
) -> ExpectedTiles:
    """Tiles of `random_keys` that are to be expected, in closed form.

    How many of the n keys of a tile are drawn is hypergeometric, and a query tile that g draws
    reach visits the key tile unless all of them miss it:

        P[visited] = 1 - (C(M-n, kept) / C(M, kept))^g
        P[full]    = (C(M-n, kept-n) / C(M, kept))^g

    Args:
        queries: P.
        keys: M.
        kept: Keys of a draw.
        q_tile: Queries of a query tile.
        kv_tile: Keys of a key tile.
        block: Queries that share a draw; None for all of them.

    Two of four keys, tiles of one key: each is drawn with probability 1/2.

    >>> expected_random_keys(1, 4, kept=2, q_tile=1, kv_tile=1).visited
    2.0
    """
    refuse(_problems(queries, keys, kept, block) + at_least(1, q_tile=q_tile, kv_tile=kv_tile))
    lo = np.arange(0, queries, q_tile)
    size = block or queries
    draws = (np.minimum(lo + q_tile, queries) - 1) // size - lo // size + 1
    whole, rest = divmod(keys, kv_tile)
    missed, filled = _chances(keys, kept, kv_tile)
    visited, full = whole * (1 - missed**draws), whole * filled**draws
    padded = full
    if rest:
        missed, filled = _chances(keys, kept, rest)
        visited, padded = visited + 1 - missed**draws, full + filled**draws
    return ExpectedTiles(
        pairs=queries * kept,
        q_tiles=len(lo),
        of_dense=len(lo) * -(-keys // kv_tile),
        visited=float(visited.sum()),
        full=float(full.sum()),
        full_ignoring_padding=float(padded.sum()),
    )


def _chances(keys: int, kept: int, tile: int) -> tuple[float, float]:
    """Probability that a draw misses all keys of a tile, and that it holds all of them."""
    if tile > keys:
        return 0.0, 0.0
    held = list(range(tile))
    # Key after key of the tile, given those before: no binomial coefficient that could overflow.
    missed = _product([(keys - kept - i) / (keys - i) for i in held])
    filled = _product([(kept - i) / (keys - i) for i in held])
    return missed, filled


def _product(factors: list[float]) -> float:
    """The product, 0 from the first factor that is not positive on."""
    result = 1.0
    for factor in factors:
        if factor <= 0:
            return 0.0
        result *= factor
    return result
