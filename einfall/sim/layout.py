"""How tensors and Einsums of a cascade extend over the ranks that a mapping can loop on.

A mapping loops on whole ranks: M rather than M1 and M0, and G with H/G in place of H where heads
share keys. A `Dim` says how something extends along one of them: every coordinate, or one a tile.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from einfall.einsum_cascades.einsum import Access, Cascade, Einsum
from einfall.sim.nest import Factor
from einfall.sim.numeric import Number


@dataclass(frozen=True)
class Dim:
    """Along `rank`: every coordinate, or with `tile` one summary for each tile of them."""

    rank: str
    tile: Number | None = None

    @cached_property
    def factor(self) -> Factor:
        """Elements along the rank: extent, or ⌈extent/tile⌉."""
        return Factor((self.rank,), self.tile)


@dataclass(frozen=True)
class Layout:
    """A cascade with the sizes of its ranks, seen through the ranks of a mapping."""

    cascade: Cascade
    sizes: Mapping[str, Number]
    # The same questions come up for every task: each is answered once.
    _memo: dict[Hashable, tuple[Dim, ...]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def extents(self) -> dict[str, Number]:
        """Size of every rank that a mapping may loop on."""
        parts = set(self.cascade.parent)
        grouped = {g.rank: g for g in self.cascade.groups}
        extents: dict[str, Number] = {}
        for rank in (r.symbol for r in self.cascade.ranks):
            if rank in parts:
                continue
            if rank in grouped:
                outer = grouped[rank].outer
                extents[f"{rank}/{outer}"] = self.sizes[rank] // self.sizes[outer]
            else:
                extents[rank] = self.sizes[rank]
        return extents

    def dims(self, ranks: Iterable[str]) -> tuple[Dim, ...]:
        """Dims of something that has these ranks of the cascade.

        M1 with M0, or M itself, is every coordinate of M; M1 alone is one a tile.
        """
        present = tuple(ranks)
        if present not in self._memo:
            dims: dict[str, Dim] = {}
            for rank in present:
                for dim in self._dims_of(rank, present):
                    dims.setdefault(dim.rank, dim)
            self._memo[present] = tuple(dims.values())
        return self._memo[present]

    def _dims_of(self, rank: str, present: tuple[str, ...]) -> tuple[Dim, ...]:
        cascade = self.cascade
        outer = {g.rank: g.outer for g in cascade.groups}
        if rank in outer:
            return (Dim(outer[rank]), Dim(f"{rank}/{outer[rank]}"))
        split = next((s for s in cascade.splits if rank == s.outer), None)
        if split and split.inner not in present and split.rank not in present:
            return (Dim(split.rank, self.sizes[split.inner]),)
        return (Dim(cascade.root(rank)),)

    def points(self, einsum: Einsum) -> tuple[Dim, ...]:
        """Dims of the iteration space of an Einsum."""
        key = ("points", einsum.name)
        if key not in self._memo:
            self._memo[key] = self.dims(self.cascade.iteration_ranks(einsum))
        return self._memo[key]

    def tensor(self, name: str) -> tuple[Dim, ...]:
        """Dims that a tensor is stored with; a running value keeps one coordinate of its rank."""
        if name not in self._memo:
            running = self.running_ranks(name)
            kept = [r for r in self.cascade.tensor_ranks[name] if r not in running]
            self._memo[name] = self.dims(kept)
        return self._memo[name]

    def running_ranks(self, name: str) -> tuple[str, ...]:
        """Iterative ranks of the tensor: those on which its Einsum writes the next coordinate."""
        einsum = self.cascade.by_name.get(name)
        return einsum.iterative_ranks if einsum else ()

    def reads_end(self, access: Access) -> bool:
        """Whether the access reads the final coordinate of a running value."""
        return any(index.end for index in access.indices)

    def reads_previous(self, access: Access) -> str | None:
        """The rank whose previous iteration the access reads, as `RM[m1]` where m1+1 is written."""
        einsum = self.cascade.by_name.get(access.tensor)
        if einsum is None or not einsum.iterative_ranks:
            return None
        for written, read in zip(einsum.output.indices, access.indices, strict=True):
            if written.varies and read.varies and read.offset < written.offset:
                return self.cascade.root(written.rank or "")
        return None
