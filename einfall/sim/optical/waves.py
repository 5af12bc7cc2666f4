"""Scalar waves on square grids: free space, thin lenses, and the pixels of a plane.

A field is the complex amplitude of a wave of one colour and polarisation at points of a plane that
stand across the axis, [samples, samples]; its energy is the sum of |field|². All planes of a
system share one grid. The frame of reference is a plane wave along the axis, whose phase is 0 in
every plane.

    free space   spectrum · exp(2πi·z·(√(λ⁻² − u² − v²) − λ⁻¹))     `transfer`, `propagate`
    thin lens    field · exp(−2πi·(√(r² + f²) − f)/λ), r ≤ D/2      `lens`
    pixels       light, filter or read the share of a sample's cell that they cover    `coverage`

Left out: polarisation, reflections, thickness and colour of glass, aberrations of anything but
this one phase. An exact wave and a thin lens do have aberrations off the axis; the paraxial pair
has none, which also stands for a lens that is corrected for its use.

Source:
    Goodman, Introduction to Fourier Optics, 3rd ed., 2005: sections 3.10 (angular spectrum), 4.2
    (Fresnel) and 5.1 (thin lens). Limit of the band: Matsushima and Shimobaba, Opt. Express 17,
    19662, 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.floating[Any]]
Field = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Samples per side of a square window; sample `samples // 2` lies on the axis.

    >>> Grid(samples=4, sample_m=0.5).positions_m.tolist()
    [-1.0, -0.5, 0.0, 0.5]
    """

    samples: int
    sample_m: float

    @property
    def window_m(self) -> float:
        """Side of the window; fields go on periodically beyond it [m]."""
        return self.samples * self.sample_m

    @property
    def positions_m(self) -> Real:
        """Distance of each sample from the axis, along one side [samples]."""
        return (np.arange(self.samples) - self.samples // 2) * self.sample_m

    @property
    def frequencies_per_m(self) -> Real:
        """Spatial frequency of each term of the DFT along one side, in the FFT's order [samples].

        >>> Grid(samples=4, sample_m=0.5).frequencies_per_m.tolist()
        [0.0, 0.5, -1.0, -0.5]
        """
        return np.fft.fftfreq(self.samples, self.sample_m)


@dataclass(frozen=True, slots=True)
class Pixel:
    """A square pixel of a modulator or camera.

    Attributes:
        pitch_m: From the centre of one pixel to that of the next.
        fill: Side of its active area over the pitch, from above 0 to 1; the rest is dark.
    """

    pitch_m: float
    fill: float = 1.0

    def __post_init__(self) -> None:
        """Refuse pixels without area, and those that overlap."""
        if not self.pitch_m > 0:
            raise ValueError(f"pitch_m: wanted a length above 0, found {self.pitch_m:g}")
        if not 0 < self.fill <= 1:
            raise ValueError(f"fill: wanted a fraction of the pitch above 0, found {self.fill:g}")


def transfer(
    grid: Grid, distance_m: float, wavelength_m: float, *, paraxial: bool = False
) -> Field:
    """What free space multiplies each plane wave of a field by.

        H(u, v) = exp(2πi·z·(√(λ⁻² − u² − v²) − λ⁻¹))
        paraxial: H(u, v) = exp(−πi·λ·z·(u² + v²))

    Beyond u² + v² = λ⁻² the root is imaginary: such waves are evanescent and decay. A wave of
    frequency u moves sideways by z·u/√(λ⁻² − u² − v²); on a periodic window, one that moves by
    more than half of it would come back from the other side, so that the exact H is 0 there.
    The paraxial one keeps such waves: on a grid of N samples with N·sample² = λ·z it makes of
    space, lens and space the DFT, to the last digit.

    Args:
        grid: Where the field is sampled.
        distance_m: Way along the axis, z ≥ 0.
        wavelength_m: λ.
        paraxial: Fresnel's approximation, for waves at small angles.

    Returns:
        H in the order of the FFT [samples, samples].

    Raises:
        ValueError: The distance is negative.

    Light of 0.5 m that goes 0.25 m along the axis, and evanescent waves of 3 and √18 per metre:
    exp(−2π·0.25·√(9 − 4)) and exp(−2π·0.25·√(18 − 4)).

    >>> abs(transfer(Grid(samples=2, sample_m=1 / 6), 0.25, 0.5)).round(4).tolist()
    [[1.0, 0.0298], [0.0298, 0.0028]]
    """
    if distance_m < 0:
        raise ValueError(f"distance_m: wanted 0 or more, found {distance_m:g}")
    u = grid.frequencies_per_m
    if paraxial:
        chirp = np.exp(-1j * np.pi * wavelength_m * distance_m * u**2)
        return np.outer(chirp, chirp)
    along = np.sqrt((wavelength_m**-2 - u[:, None] ** 2 - u**2).astype(complex))
    passed = np.exp(2j * np.pi * distance_m * (along - 1 / wavelength_m))
    reaches = distance_m * abs(u) <= grid.window_m / 2 * along.real
    travels = along.imag == 0
    passed[travels & ~(reaches & reaches.T)] = 0
    return passed


def propagate(field: Field, through: Field) -> Field:
    """The field after free space: each plane wave times its transfer function.

    Two FFTs of samples² points. No light is made or lost where |H| = 1.

    Args:
        field: Amplitude in one plane [samples, samples].
        through: `transfer` of the way [samples, samples].

    Returns:
        Amplitude in the other plane [samples, samples].

    >>> grid = Grid(samples=2, sample_m=1.0)
    >>> field = propagate(np.ones((2, 2)), transfer(grid, 3.0, 0.25))
    >>> bool(np.allclose(field, 1))
    True
    """
    waves = np.array(field, complex)  # in place from here on: large grids are bound by memory
    np.fft.fft2(waves, out=waves)
    waves *= through
    return np.fft.ifft2(waves, out=waves)


def lens(
    grid: Grid,
    focal_length_m: float,
    diameter_m: float,
    wavelength_m: float,
    *,
    paraxial: bool = False,
) -> Field:
    """What a thin round lens multiplies a field by; beyond its edge nothing passes.

        t(r) = exp(−2πi·(√(r² + f²) − f)/λ),    paraxial: exp(−πi·r²/(λ·f)),    0 beyond D/2

    It brings a wave along the axis to one point at distance f. A sample at the edge passes the
    part of it that lies inside along the radius.

    Args:
        grid: Where the field is sampled.
        focal_length_m: f.
        diameter_m: Clear diameter D; infinity for no edge.
        wavelength_m: λ.
        paraxial: Fresnel's approximation, to be used with the same of `transfer`.

    Returns:
        t [samples, samples].

    At r = 3 and f = 4 the way to the focus is 5, one more than along the axis: half a wave of 2.
    The corner, at r = 4.24 and with the edge at 4.5, passes (4.5 − 4.24)/3 + ½.

    >>> t = lens(Grid(samples=3, sample_m=3.0), 4.0, 9.0, 2.0)
    >>> t[1].real.round(2).tolist(), abs(t[0]).round(2).tolist()
    ([-1.0, 1.0, -1.0], [0.59, 1.0, 0.59])
    """
    squares = grid.positions_m**2
    r2 = squares[:, None] + squares
    if paraxial:
        chirp = np.exp(-1j * np.pi / (wavelength_m * focal_length_m) * squares)
        glass = np.outer(chirp, chirp)
    else:
        longer_m = np.sqrt(r2 + focal_length_m**2) - focal_length_m
        glass = np.exp(-2j * np.pi / wavelength_m * longer_m)
    inside = (diameter_m / 2 - np.sqrt(r2)) / grid.sample_m + 0.5
    return glass * np.clip(inside, 0, 1)


def coverage(
    grid: Grid, pixel: Pixel, pixels: int, *, shift_px: float = 0.0, turned: bool = False
) -> Real:
    """Share of each sample's cell that each pixel covers, along one side.

        C[s, p] = |cell s ∩ active width of pixel p| / sample

    Pixel `pixels // 2` is centred on the axis. With C, pixels x[p, q] make the field C·x·Cᵀ, and
    Cᵀ·field·C sums the samples that a pixel receives.

    Args:
        grid: Where fields are sampled.
        pixel: Pitch and fill.
        pixels: Pixels per side.
        shift_px: How far the plane is off the axis, in pitches.
        turned: The plane is mounted turned by 180 degrees, as a camera is that shows an image
            upright which two lenses have turned.

    Returns:
        C [samples, pixels].

    Two pixels with three samples each, the second on the axis; then the second with a quarter of
    its width dark on either side, which leaves a quarter of its outer samples.

    >>> coverage(Grid(samples=8, sample_m=1.0), Pixel(3.0), 2).astype(int).T.tolist()
    [[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0]]
    >>> coverage(Grid(samples=8, sample_m=1.0), Pixel(3.0, fill=0.5), 2)[3:6, 1].tolist()
    [0.25, 1.0, 0.25]
    """
    centres_m = (np.arange(pixels) - pixels // 2 + shift_px) * pixel.pitch_m
    if turned:
        centres_m = -centres_m
    half_m, cell_m = pixel.fill * pixel.pitch_m / 2, grid.sample_m / 2
    # from pixel to sample the shorter way round, as the window is periodic
    apart_m = grid.positions_m[:, None] - centres_m
    apart_m -= np.round(apart_m / grid.window_m) * grid.window_m
    shared_m = np.minimum(apart_m + cell_m, half_m) - np.maximum(apart_m - cell_m, -half_m)
    # without what rounding leaves: a share of 1e-16 is 1e-8 in the root of an intensity
    return np.round(np.maximum(shared_m, 0) / grid.sample_m, 12)


def envelope(pixel: Pixel, frequencies_per_m: Real, sample_m: float = 0.0) -> Real:
    """How much of a plane wave one pixel's average keeps, along one side.

        E(u) = sin(π·u·w)/(π·u·w),    w = fill·pitch

    or, for a pixel that stands on a grid, the same average over its samples, each of weight C:

        E(u) = Σ C[s]·cos(2π·u·s·sample)/Σ C[s]

    which is larger by the fraction (π·u·sample)²/6: what a mask that is divided by the first
    leaves over. The same E weights the light that a pixel sends into a direction.

    Args:
        pixel: Pitch and fill.
        frequencies_per_m: u [any shape].
        sample_m: Distance of samples; 0 for the true pixel.

    Returns:
        E of the shape of u.

    At half a wave per pitch: 2/π, and over three samples (1 + 2·cos 60°)/3.

    >>> [envelope(Pixel(1.0), np.array([0.5]), m).round(4).tolist() for m in (0.0, 1 / 3)]
    [[0.6366], [0.6667]]
    """
    if not sample_m:
        return np.sinc(frequencies_per_m * pixel.fill * pixel.pitch_m)
    grid = Grid(2 * int(np.ceil(pixel.pitch_m / sample_m)) + 1, sample_m)
    share = coverage(grid, pixel, 1)[:, 0]
    waves = np.cos(2 * np.pi * np.multiply.outer(frequencies_per_m, grid.positions_m))
    return waves @ share / share.sum()
