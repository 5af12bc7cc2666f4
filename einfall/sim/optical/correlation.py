"""What an optical plane is asked to do: maps, kernels, and which part of their product counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from einfall.sim.numeric import Number, maximum

Mode = Literal["full", "same", "valid", "circular"]

Pitch = Literal["clean", "full"]

Sides = tuple[Number, Number]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Maps, each correlated with kernels: `groups` · `channels` · `images` · `kernels` pairs.

        out[g, i, k] = Σ_c  map[g, c, i] ⋆ kernel[g, c, k]

    A matrix product is the valid correlation of maps and kernels of one size, a single number each.
    `images` share their kernels (batch, tokens), `channels` are summed, `groups` share nothing
    (depthwise channels, heads). `known` kernels are weights; others are data, whose spectrum has
    to be worked out first. `map_signed` and `kernel_signed` say whether values below 0 occur.
    """

    images: Number
    kernels: Number
    map_sides: Sides
    kernel_sides: Sides
    mode: Mode
    channels: Number = 1
    groups: Number = 1
    known: bool = True
    map_signed: bool = True
    kernel_signed: bool = True

    @property
    def pairs(self) -> Number:
        """(map, kernel) pairs: groups · channels · images · kernels."""
        return self.groups * self.channels * self.images * self.kernels

    @property
    def output_sides(self) -> Sides:
        """Rows and columns of an output that count.

            full M+N-1      same M      valid M-N+1      circular M

        >>> Correlation(1, 1, (32, 32), (7, 7), "valid").output_sides
        (26, 26)
        """
        sides = zip(self.map_sides, self.kernel_sides, strict=True)
        rows, columns = (_output_side(m, n, self.mode) for m, n in sides)
        return rows, columns

    @property
    def output_pixels(self) -> Number:
        """Pixels of an output that count."""
        rows, columns = self.output_sides
        return rows * columns

    @property
    def macs(self) -> Number:
        """Multiply-adds of all pairs: pairs · output pixels · kernel pixels.

        Taps beyond the edge of the map count, as in the direct convolution of a padded map.

        >>> Correlation(1, 64, (32, 32), (7, 7), "same", channels=3).macs  # ResNet-18, first layer
        9633792
        """
        rows, columns = self.kernel_sides
        return self.pairs * self.output_pixels * rows * columns

    def pitch(self, which: Pitch) -> Sides:
        """The clean pitch, or the full one."""
        return self.full_pitch() if which == "full" else self.clean_pitch()

    def clean_pitch(self) -> Sides:
        """Rows and columns between maps so that no output touches what counts of another.

            full, circular  M+N-1      same  M + ⌈(N-1)/2⌉      valid  max(M, N)

        A circular correlation has the map continued around its edge to M+N-1 rows, of which the
        valid part counts. Outputs of neighbours may overlap outside of what counts. The plane
        itself may be a whole number of pitches: what leaves it on one side and comes back on the
        other does not count either.

        Source: brute force on small planes, tests/sim/optical/test_tilings.py. For `same` the
        literature takes M+N-1 (FatNet, equation 6), see `full_pitch`.

        >>> Correlation(1, 1, (32, 32), (7, 7), "same").clean_pitch()
        (35, 35)
        """
        sides = zip(self.map_sides, self.kernel_sides, strict=True)
        rows, columns = (_clean_side(m, n, self.mode) for m, n in sides)
        return rows, columns

    def full_pitch(self) -> Sides:
        """Rows and columns between maps so that no outputs overlap at all: M+N-1.

        Source: Ibadulla, Chen, Reyes-Aldasoro, FatNet, AI 2023, equation 6.
        """
        (m, p), (n, q) = self.map_sides, self.kernel_sides
        return m + n - 1, p + q - 1


def _output_side(map_side: Number, kernel_side: Number, mode: Mode) -> Number:
    if mode == "full":
        return map_side + kernel_side - 1
    if mode == "valid":
        return map_side - kernel_side + 1
    return map_side


def _clean_side(map_side: Number, kernel_side: Number, mode: Mode) -> Number:
    if mode == "valid":
        return maximum(map_side, kernel_side)
    if mode == "same":
        return map_side + kernel_side // 2  # ⌈(N-1)/2⌉
    return map_side + kernel_side - 1
