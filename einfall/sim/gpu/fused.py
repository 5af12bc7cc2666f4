"""A fused attention kernel: blocks of query tiles, each a loop of key-tile steps, over the SMs."""

from __future__ import annotations

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import makespan
from einfall.sim.gpu.lowered import Lowered, busy, cycles, with_parameters, work
from einfall.sim.gpu.makespan import Makespan
from einfall.sim.gpu.memory import Traffic, streamed
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, Tile
from einfall.sim.gpu.steps import Step, flops_of_step, step
from einfall.sim.gpu.terms import Terms
from einfall.sim.gpu.tiles import Ragged, count
from einfall.sim.numeric import Number, maximum

LISTED_BLOCKS = 30_000  # beyond so many blocks the closed form of the makespan is exact enough


def terms(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Cycles of the busiest SM, bytes and fixed times of a launch, and the words for them."""
    tile = chosen(kernel, gpu, problem, fit)
    launch = _lower(kernel, gpu, problem, fit, tile, exact=exact)
    pipes = busy(launch, fit)
    return Terms(
        work=work(launch, gpu, fit, "tf32" if problem.dtype == "fp32" else problem.dtype),
        pipe=max(pipes, key=lambda name: float(pipes[name])),
        why=_why(kernel, tile, launch, fit),
        busy_cycles=pipes,
        parts_s={
            "launch": fit.launch_s,
            "side passes": fit.side_passes * launch.side_bytes / gpu.hbm.achievable_bytes_per_s,
        },
    )


def lower(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Lowered:
    """The launch as blocks of steps. Of the parameters only the overhead of a block has a part."""
    tile = chosen(kernel, gpu, problem, fit)
    return _lower(kernel, gpu, problem, fit, tile, exact=exact)


def chosen(kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters) -> Tile:
    """The tile that runs: the only one, or that which the tuner finds fastest."""
    tiles = kernel.candidates(problem, gpu.generation)
    if len(tiles) == 1:
        return tiles[0]

    def taken(tile: Tile) -> float:
        return float(cycles(_lower(kernel, gpu, problem, fit, tile, exact=False), fit))

    return min(tiles, key=taken)


def _lower(  # noqa: PLR0913  the three values, and the tile among them
    kernel: KernelSchedule,
    gpu: Gpu,
    problem: Problem,
    fit: Parameters,
    tile: Tile,
    *,
    exact: bool,
) -> Lowered:
    ragged = count(problem, tile.rows, tile.keys, skips=kernel.skips, block=kernel.mask_block)
    if kernel.masks_all and ragged.masked.any():
        ragged = Ragged(ragged.steps, ragged.steps)
    one = step(kernel, tile, problem, gpu)
    heads = int(problem.batch * problem.heads)
    resident = max(1, min(tile.blocks_per_sm, -(-len(ragged.steps) * heads // gpu.sms)))
    places = gpu.sms * resident
    extra = float(block_steps(one, fit, resident))
    span = schedule(ragged, heads, places, kernel.order, extra, exact=exact)
    traffic = _traffic(problem, gpu, tile, ragged, heads, places)
    return launch_of(kernel, tile, problem, one, span, traffic, resident, ragged.total * heads)


def launch_of(  # noqa: PLR0913  what a launch is made of
    kernel: KernelSchedule,
    tile: Tile,
    problem: Problem,
    one: Step,
    span: Makespan,
    traffic: Traffic,
    resident: Number,
    steps: Number,
) -> Lowered:
    """A launch of so many steps in all, whose blocks span the SMs as told; numbers or arrays."""
    return Lowered(
        step=one,
        span=span,
        traffic=traffic,
        resident=resident,
        steps=steps,
        side_bytes=side_bytes(problem),
        low_bits=problem.low_bits,
        combines=0,
        listed=problem.masked,
        streams=tile.warps / 4,
        through_registers=int(kernel.path == "mma_sync"),
        flops=flops_of_step(kernel, tile, problem),
        overhead=overhead(kernel, tile, problem, resident),
    )


def block_steps(one: Step, fit: Parameters, resident: Number) -> Number:
    """What a block takes beside its steps, in steps of a block among `resident` ones on an SM.

    To a tenth, so that problems which differ in little share one list of blocks.

    >>> one = Step(tensor=2048, shared=1280, mufu=1024, fma=448, mask=128, wait=0)
    >>> float(block_steps(one, Parameters(block_cycles=3000, overlap=1.0), 1))  # 3000 / 2048
    1.5
    """
    return np.round(fit.block_cycles / one.cycles(fit.overlap, resident), 1)


def schedule(  # noqa: PLR0913
    ragged: Ragged, heads: int, places: int, order: str, overhead: float, *, exact: bool
) -> Makespan:
    """The makespan, block by block where that is asked for and there are few enough of them."""
    few = len(ragged.steps) * heads <= LISTED_BLOCKS or order == "lpt"
    if exact and few and not ragged.uniform:
        return makespan.listed(ragged, heads, places, order, overhead)
    return makespan.closed(ragged, heads, places, order, overhead)


def side_bytes(problem: Problem) -> Number:
    """Q, K and V of the new tokens, read and written once in 16 bits [bytes].

    >>> side_bytes(Problem(batch=1, heads=8, kv_heads=1, queries=1, head_dim=64, value_dim=64))
    2560
    """
    width = problem.heads * problem.head_dim
    width = width + problem.kv_heads * (problem.head_dim + problem.value_dim)
    return problem.batch * problem.queries * width * 2 * 2


def overhead(kernel: KernelSchedule, tile: Tile, problem: Problem, resident: Number) -> Number:
    """A block's prologue and epilogue over those of one alone with 128 rows of 128.

    They move Q in and O out, and go at half speed past the neighbours on the SM.
    """
    width = kernel.width(problem.head_dim) + kernel.width(problem.value_dim)
    return tile.rows * width / (128 * 256) * (1 + resident) / 2


def _traffic(  # noqa: PLR0913
    problem: Problem, gpu: Gpu, tile: Tile, ragged: Ragged, heads: int, places: int
) -> Traffic:
    width = problem.head_dim + problem.value_dim
    issued = ragged.total * heads * tile.keys * width * problem.kv_element_bytes
    together = max(1.0, places / len(ragged.steps) / float(problem.group))
    concurrent = min(together, float(problem.batch * problem.kv_heads))
    return streamed(problem, gpu, issued, concurrent)


def _why(kernel: KernelSchedule, tile: Tile, launch: Lowered, fit: Parameters) -> str:
    one, span = with_parameters(launch, fit), launch.span
    tail = span.steps / maximum(span.mean_steps, 1e-9) - 1
    return (
        f"{tile.rows}x{tile.keys} tiles, {launch.resident} a SM: step"
        f" {one.cycles(fit.overlap, launch.resident):.0f} cycles (matrix {one.matrix:.0f}, softmax"
        f" {one.softmax:.0f}, {fit.overlap:.0%} of the shorter hidden, waits {one.wait:.0f}); the"
        f" last SM has {span.steps:.0f} steps in {span.blocks:.0f} blocks, {tail:.0%} more than"
        f" the mean ({kernel.order} order)"
    )
