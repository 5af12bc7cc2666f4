import csv
import json

import matplotlib as mpl
import pytest

from einfall import plots

DATA = [{"x": 1, "y": 2.5}, {"x": 2, "y": 4.0, "note": "ragged, last"}]


def drawing(height=1.0):
    sheet = plots.figure(3, 2)
    sheet.subplots().bar([1, 2], [height, 2], hatch="//")
    return sheet


def test_four_files_say_what_is_drawn_and_how_it_was_made(tmp_path):
    meta = {"command": "einfall run x.yaml", "commit": "abc"}
    paths = plots.save(drawing(), tmp_path / "new" / "speed", DATA, meta)
    assert [p.name for p in paths] == ["speed.png", "speed.svg", "speed.csv", "speed.json"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[1].read_bytes()
    with paths[2].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"x": "1", "y": "2.5", "note": ""},
        {"x": "2", "y": "4.0", "note": "ragged, last"},
    ]
    about = json.loads(paths[3].read_text())
    assert about["command"] == "einfall run x.yaml"
    assert about["data"] == "speed.csv"
    assert about["columns"] == ["x", "y", "note"]
    assert about["records"] == 2


def test_a_dot_in_the_stem_is_no_ending(tmp_path):
    paths = plots.save(drawing(), tmp_path / "v1.2", DATA, {})
    assert [p.name for p in paths] == ["v1.2.png", "v1.2.svg", "v1.2.csv", "v1.2.json"]


def test_the_same_figure_gives_the_same_bytes_and_another_other_ones(tmp_path):
    once, again, other = (
        [p.read_bytes() for p in plots.save(drawing(height), tmp_path / stem / "a", DATA, {"n": 1})]
        for stem, height in (("once", 1.0), ("again", 1.0), ("other", 1.5))
    )
    assert once == again
    assert once[:2] != other[:2]


def test_a_failure_leaves_old_files_and_no_pieces(tmp_path):
    paths = plots.save(drawing(), tmp_path / "a", DATA, {})
    before = {p: p.read_bytes() for p in paths}
    with pytest.raises(TypeError):
        plots.save(drawing(3.0), tmp_path / "a", DATA[:1], {"bad": object()})
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(plots.PlotError, match="save a: want at least one"):
        plots.save(drawing(), tmp_path / "a", [], {})
    assert list(tmp_path.iterdir()) == []


def test_drawing_and_saving_change_no_setting_of_matplotlib(tmp_path):
    before = dict(mpl.rcParams)
    plots.save(drawing(), tmp_path / "a", DATA, {})
    assert dict(mpl.rcParams) == before
