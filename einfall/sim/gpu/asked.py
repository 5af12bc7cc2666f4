"""What a cascade asks of a GPU: the kernel schedule that runs it, and the problem it is given.

A GPU runs kernels; which one suits depends on the cascade, the generation and the shape. A causal
mask and a sliding window are fields of a problem, every other mask becomes the key tiles that each
query tile visits, counted exactly in the schedule's own tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np

from einfall.einsum_cascades.checks import hint
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.masked import masks_of
from einfall.einsum_cascades.masks import Mask, MaskSpec, Tiling, count_tiles
from einfall.einsum_cascades.masks.mask import BUDGET
from einfall.einsum_cascades.masks.text import Joined, Named
from einfall.einsum_cascades.masks.tiles import tile_sets
from einfall.einsum_cascades.shapes import ShapeError, rank_sizes
from einfall.hw_models import load as load_machine
from einfall.hw_models import names as machine_names
from einfall.hw_models.gpu import Gpu
from einfall.hw_models.spatial_array import UnsupportedOpError
from einfall.sim.gpu.calibrated import Calibration, calibration, moved
from einfall.sim.gpu.predict import predict
from einfall.sim.gpu.problem import ELEMENT_BYTES, Problem
from einfall.sim.gpu.schedule import KernelSchedule, ScheduleError, Tile, load, names
from einfall.sim.mapping import MappingError

BEST = "best"
"""In place of a schedule: the fastest of all that take the problem."""

FEW_QUERIES = 16
"""Queries of a sequence up to which a decode schedule, which packs heads, is the default."""

SERVES: Mapping[str, tuple[str, ...]] = {
    "fused": ("attention_1pass",),
    "decode": ("attention_1pass", "attention_2pass_splitk"),
    "unfused": ("attention_3pass",),
    "three_pass": ("attention_3pass",),
    "chunked": ("linear_attention", "linear_attention_causal"),
}
"""Cascades by what a schedule does: the order in which it passes over the keys is theirs."""

_FLASH2 = ("flash2", "triton_flash")
FORWARD: Mapping[str, tuple[str, ...]] = {
    "ampere": _FLASH2,
    "ada": _FLASH2,
    "hopper": ("flash3", *_FLASH2),
    "blackwell": ("flash4", "cudnn_blackwell", *_FLASH2),
    "blackwell_rtx": _FLASH2,
}
"""Schedules of one-pass attention by generation; the first that takes the problem is run."""

DECODE: Mapping[str, tuple[str, ...]] = {
    "ampere": ("flash2_decode", *_FLASH2),
    "ada": ("flash2_decode", *_FLASH2),
    "hopper": ("flash3_decode", "flash2_decode", "flashmla", *_FLASH2),
    "blackwell": ("trtllm_gen_decode", "flash2_decode", "flashmla", *_FLASH2),
    "blackwell_rtx": ("flash2_decode", *_FLASH2),
}
"""The same for few queries."""

BOXED = ("fna_hopper", "fna_blackwell", "triton_neighborhood")
"""Schedules that cut a grid of tokens into boxes; all others cut the flattened sequence."""

_DECAYS = ("fla_lightning", "fla_retention", "fla_gated_delta")
_ANY_LIST = ("flex", "triton_block_sparse", *BOXED)


@dataclass(frozen=True, slots=True)
class Asked:
    """A schedule, its problem and its parameters, and what a reader should know of the choice.

    `attended_pairs` are (query, key) pairs of all heads and sequences; None where there are none.
    """

    kernel: KernelSchedule
    problem: Problem
    fit: Calibration
    attended_pairs: int | None
    notes: tuple[str, ...] = ()


def dtypes(gpu: Gpu) -> tuple[str, ...]:
    """Element types that kernels take on a GPU; fp32 is multiplied as tf32.

    >>> dtypes(load_machine("a100_sxm"))
    ('fp32', 'tf32', 'fp16', 'bf16')
    """
    return tuple(t for t in ELEMENT_BYTES if gpu.supports("tf32" if t == "fp32" else t))


def kernels_for(cascade: str, gpu: Gpu) -> tuple[str, ...]:
    """Schedules that compute a cascade on a GPU.

    >>> kernels_for("linear_attention", load_machine("h100_sxm"))[-1]
    'triton_linear'
    """
    return tuple(k.kernel for k in map(load, names()) if not _unfit(k, cascade, gpu))


def _unfit(kernel: KernelSchedule, cascade: str, gpu: Gpu) -> str:
    """Why a schedule cannot run a cascade on a GPU; nothing if it can."""
    if not {"fwd", "decode"} & set(kernel.directions) or kernel.kernel.endswith("_backward"):
        return "a kernel that goes forward, found a backward one"
    if cascade not in SERVES.get(kernel.does, ()):
        other = " and ".join(SERVES.get(kernel.does, ())) or "no cascade of the library"
        return f"a schedule of {cascade}, found one of {other}"
    if gpu.generation not in kernel.generations:
        return f"a schedule for {gpu.generation}, found one for {' and '.join(kernel.generations)}"
    return ""


def ask(
    cascade: Cascade,
    shape: Mapping[str, int],
    gpu: Gpu,
    *,
    mapping: str | None = None,
    dtype: str = "bf16",
) -> Asked:
    """The schedule that runs a cascade, and the problem it is given.

    Args:
        cascade: With or without a mask.
        shape: Sizes by shape key.
        gpu: The machine.
        mapping: Name of a schedule; what suits if left out.
        dtype: Type of Q, K, V and O.

    Raises:
        ShapeError: The shape does not fit the cascade, its mask or the schedule.
        MappingError: No such schedule, none for the cascade, or it does not take the problem.
        UnsupportedOpError: The tensor cores do not know the type.
    """
    if dtype not in dtypes(gpu):
        known = ", ".join(dtypes(gpu))
        raise UnsupportedOpError(
            f"dtype: wanted one that {gpu.name} takes ({known}), got {dtype!r}"
        )
    problem, masks = _problem(cascade, shape, dtype)
    kernel, notes = _kernel(cascade, problem, gpu, mapping)
    fit = fit_for(kernel, gpu)
    pairs = None
    if kernel.does != "chunked":
        heads = problem.heads if len(masks) <= 1 else 1
        each = sum(m.pairs for m in masks) if masks else problem.queries * problem.keys
        pairs = int(problem.batch * heads * each)
        problem, more = _masked(kernel, cascade, problem, masks, gpu, fit)
        notes = (*notes, *more)
    elif problem.keys != problem.queries:
        raise ShapeError(
            [
                f"keys: wanted as many as queries ({problem.queries}) for the chunks of "
                f"{kernel.kernel}, found {problem.keys}"
            ]
        )
    if dtype == "fp32":
        notes = (
            *notes,
            f"fp32 is multiplied as tf32 by {kernel.kernel}; its traffic is that of 4 B",
        )
    return Asked(kernel, problem, fit, pairs, notes)


def fit_for(kernel: KernelSchedule, gpu: Gpu) -> Calibration:
    """The fit that serves a machine, also one of the user's own: that of the most alike SM.

    Where `launch.latency` differs from that of the machine of this name that ships, or of the most
    alike one, the fitted launch takes as much longer or shorter.

    >>> fit_for(load("flash3"), load_machine("h200")).machine
    'h100_sxm'
    """
    name = gpu.name
    if name not in machine_names():
        known: list[Any] = [load_machine(n) for n in machine_names("gpu")]
        alike = [g for g in known if g.generation == gpu.generation] or known
        rate = max(gpu.sm.tensor.values())
        name = min(alike, key=lambda g: abs(max(g.sm.tensor.values()) - rate)).name
    known_gpu: Any = load_machine(name)
    return moved(calibration(kernel, name), gpu.launch.latency_s - known_gpu.launch.latency_s)


# The problem and the schedule ---------------------------------------------------------------------


def _problem(
    cascade: Cascade, shape: Mapping[str, int], dtype: str
) -> tuple[Problem, tuple[Mask, ...]]:
    sizes = rank_sizes(cascade, shape)
    size: dict[str, Any] = {r.shape_key: sizes[r.symbol] for r in cascade.ranks if r.shape_key}
    queries, heads, width = size.get("queries", 1), size.get("heads", 1), size.get("head_dim", 1)
    element = "tf32" if dtype == "fp32" else dtype
    problem = Problem(
        batch=size.get("batch", 1),
        heads=heads,
        kv_heads=size.get("kv_heads", heads),
        queries=queries,
        keys=size.get("keys", queries),
        head_dim=width,
        value_dim=size.get("value_dim", width),
        dtype=element,
        kv_dtype=element,
    )
    return problem, masks_of(cascade, sizes) if cascade.mask else ()


def _kernel(
    cascade: Cascade, problem: Problem, gpu: Gpu, name: str | None
) -> tuple[KernelSchedule, tuple[str, ...]]:
    """The schedule of that name or the default, or the one that is run instead of it."""
    served = tuple(dict.fromkeys(c for several in SERVES.values() for c in several))
    if cascade.name not in served:
        raise MappingError(
            f"cascade {cascade.name}: wanted one that a kernel schedule on {gpu.name} computes, "
            f"found none for it; there are schedules of {', '.join(served)}"
        )
    kernel = _default(cascade.name, problem, gpu) if name is None else known_kernel(name)
    unfit = _unfit(kernel, cascade.name, gpu)
    if unfit:
        way_out = f"on {gpu.name} it is computed by {', '.join(kernels_for(cascade.name, gpu))}"
        raise MappingError(f"mapping {kernel.kernel}: wanted {unfit}; {way_out}")
    notes = []
    if not kernel.takes(problem, gpu) and kernel.otherwise:
        other = load(kernel.otherwise)
        notes.append(f"{kernel.kernel} runs {other.kernel} for this shape: {other.title}")
        kernel = other
    if kernel.kernel in _DECAYS:
        notes.append(f"{kernel.kernel} computes a decay or gates that {cascade.name} has not")
    why = _refusal(kernel, problem, gpu)
    if why:
        able = ", ".join(kernels_for(cascade.name, gpu))
        raise MappingError(f"mapping {why}; on {gpu.name} there are {able}")
    return kernel, tuple(notes)


def check_kernel(name: str) -> None:
    """Refuse what names no schedule.

    Raises:
        MappingError: It is neither a schedule nor `best`.
    """
    if name != BEST:
        known_kernel(name)


def known_kernel(name: str) -> KernelSchedule:
    """The schedule of that name.

    Raises:
        MappingError: There is none, with the closest name.
    """
    if name not in names():
        way_out = hint(name, names(), f"there are {', '.join(names())}")
        raise MappingError(f"mapping: wanted a kernel schedule on a GPU, found {name!r}; {way_out}")
    return load(name)


def _default(cascade: str, problem: Problem, gpu: Gpu) -> KernelSchedule:
    """The first of the schedules for cascade, generation and shape that takes the problem."""
    few = problem.queries <= FEW_QUERIES
    if cascade == "attention_3pass":
        whole = ("sdpa_math",)
        choice = whole if problem.dtype == "tf32" else ("triton_softmax_3pass", *whole)
    elif cascade == "attention_2pass_splitk":
        choice = (*DECODE[gpu.generation][:-2], "flash2_split") if few else ("flash2_split",)
    elif cascade == "attention_1pass":
        choice = (DECODE if few else FORWARD)[gpu.generation]
    else:
        choice = ("triton_linear",)
    kernels = [load(name) for name in choice]
    return next((k for k in kernels if not _refusal(k, problem, gpu)), kernels[0])


def _refusal(kernel: KernelSchedule, problem: Problem, gpu: Gpu) -> str:
    """What a schedule says against a problem; nothing if it takes it."""
    if kernel.does not in ("fused", "decode", "three_pass"):
        return ""
    try:
        kernel.tile(problem, gpu.generation)
    except ScheduleError as error:
        return str(error)
    return ""


# Masks --------------------------------------------------------------------------------------------


def _masked(  # noqa: PLR0913  the three values, and the mask among them
    kernel: KernelSchedule,
    cascade: Cascade,
    problem: Problem,
    masks: tuple[Mask, ...],
    gpu: Gpu,
    fit: Calibration,
) -> tuple[Problem, tuple[str, ...]]:
    """The problem under the mask as the schedule sees it."""
    whole = problem.queries * problem.keys
    if cascade.mask is None or all(mask.pairs == whole for mask in masks):
        return problem, ()
    text = str(cascade.mask.spec)
    if kernel.does not in ("fused", "decode") or not kernel.skips:
        return problem, (f"{kernel.kernel} computes every pair, those that {text} leaves out too",)
    if kernel.does == "decode":
        return _read_keys(kernel, problem, masks, gpu), ()
    fields = own_fields(cascade.mask.spec)
    if fields is not None:
        return replace(problem, **fields), ()
    note = (
        f"{kernel.kernel} as it is published has no mask {text}: this is its schedule with the "
        "mask's empty tiles skipped"
    )
    listed = _listed(kernel, problem, masks, gpu, fit)
    return listed, () if kernel.kernel in _ANY_LIST else (note,)


def own_fields(spec: MaskSpec) -> dict[str, Any] | None:
    """A mask as the fields that a problem has for it; None if it has none.

    >>> from einfall.einsum_cascades.masks import parse_mask
    >>> own_fields(parse_mask("causal & sliding:window=512"))
    {'causal': True, 'window': 512}
    """
    expr = spec.expr
    parts = expr.parts if isinstance(expr, Joined) and expr.sign == "&" else (expr,)
    found: dict[str, Any] = {}
    for part in parts:
        fields = _fields_of(part) if isinstance(part, Named) else None
        if fields is None or ("window" in fields and "window" in found):
            return None
        found |= fields
    # A window to both sides is symmetric only by itself.
    return found if found.get("causal") or len(parts) == 1 else None


def _fields_of(part: Named) -> dict[str, Any] | None:
    given: dict[str, Any] = dict(part.arguments)
    if part.name == "causal" and not given:
        return {"causal": True}
    if part.name != "sliding":
        return None
    if "window" in given:
        return {"causal": True, "window": given["window"]}
    left, right = given.get("left", 0), given.get("right", 0)
    if right == 0:
        return {"causal": True, "window": left + 1}
    return {"window": left + 1} if left == right else None


def _listed(
    kernel: KernelSchedule, problem: Problem, masks: tuple[Mask, ...], gpu: Gpu, fit: Calibration
) -> Problem:
    """The problem with the key tiles that each query tile visits; of a tuned schedule the fastest.

    Where heads differ, the query tiles of all of them are listed, as those of one head with as many
    queries: its blocks, steps and bytes are the same.
    """
    tiles = kernel.candidates(problem, gpu.generation)
    ways = [_listed_in(kernel, problem, masks, tile) for tile in tiles]
    if len(ways) == 1:
        return ways[0]

    def taken(way: Problem) -> float:
        parameters = fit.parameters
        return float(predict(kernel, gpu, way, "boost", fit=parameters, exact=False).latency_s)

    return min(ways, key=taken)


def _listed_in(
    kernel: KernelSchedule, problem: Problem, masks: tuple[Mask, ...], tile: Tile
) -> Problem:
    block = kernel.mask_block
    sides = (block, block) if block else (tile.rows, tile.keys)
    lists = [visits(mask, *sides, boxed=kernel.kernel in BOXED) for mask in masks]
    found: dict[str, Any] = {
        "visited": sum((visited for visited, _ in lists), start=()),
        "partial": sum((partial for _, partial in lists), start=()),
        "axes": max(len(mask.query_layout) for mask in masks),
        "block": sides if block else None,
    }
    if kernel.tuned:
        found["tile"] = (tile.rows, tile.keys, tile.warps, tile.stages)
    if len(masks) > 1:
        found |= {"heads": 1, "queries": problem.heads * problem.queries}
    return replace(problem, **found)


@lru_cache(maxsize=64)
def visits(
    mask: Mask, rows: int, keys: int, *, boxed: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Key tiles that each query tile visits, and those of them that are not full.

    >>> from einfall.einsum_cascades.masks import parse_mask
    >>> visits(parse_mask("causal").bind(256, 256), 64, 64)
    ((1, 2, 3, 4), (1, 1, 1, 1))
    """
    if boxed and len(mask.query_layout) in (2, 3):
        q, kv = (box(size, len(mask.query_layout)) for size in (rows, keys))
        if q and kv:
            return _in_boxes(mask, Tiling(q, kv))
    visited: list[int] = []
    partial: list[int] = []
    for lo, hi in _ranges(mask, rows):
        sets = tile_sets(mask, lo, hi, keys)
        visited += sets.visited.length.tolist()
        partial += (sets.visited.length - sets.full.length).tolist()
    return tuple(visited), tuple(partial)


def _ranges(mask: Mask, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Query tiles, so many at a time that memory does not grow with the problem."""
    first = np.arange(0, mask.queries, rows)
    last = np.minimum(first + rows, mask.queries)
    chunk = max(1, int(BUDGET / (mask.intervals_hint * mask.looks_at(rows))))
    for at in range(0, len(first), chunk):
        yield first[at : at + chunk], last[at : at + chunk]


def _in_boxes(mask: Mask, tiling: Tiling) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Query tiles by their number of visits; what part of these is not full is that of the mean."""
    counts = count_tiles(mask, tiling)
    visited = np.repeat(counts.visits, counts.times)
    partial = np.rint(visited * (1 - counts.full_ignoring_padding / counts.visited)).astype(int)
    return tuple(visited.tolist()), tuple(partial.tolist())


def box(size: int, dims: int) -> tuple[int, ...]:
    """Edges of a box of so many tokens, as even as powers of two are; nothing if they cannot be.

    Source: NATTEN's Blackwell kernel: 256 queries are 16x16 or 8x4x8, 128 keys 16x8 or 4x4x8.

    >>> box(256, 2), box(128, 2), box(256, 3), box(128, 3)
    ((16, 16), (16, 8), (8, 4, 8), (4, 4, 8))
    """
    if size & (size - 1):
        return ()
    each, more = divmod(size.bit_length() - 1, dims)
    first = {2: (0, 1), 3: (2, 0, 1)}[dims][:more]
    edges = tuple(2 ** (each + (axis in first)) for axis in range(dims))
    assert prod(edges) == size, "powers of two"
    return edges


def _read_keys(
    kernel: KernelSchedule, problem: Problem, masks: tuple[Mask, ...], gpu: Gpu
) -> Problem:
    """A decode problem with as many keys as the tiles hold that its queries visit, in the mean."""
    tile = kernel.tile(problem, gpu.generation)
    rows = max(1, int(tile.rows // (problem.group if kernel.pack_gqa else 1)))
    visited = [n for mask in masks for n in visits(mask, rows, tile.keys)[0]]
    keys = ceil(sum(visited) / len(visited) * tile.keys)
    return replace(problem, keys=min(int(problem.keys), keys))
