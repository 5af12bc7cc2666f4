"""Many launches of one kernel at once: what `GpuEstimate` answers for one, as arrays.

For a dense problem every number is that of `estimate`. Under a causal mask the blocks of a fused
kernel are spread over the SMs by the closed form, not one by one, so that the time is near that of
`estimate`, not the same; see `gpu.sweep`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import decode
from einfall.sim.gpu.counted import Counted
from einfall.sim.gpu.lowered import Lowered, busy, cycles, with_parameters, work
from einfall.sim.gpu.power import Work, clock_hz, energy_j
from einfall.sim.gpu.predict import terms
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError
from einfall.sim.gpu.sweep import lower
from einfall.sim.gpu.terms import AROUND, HALF, Terms
from einfall.sim.gpu.tuned import fastest
from einfall.sim.numeric import Number, maximum

IN_STEPS = ("fused", "decode")
"""What kernels do whose launches are blocks of steps, with numbers or arrays."""

IN_PASSES = ("unfused", "three_pass", "chunked")
"""What kernels do that follow each other, each a pass over scores, states or chunks."""

_NAMES = (
    "compute", "memory", "fixed", "latency", "hbm", "l2", *AROUND,
    "tensor", "mufu", "fma", "shared", "load", "load/store", "scan",
)  # fmt: skip
_LATENCY = np.int8(_NAMES.index("latency"))


@dataclass(frozen=True)
class Launches(ABC):
    """Time, energy and traffic of many launches, and what binds each; units as in `GpuEstimate`."""

    kernel: KernelSchedule
    gpu: Gpu
    problem: Problem
    fit: Parameters
    work: Work = field(repr=False)
    clock_hz: Number = field(repr=False)

    @cached_property
    def latency_s(self) -> Number:
        """Time of each launch [s]."""
        return self.work.time_s(self.clock_hz)

    @cached_property
    def energy_j(self) -> Number:
        """Energy of each launch [J]."""
        return energy_j(self.work, self.gpu, self.clock_hz)

    @property
    def power_w(self) -> Number:
        """Mean power of launches that follow each other [W]."""
        return self.energy_j / self.latency_s

    @property
    def cycles(self) -> Number:
        """The time in cycles of the clock."""
        return self.latency_s * self.clock_hz

    @property
    def traffic_bytes(self) -> Mapping[str, Number]:
        """Bytes through HBM and out of L2."""
        return {level: self.work.actions[level] for level in ("hbm", "l2")}

    @cached_property
    def busy_s(self) -> Mapping[str, Number]:
        """Time for which each pipe is in use at the rate the kernel reaches, mean over the SMs."""
        hbm = self.gpu.hbm.achievable_bytes_per_s * self.fit.memory_share
        return {name: x / self.clock_hz for name, x in self._reached_cycles().items()} | {
            "l2": self.traffic_bytes["l2"] / self.gpu.l2.bandwidth_bytes_per_s,
            "hbm": self.traffic_bytes["hbm"] / hbm,
        }

    @cached_property
    def utilization(self) -> Mapping[str, Number]:
        """For each unit the part of what it could do in that time; HBM by the datasheet's rate."""
        return self._pipes_used() | {
            "l2": self.busy_s["l2"] / self.latency_s,
            "hbm": self.traffic_bytes["hbm"] / self.gpu.hbm.bandwidth_bytes_per_s / self.latency_s,
        }

    @cached_property
    def bound(self) -> np.ndarray:
        """What stops each launch, by name, as `GpuEstimate.bound` has it."""
        sides = {
            "compute": self.work.cycles / self.clock_hz,
            "memory": self.work.memory_s,
            "fixed": self.work.fixed_s,
        }
        memory = _longest({name: self.busy_s[name] for name in ("hbm", "l2")})
        side_of, of_all = _longest(sides), _longest(dict(self._around_s()) | dict(self.busy_s))
        of_sms = np.where(side_of == _NAMES.index("compute"), self._of_sms(sides, memory), of_all)
        return np.array(_NAMES)[np.where(side_of == _NAMES.index("memory"), memory, of_sms)]

    @abstractmethod
    def _reached_cycles(self) -> Mapping[str, Number]:
        """Cycles of each pipe at the rate the kernel reaches, in the mean over the SMs."""

    @abstractmethod
    def _pipes_used(self) -> dict[str, Number]:
        """For each pipe the part of what it could do."""

    @abstractmethod
    def _around_s(self) -> Mapping[str, Number]:
        """Fixed times around the work, by name [s]."""

    @abstractmethod
    def _of_sms(self, sides: Mapping[str, Number], memory: np.ndarray) -> np.ndarray:
        """What stops launches that the SMs bind, as `_longest` has it, of memory too."""


@dataclass(frozen=True)
class InSteps(Launches):
    """Launches of a kernel of blocks of steps."""

    launch: Lowered = field(repr=False)

    def _reached_cycles(self) -> Mapping[str, Number]:
        each = self.launch.steps / self.gpu.sms
        pipes = with_parameters(self.launch, self.fit).pipes()
        return {name: x * each for name, x in pipes.items()}

    def _pipes_used(self) -> dict[str, Number]:
        each = self.launch.steps / self.gpu.sms / self.cycles
        pipes = {n: x * each for n, x in self.launch.step.pipes().items() if n != "load"}
        dtype = "tf32" if self.problem.dtype == "fp32" else self.problem.dtype
        peak = self.gpu.tensor_flops_per_clock(dtype) * self.cycles
        return pipes | {"tensor": self.launch.steps * self.launch.flops / peak}

    def _around_s(self) -> Mapping[str, Number]:
        fit, side = self.fit, self.launch.side_bytes
        return {
            "launch": fit.launch_s,
            "side passes": fit.side_passes * side / self.gpu.hbm.achievable_bytes_per_s,
            "combine": self.launch.combines * fit.combine_s,
            "cast": self.launch.casts * fit.cast_s,
        }

    def _of_sms(self, sides: Mapping[str, Number], memory: np.ndarray) -> np.ndarray:
        pipes = busy(self.launch, self.fit)
        waits = np.where(sides["memory"] >= HALF * sides["compute"], memory, _LATENCY)
        working = maximum(*pipes.values()) >= HALF * self.work.cycles
        return np.where(working, _longest(pipes), waits)


@dataclass(frozen=True)
class InPasses(Launches):
    """Launches of kernels that follow each other."""

    terms: Terms = field(repr=False)

    @cached_property
    def _counted(self) -> Counted:
        return Counted(self.kernel, self.gpu, self.problem, self.work.actions)

    def _reached_cycles(self) -> Mapping[str, Number]:
        return self._counted.cycles

    def _pipes_used(self) -> dict[str, Number]:
        own, cycles = self._counted, self.cycles
        pipes = {name: x / cycles for name, x in own.cycles.items()}
        pipes[own.product_unit] = own.flops / (own.peak_flops_per_clock * cycles)
        return dict.fromkeys(("tensor", "mufu", "fma", "shared"), 0.0) | pipes

    def _around_s(self) -> Mapping[str, Number]:
        return {n: t for n, t in self.terms.parts_s.items() if n in AROUND}

    def _of_sms(self, sides: Mapping[str, Number], memory: np.ndarray) -> np.ndarray:
        del sides, memory
        return np.array(_NAMES.index(self.terms.pipe), dtype=np.int8)


def launches(kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters) -> Launches:
    """Many launches, each in the tile that a tuner finds fastest for it.

    Args:
        kernel: A schedule of attention, in steps or in passes.
        gpu: Its rates of HBM, L2 and an SM's pipes may be arrays.
        problem: Batch, heads and lengths may be arrays; dense or causal.
        fit: Parameters of the kernel.

    Raises:
        ScheduleError: The kernel is another one, or the mask is.

    >>> from einfall.hw_models import load as load_machine
    >>> from einfall.sim.gpu.asked import fit_for
    >>> from einfall.sim.gpu.schedule import load
    >>> gpu, keys = load_machine("h100_sxm"), np.array([1024, 4096])
    >>> problem = Problem(batch=4, heads=32, kv_heads=32, queries=keys, keys=keys)
    >>> found = launches(load("flash3"), gpu, problem, fit_for(load("flash3"), gpu).parameters)
    >>> found.bound.tolist()
    ['tensor', 'tensor']
    """
    known = kernel.does in (*IN_STEPS, *IN_PASSES)
    if not known or problem.visited is not None or problem.window is not None:
        raise ScheduleError("wanted a kernel of attention, dense or causal, for many shapes")
    if kernel.does in IN_PASSES:
        passes = terms(kernel, gpu, problem, fit)
        clock = clock_hz(passes.work, gpu, "burst")
        return InPasses(kernel, gpu, problem, fit, passes.work, clock, passes)
    launch = _lowered(kernel, gpu, problem, fit)
    steps = work(launch, gpu, fit, "tf32" if problem.dtype == "fp32" else problem.dtype)
    return InSteps(kernel, gpu, problem, fit, steps, clock_hz(steps, gpu, "burst"), launch)


def _lowered(kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters) -> Lowered:
    """The launches of a kernel in steps, each in its tile."""
    if kernel.does == "decode":
        return decode.lower(kernel, gpu, problem, fit)
    tiles = kernel.candidates(problem, gpu.generation)
    ways = [lower(kernel, gpu, problem, fit, tile) for tile in tiles]
    return fastest(ways, [cycles(way, fit) for way in ways])


def _longest(times: Mapping[str, Number]) -> np.ndarray:
    """Which of the times is longest, element by element, as its place in `_NAMES`.

    Of equal ones it is the first. Small numbers are chosen between faster than texts.
    """
    (first, most), *others = times.items()
    longest = np.int8(_NAMES.index(first))
    for name, time in others:
        longest = np.where(time > most, np.int8(_NAMES.index(name)), longest)
        most = maximum(most, time)
    return np.asarray(longest)
