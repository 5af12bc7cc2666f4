"""Reading a sweep: values, ranges, paired axes, order, and every mistake at its line."""

import pytest

from einfall.hw_models import SpecError, load
from einfall.scenarios.sweeps.axes import Column, Range
from einfall.scenarios.sweeps.constraints import read_constraint
from einfall.scenarios.sweeps.grid import Grid
from einfall.scenarios.sweeps.reading import plan

B200 = load("b200")


@pytest.fixture(autouse=True)
def arrays_of_few_points(monkeypatch):
    """Small grids as arrays, too."""
    monkeypatch.setattr("einfall.scenarios.sweeps.arrays.FEW", 8)


def column(key, values):
    if isinstance(values, dict):
        values = Range.model_validate(values, by_alias=True, by_name=False)
    return Column(key, values if isinstance(values, Range) else tuple(values), ("axes", key))


@pytest.mark.parametrize(
    ("key", "values", "read"),
    [
        ("keys", [384, "1K", "1M"], (384, 1024, 1048576)),
        ("keys", {"from": 64, "to": 256, "step": 64}, (64, 128, 192, 256)),
        ("keys", {"from": 64, "to": 200, "step": 64}, (64, 128, 192)),
        ("keys", {"from": "1K", "to": "16K", "points": 5, "scale": "log"},
         (1024, 2048, 4096, 8192, 16384)),
        ("machine.hbm.bandwidth", ["4 TB/s", "2x", "+10%"], (4e12, 16e12, 8.8e12)),
        ("machine.hbm.bandwidth", {"from": "1x", "to": "2x", "step": "0.5x"}, (8e12, 12e12, 16e12)),
        ("machine.sm.mufu_per_clock", [16, "2x"], (16.0, 32.0)),
        ("mask", ["causal", "dense"], ("causal", "dense")),
    ],
)  # fmt: skip
def test_values(key, values, read):
    assert column(key, values).read(B200) == pytest.approx(read)


@pytest.mark.parametrize(
    ("key", "values", "problem"),
    [
        ("keys", ["4 KiB"], "want a length such as 4096 or 4K, found '4 KiB'"),
        ("keys", [0], "want a positive whole number such as 4096 or 4K, found 0"),
        ("keys", ["1K", 1024], "want values that differ, found 1024 twice"),
        ("keys", {"from": 1, "to": 4, "points": 9}, "want values that differ"),
        ("keys", {"from": 9, "to": 1, "step": 2}, "want a step up to 1, found 2 from 9"),
        ("machine.hbm.bandwidth", [4e12], "want a quantity in B/s, a factor"),
        ("machine.hbm.bandwidth", ["4 TB"], "want a quantity in B/s, such as '2 GB/s', got '4 TB'"),
        ("machine.hbm.bandwith", ["2x"], "found 'bandwith': did you mean 'bandwidth'?"),
        ("machine.hbm", ["2x"], "want"),
        ("mask", [4], "want names, found 4"),
    ],
)
def test_values_that_cannot_be(key, values, problem):
    with pytest.raises(ValueError, match="want") as error:
        column(key, values).read(B200)
    assert problem in str(error.value)


def test_points_of_a_grid_come_in_order_once():
    for dims, most in (((3, 4, 5), 7), ((3, 4, 5), 20), ((60,), 7), ((2, 30), 1), ((1, 1), 5)):
        grid = Grid(dims, most)
        found = []
        for block in grid.blocks(0, grid.block_count):
            assert block.points <= max(most, 1)
            places = [[]]
            for own in block.ranges:
                places = [[*p, i] for p in places for i in own]
            found += places
            assert grid.place(block.first, dims) == tuple(places[0])
        assert found == [list(grid.place(i, dims)) for i in range(grid.points)]


def test_constraints():
    names_ = {"keys": "size", "queries": "size", "latency_s": "s", "bound": "text"}
    holds = {
        "keys >= queries": True, "keys * queries <= 1K": False, "keys % queries == 0": True,
        "latency_s < 2 ms": True, "1 us >= latency_s": False, "bound == mufu": True,
        "bound != mufu": False, "keys / queries > 1.5": True,
    }  # fmt: skip
    values = {"keys": 64, "queries": 32, "latency_s": 1e-3, "bound": "mufu"}
    for text, answer in holds.items():
        assert read_constraint(text, names_).holds(values) == answer, text
    for text in ("keys", "kyes < 4", "latency_s < 4 KiB", "bound < mufu", "keys < queries < 4"):
        with pytest.raises(ValueError, match="want"):
            read_constraint(text, names_)


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "kind: sweep\n"
        "name: wrong\n"
        "cascade: attention_1pas\n"
        "machine: b200\n"
        "shape: {batch: 4, hats: 2}\n"
        "axes:\n"
        "  keys: {from: 1K, to: 4K}\n"
        "  machine.hbm.bandwith: [2x]\n"
        "  together:\n"
        "    heads: [8, 16]\n"
        "    kv_heads: [8]\n"
        "columns: [latency, energy_j]\n"
        "keep: ['kyes > 4']\n"
        "mask: casual\n"
    )
    with pytest.raises(SpecError) as error:
        plan(path)
    found = {int(p.removeprefix(f"{path}:").partition(":")[0]): p for p in error.value.problems}
    assert list(found) == [3, 7, 8, 10, 12, 13, 14]
    assert "did you mean" in found[3]
    assert "want either step or points" in found[7]
    assert "did you mean 'bandwidth'?" in found[8]
    assert "want as many values of each, found 2 of heads, 1 of kv_heads" in found[10]
    assert "want a column" in found[12]
    assert "want a comparison of one of" in found[13]


def test_keys_and_columns_that_nothing_has(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "kind: sweep\n"
        "name: wrong\n"
        "cascade: attention_1pass\n"
        "machine: [b200, fusemax_cloud]\n"
        "shape: {batch: 4, hats: 2}\n"
        "axes: {queries: [1K]}\n"
    )
    with pytest.raises(SpecError, match=r"wrong.yaml:5: shape.hats: want a key of the shape"):
        plan(path)
    text = path.read_text().replace("hats: 2", "heads: 2, head_dim: 64")
    path.write_text(text + "columns: [latency_s, utilization.2d, utilization.tensr]\n")
    wanted = "wrong.yaml:7: columns.2: want utilization of one of .*: did you mean 'tensor'?"
    with pytest.raises(SpecError, match=wanted):
        plan(path)


TOGETHER = """
kind: sweep
name: kernels
machine: [h100_sxm]
shape: {heads: 4, queries: 1K, head_dim: 64}
axes:
  together:
    cascade: [attention_1pass, attention_1pass, attention_3pass]
    mapping: [flash3, triton_flash, triton_softmax_3pass]
"""


def test_what_goes_together_may_be_there_twice_but_no_row(tmp_path):
    path = tmp_path / "kernels.yaml"
    path.write_text(TOGETHER)
    ready = plan(path)
    assert ready.grid.points == 3
    assert [names.mapping for names in ready.cases] == ["flash3", "triton_flash",
                                                        "triton_softmax_3pass"]  # fmt: skip
    path.write_text(TOGETHER.replace("triton_flash", "flash3"))
    wanted = (
        "kernels.yaml:7: axes.together: want rows that differ, found attention_1pass, flash3 twice"
    )
    with pytest.raises(SpecError, match=wanted):
        plan(path)


def test_arrays_answer_for_what_ships_in_arrays():
    for name in ("buffers", "exponentials"):
        assert all(case.arrays for case in plan(name).cases.values())
