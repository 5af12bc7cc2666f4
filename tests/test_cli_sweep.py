"""`einfall sweep`: what it prints, its files, its exit codes, its mistakes."""

import io
import json

import pytest

from einfall.cli import main

SMALL = """
kind: sweep
name: small
about: "Does it matter?"
cascade: attention_1pass
machine: fusemax_cloud
shape: {heads: 4, head_dim: 64}
axes: {machine.buffer.capacity: [64 KiB, 1 MiB], queries: [1K, 4K]}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_text(small, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["sweep", str(small), "--out", str(out)]) == 0
    text, notes = capsys.readouterr()
    assert notes == ""
    assert text.startswith("small: Does it matter?\n4 points in ")
    assert "2 count" in text
    assert "2 cannot be (DoesNotFitError), the first at index 0: mapping fusemax" in text
    assert "best by latency_s" in text
    assert "what each axis does" in text
    assert f"  {out}/small.csv" in text
    lines = (out / "small.csv").read_text().splitlines()
    assert lines[0] == "index,machine.buffer.capacity_bytes,queries,latency_s,energy_j,bound"
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["2", "1048576", "1024"],
        ["3", "1048576", "4096"],
    ]


def test_json_is_one_document_with_the_answer(small, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["sweep", str(small), "--out", str(out), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {"points", "kept", "dropped", "refused", "best", "effects", "bounds", "seconds",
            "points_per_s", "resumed", "files", "schema"} <= set(record)  # fmt: skip
    written = json.loads((out / "small.json").read_text())
    assert written == {k: v for k, v in record.items() if k in written}
    assert "seconds" not in written


def test_no_point_that_counts_is_no(small, capsys):
    small.write_text(SMALL + "keep: [latency_s < 1 ns]\n")
    assert main(["sweep", str(small)]) == 1
    assert "2 dropped by latency_s < 1 ns" in capsys.readouterr().out


def test_mistakes_all_at_once(small, capsys):
    small.write_text(SMALL.replace("fusemax_cloud", "fusemax_clod") + "columns: [speed]\n")
    words = ["sweep", str(small), "--workers", "two", "--chunk", "0", "--format", "xlsx"]
    assert main(words) == 2
    out, mistakes = capsys.readouterr()
    assert out == ""
    wanted = (
        "--workers: wanted a positive whole number, found 'two'",
        "--chunk: wanted a positive whole number, found '0'",
        "--format: want one of csv, parquet, found 'xlsx'",
        "--format: wanted a folder for the table, found none; add --out DIR",
        "small.yaml:6: machine: want a file.yaml or one of",
        "small.yaml:9: columns.0: want a column",
    )
    assert len(mistakes.splitlines()) == len(wanted)
    for problem in wanted:
        assert problem in mistakes


def test_a_name_that_does_not_ship(capsys):
    assert main(["sweep", "exponential"]) == 2
    assert "found 'exponential': did you mean 'exponentials'?" in capsys.readouterr().err


def test_progress_is_drawn_on_a_terminal_alone(small, capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["sweep", str(small), "--json"]) == 0
    assert "small" in shown.getvalue()
    assert "4/4" in shown.getvalue()
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["exponentials", "buffers"])
def test_what_ships_runs(name, tmp_path, capsys):
    assert main(["sweep", name, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["seconds"] < 5
    assert record["kept"] > 50
    assert record["effects"]
