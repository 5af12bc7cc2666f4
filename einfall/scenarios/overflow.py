"""What the published energies hold because 64-bit products in the artifact's tool wrap around.

Timeloop does not charge the first read of a partial result: a result of U elements, kept in tiles
of S elements, is read (updates - U) times. It computes U as (U·S)/S in 64 bits. Where U·S reaches
2^64 the difference comes back as accesses that never happen:

    wrapped(U, S) = U - ((U·S) mod 2^64) / S

Each such access is a row of the buffer read (256 words at a time) and some of the registers behind
it. Which tensors this befalls, with B·H heads, P queries and M keys, E and F wide, tiles of D×D and
P1 of them in the buffer:

| mapping | tensor | U | S | accesses of each |
|---|---|---|---|---|
| all of one pass | RNV | BH·(M/D)·P·F | P1·D·F | a buffer read, 2 reads and 1 write in 1D |
| FuseMax, +Architecture | BQK | BH·M·P | P1·D·D | 2 reads in 2D |
| +Cascade | BQK | BH·M·P | P1·D·D | a buffer read, a read and a write in 2D |
| +Cascade | SLN | BH·M·P | P1·D·D | a buffer read, a read and a write in 1D |
| unfused | QK | BH·M·P | P1·D·D | a read and a write in 2D |
| unfused, FLAT | SN | BH·M·P | M | a buffer read, 2 reads and 2 writes in 1D |
| FLAT, scores on chip | QK | BH·M·P | P1·D·M | a buffer read, a read and a write in 2D |

(All of one pass: FuseMax, +Architecture, +Cascade. "In 1D": of registers, once for a row; "in 2D":
once for D·D scores, because the tool counts the registers of one element.)

The rows of buffer accesses are those of the reference notes; the register accesses were found from
the published energies of BERT and T5, which they meet to 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from einfall.einsum_cascades.shapes import rank_sizes
from einfall.sim.accounting import ARTIFACT
from einfall.sim.estimate import action_energy_j
from einfall.sim.layout import Layout
from einfall.sim.numeric import Number
from einfall.sim.tiling import group_context, split_tiles

if TYPE_CHECKING:
    from einfall.einsum_cascades.einsum import Cascade
    from einfall.hw_models.spatial_array import SpatialArray
    from einfall.sim.group import GroupContext
    from einfall.sim.mapping import Mapping as CascadeMapping

Charges = dict[tuple[str, str], float]
"""How often each (component, action) is charged in excess."""

_MODULUS = 2**64


def wrapped(elements: int, tile: int) -> float:
    """Elements of a result that 64-bit arithmetic forgets: U - ((U·S) mod 2^64)/S.

    Args:
        elements: U, elements of the result.
        tile: S, elements of its tile.

    >>> wrapped(2**40, 2**20), wrapped(2**44, 2**20), wrapped(3 * 2**43, 2**20) / 2**44
    (0.0, 17592186044416.0, 1.0)
    """
    return elements - (elements * tile % _MODULUS) / tile


def overflow_j(
    cascade: Cascade, shape: Mapping[str, int], machine: SpatialArray, mapping: CascadeMapping
) -> float:
    """Energy [J] that the published figure of a shape holds in excess; 0 where nothing wraps.

    Args:
        cascade: What is computed.
        shape: One shape, plain whole numbers.
        machine: On what.
        mapping: How; its `published.registers` says which row of the table applies.
    """
    layout = Layout(cascade, rank_sizes(cascade, shape, split_tiles(cascade, machine, mapping)))
    total: Number = 0.0
    for group in mapping.groups:
        rule = _RULES.get(group.published.registers or "")
        if rule is None:
            continue
        context = group_context(layout, machine, mapping, group, ARTIFACT)
        for charges in rule(context):
            total += sum(n * action_energy_j(machine, *what) for what, n in charges.items())
    return float(total)  # of plain numbers


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The numbers of the table; see the module."""

    D: int
    BH: int
    P: int
    M: int
    F: int
    P1: int

    @property
    def scores(self) -> int:
        return self.BH * self.M * self.P

    @property
    def tile(self) -> int:
        """Elements of the scores of all query tiles in the buffer against one tile of keys."""
        return self.P1 * self.D * self.D


def _sizes(context: GroupContext) -> _Sizes:
    n = {rank: int(size) for rank, size in context.layout.extents.items()}
    edge = int(context.machine.units["2d"].cols)
    queries = int(context.nest.tile("P", ("p2",)))
    return _Sizes(
        D=edge,
        BH=n["B"] * n["G"] * n["H/G"],
        P=n["P"],
        M=n["M"],
        F=n["F"],
        P1=-(-queries // edge),
    )


def _words(context: GroupContext, n: float, reads: int = 0, writes: int = 0) -> Charges:
    """Reads of n words of the buffer, row by row, with register accesses of the 1D array a row."""
    rows = n / context.row_words
    return {
        ("buffer", "read"): rows,
        ("1d", "register_read"): reads * rows,
        ("1d", "register_write"): writes * rows,
    }


def _in_array(context: GroupContext, n: float, reads: int, writes: int = 0) -> Charges:
    """Accesses to the registers of one element of the 2D array for n scores spread over all."""
    tiles = n / context.machine.units["2d"].pes
    return {("2d", "register_read"): reads * tiles, ("2d", "register_write"): writes * tiles}


def _running_values(context: GroupContext, s: _Sizes) -> Charges:
    n = wrapped(s.BH * (s.M // s.D) * s.P * s.F, s.P1 * s.D * s.F)
    return _words(context, n, reads=2, writes=1)


def _fusemax(context: GroupContext) -> Iterator[Charges]:
    s = _sizes(context)
    yield _running_values(context, s)
    yield _in_array(context, wrapped(s.scores, s.tile), reads=2)


def _plus_cascade(context: GroupContext) -> Iterator[Charges]:
    s = _sizes(context)
    scores = wrapped(s.scores, s.tile)
    yield _running_values(context, s)
    yield _words(context, scores)
    yield _in_array(context, scores, reads=1, writes=1)
    yield _words(context, scores, reads=1, writes=1)


def _three_pass(context: GroupContext) -> Iterator[Charges]:
    s = _sizes(context)
    own = context.own
    if "SN" in own:
        yield _words(context, wrapped(s.scores, s.M), reads=2, writes=2)
    if "QK" in own and context.level("QK") == "buffer":
        scores = wrapped(s.scores, s.P1 * s.D * s.M)
        yield _words(context, scores)
        yield _in_array(context, scores, reads=1, writes=1)
    elif "QK" in own and "SN" not in own:
        yield _in_array(context, wrapped(s.scores, s.tile), reads=1, writes=1)


_RULES: Mapping[str, Callable[[GroupContext], Iterator[Charges]]] = MappingProxyType(
    {"fusemax": _fusemax, "plus_cascade": _plus_cascade, "three_pass": _three_pass}
)
