"""Neighbourhood attention in two and three dimensions, over boxes of tokens.

Tokens are permuted first so that a box of the grid (say 4 x 8 x 8) lies together; a tile of queries
is one box, a tile of keys another, and a query tile visits just the key boxes that its windows
reach. Windows follow generalized neighbourhood attention: queries in groups of `stride` share the
window of the group's leader, and a window at a border is pushed back inside, never cut. Only boxes
that are not inside every query's window are masked.

Left out: dilation (residue classes are further batch entries), causal axes, the permutation's time.

Source: Hassani et al., "Generalized Neighborhood Attention", 2025, arXiv:2504.16922.
"""
# ruff: noqa: ANN001, ANN201, ANN202, PLR0913 -- a Triton kernel's pointers have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import BoxTile, Shape3
from einfall.validate.kernels.flash import LOG2_E, online_softmax


@triton.jit
def window_start(x, length, window, stride):
    """First key of the window of position x along one axis of `length`."""
    leader = tl.minimum(x // stride * stride + stride // 2, length - 1)
    return tl.maximum(tl.minimum(leader - window // 2, length - window), 0)


@triton.jit
def _reach(tile, length, window, stride, Q: tl.constexpr, K: tl.constexpr):
    """Key tiles of one axis that a query tile visits: first, count; and dense ones: first, end."""
    first = window_start(tile * Q, length, window, stride)
    last = window_start(tl.minimum(tile * Q + Q, length) - 1, length, window, stride)
    visited = first // K
    return visited, tl.cdiv(last + window, K) - visited, tl.cdiv(last, K), (first + window) // K


SIZES = [f"{name}{axis}" for name in ("length", "window", "stride") for axis in range(3)]


@triton.jit(do_not_specialize=["heads", "group", *SIZES])
def neighborhood_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    scale_log2,
    heads,
    group,
    length0,
    length1,
    length2,
    window0,
    window1,
    window2,
    stride0,
    stride1,
    stride2,
    HEAD_DIM: tl.constexpr,
    Q0: tl.constexpr,
    Q1: tl.constexpr,
    Q2: tl.constexpr,
    K0: tl.constexpr,
    K1: tl.constexpr,
    K2: tl.constexpr,
):
    """One box of queries of one head; grid: (query boxes, batch·heads)."""
    TILE_Q: tl.constexpr = Q0 * Q1 * Q2
    TILE_K: tl.constexpr = K0 * K1 * K2
    box = tl.program_id(0)
    boxes1 = tl.cdiv(length1, Q1)
    boxes2 = tl.cdiv(length2, Q2)
    box0 = box // (boxes1 * boxes2)
    box1 = box // boxes2 % boxes1
    box2 = box % boxes2
    begin0, count0, dense0, dense_end0 = _reach(box0, length0, window0, stride0, Q0, K0)
    begin1, count1, dense1, dense_end1 = _reach(box1, length1, window1, stride1, Q1, K1)
    begin2, count2, dense2, dense_end2 = _reach(box2, length2, window2, stride2, Q2, K2)
    k_boxes1 = tl.cdiv(length1, K1)
    k_boxes2 = tl.cdiv(length2, K2)

    head = tl.program_id(1).to(tl.int64)
    kv_head = head // heads * (heads // group) + head % heads // group
    kv_at = kv_head * (tl.cdiv(length0, K0) * k_boxes1 * k_boxes2) * TILE_K * HEAD_DIM
    row = tl.arange(0, TILE_Q)
    width = tl.arange(0, HEAD_DIM)
    q_at = (head * tl.num_programs(0) + box) * TILE_Q * HEAD_DIM
    at = q_at + row[:, None] * HEAD_DIM + width[None, :]
    q = tl.load(q_ptr + at)
    start0 = window_start(box0 * Q0 + row // (Q1 * Q2), length0, window0, stride0)
    start1 = window_start(box1 * Q1 + row // Q2 % Q1, length1, window1, stride1)
    start2 = window_start(box2 * Q2 + row % Q2, length2, window2, stride2)

    key = tl.arange(0, TILE_K)
    offsets = kv_at + key[:, None] * HEAD_DIM + width[None, :]
    acc = tl.zeros([TILE_Q, HEAD_DIM], tl.float32)
    top = tl.full([TILE_Q], float("-inf"), tl.float32)
    total = tl.zeros([TILE_Q], tl.float32)
    for step in range(0, count0 * count1 * count2):
        at0 = begin0 + step // (count1 * count2)
        at1 = begin1 + step // count2 % count1
        at2 = begin2 + step % count2
        first = ((at0 * k_boxes1 + at1) * k_boxes2 + at2) * TILE_K * HEAD_DIM
        k = tl.load(k_ptr + first + offsets)
        v = tl.load(v_ptr + first + offsets)
        scores = tl.dot(q, tl.trans(k))
        dense = (at0 >= dense0) & (at0 < dense_end0) & (at1 >= dense1) & (at1 < dense_end1)
        dense = dense & (at2 >= dense2) & (at2 < dense_end2)
        if not dense:
            key0 = (at0 * K0 + key // (K1 * K2))[None, :] - start0[:, None]
            key1 = (at1 * K1 + key // K2 % K1)[None, :] - start1[:, None]
            key2 = (at2 * K2 + key % K2)[None, :] - start2[:, None]
            seen = (key0 >= 0) & (key0 < window0) & (key1 >= 0) & (key1 < window1)
            seen = seen & (key2 >= 0) & (key2 < window2)
            scores = tl.where(seen, scores, float("-inf"))
        acc, top, total, numerators = online_softmax(acc, top, total, scores, scale_log2)
        acc = tl.dot(numerators.to(v.dtype), v, acc)
    acc = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(out_ptr + at, acc.to(out_ptr.dtype.element_ty))


def to_boxes(x, shape: Shape3, box: Shape3):
    """Tokens x[B, H, n0·n1·n2, E] box after box, padded with zeros: [B, H, boxes·tokens, E]."""
    batch, heads, _, width = x.shape
    n = [-(-length // b) for length, b in zip(shape, box, strict=True)]
    padded = x.new_zeros(batch, heads, *(c * b for c, b in zip(n, box, strict=True)), width)
    padded[:, :, : shape[0], : shape[1], : shape[2]] = x.reshape(batch, heads, *shape, width)
    split = padded.reshape(batch, heads, n[0], box[0], n[1], box[1], n[2], box[2], width)
    return split.permute(0, 1, 2, 4, 6, 3, 5, 7, 8).reshape(batch, heads, -1, width).contiguous()


def from_boxes(x, shape: Shape3, box: Shape3):
    """The inverse of `to_boxes`, without the padding."""
    batch, heads, _, width = x.shape
    n = [-(-length // b) for length, b in zip(shape, box, strict=True)]
    split = x.reshape(batch, heads, *n, *box, width).permute(0, 1, 2, 5, 3, 6, 4, 7, 8)
    grid = split.reshape(batch, heads, *(c * b for c, b in zip(n, box, strict=True)), width)
    return grid[:, :, : shape[0], : shape[1], : shape[2]].reshape(batch, heads, -1, width)


def neighborhood(
    out, q, k, v, *, tile: BoxTile, shape: Shape3, window: Shape3, stride: Shape3
) -> None:
    """Write neighbourhood attention over a grid of tokens to `out`.

    Args:
        out: O[B, H, N, E] in boxes of `tile.q_box`, as q; what lies in the padding has no meaning.
        q: Q[B, H, N, E], permuted by `to_boxes` with `tile.q_box`.
        k: K[B, G, N', E], permuted by `to_boxes` with `tile.k_box`; G divides H.
        v: V[B, G, N', E], as k.
        tile: Box shapes and launch options.
        shape: Tokens along each axis; two dimensions have 1 first.
        window: Keys along each axis, at most `shape`.
        stride: Queries along each axis that share a window, at most `window`.
    """
    batch, heads, tokens, width = q.shape
    grid = (tokens // tile.q, batch * heads)
    neighborhood_kernel[grid](
        *(q, k, v, out, width**-0.5 * LOG2_E, heads, heads // k.shape[1]),
        *(*shape, *window, *stride, width, *tile.q_box, *tile.k_box),
        **tile.launch,
    )
