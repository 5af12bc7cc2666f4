"""Masks: tiles that are skipped are skipped in counts, in the closed form and in the simulation."""

from collections import Counter
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from loop_nest_walk import Place, Plan, Work, walk
from random_masks import causal, everything, from_array, masked, masks, window
from random_questions import ATTENTION, MAPPINGS, ask, machines, shapes, small_machine
from test_sim_loop_nest_walk import (
    ATTENTION as SIZES,
)
from test_sim_loop_nest_walk import (
    EXP,
    FLAT_OPS,
    FUSEMAX_OPS,
    HELD,
    ONE_PASS,
    SOFTMAX,
    TENSORS,
    THREE_PASS,
    assert_same,
    loops_of,
    places,
    question,
    seen,
)

from einfall.einsum_cascades import library
from einfall.einsum_cascades.masked import with_mask
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.shapes import ShapeError
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.sim import events, flat, masked_events
from einfall.sim import mapping as mappings
from einfall.sim.accounting import ARTIFACT
from einfall.sim.closed_form import phase_time_s
from einfall.sim.estimate import estimate
from einfall.sim.mapping import DoesNotFitError, MappingError
from einfall.sim.nest import Factor, Loop, Nest
from einfall.sim.nest import Work as Amount
from einfall.sim.pipeline import busy_s
from einfall.sim.schedule import steps
from einfall.sim.visits import Visits

CLOSE = 1e-9
REPEATED = 1e-6  # the simulation takes states that differ by less than rounding for a period
ROUNDED = 1e-4
CASCADES = tuple(c for c in ATTENTION if c.name != "linear_attention")
slow = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)


# --- Random questions ----------------------------------------------------------------------------


@st.composite
def questions(draw, *, heads=False):
    """(dense estimate, mask) of a random cascade, shape, machine and mapping."""
    cascade = draw(st.sampled_from(CASCADES))
    shape, machine = draw(shapes(cascade)), draw(machines())
    names = (None, "auto", *(name for name, of in MAPPINGS if of == cascade.name))
    sizes = shape["queries"], shape.get("keys", shape["queries"])
    mask = draw(masks(*sizes))
    if heads:
        some = (mask, draw(masks(*sizes)))
        each = st.lists(st.sampled_from(some), min_size=shape["heads"], max_size=shape["heads"])
        mask = HeadMasks(tuple(draw(each)))
    try:
        dense = ask(cascade, shape, machine, draw(st.sampled_from(names)))
    except DoesNotFitError:
        assume(False)
    except MappingError as error:
        assume("cannot do" not in str(error))
        raise
    return cascade, shape, dense, mask


def masked_estimate(asked, mask=None):
    """The estimate of a question with its mask, or with another one."""
    cascade, shape, dense, own = asked
    cascade = masked(cascade, own if mask is None else mask)
    return estimate(cascade, shape, dense.device, dense.mapping)


def masked_phases(estimated):
    return [phase for phase in estimated.pipeline.phases if phase.nest.visits is not None]


class OneByOne(masked_events.MaskedRun):
    """The simulation without its two short cuts: every visited step is carried out."""

    def _may_skip(self, depth):
        return False

    def _known_effect(self, key):
        return None


def ran(kind, phase):
    run = kind(phase, 0)
    run.run()
    return run


def in_turn_s(pipeline):
    """Every execution of every task after the other: on its slowest resource, and its latency."""
    total = 0.0
    for phase, task in pipeline.tasks():
        nest = phase.nest
        tied = nest.visits.ranks if nest.visits else ()
        together = nest.visited(task.at) if tied else (({}, 1),)
        cut = [[(r, *p) for p in nest.pieces(r, task.at)] for r in nest.extents if r not in tied]
        for (some, visits), *pieces in product(together, *cut):
            extents = some | {rank: extent for rank, extent, _ in pieces}
            slowest = max(task.times(lambda work, at=extents: work.at(at)).values())
            times = visits * prod(times for *_, times in pieces)
            total += times * (slowest + task.latency_s)
    return total


# --- Laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [False, True])
@slow
@given(data=st.data())
def test_the_simulation_runs_every_task_as_often_as_the_closed_form_counts(heads, data):
    for phase in masked_phases(masked_estimate(data.draw(questions(heads=heads)))):
        run = ran(masked_events.MaskedRun, phase)
        for task in phase.tasks:
            assert run.finish[task.name].count == phase.executions(task), task.name
        assert run.busy == pytest.approx(busy_s(phase), rel=CLOSE)


@pytest.mark.parametrize("heads", [False, True])
@slow
@given(data=st.data())
def test_repeated_and_remembered_steps_are_those_carried_out_one_by_one(heads, data):
    for phase in masked_phases(masked_estimate(data.draw(questions(heads=heads)))):
        short, long = ran(masked_events.MaskedRun, phase), ran(OneByOne, phase)
        assert long.steps == steps(phase.nest)
        # Whether a transfer just fits a gap of a memory is a matter of rounding in either.
        assert short.end == pytest.approx(long.end, rel=ROUNDED)
        assert short.busy == pytest.approx(long.busy, rel=CLOSE)


@slow
@given(questions())
def test_times_lie_between_the_busiest_resource_and_one_after_the_other(asked):
    estimated = masked_estimate(asked)
    least, most = max(estimated.busy_s.values()), in_turn_s(estimated.pipeline)
    simulated = events.simulate(estimated.pipeline).timing.latency_s
    assert least * (1 - REPEATED) <= simulated <= most * (1 + REPEATED)
    assert least * (1 - CLOSE) <= estimated.latency_s <= most * (1 + CLOSE)


@slow
@given(questions(heads=True))
def test_a_mask_never_takes_longer_than_none(asked):
    # Of the closed form only: a list schedule may be a little worse with less work.
    estimated, dense = masked_estimate(asked), asked[2]
    assert estimated.latency_s <= dense.latency_s * (1 + CLOSE)
    assert estimated.energy_j <= dense.energy_j * (1 + CLOSE)
    for key, n in estimated.counts.items():
        assert n <= dense.counts[key] * (1 + CLOSE)


@slow
@given(questions(), st.data())
def test_fewer_visited_tiles_never_keep_a_resource_busy_for_longer(asked, data):
    more = asked[-1] | data.draw(masks(asked[-1].queries, asked[-1].keys))
    few, many = masked_estimate(asked), masked_estimate(asked, more)
    for resource, spent in few.busy_s.items():
        assert spent <= many.busy_s[resource] * (1 + CLOSE)


@slow
@given(questions())
def test_a_mask_that_attends_everything_is_none(asked):
    *_, dense, mask = asked
    found = masked_estimate(asked, everything(mask.queries, mask.keys))
    assert found.timing == dense.timing
    assert found.counts == dense.counts
    simulated = events.simulate(found.pipeline).timing
    assert simulated == events.simulate(dense.pipeline).timing


@slow
@given(questions(), st.integers(1, 16))
def test_the_masked_way_gives_the_dense_result_where_all_tiles_are_visited(asked, key_tile):
    *_, dense, mask = asked
    whole = Visits((everything(mask.queries, mask.keys),), "P", "M", key_tile)
    for phase in dense.pipeline.phases:
        assume({"P", "M"} <= set(phase.nest.extents))
        visited = replace(phase, nest=replace(phase.nest, visits=whole))
        assert phase_time_s(visited) == pytest.approx(phase_time_s(phase), rel=1e-12)
        assert busy_s(visited) == pytest.approx(busy_s(phase), rel=1e-12)
        walked = ran(masked_events.MaskedRun, visited).end
        assert walked == pytest.approx(ran(events._Run, phase).end, rel=ROUNDED)


# --- Nests ---------------------------------------------------------------------------------------


@st.composite
def coupled_nests(draw):
    """Two loops at most over each of P and M, one over B; (nest, mask)."""
    sizes = {"P": draw(st.integers(1, 19)), "M": draw(st.integers(1, 19)), "B": 2}
    order = []
    for rank in ("P", "M"):
        inner = draw(st.integers(1, 5))
        tiles = [inner * draw(st.integers(1, 3)), inner][2 - draw(st.integers(0, 2)) :]
        order.append([Loop(f"{rank.lower()}{i}", rank, tile) for i, tile in enumerate(tiles)])
    loops = [Loop("b", "B", 1)]
    while any(order):
        loops.append(draw(st.sampled_from([x for x in order if x])).pop(0))
    mask = draw(masks(sizes["P"], sizes["M"]))
    visits = Visits((mask,), "P", "M", draw(st.integers(1, 6)))
    return Nest(sizes, tuple(loops), visits), mask.dense_array()


def cut(nest, rank, at):
    """Ranges of a rank in the executions inside the loops `at`."""
    ranges = [range(nest.extents[rank])]
    for loop in (x for x in nest.loops if x.rank == rank and x.name in at):
        ranges = [r[i : i + loop.tile] for r in ranges for i in range(0, len(r), loop.tile)]
    return ranges


def visited_executions(nest, array, at):
    """Extents of every execution that is visited, by a look at each pair."""
    for _, p, m in product(cut(nest, "B", at), cut(nest, "P", at), cut(nest, "M", at)):
        attended = array[p.start : p.stop, m.start : m.stop].any(axis=0)
        size, key_tile = len(m), nest.visits.key_tile
        if len(m) == nest.extents["M"] and not any(
            x.rank == "M" and x.name in at for x in nest.loops
        ):
            tiles = {i // key_tile for i in np.flatnonzero(attended).tolist()}
            size = sum(min(key_tile, len(m) - i * key_tile) for i in tiles)
        if attended.any():
            yield {"B": 1 if "b" in at else 2, "P": len(p), "M": size}


factors = st.builds(
    Factor,
    st.lists(st.sampled_from(("P", "M", "B")), min_size=1, max_size=3, unique=True).map(tuple),
    st.none() | st.integers(1, 6),
)
amounts = st.builds(Amount, st.integers(1, 5), st.lists(factors, max_size=3).map(tuple))


@given(coupled_nests(), amounts, st.data())
def test_a_total_is_the_sum_over_the_visited_executions(coupled, amount, data):
    nest, array = coupled
    at = [name for name in nest.names if data.draw(st.booleans())]
    executions = [*visited_executions(nest, array, at)]
    assert amount.total(nest, at) == sum(amount.at(each) for each in executions)
    assert Amount(1).total(nest, at) == len(executions)
    assert amount.once(nest, at) in [amount.at(each) for each in executions]


@given(coupled_nests(), amounts, st.data())
def test_tiles_that_are_arrays_equal_tiles_one_by_one(coupled, amount, data):
    nest, _ = coupled
    at = [name for name in nest.names if data.draw(st.booleans())]
    grow = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=5))

    def scaled(by):
        return Nest(
            nest.extents,
            tuple(x if x.name == "b" else Loop(x.name, x.rank, x.tile * by) for x in nest.loops),
            replace(nest.visits, key_tile=nest.visits.key_tile * by, _memo={}),
        )

    swept = scaled(np.array(grow, dtype=float))
    for name in ("total", "once"):
        found = np.broadcast_to(getattr(amount, name)(swept, at), len(grow))
        assert found.tolist() == [getattr(amount, name)(scaled(by), at) for by in grow]


def test_causal_tiles_by_hand():
    # 10 queries and keys in tiles of 4: pairs (4,4) 3 times, ragged queries 2·4 twice, 2·2 once.
    nest = Nest(
        {"P": 10, "M": 10},
        (Loop("p", "P", 4), Loop("m", "M", 4)),
        Visits((causal(10),), "P", "M", 4),
    )
    assert steps(nest) == 6
    points = Amount(1, (Factor(("P",)), Factor(("M",))))
    assert points.total(nest, ["p", "m"]) == 3 * 16 + 2 * 8 + 4
    # Whole rows: blocks of 4, 4 and 2 queries see 4, 8 and 10 keys.
    assert points.total(nest, ["p"]) == 4 * 4 + 4 * 8 + 2 * 10
    assert Amount(1, (Factor(("M",)),)).total(nest, []) == 10


def test_keys_that_nobody_attends_are_not_loaded():
    array = np.zeros((8, 12), dtype=bool)
    array[:, 4:8] = True
    visits = Visits((from_array(array),), "P", "M", 4)
    nest = Nest({"P": 8, "M": 12}, (Loop("p", "P", 4), Loop("m", "M", 4)), visits)
    assert Amount(1).total(nest, ["m"]) == 1
    assert Amount(1).total(nest, ["p"]) == 2


def test_heads_that_share_keys_load_what_any_of_them_visits():
    first, second = np.zeros((4, 8), dtype=bool), np.zeros((4, 8), dtype=bool)
    first[:, :4], second[:, 4:] = True, True
    both = (from_array(first), from_array(second))
    visits = Visits(both, "P", "M", 4, heads=("G", "H/G"))
    loops = (Loop("g", "G", 1), Loop("m", "M", 4), Loop("r", "H/G", 1))
    nest = Nest({"G": 1, "H/G": 2, "P": 4, "M": 8}, loops, visits)
    assert Amount(1).total(nest, ["g", "m"]) == 2
    assert Amount(1).total(nest, ["g", "m", "r"]) == 2
    assert Amount(1).total(nest.dense, ["g", "m", "r"]) == 4


# --- Counts, point by point ----------------------------------------------------------------------


def small(data):
    """A question of the walks with a random mask: (shape, extents, mask)."""
    size = data.draw(st.sampled_from(SIZES))
    shape, extents = question(size)
    return shape, extents, data.draw(masks(extents["P"], extents["M"]))


walks = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=25)


@pytest.mark.parametrize("name", ["fusemax", "plus_architecture", "auto"])
@walks
@given(data=st.data())
def test_walk_of_one_pass_attention(name, data):
    shape, extents, mask = small(data)
    capacity = data.draw(st.sampled_from((400, 900, 1e6)))
    machine = small_machine("fusemax_cloud", buffer__capacity=capacity)
    estimated = ask(masked(library.load("attention_1pass"), mask), shape, machine, name)
    plan = Plan(
        loops_of(estimated.pipeline.phases[0]), ONE_PASS,
        places(ONE_PASS, ("BQK", "SLNV", *SOFTMAX)), dict.fromkeys(HELD, "buffer"), HELD, ("AV",),
    )  # fmt: skip
    array, walked = mask.dense_array(), seen(machine, FUSEMAX_OPS)
    assert_same(estimated, walk(plan, TENSORS, extents | {"M0": 4}, walked, array))


@walks
@given(data=st.data())
def test_walk_of_scores_that_cross_the_buffer(data):
    shape, extents, mask = small(data)
    machine = small_machine("flat_cloud", buffer__capacity=data.draw(st.sampled_from((1e3, 1e6))))
    cascade = masked(library.load("attention_1pass"), mask)
    estimated = ask(cascade, shape, machine, "plus_cascade")
    works = ONE_PASS | {
        "SLN": Work("BGRMP", EXP, ("BQK", "RM"), ("BQK",)),
        "SLNV": Work("BGRTPF", {"mac": 1}, ("SLN", "V"), ("SLN", "V"), reduced="M"),
    }
    hold = HELD | {"BQK": "m1", "SLN": "m1"}
    plan = Plan(
        loops_of(estimated.pipeline.phases[0]), works, places(works, ("BQK", "SLNV")),
        dict.fromkeys(hold, "buffer"), hold, ("AV",),
    )  # fmt: skip
    array, walked = mask.dense_array(), seen(machine, FLAT_OPS)
    assert_same(estimated, walk(plan, TENSORS, extents | {"M0": 4}, walked, array))


@walks
@given(data=st.data())
def test_walk_of_three_phases_that_leave_out_what_is_not_there(data):
    shape, extents, mask = small(data)
    machine = small_machine("flat_cloud", buffer__capacity=data.draw(st.sampled_from((300, 1e6))))
    estimated = ask(masked(library.load("attention_3pass"), mask), shape, machine, "unfused")
    scores, softmax, output = map(loops_of, estimated.pipeline.phases)
    lanes = Place("1d", cols="RPM", order="PM")
    soft = {name: THREE_PASS[name] for name in ("GM", "SN", "SD", "A")}
    kept = ("QK", "GM", "SN", "SD")
    plans = [
        Plan(
            scores, {"QK": THREE_PASS["QK"]}, places(("QK",), ("QK",)),
            {"Q": "buffer", "K": "buffer"}, {"Q": "p2", "K": "m1"}, ("QK",),
        ),
        Plan(
            softmax, soft, dict.fromkeys(soft, lanes), dict.fromkeys(kept, "buffer"),
            dict.fromkeys(kept, "p1"), ("A",),
        ),
        Plan(
            output, {"AV": THREE_PASS["AV"]}, places(("AV",), ("AV",)),
            {"A": "stream", "V": "buffer", "AV": "buffer"}, {"V": "m1", "AV": "p2"}, ("AV",),
        ),
    ]  # fmt: skip
    total = Counter()
    for plan in plans:
        total.update(walk(plan, TENSORS, extents, seen(machine, FLAT_OPS), mask.dense_array(), 4))
    assert_same(estimated, total)


@pytest.mark.parametrize("values", ["output", "weight"])
@pytest.mark.parametrize("scores", ["output", "weight"])
@walks
@given(data=st.data())
def test_walk_of_rows_of_scores_on_chip(scores, values, data):
    shape, extents, mask = small(data)
    rows = data.draw(st.sampled_from((1, 3, 4, 12)))
    operands, spilled = data.draw(st.sampled_from((("", 0), ("K", 0), ("V", 0.25), ("KV", 0.5))))
    machine = small_machine("flat_cloud")
    dataflow = flat.Dataflow(frozenset({"Q", "QK", "A", *operands}), scores, values, rows, spilled)
    cascade = masked(library.load("attention_3pass"), mask)
    estimated = estimate(cascade, shape, machine, flat.mapping_of(dataflow))
    levels = {t: "buffer" if t in operands else "stream" for t in "KV"}
    levels |= dict.fromkeys(("Q", "QK", "A", "GM", "SN", "SD"), "buffer")
    hold = {"Q": "p2", "K": "g", "V": "g"} | dict.fromkeys(("QK", "A", "GM", "SN", "SD"), "p2")
    where = dict.fromkeys(("GM", "SN", "SD", "A"), Place("1d", cols="RPM", order="PM"))
    where["QK"] = {
        "output": Place("2d", rows="M", cols="RP", order="PME"),
        "weight": Place("2d", rows="E", cols="M", order="EMP"),
    }[scores]
    where["AV"] = {
        "output": Place("2d", rows="F", cols="RP", order="PFM"),
        "weight": Place("2d", rows="F", cols="M", order="FMP"),
    }[values]
    loops = loops_of(estimated.pipeline.phases[0])
    spill = dict.fromkeys(("Q", "QK", "SN", "A", *operands), spilled)
    plan = Plan(loops, THREE_PASS, where, levels, hold, ("AV",), spill)
    array, walked = mask.dense_array(), seen(machine, FLAT_OPS)
    assert_same(estimated, walk(plan, TENSORS, extents, walked, array, 4))


# --- Machines that ship --------------------------------------------------------------------------

LENGTHS = {"4K": (4096, 0.06), "16K": (16384, 0.01), "64K": (65536, 0.002)}


def on_fusemax(mask, length, **switches):
    cascade = library.load("attention_1pass")
    cascade = cascade if mask is None else with_mask(cascade, mask)
    shape = {"queries": length, "keys": length, "head_dim": 64}
    return estimate(cascade, shape, load("fusemax_cloud"), mappings.load("fusemax"), **switches)


@pytest.mark.parametrize("length", LENGTHS)
def test_causal_attention_in_steady_state(length):
    # The last tiles of keys of each block of queries are few: there the closed form is too short.
    keys, error = LENGTHS[length]
    closed = on_fusemax("causal", keys)
    simulated = on_fusemax("causal", keys, simulate=True)
    tiles = keys // 256
    assert closed.visited_tiles == tiles * (tiles + 1) // 2
    assert closed.latency_s == pytest.approx(simulated.latency_s, rel=error)
    assert simulated.busy_s == pytest.approx(closed.busy_s, rel=CLOSE)


@pytest.mark.parametrize("width", [256, 512, 1024, 4096])
def test_narrow_windows_keep_the_arrays_busy(width):
    # Few query tiles share a key tile, so that the schedule must not look back far.
    mask = f"sliding:window={width}"
    simulated = on_fusemax(mask, 65536, simulate=True).latency_s
    assert on_fusemax(mask, 65536).latency_s == pytest.approx(simulated, rel=0.01)


def test_a_long_mask_costs_few_steps():
    # 32,896 visited tiles; of a window 4,216.
    assert on_fusemax("causal", 65536, simulate=True).simulation.steps_simulated < 6000
    sliding = on_fusemax("sliding:window=4096", 65536, simulate=True)
    assert sliding.simulation.steps_simulated < sliding.visited_tiles


def test_speedups_of_masks_are_those_of_their_tiles():
    # Bound by the 1D array, so that time follows the tiles but for one division a query.
    dense = on_fusemax(None, 16384)
    for mask in ("causal", "sliding:window=4096"):
        found = on_fusemax(mask, 16384)
        bound = 64 * 64 / found.visited_tiles
        assert dense.latency_s / found.latency_s == pytest.approx(bound, rel=0.04)
        assert dense.latency_s / found.latency_s <= bound * 1.001


def test_traffic_follows_the_tiles():
    # K and V once for each block of queries: two blocks of 32K at 64K, of which the first needs
    # the first half of the keys only. Q and the output once.
    dense, found = on_fusemax(None, 65536), on_fusemax("causal", 65536)
    tensor = 65536 * 64 * 2
    assert dense.traffic_bytes["dram"] == 2 * tensor + 2 * 2 * tensor
    assert found.traffic_bytes["dram"] == 2 * tensor + 2 * 1.5 * tensor


def test_a_record_tells_the_mask():
    record = on_fusemax("causal", 1024).record()
    assert record["mask"] == "causal"
    assert record["attended_pairs"] == 1024 * 1025 // 2
    assert record["visited_tiles"] == 10
    dense = on_fusemax(None, 1024).record()
    assert dense["mask"] is dense["attended_pairs"] is dense["visited_tiles"] is None


@pytest.mark.parametrize(("mapping", "cascade"), [m for m in MAPPINGS if m[0] != "flat"])
def test_a_sweep_over_machines_is_its_questions_one_by_one(mapping, cascade):
    cascade, chosen = masked(library.load(cascade), window(61, 9)), mappings.load(mapping)
    shape = {"batch": 2, "heads": 4, "kv_heads": 2, "queries": 61, "keys": 61, "head_dim": 8}
    fields = {
        "buffer.capacity": [2e4, 4e4, 1e5, 2e4], "dram.bandwidth": [1e9, 1e11, 1e10, 1e13],
    }  # fmt: skip
    base = "fusemax_cloud" if mapping in ("fusemax", "plus_architecture") else "flat_cloud"
    machine = small_machine(base, 4)
    arrays = {key: np.array(values) for key, values in fields.items()}
    swept = estimate(cascade, shape, with_overrides(machine, arrays), chosen)
    for i, values in enumerate(zip(*fields.values(), strict=True)):
        alone = with_overrides(machine, dict(zip(fields, values, strict=True)))
        one = estimate(cascade, shape, alone, chosen)
        assert swept.latency_s[i] == pytest.approx(one.latency_s, rel=1e-12)
        assert np.broadcast_to(swept.energy_j, 4)[i] == pytest.approx(one.energy_j, rel=1e-12)


# --- Refusals ------------------------------------------------------------------------------------


def test_shapes_that_are_arrays_are_refused():
    with pytest.raises(ShapeError, match="one shape at a time"):
        on_fusemax("causal", np.array([1024, 2048]))


def test_the_published_accounting_is_refused():
    with pytest.raises(MappingError, match="wanted dense attention, as published, found mask"):
        on_fusemax("causal", 1024, accounting=ARTIFACT)


def test_too_many_tiles_to_simulate_are_refused():
    machine = with_overrides(load("fusemax_cloud"), {"units.2d.rows": 1, "units.2d.cols": 1})
    cascade = with_mask(library.load("attention_1pass"), "causal")
    asked = cascade, {"queries": 16384, "head_dim": 64}, machine, mappings.load("fusemax")
    assert estimate(*asked).visited_tiles == 16384 * 16385 // 2
    with pytest.raises(
        MappingError, match=r"at most 2\^26 pairs of tiles .* found 16,384 x 16,384"
    ):
        estimate(*asked, simulate=True)
