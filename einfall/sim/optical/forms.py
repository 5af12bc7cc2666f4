"""Which Einsums of a cascade optics can do, and as what.

A sum over products of two tensors is a correlation of maps and kernels:

    Y[t,o]     = X[t,i] * W[o,i]                  a dot product: map and kernel of one size, valid
    Y[b,k,y,x] = X[b,c,y+u,x+v] * W[k,c,u,v]      a convolution: window of the map

Ranks of the map alone are images, of the kernel alone kernels, of both and the output groups.
Summed ranks that the window does not run over are channels of a convolution; those of a dot product
are laid out as the rectangle of which most fit the plane. Everything else is the host's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil, sqrt
from typing import cast

from einfall.einsum_cascades.counts import volume
from einfall.einsum_cascades.einsum import Access, Apply, Cascade, Einsum, Window
from einfall.sim.numeric import Number
from einfall.sim.optical.correlation import Correlation, Mode, Sides

DATA_KEYS = frozenset({"batch", "tokens", "rows", "queries", "keys"})
"""Words of ranks that data has and weights have not."""


def operands(einsum: Einsum) -> tuple[Access, Access] | None:
    """The two tensors of a sum of products; None where the Einsum is anything else."""
    expr = einsum.expr
    if einsum.reduce != "sum" or not (isinstance(expr, Apply) and expr.op == "mul"):
        return None
    left, right = expr.args
    if not (isinstance(left, Access) and isinstance(right, Access)) or left == right:
        return None
    plain = all(i.varies and not i.offset for a in (left, right) for i in a.indices)
    return (left, right) if plain and not einsum.iterative_ranks else None


def is_weight(cascade: Cascade, tensor: str) -> bool:
    """Whether a tensor is known beforehand: an input over none of the ranks that data has.

    >>> from einfall.einsum_cascades import load
    >>> mlp, attention = load("mlp"), load("attention_3pass")
    >>> is_weight(mlp, "W1"), is_weight(mlp, "X"), is_weight(attention, "K")
    (True, False, False)
    """
    inputs = {access.tensor for access in cascade.inputs}
    keys = {rank.symbol: rank.shape_key for rank in cascade.ranks}
    ranks = {cascade.root(rank) for rank in cascade.tensor_ranks[tensor]}
    return tensor in inputs and not any(keys.get(rank) in DATA_KEYS for rank in ranks)


def correlation(
    cascade: Cascade,
    einsum: Einsum,
    sizes: Mapping[str, Number],
    side: int,
    positive: frozenset[str] = frozenset(),
) -> Correlation | None:
    """An Einsum as a correlation; None where optics cannot do it.

    Args:
        cascade: Its cascade.
        einsum: The Einsum.
        sizes: Sizes of all ranks; plain numbers.
        side: Pixels along a side of the plane; longer dot products are cut into channels.
        positive: Tensors without values below 0.

    >>> from einfall.einsum_cascades import load
    >>> mlp, sizes = load("mlp"), {"N": 197, "D": 768, "S": 3072}
    >>> c = correlation(mlp, mlp.by_name["HID"], sizes, 2160)
    >>> c.images, c.kernels, c.map_sides, c.known
    (197, 3072, (48, 16), True)
    """
    pair = operands(einsum)
    if pair is None:
        return None
    map_, kernel = _map_and_kernel(cascade, *pair)
    windows = _windows(cascade, map_)
    slides = {w.output for w in windows} | {w.kernel for w in windows}
    of = {a: _ranks(cascade, einsum, a) for a in (map_, kernel)}
    out, whole = _ranks(cascade, einsum, einsum.output), cascade.iteration_ranks(einsum)
    if not _runs_over(windows, out, of[kernel]) or len({w.mode for w in windows}) > 1:
        return None
    whole = tuple(rank for rank in whole if rank not in slides)
    shared = [r for r in whole if r in of[map_] and r in of[kernel]]

    def size(ranks: Iterable[str]) -> int:
        return int(volume(cascade, ranks, sizes))

    summed = size(r for r in shared if r not in out)
    if windows:
        maps, kernels = _sides(windows, sizes)
        mode, channels = windows[0].mode, summed
    else:
        (maps, channels), mode = _rectangle(summed, side), "valid"
        kernels = maps
    return Correlation(
        images=size(r for r in whole if r in of[map_] and r not in of[kernel]),
        kernels=size(r for r in whole if r in of[kernel] and r not in of[map_]),
        map_sides=maps,
        kernel_sides=kernels,
        mode=cast("Mode", mode),
        channels=channels,
        groups=size(r for r in shared if r in out),
        known=is_weight(cascade, kernel.tensor),
        map_signed=map_.tensor not in positive,
        kernel_signed=kernel.tensor not in positive,
    )


def _map_and_kernel(cascade: Cascade, left: Access, right: Access) -> tuple[Access, Access]:
    """What is read in windows is a map, weights are kernels; of two tensors of data the second."""
    if _windows(cascade, right):
        return right, left
    weights = is_weight(cascade, left.tensor) and not is_weight(cascade, right.tensor)
    return (right, left) if weights and not _windows(cascade, left) else (left, right)


def _windows(cascade: Cascade, access: Access) -> tuple[Window, ...]:
    """The windows in which a tensor is read."""
    found = (cascade.window(index) for index in access.indices)
    return tuple(window for window in found if window is not None)


def _runs_over(windows: Sequence[Window], out: Collection[str], kernel: Collection[str]) -> bool:
    """Whether windows are of one or two axes, each summed over the kernel at every place."""
    return len(windows) <= 2 and all(
        w.output in out and w.kernel in kernel and w.kernel not in out and w.output not in kernel
        for w in windows
    )


def _sides(windows: Sequence[Window], sizes: Mapping[str, Number]) -> tuple[Sides, Sides]:
    """Rows and columns of maps and kernels; one row of a signal."""
    maps = [int(sizes[w.rank]) for w in windows]
    kernels = [int(sizes[w.kernel]) for w in windows]
    if len(windows) == 1:
        return (1, maps[0]), (1, kernels[0])
    return (maps[0], maps[1]), (kernels[0], kernels[1])


def _ranks(cascade: Cascade, einsum: Einsum, access: Access) -> frozenset[str]:
    """Ranks of the iteration space that an access moves along: g beside h stands for h."""
    space = cascade.iteration_ranks(einsum)
    found = set()
    for rank in access.ranks:
        if rank in space:
            found.add(rank)
        elif rank in cascade.group_of:
            found.add(cascade.group_of[rank])
        else:
            found.update(r for r in space if cascade.root(r) == rank)
    return frozenset(found)


def _rectangle(elements: int, side: int) -> tuple[tuple[int, int], int]:
    """The rectangle for a vector of which most fit the plane, and into how many it is cut to fit.

    >>> _rectangle(64, 2160), _rectangle(768, 2160), _rectangle(70, 4)
    (((8, 8), 1), ((48, 16), 1), ((4, 4), 5))
    """
    pieces = ceil(elements / side**2)
    each = ceil(elements / pieces)
    least = ceil(each / side)
    shapes = [(rows, ceil(each / rows)) for rows in range(ceil(sqrt(each)), min(side, each) + 1)]
    shapes += [(side, least)] if not shapes else []
    best = max(shapes, key=lambda s: ((side // s[0]) * (side // s[1]), -s[0]))
    return best, pieces
