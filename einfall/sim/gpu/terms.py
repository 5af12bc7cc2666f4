"""What every lowering of a kernel hands on: the work, the pipe that binds, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from einfall.sim.gpu.power import Work
from einfall.sim.numeric import Number

HALF = 0.5
"""Part of the SMs' time from which on the pipe, or the memory, that works for it is what binds."""

AROUND = ("launch", "host", "combine", "cast", "side passes")
"""Fixed times around the work, by their name in `parts_s`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A launch reduced to cycles, bytes and fixed times.

    `pipe` is what binds within the SMs, `busy_cycles` the cycles of each pipe of the busiest SM,
    `parts_s` fixed times by name. Where numbers are arrays it is many launches, and `why` speaks of
    the largest of them.
    """

    work: Work
    pipe: str
    why: str
    busy_cycles: Mapping[str, Number] = field(default_factory=dict)
    parts_s: Mapping[str, Number] = field(default_factory=dict)
