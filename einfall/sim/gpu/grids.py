"""Kernels that follow each other, each a grid of alike blocks: waves over the SMs beside memory.

The blocks of a grid work in waves of as many as the SMs hold at once; how many an SM holds follows
from the registers and the shared memory of a block. While they wait for each other's loads, memory
works on: of two sides that take as long, a part of the shorter is exposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.schedule import Parameters
from einfall.sim.numeric import Number, add, ceil_div, maximum, minimum

OTHER_REGISTERS = 45  # derived: Triton 3.6 for sm_90a, linear.py: beyond accumulators and operands
RESERVED_BYTES = 1024  # datasheet: NVIDIA Hopper tuning guide, shared memory that each block takes
PORT_BYTES = 64.0  # assumption: from L2 into an SM a clock, the width of L1's port
LEAST_EXPOSED = 0.01  # below, one side hides the other whole


@dataclass(frozen=True, slots=True)
class Grid:
    """One kernel: cycles of the busiest SM, and what it does as `Work.actions` has it.

    `exposed` is the share of the shorter of SM and memory time that shows where both are as long;
    `waits_s` is what blocks wait for HBM beside the time of its bytes [s].
    """

    name: str
    cycles: Number
    actions: Mapping[str, Number]
    exposed: float
    waits_s: Number = 0.0


def resident(gpu: Gpu, warps: int, registers: float, shared_bytes: float) -> int:
    """How many blocks an SM holds of a kernel with so many registers a thread.

        blocks = min(registers, shared memory, threads of the SM over those of a block)

    Registers are dealt out to a thread by eights, 256 at most: what is more is spilled.

    >>> from einfall.hw_models import load
    >>> resident(load("h100_sxm"), warps=4, registers=109, shared_bytes=72 * 1024)
    3
    """
    threads = 32 * warps
    each = min(256, 8 * -(-registers // 8)) * threads
    by_registers = gpu.sm.register_capacity_bytes / 4 // each
    by_shared = gpu.sm.shared_capacity_bytes // (shared_bytes + RESERVED_BYTES)
    by_threads = gpu.sm.max_threads // threads
    return max(1, int(min(by_registers, by_shared, by_threads, gpu.sm.max_ctas)))


def waves(blocks: Number, gpu: Gpu, held: int) -> Number:
    """Rounds in which all blocks get their place, `held` of them on an SM at a time.

    >>> from einfall.hw_models import load
    >>> waves(1000, load("h100_sxm"), held=4)
    2
    """
    return ceil_div(blocks, gpu.sms * held)


def beside(first_s: Number, second_s: Number, exposed: float) -> tuple[Number, Number]:
    """What each of two sides that work at once adds to the time of both.

        T = (a^p + b^p)^(1/p)    p = 1 / log2(1 + exposed)    a's part is a · (a/T)^(p-1)

    Nothing exposed is the longer side alone, all is their sum; where both take as long the time is
    (1 + exposed) of one, and where one is long it hides the other. The parts add up to T, and are
    its slopes, so that they hold for another clock nearby.

    >>> [round(part, 3) for part in beside(3.0, 4.0, exposed=2**0.5 - 1)]  # p = 2: the time is 5
    [1.8, 3.2]
    """
    p = 1 / log2(1 + max(exposed, LEAST_EXPOSED))
    longer = maximum(first_s, second_s, 1e-12)
    ratio = minimum(first_s, second_s) / longer
    total = longer * (1 + ratio**p) ** (1 / p)
    return first_s * (first_s / total) ** (p - 1), second_s * (second_s / total) ** (p - 1)


def in_turn(
    grids: Sequence[Grid], gpu: Gpu, fit: Parameters, launch_s: float
) -> tuple[Work, dict[str, Number]]:
    """The work of kernels one after another, and the time of each [s] at the highest clock.

    All their launches take `launch_s`.
    """
    bandwidth = gpu.hbm.achievable_bytes_per_s * fit.memory_share
    cycles: Number = 0.0
    memory_s: Number = 0.0
    actions: dict[str, Number] = {}
    parts: dict[str, Number] = {"launch": launch_s}
    for grid in grids:
        boost_s = grid.cycles / gpu.clock.boost_hz
        waited_s = grid.actions["hbm"] / bandwidth + grid.waits_s
        sms_s, hbm_s = beside(boost_s, waited_s, grid.exposed)
        cycles, memory_s = cycles + sms_s * gpu.clock.boost_hz, memory_s + hbm_s
        parts[grid.name] = sms_s + hbm_s
        for action, count in grid.actions.items():
            add(actions, action, count)
    return Work(actions, cycles, memory_s, parts["launch"], exposed=1.0), parts
