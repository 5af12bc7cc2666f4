"""The 4f optical system: input modulator, lens, mask modulator, lens, camera, a focal length apart.

One frame multiplies the spectrum of the input plane by the mask: the camera sees a convolution as
large as the plane. What a plane can hold, how often it can change and what a pixel costs is here;
which maps and kernels are laid on it is `sim.optical`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import floor
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from einfall.hw_models.yaml_door import Spec, Wrong, refused
from einfall.units import (
    Bits,
    Bytes,
    BytesPerSecond,
    Hertz,
    Joules,
    JoulesPerByte,
    Metres,
    Seconds,
    Watts,
    format_quantity,
)

Count = Annotated[int, Field(ge=1)]
Part = Annotated[float, Field(gt=0, le=1)]

LIGHT_M_PER_S = 299_792_458.0
"""Speed of light [m/s], exact by the definition of the metre."""

PLANCK_J_S = 6.626_070_15e-34
"""Planck's constant [J s], exact by the definition of the kilogram."""

PITCH_TOLERANCE = 0.01
"""By how much pitches may miss each other, as a part: a lens can be moved that far."""

LEAST_SIDE = 8
"""Pixels along a side below which a plane is refused: not even a small map fits."""


class Plane(Spec):
    """Pixels in columns and rows at a pitch; a full frame changes or is read `rate` times a second.

    Tiles lie in the square that both sides hold.
    """

    columns: Count
    rows: Count
    pitch_m: Metres = Field(alias="pitch")
    rate_hz: Hertz = Field(alias="rate")

    @property
    def side(self) -> int:
        """Pixels along a side of the square in the plane: min(columns, rows)."""
        return min(self.columns, self.rows)


class Modulator(Plane):
    """A plane that is written: DMD, liquid crystal, MEMS.

    `bits` are the levels of one frame as a power of two, `settling` passes after the last pixel is
    written and before light may go through. `modulates` is what a pixel does to the field.
    `stored_frames` lie in memory beside the modulator and are shown without the link.
    """

    bits: Bits
    settling_s: Seconds = Field(default=0.0, alias="settling")
    modulates: Literal["amplitude", "phase", "complex"]
    stored_frames: Annotated[int, Field(ge=0)] = 0
    update_energy_j: Joules = Field(alias="update_energy")

    @property
    def frame_bytes(self) -> float:
        """Bytes of one frame over the link, dark borders included; a complex pixel has two numbers.

        columns · rows · bits / 8, twice that for complex pixels

        >>> from einfall.hw_models import load
        >>> load("optical_4f_dmd").input.frame_bytes  # 1920 x 1080 binary pixels
        259200.0
        """
        numbers = 2 if self.modulates == "complex" else 1
        return self.columns * self.rows * self.bits / 8 * numbers


class Camera(Plane):
    """The plane that is read: `rate` frames and `pixel_rate` pixels a second at most.

    `reads` is the window around all that light falls on, or the useful pixels alone. `full_well`
    electrons fill a pixel, `read_noise` is the rms of reading it, in electrons; `latency` passes
    from the end of the exposure to the first pixel out.
    """

    pixel_rate_hz: Hertz = Field(alias="pixel_rate")
    reads: Literal["window", "useful"] = "window"
    bits: Bits
    latency_s: Seconds = Field(default=0.0, alias="latency")
    quantum_efficiency: Part
    full_well: Annotated[float, Field(gt=0)]
    read_noise: Annotated[float, Field(ge=0)]
    read_energy_j: Joules = Field(alias="read_energy")


class Converter(Spec):
    """Analogue to digital: energy of one conversion, and time from sample to number."""

    energy_j: Joules = Field(alias="energy")
    latency_s: Seconds = Field(default=0.0, alias="latency")


class Lenses(Spec):
    """The two lenses: focal lengths, clear diameter, and the part of the light that goes through.

    `transmission` is light on the camera over light of the laser, without the mask. The second lens
    has the focal length of the first where none is given; their ratio is the magnification.
    """

    focal_length_m: Metres = Field(alias="focal_length")
    second_focal_length_m: Metres | None = Field(default=None, alias="second_focal_length")
    diameter_m: Metres = Field(alias="diameter")
    transmission: Part

    @property
    def magnification(self) -> float:
        """Size on the camera over size on the input modulator: f₂ / f₁."""
        return (self.second_focal_length_m or self.focal_length_m) / self.focal_length_m


class Laser(Spec):
    """Light power at its exit, and light over electric power."""

    power_w: Annotated[Watts, Field(gt=0)] = Field(alias="power")
    efficiency: Part


class Host(Spec):
    """What does all that is no convolution: a machine of another kind, and the link to the optics.

    `link` takes frames to the modulators, `camera_link` pictures back; where neither is given
    transfers cost no time, as the papers have it. `machine` is a machine that ships or a file.
    """

    machine: str
    link_bytes_per_s: BytesPerSecond | None = Field(default=None, alias="link")
    camera_link_bytes_per_s: BytesPerSecond | None = Field(default=None, alias="camera_link")
    link_j_per_byte: JoulesPerByte = Field(default=0.0, alias="link_energy")

    @field_validator("machine")
    @classmethod
    def _is_a_machine_of_another_kind(cls, name: str) -> str:
        from einfall.hw_models.library import kind_of, load

        if kind_of(name) == "optical_4f":  # before it is read: it may be this very machine
            found = f"found {name} (optical_4f)"
            raise ValueError(f"want a machine of another kind to compute, {found}")
        load(name)  # all its mistakes, here and now
        return name


class Optical4f(Spec):
    """A 4f system: one YAML file of `kind: optical_4f`.

    What cannot work is refused with its numbers: planes that do not fit each other's pitch, and a
    lens that cuts the light of the outer pixels.
    """

    kind: Literal["optical_4f"]
    name: str
    about: str = ""
    wavelength_m: Metres = Field(alias="wavelength")
    word_bytes: Bytes = Field(alias="word")
    lenses: Lenses
    input: Modulator
    mask: Modulator
    camera: Camera
    converter: Converter
    laser: Laser
    host: Host
    static_power_w: Watts = Field(alias="static_power")

    @property
    def word_bits(self) -> float:
        """Bits of an operand and of a result."""
        return 8 * self.word_bytes

    @property
    def matched_side(self) -> float:
        """Pixels along a side for which the mask has one for each bin of the DFT: λf/(d·d_mask).

        A lens lays spatial frequency u at λ·f·u, so that the mask's pitch samples it in steps of
        d_mask/(λ·f), and a plane of N pixels needs steps of 1/(N·d).

        Source: Goodman, Introduction to Fourier Optics, chapter 5.

        >>> from einfall.hw_models import load
        >>> round(load("optical_4f_ideal").matched_side)
        2160
        """
        reach = self.wavelength_m * self.lenses.focal_length_m
        return reach / (self.input.pitch_m * self.mask.pitch_m)

    @property
    def side(self) -> int:
        """Pixels along a side of the square that all three planes hold: R.

        The smallest of the input's square, the camera's square, and `matched_side`.
        """
        matched = floor(self.matched_side * (1 + PITCH_TOLERANCE))
        return min(self.input.side, self.camera.side, self.mask.side, matched)

    @property
    def needed_diameter_m(self) -> float:
        """Diameter of a lens that cuts no light: N·d + λ·f/d [m].

        The plane's own side, and the farthest that its finest grating throws light.
        """
        pitch, reach = self.input.pitch_m, self.wavelength_m * self.lenses.focal_length_m
        return self.side * pitch + reach / pitch

    @property
    def space_bandwidth_side(self) -> float:
        """The most pixels along a side that such a lens takes at the best pitch: D / (4·λ·F#).

        F# = f/D; the pitch is 2·λ·F# there. Of D = N·d + λf/d the largest N over d.
        """
        f_number = self.lenses.focal_length_m / self.lenses.diameter_m
        return self.lenses.diameter_m / (4 * self.wavelength_m * f_number)

    @property
    def image_pitch_m(self) -> float:
        """Pitch of the input's pixels on the camera: d · f₂ / f₁ [m]."""
        return self.input.pitch_m * self.lenses.magnification

    @property
    def flight_s(self) -> float:
        """Time of light from input to camera: 2·(f₁ + f₂) / c [s], that is 4f/c for equal lenses.

        >>> from einfall.hw_models import load
        >>> round(load("optical_4f_ideal").flight_s * 1e9, 2)
        0.76
        """
        f = self.lenses.focal_length_m
        return 2 * f * (1 + self.lenses.magnification) / LIGHT_M_PER_S

    @property
    def photon_j(self) -> float:
        """Energy of a photon: h·c / λ [J]; 3.73e-19 J at 532 nm."""
        return PLANCK_J_S * LIGHT_M_PER_S / self.wavelength_m

    @property
    def frame_limits_hz(self) -> Mapping[str, float]:
        """Frames a second that each of the planes allows, by the field that says so [Hz].

        The camera has two: its frames, and its pixels over those of the square that is read.
        """
        return {
            "input.rate": self.input.rate_hz,
            "mask.rate": self.mask.rate_hz,
            "camera.rate": self.camera.rate_hz,
            "camera.pixel_rate": self.camera.pixel_rate_hz / self.side**2,
        }

    @property
    def frame_hz(self) -> float:
        """Frames a second if every plane changes in each: the slowest plane's rate."""
        return min(self.frame_limits_hz.values())

    @property
    def peak_macs_per_s(self) -> float:
        """Multiply-adds a second of dot products that fill the plane: side² · frame_hz.

        Whatever their length: a frame has side²/p² outputs of p² multiply-adds. Signs and bits cost
        frames; convolutions with larger kernels do more a frame.

        >>> from einfall.hw_models import load
        >>> load("optical_4f_ideal").peak_macs_per_s  # 2160² at 2 MHz
        9331200000000.0
        """
        return self.side**2 * self.frame_hz

    @model_validator(mode="after")
    def _is_possible(self) -> Optical4f:
        """Optics can do it: every law that is broken, with its numbers."""
        wrong = [problem for check in _LAWS for problem in check(self)]
        if wrong:
            raise refused(wrong)
        return self


def _mask_holds_the_spectrum(o: Optical4f) -> Iterator[Wrong]:
    """The light of the input's finest grating has to land on the mask."""
    spread = o.wavelength_m * o.lenses.focal_length_m / o.input.pitch_m
    held = o.mask.side * o.mask.pitch_m
    if spread > held * (1 + PITCH_TOLERANCE):
        fits = _length(held * o.input.pitch_m / o.wavelength_m)
        text = (
            f"want a mask as wide as the spectrum, λ·f/input.pitch = {_length(spread)}, found "
            f"{o.mask.side} x {_length(o.mask.pitch_m)} = {_length(held)}: a focal_length of {fits}"
            " or less makes them fit"
        )
        yield ("lenses", "focal_length"), text, o.lenses.focal_length_m


def _mask_samples_a_plane(o: Optical4f) -> Iterator[Wrong]:
    """The mask's pitch decides how wide a plane may be before its image repeats."""
    if o.side < LEAST_SIDE:
        text = (
            f"want λ·f/(input.pitch·mask.pitch) of {LEAST_SIDE} pixels a side at least, found "
            f"{o.matched_side:.3g}: a finer mask pitch, or a longer focal_length"
        )
        yield ("mask", "pitch"), text, o.mask.pitch_m


def _camera_fits_the_image(o: Optical4f) -> Iterator[Wrong]:
    """A pixel of the input is imaged on a pixel of the camera."""
    image = o.image_pitch_m
    if abs(image / o.camera.pitch_m - 1) > PITCH_TOLERANCE:
        second = o.camera.pitch_m / o.input.pitch_m * o.lenses.focal_length_m
        text = (
            f"want a pitch of {_length(image)}, the image of an input pixel, found "
            f"{_length(o.camera.pitch_m)}: a second_focal_length of {_length(second)} makes them "
            "equal"
        )
        yield ("camera", "pitch"), text, o.camera.pitch_m


def _lens_passes_the_light(o: Optical4f) -> Iterator[Wrong]:
    """Light of the outer pixels' finest grating goes through the lens."""
    if o.lenses.diameter_m < o.needed_diameter_m * (1 - PITCH_TOLERANCE):
        text = (
            f"want {_length(o.needed_diameter_m)}, N·d + λ·f/d for {o.side} pixels of "
            f"{_length(o.input.pitch_m)}, found {_length(o.lenses.diameter_m)}, which passes "
            f"{o.space_bandwidth_side:.0f} pixels a side at the best pitch: larger lenses, or "
            "fewer columns and rows"
        )
        yield ("lenses", "diameter"), text, o.lenses.diameter_m


_LAWS: tuple[Callable[[Optical4f], Iterator[Wrong]], ...] = (
    _mask_holds_the_spectrum,
    _mask_samples_a_plane,
    _camera_fits_the_image,
    _lens_passes_the_light,
)


def _length(length_m: float) -> str:
    return format_quantity(length_m, "m")
