"""Windows: where y+u lies on a map, and how many places a kernel has on it.

For `window I -> Y, U mode`, a map of I coordinates and a kernel of U:

    mode        y+u is the coordinate             places, Y
    valid       i = y + u                         I - U + 1
    same        i = y + u - ⌊U/2⌋                 I
    full        i = y + u - (U - 1)               I + U - 1
    circular    i = (y + u) mod I                 I

Outside the map its value is 0. This is a correlation, as in deep learning: the kernel is not
flipped. `same` is the padding ⌊U/2⌋ of PyTorch; for an even U, where that would make one place more
than the map has, it lacks the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from einfall.einsum_cascades.einsum import Access, Cascade, Einsum, Window
    from einfall.einsum_cascades.shapes import Number

MODES = ("valid", "same", "full", "circular")
"""What happens at the edges of a map; `valid` where nothing is said."""

_INSIDE = ("valid", "circular")  # the kernel has to fit the map
_KEEPS = ("same", "circular")  # as many places as the map has coordinates


def places(mode: str, size: Number, kernel: Number) -> Number:
    """Places of a kernel on a map, its Y by the table above.

    >>> [places(mode, 5, 3) for mode in MODES]
    [3, 5, 7, 5]
    """
    if mode == "valid":
        return size - kernel + 1
    return size + kernel - 1 if mode == "full" else size


def before(mode: str, kernel: Number) -> Number:
    """Coordinates of the first window that lie before the map.

    >>> [before(mode, 3) for mode in MODES], before("same", 4)
    ([0, 1, 2, 0], 2)
    """
    if mode == "same":
        return kernel // 2
    return kernel - 1 if mode == "full" else 0


def with_places(cascade: Cascade, sizes: Mapping[str, Number]) -> dict[str, Number]:
    """The sizes with those of all outputs of windows, as far as map and kernel are known."""
    known = dict(sizes)
    for window in cascade.windows:
        if window.rank in known and window.kernel in known:
            size = places(window.mode, known[window.rank], known[window.kernel])
            known[window.output] = size
    return known


def misfits(cascade: Cascade, sizes: Mapping[str, Number]) -> Iterator[Window]:
    """Windows whose kernel is larger than the map that it has to fit; sizes may be arrays."""
    import numpy as np

    known = with_places(cascade, sizes)
    for window in cascade.windows:
        sized = window.mode in _INSIDE and {window.rank, window.kernel} <= set(known)
        if sized and np.any(np.greater(known[window.kernel], known[window.rank])):
            yield window


def measure(cascade: Cascade, rank: str) -> str:
    """What gives a rank its size: two ranks with the same measure are equally long.

    It is a word of the shape, of an output in mode `same` or `circular` that of the map, and of
    other outputs the rank itself, which is like no other.
    """
    window = cascade.window_onto.get(rank)
    while window is not None and window.mode in _KEEPS:
        rank = window.rank
        window = cascade.window_onto.get(rank)
    words = {r.symbol: r.shape_key for r in cascade.ranks}
    return rank if window is not None else words[rank]


def sees_all(cascade: Cascade, window: Window) -> bool:
    """Whether the kernel is as large as the map, whatever the shape: both go by one word."""
    return measure(cascade, window.kernel) == measure(cascade, window.rank)


def reads_in_windows(
    cascade: Cascade, einsum: Einsum
) -> Iterator[tuple[Access, tuple[Window, ...]]]:
    """The operands that an Einsum reads in windows, the maps, each with its windows in order."""
    for access in einsum.operands:
        found = (cascade.window(index) for index in access.indices)
        windows = tuple(window for window in found if window is not None)
        if windows:
            yield access, windows
