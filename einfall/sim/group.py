"""One group of a mapping, its names resolved against a cascade, a machine and a nest.

What follows from names is worked out once for a mapping, whatever the sizes: `prepared` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any, TypeVar

from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.hw_models.spatial_array import SpatialArray, Unit
from einfall.sim.accounting import Accounting
from einfall.sim.layout import Dim, Layout
from einfall.sim.mapping import Group, Mapping
from einfall.sim.nest import Nest
from einfall.sim.numeric import Number

Known = TypeVar("Known")


@dataclass(frozen=True)
class GroupContext:
    """Everything that lowering one group looks at.

    `replace(context, layout=…, nest=…)` gives it other sizes and keeps what names alone have
    answered; the tiles of split ranks, which are part of those answers, must stay the same.
    """

    layout: Layout
    machine: SpatialArray
    mapping: Mapping
    group: Group
    accounting: Accounting
    nest: Nest
    _memo: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def known(self, key: Hashable, answer: Callable[[], Known]) -> Known:
        """An answer that no size has a part in, worked out when it is asked for first."""
        if key not in self._memo:
            self._memo[key] = answer()
        return self._memo[key]

    @property
    def cascade(self) -> Cascade:
        """The cascade that is mapped."""
        return self.layout.cascade

    @property
    def einsums(self) -> tuple[Einsum, ...]:
        """The Einsums of the group in program order."""
        return self.known("einsums", lambda: group_einsums(self.cascade, self.group))

    @property
    def own(self) -> MappingOf[str, Einsum]:
        """The Einsum of the group that defines each tensor."""
        return self.known("own", lambda: {e.name: e for e in self.einsums})

    @property
    def readers(self) -> MappingOf[str, tuple[Einsum, ...]]:
        """For each tensor read in the group, the Einsums that read it."""
        return self.known("readers", self._find_readers)

    def _find_readers(self) -> MappingOf[str, tuple[Einsum, ...]]:
        readers: dict[str, list[Einsum]] = {}
        for einsum in self.einsums:
            for name in dict.fromkeys(a.tensor for a in einsum.operands):
                readers.setdefault(name, []).append(einsum)
        return {name: tuple(found) for name, found in readers.items()}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that come into the group from DRAM."""
        return self.known("inputs", lambda: tuple(t for t in self.readers if t not in self.own))

    @property
    def results(self) -> tuple[str, ...]:
        """Tensors that the group leaves in DRAM: outputs of the cascade or read by other groups."""
        return self.known("results", self._find_results)

    def _find_results(self) -> tuple[str, ...]:
        others = [e for e in self.cascade.einsums if e.name not in self.own]
        wanted = {a.tensor for e in others for a in e.operands} | set(self.cascade.outputs)
        return tuple(name for name in self.own if name in wanted)

    def dims_of(self, tensor: str) -> tuple[Dim, ...]:
        """Dims of a tensor as the group sees it: an input may be read by another word for its rank.

        With `P queries, M queries` a tensor over p is the same tensor when it is read at m.
        """
        if tensor in self.own:
            return self.layout.tensor(tensor)
        reader = self.readers[tensor][0]
        access = next(a for a in reader.operands if a.tensor == tensor)
        return self.layout.dims(access.ranks)

    def unit(self, einsum: Einsum) -> Unit:
        """The unit that the Einsum is bound to."""
        return self.machine.units[self.mapping.binding(einsum.name).unit]

    def level(self, tensor: str) -> str:
        """Where a tensor lives while the group runs."""
        if tensor in self.group.place:
            return self.group.place[tensor]
        if tensor in self.inputs:
            return "buffer"
        if self.layout.running_ranks(tensor):
            return "buffer" if tensor in self.group.hold else "registers"
        return "stream" if tensor in self.results else "registers"

    def spilled_part(self, tensor: str) -> float:
        """The part of a buffered tensor that is exchanged with DRAM because it does not fit."""
        return self.group.spill.get(tensor, 0.0)

    @property
    def row_words(self) -> Number:
        """Words in a row of the buffer."""
        return self.machine.buffer.row_bytes / self.machine.word_bytes

    @property
    def in_flight(self) -> int | None:
        """Steps that overlap; None for as many as it takes."""
        return None if self.group.in_flight == "auto" else self.group.in_flight

    def is_swept(self, einsum: Einsum, reader: Einsum) -> bool:
        """Whether a reader traverses a rank that the Einsum must have reduced before."""
        kept = {d.rank for d in self.layout.dims(einsum.output.ranks)}
        reduced = {d.rank for d in self.layout.points(einsum)} - kept
        return bool(reduced & {d.rank for d in self.layout.points(reader)})

    def is_fresh(self, einsum: Einsum) -> bool:
        """Whether nothing that the Einsum works on has come from another unit by hand."""
        return self.known("fresh", self._find_fresh)[einsum.name]

    def _find_fresh(self) -> MappingOf[str, bool]:
        fresh: dict[str, bool] = {}
        for einsum in self.einsums:
            by_hand = [
                self.own[a.tensor]
                for a in einsum.operands
                if a.tensor in fresh and self.level(a.tensor) == "registers"
            ]
            unit = self.unit(einsum)
            fresh[einsum.name] = all(fresh[e.name] and self.unit(e) is unit for e in by_hand)
        return fresh

    def awaited_ranks(self, einsum: Einsum) -> frozenset[str]:
        """Ranks that Einsums of the group traverse before this one can start, and it does not."""
        before = self.known("ranks before", self._find_ranks_before)[einsum.name]
        return before - {d.rank for d in self.layout.points(einsum)}

    def _find_ranks_before(self) -> MappingOf[str, frozenset[str]]:
        """Ranks traversed by each Einsum of the group or by one that it depends on."""
        before: dict[str, frozenset[str]] = {}
        for einsum in self.einsums:
            ranks = {d.rank for d in self.layout.points(einsum)}
            for access in einsum.operands:
                ranks |= before.get(access.tensor, frozenset())
            before[einsum.name] = frozenset(ranks)
        return before

    def loops_of(self, dims: tuple[Dim, ...], hold: str | None = None) -> tuple[str, ...]:
        """Loops in which something with these dims is renewed.

        Those over its ranks, and those over other ranks that lie outside the loop `hold` inside
        which it is kept (outside its own innermost loop where nothing is said).
        """
        ranks = {d.rank for d in dims}
        names = self.nest.names
        own = [i for i, loop in enumerate(self.nest.loops) if loop.rank in ranks]
        keep = (names.index(hold) if hold else -1) if hold is not None else max(own, default=-1)
        return tuple(
            loop.name for i, loop in enumerate(self.nest.loops) if loop.rank in ranks or i <= keep
        )


def group_einsums(cascade: Cascade, group: Group) -> tuple[Einsum, ...]:
    """The Einsums that a group names, in program order."""
    return tuple(e for e in cascade.einsums if group.einsums == "all" or e.name in group.einsums)
