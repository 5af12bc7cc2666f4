"""Attention with its scores in memory: products and passes over the scores, a kernel after another.

`three_pass` is this project's own in 16 bits (validate/kernels/unfused.py). Its lengths are no
compile-time constants, so that Triton moves the scores one by one: each instruction of a warp moves
32 of them, and it is the load/store unit of the SM that these wait for, more than HBM.

    scores   rounds · (held · stores + loads of Q and K + product)
                 beside bytes / HBM + wait · rounds with which a head begins
    softmax  instructions / lanes
                 beside bytes / HBM + wait · (turns that read HBM - rows) / held
    values   rounds · (start + held · turns · (loads + product))

at `load_share` of the rates of memory and `tensor_share` of that of the products, with `held`
blocks on an SM at a time. The turns of a row wait for HBM one after another; the first of them
comes while its neighbours work. Rows of which all at work at a time fit in L2 are read from HBM
once, longer ones in each of the three passes. All scores are computed, those that a causal mask
discards too; of these the softmax reads nothing, but writes zeros, and the last product multiplies
them.

`unfused` is PyTorch's, which computes 16-bit inputs in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.grids import OTHER_REGISTERS, PORT_BYTES, Grid, in_turn, resident, waves
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, Tile
from einfall.sim.gpu.terms import Terms
from einfall.sim.gpu.tuned import fastest
from einfall.sim.numeric import Number, ceil_div, floor_div, largest, maximum, minimum

SCORE_OPS = {"qk": 4.0, "softmax": 18.0, "pv": 2.0}
"""Instructions a score with the energy of an FP32 operation: scale, convert, store; load, convert,
maximum, subtract, sum, scale, convert, store, some twice; load into operands. By counting."""
LANES = 32  # scores that an instruction of a warp moves, one by one
STORE_SPAN_BYTES, SECTOR_BYTES = 256, 32
"""A warp's 32 scores are stored 8 bytes apart: 8 sectors, of which an SM writes one a clock.
Derived: layout of scores_kernel's stores, Triton 3.6 for sm_90a."""
LOAD_SPAN_BYTES, LINE_BYTES = 512, 128
"""A warp's 32 scores are loaded 16 bytes apart: 4 lines, of which L1 looks up one a clock.
Derived: layout of values_kernel's loads, Triton 3.6 for sm_90a."""
ADDRESS_REGISTERS = 2  # derived: of each score that a thread loads or stores, one by one
COLUMNS = 1024  # derived: validate/kernels/configs.py, SOFTMAX_COLUMNS
FIND_OPS, DIVIDE_OPS, ROW_OPS = 21.0, 19.4, 124.0
"""Instructions a score of a turn of the softmax: maximum (7) and sum (14), then division; and those
of a thread for a row. Measured: H100 SXM, ncu, softmax_kernel of Triton 3.6 on rows of 4096, 8192
and 16384: 44.3, 42.3 and 41.4 instructions a score."""
KEPT, LOST = 0.55, 1.35
"""Rows at work at a time over L2: all are found again up to the first, none from the second on.
Measured: H100 SXM, ncu: of rows of 8192 (0.66) HBM reads 1.27 times the bytes, of 16384 (1.32)
2.94 times."""
MATH_SOFTMAX_OPS = 100.0
"""Instructions a score of PyTorch's softmax.
Measured: H100 SXM, softmax of 16 Mi numbers in rows of 4096, 51 us beside the launch."""
SOFTMAX_WARPS, SOFTMAX_REGISTERS = 4, 32  # derived: softmax_kernel, Triton 3.6 for sm_90a


@dataclass(frozen=True, slots=True)
class Tiled:
    """What the three kernels share: the problem in tiles, all its heads."""

    problem: Problem
    gpu: Gpu
    fit: Parameters
    tile: Tile
    heads: Number

    @property
    def scores_bytes(self) -> Number:
        """The scores of all heads, once."""
        scores = self.heads * self.problem.queries * self.problem.keys
        return scores * self.problem.element_bytes

    @property
    def registers(self) -> float:
        """Of a thread: each score of its tile, and the address of it."""
        scores = self.tile.rows * self.tile.keys / (32 * self.tile.warps)
        return (1 + ADDRESS_REGISTERS) * scores + OTHER_REGISTERS

    def product_cycles(self, width: int) -> float:
        """Cycles of an SM's tensor cores for one tile of scores."""
        rate = self.gpu.sm.tensor[self.problem.dtype] * self.fit.tensor_share
        return 2.0 * self.tile.rows * self.tile.keys * width / rate

    def moved_cycles(self, span_bytes: int, unit_bytes: int) -> float:
        """Cycles of the load/store unit for a tile of scores, a unit of memory a clock.

        Where rows do not begin with one, an instruction touches one more of them.
        """
        row_bytes = self.problem.keys * self.problem.element_bytes
        touched = span_bytes / unit_bytes + (row_bytes % unit_bytes > 0)
        return self.tile.rows * self.tile.keys * touched / (LANES * self.fit.load_share)

    def fill_cycles(self, loaded_bytes: float) -> float:
        """Cycles in which so many bytes come from L2 into an SM."""
        return loaded_bytes / (PORT_BYTES * self.fit.load_share)

    def shared_cycles(self, passes: int, loaded_bytes: float = 0.0) -> float:
        """Cycles in which a tile of scores goes into or out of shared memory, `passes` times.

        So do operands that were loaded into registers.
        """
        moved = passes * self.tile.rows * self.tile.keys * self.problem.element_bytes
        rate = self.gpu.sm.shared_bytes_per_clock * self.fit.load_share
        return (moved + loaded_bytes) / rate

    def waits_s(self, waits: Number) -> Number:
        """What a block waits for HBM so many times, one after another [s]."""
        return waits * self.fit.step_cycles / self.gpu.clock.boost_hz

    def actions(self, piece: str, width: int) -> dict[str, Number]:
        """What one kernel does: a product of that width, through HBM the scores and its rows."""
        scores = self.heads * self.problem.queries * self.problem.keys
        passes = 2 if piece == "softmax" else 1
        rows_bytes = (self.problem.qo_bytes + self.problem.kv_bytes) / 2
        return {
            f"mma.{self.problem.dtype}": 2.0 * scores * width,
            "fma": SCORE_OPS[piece] * scores,
            "hbm": self.scores_bytes + rows_bytes,
            "l2": 2 * passes * self.scores_bytes,
        }


def scores(tiled: Tiled) -> Grid:
    """q·kᵀ: a tile of scores a block; what it does beside storing them its neighbours hide.

    The tiles with which a head begins wait for HBM: neither its queries nor its keys are in L2.
    """
    problem, tile, gpu = tiled.problem, tiled.tile, tiled.gpu
    loaded = (tile.rows + tile.keys) * problem.head_dim * problem.element_bytes
    held = resident(gpu, tile.warps, tiled.registers, loaded)
    store = tiled.moved_cycles(STORE_SPAN_BYTES, SECTOR_BYTES)
    serial = tiled.product_cycles(problem.head_dim) + tiled.fill_cycles(loaded)
    serial += tiled.shared_cycles(passes=2, loaded_bytes=loaded)
    tiles = ceil_div(problem.queries, tile.rows) * ceil_div(problem.keys, tile.keys)
    rounds = waves(tiled.heads * tiles, gpu, held)
    actions, first = tiled.actions("qk", problem.head_dim), minimum(1.0, gpu.sms * held / tiles)
    waits_s = tiled.waits_s(rounds * first)
    return Grid("qk", rounds * (held * store + serial), actions, tiled.fit.exposed, waits_s)


def softmax(tiled: Tiled) -> Grid:
    """A row a block, `COLUMNS` at a time: its maximum, its sum, then all divided and written."""
    problem, gpu, fit = tiled.problem, tiled.gpu, tiled.fit
    rows = tiled.heads * problem.queries
    seen, turns = _seen(problem)
    whole = ceil_div(problem.keys, COLUMNS) * problem.queries
    issued = tiled.heads * COLUMNS * (FIND_OPS * turns + DIVIDE_OPS * whole)
    issued += 32 * SOFTMAX_WARPS * ROW_OPS * rows
    held = resident(gpu, SOFTMAX_WARPS, SOFTMAX_REGISTERS, 0)
    again = 2 * lost(gpu.sms * held * problem.keys * problem.element_bytes, gpu)
    waited = maximum(0.0, tiled.heads * turns * (1 + again) - rows)
    actions = tiled.actions("softmax", 0) | {"exp": 2 * rows * problem.keys}
    read = tiled.heads * seen * problem.element_bytes
    actions["hbm"] = read * (1 + again) + tiled.scores_bytes
    cycles = issued * fit.softmax_factor / gpu.fmas_per_clock
    waits_s = tiled.waits_s(waited / (gpu.sms * held))
    return Grid("softmax", cycles, actions, fit.exposed, waits_s)


def lost(live_bytes: Number, gpu: Gpu) -> Number:
    """Share of what is read again and again, so many bytes at a time, that leaves L2 in between.

    >>> from einfall.hw_models import load
    >>> h100 = load("h100_sxm")
    >>> [round(lost(share * h100.l2.capacity_bytes, h100), 2) for share in (0.5, 0.75, 1.5)]
    [0.0, 0.25, 1.0]
    """
    over = live_bytes / gpu.l2.capacity_bytes - KEPT
    return maximum(0.0, minimum(1.0, over / (LOST - KEPT)))


def values(tiled: Tiled) -> Grid:
    """p·v: a tile of queries a block, which walks all keys; neighbours hide nothing of it."""
    problem, tile = tiled.problem, tiled.tile
    shared = tile.stages * tile.keys * problem.value_dim + tile.rows * tile.keys
    held = resident(tiled.gpu, tile.warps, tiled.registers, shared * problem.element_bytes)
    load = tiled.moved_cycles(LOAD_SPAN_BYTES, LINE_BYTES)
    fill = tile.keys * (tile.rows + problem.value_dim) * problem.element_bytes
    turn = load + tiled.fill_cycles(fill) + tiled.product_cycles(problem.value_dim)
    turn += tiled.shared_cycles(passes=1)
    walk = held * ceil_div(problem.keys, tile.keys) * turn
    rounds = waves(tiled.heads * ceil_div(problem.queries, tile.rows), tiled.gpu, held)
    cycles = rounds * (walk + tiled.fit.block_cycles)
    return Grid("pv", cycles, tiled.actions("pv", problem.value_dim), 0.0)


def _seen(problem: Problem) -> tuple[Number, Number]:
    """Scores of a head that the softmax reads, and turns of `COLUMNS` in which it does.

    Causal rows end at M - P + 1 to M. From 1 to n the sum of these ends is n(n+1)/2, that of
    ⌈end/C⌉ is C·q(q+1)/2 + r(q+1) with n = q·C + r.

    >>> _seen(Problem(queries=2048, keys=2048, causal=True))
    (2098176, 3072)
    """
    P, M = problem.queries, problem.keys
    if not problem.causal:
        return P * M, P * ceil_div(M, COLUMNS)

    def up_to(last: Number) -> tuple[Number, Number]:
        q = floor_div(last, COLUMNS)
        r = last - COLUMNS * q
        return floor_div(last * (last + 1), 2), COLUMNS // 2 * q * (q + 1) + r * (q + 1)

    (seen, turns), (before, turns_before) = up_to(M), up_to(maximum(M - P, 0))
    return seen - before, turns - turns_before


def three_pass(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Attention in three kernels, or one `piece` of it, in the fastest tile of the schedule."""
    del exact
    heads = problem.batch * problem.heads
    tiles = kernel.candidates(problem, gpu.generation)
    tried = [_in_tile(Tiled(problem, gpu, fit, tile, heads)) for tile in tiles]
    return fastest(tried, [terms.work.time_s(gpu.clock.boost_hz) for terms in tried])


def _in_tile(tiled: Tiled) -> Terms:
    problem, tile = tiled.problem, tiled.tile
    grids = [g for g in (scores(tiled), softmax(tiled), values(tiled)) if _asked(problem, g.name)]
    launch_s = tiled.fit.launch_s + (len(grids) - 1) * tiled.gpu.launch.gap_s
    work, parts = in_turn(grids, tiled.gpu, tiled.fit, launch_s)
    each = tiled.heads * problem.queries * problem.keys
    why = (
        f"{largest(each) / 1e6:.0f} M scores of {problem.element_bytes:.0f} B, stored and loaded"
        f" one by one in tiles of {tile.rows}x{tile.keys}"
    )
    return Terms(work, "load/store", why, parts_s=parts)


def _asked(problem: Problem, piece: str) -> bool:
    return problem.piece in ("", piece)


def unfused(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Attention by whole products and passes over the scores in fp32, one kernel after another.

    PyTorch's `math` attention computes 16-bit inputs in fp32: the products run on the FP32 lanes,
    whose tiles are too short to hide the scores they write and read. Of the `passes` over the
    scores, two are the softmax's, which is as long as its instructions; the others wait for HBM.
    """
    del exact
    scores = problem.batch * problem.heads * problem.queries * problem.keys
    inputs = problem.qo_bytes + problem.kv_bytes * problem.group
    others = (kernel.passes - 2) * 4 * scores + kernel.state_passes * inputs
    multiplied = scores * (problem.head_dim + problem.value_dim)
    issued = MATH_SOFTMAX_OPS * fit.softmax_factor * scores
    rate = gpu.fmas_per_clock
    grids = (
        Grid("products", multiplied / (rate * fit.tensor_share), {"fma": multiplied, "hbm": 0}, 0),
        Grid("softmax", issued / rate, {"exp": scores, **_moved(2 * 4 * scores)}, 0.0),
        Grid("passes", 0.0, _moved(others), 0.0),
    )
    work, parts = in_turn(grids, gpu, fit, kernel.launches * fit.launch_s)
    why = (
        f"{largest(work.actions['hbm']) / 1e9:.2f} GB in {kernel.launches:.0f} kernels,"
        f" {2 * largest(multiplied) / 1e9:.1f} GFLOP in fp32"
    )
    return Terms(work, "fma", why, parts_s=parts)


def _moved(hbm_bytes: Number) -> dict[str, Number]:
    return {"hbm": hbm_bytes, "l2": hbm_bytes}
