"""Masks along one sequence: dense, causal, windows, sinks, dilation, triangle.

Where queries and keys differ in number the last query stands at the last key ("bottom-right"), as
in FlashAttention 2.1 and later: query p stands at key t = p + M - P.
"""

from __future__ import annotations

import numpy as np

from einfall.einsum_cascades.masks.below import Below
from einfall.einsum_cascades.masks.checks import at_least, refuse
from einfall.einsum_cascades.masks.mask import Band, Mask, Strided, unite
from einfall.einsum_cascades.masks.runs import Ints, Runs, one_each


def positions(queries: int, keys: int) -> Ints:
    """The key that each query stands at: t = p + M - P; below 0 where there is none."""
    return np.arange(queries) + keys - queries


def dense(queries: int, keys: int) -> Band:
    """Every query attends every key.

    >>> dense(3, 4).pairs
    12
    """
    refuse(at_least(1, queries=queries, keys=keys))
    nothing = np.zeros(queries, dtype=np.int64)
    return Band(nothing, nothing + keys, keys)


def causal(queries: int, keys: int) -> Band:
    """Query p attends k <= p + M - P: itself and what came before, the last query everything.

    Source:
        Dao, FlashAttention-2, 2023, arXiv:2307.08691, section 3.1; its release 2.1 lines up the
        last query with the last key.

    >>> causal(3, 4).dense_array().astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """
    return sliding_window(queries, keys, left=keys + queries)


def sliding_window(queries: int, keys: int, *, left: int, right: int = 0) -> Band:
    """Query p attends t - left <= k <= t + right with t = p + M - P.

    A causal window of w keys, the query's own among them, is left = w - 1. At the borders windows
    are truncated, not pushed back as in a neighbourhood.

    Args:
        queries: P.
        keys: M.
        left: Keys before the query's own.
        right: Keys after it.

    Source:
        Beltagy et al., Longformer, 2020, arXiv:2004.05150, section 3.1; Jiang et al., Mistral 7B,
        2023, arXiv:2310.06825, section 2.

    >>> sliding_window(4, 4, left=1).dense_array().astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    """
    refuse(at_least(1, queries=queries, keys=keys) + at_least(0, left=left, right=right))
    at = positions(queries, keys)
    return Band(np.clip(at - left, 0, keys), np.clip(at + right + 1, 0, keys), keys)


def sink_window(queries: int, keys: int, *, sinks: int, window: int) -> Mask:
    """Query p attends k <= t with k < sinks or t - k < window, t = p + M - P.

    Source:
        Xiao et al., StreamingLLM, 2023, arXiv:2309.17453, section 3.2.

    >>> sink_window(4, 4, sinks=1, window=2).dense_array().astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]
    """
    refuse(at_least(0, sinks=sinks) + at_least(1, window=window))
    recent = sliding_window(queries, keys, left=window - 1)
    if not sinks:
        return recent
    stop = np.minimum(recent.stop, sinks)
    return unite(Band(np.zeros_like(stop), stop, keys), recent)


def dilated_window(queries: int, keys: int, *, left: int, right: int = 0, dilation: int) -> Strided:
    """Query p attends k = t + i·dilation for -left <= i <= right, t = p + M - P.

    A causal window of w keys is left = w - 1. Tiles are counted where the tokens stand; `gna` with
    a dilation is the form whose kernels cut tiles inside each dilation class.

    Source:
        Beltagy et al., Longformer, 2020, arXiv:2004.05150, section 3.1, figure 2c.

    >>> dilated_window(5, 5, left=1, dilation=2).dense_array()[3:].astype(int).tolist()
    [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1]]
    """
    refuse(
        at_least(1, queries=queries, keys=keys, dilation=dilation)
        + at_least(0, left=left, right=right)
    )
    at = positions(queries, keys)
    first = np.maximum(-left, -(at // dilation))
    last = np.minimum(right, (keys - 1 - at) // dilation)
    count = np.maximum(last - first + 1, 0)
    start = np.where(count > 0, at + first * dilation, at % dilation)
    return Strided(start, count, dilation, keys)


def triangle(queries: int, keys: int, *, sinks: int, window: int, last: int) -> Mask:
    """Sinks and a recent window as in `sink_window`; the last queries attend all keys up to theirs.

    Query p attends k <= t with k < sinks, or t - k < window, or p >= P - last.

    Source:
        He et al., TriangleMix, 2025, arXiv:2507.21526, section 3: the streaming part and the last
        rows of the attention matrix, its middle left out.

    >>> triangle(4, 4, sinks=1, window=1, last=1).dense_array().astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]]
    """
    refuse(at_least(0, last=last))
    streaming = sink_window(queries, keys, sinks=sinks, window=window)
    if not last:
        return streaming
    edges = np.unique([0, max(queries - last, 0), queries])
    blocks = len(edges) - 1
    all_keys = one_each(np.array([0]), np.array([keys]))
    dense_rows = Runs(all_keys.row + blocks - 1, all_keys.start, all_keys.stop, blocks)
    limit = np.clip(positions(queries, keys) + 1, 0, keys)
    return unite(streaming, Below(edges, dense_rows, limit, keys))
