"""Kernels that are no attention: streams over memory, matrix products, a launch of nothing."""

from __future__ import annotations

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.memory import Traffic, resident
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.problem import ELEMENT_BYTES, Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters
from einfall.sim.gpu.terms import Terms
from einfall.sim.numeric import Number, ceil_div

L2_COPY_SHARE = 0.6  # measured: H100 SXM, exp of 2 Mi numbers within L2, 3.6 us in replay


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
