"""Masks by their element-wise definitions, and tiles counted one by one: what the exact ones equal.

Each family is a predicate "query p attends key k" written from its paper, with plain integers and
without anything of einfall's masks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import ceil, floor, prod

import numpy as np


def array(predicate, queries, keys):
    """The mask of a predicate, pair by pair."""
    return np.array([[bool(predicate(p, k)) for k in range(keys)] for p in range(queries)])


def outer(arrays):
    """The mask over a grid: attended where every dimension is."""
    result = arrays[0]
    for other in arrays[1:]:
        result = np.kron(result, other)
    return result.astype(bool)


@dataclass(frozen=True)
class Counts:
    """What is counted of tiles."""

    visited: int
    most: int
    full: int
    full_ignoring_padding: int
    q_tiles: int


def tiles(mask, layouts, q_tile, kv_tile, dynamic=False):
    """Look into every pair of a query tile and a key tile."""
    q_layout, k_layout = layouts
    grid = mask.reshape(*q_layout, *k_layout)
    visits, full, padded = [], 0, 0
    for q_at in _origins(q_layout, q_tile, [0] * len(q_layout)):
        rows = grid[_box(q_at, q_tile)].reshape(-1, *k_layout)
        some = rows.any(axis=0)
        origin = [0] * len(k_layout)
        if dynamic and some.any():
            origin = [int(axis.min()) for axis in np.nonzero(some)]
        visited = 0
        for k_at in _origins(k_layout, kv_tile, origin):
            block = rows[(slice(None), *_box(k_at, kv_tile))]
            visited += block.any()
            padded += block.all()
            full += block.all() and block[0].size == prod(kv_tile)
        visits.append(int(visited))
    return Counts(sum(visits), max(visits), int(full), int(padded), len(visits))


def _origins(layout, tile, first):
    sides = zip(first, layout, tile, strict=True)
    return itertools.product(*(range(begin, size, step) for begin, size, step in sides))


def _box(at, tile):
    return tuple(slice(begin, begin + size) for begin, size in zip(at, tile, strict=True))


# Families -----------------------------------------------------------------------------------------


def sliding(queries, keys, left, right=0):
    return lambda p, k: -left <= k - (p + keys - queries) <= right


def causal(queries, keys):
    return lambda p, k: k <= p + keys - queries


def sink_window(queries, keys, sinks, window):
    def attends(p, k):
        t = p + keys - queries
        return k <= t and (k < sinks or t - k < window)

    return attends


def dilated(queries, keys, left, right, dilation):
    steps = [i * dilation for i in range(-left, right + 1)]
    return lambda p, k: k - (p + keys - queries) in steps


def triangle(queries, keys, sinks, window, last):
    streaming = sink_window(queries, keys, sinks, window)
    before = causal(queries, keys)
    return lambda p, k: streaming(p, k) or (p >= queries - last and before(p, k))


def gna(length, window, stride, dilation, is_causal):
    """Along one dimension, from the prose of the paper: classes, groups, leaders, windows."""

    def attends(x, y):
        if x % dilation != y % dilation:
            return False
        members = list(range(x % dilation, length, dilation))
        n, p, at = len(members), x // dilation, y // dilation
        group = [m for m in range(n) if m // stride == p // stride]
        begin = p // stride * stride
        if is_causal:
            leader = min(begin + stride - 1, n - 1)
            assert leader == group[-1]
            return max(leader - window + 1, 0) <= at <= p
        leader = min(begin + stride // 2, n - 1)
        start = min(max(leader - window // 2, 0), n - window)
        return start <= at < start + window

    return attends


def blocked(length, block, shift):
    cuts = [c for c in range(shift % block, length, block) if c > 0]
    return lambda x, y: not any(min(x, y) < cut <= max(x, y) for cut in cuts)


def halo(length, block, around):
    def attends(x, y):
        own = [z for z in range(length) if z // block == x // block]
        first = x // block * block
        return y in own or any(0 < d <= around for d in (first - y, y - (first + block - 1)))

    return attends


def grid(length, tokens):
    return lambda x, y: abs(x - y) % (length // tokens) == 0


def strided(size, block, local, stride, of_heads):
    (queries, keys), (head, heads) = size, of_heads
    step = max(1, int(stride / heads))

    def attends(p, k):
        t = p + keys - queries
        i, j = t // block, k // block
        return k <= t and (i - j < local or (j + head * step + 1) % stride == 0)

    return attends


def power(queries, keys, block, window, sinks):
    def attends(p, k):
        t = p + keys - queries
        x = t // block - k // block
        return k <= t and (x < window or x & (x - 1) == 0 or k // block < sinks)

    return attends


def radial(tokens, least, sink):
    def attends(p, q):
        (a, k), (c, m) = divmod(p, tokens), divmod(q, tokens)
        band = 0
        while 2 ** (band + 1) <= max(abs(a - c), 1):
            band += 1
        width = tokens / 2**band
        if sink and c == 0:
            return True
        if width >= least:
            return abs(k - m) + 1 <= width
        return abs(k - m) + 1 <= least and abs(a - c) % ceil(least * 2**band / tokens) == 0

    return attends


def documents(lengths, key_lengths, is_causal, front, behind):
    """Owners: 0 the shared tokens in front, 1.. the documents, -1 the shared tokens behind."""
    q_owner = [0] * front + [i + 1 for i, n in enumerate(lengths) for _ in range(n)] + [-1] * behind
    k_owner = (
        [0] * front + [i + 1 for i, n in enumerate(key_lengths) for _ in range(n)] + [-1] * behind
    )

    def attends(p, k):
        mine, other = q_owner[p], k_owner[k]
        if not is_causal:
            return mine == other or mine in (0, -1) or other in (0, -1)
        if mine == other:  # steps before the end of the document
            q_left = len(q_owner) - 1 - q_owner[::-1].index(mine) - p
            k_left = len(k_owner) - 1 - k_owner[::-1].index(mine) - k
            return k_left >= q_left
        return other == 0 or mine == -1

    return attends


def block_rank(instruction, lengths, query):
    size = instruction + sum(lengths) + query
    owner = [i for i, n in enumerate(lengths) for _ in range(n)]

    def attends(p, k):
        if k > p:
            return False
        if k < instruction or p >= size - query:
            return True
        return p >= instruction and owner[p - instruction] == owner[k - instruction]

    return attends


def block_diagonal(queries, keys, block, is_causal):
    def attends(p, k):
        t = p + keys - queries
        return floor(t / block) == k // block and (k <= t or not is_causal)

    return attends


def block_map(blocks, q_block, k_block):
    return lambda p, k: blocks[p // q_block][k // k_block]
