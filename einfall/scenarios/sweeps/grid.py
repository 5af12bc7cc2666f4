"""The points of a sweep: the product of its axes, the last one fastest, each with its index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring points: one place on the first axes, some on the next, all on the others.

    A block is what is worked out at once, so that its numbers do not depend on what is worked out
    beside it: blocks follow from the axes alone.

    first: Index of its first point.
    ranges: On each axis from where to where.
    """

    first: int
    ranges: tuple[range, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        """Places on each axis."""
        return tuple(map(len, self.ranges))

    @property
    def points(self) -> int:
        """How many points."""
        return prod(self.dims)


@dataclass(frozen=True)
class Grid:
    """Axes of so many places, cut into blocks of at most `most` points.

    >>> grid = Grid((2, 3, 4), most=8)
    >>> [(b.first, b.dims) for b in grid.blocks(0, 4)]
    [(0, (1, 2, 4)), (8, (1, 1, 4)), (12, (1, 2, 4)), (20, (1, 1, 4))]
    """

    dims: tuple[int, ...]
    most: int

    @property
    def points(self) -> int:
        """How many points."""
        return prod(self.dims)

    @cached_property
    def _axes(self) -> tuple[int, ...]:
        """Places on each axis; a grid without axes is one point on one."""
        return self.dims or (1,)

    @cached_property
    def _cut(self) -> tuple[int, int]:
        """The axis that is cut, and how many of its places a block takes."""
        inside = 1
        for axis in reversed(range(len(self._axes))):
            if inside * self._axes[axis] > self.most:
                return axis, max(1, self.most // inside)
            inside *= self._axes[axis]
        return 0, self._axes[0]

    @cached_property
    def block_count(self) -> int:
        """How many blocks."""
        axis, step = self._cut
        return prod(self._axes[:axis]) * -(-self._axes[axis] // step)

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks from a number up to another."""
        axis, step = self._cut
        dims = self._axes
        cuts = -(-dims[axis] // step)
        inside = prod(dims[axis + 1 :])
        for number in range(start, stop):
            lead, cut = divmod(number, cuts)
            own = range(cut * step, min((cut + 1) * step, dims[axis]))
            before = tuple(range(i, i + 1) for i in self.place(lead, dims[:axis]))
            first = (lead * dims[axis] + own.start) * inside
            ranges = (*before, own, *(range(n) for n in dims[axis + 1 :]))
            yield Block(first, ranges[: len(self.dims)])

    @staticmethod
    def place(index: int, dims: Sequence[int]) -> tuple[int, ...]:
        """Place on each axis of a point.

        >>> Grid.place(7, (2, 3, 4))
        (0, 1, 3)
        """
        found = []
        for n in reversed(dims):
            index, at = divmod(index, n)
            found.append(at)
        return tuple(reversed(found))
