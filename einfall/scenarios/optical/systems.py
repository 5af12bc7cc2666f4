"""Systems of a scenario: a machine of any kind, and on a 4f system the mapping."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, field_validator, model_validator

from einfall.hw_models import load
from einfall.hw_models.library import Machine
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.yaml_door import Spec, SpecError
from einfall.sim.mapping import MappingError
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.mapping import BEST, OpticalMapping, parse_mapping
from einfall.sim.optical.tilings import tiles_of

FILLED = "filled"
"""A batch whose images fill planes; on other machines it is without bound."""

AT_LEAST = 64
"""Images of a `filled` batch, so that masks serve several planes where few maps fit one."""

Batch = int | Literal["filled"]


def _is_batch(value: object) -> object:
    if value == FILLED or (isinstance(value, int) and value >= 1):
        return value
    raise ValueError(f"want a number of images from 1 on, or {FILLED}, found {value!r}")


Images = Annotated[Batch, BeforeValidator(_is_batch)]
"""A batch in a file."""


class System(Spec):
    """A machine with a name for tables; `mapping` is for 4f systems."""

    name: str
    machine: str
    mapping: str = BEST

    @field_validator("machine")
    @classmethod
    def _is_there(cls, name: str) -> str:
        try:
            load(name)
        except SpecError as error:
            problems = (problem.removeprefix("machine: ") for problem in error.problems)
            raise ValueError("; ".join(problems)) from None
        return name

    @field_validator("mapping")
    @classmethod
    def _is_a_mapping(cls, text: str) -> str:
        try:
            parse_mapping(text)
        except MappingError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _only_optics_are_mapped(self) -> Self:
        wrong = ", ".join(self.for_optics())
        if wrong and self.optics is None:
            kind = self.hardware.kind
            text = f"want no {wrong} for {self.machine} ({kind}), found one"
            raise ValueError(f"{text}: for optical_4f alone")
        return self

    def for_optics(self) -> list[str]:
        """Fields with a value that only a 4f system takes."""
        return ["mapping"] * (self.mapping != BEST)

    @property
    def hardware(self) -> Machine:
        """The machine."""
        return load(self.machine)

    @property
    def optics(self) -> Optical4f | None:
        """The machine, where it is a 4f system."""
        machine = self.hardware
        return machine if isinstance(machine, Optical4f) else None

    @property
    def tiling(self) -> OpticalMapping:
        """How layers are laid on its planes."""
        return parse_mapping(self.mapping)


def filling(correlation: Correlation, optics: Optical4f, mapping: OpticalMapping) -> int:
    """The least images, of `AT_LEAST` or more, that fill planes without a rest; 0 if none fits.

    ⌊R/s⌋² lie beside each other in one plane.

    >>> from einfall.hw_models import load
    >>> first = Correlation(1, 64, (32, 32), (7, 7), "same", channels=3)
    >>> filling(first, load("optical_4f_ideal"), parse_mapping("batch:pitch=full"))
    3136
    """
    tiles = int(tiles_of(optics.side, correlation.pitch(mapping.pitch)))
    return tiles * -(-AT_LEAST // tiles) if tiles else 0
