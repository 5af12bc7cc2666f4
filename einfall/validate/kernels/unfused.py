"""Attention in three kernels with the scores in memory: q·kᵀ, a softmax of each row, and p·v.

The softmax passes over a row three times: for the maximum, for the sum, and to divide. Scores and
probabilities have the type of the inputs, and share one array.
"""
# ruff: noqa: ANN001, ANN201, PLR0913 -- a Triton kernel's pointers and counts have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import SOFTMAX_COLUMNS, Tile


@triton.jit(do_not_specialize=["heads", "group", "seq_q", "seq_k"])
def scores_kernel(
    q_ptr,
    k_ptr,
    scores_ptr,
    scale,
    heads,
    group,
    seq_q,
    seq_k,
    HEAD_DIM: tl.constexpr,
    TILE_Q: tl.constexpr,
    TILE_K: tl.constexpr,
):
    """One tile of scale·q·kᵀ; grid: (query tiles·key tiles, batch·heads), key tiles fastest."""
    k_tiles = tl.cdiv(seq_k, TILE_K)
    head = tl.program_id(1).to(tl.int64)
    kv_head = head // heads * (heads // group) + head % heads // group
    rows = tl.program_id(0) // k_tiles * TILE_Q + tl.arange(0, TILE_Q)
    keys = tl.program_id(0) % k_tiles * TILE_K + tl.arange(0, TILE_K)
    width = tl.arange(0, HEAD_DIM)
    q_at = head * seq_q * HEAD_DIM + rows[:, None] * HEAD_DIM + width[None, :]
    k_at = kv_head * seq_k * HEAD_DIM + keys[:, None] * HEAD_DIM + width[None, :]
    q = tl.load(q_ptr + q_at, mask=rows[:, None] < seq_q, other=0.0)
    k = tl.load(k_ptr + k_at, mask=keys[:, None] < seq_k, other=0.0)
    scores = (tl.dot(q, tl.trans(k)) * scale).to(scores_ptr.dtype.element_ty)
    at = head * seq_q * seq_k + rows[:, None].to(tl.int64) * seq_k + keys[None, :]
    tl.store(scores_ptr + at, scores, mask=(rows[:, None] < seq_q) & (keys[None, :] < seq_k))


@triton.jit(do_not_specialize=["seq_q", "seq_k"])
def softmax_kernel(scores_ptr, seq_q, seq_k, COLUMNS: tl.constexpr, CAUSAL: tl.constexpr):
    """Softmax of one row in place, in three passes; grid: (seq_q, batch·heads)."""
    row = tl.program_id(0)
    at = (tl.program_id(1).to(tl.int64) * seq_q + row) * seq_k
    end = seq_k
    if CAUSAL:
        end = tl.maximum(row + 1 + seq_k - seq_q, 0)
    column = tl.arange(0, COLUMNS)
    top = tl.full([COLUMNS], float("-inf"), tl.float32)
    for start in range(0, end, COLUMNS):
        keys = start + column
        x = tl.load(scores_ptr + at + keys, mask=keys < end, other=float("-inf"))
        top = tl.maximum(top, x.to(tl.float32))
    row_max = tl.max(top, 0)
    total = tl.zeros([COLUMNS], tl.float32)
    for start in range(0, end, COLUMNS):
        keys = start + column
        x = tl.load(scores_ptr + at + keys, mask=keys < end, other=float("-inf"))
        total += tl.exp(x.to(tl.float32) - row_max)
    row_sum = tl.sum(total, 0)
    for start in range(0, seq_k, COLUMNS):
        keys = start + column
        x = tl.load(scores_ptr + at + keys, mask=keys < end, other=float("-inf"))
        y = tl.where(keys < end, tl.exp(x.to(tl.float32) - row_max) / row_sum, 0.0)
        tl.store(scores_ptr + at + keys, y.to(scores_ptr.dtype.element_ty), mask=keys < seq_k)


@triton.jit(do_not_specialize=["heads", "group", "seq_q", "seq_k"])
def values_kernel(
    p_ptr,
    v_ptr,
    out_ptr,
    heads,
    group,
    seq_q,
    seq_k,
    HEAD_DIM: tl.constexpr,
    TILE_Q: tl.constexpr,
    TILE_K: tl.constexpr,
):
    """One tile of p·v; grid: (query tiles, batch·heads)."""
    head = tl.program_id(1).to(tl.int64)
    kv_head = head // heads * (heads // group) + head % heads // group
    rows = tl.program_id(0) * TILE_Q + tl.arange(0, TILE_Q)
    width = tl.arange(0, HEAD_DIM)
    p_at = head * seq_q * seq_k + rows[:, None].to(tl.int64) * seq_k
    acc = tl.zeros([TILE_Q, HEAD_DIM], tl.float32)
    for start in range(0, seq_k, TILE_K):
        keys = start + tl.arange(0, TILE_K)
        inside = keys[None, :] < seq_k
        p = tl.load(p_ptr + p_at + keys[None, :], mask=(rows[:, None] < seq_q) & inside, other=0.0)
        v_at = kv_head * seq_k * HEAD_DIM + keys[:, None] * HEAD_DIM + width[None, :]
        v = tl.load(v_ptr + v_at, mask=keys[:, None] < seq_k, other=0.0)
        acc = tl.dot(p, v, acc)
    at = head * seq_q * HEAD_DIM + rows[:, None] * HEAD_DIM + width[None, :]
    tl.store(out_ptr + at, acc.to(out_ptr.dtype.element_ty), mask=rows[:, None] < seq_q)


def scores_for(q, k):
    """Room for the scores [B, H, P, M], in the type of q."""
    return q.new_empty(*q.shape[:3], k.shape[2])


def scores(scores_out, q, k, *, tile: Tile) -> None:
    """Write q·kᵀ/√E to `scores_out` [B, H, P, M]; Q[B, H, P, E], K[B, G, M, E], G divides H."""
    batch, heads, seq_q, width = q.shape
    seq_k = k.shape[2]
    grid = (triton.cdiv(seq_q, tile.q) * triton.cdiv(seq_k, tile.k), batch * heads)
    scores_kernel[grid](
        *(q, k, scores_out, width**-0.5, heads, heads // k.shape[1], seq_q, seq_k),
        *(width, tile.q, tile.k),
        **tile.launch,
    )


def softmax(scores_in, *, causal: bool = False) -> None:
    """Replace each row of scores [B, H, P, M] by its softmax; a causal row ends at p + M - P."""
    batch, heads, seq_q, seq_k = scores_in.shape
    softmax_kernel[(seq_q, batch * heads)](
        *(scores_in, seq_q, seq_k, SOFTMAX_COLUMNS, causal), num_warps=4
    )


def values(out, p, v, *, tile: Tile) -> None:
    """Write p·v to `out` [B, H, P, E]; p[B, H, P, M], V[B, G, M, E], G divides H."""
    batch, heads, seq_q, seq_k = p.shape
    grid = (triton.cdiv(seq_q, tile.q), batch * heads)
    values_kernel[grid](
        *(p, v, out, heads, heads // v.shape[1], seq_q, seq_k, v.shape[3], tile.q, tile.k),
        **tile.launch,
    )


def unfused(out, q, k, v, probabilities, *, tile: Tile, causal: bool = False) -> None:
    """Write softmax(q·kᵀ/√E)·v to `out`, by way of the scores.

    All scores are computed, also those that a causal mask discards.

    Args:
        out: O[B, H, P, E], contiguous as all others.
        q: Q[B, H, P, E].
        k: K[B, G, M, E]; G divides H.
        v: V[B, G, M, E].
        probabilities: From `scores_for(q, k)`; first the scores, afterwards their softmax.
        tile: Tile shape and launch options of the two products.
        causal: Query p sees keys up to p + M - P; needs P ≤ M.
    """
    scores(probabilities, q, k, tile=tile)
    softmax(probabilities, causal=causal)
    values(out, probabilities, v, tile=tile)
