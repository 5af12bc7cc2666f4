"""Attention from a block list: for each tile of queries the indices of the key tiles it attends.

The list is the same for all heads and batch entries, as a compiled block mask usually is. Blocks
are attended whole; only keys beyond the end are masked.
"""
# ruff: noqa: ANN001, ANN201, PLR0913 -- a Triton kernel's pointers and counts have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import Tile
from einfall.validate.kernels.flash import LOG2_E, online_softmax


@triton.jit(do_not_specialize=["heads", "group", "seq_q", "seq_k", "longest"])
def block_sparse_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    counts_ptr,
    indices_ptr,
    scale_log2,
    heads,
    group,
    seq_q,
    seq_k,
    longest,
    HEAD_DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    EVEN: tl.constexpr,
):
    """One tile of queries of one head; grid: (query tiles, batch·heads)."""
    tile = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    kv_head = head // heads * (heads // group) + head % heads // group
    kv_at = kv_head * seq_k * HEAD_DIM
    width = tl.arange(0, HEAD_DIM)
    key = tl.arange(0, BLOCK)
    rows = tile * BLOCK + tl.arange(0, BLOCK)
    at = head * seq_q * HEAD_DIM + rows[:, None] * HEAD_DIM + width[None, :]
    q = tl.load(q_ptr + at, mask=rows[:, None] < seq_q, other=0.0)
    acc = tl.zeros([BLOCK, HEAD_DIM], tl.float32)
    top = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for step in range(0, tl.load(counts_ptr + tile)):
        keys = tl.load(indices_ptr + tile * longest + step) * BLOCK + key
        offsets = kv_at + keys[:, None] * HEAD_DIM + width[None, :]
        if EVEN:
            k = tl.load(k_ptr + offsets)
            v = tl.load(v_ptr + offsets)
            scores = tl.dot(q, tl.trans(k))
        else:
            k = tl.load(k_ptr + offsets, mask=keys[:, None] < seq_k, other=0.0)
            v = tl.load(v_ptr + offsets, mask=keys[:, None] < seq_k, other=0.0)
            scores = tl.where(keys[None, :] < seq_k, tl.dot(q, tl.trans(k)), float("-inf"))
        acc, top, total, numerators = online_softmax(acc, top, total, scores, scale_log2)
        acc = tl.dot(numerators.to(v.dtype), v, acc)
    acc = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(out_ptr + at, acc.to(out_ptr.dtype.element_ty), mask=rows[:, None] < seq_q)


def block_sparse(out, q, k, v, counts, indices, *, tile: Tile) -> None:
    """Write attention over the listed blocks to `out`; a row without blocks is zero.

    Args:
        out: O[B, H, P, E], contiguous as all others.
        q: Q[B, H, P, E].
        k: K[B, G, M, E]; G divides H.
        v: V[B, G, M, E].
        counts: Blocks that each tile of queries attends, int32 [⌈P/block⌉].
        indices: Their indices, int32 [⌈P/block⌉, longest]; entries beyond the count are not read.
        tile: Launch options; `tile.q` = `tile.k` is the block.
    """
    batch, heads, seq_q, width = q.shape
    seq_k = k.shape[2]
    grid = (triton.cdiv(seq_q, tile.q), batch * heads)
    block_sparse_kernel[grid](
        *(q, k, v, out, counts, indices, width**-0.5 * LOG2_E, heads, heads // k.shape[1]),
        *(seq_q, seq_k, indices.shape[1], width, tile.q, seq_k % tile.k == 0),
        **tile.launch,
    )
