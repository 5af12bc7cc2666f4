"""Decode: one query a sequence against a long cache, the keys split over programs, then combined.

The query heads that share a key/value head form the rows of one tile (padded to 16, the least a
matrix product takes), so that a key is read once for all of them. Each split writes its partial
output, maximum and sum in float32; a second kernel combines them.

Source: Dao et al., "Flash-Decoding for long-context inference", 2023.
"""
# ruff: noqa: ANN001, ANN201, PLR0913 -- a Triton kernel's pointers and counts have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import Tile
from einfall.validate.kernels.flash import LOG2_E, online_softmax


@triton.jit(do_not_specialize=["seq_k", "split"])
def split_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    partial_ptr,
    top_ptr,
    total_ptr,
    scale_log2,
    seq_k,
    split,
    HEAD_DIM: tl.constexpr,
    GROUP: tl.constexpr,
    TILE_Q: tl.constexpr,
    TILE_K: tl.constexpr,
):
    """One split of one key/value head; grid: (batch·kv_heads, splits)."""
    head = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    row = tl.arange(0, TILE_Q)
    width = tl.arange(0, HEAD_DIM)
    q_at = head * GROUP * HEAD_DIM + row[:, None] * HEAD_DIM + width[None, :]
    q = tl.load(q_ptr + q_at, mask=row[:, None] < GROUP, other=0.0)
    kv_at = head * seq_k * HEAD_DIM
    acc = tl.zeros([TILE_Q, HEAD_DIM], tl.float32)
    top = tl.full([TILE_Q], float("-inf"), tl.float32)
    total = tl.zeros([TILE_Q], tl.float32)
    for start in range(part * split, tl.minimum(part * split + split, seq_k), TILE_K):
        keys = start + tl.arange(0, TILE_K)
        offsets = kv_at + keys[:, None] * HEAD_DIM + width[None, :]
        k = tl.load(k_ptr + offsets, mask=keys[:, None] < seq_k, other=0.0)
        v = tl.load(v_ptr + offsets, mask=keys[:, None] < seq_k, other=0.0)
        scores = tl.where(keys[None, :] < seq_k, tl.dot(q, tl.trans(k)), float("-inf"))
        acc, top, total, numerators = online_softmax(acc, top, total, scores, scale_log2)
        acc = tl.dot(numerators.to(v.dtype), v, acc)
    rows = (head * tl.num_programs(1) + part) * GROUP + row
    inside = row < GROUP
    tl.store(top_ptr + rows, top, mask=inside)
    tl.store(total_ptr + rows, total, mask=inside)
    at = rows[:, None] * HEAD_DIM + width[None, :]
    tl.store(partial_ptr + at, acc, mask=inside[:, None])


@triton.jit(do_not_specialize=["splits"])
def combine_kernel(
    partial_ptr,
    top_ptr,
    total_ptr,
    out_ptr,
    splits,
    HEAD_DIM: tl.constexpr,
    GROUP: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """The output of one query head from its splits; grid: (batch·heads,)."""
    head = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, SPLITS)
    width = tl.arange(0, HEAD_DIM)
    rows = (head // GROUP * splits + part) * GROUP + head % GROUP
    inside = part < splits
    top = tl.load(top_ptr + rows, mask=inside, other=float("-inf"))
    total = tl.load(total_ptr + rows, mask=inside, other=0.0)
    at = rows[:, None] * HEAD_DIM + width[None, :]
    partial = tl.load(partial_ptr + at, mask=inside[:, None], other=0.0)
    weight = tl.exp2(top - tl.max(top, 0))
    out = tl.sum(partial * weight[:, None], 0) / tl.sum(total * weight, 0)
    tl.store(out_ptr + head * HEAD_DIM + width, out.to(out_ptr.dtype.element_ty))


def partials_for(q, splits: int):
    """Room for the splits' outputs [B·H·splits, E], maxima and sums [B·H·splits], in float32."""
    rows = q.shape[0] * q.shape[1] * splits
    partial = q.new_empty(rows, q.shape[3]).float()
    return partial, partial.new_empty(rows), partial.new_empty(rows)


def decode(out, q, k, v, partials, *, tile: Tile, splits: int) -> None:
    """Write attention of one query a sequence to `out`.

    Args:
        out: O[B, H, 1, E], contiguous as all others.
        q: Q[B, H, 1, E].
        k: K[B, G, M, E]; G divides H, H/G at most `tile.q`.
        v: V[B, G, M, E].
        partials: From `partials_for(q, splits)`; overwritten.
        tile: Tile shape and launch options; `tile.q` is 16 or more.
        splits: Programs that share the keys of a head; each takes whole tiles of keys.
    """
    batch, heads, _, width = q.shape
    kv_heads, seq_k = k.shape[1:3]
    group = heads // kv_heads
    if group > tile.q:
        raise ValueError(f"decode: at most {tile.q} query heads a key/value head, found {group}")
    split = triton.cdiv(triton.cdiv(seq_k, tile.k), splits) * tile.k
    split_kernel[(batch * kv_heads, splits)](
        *(q, k, v, *partials, width**-0.5 * LOG2_E, seq_k, split, width, group, tile.q, tile.k),
        **tile.launch,
    )
    padded = triton.next_power_of_2(splits)
    combine_kernel[(batch * heads,)](*partials, out, splits, width, group, padded, num_warps=4)
