"""Masks: which keys each query attends, as values that count themselves and their tiles exactly."""

from einfall.einsum_cascades.masks.heads import HeadMasks, HeadTiles
from einfall.einsum_cascades.masks.mask import Band, Mask, MaskError, Product, Steps, Strided
from einfall.einsum_cascades.masks.neighborhood import Neighborhood, neighborhood
from einfall.einsum_cascades.masks.text import MaskSpec, parse_mask
from einfall.einsum_cascades.masks.tiles import TileCounts, Tiling, count_tiles

__all__ = [
    "Band",
    "HeadMasks",
    "HeadTiles",
    "Mask",
    "MaskError",
    "MaskSpec",
    "Neighborhood",
    "Product",
    "Steps",
    "Strided",
    "TileCounts",
    "Tiling",
    "count_tiles",
    "neighborhood",
    "parse_mask",
]
