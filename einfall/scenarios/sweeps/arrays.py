"""Arrays or numbers: whether the points of a case can be worked out many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np

from einfall.scenarios.sweeps.cases import Case
from einfall.scenarios.sweeps.grid import Block, Grid
from einfall.scenarios.sweeps.plan import Choice, Plan
from einfall.scenarios.sweeps.points import evaluate

ARRAYS, SINGLES = 65_536, 64
"""Points of a block where all are arrays, and of one where each is by itself."""

_GROWS = 16  # a block that loops over axes has up to so many times `ARRAYS` points
_WORTH = 1 / 4  # of `ARRAYS`: an array of fewer points takes longer a point

TOLERANCE = 1e-9
"""How far arrays may be from what single numbers give, as a share of it."""

FEW = 32
"""Points of a case up to which each is worked out by itself: to try arrays would take as long."""

_SAMPLED = 8  # points of a case for which arrays are compared with numbers
_CASES = 24  # cases that are sampled, at most


def tried(found: Plan) -> Plan:
    """The plan with arrays where they give, on a sample, what single numbers give."""
    cases: dict[Choice, Case] = {}
    notes: dict[str, None] = {}
    farthest = 0.0
    for n, (names, single) in enumerate(found.cases.items()):
        case = single.with_arrays()
        varied = _varied(found, case)
        if not varied or prod(found.grid.dims[a] for a in varied) < FEW:
            cases[names] = single
            continue
        cases[names] = case
        if n >= _CASES:
            continue
        block = _sample(found, names)
        both = [evaluate(replace(found, cases={names: c}), block) for c in (case, single)]
        off = _difference(both[0].columns, both[1].columns, found.asked)
        same = np.array_equal(both[0].kept, both[1].kept)
        if case.approximate:
            farthest = max(farthest, off)
        elif off > TOLERANCE or not same:
            cases[names] = single
            notes[
                f"{names.cascade} on {names.machine}: point by point, for arrays gave other numbers"
            ] = None
    if any(case.approximate for case in cases.values()):
        notes[
            f"causal GPU kernels by their closed form: at most {farthest:.2%} from the exact "
            "answers at the sampled points"
        ] = None
    varied = [_varied(found, case) for case in cases.values()]
    grid = Grid(found.grid.dims, block_points(found.grid.dims, varied))
    return replace(found, cases=cases, grid=grid, notes=tuple(notes))


def _varied(found: Plan, case: Case) -> list[int]:
    """The axes that a case has as arrays."""
    return [a for a, keys in enumerate(found.axes) if set(keys) <= case.arrays]


def block_points(dims: Sequence[int], varied: Sequence[Sequence[int]]) -> int:
    """Points of a block at most: so many that its arrays are long whatever is looped over.

    Neighbouring points differ on the last axes first. Where these are looped over, as a head's
    width is, a block grows until what is left for an array is worth one.

    Args:
        dims: Places on each axis.
        varied: For each case the axes that are arrays.

    >>> block_points((64, 4096, 16), varied=[[0, 1, 2]])
    65536
    >>> block_points((64, 4096, 16), varied=[[0, 1]])  # 16 arrays of 16,384
    262144
    >>> block_points((16, 64, 4096), varied=[[1, 2]])  # one of 65,536
    65536
    >>> block_points((16, 64, 4096), varied=[[]])
    64
    """
    together = min(prod(dims[a] for a in axes) for axes in varied)
    most, wanted = ARRAYS, min(together, _WORTH * ARRAYS)
    while most < _GROWS * ARRAYS:
        block = next(Grid(tuple(dims), most).blocks(0, 1)).dims
        if min(prod(block[a] for a in axes) for axes in varied) >= wanted:
            break
        most *= 2
    return min(most, SINGLES * together)


def _sample(found: Plan, names: Choice) -> Block:
    """A few points of a case: the ends of its axes, the middle of those beyond the third."""
    fixed = next(
        places
        for places in product(
            *(range(n) if found.is_choice(a) else (0,) for a, n in enumerate(found.grid.dims))
        )
        if found.choice(places) == names
    )
    ranges: list[range] = []
    many = 1
    for axis, n in enumerate(found.grid.dims):
        if found.is_choice(axis):
            ranges.append(range(fixed[axis], fixed[axis] + 1))
        elif n > 1 and many < _SAMPLED:
            ranges.append(range(0, n, n - 1))
            many *= 2
        else:
            ranges.append(range(n // 2, n // 2 + 1))
    return Block(0, tuple(ranges))


def _difference(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], names: Sequence[str]
) -> float:
    """The largest difference of two tables, as a share."""
    worst = 0.0
    for name in names:
        a, b = ours[name], theirs[name]
        if a.dtype.kind == "U":
            worst = max(worst, float((a != b).any()))
            continue
        known = ~np.isnan(b)
        if (np.isnan(a) == known).any():
            return np.inf
        scale = np.maximum(np.abs(b[known]), 1e-300)
        worst = max(worst, float(np.max(np.abs(a[known] - b[known]) / scale, initial=0.0)))
    return worst
