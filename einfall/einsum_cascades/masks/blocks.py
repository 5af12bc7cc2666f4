"""Masks that keep or skip whole blocks of keys: powers of two, strides, listed blocks."""

from __future__ import annotations

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.below import Below
from einfall.einsum_cascades.masks.checks import at_least, refuse
from einfall.einsum_cascades.masks.mask import Steps
from einfall.einsum_cascades.masks.runs import Ints
from einfall.einsum_cascades.masks.sequences import positions


def power(queries: int, keys: int, *, block: int, window: int, sinks: int = 1) -> Below:
    """Key blocks near by, at distances that are powers of two, and the first ones; causal.

    With blocks i = ⌊t/b⌋ of the query, t = p + M - P, and j = ⌊k/b⌋ of the key, k <= t is kept iff

        i - j < window,  or  i - j is a power of two,  or  j < sinks

    Args:
        queries: P.
        keys: M.
        block: Tokens of a block: b.
        window: Blocks of the window, the query's own among them.
        sinks: Blocks at the beginning that all attend.

    Source:
        Chen et al., PowerAttention, 2025, arXiv:2503.03588, section 3 (blocks of 256, window 5).

    Of 8 blocks the last attends 7, 6, 5 and 3 (distances 0, 1, 2, 4), and 0 as the sink:

    >>> np.flatnonzero(power(8, 8, block=1, window=1).dense_array()[7]).tolist()
    [0, 3, 5, 6, 7]
    """
    refuse(
        at_least(1, queries=queries, keys=keys, block=block, window=window)
        + at_least(0, sinks=sinks)
    )
    ids = block_ids(queries, keys, block)
    distances = 2 ** np.arange(max(1, -(-keys // block)).bit_length())
    row = np.repeat(np.arange(len(ids)), len(distances))
    far = (ids[:, None] - distances[None, :]).ravel()
    zero = np.zeros_like(ids)
    return blocks_below(
        queries,
        keys,
        block,
        row=np.concatenate([np.arange(len(ids)), np.arange(len(ids)), row]),
        first=np.concatenate([ids - window + 1, zero, far]),
        last=np.concatenate([ids, np.minimum(zero + sinks - 1, ids), far]),
    )


def strided(  # noqa: PLR0913  the numbers of the paper
    queries: int, keys: int, *, block: int, local: int, stride: int, offset: int
) -> Below:
    """One head of S2-Attention: local blocks, and one block in `stride`; causal.

    With blocks i = ⌊t/b⌋ of the query, t = p + M - P, and j = ⌊k/b⌋ of the key, k <= t is kept iff

        i - j < local  or  (j + offset) mod stride = 0

    Source:
        Lin et al., S2-Attention, 2024, arXiv:2407.17678, section 3.

    >>> strided(4, 4, block=1, local=1, stride=2, offset=1).dense_array()[2:].astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 0, 1]]
    """
    refuse(
        at_least(1, queries=queries, keys=keys, block=block, stride=stride)
        + at_least(0, local=local)
    )
    ids = block_ids(queries, keys, block)
    first = -offset % stride
    row, nth = algebra.spread(np.zeros_like(ids), (ids - first) // stride + 1)
    far = first + nth * stride
    return blocks_below(
        queries,
        keys,
        block,
        row=np.concatenate([np.arange(len(ids)), row]),
        first=np.concatenate([ids - local + 1, far]),
        last=np.concatenate([ids, far]),
    )


def block_ids(queries: int, keys: int, block: int) -> Ints:
    """Numbers of the blocks that queries stand in, from the first to the last query."""
    at = keys - queries
    return np.arange(at // block, (keys - 1) // block + 1)


def blocks_below(  # noqa: PLR0913  a range of blocks takes three arrays
    queries: int, keys: int, block: int, *, row: Ints, first: Ints, last: Ints
) -> Below:
    """Query blocks, by place among `block_ids`, that attend key blocks first..last; causal."""
    ids = block_ids(queries, keys, block)
    edges = np.append(np.maximum(ids * block - (keys - queries), 0), queries)
    start, stop = np.maximum(first, 0) * block, np.minimum((last + 1) * block, keys)
    limit = np.clip(positions(queries, keys) + 1, 0, keys)
    return Below(edges, algebra.runs_of(row, start, stop, len(ids)), limit, keys)


def block_map(blocks: np.ndarray, queries: int, keys: int, *, q_block: int, k_block: int) -> Steps:
    """Query block i attends the whole of key block j iff blocks[i, j].

    Args:
        blocks: Booleans [⌈P/q_block⌉, ⌈M/k_block⌉]; the last blocks may be short.
        queries: P.
        keys: M.
        q_block: Queries of a block.
        k_block: Keys of a block.

    Raises:
        MaskError: The array is of another size.

    >>> block_map(np.array([[1, 0], [1, 1]]), 4, 3, q_block=2, k_block=2).pairs
    10
    """
    refuse(at_least(1, queries=queries, keys=keys, q_block=q_block, k_block=k_block))
    wanted = -(-queries // q_block), -(-keys // k_block)
    if blocks.shape != wanted:
        found = " x ".join(map(str, blocks.shape))
        refuse(
            [
                f"blocks: wanted {wanted[0]} x {wanted[1]} for {queries:,} queries in blocks of "
                f"{q_block} and {keys:,} keys in blocks of {k_block}, found {found}"
            ]
        )
    row, column = np.nonzero(blocks)
    stop = np.minimum((column + 1) * k_block, keys)
    of_block = algebra.runs_of(row, column * k_block, stop, len(blocks))
    edges = np.minimum(np.arange(len(blocks) + 1) * q_block, queries)
    return Steps(edges, of_block, keys)


def block_list(pairs: np.ndarray, queries: int, keys: int, *, q_block: int, k_block: int) -> Steps:
    """As `block_map`, by the [n, 2] numbers of the query and key blocks that are kept.

    Raises:
        MaskError: A number lies outside the problem.

    >>> block_list(np.array([[0, 0], [1, 1]]), 4, 4, q_block=2, k_block=2).pairs
    8
    """
    refuse(at_least(1, queries=queries, keys=keys, q_block=q_block, k_block=k_block))
    shape = -(-queries // q_block), -(-keys // k_block)
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    refuse(
        [
            f"{name}: wanted blocks 0..{size - 1}, found {int(number)}"
            for name, size, numbers in zip(("q_block", "k_block"), shape, pairs.T, strict=True)
            for number in np.unique(numbers[(numbers < 0) | (numbers >= size)])
        ]
    )
    blocks = np.zeros(shape, dtype=bool)
    blocks[pairs[:, 0], pairs[:, 1]] = True
    return block_map(blocks, queries, keys, q_block=q_block, k_block=k_block)
