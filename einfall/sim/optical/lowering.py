"""A cascade on a 4f system: layers of frames, and between them what the host does.

Einsums keep their order. Each that optics does is a phase of frames; those of the host that follow
each other are one phase, fused: its tensors go through the host's memory only where another phase
makes or needs them. Phases follow each other, as each needs the whole of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from einfall.einsum_cascades.counts import einsum_ops, elements
from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.hw_models.library import Machine
from einfall.hw_models.optical_4f import Optical4f
from einfall.sim import closed_form
from einfall.sim.accounting import Accounting
from einfall.sim.mapping import MappingError
from einfall.sim.nest import Loop, Nest, Work
from einfall.sim.numeric import Number
from einfall.sim.optical import frames, host, light
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.forms import correlation, is_weight
from einfall.sim.optical.frames import Held, Layer
from einfall.sim.optical.mapping import OpticalMapping
from einfall.sim.optical.planes import Planes, planes
from einfall.sim.optical.signs import never_negative
from einfall.sim.optical.tilings import tilings
from einfall.sim.pipeline import Count, Phase, Pipeline, Task, Use


@dataclass(frozen=True, slots=True)
class Lowered:
    """The Pipeline of a cascade, and the layers that its phases of frames are."""

    pipeline: Pipeline
    layers: tuple[Layer, ...]


PUBLISHED_FRAMES = 4
"""Frames of a convolution in the published accounting: all four published times are 2.0 µs each."""


def lower(
    cascade: Cascade,
    sizes: Mapping[str, Number],
    optics: Optical4f,
    mapping: OpticalMapping,
    accounting: Accounting,
) -> Lowered:
    """The phases of a cascade.

    Raises:
        MappingError: Nothing of the cascade is the optics', a pair does not fit the plane, or the
            host cannot do what is left to it.
    """
    machine = host.host_of(optics.host.machine)
    found = correlations(cascade, sizes, optics, mapping)
    if not found:
        raise MappingError(_nothing(cascade, optics, mapping))
    if accounting.published:
        chosen = tuple(_published_layer(n, c, optics, mapping) for n, c in found.items())
        return Lowered(Pipeline(tuple(_published(each, optics) for each in chosen)), chosen)
    chosen = tuple(_fastest(n, c, optics, mapping, machine) for n, c in found.items())
    by_name = {layer.name: layer for layer in chosen}
    phases: list[Phase] = []
    for on_optics, group in groupby(cascade.einsums, key=lambda e: e.name in found):
        if on_optics:
            phases += [_phase(by_name[e.name], optics, machine) for e in group]
        else:
            phases.append(_on_host(cascade, tuple(group), sizes, optics, machine))
    return Lowered(Pipeline(tuple(phases)), chosen)


def correlations(
    cascade: Cascade, sizes: Mapping[str, Number], optics: Optical4f, mapping: OpticalMapping
) -> dict[str, Correlation]:
    """The Einsums that go to the optics, as correlations.

    Of products of data only those that use a map or a kernel again.
    """
    positive = never_negative(cascade)
    if mapping.inputs == "nonnegative":
        names = (access.tensor for access in cascade.inputs)
        positive |= {name for name in names if not is_weight(cascade, name)}
    found = {
        einsum.name: correlation(cascade, einsum, sizes, optics.side, positive)
        for einsum in cascade.einsums
        if not cascade.is_masked(cascade.iteration_ranks(einsum))
    }
    wanted = mapping.data == "optics"
    return {
        name: c
        for name, c in found.items()
        if c is not None and (c.known or (wanted and c.images * c.kernels > 1))
    }


def _nothing(cascade: Cascade, optics: Optical4f, mapping: OpticalMapping) -> str:
    if cascade.mask is not None:
        way = "products under a mask are the host's: leave the mask out"
    elif mapping.data == "optics":
        way = "take a cascade with convolutions or products by weights"
    else:
        asked = f"--mapping {mapping.tiling or 'best'}:data=optics"
        way = f"products of data with data are the host's: {asked} sends them there"
    return (
        f"{cascade.name} on {optics.name}: wanted an Einsum that is a correlation with weights, "
        f"found none; {way}"
    )


# Optics -------------------------------------------------------------------------------------------


def _phase(layer: Layer, optics: Optical4f, machine: Machine) -> Phase:
    return frames.phase(layer, optics, machine, light.exposures(optics, optics.word_bits))


def _fastest(
    name: str, c: Correlation, optics: Optical4f, mapping: OpticalMapping, machine: Machine
) -> Layer:
    """The fastest tiling and order of planes; of equals the one that writes fewest planes."""
    candidates = _undominated(layers(name, c, optics, mapping), optics)
    if not candidates:
        raise MappingError(_too_large(name, c, optics, mapping))

    def cost(layer: Layer) -> tuple[Any, int]:
        return closed_form.phase_time_s(_phase(layer, optics, machine)), _writes(layer)

    return min(candidates, key=cost)


def layers(
    name: str, c: Correlation, optics: Optical4f, mapping: OpticalMapping
) -> Iterator[Layer]:
    """Every way to lay a correlation on the planes that the mapping allows."""
    pitch = c.pitch(mapping.pitch)
    shown: Planes = planes(c, optics, mapping.signs)
    orders: tuple[Held, Held] = ("input", "mask")
    for tiling in dict.fromkeys(tilings(c, optics.side, pitch, mapping.tiling)):
        for held in orders:
            yield Layer(name, c, tiling, shown, held)


def _undominated(found: Iterable[Layer], optics: Optical4f) -> list[Layer]:
    """Layers that no other is at least as good as in frames, writes and pixels."""
    costs: dict[tuple[float, ...], Layer] = {}
    for layer in found:
        costs.setdefault(_costs(layer, optics.side), layer)
    ordered = np.array(sorted(costs))  # no row is dominated by one below it
    kept: list[tuple[float, ...]] = []
    while len(ordered):
        best = ordered[0]
        kept.append(tuple(best))
        ordered = ordered[(ordered < best).any(axis=1)]
    return [costs[cost] for cost in kept]


def _costs(layer: Layer, side: int) -> tuple[float, ...]:
    """What the time of a layer grows with."""
    frames = layer.frames
    return (
        frames,
        layer.changes("input"),
        layer.changes("mask"),
        frames * layer.window(side),
        frames * layer.outputs,
        layer.masks * float(layer.tiling.parts),
    )


def _writes(layer: Layer) -> int:
    return layer.changes("input") + layer.changes("mask")


def _too_large(name: str, c: Correlation, optics: Optical4f, mapping: OpticalMapping) -> str:
    pitch = c.pitch(mapping.pitch)
    rows, columns = (int(p) for p in pitch)
    return (
        f"{name} on {optics.name}: wanted a map and a kernel that fit its plane of {optics.side} "
        f"pixels a side, found one that takes {rows} x {columns}; cut the map into parts, or take "
        "larger planes"
    )


def _published_layer(
    name: str, c: Correlation, optics: Optical4f, mapping: OpticalMapping
) -> Layer:
    """Images side by side where nothing else is asked for, at the full pitch, without signs."""
    found = tilings(c, optics.side, c.full_pitch(), mapping.tiling or "batch")
    tiling = min(found, key=lambda t: int(t.frames), default=None)
    if tiling is None:
        raise MappingError(_too_large(name, c, optics, replace(mapping, pitch="full")))
    return Layer(name, c, tiling, Planes(1, 1, 1, 1), "input")


def _published(layer: Layer, optics: Optical4f) -> Phase:
    """Each single-channel convolution takes 4 frames, however full the plane; nothing else counts.

    Source: FatNet's four published times of ResNet-18 and FatNet, all N_conv · 2.0 µs / batch.
    """
    nest = Nest({"frames": layer.frames}, (Loop("frame", "frames", 1),))
    use = Use("mask", Work(PUBLISHED_FRAMES / optics.mask.rate_hz))
    count = Count("mask", "update", Work(PUBLISHED_FRAMES * optics.mask.side**2))
    task = Task("convolution", (use,), ("frame",), counts=(count,))
    return Phase(layer.name, nest, (task,), ideal=True)


# The host -----------------------------------------------------------------------------------------


def _on_host(
    cascade: Cascade,
    einsums: Sequence[Einsum],
    sizes: Mapping[str, Number],
    optics: Optical4f,
    machine: Machine,
) -> Phase:
    """Einsums of the host that follow each other, as one phase at its roofline."""
    tasks = [_einsum_task(cascade, e, sizes, machine) for e in einsums]
    each, word = host.memory(machine), optics.word_bytes
    for tensor in _through_memory(cascade, einsums):
        moved = float(elements(cascade, tensor, sizes)) * word
        use = Use(each.unit, Work(moved * each.s))
        tasks.append(
            Task(f"move {tensor}", (use,), (), counts=(Count(each.unit, "byte", Work(moved)),))
        )
    return Phase(_phase_name(einsums), Nest({}, ()), tuple(tasks), ideal=True)


def _phase_name(einsums: Sequence[Einsum]) -> str:
    names = [e.name for e in einsums]
    return "host: " + (names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}")


def _einsum_task(
    cascade: Cascade, einsum: Einsum, sizes: Mapping[str, Number], machine: Machine
) -> Task:
    operations = {op: float(n) for op, n in einsum_ops(cascade, einsum, sizes).items()}
    rates = {op: host.rate(machine, op) for op in operations}
    uses = tuple(Use(rates[op].unit, Work(n * rates[op].s)) for op, n in operations.items())
    counts = tuple(Count(rates[op].unit, op, Work(n)) for op, n in operations.items())
    return Task(einsum.name, uses or (Use("host.fma", Work(0.0)),), (), counts=counts)


def _through_memory(cascade: Cascade, einsums: Sequence[Einsum]) -> Iterator[str]:
    """Tensors that a group of Einsums reads from elsewhere, and its own that are needed there."""
    own = {e.name for e in einsums}
    read = dict.fromkeys(a.tensor for e in einsums for a in e.operands if a.tensor not in own)
    others = {a.tensor for e in cascade.einsums if e.name not in own for a in e.operands}
    needed = [e.name for e in einsums if e.name in others or e.name in cascade.outputs]
    yield from (*read, *needed)
