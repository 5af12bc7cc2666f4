"""Kernels that are no fused attention: streams, matrix products, unfused attention.

Each is a sum of passes over memory and of products; kernels that follow each other do not overlap.
"""

from __future__ import annotations

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.memory import Traffic, resident
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.problem import ELEMENT_BYTES, Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters
from einfall.sim.gpu.terms import Terms
from einfall.sim.numeric import Number, ceil_div, maximum

L2_COPY_SHARE = 0.6  # measured: H100 SXM, exp of 2 Mi numbers within L2, 3.6 us in replay
SCORE_OPS = 24.0
"""Instructions that a score takes over three kernels: scale, convert, store; load, convert,
maximum, subtract, sum, scale, convert, store, some twice; load into operands. By counting."""


def stream(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """A pass over memory: `size` elements read and as many written, `passes` times.

    What fits in L2 is found there when the launch is repeated, at the rate of a copy out of L2.
    """
    del exact
    moved = 2 * kernel.passes * problem.size * ELEMENT_BYTES[problem.dtype]
    hit = resident(moved, gpu)
    traffic = Traffic(moved * (1 - hit), moved)
    hbm_s = traffic.hbm_bytes / (gpu.hbm.achievable_bytes_per_s * fit.memory_share)
    l2_s = hit * moved / (gpu.l2.bandwidth_bytes_per_s * L2_COPY_SHARE)
    exps = problem.size * kernel.softmax_ops
    issued = problem.size * (kernel.softmax_ops + kernel.kv_ops)
    actions = {"hbm": traffic.hbm_bytes, "l2": traffic.l2_bytes, "exp": exps, "fma": issued}
    slots = exps / gpu.exps_per_clock + issued * fit.softmax_factor / gpu.fmas_per_clock
    work = Work(actions, slots, hbm_s + l2_s, fit.launch_s)
    why = f"{moved / 1e6:.1f} MB moved, {hit:.0%} of it within L2"
    return Terms(work, "mufu", why, parts_s={"launch": fit.launch_s})


def launch(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """A kernel that does almost nothing."""
    del kernel, gpu, problem, exact
    work = Work({}, 0.0, 0.0, fit.launch_s)
    return Terms(work, "launch", "nothing but the launch", parts_s={"launch": fit.launch_s})


def matmul(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """A product of `size` x `size` matrices in the tiles that take least, over waves of the SMs.

    fp32 runs on the FP32 lanes (`fp8_share` is then the share of those), other types on the tensor
    cores. Operands on their way from L2 are in the energy of a FLOP.
    """
    del exact
    n, on_lanes = problem.size, problem.dtype == "fp32"
    rate = 2 * gpu.sm.fma_lanes if on_lanes else gpu.sm.tensor[problem.dtype]
    share = fit.fp8_share if on_lanes else fit.tensor_share
    tried = []
    for tile in kernel.tiles:
        blocks = ceil_div(n, tile.rows) * ceil_div(n, tile.keys)
        each = 2 * tile.rows * tile.keys * n / (rate * share) + fit.block_cycles
        tried.append((ceil_div(blocks, gpu.sms) * each, tile.rows, tile.keys, blocks))
    cycles, rows, columns, blocks = min(tried, key=lambda way: float(way[0]))
    moved = 3 * n * n * ELEMENT_BYTES[problem.dtype]
    flops = 2.0 * n**3
    actions: dict[str, Number] = {"hbm": moved, "l2": moved}
    actions |= {"fma": flops / 2} if on_lanes else {f"mma.{problem.dtype}": flops}
    memory_s = moved / gpu.hbm.achievable_bytes_per_s
    work = Work(actions, cycles, memory_s, fit.launch_s)
    why = f"{blocks} tiles of {rows}x{columns} in {ceil_div(blocks, gpu.sms)} waves"
    return Terms(work, "fma" if on_lanes else "tensor", why, parts_s={"launch": fit.launch_s})


def unfused(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Attention by whole products and passes over the scores in fp32, one kernel after another.

    PyTorch's `math` attention computes 16-bit inputs in fp32: the products run on the FP32 lanes,
    each of `passes` kernels reads or writes every score once.
    """
    del exact
    scores = problem.batch * problem.heads * problem.queries * problem.keys
    flops = 2.0 * scores * (problem.head_dim + problem.value_dim)
    cycles = flops / (2 * gpu.fmas_per_clock * fit.tensor_share)
    inputs = problem.qo_bytes + problem.kv_bytes * problem.group
    moved = kernel.passes * 4 * scores + kernel.state_passes * inputs
    memory_s = moved / (gpu.hbm.achievable_bytes_per_s * fit.memory_share)
    fixed = kernel.launches * fit.launch_s + memory_s
    actions = {"fma": flops / 2, "exp": scores, "hbm": moved, "l2": moved}
    why = f"{moved / 1e9:.2f} GB in {kernel.launches:.0f} kernels, {flops / 1e9:.1f} GFLOP in fp32"
    parts = {"launch": kernel.launches * fit.launch_s, "passes": memory_s}
    return Terms(Work(actions, cycles, 0.0, fixed), "fma", why, parts_s=parts)


def three_pass(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Attention in three kernels with 16-bit scores in memory: q·kᵀ, softmax, p·v.

    The first is one tile of scores a block and waits for its operands and for the scores to leave
    (`block_cycles` for 128 x 128 of head width 128, as the bytes for others); the second passes
    over the scores once in and once out of HBM; the third reads them once under its products.
    """
    del exact
    tile = kernel.tile(problem, gpu.generation)
    heads = problem.batch * problem.heads
    scores = heads * problem.queries * problem.keys
    blocks = heads * ceil_div(problem.queries, tile.rows) * ceil_div(problem.keys, tile.keys)
    rate = gpu.tensor_flops_per_clock(problem.dtype) * fit.tensor_share
    bandwidth = gpu.hbm.achievable_bytes_per_s * fit.memory_share
    one_pass = 2 * scores / bandwidth
    passing = (tile.rows + tile.keys) * problem.head_dim + tile.rows * tile.keys
    each = fit.block_cycles * passing / (3 * 128**2)
    qk = ceil_div(blocks, gpu.sms * tile.blocks_per_sm) * each / gpu.clock.boost_hz
    pv = 2.0 * scores * problem.value_dim / rate / gpu.clock.boost_hz
    parts = {"qk": maximum(qk, one_pass), "softmax": 2 * one_pass, "pv": maximum(pv, one_pass)}
    chosen = {n: t for n, t in parts.items() if problem.piece in ("", n)}
    parts = {"launch": len(chosen) * fit.launch_s} | chosen
    moved = 8.0 * scores
    flops = 2.0 * scores * (problem.head_dim + problem.value_dim)
    actions = {f"mma.{problem.dtype}": flops, "exp": 2 * scores, "fma": SCORE_OPS * scores,
               "hbm": moved, "l2": 2 * moved}  # fmt: skip
    work = Work(actions, 0.0, 0.0, sum(parts.values(), start=0.0))
    why = f"{float(scores) / 1e6:.0f} M scores of 2 B, {float(blocks):.0f} tiles of them"
    return Terms(work, "hbm", why, parts_s=parts)
