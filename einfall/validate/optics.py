"""Bits of a 4f system: what an estimate says, and what scalar waves through the system leave.

A plane of 64 pixels stands for the machine's: its pitch, wavelength, lenses in sides of the plane,
mask and levels, with an image of 24 x 24 and a kernel of 7 x 7 pixels of random light. The larger a
plane the closer; 64 take half a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from einfall.hw_models import load, names
from einfall.hw_models.optical_4f import Optical4f
from einfall.scenarios.tables import text_table
from einfall.sim.optical.diffraction import Optics4f, simulate
from einfall.sim.optical.estimate import MASK_BITS

PIXELS, IMAGE, KERNEL, SEED = 64, 24, 7, 0
WIDEST = 2.0
"""Sides of the plane beyond which a lens cuts no light: wider ones are simulated as this one."""

TOLERANCE_BITS = 1.0
"""Between what an estimate says and what is simulated: a factor of two of the error."""


@dataclass(frozen=True, slots=True)
class Row:
    """A configuration: relative error of the output, its bits, and the bits that estimates take.

    `light` is the part of the light that reaches the camera.
    """

    machine: str
    mask: str
    levels_bits: float
    lens_sides: float
    error_of_output: float
    simulated_bits: float
    stated_bits: float
    light: float

    @property
    def ok(self) -> bool:
        """Whether both agree."""
        return abs(self.simulated_bits - self.stated_bits) <= TOLERANCE_BITS

    def record(self) -> dict[str, Any]:
        """The row for JSON; `error` is that of the bits stated."""
        error = self.stated_bits / self.simulated_bits - 1
        return {**asdict(self), "kernel": self.machine, "error": error, "ok": self.ok}


@dataclass(frozen=True)
class Comparison:
    """Every 4f system that ships."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every row agrees."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line."""
        return {"rows": [row.record() for row in self.rows], "ok": self.ok}

    def text(self) -> str:
        """A line for each configuration."""
        head = ["machine", "mask", "levels", "lens", "error", "bits", "stated", "light"]
        cells = [
            [
                row.machine,
                row.mask,
                f"{row.levels_bits:g} bit",
                f"{row.lens_sides:.2f} sides",
                f"{row.error_of_output:.1%}",
                f"{row.simulated_bits:.1f}",
                f"{row.stated_bits:.1f}" + ("" if row.ok else " off"),
                f"{row.light:.0%}",
            ]
            for row in self.rows
        ]
        note = (
            f"scalar waves through {PIXELS} pixels a side, {IMAGE} x {IMAGE} image, "
            f"{KERNEL} x {KERNEL} kernel; stated: what estimates take for the mask"
        )
        return f"{text_table(head, cells)}\n{note}"


def compare() -> Comparison:
    """Simulate every 4f system that ships."""
    return Comparison(tuple(_row(machine) for machine in _systems()))


def _systems() -> Iterator[Optical4f]:
    for name in names("optical_4f"):
        machine = load(name)
        if isinstance(machine, Optical4f):
            yield machine


def configuration(machine: Optical4f, pixels: int = PIXELS) -> Optics4f:
    """The system with a plane of so many pixels, its focal length cut to fit them."""
    sides = machine.lenses.diameter_m / (machine.side * machine.input.pitch_m)
    return Optics4f.matched(
        pixels=pixels,
        pitch_m=machine.input.pitch_m,
        wavelength_m=machine.wavelength_m,
        lens_sides=min(WIDEST, sides),
        corrected="all",
        mask_kind=machine.mask.modulates,
        mask_bits=round(machine.mask.bits),
        paraxial=True,
    )


def _row(machine: Optical4f) -> Row:
    chance = np.random.default_rng(SEED)
    image, kernel = chance.random((IMAGE, IMAGE)), chance.random((KERNEL, KERNEL))
    optics = configuration(machine)
    frame = simulate(optics, image, kernel)
    return Row(
        machine.name,
        machine.mask.modulates,
        machine.mask.bits,
        optics.lens_diameter_m / (optics.pixels * machine.input.pitch_m),
        float(frame.relative_error),
        float(frame.effective_bits),
        MASK_BITS[machine.mask.modulates],
        float(frame.energy_fraction),
    )
