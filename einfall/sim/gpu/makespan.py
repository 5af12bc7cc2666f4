"""When the last SM is done: list scheduling of ragged blocks over the places of a GPU.

A *place* is room for one block: SMs times blocks an SM holds. Closed forms, with n blocks of L_i
steps in S places:

    uniform    ⌈n/S⌉ · L
    lpt        max(L_max, Σ L/S), the longest first: what is left over at the end is small
    natural    Σ L/S + L_max - E[L²]/2E[L], as when the blocks run out each place is somewhere
               within one (the mean of what is left is that of renewal theory), and one of them has
               just begun with the longest
    reversed   the same less Σ L_head/S: in each head the longest go first, a head before the end
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from einfall.sim.gpu.tiles import Ragged
from einfall.sim.numeric import Number


@dataclass(frozen=True, slots=True)
class Makespan:
    """The place that is done last: its steps, masked steps and blocks; `mean_steps` is that of all.

    `full` of its blocks ran with all places of the SM taken.
    """

    steps: Number
    blocks: Number
    masked: Number
    mean_steps: Number
    mean_blocks: Number


def closed(ragged: Ragged, heads: int, places: int, order: str, overhead: float = 1.0) -> Makespan:
    """The makespan by the closed forms of the module.

    Args:
        ragged: Steps of the query tiles of a head.
        heads: How many heads there are, over the batch.
        places: SMs times blocks an SM.
        order: `natural`, `reversed` within each head, or `lpt`.
        overhead: What a block takes beside its steps, in steps.

    >>> four = Ragged(np.array([8.0, 8.0, 8.0, 8.0]), np.zeros(4))
    >>> closed(four, heads=4, places=10, order="lpt").steps
    16.0
    """
    count = len(ragged.steps) * heads
    mean_blocks = count / places
    mean_steps = ragged.total * heads / places
    masked_share = float(ragged.masked.sum()) / max(ragged.total, 1.0)
    if count <= places:
        return Makespan(ragged.longest, 1.0, float(ragged.masked.max()), mean_steps, mean_blocks)
    if ragged.uniform:
        waves = float(-(-count // places))
        steps = waves * ragged.longest
        return Makespan(steps, waves, steps * masked_share, mean_steps, mean_blocks)
    lengths = ragged.steps + overhead
    longest, total = float(lengths.max()), float(lengths.sum()) * heads / places
    end = max(longest, total + 0.5 * float(lengths.min()))
    if order != "lpt":
        left = float((lengths**2).sum()) / (2 * float(lengths.sum()))
        ahead = float(lengths.sum()) / places if order == "reversed" else 0.0
        end = max(end, total + longest - left - ahead)
    beyond = end / total
    blocks = min(mean_blocks + (end - total) / longest, mean_blocks * beyond)
    steps = end - overhead * blocks
    return Makespan(steps, blocks, steps * masked_share, mean_steps, mean_blocks)


def listed(ragged: Ragged, heads: int, places: int, order: str, overhead: float = 1.0) -> Makespan:
    """The makespan of greedy list scheduling, block by block: what a GPU's scheduler does.

    >>> ramp = Ragged(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4))
    >>> listed(ramp, heads=2, places=4, order="lpt", overhead=0).steps
    5.0
    """
    steps, masked = tuple(ragged.steps.tolist()), tuple(ragged.masked.tolist())
    if order == "lpt":
        return _longest_first(steps, masked, heads, places, overhead)
    if order == "reversed":
        steps, masked = steps[::-1], masked[::-1]
    return _in_order(steps, masked, heads, places, overhead)


@lru_cache(maxsize=8192)
def _longest_first(
    steps: tuple[float, ...], masked: tuple[float, ...], heads: int, places: int, overhead: float
) -> Makespan:
    """Blocks alike are dealt out together: in rounds to every place, the rest to the freest."""
    load, done, cut = np.zeros(places), np.zeros(places), np.zeros(places)
    number = np.zeros(places)
    for (length, part), times in sorted(Counter(zip(steps, masked, strict=True)).items())[::-1]:
        rounds, rest = divmod(times * heads, places)
        for taken, n in ((slice(None), rounds), (np.argsort(load, kind="stable")[:rest], 1)):
            load[taken] += n * (length + overhead)
            done[taken] += n * length
            cut[taken] += n * part
            number[taken] += n
    last = int(load.argmax())
    return Makespan(
        float(done[last]), float(number[last]), float(cut[last]), float(done.mean()),
        float(number.mean()),
    )  # fmt: skip


@lru_cache(maxsize=8192)
def _in_order(
    steps: tuple[float, ...], masked: tuple[float, ...], heads: int, places: int, overhead: float
) -> Makespan:
    """Head after head, query tiles in their order; each block to the place that is free first."""
    free = [(0.0, place) for place in range(places)]
    done, cut, number = [0.0] * places, [0.0] * places, [0] * places
    for _ in range(heads):
        for length, part in zip(steps, masked, strict=True):
            at, place = free[0]
            heapq.heapreplace(free, (at + length + overhead, place))
            done[place] += length
            cut[place] += part
            number[place] += 1
    _, last = max(free)
    total, count = sum(steps) * heads, len(steps) * heads
    return Makespan(done[last], float(number[last]), cut[last], total / places, count / places)
