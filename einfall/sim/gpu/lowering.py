"""The busiest SM's work as the Pipeline that every machine has: steps of tasks on its pipes.

A step is one key tile: load K and V, multiply by K, softmax, multiply by V; a block is a loop of
steps with a prologue and an epilogue. Where the kernel overlaps nothing one step is in flight,
otherwise two. The pipeline shows where time goes and bounds it: what part of the overlap a kernel
reaches is a fitted share, which the closed form of `lowered` has and the structure here has not.
"""

from __future__ import annotations

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.lowered import Lowered, with_parameters
from einfall.sim.gpu.predict import LOWER
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError
from einfall.sim.gpu.steps import Step
from einfall.sim.nest import Loop, Nest, Work
from einfall.sim.pipeline import Dep, Phase, Pipeline, Task, Use


def pipeline(
    kernel: KernelSchedule,
    gpu: Gpu,
    problem: Problem,
    fit: Parameters | None = None,
    *,
    clock_hz: float | None = None,
) -> Pipeline:
    """Launch, then the blocks of the SM that is done last, step by step.

    Args:
        kernel: A fused or a decode kernel.
        gpu: The machine.
        problem: Shape, dtypes, mask.
        fit: Calibrated parameters; those of the schedule if left out.
        clock_hz: The clock; the highest if left out.

    Raises:
        ScheduleError: The kernel has no steps, or cannot take the problem.
    """
    if kernel.does not in LOWER:
        raise ScheduleError(
            f"{kernel.kernel}: wanted a kernel of key-tile steps, found {kernel.does}"
        )
    fit = fit or kernel.parameters
    launch = LOWER[kernel.does](kernel, gpu, problem, fit)
    cycle_s = 1 / (clock_hz or gpu.clock.boost_hz)
    return Pipeline((_start(fit), _blocks(kernel, launch, fit, cycle_s)))


def _start(fit: Parameters) -> Phase:
    task = Task("launch", (Use("host", Work(fit.launch_s)),), ("launch",))
    return Phase("launch", Nest({"L": 1}, (Loop("launch", "L", 1),)), (task,))


def _blocks(kernel: KernelSchedule, launch: Lowered, fit: Parameters, cycle_s: float) -> Phase:
    """The loop over blocks and steps; co-resident blocks take their turns on the pipes."""
    blocks = max(1, round(float(launch.span.blocks)))
    steps = max(1, round(float(launch.span.steps) / blocks))
    nest = Nest({"T": blocks, "S": steps}, (Loop("block", "T", 1), Loop("step", "S", 1)))
    one = with_parameters(launch, fit)
    overhead = float(launch.overhead) * fit.block_cycles * cycle_s
    return Phase(
        name="blocks",
        nest=nest,
        tasks=_tasks(one, float(launch.resident) * cycle_s, cycle_s, overhead),
        in_flight=1 if kernel.overlap == "serial" and launch.resident == 1 else 2,
    )


def _tasks(one: Step, busy_s: float, cycle_s: float, overhead_s: float) -> tuple[Task, ...]:
    """Tasks of a step in program order; half of the products go with K, half with V."""
    at = ("block", "step")
    half = Work(float(one.matrix) / 2 * busy_s)
    load, ends = float(one.load) * busy_s, Work(overhead_s / 2)
    softmax = Work(float(one.softmax) * busy_s)
    wait_s = float(one.wait) * cycle_s
    return (
        Task("load Q", (Use("prologue and epilogue", ends),), ("block",)),
        Task("load K, V", (Use("l2", Work(load), shared=True),), at, ahead=True),
        Task("Q·K", (Use("tensor", half),), at, after=(Dep("load Q"), Dep("load K, V"))),
        Task("softmax", (Use("mufu and fma", softmax),), at, after=(Dep("Q·K"),), latency_s=wait_s),
        Task("P·V", (Use("tensor", half),), at, after=(Dep("softmax"),)),
        Task("store O", (Use("prologue and epilogue", ends),), ("block",), when="last",
             after=(Dep("P·V"),)),
    )  # fmt: skip
