"""Speedup bounds of a mask over dense attention, from exact counts of pairs and tiles alone.

    operation count    N·M / attended pairs              reached only if every visited tile is full
    all tiles          tiles of dense / tiles visited    many waves of query tiles, or a persistent
                                                         kernel: the sum of the work counts
    worst query tile   key tiles / most visited by one   one wave: all query tiles start at once,
                                                         and the last one to finish counts

The last is the notion of NATTENSim. It is no bound where query tiles outnumber the processors:
tiles at the border visit fewer key tiles, so that the mean is faster than the worst. All of them
leave out what a mask costs inside a tile, the permutation of tokens, start and end of the kernel,
and memory; `ladder` adds these for a machine.

Source:
    Hassani et al., Generalized Neighborhood Attention, 2025, arXiv:2504.16922, section 3 and
    appendix B.1 (the simulator, which was not released; reconstructed from its description).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from einfall.einsum_cascades.masks import Mask, Product, TileCounts, Tiling, count_tiles
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.natten import KernelTiles, kernel_tiles
from einfall.einsum_cascades.masks.neighborhood import Neighborhood

DENSE_TILES: Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    1: ((256,), (128,)),
    2: ((16, 16), (16, 8)),
    3: ((8, 4, 8), (4, 4, 8)),
}
"""Default query and key tile by dimensions: those of NATTEN's Blackwell kernel."""


@dataclass(frozen=True)
class Bounds:
    """The counts and bounds of one mask with one tiling; each is worked out when it is asked for.

    A mask that differs from head to head is counted over all heads.

    >>> from einfall.einsum_cascades.masks import neighborhood
    >>> hunyuan = neighborhood([30, 48, 80], [18, 24, 24])
    >>> bounds = Bounds(hunyuan, Tiling((4, 8, 8), (2, 8, 8)))
    >>> [round(x, 3) for x in (bounds.flop_speedup, bounds.total, bounds.worst)]
    [11.111, 5.245, 3.273]
    """

    mask: Mask | HeadMasks
    tiling: Tiling

    @cached_property
    def tiles(self) -> TileCounts:
        """Static key tiles."""
        return _counted(self.mask, self.tiling)

    @cached_property
    def dynamic(self) -> TileCounts:
        """Key tiles that start at the first key needed."""
        return _counted(self.mask, Tiling(self.tiling.q, self.tiling.kv, dynamic=True))

    @cached_property
    def flattened(self) -> TileCounts:
        """Runs of as many tokens as a tile holds, along the flattened sequence."""
        q, kv = (prod(self.tiling.q),), (prod(self.tiling.kv),)
        return _counted(self.mask, Tiling(q, kv, in_place=True))

    @cached_property
    def kernel(self) -> KernelTiles | None:
        """What NATTEN's kernels run; None for a mask or tiles that they do not take."""
        mask = self.mask
        if isinstance(mask, HeadMasks):
            return None
        axes = mask.axes if isinstance(mask, Product) else (mask,)
        fits = len(axes) == len(self.tiling.q)
        if not (fits and all(isinstance(axis, Neighborhood) for axis in axes)):
            return None
        return kernel_tiles(mask, self.tiling)

    @property
    def flop_speedup(self) -> float:
        """Pairs of dense attention over attended pairs."""
        heads = self.mask.heads if isinstance(self.mask, HeadMasks) else 1
        return heads * self.mask.queries * self.mask.keys / self.mask.pairs

    @property
    def total(self) -> float:
        """Tiles of dense attention over tiles visited."""
        return self.tiles.speedup_total

    @property
    def worst(self) -> float:
        """Key tiles of dense attention over those that the worst query tile visits."""
        return self.tiles.speedup_worst

    def record(self) -> dict[str, Any]:
        """Every count and bound under the names of the command line, 0 and 1 for no and yes."""
        static, dynamic, flat = self.tiles, self.dynamic, self.flattened
        counts = {
            "n_tokens": self.mask.queries,
            "attended_pairs": self.mask.pairs,
            "flop_speedup": self.flop_speedup,
            "q_tiles": static.q_tiles,
            "visited_kv_tiles": static.visited,
            "dense_no_mask_tiles": static.full,
            "dense_no_mask_tiles_ignoring_kv_pad": static.full_ignoring_padding,
            "max_visited_per_q_tile": static.most_visited,
            "total_tiles_dense_attention": static.of_dense,
            "kv_tiles_dense_per_q_tile": static.kv_tiles_of_dense,
            "tile_speedup_total": static.speedup_total,
            "tile_speedup_worst_q_tile": static.speedup_worst,
            "dynamic_visited_kv_tiles": dynamic.visited,
            "dynamic_max_visited_per_q_tile": dynamic.most_visited,
            "tile_speedup_worst_q_tile_dynamic": dynamic.speedup_worst,
        }
        if self.kernel:
            counts |= {
                "kernel_q_tiles": self.kernel.q_tiles,
                "kernel_visited_kv_tiles": self.kernel.visited,
                "kernel_predicate_fully_block_sparse": int(self.kernel.skips_mask),
            }
        return counts | {
            "exactly_block_sparse": int(static.block_sparse),
            "visited_kv_tiles_1d_tiling": flat.visited,
            "dense_no_mask_tiles_1d_tiling": flat.full,
            "max_visited_per_q_tile_1d_tiling": flat.most_visited,
            "total_tiles_dense_attention_1d_tiling": flat.of_dense,
        }


def _counted(mask: Mask | HeadMasks, tiling: Tiling) -> TileCounts:
    """The tiles of a mask, those of all heads together where it differs from head to head."""
    if isinstance(mask, HeadMasks):
        return mask.count_tiles(tiling).total
    return count_tiles(mask, tiling)


def end_to_end(speedup: float, share: float) -> float:
    """Speedup of the whole by Amdahl's law when a part of it gets faster.

        E = 1 / (1 - f + f/k)

    Args:
        speedup: That of the part: k.
        share: Time of the part in the whole before: f, from 0 to 1.

    Source:
        Amdahl, 1967; Hassani et al., 2025, section 5, for the share of attention that GNA takes.

    >>> round(end_to_end(11.1, 0.607), 2)
    2.23
    """
    return 1 / (1 - share + share / speedup)


def share_of_sparse(share: float, dense_steps: int, steps: int) -> float:
    """Share of the whole time that goes sparse when some diffusion steps stay dense.

    >>> round(share_of_sparse(0.607, 15, 50), 4)
    0.4249
    """
    return share * (steps - dense_steps) / steps


def as_printed(speedup: float) -> float:
    """A bound rounded as the GNA paper rounds it before Amdahl's law: to two, then one decimal.

    >>> as_printed(1.746), as_printed(20 / 14)
    (1.8, 1.4)
    """
    return _round_half_up(_round_half_up(speedup, 2), 1)


def _round_half_up(value: float, digits: int) -> float:
    scale = 10**digits
    return int(value * scale + 0.5 + 1e-9) / scale


def text_of(sizes: Sequence[int]) -> str:
    """Sizes as the command line writes them: `18x24x24`."""
    return "x".join(str(int(size)) for size in sizes)
