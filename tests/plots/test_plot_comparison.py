import csv
from importlib.resources import files

import pytest
from made_up_results import SECONDS, row, table

from einfall import plots

PUBLISHED = files("einfall.validate") / "data" / "fusemax_published.csv"


def heights(ax):
    return [round(bar.get_height(), 6) for c in ax.containers for bar in c.patches]


@pytest.mark.parametrize("reference", ["flat", "unfused"])
def test_speedup_is_the_latency_of_the_reference_over_the_latency(reference):
    found = plots.speedups(table(), kernel="attention", reference=reference)
    assert len(found) == 2 * 3 * 4
    for record in found:
        assert record["speedup"] == SECONDS[reference] / SECONDS[record["config"]]
        assert record["config"] != reference


def test_energy_ratio_is_the_energy_over_that_of_the_reference():
    found = plots.energy_ratios(table(), kernel="attention")
    assert {r["config"]: r["energy_ratio"] for r in found} == {
        "unfused": 2.0,
        "plus_cascade": 8 / 6,
        "plus_architecture": 0.5,
        "plus_binding_fusemax": 1 / 6,
    }


def test_bars_start_at_the_reference_and_end_in_the_mean(ax):
    rows = table(models=("BERT",), lengths=("1K", "4K"))
    rows[0] = {**rows[0], "value": "24.0"}  # unfused, 1K: a quarter of the speed of FLAT
    found = plots.speedups(rows, kernel="attention")
    assert plots.plot_speedups(found, ax) is ax
    assert heights(ax)[:3] == [0.25 - 1, 0.5 - 1, 0.375 - 1]
    assert heights(ax)[-1] == 6 - 1
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1K", "4K", "mean"]
    assert [t.get_text() for t in ax.texts] == ["0.38", "0.75", "2.00", "6.00"]
    assert ax.get_yscale() == "log"


def test_groups_go_by_length_not_by_alphabet_or_order(ax):
    found = plots.energy_ratios(table(("T5",), ("1M", "512", "16K", "4K")), kernel="attention")
    plots.plot_energy_ratios(found, ax)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["512", "4K", "16K", "1M", "mean"]


def test_several_models_on_one_axis_are_named(ax):
    plots.plot_speedups(plots.speedups(table(), kernel="attention"), ax)
    assert [t.get_text() for t in ax.get_xticklabels()][3] == "1K\nT5"


@pytest.mark.parametrize("models", [1, 2, 3, 4])
def test_figures_have_a_panel_for_each_model_and_the_means_in_the_legend(models):
    names = ["BERT", "TrXL", "T5", "XLM"][:models]
    rows = table(names, ("1K", "4K", "16K", "64K", "256K", "1M"))
    sheet = plots.speedup_figure(plots.speedups(rows, kernel="attention"))
    sheet.draw_without_rendering()
    shown = [ax.get_title(loc="left") for ax in sheet.axes if ax.axison]
    assert shown == names
    assert [t.get_text() for t in sheet.legends[0].get_texts()] == [
        "Unfused, mean 0.50",
        "+Cascade, mean 0.75",
        "+Architecture, mean 2.00",
        "+Binding (FuseMax), mean 6.00",
    ]
    plots.energy_figure(plots.energy_ratios(rows, kernel="attention")).draw_without_rendering()


def test_an_unknown_configuration_is_drawn_last_under_its_own_name(ax):
    rows = table(("T5",), ("1K",))
    rows.insert(0, row("mine", "T5", "1K", "latency", 2.0))
    plots.plot_speedups(plots.speedups(rows, kernel="attention"), ax)
    assert ax.containers[-1].get_label() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [], "want rows with kernel 'attention', metric 'latency', found 0 rows"),
        (lambda rows: [r for r in rows if r["metric"] != "latency"], "metric: energy, util"),
        (lambda rows: [r for r in rows if r["config"] != "flat"], "lacking: BERT 1K; the configs"),
        (lambda rows: [{**r, "value": "?"} for r in rows], r"seq_len '1K'.*want a number in value"),
        (lambda rows: [{**r, "value": "0"} for r in rows], "flat BERT 1K: want a value above 0"),
        (lambda rows: [{"kernel": "attention"}], r"lacking: config \(row 1\), model"),
        (lambda rows: [{**r, "seq_len": "long"} for r in rows], "seq_len: want a number"),
    ],
)
def test_wrong_rows_are_refused_with_what_was_wanted_and_found(change, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.speedup_figure(plots.speedups(change(table(("BERT",), ("1K",))), kernel="attention"))


def test_an_empty_table_is_refused(ax):
    with pytest.raises(plots.PlotError, match="speedups: want at least one"):
        plots.plot_speedups([], ax)


def test_published_results_can_be_drawn():
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    found = csv.DictReader(line for line in lines if not line.startswith("#"))
    rows = [{**row, "pe_dim": "", "unit": ""} for row in found]
    for reference in ("flat", "unfused"):
        found = plots.speedups(rows, kernel="attention", reference=reference)
        plots.speedup_figure(found).draw_without_rendering()
    plots.utilization_figure(plots.utilization_table(rows)).draw_without_rendering()
