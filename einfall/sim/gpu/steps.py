"""One key-tile step of a block on the pipes of an SM: cycles on each, and how long the step takes.

    tensor   products · M·N·(E+F) / (FLOP a clock)
    shared   operand bytes / bytes a clock, by the path of the matrix unit
    load     N·(E+F)·bytes / bytes a clock from L2
    mufu     M·N·(1 - emulated) / exponentials a clock
    fma      (M·N·(ops + emulated·ops of emulation) + rescaled·M·F) / FP32 lanes

The matrix side is the longest of tensor, shared and load, and what a kernel is `serving` of shared
on top of its products; the softmax side is mufu + fma: one warp does them after each other, and the
issue slots of an SM are shared. Of the two sides the shorter is hidden behind the longer as far as
the kernel overlaps them:

    step = c·(max + (1 - overlap)·min) + waits        for c blocks on the SM

Left out: bank conflicts, the register file, clock skew between SMs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Tile
from einfall.sim.numeric import Number, maximum, minimum

# published: micro-benchmarks of the legacy path: 62-66 % of H100's peak, about 25 % of B200's
MMA_SYNC_SHARE: Mapping[str, float] = {"hopper": 0.64, "blackwell": 0.25}
L2_TO_SM_BYTES = 64.0  # datasheet: NVIDIA A100 white paper, 64 B a clock and SM from L2


@dataclass(frozen=True, slots=True)
class Step:
    """Cycles of one step of one block on each pipe, and of the masking where it masks.

    `serving` are those of the shared memory that come on top of the products.
    """

    tensor: Number
    shared: Number
    mufu: Number
    fma: Number
    mask: Number
    wait: Number
    load: Number = 0.0
    serving: Number = 0.0

    @property
    def matrix(self) -> Number:
        """The matrix side: operands stream from shared memory while the tensor cores work."""
        return maximum(self.tensor, self.shared, self.load) + self.serving

    @property
    def softmax(self) -> Number:
        """The softmax side: exponentials and FP32 operations of the same warps."""
        return self.mufu + self.fma

    def pipes(self) -> Mapping[str, Number]:
        """Cycles by pipe."""
        return {"tensor": self.tensor, "shared": self.shared, "load": self.load,
                "mufu": self.mufu, "fma": self.fma}  # fmt: skip

    def cycles(self, overlap: Number, blocks: Number = 1, *, masked: bool = False) -> Number:
        """Cycles in which each of `blocks` blocks on an SM makes one step.

        >>> step = Step(tensor=2048, shared=1280, mufu=1024, fma=448, mask=128, wait=0)
        >>> step.cycles(overlap=1.0), step.cycles(overlap=0.0), step.cycles(1.0, masked=True)
        (2048.0, 3520.0, 2048.0)
        """
        softmax = self.softmax + self.mask if masked else self.softmax
        longer, shorter = maximum(self.matrix, softmax), minimum(self.matrix, softmax)
        exposed = (1 - overlap) * shorter
        return blocks * (longer + exposed) + self.wait


def step(kernel: KernelSchedule, tile: Tile, problem: Problem, gpu: Gpu) -> Step:
    """The step of a kernel's tile on a GPU, every pipe at its full rate; `mask` is for one op.

    Source: the FlashAttention-4 paper, arXiv:2603.05451, section 3, whose figures for a 128 x 128
    tile of head width 128 on B200 are 1024 cycles each of tensor and exponential.
    """
    M, N = tile.rows, tile.keys
    E, F = kernel.width(problem.head_dim), kernel.width(problem.value_dim)
    flops = flops_of_step(kernel, tile, problem)
    scored = kernel.softmax_ops + kernel.score_ops.get(problem.score, 0.0)
    ops = M * N * (scored + kernel.exp_emulated * kernel.emulation_ops)
    each = kernel.kv_ops_fp8 if problem.kv_dtype == "fp8" else kernel.kv_ops
    ops += kernel.ragged_ops * M * N * checked(kernel, tile, problem)
    ops += kernel.rescaled * M * F + each * N * (E + F)
    element_bytes = min(problem.element_bytes, problem.kv_element_bytes)
    shared = shared_bytes(kernel, tile, E, F, element_bytes) / gpu.sm.shared_bytes_per_clock
    return Step(
        tensor=flops / tensor_flops(gpu, problem.dtype, kernel.path),
        shared=shared,
        serving=kernel.serving * shared if gpu.generation in MMA_SYNC_SHARE else 0.0,
        mufu=M * N * (1 - kernel.exp_emulated) / gpu.sm.mufu_per_clock,
        fma=ops / gpu.sm.fma_lanes,
        mask=M * N * (1 + problem.axes if kernel.masks_all else rules(problem)) / gpu.sm.fma_lanes,
        wait=0.0,
        load=N
        * (max(E, F) if kernel.values_in_keys else E + F)
        * problem.kv_element_bytes
        / L2_TO_SM_BYTES,
    )


def checked(kernel: KernelSchedule, tile: Tile, problem: Problem) -> Number:
    """1 where each tile checks bounds: lengths are ragged, and the kernel does so for the mask."""
    rows, keys = (kernel.mask_block or side for side in (tile.rows, tile.keys))
    when = ("always",) if problem.masked else ("always", "dense")
    ragged = (problem.queries % rows + problem.keys % keys) > 0
    return ragged * int(kernel.checks_ragged in when)


def rules(problem: Problem) -> float:
    """Integer operations of a score in a masked tile over those of a causal mask.

    To select takes one, a bound one more, a window that and a difference, and each of several axes
    of a neighbourhood difference, magnitude and bound. Any other mask counts as a causal one:

        (1 + causal + 2·window) / 2        (1 + 3·axes) / 2

    >>> rules(Problem(causal=True)), rules(Problem(causal=True, window=512))
    (1.0, 2.0)
    >>> rules(Problem(visited=(4, 4), partial=(4, 4), axes=2))
    3.5
    """
    if problem.axes > 1:
        return (1 + 3 * problem.axes) / 2
    bounds = problem.causal + 2 * (problem.window is not None)
    return (1 + max(bounds, 1)) / 2


def flops_of_step(kernel: KernelSchedule, tile: Tile, problem: Problem) -> float:
    """FLOP of one step: two products forward, five backward, over whole tiles."""
    width = kernel.width(problem.head_dim) + kernel.width(problem.value_dim)
    return kernel.products * tile.rows * tile.keys * width


def tensor_flops(gpu: Gpu, dtype: str, path: str) -> float:
    """FLOP that the tensor cores of an SM do in a clock by a path; fp32 is multiplied as tf32.

    The old path of single warps (mma.sync) does not reach what the cores of newer machines can do.

    >>> from einfall.sim.gpu.testing import toy
    >>> tensor_flops(toy(), "bf16", "wgmma"), tensor_flops(toy(), "bf16", "mma_sync")
    (4096.0, 2621.44)
    """
    share = MMA_SYNC_SHARE.get(gpu.generation, 1.0) if path == "mma_sync" else 1.0
    return share * gpu.sm.tensor["tf32" if dtype == "fp32" else dtype]


def shared_bytes(kernel: KernelSchedule, tile: Tile, E: int, F: int, element_bytes: float) -> float:
    """Bytes that the matrix unit reads from shared memory in a step.

    mma_sync: each warp reads all of K and V into its registers, and its rows of Q anew. wgmma: each
    group of 64 rows reads K and V, and Q is read once; P stays in registers. tcgen05: Q (up to 128
    rows), K and V tiles of 128 are read for each product, P lies in tensor memory.

    Source: flash-attention repository, hopper/tile_size.h (operands in registers or not); the
    FlashAttention-4 paper for tcgen05.

    >>> wgmma = KernelSchedule(kernel="k", title="", does="fused", names=(), path="wgmma")
    >>> shared_bytes(wgmma, Tile(head_dim=128, rows=128, keys=128), 128, 128, 2) / 128
    1280.0
    """
    M, N = tile.rows, tile.keys
    if kernel.path == "mma_sync":
        return (tile.warps * N * (E + F) + M * E) * element_bytes
    if kernel.path == "wgmma":
        return (-(-M // 64) * N * (E + F) + M * E) * element_bytes
    rows, keys, wide = -(-M // 128), -(-N // 128), -(-F // 128)
    scores = rows * keys * (min(M, 128) + 128) * E
    return (scores + rows * wide * min(F, 128) * N) * element_bytes
