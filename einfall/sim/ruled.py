"""Mappings without a search: files, and those that a rule makes for a shape."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from contextlib import suppress
from pathlib import Path

from einfall.einsum_cascades.counts import ops_per_point
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.library import Machine, as_array
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim import flat, mapping
from einfall.sim.accounting import PHYSICAL, Accounting
from einfall.sim.auto_mapping import CORE, auto_mapping
from einfall.sim.estimate import estimate
from einfall.sim.legality import refuse_windows
from einfall.sim.mapping import Mapping, MappingError
from einfall.sim.numeric import Number, largest

FAMILIES: MappingOf[str, str] = {
    "auto": "Made by rule for any cascade on any array, for the shape at hand; not the best.",
    "flat": "Three-pass attention with rows of scores on chip; its dataflow depends on the shape.",
}
"""Mappings that a rule makes for a shape, beside those that are files."""


def names() -> tuple[str, ...]:
    """Names of all mappings: files and families, sorted."""
    return tuple(sorted((*mapping.names(), *FAMILIES)))


def mapping_for(
    cascade: Cascade,
    shape: MappingOf[str, Number],
    machine: Machine,
    *,
    name: str | Path | None = None,
    accounting: Accounting = PHYSICAL,
) -> Mapping:
    """The mapping of that name or file; without one, the default of the cascade on the machine.

    Defaults: one-pass attention gets `fusemax` where the array can do the softmax of its tiles,
    else `plus_cascade`; three-pass attention gets `flat`; everything else `auto`. Where too few
    rows of scores fit the buffer to be worth it, `flat` becomes `unfused`.

    Raises:
        SpecError: The machine is no spatial array; no such mapping, or mistakes in its file.
        ShapeError: The shape does not fit the cascade.
        MappingError: Nothing fits the machine, or the cascade reads maps in windows.
    """
    array = as_array(machine)
    refuse_windows(cascade)
    chosen = str(name) if name is not None else default_name(cascade, array)
    if chosen not in FAMILIES:
        return mapping.load(chosen)
    if chosen == "auto":
        return _auto(cascade, shape, array)
    return _flat(cascade, shape, array, accounting)


def _auto(cascade: Cascade, shape: MappingOf[str, Number], machine: SpatialArray) -> Mapping:
    """The mapping by rule, with fibers of keys on chip or streamed pass by pass: the faster."""
    sizes = rank_sizes(cascade, shape)
    kept = auto_mapping(cascade, sizes, machine)
    if all(group.name != CORE for group in kept.groups):
        return kept
    with suppress(MappingError):  # the other one does not fit
        streamed = auto_mapping(cascade, sizes, machine, fibers=False)
        times = [largest(estimate(cascade, shape, machine, m).latency_s) for m in (streamed, kept)]
        return streamed if times[0] < times[1] else kept
    return kept


def _flat(
    cascade: Cascade,
    shape: MappingOf[str, Number],
    machine: SpatialArray,
    accounting: Accounting,
) -> Mapping:
    """The published dataflow; by default the faster of rows of scores on chip and none."""
    if cascade.name != "attention_3pass" or not {"1d", "2d"} <= set(machine.units):
        raise MappingError(
            f"mapping flat: is for attention_3pass on units 1d and 2d, found cascade "
            f"{cascade.name} on {', '.join(machine.units)} of {machine.name}; try --mapping auto"
        )
    whole = {rank: int(largest(size)) for rank, size in rank_sizes(cascade, shape).items()}
    if accounting.published:
        return flat.mapping_of(flat.published(machine.name, whole["E"], whole["P"]))
    unfused, dataflow = mapping.load("unfused"), flat.choose(whole, machine)
    if dataflow is None:
        return unfused
    choices = (flat.mapping_of(dataflow), unfused)
    return min(choices, key=lambda m: largest(estimate(cascade, shape, machine, m).latency_s))


def default_name(cascade: Cascade, machine: SpatialArray) -> str:
    """The mapping that a cascade gets on a machine if none is named."""
    if cascade.name == "attention_3pass" and {"1d", "2d"} <= set(machine.units):
        return "flat"
    if cascade.name != "attention_1pass" or not {"1d", "2d"} <= set(machine.units):
        return "auto"
    scores = [e for e in cascade.einsums if e.name in ("LM", "SLN", "SLD")]
    array = machine.units["2d"]
    able = all(array.supports(op) for e in scores for op in ops_per_point(e))
    return "fusemax" if able else "plus_cascade"
