"""Time, energy and bound of a piece of work on any machine: by an estimate, or by a roofline.

    time    max over units of Σ operations / rate, and of bytes / bandwidth
    energy  Σ operations · energy each + bytes · energy each + idle power · time

A roofline is what no kernel can beat: everything overlaps, every byte moves once, nothing waits for
a launch. Rates and energies are those of the host of a 4f system (`sim.optical.host`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.hw_models.library import Machine
from einfall.sim.optical import host
from einfall.sim.optical.estimate import OpticalEstimate


@dataclass(frozen=True, slots=True)
class Cost:
    """Time [s], energy [J] (None where none is charged), and the resource that takes the time."""

    time_s: float
    energy_j: float | None
    bound: str

    @property
    def charged_j(self) -> float:
        """The energy, of what is charged any [J]."""
        assert self.energy_j is not None, "the published accounting charges no energy"
        return self.energy_j

    def times(self, n: float) -> Cost:
        """The cost of so many of it, one after the other, or of a part.

        >>> Cost(2.0, None, "mask").times(1 / 4)
        Cost(time_s=0.5, energy_j=None, bound='mask')
        """
        energy = None if self.energy_j is None else self.energy_j * n
        return Cost(self.time_s * n, energy, self.bound)


@dataclass(frozen=True, slots=True)
class Demand:
    """Operations by kind, and bytes that have to move."""

    operations: Mapping[str, float]
    moved_bytes: float


def total(costs: Iterable[Cost]) -> Cost:
    """Costs of what is done one after the other; the bound is that of most of the time.

    >>> total([Cost(1.0, 1.0, "mask"), Cost(3.0, 1.0, "camera")])
    Cost(time_s=4.0, energy_j=2.0, bound='camera')
    """
    each, times = list(costs), dict[str, float]()
    for cost in each:
        times[cost.bound] = times.get(cost.bound, 0.0) + cost.time_s
    energies = [cost.energy_j for cost in each if cost.energy_j is not None]
    energy = sum(energies) if len(energies) == len(each) else None
    return Cost(sum(times.values()), energy, max(times, key=times.__getitem__))


def roofline(machine: Machine, demand: Demand) -> Cost:
    """The least time of a demand on a machine, and its energy in that time.

    Raises:
        MappingError: No unit of the machine does an operation, or it is a 4f system.

    >>> from einfall.hw_models import load
    >>> roofline(load("h100_sxm"), Demand({"mac": 1e12}, moved_bytes=1e6)).bound
    'tensor'
    """
    memory = host.memory(machine)
    times = host.times_s(machine, demand.operations)
    times[memory.unit] = demand.moved_bytes * memory.s
    bound = max(times, key=times.__getitem__)
    operations_j = sum(n * host.rate(machine, op).j for op, n in demand.operations.items())
    idle_j = idle_w(machine) * times[bound]
    energy = operations_j + demand.moved_bytes * memory.j + idle_j
    return Cost(times[bound], energy, bound.removeprefix("host."))


def idle_w(machine: Machine) -> float:
    """Power that a machine draws whatever it does [W]; spatial arrays state none."""
    return machine.power.idle_w if isinstance(machine, Gpu) else 0.0


def optical(estimate: OpticalEstimate) -> Cost:
    """The cost of an estimate; the published accounting charges no energy."""
    energy = None if estimate.accounting.published else float(estimate.energy_j)
    return Cost(float(estimate.latency_s), energy, str(estimate.bound))
