"""A sweep as a table: rows as `estimate` answers, the baseline, answers, what cannot be."""

import csv
import json

import jsonschema
import pytest
from ruamel.yaml import YAML

from einfall import scenarios
from einfall.cli import main
from einfall.hw_models import SpecError
from einfall.scenarios import library
from einfall.scenarios.schema import json_schema
from einfall.scenarios.sweeps.listing import listed
from einfall.scenarios.sweeps.reading import plan
from einfall.scenarios.sweeps.runner import run_sweep

TEXT = """
kind: sweep
name: rates
about: "What is it worth?"
cascade: attention_1pass
machine: [h100_sxm, b200]
mask: [dense, causal]
workloads:
  prefill: {batch: 2, heads: 8, queries: 2K}
  decode: {batch: 16, heads: 8, kv_heads: 2, queries: 1, keys: 4K}
changes:
  as it is: {}
  faster: {sm.mufu_per_clock: 2x, hbm.bandwidth: +50%}
axes: {head_dim: [64, 128]}
baseline: {change: as it is}
columns: [latency_s, energy_j, speedup, energy_ratio]
answers:
  - {ask: "Where it pays most", most: speedup, for_each: [machine, workload]}
  - {ask: "Twice as fast", least: head_dim, where: [speedup > 2, "workload == decode"]}
"""


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text(TEXT)
    return path


def rows_of(path):
    found = scenarios.run(path)
    return found.record()["tables"], found.text()


def test_rows_are_what_estimate_answers(rates, answer):
    tables, _ = rows_of(rates)
    assert len(tables["rates"]) == 2 * 2 * 2 * 2 * 2
    shapes = {
        "prefill": "batch=2,heads=8,queries=2K",
        "decode": "batch=16,heads=8,kv_heads=2,queries=1,keys=4K",
    }
    for row in tables["rates"][::5]:
        shape = f"{shapes[row['workload']]},head_dim={row['head_dim']}"
        words = ["estimate", "attention_1pass", "--on", row["machine"], "--shape", shape]
        if row["change"] == "faster":
            words += ["--set", "sm.mufu_per_clock=2x", "--set", "hbm.bandwidth=+50%"]
        found = answer(*words, "--mask", row["mask"])
        assert row["latency_s"] == pytest.approx(found["latency_s"], rel=1e-12)
        assert row["energy_j"] == pytest.approx(found["energy_j"], rel=1e-12)
        assert row["bound"] == found["bound"]


def test_speedup_is_over_the_same_point_of_the_baseline(rates):
    tables, _ = rows_of(rates)
    key = ("workload", "machine", "mask", "head_dim")
    before = {
        tuple(row[k] for k in key): row for row in tables["rates"] if row["change"] == "as it is"
    }
    for row in tables["rates"]:
        base = before[tuple(row[k] for k in key)]
        assert row["speedup"] == pytest.approx(base["latency_s"] / row["latency_s"], rel=1e-12)
        assert row["energy_ratio"] == pytest.approx(row["energy_j"] / base["energy_j"], rel=1e-12)
    assert max(row["speedup"] for row in tables["rates"]) > 1.2


@pytest.mark.parametrize(
    ("baseline", "value"),
    [("{machine: a100_sxm}", 1), ("{head_dim: 64}", 1), ("{mask: dense}", 1), ("{queries: 1}", 0),
     ("{machine.clock.boost: 0.5x}", 0)],
)  # fmt: skip
def test_a_baseline_may_fix_a_choice_a_size_or_a_field(tmp_path, baseline, value):
    path = tmp_path / "base.yaml"
    path.write_text(
        "kind: sweep\nname: base\ncascade: attention_1pass\nmachine: h100_sxm\n"
        "shape: {heads: 16, batch: 2, queries: 1K}\nmask: [dense, causal]\n"
        f"axes: {{head_dim: [64, 128], keys: [1K, 4K]}}\nbaseline: {baseline}\n"
    )
    tables, _ = rows_of(path)
    speedups = [row["speedup"] for row in tables["base"]]
    assert all(s > 0 for s in speedups)
    same = [s for s in speedups if s == pytest.approx(1, rel=1e-12)]
    assert bool(same) == (value and "a100" not in baseline)


def test_a_baseline_keeps_the_order_of_what_goes_together(tmp_path):
    path = tmp_path / "pairs.yaml"
    path.write_text(
        "kind: sweep\nname: pairs\ncascade: attention_1pass\n"
        "shape: {queries: 1K, head_dim: 64}\n"
        "axes: {together: {machine: [a100_sxm, b200], mapping: [flash2, flash4]}, "
        "heads: [16, 64], batch: [1, 2, 4]}\nbaseline: {batch: 1}\n"
    )
    rows = rows_of(path)[0]["pairs"]
    before = {(row["machine"], row["heads"]): row["latency_s"] for row in rows if row["batch"] == 1}
    assert len(set(before.values())) == 4
    for row in rows:
        once = before[row["machine"], row["heads"]]
        assert row["speedup"] == pytest.approx(once / row["latency_s"], rel=1e-12)


def test_a_baseline_goes_before_sizes_of_a_workload_and_after_changes(tmp_path, answer):
    head = "kind: sweep\nname: base\ncascade: attention_1pass\nmachine: h100_sxm\n"
    path = tmp_path / "base.yaml"
    path.write_text(
        f"{head}workloads: {{long: {{batch: 2, heads: 8, queries: 8K, head_dim: 64}}}}\n"
        "baseline: {queries: 1K}\n"
    )
    (row,) = rows_of(path)[0]["base"]
    words = ("estimate", "attention_1pass", "--on", "h100_sxm", "--shape")
    before = answer(*words, "batch=2,heads=8,queries=1K,head_dim=64")
    assert row["speedup"] == pytest.approx(before["latency_s"] / row["latency_s"], rel=1e-12)
    path.write_text(
        f"{head}shape: {{batch: 64, heads: 8, queries: 1, keys: 8K, head_dim: 128}}\n"
        "changes: {faster: {hbm.bandwidth: 2x}}\nbaseline: {machine.hbm.bandwidth: 1 TB/s}\n"
        "axes: {machine.hbm.bandwidth: [1 TB/s, 2 TB/s]}\n"
    )
    same, twice = rows_of(path)[0]["base"]
    assert same["speedup"] == pytest.approx(1, rel=1e-12)
    assert twice["speedup"] > 1.8


def test_answers_are_the_best_rows(rates):
    tables, text = rows_of(rates)
    best = [row for row in tables["answers"] if row["ask"] == "Where it pays most"]
    assert len(best) == 4
    for found in best:
        own = [
            row["speedup"] for row in tables["rates"]
            if (row["machine"], row["workload"]) == (found["machine"], found["workload"])
        ]  # fmt: skip
        assert found["speedup"] == max(own)
        assert tables["rates"][found["index"]]["speedup"] == max(own)
        at = tables["rates"][found["index"]]
        told = {"mask": at["mask"], "change": at["change"], "head_dim": at["head_dim"]}
        assert found.items() >= told.items()
    none = [row for row in tables["answers"] if row["ask"] == "Twice as fast"]
    assert none == [{"ask": "Twice as fast", "head_dim": None, "latency_s": None, "speedup": None,
                     "bound": None, "index": None}]  # fmt: skip
    assert text.endswith("none")


def test_a_condition_on_what_is_asked_for_leaves_it_out(rates):
    rates.write_text(rates.read_text().replace(
        "for_each: [machine, workload]", 'for_each: [machine, mask], where: ["mask != dense"]'
    ))  # fmt: skip
    best = [row for row in rows_of(rates)[0]["answers"] if row["ask"] == "Where it pays most"]
    assert [(row["machine"], row["mask"]) for row in best] == [
        ("h100_sxm", "causal"), ("b200", "causal")
    ]  # fmt: skip


def test_points_that_cannot_be_have_their_reason(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "kind: sweep\nname: small\ncascade: attention_1pass\nmachine: fusemax_cloud\n"
        "shape: {heads: 4, head_dim: 64}\nkeep: queries > 512\n"
        "axes: {machine.buffer.capacity: [64 KiB, 1 MiB], queries: [512, 1K, 4K]}\n"
        "baseline: {machine.buffer.capacity: 64 KiB}\n"
    )
    tables, text = rows_of(path)
    rows = tables["small"]
    assert [row["index"] for row in rows] == [1, 2, 4, 5]
    assert [row["latency_s"] is None for row in rows] == [True, True, False, False]
    assert "needs" in rows[0]["cannot"]
    assert rows[3]["cannot"] is None
    assert rows[3]["speedup"] is None
    assert "2 points dropped by queries > 512" in text
    assert "2 points cannot be, the first: mapping fusemax" in text
    assert "no speedup where the baseline cannot be: mapping fusemax" in text


def test_simulation_and_published_accounting_are_those_of_estimate(tmp_path, answer):
    head = "kind: sweep\ncascade: attention_1pass\nmachine: fusemax_cloud\n"
    shape = "shape: {heads: 4, head_dim: 64}\naxes: {queries: [1K, 2K]}\n"
    for name, line, words in (
        ("simulated", "simulate: true", ["--simulate"]),
        ("published", "accounting: artifact", ["--accounting", "artifact"]),
    ):
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"{head}name: {name}\n{line}\n{shape}")
        tables, _ = rows_of(path)
        for row in tables[name]:
            size = f"heads=4,head_dim=64,queries={row['queries']}"
            on = ["--on", "fusemax_cloud", "--shape", size]
            found = answer("estimate", "attention_1pass", *on, *words)
            assert row["latency_s"] == pytest.approx(found["latency_s"], rel=1e-12)
            assert row["energy_j"] == pytest.approx(found["energy_j"], rel=1e-12)


def test_a_sweep_says_the_same_as_the_table(rates):
    tables, _ = rows_of(rates)
    found = run_sweep(rates)
    assert found.total["kept"] == len(tables["rates"])
    fastest = min(tables["rates"], key=lambda row: row["latency_s"])
    assert found.best["latency_s"][0]["index"] == fastest["index"]
    assert found.best["latency_s"][0]["speedup"] == fastest["speedup"]


def test_a_scenario_without_axes_is_one_point(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "kind: sweep\nname: one\ncascade: attention_1pass\nmachine: b200\n"
        "shape: {heads: 4, queries: 1K, head_dim: 64}\n"
    )
    tables, _ = rows_of(path)
    assert len(tables["one"]) == 1
    assert run_sweep(path).total["points"] == 1


def test_files_are_the_tables_and_a_record_of_a_version(rates, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", str(rates), "--out", str(out), "--no-figures"]) == 0
    assert {p.name for p in out.iterdir()} == {"rates.csv", "answers.csv", "results.json"}
    record = json.loads((out / "results.json").read_text())
    assert record["schema"] == "einfall/scenario/1"
    with (out / "rates.csv").open() as file:
        assert [float(row["latency_s"]) for row in csv.DictReader(file)] == [
            row["latency_s"] for row in record["tables"]["rates"]
        ]
    assert "files:" in capsys.readouterr().out


def test_files_are_found_beside_the_scenario(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "chip.yaml").write_text("base: h100_sxm\nname: chip\nhbm: {bandwidth: 9 TB/s}\n")
    path = folder / "x.yaml"
    path.write_text(
        "kind: sweep\nname: x\ncascade: attention_1pass\nmachine: [h100_sxm, chip.yaml]\n"
        "shape: {batch: 64, heads: 8, queries: 1, keys: 8K, head_dim: 128}\n"
    )
    monkeypatch.chdir(tmp_path)
    tables, _ = rows_of(path)
    assert tables["x"][1]["latency_s"] < tables["x"][0]["latency_s"]


def test_too_many_points_for_a_table_go_to_sweep(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text(
        "kind: sweep\nname: many\ncascade: attention_1pass\nmachine: fusemax_cloud\n"
        "shape: {heads: 4, head_dim: 64}\naxes: {queries: {from: 1, to: 30K, step: 1}}\n"
    )
    with pytest.raises(SpecError, match=r"at most 20,000 points .* found 30,720; einfall sweep"):
        listed(plan(path))


MISTAKES = """
kind: sweep
name: wrong
cascade: attention_1pass
machine: h100_sxm
workloads:
  prefill: {heads: 8, querys: 2K}
changes:
  faster: {sm.mufu: 2x}
axes:
  change: [faster, fastest]
baseline: {machin: b200}
answers:
  - {ask: "a", least: latency}
  - {ask: "b", least: head_dim, most: head_dim}
  - {ask: "c", least: latency_s, where: [speedup >< 2]}
figures:
  - {kind: heatmap, x: keys, y: head_dim, value: speedup}
  - {kind: pie}
"""


def test_every_mistake_is_told_at_its_line(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(MISTAKES)
    with pytest.raises(SpecError) as error:
        scenarios.run(path)
    told = "\n".join(str(error.value).splitlines())
    for line, words in (
        (7, "workloads.prefill.querys: want a key of the shape"),
        (9, "changes.faster: want one of"),
        (11, "axes.change.1: want one of changes (faster), found 'fastest'"),
        (12, "baseline.machin: want a key of the shape"),
        (15, "answers.1: want either least or most, found both"),
        (19, "figures.1: want kind of one of 'heatmap'"),
    ):
        assert f"wrong.yaml:{line}: {words}" in told, told


def test_conditions_and_columns_of_answers_and_figures_are_checked(tmp_path):
    path = tmp_path / "shown.yaml"
    text = TEXT.replace("most: speedup,", "most: speed,").replace("speedup > 2", "speedup >< 2")
    path.write_text(text + "figures:\n  - {kind: lines, x: keys, y: latency_s}\n")
    with pytest.raises(SpecError) as error:
        scenarios.run(path)
    told = str(error.value)
    assert "answers.0.most: want an axis or a column" in told
    assert "found 'speed': did you mean 'speedup'?" in told
    assert "answers.1.where.0: want" in told
    assert "figures.0.x: want an axis or a column" in told


def test_a_baseline_that_fixes_half_of_a_pair_is_a_mistake(tmp_path):
    path = tmp_path / "pair.yaml"
    path.write_text(
        "kind: sweep\nname: pair\ncascade: attention_1pass\nmachine: b200\n"
        "shape: {queries: 1K, head_dim: 64}\n"
        "axes: {together: {heads: [8, 16], kv_heads: [2, 4]}}\nbaseline: {heads: 8}\n"
    )
    with pytest.raises(SpecError, match="baseline: want all of heads, kv_heads"):
        scenarios.run(path)


# The schema ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_takes_every_scenario_that_ships(validator):
    for name in scenarios.names():
        errors = list(validator.iter_errors(library.read(name).data))
        assert errors == [], name


def test_the_schema_takes_what_einfall_takes_and_no_unknown_field(validator):
    data = YAML(typ="safe").load(TEXT)
    assert list(validator.iter_errors(data)) == []
    assert list(validator.iter_errors({**data, "machines": ["b200"]}))
    assert list(validator.iter_errors({**data, "columns": ["latency"]}))
    assert list(validator.iter_errors({"kind": "sweep", "base": "exponentials"})) == []
    assert list(validator.iter_errors({"kind": "sweep"}))


def test_show_prints_the_schema(answer):
    assert answer("show", "schemas", "scenario") == json_schema()


# Figures ------------------------------------------------------------------------------------------

ONE = "[machine == b200, mask == dense, workload == prefill]"
FIGURES = f"""
figures:
  - {{kind: heatmap, x: change, y: head_dim, value: speedup, where: {ONE}}}
  - {{kind: lines, x: head_dim, y: latency_s, series: change, where: {ONE}}}
  - {{kind: bars, name: gains, value: speedup, title: "What pays", where: {ONE}}}
  - {{kind: pareto, series: workload}}
  - {{kind: time_stack, where: [change == faster, mask == dense]}}
  - {{kind: energy_stack, where: [change == faster, mask == dense]}}
  - {{kind: roofline, where: [machine == b200, change == faster, mask == dense]}}
"""
SLOPE = """
kind: sweep
name: slope
cascade: attention_1pass
machine: fusemax_cloud
shape: {heads: 4, head_dim: 64, queries: 4K}
axes: {machine.buffer.capacity: [256 KiB, 1 MiB, 4 MiB]}
columns: [traffic_bytes.dram]
figures: [{kind: ski_slope, x: machine.buffer.capacity, y: traffic_bytes.dram}]
"""


def test_every_figure_shows_its_rows(tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text(TEXT + FIGURES)
    found = scenarios.run(path)
    drawn = {name: records for name, _, records in found.drawings()}
    assert list(drawn) == [
        "heatmap", "lines", "gains", "pareto", "time_stack", "energy_stack", "roofline"
    ]  # fmt: skip
    rows = {row["index"]: row for row in found.record()["tables"]["rates"]}
    assert [row["speedup"] for row in drawn["gains"]] == [
        rows[row["index"]]["speedup"] for row in drawn["heatmap"]
    ]
    assert len(drawn["pareto"]) == len(rows)
    cases = {row["case"] for row in drawn["time_stack"]}
    assert cases == {row["case"] for row in drawn["energy_stack"]}
    assert len(cases) == 8
    for case in cases:
        parts = [row for row in drawn["time_stack"] if row["case"] == case]
        assert parts[0]["bound"] in {row["unit"] for row in parts}
        assert all(row["busy_s"] <= row["latency_s"] for row in parts)


def test_a_ski_slope_and_the_files_of_a_figure(tmp_path):
    path, out = tmp_path / "slope.yaml", tmp_path / "out"
    path.write_text(SLOPE)
    found = scenarios.run(path, out=out, figures=True)
    record = json.loads((out / "ski_slope.json").read_text())
    assert str(path) in json.dumps(record)  # the command that draws it again
    endings = {p.suffix for p in found.paths if p.stem == "ski_slope"}
    assert endings == {".png", ".svg", ".csv", ".json"}
    (name, _, records), *_ = found.drawings()
    assert (name, len(records)) == ("ski_slope", 3)


@pytest.mark.parametrize(
    ("figure", "message"),
    [("{kind: heatmap, x: change, y: head_dim, value: speedup}", "want one point for each"),
     ("{kind: roofline, where: mask == dense}", "want one machine for a roofline"),
     ("{kind: time_stack}", "want at most 24 points, found 32; say which with where"),
     ("{kind: bars, value: speedup, where: speedup > 100}", "figures.0 .bars.: ")],
)  # fmt: skip
def test_a_figure_that_cannot_be_is_told_before_a_file_is_written(tmp_path, figure, message):
    path, out = tmp_path / "rates.yaml", tmp_path / "out"
    path.write_text(TEXT + f"figures: [{figure}]\n")
    with pytest.raises(SpecError, match=message):
        scenarios.run(path, out=out, figures=True)
    assert not out.exists()


# Mistakes in what is told -------------------------------------------------------------------------

HEAD = "kind: sweep\nname: x\ncascade: attention_1pass\nmachine: b200\n"
SIZES = "shape: {heads: 8, queries: 1K, head_dim: 64}\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [("columns: [speedup]", "columns: want a baseline for speedup, found none; add one"),
     ("keep: energy_ratio < 1", "keep: want a baseline for energy_ratio, found none"),
     ("answers: [{ask: q, least: latency_s, where: speedup > 2}]", "answers.0.where.0: want a"),
     ("answers: [{ask: q, least: latency_s, where: keys > 2}]", "answers.0.where.0: want a"),
     ("figures: {}", "figures: want a list, got {}"),
     ("workloads: []", "workloads: want fields (name: value), got []"),
     ("axes: {keys: []}", "axes.keys: want a list of values"),
     ("baseline: {keys: -3}", "baseline: want a positive whole number")],
)  # fmt: skip
def test_what_cannot_be_told_is_one_mistake(tmp_path, lines, message):
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + SIZES + lines)
    with pytest.raises(SpecError) as error:
        scenarios.run(path)
    assert message in str(error.value)
    assert len(error.value.problems) == 1


def test_a_scenario_without_a_question_has_its_name_as_title(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + SIZES)
    assert scenarios.run(path).text().startswith("x\n\n")
