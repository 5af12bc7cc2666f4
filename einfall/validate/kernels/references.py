"""What each kernel must compute, in float64: masks and attention by their definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def attention(q: Floats, k: Floats, v: Floats, seen: Bools | None = None) -> Floats:
    """softmax(q·kᵀ/√E)·v over the keys that are seen; a query that sees none gives zeros.

    Args:
        q: Q[B, H, P, E].
        k: K[B, G, M, E]; H/G query heads share a key/value head.
        v: V[B, G, M, E].
        seen: Mask [P, M]; None means all.

    Returns:
        O[B, H, P, E].
    """
    k, v = (np.repeat(x, q.shape[1] // k.shape[1], axis=1) for x in (k, v))
    scores = np.einsum("bhpe,bhme->bhpm", q, k) / np.sqrt(q.shape[3])
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    top = scores.max(axis=3, keepdims=True)
    numerators = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = numerators.sum(axis=3, keepdims=True)
    return np.einsum("bhpm,bhmf->bhpf", numerators / np.where(total == 0, 1.0, total), v)


def causal_mask(seq_q: int, seq_k: int, window: int | None = None) -> Bools:
    """Query p sees keys up to p + M - P, of these the last `window`.

    >>> causal_mask(2, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])
    >>> causal_mask(3, 3, window=2).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 1, 1]])
    """
    ago = np.arange(seq_q)[:, None] + seq_k - seq_q - np.arange(seq_k)[None, :]
    return (ago >= 0) & (ago < (seq_k + seq_q if window is None else window))


def window_starts(length: int, window: int, stride: int) -> NDArray[np.int64]:
    """First key of each position's window along one axis, as generalized neighbourhoods have it.

    Positions in groups of `stride` share the window of their leader, the right one of the two
    middle positions; a window is pushed back inside at a border.

    >>> window_starts(6, window=3, stride=1)
    array([0, 0, 1, 2, 3, 3])
    >>> window_starts(8, window=4, stride=4)  # blocks
    array([0, 0, 0, 0, 4, 4, 4, 4])
    """
    position = np.arange(length)
    leader = np.minimum(position // stride * stride + stride // 2, length - 1)
    return np.clip(leader - window // 2, 0, length - window)


def neighborhood_mask(shape: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> Bools:
    """A key is seen if it is in the query's window along every axis; tokens row by row, [N, N].

    >>> neighborhood_mask((2, 4), (2, 3), (1, 1)).sum(axis=1)
    array([6, 6, 6, 6, 6, 6, 6, 6])
    """
    seen = np.ones((1, 1), dtype=bool)
    for length, wide, step in zip(shape, window, stride, strict=True):
        ahead = np.arange(length)[None, :] - window_starts(length, wide, step)[:, None]
        seen = np.kron(seen, (ahead >= 0) & (ahead < wide))
    return seen


def block_mask(counts: Sequence[int], indices: NDArray, block: int, seq_k: int) -> Bools:
    """Mask [P, M] of a block list, P rounded up to whole blocks.

    >>> block_mask([1, 2], np.array([[1, 9], [0, 1]]), block=1, seq_k=2).astype(int)
    array([[0, 1],
           [1, 1]])
    """
    tiles = np.zeros((len(counts), -(-seq_k // block)), dtype=bool)
    for tile, count in enumerate(counts):
        tiles[tile, indices[tile, :count]] = True
    return np.kron(tiles, np.ones((block, block), dtype=bool))[:, :seq_k]


def random_blocks(
    q_tiles: int, k_tiles: int, density: float, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """A block list: each tile of queries attends round(density·k_tiles) key tiles, at least one.

    Returns:
        Counts [q_tiles] and indices [q_tiles, count], these in rising order.

    >>> counts, indices = random_blocks(3, 8, density=0.25, seed=0)
    >>> counts, indices.shape
    (array([2, 2, 2], dtype=int32), (3, 2))
    """
    count = max(1, round(density * k_tiles))
    random = np.random.default_rng(seed)
    rows = [np.sort(random.permutation(k_tiles)[:count]) for _ in range(q_tiles)]
    return np.full(q_tiles, count, np.int32), np.array(rows, np.int32)


def linear_attention(q: Floats, k: Floats, v: Floats, decay: Floats | None = None) -> Floats:
    """Causal linear attention token by token: S = λ·S + k⊗v, o = E^-1/2·q·S.

    Args:
        q: Q[B, H, P, E].
        k: K[B, H, P, E].
        v: V[B, H, P, F].
        decay: λ of each head [H]; None means 1.

    Returns:
        O[B, H, P, F].
    """
    keep = np.ones(q.shape[1]) if decay is None else decay
    state = np.zeros((*q.shape[:2], q.shape[3], v.shape[3]))
    out = np.empty(v.shape)
    for p in range(q.shape[2]):
        state = state * keep[:, None, None] + np.einsum("bhe,bhf->bhef", k[:, :, p], v[:, :, p])
        out[:, :, p] = np.einsum("bhe,bhef->bhf", q[:, :, p], state)
    return out / np.sqrt(q.shape[3])
