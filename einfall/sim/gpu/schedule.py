"""Kernel schedules as data: how a kernel cuts attention into tiles, and what overlaps what.

One YAML file a kernel in `sim/kernels/`; every number with its source. What a schedule cannot know
from reading the kernel (how much of a pipe it reaches, what a barrier costs) are its `parameters`:
few, physical, with a unit; the file holds their values before any timing is seen, and
`calibration.csv` the fitted ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from einfall.hw_models.gpu import Gpu
from einfall.hw_models.yaml_door import Spec, SpecError, did_you_mean, read_spec
from einfall.sim.gpu.problem import Problem
from einfall.units import Seconds

KERNELS = Path(__file__).parents[1] / "kernels"

REGISTERS = 65536  # datasheet: NVIDIA CUDA programming guide, registers of an SM
SHARED_BYTES = 227 * 1024  # datasheet: NVIDIA Hopper tuning guide, what blocks may have of an SM
OTHER_REGISTERS = 40  # assumption: addresses, statistics, loop counters of a thread

Does = Literal["fused", "decode", "unfused", "three_pass", "chunked", "stream", "matmul", "launch"]
Order = Literal["natural", "reversed", "lpt"]
Overlap = Literal["serial", "ping_pong", "intra_warpgroup", "two_tiles"]


class Tile(Spec):
    """A query tile x key tile and how many blocks an SM holds of it, for a range of head widths.

    It applies up to `head_dim`, where `causal`, `dtype` and `kv_dtype`, if given, are those of the
    problem.
    """

    head_dim: int = Field(gt=0)
    rows: int = Field(gt=0)
    keys: int = Field(gt=0)
    blocks_per_sm: int = Field(1, gt=0)
    warps: int = Field(4, gt=0)
    stages: int = Field(2, gt=0)
    causal: bool | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    generation: str | None = None

    def fits(self, head_dim: int, problem: Problem, generation: str) -> bool:
        """Whether this is the tile of a problem on a generation of machines."""
        return (
            head_dim <= self.head_dim
            and self.causal in (None, problem.causal)
            and self.dtype in (None, problem.dtype)
            and self.kv_dtype in (None, problem.kv_dtype)
            and self.generation in (None, generation)
        )


class Parameters(Spec):
    """What timings tell of a kernel: how near its pipes come to their rates, and what waits.

    tensor_share: Share of the tensor pipe's rate that the kernel's products reach; `fp8_share` the
        same at 8 bits.
    softmax_factor: Issue slots of the softmax over those counted: exponentials, FP32 operations.
    overlap: Share of the shorter of tensor and softmax time that the longer one hides; of a scan's
        outputs, of the shorter of SM and memory time.
    step_cycles: Cycles a step waits for barriers and latencies; of three passes, for HBM.
    block_cycles: Cycles of a block's prologue and epilogue.
    mask_ops: FP32 operations an element that a tile takes more under a causal mask; under others as
        many times more as they have operations, see `steps.rules`.
    load_share: Share of the rate from L2 into an SM that its loads reach.
    fetch_cycles: Cycles a step waits for each KiB of keys and values: a block has only so many
        loads in flight, which no neighbour on the SM speeds up.
    miss_share: Share of an SM's fair part of HBM's time that a step waits more for keys that are
        not in L2; of a kernel that `gathers`, how many latencies of HBM.
    exposed: Share of the shorter of SM and memory time that the longer does not hide: the first
        loads and the last steps have nothing beside them.
    list_cycles: Cycles a step waits more where its key tile comes from a mask or a list of blocks:
        the look-up, and the prefetch that it holds up.
    decay_cycles: Cycles a chunk of a scan waits for 64 keys of width 64 that their decay scales.
    launch_s: From launch to the first instruction, and from the last to the end [s].
    host_s: What one launch takes on the host, where it is the host that limits [s].
    memory_share: Share of the reachable HBM rate.
    side_passes: How often Q, K and V of the new tokens pass through HBM outside the kernel, within
        the time measured (rotary embedding, write into the cache).
    cast_s: The pass that brings queries to the 8 bits of the cache, where they have more [s].
    combine_s: The pass that adds up split keys, as a whole or for each split [s].
    """

    tensor_share: float = Field(0.9, gt=0, le=1)
    fp8_share: float = Field(0.8, gt=0, le=1)
    softmax_factor: float = Field(1.0, gt=0)
    overlap: float = Field(0.6, ge=0, le=1)
    step_cycles: float = Field(100.0, ge=0)
    block_cycles: float = Field(2000.0, ge=0)
    mask_ops: float = Field(4.0, ge=0)
    load_share: float = Field(1.0, gt=0, le=1.5)
    fetch_cycles: float = Field(0.0, ge=0)
    miss_share: float = Field(0.0, ge=0)
    exposed: float = Field(0.0, ge=0, le=1)
    list_cycles: float = Field(0.0, ge=0)
    decay_cycles: float = Field(0.0, ge=0)
    launch_s: Seconds = Field(5e-6, alias="launch")
    host_s: Seconds = Field(0.0, alias="host")
    memory_share: float = Field(1.0, gt=0, le=1.5)
    side_passes: float = Field(0.0, ge=0)
    cast_s: Seconds = Field(0.0, alias="cast")
    combine_s: Seconds = Field(3e-6, alias="combine")


class KernelSchedule(Spec):
    """A kernel as the model reads it; see the YAML files for what each has.

    A `tuned` kernel runs the fastest of the tiles that fit, blocks of an SM by registers and shared
    memory. One that nobody timed names one that it is `like`, whose fit it takes. One that takes
    only head widths that are a `multiple_of` something, or groups of query heads from `least_group`
    on, or blocks of 64 query rows from `least_blocks_per_sm` on, or keys of some types, names the
    one run `otherwise`.
    One that `checks_ragged` lengths takes `ragged_ops` for every score where these fill no
    whole tiles: `always`, or `dense`, where no mask covers what is past the end.
    One with a `mask_block` takes masks as lists of blocks of so many queries and keys: it walks the
    whole of each, and lengths are ragged that do not fill them.
    One that `masks_all` compares in every tile it visits as soon as any of them is masked, and
    takes `mask_ops` for each axis of the neighbourhood and once more.
    `score_ops` are FP32 slots a score for each score function that it takes by name.
    One that `gathers` loads keys token by token of a list, none ahead of the step before.
    Keys of fewer than `least_tiles` tiles are not split.
    One with `values_in_keys` has no values of their own: the first columns of a key are its value.
    `serving` is the share of the time for operands from shared memory that its products do not hide
    on machines that have a newer path for these.
    `kv_ops` are FP32 operations on each element of keys and values, where these are not the tensor
    cores' work.
    """

    kernel: str
    title: str
    does: Does
    names: tuple[str, ...]
    directions: tuple[str, ...] = ("fwd",)
    generations: tuple[str, ...] = ("ampere", "ada", "hopper", "blackwell", "blackwell_rtx")
    path: Literal["mma_sync", "wgmma", "tcgen05"] = "mma_sync"
    overlap: Overlap = "serial"
    order: Order = "natural"
    persistent: bool = False
    tiles: tuple[Tile, ...] = ()
    tuned: bool = False
    head_dims: tuple[int, ...] = ()
    stages: int = Field(2, gt=0)
    softmax_ops: float = Field(3.5, ge=0)
    exp_emulated: float = Field(0.0, ge=0, le=1)
    emulation_ops: float = Field(8.0, ge=0)
    rescaled: float = Field(1.0, ge=0, le=1)
    serving: float = Field(0.0, ge=0, le=1)
    products: float = Field(2.0, gt=0)
    skips: bool = True
    pack_gqa: bool = False
    values_in_keys: bool = False
    splits: Literal["none", "efficiency", "fill", "log", "waves"] = "none"
    combine: Literal["once", "each"] = "once"
    max_splits: int = Field(128, gt=0)
    least_tiles: int = Field(2, gt=0)
    launches: float = Field(1.0, ge=0)
    chunk: int = Field(64, gt=0)
    passes: float = Field(1.0, ge=0)
    state_passes: float = Field(0.0, ge=0)
    kv_ops: float = Field(0.0, ge=0)
    kv_ops_fp8: float = Field(0.0, ge=0)
    like: str | None = None
    multiple_of: int = Field(1, gt=0)
    least_group: int = Field(1, gt=0)
    least_blocks_per_sm: float = Field(0.0, ge=0)
    kv_dtypes: tuple[str, ...] = ()
    checks_ragged: Literal["never", "dense", "always"] = "never"
    ragged_ops: float = Field(3.0, ge=0)
    mask_block: int | None = Field(None, gt=0)
    score_ops: Mapping[str, float] = Field(default_factory=dict)
    masks_all: bool = False
    gathers: bool = False
    otherwise: str | None = None
    parameters: Parameters = Parameters()

    def width(self, head_dim: int) -> int:
        """The head width the kernel computes with: the next it was compiled for.

        >>> KernelSchedule(kernel="k", title="", does="fused", names=(),
        ...                head_dims=(64, 96, 128)).width(72)
        96
        """
        return next((d for d in self.head_dims if d >= head_dim), -(-head_dim // 16) * 16)

    def takes(self, problem: Problem | None, gpu: Gpu) -> bool:
        """Whether the kernel itself is run for a problem, not the one that stands in for it."""
        if problem is None or self.otherwise is None:
            return True
        wide = problem.head_dim % self.multiple_of == 0
        blocks = problem.batch * problem.heads * -(-problem.queries // 64)
        many = bool(blocks >= self.least_blocks_per_sm * gpu.sms)
        typed = not self.kv_dtypes or problem.kv_dtype in self.kv_dtypes
        return wide and many and typed and bool(problem.group >= self.least_group)

    def tile(self, problem: Problem, generation: str) -> Tile:
        """The tile for a problem.

        Raises:
            ScheduleError: The kernel has none for it.
        """
        return self.candidates(problem, generation)[0]

    def candidates(self, problem: Problem, generation: str) -> tuple[Tile, ...]:
        """The tiles that a tuner tries for a problem; one where nothing is tuned.

        Raises:
            ScheduleError: The kernel has none for it.
        """
        asked = max(problem.head_dim, problem.value_dim)
        wanted = self.width(asked)
        if problem.tile is not None:
            rows, keys, warps, stages = problem.tile
            given = Tile(head_dim=wanted, rows=rows, keys=keys, warps=warps, stages=stages)
            return (_resident(given, wanted),)
        fitting = [tile for tile in self.tiles if tile.fits(asked, problem, generation)]
        if fitting:
            narrowest = [t for t in fitting if t.head_dim == fitting[0].head_dim]
            return tuple(_resident(t, wanted) for t in narrowest) if self.tuned else (fitting[0],)
        widest = max((t.head_dim for t in self.tiles), default=0)
        raise ScheduleError(
            f"{self.kernel}: wanted head_dim of at most {widest}, found {problem.head_dim}"
        )


def blocks_per_sm(rows: int, keys: int, warps: int, stages: int, width: int) -> int:
    """How many blocks of a compiled 16-bit kernel an SM holds, by registers and shared memory.

    A thread holds its part of O and of the scores in FP32, and of these once more in 16 bits;
    shared memory holds Q and `stages` tiles of K and V.

    >>> blocks_per_sm(128, 64, 8, 3, width=128), blocks_per_sm(64, 64, 4, 3, width=64)
    (1, 4)
    """
    threads = 32 * warps
    registers = (rows * width + 1.5 * rows * keys) / threads + OTHER_REGISTERS
    by_registers = REGISTERS // (min(registers, 255) * threads)
    by_shared = SHARED_BYTES // (2 * width * (rows + 2 * stages * keys))
    return max(1, int(min(by_registers, by_shared)))


def _resident(tile: Tile, width: int) -> Tile:
    """A tile with as many blocks as an SM holds of it."""
    fit = blocks_per_sm(tile.rows, tile.keys, tile.warps, tile.stages, width)
    return tile.model_copy(update={"blocks_per_sm": fit})


class ScheduleError(ValueError):
    """A problem that a kernel cannot take, or a kernel that nobody has described."""


def names() -> tuple[str, ...]:
    """Names of the kernels that ship, sorted."""
    return tuple(sorted(_files()))


@cache
def load(name: str) -> KernelSchedule:
    """A kernel that ships.

    Raises:
        SpecError: No such kernel, or mistakes in its file.

    >>> load("flash2").path
    'mma_sync'
    """
    if name not in _files():
        hint = did_you_mean(name, names())
        raise SpecError([f"kernel: want one of {', '.join(names())}, found {name!r}{hint}"])
    return read_spec(_files()[name], KernelSchedule, _files())


def find(name: str, direction: str, gpu: Gpu, problem: Problem | None = None) -> KernelSchedule:
    """The schedule of a kernel by the name that a timing gives it.

    Of several that bear the name and are written for the generation and direction, the first that
    takes the problem, the longest pattern that fits the name before shorter ones; where none does,
    the one that is run instead of the last.

    Raises:
        ScheduleError: None does, with what is missing.
    """
    bearing = _bearing(name.strip().lower())
    able = [k for k in bearing if direction in k.directions and gpu.generation in k.generations]
    if able:
        taking = next((kernel for kernel in able if kernel.takes(problem, gpu)), None)
        return taking or load(able[-1].otherwise or "")
    if not bearing:
        raise ScheduleError(f"wanted a kernel that einfall has a schedule of, found {name!r}")
    known = "; ".join(
        f"{k.kernel}: {'/'.join(k.directions)} on {'/'.join(k.generations)}" for k in bearing
    )
    raise ScheduleError(f"wanted a schedule for {direction} on {gpu.generation}, found {known}")


@cache
def _bearing(key: str) -> tuple[KernelSchedule, ...]:
    """The kernels that bear a name, those first of which the longest pattern fits."""
    fitting = {
        kernel.kernel: max((len(n) for n in kernel.names if _matches(key, n)), default=0)
        for kernel in map(load, names())
    }
    bearing = [name for name, length in fitting.items() if length]
    return tuple(load(name) for name in sorted(bearing, key=lambda name: -fitting[name]))


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


@cache
def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in KERNELS.glob("*.yaml")}
