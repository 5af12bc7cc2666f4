"""Every kernel schedule of a GPU that takes a problem, with every tile that its tuner may try.

The space is small and searched whole: schedules that compute the cascade on the GPU's generation,
and of a tuned one each tile that fits. Under a mask the tile of a schedule is the one its tuner
takes, since the lists of visited blocks belong to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.shapes import ShapeError
from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.asked import Asked, ask, kernels_for
from einfall.sim.gpu.predict import answer, terms
from einfall.sim.gpu.schedule import KernelSchedule, ScheduleError, Tile
from einfall.sim.mapping import MappingError


@dataclass(frozen=True, slots=True)
class GpuFound:
    """A schedule with a tile, its time [s] and energy [J], whether the tuner would take it."""

    kernel: str
    tile: str
    latency_s: float
    energy_j: float
    tuned_choice: bool

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kernel": self.kernel,
            "tile": self.tile,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "edp_js": self.latency_s * self.energy_j,
            "tuned_choice": self.tuned_choice,
        }


@dataclass(frozen=True, slots=True)
class GpuSearch:
    """All of the space, what was refused and why, and how long it took."""

    found: tuple[GpuFound, ...]
    refused: Mapping[str, str]
    seconds: float


def search_kernels(
    cascade: Cascade, shape: Mapping[str, int], gpu: Gpu, *, dtype: str = "bf16"
) -> GpuSearch:
    """Time and energy of a cascade by every schedule and tile.

    Raises:
        ShapeError: The shape does not fit the cascade or its mask.
        MappingError: No schedule on the GPU computes the cascade, or none takes the shape.
        UnsupportedOpError: The tensor cores do not know the type.
    """
    started = time.perf_counter()
    ask(cascade, shape, gpu, dtype=dtype)  # refuses what no schedule takes
    refused: dict[str, str] = {}
    found: dict[tuple[str, str], GpuFound] = {}
    for name in kernels_for(cascade.name, gpu):
        try:
            asked = ask(cascade, shape, gpu, mapping=name, dtype=dtype)
            for one in _tiles(asked, gpu):
                found.setdefault((one.kernel, one.tile), one)
        except (MappingError, ScheduleError, ShapeError) as error:
            refused[name] = str(error)
    return GpuSearch(tuple(found.values()), refused, time.perf_counter() - started)


def _tiles(asked: Asked, gpu: Gpu) -> Iterator[GpuFound]:
    """The tiles of one schedule."""
    kernel = asked.kernel
    chosen = _costed(kernel, asked, gpu, "", tuned_choice=True)
    tiles = _free(kernel, asked, gpu)
    if len(tiles) < 2:
        yield chosen
        return
    for tile in tiles:
        alone = kernel.model_copy(update={"tiles": (tile,)})
        text = f"{tile.rows}x{tile.keys}, {tile.warps} warps, {tile.stages} stages"
        one = _costed(alone, asked, gpu, text, tuned_choice=False)
        same = one.latency_s == chosen.latency_s and one.energy_j == chosen.energy_j
        yield _costed(alone, asked, gpu, text, tuned_choice=same)


def _free(kernel: KernelSchedule, asked: Asked, gpu: Gpu) -> tuple[Tile, ...]:
    """Tiles of a tuned schedule for a dense problem; none where there is no choice."""
    if not kernel.tuned or asked.problem.tile is not None or kernel.does != "fused":
        return ()
    return kernel.candidates(asked.problem, gpu.generation)


def _costed(
    kernel: KernelSchedule, asked: Asked, gpu: Gpu, tile: str, *, tuned_choice: bool
) -> GpuFound:
    found = terms(kernel, gpu, asked.problem, asked.fit.parameters)
    cost = answer(kernel, gpu, found)
    return GpuFound(kernel.kernel, tile, float(cost.latency_s), float(cost.energy_j), tuned_choice)
