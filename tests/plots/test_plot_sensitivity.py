"""The tornado: two bars a number, refusals as words, a logarithmic axis for large changes."""

import pytest

from einfall.plots import PlotError, figure, plot_sensitivity, sensitivity_figure


def record(path, low, high, energy=0.0):
    return {"path": path, "text": "1 GHz", "latency_low": low, "latency_high": high,
            "energy_low": -energy, "energy_high": energy}  # fmt: skip


def test_each_side_is_a_bar_from_zero():
    rows = [record("clock", 0.25, -0.2), record("sms", 0.1, None)]
    ax = plot_sensitivity(rows, figure().subplots(), "latency")
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([25.0, -20.0, 10.0])
    assert [text.get_text() for text in ax.texts] == ["+25", "-20", "+10", "refused"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clock  1 GHz", "sms  1 GHz"]
    assert ax.get_xscale() == "linear"


def test_large_changes_make_the_axis_logarithmic():
    ax = plot_sensitivity([record("word", -0.9, 12.6)], figure().subplots(), "latency")
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[1] > 1260


def test_the_largest_effects_are_kept_in_order():
    rows = [record(f"n{i}", 0.001, -0.001, energy=i / 100) for i in range(30)]
    sheet = sensitivity_figure({"attention": rows}, share=0.2, machine="chip")
    left = sheet.axes[0]
    names = [label.get_text().split()[0] for label in left.get_yticklabels()]
    assert names == [f"n{i}" for i in range(10, 30)]
    assert "10 smaller effects left out" in left.get_title(loc="left")


def test_a_cascade_that_nothing_moves_says_so():
    sheet = sensitivity_figure(
        {"a": [], "b": [record("clock", 0.1, -0.1)]}, share=0.1, machine="chip"
    )
    assert len(sheet.axes) == 4


@pytest.mark.parametrize(
    ("rows", "quantity", "wanted"),
    [
        ([], "latency", "want at least one"),
        ([{"path": "clock"}], "latency", "lacking: text"),
        ([record("clock", 0.1, -0.1)], "area", "want the quantity latency or energy"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows, quantity, wanted):
    with pytest.raises(PlotError, match=wanted):
        plot_sensitivity(rows, figure().subplots(), quantity)
