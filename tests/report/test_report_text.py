"""Text for people: widths, numbers, files that are whole or not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall import hw_models
from einfall.hw_models.constants import constants, source_of
from einfall.report import files, text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_tables_fit_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [["name", "1", "words " * 40], ["another", "2", "x" * 300]]
    drawn = text.table(["a", "b", "c"], rows, right={"b"})
    assert max(map(len, drawn.splitlines())) <= min(width, text.WIDEST)
    assert drawn.count("x") == 300


def test_cells_are_text_and_no_markup():
    assert "[bold]x[/bold]" in text.table(["a"], [["[bold]x[/bold]"]])


@given(st.text(st.sampled_from("ab 1%"), max_size=400))
def test_a_paragraph_keeps_its_words(words):
    assert text.paragraph(words).split() == words.split()


def test_a_number_stays_with_its_unit(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for n in range(1, 60):
        assert "7.5 ms" in text.paragraph("x" * n + " 7.5 ms")


@pytest.mark.parametrize(("n", "written"), [(0, "0"), (1e6, "1,000,000"), (2.5, "2.5")])
def test_counts(n, written):
    assert text.count(n) == written


def test_a_file_is_whole_or_not_there(tmp_path):
    def half(part):
        part.write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        files.write(tmp_path / "f.txt", half)
    assert not list(tmp_path.iterdir())
    files.write(tmp_path / "new" / "f.txt", lambda part: part.write_text("whole"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f.txt"]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "d.json").mkdir()
    assert "folder" in (files.unwritable("--trace", str(tmp_path / "d.json"), [".json"]) or "")
    assert files.unwritable("--out", str(tmp_path / "new" / "deep")) is None


def test_a_folder_that_refuses_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    assert "may be written to" in (files.unwritable("--out", str(tmp_path)) or "")


@pytest.mark.parametrize("name", hw_models.names())
def test_every_value_of_a_machine_is_shown_with_its_source(name):
    machine = hw_models.load(name)
    found = constants(machine)
    told = {path for path in machine.sources if path not in ("kind", "name", "about")}
    assert told <= set(found)
    assert all(source_of(machine, path).line for path in found)


def test_a_value_that_was_set_names_the_user():
    machine = hw_models.with_overrides(
        hw_models.load("fusemax_cloud"), {"units.1d.ops.exp": "{energy: 1 pJ}", "clock": "2x"}
    )
    found = constants(machine)
    assert found["units.1d.ops.exp.energy"].text == "1 pJ"
    assert "set by user" in found["units.1d.ops.exp.energy"].source.text
    assert found["clock"].text == "1.88 GHz"
