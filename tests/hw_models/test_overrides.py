import numpy as np
import pytest

from einfall.hw_models import load, read_overrides, with_overrides
from einfall.hw_models.yaml_door import Source, SpecError

FUSEMAX = load("fusemax_cloud")


def problems(overrides) -> tuple[str, ...]:
    with pytest.raises(SpecError) as error:
        with_overrides(FUSEMAX, overrides)
    return error.value.problems


@pytest.mark.parametrize(
    ("value", "bandwidth"),
    [
        ("5TB/s", 5e12),
        ("5 TB/s", 5e12),
        (5e12, 5e12),
        ("2x", 800 * 2**30),
        ("0.5x", 200 * 2**30),
        ("+10%", pytest.approx(440 * 2**30, rel=1e-15)),
        ("-5%", pytest.approx(380 * 2**30, rel=1e-15)),
    ],
)
def test_a_value_a_factor_or_a_share(value, bandwidth):
    changed = with_overrides(FUSEMAX, {"dram.bandwidth": value})
    assert changed.dram.bandwidth_bytes_per_s == bandwidth
    assert changed.sources["dram.bandwidth"] == Source("assumption", f"set by user: {value}")
    assert changed.buffer == FUSEMAX.buffer
    assert FUSEMAX.dram.bandwidth_bytes_per_s == 400 * 2**30


def test_counts_names_and_choices_can_be_set_too():
    changed = with_overrides(
        FUSEMAX, {"units.2d.rows": "2x", "units.2d.cols": "128", "units.1d.issue": "chained"}
    )
    assert (changed.units["2d"].rows, changed.units["2d"].cols) == (512, 128)
    assert changed.units["1d"].issue == "chained"


def test_an_op_can_become_a_unit_of_its_own_another_composition_or_new():
    changed = with_overrides(
        FUSEMAX,
        {
            "units.2d.ops.exp": "{energy: 94.65 pJ, area: 8240 um^2}",
            "units.1d.ops.div": "8 mac",
            "units.1d.ops.erf": "exp + 2 mac",
        },
    )
    assert changed.units["2d"].energy_j("exp") == 94.65e-12
    assert changed.units["1d"].primitives("div") == {"mac": 8}
    assert changed.units["1d"].cycles("erf") == 8
    assert changed.sources["units.1d.ops.div"].text == "set by user: 8 mac"
    assert "units.1d.ops.div.energy" not in changed.sources


def test_nothing_set_changes_nothing():
    assert with_overrides(FUSEMAX, {}) == FUSEMAX


def test_all_mistakes_come_at_once_with_what_is_near():
    assert problems(
        {
            "dram.bandwith": "2x",
            "dram.bandwidth": "5 TB",
            "units.3d.rows": "2x",
            "units.2d.ops.exp.energy": "2x",
            "units.2d.rows": "+0.1%",
            "units.1d.issue": "parallel",
            "name": "2x",
            "dram": "2 GB/s",
            "buffer.ports": "64",
            "buffer.area": "{x: ",
        }
    ) == (
        "--set dram.bandwith: want one of access, access_energy, bandwidth, found 'bandwith': "
        "did you mean 'bandwidth'?",
        "--set units.3d.rows: want one of 1d, 2d, found '3d'",
        "--set units.2d.ops.exp.energy: want a field, but units.2d.ops.exp is '6 mac' and has "
        "none: set units.2d.ops.exp itself",
        "--set name: want a number there for '2x' to scale, found 'fusemax_cloud'",
        "--set buffer.area: want fields in braces, such as {energy: 95 pJ, area: 8240 um^2}, "
        "found '{x: '",
        "--set dram: want fields (access, access_energy, bandwidth), got '2 GB/s'",
        "--set buffer.banks: want at least as many banks as ports (64), got 32",
        "--set units.2d.rows: want a valid integer, got a number with a fractional part, "
        "got 256.256",
        "--set units.1d.issue: want 'serial' or 'chained', got 'parallel'",
    )


def test_an_unknown_path_alone_is_refused():
    assert problems({"clok": "2x"}) == (
        "--set clok: want one of about, buffer, clock, dram, kind, name, network_area, units, "
        "word, found 'clok': did you mean 'clock'?",
    )


def test_a_value_that_is_not_given_may_be_set_but_not_scaled():
    tree = {k: v for k, v in FUSEMAX.model_dump(by_alias=True).items() if k != "network_area"}
    bare = type(FUSEMAX).model_validate(tree)
    assert with_overrides(bare, {"network_area": "3 mm^2"}).network_area_mm2 == 3
    with pytest.raises(SpecError, match="want a number there for '2x' to scale, found None"):
        with_overrides(FUSEMAX, {"units.2d.ops.mac.as": "2x"})


def test_a_quantity_needs_its_unit():
    assert problems({"clock": "940"}) == (
        "--set clock: want a quantity in Hz, such as '2 GHz', got '940'",
    )


def test_arrays_make_a_sweep_and_are_checked_by_their_smallest():
    bandwidths = np.array([1e11, 2e11, 4e11])
    changed = with_overrides(FUSEMAX, {"dram.bandwidth": bandwidths, "clock": "2x"})
    assert changed.dram.bandwidth_bytes_per_s is bandwidths
    assert changed.clock_hz == 2 * FUSEMAX.clock_hz
    rows = with_overrides(FUSEMAX, {"units.2d.rows": np.array([128, 256])})
    assert rows.units["2d"].pes.tolist() == [32768, 65536]
    with pytest.raises(SpecError, match=r"--set dram.bandwidth: want a valid number, got array"):
        with_overrides(changed, {"clock": "2x"})
    assert problems({"dram.bandwidth": np.array([1e11, 0])}) == (
        "--set dram.bandwidth: want greater than 0, got 0.0",
    )


def test_texts_are_split_at_the_first_equals_sign():
    assert read_overrides([" clock = 1 GHz", "about=a=b"]) == {"clock": "1 GHz", "about": "a=b"}


def test_texts_that_set_nothing_or_twice_are_refused_together():
    with pytest.raises(SpecError) as error:
        read_overrides(["clock", "=3", "clock=", "word=1 B", "word=2 B"])
    assert error.value.problems == (
        "--set: want path=value, such as dram.bandwidth=2x, found 'clock'",
        "--set: want path=value, such as dram.bandwidth=2x, found '=3'",
        "--set: want path=value, such as dram.bandwidth=2x, found 'clock='",
        "--set word: want one value, found '1 B' and '2 B'",
    )
