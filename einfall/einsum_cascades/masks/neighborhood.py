"""Generalized neighbourhood attention (GNA) along one dimension: window, stride, dilation, causal.

Coordinate x has residue r = x mod d and position p = ⌊x/d⌋ in its dilation class, which holds
n = ⌈(L - r)/d⌉ positions. The queries of a stride group g = ⌊p/s⌋ share what their leader sees:

    not causal:  leader = min(g·s + ⌊s/2⌋, n-1)      start = clamp(leader - ⌊w/2⌋, 0, n-w)
                 end    = start + w
    causal:      leader = min(g·s + s - 1, n-1)      start = max(leader - w + 1, 0)
                 end    = p + 1

s = 1 is neighbourhood attention, s = w blocked attention (Swin), w·d = L a dilated grid (MaxViT),
w = L dense. Several dimensions are the `Product` of these.

Source:
    Hassani et al., Generalized Neighborhood Attention, 2025, arXiv:2504.16922, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from einfall.einsum_cascades.masks.mask import (
    Band,
    Cover,
    Mask,
    MaskError,
    Product,
    Strided,
    _Sequence,
)
from einfall.einsum_cascades.masks.runs import Ints


@final
@dataclass(frozen=True, eq=False)
class Neighborhood(_Sequence):
    """GNA along one dimension of `length` tokens; the module has the formulas."""

    length: int
    window: int
    stride: int = 1
    dilation: int = 1
    causal: bool = False

    def __post_init__(self) -> None:
        """Refuse what GNA does not define.

        Raises:
            MaskError: All the constraints that are broken.
        """
        problems = neighborhood_problems(self)
        if problems:
            raise MaskError(problems)

    def _size(self) -> tuple[int, int]:
        return self.length, self.length

    @cached_property
    def classes(self) -> tuple[Band, ...]:
        """The windows of each dilation class, in positions inside the class."""
        lengths = (-(-(self.length - r) // self.dilation) for r in range(self.dilation))
        return tuple(self._class(n) for n in lengths)

    def windows(self, p: Ints, n: int) -> tuple[Ints, Ints]:
        """Window [start, end) of positions p in a class of n; p may lie in the padding."""
        group = p // self.stride * self.stride
        if self.causal:
            leader = np.minimum(group + self.stride - 1, n - 1)
            return np.maximum(leader - self.window + 1, 0), p + 1
        leader = np.minimum(group + self.stride // 2, n - 1)
        start = np.clip(leader - self.window // 2, 0, n - self.window)
        return start, start + self.window

    def _class(self, n: int) -> Band:
        return Band(*self.windows(np.arange(n), n), n)

    @cached_property
    def _in_place(self) -> Mask:
        """The same windows where the tokens stand, the classes interleaved."""
        if self.dilation == 1:
            return self.classes[0]
        x = np.arange(self.length)
        first, count = np.empty_like(x), np.empty_like(x)
        for r, band in enumerate(self.classes):
            first[r :: self.dilation] = r + self.dilation * band.start
            count[r :: self.dilation] = band.stop - band.start
        return Strided(first, count, self.dilation, self.length)

    @property
    def intervals_hint(self) -> float:
        """That of the windows in place."""
        return self._in_place.intervals_hint

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Where the tokens stand, dilation left in place."""
        return self._in_place.cover(lo, hi)

    def _count_pairs(self) -> int:
        """Σ over classes and positions of (end - start)."""
        return sum(band.pairs for band in self.classes)


def neighborhood_problems(axis: Neighborhood) -> list[str]:
    """The constraints of GNA that a dimension breaks."""
    wrong = []
    for name, least in (("length", 1), ("window", 1), ("stride", 1), ("dilation", 1)):
        value = getattr(axis, name)
        if value < least:
            wrong.append(f"{_WORDS[name]}: wanted at least {least}, found {value}")
    if wrong:
        return wrong
    if axis.window > axis.length:
        wrong.append(
            f"window: wanted window <= input ({axis.length}), found {axis.window}; "
            f"window={axis.length} is dense attention along it"
        )
    elif axis.window * axis.dilation > axis.length:
        wrong.append(
            f"dilation: wanted window·dilation <= input ({axis.length}), found "
            f"{axis.window}·{axis.dilation} = {axis.window * axis.dilation}; "
            f"at most dilation={axis.length // axis.window}"
        )
    if axis.stride > axis.window:
        wrong.append(
            f"stride: wanted stride <= window ({axis.window}), found {axis.stride}; a larger "
            f"one leaves keys that no query attends"
        )
    return wrong


_WORDS = {"length": "input", "window": "window", "stride": "stride", "dilation": "dilation"}


def neighborhood(
    length: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int] | None = None,
    dilation: Sequence[int] | None = None,
    causal: Sequence[bool] | None = None,
) -> Mask:
    """GNA over a grid of tokens; per-dimension sequences, stride, dilation and causal optional.

    Raises:
        MaskError: The numbers of dimensions differ, or constraints of GNA are broken; all at once.

    >>> neighborhood([30, 48, 80], [18, 24, 24], [16, 8, 8]).pairs == 115200 * 18 * 24 * 24
    True
    """
    dims = len(length)
    fields = {
        "window": window,
        "stride": stride or (1,) * dims,
        "dilation": dilation or (1,) * dims,
        "causal": causal or (False,) * dims,
    }
    wrong = [
        f"{name}: wanted one number for each of the {dims} dimensions of the input, found "
        f"{len(values)}"
        for name, values in fields.items()
        if len(values) != dims
    ]
    if wrong or not dims:
        raise MaskError(wrong or ["input: wanted at least one dimension, found none"])
    axes = []
    for d, values in enumerate(zip(length, *fields.values(), strict=True)):
        try:
            axes.append(Neighborhood(*values))
        except MaskError as error:
            at = f" of dimension {d}" if dims > 1 else ""
            wrong += [problem.replace(":", f"{at}:", 1) for problem in error.problems]
    if wrong:
        raise MaskError(wrong)
    return axes[0] if dims == 1 else Product(tuple(axes))
