"""Running scenarios: files, text, records, and the mistakes a scenario file may hold."""

import csv
import json
import subprocess
import sys

import pytest

from einfall import scenarios
from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.fusemax import COLUMNS
from einfall.scenarios.points import points
from einfall.sim.accounting import ARTIFACT, PHYSICAL


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_both_modes_and_they_read_back_as_computed(small, tmp_path):
    out = tmp_path / "made" / "here"
    result = scenarios.run(small, out=out)
    assert sorted(path.name for path in out.iterdir()) == [
        "results.csv", "results.json", "results_physical.csv",
    ]  # fmt: skip
    assert set(result.paths) == set(out.iterdir())
    for name, mode in (("results.csv", "artifact"), ("results_physical.csv", "physical")):
        rows = read(out / name)
        assert tuple(rows[0]) == COLUMNS
        assert [float(row["value"]) for row in rows] == [
            row.value for row in result.answers[mode].rows
        ]
    assert [row["value"] for row in result.rows] == [
        row.record()["value"] for row in result.answers["artifact"].rows
    ]
    assert json.loads((out / "results.json").read_text())["scenario"] == "small"


def test_whole_bytes_are_written_as_whole_numbers(small):
    rows = scenarios.run(small, accounting="artifact").rows
    traffic = [row["value"] for row in rows if row["metric"] == "traffic"]
    assert all(isinstance(value, int) for value in traffic if float(value).is_integer())


def test_the_text_has_means_effects_and_files(small, tmp_path):
    text = scenarios.run(small, out=tmp_path / "out").text()
    assert "attention speedup over flat" in text
    assert "6.7×" in text
    assert "one rule at a time" in text
    assert "exponentials paid" in text
    assert str(tmp_path / "out" / "results") in text
    assert "1M" not in text  # a claim about a length that the scenario does not have


def test_the_record_is_json(small):
    record = scenarios.run(small).record()
    assert json.loads(json.dumps(record)) == record
    assert set(record["rows"]) == {"artifact", "physical"}
    assert {"rule", "published", "physical", "why"} <= set(record["changes"][0])


def test_one_accounting_alone(small, tmp_path):
    result = scenarios.run(small, out=tmp_path / "out", accounting="physical")
    assert list(result.answers) == ["physical"]
    assert {path.name for path in result.paths} == {"results_physical.csv", "results.json"}
    assert "physical" in result.text()


def test_effects_of_rules_have_the_sign_of_their_reason(scenario):
    found = {(c.rule, c.quantity): c for c in scenarios.run("fusemax").changes}
    energy = found["registers of all elements", "FuseMax / FLAT energy"]
    assert energy.published < energy.physical < 1
    macs = found["registers of all elements", "2D multiply-adds / FuseMax energy"]
    assert macs.published == pytest.approx(0.96, abs=0.01)
    assert macs.physical == pytest.approx(0.57, abs=0.02)  # reference notes, caveat 1
    paid = found["exponentials paid", "+Cascade energy"]
    assert 1.018 < paid.physical / paid.published < 1.036  # caveat 3
    chained = found["exp and subtraction chained", "+Cascade latency"]
    assert chained.physical < chained.published
    buffer = found["the machine's own buffer", "+Cascade DRAM traffic"]
    assert buffer.physical < buffer.published


def test_overflow_lifts_energies_by_what_is_known(artifact):
    # Reference notes, caveat 2: FuseMax 0.5 %, unfused 3.0 %, FLAT 3.1 %, +Cascade up to 7.7 %.
    limits = {
        "plus_binding_fusemax": 0.0055,
        "plus_architecture": 0.0055,
        "unfused": 0.0305,
        "flat": 0.0315,
        "plus_cascade": 0.0775,
    }
    for config, limit in limits.items():
        largest = max(
            point.overflow_j / (point.energy_j - point.overflow_j)
            for (name, _, _), point in artifact.attention.items()
            if name == config
        )
        assert 0.9 * limit < largest < limit


@pytest.mark.parametrize("accounting", [ARTIFACT, PHYSICAL], ids=lambda mode: mode.name)
def test_many_shapes_at_once_are_answered_as_one_by_one(accounting):
    from einfall import hw_models

    machine = hw_models.load("flat_cloud")
    shapes = [
        {"batch": 2, "heads": h, "queries": n, "head_dim": e}
        for h, n, e in ((1, 1024, 64), (3, 4096, 64), (2, 16384, 128), (3, 4096, 128))
    ]
    for cascade, mapping in (("attention_1pass", "plus_cascade"), ("attention_3pass", "flat")):
        together = points(cascade, shapes, machine, mapping, accounting)
        for shape, point in zip(shapes, together, strict=True):
            alone = points(cascade, [shape], machine, mapping, accounting)[0]
            assert point.latency_s == pytest.approx(alone.latency_s, rel=1e-12)
            assert point.energy_j == pytest.approx(alone.energy_j, rel=1e-12)
            assert point.einsums == pytest.approx(alone.einsums, rel=1e-12)


def test_figures_are_drawn_beside_their_data(small, tmp_path):
    result = scenarios.run(small, out=tmp_path, figures=True, accounting="artifact")
    drawn = {path.stem for path in result.paths if path.suffix == ".png"}
    assert drawn == {
        f"{kernel}_{what}_{against}"
        for kernel in ("attention", "end_to_end")
        for against in ("flat", "unfused")
        for what in ("speedup_over", "energy_of")
    } | {"attention_utilization", "pareto", "timeline"}
    for stem in drawn:
        assert {p.suffix for p in result.paths if p.stem == stem} == {
            ".png", ".svg", ".csv", ".json",
        }  # fmt: skip
    tasks = {row["task"] for row in read(tmp_path / "timeline.csv")}
    assert {"BQK", "SLN", "SLNV", "RNV"} <= tasks


def test_figures_need_a_folder(small):
    with pytest.raises(ValueError, match="want a folder"):
        scenarios.run(small, figures=True)


def test_matplotlib_is_loaded_for_figures_only():
    code = "import sys, einfall.scenarios; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MISTAKES = [
    ("kind: fusemaks", "want a kind of scenario (fusemax, optical_fit, optical_networks, "),
    ("kind: fusemaks", "sweep), found 'fusemaks'"),
    ("base: fusemax\nmodels: [BERTA]", "found 'BERTA': did you mean 'BERT'?"),
    ("base: fusemax\nlengths: [1K, 3 K]", "want a length such as 4096 or 4K, found '3 K'"),
    ("base: fusemax\nbaseline: flatt", "found baseline 'flatt'"),
    ("base: fusemax\nlenghts: [1K]", "did you mean 'lengths'?"),
    ("base: fusemax\nlengths: [1K]\npareto: {config: x, seq_len: 1K, pe_dims: [16]}", "'x'"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=lambda x: x.splitlines()[-1][:24])
def test_mistakes_in_a_scenario_are_told_with_their_place(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as error:
        scenarios.load(path)
    assert message in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_unknown_names_come_with_what_there_is(small):
    with pytest.raises(SpecError, match="did you mean 'fusemax'"):
        scenarios.load("fusemix")
    with pytest.raises(SpecError, match="want one of physical, artifact, found 'real'"):
        scenarios.run(small, accounting="real")
    assert scenarios.names() == tuple(sorted(scenarios.names()))


def test_a_sweep_without_a_buffer_for_it_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: fusemax\nmodels: [T5]\nlengths: [1K]\nreference: null\n"
        "pareto: {config: plus_binding_fusemax, seq_len: 1K, pe_dims: [24]}"
    )
    with pytest.raises(SpecError, match=r"found 64x24; see pareto_sram\.csv"):
        scenarios.run(path)
