"""Figures of optics: what is drawn where, names at the ends of lines, and what is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall import plots
from einfall.plots import names, style


def times(**changes):
    row = {"panel": "batch 64", "system": "ideal", "network": "FatNet", "time_s": 1e-5, "kind": ""}
    return row | changes


def line(series, x, y):
    return {"series": series, "x": x, "y": y}


def region(series, batch, time_s, kind):
    return {"series": series, "batch": batch, "time_s": time_s, "kind": kind}


def texts(ax):
    return [text.get_text() for text in ax.texts]


# --- times ----------------------------------------------------------------------------------------


def test_a_panel_a_batch_with_every_system_in_each():
    rows = [times(), times(panel="batch 1", system="H100", time_s=1e-6)]
    sheet = plots.times_figure(rows, title="Times")
    assert [ax.get_title(loc="left") for ax in sheet.axes] == ["batch 64", "batch 1"]
    assert [t.get_text() for t in sheet.axes[0].get_yticklabels()] == ["ideal", "H100"]
    assert {ax.get_xscale() for ax in sheet.axes} == {"log"}
    sheet.draw_without_rendering()


def test_published_points_have_a_ring_and_networks_their_own_height(ax):
    rows = [times(), times(network="ResNet-18", kind="published")]
    plots.plot_times(rows, ax, ["ideal"], style.looks(["FatNet", "ResNet-18"]))
    points = [p for p in ax.lines if len(p.get_xdata()) == 1 and p.get_linestyle() == "None"]
    heights = [float(p.get_ydata()[0]) for p in points]
    assert len(points) == 3
    assert heights[0] < heights[1] == heights[2]
    assert points[2].get_markerfacecolor() == "none"


def test_times_that_no_logarithm_shows_are_refused(ax):
    with pytest.raises(plots.PlotError, match="want time_s above 0, found 0"):
        plots.plot_times([times(time_s=0.0)], ax, ["ideal"], style.looks(["FatNet"]))


# --- lines ----------------------------------------------------------------------------------------


def test_rows_of_panels_share_a_look_and_the_line_of_equality_stands_where_it_is_near():
    near = {"Time": [line("ideal", 7, 1.2), line("ideal", 56, 0.9)]}
    far = {"Time": [line("DMD", 7, 5e6), line("DMD", 56, 4e6)]}
    sheet = plots.ratios_figure([far, near], title="Ratios", x="Side", y="Ratio", equal="H100")
    upper, lower = sheet.axes
    assert (texts(upper), sorted(texts(lower))) == (["DMD"], ["H100", "ideal"])
    assert (upper.get_title(loc="left"), lower.get_title(loc="left")) == ("Time", "")
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "Side")
    assert upper.lines[0].get_color() != lower.lines[0].get_color()


def test_a_row_without_lines_is_left_out():
    near = {"Time": [line("ideal", 7, 1.2)]}
    sheet = plots.ratios_figure([{"Time": []}, near], title="", x="", y="", equal="H100")
    assert len(sheet.axes) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.5))
def test_names_are_moved_apart_in_their_order(places, gap):
    found = names.apart(sorted(places), gap)
    assert len(found) == len(places)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(found))
    assert sum(found) == pytest.approx(sum(places), abs=1e-6)  # no name pushes all the others


def test_names_with_room_stay_at_their_lines(ax):
    ax.set_ylim(0, 10)
    names.name_ends(ax, {"low": 1.0, "high": 9.0})
    assert [(t.get_text(), t.xy[1]) for t in ax.texts] == [("low", 0.1), ("high", 0.9)]


# --- region ---------------------------------------------------------------------------------------


def test_the_region_is_above_the_lowest_threshold(ax):
    rows = [
        region("batch", 1, 1e-2, plots.THRESHOLD),
        region("batch", 64, 1e-4, plots.THRESHOLD),
        region("mix", 1, 1e-3, plots.THRESHOLD),
        region("mix", 64, 1e-3, plots.THRESHOLD),
        region("H100", 1, 1e-6, plots.ROOFLINE),
        region("A100", 1, 1e-3, plots.KNOWN),
    ]
    plots.plot_region(rows, ax, style.looks(["A100"]))
    corners = ax.collections[0].get_paths()[0].vertices.tolist()
    assert [1, 1e-3] in corners  # mix at 1
    assert [64, 1e-4] in corners  # batch at 64
    assert len(ax.lines) == 4


def test_lines_of_a_region_are_named_and_known_times_are_in_the_legend():
    rows = [region("mix", 1, 1e-3, plots.THRESHOLD), region("mix", 64, 1e-3, plots.THRESHOLD)]
    rows += [region("A100", 1, 1e-3, plots.KNOWN)]
    sheet = plots.region_figure({"Count": rows}, title="Region", claim="3x or more")
    assert texts(sheet.axes[0]) == ["mix"]
    assert [t.get_text() for t in sheet.legends[0].get_texts()] == ["3x or more", "A100"]
