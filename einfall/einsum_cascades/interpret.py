"""The interpreter: runs a cascade on NumPy arrays, so that it is known to compute what it says.

Einsums that feed each other go step by step along their iterative rank, everything else works on
whole arrays. A point beyond the end of a ragged last tile does not exist, nor does one that the
mask leaves out: no reduction takes it in, and where a tensor has room for it, it holds NaN. A step
whose points all do not exist does not happen: a running value stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from einfall.einsum_cascades.checks import align, stages
from einfall.einsum_cascades.einsum import (
    Access,
    Apply,
    Cascade,
    Einsum,
    Expr,
    Index,
    Number,
    Window,
    accesses,
)
from einfall.einsum_cascades.language import CascadeError
from einfall.einsum_cascades.masked import coordinate, masks_of
from einfall.einsum_cascades.ops import OPS, REDUCTIONS
from einfall.einsum_cascades.shapes import ShapeError
from einfall.einsum_cascades.windows import before, misfits, with_places

_NOWHERE: Mapping[str, int] = MappingProxyType({})


def evaluate(
    cascade: Cascade, inputs: Mapping[str, np.ndarray], tiles: Mapping[str, int] = _NOWHERE
) -> dict[str, np.ndarray]:
    """Run a cascade in float64.

    Sizes follow from the inputs. The tiles change no output (beyond rounding) of a cascade that is
    right for every tile, ragged last tiles included.

    Args:
        cascade: As `parse` and `load` give it.
        inputs: An array for each input, its axes in the order of the declaration.
        tiles: Size of the inner part of a split, by the symbol of the whole rank: `{"M": 4}` for
            tiles of 4 keys. One tile holds the whole rank where nothing is given; larger tiles
            are cut to it.

    Returns:
        The outputs by name. An iterative tensor has one coordinate more than its rank, the init.
        An output is NaN at the points that do not exist: in a ragged last tile if it is over both
        parts of a split, where the mask leaves them out if it is over queries and keys.

    Raises:
        CascadeError: Inputs that are missing, unknown or do not fit, groups that do not divide,
            tiles that are not positive or of ranks that are not split; all problems at once. After
            those, a mask that does not fit the inputs.

    >>> from einfall.einsum_cascades.library import load
    >>> evaluate(load("matmul"), {"X": np.ones((1, 3)), "W": np.full((3, 1), 2.0)})["Y"]
    array([[6.]])
    """
    arrays = {name: np.asarray(value, dtype=float) for name, value in inputs.items()}
    sizes = _sizes(cascade, arrays, tiles)
    run = _Run(cascade, sizes, arrays, _points(cascade, sizes))
    with np.errstate(all="ignore"):  # 0/0 where no point exists, exp(-inf): both are meant
        for stage in stages(cascade):
            run.stage(stage)
    return {name: run.values[name] for name in cascade.outputs}


# Sizes --------------------------------------------------------------------------------------------


def _sizes(
    cascade: Cascade, arrays: Mapping[str, np.ndarray], tiles: Mapping[str, int]
) -> dict[str, int]:
    """Size of every rank, parts of splits included; ranks with the same word share one."""
    found = [*_foreign(cascade, arrays, tiles)]
    keys = {rank.symbol: rank.shape_key for rank in cascade.ranks}
    first: dict[str, tuple[int, str]] = {}
    for access in cascade.inputs:
        if access.tensor in arrays:
            found += _measure(access, arrays[access.tensor].shape, keys, first)
    given = {symbol: first[key][0] for symbol, key in keys.items() if key in first}
    sizes = {symbol: size for symbol, size in given.items() if symbol not in cascade.window_onto}
    found += _windows(cascade, sizes, given)
    sizes = {symbol: int(size) for symbol, size in with_places(cascade, sizes).items()}
    missing = [symbol for symbol in keys if symbol not in sizes]
    if missing and not found:
        found.append(f"wanted inputs that give every rank a size, found none with {missing}")
    for group in cascade.groups:
        whole, outer = sizes.get(group.rank, 0), sizes.get(group.outer, 1)
        if outer and whole % outer:
            text = f"wanted a divisor of {group.rank} = {whole} as {group.outer}, found {outer}"
            found.append(text)
    if not found:
        for split in cascade.splits:
            whole = sizes[split.rank]
            sizes[split.inner] = min(tiles.get(split.rank, whole), whole)
            sizes[split.outer] = -(-whole // sizes[split.inner])
        found += _outside(cascade, sizes)
    if found:
        raise CascadeError(f"{cascade.name}: {text}" for text in found)
    return sizes


def _windows(cascade: Cascade, sizes: Mapping[str, int], given: Mapping[str, int]) -> Iterator[str]:
    """Problems with windows: kernels that do not fit, inputs that give an output another size."""
    known = with_places(cascade, sizes)
    for window in misfits(cascade, sizes):
        wanted = f"wanted {window.kernel} of at most {window.rank} = {known[window.rank]}"
        yield f"{wanted} in `{window}`, found {known[window.kernel]}"
    for window in cascade.windows:
        rank = window.output
        if rank in known and given.get(rank, known[rank]) != known[rank]:
            yield f"wanted {rank} = {known[rank]} of `{window}`, found {given[rank]} in an input"


def _foreign(
    cascade: Cascade, arrays: Mapping[str, np.ndarray], tiles: Mapping[str, int]
) -> Iterator[str]:
    """Problems with names: inputs that are missing or not of this cascade, tiles of other ranks."""
    wanted = {access.tensor: access for access in cascade.inputs}
    for name, access in wanted.items():
        if name not in arrays:
            yield f"wanted the input {access}, found no array of that name"
    for name in arrays:
        if name not in wanted:
            yield f"wanted the inputs {', '.join(wanted)}, found {name} too; leave it out"
    split = [s.rank for s in cascade.splits]
    for rank, tile in tiles.items():
        if rank not in split:
            there = f"there are {', '.join(split)}" if split else "this cascade has none"
            yield f"wanted a tile of a split rank, found {rank}; {there}"
        elif tile < 1:
            yield f"wanted a tile of {rank} of at least 1, found {tile}"


def _measure(
    access: Access,
    shape: Sequence[int],
    keys: Mapping[str, str],
    first: dict[str, tuple[int, str]],
) -> Iterator[str]:
    """Note the size of each axis by its word, where it is new; yield those that disagree."""
    if len(shape) != len(access.ranks):
        yield f"{access}: wanted {len(access.ranks)} axes, found {len(shape)} in shape {shape}"
        return
    for rank, size in zip(access.ranks, shape, strict=True):
        wanted, where = first.setdefault(keys[rank], (size, access.tensor))
        if size != wanted:
            yield f"{access}: wanted {rank} = {wanted} as in {where}, found {size} in shape {shape}"
        elif size < 1:
            yield f"{access}: wanted {rank} of at least 1, found {size} in shape {shape}"


def _outside(cascade: Cascade, sizes: Mapping[str, int]) -> Iterator[str]:
    """Constant coordinates beyond the end of their rank."""
    steps = {einsum.name: einsum.iterative_ranks for einsum in cascade.einsums}
    for access in (a for einsum in cascade.einsums for a in einsum.operands):
        ranks = cascade.tensor_ranks[access.tensor]
        for rank, (index, *_) in zip(ranks, align(cascade, access), strict=True):
            size = sizes[rank] + (rank in steps.get(access.tensor, ()))
            if index.rank is None and index.offset >= size:
                yield f"{access}: wanted a coordinate below {size} of {rank}, found {index}"


def _points(cascade: Cascade, sizes: Mapping[str, int]) -> Mapping[str, np.ndarray]:
    """The points (head, query, key) of the mask, coordinates by rank; the head only if it counts.

    Raises:
        CascadeError: The mask does not fit the sizes.
    """
    if cascade.mask is None:
        return {}
    try:
        masks = masks_of(cascade, sizes)
    except ShapeError as error:
        raise CascadeError(f"{cascade.name}: {text}" for text in error.problems) from error
    rows = [mask.rows().points() for mask in masks]
    heads = np.repeat(np.arange(len(masks)), [len(keys) for _, keys in rows])
    queries, keys = (np.concatenate(side) for side in zip(*rows, strict=True))
    points = {cascade.mask.queries: queries, cascade.mask.keys: keys}
    if cascade.mask.heads is not None and len(masks) > 1:
        points[cascade.mask.heads] = heads
    return points


# Running ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """An array with the rank of each axis."""

    ranks: tuple[str, ...]
    array: np.ndarray

    def along(self, space: Sequence[str]) -> np.ndarray:
        """The array with the axes of the space, of length one where it has no such rank."""
        order = [self.ranks.index(rank) for rank in space if rank in self.ranks]
        absent = [axis for axis, rank in enumerate(space) if rank not in self.ranks]
        return np.expand_dims(self.array.transpose(order), absent)


class _Run:
    """The tensors of a cascade while it runs.

    `at` gives the coordinates that are fixed at the moment: the step of an iterative rank. `points`
    are those of the mask, by its ranks.
    """

    def __init__(
        self,
        cascade: Cascade,
        sizes: Mapping[str, int],
        arrays: Mapping[str, np.ndarray],
        points: Mapping[str, np.ndarray],
    ) -> None:
        self.cascade = cascade
        self.sizes = sizes
        self.values = dict(arrays)
        self.points = points
        self.attended: dict[tuple[str, ...], np.ndarray] = {}

    def stage(self, stage: Sequence[Einsum]) -> None:
        """Run Einsums that belong together, step by step if one of them is iterative."""
        steps = [rank for einsum in stage for rank in einsum.iterative_ranks]
        if not steps:
            (einsum,) = stage
            self.values[einsum.name] = self._compute(einsum, _NOWHERE)
            return
        for einsum in stage:
            self.values[einsum.name] = self._begin(einsum)
        for step in range(self.sizes[steps[0]]):
            for einsum in stage:
                self._write(einsum, {steps[0]: step})

    def _begin(self, einsum: Einsum) -> np.ndarray:
        """Room for every step of a tensor, with its init in place."""
        indices = einsum.output.indices
        room = np.full([self.sizes[str(i.rank)] + i.offset for i in indices], np.nan)
        for init in self.cascade.inits:
            if init.name == einsum.name:
                start = tuple(self._where(index, _NOWHERE) for index in init.output.indices)
                room[start] = self._compute(init, _NOWHERE)
        return room

    def _write(self, einsum: Einsum, at: Mapping[str, int]) -> None:
        """One step of an Einsum, written where it belongs; a running value may stay as it is."""
        values, indices = self.values[einsum.name], einsum.output.indices
        where = tuple(self._where(index, at) for index in indices)
        result = self._compute(einsum, at)
        if einsum.iterative_ranks and self.cascade.is_masked(self.cascade.iteration_ranks(einsum)):
            earlier = tuple(self._where(replace(i, offset=0), at) for i in indices)
            result = np.where(self._happens(einsum, at), result, values[earlier])
        values[where] = result

    def _happens(self, einsum: Einsum, at: Mapping[str, int]) -> np.ndarray:
        """For each element of a step whether it has a point that exists."""
        space = tuple(r for r in self.cascade.iteration_ranks(einsum) if r not in at)
        exists = np.broadcast_to(self._exists(space, at), [self.sizes[rank] for rank in space])
        kept = tuple(rank for rank in space if rank not in einsum.reduce_ranks)
        exists = exists.any(tuple(space.index(rank) for rank in einsum.reduce_ranks))
        return self._placed(einsum, _Named(kept, exists.astype(float)), at) == 1

    def _compute(self, einsum: Einsum, at: Mapping[str, int]) -> np.ndarray:
        """The output of an Einsum at the given step, its axes in the order of the left side."""
        space = tuple(r for r in self.cascade.iteration_ranks(einsum) if r not in at)
        kept = tuple(rank for rank in space if rank not in einsum.reduce_ranks)
        factors = self._factors(einsum, at) if einsum.reduce == "sum" else None
        if factors is None:
            result = self._map_and_reduce(einsum, space, at)
        else:
            symbols = {rank: number for number, rank in enumerate(space)}
            operands = [part for f in factors for part in (f.array, [symbols[r] for r in f.ranks])]
            result = np.einsum(*operands, [symbols[r] for r in kept], optimize=True)
        return self._placed(einsum, _Named(kept, result), at)

    def _map_and_reduce(
        self, einsum: Einsum, space: Sequence[str], at: Mapping[str, int]
    ) -> np.ndarray:
        """Any expression, by broadcasting over the iteration space."""
        values = self._map(einsum, einsum.expr, space, at)
        values = np.broadcast_to(values, [self.sizes[rank] for rank in space])
        if einsum.reduce is None:
            return values
        axes = tuple(space.index(rank) for rank in einsum.reduce_ranks)
        return REDUCTIONS[einsum.reduce].evaluate(np, values, axes, self._exists(space, at))

    def _map(
        self, einsum: Einsum, expr: Expr, space: Sequence[str], at: Mapping[str, int]
    ) -> np.ndarray:
        if isinstance(expr, Number):
            return np.full((1,) * len(space), expr.value)
        if isinstance(expr, Access):
            return self._read(einsum, expr, at).along(space)
        args = (self._map(einsum, arg, space, at) for arg in expr.args)
        return OPS[expr.op].evaluate(np, *args)

    def _factors(self, einsum: Einsum, at: Mapping[str, int]) -> list[_Named] | None:
        """The factors of a sum of products for `numpy.einsum`, 0 where a point does not exist.

        None where the expression is no product, or a factor is not finite: 0·inf is not 0.
        """
        product = _product(einsum.expr)
        if product is None or not math.isfinite(product):
            return None
        read = [self._read(einsum, access, at) for access in accesses(einsum.expr)]
        exists = [self._exists(factor.ranks, at) for factor in read]
        arrays = [np.where(e, f.array, 0) for e, f in zip(exists, read, strict=True)]
        if not all(np.isfinite(array).all() for array in arrays):
            return None
        factors = [_Named(f.ranks, array) for f, array in zip(read, arrays, strict=True)]
        return [*factors, *self._bounds(einsum, factors, at), _Named((), np.array(product))]

    def _bounds(
        self, einsum: Einsum, factors: Sequence[_Named], at: Mapping[str, int]
    ) -> list[_Named]:
        """Factors of 0 and 1 for points that do not exist and that no other factor makes 0.

        The product of an outer and an inner part alone, or of queries and keys, is bounded by
        neither of them. What does not exist of the output is left out when it is placed.
        """
        space = self.cascade.iteration_ranks(einsum)
        known = [set(factor.ranks) for factor in factors]
        known.append(set(space) - set(einsum.reduce_ranks))
        grids = self._grids([rank for rank in space if rank not in at], at)
        return [grid for grid in grids if not any(ranks >= set(grid.ranks) for ranks in known)]

    # Reading and writing ----------------------------------------------------------------------

    def _read(self, einsum: Einsum, access: Access, at: Mapping[str, int]) -> _Named:
        """The part of a tensor that an access names, over the ranks that it moves along."""
        array = self.values[access.tensor]
        space = self.cascade.iteration_ranks(einsum)
        where: list[int | slice] = []
        for indices in align(self.cascade, access):
            window = self.cascade.window(indices[0])
            if len(indices) == 2:
                array = self._tiled(array, len(where), str(indices[0].rank))
            if window is not None:
                array = self._in_windows(array, len(where), window)
                where += [slice(None), slice(None)]
                continue
            where += [self._where(index, at) for index in indices]
        array = array[tuple(where)]
        ranks = [rank for rank in access.ranks if rank not in at]
        for group in self.cascade.groups:
            if group.outer in ranks and group.rank in space:
                axis, h = ranks.index(group.outer), np.arange(self.sizes[group.rank])
                array = array.take(h * self.sizes[group.outer] // self.sizes[group.rank], axis)
                ranks[axis] = group.rank
        return _Named(tuple(ranks), array)

    def _tiled(self, array: np.ndarray, axis: int, outer: str) -> np.ndarray:
        """The array with one axis cut into tiles, the last one filled up with NaN."""
        split = next(split for split in self.cascade.splits if split.outer == outer)
        tiles = self.sizes[split.outer], self.sizes[split.inner]
        fill = [(0, 0)] * array.ndim
        fill[axis] = (0, tiles[0] * tiles[1] - array.shape[axis])
        shape = array.shape[:axis] + tiles + array.shape[axis + 1 :]
        return np.pad(array, fill, constant_values=np.nan).reshape(shape)

    def _in_windows(self, array: np.ndarray, axis: int, window: Window) -> np.ndarray:
        """The array with one axis cut into windows, [places, kernel]; 0 beyond the edges."""
        size, kernel = array.shape[axis], self.sizes[window.kernel]
        places = np.arange(self.sizes[window.output])[:, None] - before(window.mode, kernel)
        at = places + np.arange(kernel)
        if window.mode == "circular":
            return array.take(at % size, axis)
        inside = np.expand_dims((at >= 0) & (at < size), tuple(range(2, array.ndim - axis + 1)))
        return np.where(inside, array.take(at.clip(0, size - 1), axis), 0.0)

    def _where(self, index: Index, at: Mapping[str, int]) -> int | slice:
        """The part of an axis that an index names."""
        if index.rank is None:
            return index.offset
        if index.end:
            return -1
        if index.rank in at:
            return at[index.rank] + index.offset
        return slice(index.offset, index.offset + self.sizes[index.rank])

    def _placed(self, einsum: Einsum, result: _Named, at: Mapping[str, int]) -> np.ndarray:
        """The result over the ranks of the output; tiles are gathered if it has the whole rank."""
        parts = {s.rank: (s.outer, s.inner) for s in self.cascade.splits if s.outer in result.ranks}
        left = [rank for rank in einsum.output.ranks if rank not in at]
        axes = [part for rank in left for part in parts.get(rank, (rank,))]
        array = np.broadcast_to(result.along(axes), [self.sizes[rank] for rank in axes])
        array = np.where(self._exists(axes, at), array, np.nan)
        for axis, rank in enumerate(left):
            if rank in parts:
                array = array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])
                array = array.take(np.arange(self.sizes[rank]), axis)
        return array

    # Ragged tiles and masks -------------------------------------------------------------------

    def _grids(self, ranks: Iterable[str], at: Mapping[str, int]) -> list[_Named]:
        """Which points exist: m1,m0 of each split, and those of the mask.

        Only of what the ranks and the fixed coordinates cover.
        """
        grids = [self._unmasked(ranks, at)] if self.cascade.is_masked((*ranks, *at)) else []
        for split in self.cascade.splits:
            pair = (split.outer, split.inner)
            if {*ranks, *at}.issuperset(pair):
                m1, m0 = np.indices([self.sizes[part] for part in pair])
                grid = m1 * self.sizes[split.inner] + m0 < self.sizes[split.rank]
                fixed = tuple(at.get(part, slice(None)) for part in pair)
                free = tuple(part for part in pair if part not in at)
                grids.append(_Named(free, grid[fixed]))
        return grids

    def _unmasked(self, ranks: Iterable[str], at: Mapping[str, int]) -> _Named:
        """Points of the mask along the ranks, those fixed by `at` taken at their coordinate."""
        wanted = [*dict.fromkeys((*ranks, *at))]
        parts = [part for whole in self.points for part in self.cascade.coordinates(whole, wanted)]
        fixed = tuple(at.get(part, slice(None)) for part in parts)
        free = tuple(part for part in parts if part not in at)
        return _Named(free, self._attended(tuple(parts))[fixed])

    def _attended(self, parts: tuple[str, ...]) -> np.ndarray:
        """The mask as an array over parts of its ranks: true where some of its points lie."""
        if parts not in self.attended:
            array = np.zeros([self.sizes[part] for part in parts], dtype=bool)
            where = tuple(
                coordinate(self.cascade, part, at, self.sizes)
                for whole, at in self.points.items()
                for part in self.cascade.coordinates(whole, parts)
            )
            array[where] = True
            self.attended[parts] = array
        return self.attended[parts]

    def _exists(self, space: Sequence[str], at: Mapping[str, int]) -> np.ndarray:
        """Which points of the space exist, to be broadcast against it."""
        exists = np.ones((1,) * len(space), dtype=bool)
        for grid in self._grids(space, at):
            exists = exists & grid.along(space)
        return exists


def _product(expr: Expr) -> float | None:
    """The numbers of a pure product multiplied together, None where it has another operation."""
    if isinstance(expr, Apply):
        parts = [_product(arg) for arg in expr.args] if expr.op == "mul" else [None]
        return None if None in parts else math.prod(part for part in parts if part is not None)
    return expr.value if isinstance(expr, Number) else 1.0
