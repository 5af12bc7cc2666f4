from pathlib import Path

import pytest

from einfall.files import csv_text, write_all, write_texts


def refuse(path: Path):
    path.write_text("half")
    raise OSError("the disk is full")


def test_files_that_cannot_all_be_written_change_nothing(tmp_path):
    old, other = tmp_path / "results.csv", tmp_path / "other.csv"
    old.write_text("old")
    with pytest.raises(OSError, match="full"):
        write_all({old: lambda path: path.write_text("new"), other: refuse})
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]
    assert old.read_text() == "old"


def test_texts_are_written_as_they_are_into_folders_that_are_made(tmp_path):
    path = tmp_path / "a" / "b.csv"
    text = csv_text(["x", "y"], [{"x": 0.1, "y": "ja\r\nein"}, {"x": 1e-300}])
    assert write_texts({path: text}) == (path,)
    assert path.read_bytes() == b'x,y\n0.1,"ja\r\nein"\n1e-300,\n'
