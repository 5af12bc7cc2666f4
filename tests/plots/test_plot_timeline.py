import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall import plots
from einfall.sim.events import Span


def steps(count, *, period=2.0, shift=0.0, first=0, inner=1):
    """Steps on two resources: K is loaded a step ahead, LM follows QK on the array."""
    spans = []
    for i in range(count):
        step = (("m1", (first + i) // inner), ("p1", (first + i) % inner))
        at = shift + i * period
        spans.append(Span("load K", "dram", at - 1.5, at - 0.5, step))
        spans.append(Span("QK", "2d", at, at + 1.5, step))
        spans.append(Span("LM", "2d", at + 1.5, at + 2.0, step))
    return spans


def names(ax):
    return [text.get_text() for text in ax.texts]


@given(st.integers(1, 4), st.integers(8, 20), st.floats(1.0, 1e3), st.integers(1, 5))
def test_a_window_is_so_many_periods_and_misses_no_box(n, count, shift, inner):
    spans = steps(count, shift=shift, inner=inner)
    begin, end = plots.steady_window(spans, n)
    assert end - begin == pytest.approx(2.0 * n)
    inside = [s for s in spans if s.task == "QK" and begin - 0.1 < s.start_s < end - 0.1]
    assert len(inside) == n


def test_the_fill_is_left_out():
    slow = [Span("QK", "2d", 10.0 * i, 10.0 * i + 9, (("m1", i),)) for i in range(3)]
    steady = [Span("QK", "2d", 30 + 2.0 * i, 31 + 2.0 * i, (("m1", 3 + i),)) for i in range(9)]
    assert plots.steady_window([*slow, *steady], 2) == (30.0, 34.0)


def test_a_window_does_not_reach_over_a_leap_of_the_simulation():
    before, after = steps(4), steps(9, shift=1000.0, first=500)
    begin, end = plots.steady_window([*before, *after], 3)
    assert begin > 1000
    assert end - begin == pytest.approx(6.0)


def test_phases_with_the_same_coordinates_are_told_apart():
    begin, _ = plots.steady_window([*steps(9), *steps(5, shift=100.0)], 2)
    assert begin < 20


def test_too_few_steps_are_refused():
    with pytest.raises(plots.PlotError, match=r"want 5 steps .* found 4 consecutive steps in all"):
        plots.steady_window(steps(4), 5)
    with pytest.raises(plots.PlotError, match="want at least 1 step, found 0"):
        plots.steady_window(steps(4), 0)
    with pytest.raises(plots.PlotError, match="timeline: want at least one"):
        plots.steady_window([])


def test_boxes_are_cut_at_the_window_and_time_counts_from_it(ax):
    spans = steps(6)
    plots.plot_timeline(spans, ax, (4.5, 8.0))
    boxes = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert all(0 <= left < right <= 3.5 for left, right in boxes)
    assert (0.0, 1.0) in boxes  # QK of the third step began at 4.0
    assert [t.get_text() for t in ax.get_yticklabels()] == ["dram", "2d"]
    assert ax.get_xlabel() == "Time since 4.5 s [s]"


def test_labels_tell_steps_apart_and_stay_away_where_they_do_not_fit(ax):
    plots.plot_timeline(steps(4), ax, (0.0, 4.0))
    assert "QK 0" in names(ax)
    assert "QK 1" in names(ax)
    ax.clear()
    plots.plot_timeline(steps(11), ax)
    assert "QK\n5" in names(ax)
    assert not any(name.startswith("LM") and name != "LM" for name in names(ax))
    ax.clear()
    plots.plot_timeline(steps(100), ax)
    assert names(ax) == []


def test_steps_are_numbered_by_the_loops_that_move_only(ax):
    plots.plot_timeline(steps(4, inner=2), ax, (0.0, 2.0))
    assert ax.get_title(loc="left").endswith("numbered by p1")
    assert names(ax) == ["QK 0", "LM 0", "load K 1"]
    ax.clear()
    plots.plot_timeline(steps(4, inner=2), ax, (0.0, 6.0))
    assert ax.get_title(loc="left").endswith("numbered by m1, p1")
    assert "QK 1,0" in names(ax)


def test_the_table_holds_what_is_drawn(ax):
    spans = steps(6)
    plots.plot_timeline(spans, ax, (4.5, 8.0))
    table = plots.timeline_table(spans, (4.5, 8.0))
    assert len(table) == len(ax.patches)
    assert table[0] == {
        "resource": "2d",
        "task": "QK",
        "step": "m1 2, p1 0",
        "start_s": 4.0,
        "end_s": 5.5,
    }


def test_an_empty_window_is_refused(ax):
    with pytest.raises(plots.PlotError, match="timeline from 90 s to 91 s: want at least one"):
        plots.plot_timeline(steps(3), ax, (90.0, 91.0))
