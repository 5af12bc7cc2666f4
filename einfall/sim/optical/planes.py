"""Signs and bits: how many input planes and masks stand for one when light has neither.

    input planes = σ_x · ⌈b / b_in⌉ · …          masks = σ_w · ⌈b / b_mask⌉ · …

Amplitudes are not negative as the camera sees their square: what has both signs is split in two
planes, of which the host subtracts one from the other (pseudo-negativity), or shifted up by a
constant. A modulator with fewer bits than an operand shows its digits one after the other; the
host adds them up with their weights. Levels by the duty cycle of a mirror within an exposure are no
way out: the camera would add up intensities, not fields.

Digits are those of the kernel, whose spectrum the mask still has to hold: a mask of few levels
needs a carrier hologram, or leaves the error that `diffraction` shows. Frames are counted, that is
not.

Sources: FatNet, AI 2023 (pseudo-negativity of kernels). The rest are our derivations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from einfall.hw_models.optical_4f import Optical4f
from einfall.sim.numeric import Number, ceil_div
from einfall.sim.optical.correlation import Correlation

Signs = Literal["split", "shift"]
SIGNS: tuple[Signs, ...] = ("split", "shift")


@dataclass(frozen=True, slots=True)
class Planes:
    """Input planes and masks for one of positive numbers of few enough bits."""

    input_signs: int
    mask_signs: int
    input_digits: Number
    mask_digits: Number

    @property
    def inputs(self) -> Number:
        """Input planes in place of one."""
        return self.input_signs * self.input_digits

    @property
    def masks(self) -> Number:
        """Masks in place of one."""
        return self.mask_signs * self.mask_digits

    @property
    def sigma(self) -> int:
        """Frames for signs: 1, 2 or 4."""
        return self.input_signs * self.mask_signs

    @property
    def rho(self) -> Number:
        """Frames for bits."""
        return self.input_digits * self.mask_digits


def planes(correlation: Correlation, optics: Optical4f, signs: Signs = "split") -> Planes:
    """Planes of a layer on a system.

    Args:
        correlation: Whose operands have both signs.
        optics: Bits of an operand, and of the modulators.
        signs: "split" takes both signs apart; "shift" adds a constant to the maps, whose share
            c · Σ kernel the host takes away, at the cost of dynamic range.

    >>> from einfall.hw_models import load
    >>> relu = Correlation(1, 1, (8, 8), (3, 3), "same", map_signed=False)
    >>> planes(relu, load("optical_4f_ideal")).sigma
    2
    """
    return Planes(
        input_signs=2 if correlation.map_signed and signs == "split" else 1,
        mask_signs=2 if correlation.kernel_signed else 1,
        input_digits=ceil_div(optics.word_bits, optics.input.bits),
        mask_digits=ceil_div(optics.word_bits, optics.mask.bits),
    )
