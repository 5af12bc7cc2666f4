"""Register accesses as the artifact of FuseMax counts them: published data, used as published.

The artifact reads them off Timeloop's reports for one processing element and multiplies them by
one, where multiplications are multiplied by all elements (docs/assumptions.md). The counts follow
from how each of its problem files was written, not from one rule; so they are kept here as the
formulas they are, and the physical accounting does not use them.

D is the edge of the array, T the number of D×D score tiles over batch, heads, keys and queries, R
the number of D-wide query tiles over batch, heads and queries; E and F are the widths of query·key
and of the values.

Source: Nayak et al., FuseMax, MICRO 2024, artifact f543beb, Timeloop statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from einfall.einsum_cascades.counts import ops_per_point
from einfall.sim.group import GroupContext
from einfall.sim.nest import Factor, Work
from einfall.sim.numeric import Number, ceil_div

Charges = dict[tuple[str, str], Number]
"""How often each (unit, action) happens."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """The numbers of the formulas; see the module."""

    D: Number
    T: Number
    R: Number
    E: Number
    F: Number


def fusemax(t: Tiles) -> Charges:
    """FuseMax, "+Architecture" and "+Binding".

    2D, one element:  reads 3TE - T + 4T + 2TF + (TF - RF), writes 3TE + 4T + 2TF + (TF - RF)
    1D, one element:  reads 8T + 4TF + 2RF,                 writes 6T + 3TF + 2RF + R
    1D, all elements, results that arrive from the 2D array:
                      reads D(T + TF - RF),                 writes D(2T + TF)
    """
    T, E, F, R, D = t.T, t.E, t.F, t.R, t.D
    return _charges(
        reads_2d=3 * T * E - T + 4 * T + 2 * T * F + (T * F - R * F),
        writes_2d=3 * T * E + 4 * T + 2 * T * F + (T * F - R * F),
        reads_1d=8 * T + 4 * T * F + 2 * R * F + D * (T + T * F - R * F),
        writes_1d=6 * T + 3 * T * F + 2 * R * F + R + D * (2 * T + T * F),
    )


def plus_cascade(t: Tiles) -> Charges:
    """Of "+Cascade": as FuseMax, but the 1D array handles whole tiles of scores.

    Six reads and four writes of a score column take the place of the staged results. Found from
    the published energies, all 48 of which it meets to 1e-12 where nothing overflows.
    """
    T, E, F, R, D = t.T, t.E, t.F, t.R, t.D
    return _charges(
        reads_2d=3 * T * E + 2 * T * F + (T * F - R * F),
        writes_2d=3 * T * E + 2 * T * F + (T * F - R * F),
        reads_1d=5 * T + 4 * T * F + 2 * R * F + 6 * D * T,
        writes_1d=7 * T + 3 * T * F + 2 * R * F + R + 4 * D * T,
    )


def _charges(
    *, reads_2d: Number, writes_2d: Number, reads_1d: Number, writes_1d: Number
) -> Charges:
    return {
        ("2d", "register_read"): reads_2d,
        ("2d", "register_write"): writes_2d,
        ("1d", "register_read"): reads_1d,
        ("1d", "register_write"): writes_1d,
    }


def _tiles(context: GroupContext) -> Tiles:
    """The numbers of a group that maps attention on a square array."""
    extent, edge = context.layout.extents, context.machine.units["2d"].cols
    heads = extent["B"] * extent["G"] * extent["H/G"]
    queries = heads * ceil_div(extent["P"], edge)
    scores = queries * ceil_div(extent["M"], edge)
    return Tiles(edge, scores, queries, extent["E"], extent["F"])


def _one_pass(counts: Callable[[Tiles], Charges]) -> Callable[[GroupContext], Charges]:
    return lambda context: counts(_tiles(context))


def three_pass(context: GroupContext) -> Charges:
    """Baselines: three reads and writes in each cycle of a product; 8 and 7 a score in softmax."""
    charges = _product_cycles(context)
    if any(context.mapping.binding(e.name).unit == "1d" for e in context.einsums):
        tiles = _tiles(context)
        charges["1d", "register_read"] = 8 * tiles.D * tiles.T
        charges["1d", "register_write"] = 7 * tiles.D * tiles.T
    return charges


def gemm(context: GroupContext) -> Charges:
    """Linear layers: three reads and writes a cycle, but the first sum of each output is free."""
    charges = _product_cycles(context)
    pes = context.machine.units["2d"].pes
    for einsum in context.einsums:
        outputs = Work(1, tuple(d.factor for d in context.layout.tensor(einsum.name)))
        charges["2d", "register_read"] -= outputs.total(context.nest, ()) / pes
    return charges


def _product_cycles(context: GroupContext) -> Charges:
    """Three reads and writes in each cycle that the 2D array multiplies."""
    cycles: Number = 0
    unit = context.machine.units["2d"]
    for einsum in context.einsums:
        if "mac" not in ops_per_point(einsum):
            continue
        binding = context.mapping.binding(einsum.name)
        dims = {d.rank: d.factor for d in context.layout.points(einsum)}
        points = []
        for side, lanes in ((binding.rows, unit.rows), (binding.cols, unit.cols)):
            spread = tuple(rank for rank in side if dims.pop(rank, None))
            points += [Factor(spread, lanes)] if spread else []
        points += dims.values()
        cycles = cycles + Work(1, tuple(points)).total(context.nest, ())
    return {("2d", "register_read"): 3 * cycles, ("2d", "register_write"): 3 * cycles}


COUNTS: Mapping[str, Callable[[GroupContext], Charges]] = MappingProxyType(
    {
        "fusemax": _one_pass(fusemax),
        "plus_cascade": _one_pass(plus_cascade),
        "three_pass": three_pass,
        "gemm": gemm,
    }
)


def register_charges(context: GroupContext) -> Charges:
    """The published register accesses of a group; none where its mapping names no rule."""
    rule = context.group.published.registers
    return COUNTS[rule](context) if rule else {}
