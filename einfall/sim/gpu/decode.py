"""A decode kernel: few queries against many keys, split over the SMs, then combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import steps
from einfall.sim.gpu.lowered import Lowered, busy, work
from einfall.sim.gpu.makespan import Makespan
from einfall.sim.gpu.memory import Traffic, resident, written_back
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, Tile
from einfall.sim.gpu.terms import Terms
from einfall.sim.numeric import Number, ceil_div, floor_div, is_array, largest, maximum, minimum

LOADED_LATENCY_S = 0.8e-6  # assumption: of HBM under load; 0.29 us on an idle H100
XQA_LEAST_KEYS = 128  # published: TensorRT-LLM repository, kMinHistoryTokensPerBlock
XQA_WAVES = 8  # published: TensorRT-LLM repository, kTargetWaveFactor


def terms(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Cycles, bytes and fixed times of a decode launch, and the words for them."""
    launch = lower(kernel, gpu, problem, fit, exact=exact)
    pipes = busy(launch, fit)
    return Terms(
        work=work(launch, gpu, fit, problem.dtype),
        pipe=max(pipes, key=lambda name: float(pipes[name])),
        why=_why(kernel, gpu, problem, launch),
        busy_cycles=pipes,
        parts_s={
            "launch": fit.launch_s,
            "combine": launch.combines * fit.combine_s,
            "cast": launch.casts * fit.cast_s,
        },
    )


def lower(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Lowered:
    """The launch as alike blocks, each with its part of the keys of a head.

    The time is what HBM takes for keys and values once, or what the steps of the busiest SM take:
    a tile of `rows` rows is computed however few of them hold a query.
    """
    del fit, exact  # all blocks are alike: the closed form is exact
    tile = kernel.tile(problem, gpu.generation)
    heads, tiles, splits = split(kernel, gpu, problem)
    places = gpu.sms * tile.blocks_per_sm
    waves, each = ceil_div(heads * splits, places), ceil_div(tiles, splits)
    sharing = maximum(1, minimum(tile.blocks_per_sm, ceil_div(heads * splits, gpu.sms)))
    mean = heads * tiles / places
    return Lowered(
        step=steps.step(kernel, tile, problem, gpu),
        span=Makespan(waves * each, waves, 0, mean, heads * splits / places),
        traffic=_traffic(kernel, problem, gpu, splits),
        resident=sharing,
        steps=heads * tiles,
        side_bytes=0,
        low_bits=problem.low_bits,
        streams=tile.warps / 4,
        through_registers=int(kernel.path == "mma_sync"),
        flops=steps.flops_of_step(kernel, tile, problem),
        combines=(splits > 1) * (splits if kernel.combine == "each" else 1),
        casts=int(problem.kv_dtype == "fp8" and problem.dtype != "fp8"),
        missed=(1 - _hit(kernel, problem, gpu)) * miss_cycles_per_kib(kernel, gpu, tile, problem),
    )


def split(kernel: KernelSchedule, gpu: Gpu, problem: Problem) -> tuple[Number, Number, Number]:
    """Row tiles over all heads, key tiles of each, and into how many parts these are split."""
    tile = kernel.tile(problem, gpu.generation)
    rows = problem.queries * (problem.group if kernel.pack_gqa else 1)
    heads = problem.batch * (problem.kv_heads if kernel.pack_gqa else problem.heads)
    heads = _whole(heads * ceil_div(rows, tile.rows))
    keys = problem.keys if problem.window is None else minimum(problem.keys, problem.window)
    tiles = _whole(ceil_div(keys, tile.keys))
    if problem.splits is not None:
        return heads, tiles, minimum(problem.splits, tiles)
    if kernel.splits in BY_LENGTH:
        splits = BY_LENGTH[kernel.splits](kernel, heads, keys, gpu.sms)
        return heads, tiles, minimum(splits, tiles)
    return heads, tiles, split_count(kernel, heads, tiles, gpu.sms * tile.blocks_per_sm)


def _whole(x: Number) -> Number:
    """A count as it is, a single one as an integer."""
    return x if is_array(x) else int(x)


def splits_by_log(kernel: KernelSchedule, heads: Number, keys: Number, sms: int) -> Number:
    """Parts of the keys of a head where they grow with the logarithm of the length.

        ⌈SMs · max(1, log₂(keys / 64)) / heads⌉, at most `max_splits`

    Source: SGLang repository, get_num_kv_splits_triton, for sequences alike.

    >>> kernel = KernelSchedule(kernel="k", title="", does="decode", names=(), max_splits=8)
    >>> splits_by_log(kernel, heads=256, keys=8192, sms=148)
    5
    """
    wanted = ceil_div(np.floor(sms * maximum(1.0, np.log2(keys / 64))), heads)
    return _whole(minimum(kernel.max_splits, wanted))


def splits_by_waves(kernel: KernelSchedule, heads: Number, keys: Number, sms: int) -> Number:
    """Parts of the keys of a head where they may take several waves.

        n = keys / 128;  min(n, √(8·n)), and no more than make 8 waves of the SMs

    Source: TensorRT-LLM repository, decoderXQAImplCommon.h, computeMultiBlockCount.

    >>> kernel = KernelSchedule(kernel="k", title="", does="decode", names=())
    >>> splits_by_waves(kernel, heads=8, keys=8192, sms=132)
    23
    >>> splits_by_waves(kernel, heads=128, keys=16384, sms=132)
    8
    """
    least = floor_div(keys, XQA_LEAST_KEYS)
    wanted = maximum(1, minimum(least, np.round(np.sqrt(8 * least))))
    waves = heads * wanted / sms
    fewer = np.floor(wanted / maximum(1.0, waves / XQA_WAVES))
    return _whole(maximum(1, minimum(kernel.max_splits, fewer)))


BY_LENGTH: Mapping[str, Callable[[KernelSchedule, Number, Number, int], Number]] = {
    "log": splits_by_log,
    "waves": splits_by_waves,
}
"""Rules that go by the length of the keys, by their name in a schedule."""


def split_count(kernel: KernelSchedule, heads: Number, tiles: Number, places: int) -> Number:
    """Into how many parts the keys of a head are split.

    `efficiency`: none if heads fill 80 % of the places; otherwise the fewest whose last wave is
    within 85 % of the best filled. `fill`: as many as there are places a head.

    Source: flash-attention repository, num_splits_heuristic.

    >>> kernel = KernelSchedule(kernel="k", title="", does="decode", names=(), splits="fill")
    >>> split_count(kernel, heads=8, tiles=64, places=132)
    16
    """
    few = tiles >= kernel.least_tiles
    most = minimum(kernel.max_splits, places, tiles)
    if kernel.splits == "fill":
        wanted = maximum(1, minimum(most, floor_div(places, heads)))
    else:
        few = few & (heads < 0.8 * places)
        if kernel.splits == "none" or not np.any(few):
            return 1
        wanted = _well_filled(heads, tiles, places, most)
    return _whole(few * wanted + (1 - few))


def _well_filled(heads: Number, tiles: Number, places: int, most: Number) -> Number:
    """The fewest parts, up to `most`, whose last wave is within 85 % of the best filled.

    Parts of which the longest is no shorter than with one part less are left out.
    """

    def filled(n: int) -> Number:
        waves = heads * n / places
        counts = n <= most
        if n > 1:
            counts = counts & (ceil_div(tiles, n) != ceil_div(tiles, n - 1))
        return counts * waves / ceil_div(waves, 1)

    numbers = range(1, int(largest(most)) + 1)
    best, fewest = filled(1), 1
    for n in numbers[1:]:
        best = maximum(best, filled(n))
    for n in reversed(numbers):
        enough = filled(n) >= 0.85 * best
        fewest = enough * n + (1 - enough) * fewest
    return fewest


def miss_cycles_per_kib(kernel: KernelSchedule, gpu: Gpu, tile: Tile, problem: Problem) -> float:
    """Cycles at the highest clock by which HBM delays each KiB of a step.

    Loads far ahead wait for the SM's part of the bandwidth; a kernel that gathers single tokens has
    only those of one step under way and waits for the latency, once a step.
    """
    if not kernel.gathers:
        return hbm_cycles_per_kib(gpu)
    width = problem.head_dim + problem.value_dim
    step_kib = tile.keys * width * problem.kv_element_bytes / 1024
    return LOADED_LATENCY_S * gpu.clock.boost_hz / step_kib


def hbm_cycles_per_kib(gpu: Gpu) -> float:
    """Cycles at the highest clock in which HBM gives each SM a KiB, all of them at once.

    >>> from einfall.sim.gpu.testing import toy
    >>> hbm_cycles_per_kib(toy())
    4.096
    """
    return 1024 * gpu.sms * gpu.clock.boost_hz / gpu.hbm.achievable_bytes_per_s


def kv_bytes(kernel: KernelSchedule, problem: Problem) -> Number:
    """Keys and values that the kernel reads [bytes]: of a latent that is both, the wider one.

    >>> kernel = KernelSchedule(kernel="k", title="", does="decode", names=(), values_in_keys=True)
    >>> kv_bytes(kernel, Problem(keys=1024, head_dim=576, value_dim=512))
    1179648.0
    """
    if not kernel.values_in_keys:
        return problem.kv_bytes
    width = max(problem.head_dim, problem.value_dim)
    return problem.kv_bytes * width / (problem.head_dim + problem.value_dim)


def _hit(kernel: KernelSchedule, problem: Problem, gpu: Gpu) -> Number:
    """Share of keys and values that the launch finds in L2."""
    return 0.0 if problem.cold else resident(kv_bytes(kernel, problem), gpu)


def _traffic(kernel: KernelSchedule, problem: Problem, gpu: Gpu, splits: Number) -> Traffic:
    hit = _hit(kernel, problem, gpu)
    again: Number = 1 if kernel.pack_gqa else problem.group
    rows = problem.batch * problem.heads * problem.queries
    partial = (splits > 1) * 2 * 4 * rows * (problem.value_dim + 1) * splits
    once = kv_bytes(kernel, problem)
    hbm = once * (1 - hit) + problem.qo_bytes
    if problem.cold:
        hbm = hbm + written_back(once, gpu)
    return Traffic(hbm, once * again + problem.qo_bytes + partial)


def _why(kernel: KernelSchedule, gpu: Gpu, problem: Problem, launch: Lowered) -> str:
    tile = kernel.tile(problem, gpu.generation)
    _, _, splits = split(kernel, gpu, problem)
    hit = _hit(kernel, problem, gpu)
    return (
        f"{tile.rows}x{tile.keys} tiles, {splits} splits: {launch.span.blocks} waves,"
        f" {launch.span.steps} steps; {launch.traffic.hbm_bytes / 1e6:.1f} MB from HBM,"
        f" {hit:.0%} of keys and values found in L2"
    )
