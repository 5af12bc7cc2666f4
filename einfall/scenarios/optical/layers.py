"""Layers of convolutional networks (`optical_networks.csv`), and what they ask of a machine."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path

from einfall.scenarios.optical.costs import Demand
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.frames import FFT_FLOPS
from einfall.sim.optical.host import FLOP

DATA = Path(__file__).parents[1] / "data"

WORD_BYTES = 2
"""A number on a machine that is no 4f system: bf16."""

COMPLEX_MACS = 4
"""Multiply-adds of a product of complex numbers that is added up."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of stride 1 whose output is as large as its map."""

    network: str
    name: str
    channels: int
    filters: int
    map_side: int
    kernel_side: int

    def shape(self, images: int) -> dict[str, int]:
        """The shape of cascade `conv2d`."""
        return {
            "batch": images,
            "channels": self.channels,
            "filters": self.filters,
            "height": self.map_side,
            "width": self.map_side,
            "kernel_height": self.kernel_side,
            "kernel_width": self.kernel_side,
        }

    def correlation(self, images: int = 1) -> Correlation:
        """What a plane is asked to do."""
        map_sides = (self.map_side, self.map_side)
        kernel_sides = (self.kernel_side, self.kernel_side)
        return Correlation(
            images, self.filters, map_sides, kernel_sides, "same", channels=self.channels
        )

    @property
    def convolutions(self) -> int:
        """Convolutions of one map by one kernel for an image: channels · filters."""
        return self.channels * self.filters


def direct(layer: Layer, images: float) -> Demand:
    """An image's part of the direct convolution of so many.

        macs = C·K·M²·N²       bytes = word · (C·M² + K·M² + C·K·N² / images)

    >>> first = Layer("ResNet-18", "0", 3, 64, 32, 7)
    >>> direct(first, 3136).operations
    {'mac': 9633792.0}
    """
    macs = float(layer.correlation().macs)
    weights = layer.convolutions * layer.kernel_side**2
    return Demand({"mac": macs}, WORD_BYTES * (_maps(layer) + weights / images))


def by_fft(layer: Layer, images: float) -> Demand:
    """An image's part of the convolution of so many by FFTs of n = (M+N-1)² points.

        flops = (C + K) · 5·n·log₂n      macs = 4·n·C·K      bytes: spectra in place of kernels

    Spectra of kernels are made beforehand; spectra of maps never leave the chip. Left out: that
    spectra of real maps have two equal halves, which may halve all of it.

    >>> large = Layer("Fat-U-Net", "conv4.1", 10, 10, 160, 160)
    >>> by_fft(large, 64).operations["mac"] / direct(large, 64).operations["mac"]
    0.0006210...
    """
    points = (layer.map_side + layer.kernel_side - 1) ** 2
    transforms = (layer.channels + layer.filters) * FFT_FLOPS * points * log2(points)
    products = COMPLEX_MACS * points * layer.convolutions
    spectra = 2 * points * layer.convolutions
    operations = {FLOP: transforms, "mac": float(products)}
    return Demand(operations, WORD_BYTES * (_maps(layer) + spectra / images))


def _maps(layer: Layer) -> int:
    """Numbers of the maps that a layer reads and writes for an image."""
    return layer.map_side**2 * (layer.channels + layer.filters)


@cache
def networks() -> Mapping[str, tuple[Layer, ...]]:
    """The layers of every network.

    >>> sum(layer.convolutions for layer in networks()["FatNet"])
    148637
    """
    found: dict[str, list[Layer]] = {}
    for row in rows("optical_networks.csv"):
        channels, filters, side, kernel = (
            int(row[name]) for name in ("channels", "filters", "map_side", "kernel_side")
        )
        layer = Layer(row["network"], row["layer"], channels, filters, side, kernel)
        found.setdefault(layer.network, []).append(layer)
    return {name: tuple(layers) for name, layers in found.items()}


def rows(name: str) -> Iterator[dict[str, str]]:
    """Rows of a file of `scenarios/data`, without its comments."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))
