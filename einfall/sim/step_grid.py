"""The steps of a masked nest, told apart: one small number for each, in an array over its loops.

The array has an axis for each loop over a coupled rank, in the order of the nest, so that the
steps inside an iteration are a slice of it. A step that is not visited is 0; two steps with the
same number run the same tasks on tiles of the same sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from einfall.sim.nest import Loop, Nest
from einfall.sim.numeric import plain
from einfall.sim.pipeline import Phase, Task
from einfall.sim.visits import Visits

Class: TypeAlias = tuple[frozenset[str], str]
"""Tasks that run in the same of the visited steps: (axes that they run along, first or last)."""

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class StepGrid:
    """Kinds of steps over the loops that a mask couples.

    Attributes:
        axes: Names of these loops, outermost first.
        code: The kind of each step, 0 where nothing is visited.
        bits: For each kind, in which of the `classes` its tasks run; bit 0 is set.
        classes: Bit of each class of tasks that do not run in every step.
        widths: Keys of an execution, by the axes of its task; empty where loops cut them.
    """

    axes: tuple[str, ...]
    code: Array
    bits: Array | None
    classes: Mapping[Class, int]
    widths: Mapping[frozenset[str], Array]

    def runs(self, code: int, of: Class) -> bool:
        """Whether tasks of a class run in a step of this kind."""
        bits = code if self.bits is None else int(self.bits[code])
        return of not in self.classes or bool(bits >> self.classes[of] & 1)

    def class_of(self, task: Task) -> Class:
        """The class of a task."""
        return frozenset(self.axes) & frozenset(task.at), task.when

    def width(self, axes: frozenset[str], at: Mapping[str, int]) -> int:
        """Keys that an execution works on in the step at these iterations."""
        return int(self.widths[axes][tuple(at[x] if x in axes else 0 for x in self.axes)])


def step_grid(phase: Phase) -> StepGrid:
    """The steps of a masked phase.

    Raises:
        MappingError: More than 2^26 pairs of tiles.
    """
    nest, visits = phase.nest, phase.nest.visits
    assert visits is not None, "a dense nest has no need of a grid"
    loops = tuple(x for x in nest.loops if x.rank in visits.ranks)
    axes = tuple(x.name for x in loops)
    at = dict.fromkeys(frozenset(axes) & frozenset(t.at) for t in phase.tasks)
    tiles = _by_loops(nest, visits, loops)
    widths: dict[frozenset[str], Array] = {}
    if tiles.ndim > len(axes):
        widths = {names: _width(tiles, axes, names, nest, visits) for names in at}
        tiles = np.asarray(tiles.any(axis=-1))
    found = dict.fromkeys((frozenset(axes) & frozenset(t.at), str(t.when)) for t in phase.tasks)
    classes = {of: i for i, of in enumerate((of for of in found if len(of[0]) < len(axes)), 1)}
    ends = (_ends(tiles, axes, *of) for of in classes)
    code = _coded([tiles, *ends, *(tiles & x for x in _ragged(nest, loops, tiles.shape))])
    if not widths:
        return StepGrid(axes, code, None, classes, widths)
    kinds, bits = _numbered(tiles, [code, *widths.values()])
    return StepGrid(axes, kinds, bits, classes, widths)


def _coded(flags: Sequence[Array]) -> Array:
    """Flags as the bits of one number, the first as bit 0."""
    code = np.zeros(flags[0].shape, dtype=np.uint16 if len(flags) <= 16 else np.uint32)
    for bit, flag in enumerate(flags):
        code[flag] |= code.dtype.type(1 << bit)
    return code


def _by_loops(nest: Nest, visits: Visits, loops: tuple[Loop, ...]) -> Array:
    """Visited tiles with an axis for each loop, and one for keys that no loop cuts at the end."""
    sizes = {rank: int(plain(nest.extents[rank])) for rank in visits.ranks}
    tiles = {x.rank: min(int(plain(x.tile)), sizes[x.rank]) for x in loops}
    skipped = {} if visits.keys in tiles else {visits.keys: int(plain(visits.key_tile))}
    grid = visits.grid(nest.extents, {**tiles, **skipped})
    shape: list[int] = []
    names: list[str] = []
    padding: list[tuple[int, int]] = []
    for rank, there in zip(visits.ranks, grid.shape, strict=True):
        trips = _trips([x for x in loops if x.rank == rank], sizes[rank])
        shape += trips or [there]
        names += [x.name for x in loops if x.rank == rank] or [rank]
        padding.append((0, int(np.prod(trips)) - there if trips else 0))
    cut = np.pad(grid, padding).reshape(shape)
    order = [names.index(x.name) for x in loops]
    alone = [i for i, name in enumerate(names) if i not in order]
    # Ranks that no loop cuts have a single tile, apart from the keys.
    moved = np.transpose(cut, [*order, *alone])
    end = (-1,) if visits.keys in names else ()
    return np.ascontiguousarray(moved.reshape(*moved.shape[: len(order)], *end))


def _trips(loops: Iterable[Loop], size: int) -> list[int]:
    """Most iterations of each of the loops over one rank."""
    trips = []
    for loop in loops:
        trips.append(-(-size // int(plain(loop.tile))))
        size = min(size, int(plain(loop.tile)))
    return trips


def _width(
    tiles: Array, axes: tuple[str, ...], names: frozenset[str], nest: Nest, visits: Visits
) -> Array:
    """Keys in the tiles that an execution visits; along axes that it has not, of size 1."""
    others = tuple(i for i, name in enumerate(axes) if name not in names)
    some = tiles.any(axis=others, keepdims=True)
    size, tile = int(plain(nest.extents[visits.keys])), int(plain(visits.key_tile))
    lengths = np.minimum(tile, size - np.arange(some.shape[-1]) * tile)
    return some @ lengths


def _ends(tiles: Array, axes: tuple[str, ...], names: frozenset[str], when: str) -> Array:
    """The first or the last visited step of each iteration of some axes, in the order of steps."""
    kept = [i for i, name in enumerate(axes) if name in names]
    others = [i for i, name in enumerate(axes) if name not in names]
    order = kept + others
    moved = np.transpose(tiles, order)
    flat = moved.reshape(int(np.prod(moved.shape[: len(kept)])), -1)
    found = np.argmax(flat if when == "first" else flat[:, ::-1], axis=1)
    found = found if when == "first" else flat.shape[1] - 1 - found
    ends = np.zeros_like(flat)
    row = np.arange(len(flat))
    ends[row, found] = flat[row, found]
    return np.transpose(ends.reshape(moved.shape), np.argsort(order))


def _ragged(nest: Nest, loops: tuple[Loop, ...], shape: tuple[int, ...]) -> Iterable[Array]:
    """For each loop, where its iteration covers less than a whole tile."""
    for number, loop in enumerate(loops):
        size, tile = int(plain(nest.extents[loop.rank])), int(plain(loop.tile))
        at = np.zeros((1,) * len(loops), dtype=np.int64)
        for i, outer in enumerate(loops[: number + 1]):
            if outer.rank == loop.rank:
                steps = np.arange(shape[i]).reshape(
                    [-1 if j == i else 1 for j in range(len(loops))]
                )
                at = at * shape[i] + steps
        yield (at == size // tile) & (size % tile > 0)


def _numbered(tiles: Array, parts: list[Array]) -> tuple[Array, Array]:
    """One number for each combination of the parts, 0 for steps not visited; and the first part."""
    table = np.stack([np.broadcast_to(part, tiles.shape).ravel() for part in parts], axis=1)
    found, where = np.unique(table, axis=0, return_inverse=True)
    kinds = np.where(tiles, where.reshape(tiles.shape) + 1, 0)
    return kinds, np.concatenate([[0], found[:, 0]])
