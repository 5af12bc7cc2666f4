import numpy as np
import pytest

from einfall.hw_models import SpatialArray, SpecError, UnsupportedOpError, load, read_spec

TINY = """\
kind: spatial_array
name: tiny
clock: 1 GHz
word: 16 bit
dram: {bandwidth: 1 GB/s, access: 8 B, access_energy: 1 pJ}
buffer: {capacity: 1 KiB, row: 64 B, ports: 1, banks: 1, read_energy: 1 pJ, write_energy: 1 pJ, \
area: 2 mm^2}
network_area: 0.5 mm^2
units:
  1d:
    rows: 2
    cols: 3
    issue: ISSUE
    registers: {depth: 4, read_energy: 1 pJ, write_energy: 1 pJ, area: 0.25 mm^2}
    ops: OPS
"""
OPS = "{mac: {energy: 3 pJ, area: 1 mm^2}, div: {cycles: 4, energy: 5 pJ, area: 2 mm^2}, \
exp: {as: {mac: 6}}, sigmoid: exp + mac + div, twice: 2 sigmoid}"


def tiny(issue="serial", ops=OPS) -> SpatialArray:
    return read_spec(TINY.replace("ISSUE", issue).replace("OPS", ops), SpatialArray)


def problems(ops) -> tuple[str, ...]:
    with pytest.raises(SpecError) as error:
        tiny(ops=ops)
    return error.value.problems


def test_compositions_resolve_to_dedicated_ops():
    unit = tiny().units["1d"]
    assert unit.primitives("mac") == {"mac": 1}
    assert unit.primitives("exp") == {"mac": 6}
    assert unit.primitives("twice") == {"mac": 14, "div": 2}
    assert unit.primitives_of({"exp": 2, "div": 1}) == {"mac": 12, "div": 1}


def test_serial_ops_add_up_and_chained_ops_wait_for_the_slowest():
    serial, chained = tiny("serial").units["1d"], tiny("chained").units["1d"]
    assert serial.cycles("sigmoid") == 7 * 1 + 4
    assert chained.cycles("sigmoid") == 7  # the MAC unit is used seven times, the divider for four
    assert chained.cycles("div") == 4
    assert chained.cycles_per_point({"mac": 1, "div": 1}) == 4
    assert serial.cycles_per_point({}) == chained.cycles_per_point({}) == 0


def test_energy_is_that_of_the_parts_however_they_are_issued():
    for issue in ("serial", "chained"):
        unit = tiny(issue).units["1d"]
        assert unit.energy_j("sigmoid") == pytest.approx(7 * 3e-12 + 5e-12, rel=1e-15)
        assert unit.energy_per_point_j({"mac": 2, "div": 1}) == pytest.approx(11e-12, rel=1e-15)


def test_area_is_elements_buffer_and_network():
    machine = tiny()
    assert machine.units["1d"].pes == 6
    assert machine.units["1d"].area_mm2 == 6 * (0.25 + 1 + 2)
    assert machine.area_mm2 == 6 * 3.25 + 2 + 0.5


def test_an_op_that_the_unit_lacks_is_named_with_those_it_has():
    unit = tiny().units["1d"]
    assert not unit.supports("sigmod")
    with pytest.raises(UnsupportedOpError) as error:
        unit.cycles("sigmod")
    assert str(error.value) == (
        "want an op of this unit (div, exp, mac, sigmoid, twice), found 'sigmod': "
        "did you mean 'sigmoid'?"
    )


@pytest.mark.parametrize(
    ("ops", "problem"),
    [
        ("{mac: 6 mac +}", "ops.mac: want ops such as '6 mac + add', got '6 mac +'"),
        ("{mac: 3 pJ}", "ops.mac: want ops of this unit (mac), found 'pJ'"),
        ("{exp: 6 mc}", "ops.exp: want ops of this unit (exp), found 'mc'"),
        ("{a: b, b: 2 c, c: a}", "ops.a: want a composition that ends in dedicated ops, found "),
        ("{a: a}", "ops.a: want a composition that ends in dedicated ops, found a -> a"),
        ("{mac: {}}", "ops.mac: want either energy (a unit of its own) or other ops"),
        ("{mac: {energy: 1 pJ, as: {mac: 2}}}", "ops.mac: want either energy"),
        ("{a: {as: {a: 1}, cycles: 3}}", "ops.a: want no cycles and no area for a composition"),
        ("{a: {as: {a: 0}}}", "ops.a.as.a: want greater than 0, got 0"),
        ("{}", "ops: "),
    ],
)
def test_a_wrong_op_is_reported_at_its_line(ops, problem):
    assert problems(ops)[0].startswith(f"<text>:14: units.1d.{problem}")


def test_every_op_of_a_circle_is_reported():
    assert [p.split("found ")[1] for p in problems("{a: b, b: 2 c, c: a}")] == [
        "a -> b -> c -> a",
        "b -> c -> a -> b",
        "c -> a -> b -> c",
    ]


def test_more_ports_than_banks_are_refused():
    text = TINY.replace("ISSUE", "serial").replace("OPS", OPS).replace("ports: 1", "ports: 2")
    with pytest.raises(SpecError) as error:
        read_spec(text, SpatialArray)
    assert error.value.problems == (
        "<text>:6: buffer.banks: want at least as many banks as ports (2), got 1",
    )


def test_a_machine_needs_a_unit():
    text = TINY[: TINY.index("units:")] + "units: {}"
    with pytest.raises(SpecError, match="<text>:8: units: "):
        read_spec(text, SpatialArray)


def test_a_dumped_machine_can_be_read_again():
    for machine in (tiny(), load("fusemax_cloud")):
        assert SpatialArray.model_validate(machine.model_dump(by_alias=True)) == machine
        assert SpatialArray.model_validate_json(machine.model_dump_json(by_alias=True)) == machine


@pytest.mark.parametrize("issue", ["serial", "chained"])
def test_arrays_in_place_of_numbers_give_arrays_of_what_each_gives(issue):
    unit = tiny(issue).units["1d"]
    cycles, energies, areas = np.array([1.0, 3, 50]), np.array([1.0, 2, 3]), np.array([4.0, 5, 6])

    def with_mac(cycles, energy, area):
        mac = unit.ops["mac"].model_copy(
            update={"cycles": cycles, "energy_j": energy, "area_mm2": area}
        )
        return unit.model_copy(update={"ops": {**unit.ops, "mac": mac}})

    swept = with_mac(cycles, energies, areas)
    each = [with_mac(*values) for values in zip(cycles, energies, areas, strict=True)]
    assert swept.cycles("sigmoid").tolist() == [u.cycles("sigmoid") for u in each]
    assert swept.energy_j("sigmoid").tolist() == [u.energy_j("sigmoid") for u in each]
    assert swept.area_mm2.tolist() == [u.area_mm2 for u in each]


def test_arrays_of_sizes_pass_through_area():
    unit = tiny().units["1d"].model_copy(update={"rows": np.array([1, 2, 4])})
    machine = tiny().model_copy(update={"units": {"1d": unit}})
    assert machine.area_mm2.tolist() == [3 * 3.25 + 2.5, 6 * 3.25 + 2.5, 12 * 3.25 + 2.5]
