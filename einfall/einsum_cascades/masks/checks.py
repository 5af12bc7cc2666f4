"""What the constructors of masks check alike: each answers with the problems, in words."""

from __future__ import annotations

from collections.abc import Sequence

from einfall.einsum_cascades.masks.mask import MaskError


def at_least(least: int, **values: int) -> list[str]:
    """The arguments that fall below a least value.

    >>> at_least(1, window=0, sinks=4)
    ['window: wanted at least 1, found 0']
    """
    return [
        f"{name}: wanted at least {least}, found {value:,}"
        for name, value in values.items()
        if value < least
    ]


def refuse(problems: Sequence[str]) -> None:
    """Raise the problems, if there are any.

    Raises:
        MaskError: There are.
    """
    if problems:
        raise MaskError(problems)


def per_dimension(layout: Sequence[int], **values: Sequence[int]) -> list[str]:
    """The arguments that have not one number for each dimension of the layout.

    >>> per_dimension((8, 8), block=(4,))
    ['block: wanted one number for each of the 2 dimensions of the input, found 1']
    """
    return [
        f"{name}: wanted one number for each of the {len(layout)} dimensions of the input, "
        f"found {len(numbers)}"
        for name, numbers in values.items()
        if len(numbers) != len(layout)
    ]
