"""Answers for many shapes: one estimate a mapping, with arrays in it where that is exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from einfall.einsum_cascades import library
from einfall.einsum_cascades.einsum import Cascade
from einfall.hw_models.spatial_array import SpatialArray
from einfall.scenarios.overflow import overflow_j
from einfall.sim.accounting import Accounting
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import Estimate, estimate
from einfall.sim.mapping import Mapping as CascadeMapping

Shape = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One answer: time [s], energy [J], DRAM traffic [B], utilization [fraction].

    `einsums` is the 2D array's utilization by Einsum, `macs_j` the energy of its multiply-adds.
    `overflow_j` is the part of the energy that the published figures owe to wrapped integers
    (`overflow`); it is 0 in the physical accounting.
    """

    latency_s: float
    energy_j: float
    dram_bytes: float
    array_2d: float
    array_1d: float
    einsums: Mapping[str, float]
    macs_j: float
    overflow_j: float = 0.0


def points(
    cascade: str,
    shapes: Sequence[Shape],
    machine: SpatialArray,
    mapping: str | CascadeMapping,
    accounting: Accounting,
) -> list[Point]:
    """The answers for the shapes, in their order.

    With the published accounting, energies hold what its integer overflow adds. There no schedule
    depends on the shape, so that one sweep over arrays gives exactly what single questions give.

    Args:
        cascade: Name of the cascade.
        shapes: Shapes with the same keys.
        machine: On what.
        mapping: A mapping, or the name of one; "flat" and "auto" are made for each shape.
        accounting: What is charged.
    """
    what = library.load(cascade)
    chosen = [_mapping(what, shape, machine, mapping, accounting) for shape in shapes]
    found: dict[int, Point] = {}
    for which in _batches(chosen) if accounting.published else [[i] for i in range(len(shapes))]:
        batch = [shapes[i] for i in which]
        answer = estimate(what, _stacked(batch), machine, chosen[which[0]], accounting=accounting)
        found |= zip(which, _unstacked(what, answer, len(which)), strict=True)
    if accounting.published:
        for i, shape in enumerate(shapes):
            excess = overflow_j(what, shape, machine, chosen[i])
            energy = found[i].energy_j + excess
            found[i] = replace(found[i], energy_j=energy, overflow_j=excess)
    return [found[i] for i in range(len(shapes))]


def _mapping(
    cascade: Cascade,
    shape: Shape,
    machine: SpatialArray,
    mapping: str | CascadeMapping,
    accounting: Accounting,
) -> CascadeMapping:
    if isinstance(mapping, CascadeMapping):
        return mapping
    return mapping_for(cascade, shape, machine, name=mapping, accounting=accounting)


def _batches(mappings: Iterable[CascadeMapping]) -> list[list[int]]:
    """Places of equal mappings."""
    batches: list[tuple[CascadeMapping, list[int]]] = []
    for i, mapping in enumerate(mappings):
        same = next((w for known, w in batches if known is mapping or known == mapping), None)
        if same is None:
            batches.append((mapping, [i]))
        else:
            same.append(i)
    return [which for _, which in batches]


def _stacked(shapes: Sequence[Shape]) -> dict[str, int | np.ndarray]:
    """One shape of arrays; a single shape, and sizes that are all the same, stay plain."""
    stacked: dict[str, int | np.ndarray] = {}
    for key in shapes[0]:
        sizes = [shape[key] for shape in shapes]
        stacked[key] = sizes[0] if len(set(sizes)) == 1 else np.array(sizes, dtype=float)
    return stacked


def _unstacked(cascade: Cascade, answer: Estimate, n: int) -> list[Point]:
    """The points of an estimate over n shapes."""

    def each(value: object) -> list[float]:
        return np.broadcast_to(np.asarray(value, dtype=float), (n,)).tolist()

    own = {einsum.name for einsum in cascade.einsums}  # a stall is no Einsum
    lines = [line for line in answer.breakdown if line.unit == "2d" and line.einsum in own]
    einsums = [each(line.utilization) for line in lines]
    columns = zip(
        each(answer.latency_s),
        each(answer.energy_j),
        each(answer.traffic_bytes["dram"]),
        each(answer.utilization["2d"]),
        each(answer.utilization["1d"]),
        each(answer.parts_j.get("2d.mac", 0.0)),
        strict=True,
    )
    return [
        Point(
            latency_s=latency,
            energy_j=energy,
            dram_bytes=dram,
            array_2d=array_2d,
            array_1d=array_1d,
            einsums={line.einsum: part[i] for line, part in zip(lines, einsums, strict=True)},
            macs_j=macs,
        )
        for i, (latency, energy, dram, array_2d, array_1d, macs) in enumerate(columns)
    ]
