"""Every family of masks by its constructor; `text.py` has the same families as text."""

from einfall.einsum_cascades.masks.block_files import read_blocks
from einfall.einsum_cascades.masks.blocks import block_list, block_map, power, strided
from einfall.einsum_cascades.masks.documents import block_diagonal, block_rank, documents
from einfall.einsum_cascades.masks.grids import blocked, grid, halo
from einfall.einsum_cascades.masks.heads import head_windows, strided_heads
from einfall.einsum_cascades.masks.neighborhood import neighborhood
from einfall.einsum_cascades.masks.radial import radial
from einfall.einsum_cascades.masks.random_keys import expected_random_keys, random_keys
from einfall.einsum_cascades.masks.sequences import (
    causal,
    dense,
    dilated_window,
    sink_window,
    sliding_window,
    triangle,
)

__all__ = [
    "block_diagonal",
    "block_list",
    "block_map",
    "block_rank",
    "blocked",
    "causal",
    "dense",
    "dilated_window",
    "documents",
    "expected_random_keys",
    "grid",
    "halo",
    "head_windows",
    "neighborhood",
    "power",
    "radial",
    "random_keys",
    "read_blocks",
    "sink_window",
    "sliding_window",
    "strided",
    "strided_heads",
    "triangle",
]
