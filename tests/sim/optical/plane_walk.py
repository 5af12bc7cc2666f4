"""What a 4f system sees, by brute force: numbers laid on planes, FFTs, outputs cut out.

A plane of R pixels a side is periodic: the mask has one pixel for each bin of its DFT, so that what
leaves a frame on one side comes back on the other. `walk` does every frame of a tiling and gives
all outputs, how often each (map, kernel) pair was seen, and the number of frames.
"""

from dataclasses import dataclass
from itertools import product
from math import isqrt

import numpy as np
from scipy.signal import correlate2d


def camera(plane, mask):
    """The field of one frame: the circular correlation of the input plane with what the mask is."""
    return np.fft.ifft2(np.fft.fft2(plane) * np.fft.fft2(mask).conj()).real


def laid(side, placed):
    """A plane with blocks of pixels at (row, column), added up where they overlap."""
    plane = np.zeros((side, side))
    for (row, column), block in placed:
        rows, columns = (np.arange(n) for n in block.shape)
        at = np.ix_((row + rows) % side, (column + columns) % side)
        np.add.at(plane, at, block)
    return plane


def direct(map_, kernel, mode, lead):
    """The correlation by its definition; of `same`, `lead` rows and columns lie before the map."""
    if mode == "circular":
        map_ = continued(map_, kernel)
    if mode in ("valid", "circular"):
        return correlate2d(map_, kernel, "valid")
    whole = correlate2d(map_, kernel, "full")
    if mode == "full":
        return whole
    first = [n - 1 - before for n, before in zip(kernel.shape, lead, strict=True)]
    return whole[tuple(slice(a, a + m) for a, m in zip(first, map_.shape, strict=True))]


def continued(map_, kernel):
    """The map with its first rows and columns again at its end: M+N-1 of them."""
    return np.pad(map_, [(0, n - 1) for n in kernel.shape], mode="wrap")


def offset(c, lead):
    """Where the output of a pair begins, seen from its map's place less its kernel's."""
    if c.mode == "full":
        return tuple(1 - n for n in c.kernel_sides)
    return tuple(-n for n in lead) if c.mode == "same" else (0, 0)


@dataclass
class Walk:
    """Answers of all frames: `outputs` and `seen` by pair, `frames` done."""

    outputs: np.ndarray  # [group, image, kernel, row, column], summed over channels
    seen: np.ndarray  # [group, channel, image, kernel]
    frames: int


def walk(c, tiling, side, operands, lead=(0, 0)):
    """Every frame of a tiling. Operands: maps [g,c,i,row,column], kernels [g,c,k,row,column]."""
    maps, kernels = operands
    done = Walk(
        np.zeros((c.groups, c.images, c.kernels, *c.output_sides)),
        np.zeros((c.groups, c.channels, c.images, c.kernels), int),
        0,
    )
    layout = _channels_meet if tiling.name == "channel" else _pairs_apart
    for shown, behind, read in layout(c, tiling, side):
        done.frames += 1
        blocks = ((at, maps[index]) for index, at in shown)
        if c.mode == "circular":
            blocks = [(at, continued(block, kernels[0, 0, 0])) for at, block in blocks]
        masks = ((at, kernels[index]) for index, at in behind)
        seen = camera(laid(side, blocks), laid(side, masks))
        for (g, channels, i, k), place in read:
            first = [a + b for a, b in zip(place, offset(c, lead), strict=True)]
            rows, columns = (
                (a + np.arange(n)) % side for a, n in zip(first, c.output_sides, strict=True)
            )
            done.outputs[g, i, k] += seen[np.ix_(rows, columns)]
            done.seen[g, channels, i, k] += 1
    return done


def wanted(c, operands, lead=(0, 0)):
    """All outputs by the definition."""
    maps, kernels = operands
    out = np.zeros((c.groups, c.images, c.kernels, *c.output_sides))
    for g, channel, i, k in product(*map(range, (c.groups, c.channels, c.images, c.kernels))):
        out[g, i, k] += direct(maps[g, channel, i], kernels[g, channel, k], c.mode, lead)
    return out


def random_operands(c, seed):
    """Maps and kernels of a correlation, far from 0."""
    random = np.random.default_rng(seed)
    maps = random.uniform(0.5, 1.5, (c.groups, c.channels, c.images, *c.map_sides))
    return maps, random.uniform(0.5, 1.5, (c.groups, c.channels, c.kernels, *c.kernel_sides))


# Layouts ------------------------------------------------------------------------------------------
# Each yields frames: [(map, place)], [(kernel, place)], [(pair, map's place less kernel's)].


def chunks(count, size):
    """Coordinates in groups of at most `size`."""
    return [range(a, min(a + size, count)) for a in range(0, count, size)]


def _grid(tiles, images, kernels):
    """Images along rows and columns so that they and the kernels have room."""
    rows, columns = tiles
    for a, b in product(range(1, rows + 1), range(1, columns + 1)):
        if a * b >= images and (rows // a) * (columns // b) >= kernels:
            return a, b
    raise AssertionError(f"no room for {images} images and {kernels} kernels on {tiles}")


def _pairs_apart(c, t, side):
    """All maps of a frame meet all its kernels, each pair in a tile of its own."""
    tiles = tuple(side // s for s in t.pitch)
    a, b = _grid(tiles, t.groups * t.images, t.groups * t.kernels)

    def place(n, columns, rows_apart, columns_apart):
        row, column = divmod(n, columns)
        return row * rows_apart * t.pitch[0], column * columns_apart * t.pitch[1]

    for groups, channel in product(chunks(c.groups, t.groups), range(c.channels)):
        for images, kernels in product(chunks(c.images, t.images), chunks(c.kernels, t.kernels)):
            maps = [(g, channel, i) for g in groups for i in images]
            masks = [(g, channel, k) for g in groups for k in kernels]
            shown = {m: place(n, b, 1, 1) for n, m in enumerate(maps)}
            behind = {k: place(n, tiles[1] // b, a, b) for n, k in enumerate(masks)}
            yield shown.items(), behind.items(), _matching(shown, behind)


def _matching(shown, behind):
    """Pairs of one group, at the place of the map less that of the kernel."""
    for ((g, channel, i), x), ((h, _, k), w) in product(shown.items(), behind.items()):
        if g == h:
            yield (g, channel, i, k), (x[0] - w[0], x[1] - w[1])


def _channels_meet(c, t, side):
    """Channels in squares, maps and kernels alike: of all pairs those of one channel meet."""
    across = isqrt(t.channels - 1) + 1
    rows, columns = (side // s // across for s in t.pitch)
    assert rows * columns >= t.images

    def inside(n):
        return n // across * t.pitch[0], n % across * t.pitch[1]

    for g, channels in product(range(c.groups), chunks(c.channels, across**2)):
        for images, k in product(chunks(c.images, t.images), range(c.kernels)):
            corner = {
                i: (n // columns * across * t.pitch[0], n % columns * across * t.pitch[1])
                for n, i in enumerate(images)
            }
            shown = [
                ((g, channel, i), tuple(a + b for a, b in zip(at, inside(n), strict=True)))
                for i, at in corner.items()
                for n, channel in enumerate(channels)
            ]
            behind = [((g, channel, k), inside(n)) for n, channel in enumerate(channels)]
            yield shown, behind, [((g, list(channels), i, k), at) for i, at in corner.items()]
