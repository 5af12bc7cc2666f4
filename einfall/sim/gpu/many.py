"""Many launches of one kernel at once: what `GpuEstimate` answers for one, as arrays.

For a dense problem every number is that of `estimate`. Under a causal mask the blocks are spread
over the SMs by the closed form, not one by one, so that the time is near that of `estimate`, not
the same; see `gpu.sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import decode
from einfall.sim.gpu.lowered import Lowered, busy, cycles, with_parameters, work
from einfall.sim.gpu.power import Work, clock_hz, energy_j
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError
from einfall.sim.gpu.sweep import lower
from einfall.sim.gpu.terms import HALF
from einfall.sim.numeric import Number, is_array, maximum

IN_STEPS = ("fused", "decode")
"""What kernels do whose launches are blocks of steps, with numbers or arrays."""


@dataclass(frozen=True)
class Launches:
    """Time, energy and traffic of many launches, and what binds each; units as in `GpuEstimate`."""

    kernel: KernelSchedule
    gpu: Gpu
    problem: Problem
    fit: Parameters
    launch: Lowered = field(repr=False)
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
        each = self.launch.steps / self.gpu.sms
        pipes = with_parameters(self.launch, self.fit).pipes()
        hbm = self.gpu.hbm.achievable_bytes_per_s * self.fit.memory_share
        return {name: x * each / self.clock_hz for name, x in pipes.items()} | {
            "l2": self.traffic_bytes["l2"] / self.gpu.l2.bandwidth_bytes_per_s,
            "hbm": self.traffic_bytes["hbm"] / hbm,
        }

    @cached_property
    def utilization(self) -> Mapping[str, Number]:
        """For each unit the part of what it could do in that time; HBM by the datasheet's rate."""
        each = self.launch.steps / self.gpu.sms / self.cycles
        pipes = {n: x * each for n, x in self.launch.step.pipes().items() if n != "load"}
        dtype = "tf32" if self.problem.dtype == "fp32" else self.problem.dtype
        peak = self.gpu.tensor_flops_per_clock(dtype) * self.cycles
        return pipes | {
            "tensor": self.launch.steps * self.launch.flops / peak,
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
        fit, side = self.fit, self.launch.side_bytes
        passes = fit.side_passes * side / self.gpu.hbm.achievable_bytes_per_s
        around = {"launch": fit.launch_s, "side passes": passes}
        around |= {
            "combine": self.launch.combines * fit.combine_s,
            "cast": self.launch.casts * fit.cast_s,
        }
        side_of, pipes = _longest(sides), busy(self.launch, fit)
        memory = _longest({name: self.busy_s[name] for name in ("hbm", "l2")})
        waits = np.where(sides["memory"] >= HALF * sides["compute"], memory, "latency")
        working = maximum(*pipes.values()) >= HALF * self.work.cycles
        of_sms = np.where(working, _longest(pipes), waits)
        of_all = _longest(around | dict(self.busy_s))
        named = {"compute": of_sms, "memory": memory, "fixed": of_all}
        return np.select([side_of == side for side in named], list(named.values()), "")


def launches(kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters) -> Launches:
    """Many launches, each in the tile that a tuner finds fastest for it.

    Args:
        kernel: A fused schedule, or one of decode.
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
    if kernel.does not in IN_STEPS or problem.visited is not None or problem.window is not None:
        raise ScheduleError("wanted a fused or decode kernel, dense or causal, for many shapes")
    if kernel.does == "decode":
        ways = [decode.lower(kernel, gpu, problem, fit)]
    else:
        tiles = kernel.candidates(problem, gpu.generation)
        ways = [lower(kernel, gpu, problem, fit, tile) for tile in tiles]
    launch = ways[0]
    if len(ways) > 1:
        times = np.broadcast_arrays(*(cycles(way, fit) for way in ways))
        launch = _chosen(ways, np.argmin(np.stack(times), axis=0))
    found = work(launch, gpu, fit, "tf32" if problem.dtype == "fp32" else problem.dtype)
    return Launches(kernel, gpu, problem, fit, launch, found, clock_hz(found, gpu, "burst"))


def _longest(times: Mapping[str, Number]) -> np.ndarray:
    """Name of the longest of the times, element by element; of equal ones the first."""
    names = np.array(list(times))
    return names[np.argmax(np.stack(np.broadcast_arrays(*times.values())), axis=0)]


def _chosen(ways: Sequence[Any], which: np.ndarray) -> Any:  # noqa: ANN401  see `_stacked`
    """For each launch the way of that number; a number, or one of our dataclasses."""
    first = ways[0]
    if not hasattr(first, "__dataclass_fields__"):
        if not any(map(is_array, ways)) and len(set(ways)) == 1:
            return first
        which, *columns = np.broadcast_arrays(which, *ways)
        return np.take_along_axis(np.stack(columns), which[None], axis=0)[0]
    parts = {f.name: _chosen([getattr(w, f.name) for w in ways], which) for f in fields(first)}
    return type(first)(**parts)
