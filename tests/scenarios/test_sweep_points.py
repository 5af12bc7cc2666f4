"""A sweep's points are those of `einfall estimate`, on every kind of machine, arrays or not."""

import csv
import json
import random
from itertools import accumulate

import pytest

from einfall.cli import main
from einfall.scenarios.sweeps.arrays import SINGLES
from einfall.scenarios.sweeps.reading import plan
from einfall.scenarios.sweeps.runner import run_sweep


@pytest.fixture(autouse=True)
def arrays_of_few_points(monkeypatch):
    """Small grids as arrays, too."""
    monkeypatch.setattr("einfall.scenarios.sweeps.arrays.FEW", 8)


SWEEPS = {
    "gpu": (
        "cascade: attention_1pass\n"
        "machine: [h100_sxm, b200]\n"
        "shape: {batch: 4}\n"
        "axes:\n"
        "  together: {heads: [8, 32], kv_heads: [8, 4]}\n"
        "  head_dim: [64, 128]\n"
        "  machine.sm.mufu_per_clock: [16, 2x]\n"
        "  machine.hbm.bandwidth: [1x, +50%]\n"
        "  queries: [1, 300, 4K]\n"
        "  keys: [4K, 10000, 1M]\n"
        "columns: [latency_s, energy_j, cycles, bound, utilization.tensor, traffic_bytes.hbm]\n"
    ),
    "tuned": (
        "cascade: attention_1pass\n"
        "machine: h100_sxm\n"
        "mapping: triton_flash\n"
        "dtype: fp16\n"
        "shape: {batch: 4, head_dim: 128}\n"
        "axes: {heads: [8, 32], queries: [64, 300, 4K, 64K], keys: [4K, 10000, 1M]}\n"
        "columns: [latency_s, energy_j, bound, utilization.mufu, busy_s.hbm, power_w, clock_hz]\n"
    ),
    "power": (
        "cascade: attention_1pass\n"
        "machine: [a100_sxm, b200]\n"
        "dtype: fp16\n"
        "shape: {batch: 4, heads: 32}\n"
        "axes:\n"
        "  queries: [300, 4K]\n"
        "  machine.power.cap: [0.5x, 1x, 2x]\n"
        "  machine.clock.boost: [0.5x, 1x, +20%]\n"
        "  machine.sm.tensor.fp16: [1x, 2x]\n"
        "  machine.energy.mma.fp16: [1x, 0.5x]\n"
        "  head_dim: [64, 128]\n"
        "columns: [latency_s, energy_j, bound, clock_hz, power_w, utilization.tensor]\n"
    ),
    "decode": (
        "cascade: [attention_1pass, attention_2pass_splitk]\n"
        "machine: [a100_sxm, h100_sxm, b200]\n"
        "shape: {head_dim: 128, kv_heads: 8}\n"
        "axes:\n"
        "  queries: [1, 4]\n"
        "  heads: [8, 32, 128]\n"
        "  batch: [1, 3, 64]\n"
        "  keys: [100, 4K, 70000]\n"
        "columns: [latency_s, energy_j, bound, utilization.hbm, traffic_bytes.l2, busy_s.hbm]\n"
    ),
    "causal": (
        "cascade: attention_1pass\n"
        "machine: a100_sxm\n"
        "mask: causal\n"
        "shape: {batch: 2, heads: 8, head_dim: 64}\n"
        "axes: {queries: [1K, 2K, 5000], machine.clock.boost: [0.5x, 1x]}\n"
    ),
    "passes": (
        "cascade: attention_3pass\n"
        "machine: [h100_sxm, b200]\n"
        "shape: {kv_heads: 4}\n"
        "axes:\n"
        "  dtype: [bf16, fp32]\n"
        "  mask: [dense, causal]\n"
        "  queries: [100, 4K, 20000]\n"
        "  keys: [4K, 70000]\n"
        "  heads: [8, 32]\n"
        "  machine.hbm.bandwidth: [1x, 0.5x]\n"
        "  head_dim: [64, 128, 320]\n"
        "columns: [latency_s, energy_j, bound, utilization.tensor, busy_s.mufu, busy_s.hbm]\n"
    ),
    "scans": (
        "cascade: [linear_attention, linear_attention_causal]\n"
        "machine: [a100_sxm, b200]\n"
        "shape: {heads: 16}\n"
        "axes:\n"
        "  mapping: [triton_linear, fla_retention]\n"
        "  queries: [1, 1000, 30000]\n"
        "  batch: [1, 3, 64]\n"
        "  machine.sm.tensor.bf16: [1x, 2x]\n"
        "  head_dim: [64, 128]\n"
        "columns: [latency_s, energy_j, bound, utilization.tensor, clock_hz, traffic_bytes.l2]\n"
    ),
    "array": (
        "cascade: attention_1pass\n"
        "machine: fusemax_cloud\n"
        "shape: {batch: 3}\n"
        "axes:\n"
        "  head_dim: [64, 128]\n"
        "  together: {heads: [12, 7], machine.clock: [1x, 0.5x]}\n"
        "  machine.buffer.capacity: [128 KiB, 1 MiB, 16 MiB]\n"
        "  machine.dram.bandwidth: {from: 10 GiB/s, to: 1 TB/s, points: 3, scale: log}\n"
        "  queries: [100, 1K, 5000]\n"
        "columns: [latency_s, energy_j, bound, utilization.2d, traffic_bytes.dram]\n"
    ),
    "made": (
        "cascade: [attention_3pass, attention_2pass]\n"
        "machine: [flat_cloud, tpu_v4_like]\n"
        "shape: {heads: 4, head_dim: 64}\n"
        "set: {dram.bandwidth: 2x}\n"
        "axes: {queries: [512, 1000], dtype: [bf16, fp8]}\n"
    ),
    "masked": (
        "cascade: attention_1pass\n"
        "machine: fusemax_cloud\n"
        "mask: [causal, 'sliding:window=300', dense]\n"
        "shape: {heads: 4, head_dim: 64}\n"
        "axes: {queries: [512, 1000], batch: {from: 1, to: 9, points: 9}}\n"
    ),
    "optical": (
        "cascade: conv2d\n"
        "machine: [optical_4f_ideal, optical_4f_slm]\n"
        "shape: {channels: 3, filters: 8, kernel_height: 3}\n"
        "axes: {height: [32, 64], machine.word: [4 bit, 8 bit]}\n"
    ),
}
BY_ARRAYS = ("gpu", "tuned", "power", "decode", "passes", "scans", "array", "masked")


def write(tmp_path, name, text):
    path = tmp_path / f"{name}.yaml"
    path.write_text(f"kind: sweep\nname: {name}\n{text}")
    return path


def estimated(capsys, ready, row):
    """What `einfall estimate` says of a row."""
    sweep = ready.sweep
    names = {
        k: (getattr(sweep, k) or (None,))[0]
        for k in ("cascade", "machine", "mapping", "mask", "dtype")
    }
    point = dict(zip(ready.keys, [row[ready.heads[k]] for k in ready.keys], strict=True))
    names |= {k: v for k, v in point.items() if k in names}
    shape = {k: v for k, v in point.items() if k not in names and "." not in k} | dict(sweep.shape)
    words = ["estimate", names["cascade"], "--on", names["machine"], "--json"]
    words += ["--shape", ",".join(f"{k}={v}" for k, v in shape.items())]
    for option in ("mapping", "mask", "dtype"):
        if names[option] and (option, names[option]) != ("mask", "dense"):
            words += [f"--{option}", names[option]]
    for key, value in point.items():
        if key.startswith("machine."):
            words += ["--set", f"{key.removeprefix('machine.')}={value}"]
    for key, value in sweep.set.items():
        words += ["--set", f"{key}={value}"]
    code = main([_with_unit(ready, w) for w in words])
    out, err = capsys.readouterr()
    return code, json.loads(out) if code == 0 else err


UNITS = {
    "bytes_per_s": "B/s",
    "capacity_bytes": "B",
    "clock_hz": "Hz",
    "boost_hz": "Hz",
    "word_bytes": "B",
    "cap_w": "W",
    "energy.mma.fp16": "J",
}


def _with_unit(ready, word):
    path, equals, value = word.partition("=")
    head = next((h for k, h in ready.heads.items() if k == f"machine.{path}"), "")
    unit = next((u for end, u in UNITS.items() if head.endswith(end)), "")
    return f"{path}={float(value):.17g} {unit}" if equals and unit else word


@pytest.mark.parametrize("name", SWEEPS)
def test_points_are_those_of_estimate(tmp_path, capsys, name):
    ready = plan(write(tmp_path, name, SWEEPS[name]))
    assert ready.notes == ()
    by_arrays = all(case.arrays for case in ready.cases.values())
    assert by_arrays == (name in BY_ARRAYS)
    assert (ready.grid.most == SINGLES) != by_arrays
    found = run_sweep(ready, out=tmp_path)
    with found.paths[0].open() as file:
        rows = {int(row["index"]): row for row in csv.DictReader(file)}
    assert list(rows) == sorted(rows)
    assert len(rows) == found.total["kept"]
    refused = sum(r["count"] for r in found.total["refused"].values())
    assert len(rows) + refused == ready.grid.points == found.total["points"]
    for index in random.Random(name).sample(range(ready.grid.points), min(8, ready.grid.points)):
        row = rows.get(index, {head: str(v) for head, v in ready.point(index).items()})
        assert {
            k: float(v) if _is_number(v) else v for k, v in row.items() if k in ready.point(index)
        } == {
            k: pytest.approx(v, rel=1e-11) if isinstance(v, float) else v
            for k, v in ready.point(index).items()
        }
        code, answer = estimated(capsys, ready, row)
        assert (code == 0) == (index in rows), answer
        for column in ready.sweep.columns if code == 0 else ():
            root, _, part = column.partition(".")
            value = answer["energy_j"] / answer["latency_s"] if root == "power_w" else answer[root]
            value = value[part] if part else value
            assert (float(row[column]) if root != "bound" else row[column]) == (
                pytest.approx(value, rel=1e-9) if root != "bound" else value
            )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_axes_in_any_order_have_the_same_rows_and_long_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr("einfall.scenarios.sweeps.arrays.ARRAYS", 64)
    axes = ["head_dim: {from: 16, to: 128, step: 16}", "queries: {from: 1K, to: 8K, step: 1K}",
            "batch: {from: 1, to: 8, step: 1}", "machine.hbm.bandwidth: [1x, 2x]"]  # fmt: skip
    head = "cascade: attention_1pass\nmachine: h100_sxm\nshape: {heads: 16}\naxes:\n"
    rows, shortest = [], []
    for order in ((0, 1, 2, 3), (1, 2, 3, 0), (2, 0, 3, 1)):
        text = head + "".join(f"  {axes[n]}\n" for n in order) + "columns: [latency_s]\n"
        ready = plan(write(tmp_path, "order", text))
        found = run_sweep(ready, out=tmp_path)
        with found.paths[0].open() as file:
            lines = list(csv.DictReader(file))
        keys = sorted(ready.heads.values())
        rows.append({tuple(x[k] for k in keys): float(x["latency_s"]) for x in lines})
        blocks = list(ready.grid.blocks(0, ready.grid.block_count))
        assert [block.first for block in blocks[1:]] == list(
            accumulate(block.points for block in blocks[:-1])
        )
        loops = len(blocks[0].ranges[order.index(0)])
        shortest.append(blocks[0].points // loops)
    assert rows[1] == pytest.approx(rows[0], rel=1e-11)
    assert rows[2] == pytest.approx(rows[0], rel=1e-11)
    assert len(rows[0]) == 1024
    assert shortest == [64, 16, 16]  # a block of 64 with all eight widths had 8


def test_a_buffer_that_is_too_small_is_counted_with_its_reason(tmp_path):
    ready = plan(write(tmp_path, "array", SWEEPS["array"]))
    found = run_sweep(ready)
    refused = found.answer()["refused"]["DoesNotFitError"]
    assert refused["count"] > 0
    assert refused["count"] + found.total["kept"] == ready.grid.points
    assert "buffer.capacity" in refused["why"]
    assert refused["point"]["machine.buffer.capacity_bytes"] == 131072


def test_groups_that_do_not_divide_are_refused_one_by_one(tmp_path):
    text = (
        "cascade: attention_1pass\nmachine: h100_sxm\nshape: {head_dim: 64, queries: 1K}\n"
        "axes: {heads: {from: 1, to: 12, step: 1}, kv_heads: [1, 2, 3]}\n"
    )
    found = run_sweep(write(tmp_path, "groups", text))
    assert found.total["kept"] == 12 + 6 + 4
    assert found.total["refused"]["ShapeError"]["count"] == 6 + 8
    text += "keep: [heads % kv_heads == 0]\n"
    found = run_sweep(write(tmp_path, "groups", text))
    assert (found.total["kept"], found.total["dropped"]) == (22, [14])
    assert found.total["refused"] == {}


def test_constraints_drop_points_and_say_how_many(tmp_path):
    text = (
        "cascade: attention_1pass\nmachine: b200\nshape: {head_dim: 64, heads: 32}\n"
        "axes: {queries: [1K, 4K, 16K], keys: [1K, 4K, 16K]}\n"
        "columns: [energy_j]\n"
        "keep: [keys >= queries, latency_s < 1 ms, bound != launch]\n"
    )
    path = write(tmp_path, "kept", text)
    found = run_sweep(path, out=tmp_path)
    answer = found.answer()
    assert answer["dropped"] == {"keys >= queries": 3, "latency_s < 1 ms": 1, "bound != launch": 0}
    assert answer["kept"] == 5
    assert found.paths[0].read_text().splitlines()[0] == "index,queries,keys,energy_j"
    assert [row["index"] for row in found.best["energy_j"]] == [0, 1, 4, 2, 5]


def test_closed_form_of_causal_kernels_is_near_and_says_how_near(tmp_path):
    text = (
        "cascade: attention_1pass\nmachine: h100_sxm\nmask: causal\n"
        "shape: {head_dim: 128, heads: 32, batch: 4}\n"
        "axes: {queries: {from: 1K, to: 8K, step: 512}}\n"
    )
    exact = run_sweep(write(tmp_path, "exact", text), out=tmp_path)
    close = run_sweep(write(tmp_path, "close", text + "method: closed_form\n"), out=tmp_path)
    assert not exact.plan.notes
    assert "causal GPU kernels by their closed form" in close.plan.notes[0]
    texts = [found.paths[0].read_text().splitlines() for found in (exact, close)]
    rows = [list(csv.DictReader(text)) for text in texts]
    for one, other in zip(*rows, strict=True):
        assert float(other["latency_s"]) == pytest.approx(float(one["latency_s"]), rel=0.06)


def test_what_each_axis_does(tmp_path):
    text = (
        "cascade: attention_1pass\nmachine: b200\nshape: {head_dim: 64, heads: 32, batch: 8}\n"
        "axes: {machine.sm.mufu_per_clock: [1x, 2x], queries: [8K, 16K]}\n"
    )
    effects = run_sweep(write(tmp_path, "effects", text)).answer()["effects"]
    once, twice, short, long = effects
    assert once == {"axis": {"machine.sm.mufu_per_clock": 16.0}, "points": 2, "latency": 1.0,
                    "binds": "mufu", "part": 1.0}  # fmt: skip
    assert twice["latency"] < 1
    assert twice["binds"] == "tensor"
    assert (short["latency"], long["latency"]) == (1.0, pytest.approx(4, rel=0.05))
