"""Python asks: the same answers as everywhere, mistakes in the words of Python, results."""

import inspect
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import einfall
from einfall import api
from einfall.report.page import data_of
from einfall.verbs import VERBS
from einfall.verbs.words import parser_of

ARRAY = {"heads": 2, "queries": 512, "head_dim": 64}
GPU = {"batch": 2, "heads": 4, "queries": "1K", "head_dim": 128}
CONV = {"batch": 1, "channels": 8, "filters": 8, "height": 32, "width": 32}
CONV |= {"kernel_height": 3, "kernel_width": 3}
ASKED = {
    "array": ("attention_1pass", "fusemax_cloud", ARRAY, None),
    "array causal": ("attention_1pass", "fusemax_cloud", ARRAY, "causal"),
    "array 3-pass": ("attention_3pass", "flat_cloud", ARRAY, None),
    "gpu": ("attention_1pass", "h100_sxm", GPU, None),
    "gpu causal": ("attention_1pass", "b200", GPU, "causal"),
    "optics": ("conv2d", "optical_4f_dmd", CONV, None),
}
HEAVY = ("numpy", "matplotlib", "pydantic", "scipy", "pandas", "torch", "einfall.api")


def estimated(name, **options):
    cascade, machine, shape, mask = ASKED[name]
    return einfall.estimate(cascade, on=machine, shape=shape, mask=mask, **options)


def words_of(name):
    cascade, machine, shape, mask = ASKED[name]
    sizes = ",".join(f"{key}={size}" for key, size in shape.items())
    masked = ["--mask", mask] if mask else []
    return ["estimate", cascade, "--on", machine, "--shape", sizes, *masked]


# The same answers everywhere ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_same_answers_from_command_line_python_and_sweep(name, answer):
    printed = answer(*words_of(name))
    found = estimated(name)
    assert found.to_dict() == printed
    cascade, machine, shape, mask = ASKED[name]
    key = "batch" if "batch" in shape else "heads"
    fixed = {k: v for k, v in shape.items() if k != key}
    text = {"kind": "sweep", "name": "one", "about": "one axis", "cascade": cascade}
    text |= {"machine": machine, "shape": fixed, "axes": {key: [shape[key]]}}
    text |= {"columns": ["latency_s", "energy_j", "bound"]} | ({"mask": mask} if mask else {})
    Path("one.yaml").write_text(json.dumps(text))
    swept = einfall.sweep("one.yaml", out="out")
    assert swept.ok, swept.why
    head, row = Path("out/one.csv").read_text().splitlines()
    point = dict(zip(head.split(","), row.split(","), strict=True))
    assert float(point["latency_s"]) == pytest.approx(printed["latency_s"], rel=1e-11)
    assert float(point["energy_j"]) == pytest.approx(printed["energy_j"], rel=1e-11)
    assert point["bound"] == printed["bound"]


def test_report_writes_the_answer_that_is_there(tmp_path):
    found = estimated("gpu")
    einfall.report(found, tmp_path / "page.html")
    assert data_of((tmp_path / "page.html").read_text(encoding="utf-8")) == found.to_dict()


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("analyze attention_2pass --tile M=128 --shape queries=1K,head_dim=64,heads=2",
         lambda: einfall.analyze("attention_2pass", tile={"M": 128},
                                 shape=dict(queries="1K", head_dim=64, heads=2))),
        ("bounds --input 32x32 --window 8x8 --q-tile 16x16 --kv-tile 16x8 --share 0.5",
         lambda: einfall.bounds(input=(32, 32), window="8x8", q_tile=(16, 16), kv_tile=[16, 8],
                                share=0.5)),
        ("ladder attention_1pass --against attention_3pass --on h100_sxm --mask causal --shape "
         "batch=2,heads=4,queries=1K,head_dim=128",
         lambda: einfall.ladder("attention_1pass", against="attention_3pass", on="h100_sxm",
                                mask="causal", shape=GPU)),
        ("whatif attention_1pass attention_1pass --on h100_sxm --set power.cap=+10% --set "
         "hbm.bandwidth=2x --shape batch=2,heads=4,queries=1K,head_dim=128",
         lambda: einfall.whatif(["attention_1pass", "attention_1pass"], on="h100_sxm",
                                set={"power.cap": "+10%", "hbm.bandwidth": "2x"}, shape=GPU)),
                ("validate gna", lambda: einfall.validate("gna")),
        ("show machines h100_sxm", lambda: einfall.show("machines", "h100_sxm")),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_each_verb_answers_as_on_the_command_line(command, asked, answer):
    assert asked().to_dict() == answer(*shlex.split(command))


@pytest.mark.parametrize("verb", [name for name in VERBS if name != "report"])
def test_a_function_has_the_options_of_its_verb(verb):
    words = {"show": ["x"], "validate": [], "bounds": []}.get(verb, ["x"])
    args = parser_of(VERBS).parse_args([verb, *words])
    options = {
        word[2:].replace("-", "_")
        for word in args.parser._option_string_actions
        if word.startswith("--") and word not in ("--help", "--json")
    }
    positional = {a.dest for a in args.parser._get_positional_actions()}
    taken = inspect.signature(getattr(api, verb)).parameters
    assert set(taken) == options | positional
    assert all(f" {name}: " in getattr(api, verb).__doc__ for name in taken)


# What is asked with -------------------------------------------------------------------------------

MINE = "base: h100_sxm\nname: mine\nhbm: {bandwidth: 6.7 TB/s}\n"


def test_objects_are_as_good_as_names():
    mine, attention = einfall.machine(MINE), einfall.cascade("attention_1pass")
    found = einfall.estimate(attention, on=mine, shape=GPU)
    named = einfall.estimate(
        "attention_1pass", on="h100_sxm", shape=GPU, set={"hbm.bandwidth": "2x"}
    )
    assert found["machine"] == "mine"
    assert found["latency_s"] == named["latency_s"]
    assert einfall.ladder(attention, against=attention, on=mine, mask="causal", shape=GPU).ok
    assert einfall.whatif(attention, on=mine, shape=GPU, set={"clock.boost": "-10%"}).rows
    assert einfall.analyze(attention)["passes"]["M"] == 1


def test_nothing_is_not_left_out():
    with pytest.raises(einfall.BadInputError, match=r"tornado: wanted a part .* found '0'"):
        einfall.whatif("attention_1pass", on="h100_sxm", shape=GPU, tornado=0)


def test_a_number_is_set_in_base_units():
    told = einfall.machine("fusemax_cloud", set={"dram.bandwidth": 5e11})
    assert told.dram.bandwidth_bytes_per_s == 5e11


def test_a_file_may_begin_with_a_dash(answer):
    text = "cascade own\nranks N rows\ninput A[n]\nB[n] = exp(A[n])\n"
    Path("-own.cascade").write_text(text)
    assert einfall.analyze(Path("-own.cascade"))["cascade"] == "own"


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: einfall.estimate("attention_1pas", on="h100_sx", trace="a.txt"),
         ["trace: wanted a file", "attention_1pas: wanted", "did you mean 'h100_sxm'",
          'shape: wanted a value, found none; add shape="heads=']),
        (lambda: einfall.estimate("attention_1pass", on="h100_sxm", shape=GPU, word="8bit",
                                  set={"hbm.x": "2x"}),
         ['set["hbm.x"]: want one of', "word: wanted none on a GPU"]),
        (lambda: einfall.whatif("attention_1pass", on="h100_sxm", shape=GPU),
         ['set: wanted a change, found none; say set={"dram.bandwidth": "2x"}']),
        (lambda: einfall.show("machine"), ["kind: wanted one of", "did you mean machines?"]),
        (lambda: einfall.validate("fuse"), ["against: wanted one of"]),
        (lambda: einfall.bounds(near_sparsity=2), ["near_sparsity: wanted with sweep_strides"]),
        (lambda: einfall.machine("base: h100_sxm\nhbm: {bandwith: 3}\n"),
         ["<text>:2: hbm.bandwith: want a known field"]),
        (lambda: einfall.cascade("cascade a\nfoo"), ["<text>:2:1: wanted a statement"]),
        (lambda: einfall.report(einfall.analyze("attention_1pass"), "page.txt"),
         ["out: wanted a file that ends in .html"]),
    ],
)  # fmt: skip
def test_all_mistakes_at_once_in_the_words_of_python(asked, told):
    with pytest.raises(ValueError, match=r"wanted|want") as caught:
        asked()
    assert isinstance(caught.value, einfall.BadInputError)
    for words in told:
        assert words in str(caught.value)
    assert "--" not in str(caught.value)


def test_no_is_an_answer(capsys):
    asked = {"set": {"buffer.capacity": "1KiB"}, "mapping": "fusemax"}
    found = estimated("array", **asked)
    assert (found.ok, found["fits"]) == (False, False)
    assert "buffer.capacity of fusemax_cloud is 1,024 B" in found.why
    assert 'set={"buffer.capacity": "2x"}' in found.why
    assert found.why in str(found)
    assert capsys.readouterr() == ("", "")
    changed = einfall.whatif("attention_1pass", on="fusemax_cloud", shape=ARRAY, **asked)
    assert not changed.ok
    assert "1,024 B" in changed.why


def test_notes_are_kept_and_not_printed(capsys):
    found = einfall.bounds(input=(32, 32), window=(8, 8))
    assert found.notes == (
        "q_tile, kv_tile: none given, those of NATTEN's Blackwell kernel: 16x16 and 16x8",
    )
    assert capsys.readouterr() == ("", "")


# Results ------------------------------------------------------------------------------------------


def test_a_result_is_a_mapping_that_nobody_can_change():
    found = estimated("array")
    found.to_dict()["breakdown"].clear()
    assert found["breakdown"] == found.rows
    assert set(found) == set(found.to_dict())
    assert len(found.rows) > 1
    with pytest.raises(AttributeError):
        found.verb = "other"
    with pytest.raises(TypeError):
        found["latency_s"] = 0


def test_results_are_equal_where_their_records_are():
    assert estimated("array") == estimated("array")
    assert estimated("array") != estimated("array causal")


@pytest.mark.parametrize(
    ("found", "columns"),
    [
        (lambda: estimated("gpu"), {"einsum", "unit", "busy_s"}),
        (lambda: einfall.ladder("attention_1pass", on="h100_sxm", shape=GPU), {"name", "speedup"}),
        (lambda: einfall.analyze("attention_1pass"), {"einsum", "over"}),
        (lambda: einfall.bounds(input=8, window=4), {"attended_pairs", "flop_speedup"}),
        (lambda: einfall.validate("gna"), {"published", "predicted"}),
        (lambda: einfall.sweep("exponentials"), {"axis", "points"}),
        (lambda: einfall.show("machines"), {"name", "about"}),
    ],
)
def test_rows(found, columns):
    assert columns <= set(found().rows[0])


def test_a_table_of_its_own_name():
    found = estimated("gpu")
    assert {row["name"] for row in found.table("traffic_bytes")} == set(found["traffic_bytes"])
    assert found.table("record")[0]["latency_s"] == found["latency_s"]
    with pytest.raises(
        einfall.BadInputError, match=r"table: wanted one of .*breakdown.*, found 'x'"
    ):
        found.table("x")


def test_data_frames_need_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"einfall\[pandas\]"):
        estimated("array").to_dataframe()


def test_a_data_frame_has_the_rows():
    pd = pytest.importorskip("pandas")
    found = estimated("array")
    frame = found.to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert frame["busy_s"].tolist() == [row["busy_s"] for row in found.rows]


def test_saved_files(ask, tmp_path):
    found = estimated("array")
    for ending in ("json", "csv", "html", "png"):
        assert found.save(f"new/a.{ending}") == Path(f"new/a.{ending}")
    assert (tmp_path / "new/a.json").read_text() == ask(*words_of("array"), "--json")[1]
    assert data_of((tmp_path / "new/a.html").read_text(encoding="utf-8")) == found.to_dict()
    assert (tmp_path / "new/a.csv").read_text().count("\n") == 1 + len(found.rows)
    assert (tmp_path / "new/a.png").read_bytes()[:4] == b"\x89PNG"
    assert list(found.figures()) == ["time_by_unit", "energy_by_component", "roofline"]
    with pytest.raises(einfall.BadInputError, match="figure: wanted one of time_by_unit"):
        found.save("a.png", figure="x")


def test_text_is_that_of_the_command_line(ask):
    assert f"{estimated('array')}\n" == ask(*words_of("array"))[1]
    assert repr(estimated("array")) == str(estimated("array"))


def test_a_notebook_shows_words_rows_and_figures_and_escapes_what_others_wrote():
    hostile = einfall.machine("base: fusemax_cloud\nname: <script>alert(1)</script>\n")
    html = einfall.estimate("attention_1pass", on=hostile, shape=ARRAY)._repr_html_()
    assert "<b>attention_1pass on &lt;script&gt;alert" in html
    assert (html.count("<table"), html.count("<svg")) == (1, 3)
    assert "<script" not in html
    assert len(html) < 150_000


def test_a_notebook_draws_figures_that_are_taken_out():
    figures = einfall.ladder("attention_1pass", on="h100_sxm", shape=GPU).figures()
    assert repr(figures) == "figures: ladder"
    assert figures._repr_html_().count("<svg") == len(figures) == 1
    assert repr(einfall.show("machines").figures()) == "figures: none"


# The package --------------------------------------------------------------------------------------


def run_python(code):
    words = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_nothing_heavy():
    code = f"import sys, einfall; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_everything_that_is_named_is_there():
    assert set(einfall.__all__) <= set(dir(einfall))
    assert all(callable(getattr(einfall, name)) for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = einfall.nothing


def test_packages_of_the_same_name_answer_calls():
    code = (
        "import einfall, inspect; found = einfall.validate('gna'); import einfall.validate.gna, "
        "einfall.report.page; print(found.ok, callable(einfall.validate), "
        "inspect.signature(einfall.report), einfall.validate.gna.__name__)"
    )
    told = "True True (found: 'Result', out: 'File') -> 'Result' einfall.validate.gna"
    assert run_python(code) == told
