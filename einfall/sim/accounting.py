"""What is charged and how: the physically right rules, and those of the published artifact.

`Accounting` is a value of switches; the lowering reads them and has no second path. One line a
known defect of the published numbers, with its effect, stands in `docs/assumptions.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accounting:
    """Rules of one accounting mode.

    every_register: register energy of all elements, not of one instance.
    buffer_bandwidth: rows through the buffer's ports take time.
    fill_and_drain: results leave an array only after they have crossed it.
    double_buffer: tiles that are replaced while the array works have two slots.
    ragged: lengths that no tile divides are exact; without it they are refused.
    published: what a mapping declares as `published` replaces what the model derives.
    """

    name: str
    every_register: bool
    buffer_bandwidth: bool
    fill_and_drain: bool
    double_buffer: bool
    ragged: bool
    published: bool


PHYSICAL = Accounting(
    name="physical",
    every_register=True,
    buffer_bandwidth=True,
    fill_and_drain=True,
    double_buffer=True,
    ragged=True,
    published=False,
)
ARTIFACT = Accounting(
    name="artifact",
    every_register=False,
    buffer_bandwidth=False,
    fill_and_drain=False,
    double_buffer=False,
    ragged=False,
    published=True,
)
MODES: Mapping[str, Accounting] = {mode.name: mode for mode in (PHYSICAL, ARTIFACT)}
