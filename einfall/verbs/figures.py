"""Figures that a verb writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, path: str) -> None:
    """Write a figure, whole or not at all."""
    from einfall.report.files import write

    write(path, lambda part: figure.savefig(part, dpi=200))
