"""The host: what optics does not do, at the roofline of a machine of another kind.

    time of a unit = Σ operations / rate          time of memory = bytes / bandwidth

Units work side by side and everything is in reach of its peak: an optimistic host. On a GPU
products go to the tensor cores, exponentials, roots and quotients to the MUFU, the rest to the FP32
lanes; on a spatial array each operation goes to the unit that is fastest at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from einfall.hw_models import load
from einfall.hw_models.gpu import Gpu
from einfall.hw_models.library import Machine
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.mapping import MappingError

FLOP = "flop"
"""A floating point operation of an FFT, beside the operations of the language."""

TRANSCENDENTAL = frozenset(
    [
        "exp",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "div",
        "pow",
        "cos",
        "sin",
        "tanh",
        "erf",
        "softplus",
        "sigmoid",
        "elu1",
        "gelu",
        "silu",
    ]
)
"""Operations of a GPU's MUFU, one each; what a composed one adds on the FP32 lanes is left out."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Time [s] and energy [J] of one operation on a unit, or of a byte of memory."""

    unit: str
    s: float
    j: float


def rate(machine: Machine, op: str) -> Rate:
    """The unit of a machine that does an operation, and what one takes there.

    Raises:
        MappingError: No unit of the machine does it.

    >>> rate(load("h100_sxm"), "mac").unit, rate(load("fusemax_cloud"), "mac").unit
    ('host.tensor', 'host.2d')
    """
    if isinstance(machine, Gpu):
        return _on_gpu(machine, op)
    if isinstance(machine, SpatialArray):
        return _on_array(machine, op)
    raise _not_a_host(machine)


def memory(machine: Machine) -> Rate:
    """A byte of the machine's memory."""
    if isinstance(machine, Gpu):
        return Rate(
            "host.memory", 1 / machine.hbm.achievable_bytes_per_s, machine.energy.hbm_j_per_byte
        )
    if isinstance(machine, SpatialArray):
        dram = machine.dram
        each = dram.access_energy_j / dram.access_bytes
        return Rate("host.memory", 1 / dram.bandwidth_bytes_per_s, each)
    raise _not_a_host(machine)


def _not_a_host(machine: Machine) -> MappingError:
    wanted = f"host {machine.name}: wanted a gpu or a spatial_array"
    return MappingError(f"{wanted}, found {machine.kind}")


def times_s(machine: Machine, operations: Mapping[str, float]) -> dict[str, float]:
    """Time of operations by unit [s]."""
    times: dict[str, float] = {}
    for op, n in operations.items():
        each = rate(machine, op)
        times[each.unit] = times.get(each.unit, 0.0) + n * each.s
    return times


@lru_cache(maxsize=64)
def host_of(name: str) -> Machine:
    """The machine of that name or file."""
    return load(name)


def _on_gpu(gpu: Gpu, op: str) -> Rate:
    clock = gpu.clock.peak_at_hz
    if op == "mac":
        dtype = "bf16"
        j = 2 * gpu.energy.mma_j_per_flop[dtype]
        return Rate("host.tensor", 2 / float(gpu.peak_flops_per_s(dtype)), j)
    if op in TRANSCENDENTAL:
        return Rate("host.mufu", 1 / (gpu.exps_per_clock * clock), gpu.energy.exp_j)
    lanes = gpu.fmas_per_clock * clock * (2 if op == FLOP else 1)
    return Rate("host.fma", 1 / lanes, gpu.energy.fma_j / (2 if op == FLOP else 1))


def _on_array(array: SpatialArray, op: str) -> Rate:
    kind = "mac" if op == FLOP else op
    able = {name: unit for name, unit in array.units.items() if unit.supports(kind)}
    if not able:
        known = ", ".join(array.units)
        raise MappingError(
            f"host {array.name}: wanted a unit ({known}) that does {kind}, found none; take a host "
            "that does, such as h100_sxm"
        )
    cycles = {name: unit.cycles(kind) / unit.pes for name, unit in able.items()}
    best = min(cycles, key=cycles.__getitem__)
    return Rate(f"host.{best}", cycles[best] / array.clock_hz, able[best].energy_j(kind))
