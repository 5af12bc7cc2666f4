"""What of a mapping no size has a part in: its names checked, its groups read, its tasks drafted.

Most of an estimate is reading names; a question asked again at other sizes finds that done. Kept
for the last mappings asked about, told apart as objects: all of them are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from einfall.einsum_cascades.einsum import Cascade
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.accounting import Accounting
from einfall.sim.group import GroupContext
from einfall.sim.layout import Layout
from einfall.sim.legality import check_mapping
from einfall.sim.mapping import Mapping
from einfall.sim.nest import Nest
from einfall.sim.numeric import Number, is_array

SplitTiles: TypeAlias = "tuple[tuple[str, Any], ...]"
"""(inner rank, its size) of every split; a size may be an array."""

KEPT = 64
"""Mappings that are kept prepared."""


@dataclass(frozen=True)
class Prepared:
    """A mapping that fits its cascade and machine: a layout and groups that wait for sizes.

    Both are without sizes but for the tiles of split ranks: what has one element a tile has those
    in its name. `replace(layout, sizes=…)` and `tiling.with_tiles` give them the others.
    """

    layout: Layout
    groups: tuple[GroupContext, ...]


def prepared(
    cascade: Cascade,
    sizes: MappingOf[str, Number],
    machine: SpatialArray,
    mapping: Mapping,
    accounting: Accounting,
) -> Prepared:
    """The mapping prepared for sizes that cut the split ranks as these do.

    Raises:
        MappingError: Names that fit neither cascade nor machine, ops that a unit cannot do.
    """
    tiles: SplitTiles = tuple((split.inner, sizes[split.inner]) for split in cascade.splits)
    if any(is_array(tile) for _, tile in tiles):
        return _prepare(cascade, machine, mapping, accounting, tiles)
    return _kept(_Itself(cascade), _Itself(machine), _Itself(mapping), accounting, tiles)


@dataclass(frozen=True, slots=True, eq=False)
class _Itself:
    """A value told by its identity: comparing whole machines would take longer than the answer."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=KEPT)
def _kept(
    cascade: _Itself,
    machine: _Itself,
    mapping: _Itself,
    accounting: Accounting,
    tiles: SplitTiles,
) -> Prepared:
    return _prepare(cascade.value, machine.value, mapping.value, accounting, tiles)


def _prepare(
    cascade: Cascade,
    machine: SpatialArray,
    mapping: Mapping,
    accounting: Accounting,
    tiles: SplitTiles,
) -> Prepared:
    check_mapping(cascade, machine, mapping)
    layout = Layout(cascade, dict(tiles))
    return Prepared(
        layout,
        tuple(
            GroupContext(layout, machine, mapping, group, accounting, Nest({}))
            for group in mapping.groups
        ),
    )
