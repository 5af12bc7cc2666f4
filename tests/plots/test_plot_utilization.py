import pytest
from made_up_results import EINSUMS, row, table

from einfall import plots


def test_einsums_stack_up_to_the_utilization_of_the_array(ax):
    found = plots.utilization_table(table(("T5",), ("1K", "4K")))
    plots.plot_utilization(found, ax)
    tops = {}
    for bar in ax.patches:
        middle = round(bar.get_x() + bar.get_width() / 2)
        tops[middle] = max(tops.get(middle, 0.0), bar.get_y() + bar.get_height())
    wanted = [0.08, *(sum(parts.values()) for parts in EINSUMS.values())]
    assert [tops[3 * i] for i in range(5)] == pytest.approx(wanted)
    assert len(ax.lines) == 5 * 2  # a mark for the 1D array at each bar


def test_the_whole_array_stands_in_only_where_einsums_are_not_told_apart():
    found = plots.utilization_table(table(("T5",), ("1K",)))
    whole = [r["config"] for r in found if r["einsum"] == "all Einsums" and r["array"] == "2d"]
    assert whole == ["unfused"]
    assert [r["config"] for r in found if r["array"] == "1d"] == ["unfused", *EINSUMS]


def test_figure_of_four_models_and_six_lengths():
    models, lengths = ("BERT", "TrXL", "T5", "XLM"), ("1K", "4K", "16K", "64K", "256K", "1M")
    sheet = plots.utilization_figure(plots.utilization_table(table(models, lengths)))
    sheet.draw_without_rendering()
    assert [ax.get_title(loc="left") for ax in sheet.axes] == list(models)
    names = [t.get_text() for t in sheet.legends[0].get_texts()]
    assert "2D: SLNV" in names
    assert "1D array" in names


def test_two_models_on_one_axis_are_refused(ax):
    with pytest.raises(plots.PlotError, match="want one model on an axis, found BERT, T5"):
        plots.plot_utilization(plots.utilization_table(table()), ax)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_fraction_outside_0_to_1_is_refused(share):
    rows = [row("flat", "T5", "1K", "util_2d", share)]
    with pytest.raises(plots.PlotError, match="flat T5 1K util_2d: want a fraction"):
        plots.utilization_table(rows)


def test_rows_without_utilization_are_refused():
    rows = [r for r in table() if r["metric"] == "latency"]
    with pytest.raises(plots.PlotError, match="util_1d, util_2d or util_2d_einsum_"):
        plots.utilization_table(rows)
