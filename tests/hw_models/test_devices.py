"""One battery for all machines that ship, and the published numbers of FuseMax and FLAT."""

import re
from pathlib import Path
from typing import get_args

import pytest

from einfall.hw_models import SpecError, load, machine_sources, names
from einfall.hw_models.library import DEVICES, KINDS
from einfall.hw_models.yaml_door import Status, dotted, leaves, read_document

SHIPPED = names()
BASES = {name: DEVICES / f"{name}.yaml" for name in SHIPPED}
STATUSES = "|".join(get_args(Status))
DESCRIPTIONS = {"name", "about", "kind"}
OPS = [  # what a library of attention cascades maps with
    "mac", "mul", "add", "sub", "neg", "max", "min", "abs", "sign", "square", "div", "reciprocal",
    "sqrt", "rsqrt", "exp", "log", "log1p", "pow", "sin", "cos", "sigmoid", "tanh", "softplus",
    "relu", "gelu", "silu", "elu1",
]  # fmt: skip

each_machine = pytest.mark.parametrize("name", SHIPPED)
each_array = pytest.mark.parametrize("name", names("spatial_array"))


def test_the_promised_machines_ship():
    assert {
        "fusemax_cloud", "fusemax_edge", "flat_cloud", "flat_edge",
        "tpu_v2_like", "tpu_v3_like", "tpu_v4_like",
        "a100_sxm", "h100_sxm", "h200", "b200", "b300", "gb200", "gb300", "rtx4090",
        "h20", "h800", "l20", "l40s", "rtx_pro_6000",
        "optical_4f_ideal", "optical_4f_dmd", "optical_4f_slm", "optical_4f_lcos",
    } <= set(SHIPPED)  # fmt: skip


def test_names_of_a_kind_are_all_of_that_kind():
    assert {load(name).kind for name in names("gpu")} == {"gpu"}
    assert sorted(name for kind in KINDS for name in names(kind)) == list(SHIPPED)


@each_machine
def test_it_loads_under_the_name_of_its_file_and_says_what_it_is(name):
    machine = load(name)
    assert machine.name == name
    assert machine.about.endswith(".")
    assert load(name) is machine


@each_machine
def test_every_number_has_a_source_with_words(name):
    values = {dotted(k) for k in leaves(read_document(BASES[name], BASES).data)} - DESCRIPTIONS
    sources = machine_sources(name)
    assert values - set(sources) == set()
    assert [path for path in values if len(sources[path].text) < 5] == []


@each_machine
def test_every_comment_behind_a_value_states_a_status(name):
    for line in BASES[name].read_text(encoding="utf-8").splitlines():
        value, _, comment = line.partition("#")
        if value.strip() and comment:
            assert re.match(rf" ({STATUSES}): ", comment), line


@each_machine
def test_sources_point_at_the_line_of_the_value(name):
    for path, source in machine_sources(name).items():
        lines = Path(source.file).read_text(encoding="utf-8").splitlines()
        field = path.split(".")
        assert any(f"{key}:" in lines[source.line - 1] for key in field[-2:]), path


@each_array
def test_some_unit_can_do_each_op(name):
    machine = load(name)
    for op in OPS:
        able = [unit for unit in machine.units.values() if unit.supports(op)]
        assert able, op
        assert all(unit.cycles(op) >= 1 and unit.energy_j(op) > 0 for unit in able)


@each_array
def test_the_one_dimensional_unit_can_do_every_op_and_the_other_the_products(name):
    machine = load(name)
    assert [op for op in OPS if not machine.units["1d"].supports(op)] == []
    assert machine.units["2d"].supports("mac")
    assert machine.units["2d"].cols >= machine.units["1d"].cols


@each_array
def test_compositions_cost_no_less_than_each_of_their_parts(name):
    for unit in load(name).units.values():
        for kind, op in unit.ops.items():
            for part in op.parts or {}:
                assert unit.cycles(kind) >= unit.cycles(part)
                assert unit.energy_j(kind) >= unit.energy_j(part)


def test_every_machine_is_of_a_known_kind():
    assert {load(name).kind for name in SHIPPED} <= set(KINDS)


# --- outside numbers -----------------------------------------------------------------------------

# FuseMax artifact, commit f543beb: area tables (ART) that its results use, summed over instances.
FLAT_MM2, FUSEMAX_MM2, RATIO = 1391.82, 1302.95, 0.93615


def test_areas_are_those_of_the_artifact():
    flat, fusemax = load("flat_cloud"), load("fusemax_cloud")
    assert round(flat.area_mm2, 2) == FLAT_MM2
    assert round(fusemax.area_mm2, 2) == FUSEMAX_MM2
    assert round(fusemax.area_mm2 / flat.area_mm2, 5) == RATIO
    parts = [flat.units["2d"], flat.units["1d"], flat.buffer]
    assert [round(p.area_mm2, 2) for p in parts] == [1203.20, 12.91, 175.72]
    parts = [fusemax.units["2d"], fusemax.units["1d"], fusemax.buffer]
    assert [round(p.area_mm2, 2) for p in parts] == [1207.95, 10.80, 84.20]


# FuseMax artifact, commit f543beb: energy tables (ERT) that its results use, pJ.
ENERGIES_PJ = {
    "fusemax_cloud": {
        "dram": 249.6,
        "buffer": (12512.760572, 15751.460572),
        "2d": (2.190435, 1.902435),
        "1d": (2.194455, 1.906455),
        "2d ops": {"max": 0.028036, "add": 8.3395, "mac": 17.1645},
        "1d ops": {"max": 0.028036, "add": 8.3395, "mac": 17.1645, "div": 36.251153},
    },
    "flat_cloud": {
        "dram": 249.6,
        "buffer": (23854.664592, 27097.564592),
        "2d": (2.182395, 1.894395),
        "1d": (2.190435, 1.902435),
        "2d ops": {"add": 8.3395, "mac": 17.1645},
        "1d ops": {
            "max": 0.028036, "add": 8.3395, "mac": 17.1645, "exp": 94.6475, "div": 36.251153,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ENERGIES_PJ)
def test_energies_are_those_of_the_artifact(name):
    machine, expected = load(name), ENERGIES_PJ[name]

    def pj(part):
        return pytest.approx((part.read_energy_j * 1e12, part.write_energy_j * 1e12), rel=1e-12)

    assert machine.dram.access_energy_j * 1e12 == pytest.approx(expected["dram"], rel=1e-12)
    assert expected["buffer"] == pj(machine.buffer)
    for unit in ("2d", "1d"):
        assert expected[unit] == pj(machine.units[unit].registers)
        dedicated = {k for k, op in machine.units[unit].ops.items() if op.parts is None}
        assert dedicated == set(expected[f"{unit} ops"])
        for op, energy in expected[f"{unit} ops"].items():
            assert machine.units[unit].energy_j(op) * 1e12 == pytest.approx(energy, rel=1e-12)


def test_op_costs_are_those_of_the_artifact():
    """Cycles and ops a point of its Einsums: SLN, PRM on FuseMax, SN on FLAT; section 6."""
    fusemax, flat = load("fusemax_cloud"), load("flat_cloud")
    for unit in fusemax.units.values():
        assert unit.primitives_of({"sub": 1, "exp": 1}) == {"mac": 6, "add": 1}
        assert unit.cycles_per_point({"sub": 1, "exp": 1}) == 7
    assert flat.units["1d"].primitives_of({"sub": 1, "exp": 1}) == {"exp": 1, "add": 1}
    assert flat.units["1d"].cycles_per_point({"sub": 1, "exp": 1}) == 1
    assert flat.units["1d"].cycles("div") == 1
    assert not flat.units["2d"].supports("exp")
    assert not flat.units["2d"].supports("max")


def test_sizes_are_those_of_the_artifact():
    fusemax, flat, edge = load("fusemax_cloud"), load("flat_cloud"), load("flat_edge")
    assert (fusemax.buffer.capacity_bytes, flat.buffer.capacity_bytes) == (16777216, 33554432)
    assert fusemax.dram.bandwidth_bytes_per_s == flat.dram.bandwidth_bytes_per_s == 429496729600
    assert (fusemax.clock_hz, fusemax.word_bytes, fusemax.buffer.row_bytes) == (940e6, 2, 512)
    assert [m.units["2d"].registers.depth for m in (fusemax, flat)] == [12, 4]
    assert [m.units["1d"].registers.depth for m in (fusemax, flat)] == [32, 16]
    assert edge.buffer.capacity_bytes == 524288
    assert edge.dram.bandwidth_bytes_per_s == 53687091200
    assert edge.units["2d"].pes == 1024


# Peak of the chip [TFLOP/s]: Jouppi et al., CACM 2020 (v2, v3); cloud.google.com/tpu/docs/v4 (v4).
@pytest.mark.parametrize(("name", "peak"), [("v2", 46), ("v3", 123), ("v4", 275)])
def test_two_cores_reach_the_published_peak_of_a_tpu(name, peak):
    core = load(f"tpu_{name}_like")
    assert round(2 * core.units["2d"].pes * 2 * core.clock_hz / 1e12) == peak


# --- the loader --------------------------------------------------------------------------------


def test_an_unknown_name_has_suggestions():
    with pytest.raises(SpecError) as error:
        load("fusemax_clud")
    assert error.value.problems[0].startswith("machine: want a file.yaml or one of a100_sxm, ")
    assert error.value.problems[0].endswith("found 'fusemax_clud': did you mean 'fusemax_cloud'?")


def test_a_machine_of_ones_own_is_two_lines(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: fusemax_cloud\nbuffer: {capacity: 1 MiB}  # assumption: half a rack\n")
    for mine in (load(path), load(str(path))):
        assert mine.buffer.capacity_bytes == 2**20
        assert mine.units == load("fusemax_cloud").units
        assert mine.sources["buffer.capacity"].text == "half a rack"


def test_a_kind_that_may_stand_in_a_lost_base_is_not_asked_for(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: fusemax_clod")
    with pytest.raises(SpecError) as error:
        load(path)
    assert len(error.value.problems) == 1
    assert error.value.problems[0].endswith(
        ":1: base: want a known base, found 'fusemax_clod': did you mean 'fusemax_cloud'?"
    )


def test_a_file_is_read_anew_each_time(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: fusemax_cloud\nclock: 1 GHz")
    assert load(path).clock_hz == 1e9
    path.write_text("base: fusemax_cloud\nclock: 2 GHz")
    assert load(path).clock_hz == 2e9


@pytest.mark.parametrize(
    ("text", "found"), [("kind: tpu", "'tpu'"), ("name: x", "none"), ("kind: [x]", "['x']")]
)
def test_a_machine_of_unknown_kind_is_refused(tmp_path, text, found):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as error:
        load(path)
    assert error.value.problems[0].endswith(
        f":1: kind: want a kind of machine ({', '.join(KINDS)}), found {found}"
    )
    assert len(error.value.problems) == 1
