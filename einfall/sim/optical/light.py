"""Light: photons for the bits wanted, exposures that a pixel's well allows, and their time.

    photo-electrons        n = 3 · 4^b                  the square root taken of a Poisson count
    exposures              m = ⌈3 · 4^b · (well + r²) / well²⌉
    with read noise r      n²/(n + m·r²) = 3 · 4^b      each exposure is read
    light                  n · pixels · hc/λ / (QE · η · η_mask)                       [J]
    time                   light / laser power                                         [s]

Left out: speckle, zero order, stray light, and what saturates.

Sources: shot noise of a square root is 1/2 at every level, and a step's is 1/√12 of it: n = 3·4^b.
Passive mask: |H| <= 1.
"""

from __future__ import annotations

from math import ceil, log2, sqrt

from einfall.hw_models.optical_4f import Optical4f
from einfall.sim.numeric import Number

MASK_PART = 0.63
"""Light that a passive mask of one smooth kernel lets through: a scalar run of the notes."""


def electrons(bits: float, read_noise: float = 0.0, reads: int = 1) -> float:
    """Photo-electrons at full scale for so many bits of the amplitude, of all exposures together.

    The positive root of n² = n₀·(n + m·r²) with n₀ = 3·4^b, in m reads.

    >>> electrons(4), electrons(8)
    (768.0, 196608.0)
    """
    ideal = 3 * 4.0**bits
    return (ideal + sqrt(ideal**2 + 4 * ideal * reads * read_noise**2)) / 2


def bits_of(electrons_: float, read_noise: float = 0.0) -> float:
    """Bits of the amplitude that so many photo-electrons give: log₄(n² / (3·(n + r²))).

    >>> round(bits_of(1e4), 1), round(bits_of(1e6), 1)
    (5.9, 9.2)
    """
    return log2(electrons_**2 / (electrons_ + read_noise**2) / 3) / 2


def averaging_bits(frames: int) -> float:
    """Bits won by the mean of so many exposures: ½ · log₂ m.

    >>> averaging_bits(4)
    1.0
    """
    return log2(frames) / 2


def exposures(optics: Optical4f, bits: float) -> int:
    """Exposures that are averaged so that full wells hold enough: ⌈3 · 4^b · (well + r²) / well²⌉.

    >>> from einfall.hw_models import load
    >>> exposures(load("optical_4f_ideal"), 8), exposures(load("optical_4f_ideal"), 10)
    (1, 4)
    """
    well, noise = optics.camera.full_well, optics.camera.read_noise
    return ceil(3 * 4.0**bits * (well + noise**2) / well**2)


def light_j(optics: Optical4f, bits: float, pixels: Number) -> Number:
    """Light that leaves the laser for one frame, all its exposures [J].

    Args:
        optics: The system.
        bits: Bits of the amplitude wanted.
        pixels: Pixels of the camera on which light falls, whether they count or not.

    >>> from einfall.hw_models import load
    >>> ideal = load("optical_4f_ideal")
    >>> round(light_j(ideal, 8, 2160**2) * MASK_PART * 1e6, 1)  # 5.7 µJ before the mask
    5.7
    """
    n = electrons(bits, optics.camera.read_noise, exposures(optics, bits))
    each = n * optics.photon_j
    part = optics.camera.quantum_efficiency * optics.lenses.transmission * MASK_PART
    return each * pixels / part
