"""Counts of a lowered mapping against its loop nest walked point by point."""

from collections import Counter

import pytest
from loop_nest_walk import Machine, Place, Plan, Work, walk
from random_questions import ask, small_machine

from einfall.einsum_cascades import library
from einfall.sim import flat
from einfall.sim import mapping as mappings
from einfall.sim.estimate import estimate
from einfall.sim.mapping import Binding, Group, LoopSpec, Mapping

TENSORS = {
    "Q": "BGRPE", "K": "BGME", "V": "BGMF", "RM": "BGRP", "RD": "BGRP", "RNV": "BGRPF",
    "BQK": "BGRMP", "SLN": "BGRMP", "AV": "BGRPF", "QK": "BGRMP", "GM": "BGRP", "SN": "BGRMP",
    "SD": "BGRP", "A": "BGRMP", "X": "ND", "W": "DS", "Y": "NS",
}  # fmt: skip
EXP = {"sub": 1, "exp": 1}
ONE_PASS = {
    "BQK": Work("BGRMP", {"mac": 1}, ("Q", "K"), ("Q", "K"), reduced="E"),
    "LM": Work("BGRTP", {"max": 1}, ("BQK",), reduced="M"),
    "RM": Work("BGRTP", {"max": 1}, ("RM", "LM"), ("RM",)),
    "SLN": Work("BGRMP", EXP, ("BQK", "RM")),
    "SLD": Work("BGRTP", {"add": 1}, ("SLN",), reduced="M"),
    "SLNV": Work("BGRTPF", {"mac": 1}, ("SLN", "V"), ("V",), reduced="M"),
    "PRM": Work("BGRTP", EXP, ("RM", "RM")),
    "SPD": Work("BGRTP", {"mul": 1}, ("RD", "PRM"), ("RD",)),
    "RD": Work("BGRTP", {"add": 1}, ("SLD", "SPD")),
    "SPNV": Work("BGRTPF", {"mul": 1}, ("RNV", "PRM"), ("RNV",)),
    "RNV": Work("BGRTPF", {"add": 1}, ("SLNV", "SPNV")),
    "AV": Work("BGRPF", {"div": 1}, ("RNV", "RD"), ("RNV", "RD")),
}  # fmt: skip
THREE_PASS = {
    "QK": Work("BGRMP", {"mac": 1}, ("Q", "K"), ("Q", "K"), reduced="E"),
    "GM": Work("BGRP", {"max": 1}, ("QK",), ("QK",), reduced="M"),
    "SN": Work("BGRMP", EXP, ("QK", "GM"), ("QK", "GM")),
    "SD": Work("BGRP", {"add": 1}, ("SN",), reduced="M"),
    "A": Work("BGRMP", {"div": 1}, ("SN", "SD"), ("SN", "SD")),
    "AV": Work("BGRPF", {"mac": 1}, ("A", "V"), ("A", "V"), reduced="M"),
}  # fmt: skip
SHAPE_KEYS = ("batch", "kv_heads", "R", "queries", "keys", "head_dim", "value_dim")
# batch, kv_heads, heads of each, queries, keys, head_dim, value_dim
ATTENTION = [
    (1, 1, 1, 4, 4, 2, 2),
    (2, 1, 1, 12, 12, 3, 2),
    (1, 2, 3, 1, 11, 2, 3),  # decode
    (1, 1, 2, 11, 7, 3, 4),
    (1, 2, 1, 9, 3, 2, 3),
    (1, 1, 5, 2, 10, 2, 2),
    (1, 1, 1, 12, 1, 4, 2),  # one key
]
FUSEMAX_OPS = {
    "2d": {"exp": {"mac": 6}, "sub": {"add": 1}, "mul": {"mac": 1}},
    "1d": {"exp": {"mac": 6}, "sub": {"add": 1}, "mul": {"mac": 1}},
}
FLAT_OPS = {"2d": {"mul": {"mac": 1}}, "1d": {"sub": {"add": 1}, "mul": {"mac": 1}}}


def question(size):
    shape = dict(zip(SHAPE_KEYS, size, strict=True))
    shape["heads"] = shape["kv_heads"] * shape.pop("R")
    extents = dict(zip("BGRPMEF", size, strict=True))
    return shape, extents


def seen(machine, ops):
    sides = {name: (unit.rows, unit.cols) for name, unit in machine.units.items()}
    row = machine.buffer.row_bytes / machine.word_bytes
    return Machine(sides, row, machine.word_bytes, ops)


def loops_of(phase):
    """Loops of a phase with the letters of the walk; only tile sizes are taken as they are."""
    letters = {"H/G": "R"}
    return [(x.name, letters.get(x.rank, x.rank), x.tile) for x in phase.nest.loops]


def assert_same(estimated, counted):
    counted = {key: n for key, n in counted.items() if n}
    assert {k: n for k, n in estimated.counts.items() if n} == pytest.approx(counted, rel=1e-9)


def places(works, on_array, **order):
    array, lanes = Place("2d", rows="M", cols="RP"), Place("1d", cols="RP")
    return {name: order.get(name, array if name in on_array else lanes) for name in works}


HELD = {"Q": "p2", "K": "m1", "V": "m1", "RM": "p2", "RD": "p2", "RNV": "p2"}
SOFTMAX = ("LM", "SLN", "SLD")


@pytest.mark.parametrize("size", ATTENTION)
@pytest.mark.parametrize("capacity", [400, 900, 1e6])
@pytest.mark.parametrize("name", ["fusemax", "plus_architecture", "auto"])
def test_one_pass_attention_on_an_array_that_does_softmax(name, size, capacity):
    machine = small_machine("fusemax_cloud", buffer__capacity=capacity)
    shape, extents = question(size)
    estimated = ask("attention_1pass", shape, machine, name)
    on_array = ("BQK", "SLNV", *SOFTMAX)
    plan = Plan(
        loops_of(estimated.pipeline.phases[0]), ONE_PASS, places(ONE_PASS, on_array),
        dict.fromkeys(HELD, "buffer"), HELD, ("AV",),
    )  # fmt: skip
    walked = walk(plan, TENSORS, extents | {"M0": 4}, seen(machine, FUSEMAX_OPS))
    assert_same(estimated, walked)


@pytest.mark.parametrize("size", ATTENTION)
@pytest.mark.parametrize("kept", [("p2", "m1"), ("", "p2"), ("g", "b"), ("m1", "p1")])
def test_keys_and_values_held_at_other_loops(size, kept):
    shape, extents = question(size)
    hold = HELD | dict(zip("KV", kept, strict=True))
    shipped = mappings.load("fusemax")
    group = shipped.groups[0].model_copy(
        update={
            "hold": hold,
            "loops": tuple(
                x.model_copy(update={"tile": 8}) if x.loop == "p2" else x
                for x in shipped.groups[0].loops
            ),
        }
    )
    mapping = shipped.model_copy(update={"groups": (group,)})
    machine = small_machine("fusemax_cloud")
    estimated = estimate(library.load("attention_1pass"), shape, machine, mapping)
    where = places(ONE_PASS, ("BQK", "SLNV", *SOFTMAX))
    loops = loops_of(estimated.pipeline.phases[0])
    plan = Plan(loops, ONE_PASS, where, dict.fromkeys(hold, "buffer"), hold, ("AV",))
    walked = walk(plan, TENSORS, extents | {"M0": 4}, seen(machine, FUSEMAX_OPS))
    assert_same(estimated, walked)


@pytest.mark.parametrize("size", ATTENTION)
@pytest.mark.parametrize("capacity", [1000, 1e6])
def test_one_pass_attention_whose_scores_cross_the_buffer(size, capacity):
    machine = small_machine("flat_cloud", buffer__capacity=capacity)
    shape, extents = question(size)
    estimated = ask("attention_1pass", shape, machine, "plus_cascade")
    works = ONE_PASS | {
        "SLN": Work("BGRMP", EXP, ("BQK", "RM"), ("BQK",)),
        "SLNV": Work("BGRTPF", {"mac": 1}, ("SLN", "V"), ("SLN", "V"), reduced="M"),
    }
    hold = HELD | {"BQK": "m1", "SLN": "m1"}
    plan = Plan(
        loops_of(estimated.pipeline.phases[0]), works, places(works, ("BQK", "SLNV")),
        dict.fromkeys(hold, "buffer"), hold, ("AV",),
    )  # fmt: skip
    walked = walk(plan, TENSORS, extents | {"M0": 4}, seen(machine, FLAT_OPS))
    assert_same(estimated, walked)


@pytest.mark.parametrize("size", ATTENTION)
@pytest.mark.parametrize("capacity", [300, 1e6])
def test_three_phases_that_meet_in_dram(size, capacity):
    machine = small_machine("flat_cloud", buffer__capacity=capacity)
    shape, extents = question(size)
    estimated = ask("attention_3pass", shape, machine, "unfused")
    scores, softmax, output = map(loops_of, estimated.pipeline.phases)
    flat_lanes = Place("1d", cols="RPM", order="PM")
    soft = {name: THREE_PASS[name] for name in ("GM", "SN", "SD", "A")}
    plans = [
        Plan(
            scores, {"QK": THREE_PASS["QK"]}, places(("QK",), ("QK",)),
            {"Q": "buffer", "K": "buffer"}, {"Q": "p2", "K": "m1"}, ("QK",),
        ),
        Plan(
            softmax, soft, dict.fromkeys(soft, flat_lanes),
            dict.fromkeys(("QK", "GM", "SN", "SD"), "buffer"),
            dict.fromkeys(("QK", "GM", "SN", "SD"), "p1"), ("A",),
        ),
        Plan(
            output, {"AV": THREE_PASS["AV"]}, places(("AV",), ("AV",)),
            {"A": "stream", "V": "buffer", "AV": "buffer"}, {"V": "m1", "AV": "p2"}, ("AV",),
        ),
    ]  # fmt: skip
    total = Counter()
    for plan in plans:
        total.update(walk(plan, TENSORS, extents, seen(machine, FLAT_OPS)))
    assert_same(estimated, total)


@pytest.mark.parametrize("size", ATTENTION)
@pytest.mark.parametrize("rows", [1, 3, 4, 12])
@pytest.mark.parametrize("values", ["output", "weight"])
@pytest.mark.parametrize("scores", ["output", "weight"])
@pytest.mark.parametrize(("operands", "spilled"), [("", 0), ("K", 0), ("V", 0.25), ("KV", 0.5)])
def test_rows_of_scores_on_chip(size, rows, scores, values, operands, spilled):  # noqa: PLR0913
    machine = small_machine("flat_cloud")
    shape, extents = question(size)
    dataflow = flat.Dataflow(frozenset({"Q", "QK", "A", *operands}), scores, values, rows, spilled)
    cascade = library.load("attention_3pass")
    estimated = estimate(cascade, shape, machine, flat.mapping_of(dataflow))
    levels = {t: "buffer" if t in operands else "stream" for t in "KV"}
    levels |= dict.fromkeys(("Q", "QK", "A", "GM", "SN", "SD"), "buffer")
    hold = {"Q": "p2", "K": "g", "V": "g"} | dict.fromkeys(("QK", "A", "GM", "SN", "SD"), "p2")
    lanes = Place("1d", cols="RPM", order="PM")
    where = dict.fromkeys(("GM", "SN", "SD", "A"), lanes)
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
    assert_same(estimated, walk(plan, TENSORS, extents, seen(machine, FLAT_OPS)))


MATMULS = [
    (4, 4, 4), (12, 12, 12), (11, 7, 9), (1, 12, 5), (12, 1, 3), (3, 10, 1), (17, 5, 13),
    (24, 12, 12), (23, 11, 10), (33, 16, 20),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "inner", "cols"), MATMULS)
@pytest.mark.parametrize("capacity", [160, 200, 400, 1e6])
def test_matrix_product(rows, inner, cols, capacity):
    machine = small_machine("fusemax_cloud", buffer__capacity=capacity)
    estimated = ask("matmul", {"rows": rows, "inner": inner, "cols": cols}, machine, "auto")
    group, bound = estimated.mapping.groups[0], estimated.mapping.bind[0]
    assert_matmul(estimated, group, bound, {"N": rows, "D": inner, "S": cols})


@pytest.mark.xfail(strict=True, reason="an operand with one of two flattened ranks counts once")
@pytest.mark.parametrize(("rows", "inner", "cols"), [(17, 5, 13), (11, 7, 9)])
def test_operands_that_have_one_of_two_ranks_on_a_side(rows, inner, cols):
    # Each block of four (s, d) pairs needs other rows of X; auto mappings avoid it, files may not.
    bound = Binding(unit="2d", einsums=("Y",), rows=("S", "D"), cols=("N",))
    loop = LoopSpec(loop="t1", rank="N", tile=4)
    group = Group(name="Y", loops=(loop,), hold={"W": "", "X": "t1"})
    mapping = Mapping(name="flattened", cascades=("matmul",), bind=(bound,), groups=(group,))
    shape = {"rows": rows, "inner": inner, "cols": cols}
    machine = small_machine("fusemax_cloud")
    estimated = estimate(library.load("matmul"), shape, machine, mapping)
    assert_matmul(estimated, group, bound, {"N": rows, "D": inner, "S": cols})


def assert_matmul(estimated, group, bound, extents):
    work = Work("NS", {"mac": 1}, ("X", "W"), ("X", "W"), reduced="D")
    place = Place(bound.unit, rows="".join(bound.rows), cols="".join(bound.cols))
    level = {"X": "buffer", "W": "buffer"} | dict(group.place)
    loops = loops_of(estimated.pipeline.phases[0])
    plan = Plan(loops, {"Y": work}, {"Y": place}, level, dict(group.hold), ("Y",))
    machine = seen(estimated.device, FUSEMAX_OPS)
    assert_same(estimated, walk(plan, TENSORS, extents, machine))
