"""What a sweep comes to: how many points count, which are best, what binds, what each axis does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import exp
from typing import Any

import numpy as np

from einfall.scenarios.sweeps.grid import Block
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.points import Table
from einfall.scenarios.sweeps.spec import RATIOS

BEST = 5
"""How many of the best points are shown."""

_PLACES = 64  # an axis of more places is not shown place by place

_FINE = 2**40  # logarithms are added as whole numbers of 2^-40, so that their order is all the same

Tally = dict[str, Any]  # plain data, as it stands in front of each chunk


def tally(plan: Plan, block: Block, table: Table) -> Tally:
    """The tally of a block.

    `effects` are for each axis and place: points, the sum of the logarithms of their latencies
    (in 2^-40), and points by what binds them.
    """
    return {
        "points": block.points,
        "kept": int(table.kept.sum()),
        "dropped": list(table.dropped),
        "refused": {
            kind: {"count": r.count, "first": r.first, "why": r.why}
            for kind, r in table.refused.items()
        },
        "without_baseline": _without_baseline(table),
        "best": {name: _best(block, table, name) for name in plan.sweep.ranked},
        "effects": {str(a): effect for a, effect in _effects(plan, block, table)},
    }


def _without_baseline(table: Table) -> dict[str, Any] | None:
    """How many points that count have no baseline, and why."""
    if table.without_baseline is None:
        return None
    ratios = [table.columns[name] for name in RATIOS if name in table.columns]
    count = int((table.kept & np.isnan(ratios[0])).sum()) if ratios else 0
    return {"count": count, "why": table.without_baseline}


def _best(block: Block, table: Table, name: str) -> list[list[Any]]:
    """The smallest of a column: value, index, and the columns of each."""
    flat = np.where(table.kept, table.columns[name], np.nan).ravel()
    known = int((~np.isnan(flat)).sum())
    n = min(BEST, known)
    if not n:
        return []
    limit = np.partition(flat, n - 1)[n - 1]  # nan comes last
    places = np.flatnonzero(flat <= limit)
    places = places[np.lexsort((places, flat[places]))][:n]
    return [
        [
            flat[i].item(),
            block.first + int(i),
            {k: _plain(v, int(i)) for k, v in table.columns.items()},
        ]
        for i in places
    ]


def _plain(column: np.ndarray, place: int) -> Any:  # noqa: ANN401
    value = column.ravel()[place].item()
    return None if value != value else value


def _effects(plan: Plan, block: Block, table: Table) -> Iterator[tuple[int, dict[str, Any]]]:
    if "latency_s" not in table.columns:
        return
    kept, latency = table.kept, table.columns["latency_s"]
    logs = np.log(np.where(kept, latency, 1.0))
    bounds = dict(_masks(table)) if "bound" in table.columns else {}
    for axis, n in enumerate(plan.grid.dims):
        if not 1 < n <= _PLACES:
            continue
        others = tuple(a for a in range(kept.ndim) if a != axis)
        counts = kept.sum(axis=others).tolist()
        sums = [round(x) for x in (_FINE * logs.sum(axis=others)).tolist()]
        by = {name: mask.sum(axis=others).tolist() for name, mask in bounds.items()}
        yield (
            axis,
            {
                str(place): [counts[i], sums[i], {name: m[i] for name, m in by.items() if m[i]}]
                for i, place in enumerate(block.ranges[axis])
            },
        )


def _masks(table: Table) -> Iterator[tuple[str, np.ndarray]]:
    """Where each name binds the points that count."""
    left, bound = table.kept.copy(), table.columns["bound"]
    while left.any():
        name = bound.ravel()[int(np.argmax(left.ravel()))]
        mask = left & (bound == name)
        yield str(name), mask
        left &= ~mask


def merged(tallies: Iterable[Tally]) -> Tally:
    """The tally of all, in their order."""
    total: Tally = {}
    for one in tallies:
        if not total:
            total = one
            continue
        total["points"] += one["points"]
        total["kept"] += one["kept"]
        total["dropped"] = [a + b for a, b in zip(total["dropped"], one["dropped"], strict=True)]
        for kind, more in one["refused"].items():
            known = total["refused"].setdefault(kind, {**more, "count": 0})
            known["count"] += more["count"]
            if more["first"] < known["first"]:
                known |= {"first": more["first"], "why": more["why"]}
        if total["without_baseline"] and one["without_baseline"]:
            total["without_baseline"]["count"] += one["without_baseline"]["count"]
        total["without_baseline"] = total["without_baseline"] or one["without_baseline"]
        for name, best in one["best"].items():
            both = sorted([*total["best"][name], *best], key=lambda row: row[:2])
            total["best"][name] = both[:BEST]
        _add_effects(total["effects"], one["effects"])
    return total


def _add_effects(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for axis, places in more.items():
        own = total.setdefault(axis, {})
        for place, (count, logs, bounds) in places.items():
            known = own.setdefault(place, [0, 0, {}])
            known[0] += count
            known[1] += logs
            for name, n in bounds.items():
                known[2][name] = known[2].get(name, 0) + n


def bounds_of(total: Tally) -> dict[str, int]:
    """Points by what binds them."""
    found: dict[str, int] = {}
    for places in list(total["effects"].values())[:1]:
        for _, _, bounds in places.values():
            for name, n in bounds.items():
                found[name] = found.get(name, 0) + n
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def effects_of(plan: Plan, total: Tally) -> list[dict[str, Any]]:
    """What each axis does: a record a place.

    `latency` is the geometric mean of the latencies over that of the axis's first place; `binds`
    what binds most of the points.
    """
    records = []
    for axis, places in total["effects"].items():
        first: float | None = None
        stride = 1
        for n in plan.grid.dims[int(axis) + 1 :]:
            stride *= n
        for place in sorted(places, key=int):
            count, logs, bounds = places[place]
            mean = logs / _FINE / count if count else None
            first = mean if first is None else first
            values = plan.point(int(place) * stride)
            heads = [plan.heads[key] for key in plan.axes[int(axis)]]
            binds = min(bounds, key=lambda name: (-bounds[name], name)) if bounds else None
            ratio = None if mean is None or first is None else float(f"{exp(mean - first):.6g}")
            record = {"axis": {head: values[head] for head in heads}, "points": count}
            part = bounds[binds] / count if binds else None
            records.append({**record, "latency": ratio, "binds": binds, "part": part})
    return records
