"""What NATTEN's Hopper and Blackwell kernels run of a neighbourhood, and when they skip its mask.

Their loop runs over the same key tiles as `tiles.count_tiles` counts, but also for query tiles that
hold nothing but padding; and they skip the mask of a whole problem where a predicate of their own
holds, which is slightly stricter than "every visited tile is full".

Source:
    NATTEN (SHI-Labs), Hopper and Blackwell FNA kernels, release 0.21; Hassani et al., Generalized
    Neighborhood Attention, 2025, arXiv:2504.16922, section 3 and appendix B.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from einfall.einsum_cascades.masks.mask import Mask, MaskError, Product
from einfall.einsum_cascades.masks.neighborhood import Neighborhood
from einfall.einsum_cascades.masks.tiles import Tiling


@dataclass(frozen=True, slots=True)
class KernelTiles:
    """Query tiles that the kernel runs, those of padding alone among them, and its key tiles."""

    q_tiles: int
    padding_only_q_tiles: int
    visited: int
    skips_mask: bool


def kernel_tiles(mask: Mask, tiling: Tiling) -> KernelTiles:
    """What the kernels run for a neighbourhood mask with multi-dimensional static tiles.

    In each dilation class of each dimension they run ⌈⌈L/q⌉/d⌉ query tiles, whether or not the
    class has queries for them.

    Raises:
        MaskError: The mask is no neighbourhood, or the tiles have other dimensions.

    >>> from einfall.einsum_cascades.masks import neighborhood
    >>> kernel_tiles(neighborhood([9], [2], dilation=[4]), Tiling((2,), (2,))).padding_only_q_tiles
    3
    """
    axes = axes_of(mask)
    if len(axes) != len(tiling.q):
        wanted = f"a tile size for each of the {len(axes)} dimensions"
        raise MaskError([f"kernel tiles: wanted {wanted}, found {len(tiling.q)}"])
    sides = list(zip(axes, tiling.q, tiling.kv, strict=True))
    run = [sum(_run_tiles(axis, q) for _ in axis.classes) for axis, q, _ in sides]
    real = [sum(-(-band.queries // q) for band in axis.classes) for axis, q, _ in sides]
    return KernelTiles(
        q_tiles=prod(run),
        padding_only_q_tiles=prod(run) - prod(real),
        visited=prod(_visited(axis, q, kv) for axis, q, kv in sides),
        skips_mask=all(_predicate(axis, q, kv) for axis, q, kv in sides),
    )


def axes_of(mask: Mask) -> Sequence[Neighborhood]:
    """The dimensions of a neighbourhood mask.

    Raises:
        MaskError: Some dimension is no neighbourhood.
    """
    axes = mask.axes if isinstance(mask, Product) else (mask,)
    found = [axis for axis in axes if isinstance(axis, Neighborhood)]
    if len(found) != len(axes):
        raise MaskError(["kernel tiles: wanted a neighbourhood in every dimension, found others"])
    return found


def _run_tiles(axis: Neighborhood, q: int) -> int:
    """Query tiles run in each dilation class."""
    tiles = -(-axis.length // q)
    return -(-tiles // axis.dilation)


def _visited(axis: Neighborhood, q: int, kv: int) -> int:
    """Key tiles run, over all classes: from the first query's start to the last query's end."""
    total = 0
    first = np.arange(_run_tiles(axis, q)) * q
    for n in (band.queries for band in axis.classes):
        start, _ = axis.windows(first, n)
        _, end = axis.windows(np.minimum(first + q, n) - 1, n)
        total += int(np.maximum(-(-end // kv) - start // kv, 0).sum())
    return total


def _predicate(axis: Neighborhood, q: int, kv: int) -> bool:
    """Whether the kernels take the dimension for fully block-sparse, in every dilation class."""
    if axis.causal:
        return False
    return all(all(_conditions(axis, n, q, kv)) for n in {b.queries for b in axis.classes})


def _conditions(axis: Neighborhood, n: int, q: int, kv: int) -> Iterator[bool]:
    w, s = axis.window, axis.stride
    if w == n:
        return
    yield s % q == 0
    yield w % kv == 0
    start_of_last = int(axis.windows(np.array([n - 1]), n)[0][0])
    yield n % s == 0 or start_of_last % kv == 0
    two_groups = n % kv == 0 and -(-n // s) == 2 and s + s // 2 >= n - w
    yield (w // 2 - s // 2) % kv == 0 or two_groups
