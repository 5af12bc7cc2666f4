"""Explanations add up to the estimate, on every shipped machine and for every kind of mapping."""

import pytest

from einfall import hw_models
from einfall.einsum_cascades import load
from einfall.report.explain import explain
from einfall.sim.accounting import MODES
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate

SHAPES = {
    "attention_1pass": {"heads": 2, "queries": 1024, "head_dim": 64},
    "attention_3pass": {"heads": 2, "queries": 1024, "head_dim": 64},
    "encoder_layer": {"heads": 2, "queries": 300, "head_dim": 40},
    "linear_attention_causal": {"heads": 2, "queries": 300, "head_dim": 40},
}


def explained(cascade, machine, shape, accounting="physical", **options):
    what, on, how = load(cascade), hw_models.load(machine), MODES[accounting]
    mapping = mapping_for(what, shape, on, accounting=how, **options)
    found = estimate(what, shape, on, mapping, accounting=how)
    return explain(what, found), found


@pytest.mark.parametrize("machine", hw_models.names("spatial_array"))
@pytest.mark.parametrize("cascade", SHAPES)
def test_energies_add_up(cascade, machine):
    explanation, found = explained(cascade, machine, SHAPES[cascade])
    parts = [t.value for t in explanation.terms if t.name.startswith("energy of ")]
    assert sum(parts) == pytest.approx(found.energy_j)


@pytest.mark.parametrize("cascade", ["attention_1pass", "attention_3pass"])
@pytest.mark.parametrize("machine", ["fusemax_cloud", "flat_cloud"])
def test_energies_add_up_as_published(cascade, machine):
    explanation, found = explained(cascade, machine, SHAPES[cascade], "artifact")
    parts = [t.value for t in explanation.terms if t.name.startswith("energy of ")]
    assert sum(parts) == pytest.approx(found.energy_j)


@pytest.mark.parametrize("cascade", SHAPES)
def test_times_add_up(cascade):
    explanation, found = explained(cascade, "fusemax_cloud", SHAPES[cascade])
    phases = [t.value for t in explanation.terms if t.name == "closed form"]
    assert sum(phases) == pytest.approx(found.latency_s)
    for resource, busy in found.busy_s.items():
        parts = [t.value for t in explanation.terms if t.name == f"busy on {resource}"]
        assert sum(parts) == pytest.approx(busy)


def term(explanation, of, name):
    return next(t for t in explanation.terms if (t.of, t.name) == (of, name))


def test_numbers_can_be_checked_by_hand():
    explanation, _ = explained("attention_1pass", "fusemax_cloud", SHAPES["attention_1pass"])
    # 2 heads, 4 tiles of 256 keys, 4 of 256 queries; a tile takes 64 cycles at 940 MHz
    assert term(explanation, "BQK", "executions").numbers == "2 · 4 · 4"
    busy = term(explanation, "BQK", "busy on 2d")
    assert busy.numbers == "64 · 32 / 940 MHz"
    assert busy.value == pytest.approx(64 * 32 / 940e6)
    assert busy.constants == ("clock",)
    # exp(x - y) is 6 multiply-adds and an addition, one after the other
    cycles = term(explanation, "SLN", "cycles a point")
    assert (cycles.value, cycles.numbers) == (pytest.approx(7), "6·1 + 1·1")
    assert "units.2d.ops.exp" in cycles.constants
    assert "six chained MACs" in explanation.constants["units.2d.ops.exp"].source.text


def test_chained_ops_take_the_slowest():
    explanation, _ = explained("attention_3pass", "flat_cloud", SHAPES["attention_3pass"])
    cycles = term(explanation, "SN", "cycles a point")
    assert (cycles.value, cycles.numbers) == (pytest.approx(1), "max(1·1, 1·1)")


def test_smaller_last_tiles_are_said_and_counted():
    shape = {"heads": 1, "queries": 300, "head_dim": 64}
    explanation, _ = explained("attention_1pass", "fusemax_cloud", shape)
    macs = term(explanation, "BQK", "energy of 2d.mac")
    assert f"what the last tiles lack: {300 * 300 * 64:,}" in macs.numbers
    assert macs.value == pytest.approx(300 * 300 * 64 * 17.1645e-12)


def test_what_is_never_paid_is_said():
    explanation, _ = explained(
        "attention_1pass", "flat_cloud", SHAPES["attention_1pass"], "artifact", name="plus_cascade"
    )
    unpaid = term(explanation, "SLN", "energy of 1d.exp")
    assert unpaid.value == 0
    assert "leaves out" in unpaid.numbers


def test_every_constant_has_a_source():
    explanation, _ = explained("attention_1pass", "fusemax_cloud", SHAPES["attention_1pass"])
    assert all(c.source.text and c.source.line for c in explanation.constants.values())
    text = explanation.text()
    assert all(path in text for path in explanation.constants)
