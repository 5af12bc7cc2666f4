"""Masks that a recording names by parameters, as the key tiles each query tile visits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from typing import Any

FLEX_BLOCK = 128  # published: PyTorch, create_block_mask, default block of queries and of keys
# What the tuner of our neighbourhood kernels tries: query box, key box, warps, stages.
# Source: validate/kernels/configs.py, without the leading axis of one.
BOXES: Mapping[int, tuple[tuple[tuple[int, ...], tuple[int, ...], int, int], ...]] = {
    2: (((16, 8), (16, 8), 8, 2), ((16, 8), (8, 8), 8, 3), ((8, 8), (8, 8), 4, 3)),
    3: (((2, 8, 8), (2, 8, 8), 8, 2), ((4, 4, 8), (2, 4, 8), 8, 3), ((4, 4, 4), (4, 4, 4), 4, 3)),
}

# Boxes of NATTEN's kernels, queries and keys, by number of axes: which runs fastest is tried.
# Source: NATTEN repository, backends/configs, forward, head width 128.
NATTEN_BOXES: Mapping[str, Mapping[int, tuple[tuple[str, str], ...]]] = {
    "blackwell-fna": {
        1: (("256", "128"),),
        2: (("16x16", "16x8"), ("8x32", "8x16")),
        3: (("8x4x8", "4x4x8"), ("4x8x8", "2x8x8")),
    },
    "hopper-fna": {
        1: (("128", "128"),),
        2: (("16x8", "16x8"),),
        3: (("4x4x8", "4x4x8"), ("2x8x8", "2x8x8")),
    },
}


def numbers(text: str) -> tuple[int, ...]:
    """Sizes joined by x.

    >>> numbers("18x24x24")
    (18, 24, 24)
    """
    return tuple(int(part) for part in text.split("x"))


def neighborhood_fields(
    params: Mapping[str, str], config: Mapping[str, str], *, flattened: bool
) -> tuple[dict[str, Any], ...]:
    """Key tiles visited under generalized neighbourhood attention, for each tile that may run.

    A kernel that permutes tokens into boxes visits boxes: those that the recording names, or each
    that its tuner tries. A template on the flattened sequence (`flattened`) visits blocks of
    consecutive tokens.
    """
    shape, window = numbers(params["shape"]), numbers(params["window"])
    stride = numbers(params["stride"]) if "stride" in params else (1,) * len(shape)
    mask, axes = (shape, window, stride), {"axes": len(shape)}
    if flattened:
        block = {"block": (FLEX_BLOCK, FLEX_BLOCK)}
        return (_visits(*mask, (FLEX_BLOCK,), (FLEX_BLOCK,)) | axes | block,)
    if {"q", "k"} <= config.keys():
        q, kv = (numbers(config[name])[-len(shape) :] for name in ("q", "k"))
        return (_visits(*mask, q, kv) | axes,)
    return tuple(
        _visits(*mask, q, kv) | axes | {"tile": (prod(q), prod(kv), warps, stages)}
        for q, kv, warps, stages in BOXES[len(shape)]
    )


def _visits(*mask_and_tiles: tuple[int, ...]) -> dict[str, Any]:
    visited, partial = _neighborhood(*mask_and_tiles)
    return {"visited": visited, "partial": partial}


@cache
def _neighborhood(
    shape: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    q: tuple[int, ...],
    kv: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from einfall.einsum_cascades.masks import Tiling, count_tiles, neighborhood

    counts = count_tiles(neighborhood(shape, window, stride), Tiling(q, kv))
    visited = [int(v) for v, n in zip(counts.visits, counts.times, strict=True) for _ in range(n)]
    masked = 1 - counts.full_ignoring_padding / counts.visited
    return tuple(visited), tuple(round(v * masked) for v in visited)


def block_sparse_fields(params: Mapping[str, str], queries: int, keys: int) -> dict[str, Any]:
    """Key blocks visited at random: `density` of them, at least one, the same for each head.

    Each query block draws its own count around the mean; only the mean is told by the parameters.
    """
    block = int(params["block"])
    each = max(1, round(float(params["density"]) * -(-keys // block)))
    return {
        "visited": (each,) * -(-queries // block),
        "tile": (block, block, 4 if block < 128 else 8, 3),
    }
