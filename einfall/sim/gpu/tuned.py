"""What a tuner chooses: of several ways to run a launch the fastest, for each of many launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from einfall.sim.numeric import Number, is_array

Way = TypeVar("Way")


def fastest(ways: Sequence[Way], times: Sequence[Number]) -> Way:
    """The way that takes least time, the first of equal ones; for each launch where there are many.

    Args:
        ways: Values alike in kind: numbers, texts, mappings and dataclasses of these.
        times: How long each takes, numbers or arrays.

    >>> fastest(["wide", "narrow"], [2.0, 1.0])
    'narrow'
    >>> fastest([{"cycles": 8}, {"cycles": 6}], [np.array([1.0, 4.0]), 2.0])
    {'cycles': array([8, 6])}
    """
    if len(ways) == 1:
        return ways[0]
    which = np.argmin(np.stack(np.broadcast_arrays(*times)), axis=0)
    first = int(which.flat[0])
    return ways[first] if (which == first).all() else _chosen(ways, which)


def _chosen(ways: Sequence[Any], which: np.ndarray) -> Any:  # noqa: ANN401  a value as `fastest` has
    """For each launch the way of that number; a text names all of them."""
    one = ways[0]
    if isinstance(one, Mapping):
        return {key: _chosen([way[key] for way in ways], which) for key in one}
    if hasattr(one, "__dataclass_fields__"):
        parts = {f.name: _chosen([getattr(w, f.name) for w in ways], which) for f in fields(one)}
        return type(one)(**parts)
    if not any(map(is_array, ways)) and len(set(ways)) == 1:
        return one
    if isinstance(one, str):
        return " or ".join(dict.fromkeys(ways[n] for n in np.unique(which)))
    which, *columns = np.broadcast_arrays(which, *ways)
    return np.take_along_axis(np.stack(columns), which[None], axis=0)[0]
