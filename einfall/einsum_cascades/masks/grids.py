"""Masks over a grid of tokens in one to three dimensions: shifted windows, halos and global grids.

Each is a product over the dimensions: a pair is attended iff it is along every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from einfall.einsum_cascades.masks.checks import at_least, per_dimension, refuse
from einfall.einsum_cascades.masks.mask import Band, Mask, Product, Strided


def blocked(
    layout: Sequence[int], block: Sequence[int], shift: Sequence[int] | None = None
) -> Mask:
    """Tokens attend those of their own window; the grid is cut into windows of `block` tokens.

    Per dimension windows are cut at shift, shift + block, …: x and y attend each other iff

        ⌊(x - shift) / block⌋ = ⌊(y - shift) / block⌋

    A shift leaves smaller windows at both borders, and the two do not attend each other: Swin rolls
    the grid round for speed and then masks what is not near, which is the same.

    Source:
        Liu et al., Swin Transformer, 2021, arXiv:2103.14030, section 3.2.

    >>> blocked([4], [2], [1]).dense_array().astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    """
    shift = tuple(shift or (0,) * len(layout))
    refuse(per_dimension(layout, block=block, shift=shift) or _sizes(layout, block=block))
    refuse(at_least(0, shift=min(shift)))

    def axis(length: int, b: int, s: int) -> Mask:
        begin = (np.arange(length) - s) // b * b + s
        return Band(np.maximum(begin, 0), np.minimum(begin + b, length), length)

    return _product(axis, layout, block, shift)


def halo(layout: Sequence[int], block: Sequence[int], halo: Sequence[int]) -> Mask:
    """Blocks of queries attend their own block and `halo` tokens around it, cut off at the borders.

    Per dimension x attends y iff b·⌊x/b⌋ - h <= y < b·⌊x/b⌋ + b + h. HaloNet pads the borders with
    zeros that get attention too; here there is nothing to attend.

    Source:
        Vaswani et al., HaloNet, 2021, arXiv:2103.12731, section 3.1.

    >>> halo([6], [2], [1]).dense_array()[[0, 2]].astype(int).tolist()
    [[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0]]
    """
    refuse(per_dimension(layout, block=block, halo=halo) or _sizes(layout, block=block))
    refuse(at_least(0, halo=min(halo)))

    def axis(length: int, b: int, h: int) -> Mask:
        begin = np.arange(length) // b * b
        return Band(np.maximum(begin - h, 0), np.minimum(begin + b + h, length), length)

    return _product(axis, layout, block, halo)


def grid(layout: Sequence[int], tokens: Sequence[int]) -> Mask:
    """Tokens attend `tokens` of them in each dimension, at equal distances over the whole grid.

    Per dimension x attends y iff (x - y) mod (L / tokens) = 0. Tiles are counted where the tokens
    stand; gathered by a permutation, as MaxViT does, they are those of `gna` with window = tokens
    and dilation = L / tokens.

    Source:
        Tu et al., MaxViT, 2022, arXiv:2204.01697, section 3.2 (grid attention).

    >>> grid([6], [2]).dense_array()[:2].astype(int).tolist()
    [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0]]
    """
    refuse(per_dimension(layout, tokens=tokens) or _sizes(layout, tokens=tokens))
    refuse(
        [
            f"tokens: wanted a divisor of the input in each dimension, found {g} for {length}"
            for length, g in zip(layout, tokens, strict=True)
            if length % g
        ]
    )

    def axis(length: int, g: int) -> Mask:
        step = length // g
        return Strided(np.arange(length) % step, np.full(length, g), step, length)

    return _product(axis, layout, tokens)


def _sizes(layout: Sequence[int], **values: Sequence[int]) -> list[str]:
    """Sizes below one, or larger than the input."""
    if not layout:
        return ["input: wanted at least one dimension, found none"]
    wrong = at_least(1, input=min(layout), **{name: min(v) for name, v in values.items()})
    for name, sizes in values.items():
        wrong += [
            f"{name}: wanted {name} <= input ({length:,}) in each dimension, found {size:,}; "
            f"{name}={length} is dense attention along it"
            for length, size in zip(layout, sizes, strict=True)
            if size > length
        ]
    return wrong


def _product(axis: Callable[..., Mask], *sides: Sequence[int]) -> Mask:
    """The product over the dimensions; of one dimension the sequence itself."""
    axes = tuple(axis(*numbers) for numbers in zip(*sides, strict=True))
    return axes[0] if len(axes) == 1 else Product(axes)
