"""Masks that differ between the heads, and the two families that are made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from einfall.einsum_cascades.masks.blocks import strided
from einfall.einsum_cascades.masks.checks import at_least, refuse
from einfall.einsum_cascades.masks.mask import Mask, MaskError
from einfall.einsum_cascades.masks.sequences import sink_window
from einfall.einsum_cascades.masks.tiles import TileCounts, Tiling, count_tiles


@final
@dataclass(frozen=True, eq=False)
class HeadMasks:
    """One mask a head, all of one size; heads that share a mask share the value.

    A mask that stands for several heads is counted once: keep one value, not copies.
    """

    masks: tuple[Mask, ...]

    def __post_init__(self) -> None:
        """Refuse what is no mask of heads.

        Raises:
            MaskError: There is no head, or the masks differ in size.
        """
        sizes = sorted({(mask.queries, mask.keys) for mask in self.masks})
        if not sizes:
            raise MaskError(["heads: wanted at least one mask, found none"])
        if len(sizes) > 1:
            found = " and ".join(f"{p:,} x {m:,}" for p, m in sizes)
            raise MaskError([f"heads: wanted masks of one size (queries x keys), found {found}"])

    @property
    def heads(self) -> int:
        """How many heads there are: H."""
        return len(self.masks)

    @property
    def queries(self) -> int:
        """Queries of each head: P."""
        return self.masks[0].queries

    @property
    def keys(self) -> int:
        """Keys of each head: M."""
        return self.masks[0].keys

    @cached_property
    def groups(self) -> tuple[tuple[Mask, int], ...]:
        """The masks that differ, each with the number of heads that share it."""
        times = Counter(map(id, self.masks))
        return tuple((mask, times[id(mask)]) for mask in self._distinct)

    @property
    def _distinct(self) -> tuple[Mask, ...]:
        return tuple({id(mask): mask for mask in self.masks}.values())

    @cached_property
    def pairs_per_head(self) -> tuple[int, ...]:
        """Attended pairs of each head."""
        return tuple(mask.pairs for mask in self.masks)

    @property
    def pairs(self) -> int:
        """Attended pairs of all heads."""
        return sum(self.pairs_per_head)

    @property
    def density(self) -> float:
        """Part of all pairs of all heads that is attended."""
        return self.pairs / (self.heads * self.queries * self.keys)

    @property
    def imbalance(self) -> float:
        """Pairs of the heaviest head over those of the mean one; 1 is balanced."""
        return max(self.pairs_per_head) * self.heads / self.pairs if self.pairs else 1.0

    @property
    def empty_queries(self) -> int:
        """Queries, of all heads, that attend no key."""
        return sum(mask.empty_queries * times for mask, times in self.groups)

    def count_tiles(self, tiling: Tiling) -> HeadTiles:
        """Count the tiles of each head.

        Raises:
            MaskError: The numbers of dimensions of a mask and the tiles do not fit.
        """
        counts = {id(mask): count_tiles(mask, tiling) for mask in self._distinct}
        return HeadTiles(tuple(counts[id(mask)] for mask in self.masks))

    def map(self, change: Callable[[Mask], Mask]) -> HeadMasks:
        """The masks changed one by one; heads that share one go on sharing it."""
        changed = {id(mask): change(mask) for mask in self._distinct}
        return HeadMasks(tuple(changed[id(mask)] for mask in self.masks))

    def combined(self, other: Mask | HeadMasks, how: Callable[[Mask, Mask], Mask]) -> HeadMasks:
        """Head by head with those of another, or with one mask for all heads.

        Raises:
            MaskError: The numbers of heads or the sizes differ.
        """
        others = other.masks if isinstance(other, HeadMasks) else (other,) * self.heads
        if len(others) != self.heads:
            raise MaskError(
                [f"heads: wanted masks of as many heads, found {self.heads} and {len(others)}"]
            )
        both = {(id(a), id(b)): (a, b) for a, b in zip(self.masks, others, strict=True)}
        made = {key: how(*pair) for key, pair in both.items()}
        pairs = zip(self.masks, others, strict=True)
        return HeadMasks(tuple(made[id(a), id(b)] for a, b in pairs))


@final
@dataclass(frozen=True, eq=False)
class HeadTiles:
    """Tile counts of each head, and of all heads together."""

    per_head: tuple[TileCounts, ...]

    @cached_property
    def total(self) -> TileCounts:
        """All heads as one problem: sums, and the histogram over the query tiles of all heads."""
        heads = self.per_head
        visits, where = np.unique(np.concatenate([c.visits for c in heads]), return_inverse=True)
        times = np.zeros(len(visits), dtype=np.int64)
        np.add.at(times, where, np.concatenate([c.times for c in heads]))
        return TileCounts(
            q_tiles=sum(c.q_tiles for c in heads),
            visited=sum(c.visited for c in heads),
            full=sum(c.full for c in heads),
            full_ignoring_padding=sum(c.full_ignoring_padding for c in heads),
            visits=visits,
            times=times,
            q_tiles_of_dense=sum(c.q_tiles_of_dense for c in heads),
            kv_tiles_of_dense=heads[0].kv_tiles_of_dense,
        )

    @property
    def imbalance(self) -> float:
        """Visited tiles of the heaviest head over those of the mean one; 1 is balanced."""
        total = self.total.visited
        return max(c.visited for c in self.per_head) * len(self.per_head) / total if total else 1.0


def strided_heads(  # noqa: PLR0913  the numbers of the paper
    queries: int, keys: int, heads: int, *, block: int, local: int, stride: int
) -> HeadMasks:
    """S2-Attention: local blocks and one block in `stride`, another in each head; causal.

    Head h is `blocks.strided` with offset h·max(1, ⌊stride/H⌋) + 1, as in the authors' kernels:
    together the heads keep every block once `stride` <= H.

    Args:
        queries: P.
        keys: M.
        heads: H.
        block: Tokens of a block.
        local: Blocks that a query block keeps near by, its own among them.
        stride: One key block in so many is kept everywhere before.

    Source:
        Lin et al., S2-Attention, 2024, arXiv:2407.17678, section 3; kernels of vLLM and ONNX
        Runtime (`blocksparse` of Phi-3-small).

    >>> heads = strided_heads(4, 4, 2, block=1, local=1, stride=2)
    >>> [mask.dense_array()[3].astype(int).tolist() for mask in heads.masks]
    [[0, 1, 0, 1], [1, 0, 1, 1]]
    """
    refuse(at_least(1, heads=heads, block=block, stride=stride))
    step = max(1, stride // heads)
    offsets = [(h * step + 1) % stride for h in range(heads)]
    masks = {
        offset: strided(queries, keys, block=block, local=local, stride=stride, offset=offset)
        for offset in dict.fromkeys(offsets)
    }
    return HeadMasks(tuple(masks[offset] for offset in offsets))


def head_windows(
    queries: int, keys: int, *, alpha: Sequence[float], beta: Sequence[float], sinks: int = 64
) -> HeadMasks:
    """MoA: head h keeps sinks and a causal window of S_h = ⌊alpha_h + beta_h·M⌋ keys, at most all.

    Args:
        queries: P.
        keys: M, the context that windows grow with.
        alpha: Keys that each head keeps in any case.
        beta: Part of the context that each head keeps.
        sinks: Keys at the beginning that all heads keep.

    Raises:
        MaskError: alpha and beta differ in number, or a window holds no key.

    Source:
        Fu et al., MoA: Mixture of Sparse Attention, 2024, arXiv:2406.14909, section 3.

    >>> head_windows(8, 8, alpha=[2, 0], beta=[0, 0.5], sinks=0).pairs_per_head
    (15, 26)
    """
    refuse(_window_problems(keys, alpha, beta))
    windows = [int(min(keys, a + b * keys)) for a, b in zip(alpha, beta, strict=True)]
    masks = {w: sink_window(queries, keys, sinks=sinks, window=w) for w in dict.fromkeys(windows)}
    return HeadMasks(tuple(masks[w] for w in windows))


def _window_problems(keys: int, alpha: Sequence[float], beta: Sequence[float]) -> list[str]:
    if len(alpha) != len(beta) or not len(alpha):
        return [f"beta: wanted one for each alpha ({len(alpha)}), found {len(beta)}"]
    return [
        f"alpha: wanted a window alpha + beta·keys of at least 1 key, found {a:g} + {b:g}·{keys} "
        f"for head {h}"
        for h, (a, b) in enumerate(zip(alpha, beta, strict=True))
        if not a + b * keys >= 1
    ]
