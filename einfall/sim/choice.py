"""Which mapping a question gets: what it names, what a search finds, or what suits."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from pathlib import Path

from einfall.einsum_cascades.einsum import Cascade
from einfall.hw_models.library import Machine
from einfall.sim import ruled
from einfall.sim.accounting import PHYSICAL, Accounting
from einfall.sim.mapping import Mapping, MappingError
from einfall.sim.numeric import Number, largest

BEST = "best"
"""The mapping that a search finds."""

FAMILIES: MappingOf[str, str] = {
    BEST: "Found by `einfall search` for the shape at hand: the least latency, with a proof.",
    **ruled.FAMILIES,
}
"""Mappings that are made for a shape, beside those that are files."""


def names() -> tuple[str, ...]:
    """Names of all mappings: files and families, sorted."""
    return tuple(sorted((BEST, *ruled.names())))


def mapping_for(
    cascade: Cascade,
    shape: MappingOf[str, Number],
    machine: Machine,
    *,
    name: str | Path | None = None,
    accounting: Accounting = PHYSICAL,
) -> Mapping:
    """The mapping of that name or file; without one, the default of the cascade on the machine.

    `best` is the one of least latency that the search finds; others are those of
    `ruled.mapping_for`, which tells the defaults.

    Raises:
        SpecError: The machine is no spatial array; no such mapping, or mistakes in its file.
        ShapeError: The shape does not fit the cascade.
        MappingError: Nothing fits the machine, or the cascade reads maps in windows.
    """
    if name != BEST:
        return ruled.mapping_for(cascade, shape, machine, name=name, accounting=accounting)
    from einfall.sim.search import search  # large, and rarely asked for

    if accounting.published:
        raise MappingError(
            "mapping best: is searched by what the hardware does, found --accounting artifact; "
            "leave it out"
        )
    sizes = {key: int(largest(size)) for key, size in shape.items()}
    return search(cascade, sizes, machine).best.mapping
