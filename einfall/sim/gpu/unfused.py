"""Attention with its scores in memory: products and passes over the scores, a kernel after another.

`three_pass` is this project's own in 16 bits (validate/kernels/unfused.py). Its lengths are no
compile-time constants, so that Triton moves the scores one by one: each instruction of a warp moves
32 of them, and it is the load/store unit of the SM that these wait for, more than HBM.

    scores   rounds · (held · stores + loads of Q and K + product)
    softmax  instructions / lanes + rounds · start of a row
    values   rounds · held · turns · (loads + product)

at `load_share` of the rates of memory and `tensor_share` of that of the products, with `held`
blocks on an SM at a time. All scores are computed, those that a causal mask discards too; of these
the softmax reads nothing, but writes zeros, and the last product multiplies them.

`unfused` is PyTorch's, which computes 16-bit inputs in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.grids import OTHER_REGISTERS, Grid, in_turn, resident, waves
from einfall.sim.gpu.memory import L2_USABLE
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, Tile
from einfall.sim.gpu.terms import Terms
from einfall.sim.numeric import Number, ceil_div

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
FILLED_PER_CLOCK = 64.0  # assumption: bytes from L2 into an SM a clock, the width of L1's port
ADDRESS_REGISTERS = 2  # derived: of each score that a thread loads or stores, one by one
COLUMNS = 1024  # derived: validate/kernels/configs.py, SOFTMAX_COLUMNS
FIND_OPS, DIVIDE_OPS = 21.0, 20.0
"""Instructions a score of a turn of the softmax: maximum (7) and sum (14), then division.
Derived: counted in the SASS of softmax_kernel, Triton 3.6 for sm_90a."""
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
        return loaded_bytes / (FILLED_PER_CLOCK * self.fit.load_share)

    def shared_cycles(self, passes: int) -> float:
        """Cycles in which a tile of scores goes into or out of shared memory, `passes` times."""
        moved = passes * self.tile.rows * self.tile.keys * self.problem.element_bytes
        return moved / (self.gpu.sm.shared_bytes_per_clock * self.fit.load_share)

    def actions(self, piece: str, width: int) -> dict[str, Number]:
        """What one kernel does: a product of that width, the scores once through HBM."""
        scores = self.heads * self.problem.queries * self.problem.keys
        passes = 2 if piece == "softmax" else 1
        return {
            f"mma.{self.problem.dtype}": 2.0 * scores * width,
            "fma": SCORE_OPS[piece] * scores,
            "hbm": self.scores_bytes,
            "l2": 2 * passes * self.scores_bytes,
        }


def scores(tiled: Tiled) -> Grid:
    """q·kᵀ: a tile of scores a block; what it does beside storing them its neighbours hide."""
    problem, tile = tiled.problem, tiled.tile
    loaded = (tile.rows + tile.keys) * problem.head_dim * problem.element_bytes
    held = resident(tiled.gpu, tile.warps, tiled.registers, loaded)
    store = tiled.moved_cycles(STORE_SPAN_BYTES, SECTOR_BYTES)
    serial = tiled.product_cycles(problem.head_dim) + tiled.fill_cycles(loaded)
    serial += tiled.shared_cycles(passes=2)
    tiles = ceil_div(problem.queries, tile.rows) * ceil_div(problem.keys, tile.keys)
    rounds = waves(tiled.heads * tiles, tiled.gpu, held)
    return Grid("qk", rounds * (held * store + serial), tiled.actions("qk", problem.head_dim), 0.0)


def softmax(tiled: Tiled) -> Grid:
    """A row a block, `COLUMNS` at a time: its maximum, its sum, then all divided and written."""
    problem, gpu = tiled.problem, tiled.gpu
    rows = tiled.heads * problem.queries
    seen, turns = _seen(problem)
    whole = ceil_div(problem.keys, COLUMNS) * problem.queries
    issued = tiled.heads * COLUMNS * (FIND_OPS * turns + DIVIDE_OPS * whole)
    held = resident(gpu, SOFTMAX_WARPS, SOFTMAX_REGISTERS, 0)
    started = waves(rows, gpu, held) * tiled.fit.block_cycles
    cycles = issued / gpu.fmas_per_clock + started
    read = tiled.heads * seen * problem.element_bytes
    live = held * problem.keys * problem.element_bytes
    if live > gpu.sm.shared_capacity_bytes:
        cycles = cycles + tiled.fill_cycles(2 * read / gpu.sms)
    missed = 1.0 - min(1.0, L2_USABLE * gpu.l2.capacity_bytes / (gpu.sms * live))
    actions = tiled.actions("softmax", 0) | {"exp": 2 * rows * problem.keys}
    actions["hbm"] = read * (1 + 2 * missed) + tiled.scores_bytes
    return Grid("softmax", cycles, actions, tiled.fit.exposed)


def values(tiled: Tiled) -> Grid:
    """p·v: a tile of queries a block, which walks all keys; neighbours hide nothing of it."""
    problem, tile = tiled.problem, tiled.tile
    shared = tile.stages * tile.keys * problem.value_dim + tile.rows * tile.keys
    held = resident(tiled.gpu, tile.warps, tiled.registers, shared * problem.element_bytes)
    load = tiled.moved_cycles(LOAD_SPAN_BYTES, LINE_BYTES)
    fill = tile.keys * (tile.rows + problem.value_dim) * problem.element_bytes
    turn = load + tiled.fill_cycles(fill) + tiled.product_cycles(problem.value_dim)
    turn += tiled.shared_cycles(passes=1)
    rounds = waves(tiled.heads * ceil_div(problem.queries, tile.rows), tiled.gpu, held)
    cycles = rounds * held * ceil_div(problem.keys, tile.keys) * turn
    return Grid("pv", cycles, tiled.actions("pv", problem.value_dim), 0.0)


def _seen(problem: Problem) -> tuple[Number, Number]:
    """Scores of a head that the softmax reads, and turns of `COLUMNS` in which it does.

    Causal rows end at M - P + 1 to M. From 1 to n the sum of these ends is n(n+1)/2, that of
    ⌈end/C⌉ is C·q(q+1)/2 + r(q+1) with n = q·C + r.

    >>> _seen(Problem(queries=2048, keys=2048, causal=True))
    (2098176, 3072)
    """
    P, M = int(problem.queries), int(problem.keys)
    if not problem.causal:
        return P * M, P * -(-M // COLUMNS)

    def up_to(last: int) -> tuple[int, int]:
        q, r = divmod(last, COLUMNS)
        return last * (last + 1) // 2, COLUMNS * q * (q + 1) // 2 + r * (q + 1)

    (seen, turns), (before, turns_before) = up_to(M), up_to(max(M - P, 0))
    return seen - before, turns - turns_before


def three_pass(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """Attention in three kernels, or one `piece` of it, in the fastest tile of the schedule."""
    del exact
    heads = problem.batch * problem.heads
    tiles = kernel.candidates(problem, gpu.generation)
    tried = [_in_tile(Tiled(problem, gpu, fit, tile, heads)) for tile in tiles]
    return min(tried, key=lambda terms: float(terms.work.time_s(gpu.clock.boost_hz)))


def _in_tile(tiled: Tiled) -> Terms:
    problem, tile = tiled.problem, tiled.tile
    grids = [g for g in (scores(tiled), softmax(tiled), values(tiled)) if _asked(problem, g.name)]
    work, parts = in_turn(grids, tiled.gpu, tiled.fit, len(grids))
    each = tiled.heads * problem.queries * problem.keys
    why = (
        f"{float(each) / 1e6:.0f} M scores of {problem.element_bytes:.0f} B, stored and loaded"
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
    work, parts = in_turn(grids, gpu, fit, kernel.launches)
    why = (
        f"{work.actions['hbm'] / 1e9:.2f} GB in {kernel.launches:.0f} kernels,"
        f" {2 * multiplied / 1e9:.1f} GFLOP in fp32"
    )
    return Terms(work, "fma", why, parts_s=parts)


def _moved(hbm_bytes: Number) -> dict[str, Number]:
    return {"hbm": hbm_bytes, "l2": hbm_bytes}
