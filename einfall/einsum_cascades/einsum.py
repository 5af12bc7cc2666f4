"""The values of the cascade language: ranks, accesses, expressions, Einsums and the Cascade.

Everything here is frozen and knows nothing of text, arrays or machines: `language` reads and prints
these values, `interpret` runs them, `passes` and `counts` analyse them, `sim` costs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import MaskSpec


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the text of a cascade; line and column count from one."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Rank:
    """A named dimension, `P queries`: the symbol of the literature and the word used in shapes.

    `symbol` is upper case (`P`, `M1`); its coordinate in an access is the same in lower case.
    `shape_key` is the key of `--shape` that gives its size (`queries`); empty for derived ranks.
    """

    symbol: str
    shape_key: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """`split M -> M1, M0`: m = m1·M0 + m0, with M1 = ⌈M/M0⌉ and the last tile ragged.

    The size of the inner tile M0 belongs to the mapping, not to the cascade.
    """

    rank: str
    outer: str
    inner: str


@dataclass(frozen=True, slots=True)
class Group:
    """`group H -> G`: G divides H, and a G coordinate beside h means g = ⌊h·G/H⌋ (grouped queries).

    In an Einsum that iterates over H, `g` is that function of h and no rank of its own.
    """

    rank: str
    outer: str


@dataclass(frozen=True, slots=True)
class Window:
    """`window I -> Y, U same`: a kernel of U coordinates slides over a map of I, Y places in all.

    `y+u` is then a coordinate on I. The mode says what happens at the edges, and with that how many
    places there are; `windows` has the formulas.
    """

    rank: str
    output: str
    kernel: str
    mode: str = "valid"

    def __str__(self) -> str:
        """The window as the language writes it."""
        mode = "" if self.mode == "valid" else f" {self.mode}"
        return f"window {self.rank} -> {self.output}, {self.kernel}{mode}"


@dataclass(frozen=True, slots=True)
class CascadeMask:
    """`mask P, M "causal"`: of all points over both ranks, only the attended ones exist.

    `spec` says which, and is bound to numbers of queries and keys when these are known. `heads` is
    the rank along which a mask may differ from head to head; None where the cascade has no such
    rank.
    """

    queries: str
    keys: str
    spec: MaskSpec
    heads: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """One coordinate of an access.

    `m1` is Index("M1"); `m1+1` is Index("M1", offset=1); the constant 0 is Index(None, offset=0);
    the final coordinate of an iterative rank, written `M1`, is Index("M1", end=True). The
    coordinate `y+u` of a window is Index("Y", kernel="U").
    """

    rank: str | None
    offset: int = 0
    end: bool = False
    kernel: str | None = None

    @property
    def varies(self) -> bool:
        """Whether the coordinate moves with its rank (neither a constant nor the end)."""
        return self.rank is not None and not self.end

    @property
    def ranks(self) -> tuple[str, ...]:
        """Ranks with which the coordinate moves: two in a window, none if it does not."""
        if self.rank is None or self.end:
            return ()
        return (self.rank,) if self.kernel is None else (self.rank, self.kernel)

    def __str__(self) -> str:
        """The coordinate as the language writes it."""
        if self.rank is None:
            return str(self.offset)
        if self.end:
            return self.rank
        if self.kernel is not None:
            return f"{self.rank}+{self.kernel}".lower()
        sign = f"{self.offset:+d}" if self.offset else ""
        return self.rank.lower() + sign


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor read or written at given coordinates: `RM[b,h,m1+1,p]`; a scalar has no index."""

    tensor: str
    indices: tuple[Index, ...] = ()
    place: Place = field(default=Place(), compare=False)

    @property
    def ranks(self) -> tuple[str, ...]:
        """Ranks along which the access moves, in order, without constants and ends.

        An axis that is read in a window, at y+u, moves along two of them.
        """
        return tuple(rank for index in self.indices for rank in index.ranks)

    def __str__(self) -> str:
        """The access as the language writes it."""
        inside = ",".join(map(str, self.indices))
        return f"{self.tensor}[{inside}]"


@dataclass(frozen=True, slots=True)
class Number:
    """A literal in an expression; `inf` is allowed."""

    value: float


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation on expressions: `exp(x)`, `x - y`, `max(x, y)`; names are those of `ops.OPS`."""

    op: str
    args: tuple[Expr, ...]


Expr = Access | Number | Apply


def accesses(expr: Expr) -> Iterator[Access]:
    """Every tensor access in the expression, from left to right, repeats included."""
    if isinstance(expr, Access):
        yield expr
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from accesses(arg)


@dataclass(frozen=True)
class Einsum:
    """One extended Einsum: map the operands by `expr`, reduce over `reduce_ranks`, write `output`.

    `reduce` is the name of a reduction of `ops.REDUCTIONS` ("sum", "max" …) or None for a pure map.
    The iteration space is the product of all ranks of the output and of the operands.
    """

    output: Access
    expr: Expr
    reduce: str | None = None
    reduce_ranks: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)

    @property
    def name(self) -> str:
        """The tensor that the Einsum defines; it names the Einsum too."""
        return self.output.tensor

    @cached_property
    def operands(self) -> tuple[Access, ...]:
        """The accesses on the right-hand side, from left to right."""
        return tuple(accesses(self.expr))

    @cached_property
    def iterative_ranks(self) -> tuple[str, ...]:
        """Ranks on which the Einsum writes the next coordinate (`m1+1` on the left)."""
        return tuple(i.rank for i in self.output.indices if i.rank and i.varies and i.offset > 0)


@dataclass(frozen=True)
class Cascade:
    """An ordered list of Einsums over named ranks, with inputs, outputs and initial values.

    `inputs` and `outputs` are accesses that give each tensor its ranks, e.g. `Q[b,h,p,e]`;
    `inits` are Einsums that are carried out once, before the iterative ranks start. `mask` leaves
    out points of the Einsums over its two ranks.
    """

    name: str
    ranks: tuple[Rank, ...]
    inputs: tuple[Access, ...]
    outputs: tuple[str, ...]
    einsums: tuple[Einsum, ...]
    inits: tuple[Einsum, ...] = ()
    splits: tuple[Split, ...] = ()
    groups: tuple[Group, ...] = ()
    windows: tuple[Window, ...] = ()
    about: str = ""
    source: str = ""
    mask: CascadeMask | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Einsum]:
        """The Einsum that defines each tensor."""
        return MappingProxyType({e.name: e for e in self.einsums})

    @cached_property
    def tensor_ranks(self) -> Mapping[str, tuple[str, ...]]:
        """Ranks of every tensor, as declared (inputs) or as written on the left (the others)."""
        declared = {a.tensor: a.ranks for a in self.inputs}
        defined = {e.name: e.output.ranks for e in self.einsums}
        return MappingProxyType(declared | defined)

    @cached_property
    def parent(self) -> Mapping[str, str]:
        """The whole rank of each part of a split: M1 -> M, M0 -> M."""
        pairs = [(part, s.rank) for s in self.splits for part in (s.outer, s.inner)]
        return MappingProxyType(dict(pairs))

    @cached_property
    def group_of(self) -> Mapping[str, str]:
        """The rank that each group rank is a function of: G -> H."""
        return MappingProxyType({g.outer: g.rank for g in self.groups})

    @cached_property
    def window_onto(self) -> Mapping[str, Window]:
        """The window whose places each derived rank counts: Y -> `window I -> Y, U`."""
        return MappingProxyType({w.output: w for w in self.windows})

    def window(self, index: Index) -> Window | None:
        """The window that a coordinate such as y+u moves in; None for all others."""
        if index.kernel is None:
            return None
        window = self.window_onto.get(str(index.rank))
        return window if window is not None and window.kernel == index.kernel else None

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.einsums, self.inputs, self.outputs, self.mask))

    def __hash__(self) -> int:
        """Worked out once: a cascade is the key of what is derived from it."""
        return self._hash

    @cached_property
    def _iteration_ranks(self) -> dict[Einsum, tuple[str, ...]]:
        return {}

    def root(self, rank: str) -> str:
        """The rank that was split to give this one, or the rank itself."""
        return self.parent.get(rank, rank)

    def coordinates(self, whole: str, ranks: Iterable[str]) -> tuple[str, ...]:
        """Those of the ranks that are the whole one, a part of its split or a group of it."""
        return tuple(r for r in ranks if whole in (r, self.parent.get(r), self.group_of.get(r)))

    def is_masked(self, ranks: Iterable[str]) -> bool:
        """Whether the mask leaves out points over these ranks: both of its own are among them."""
        if self.mask is None:
            return False
        sides, seen = (self.mask.queries, self.mask.keys), tuple(ranks)
        return all(self.coordinates(side, seen) for side in sides)

    def iteration_ranks(self, einsum: Einsum) -> tuple[str, ...]:
        """Ranks of the iteration space in order of appearance, each once.

        A group rank (G) is left out where its whole rank (H) is iterated: g is a function of h. A
        whole rank (M) is left out where its parts (M1, M0) are iterated.
        """
        if einsum not in self._iteration_ranks:
            self._iteration_ranks[einsum] = self._ranks_of(einsum)
        return self._iteration_ranks[einsum]

    def _ranks_of(self, einsum: Einsum) -> tuple[str, ...]:
        seen = [*einsum.output.ranks, *(r for a in einsum.operands for r in a.ranks)]
        seen = list(dict.fromkeys(seen))
        split = {self.parent[r] for r in seen if r in self.parent}
        derived = {g for g, h in self.group_of.items() if h in seen}
        return tuple(r for r in seen if r not in split and r not in derived)
