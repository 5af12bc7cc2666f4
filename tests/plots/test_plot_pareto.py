import pytest
from made_up_results import row, sweep

from einfall import plots


def dominated(table):
    return [(r["model"], r["pe_dim"]) for r in table if not r["frontier"]]


def test_area_is_in_square_millimetres_and_machines_go_by_size():
    found = plots.pareto_table(sweep(edges=(64, 16)))
    assert [(r["model"], r["pe_dim"], r["area_mm2"], r["latency_s"]) for r in found] == [
        ("BERT", 16, 256.0, 16.0),
        ("BERT", 64, 4096.0, 1.0),
        ("T5", 16, 256.0, 8.0),
        ("T5", 64, 4096.0, 0.5),
    ]
    assert dominated(found) == []


def test_a_larger_and_slower_machine_is_dominated_in_its_own_model_only(ax):
    rows = sweep()
    rows[5] = {**rows[5], "value": 5.0}  # BERT at 256: slower than BERT at 64, which takes 1 s
    found = plots.pareto_table(rows)
    assert dominated(found) == [("BERT", 256)]
    plots.plot_machines(found, ax)
    assert sorted(int(t.get_text()) for t in ax.texts) == [16, 64, 256]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["BERT", "T5", "dominated"]
    assert len(ax.lines[0].get_xdata()) == 2  # the frontier of BERT
    assert {line.get_drawstyle() for line in ax.lines[:2]} == {"steps-post"}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_equal_machines_do_not_dominate_each_other():
    place = {"kernel": "pareto", "pe_dim": "16"}
    rows = [
        row("fusemax", model, "256K", metric, 4.0, unit=unit, **place)
        for model in ("BERT", "T5")
        for metric, unit in (("area", "mm^2"), ("latency", "s"))
    ]
    assert dominated(plots.pareto_table(rows)) == []


def test_an_area_without_a_model_is_that_of_every_model():
    rows = sweep(edges=(16,), models=("BERT",))
    rows[0] = {**rows[0], "model": ""}
    assert plots.pareto_table(rows)[0]["area_mm2"] == 256.0


def test_axes_of_close_values_stay_linear(ax):
    plots.plot_machines(plots.pareto_table(sweep(edges=(16, 32), models=("T5",))), ax)
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "want an area and a latency each, lacking: BERT 16"),
        (lambda rows: [*rows[:1], *rows[2:]], "lacking: BERT 16"),
        (lambda rows: [{**rows[0], "unit": "acre"}, *rows[1:]], "want a unit of .*found 'acre'"),
        (lambda rows: [{**r, "pe_dim": ""} for r in rows], "want a number in pe_dim, found ''"),
        (lambda rows: [], "found 0 rows"),
    ],
)
def test_wrong_rows_are_refused(change, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.pareto_table(change(sweep()))
