"""Linear attention in chunks: a kernel that walks the chunks and stores states, one for outputs.

    states   blocks of a tile of the state each; a chunk after another, `stages` - 1 of them loading
             while one is multiplied, waits the latency of its loads and their way into the SM:

                 chunk = (step + fetch · KiB) / (stages - 1) + product + decay

    outputs  a block a chunk and tile of columns: waits once for each tiles of Q, K and the state
             that it has in flight at a time, once more for V, and for all of their bytes; the
             scores of all blocks on an SM then share its lanes:

                 block = step · (⌈tiles of E / (stages - 1)⌉ + 1) + fetch · KiB + blocks · scores

The bytes of all blocks on an SM come through one port, so that their way is no shorter than that.
States walk in step, with HBM as with each other: `exposed` is what shows of the shorter of both.
Blocks of the outputs follow each other at any time, which hides the share `overlap`.

Read from the source of validate/kernels/linear.py and from what Triton 3.6 makes of it for sm_90a:
shared memory is exact, registers are the accumulators and `OTHER_REGISTERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.grids import OTHER_REGISTERS, PORT_BYTES, Grid, in_turn, resident, waves
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, Tile
from einfall.sim.gpu.terms import Terms
from einfall.sim.gpu.tuned import fastest
from einfall.sim.numeric import Number, ceil_div, largest, maximum, minimum

CHUNK_OPS = 4.0
"""Instructions an element of a chunk's scores, inputs and states: move, decay, convert, store.
Derived by counting."""
SLOW_OPS = 2.0
"""Instructions on the MUFU for a decayed score: from integer, exponential. Derived by counting."""
DECAYED = 64 * 64  # elements of K that `decay_cycles` are for


@dataclass(frozen=True, slots=True)
class Chunks:
    """A problem cut into chunks and tiles: `rows` of the state by `columns` of it in a block."""

    problem: Problem
    heads: Number
    chunk: int
    count: Number
    rows: int
    columns: int
    warps: int
    stages: int

    @property
    def in_flight(self) -> int:
        """Chunks or tiles that load while one is multiplied."""
        return max(1, self.stages - 1)

    @property
    def across(self) -> int:
        """Tiles along the rows of the state."""
        return -(-self.problem.head_dim // self.rows)

    @property
    def along(self) -> int:
        """Tiles along the columns of the state."""
        return -(-self.problem.value_dim // self.columns)

    @property
    def state_bytes(self) -> Number:
        """The states of all chunks, once."""
        width = self.problem.head_dim * self.problem.value_dim
        return self.heads * self.count * width * self.problem.element_bytes


def cut(kernel: KernelSchedule, problem: Problem, tile: Tile) -> Chunks:
    """The problem in chunks of its own or the kernel's length, tiles no wider than a head."""
    chunk = problem.chunk or kernel.chunk
    return Chunks(
        problem=problem,
        heads=problem.batch * problem.heads,
        chunk=chunk,
        count=ceil_div(problem.queries, chunk),
        rows=min(tile.rows, problem.head_dim),
        columns=min(tile.keys, problem.value_dim),
        warps=tile.warps,
        stages=tile.stages,
    )


def states(cut: Chunks, gpu: Gpu, fit: Parameters, actions: Mapping[str, Number]) -> Grid:
    """The kernel that walks the chunks of a head in order.

    K that is scaled by a decay passes through registers; without one a tile of the state is laid
    out anew in shared memory before it is stored.
    """
    decays, size = cut.problem.decays, cut.problem.element_bytes
    threads, tile = 32 * cut.warps, cut.rows * cut.columns
    loaded = (cut.rows + cut.columns) * cut.chunk * size
    product = 2 * tile * cut.chunk / gpu.sm.tensor[cut.problem.dtype]
    scaled = cut.rows * cut.chunk
    registers = (tile + decays * scaled * size / 4) / threads + OTHER_REGISTERS
    shared = cut.stages * loaded + (not decays) * tile * size
    held = resident(gpu, cut.warps, registers, shared)
    blocks = cut.heads * cut.across * cut.along
    ported = minimum(held, blocks / gpu.sms) * (loaded + tile * size) / PORT_BYTES
    waited = (fit.step_cycles + fit.fetch_cycles * loaded / 1024) / cut.in_flight
    step = maximum(waited, ported) + product + decays * fit.decay_cycles * scaled / DECAYED
    return Grid("states", waves(blocks, gpu, held) * cut.count * step, actions, fit.exposed)


def outputs(cut: Chunks, gpu: Gpu, fit: Parameters, actions: Mapping[str, Number]) -> Grid:
    """The kernel that takes all chunks at once; a loop of one turn has no stages."""
    size, across = cut.problem.element_bytes, cut.across
    threads = 32 * cut.warps
    turn = (2 * cut.chunk + cut.columns) * cut.rows * size
    registers = cut.chunk * (cut.columns + cut.chunk) / threads + OTHER_REGISTERS
    shared = (cut.stages if across > 1 else 1) * turn
    moved = across * turn + 2 * cut.chunk * cut.columns * size
    waits = -(-across // cut.in_flight) + 1
    held = resident(gpu, cut.warps, registers, shared)
    fetched = maximum(fit.fetch_cycles * moved / 1024, held * moved / PORT_BYTES)
    block = fit.step_cycles * waits + fetched + held * _score_cycles(cut, gpu)
    blocks = cut.heads * cut.count * cut.along
    return Grid("outputs", waves(blocks, gpu, held) * block, actions, 1.0 - fit.overlap)


def _score_cycles(cut: Chunks, gpu: Gpu) -> float:
    """Cycles of an SM's lanes for the scores of a chunk, and for their decay."""
    slow = cut.problem.decays * SLOW_OPS / gpu.sm.mufu_per_clock
    return cut.chunk**2 * (CHUNK_OPS / gpu.sm.fma_lanes + slow)


def flops(kernel: KernelSchedule, cut: Chunks) -> Number:
    """FLOP of the products: half a square of a chunk by both widths, and the states in and out."""
    E, F = cut.problem.head_dim, cut.problem.value_dim
    tokens = cut.heads * cut.problem.queries
    return 2.0 * tokens * kernel.products * (cut.chunk * (E + F) / 2 + E * F)


def chunked(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """A linear attention in chunks, or one `piece` of it, in the fastest tile of the schedule.

    time = max(host, launches · launch + states + outputs)    each beside its part of HBM's time
    """
    del exact
    tried = [
        _in_tile(kernel, gpu, cut(kernel, problem, tile), fit)
        for tile in kernel.candidates(problem, gpu.generation)
    ]
    return fastest(tried, [terms.work.time_s(gpu.clock.boost_hz) for terms in tried])


def _in_tile(kernel: KernelSchedule, gpu: Gpu, cut: Chunks, fit: Parameters) -> Terms:
    scanned, combined = _actions(kernel, cut)
    grids = (states(cut, gpu, fit, scanned), outputs(cut, gpu, fit, combined))
    piece = cut.problem.piece
    asked = [grid for grid in grids if piece in ("", grid.name)]
    launches = 1 if piece else kernel.launches
    work, parts = in_turn(asked, gpu, fit, launches * fit.launch_s)
    waits = maximum(fit.host_s - work.time_s(gpu.clock.boost_hz), 0.0)
    work = replace(work, fixed_s=work.fixed_s + waits)
    return Terms(work, "scan", _why(cut, work, fit), parts_s=parts | {"host": waits})


def _actions(kernel: KernelSchedule, cut: Chunks) -> tuple[dict[str, Number], dict[str, Number]]:
    """Of the states' kernel: K, V in and the states out. Of the outputs': all the rest."""
    problem = cut.problem
    E, F = problem.head_dim, problem.value_dim
    each = cut.state_bytes * kernel.state_passes / 2
    first = problem.kv_bytes + each
    second = kernel.passes * (problem.qo_bytes + problem.kv_bytes) - problem.kv_bytes + each
    handled = problem.queries * (cut.chunk + 2 * (E + F)) + cut.count * E * F
    products = {f"mma.{problem.dtype}": flops(kernel, cut), "fma": CHUNK_OPS * cut.heads * handled}
    return {"hbm": first, "l2": first}, {"hbm": second, "l2": second, **products}


def _why(cut: Chunks, work: Work, fit: Parameters) -> str:
    moved_mb = largest(work.actions["hbm"]) / 1e6
    text = (
        f"{moved_mb:.0f} MB, {largest(cut.count):.0f} chunks of {cut.chunk}, states in tiles of"
        f" {cut.rows}x{cut.columns}, {cut.in_flight} loading ahead"
    )
    return text if not fit.host_s else f"{text}; the host takes {fit.host_s * 1e6:.0f} us"
