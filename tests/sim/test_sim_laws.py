"""Laws of both evaluators for random machines, all cascades of the library and random shapes."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_questions import CASCADES, MAPPINGS, ask, in_turn_s, machines, shapes, small_machine

from einfall.einsum_cascades import library
from einfall.einsum_cascades.counts import compulsory_bytes, ops
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.overrides import with_overrides
from einfall.sim import events
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.mapping import DoesNotFitError

CLOSE = 1e-9
REPEATED = 1e-6  # the simulation takes states that differ by less than rounding for a period
slow = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


@st.composite
def questions(draw):
    """(cascade, shape, machine, name of a mapping or None)."""
    cascade = draw(st.sampled_from(CASCADES))
    return cascade, draw(shapes(cascade)), draw(machines()), draw(st.sampled_from((None, "auto")))


def answer(question):
    cascade, shape, machine, name = question
    try:
        return ask(cascade, shape, machine, name)
    except DoesNotFitError:
        assume(False)


def sizes_of(cascade, shape, edge=1):
    return rank_sizes(cascade, shape, {split.rank: edge for split in cascade.splits})


@slow
@given(questions())
def test_simulated_time_lies_between_the_busiest_resource_and_one_after_the_other(question):
    estimated = answer(question)
    simulated = events.simulate(estimated.pipeline).timing.latency_s
    assert simulated >= max(estimated.busy_s.values()) * (1 - REPEATED)
    assert simulated <= in_turn_s(estimated.pipeline) * (1 + REPEATED)


@slow
@given(questions())
def test_closed_form_lies_between_the_busiest_resource_and_one_after_the_other(question):
    estimated = answer(question)
    assert estimated.latency_s >= max(estimated.busy_s.values()) * (1 - CLOSE)
    assert estimated.latency_s <= in_turn_s(estimated.pipeline) * (1 + CLOSE)


@slow
@given(questions())
def test_both_evaluators_keep_resources_busy_for_the_same_time(question):
    estimated = answer(question)
    timing = events.simulate(estimated.pipeline).timing
    assert timing.busy_s == pytest.approx(estimated.busy_s, rel=CLOSE)
    assert [name for name, _ in timing.phases] == [p.name for p in estimated.pipeline.phases]


@slow
@given(questions())
def test_simulated_time_is_above_compulsory_traffic_and_peak_ops(question):
    cascade, shape, machine, _ = question
    estimated = answer(question)
    simulated = events.simulate(estimated.pipeline).timing.latency_s
    compulsory = compulsory_bytes(cascade, sizes_of(cascade, shape), machine.word_bytes)
    assert estimated.traffic_bytes["dram"] >= compulsory * (1 - CLOSE)
    assert simulated >= compulsory / machine.dram.bandwidth_bytes_per_s * (1 - CLOSE)
    for name, unit in machine.units.items():
        # Even if every op had its own pipelined circuit in every element.
        done = [
            n / unit.pes * unit.ops[action].cycles
            for (component, action), n in estimated.counts.items()
            if component == name and action in unit.ops
        ]
        assert simulated >= max(done, default=0) / machine.clock_hz * (1 - CLOSE)


@slow
@given(questions())
def test_nothing_is_lost_or_used_beyond_its_time(question):
    estimated = answer(question)
    assert estimated.energy_j > 0
    assert sum(line.energy_j for line in estimated.breakdown) == pytest.approx(estimated.energy_j)
    assert all(0 <= share <= 1 + CLOSE for share in estimated.utilization.values())


FASTER = {
    "clock": ("clock",),
    "bandwidth": ("dram.bandwidth",),
    "ports": ("buffer.ports", "buffer.banks"),
}


@pytest.mark.parametrize("change", FASTER)
@slow
@given(questions())
def test_a_faster_part_never_takes_longer(change, question):
    cascade, shape, machine, _ = question
    before = answer(question)
    better = with_overrides(machine, dict.fromkeys(FASTER[change], "2x"))
    # The same mapping: another choice could be better or worse by itself.
    after = estimate(cascade, shape, better, before.mapping)
    assert after.latency_s <= before.latency_s * (1 + CLOSE)


@slow
@given(questions())
def test_a_bigger_buffer_never_moves_more_through_dram(question):
    cascade, shape, machine, _ = question
    before = answer(question)
    bigger = with_overrides(machine, {"buffer.capacity": "2x"})
    after = estimate(cascade, shape, bigger, before.mapping)
    assert after.traffic_bytes["dram"] <= before.traffic_bytes["dram"] * (1 + CLOSE)


@pytest.mark.parametrize("mapping", ["fusemax", "plus_architecture", "plus_cascade"])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_bigger_buffer_never_takes_longer_where_tiles_are_multiples_of_the_array(mapping, data):
    # Rows of scores of any number (`unfused`, `auto`) may fill the lanes worse, and the first of
    # them come later, when more of them fit.
    cascade = library.load("attention_1pass")
    shape, machine = data.draw(shapes(cascade)), data.draw(machines(bases=("fusemax_cloud",)))
    mapping = mapping_for(cascade, shape, machine, name=mapping)
    bigger = with_overrides(machine, {"buffer.capacity": "2x"})
    try:
        before = estimate(cascade, shape, machine, mapping)
    except DoesNotFitError:
        assume(False)
    after = estimate(cascade, shape, bigger, mapping)
    assert after.latency_s <= before.latency_s * (1 + CLOSE)


@pytest.mark.parametrize(("mapping", "cascade"), MAPPINGS)
@settings(deadline=None, max_examples=15)
@given(st.data())
def test_counts_are_linear_in_batch_and_heads(mapping, cascade, data):
    cascade = library.load(cascade)
    shape = data.draw(shapes(cascade))
    machine = small_machine("fusemax_cloud", buffer__capacity=1e6)
    mapping = mapping_for(cascade, shape, machine, name=mapping)
    one = estimate(cascade, shape, machine, mapping)
    more = {"batch": 3 * shape["batch"]}
    assert_scaled(estimate(cascade, shape | more, machine, mapping), one, 3)
    more = {"heads": 2 * shape["heads"], "kv_heads": 2 * shape["kv_heads"]}
    assert_scaled(estimate(cascade, shape | more, machine, mapping), one, 2)


def assert_scaled(many, one, factor):
    scaled = {key: n * factor for key, n in one.counts.items()}
    assert many.counts == pytest.approx(scaled, rel=CLOSE)


def test_total_ops_are_those_of_the_cascade_on_a_machine_of_dedicated_ops():
    # 12·16 scores of width 8 and 4: 12·16·(8 + 4) multiply-adds, 12·16 maxima, exps, divisions.
    cascade = library.load("attention_3pass")
    shape = {"queries": 12, "keys": 16, "head_dim": 8, "value_dim": 4}
    counted = ops(cascade, sizes_of(cascade, shape))
    assert counted["mac"] == 12 * 16 * (8 + 4)
    assert counted["exp"] == counted["div"] == counted["max"] == 12 * 16
