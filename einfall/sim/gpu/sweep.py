"""A million shapes at once: the closed form of a fused kernel where numbers are arrays.

Head width, types and mask are shared by the sweep; batch, heads and lengths may be arrays. Causal
tiles are counted exactly where the tiles' sides divide each other and the lengths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.fused import block_steps, launch_of
from einfall.sim.gpu.lowered import Lowered, work
from einfall.sim.gpu.makespan import Makespan
from einfall.sim.gpu.memory import streamed
from einfall.sim.gpu.power import BURST_S, Regime, clock_hz
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError, Tile
from einfall.sim.gpu.steps import step
from einfall.sim.numeric import Number, ceil_div, maximum, minimum


def latency_s(  # noqa: PLR0913  the three values, and how to read them
    kernel: KernelSchedule,
    gpu: Gpu,
    problem: Problem,
    fit: Parameters | None = None,
    regime: Regime = "burst",
    burst_s: float = BURST_S,
) -> Number:
    """Times of many launches of a fused kernel [s], each in the tile that is fastest for it.

    Raises:
        ScheduleError: The kernel is not fused, or the mask is a list.
    """
    if kernel.does != "fused" or problem.visited is not None or problem.window is not None:
        raise ScheduleError("wanted a fused kernel, dense or causal, for a sweep over shapes")
    fit = fit or kernel.parameters
    times = []
    for tile in kernel.candidates(problem, gpu.generation):
        launch = lower(kernel, gpu, problem, fit, tile)
        found = work(launch, gpu, fit, problem.dtype)
        times.append(found.time_s(clock_hz(found, gpu, regime, burst_s)))
    return minimum(*times)


def lower(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, tile: Tile
) -> Lowered:
    """The launches as blocks of steps, as `fused.lower` does for one."""
    one = step(kernel, tile, problem, gpu)
    heads = problem.batch * problem.heads
    tiles = ceil_div(problem.queries, tile.rows)
    blocks = tiles * heads
    resident = maximum(1, minimum(tile.blocks_per_sm, ceil_div(blocks, gpu.sms)))
    places = gpu.sms * resident
    extra = block_steps(one, fit, resident)
    total, squares, longest, shortest = _steps(problem, tile)
    span = _span(
        kernel, problem, (total, squares, longest, shortest), (tiles, heads, places), extra
    )
    width = problem.head_dim + problem.value_dim
    issued = total * heads * tile.keys * width * problem.kv_element_bytes
    together = maximum(1.0, places / tiles / problem.group)
    concurrent = minimum(together, problem.batch * problem.kv_heads)
    traffic = streamed(problem, gpu, issued, concurrent)
    return launch_of(kernel, tile, problem, one, span, traffic, resident, total * heads)


def _steps(problem: Problem, tile: Tile) -> tuple[Number, Number, Number, Number]:
    """Steps of a head's query tiles: their sum, sum of squares, the most and the fewest.

    A causal ramp of n tiles goes up by rows/keys from what the first query tile sees:

        Σ = n·a + d·n(n-1)/2        with a = first, d = rows/keys

    >>> p = Problem(queries=256, keys=256, causal=True)
    >>> _steps(p, Tile(head_dim=64, rows=64, keys=64))
    (10.0, 30.0, 4, 1.0)
    """
    tiles = ceil_div(problem.queries, tile.rows)
    longest = ceil_div(problem.keys, tile.keys)
    if not problem.causal:
        return tiles * longest, tiles * longest**2, longest, longest
    rise = tile.rows / tile.keys
    first = maximum(longest - (tiles - 1) * rise, 1.0)
    rise = (longest - first) / maximum(tiles - 1, 1)
    ramp = tiles * (tiles - 1) / 2
    squares = tiles * first**2 + 2 * first * rise * ramp + rise**2 * ramp * (2 * tiles - 1) / 3
    return tiles * first + rise * ramp, squares, longest, first


def _span(
    kernel: KernelSchedule,
    problem: Problem,
    steps: tuple[Number, Number, Number, Number],
    grid: tuple[Number, Number, Number],
    extra: Number,
) -> Makespan:
    """`makespan.closed`, element by element."""
    (total, squares, longest, shortest), (tiles, heads, places) = steps, grid
    count = tiles * heads
    mean_steps, mean_blocks = total * heads / places, count / places
    masked = minimum(1.0, tiles / total) if problem.causal else 0.0
    one_wave = count <= places
    if not problem.causal:
        waves = ceil_div(count, places)
        return Makespan(waves * longest, waves, 0.0, mean_steps, mean_blocks)
    long, work_ = longest + extra, mean_steps + extra * mean_blocks
    head = total + extra * tiles
    end = maximum(long, work_ + 0.5 * (shortest + extra))
    if kernel.order != "lpt":
        left = (squares + 2 * extra * total + extra**2 * tiles) / (2 * head)
        ahead = head / places if kernel.order == "reversed" else 0.0
        end = maximum(end, work_ + long - left - ahead)
    blocks = minimum(mean_blocks + (end - work_) / long, mean_blocks * end / work_)
    choose: Any = np.where
    blocks = choose(one_wave, 1.0, blocks)
    done = choose(one_wave, longest, end - extra * blocks)
    return Makespan(done, blocks, done * masked, mean_steps, mean_blocks)
