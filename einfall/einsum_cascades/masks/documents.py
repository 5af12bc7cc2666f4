"""Masks of documents that lie one after the other: ragged, block-diagonal, BlockRank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.below import Below
from einfall.einsum_cascades.masks.checks import at_least, refuse
from einfall.einsum_cascades.masks.mask import Band, Mask
from einfall.einsum_cascades.masks.runs import Ints
from einfall.einsum_cascades.masks.sequences import positions


def documents(
    lengths: Sequence[int],
    *,
    causal: bool = False,
    key_lengths: Sequence[int] | None = None,
    front: int = 0,
    behind: int = 0,
) -> Mask:
    """Documents packed into one sequence; tokens attend their own document and shared tokens.

    Query p of a document with queries [q0, q1) and keys [k0, k1) attends [k0, k1), or, if causal,
    those k of them with k1 - k > q1 - 1 - p: in each document the last query stands at the last
    key. `front` tokens before and `behind` tokens after all documents are shared: they attend
    everything and everything attends them, if causal as far as it came before.

    Args:
        lengths: Queries of each document.
        causal: Whether a token attends nothing that comes after it.
        key_lengths: Keys of each document, where they are not as many as its queries.
        front: Shared tokens in front: a common prefix, the instruction of a prompt, text tokens.
        behind: Shared tokens behind.

    Raises:
        MaskError: A length is below one, or there are more or fewer key lengths than lengths.

    Source:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        arXiv:2107.02027, section 3.2; variable lengths of FlashAttention (`cu_seqlens`).

    >>> documents([2, 1], causal=True).dense_array().astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    of_keys = lengths if key_lengths is None else key_lengths
    refuse(_document_problems(lengths, of_keys, front, behind))
    q_edges, k_edges = (_edges(front, sizes, behind) for sizes in (lengths, of_keys))
    segment = np.repeat(np.arange(len(q_edges) - 1), np.diff(q_edges))
    begin, end = k_edges[segment], k_edges[segment + 1]
    keys = int(k_edges[-1])
    if causal:
        own = np.arange(len(segment)) + 1 + end - q_edges[segment + 1]
        limit = np.maximum(own, begin)
    else:
        limit = end
    if not front and not behind:
        return Band(begin, limit, keys)
    limit = limit if causal else np.full_like(limit, keys)
    return _with_shared(q_edges, k_edges, limit, front, behind)


def _document_problems(
    lengths: Sequence[int], of_keys: Sequence[int], front: int, behind: int
) -> list[str]:
    wrong = at_least(0, front=front, behind=behind)
    if not len(lengths):
        wrong.append("lengths: wanted at least one document, found none")
    if len(lengths) != len(of_keys):
        wrong.append(
            f"key_lengths: wanted one for each of the {len(lengths):,} documents, "
            f"found {len(of_keys):,}"
        )
    named = [("lengths", lengths)] + [("key_lengths", of_keys)] * (of_keys is not lengths)
    for name, sizes in named:
        wrong += [
            f"{name}: wanted documents of at least 1 token, found {size} for document {i}"
            for i, size in enumerate(sizes)
            if size < 1
        ]
    return wrong


def _edges(front: int, sizes: Sequence[int], behind: int) -> Ints:
    """Where documents begin; the first and the last segment are the shared tokens, if any."""
    return np.concatenate([[0], np.cumsum([front, *sizes, behind])]).astype(np.int64)


def _with_shared(q_edges: Ints, k_edges: Ints, limit: Ints, front: int, behind: int) -> Below:
    """Segments that attend the shared tokens too, each up to its limit."""
    keys, segments = int(k_edges[-1]), len(q_edges) - 1
    row = np.arange(segments)
    shared = (row == 0) | (row == segments - 1)
    runs = algebra.runs_of(
        np.concatenate([row, row, row]),
        np.concatenate([np.where(shared, 0, k_edges[:-1]), 0 * row, 0 * row + keys - behind]),
        np.concatenate([np.where(shared, keys, k_edges[1:]), 0 * row + front, 0 * row + keys]),
        segments,
    )
    real = np.flatnonzero(np.diff(q_edges))
    edges = np.append(q_edges[real], q_edges[-1])
    return Below(edges, runs.take(real), limit, keys)


def block_rank(instruction: int, documents_: Sequence[int], query: int) -> Mask:
    """BlockRank: documents see the instruction and themselves, the query sees all; causal.

    Args:
        instruction: Tokens of the instruction, in front.
        documents_: Tokens of each document.
        query: Tokens of the query, behind.

    Source:
        Gupta et al., Scalable In-context Ranking with Generative Models (BlockRank), 2025,
        arXiv:2510.05396, section 3.

    >>> block_rank(1, [2, 1], 1).dense_array().astype(int).tolist()[2:]
    [[1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 1, 1, 1, 1]]
    """
    return documents(documents_, causal=True, front=instruction, behind=query)


def block_diagonal(queries: int, keys: int, *, block: int, causal: bool = False) -> Band:
    """Query p attends the keys of its block: ⌊k/b⌋ = ⌊t/b⌋, k <= t if causal, t = p + M - P.

    Source:
        Qin et al., The Devil in Linear Transformer (TransNormer), 2022, arXiv:2210.10340, section
        4.2 (DiagAttention).

    >>> block_diagonal(3, 3, block=2, causal=True).dense_array().astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    refuse(at_least(1, queries=queries, keys=keys, block=block))
    at = positions(queries, keys)
    begin = at // block * block
    end = at + 1 if causal else begin + block
    return Band(np.clip(begin, 0, keys), np.clip(end, 0, keys), keys)
