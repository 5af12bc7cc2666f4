"""Tilings: which maps and kernels share a frame, and how many frames a layer takes.

A tile is one (map, kernel) pair. Tiles lie at a pitch s, and a plane of R pixels a side holds
n = ⌊R/s⌋ of them a side. With i input planes and k masks for each of o parts that share nothing,

    frames = o · i · k

    tiling    a plane holds                                 o                 i           k
    none      one map, one kernel                           groups·channels   B           K
    batch     n² images, one kernel                         groups·channels   ⌈B/n²⌉      K
    kernel    one map, n² kernels                           groups·channels   B           ⌈K/n²⌉
    mix       a images by b kernels, a·b <= n²              groups·channels   ⌈B/a⌉       ⌈K/b⌉
    channel   c² channels of g images, summed as light      groups·⌈C/c²⌉     ⌈B/g⌉       K

Where groups share a plane, q of them with a images and b kernels each take (q·a)·(q·b) tiles, of
which only those of one group with itself are of use. Signs and bits multiply i and k (`planes`).

Sources:
    batch: FatNet, AI 2023; channel: Li et al., 2020, arXiv:2011.07391; kernel and mix:
    ConvShareViT, 2025, arXiv:2504.11517, whose exact definitions could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from einfall.sim.numeric import Number, ceil_div, floor_div, minimum
from einfall.sim.optical.correlation import Correlation, Sides

Name = Literal["none", "batch", "kernel", "mix", "channel"]
NAMES: tuple[Name, ...] = ("none", "batch", "kernel", "mix", "channel")


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a layer lies on the planes.

    `images` and `kernels` of one group share a plane, of `groups` groups at once; `channels` of
    them are summed as light. `parts` · `inputs` · `masks` are frames of positive numbers of few
    enough bits. `lit` tiles a frame hold an output that counts.
    """

    name: Name
    pitch: Sides
    images: Number
    kernels: Number
    parts: Number
    inputs: Number
    masks: Number
    groups: Number = 1
    channels: Number = 1

    @property
    def frames(self) -> Number:
        """Frames without regard to signs and bits: parts · inputs · masks."""
        return self.parts * self.inputs * self.masks

    @property
    def lit(self) -> Number:
        """Tiles of a full frame that hold an output: groups · images · kernels."""
        return self.groups * self.images * self.kernels

    @property
    def span(self) -> Number:
        """Tiles from the first to the last output of a full frame, those without use included."""
        return self.groups**2 * self.images * self.kernels * self.channels


def tiles_a_side(side: Number, pitch: Sides) -> Sides:
    """Tiles along each side of the plane: ⌊R/s⌋.

    >>> c = Correlation(1, 1, (32, 32), (7, 7), "same")
    >>> tiles_a_side(2160, c.full_pitch())
    (56, 56)
    """
    rows, columns = pitch
    return floor_div(side, rows), floor_div(side, columns)


def tiles_of(side: Number, pitch: Sides) -> Number:
    """Tiles of a plane: ⌊R/s⌋²; 0 where not even one pair fits.

    >>> tiles_of(2160, (38, 38))  # FatNet's batch
    3136
    """
    return prod(tiles_a_side(side, pitch))


def none(c: Correlation, side: Number, pitch: Sides) -> Tiling:
    """One pair a frame."""
    return Tiling("none", pitch, 1, 1, c.groups * c.channels, c.images, c.kernels)


def batch(c: Correlation, side: Number, pitch: Sides) -> Tiling:
    """Images fill the plane.

    >>> c = Correlation(3136, 64, (32, 32), (7, 7), "same", channels=3)
    >>> batch(c, 2160, c.full_pitch()).frames
    192
    """
    n = tiles_of(side, pitch)
    images = minimum(n, c.images)
    return Tiling(
        "batch", pitch, images, 1, c.groups * c.channels, ceil_div(c.images, n), c.kernels
    )


def kernel(c: Correlation, side: Number, pitch: Sides) -> Tiling:
    """Kernels fill the mask."""
    n = tiles_of(side, pitch)
    kernels = minimum(n, c.kernels)
    return Tiling(
        "kernel", pitch, 1, kernels, c.groups * c.channels, c.images, ceil_div(c.kernels, n)
    )


def channel(c: Correlation, side: Number, pitch: Sides) -> Tiling:
    """Channels side by side, their kernels mirrored about the middle: matching pairs meet there.

    Of c² channels' tiles one is read. Channels that do not fit the plane are summed by the host.

    >>> conv = Correlation(1, 64, (16, 16), (3, 3), "same", channels=64)
    >>> channel(conv, 2160, conv.full_pitch()).frames  # 225 groups of 8 x 8 channels would fit
    64
    """
    n = min(tiles_a_side(side, pitch))
    across = minimum(n, _root(c.channels))
    together = minimum(across**2, c.channels)
    room = prod(floor_div(each, across) for each in tiles_a_side(side, pitch))
    return Tiling(
        "channel",
        pitch,
        images=minimum(room, c.images),
        kernels=1,
        parts=c.groups * ceil_div(c.channels, across**2),
        inputs=ceil_div(c.images, room),
        masks=c.kernels,
        channels=together,
    )


def mix(
    c: Correlation, pitch: Sides, images: Number, kernels: Number, groups: Number = 1
) -> Tiling:
    """So many images and kernels of so many groups in a frame."""
    return Tiling(
        "mix",
        pitch,
        images=images,
        kernels=kernels,
        parts=c.channels * ceil_div(c.groups, groups),
        inputs=ceil_div(c.images, images),
        masks=ceil_div(c.kernels, kernels),
        groups=groups,
    )


def mixes(c: Correlation, side: int, pitch: Sides) -> Iterator[Tiling]:
    """Mixes, the one of fewest frames among them: most kernels beside so many images and groups.

    Along a side, a images lie at the pitch s and b kernels at a·s, where a·b·s <= R. They are
    spread evenly over frames, so that no more of the plane is lit than has to be.
    """
    rows, columns = (int(n) for n in tiles_a_side(side, pitch))
    shares = {
        (a * b, (rows // a) * (columns // b)) for a in _useful(rows) for b in _useful(columns)
    }
    for images, kernels in _undominated(shares):
        for groups in _groups(c, images, kernels):
            a = _even(int(c.images), images // groups)
            b = _even(int(c.kernels), kernels // groups)
            yield mix(c, pitch, a, b, groups)


def _groups(c: Correlation, images: int, kernels: int) -> Iterator[int]:
    """Numbers of groups that may share a plane with so much room: the least for each ⌈groups/q⌉."""
    most = min(int(c.groups), images, kernels)
    least = (1, *(q + 1 for q in _useful(int(c.groups) - 1)))
    yield from (q for q in least if q <= most)


def _even(n: int, most: int) -> int:
    """How many of n a frame holds if no more frames are taken than for as many as possible.

    >>> _even(10, 9), _even(10, 20)
    (5, 10)
    """
    return int(ceil_div(n, ceil_div(n, most)))


def _useful(n: int) -> Iterator[int]:
    """Numbers a up to n that leave a different room ⌊n/a⌋, the largest a of each; 2·√n of them."""
    a = 1
    while a <= n:
        a = n // (n // a)
        yield a
        a += 1


def _undominated(shares: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Pairs for which no other has as much of both."""
    most = 0
    for images, kernels in sorted(shares, reverse=True):
        if kernels > most:
            most = kernels
            yield images, kernels


def tilings(c: Correlation, side: int, pitch: Sides, name: Name | None = None) -> Iterator[Tiling]:
    """The tilings of a name, or all of them; none where a single pair does not fit the plane."""
    if not tiles_of(side, pitch):
        return
    single = {"none": none, "batch": batch, "kernel": kernel, "channel": channel}
    for each, make in single.items():
        if name in (None, each):
            yield make(c, side, pitch)
    if name in (None, "mix"):
        yield from mixes(c, side, pitch)


def _root(n: Number) -> Number:
    """⌈√n⌉ of whole numbers below 2^52."""
    import numpy as np

    root = np.ceil(np.sqrt(n))
    return root if np.ndim(root) else int(root)
