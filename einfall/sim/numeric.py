"""Arithmetic that serves one question and a sweep of a million alike: numbers or NumPy arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import TypeIs

    Number: TypeAlias = int | float | np.ndarray
else:
    Number: TypeAlias = float

Key = TypeVar("Key", bound=Hashable)


def is_array(x: object) -> TypeIs[np.ndarray]:
    """Whether `x` is a NumPy array (or anything with more than a single value)."""
    return hasattr(x, "shape") and x.shape != ()


def floor_div(a: Number, b: Number) -> Number:
    """⌊a/b⌋ of whole numbers below 2^53, for arrays many times faster than `//`.

    A quotient of such numbers that is not whole is off the next whole number by more than its
    rounding, so that the floor of the rounded quotient is exact.

    >>> floor_div(511, 256)
    1
    """
    if is_array(a) or is_array(b):
        import numpy as np

        return np.floor(a / b)
    return a // b


def ceil_div(a: Number, b: Number) -> Number:
    """⌈a/b⌉ of whole numbers below 2^53; see `floor_div`.

    >>> ceil_div(257, 256)
    2
    """
    if is_array(a) or is_array(b):
        import numpy as np

        return np.ceil(a / b)
    return -(-a // b)


def product(numbers: Iterable[Number]) -> Number:
    """The product; plain numbers are multiplied first, and a one costs no pass over an array.

    >>> product([2, 3, 1])
    6
    """
    scale: Number = 1
    arrays = []
    for x in numbers:
        if is_array(x):
            arrays.append(x)
        else:
            scale = scale * x
    total = scale if not arrays or scale != 1 else arrays.pop()
    for x in arrays:
        total = total * x
    return total


def scaled(amount: Number, by: Number) -> Number:
    """The product of two; a plain one costs no pass over an array."""
    return amount if not is_array(by) and by == 1 else by * amount


def add(totals: dict[Key, Number], key: Key, more: Number) -> None:
    """Add to a total that may not have begun yet."""
    totals[key] = totals[key] + more if key in totals else more


def maximum(first: Number, *others: Number) -> Number:
    """The largest of its arguments, element by element where there are arrays.

    >>> maximum(3, 5, 4)
    5
    """
    numbers = (first, *others)
    if not any(map(is_array, numbers)):
        return max(numbers)
    import numpy as np

    return reduce(np.maximum, numbers)


def minimum(first: Number, *others: Number) -> Number:
    """The smallest of its arguments, element by element where there are arrays."""
    numbers = (first, *others)
    if not any(map(is_array, numbers)):
        return min(numbers)
    import numpy as np

    return reduce(np.minimum, numbers)


def plain(x: Number) -> float:
    """The number itself, where only a single one makes sense.

    Raises:
        TypeError: It is an array.
    """
    if is_array(x):
        raise TypeError("wanted a plain number, found an array: sweeps are for the closed form")
    return x


def largest(x: Number) -> float:
    """The largest element, for decisions that a whole sweep must share."""
    if not is_array(x):
        return float(x)
    import numpy as np

    return float(np.max(x))
