"""Iteration points, operations by kind, compulsory traffic and footprints of a cascade.

Sizes come from `shapes.rank_sizes`; they may be NumPy arrays, and the answers then are arrays too.
With a mask only the points that it leaves count (see `masked`), exactly and for one shape at a
time: arrays as sizes are refused with a ShapeError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from einfall.einsum_cascades.checks import align
from einfall.einsum_cascades.einsum import Access, Apply, Cascade, Einsum, Expr
from einfall.einsum_cascades.masked import project
from einfall.einsum_cascades.ops import REDUCTIONS
from einfall.einsum_cascades.passes import Visits, visits, whole_ranks
from einfall.einsum_cascades.shapes import smaller
from einfall.einsum_cascades.windows import reads_in_windows, sees_all

if TYPE_CHECKING:
    from einfall.einsum_cascades.shapes import Number


def volume(cascade: Cascade, ranks: Iterable[str], sizes: Mapping[str, Number]) -> Number:
    """Product of the sizes of ranks; the two parts of a split together count as the whole rank.

    M1·M0 may exceed M, as the last tile is ragged; the elements that exist are M. Without regard to
    a mask, see `existing`.
    """
    left = list(ranks)
    product: Number = 1
    for split in cascade.splits:
        if split.outer in left and split.inner in left:
            left.remove(split.outer)
            left.remove(split.inner)
            product = product * sizes[split.rank]
    for rank in left:
        product = product * sizes[rank]
    return product


def existing(cascade: Cascade, ranks: Iterable[str], sizes: Mapping[str, Number]) -> Number:
    """Points over ranks that exist: their volume, or with a mask over some of them what it leaves.

    For causal attention over B, P, M these are B times the attended pairs, and over B, P, M1 they
    are B times the key tiles that each query visits.
    """
    space = tuple(ranks)
    if not cascade.is_masked(space):
        return volume(cascade, space, sizes)
    left = project(cascade, space, sizes)
    return left.points * volume(cascade, (r for r in space if r not in left.ranks), sizes)


def points(cascade: Cascade, einsum: Einsum, sizes: Mapping[str, Number]) -> Number:
    """Points in the iteration space of an Einsum: the product of all its ranks.

    For `BQK[b,h,m1,m0,p] = Q[b,h,p,e] * K[b,g,m1,m0,e]` they are B·H·M·P·E, and with a mask B·H·E
    times its attended pairs. Those of a convolution are its places times the kernel: points of a
    window beyond the edge of the map count, as dense implementations multiply their zeros too.
    """
    return existing(cascade, cascade.iteration_ranks(einsum), sizes)


def elements(cascade: Cascade, tensor: str, sizes: Mapping[str, Number]) -> Number:
    """Elements of a tensor; of a running value those that its Einsum writes, not the first one."""
    return existing(cascade, cascade.tensor_ranks[tensor], sizes)


def ops_per_point(einsum: Einsum) -> dict[str, int]:
    """Operations by kind at one iteration point.

    A sum (or mean) over a product of k factors is k-2 `mul` and one `mac`; any other reduction is
    its map and one operation that combines two values (`add`, `max`). A reduction over n points
    counts n operations, the first one starting from the neutral element.

    >>> from einfall.einsum_cascades.einsum import Access, Apply, Einsum, Index
    >>> q, k = Access("Q", (Index("E"),)), Access("K", (Index("E"),))
    >>> ops_per_point(Einsum(Access("S"), Apply("mul", (q, k)), "sum", ("E",)))
    {'mac': 1}
    """
    factors = list(_factors(einsum.expr))
    kinds: Counter[str] = Counter()
    combine = REDUCTIONS[einsum.reduce].combine if einsum.reduce else None
    if combine == "add" and len(factors) > 1:
        for factor in factors:
            kinds.update(_map_ops(factor))
        kinds.update({"mul": len(factors) - 2, "mac": 1})
    else:
        kinds.update(_map_ops(einsum.expr))
        if combine is not None:
            kinds[combine] += 1
    return {kind: n for kind, n in kinds.items() if n}


def ops_per_output(einsum: Einsum) -> dict[str, int]:
    """Operations by kind for each element written, after its reduction: a mean divides once."""
    return {"div": 1} if einsum.reduce == "mean" else {}


def einsum_ops(cascade: Cascade, einsum: Einsum, sizes: Mapping[str, Number]) -> dict[str, Number]:
    """Operations by kind of one Einsum: at each of its points, and for each element it writes."""
    n = points(cascade, einsum, sizes)
    kinds: dict[str, Number] = {kind: count * n for kind, count in ops_per_point(einsum).items()}
    written = existing(cascade, einsum.output.ranks, sizes)
    for kind, count in ops_per_output(einsum).items():
        kinds[kind] = kinds.get(kind, 0) + count * written
    return kinds


def ops(cascade: Cascade, sizes: Mapping[str, Number]) -> dict[str, Number]:
    """Operations by kind of the whole cascade, initial values included."""
    total: dict[str, Number] = {}
    for einsum in (*cascade.inits, *cascade.einsums):
        for kind, count in einsum_ops(cascade, einsum, sizes).items():
            total[kind] = total.get(kind, 0) + count
    return total


def flops(ops_by_kind: Mapping[str, Number]) -> Number:
    """Operations with a multiply-add as two and everything else (an exponential too) as one.

    >>> flops({"mac": 10, "exp": 3})
    23
    """
    total: Number = 0
    for kind, count in ops_by_kind.items():
        total = total + (2 if kind == "mac" else 1) * count
    return total


def compulsory_elements(cascade: Cascade, sizes: Mapping[str, Number]) -> dict[str, Number]:
    """Elements that any implementation moves: what is read of each input, and each output, once.

    Of an input only the smallest box counts that holds all elements read: a rank that is read at
    constant coordinates only counts these. Intermediates and state move nothing. With a mask, keys
    and values that no query attends are not read.
    """
    moved = {a.tensor: _read_elements(cascade, a, sizes) for a in cascade.inputs}
    return moved | {name: elements(cascade, name, sizes) for name in cascade.outputs}


def compulsory_bytes(
    cascade: Cascade, sizes: Mapping[str, Number], word_bytes: Number | Mapping[str, Number]
) -> Number:
    """Compulsory traffic: each input and each output once [bytes].

        bytes = Σ over inputs and outputs of word_bytes · elements

    Args:
        cascade: The cascade.
        sizes: Sizes of its ranks.
        word_bytes: Bytes of a word, or bytes by tensor.
    """
    total: Number = 0
    for tensor, count in compulsory_elements(cascade, sizes).items():
        word = word_bytes[tensor] if isinstance(word_bytes, Mapping) else word_bytes
        total = total + count * word
    return total


@dataclass(frozen=True, slots=True)
class Footprint:
    """The least that must be live of a tensor, whatever the mapping.

    Attributes:
        tensor: Name of the tensor.
        rank: The rank that forces more than one element to stay; empty if none does.
        fiber: Size that must stay live, as a symbol: "M", "M1", "M0" or "1"; a window is "U·V".
        visits: Separate visits of the fiber in a mapping with the fewest passes.
        why: The reason in words.
        elements: `fiber` as a number; None without sizes.
        spill_elements: If the fibers are stored and read again in place of being kept: elements
            read again, (visits - 1) times the tensor; None without sizes.
    """

    tensor: str
    rank: str
    fiber: str
    visits: int
    why: str
    elements: Number | None = None
    spill_elements: Number | None = None


def footprints(cascade: Cascade, sizes: Mapping[str, Number] | None = None) -> dict[str, Footprint]:
    """The smallest live footprint of every tensor, a bound for every mapping with fewest passes.

    A tensor that is made or read in two different passes over R keeps a whole fiber of R elements
    (times the outer coordinates that are worked on at once), or is read again. A tensor that
    is looked at twice within one tile only keeps that tile; all others need one element at a time.
    With one pass over R nothing grows with R. Of masked keys the elements are those of the query
    that attends most.

    Of a map that is read in windows one window stays, U·V elements (or as many open sums, where
    each element is spread over the windows that it lies in). To read each element only once row by
    row, U - 1 rows of the map have to stay.

    Source: Nayak et al., "FuseMax", MICRO 2024, section III.
    """
    inner = [s.inner for s in cascade.splits]
    windows = _windows(cascade, sizes)
    needed: dict[str, Footprint] = {}
    for rank in (*whole_ranks(cascade), *inner):
        for tensor, when in visits(cascade, rank).items():
            best = needed.get(tensor)
            if len(when) > 1 and (best is None or _worse(len(when), rank, best, inner)):
                needed[tensor] = _held(cascade, tensor, rank, when, windows.get(tensor))
    live = (
        needed.get(tensor) or windows.get(tensor) or _streamed(tensor)
        for tensor in cascade.tensor_ranks
    )
    return {f.tensor: f if sizes is None else _sized(cascade, f, sizes) for f in live}


def _worse(count: int, rank: str, best: Footprint, inner: Sequence[str]) -> bool:
    """Whether this rank forces more than the best one so far; a tile never beats a whole fiber."""
    return count > best.visits and rank not in inner


def _factors(expr: Expr) -> Iterator[Expr]:
    """The factors of a product, however it is bracketed."""
    if isinstance(expr, Apply) and expr.op == "mul":
        for arg in expr.args:
            yield from _factors(arg)
    else:
        yield expr


def _map_ops(expr: Expr) -> Iterator[str]:
    """The name of every operation in an expression, repeats included."""
    if isinstance(expr, Apply):
        yield expr.op
        for arg in expr.args:
            yield from _map_ops(arg)


def _read_elements(cascade: Cascade, declared: Access, sizes: Mapping[str, Number]) -> Number:
    """Elements in the smallest box that holds all that is read of an input.

    Where a mask holds for all its readers, no more than what one of them reads under the mask.
    """
    readers = [
        (cascade.is_masked(cascade.iteration_ranks(einsum)), access)
        for einsum in (*cascade.inits, *cascade.einsums)
        for access in einsum.operands
        if access.tensor == declared.tensor
    ]
    box = _box(cascade, declared, [access for _, access in readers], sizes)
    if not all(masked for masked, _ in readers):
        return prod(box)
    return max(_read_under_mask(cascade, access, box, sizes) for _, access in readers)


def _box(
    cascade: Cascade, declared: Access, reads: Sequence[Access], sizes: Mapping[str, Number]
) -> list[Number]:
    """Extent along each rank: all of it, or the constant coordinates that are read."""
    extents: list[Number] = []
    axes = [align(cascade, access) for access in reads]
    for n, rank in enumerate(declared.ranks):
        places = {read[n] for read in axes}
        whole = any(all(i.varies for i in place) for place in places)
        extents.append(sizes[rank] if whole else len(places))
    return extents


def _read_under_mask(
    cascade: Cascade, access: Access, box: Sequence[Number], sizes: Mapping[str, Number]
) -> Number:
    """Elements that one access reads: attended ones along the ranks of the mask, else the box."""
    left = project(cascade, access.ranks, sizes)
    total: Number = left.points
    for indices, extent in zip(align(cascade, access), box, strict=True):
        if not any(i.varies and i.rank in left.ranks for i in indices):
            total = total * extent
    return total


def _streamed(tensor: str) -> Footprint:
    """The footprint of a tensor that is done with as it comes."""
    return Footprint(tensor, "", "1", 1, f"{tensor} is used as it comes: one element at a time")


def _windows(cascade: Cascade, sizes: Mapping[str, Number] | None) -> dict[str, Footprint]:
    """The footprint of each map: the window of the Einsum that reads it, the first of several.

    Of a kernel that is larger than the map no more than the map.
    """
    found: dict[str, Footprint] = {}
    for einsum in cascade.einsums:
        for access, windows in reads_in_windows(cascade, einsum):
            tensor, fiber = access.tensor, "·".join(window.kernel for window in windows)
            why = f"{tensor} is used in windows by {einsum.name}: {fiber} elements stay"
            kept = None
            if sizes is not None:
                kept = prod(smaller(sizes[w.kernel], sizes[w.rank]) for w in windows)
            found.setdefault(tensor, Footprint(tensor, windows[0].rank, fiber, 1, why, kept))
    return found


def _held(
    cascade: Cascade, tensor: str, rank: str, when: Visits, window: Footprint | None
) -> Footprint:
    """The footprint of a tensor of which a fiber is visited more than once.

    Of a map that kernels as large as the map see, the fiber is the whole map.
    """
    ranks = cascade.tensor_ranks[tensor]
    outer = [s.outer for s in cascade.splits if s.rank == rank and s.outer in ranks]
    inner = [s.inner for s in cascade.splits if s.rank == rank and s.inner in ranks]
    groups = [g.outer for g in cascade.groups if g.rank == rank and g.outer in ranks]
    summary = [*outer, *groups] if rank not in ranks and not inner else []
    fiber = summary[0] if summary else rank
    whole = {w.kernel for w in cascade.windows if sees_all(cascade, w)}
    if window is not None and window.rank == rank and whole.issuperset(window.fiber.split("·")):
        fiber = window.fiber
    elements = window.elements if window is not None and fiber == window.fiber else None
    tile = rank in cascade.parent  # a pass over the inner part is one look at a tile
    times = [str(at).replace("pass", "look") if tile else str(at) for at, _ in when]
    users = [" and ".join(names) for _, names in when]
    used = ", ".join(f"{time} by {names}" for time, names in zip(times, users, strict=True))
    if tile:
        end = f"at each tile: the {rank} elements of a tile stay"
    else:
        end = f"over {rank}: {fiber} elements stay or are read again"
    return Footprint(tensor, rank, fiber, len(when), f"{tensor} is used {used}, {end}", elements)


def _sized(cascade: Cascade, footprint: Footprint, sizes: Mapping[str, Number]) -> Footprint:
    """The same footprint with its numbers; the elements of windows are known already."""
    fiber = footprint.elements
    if fiber is None:
        fiber = 1 if footprint.fiber == "1" else _fiber_elements(cascade, footprint, sizes)
    again = (footprint.visits - 1) * elements(cascade, footprint.tensor, sizes)
    return replace(footprint, elements=fiber, spill_elements=again)


def _fiber_elements(cascade: Cascade, footprint: Footprint, sizes: Mapping[str, Number]) -> Number:
    """Elements of a fiber; of one over masked keys those of the query that attends most."""
    ranks, mask = cascade.tensor_ranks[footprint.tensor], cascade.mask
    inner = {s.inner for s in cascade.splits}
    over_keys = mask and cascade.root(footprint.fiber) == mask.keys
    if not over_keys or footprint.fiber in inner or not cascade.is_masked(ranks):
        return sizes[footprint.fiber]
    return project(cascade, ranks, sizes).longest
