"""What each figure of the what-if engine draws where, and what it refuses."""

from itertools import pairwise

import gallery
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall import plots
from einfall.plots import names, style
from einfall.plots.quantity import Quantity, count, fit_axis
from einfall.plots.tornado import MOST

TIME, SPEEDUP = gallery.TIME, gallery.SPEEDUP


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# --- looks and quantities -------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["tensor", "2d", "mufu", "hbm", "dram", "x", "y", "z"])))
def test_resources_that_bind_never_share_a_look(resources):
    looks = style.resource_looks(resources)
    assert len({(look.colour, look.hatch) for look in looks.values()}) == len(set(resources))


def test_a_resource_looks_the_same_in_every_figure():
    alone, beside = style.resource_looks(["mufu"]), style.resource_looks(["l2", "mufu", "tensor"])
    assert alone["mufu"] == beside["mufu"]


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=8))
def test_names_stay_within_the_axes_and_apart(places):
    found = names.within(names.apart(sorted(places), 0.1), 0.1)
    assert -1e-9 <= found[0] <= found[-1] <= 1 + 1e-9
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("shown", "value", "text"),
    [
        (TIME, 0.0, "0 s"),
        (Quantity("x", "Share", "%"), 0.305, "30.5 %"),
        (Quantity("x", "Capacity", "B"), 2.0**30, "1 GiB"),
        (Quantity("x", "Area", "mm^2"), 814.0, "814 mm²"),
        (SPEEDUP, 0.987654, "0.99×"),
        (SPEEDUP, 12.345, "12.3×"),
    ],
)
def test_values_are_written_with_their_unit(shown, value, text):
    assert shown.text(value) == text


def test_lengths_are_counted_as_they_are_written():
    assert [count(value) for value in (512, 1024, 10240, 2**20, 1e6)] == [
        "512", "1K", "10K", "1M", "1000000",
    ]  # fmt: skip


@pytest.mark.parametrize(("values", "scale"), [([1e-3, 29e-3], "linear"), ([1e-3, 31e-3], "log"),
                                               ([0.0, 5.0], "linear")])  # fmt: skip
def test_an_axis_is_logarithmic_where_values_span_more_than_thirty_times(ax, values, scale):
    fit_axis(ax, "y", TIME, values)
    assert ax.get_yscale() == scale


# --- heat map -------------------------------------------------------------------------------------


def cell(keys, rate, speedup, bound="tensor"):
    return {"head_dim": keys, "rate": rate, "speedup": speedup, "bound": bound}


def test_numbers_run_up_and_to_the_right_whatever_their_order(ax):
    rows = [cell(128, 2, 3.0, "mufu"), cell(64, 2, 2.0), cell(64, 1, 1.0), cell(128, 1, None)]
    plots.plot_heatmap(rows, ax, gallery.ON_WIDTH)
    assert (ticks(ax.xaxis), ticks(ax.yaxis)) == (["64", "128"], ["2×", "1×"])
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places == {"3.00×": (1, 0), "2.00×": (0, 0), "1.00×": (0, 1)}
    crossed = [p.get_xy() for p in ax.patches if p.get_hatch() == style.NO_ANSWER["hatch"]]
    assert crossed == [(0.5, 0.5)]


def test_cells_of_one_resource_look_alike(ax):
    plots.plot_heatmap([cell(1, 1, 1.0), cell(2, 1, 2.0), cell(3, 1, 1.5, "mufu")], ax,
                       gallery.ON_WIDTH)  # fmt: skip
    found = {len(cells.get_paths()): cells for cells in ax.collections}
    assert sorted(found) == [1, 2]
    assert found[1].get_facecolor().tolist() != found[2].get_facecolor().tolist()
    assert found[1].get_hatch() != found[2].get_hatch()


def test_numbers_lose_their_unit_and_then_go_as_cells_shrink():
    def found(name):
        ax = gallery.draw(name).axes[0]
        return ax.texts[0].get_text() if ax.texts else "", ax.get_xlabel().split("\n")[1:]

    assert found("heatmap_times")[0].endswith("ns")
    assert found("heatmap_times_20_16") == ("105", ["in cells: Time [ns]"])
    assert found("heatmap_40_20") == ("", [])


def test_a_heat_map_counts_what_binds_in_its_title():
    rows = [cell(1, 1, 1.0), cell(2, 1, 2.0), cell(3, 1, 1.5, "mufu"), cell(4, 1, None, None)]
    found = plots.heatmap_figure(rows, title="t", shown=gallery.ON_WIDTH).get_suptitle()
    assert found == "t\nSpeedup 1.00× to 2.00×; bound by tensor in 2 of 3 cells, mufu in 1"


def test_wrong_heat_maps_are_refused(ax):
    with pytest.raises(plots.PlotError, match="rate 1, head_dim 64: want one row, found 2"):
        plots.plot_heatmap([cell(64, 1, 1.0)] * 2, ax, gallery.ON_WIDTH)
    with pytest.raises(plots.PlotError, match="answers: want at least one"):
        plots.plot_heatmap([cell(64, 1, None)], ax, gallery.ON_WIDTH)


# --- lines ----------------------------------------------------------------------------------------


def at(keys, latency_s, bound="hbm", series="fa3"):
    return {"keys": keys, "latency_s": latency_s, "bound": bound, "series": series}


def test_the_point_from_which_another_resource_binds_is_larger_and_named():
    rows = [at(4096, 4e-3, "tensor"), at(1024, 1e-3), at(2048, 2e-3, "tensor")]
    sheet = plots.lines_figure(rows, title="t", shown=gallery.BY_KEYS)
    points = {line.get_xdata()[0]: line for line in sheet.axes[0].lines[1:]}
    sizes = {x: point.get_markersize() for x, point in points.items()}
    assert sizes[2048] > sizes[1024] == sizes[4096]
    assert points[1024].get_marker() != points[2048].get_marker() == points[4096].get_marker()
    assert sheet.get_suptitle() == (
        "t\nAt 4K tokens best is fa3, 4 ms; fa3: hbm → tensor at 2K tokens"
    )


def test_lines_are_compared_where_all_end():
    rows = [at(1, 5.0, series="a"), at(1, 1.0, series="b"), at(2, 3.0, series="a")]
    sheet = plots.lines_figure(rows, title="t", shown=gallery.BY_KEYS)
    assert "At 2 tokens best is a, 3 s" in sheet.get_suptitle()


def test_a_missing_value_leaves_a_gap(ax):
    rows = [at(1, 1.0), at(2, None), at(3, 3.0)]
    plots.plot_lines(rows, ax, gallery.BY_KEYS)
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([1.0, float("nan"), 3.0], nan_ok=True)


@pytest.mark.parametrize(("speedup", "drawn"), [(1.5, True), (50.0, False)])
def test_the_line_of_no_change_is_drawn_where_it_is_near(ax, speedup, drawn):
    rows = [{"keys": k, "speedup": speedup, "series": "s"} for k in (1, 2)]
    plots.plot_lines(rows, ax, gallery.RATIOS)
    assert any(set(line.get_ydata()) == {1.0} for line in ax.lines) == drawn


# --- bars -----------------------------------------------------------------------------------------


def test_bars_end_with_their_value_and_what_binds(ax):
    rows = [{"case": "a", "latency_s": 2e-3, "bound": "mufu"},
            {"case": "b", "latency_s": None, "bound": None},
            {"case": "c", "latency_s": 0.0, "bound": ""}]  # fmt: skip
    plots.plot_bars(rows, ax, plots.Bars(TIME))
    assert texts(ax) == ["2 ms · mufu", "no answer", "0 s"]
    assert [bar.get_width() for bar in ax.patches] == [2e-3, 0.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x", 1.0), ("a", "x", 2.0)], "want each bar once, found twice: a x"),
        ([("a", "x", -1.0)], "want latency_s above 0, found -1"),
        ([("a", "x", None)], "answers: want at least one"),
    ],
)
def test_wrong_bars_are_refused(ax, rows, message):
    table = [dict(zip(("case", "series", "latency_s"), row, strict=True)) | {"bound": ""}
             for row in rows]  # fmt: skip
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_bars(table, ax, gallery.TWO)


# --- roofline -------------------------------------------------------------------------------------


def test_a_slope_meets_the_highest_roof_at_its_ridge(ax):
    plots.plot_roofline([*gallery.ROOFS, *gallery.POINTS], ax)
    ends = {tuple(line.get_xydata()[-1]) for line in ax.lines if len(line.get_xdata()) == 2}
    assert any(end == pytest.approx((1003e12 / 3.35e12, 1003e12)) for end in ends)
    points = [line for line in ax.lines if line.get_zorder() == 4]
    assert sorted(len(line.get_xdata()) for line in points) == [1] * 9
    assert max(line.get_ydata()[0] for line in points) == 617e12


def test_roofs_and_points_are_named_at_the_right():
    found = texts(gallery.draw("roofline").axes[0])
    assert {"tensor bf16: 989 TFLOP/s", "fma: 66.9 TFLOP/s", "fa3 16K · tensor"} <= set(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "wall"}, "want a kind of roof, point, found 'wall'"),
        ({"resource": "magic"}, "tensor bf16: want a resource of compute, .* found 'magic'"),
        ({"flops_per_s": 0}, "want flops_per_s above 0, found 0"),
        ({"resource": "memory", "bytes_per_s": 1.0}, "roofs of compute or exp: want at least one"),
    ],
)
def test_wrong_roofs_are_refused(ax, change, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_roofline([gallery.ROOFS[0] | change], ax)


def test_a_point_needs_a_level_that_is_there(ax):
    with pytest.raises(plots.PlotError, match="fa3: want a level of l2, hbm, found 'l3'"):
        plots.plot_roofline(
            [*gallery.ROOFS[3:5], gallery.ROOFS[0], *gallery.point("fa3", 1e12, "hbm", l3=1.0)], ax
        )


# --- stacks ---------------------------------------------------------------------------------------


def use(unit, busy_s, case="fa3", latency_s=2e-3, bound="tensor"):
    return {"case": case, "unit": unit, "busy_s": busy_s, "latency_s": latency_s, "bound": bound}


def test_what_binds_and_what_is_exposed_make_the_latency_and_the_rest_hides(ax):
    plots.plot_time_stack([use("mufu", 0.5e-3), use("tensor", 1.5e-3), use("hbm", 1e-3)], ax)
    binding, exposed, *hidden = ax.patches
    assert (binding.get_width(), exposed.get_width()) == pytest.approx((1.5e-3, 0.5e-3))
    assert exposed.get_x() == pytest.approx(1.5e-3)
    assert not binding.get_hatch()
    assert [bar.get_width() for bar in hidden] == [1e-3, 0.5e-3]  # the busiest first
    assert all(bar.get_hatch() for bar in hidden)
    assert texts(ax) == ["tensor 75 %", "2 ms", "hbm 50 %", "mufu 25 %"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([use("tensor", -1e-3)], "fa3: tensor: want busy_s from 0, found -0.001"),
        ([use("tensor", 1e-3, latency_s=0.0)], "want latency_s above 0"),
        ([use("tensor", 1e-3), use("mufu", 0, latency_s=1.0)], "want one latency_s and one bound"),
    ],
)
def test_wrong_times_are_refused(ax, rows, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_time_stack(rows, ax)


def test_a_bound_that_is_no_unit_is_named(ax):
    plots.plot_time_stack([use("mufu", 1e-3, bound="load/store")], ax)
    assert texts(ax) == ["2 ms · bound by load/store", "mufu 50 %"]


def test_many_cases_show_as_many_hidden_units_as_a_page_has_room_for():
    sheet = plots.time_stack_figure(gallery.busy(gallery.TWENTY[:16]), title="t")
    assert sheet.get_figheight() <= 10.5
    assert "; the 1 busiest" in sheet.get_suptitle().replace("\n", " ")


def test_small_energies_are_one_part_and_totals_stand_at_the_ends(ax):
    plots.plot_energy_stack(gallery.energies(("a", "b")), ax)
    assert texts(ax) == ["1.63 J", "2.04 J"]
    assert [t.get_text() for t in ax.get_legend().get_texts()][-1] == "others"
    right = max(bar.get_x() + bar.get_width() for bar in ax.patches)
    assert right == pytest.approx(1.25 * 1.634)


@pytest.mark.parametrize(
    ("energy", "message"), [(0.0, "found 0 everywhere"), (-1.0, "a, l2: want")]
)
def test_wrong_energies_are_refused(ax, energy, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_energy_stack([{"case": "a", "component": "l2", "energy_j": energy}], ax)


# --- pareto ---------------------------------------------------------------------------------------


def user(name, speed, rate):
    return {"name": name, "user": speed, "tokens_per_s": rate}


def test_the_frontier_looks_where_both_are_better(ax):
    both_high = plots.Pareto(Quantity("user", "User", "tokens/s", better="higher"), gallery.TOKENS)
    rows = [user("a", 10, 900), user("b", 20, 500), user("c", 15, 400), user("d", 40, 100)]
    plots.plot_pareto(rows, ax, both_high)
    assert ax.lines[0].get_xdata().tolist() == [10, 20, 40]
    assert ax.lines[0].get_drawstyle() == "steps-pre"
    assert sorted(texts(ax)) == ["a", "b", "d"]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_nothing_on_a_frontier_is_beaten_and_all_else_is(points):
    rows = [{"name": str(i), "price": x, "tokens_per_s": y} for i, (x, y) in enumerate(points)]
    (front,) = gallery.OF_PRICE.fronts(rows).values()
    for row in rows:
        beaten = any(o["price"] <= row["price"] and o["tokens_per_s"] >= row["tokens_per_s"]
                     and o != row | {"name": o["name"]} for o in rows)  # fmt: skip
        assert (row in front) != beaten


def test_the_third_quantity_is_the_area_of_markers():
    shown = gallery.GALLERY["pareto_series"][2]["shown"]
    rows = [{**gallery.machines(1)[0], "area": area} for area in (100.0, 400.0)]
    ax = plots.figure().subplots()
    plots.plot_pareto(rows, ax, shown)
    small, large = (line.get_markersize() for line in ax.lines[1:])
    assert large == pytest.approx(2 * small)


# --- ski slope ------------------------------------------------------------------------------------


def buffer(capacity_bytes, traffic_bytes):
    return {"series": "s", "capacity_bytes": capacity_bytes, "traffic_bytes": traffic_bytes,
            "compulsory_bytes": 50.0}  # fmt: skip


def test_the_knee_is_the_least_capacity_within_ten_percent_of_the_least_traffic(ax):
    rows = [buffer(4096, 100.0), buffer(1024, 400.0), buffer(2048, 109.0), buffer(512, 800.0)]
    plots.plot_ski_slope(rows, ax)
    slope, floor, knee = ax.lines
    assert slope.get_drawstyle() == "steps-post"
    assert slope.get_ydata().tolist() == [800, 400, 109, 100, 100]
    assert (knee.get_xdata()[0], knee.get_ydata()[0]) == (2048, 109)
    assert texts(ax) == ["2 KiB"]
    assert set(floor.get_ydata()) == {50.0}


def test_a_slope_may_be_of_time_and_have_no_floor(ax):
    shown = plots.SkiSlope(y=TIME, floor=None)
    plots.plot_ski_slope([{"series": "s", "capacity_bytes": 1024, "latency_s": 1.0}], ax, shown)
    assert ax.get_ylabel() == "Time [s]"
    assert len(ax.lines) == 2


# --- tornado --------------------------------------------------------------------------------------


def turned(name, low, high):
    return {"name": name, "text": "1 GHz", "low": low, "high": high}


def test_each_side_is_a_bar_from_no_change_or_says_why_not(ax):
    rows = [turned("clock", 1.25, 0.8), turned("sms", 1.1, None), turned("idle", 1.0, 1.0)]
    plots.plot_tornado(rows, ax)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.25, -0.2, 0.1])
    assert texts(ax) == ["+25", "−20", "+10", "refused", "no change"]
    assert ticks(ax.yaxis) == ["clock  1 GHz", "sms  1 GHz", "idle  1 GHz"]
    assert ax.get_xlabel() == "Change [%]"


def test_large_changes_are_told_as_ratios(ax):
    plots.plot_tornado([turned("word", 0.5, 12.6)], ax)
    assert texts(ax) == ["0.5×", "12.6×"]
    assert ax.get_xlabel() == "Ratio [times as much]"
    assert ax.get_xlim()[1] > 12.6


def test_all_panels_of_a_tornado_hold_the_longest_bar():
    sheet = gallery.draw("tornado_large")
    assert all(ax.get_xlim()[0] < 0.1 and ax.get_xlim()[1] > 2.6 for ax in sheet.axes if ax.axison)


def test_the_largest_effects_are_kept_in_order():
    rows = [turned(f"n{i:02}", 1 + i / 100, 1.0) for i in range(30)]
    sheet = plots.tornado_figure({"attention": {"time": rows}}, title="t", sides=("less", "more"))
    kept = [label.split()[0] for label in ticks(sheet.axes[0].yaxis)]
    assert kept == [f"n{i:02}" for i in range(30 - MOST, 30)]
    assert sheet.axes[0].get_title(loc="left") == "attention, 10 smaller effects left out"
    assert sheet.get_suptitle() == "t\nLargest change: n29, less: +29 % time"


def test_a_case_that_nothing_moves_says_so():
    titles = [ax.get_title(loc="left") for ax in gallery.draw("tornado_large").axes]
    assert "nothing: no number changes anything" in titles


def test_a_ratio_below_nothing_is_refused(ax):
    with pytest.raises(plots.PlotError, match="clock: want low above 0, found -1"):
        plots.plot_tornado([turned("clock", -1.0, 1.0)], ax)
