"""Calibration of a machine's energies and voltage curve from energies and clocks under load.

The kernels' times come from their own fits; what moves here is the energy of an action, the floor
and how far the voltage falls with the clock. Each row gives two facts: energy a launch and clock.
Needs scipy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.power import Work, energy_j, sustained_hz

ENERGY_NOISE = 0.03  # assumption: counter, temperature
CLOCK_NOISE = 0.015  # assumption: the clock moves in steps, and the meter samples it
FREE: Mapping[str, float] = {  # the spread that each is given around its value in the YAML, as ln
    "floor": 0.1,
    "mma": 0.5,
    "exp": 1.0,
    "fma": 0.5,
    "shared": 1.0,
    "l2": 0.5,
    "hbm": 0.3,
    "v_min": 0.1,
}


@dataclass(frozen=True, slots=True)
class Observed:
    """A launch in sustained replay: what it does, its energy [J] and the SM clock [Hz]."""

    work: Work
    energy_j: float
    clock_hz: float


def adjusted(gpu: Gpu, factors: Mapping[str, float]) -> Gpu:
    """The machine with energies, floor and lowest voltage multiplied.

    >>> from einfall.sim.gpu.testing import toy
    >>> adjusted(toy(), {"hbm": 2.0}).energy.hbm_j_per_byte
    2e-10
    """
    f = {name: factors.get(name, 1.0) for name in FREE}
    each, power = gpu.energy, gpu.power
    energy = each.model_copy(
        update={
            "mma_j_per_flop": {d: j * f["mma"] for d, j in each.mma_j_per_flop.items()},
            "exp_j": each.exp_j * f["exp"],
            "fma_j": each.fma_j * f["fma"],
            "shared_j_per_byte": each.shared_j_per_byte * f["shared"],
            "l2_j_per_byte": each.l2_j_per_byte * f["l2"],
            "hbm_j_per_byte": each.hbm_j_per_byte * f["hbm"],
        }
    )
    voltage = power.voltage.model_copy(update={"min_v": power.voltage.min_v * f["v_min"]})
    floor = power.active_floor_w * f["floor"]
    power = power.model_copy(update={"active_floor_w": floor, "voltage": voltage})
    return gpu.model_copy(update={"energy": energy, "power": power})


def errors(gpu: Gpu, observed: Sequence[Observed]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of predicted over measured, of energies and of clocks."""
    pairs: list[Any] = []
    for row in observed:
        clock = float(sustained_hz(row.work, gpu))
        pairs.append((energy_j(row.work, gpu, clock) / row.energy_j, clock / row.clock_hz))
    ratios = np.log(np.array(pairs))
    return ratios[:, 0], ratios[:, 1]


def fit(gpu: Gpu, observed: Sequence[Observed]) -> tuple[Gpu, Mapping[str, float]]:
    """The machine with fitted energies, and the factors by which they moved."""
    from scipy.optimize import least_squares

    names, spread = tuple(FREE), np.array(list(FREE.values()))

    def machine(x: np.ndarray) -> Gpu:
        return adjusted(gpu, dict(zip(names, np.exp(x * spread), strict=True)))

    def residuals(x: np.ndarray) -> np.ndarray:
        energy, clock = errors(machine(x), observed)
        off = np.concatenate([energy / ENERGY_NOISE, clock / CLOCK_NOISE])
        return np.append(np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1)), x)

    solved = least_squares(residuals, np.zeros(len(names)), diff_step=1e-3)
    factors = dict(zip(names, map(float, np.exp(solved.x * spread)), strict=True))
    return machine(solved.x), factors
