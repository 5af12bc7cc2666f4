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
    def _cut(self) -> tuple[int, int]:
        """The axis that is cut, and how many of its places a block takes."""
        inside = 1
        for axis in reversed(range(len(self.dims))):
            if inside * self.dims[axis] > self.most:
                return axis, max(1, self.most // inside)
            inside *= self.dims[axis]
        return 0, self.dims[0]

    @cached_property
    def block_count(self) -> int:
        """How many blocks."""
        axis, step = self._cut
        return prod(self.dims[:axis]) * -(-self.dims[axis] // step)

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks from a number up to another."""
        axis, step = self._cut
        cuts = -(-self.dims[axis] // step)
        inside = prod(self.dims[axis + 1 :])
        for number in range(start, stop):
            lead, cut = divmod(number, cuts)
            own = range(cut * step, min((cut + 1) * step, self.dims[axis]))
            before = tuple(range(i, i + 1) for i in self.place(lead, self.dims[:axis]))
            first = (lead * self.dims[axis] + own.start) * inside
            yield Block(first, (*before, own, *(range(n) for n in self.dims[axis + 1 :])))

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
