import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from einfall import plots
from einfall.plots import style
from einfall.plots.validation import FAMILIES, MOST_GROUPS, family


def row(measured, error=0.0, kernel="triton_flash", machine="h100_sxm"):
    predicted = None if measured is None else measured * (1 + error)
    return {
        "kernel": kernel,
        "machine": machine,
        "predicted_ms": predicted,
        "measured_ms": measured,
    }


def timings(groups=3, each=4):
    return [
        row(10.0**k / (1 + g), error=0.02 * g, kernel=f"kernel {g}")
        for g in range(groups)
        for k in range(each + groups - g)
    ]


def dots(ax):
    """The points of each group by its label."""
    return {c.get_label(): c.get_offsets().tolist() for c in ax.collections if ":" in c.get_label()}


def legend(sheet):
    found = sheet.legends[0] if sheet.legends else sheet.axes[0].get_legend()
    return [text.get_text() for text in found.get_texts()]


def inside(sheet):
    """Refuse texts and legends that leave the page."""
    sheet.draw_without_rendering()
    legends = [*sheet.legends, *(ax.get_legend() for ax in sheet.axes if ax.get_legend())]
    for part in (*legends, *sheet.texts, *(ax.xaxis.label for ax in sheet.axes)):
        box = part.get_window_extent()
        assert sheet.bbox.x0 - 1 <= box.x0 <= box.x1 <= sheet.bbox.x1 + 1, part
        assert sheet.bbox.y0 - 1 <= box.y0 <= box.y1 <= sheet.bbox.y1 + 1, part


def test_points_stand_at_what_is_measured_and_predicted(ax):
    plots.plot_predicted_measured([row(1.0, 0.1), row(100.0, -0.3), row(2.0, 0.5, "matmul")], ax)
    assert dots(ax) == {
        "Triton: 20 %, n 2": [[1.0, pytest.approx(1.1)], [100.0, pytest.approx(70.0)]],
        "matmul: 50 %, n 1": [[2.0, 3.0]],
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlim() == ax.get_ylim()
    ends = ax.get_xlim()
    factors = [[y / x for x, y in zip(ends, line.get_ydata(), strict=True)] for line in ax.lines]
    assert factors == [[1, 1], pytest.approx([1.1, 1.1]), pytest.approx([0.9, 0.9])]
    assert ax.get_xlabel() == "Measured time [ms]"


def test_energies_are_compared_as_times_are(ax):
    energies = [
        {"kernel": "copy", "machine": "h200", "predicted_mj": 9.0, "measured_mj": 10.0},
        {"kernel": "idle", "machine": "h200", "predicted_mj": None, "measured_mj": None},
    ]
    plots.plot_predicted_measured(energies, ax, quantity="energy", by="machine")
    assert dots(ax) == {"H200: 10 %, n 1": [[10.0, 9.0]]}
    assert ax.get_ylabel() == "Predicted energy [mJ]"


@pytest.mark.parametrize("groups", [1, MOST_GROUPS, MOST_GROUPS + 5])
def test_the_largest_groups_have_a_look_and_the_rest_share_one(groups, ax):
    table = timings(groups)
    plots.plot_predicted_measured(table, ax, by="kernel")
    found = dots(ax)
    assert len(found) == min(groups, MOST_GROUPS)
    assert sum(map(len, found.values())) == len(table)
    sizes = [len(at) for name, at in found.items() if not name.startswith("other")]
    assert sizes == sorted(sizes, reverse=True)
    assert any(name.startswith("other") for name in found) == (groups > MOST_GROUPS)
    looks = {to_hex(c.get_facecolor()[0]) for c in ax.collections}
    assert len(looks) == len(found)
    assert style.YELLOW not in looks


@pytest.mark.parametrize(
    ("kernel", "wanted"),
    [
        ("FlashAttention-3 (FlashInfer)", "FlashAttention-3"),
        ("FlashInfer trtllm-gen decode", "FlashInfer"),
        ("PyTorch SDPA FlashAttention-2", "FlashAttention-2"),
        ("sdpa_flash", "FlashAttention-2"),
        ("sdpa_cudnn", "cuDNN"),
        ("trtllm-gen FMHA", "trtllm-gen"),
        ("TRT-LLM FMHA", "TensorRT-LLM"),
        ("FFPA Triton", "FFPA"),
        ("flex_na2d", "FlexAttention"),
        ("cutlass-fna", "NATTEN"),
        ("softmax", "softmax"),
    ],
)
def test_kernels_have_a_family(kernel, wanted):
    assert family(kernel) == wanted
    assert wanted == kernel or wanted in FAMILIES


def test_the_title_counts_what_is_drawn_and_what_is_not():
    table = [row(1.0, 0.1), row(2.0, -0.3), row(None), {**row(3.0), "predicted_ms": ""}]
    sheet = plots.predicted_measured_figure(table, title="H100")
    inside(sheet)
    assert sheet.get_suptitle() == "H100: mean |error| 20 %, n 2 (2 of 4 rows lack a number)"
    assert legend(sheet) == ["Triton: 20 %, n 2", "predicted = measured", "±10 %"]


def test_errors_beyond_the_axis_are_arrows_and_counted():
    table = [row(1.0, 0.1), row(10.0, -0.7), row(100.0, 0.6), row(50.0, 0.5)]
    sheet = plots.error_by_size_figure(table)
    inside(sheet)
    ax = sheet.axes[0]
    assert [x for x, _ in dots(ax)["Triton: 47.5 %, n 4"]] == [1.0, 50.0]
    edges = [c.get_offsets().tolist() for c in ax.collections if ":" not in c.get_label()]
    assert [[x for x, _ in edge] for edge in edges if edge] == [[100.0], [10.0]]
    low, high = ax.get_ylim()
    assert all(low < y < high and abs(y) > 50 for edge in edges for _, y in edge)
    assert legend(sheet)[-2:] == ["above +50 %: 1", "below −50 %: 1"]
    assert ax.get_yscale() == "linear"
    wide = plots.error_by_size_figure(table, clip=0.8)
    assert not [text for text in legend(wide) if "above" in text or "below" in text]


def test_bands_hold_eight_in_ten_of_a_decade():
    bands = plots.error_bands([row(1.0, e / 100) for e in range(11)] + [row(1000.0, 0.3)] * 4)
    # Windows up to half a decade away see the eleven points; the four at 1000 are too few.
    assert [b["measured_ms"] for b in bands] == pytest.approx([1.0, 10**0.25, 10**0.5])
    found = [bands[0][name] for name in ("n", "p10", "median", "p90")]
    assert found == pytest.approx([11, 0.01, 0.05, 0.09])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(1e-3, 1e4), st.floats(-0.9, 3.0)), min_size=1, max_size=60))
def test_bands_are_in_order_and_see_no_more_points_than_there_are(points):
    for band in plots.error_bands([row(measured, error) for measured, error in points]):
        assert band["p10"] <= band["median"] <= band["p90"]
        assert 5 <= band["n"] <= len(points)


def test_few_points_have_no_band(ax):
    assert plots.error_bands([row(1.0)] * 4) == []
    plots.plot_error_by_size([row(1.0)], ax)
    assert [label.get_text() for label in ax.get_yticklabels() if label.get_text() == "0"]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_machines_stand_side_by_side_on_the_same_axes(count):
    machines = ("h100_sxm", "h200", "b200", "a100_sxm")[:count]
    table = [
        row(10.0 ** (k / 3 + i), 0.1 * i, f"kernel {j}", name)
        for i, name in enumerate(machines)
        for j in range(i, 12)
        for k in range(3)
    ]
    extra = row(1e9, machine="l40s")
    sheet = plots.validation_figure([*table, extra], machines=machines, by="kernel", title="All")
    inside(sheet)
    assert len(sheet.axes) == 2 * count
    assert len({ax.get_xlim() for ax in sheet.axes}) == 1
    assert sheet.axes[0].get_xlim()[1] < 1e6
    assert sheet.axes[0].get_title(loc="left") == "H100 SXM\n0 %, n 36"
    colours = {}
    for ax in sheet.axes[:count]:
        for dot in ax.collections:
            name = dot.get_label().split(":")[0]
            look = to_hex(dot.get_facecolor()[0])
            assert colours.setdefault(name, look) == look
    assert len(legend(sheet)) == MOST_GROUPS + 4
    assert sheet.get_suptitle().startswith("All: mean |error|")


def test_four_thousand_points_have_small_dots_and_are_a_picture_in_an_svg(ax):
    plots.plot_predicted_measured([row(1 + i / 10, 0.05) for i in range(4000)], ax)
    few = plots.plot_predicted_measured([row(1.0)], plots.figure().subplots())
    assert ax.collections[0].get_sizes()[0] < few.collections[0].get_sizes()[0]
    assert ax.collections[0].get_rasterized()


def test_what_is_drawn_can_be_saved(tmp_path):
    table = timings()
    paths = plots.save(plots.predicted_measured_figure(table), tmp_path / "truth", table, {})
    assert paths[2].read_text().splitlines()[0] == "kernel,machine,predicted_ms,measured_ms"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "validation: want at least one"),
        ([{"kernel": "a", "measured_ms": 1.0}], r"lacking: machine \(row 1\), predicted_ms"),
        ([row(None)] * 3, "want a row with both predicted_ms and measured_ms, found none in 3"),
        ([row(1.0), row(-2.0)], "triton_flash on h100_sxm: want measured_ms above 0|predicted_ms"),
        ([{**row(1.0), "measured_ms": "soon"}], "'triton_flash on h100_sxm'.*found 'soon'"),
        ([{**row(1.0), "predicted_ms": float("inf")}], "want a number in predicted_ms, found inf"),
    ],
)
def test_wrong_tables_are_refused(ax, table, message):
    for draw in (plots.plot_predicted_measured, plots.plot_error_by_size):
        with pytest.raises(plots.PlotError, match=message):
            draw(table, ax)


def test_unknown_groups_machines_and_clips_are_refused(ax):
    with pytest.raises(plots.PlotError, match=r"lacking: gpu \(row 2\)"):
        plots.plot_predicted_measured([row(1.0), row(2.0)], ax, by="gpu")
    with pytest.raises(plots.PlotError, match="want a clip above 0, found 0"):
        plots.plot_error_by_size([row(1.0)], ax, clip=0)
    with pytest.raises(plots.PlotError, match="of each machine, none: h200, b200, a100_sxm"):
        plots.validation_figure([row(1.0), row(None, machine="h200")])
    with pytest.raises(plots.PlotError, match="no machine is asked for"):
        plots.validation_figure([row(1.0)], machines=())
