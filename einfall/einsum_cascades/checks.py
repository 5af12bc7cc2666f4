"""What makes a cascade sensible: the problems of its ranks, accesses, reductions and order.

`problems` looks at a `Cascade` that may be wrong in any of these ways and says so in words, all at
once. `align`, `unreduced` and `stages` answer what reading and running a cascade both have to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import TopologicalSorter
from itertools import chain

from einfall.einsum_cascades.einsum import (
    Access,
    Apply,
    Cascade,
    CascadeMask,
    Einsum,
    Expr,
    Group,
    Index,
    Place,
    Split,
    Window,
)
from einfall.einsum_cascades.ops import OPS, REDUCTIONS
from einfall.einsum_cascades.windows import MODES, measure


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake and where it stands; the text says what was wanted, what was found, a way out."""

    place: Place
    text: str


@dataclass(slots=True)
class Places:
    """Where those parts of a cascade stand that do not carry their own place.

    Equal ranks and indices stand in many places, so `values` goes by identity (`id`). It holds
    ranks, splits, groups, windows, the mask, indices, operations and the `reduce_ranks` of an
    Einsum. `outputs` runs parallel to the outputs of the cascade.
    """

    values: dict[int, Place] = field(default_factory=dict)
    outputs: list[Place] = field(default_factory=list)

    def __getitem__(self, value: object) -> Place:
        """The place of a value; line 0 where it is not known."""
        return self.values.get(id(value), Place())


def hint(word: str, known: Iterable[str], else_: str) -> str:
    """A way out of a wrong word: the closest known one, or the advice `else_`.

    >>> hint("quries", ["queries", "keys"], "write one")
    'did you mean queries?'
    """
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else else_


def align(cascade: Cascade, access: Access) -> tuple[tuple[Index, ...], ...]:
    """The indices of an access beside each declared rank of its tensor.

    A rank has one index, or the two of its split: K declared over m may be read at m1,m0. An axis
    without an index is empty, and indices that are too many form one more axis.
    """
    parts = {split.rank: (split.outer, split.inner) for split in cascade.splits}
    rest, axes = access.indices, []
    for rank in cascade.tensor_ranks[access.tensor]:
        width = 2 if tuple(index.rank for index in rest[:2]) == parts.get(rank) else 1
        axes.append(rest[:width])
        rest = rest[width:]
    return (*axes, rest) if rest else tuple(axes)


def written_ranks(cascade: Cascade, einsum: Einsum) -> set[str]:
    """Ranks that stay on the left: those of the output, and both parts of a whole one."""
    written = set(einsum.output.ranks)
    return written | {part for part, whole in cascade.parent.items() if whole in written}


def unreduced(cascade: Cascade, einsum: Einsum) -> tuple[str, ...]:
    """Ranks of the iteration space that the output lacks, in order of appearance."""
    written = written_ranks(cascade, einsum)
    return tuple(rank for rank in cascade.iteration_ranks(einsum) if rank not in written)


def masked_einsums(cascade: Cascade) -> tuple[Einsum, ...]:
    """The Einsums of which the mask leaves out points: those over its queries and its keys."""
    return tuple(e for e in cascade.einsums if cascade.is_masked(cascade.iteration_ranks(e)))


def stages(cascade: Cascade) -> tuple[tuple[Einsum, ...], ...]:
    """Einsums in an order in which they can run, those that feed each other together.

    The running maximum RM is a stage by itself; the running sum RD and its correction SPD read each
    other, so they form one stage that goes step by step. Inside a stage the order is that of the
    cascade.
    """
    reads = {e.name: {a.tensor for a in e.operands} & set(cascade.by_name) for e in cascade.einsums}
    reach = {name: _reachable(reads, name) for name in reads}
    stage = {
        name: tuple(n for n in reads if n == name or (n in reach[name] and name in reach[n]))
        for name in reads
    }
    earlier = {
        names: {stage[read] for name in names for read in reads[name]} - {names}
        for names in stage.values()
    }
    order = TopologicalSorter(earlier).static_order()
    return tuple(tuple(cascade.by_name[name] for name in names) for names in order)


def problems(
    cascade: Cascade, places: Places, unread: AbstractSet[str] = frozenset()
) -> list[Problem]:
    """Every problem of a cascade, in the order of its text.

    Args:
        cascade: As read, with implied sums made explicit; may be wrong in any way.
        places: Where its parts stand.
        unread: Tensors whose statements could not be read: nothing is said about them.

    Returns:
        The problems; none for a cascade that the interpreter and the analyses can rely on.
    """
    check = _Check(cascade, places, unread)
    found = [*check.ranks(), *check.definitions()]
    if not any(check.ranks()):  # all that follows rests on the ranks
        found += [*check.words(), *check.mask(), *check.inputs()]
        found += [*check.expressions(), *check.order()]
        if not unread:
            found += check.unused()
    if not found:  # the cascade as a whole, where no single statement is wrong
        found += [*check.recurrences(), *check.unneeded(), *check.unmasked()]
        found += check.unread_windows()
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda problem: (problem.place.line, problem.place.column))


_WINDOW = "window I -> Y, U"


class _Check:
    """The rules, each a generator of problems, and the tables that they look things up in."""

    def __init__(self, cascade: Cascade, places: Places, unread: AbstractSet[str]) -> None:
        self.cascade = cascade
        self.places = places
        self.unread = unread
        self.keys = {rank.symbol: rank.shape_key for rank in cascade.ranks}
        self.symbols = [*self.keys, *cascade.parent]
        self.given = {access.tensor for access in cascade.inputs}
        self.tensors = self.given | set(cascade.by_name)
        self.iterative = {
            e.name: e.iterative_ranks[0] for e in cascade.einsums if e.iterative_ranks
        }
        self.reads = {e.name: {a.tensor for a in e.operands} for e in cascade.einsums}
        self.in_windows = {rank for w in cascade.windows for rank in (w.rank, w.output, w.kernel)}
        self.position = {e.name: i for i, e in reversed([*enumerate(cascade.einsums)])}

    # Ranks and inputs -------------------------------------------------------------------------

    def ranks(self) -> Iterator[Problem]:
        """Ranks, splits, groups and windows, each declared once and from known ranks."""
        seen: set[str] = set()
        for rank in self.cascade.ranks:
            if rank.symbol in seen:
                yield self._at(rank, f"wanted a new rank, found {rank.symbol} again; remove one")
            seen.add(rank.symbol)
        for i, split in enumerate(self.cascade.splits):
            yield from self._split(split, {other.rank for other in self.cascade.splits[:i]}, seen)
        for i, group in enumerate(self.cascade.groups):
            yield from self._group(group, self.cascade.groups[:i])
        for i, window in enumerate(self.cascade.windows):
            yield from self._window(window, self.cascade.windows[:i])

    def mask(self) -> Iterator[Problem]:
        """A mask is over two whole ranks, and may differ along a third."""
        mask = self.cascade.mask
        if mask is None:
            return
        ranks = [rank for rank in (mask.queries, mask.keys, mask.heads) if rank is not None]
        for symbol in dict.fromkeys(ranks):
            yield from self._symbol(mask, symbol)
            if symbol in self.cascade.parent:
                whole = self.cascade.parent[symbol]
                text = f"wanted a whole rank, found {symbol}, a part of {whole}; write {whole}"
                yield self._at(mask, text)
            if symbol in self.cascade.group_of:
                whole = self.cascade.group_of[symbol]
                text = f"wanted a rank of its own, found {symbol}, which follows {whole}"
                yield self._at(mask, f"{text}; write {whole}")
            if symbol in self.in_windows:
                text = f"wanted a rank that is in no window, found {symbol}"
                yield self._at(mask, f"{text}; masks and windows do not go together")
        if len(set(ranks)) < len(ranks):
            found = ", ".join(ranks)
            text = f"wanted different ranks for queries, keys and heads, found {found}"
            yield self._at(mask, text)

    def inputs(self) -> Iterator[Problem]:
        """Inputs are whole: each rank of them from its first coordinate to its last."""
        for access in self.cascade.inputs:
            yield from self._input(access)

    def _split(self, split: Split, earlier: set[str], seen: set[str]) -> Iterator[Problem]:
        yield from self._symbol(split, split.rank)
        if split.rank in self.cascade.parent:
            whole = self.cascade.parent[split.rank]
            yield self._at(split, f"wanted a whole rank, found {split.rank}, a part of {whole}")
        if split.rank in earlier:
            yield self._at(split, f"wanted one split of {split.rank}, found another; remove one")
        for part in (split.outer, split.inner):
            if part in seen:
                way_out = "only the split declares it"
                yield self._at(split, f"wanted a new rank, found {part} again; {way_out}")
            seen.add(part)

    def _group(self, group: Group, earlier: tuple[Group, ...]) -> Iterator[Problem]:
        split = {s.rank for s in self.cascade.splits} | set(self.cascade.parent)
        grouped = {other.outer for other in earlier}
        for symbol in (group.rank, group.outer):
            yield from self._symbol(group, symbol)
            if symbol in split:
                text = f"wanted a rank that is not split, found {symbol}; group or split it"
                yield self._at(group, text)
        if group.rank == group.outer:
            yield self._at(group, f"wanted two ranks, found {group.rank} twice")
        if group.outer in grouped:
            yield self._at(group, f"wanted one group that gives {group.outer}, found another")
        if group.rank in grouped or group.outer in {other.rank for other in earlier}:
            yield self._at(
                group, f"wanted no group of a group, found {group.rank} -> {group.outer}"
            )

    def _window(self, window: Window, earlier: tuple[Window, ...]) -> Iterator[Problem]:
        ranks = (window.rank, window.output, window.kernel)
        symbols = dict.fromkeys(ranks)
        for symbol in symbols:
            yield from self._symbol(window, symbol)
            yield from self._plain(window, symbol)
        if len(symbols) < len(ranks):
            found = ", ".join(ranks)
            yield self._at(window, f"wanted three ranks, found {found}; a window is `{_WINDOW}`")
        if window.mode not in MODES:
            way_out = hint(window.mode, MODES, f"there are {', '.join(MODES)}")
            yield self._at(window, f"wanted how it ends, found '{window.mode}'; {way_out}")
        if window.output in {other.output for other in earlier}:
            text = f"wanted one window that gives {window.output}, found another"
            yield self._at(window, f"{text}; give each window an output of its own")
        outputs = {other.output for other in self.cascade.windows}
        if window.rank in outputs - {other.output for other in earlier}:
            text = f"wanted the window that gives {window.rank} above this one, found it below"
            yield self._at(window, f"{text}; a map is there before its windows")
        if window.kernel in outputs:
            text = f"wanted a kernel with a size of its own, found {window.kernel}, an output"
            yield self._at(window, f"{text}; declare a rank for the kernel")

    def _plain(self, window: Window, symbol: str) -> Iterator[Problem]:
        """Ranks of windows are whole: neither in parts nor in groups."""
        parts = {s.rank for s in self.cascade.splits} | set(self.cascade.parent)
        groups = {r for group in self.cascade.groups for r in (group.rank, group.outer)}
        if symbol in parts | groups:
            what = "split" if symbol in parts else "group"
            text = f"wanted a rank that is neither split nor grouped, found {symbol} of a {what}"
            yield self._at(window, f"{text}; give the window ranks of its own")

    def words(self) -> Iterator[Problem]:
        """The output of a window shares its word only with ranks that are always as long."""
        for window in self.cascade.windows:
            word, size = self.keys[window.output], measure(self.cascade, window.output)
            for symbol, key in self.keys.items():
                if key == word and measure(self.cascade, symbol) != size:
                    text = f"wanted a word for {window.output} alone, found {word} of {symbol} too"
                    why = f"{window.output} is not always as long as {symbol}"
                    yield self._at(window, f"{text}; {why}, name it out_{word}")

    def _input(self, access: Access) -> Iterator[Problem]:
        for index in access.indices:
            yield from self._known(access, index)
            if not index.varies or index.offset or index.kernel:
                text = f"wanted a plain coordinate such as m, found {index}; an input is whole"
                yield self._at(index, text)
            elif index.rank in self.cascade.parent:
                whole = self.cascade.parent[str(index.rank)].lower()
                yield self._at(
                    index, f"wanted whole ranks in an input, found {index}; write {whole}"
                )
        yield from self._distinct(access)

    # Tensors ----------------------------------------------------------------------------------

    def definitions(self) -> Iterator[Problem]:
        """Each tensor defined once, iterative ones with an init, and outputs that exist."""
        accesses = [*self.cascade.inputs, *(e.output for e in self.cascade.einsums)]
        yield from self._once(accesses, "definition")
        yield from self._once([init.output for init in self.cascade.inits], "init")
        begun = {init.name for init in self.cascade.inits} | self.unread
        for einsum in self.cascade.einsums:
            if einsum.iterative_ranks and einsum.name not in begun:
                form = self._initial(einsum)
                text = f"wanted an init of the iterative {einsum.name}, found none"
                yield Problem(einsum.place, f"{text}; add `init {form} = 0`")
        for place, name in zip(self.places.outputs, self.cascade.outputs, strict=False):
            yield from self._output(place, name)

    def _once(self, accesses: Iterable[Access], what: str) -> Iterator[Problem]:
        first: dict[str, Place] = {}
        for access in accesses:
            place = first.setdefault(access.tensor, access.place)
            if place != access.place:
                text = f"wanted one {what} of {access.tensor}, found another on line {place.line}"
                yield Problem(access.place, f"{text}; rename one")

    def _output(self, place: Place, name: str) -> Iterator[Problem]:
        if name in self.unread or name in self.cascade.by_name:
            return
        if name in self.given:
            yield Problem(place, f"wanted a tensor that is computed, found the input {name}")
            return
        way_out = hint(name, self.cascade.by_name, f"add `{name}[…] = …`")
        yield Problem(place, f"wanted a tensor that is defined, found {name}; {way_out}")

    def _initial(self, einsum: Einsum) -> str:
        """The access that an init of this Einsum has to write, RM[b,h,0,p] for RM[b,h,m1+1,p]."""
        inside = ("0" if i.offset else str(i) for i in einsum.output.indices)
        return f"{einsum.name}[{','.join(inside)}]"

    # Einsums ----------------------------------------------------------------------------------

    def expressions(self) -> Iterator[Problem]:
        """Each init and each Einsum by itself: its operations, its accesses, its ranks."""
        for init in self.cascade.inits:
            yield from self._einsum(init, self._init(init))
        for einsum in self.cascade.einsums:
            yield from self._einsum(einsum, self._left(einsum))

    def _einsum(self, einsum: Einsum, left: Iterable[Problem]) -> Iterator[Problem]:
        yield from self._operations(einsum.expr)
        if einsum.reduce is not None and einsum.reduce not in REDUCTIONS:
            way_out = hint(einsum.reduce, REDUCTIONS, f"there are {', '.join(REDUCTIONS)}")
            text = f"wanted a reduction, found '{einsum.reduce}'; {way_out}"
            yield self._at(einsum.reduce_ranks, text)
        found = [*left, *chain.from_iterable(map(self._read, einsum.operands))]
        yield from found
        if not found and self.unread.isdisjoint(a.tensor for a in einsum.operands):
            yield from self._mixed(einsum) or [*self._reduced(einsum), *self._broadcast(einsum)]

    def _operations(self, expr: Expr) -> Iterator[Problem]:
        if not isinstance(expr, Apply):
            return
        op = OPS.get(expr.op)
        if op is None and expr.op in REDUCTIONS:
            text = f"wanted the rank of the reduction '{expr.op}', found none"
            yield self._at(expr, f"{text}; write {expr.op}_m X[m]")
        elif op is None:
            way_out = hint(expr.op, OPS, f"there are {', '.join(OPS)}")
            yield self._at(expr, f"wanted an operation, found '{expr.op}'; {way_out}")
        elif op.arity != len(expr.args):
            text = f"wanted {_count(op.arity, 'argument')} of {op.name}, found {len(expr.args)}"
            reduces = f"; to reduce write {op.name}_m X[m]" if op.name in REDUCTIONS else ""
            yield self._at(expr, text + reduces)
        for arg in expr.args:
            yield from self._operations(arg)

    def _left(self, einsum: Einsum) -> Iterator[Problem]:
        for index in einsum.output.indices:
            yield from self._known(einsum.output, index)
            if not index.varies:
                text = f"wanted a coordinate that runs over its rank, found {index}"
                way_out = (
                    f"write {index.rank.lower()}" if index.rank else "only an init begins at 0"
                )
                yield self._at(index, f"{text}; {way_out}")
            elif index.kernel:
                text = f"wanted one rank to write along, found {index}"
                yield self._at(index, f"{text}; a window is read, write {str(index.rank).lower()}")
            elif index.offset not in (0, 1):
                c = str(index.rank).lower()
                text = f"wanted {c} or {c}+1 on the left, found {index}"
                yield self._at(index, f"{text}; an iterative rank moves one step at a time")
            elif index.offset:
                yield from self._steps(index)
        if len(einsum.iterative_ranks) > 1:
            found = " and ".join(einsum.iterative_ranks)
            text = f"wanted one iterative rank in {einsum.name}, found {found}"
            yield Problem(einsum.place, f"{text}; give each an Einsum of its own")
        yield from self._distinct(einsum.output)

    def _steps(self, index: Index) -> Iterator[Problem]:
        """An iterative rank is a whole one or an outer part: the last inner tile may be ragged.

        A window looks ahead, so it has no steps.
        """
        inner = {split.inner for split in self.cascade.splits}
        groups = {rank for group in self.cascade.groups for rank in (group.rank, group.outer)}
        if index.rank in inner | groups:
            what = "the inner part of a split" if index.rank in inner else "a rank of a group"
            text = f"wanted a whole rank or an outer part to iterate over, found {what}"
            yield self._at(index, f"{text}: {index}")
        elif index.rank in self.in_windows:
            text = f"wanted a rank that is in no window to iterate over, found {index}"
            yield self._at(index, f"{text}; iterate over another rank")

    def _init(self, init: Einsum) -> Iterator[Problem]:
        if init.name in self.unread:
            return
        if init.name not in self.iterative:
            text = f"wanted an iterative tensor after init, found {init.name}"
            yield Problem(init.place, f"{text}; write it at m+1, or drop the init")
            return
        form = self._initial(self.cascade.by_name[init.name])
        if str(init.output) != form:
            yield Problem(init.output.place, f"wanted {form} in its init, found {init.output}")
        for access in init.operands:
            if access.tensor in self.cascade.by_name:
                text = f"wanted inputs and numbers in an init, found {access}"
                yield Problem(access.place, f"{text}; an init runs before all Einsums")

    # Accesses ---------------------------------------------------------------------------------

    def _read(self, access: Access) -> Iterator[Problem]:
        if access.tensor in self.unread:
            return
        known = [*chain.from_iterable(self._known(access, index) for index in access.indices)]
        yield from known
        yield from self._distinct(access)
        if access.tensor not in self.tensors:
            name = access.tensor
            way_out = hint(name, self.tensors - {name}, f"add `input {access}` or define it")
            yield Problem(access.place, f"wanted a tensor that is defined, found {name}; {way_out}")
        elif not known:
            yield from self._axes(access)

    def _axes(self, access: Access) -> Iterator[Problem]:
        declared = self.cascade.tensor_ranks[access.tensor]
        axes = align(self.cascade, access)
        if len(axes) != len(declared) or not all(axes):
            text = (
                f"wanted {_count(len(declared), 'coordinate')} of {access.tensor}, found {access}"
            )
            yield Problem(access.place, f"{text}; {self._form(access.tensor)}")
            return
        for rank, indices in zip(declared, axes, strict=True):
            for index in indices:
                # Of a rank in two parts, each index is held against its own part.
                own = rank if len(indices) == 1 else str(index.rank)
                yield from self._index(access.tensor, own, index)

    def _index(self, tensor: str, rank: str, index: Index) -> Iterator[Problem]:
        """One coordinate of a tensor that is read, against the rank that it was declared over."""
        c, iterative = rank.lower(), self.iterative.get(tensor) == rank
        if index.rank is None or rank not in self.symbols:
            return
        if index.kernel is not None:
            yield from self._in_window(tensor, rank, index)
        elif index.rank != rank and (iterative or not self._same_size(rank, index)):
            follows = self.cascade.group_of.get(rank) == index.rank
            way_out = f"write {c}, it follows {index}" if follows else self._form(tensor)
            yield self._at(index, f"wanted {c} of {tensor}, found {index}; {way_out}")
        elif index.end and not iterative:
            text = f"wanted {c}, found {index}, the end of an iterative rank"
            yield self._at(index, f"{text}; {tensor} is not written at {c}+1, write {c}")
        elif index.offset and not (iterative and index.offset == 1):
            wanted = f"{c} or {c}+1" if iterative else c
            why = "its steps begin at 0" if iterative else f"it is not written at {c}+1"
            yield self._at(index, f"wanted {wanted} of {tensor}, found {index}; {why}")

    def _in_window(self, tensor: str, rank: str, index: Index) -> Iterator[Problem]:
        """A coordinate y+u, against the rank that the tensor was declared over."""
        window = self.cascade.window(index)
        if window is None:
            turned = Index(index.kernel, kernel=index.rank)
            way_out = f"declare it: `window {rank} -> {index.rank}, {index.kernel}`"
            if self.cascade.window(turned) is not None:
                way_out = f"write {turned}, the output first"
            text = f"wanted a window for {index} of {tensor}, found none"
            yield self._at(index, f"{text}; {way_out}")
        elif window.rank != rank and not self._same_size(rank, Index(window.rank)):
            text = f"wanted {rank.lower()} of {tensor}, found {index}, which is on {window.rank}"
            yield self._at(index, f"{text}; {self._form(tensor)}")
        elif self.iterative.get(tensor) == rank:
            text = f"wanted {rank.lower()} of {tensor}, found {index}, a window over its steps"
            yield self._at(index, f"{text}; copy its values into a tensor of their own")

    def _form(self, tensor: str) -> str:
        """How a tensor has to be read: `it is Q[b,h,p,e]`."""
        return f"it is {tensor}[{','.join(self.cascade.tensor_ranks[tensor]).lower()}]"

    def _same_size(self, rank: str, index: Index) -> bool:
        """Whether the index runs over another rank with the same word, `P queries, M queries`."""
        key = self.keys.get(str(index.rank))
        return bool(key) and key == self.keys.get(rank) and index.varies

    def _known(self, access: Access, index: Index) -> Iterator[Problem]:
        coordinates = [symbol.lower() for symbol in self.symbols]
        for rank in (index.rank, index.kernel):
            if rank is None or rank in self.symbols:
                continue
            word = rank if index.end else rank.lower()
            way_out = hint(word.lower(), coordinates, f"declare it: `ranks {word.upper()} word`")
            text = f"wanted the coordinate of a rank in {access.tensor}, found '{word}'; {way_out}"
            yield self._at(index, text)

    def _distinct(self, access: Access) -> Iterator[Problem]:
        """No access has a rank twice, or beside its parts, or beside the rank of its group."""
        seen: set[str] = set()
        for index in access.indices:
            if index.rank is None:
                continue
            own = {index.rank, index.kernel}
            relatives = own | {self.cascade.parent.get(index.rank)}
            relatives |= {self.cascade.group_of.get(index.rank)}
            relatives |= {g for g, h in self.cascade.group_of.items() if h == index.rank}
            relatives |= {part for part, r in self.cascade.parent.items() if r == index.rank}
            clash = seen.intersection(filter(None, relatives))
            if clash:
                c = min(clash).lower()
                text = (
                    f"wanted independent coordinates in {access.tensor}, found {index} beside {c}"
                )
                yield self._at(index, f"{text}; give it a rank of its own")
            seen.update(filter(None, own))

    # The iteration space of an Einsum ---------------------------------------------------------

    def _mixed(self, einsum: Einsum) -> list[Problem]:
        """A whole rank beside its parts, or a group rank written beside the rank it follows."""
        found = []
        read = {rank for access in einsum.operands for rank in access.ranks}
        used = read | set(einsum.output.ranks)
        for split in self.cascade.splits:
            whole, outer, inner = split.rank.lower(), split.outer.lower(), split.inner.lower()
            parts = {split.outer, split.inner}
            if split.rank in read and parts & used:
                text = f"wanted either {whole} or {outer},{inner}, found both"
                found.append(Problem(einsum.place, f"{text}; write {outer},{inner} for {whole}"))
            elif split.rank in used and parts & used and not parts <= read:
                text = (
                    f"wanted {outer} and {inner} on the right to gather {whole}, found one of them"
                )
                found.append(Problem(einsum.place, text))
        for group in self.cascade.groups:
            if group.outer in einsum.output.ranks and group.rank in read:
                g, h = group.outer.lower(), group.rank.lower()
                text = f"wanted {h} on the left, for {g} follows it, found {g}"
                found.append(
                    Problem(einsum.place, f"{text}; split {group.rank} to reduce in groups")
                )
        return found

    def _reduced(self, einsum: Einsum) -> Iterator[Problem]:
        """The reduction names all ranks that go, and no other."""
        written, space = written_ranks(self.cascade, einsum), self.cascade.iteration_ranks(einsum)
        seen: set[str] = set()
        for rank in einsum.reduce_ranks:
            if rank not in self.symbols:
                way_out = hint(rank, self.symbols, "declare it").lower()
                text = f"wanted a rank to reduce, found '{rank.lower()}'; {way_out}"
            elif rank in written:
                text = f"wanted the reduced {rank.lower()} on the right only, found {einsum.output}"
            elif rank not in space:
                text = f"wanted a rank of the right-hand side to reduce, found {rank.lower()}"
            elif rank in seen:
                text = f"wanted each rank to reduce once, found {rank.lower()} twice"
            else:
                text = ""
            seen.add(rank)
            if text:
                yield self._at(einsum.reduce_ranks, text)
        left = [rank.lower() for rank in unreduced(self.cascade, einsum) if rank not in seen]
        if left:
            yield Problem(einsum.place, self._unreduced(einsum, left))

    def _unreduced(self, einsum: Einsum, left: list[str]) -> str:
        ranks = [*(rank.lower() for rank in einsum.reduce_ranks), *left]
        over = ranks[0] if len(ranks) == 1 else f"{{{','.join(ranks)}}}"
        names = [einsum.reduce] if einsum.reduce else ["sum", "max"]
        ways = " or ".join(f"{name}_{over} …" for name in names)
        found = f"found {', '.join(left)} only on the right"
        return f"wanted a reduction with its rank, {found}; write {ways}, or {left[0]} on the left"

    def _broadcast(self, einsum: Einsum) -> Iterator[Problem]:
        """Every rank of the output stands in an operand, except where a constant is spread."""
        read = {rank for access in einsum.operands for rank in access.ranks}
        read |= {self.cascade.group_of[rank] for rank in read if rank in self.cascade.group_of}
        read |= {self.cascade.parent[rank] for rank in read if rank in self.cascade.parent}
        for index in einsum.output.indices:
            if index.rank is not None and einsum.operands and index.rank not in read:
                c = index.rank.lower()
                text = f"wanted {c} of {einsum.name} in an operand, found it on the left only"
                yield self._at(index, f"{text}; drop it or read a tensor that has it")

    # Order ------------------------------------------------------------------------------------

    def order(self) -> Iterator[Problem]:
        """A tensor is read after its definition; only its previous step may be read before."""
        for einsum in self.cascade.einsums:
            for access in einsum.operands:
                if access.tensor in self.position and access.tensor not in self.unread:
                    yield from self._earlier(einsum, access)

    def _earlier(self, einsum: Einsum, access: Access) -> Iterator[Problem]:
        here, there = self.position[einsum.name], self.position[access.tensor]
        rank = self.iterative.get(access.tensor)
        previous = any(i.rank == rank and i.varies and i.offset < 1 for i in access.indices)
        if there < here or (rank and previous):
            return
        if there == here or einsum.name in _reachable(self.reads, access.tensor):
            way_out = f"read it at {rank.lower()}" if rank else "write it at m+1, and add an init"
            text = f"wanted {einsum.name} to need earlier steps only, found itself behind {access}"
        else:
            line, way_out = self.cascade.einsums[there].place.line, "move that line up"
            text = f"wanted {access.tensor} defined before it is read, found it on line {line}"
        yield Problem(access.place, f"{text}; {way_out}")

    def recurrences(self) -> Iterator[Problem]:
        """Einsums that feed each other step along one rank, and each step needs no later one."""
        for stage in stages(self.cascade):
            ranks = sorted({rank for einsum in stage for rank in einsum.iterative_ranks})
            names = " and ".join(einsum.name for einsum in stage)
            if len(ranks) > 1:
                text = f"wanted one iterative rank in {names}, found {', '.join(ranks)}"
                yield Problem(
                    stage[0].place, f"{text}; they read each other, so they step together"
                )
            for einsum in stage if len(ranks) == 1 else ():
                yield from self._stepwise(einsum, ranks[0], stage)

    def _stepwise(self, einsum: Einsum, rank: str, stage: tuple[Einsum, ...]) -> Iterator[Problem]:
        c, names = rank.lower(), [other.name for other in stage]
        why = f"{' and '.join(names)} feed each other step by step"
        if rank not in einsum.output.ranks:
            text = f"wanted {c} on the left of {einsum.name}, found {einsum.output}"
            yield Problem(einsum.place, f"{text}; {why}")
        for access in einsum.operands:
            if access.tensor in names and rank not in access.ranks:
                text = f"wanted {access.tensor} at {c} or {c}+1, found {access}"
                yield Problem(access.place, f"{text}; {why}")

    # What is left over ------------------------------------------------------------------------

    def unused(self) -> Iterator[Problem]:
        """Ranks and inputs that nothing uses."""
        einsums = [*self.cascade.inits, *self.cascade.einsums]
        written = [*self.cascade.inputs, *(e.output for e in einsums)]
        used = {self.cascade.root(str(i.rank)) for access in written for i in access.indices}
        used |= self.in_windows
        for rank in self.cascade.ranks:
            if rank.symbol not in used:
                text = f"wanted a tensor with rank {rank.symbol}, found none; remove it"
                yield self._at(rank, text)
        read = {access.tensor for einsum in einsums for access in einsum.operands}
        for access in self.cascade.inputs:
            if access.tensor not in read:
                text = f"wanted an Einsum that reads the input {access.tensor}, found none"
                yield Problem(access.place, f"{text}; remove it")

    def unneeded(self) -> Iterator[Problem]:
        """Tensors that no output needs."""
        outputs = set(self.cascade.outputs)
        if not outputs and self.cascade.einsums:
            text = "wanted a tensor that no other one reads as output, found none; name an output"
            yield Problem(self.cascade.einsums[0].place, text)
        needed = outputs.union(*(_reachable(self.reads, name) for name in outputs))
        for einsum in self.cascade.einsums:
            if outputs and einsum.name not in needed and not self.unread:
                text = f"wanted an output that needs {einsum.name}, found none"
                yield Problem(einsum.place, f"{text}; remove it or name it as an output")

    def unread_windows(self) -> Iterator[Problem]:
        """Each window is the coordinate of some operand."""
        reads = {i for e in self.cascade.einsums for access in e.operands for i in access.indices}
        for window in self.cascade.windows:
            at = Index(window.output, kernel=window.kernel)
            if at not in reads:
                text = f"wanted a tensor that is read at {at}, found none; remove the window"
                yield self._at(window, text)

    def unmasked(self) -> Iterator[Problem]:
        """A mask leaves something out: some Einsum goes over both of its ranks."""
        mask = self.cascade.mask
        if mask is not None and not masked_einsums(self.cascade) and not self.unread:
            text = f"wanted an Einsum over both {mask.queries} and {mask.keys}, found none"
            yield self._at(mask, f"{text}; remove the mask, it leaves nothing out")

    # Helpers ----------------------------------------------------------------------------------

    def _at(self, value: object, text: str) -> Problem:
        return Problem(self.places[value], text)

    def _symbol(
        self, where: Split | Group | Window | CascadeMask, symbol: str
    ) -> Iterator[Problem]:
        if symbol not in self.symbols:
            way_out = hint(symbol, self.keys, f"declare it: `ranks {symbol} word`")
            yield self._at(where, f"wanted a rank that is declared, found {symbol}; {way_out}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _reachable(reads: Mapping[str, AbstractSet[str]], start: str) -> set[str]:
    """All tensors that `start` needs, directly or through others; itself only on a cycle."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = reads.get(ahead.pop(), frozenset()) - found
        found |= new
        ahead += new
    return found
