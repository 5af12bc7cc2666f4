"""Passes over each rank of a cascade, the chain of Einsums that forces them, and what may be fused.

A *pass* over a rank R is one traversal of all elements of a fiber. A further pass is needed when,
in every mapping, some value has to have seen the whole fiber before it can be used on the fiber
again: softmax needs the maximum over all keys before it can subtract it from the first score.

**How it is counted.** Each Einsum gets the earliest position at which it can run, a pair
(pass, stage), as the longest path through the cascade. For a rank R, split or not:

- An Einsum *traverses* R if it iterates over R or over both of its parts. It runs in the latest
  pass of its operands, one pass later for an operand that is *complete*: a value without a
  coordinate on R that has seen the whole fiber, such as `GM[p] = max_m QK[m,p]` or the last value
  of a running one, `RD[M1,p]`.
- A *summary* iterates over the tiles of R only (`LM[m1,p]`, `exp(LM[m1,p] - GM[p])`). It costs no
  pass; reading a complete value puts it into the next stage after that pass.
- A value reduced over the inner part only keeps streaming, tile by tile. So does a running value:
  step m1 needs values up to m1 only, hence an iterative rank never adds a pass.
- A group rank is the outer part of its rank: a value over g streams along h.
- The places of a window (Y of `window I -> Y, U`) go along with the map: a kernel of its own size
  is served by a buffer of that size. A kernel as large as the map sees all of it: what it reads has
  to be complete, like what is read along another rank of the same size.
- State that another iterative rank carries from its step before is at hand like an input: passes
  over E of a state S[m1+1,e,f] are passes within one step of m1.

The number of passes is the highest pass of an Einsum that traverses R.

Left out: looks at R out of order. A fiber is read tile by tile in the order of its outer part.
Windows whose places are paired with each other or with the map (attention over y and z of two
convolutions of one map) count like kernels as large as the map.

Source: Nayak et al., "FuseMax", MICRO 2024, section III; Einsums of one pass may be fused on R, and
one pass means that the footprint does not grow with R.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from einfall.einsum_cascades.einsum import Access, Cascade, Einsum
from einfall.einsum_cascades.windows import sees_all

SEQUENCE_KEYS = frozenset({"queries", "keys", "tokens"})
"""Shape keys of the ranks that grow with the sequence."""

_GROWING = SEQUENCE_KEYS | {"height", "width"}  # the tokens of an image are a map of them

Visits: TypeAlias = "tuple[tuple[Position, tuple[str, ...]], ...]"
"""Visits of one tensor in order: the position, and the Einsums that make or read the tensor."""


class PassError(ValueError):
    """A cascade that no order of its Einsums can compute, or a name that it does not have."""


class Position(NamedTuple):
    """When an Einsum runs: in pass `level`, or (stage > 0) in a stage over summaries after it.

    (2, 0) is in pass 2; (1, 1) is between passes 1 and 2; (0, ·) is before the first pass.
    """

    level: int
    stage: int

    def __str__(self) -> str:
        """The position in words."""
        if self.stage > 0:
            return f"after pass {self.level}"
        return f"in pass {self.level}" if self.level else "before pass 1"


@dataclass(frozen=True, slots=True)
class Link:
    """One reason for one more pass: `reader` reads a value that has to see all of a rank first.

    Attributes:
        number: The pass that begins here.
        reader: The Einsum that traverses the rank again.
        reads: The operand that it has to wait for.
        completed_by: The Einsum that needs the whole fiber (often the one that makes `reads`).
        needs: The tensor of which it needs all elements along the rank.
        rank: The rank that is traversed again.
    """

    number: int
    reader: str
    reads: str
    completed_by: str
    needs: str
    rank: str

    @property
    def why(self) -> str:
        """The reason as a sentence: `pass 2: SN reads GM, which needs all of m of QK`."""
        middle = [f"reads {self.reads}"] if self.completed_by != self.reader else []
        if self.completed_by not in (self.reads, self.reader):
            middle.append(f"needs {self.completed_by}")
        last = f"needs all of {self.rank.lower()} of {self.needs}"
        return f"pass {self.number}: {self.reader} {', which '.join([*middle, last])}"


@dataclass(frozen=True, slots=True)
class RankPasses:
    """Passes over one rank.

    Attributes:
        rank: Symbol of the whole rank.
        passes: Traversals that every mapping needs; 0 if no Einsum traverses the rank.
        level: The earliest pass of each Einsum that traverses the rank.
        chain: What forces pass 2, 3, … in this order; empty for one pass.
    """

    rank: str
    passes: int
    level: Mapping[str, int]
    chain: tuple[Link, ...]

    @property
    def why(self) -> str:
        """The chain in words, one sentence for each further pass."""
        if not self.passes:
            return f"no Einsum traverses {self.rank}"
        first = f"pass 1: nothing has to see all of {self.rank.lower()} before it is read again"
        return "; ".join(link.why for link in self.chain) or first


def analyze_passes(cascade: Cascade) -> Mapping[str, RankPasses]:
    """Passes over each whole rank of the cascade.

    A rank that is split counts through its parts; the parts have no entry of their own.

    Returns:
        Passes by rank symbol, in the order of the declarations.

    Raises:
        PassError: A running value needs its own last value, so that no order computes it.
    """
    return MappingProxyType({rank: rank_passes(cascade, rank) for rank in whole_ranks(cascade)})


def rank_passes(cascade: Cascade, rank: str) -> RankPasses:
    """Passes over one rank; the inner part of a split may be asked for too (see `analyze_passes`).

    The passes over an inner part M0 are the looks at one tile while it is on chip.
    """
    view = _View.of(cascade, rank)
    history: _History = {}
    at = _positions(view, history=history)
    level = {e.name: at[e.name].level for e in cascade.einsums if view.traverses(e)}
    passes = max(level.values(), default=0)
    first = max(level, key=level.__getitem__, default="")
    chain = _chain(view, history, first, Position(passes, 0))
    return RankPasses(rank, passes, MappingProxyType(level), chain)


def pass_of(cascade: Cascade, einsum: str, rank: str) -> int:
    """The earliest pass over a rank in which, or right after which, an Einsum can run.

    It is 0 for an Einsum that needs nothing of the rank.
    """
    _check_names(cascade, [einsum])
    return levels(cascade, rank)[einsum]


def levels(cascade: Cascade, rank: str) -> dict[str, int]:
    """`pass_of` of every Einsum over one rank, those that do not traverse it included."""
    at = _positions(_View.of(cascade, rank))
    return {name: position.level for name, position in at.items()}


def whole_ranks(cascade: Cascade) -> tuple[str, ...]:
    """Symbols of the declared ranks that are not parts of a split."""
    return tuple(r.symbol for r in cascade.ranks if r.symbol not in cascade.parent)


def taxonomy(cascade: Cascade) -> str:
    """The class of the cascade in the sense of FuseMax, such as "1-pass" or "3-pass".

    It is the most passes over a rank that grows with the sequence (shape keys `queries`, `keys`,
    `tokens`) or with the image (`height`, `width`): for attention that is the rank of the keys,
    since queries do not wait for each other. A cascade without such a rank is classed by the most
    passes over any of its ranks.
    """
    sequence = [r.symbol for r in cascade.ranks if r.shape_key in _GROWING]
    ranks = sequence or whole_ranks(cascade)
    return f"{max((rank_passes(cascade, r).passes for r in ranks), default=0)}-pass"


def fusable(cascade: Cascade, names: Collection[str], rank: str) -> bool:
    """Whether the named Einsums can share one loop over the tiles of a rank."""
    return fusion_conflict(cascade, names, rank) is None


def fusion_conflict(cascade: Cascade, names: Collection[str], rank: str) -> str | None:
    """Why the named Einsums cannot share one loop over the tiles of a rank; None if they can.

    They cannot if one of them needs a value that is known only when the loop has ended: because it
    is complete only then, or because an Einsum outside the loop makes it from a value of the loop.

    Raises:
        PassError: A name that the cascade does not define.
    """
    _check_names(cascade, names)
    view = _View.of(cascade, rank)
    inside = {e.name for e in cascade.einsums if e.name in names and view.iterates(e)}
    after: dict[str, str] = {}
    found = -1
    while found < len(after):  # again, as a running value is read before the line that defines it
        found = len(after)
        for einsum in cascade.einsums:
            cause = _after_loop(view, einsum, inside, after)
            if cause is not None:
                after.setdefault(einsum.name, cause)
    return next((after[name] for name in names if name in after), None)


def visits(cascade: Cascade, rank: str) -> dict[str, Visits]:
    """When each tensor that is made or read along a rank has to be visited, by which Einsums.

    Two visits mean that a whole fiber of the tensor is kept (or stored and read again) in between.
    An Einsum that can wait for the next visit without adding a pass is put there, so this is what
    remains in every mapping with the fewest passes.

    Readers along another rank of the same size (X[p], read at m) come in a visit after the first.
    """
    view = _View.of(cascade, rank)
    at = _positions(view)
    found = {}
    for tensor in cascade.tensor_ranks:
        reads = [(e.name, a) for e in cascade.einsums for a in e.operands if a.tensor == tensor]
        users = [tensor] if tensor in at and view.has(tensor) else []
        users += [name for name, access in reads if view.moves(access)]
        if not users:
            continue
        found[tensor] = _visits(view, at, list(dict.fromkeys(users)))
        elsewhere = tuple(dict.fromkeys(name for name, a in reads if view.elsewhere(a)))
        if tensor in at and elsewhere:
            found[tensor] = _and_elsewhere(found[tensor], elsewhere)
    return found


def carried(cascade: Cascade, access: Access) -> str | None:
    """The iterative rank along which an operand comes from the step before, or None.

    `RD[m1]` is carried where RD is written at m1+1; `RD[m1+1]` and the last value are not.
    """
    producer = cascade.by_name.get(access.tensor)
    if producer is None:
        return None
    steps = {i.rank: i.offset for i in producer.output.indices if i.varies and i.offset > 0}
    late = (i.rank for i in access.indices if i.varies and i.offset < steps.get(i.rank, i.offset))
    return next(late, None)


def _slid_along(cascade: Cascade, rank: str) -> set[str]:
    """The ranks that windows tie to this one, so that all go along one fiber side by side.

    None where an Einsum goes over two of them: each place is then paired with all of the other.
    """
    tied = {rank}
    sliding = [window for window in cascade.windows if not sees_all(cascade, window)]
    for _ in sliding:
        for window in sliding:
            ends = {window.rank, window.output}
            tied |= ends if tied & ends else set()
    paired = any(len(tied.intersection(cascade.iteration_ranks(e))) > 1 for e in cascade.einsums)
    return set() if paired else tied


@dataclass(frozen=True, slots=True)
class _View:
    """A cascade as one rank sees it.

    `moving` are the ranks whose coordinate moves from tile to tile of the fiber (R itself, the
    outer part of a split, the groups of a grouped rank, what windows tie to it); `spans` are the
    sets of ranks that traverse all of R. Seen by a part, the whole rank and the part are one.
    `loops` are the ranks that each Einsum iterates over.
    """

    cascade: Cascade
    rank: str
    moving: frozenset[str]
    spans: tuple[frozenset[str], ...]
    loops: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, cascade: Cascade, rank: str) -> _View:
        splits = [s for s in cascade.splits if s.rank == rank]
        known = {r.symbol for r in cascade.ranks} | set(cascade.parent)
        if rank not in known:
            raise PassError(f"cascade {cascade.name}: wanted one of its ranks, found {rank!r}")
        groups = {g.outer for g in cascade.groups if g.rank == rank}
        same = {rank, cascade.root(rank), *(g.rank for g in cascade.groups if g.outer == rank)}
        same |= _slid_along(cascade, rank)
        spans = [*({r} for r in same), *({s.outer, s.inner} for s in splits)]
        moving = same | groups | {s.outer for s in splits}
        loops = {e.name: frozenset(cascade.iteration_ranks(e)) for e in cascade.einsums}
        return cls(cascade, rank, frozenset(moving), tuple(map(frozenset, spans)), loops)

    def traverses(self, einsum: Einsum) -> bool:
        return any(span <= self.loops[einsum.name] for span in self.spans)

    def iterates(self, einsum: Einsum) -> bool:
        """Whether it loops over the rank or at least over its tiles."""
        return bool(self.moving & self.loops[einsum.name])

    def has(self, tensor: str) -> bool:
        """Whether the tensor has a coordinate that moves along the rank."""
        return bool(self.moving & set(self.cascade.tensor_ranks[tensor]))

    def moves(self, access: Access) -> bool:
        """Whether the access moves along the rank."""
        return bool(self.moving & set(access.ranks))

    def last(self, access: Access) -> bool:
        """Whether it is the last value of a tensor that is iterative on the rank."""
        return any(i.end and i.rank in self.moving for i in access.indices)

    def elsewhere(self, access: Access) -> bool:
        """Whether a tensor along this rank is read along another one: X[p], read at m."""
        constant = any(i.rank is None for i in access.indices)
        along = self.moves(access) or self.last(access) or constant
        return self.has(access.tensor) and not along

    def streams(self, access: Access) -> bool:
        """Whether the value read is known as soon as its tile has been visited.

        One element at a constant coordinate is.
        """
        return self.has(access.tensor) and not self.last(access) and not self.elsewhere(access)

    def known(self, access: Access) -> bool:
        """Whether the operand is at hand from the start: an input, or carried by another rank."""
        step = carried(self.cascade, access)
        return access.tensor not in self.cascade.by_name or (
            step is not None and step not in self.moving
        )


def _start(view: _View, einsum: Einsum) -> Position:
    """The earliest position of an Einsum whose operands are all at hand."""
    if view.traverses(einsum):
        return Position(1, 0)
    return Position(0, 0) if view.iterates(einsum) else Position(0, -1)


def _need(view: _View, einsum: Einsum, access: Access, at: Mapping[str, Position]) -> Position:
    """The earliest position of an Einsum that this operand allows."""
    if view.known(access) or access.tensor not in at:
        return _start(view, einsum)
    level, stage = at[access.tensor]
    streams = view.streams(access)
    if view.traverses(einsum):
        in_pass = streams and stage <= 0
        return Position(max(level, 1) if in_pass else level + 1, 0)
    waits = view.iterates(einsum) and not streams
    return Position(level, stage + 1 if waits else stage)


_History: TypeAlias = dict[tuple[str, Position], tuple[Access, Position]]
"""For an Einsum and a position that it had to move to: the operand that it waited for, and the
position of that operand at the time. Following it leads back to earlier entries only."""


def _positions(
    view: _View,
    floor: Mapping[str, Position] = MappingProxyType({}),
    history: _History | None = None,
) -> dict[str, Position]:
    """The earliest position of every Einsum, none earlier than its `floor`.

    It is the least fixed point of the rules above; more than one round is needed only for running
    values that are read before the line that defines them. `history` is filled on the way.
    """
    cascade = view.cascade
    at: dict[str, Position] = {}
    before: dict[str, Position] = {}
    for _ in range(len(cascade.einsums) + 2):
        before = dict(at)
        for e in cascade.einsums:
            least = max(_start(view, e), floor.get(e.name, Position(0, -1)))
            if view.traverses(e) and least.stage > 0:
                least = Position(least.level + 1, 0)
            needs = [(_need(view, e, a, at), a) for a in e.operands]
            at[e.name], cause = max([(least, None), *needs], key=itemgetter(0))
            if history is not None and cause is not None and cause.tensor in at:
                history.setdefault((e.name, at[e.name]), (cause, at[cause.tensor]))
        if at == before:
            return at
    changing = ", ".join(name for name in at if at[name] != before[name])
    raise PassError(
        f"cascade {cascade.name}: {changing} need all of {view.rank.lower()} of themselves; "
        "read the running value at the same or an earlier step, not its last one"
    )


def _chain(view: _View, history: _History, name: str, position: Position) -> tuple[Link, ...]:
    """The links that force the position of the named Einsum, from pass 2 on."""
    links: list[Link] = []
    while (name, position) in history:
        reader, (access, earlier) = name, history[name, position]
        if position.level > earlier.level:
            by, needs, name, earlier = _completion(view, history, name, access, earlier)
            links.append(Link(position.level, reader, access.tensor, by, needs, view.rank))
        else:
            name = access.tensor
        position = earlier
    return tuple(reversed(links))


def _completion(
    view: _View, history: _History, name: str, access: Access, position: Position
) -> tuple[str, str, str, Position]:
    """Which Einsum needs a whole fiber of what before an operand of the named Einsum is known.

    The last two values say where the chain goes on: an Einsum and its position.
    """
    while True:
        if view.elsewhere(access):
            return name, access.tensor, access.tensor, position
        name = access.tensor
        moving = [a for a in view.cascade.by_name[name].operands if view.moves(a)]
        others = [a for a in moving if a.tensor != name]
        cause, earlier = history.get((name, position), (None, position))
        if moving and (view.last(access) or not view.has(name)):
            needs = cause if cause in others else (others or moving)[0]
            return name, needs.tensor, name, position
        assert cause is not None, "a value that is complete, or waits for one, has a cause"
        access, position = cause, earlier


def _after_loop(
    view: _View, einsum: Einsum, inside: Collection[str], after: Mapping[str, str]
) -> str | None:
    """Why an Einsum can run only after the loop over those `inside`; None if it need not."""
    for access in einsum.operands:
        tensor = access.tensor
        if view.known(access):
            continue
        if tensor in after:
            return f"{einsum.name} reads {tensor}, and {after[tensor]}"
        if tensor in inside and not view.streams(access):
            return f"{einsum.name} reads {tensor}, which needs all of {view.rank.lower()}"
        if tensor in inside and einsum.name not in inside:
            return f"{einsum.name}, which reads {tensor}, is not in the loop"
    return None


def _visits(view: _View, at: Mapping[str, Position], users: list[str]) -> Visits:
    """Users of one tensor, grouped by position, after putting off those that can wait."""
    floor: dict[str, Position] = {}
    done: list[tuple[Position, tuple[str, ...]]] = []
    current: tuple[str, ...] = ()
    for _, group in groupby(sorted(users, key=at.__getitem__), key=at.__getitem__):
        names = tuple(group)
        meeting = _meeting(view, at, floor, (*current, *names)) if current else None
        if meeting is not None:
            names = (*current, *names)
            floor |= dict.fromkeys(names, meeting)
        elif current:
            done.append((max(floor.get(name, at[name]) for name in current), current))
        current = names
    return (*done, (max(floor.get(name, at[name]) for name in current), current))


def _and_elsewhere(made: Visits, readers: tuple[str, ...]) -> Visits:
    """The visits with those readers added that need a whole fiber in one go."""
    *earlier, (position, users) = made
    if earlier:
        return (*earlier, (position, (*users, *readers)))
    return (*made, (Position(position.level, position.stage + 1), readers))


def _meeting(
    view: _View, at: Mapping[str, Position], floor: Mapping[str, Position], names: Collection[str]
) -> Position | None:
    """The earliest position at which the named Einsums can run together, if that adds no pass."""
    passes = max(p.level for p in at.values())
    target = max(at[name] for name in names)
    for _ in range(len(at) + 1):
        late = _positions(view, {**floor, **dict.fromkeys(names, target)})
        if max(p.level for p in late.values()) > passes:
            return None
        if all(late[name] == target for name in names):
            return target
        target = max(late[name] for name in names)
    return None  # one of them waits for another, however late they run


def _check_names(cascade: Cascade, names: Collection[str]) -> None:
    """Refuse names that the cascade does not define."""
    unknown = [name for name in names if name not in cascade.by_name]
    if unknown:
        raise PassError(
            f"cascade {cascade.name}: wanted its Einsums ({', '.join(cascade.by_name)}), "
            f"found {', '.join(unknown)}"
        )
