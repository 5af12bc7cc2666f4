"""The search: against brute force, against the mappings that ship, and its proof."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from random_questions import small_machine

from einfall.einsum_cascades import load as load_cascade
from einfall.einsum_cascades.language import parse
from einfall.hw_models import load
from einfall.report.search import mapping_text
from einfall.sim import mapping as mappings
from einfall.sim.estimate import estimate
from einfall.sim.mapping import Mapping, MappingError
from einfall.sim.search import OBJECTIVES, search, space
from einfall.sim.search.bound import RunBound
from einfall.sim.search.engine import buffer_bytes
from einfall.sim.search.evaluate import (
    Candidate,
    energy_j,
    grid_of,
    is_refused,
    time_s,
)
from einfall.sim.search.space import Space, _even_splits

TWO = parse(
    """
cascade two
ranks N rows, K inner, S cols
input X[n,k], W[k,s]
output Z
Y[n,s] = X[n,k] * W[k,s]
Z[n,s] = relu(Y[n,s])
"""
)
SMALL = {
    "two matrices": (TWO, {"rows": 3, "inner": 2, "cols": 1}, {}),
    "an attention of two": (
        parse(
            """
cascade pair
ranks P queries, M keys, E head_dim
input Q[p,e], K[m,e]
output D
QK[m,p] = Q[p,e] * K[m,e]
D[p]    = sum_m QK[m,p]
"""
        ),
        {"queries": 2, "keys": 3, "head_dim": 2},
        {},
    ),
    "a running maximum": (
        parse(
            """
cascade running
ranks P queries, M keys, E head_dim
split M -> M1, M0
input Q[p,e], K[m,e]
output RM
init RM[0,p] = -inf
BQK[m1,m0,p] = Q[p,e] * K[m1,m0,e]
LM[m1,p]     = max_m0 BQK[m1,m0,p]
RM[m1+1,p]   = max(RM[m1,p], LM[m1,p])
"""
        ),
        {"queries": 2, "keys": 3, "head_dim": 2},
        {"base": "flat_cloud", "buffer__capacity": 40.0},
    ),
}


@pytest.fixture(autouse=True)
def few_depths(monkeypatch):
    monkeypatch.setattr(space, "DEPTHS", (2,))


def every_candidate(run):
    """All candidates of a run, their tiles together, with nothing pruned."""
    for order in run.orders:
        grid = grid_of(run, order)
        for spreads in run.bindings():
            for variant in run.variants(order):
                for holds in product(*(run.holds(t, order) for t in run.inputs)):
                    chosen = dict(zip(run.inputs, holds, strict=True))
                    yield Candidate(run, order, spreads, variant, chosen), grid


def costs_of(candidate, grid):
    """(time, energy, buffer, split tile, cuts) of all tiles that are legal and fit."""
    run, machine = candidate.run, candidate.space.machine
    context = candidate.context(grid)
    if not candidate.is_legal or is_refused(context):
        return set()
    own, by_hold, registers = candidate.needs(grid)
    needs = own + sum(by_hold[t][h] for t, h in candidate.holds.items())
    fit = (registers & (needs <= machine.buffer.capacity_bytes)).ravel()
    phase = candidate.phase(grid)
    time, energy = time_s(phase, grid.shape), energy_j(machine, phase, grid.shape)
    split = [None] * grid.count
    if grid.split is not None:
        split = np.broadcast_to(grid.split, grid.shape).ravel().tolist()
    cuts = run.tied is not None and any(w.rank == run.tied for w in candidate.order)
    numbers = (np.broadcast_to(x, grid.shape).ravel()[fit].tolist() for x in (time, energy, needs))
    return {(*cost, s, cuts) for *cost, s in zip(*numbers, np.array(split)[fit], strict=True)}


@cache
def candidates_of(name):
    """{run: its candidates, each with the costs of its tiles}."""
    cascade, shape, fields = SMALL[name]
    whole = Space(cascade, shape, small_machine(edge=2, **fields))
    every = {}
    for run in whole.runs:
        found = [
            (candidate, grid, costs_of(candidate, grid)) for candidate, grid in every_candidate(run)
        ]
        every[run.start, run.stop] = run, found
    return whole, every


@cache
def brute_force(name):
    """Every whole mapping of the space as its cost (time, energy, buffer)."""
    space_, every = candidates_of(name)
    n = len(space_.cascade.einsums)
    default = min(next(iter(space_.machine.units.values())).rows, 10**9)
    ways = [{(None, False): {(0.0, 0.0, 0.0)}}] + [{} for _ in range(n)]
    costs = {key: set().union(*(c for _, _, c in found)) for key, (_, found) in every.items()}
    for stop in range(1, n + 1):
        for start in range(stop):
            for (split, cut), before in ways[start].items():
                for t, e, b, own, cuts in costs[start, stop]:
                    if split is not None and own is not None and split != own:
                        continue
                    key = (own if split is None else split, cut or cuts)
                    into = ways[stop].setdefault(key, set())
                    into |= {(x + t, y + e, max(z, b)) for x, y, z in before}
            if len(ways) > stop:
                ways[stop] = {k: front(v) for k, v in ways[stop].items()}
    done = set()
    for (split, cut), found in ways[n].items():
        whole = next((space_.extent(r.tied) for r in space_.runs if r.tied), default)
        if split is None or cut or split == min(default, whole):
            done |= found
    return done


def front(costs):
    """Those that none is better than in all three."""
    kept = []
    for cost in sorted(costs):
        if not any(all(a <= b for a, b in zip(k, cost, strict=True)) for k in kept):
            kept.append(cost)
    return set(kept)


@pytest.mark.parametrize("name", SMALL)
def test_the_optimum_is_that_of_brute_force(name):
    cascade, shape, fields = SMALL[name]
    machine = small_machine(edge=2, **fields)
    every = brute_force(name)
    for objective, score in OBJECTIVES.items():
        found = search(cascade, shape, machine, objective=objective, shipped=False)
        assert found.optimal
        assert found.gap == 0
        least = min(float(score(t, e)) for t, e, _ in every)
        assert found.value == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_the_pareto_set_is_that_of_brute_force(name):
    cascade, shape, fields = SMALL[name]
    machine = small_machine(edge=2, **fields)
    expected = sorted(front(brute_force(name)))
    found = search(cascade, shape, machine, pareto=True, tolerance=0.0, shipped=False).pareto
    cost = sorted((f.latency_s, f.energy_j, f.buffer_bytes) for f in found)
    assert np.array(cost) == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_bounds_are_below_every_candidate(name):
    for run, found in candidates_of(name)[1].values():
        bounds = RunBound(run)
        for candidate, _, costs in found:
            least = bounds.bound(candidate.spreads, candidate.variant)
            assert bounds.least.time_s <= least.time_s
            assert bounds.least.energy_j <= least.energy_j * (1 + 1e-12)
            assert all(least.time_s <= c[0] and least.energy_j <= c[1] for c in costs)


@pytest.mark.parametrize("name", SMALL)
def test_counts_are_those_of_the_space(name):
    cascade, shape, fields = SMALL[name]
    machine = small_machine(edge=2, **fields)
    whole, every = candidates_of(name)
    for run, found in every.values():
        assert run.candidates == sum(grid.count for _, grid, _ in found)
        for order in run.orders:
            assert sum(run.tile_counts_by_split(order).values()) == run.tile_count(order)
            assert grid_of(run, order).count == run.tile_count(order)
    for objective in OBJECTIVES:
        p = search(cascade, shape, machine, objective=objective).proof
        parts = p.evaluated + p.bounded + p.illegal + p.too_large + p.unexplored
        assert parts == p.candidates == sum(r.candidates for r in whole.runs)
        assert p.unexplored == 0 < p.evaluated + p.bounded


HEADS = {"heads": 2, "kv_heads": 1}
QUESTIONS = [
    ("attention_1pass", "fusemax_cloud", {"heads": 12, "queries": 1024, "head_dim": 64}, "latency"),
    ("attention_3pass", "fusemax_cloud", {"heads": 12, "queries": 1024, "head_dim": 64}, "edp"),
    ("attention_3pass", "flat_cloud", {**HEADS, "queries": 300, "head_dim": 64}, "energy"),
    ("matmul", "tpu_v4_like", {"rows": 500, "inner": 64, "cols": 256}, "latency"),
]


@pytest.mark.parametrize(("cascade", "machine", "shape", "objective"), QUESTIONS, ids=str)
def test_nothing_that_ships_is_better_and_estimate_agrees(
    cascade, machine, shape, objective, tmp_path
):
    question = load_cascade(cascade), shape, load(machine)
    found = search(*question, objective=objective)
    score = OBJECTIVES[objective]
    assert found.shipped
    for other in found.shipped:
        assert found.value <= score(other.latency_s, other.energy_j)
    path = tmp_path / "found.yaml"
    path.write_text(mapping_text(found.best.mapping))
    read = mappings.load(path)
    assert read == found.best.mapping
    again = estimate(*question, read)
    assert (again.latency_s, again.energy_j) == (found.best.latency_s, found.best.energy_j)


def test_what_is_costed_for_many_tiles_is_what_estimate_costs_for_one():
    cascade, shape = (
        load_cascade("attention_1pass"),
        {"heads": 6, "kv_heads": 2, "queries": 70, "head_dim": 8},
    )
    question = Space(cascade, shape, small_machine(edge=16))
    run = question.runs[0]
    random = np.random.default_rng(1)
    checked = 0
    bindings = [b for b in run.bindings() if run.in_step(b)]
    for order in run.orders:
        if {w.rank for w in order} & run.uncut or not any(w.rank == run.tied for w in order):
            continue
        grid = grid_of(run, order)
        variant = run.variants(order)[-2]
        holds = {t: run.holds(t, order)[-1] for t in run.inputs}
        spreads = bindings[random.integers(len(bindings))]
        candidate = Candidate(run, order, spreads, variant, holds)
        context = candidate.context(grid)
        assert candidate.is_legal
        if is_refused(context):
            continue
        phase = candidate.phase(grid)
        time, energy = (
            time_s(phase, grid.shape).ravel(),
            energy_j(question.machine, phase, grid.shape).ravel(),
        )
        own, by_hold, _ = candidate.needs(grid)
        used = (own + sum(by_hold[t][h] for t, h in holds.items())).ravel()
        for place in random.integers(grid.count, size=2):
            if used[place] > question.machine.buffer.capacity_bytes:
                continue
            one = grid.take(np.array([place]))
            tiles = {k: int(x[0]) for k, x in one.tiles.items()}
            mapping = Mapping(
                name="one", cascades=(cascade.name,), bind=candidate.bindings(),
                groups=(candidate.group(tiles),),
            )  # fmt: skip
            cost = estimate(cascade, shape, question.machine, mapping)
            assert (cost.latency_s, cost.energy_j) == pytest.approx((time[place], energy[place]))
            assert buffer_bytes(question, mapping) == pytest.approx(used[place])
            checked += 1
    assert checked > 10


def test_when_the_time_is_up_the_gap_is_told():
    question = load_cascade("attention_3pass"), {"queries": 512, "head_dim": 64}
    found = search(*question, load("fusemax_cloud"), objective="energy", seconds=1e-6)
    assert not found.optimal
    assert 0 < found.gap < 1
    assert found.lower_bound < found.value
    whole = search(*question, load("fusemax_cloud"), objective="latency")
    stopped = search(*question, load("fusemax_cloud"), objective="latency", seconds=1e-6)
    assert stopped.lower_bound <= whole.value <= stopped.value


def test_what_cannot_be_searched_is_refused():
    from einfall.einsum_cascades.masked import with_mask
    from einfall.einsum_cascades.masks import parse_mask

    shape = {"heads": 2, "queries": 8, "head_dim": 2}
    causal = with_mask(load_cascade("attention_1pass"), parse_mask("causal"))
    with pytest.raises(MappingError, match="wanted a dense cascade, found mask causal"):
        search(causal, shape, load("fusemax_cloud"))
    divides = parse("cascade c\nranks P queries\ninput A[p], B[p]\nD[p] = A[p] / B[p]\n")
    machine = small_machine(edge=2)
    grid_alone = machine.model_copy(update={"units": {"2d": machine.units["2d"]}})
    with pytest.raises(MappingError, match=r"wanted a unit .* of D, found none"):
        search(divides, {"queries": 4}, grid_alone)
    with pytest.raises(MappingError, match=r"wanted a mapping of .* found none"):
        search(
            SMALL["an attention of two"][0],
            {"queries": 2, "head_dim": 2},
            small_machine(edge=2, buffer__capacity=1.0),
        )


@pytest.mark.parametrize("units", [*range(1, 70), 97, 1000, 4096, 4097])
def test_even_splits_are_all_that_there_are(units):
    assert _even_splits(units) == sorted({-(-units // k) for k in range(2, units)} - {1, units})
