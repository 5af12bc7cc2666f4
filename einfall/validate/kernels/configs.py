"""The launch configurations that each kernel is tuned over: a short list a head width."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Shape3 = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """How one launch cuts its work.

    Args:
        q: Queries in a tile [rows]; of a linear attention the state's rows (E) in a tile.
        k: Keys in a tile [rows]; of a linear attention the state's columns (F) in a tile.
        warps: Warps in a thread block.
        stages: Key/value tiles in flight (Triton's `num_stages`).

    >>> str(Tile(128, 64, 8, 3))
    'q=128;k=64;warps=8;stages=3'
    """

    q: int
    k: int
    warps: int
    stages: int

    def __str__(self) -> str:
        """As it stands in a recording."""
        return f"q={self.q};k={self.k};warps={self.warps};stages={self.stages}"

    @property
    def launch(self) -> dict[str, int]:
        """The options that Triton takes with a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages}


@dataclass(frozen=True, slots=True)
class BoxTile:
    """A launch over boxes of tokens: tile shapes along three axes, two-dimensional ones 1 first.

    >>> tile = BoxTile((1, 16, 8), (1, 8, 8), 8, 3)
    >>> str(tile), tile.q, tile.k
    ('q=1x16x8;k=1x8x8;warps=8;stages=3', 128, 64)
    """

    q_box: Shape3
    k_box: Shape3
    warps: int
    stages: int

    def __str__(self) -> str:
        """As it stands in a recording."""
        q, k = ("x".join(map(str, box)) for box in (self.q_box, self.k_box))
        return f"q={q};k={k};warps={self.warps};stages={self.stages}"

    @property
    def q(self) -> int:
        """Queries in a tile [rows]."""
        return prod(self.q_box)

    @property
    def k(self) -> int:
        """Keys in a tile [rows]."""
        return prod(self.k_box)

    @property
    def launch(self) -> dict[str, int]:
        """The options that Triton takes with a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages}


FLASH = {
    64: (Tile(128, 128, 8, 3), Tile(128, 64, 4, 3), Tile(64, 64, 4, 3)),
    128: (Tile(128, 128, 8, 2), Tile(128, 64, 8, 3), Tile(64, 128, 4, 2), Tile(64, 64, 4, 3)),
    256: (Tile(128, 64, 8, 2), Tile(128, 32, 8, 3), Tile(64, 32, 4, 3)),
}

NEIGHBORHOOD_2D = (
    BoxTile((1, 16, 8), (1, 16, 8), 8, 2),
    BoxTile((1, 16, 8), (1, 8, 8), 8, 3),
    BoxTile((1, 8, 8), (1, 8, 8), 4, 3),
)

NEIGHBORHOOD_3D = (
    BoxTile((2, 8, 8), (2, 8, 8), 8, 2),
    BoxTile((4, 4, 8), (2, 4, 8), 8, 3),
    BoxTile((4, 4, 4), (4, 4, 4), 4, 3),
)

LINEAR = (Tile(64, 64, 4, 2), Tile(64, 64, 4, 3), Tile(64, 64, 8, 3), Tile(128, 64, 8, 2))

DECODE = (Tile(16, 128, 4, 3), Tile(16, 64, 4, 4), Tile(16, 32, 2, 4))

UNFUSED = {
    64: (Tile(128, 128, 8, 3), Tile(128, 64, 4, 3)),
    128: (Tile(128, 128, 8, 3), Tile(128, 128, 8, 2), Tile(128, 64, 8, 3)),
}

SOFTMAX_COLUMNS = 1024
"""Columns that the row softmax of the unfused kernel takes at a time."""


def block_sparse_tiles(block: int) -> tuple[Tile, ...]:
    """Configurations of the block-sparse kernel: the block list fixes the tile, stages may vary."""
    return tuple(Tile(block, block, 8 if block >= 128 else 4, stages) for stages in (2, 3))
