"""`report`: any verb as a page, the same answer as on the command line, and its mistakes."""

import json
import re
import shlex

import pytest

from einfall.report.page import data_of
from einfall.verbs import VERBS

ARRAY = "--on fusemax_cloud --shape heads=2,queries=2048,head_dim=64"
GPU = "--on h100_sxm --shape batch=2,heads=4,queries=1K,head_dim=128"
CONV = "channels=8,filters=8,height=32,width=32,kernel_height=3,kernel_width=3"
ASKED = {
    "array": f"estimate attention_1pass {ARRAY} --simulate",
    "gpu": f"estimate attention_1pass {GPU}",
    "optical": f"estimate conv2d --on optical_4f_dmd --shape batch=1,{CONV}",
    "ladder": f"ladder attention_1pass --against attention_3pass {ARRAY} --set dram.bandwidth=2x",
    "use case": "ladder sequence_32k",
    "analyze": "analyze attention_2pass",
    "bounds": "bounds --input 32x32 --window 8x8",
    "strides": "bounds --input 32x32 --window 8x8 --sweep-strides",
    "validate": "validate h100_unseen",
    "published": "validate gna",
    "what if": "whatif attention_1pass --on h100_sxm --set hbm.bandwidth=0.1x --tornado 20% "
    "--shape batch=4,heads=32,queries=4K,head_dim=64",
    "what binds is no unit": f"whatif attention_1pass {GPU} --set launch.latency=2x",
    "show": "show machines h100_sxm",
}
LARGEST_BYTES = 1_000_000


PAGES = {}


@pytest.fixture
def reported(ask, tmp_path):
    """The page of a command, made once, and what the command line told of it."""

    def run(command):
        if command not in PAGES:
            code, told, err = ask("report", *shlex.split(command), "--out", "page.html")
            assert (code, told.startswith("page.html: ")) == (0, True), err
            PAGES[command] = (tmp_path / "page.html").read_text(encoding="utf-8"), err
        return PAGES[command]

    return run


@pytest.mark.parametrize("command", ASKED.values(), ids=ASKED)
def test_a_page_holds_what_its_command_answers(command, reported, answer):
    html, _ = reported(command)
    explains = command.startswith(("estimate", "whatif"))
    asked = f"{command} --explain" if explains else command
    assert f"<code>einfall {asked}</code>" in html
    assert data_of(html) == answer(*shlex.split(asked))
    assert len(html.encode()) < LARGEST_BYTES
    assert not re.search(r"(src|href)=.http|url\(.?http|/(tmp|home|root)/", html)
    assert ("<svg" in html) == (command.split()[0] != "show")
    assert html.count("<svg") == html.count("Data of figure") / 3  # region, caption, summary


FIGURES = {
    "array": ["Time by unit", "Energy by component", "Roofline", "Timeline"],
    "gpu": ["Time by unit", "Energy by component", "Roofline"],
    "published": ["Predicted against measured time"],
    "what if": ["Time before and after", "Tornado"],
    "what binds is no unit": ["Time before and after"],
}


@pytest.mark.parametrize("command", FIGURES)
def test_pages_have_the_figures_of_their_verb(command, reported):
    html, _ = reported(ASKED[command])
    assert re.findall(r"Figure \d+: ([^<]+)<", html) == FIGURES[command]


def test_a_search_draws_what_it_found(ask, tmp_path):
    shape = "heads=8,queries=1K,head_dim=64"
    words = ("search", "attention_1pass", "--on", "h100_sxm", "--shape", shape)
    assert ask("report", *words, "--out", "page.html")[0] == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Figure 1: Time against energy<" in html


def test_the_page_of_a_change_has_its_terms_and_those_that_changed(reported):
    html, _ = reported(ASKED["what if"])
    explained = data_of(html)["explain"]
    assert f"{len(explained['changed'])} terms that changed" in html
    assert f"{len(explained['after']['terms'])} terms<" in html
    assert f"{len(explained['after']['constants'])} constants used in this answer" in html


def test_a_scenario_has_its_figures(ask, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from einfall import scenarios
    from einfall.plots import figure
    from einfall.scenarios.findings import Findings

    rows = [{"batch": 1, "time_s": 2e-3}]
    told = SimpleNamespace(kind="quick", name="quick", about="asks", source="us")
    found = Findings(told, {"results": rows}, ["Nothing."], draw=lambda f: [("t", figure(), rows)])
    monkeypatch.setattr(scenarios, "ready", lambda name: lambda **others: found)
    assert ask("report", "run", "fatnet", "--out", "page.html")[0] == 0
    html = (tmp_path / "page.html").read_text()
    assert data_of(html) == found.record()
    assert "<svg" in html
    assert "Tables: results" in html


def test_constants_of_an_answer(reported):
    html, _ = reported(ASKED["gpu"])
    assert "constants used in this answer" in html
    assert "NVIDIA H100 white paper" in html
    html, _ = reported(ASKED["ladder"])
    assert "constants of the machine" in html
    assert "800 GiB/s" in html


def test_out_before_the_verb_and_as_one_word(ask, tmp_path):
    assert ask("report", "--out", "a.html", *shlex.split(ASKED["analyze"]))[0] == 0
    assert ask("report", *shlex.split(ASKED["analyze"]), "--out=new/b.html")[0] == 0
    assert (tmp_path / "a.html").read_text() == (tmp_path / "new" / "b.html").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "new"]


def test_json_tells_of_the_page(answer, tmp_path):
    told = answer("report", *shlex.split(ASKED["analyze"]), "--out", "a.html")
    assert told["file"] == "a.html"
    assert told["bytes"] == (tmp_path / "a.html").stat().st_size
    assert told["command"] == f"einfall {ASKED['analyze']}"


def test_notes_are_told_and_written(reported):
    html, err = reported(ASKED["bounds"])
    assert "none given, those of NATTEN" in err
    assert "none given, those of NATTEN" in html


def test_no_is_an_answer_with_a_page(ask, tmp_path):
    words = shlex.split(f"{ARRAY} --set buffer.capacity=1KiB --mapping fusemax")
    code, out, err = ask("estimate", "attention_1pass", *words, "--json")
    assert (code, json.loads(out)["fits"]) == (1, False)
    page = tmp_path / "no.html"
    code, _, told = ask("report", "estimate", "attention_1pass", *words, "--out", page)
    assert (code, told) == (1, err)
    assert data_of(page.read_text()) == json.loads(out)


def test_a_hostile_file_name_is_text(ask, tmp_path):
    folder = tmp_path / "private"
    folder.mkdir()
    cascade = folder / '"><img src=x onerror=alert(1)>.cascade'
    cascade.write_text(
        "cascade evil\nranks I rows\ninput A[i], B[i]\noutput Z\n\nZ[i] = A[i] * B[i]\n"
    )
    code, _, err = ask("report", "analyze", cascade, "--out", "page.html")
    assert code == 0, err
    html = (tmp_path / "page.html").read_text()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert "private" not in html


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "--out: wanted the path of the page, found none; add --out page.html"),
        ("--out a.html", "wanted VERB, found none"),
        ("analyze attention_1pass --out a.txt", "wanted a file that ends in .html or .htm"),
        ("analyze attention_1pass --out", "--out: wanted the path of a file, found none"),
        ("analyze attention_1pass --out /dev/null/a.html", "wanted a folder to write"),
        ("run fatnet --out a --out b.html", "--out: wanted once, found 'a' and 'b.html'"),
        ("report analyze attention_1pass --out a.html", "found report twice; write it once"),
        ("analize attention_1pass --out a.html", "did you mean analyze?"),
        ("analyze attention_1pas --out a.html", "attention_1pas"),
        ("analyze attention_1pass --no --out a.html", "--no: wanted an option of einfall analyze"),
    ],
)
def test_mistakes(ask, tmp_path, words, told):
    code, out, err = ask("report", *shlex.split(words))
    assert (code, out) == (2, "")
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_at_once(ask):
    code, _, err = ask("report", "estimate", "attention_1pas", "--on", "h1000", "--out", "a.txt")
    assert code == 2
    for told in ("--out: wanted", "attention_1pas", "h1000"):
        assert told in err


def test_a_verb_without_a_record_has_no_page(ask, monkeypatch, tmp_path):
    from dataclasses import replace

    from einfall.verbs.answers import Answer

    silent = replace(VERBS["show"], answer=lambda args, mistakes: Answer({}, lambda: "text"))
    monkeypatch.setitem(VERBS, "show", silent)
    code, _, err = ask("report", "show", "machines", "--out", "a.html")
    assert code == 2
    assert "wanted a verb with a record, found show; einfall show prints its answer" in err
    assert list(tmp_path.iterdir()) == []


def test_help_of_the_other_verb(ask):
    code, out, _ = ask("report", "bounds", "--help")
    assert code == 0
    assert "--sweep-strides" in out
