"""FlashAttention's forward pass: dense, causal, sliding window, grouped query heads.

One program owns a tile of queries and streams the key/value tiles past it, with a running maximum
and a running sum a row (Dao, "FlashAttention-2", 2023, arXiv:2307.08691, Algorithm 1). Key tiles
that no query of the tile attends are skipped; a mask is computed only in tiles that need one.
Programs of one head follow each other; causal ones start with the longest row of tiles.

Left out: the log-sum-exp row, dropout, paged keys.
"""
# ruff: noqa: ANN001, ANN201, ANN202, PLR0913 -- a Triton kernel's pointers have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import Tile

LOG2_E = 1.4426950408889634


@triton.jit
def online_softmax(acc, row_max, row_sum, scores, scale_log2):
    """Fold one tile of scores into the running softmax; rows may be masked altogether so far.

    Returns the rescaled accumulator, the new maximum and sum, and the tile's numerators.
    """
    new_max = tl.maximum(row_max, tl.max(scores, 1) * scale_log2)
    base = tl.where(new_max == float("-inf"), 0.0, new_max)
    numerators = tl.exp2(scores * scale_log2 - base[:, None])
    rescale = tl.exp2(row_max - base)
    row_sum = row_sum * rescale + tl.sum(numerators, 1)
    return acc * rescale[:, None], new_max, row_sum, numerators


@triton.jit
def _stream(
    acc,
    row_max,
    row_sum,
    q,
    k_head,
    v_head,
    scale_log2,
    first,
    last,
    ends,
    seq_k,
    window,
    HEAD_DIM: tl.constexpr,
    TILE_K: tl.constexpr,
    MASKED: tl.constexpr,
    CAUSAL: tl.constexpr,
    SLIDING: tl.constexpr,
):
    """Attend keys first..last; `ends[p]` is one past the last key that query p may see."""
    width = tl.arange(0, HEAD_DIM)
    for start in range(first, last, TILE_K):
        keys = start + tl.arange(0, TILE_K)
        offsets = keys[:, None] * HEAD_DIM + width[None, :]
        if MASKED:
            k = tl.load(k_head + offsets, mask=keys[:, None] < seq_k, other=0.0)
        else:
            k = tl.load(k_head + offsets)
        scores = tl.dot(q, tl.trans(k))
        if MASKED:
            seen = keys[None, :] < seq_k
            if CAUSAL:
                seen = keys[None, :] < ends[:, None]
            if SLIDING:
                seen = seen & (keys[None, :] >= ends[:, None] - window)
            scores = tl.where(seen, scores, float("-inf"))
        acc, row_max, row_sum, numerators = online_softmax(
            acc, row_max, row_sum, scores, scale_log2
        )
        if MASKED:
            v = tl.load(v_head + offsets, mask=keys[:, None] < seq_k, other=0.0)
        else:
            v = tl.load(v_head + offsets)
        acc = tl.dot(numerators.to(v.dtype), v, acc)
    return acc, row_max, row_sum


@triton.jit(do_not_specialize=["heads", "group", "seq_q", "seq_k", "window"])
def flash_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    scale_log2,
    heads,
    group,
    seq_q,
    seq_k,
    window,
    HEAD_DIM: tl.constexpr,
    TILE_Q: tl.constexpr,
    TILE_K: tl.constexpr,
    CAUSAL: tl.constexpr,
    SLIDING: tl.constexpr,
):
    """One tile of queries of one head; grid: (query tiles, batch·heads)."""
    tile = tl.program_id(0)
    if CAUSAL:
        tile = tl.num_programs(0) - 1 - tile
    head = tl.program_id(1).to(tl.int64)
    kv_head = head // heads * (heads // group) + head % heads // group
    k_head = k_ptr + kv_head * seq_k * HEAD_DIM
    v_head = v_ptr + kv_head * seq_k * HEAD_DIM
    rows = tile * TILE_Q + tl.arange(0, TILE_Q)
    at = head * seq_q * HEAD_DIM + rows[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    q = tl.load(q_ptr + at, mask=rows[:, None] < seq_q, other=0.0)

    shift = seq_k - seq_q + 1  # the last query sees the last key
    ends = tl.minimum(rows + shift, seq_k)
    begin = 0
    all_from = 0
    all_to = seq_k
    end = seq_k
    if CAUSAL:
        last_row = tl.minimum(tile * TILE_Q + TILE_Q, seq_q) - 1
        end = tl.maximum(last_row + shift, 0)
        all_to = tl.maximum(tile * TILE_Q + shift, 0)
        if SLIDING:
            begin = tl.maximum(tile * TILE_Q + shift - window, 0) // TILE_K * TILE_K
            all_from = tl.cdiv(tl.maximum(last_row + shift - window, 0), TILE_K) * TILE_K
    all_from = tl.minimum(all_from, tl.cdiv(end, TILE_K) * TILE_K)
    all_to = tl.maximum(all_to // TILE_K * TILE_K, all_from)

    acc = tl.zeros([TILE_Q, HEAD_DIM], tl.float32)
    top = tl.full([TILE_Q], float("-inf"), tl.float32)
    total = tl.zeros([TILE_Q], tl.float32)
    if SLIDING:
        acc, top, total = _stream(
            *(acc, top, total, q, k_head, v_head, scale_log2, begin, all_from, ends, seq_k),
            *(window, HEAD_DIM, TILE_K, True, CAUSAL, SLIDING),
        )
    acc, top, total = _stream(
        *(acc, top, total, q, k_head, v_head, scale_log2, all_from, all_to, ends, seq_k),
        *(window, HEAD_DIM, TILE_K, False, CAUSAL, SLIDING),
    )
    acc, top, total = _stream(
        *(acc, top, total, q, k_head, v_head, scale_log2, all_to, end, ends, seq_k),
        *(window, HEAD_DIM, TILE_K, True, CAUSAL, SLIDING),
    )
    acc = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(out_ptr + at, acc.to(out_ptr.dtype.element_ty), mask=rows[:, None] < seq_q)


def flash(out, q, k, v, *, tile: Tile, causal: bool = False, window: int | None = None) -> None:
    """Write softmax(q·kᵀ/√E)·v to `out`.

    Args:
        out: O[B, H, P, E], contiguous as all others.
        q: Q[B, H, P, E]; E is 64, 128 or 256 (16 and 32 work too).
        k: K[B, G, M, E]; G divides H, H/G query heads share a key/value head.
        v: V[B, G, M, E].
        tile: Tile shape and launch options.
        causal: Query p sees keys up to p + M - P (aligned at the bottom right).
        window: With `causal`, a query sees the last `window` of these keys; None means all.
    """
    batch, heads, seq_q, width = q.shape
    seq_k = k.shape[2]
    if window is not None and not causal:
        raise ValueError(f"flash: a window needs causal=True, found causal=False, window={window}")
    grid = (triton.cdiv(seq_q, tile.q), batch * heads)
    flash_kernel[grid](
        *(q, k, v, out, width**-0.5 * LOG2_E, heads, heads // k.shape[1], seq_q, seq_k),
        *(0 if window is None else window, width, tile.q, tile.k, causal, window is not None),
        **tile.launch,
    )
