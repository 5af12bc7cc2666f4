"""What a 4f convolver really computes: scalar waves from the modulator to the camera.

    modulator → f → lens 1 → f → mask → f → lens 2 → f → camera

Lens 1 forms the spectrum of the image on the mask, which multiplies it by that of the kernel; lens
2 transforms back, turned by 180 degrees. One DFT bin falls on one mask pixel where

    pixels · d_modulator · d_mask = λ · f

On a grid with one sample a pixel, space, lens and space are exactly a DFT: such a run returns the
ideal convolution to 1e-15 and says nothing about optics. Here every pixel has an odd number
Q ≥ 3 of samples, the window is Q planes wide, and the lens ends. A plane of N pixels is a grid of
(Q²·N)² points and eight FFTs of it: 576² for 64 pixels and Q = 3, 19,440² and 6 GB a field for
2160. So the run contains

    * the sinc envelopes of the pixels of all three planes and the orders beside the mask,
    * ghosts of the image that the mask's pixels make,
    * vignetting by the lenses and light scattered by their edges,
    * with `paraxial=False` also the aberrations of two thin lenses,
    * a mask of few levels, of phase or amplitude alone, off the axis; gaps that are too long,
    * a camera that averages intensity over a pixel (or, for comparison, the field).

It is valid where light from each plane to each part of a lens fits the window and the band, which
`Optics4f` checks; light beyond wraps around onto places that neither lens nor mask passes.

Left out: noise and read-out bits of the camera, speckle, contrast ratio and zero order of the
modulators, crosstalk of their electrodes, coatings. Errors grow with the content of image and
kernel: run the configuration at hand instead of taking an error from a table.

Source:
    Goodman, Introduction to Fourier Optics, 3rd ed., 2005, chapters 5 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, inf, isfinite, log2
from typing import Any, Literal, get_args

import numpy as np

from einfall.sim.optical.waves import (
    Field,
    Grid,
    Pixel,
    Real,
    coverage,
    envelope,
    lens,
    propagate,
    transfer,
)

MaskKind = Literal["complex", "phase", "amplitude"]
Correction = Literal["none", "input", "all"]
Detection = Literal["intensity", "field"]
Output = Literal["full", "same", "valid"]

_CLOSE = 1e-9  # rounding of lengths that were computed from each other
_SCALE = 0.1  # part by which a kernel may be scaled before the ideal means nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics4f:
    """A 4f system, what is wrong with it, and how finely it is sampled.

    Attributes:
        wavelength_m: Of the laser, λ.
        focal_length_m: Of both lenses, f.
        pixels: Per side of each plane, N.
        modulator: Pixels of the input plane.
        mask: Pixels of the Fourier plane.
        camera: Pixels of the output plane.
        lens_diameter_m: Clear diameter D of both lenses; infinity for ideal Fourier lenses, which
            are paraxial.
        oversample: Samples per pixel along a side, Q, odd.
        mask_kind: What the mask controls: both, or it keeps one and sets the other to 1.
        mask_bits: Levels of amplitude and of phase, 2**bits each; None for a continuous mask.
        input_bits: Levels of amplitude of the modulator, 2**bits; None for a continuous one.
        mask_shift_px: How far the mask is off the axis along rows and columns [pixels].
        defocus: Part of f by which each of the four gaps is too long.
        corrected: Envelopes that the mask is divided by: none, that of the modulator's pixels, or
            those of all three planes.
        continuous_envelopes: Divide by the envelopes of true pixels instead of sampled ones. True
            pixels are not what stands on the grid: this leaves an error of the simulation, which
            falls as Q⁻².
        detection: A camera pixel gives √(mean of |field|²), or |mean of the field|, as a
            coherent receiver would.
        paraxial: Waves at small angles and lenses without aberrations.
    """

    wavelength_m: float
    focal_length_m: float
    pixels: int
    modulator: Pixel
    mask: Pixel
    camera: Pixel
    lens_diameter_m: float
    oversample: int = 3
    mask_kind: MaskKind = "complex"
    mask_bits: int | None = None
    input_bits: int | None = None
    mask_shift_px: tuple[float, float] = (0.0, 0.0)
    defocus: float = 0.0
    corrected: Correction = "none"
    continuous_envelopes: bool = False
    detection: Detection = "intensity"
    paraxial: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be, and what this grid cannot show."""
        mistakes = (
            list(_mistakes(self)) or list(_pitch_mistakes(self)) or list(_sampling_mistakes(self))
        )
        if mistakes:
            raise ValueError("; ".join(mistakes))

    @classmethod
    def matched(
        cls,
        *,
        pixels: int,
        pitch_m: float,
        wavelength_m: float,
        lens_sides: float = 2.0,
        fill: float = 1.0,
        **rest: Any,  # noqa: ANN401 - further fields, each checked under its own name
    ) -> Optics4f:
        """A system of equal planes: f = N·d²/λ, and lenses of so many sides of a plane.

        At 2 sides a lens is as wide as the light on its way to the mask, but for the corners.

        >>> optics = Optics4f.matched(pixels=2160, pitch_m=3.74e-6, wavelength_m=532e-9)
        >>> f"{optics.focal_length_m * 1e3:.1f} mm, lens {optics.lens_diameter_m * 1e3:.1f} mm"
        '56.8 mm, lens 16.2 mm'
        """
        planes: dict[str, Any] = dict.fromkeys(
            ("modulator", "mask", "camera"), Pixel(pitch_m, fill)
        )
        return cls(
            wavelength_m=wavelength_m,
            focal_length_m=pixels * pitch_m**2 / wavelength_m,
            pixels=pixels,
            lens_diameter_m=lens_sides * pixels * pitch_m,
            **(planes | rest),
        )

    @property
    def grid(self) -> Grid:
        """Q samples over the smaller pitch, and a window of Q times the wider plane.

        >>> Optics4f.matched(pixels=64, pitch_m=3e-6, wavelength_m=5e-7).grid.samples
        576
        """
        sample_m = min(self.modulator.pitch_m, self.mask.pitch_m) / self.oversample
        spread_m2 = self.pixels * self.modulator.pitch_m * self.mask.pitch_m
        return Grid(round(spread_m2 / sample_m**2), sample_m)

    @property
    def span_m(self) -> float:
        """λ·f: what a spatial frequency of 1/m is moved by from one plane to the next [m²]."""
        return self.wavelength_m * self.focal_length_m


def _mistakes(optics: Optics4f) -> Iterator[str]:
    """What no such system can be."""
    for name in ("wavelength_m", "focal_length_m", "lens_diameter_m"):
        if not getattr(optics, name) > 0:
            yield f"{name}: wanted a length above 0, found {getattr(optics, name):g}"
    for name, least in (("pixels", 1), ("mask_bits", 1), ("input_bits", 1), ("oversample", 1)):
        number = getattr(optics, name)
        if number is not None and number < least:
            yield f"{name}: wanted {least} or more, found {number}"
    choices = {"mask_kind": MaskKind, "corrected": Correction, "detection": Detection}
    for name, choice in choices.items():
        if getattr(optics, name) not in get_args(choice):
            yield f"{name}: wanted one of {get_args(choice)}, found {getattr(optics, name)!r}"
    if optics.oversample % 2 == 0:
        yield f"oversample: wanted an odd number, found {optics.oversample}"
    if optics.defocus < -1:
        yield f"defocus: wanted gaps of 0 or longer, so -1 or more, found {optics.defocus:g}"


def _pitch_mistakes(optics: Optics4f) -> Iterator[str]:
    """Planes whose DFT bins do not meet their pixels."""
    for name in ("modulator", "camera"):
        reach_m2 = optics.pixels * getattr(optics, name).pitch_m * optics.mask.pitch_m
        if abs(reach_m2 / optics.span_m - 1) > _SCALE:
            yield (
                f"focal_length_m: the pitches of {name} and mask want pixels·d·d_mask/λ = "
                f"{reach_m2 / optics.wavelength_m:.4g}, found {optics.focal_length_m:.4g}: more "
                f"than {_SCALE:.0%} off"
            )


def _sampling_mistakes(optics: Optics4f) -> Iterator[str]:
    """Where the simulation would not show what the system does."""
    grid = optics.grid
    band_m = optics.span_m / grid.sample_m  # the highest frequency moves by half of this
    planes = (optics.modulator, optics.mask, optics.camera)
    side_m = optics.pixels * max(pixel.pitch_m for pixel in planes)
    if isfinite(optics.lens_diameter_m):
        needed_m = optics.lens_diameter_m + side_m
        found_m = min(grid.window_m, band_m)
        if needed_m > found_m * (1 + _CLOSE):
            fits = ceil(optics.oversample * needed_m / found_m * (1 - _CLOSE)) // 2 * 2 + 1
            yield (
                f"oversample: light between a plane of {side_m:.4g} m and a lens of "
                f"{optics.lens_diameter_m:.4g} m needs a window of {needed_m:.4g} m, but "
                f"oversample={optics.oversample} makes it {found_m:.4g} m; {fits} fits"
            )
        return
    if not optics.paraxial:
        yield "lens_diameter_m: infinite with paraxial=False; give it an edge, or paraxial=True"
    if abs(band_m / grid.window_m - 1) > _CLOSE:
        yield (
            f"lens_diameter_m: infinite needs pixels·d·d_mask = λ·f, found "
            f"{grid.window_m * grid.sample_m:.6g} and {optics.span_m:.6g} m²; give it an edge"
        )
    if optics.oversample == 1 and optics.defocus:
        yield f"oversample: wanted 3 or more with defocus={optics.defocus:g}, found 1"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of the camera and what it should have been.

    Attributes:
        amplitude: √ of the camera's reading, in units of the light that the modulator sends out,
            turned upright [pixels, pixels].
        ideal: The linear convolution of image and kernel at the same pixels [pixels, pixels].
        energy_fraction: Light that the camera's pixels receive over light that the modulator
            sends out; a passive mask takes most of the rest.
    """

    amplitude: Real
    ideal: Real
    energy_fraction: float

    @property
    def relative_error(self) -> float:
        """`relative_error` of the whole plane."""
        return relative_error(self.amplitude, self.ideal)

    @property
    def effective_bits(self) -> float:
        """−log₂ of the relative error; infinity for none [bit]."""
        error = self.relative_error
        return -log2(error) if error else inf


def relative_error(measured: Real, ideal: Real) -> float:
    """‖a·measured − |ideal|‖ / ‖ideal‖ with the scale a that makes it least.

        a = Σ measured·|ideal| / Σ measured²

    A camera sees no sign, and its gain is set by calibration.

    Args:
        measured: Amplitudes [any shape].
        ideal: What they should be [the same shape].

    Returns:
        The error, from 0 to 1.

    Raises:
        ValueError: The ideal is dark everywhere.

    (2, 0) scaled by any a is 4 away from (3, 4) at best, out of 5.

    >>> relative_error(np.array([2.0, 0.0]), np.array([3.0, 4.0]))
    0.8
    """
    wanted = abs(ideal)
    norm = np.linalg.norm(wanted)
    if not norm:
        raise ValueError("ideal: wanted light somewhere, found 0 everywhere")
    power = np.vdot(measured, measured)
    scale = np.vdot(measured, wanted) / power if power else 0.0
    return float(np.linalg.norm(scale * measured - wanted) / norm)


def convolved(image: Real, kernel: Real) -> Real:
    """The ideal: the linear convolution on the image's own pixels, dark outside.

        y[r] = Σ_t k[t]·x[r − t + n//2],    t from 0 to n−1 along each side

    For a correlation give the kernel turned, `kernel[::-1, ::-1]`.

    Args:
        image: x [N, N].
        kernel: k [n, n], n ≤ N; its pixel n//2 is the one that stays in place.

    Returns:
        y [N, N].

    >>> convolved(np.diag([0.0, 1.0, 0.0]), np.arange(1.0, 10.0).reshape(3, 3)).round(9).tolist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    """
    n = len(kernel)
    side = len(image) + n - 1
    spectrum = np.fft.rfft2(image, (side, side)) * np.fft.rfft2(kernel, (side, side))
    full = np.fft.irfft2(spectrum, (side, side))
    kept = slice(n // 2, n // 2 + len(image))
    return full[kept, kept]


def mask_of(optics: Optics4f, kernel: Real) -> Field:
    """Transmission of every mask pixel for a kernel: its DFT, corrected and made of few levels.

        H = DFT(k/E_mask(r)) / (E_modulator(j)·E_camera(j)), scaled to |H| ≤ 1

    with r the position in the image and j that in the mask, as far as `corrected` asks for it. A
    mask pixel's envelope is a window over the image, the other two are filters of it. Then comes
    the kind, and at last amplitude to the nearest of 2**bits levels from 0 to 1, and phase to the
    nearest of 2**bits around the circle.

    Args:
        optics: Planes and mask.
        kernel: Square, not larger than a plane [n, n].

    Returns:
        H; frequency 0 is at pixel `pixels // 2` [pixels, pixels].

    Raises:
        ValueError: The kernel is not square, too large, or 0.

    >>> optics = Optics4f.matched(pixels=4, pitch_m=8e-6, wavelength_m=5e-7)
    >>> mask_of(optics, np.full((1, 1), 7.0)).real.tolist()[0]
    [1.0, 1.0, 1.0, 1.0]
    """
    taps = _centred(kernel, optics.pixels, "kernel")
    if not taps.any():
        raise ValueError("kernel: wanted a value other than 0, found none")
    if optics.corrected == "all":
        taps = taps / _over_plane(optics, optics.mask, optics.modulator)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(taps)))
    if optics.corrected != "none":
        spectrum = spectrum / _over_plane(optics, optics.modulator, optics.mask)
    if optics.corrected == "all":
        spectrum = spectrum / _over_plane(optics, optics.camera, optics.mask)
    return _in_levels(_KINDS[optics.mask_kind](spectrum / abs(spectrum).max()), optics.mask_bits)


_KINDS: dict[MaskKind, Callable[[Field], Field]] = {
    "complex": lambda spectrum: spectrum,
    "phase": lambda spectrum: np.exp(1j * np.angle(spectrum)),
    "amplitude": lambda spectrum: abs(spectrum) + 0j,
}


def _over_plane(optics: Optics4f, pixel: Pixel, seen_in: Pixel) -> Real:
    """Envelope of one plane's pixels at the pixels of the plane a lens away [pixels, pixels]."""
    places = np.arange(optics.pixels) - optics.pixels // 2
    frequencies_per_m = places * seen_in.pitch_m / optics.span_m
    sample_m = 0.0 if optics.continuous_envelopes else optics.grid.sample_m
    along = envelope(pixel, frequencies_per_m, sample_m)
    return np.outer(along, along)


def _in_levels(values: Field, bits: int | None) -> Field:
    """Amplitudes to the nearest of 2**bits from 0 to 1, phases to that of 2**bits of a turn."""
    if bits is None:
        return values
    steps = 2**bits - 1
    phase_step = 2 * np.pi / 2**bits
    amplitude = np.round(abs(values) * steps) / steps
    return amplitude * np.exp(1j * phase_step * np.round(np.angle(values) / phase_step))


def _modulated(image: Real, bits: int | None) -> Real:
    """Amplitudes that the modulator sets: levels from 0 to the largest; a sign is a phase of π."""
    largest = abs(image).max()
    if bits is None or not largest:
        return image
    step = largest / (2**bits - 1)
    return np.round(image / step) * step


def _centred(values: Real, pixels: int, name: str) -> Real:
    """A square in the middle of a dark plane: its pixel n//2 on the plane's axis."""
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not 0 < len(values) <= pixels:
        raise ValueError(f"{name}: wanted a square of 1..{pixels} a side, found {values.shape}")
    start = pixels // 2 - len(values) // 2
    plane = np.zeros((pixels, pixels))
    plane[start : start + len(values), start : start + len(values)] = values
    return plane


def simulate(optics: Optics4f, image: Real, kernel: Real) -> Frame:
    """One frame of a 4f system: image times kernel as the camera reads it.

    The waves pass twice through space, lens and space, and in between the mask, which is opaque
    outside its pixels. See the module for what this contains.

    Args:
        optics: The system.
        image: Amplitudes on the modulator, in its middle; the rest is dark [n, n], n ≤ pixels.
        kernel: Real, as `convolved` takes it [m, m], m ≤ pixels.

    Returns:
        The frame, with the convolution of image and kernel before any levels as its ideal.

    Raises:
        ValueError: Image or kernel is not square, too large, or dark.

    With one sample a pixel and no edge, optics is a DFT: no error, and no information.

    >>> trap = Optics4f.matched(pixels=16, pitch_m=8e-6, wavelength_m=5e-7, lens_sides=inf,
    ...     oversample=1, paraxial=True)
    >>> simulate(trap, np.eye(8), np.ones((3, 3))).relative_error < 1e-14
    True
    """
    plane = _centred(image, optics.pixels, "image")
    if not plane.any():
        raise ValueError("image: wanted a value other than 0, found none")
    grid = optics.grid
    relay = _relay(optics)
    sent = coverage(grid, optics.modulator, optics.pixels)
    emitted = sent @ _modulated(plane, optics.input_bits) @ sent.T
    rows, columns = (
        coverage(grid, optics.mask, optics.pixels, shift_px=shift) for shift in optics.mask_shift_px
    )
    filtered = relay(emitted) * (rows @ mask_of(optics, kernel) @ columns.T)
    amplitude, received = _read(optics, relay(filtered))
    return Frame(amplitude, convolved(plane, kernel), received / float(np.sum(emitted**2)))


def _relay(optics: Optics4f) -> Callable[[Field], Field]:
    """From one plane to the next: space, lens and space."""
    grid, paraxial = optics.grid, optics.paraxial
    gap_m = optics.focal_length_m * (1 + optics.defocus)
    space = transfer(grid, gap_m, optics.wavelength_m, paraxial=paraxial)
    glass = lens(
        grid, optics.focal_length_m, optics.lens_diameter_m, optics.wavelength_m, paraxial=paraxial
    )
    return lambda field: propagate(propagate(field, space) * glass, space)


def _read(optics: Optics4f, field: Field) -> tuple[Real, float]:
    """Amplitude of every camera pixel, and the energy that all of them receive."""
    seen = coverage(optics.grid, optics.camera, optics.pixels, turned=True)
    area = np.outer(seen.sum(axis=0), seen.sum(axis=0))  # in samples
    energy = seen.T @ (field.real**2 + field.imag**2) @ seen
    if optics.detection == "field":
        return abs(seen.T @ field @ seen) / area, float(energy.sum())
    return np.sqrt(energy / area), float(energy.sum())


def crosstalk(
    optics: Optics4f, tiles: Real, kernel: Real, *, pitch_px: int, output: Output = "full"
) -> float:
    """Relative error of the middle one of several tiles that share a plane and a kernel.

    Tiles of M pixels at pitch s have a guard of s − M dark pixels between them. Convolved with a
    kernel of n they grow to M + n − 1, so that without diffraction the outputs stay apart from

        s = M + n − 1 for `full`,    M + n//2 for `same`,    M for `valid`

    on. Orders, ghosts and light from edges of lenses cross any guard; what they add is the excess
    over the error of the same tile alone (`tiles` of shape [1, 1, M, M]).

    Args:
        optics: The system.
        tiles: Amplitudes [T, T, M, M], T odd.
        kernel: [n, n].
        pitch_px: Pitch s of tiles [pixels].
        output: Pixels that count: all M + n − 1 a side, the M of the tile, or the M − n + 1 that
            see no edge of it.

    Returns:
        `relative_error` of the middle tile against its own convolution.

    Raises:
        ValueError: T is even, tiles overlap, they or what counts do not fit the plane.

    >>> optics = Optics4f.matched(pixels=32, pitch_m=8e-6, wavelength_m=5e-7)
    >>> tiles, kernel = np.ones((3, 3, 5, 5)), np.ones((5, 5))
    >>> near, clean = (crosstalk(optics, tiles, kernel, pitch_px=s) for s in (6, 9))
    >>> near > 5 * clean
    True
    """
    plane = _tiled(tiles, pitch_px, optics.pixels)
    middle = tiles[len(tiles) // 2, len(tiles) // 2]
    alone = convolved(_centred(middle, optics.pixels, "tiles"), kernel)
    seen = _output_pixels(optics.pixels, len(middle), len(kernel), output)
    return relative_error(simulate(optics, plane, kernel).amplitude[seen, seen], alone[seen, seen])


def _tiled(tiles: Real, pitch_px: int, pixels: int) -> Real:
    """Tiles around the middle of a plane [pixels, pixels]."""
    if tiles.ndim != 4 or len(tiles) != tiles.shape[1] or len(tiles) % 2 == 0:
        raise ValueError(f"tiles: wanted [T, T, M, M] with T odd, found {list(tiles.shape)}")
    count, size = len(tiles), tiles.shape[2]
    if count > 1 and pitch_px < size:
        raise ValueError(f"pitch_px: wanted {size} or more, as tiles are, found {pitch_px}")
    start = pixels // 2 - size // 2 - count // 2 * pitch_px
    end = start + (count - 1) * pitch_px + size
    if start < 0 or end > pixels:
        raise ValueError(f"tiles: wanted pixels 0..{pixels}, found {start}..{end}")
    plane = np.zeros((pixels, pixels))
    for i, j in np.ndindex(count, count):
        y, x = start + i * pitch_px, start + j * pitch_px
        plane[y : y + size, x : x + size] = tiles[i, j]
    return plane


def _output_pixels(pixels: int, size: int, n: int, output: Output) -> slice:
    """Where the output of a tile in the middle of a plane lies, along one side."""
    start = pixels // 2 - size // 2
    first, count = {
        "full": (start - n // 2, size + n - 1),
        "same": (start, size),
        "valid": (start + n - 1 - n // 2, size - n + 1),
    }[output]
    if first < 0 or first + count > pixels or count < 1:
        raise ValueError(
            f"kernel: wanted an output ({output}) of 1 or more on pixels 0..{pixels}, found "
            f"{first}..{first + count} for tiles of {size} and a kernel of {n}"
        )
    return slice(first, first + count)
