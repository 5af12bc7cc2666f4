"""Random valid cascades for properties: `cascades()` is a hypothesis strategy.

Ranks are H heads in groups G, P queries, M keys (often split into M1, M0) and E head_dim. Einsums
are maps of one or two operands, reductions over any of their ranks, and running values with or
without a value made from the step before; whatever is complete or running may be used again.
With `sizes_of` every rank has at least two elements and M has a ragged last tile.

With a window there are also a map over I and kernels of U with Y places on it: some Einsum reads
both, and whatever is over I may be read at y+u.
"""

from hypothesis import strategies as st

from einfall.einsum_cascades.einsum import (
    Access,
    Apply,
    Cascade,
    Einsum,
    Group,
    Index,
    Number,
    Rank,
    Split,
    Window,
)
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.einsum_cascades.windows import MODES

SHAPE = {"heads": 4, "kv_heads": 2, "queries": 2, "keys": 5, "head_dim": 3}
SHAPE |= {"height": 4, "kernel": 3}
TILES = {"M": 2}  # three tiles of M, the last one ragged

RANKS = (
    Rank("H", "heads"),
    Rank("G", "kv_heads"),
    Rank("P", "queries"),
    Rank("M", "keys"),
    Rank("E", "head_dim"),
    Rank("I", "height"),
    Rank("Y", "places"),
    Rank("U", "kernel"),
)
SPLITS = (Split("M", "M1", "M0"),)
GROUPS = (Group("H", "G"),)
MAPS = {1: ("exp", "neg"), 2: ("add", "sub", "mul", "div", "max")}
INPUTS = {"Q": "HPE", "K": "GME", "V": "GM", "B": "PM", "S": "E"}
MAP, KERNEL = {"X": "PI"}, {"W": "U"}
COIN = st.booleans()


def sizes_of(cascade):
    """Small sizes of the ranks of a random cascade."""
    keys = {rank.shape_key for rank in cascade.ranks}
    shape = {key: size for key, size in SHAPE.items() if key in keys}
    return rank_sizes(cascade, shape, TILES if cascade.splits else {})


class _Builder:
    """The cascade so far, and the choices that are valid next."""

    def __init__(self, draw, split, window=None):
        self.draw = draw
        self.window = window
        self.splits = SPLITS if split else ()
        self.einsums: list[Einsum] = []
        self.inits: list[Einsum] = []
        names = draw(st.lists(st.sampled_from(sorted(INPUTS)), min_size=1, max_size=4, unique=True))
        self.given = {name: tuple(INPUTS[name]) for name in names}
        if window:
            self.given |= {name: tuple(ranks) for name, ranks in (MAP | KERNEL).items()}
        self.ranks = dict(self.given)
        self.steps: dict[str, str] = {}

    def cascade(self):
        """What has been built, with only the inputs and ranks that are used."""
        read = {a.tensor for e in self.einsums for a in e.operands}
        inputs = [name for name in self.given if name in read]
        used = {"M" if r in ("M1", "M0") else r for name in inputs for r in self.given[name]}
        used |= {"I", "Y", "U"} if self.window else set()
        return Cascade(
            name="random",
            ranks=tuple(r for r in RANKS if r.symbol in used),
            inputs=tuple(Access(name, tuple(map(Index, self.given[name]))) for name in inputs),
            outputs=self.outputs(),
            einsums=tuple(self.einsums),
            inits=tuple(self.inits),
            splits=self.splits if "M" in used else (),
            groups=GROUPS if {"H", "G"} <= used else (),
            windows=(self.window,) if self.window else (),
        )

    def outputs(self):
        """The last tensors that together need all others."""
        reads = {e.name: {a.tensor for a in e.operands} for e in self.einsums}
        outputs, needed = [], set()
        for name in reversed(reads):
            if name not in needed:
                outputs.append(name)
                todo = [name]
                while todo:
                    new = reads.get(todo.pop(), set()) - needed
                    needed |= new
                    todo += new
        return tuple(reversed(outputs))

    def iterated(self, operands):
        stub = Cascade("stub", RANKS, (), (), (), splits=self.splits, groups=GROUPS)
        return stub.iteration_ranks(Einsum(Access("X"), Apply("f", tuple(operands))))

    def operand(self, name=None):
        """An access to a tensor so far, often the newest; running values anywhere or at the end."""
        names = list(self.ranks)
        name = name or self.draw(st.sampled_from([*names, *names[-2:], *names[-1:]]))
        indices = []
        for rank in self.ranks[name]:
            if rank == self.steps.get(name):
                choices = (Index(rank), Index(rank, offset=1), Index(rank, end=True))
                indices.append(self.draw(st.sampled_from(choices)))
            elif rank == "M" and self.splits:
                indices += [Index("M1"), Index("M0")]
            elif rank == "I" and {"Y", "U"}.isdisjoint(self.ranks[name]) and self.draw(COIN):
                indices.append(Index("Y", kernel="U"))
            else:
                indices.append(Index(rank))
        return Access(name, tuple(indices))

    def define(self, ranks, expr, reduce=None, reduce_ranks=(), step=None):
        name = f"T{len(self.einsums)}"
        output = Access(name, tuple(Index(r, offset=int(r == step)) for r in ranks))
        self.einsums.append(Einsum(output, expr, reduce, tuple(reduce_ranks)))
        self.ranks[name] = tuple(ranks)
        return name

    def add_map(self, *names):
        """Any map of one or two operands, or one of the named tensors."""
        count = len(names) or self.draw(st.integers(1, 2))
        operands = [self.operand(name) for name in names or [None] * count]
        op = self.draw(st.sampled_from(MAPS[count]))
        self.define(self.iterated(operands), Apply(op, tuple(operands)))

    def add_window(self):
        """The map read at y+u, times the kernel, and mostly summed over its coordinates."""
        read = Access("X", (Index("P"), Index("Y", kernel="U")))
        product = Apply("mul", (read, Access("W", (Index("U"),))))
        gone = self.draw(st.sampled_from((["U"], ["U"], [], ["Y", "U"])))
        kept = [rank for rank in "PYU" if rank not in gone]
        self.define(kept, product, "sum" if gone else None, gone)

    def add_reduction(self, *names):
        """Any reduction of an operand or a product; the parts of M are taken more often."""
        operands = [self.operand(name) for name in names or [None] * self.draw(st.integers(1, 2))]
        ranks = self.iterated(operands)
        if not ranks:
            return
        parts = [r for r in ranks if r in ("M0", "M1")]
        favoured = [parts, parts[-1:], [*parts, *ranks[:1]], *([r] for r in ranks)]
        gone = self.draw(st.sampled_from([choice for choice in favoured if choice]))
        gone = [r for r in ranks if r in gone]
        expr = operands[0] if len(operands) == 1 else Apply("mul", tuple(operands))
        reduce = self.draw(st.sampled_from(("sum", "max")))
        self.define([r for r in ranks if r not in gone], expr, reduce, gone)

    def add_reuse(self):
        """A reduction (as of a softmax) and a map of its result with what it was made from."""
        source = self.draw(st.sampled_from(list(self.ranks)))
        count = len(self.einsums)
        self.add_reduction(source)
        if len(self.einsums) > count:
            self.add_map(source, self.einsums[-1].name)

    def add_tiles(self):
        """The maximum of each tile, that of all, and their difference, as in 2-pass attention."""
        source = self.operand()
        ranks = self.iterated([source])
        if "M1" not in ranks:
            return
        local = [r for r in ranks if r != "M0"]
        inner = [r for r in ranks if r == "M0"]
        each = self.define(local, source, "max" if inner else None, inner)
        each = Access(each, tuple(map(Index, local)))
        rest = [r for r in local if r != "M1"]
        every = Access(self.define(rest, each, "max", ["M1"]), tuple(map(Index, rest)))
        self.define(local, Apply("sub", (each, every)))

    def add_running(self):
        """T[i+1] = T[i] + X[i], or D[i] = T[i]·X[i] followed by T[i+1] = D[i] + X[i]."""
        source = self.operand()
        ranks = [r for r in self.iterated([source]) if r != "M0"]
        steps = [r for r in ranks if r not in "HGIYU"]  # no steps over groups and windows
        if "M0" in source.ranks or not steps:
            return
        step = "M1" if "M1" in steps else self.draw(st.sampled_from(steps))
        op = self.draw(st.sampled_from(("add", "max")))
        count = len(self.einsums)
        detour = self.draw(st.booleans())
        name = f"T{count + detour}"
        before = Access(name, tuple(map(Index, ranks)))
        if detour:
            made = self.define(ranks, Apply("mul", (before, source)))
            before = Access(made, before.indices)
        self.define(ranks, Apply(op, (before, source)), step=step)
        self.steps[name] = step
        first = tuple(Index(None) if r == step else Index(r) for r in ranks)
        self.inits.append(Einsum(Access(name, first), Number(0.0)))


WINDOWS = st.builds(Window, *map(st.just, "IYU"), st.sampled_from(MODES))


@st.composite
def cascades(draw, max_einsums=8, windows=None):
    """A valid cascade of about `max_einsums` Einsums at most (a step may add three).

    With `windows`, a strategy of windows of U on I with places Y, one of them is in it.
    """
    window = None if windows is None else draw(windows)
    builder = _Builder(draw, split=draw(st.integers(0, 3)) > 0, window=window)
    wanted = draw(st.integers(min(3, max_einsums), max_einsums))
    builder.add_window() if window else builder.add_map()
    while len(builder.einsums) < wanted:
        kind = draw(st.sampled_from(("reuse", "map", "reduction", "running", "tiles")))
        getattr(builder, f"add_{kind}")()
    return builder.cascade()
