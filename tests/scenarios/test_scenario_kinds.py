"""Scenarios of every kind: one door, one runner each, files as told, and accounting where it is."""

import csv
import json

import pytest

from einfall import scenarios
from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios import library
from einfall.scenarios.optical.figures import DRAWINGS
from einfall.scenarios.runner import RUNNERS

SMALL = {
    "fatnet": """
base: fatnet
name: small
networks: [FatNet]
ratios: []
batches: [64]
systems:
  - {name: paper, machine: optical_4f_ideal, mapping: "batch:pitch=full", accounting: artifact}
  - {name: H100, machine: h100_sxm}
""",
    "convsharevit": """
base: convsharevit
name: small
batches: [1]
network: {depth: 1}
systems:
  - {name: ideal, machine: optical_4f_ideal}
  - {name: H100, machine: h100_sxm}
system_batches: [1]
""",
    "spectral_filters": """
base: spectral_filters
name: small
sides: [112, 1024]
systems:
  - {name: ideal, machine: optical_4f_ideal}
  - {name: DMD, machine: optical_4f_dmd}
  - {name: H100, machine: h100_sxm}
networks: []
tornado: {side: 224, factor: 2, systems: [DMD]}
""",
}
TABLES = {
    "fatnet": ["ratios", "results"],
    "convsharevit": ["convolutions", "results", "speedups", "systems"],
    "spectral_filters": ["networks", "results", "sensitivity"],
}
FIGURES = {
    "fatnet": ["times"],
    "convsharevit": ["region"],
    "spectral_filters": ["ratios", "tornado"],
}


@pytest.fixture
def small(tmp_path):
    def write(name):
        path = tmp_path / f"small_{name}.yaml"
        path.write_text(SMALL[name])
        return path

    return write


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_kind_has_a_runner_and_every_shipped_scenario_a_kind():
    assert set(RUNNERS) == set(library.KINDS)
    assert set(DRAWINGS) == {kind for kind in library.KINDS if kind.startswith("optical")}
    for name in scenarios.names():
        scenario = scenarios.load(name)
        assert scenario.name == name
        assert scenario.about
        assert scenario.source or scenario.kind == "sweep"  # whose numbers are those of machines


@pytest.mark.parametrize("name", SMALL)
def test_a_run_writes_its_tables_and_figures_and_says_so(name, small, tmp_path):
    out = tmp_path / "out"
    result = scenarios.run(small(name), out=out, figures=True)
    wanted = {f"{table}.csv" for table in TABLES[name]} | {"results.json"}
    wanted |= {f"{f}.{e}" for f in FIGURES[name] for e in ("png", "svg", "csv", "json")}
    assert {path.name for path in out.iterdir()} == wanted
    assert set(result.paths) == set(out.iterdir())
    assert f"{out}/results.{{csv,json}}" in result.text()


@pytest.mark.parametrize("name", SMALL)
def test_the_record_is_json_and_its_tables_read_back(name, small, tmp_path):
    result = scenarios.run(small(name), out=tmp_path / "out")
    record = result.record()
    assert json.loads(json.dumps(record)) == record
    for table, rows in record["tables"].items():
        written = read(tmp_path / "out" / f"{table}.csv")
        assert len(written) == len(rows)
        for row, text in zip(rows, written, strict=True):
            assert {k: str(v) for k, v in row.items()} == {k: text[k] for k in row}


@pytest.mark.parametrize("name", SMALL)
def test_nothing_is_written_without_a_folder(name, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    path = small(name)
    assert scenarios.run(path).paths == ()
    assert sorted(tmp_path.iterdir()) == sorted([*before, path])


def test_scenarios_with_systems_of_their_own_refuse_an_accounting(ask, small):
    with pytest.raises(SpecError, match=r"want none for small \(optical_networks\)"):
        scenarios.run(small("fatnet"), accounting="artifact")
    code, out, err = ask("run", "fatnet", "--accounting", "physical")
    assert (code, out) == (2, "")
    assert "leave it out" in err


def test_all_of_them_are_listed(answer):
    listed = {row["name"] for row in answer("show", "scenarios")["scenarios"]}
    assert {"fusemax", *SMALL} <= listed


def test_the_command_line_prints_the_record(answer, small):
    record = answer("run", small("fatnet"))
    assert record["scenario"] == "small"
    assert {row["system"] for row in record["tables"]["results"]} >= {"paper", "published 4f"}


MISTAKES = [
    ("fatnet", "networks: [ResNet18]", "'ResNet18': did you mean 'ResNet-18'?"),
    ("fatnet", "batches: [0]", "want a number of images from 1 on, or filled, found 0"),
    ("fatnet", "batches: [fill]", "or filled, found 'fill'"),
    ("fatnet", "networks: [FatNet]", "want ratios of networks listed in `networks`"),
    (
        "fatnet",
        "systems: [{name: a, machine: h100_sxn}]",
        "found 'h100_sxn': did you mean 'h100_sxm'?",
    ),
    (
        "fatnet",
        "systems: [{name: a, machine: h100_sxm, mapping: mix}]",
        "want no mapping for h100_sxm (gpu)",
    ),
    (
        "fatnet",
        "systems: [{name: a, machine: optical_4f_dmd, mapping: mixx}]",
        "found 'mixx'; did you mean mix?",
    ),
    (
        "fatnet",
        "systems: [{name: a, machine: b200}, {name: a, machine: b300}]",
        "want each name once, found twice: a",
    ),
    (
        "fatnet",
        "systems: [{name: a, machine: b200, accounting: artifact}]",
        "want no accounting for b200 (gpu), found one: for optical_4f alone",
    ),
    (
        "spectral_filters",
        "systems: [{name: ideal, machine: optical_4f_ideal, accounting: artifact}]",
        "want a known field (machine, mapping, name), found 'accounting'",
    ),
    ("convsharevit", "planes: h100_sxm", "want planes of an optical_4f machine, found h100_sxm"),
    ("convsharevit", "convolutions: [2]", "want a quantity in s"),
    ("convsharevit", "tilings: [mixed]", "got 'mixed'"),
    ("spectral_filters", "reference: ideal", "found reference 'ideal'"),
    ("spectral_filters", "networks: [AFFNet]", "found networks 'AFFNet'"),
    (
        "spectral_filters",
        "tornado: {side: 56, factor: 2, systems: [H100]}",
        "found tornado.systems 'H100'",
    ),
]


@pytest.mark.parametrize(("base", "text", "message"), MISTAKES, ids=lambda x: x[:30])
def test_mistakes_are_told_with_their_place(tmp_path, base, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {base}\n{text}\n")
    with pytest.raises(SpecError) as error:
        scenarios.load(path)
    assert message in str(error.value)
    assert "mine.yaml" in str(error.value)
