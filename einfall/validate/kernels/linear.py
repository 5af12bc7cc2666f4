"""Chunked causal linear attention with an optional decay per head, in two kernels.

    o[p] = E^-1/2 · Σ_{m ≤ p} λ_h^(p-m) · (q[p]·k[m]) · v[m]

The first kernel walks the chunks of a head in order and stores the state S[e, f] before each; the
second takes all chunks at once: the part within the chunk as masked attention without a softmax,
the part before it as q·S. Without decay λ = 1. States are stored in the type of the inputs.

Source: Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training", 2023,
arXiv:2312.06635, section 4; Sun et al., "Retentive Network", 2023, arXiv:2307.08621 (the decay).
"""
# ruff: noqa: ANN001, ANN201, PLR0913 -- a Triton kernel's pointers and counts have no Python type

import triton  # ty: ignore[import-not-found]  an extra, `gpu`
import triton.language as tl  # ty: ignore[import-not-found]

from einfall.validate.kernels.configs import Tile


@triton.jit(do_not_specialize=["heads", "seq", "chunks"])
def state_kernel(
    k_ptr,
    v_ptr,
    states_ptr,
    log2_decay_ptr,
    heads,
    seq,
    chunks,
    HEAD_DIM: tl.constexpr,
    TILE_E: tl.constexpr,
    TILE_F: tl.constexpr,
    CHUNK: tl.constexpr,
    DECAY: tl.constexpr,
):
    """The state before each chunk, one tile of it; grid: (E tiles, F tiles, batch·heads)."""
    e = tl.program_id(0) * TILE_E + tl.arange(0, TILE_E)
    f = tl.program_id(1) * TILE_F + tl.arange(0, TILE_F)
    head = tl.program_id(2).to(tl.int64)
    at = tl.arange(0, CHUNK)
    kv_at = head * seq * HEAD_DIM
    state_at = head * chunks * HEAD_DIM * HEAD_DIM + e[:, None] * HEAD_DIM + f[None, :]
    state = tl.zeros([TILE_E, TILE_F], tl.float32)
    log2_decay = 0.0
    if DECAY:
        log2_decay = tl.load(log2_decay_ptr + head % heads)
        to_end = tl.exp2((CHUNK - 1 - at) * log2_decay)
        whole = tl.exp2(CHUNK * log2_decay)
    for chunk in range(0, chunks):
        stored = state.to(states_ptr.dtype.element_ty)
        tl.store(states_ptr + state_at + chunk * HEAD_DIM * HEAD_DIM, stored)
        m = chunk * CHUNK + at
        k_at = kv_at + m[None, :] * HEAD_DIM + e[:, None]
        k = tl.load(k_ptr + k_at, mask=m[None, :] < seq, other=0.0)
        v_at = kv_at + m[:, None] * HEAD_DIM + f[None, :]
        v = tl.load(v_ptr + v_at, mask=m[:, None] < seq, other=0.0)
        if DECAY:
            k = (k * to_end[None, :]).to(v.dtype)
            state = state * whole
        state = tl.dot(k, v, state)


@triton.jit(do_not_specialize=["heads", "seq", "chunks"])
def output_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    states_ptr,
    log2_decay_ptr,
    out_ptr,
    scale,
    heads,
    seq,
    chunks,
    HEAD_DIM: tl.constexpr,
    TILE_E: tl.constexpr,
    TILE_F: tl.constexpr,
    CHUNK: tl.constexpr,
    DECAY: tl.constexpr,
):
    """The output of one chunk, one tile of its columns; grid: (F tiles, chunks, batch·heads)."""
    f = tl.program_id(0) * TILE_F + tl.arange(0, TILE_F)
    chunk = tl.program_id(1)
    head = tl.program_id(2).to(tl.int64)
    at = tl.arange(0, CHUNK)
    p = chunk * CHUNK + at
    head_at = head * seq * HEAD_DIM
    inside = p[:, None] < seq
    states = states_ptr + (head * chunks + chunk) * HEAD_DIM * HEAD_DIM
    out = tl.zeros([CHUNK, TILE_F], tl.float32)
    scores = tl.zeros([CHUNK, CHUNK], tl.float32)
    for first in range(0, HEAD_DIM, TILE_E):
        e = first + tl.arange(0, TILE_E)
        rows = head_at + p[:, None] * HEAD_DIM + e[None, :]
        q = tl.load(q_ptr + rows, mask=inside, other=0.0)
        k = tl.load(k_ptr + rows, mask=inside, other=0.0)
        state = tl.load(states + e[:, None] * HEAD_DIM + f[None, :])
        out = tl.dot(q, state, out)
        scores = tl.dot(q, tl.trans(k), scores)
    between = at[:, None] - at[None, :]
    if DECAY:
        log2_decay = tl.load(log2_decay_ptr + head % heads)
        out = out * tl.exp2((at + 1) * log2_decay)[:, None]
        scores = scores * tl.exp2(tl.maximum(between, 0) * log2_decay)
    scores = tl.where(between >= 0, scores, 0.0)
    rows = head_at + p[:, None] * HEAD_DIM + f[None, :]
    v = tl.load(v_ptr + rows, mask=inside, other=0.0)
    out = tl.dot(scores.to(v.dtype), v, out) * scale
    tl.store(out_ptr + rows, out.to(out_ptr.dtype.element_ty), mask=inside)


def states_for(q, chunk: int):
    """Room for the states before each chunk: [B·H, ⌈P/chunk⌉, E, F], in the type of q."""
    batch, heads, seq, width = q.shape
    return q.new_empty(batch * heads, triton.cdiv(seq, chunk), width, width)


def scan(states, k, v, *, tile: Tile, chunk: int, log2_decay=None) -> None:
    """Write the state before each chunk to `states`; the arguments are those of `linear`."""
    width = k.shape[3]
    tiles = width // min(tile.q, width), width // min(tile.k, width)
    decay = k if log2_decay is None else log2_decay
    state_kernel[(*tiles, k.shape[0] * k.shape[1])](
        *(k, v, states, decay, *_counts(k, chunk), *_sides(k, tile, chunk, log2_decay)),
        **tile.launch,
    )


def outputs(out, q, k, v, states, *, tile: Tile, chunk: int, log2_decay=None) -> None:
    """Write O from the states before each chunk; the arguments are those of `linear`."""
    width = q.shape[3]
    chunks = triton.cdiv(q.shape[2], chunk)
    decay = q if log2_decay is None else log2_decay
    output_kernel[(width // min(tile.k, width), chunks, q.shape[0] * q.shape[1])](
        *(q, k, v, states, decay, out, width**-0.5, *_counts(q, chunk)),
        *_sides(q, tile, chunk, log2_decay),
        **tile.launch,
    )


def _counts(q, chunk: int) -> tuple[int, int, int]:
    return q.shape[1], q.shape[2], triton.cdiv(q.shape[2], chunk)


def _sides(q, tile: Tile, chunk: int, log2_decay) -> tuple[int, int, int, int, bool]:
    width = q.shape[3]
    return width, min(tile.q, width), min(tile.k, width), chunk, log2_decay is not None


def linear(out, q, k, v, states, *, tile: Tile, chunk: int, log2_decay=None) -> None:
    """Write chunked linear attention to `out`.

    Args:
        out: O[B, H, P, E], contiguous as all others.
        q: Q[B, H, P, E]; E is a multiple of the tile's sides.
        k: K[B, H, P, E].
        v: V[B, H, P, E].
        states: From `states_for(q, chunk)`; overwritten.
        tile: `tile.q` rows and `tile.k` columns of the state in a tile, and launch options.
        chunk: Tokens in a chunk [rows].
        log2_decay: log2 λ of each head, float32 [H]; None means no decay.
    """
    options = {"tile": tile, "chunk": chunk, "log2_decay": log2_decay}
    scan(states, k, v, **options)
    outputs(out, q, k, v, states, **options)
