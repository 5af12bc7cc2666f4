"""Branch and bound over the map space: what cannot beat the best mapping known is never costed.

A mapping is a path through the program: its groups follow each other, times and energies add up.
Each run of Einsums has a lower bound, and so has the cheapest way before and after it. A candidate
is dropped when way before + its bound + way after is no better than the best mapping known, which
is one that ships to begin with. Bounds get sharper in four steps:

1. a run: each Einsum where it takes least, compulsory traffic;
2. a binding: the units that it names, arrays full;
3. an order of loops with all its tiles at once: the lowered group with every input kept as far out
   as can matter, whatever that needs of the buffer; its busiest resource and its energy;
4. what is left: the closed form itself, for each way of keeping the inputs that fits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import inf

import numpy as np

from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.library import Machine, as_array
from einfall.sim.accounting import PHYSICAL
from einfall.sim.estimate import estimate
from einfall.sim.layout import Layout
from einfall.sim.legality import refuse_windows
from einfall.sim.mapping import Mapping, MappingError
from einfall.sim.numeric import largest
from einfall.sim.ruled import mapping_for, names
from einfall.sim.search.bound import SAFE, Least, RunBound
from einfall.sim.search.evaluate import (
    Array,
    Candidate,
    Grid,
    energy_j,
    grid_of,
    least_time_s,
    time_s,
)
from einfall.sim.search.result import OBJECTIVES, Found, Proof, SearchResult
from einfall.sim.search.space import Run, Space, Spread, Variant, Walk
from einfall.sim.tiling import footprint_bytes, group_context, split_tiles

TOLERANCE = 0.01
"""How much worse than a mapping that is left out one of the Pareto set may be, in each measure."""


def search(  # noqa: PLR0913 - the question, and how to look for its answer
    cascade: Cascade,
    shape: MappingOf[str, int],
    machine: Machine,
    *,
    objective: str = "latency",
    pareto: bool = False,
    tolerance: float = TOLERANCE,
    seconds: float | None = None,
    shipped: bool = True,
) -> SearchResult:
    """The best mapping of a cascade of a shape on a spatial array.

    Args:
        cascade: What is computed.
        shape: Sizes by shape key.
        machine: On what.
        objective: What is made small: latency, energy or edp.
        pareto: Whether to look for all mappings that no other beats in time, energy and buffer.
        tolerance: How far the Pareto set may be off: for every mapping of the space it has one
            that is at most this part worse in each of the three. The best mapping is exact.
        seconds: When to stop and tell the gap; None searches to the end.
        shipped: Whether the mappings that ship belong to the space.

    Returns:
        The best mapping with its proof.

    Raises:
        SpecError: The machine is no spatial array.
        ShapeError: The shape does not fit the cascade.
        MappingError: Nothing is legal and fits, or the cascade is masked or reads windows.
    """
    array = as_array(machine)
    refuse_windows(cascade)
    space = Space(cascade, shape, array)
    space.check()
    exact = _Search(space, objective, seconds=seconds, shipped=shipped).result()
    if not pareto:
        return exact
    left = None if seconds is None else max(0.0, seconds - exact.seconds)
    known = (exact.best, *exact.shipped)
    # Half of the tolerance is for what is left out on the way, half for the set itself.
    half = (1 + tolerance) ** 0.5 - 1
    front = _Search(space, objective, pareto=True, tolerance=half, seconds=left, known=known)
    found = front.result()
    return replace(
        found,
        best=exact.best,
        shipped=exact.shipped,
        lower_bound=exact.lower_bound,
        seconds=exact.seconds + found.seconds,
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A candidate with its tiles chosen, and its cost."""

    time_s: float
    energy_j: float
    buffer_bytes: float
    candidate: Candidate
    tiles: MappingOf[str, int]
    split: float | None

    @property
    def cost(self) -> tuple[float, float, float]:
        return self.time_s, self.energy_j, self.buffer_bytes

    @property
    def cuts(self) -> bool:
        run = self.candidate.run
        return run.tied is not None and any(w.rank == run.tied for w in self.candidate.order)


@dataclass(frozen=True, slots=True)
class _Way:
    """Pieces from the first Einsum on."""

    time_s: float = 0.0
    energy_j: float = 0.0
    buffer_bytes: float = 0.0
    pieces: tuple[_Piece, ...] = ()

    @property
    def cost(self) -> tuple[float, float, float]:
        return self.time_s, self.energy_j, self.buffer_bytes

    def then(self, piece: _Piece) -> _Way:
        return _Way(
            self.time_s + piece.time_s,
            self.energy_j + piece.energy_j,
            max(self.buffer_bytes, piece.buffer_bytes),
            (*self.pieces, piece),
        )


_Key = tuple[float | None, bool]  # the tile of a split rank, and whether a loop cuts it


@dataclass
class _Search:
    space: Space
    objective: str
    pareto: bool = False
    tolerance: float = 0.0
    seconds: float | None = None
    shipped: bool = False
    known: tuple[Found, ...] = ()
    proof: Proof = field(default_factory=Proof)
    pieces: dict[tuple[int, int], dict[_Key, list[_Piece]]] = field(default_factory=dict)
    least: dict[tuple[int, int], Least] = field(default_factory=dict)
    front: list[_Way | Found] = field(default_factory=list)
    best: float = inf
    started: float = field(default_factory=time.perf_counter)

    # --- the whole ------------------------------------------------------------------------------

    def result(self) -> SearchResult:
        """Explore every run, then tell."""
        seeds = tuple(self._seeds()) if self.shipped else ()
        for seed in (*self.known, *seeds):
            self._offer(seed)
        bounds = {(r.start, r.stop): RunBound(r) for r in self.space.runs}
        self.least = {key: bound.least for key, bound in bounds.items()}
        self.proof.candidates = sum(r.candidates for r in self.space.runs)
        self.proof.mappings = self._mappings()
        for run in self.space.runs:
            self._ways()
            if self._late():
                self.proof.unexplored += run.candidates
                continue
            left = self.proof.unexplored
            if not self._explore(run, bounds[run.start, run.stop]):
                continue
            self._complete()
            if self.proof.unexplored == left:
                self._settle(run)
        self._complete()
        return self._answer(seeds)

    def _answer(self, seeds: tuple[Found, ...]) -> SearchResult:
        if not self.front:
            raise MappingError(
                f"search: wanted a mapping of {self.space.cascade.name} that fits "
                f"{self.space.machine.name}, found none in a space of "
                f"{self.proof.candidates:,} candidates; try --set buffer.capacity=2x"
            )
        score = OBJECTIVES[self.objective]
        ranked = sorted(self.front, key=lambda f: (score(*_cost_of(f)[:2]), _cost_of(f)))
        found = [self._found(way) for way in (self._thinned(ranked) if self.pareto else ranked[:1])]
        self._ways()
        n = len(self.space.cascade.einsums)
        low = score(self.before[n].time_s, self.before[n].energy_j)
        value = score(found[0].latency_s, found[0].energy_j)
        return SearchResult(
            objective=self.objective,
            best=found[0],
            proof=self.proof,
            lower_bound=float(value if self._is_done() else min(low, value)),
            seconds=time.perf_counter() - self.started,
            shipped=seeds,
            pareto=tuple(sorted(found, key=lambda f: f.latency_s)) if self.pareto else None,
            tolerance=(1 + self.tolerance) ** 2 - 1,
        )

    def _thinned(self, front: list[_Way | Found]) -> list[_Way | Found]:
        """Those that stand for all others within the tolerance."""
        kept: list[_Way | Found] = []
        costs = np.array([_cost_of(way) for way in front])
        left = np.arange(len(front))
        while len(left):
            kept.append(front[left[0]])
            left = left[_better_than(kept[-1:], costs[left], self.tolerance)]
        return kept

    def _is_done(self) -> bool:
        return not (self.proof.unexplored or self.proof.stopped)

    def _late(self) -> bool:
        return self.seconds is not None and time.perf_counter() - self.started > self.seconds

    # --- mappings that ship ---------------------------------------------------------------------

    def _seeds(self) -> Iterator[Found]:
        """Those that take the question, costed."""
        space = self.space
        for name in names():
            try:
                mapping = mapping_for(space.cascade, space.shape, space.machine, name=name)
                yield self._costed(mapping, name)
            except MappingError:
                continue

    def _costed(self, mapping: Mapping, origin: str) -> Found:
        """The estimate of a mapping."""
        space = self.space
        cost = estimate(space.cascade, space.shape, space.machine, mapping)
        return Found(
            mapping,
            float(cost.latency_s),
            float(cost.energy_j),
            buffer_bytes(space, mapping),
            origin,
        )

    # --- bounds ---------------------------------------------------------------------------------

    def _ways(self) -> None:
        """The least time and energy of all before and after each Einsum."""
        n = len(self.space.cascade.einsums)
        before, after = [Least(0.0, 0.0)], [Least(0.0, 0.0)]
        for stop in range(1, n + 1):
            before.append(_least_of((before[i], self.least[i, stop]) for i in range(stop)))
        for start in range(n - 1, -1, -1):
            ways = ((after[n - j], self.least[start, j]) for j in range(start + 1, n + 1))
            after.append(_least_of(ways))
        self.before, self.after = before, after[::-1]

    def _alive(self, run: Run, time_s: Array, energy_j: Array, buffer_bytes: Array) -> Array:
        """Which candidates of a run may still be part of a better mapping."""
        before, after = self.before[run.start], self.after[run.stop]
        time_s = before.time_s + time_s + after.time_s
        energy_j = before.energy_j + energy_j + after.energy_j
        return self._unbeaten(time_s, energy_j, buffer_bytes, self.tolerance)

    def _unbeaten(
        self, time_s: Array, energy_j: Array, buffer_bytes: Array, tolerance: float
    ) -> Array:
        """What no mapping known makes needless."""
        if not self.pareto:
            return OBJECTIVES[self.objective](time_s, energy_j) < self.best * (1 - 1e-12)
        cost = np.broadcast_arrays(time_s, energy_j, buffer_bytes)
        flat = np.stack([x.ravel() for x in cost], axis=1) * (1 + tolerance)
        left = np.flatnonzero(np.isfinite(flat).all(axis=1))
        left = left[_better_than(self.front, flat[left])]
        alive = np.zeros(len(flat), dtype=bool)
        alive[left] = True
        return alive.reshape(cost[0].shape)

    def _may(self, run: Run, least: Least) -> bool:
        one = (np.array([x]) for x in (least.time_s, least.energy_j, 0.0))
        return bool(self._alive(run, *one)[0])

    def _settle(self, run: Run) -> None:
        """A run that is explored costs what its best pieces cost; all else of it was dropped."""
        if self.pareto:
            return
        found = [p for own in self.pieces.get((run.start, run.stop), {}).values() for p in own]
        if self.objective == "latency":
            least = Least(min((p.time_s for p in found), default=inf), 0.0)
        elif self.objective == "energy":
            least = Least(0.0, min((p.energy_j for p in found), default=inf))
        else:
            least = Least(
                min((p.time_s for p in found), default=inf),
                min((p.energy_j for p in found), default=inf),
            )
        self.least[run.start, run.stop] = least

    # --- one run --------------------------------------------------------------------------------

    def _explore(self, run: Run, bounds: RunBound) -> bool:
        """Cost what a bound does not rule out; False if that is nothing."""
        if not self._may(run, self.least[run.start, run.stop]):
            self.proof.bounded += run.candidates
            self.least[run.start, run.stop] = Least(inf, inf) if not self.pareto else bounds.least
            return False
        orders = self._legal_orders(run)
        nests = [
            (order, depths, run.tile_count(order) * run.hold_count(order))
            for order in orders
            for depths in _by_depth(run.variants(order))
        ]
        each = sum(count * len(depths) for _, depths, count in nests)
        grids: dict[tuple[Walk, ...], Grid] = {}
        bindings = self._bindings(run, bounds)
        for at, (least, spreads) in enumerate(bindings):
            if self._late():
                self.proof.unexplored += each * (len(bindings) - at)
                return True
            if not self._may(run, least):
                self.proof.bounded += each
                continue
            for number, (order, depths, count) in enumerate(nests):
                if not self._may(run, bounds.bound(spreads, depths[0])):
                    self.proof.bounded += count * len(depths)
                    continue
                if self._late():
                    rest = sum(n * len(d) for _, d, n in nests[number:])
                    self.proof.unexplored += rest + each * (len(bindings) - at - 1)
                    return True
                if order not in grids:
                    grids[order] = grid_of(run, order)
                holds = {t: run.holds(t, order)[0] for t in run.inputs}
                candidate = Candidate(run, order, spreads, depths[0], holds)
                self._try(candidate, grids[order], count, depths)
        return True

    def _legal_orders(self, run: Run) -> list[tuple[Walk, ...]]:
        """Orders that cut no rank over which two passes go."""
        legal = [o for o in run.orders if not {w.rank for w in o} & run.uncut]
        for order in (o for o in run.orders if o not in legal):
            count = run.tile_count(order) * run.hold_count(order) * len(run.variants(order))
            self.proof.illegal += count * run.binding_count
        return sorted(legal, key=len, reverse=True)

    def _bindings(self, run: Run, bounds: RunBound) -> list[tuple[Least, dict[str, Spread]]]:
        """Bindings with their bounds, the most promising first."""
        score = OBJECTIVES[self.objective]
        found = [(bounds.bound(spreads), spreads) for spreads in run.bindings()]
        return sorted(found, key=lambda f: score(f[0].time_s, f[0].energy_j))

    def _try(self, candidate: Candidate, grid: Grid, count: int, depths: list[Variant]) -> None:
        """All tiles, holds and depths of a candidate; its bounds know nothing of the depth."""
        run, proof = candidate.run, self.proof
        ways = count // grid.count * len(depths)
        if not candidate.is_legal or candidate.is_refused(grid):
            proof.illegal += ways * grid.count
            return
        needs, registers = candidate.least_bytes(grid, depths)
        fit = registers & (needs <= self.space.machine.buffer.capacity_bytes)
        proof.too_large += ways * int(np.count_nonzero(~fit))
        if not fit.any():
            return
        time, energy = self._least_cost(candidate, grid)
        alive = fit & self._alive(run, time * SAFE, energy * SAFE, needs)
        proof.bounded += ways * int(np.count_nonzero(fit & ~alive))
        if not alive.any():
            return
        small = grid.take(np.flatnonzero(alive))
        for variant in depths:
            self._cost(replace(candidate, variant=variant), small)

    def _least_cost(self, candidate: Candidate, grid: Grid) -> tuple[Array, Array]:
        """Least time and energy, whatever the depth and the holds; nought of what is not asked."""
        phase = candidate.phase(grid)
        self.proof.lowered += 1
        time = energy = np.zeros(grid.shape)
        if self.pareto or self.objective != "energy":
            time = least_time_s(phase, grid.shape)
        if self.pareto or self.objective != "latency":
            energy = energy_j(self.space.machine, phase, grid.shape)
        return time, energy

    def _cost(self, candidate: Candidate, grid: Grid) -> None:
        """The closed form of what no bound rules out."""
        own, by_hold, registers = candidate.needs(grid)
        for chosen in product(*(holds for holds in by_hold.values())):
            if self._late():
                self.proof.unexplored += grid.count
                continue
            holds = dict(zip(by_hold, chosen, strict=True))
            used = own + sum((by_hold[t][h] for t, h in holds.items()), start=0.0)
            fit = registers & (used <= self.space.machine.buffer.capacity_bytes)
            self.proof.too_large += int(np.count_nonzero(~fit))
            if not fit.any():
                continue
            kept = candidate.with_holds(holds)
            small = grid.take(np.flatnonzero(fit))
            phase = kept.phase(small)
            self.proof.lowered += 1
            self.proof.evaluated += small.count
            energy = energy_j(self.space.machine, phase, small.shape)
            self._keep(kept, small, time_s(phase, small.shape), energy, used[fit])

    def _keep(
        self, candidate: Candidate, grid: Grid, time_s: Array, energy_j: Array, used: Array
    ) -> None:
        """Remember the pieces that may belong to the best mapping."""
        run = candidate.run
        alive = np.flatnonzero(self._alive(run, time_s, energy_j, used))
        if not len(alive):
            return
        split = grid.split if run.tied is not None else None
        pieces = self.pieces.setdefault((run.start, run.stop), {})
        cuts = any(w.rank == run.tied for w in candidate.order)
        for value in (None,) if split is None else np.unique(split[alive]):
            at = alive if split is None else alive[split[alive] == value]
            number = None if value is None else float(value)
            known = pieces.setdefault((number, cuts and run.tied is not None), [])
            cost = np.stack([time_s[at], energy_j[at], used[at]], axis=1)
            if self.pareto:
                new = _better_than(known, cost, self._slack)
                at, cost = at[new], cost[new]
            if not len(at):
                continue
            kept, left = self._nondominated(cost)
            self.proof.unexplored += left
            self.proof.evaluated -= left
            for k in kept:
                i = at[k]
                tiles = {loop: int(x[i]) for loop, x in grid.tiles.items()}
                piece = _Piece(*map(float, cost[k]), candidate, tiles, number)
                self._add(run, known, piece)

    def _add(self, run: Run, known: list[_Piece], piece: _Piece) -> None:
        """One piece more beside those that are alike, unless one of them stands for it."""
        if not self.pareto and any(self._covers(p.cost, piece.cost) for p in known):
            return
        known[:] = [p for p in known if not self._covers(piece.cost, p.cost)]
        known.append(piece)
        if run.start == 0 and run.stop == len(self.space.cascade.einsums) and self._stands(piece):
            self._offer(_Way().then(piece))

    # --- what is better -------------------------------------------------------------------------

    def _rank(self, cost: tuple[float, float, float]) -> tuple[float, ...]:
        """What decides between two that are alternatives: all three, two or the objective first."""
        if self.pareto:
            return cost
        if self.objective == "edp":
            return cost[:2]
        order = cost if self.objective == "latency" else (cost[1], cost[0], cost[2])
        return order

    def _covers(self, one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
        """Whether the first makes the second needless."""
        a, b = self._rank(one), self._rank(other)
        if not self.pareto and self.objective != "edp":
            return a <= b
        return all(x <= y for x, y in zip(a, b, strict=True))

    def _stands_for(self, one: tuple[float, float, float], other: tuple[float, ...]) -> bool:
        """Whether the second may be left out of what the first is in, within the tolerance."""
        if not self.pareto:
            return self._covers(one, (other[0], other[1], other[2]))
        return all(x <= y * (1 + self._slack) for x, y in zip(one, other, strict=True))

    @cached_property
    def _slack(self) -> float:
        """Part of the tolerance for each time that something is left out on the way to the set.

        A piece, the ways up to each Einsum and the whole mapping each stand for others; the least
        of three measures that are sums and a maximum of those of the pieces are off by no more.
        """
        return (1 + self.tolerance) ** (1 / (len(self.space.cascade.einsums) + 2)) - 1

    def _nondominated(self, cost: Array) -> tuple[list[int], int]:
        """(rows that none other makes needless, how many were not looked at as time was up)."""
        first = (0, 1, 2) if self.pareto or self.objective != "energy" else (1, 0, 2)
        left = np.lexsort([cost[:, c] for c in reversed(first)])
        if not self.pareto and self.objective != "edp":
            return [int(left[0])], 0
        # Without buffer the third column is nought, and never better.
        by, more = (cost, 1 + self._slack) if self.pareto else (cost * (1.0, 1.0, 0.0), 1.0)
        kept: list[int] = []
        while len(left) and not (kept and self._late()):
            best, left = left[0], left[1:]
            kept.append(int(best))
            t, e, b = by[left].T * more
            left = left[(t < by[best, 0]) | (e < by[best, 1]) | (b < by[best, 2])]
        return kept, len(left)

    def _offer(self, way: _Way | Found) -> None:
        """A whole mapping: the best so far, or one of the front."""
        score = float(OBJECTIVES[self.objective](*_cost_of(way)[:2]))
        if self.pareto:
            if any(self._stands_for(_cost_of(f), _cost_of(way)) for f in self.front):
                return
            self.front = [f for f in self.front if not self._covers(_cost_of(way), _cost_of(f))]
            self.front.append(way)
        elif score < self.best or not self.front:
            self.front = [way]
        self.best = min(self.best, score)

    # --- mappings from pieces -------------------------------------------------------------------

    def _complete(self) -> None:
        """Offer the best mappings that the pieces known so far make."""
        n = len(self.space.cascade.einsums)
        ways: list[dict[_Key, list[_Way]]] = [{(None, False): [_Way()]}] + [{} for _ in range(n)]
        for stop in range(1, n + 1):
            if self.pareto and self._late():
                self.proof.stopped = True
                return
            made: dict[_Key, list[tuple[list[_Way], list[_Piece]]]] = {}
            for start in range(stop):
                pieces = self.pieces.get((start, stop), {})
                for (key, before), (own, found) in product(ways[start].items(), pieces.items()):
                    joined = _merged(key, own)
                    if joined is not None and before and found:
                        made.setdefault(joined, []).append((before, found))
            ways[stop] = {key: self._ways_of(pairs, stop) for key, pairs in made.items()}
        for (split, cut), found in ways[n].items():
            if split is None or cut or split == self._default_split():
                for way in found:
                    self._offer(way)

    def _ways_of(self, pairs: list[tuple[list[_Way], list[_Piece]]], stop: int) -> list[_Way]:
        """Ways and the pieces after them, joined; those that may still be part of the answer."""
        costs, ends = [], [0]
        for before, pieces in pairs:
            a, b = (np.array([x.cost for x in part]) for part in (before, pieces))
            both = a[:, None, :] + b[None, :, :]
            both[:, :, 2] = np.maximum(a[:, None, 2], b[None, :, 2])
            costs.append(both.reshape(-1, 3))
            ends.append(ends[-1] + len(before) * len(pieces))
        cost = np.concatenate(costs)
        alive = np.arange(len(cost))
        if self.pareto:
            after = self.after[stop]
            time_s, energy_j = cost[:, 0] + after.time_s, cost[:, 1] + after.energy_j
            alive = np.flatnonzero(self._unbeaten(time_s, energy_j, cost[:, 2], self._slack))
        if not len(alive):
            return []
        kept, left = self._nondominated(cost[alive])
        self.proof.stopped |= bool(left)
        found = []
        for i in alive[kept]:
            pair = int(np.searchsorted(ends, i, side="right")) - 1
            before, pieces = pairs[pair]
            a, b = divmod(int(i) - ends[pair], len(pieces))
            found.append(before[a].then(pieces[b]))
        return found

    def _default_split(self) -> float:
        """The tile of a split rank that no loop cuts."""
        ranks = [r.tied for r in self.space.runs if r.tied is not None]
        edge = next(iter(self.space.machine.units.values())).rows
        return float(min(edge, self.space.extent(ranks[0])))

    def _stands(self, piece: _Piece) -> bool:
        return piece.split is None or piece.cuts or piece.split == self._default_split()

    def _found(self, way: _Way | Found) -> Found:
        """A mapping that ships, or the mapping of the pieces with its estimate."""
        if isinstance(way, Found):
            return way
        mapping = self._mapping(way)
        # A set may be of thousands: what the arrays say is what `estimate` says.
        return (
            Found(mapping, *way.cost, "search") if self.pareto else self._costed(mapping, "search")
        )

    def _mapping(self, way: _Way) -> Mapping:
        cascade, machine = self.space.cascade, self.space.machine
        sizes = ", ".join(f"{k}={n}" for k, n in self.space.shape.items())
        alike: dict[Spread, list[str]] = {}
        for piece in way.pieces:
            for name, spread in piece.candidate.spreads.items():
                alike.setdefault(spread, []).append(name)
        return Mapping.model_validate(
            {
                "name": "found",
                "about": f"Found by search for least {self.objective} on {machine.name}: {sizes}.",
                "cascades": (cascade.name,),
                "bind": [
                    {"unit": s.unit, "rows": s.rows, "cols": s.cols, "einsums": tuple(names)}
                    for s, names in alike.items()
                ],
                "groups": tuple(p.candidate.group(p.tiles) for p in way.pieces),
            }
        )

    def _mappings(self) -> int:
        """How many mappings the candidates make, tiles of split ranks alike in all groups."""
        n = len(self.space.cascade.einsums)
        counts: list[dict[_Key, int]] = [{(None, False): 1}] + [{} for _ in range(n)]
        for stop in range(1, n + 1):
            for start in range(stop):
                run = next(r for r in self.space.runs if (r.start, r.stop) == (start, stop))
                by_key = _counts_of(run)
                for key, before in counts[start].items():
                    for own, count in by_key.items():
                        joined = _merged(key, own)
                        if joined is not None:
                            into = counts[stop]
                            into[joined] = into.get(joined, 0) + before * count
        return sum(
            count
            for (split, cut), count in counts[n].items()
            if split is None or cut or split == self._default_split()
        )


def buffer_bytes(space: Space, mapping: Mapping) -> float:
    """Bytes of the buffer that a mapping needs: those of its largest group."""
    sizes = rank_sizes(
        space.cascade, space.shape, split_tiles(space.cascade, space.machine, mapping)
    )
    layout = Layout(space.cascade, sizes)
    needs = (
        footprint_bytes(group_context(layout, space.machine, mapping, group, PHYSICAL))
        for group in mapping.groups
    )
    return max(largest(sum(need.values(), start=0.0)) for need in needs)


def _counts_of(run: Run) -> dict[_Key, int]:
    """How many candidates of a run there are by the tile of the split rank that they use."""
    found: dict[_Key, int] = {}
    for order in run.orders:
        rest = run.hold_count(order) * len(run.variants(order)) * run.binding_count
        cut = any(w.rank == run.tied for w in order)
        for tile, count in run.tile_counts_by_split(order).items():
            key = (None if tile is None else float(tile), cut and tile is not None)
            found[key] = found.get(key, 0) + rest * count
    return found


def _by_depth(variants: tuple[Variant, ...]) -> list[list[Variant]]:
    """Variants that differ in nothing but their depth, together."""
    alike: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        alike.setdefault((variant.wide, variant.carried), []).append(variant)
    return list(alike.values())


def _merged(key: _Key, own: _Key) -> _Key | None:
    """What both agree on; None if they use different tiles."""
    if key[0] is not None and own[0] is not None and key[0] != own[0]:
        return None
    return (own[0] if key[0] is None else key[0], key[1] or own[1])


def _least_of(ways: Iterable[tuple[Least, Least]]) -> Least:
    found = list(ways)
    return Least(
        min(a.time_s + b.time_s for a, b in found), min(a.energy_j + b.energy_j for a, b in found)
    )


def _better_than(known: Sequence[_Piece | _Way | Found], cost: Array, slack: float = 0.0) -> Array:
    """Rows of costs that none known stands for: a part `slack` worse in all three at the most."""
    left, more = np.arange(len(cost)), np.ascontiguousarray(cost.T) * (1 + slack)
    for other in known:
        if not len(left):
            break
        t, e, b = _cost_of(other)
        better = (more[0] < t) | (more[1] < e) | (more[2] < b)
        if not better.all():
            left, more = left[better], more[:, better]
    return left


def _cost_of(way: _Piece | _Way | Found) -> tuple[float, float, float]:
    if isinstance(way, Found):
        return way.latency_s, way.energy_j, way.buffer_bytes
    return way.cost
