"""A loop nest walked step by step and point by point, to check what the simulator counts in sums.

Nothing here uses factors, sums of ragged tiles or the simulator's layout. What each Einsum reads
over the edge of the array is written down by hand, from the published tables of FuseMax (MICRO
2024). Ranks are letters: B batch, G heads of K and V, R query heads of one of them, P, M, E, F,
and T for a tile of keys (m // M0). The rules walked are those of the documentation:

- a tile held inside loop l is dropped when l or a loop outside it moves on;
- a spilled part of a tensor in the buffer comes from DRAM each time that it is read;
- under a mask a step takes place if it has an attended pair; where no loop cuts the keys, a step
  has the key tiles in which its queries attend something;
- what is not in some loop runs in the last step of it that takes place;
- within one execution an operand stays in the array until a coordinate that it has moves on, or a
  loop that it does not have moves on outside the innermost loop that it has.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import product


@dataclass(frozen=True)
class Work:
    """An Einsum: ranks that it keeps, ranks that it reduces, operands, ops at a point.

    `edge` names the operands that come over the edge of the array, not from another Einsum.
    """

    kept: str
    ops: dict
    operands: tuple
    edge: tuple = ()
    reduced: str = ""

    @property
    def ranks(self):
        return self.kept + self.reduced


@dataclass(frozen=True)
class Place:
    """Where an Einsum runs: its unit, the ranks on its sides, the order of what takes time."""

    unit: str
    rows: str = ""
    cols: str = ""
    order: str = ""


@dataclass
class Plan:
    """One group: loops [(name, rank, tile)], where tensors live, and which Einsum runs where."""

    loops: list
    works: dict
    places: dict
    level: dict  # tensor -> "buffer" or "stream"; all others stay in the array
    hold: dict  # tensor -> loop, "" for the whole run
    results: tuple
    spill: dict = field(default_factory=dict)  # tensor -> the part of it that is kept in DRAM


@dataclass(frozen=True)
class Machine:
    """What the walk needs of a machine: sides of its units, words of a row, ops of an op."""

    sides: dict  # unit -> (rows, cols)
    row_words: float
    word_bytes: float
    primitives: dict  # unit -> op -> {op: n}


def walk(plan, tensors, extents, machine, mask=None, key_tile=1):  # noqa: PLR0913
    """Counts by (component, action) of one group; `tensors` gives the ranks of each tensor.

    `mask` is a boolean array of queries and keys; `key_tile` matters where no loop cuts the keys.
    """
    state = _State(plan, tensors, extents, machine)
    steps = [*_steps(plan.loops, extents)]
    if mask is not None:
        looped = any(rank == "M" for _, rank, _ in plan.loops)
        steps = [*_visited(steps, mask, None if looped else key_tile)]
    last = {(name, step.at(loops)): step for name, loops in state.active.items() for step in steps}
    for step in steps:
        for name, loops in state.active.items():
            if last[name, step.at(loops)] is step:
                state.run(name, plan.works[name], step)
    return state.finish()


@dataclass
class _Step:
    index: dict  # loop -> iteration
    box: dict  # rank -> range of coordinates

    def at(self, loops):
        return tuple(self.index[x] for x in loops)


def _steps(loops, extents, index=None, box=None):
    index = index or {}
    box = box or {rank: range(n) for rank, n in extents.items()}
    if len(index) == len(loops):
        yield _Step(index, box)
        return
    name, rank, tile = loops[len(index)]
    whole = box[rank]
    for i, start in enumerate(range(whole.start, whole.stop, int(tile))):
        part = range(start, min(start + int(tile), whole.stop))
        yield from _steps(loops, extents, {**index, name: i}, {**box, rank: part})


def _visited(steps, mask, key_tile):
    """Steps with an attended pair; whole rows of keys lose the key tiles that have none."""
    for step in steps:
        attended = mask[step.box["P"].start : step.box["P"].stop].any(axis=0)
        keys = [m for m in step.box["M"] if attended[m]]
        if keys and key_tile is not None:
            tiles = {m // key_tile for m in keys}
            yield _Step(
                step.index, step.box | {"M": [m for m in step.box["M"] if m // key_tile in tiles]}
            )
        elif keys:
            yield step


class _State:
    def __init__(self, plan, tensors, extents, machine):
        self.plan, self.tensors, self.extents, self.machine = plan, tensors, extents, machine
        self.n = Counter()
        self.held = {}  # tensor -> (iteration that it is held for, coordinates)
        self.stored = {name: set() for name in plan.results}
        # Loops in which each Einsum runs every time.
        self.active = {
            name: [x for x, rank, _ in plan.loops if self._has(work, rank)]
            for name, work in plan.works.items()
        }

    def coordinates(self, letters, box):
        """All coordinates of a tensor in a box; a T is a tile of M."""
        edge = self.extents.get("M0", 1)
        ranges = {**box, "T": sorted({m // edge for m in box["M"]})} if "M" in box else box
        return set(product(*(ranges[rank] for rank in letters)))

    def _has(self, work, rank):
        return rank in work.ranks or (rank == "M" and "T" in work.ranks)

    def run(self, name, work, step):
        place = self.plan.places[name]
        points = self.coordinates(work.ranks, step.box)
        for op, n in work.ops.items():
            for primitive, each in self.machine.primitives[place.unit].get(op, {op: 1}).items():
                self.n[place.unit, primitive] += n * each * len(points)
        registers = len(work.operands) + bool(work.reduced)
        self.n[place.unit, "register_read"] += registers * len(points)
        self.n[place.unit, "register_write"] += registers * len(points)
        for tensor in work.edge:
            self.read(tensor, sum(1 for _ in self.crossings(work, place, tensor, step.box)), step)
        if self.plan.level.get(name) == "buffer":
            self.write(name, work, list(self.crossings(work, place, name, step.box)), step)
        if name in self.stored:
            self.stored[name] |= self.coordinates(self.tensors[name], step.box)

    def read(self, tensor, words, step):
        """Words of an operand into the array; what is not in the buffer is fetched before."""
        if self.plan.level[tensor] == "stream":
            self.n["dram", "read_bytes"] += words * self.machine.word_bytes
            return
        self.n["buffer", "read"] += words / self.machine.row_words
        spilled = self.plan.spill.get(tensor, 0)
        self.n["dram", "read_bytes"] += words * spilled * self.machine.word_bytes
        if tensor not in self.plan.works:
            needed = self.coordinates(self.tensors[tensor], step.box)
            new = len(needed - self.kept(tensor, step))
            self.kept(tensor, step).update(needed)
            self.n["dram", "read_bytes"] += new * (1 - spilled) * self.machine.word_bytes
            self.n["buffer", "write"] += new / self.machine.row_words

    def write(self, name, work, words, step):
        """Words of a result into the buffer; a partial sum that is there is read back first."""
        self.n["buffer", "write"] += len(words) / self.machine.row_words
        spilled = len(words) * self.plan.spill.get(name, 0)
        self.n["dram", "write_bytes"] += spilled * self.machine.word_bytes
        if work.reduced:
            seen = self.kept(name, step)
            for word in words:
                self.n["buffer", "read"] += (word in seen) / self.machine.row_words
                seen.add(word)

    def kept(self, tensor, step):
        """Coordinates of a tensor in the buffer; dropped when its loop or an outer one moves on."""
        names = [x for x, _, _ in self.plan.loops]
        own = [i for i, (_, rank, _) in enumerate(self.plan.loops) if rank in self.tensors[tensor]]
        loop = self.plan.hold.get(tensor)
        depth = max(own, default=-1) if loop is None else names.index(loop) if loop else -1
        now = tuple(step.index[x] for x in names[: depth + 1])
        if self.held.get(tensor, (None,))[0] != now:
            self.held[tensor] = (now, set())
        return self.held[tensor][1]

    def crossings(self, work, place, tensor, box):
        """Every word of a tensor that crosses the edge of the array in one execution."""
        letters = self.tensors[tensor]
        loops = self.temporal(work, place, box)
        has = [any(rank in letters for rank in ranks) for ranks, _ in loops]
        inner = max(i for i, relevant in enumerate(has) if relevant)
        there, before = set(), None
        for blocks in product(*(enumerate(blocks) for _, blocks in loops[: inner + 1])):
            others = tuple(i for (i, _), mine in zip(blocks, has, strict=False) if not mine)
            if others != before:
                there, before = set(), others
            now = set()
            for combined in product(*(block for _, block in blocks)):
                point = {k: v for part in combined for k, v in part.items()}
                now.add(tuple(point[rank] for rank in letters))
            yield from now - there
            there = now

    def temporal(self, work, place, box):
        """Loops of one execution, outermost first: [(ranks, [block of points])]."""
        rows, cols = self.machine.sides[place.unit]
        sides = {}
        for ranks, lanes in ((place.cols, cols), (place.rows, rows)):
            present = "".join(rank for rank in ranks if rank in work.ranks)
            sides |= dict.fromkeys(present, (present, lanes))
        loose = "".join(rank for rank in work.ranks if rank not in place.cols + place.rows)
        wanted = place.order or place.cols + place.rows + loose
        wanted = "".join(r for r in work.ranks if r not in wanted) + wanted
        loops, done = [], ""
        for rank in (r for r in wanted if r in work.ranks):
            if rank in done:
                continue
            ranks, lanes = sides.get(rank, (rank, 1))
            done += ranks
            values = [dict(zip(ranks, c, strict=True)) for c in self._ordered(ranks, box)]
            loops.append((ranks, [values[i : i + lanes] for i in range(0, len(values), lanes)]))
        return loops

    def _ordered(self, ranks, box):
        return sorted(self.coordinates(ranks, box))

    def finish(self):
        """Store what the group leaves behind: every element once."""
        for name, done in self.stored.items():
            self.n["dram", "write_bytes"] += len(done) * self.machine.word_bytes
            if self.plan.level.get(name) == "buffer":
                self.n["buffer", "read"] += len(done) / self.machine.row_words
        return self.n
