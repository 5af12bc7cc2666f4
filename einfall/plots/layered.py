"""Where boxes stand in a drawing by layers, and by which points its edges pass between them.

The steps are those of Sugiyama, Tagawa and Toda, 1981: an edge over several layers gets a point in
each, layers are ordered by the mean place of their neighbours, and then drawn apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import fmean
from typing import TypeAlias

_SWEEPS = 12

Point: TypeAlias = tuple[float, float]
_Item: TypeAlias = str | tuple[str, str, int]  # a box, or the point of an edge in a layer


@dataclass(frozen=True, slots=True)
class Layout:
    """Middles of the boxes, and for each edge its points in the layers between its ends."""

    boxes: Mapping[str, Point]
    bends: Mapping[tuple[str, str], tuple[Point, ...]]


def layout(
    layers: Sequence[Sequence[str]],
    edges: Iterable[tuple[str, str]],
    widths: Mapping[str, float],
    *,
    gap: float,
    pitch: float,
) -> Layout:
    """Place boxes layer by layer, from y = 0 downwards.

    Args:
        layers: Names of the boxes; every edge runs from an earlier to a later layer.
        edges: Pairs of names.
        widths: Width of each box.
        gap: Room between neighbours; an edge that passes by takes as much.
        pitch: Distance of layers.

    >>> placed = layout([["Q", "K"], ["QK"]], [("Q", "QK"), ("K", "QK")],
    ...                 {"Q": 1, "K": 1, "QK": 1}, gap=1, pitch=1)
    >>> placed.boxes["Q"][0] + placed.boxes["K"][0] == 2 * placed.boxes["QK"][0]
    True
    """
    depth = {name: n for n, layer in enumerate(layers) for name in layer}
    rows: list[list[_Item]] = [list(layer) for layer in layers]
    links: list[tuple[_Item, _Item]] = []
    bends: dict[tuple[str, str], list[_Item]] = {}
    for a, b in edges:
        bends[a, b] = [(a, b, n) for n in range(depth[a] + 1, depth[b])]
        for item, n in zip(bends[a, b], range(depth[a] + 1, depth[b]), strict=True):
            rows[n].append(item)
        links += pairwise([a, *bends[a, b], b])
    rows = _ordered(rows, links)
    x = _across(rows, links, {item: widths.get(item, 0.0) for row in rows for item in row}, gap)
    at = {item: (x[item], -n * pitch) for n, row in enumerate(rows) for item in row}
    return Layout(
        {name: at[name] for name in depth},
        {edge: tuple(at[item] for item in items) for edge, items in bends.items()},
    )


def _neighbours(links: Iterable[tuple[_Item, _Item]]) -> tuple[dict, dict]:
    above: dict[_Item, list[_Item]] = {}
    below: dict[_Item, list[_Item]] = {}
    for a, b in links:
        below.setdefault(a, []).append(b)
        above.setdefault(b, []).append(a)
    return above, below


def _ordered(rows: list[list[_Item]], links: Sequence[tuple[_Item, _Item]]) -> list[list[_Item]]:
    """The order with the fewest crossings among those that the sweeps come by."""
    above, below = _neighbours(links)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        rows = [list(row) for row in rows]
        for n in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            fixed = {item: i for i, item in enumerate(rows[n - 1 if down else n + 1])}
            rows[n] = _by_mean(rows[n], fixed, above if down else below)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _by_mean(row: list[_Item], fixed: Mapping[_Item, int], linked: Mapping) -> list[_Item]:
    """The row by the mean place of the neighbours; an item without any stays where it is."""
    place = {
        item: fmean([fixed[other] for other in linked.get(item, ())] or [i])
        for i, item in enumerate(row)
    }
    return sorted(row, key=place.__getitem__)


def _crossings(rows: Sequence[Sequence[_Item]], below: Mapping) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        at = {item: i for i, item in enumerate(lower)}
        ends = [(i, at[b]) for i, item in enumerate(upper) for b in below.get(item, ())]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    return count


def _across(
    rows: Sequence[Sequence[_Item]],
    links: Sequence[tuple[_Item, _Item]],
    widths: Mapping[_Item, float],
    gap: float,
) -> dict[_Item, float]:
    """Coordinates along the layers: each item near its neighbours, none too near to the next."""
    above, below = _neighbours(links)
    x: dict[_Item, float] = {}
    for row in rows:
        x |= _apart(row, dict.fromkeys(row, 0.0), widths, gap)
    for sweep in range(_SWEEPS):
        linked = (above, below)[sweep % 2]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wish = {i: fmean([x[other] for other in linked.get(i, ())] or [x[i]]) for i in row}
            x |= _apart(row, wish, widths, gap)
    return x


def _apart(
    row: Sequence[_Item], wish: Mapping[_Item, float], widths: Mapping[_Item, float], gap: float
) -> dict[_Item, float]:
    """Places near the wishes that keep order and gaps: midway between packing left and right."""

    def packed(items: Iterable[_Item], sign: int) -> dict[_Item, float]:
        found: dict[_Item, float] = {}
        edge = float("-inf")
        for item in items:
            found[item] = max(sign * wish[item], edge + widths[item] / 2)
            edge = found[item] + widths[item] / 2 + gap
        return {item: sign * place for item, place in found.items()}

    right, left = packed(row, 1), packed(reversed(row), -1)
    return {item: (right[item] + left[item]) / 2 for item in row}
