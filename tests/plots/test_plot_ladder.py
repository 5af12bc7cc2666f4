from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from einfall import plots
from einfall.plots import style
from einfall.plots.records import LADDERS, RUNGS

HUNYUAN = (
    ("Operation count", 11.111, "attended pairs", "bound"),
    ("Total-tile bound", 5.245, "whole tiles", "bound"),
    ("Worst-tile bound", 3.273, "worst query tile", "bound"),
    ("Simulated", 3.22, "pipeline fill", "simulated"),
    ("Measured, kernel only", 3.2, "unexplained", "measured"),
)


def ladder(*rungs):
    return [dict(zip(RUNGS, rung, strict=True)) for rung in rungs]


def climb(*speedups):
    return ladder(*((f"rung {i}", s, f"limit {i}", "bound") for i, s in enumerate(speedups)))


def side_by_side(*rows):
    return [dict(zip(LADDERS, row, strict=True)) for row in rows]


def use_cases(gpus=("B200", "H100"), factor=1.0):
    return side_by_side(
        *(
            (case, gpu, name, factor**i * top / (1 + i), kind)
            for gpu in gpus
            for case, top in (("HunyuanVideo", 11.1), ("FLUX", 10.2))
            for i, (name, kind) in enumerate(
                (
                    ("FLOP bound", "bound"),
                    ("worst-tile bound", "bound"),
                    ("kernel only", "measured"),
                    ("with memory operations", "measured"),
                )
            )
        )
    )


def texts(ax):
    return [text.get_text() for text in ax.texts]


def boxes(ax):
    """Left and right end of each bar, and its fill."""
    return [
        (bar.get_x(), bar.get_x() + bar.get_width(), to_hex(bar.get_facecolor()))
        for bar in ax.patches
    ]


def test_each_loss_is_named_and_the_largest_one_stands_out(ax):
    plots.plot_ladder(ladder(*HUNYUAN), ax)
    assert texts(ax) == [
        "11.1×", "attended pairs",
        "5.25×", "whole tiles: −53 %",
        "3.27×", "worst query tile: −38 %",
        "3.22×", "pipeline fill: −2 %",
        "3.2×", "unexplained: −0.6 %",
    ]  # fmt: skip
    bold = [text.get_text() for text in ax.texts[1::2] if text.get_fontweight() == "bold"]
    assert bold == ["whole tiles: −53 %"]
    assert [text.get_text() for text in ax.get_yticklabels()] == [rung[0] for rung in HUNYUAN]
    assert ax.get_title(loc="left") == "11.1× → 3.2×; most is lost at: whole tiles (−53 %)"


@settings(max_examples=30)
@given(st.lists(st.floats(0.8, 100.0), min_size=2, max_size=9, unique_by=lambda x: round(x, 1)))
def test_boxes_span_what_is_lost_or_gained(speedups):
    ax = plots.figure(6, 4).subplots()
    plots.plot_ladder(climb(*speedups), ax)
    drawn = boxes(ax)
    ends = [round(right, 6) for _, right, fill in drawn if fill == style.BLUE]
    assert ends == pytest.approx(speedups, abs=1e-5)
    for before, after in pairwise(speedups):
        low, high = sorted((before, after))
        if high / low > 1.001:
            assert any(abs(a - low) < 1e-6 and abs(b - high) < 1e-6 for a, b, _ in drawn)
    largest = [(a, b) for a, b, fill in drawn if fill == style.VERMILION]
    kept = [b / a for a, b in pairwise(speedups)]
    assert len(largest) == (min(kept) < 1 - 5e-4)
    if largest:
        assert largest[0][0] / largest[0][1] == pytest.approx(min(kept))


def test_the_axis_is_logarithmic_from_a_decade_on_and_has_no_gain_in_it(ax):
    plots.plot_ladder(climb(9.9, 1.1), ax)
    assert (ax.get_xscale(), ax.get_xlim()[0]) == ("linear", 0)
    ax.clear()
    plots.plot_ladder(climb(100.0, 0.8), ax)
    assert ax.get_xscale() == "log"
    assert ax.get_xlim()[0] < 0.8
    ax.clear()
    plots.plot_ladder(climb(0.9, 0.8), ax)
    assert ax.get_xlim()[1] >= 1


def test_a_measurement_above_its_bound_is_a_gain(ax):
    plots.plot_ladder(climb(3.0, 3.6), ax)
    assert texts(ax)[-1] == "limit 1: +20 %"
    assert "lost at" not in ax.get_title(loc="left")
    assert not [fill for *_, fill in boxes(ax) if fill == style.VERMILION]


def test_equal_rungs_lose_nothing(ax):
    plots.plot_ladder(climb(16.0, 16.0), ax)
    assert texts(ax) == ["16×", "limit 0", "16×", "limit 1: no loss"]
    assert ax.get_title(loc="left") == "Nothing is lost: 16× of 16×"


def test_the_figure_shows_in_its_legend_what_it_draws():
    sheet = plots.ladder_figure(ladder(*HUNYUAN), title="HunyuanVideo on B200")
    sheet.draw_without_rendering()
    legend = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert legend == ["bound", "simulated", "measured", "loss", "largest loss", "no gain (1×)"]
    assert sheet.get_suptitle().startswith("HunyuanVideo on B200\n11.1× → 3.2×")
    gain = plots.ladder_figure(climb(3.0, 3.6))
    assert [t.get_text() for t in gain.legends[0].get_texts()] == ["bound", "gain", "no gain (1×)"]


@pytest.mark.parametrize("rungs", [1, 3, 9])
def test_nothing_is_cut_off_with_long_names_and_limits(rungs):
    name, limit = "bound of the exponential unit of the multiprocessor", "softmax on few lanes " * 3
    table = ladder(*((f"{name} {i}", 100 / 2**i, limit, "bound") for i in range(rungs)))
    sheet = plots.ladder_figure(table, title="a long title of a ladder " * 6)
    sheet.draw_without_rendering()
    page = sheet.bbox
    for text in (*sheet.axes[0].texts, *sheet.axes[0].get_yticklabels(), *sheet.texts):
        box = text.get_window_extent()
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1, text.get_text()
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1, text.get_text()
    names = [label.get_window_extent() for label in sheet.axes[0].get_yticklabels()]
    assert not [1 for upper, lower in pairwise(names) if lower.y1 > upper.y0]


def test_ladders_stand_in_groups_by_gpu_and_case(ax):
    table = use_cases()
    plots.plot_ladders(table, ax)
    middles = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    assert middles == sorted(middles)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([r["speedup"] for r in table])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["HunyuanVideo", "FLUX"] * 2
    assert [t.get_text() for t in ax.child_axes[0].get_xticklabels()] == ["B200", "H100"]
    looks = {(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in ax.patches}
    assert len(looks) == 4


def test_a_case_without_a_measurement_keeps_the_places_of_the_others(ax):
    table = use_cases(gpus=("B200",))
    plots.plot_ladders([row for i, row in enumerate(table) if i != 2], ax)
    xs = [bar.get_x() for bar in ax.patches]
    assert xs[1] + 2 * ax.patches[0].get_width() == pytest.approx(xs[2])
    assert ax.get_title(loc="left") == "B200"


@pytest.mark.parametrize(("factor", "scale"), [(1.0, "linear"), (0.3, "log")])
def test_panels_of_gpus_have_the_same_axis(factor, scale):
    table = use_cases(factor=factor)
    table[0] = {**table[0], "speedup": 20.0 if scale == "log" else 11.5}
    sheet = plots.ladders_figure(table, title="Bounds and measurements")
    sheet.draw_without_rendering()
    assert [ax.get_title(loc="left") for ax in sheet.axes] == ["B200", "H100"]
    assert [ax.get_yscale() for ax in sheet.axes] == [scale] * 2
    assert len({ax.get_ylim() for ax in sheet.axes}) == 1
    legend = sheet.legends[0]
    assert len(legend.get_texts()) == 5
    box = legend.get_window_extent()
    assert sheet.bbox.x0 <= box.x0 <= box.x1 <= sheet.bbox.x1


def test_what_is_drawn_can_be_saved(tmp_path):
    table = ladder(*HUNYUAN)
    paths = plots.save(plots.ladder_figure(table), tmp_path / "ladder", table, {})
    assert paths[2].read_text().splitlines()[0] == "name,speedup,limit,kind"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speedup": 0}, "ladder: Simulated: want speedup above 0, found 0"),
        ({"speedup": None}, "name 'Simulated'.*want a number in speedup, found None"),
        ({"kind": "guessed"}, "Simulated: want a kind of bound, simulated, measured, found 'guess"),
    ],
)
def test_wrong_rungs_are_refused(ax, change, message):
    rungs = ladder(*HUNYUAN)
    rungs[3] = {**rungs[3], **change}
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_ladder(rungs, ax)


def test_missing_columns_empty_tables_and_double_rungs_are_refused(ax):
    with pytest.raises(plots.PlotError, match=r"want the columns name, .*lacking: limit \(row 1\)"):
        plots.plot_ladder([{"name": "a", "speedup": 2.0, "kind": "bound"}], ax)
    with pytest.raises(plots.PlotError, match="ladder: want at least one"):
        plots.plot_ladder([], ax)
    table = use_cases()
    with pytest.raises(plots.PlotError, match="once, found twice: B200 HunyuanVideo FLOP bound"):
        plots.plot_ladders([*table, table[0]], ax)


def test_records_may_come_in_any_order_of_cases():
    table = use_cases()
    by_rung = sorted(table, key=lambda row: [r["name"] for r in table].index(row["name"]))
    drawn = []
    for rows in (table, by_rung):
        ax = plots.figure(6, 3).subplots()
        plots.plot_ladders(rows, ax)
        drawn.append(sorted((bar.get_x(), bar.get_height()) for bar in ax.patches))
    assert drawn[0] == drawn[1]
