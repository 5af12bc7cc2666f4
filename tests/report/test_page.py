"""Pages: well formed, self-contained, escaped; their tables, data and figures."""

import json
import re
from html.parser import HTMLParser

import pytest

from einfall.plots import figure, inline_svg, once
from einfall.report.page import MOST_JSON, Drawn, Page, data_of
from einfall.report.page_tables import MOST_ROWS, Table, columns, facts, tables
from einfall.report.text import columns as terminal_columns
from einfall.report.text import width

VOID = {"meta", "link", "br", "img"}
HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(1)>'&lt;</script><!--"""


class Parsed(HTMLParser):
    """Elements with their attributes; fails where an element is not closed in its turn."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], "all closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def text(self, tag):
        return [text for name, text in self.texts if name == tag]


def page(record, **others):
    words = {"command": "einfall ask", "wide": "title", "printed": "title"}
    return Page(record=record, **{**words, **others}).html()


def drawn():
    sheet = figure(3, 2)
    ax = sheet.subplots()
    ax.bar([0, 1], [1, 2], hatch="...", facecolor="w", edgecolor="k")
    ax.set_title("A $<$ & B")
    return sheet


# The document -------------------------------------------------------------------------------------


def test_a_page_is_well_formed_and_asks_nobody_for_anything():
    rows = [{"unit": "2d", "busy_s": 0.5}, {"unit": "1d", "busy_s": None}]
    html = page({"latency_s": 0.5, "rows": rows}, figures=[Drawn("time_by_unit", drawn(), rows)])
    found = Parsed(html)
    assert html.startswith("<!DOCTYPE html>\n<html lang")
    for _, attrs in found.elements:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith(("#", "data:"))
        assert not attrs.get("style", "").count("url(")
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert found.all("script")[0] == {"type": "application/json", "id": "record"}


def test_headings_sections_and_landmarks():
    found = Parsed(page({"latency_s": 0.5}))
    marks = {attrs["id"] for _, attrs in found.elements if "id" in attrs}
    assert {a["href"][1:] for a in found.all("a")} <= marks
    assert {s["aria-labelledby"] for s in found.all("section") if "id" in s} <= marks
    assert [len(found.all(tag)) for tag in ("h1", "main", "header", "footer", "nav")] == [1] * 5


def test_the_heads_of_a_table_sort_it():
    found = Parsed(page({"rows": [{"unit": "2d", "busy_s": 0.5}]}))
    heads = found.all("th")
    assert [head["aria-sort"] for head in heads] == ["none", "none"]
    assert all(head["scope"] == "col" for head in heads)
    assert [b for b in found.all("button") if b == {"type": "button"}] == [{"type": "button"}] * 2
    assert found.text("button") == ["unit", "busy [ms]"]
    assert found.text("caption") == ["Rows"]


def test_whatever_is_told_is_escaped():
    record = {
        HOSTILE: HOSTILE,
        "rows": [{HOSTILE: HOSTILE, "n": 1}],
        "by": {HOSTILE: 1.0},
        "notes": [HOSTILE],
        "explain": {"terms": [{"of": HOSTILE}], "constants": [constant(HOSTILE)]},
    }
    figures = [Drawn(HOSTILE, drawn(), [{HOSTILE: HOSTILE}])]
    plain = Parsed(page({"a": 1}))
    html = page(
        record,
        command=f"einfall estimate {HOSTILE}",
        wide=f"{HOSTILE}\n  {HOSTILE}\n\n{HOSTILE}\n\n  fact  {HOSTILE}",
        printed=HOSTILE,
        figures=figures,
        notes=[HOSTILE],
    )
    found = Parsed(html)
    assert len(found.all("script")) == len(plain.all("script"))
    assert found.all("img") == []
    assert not [attrs for _, attrs in found.elements if "onerror" in attrs]
    assert data_of(html) == record


def constant(text):
    shown = dict.fromkeys(("path", "text", "status", "source", "file", "line"), text)
    return {**shown, "value": 1.0, "unit": ""}


def test_constants_come_with_status_and_source():
    told = constant("x") | {"path": "dram.bandwidth", "status": "published", "source": "paper"}
    html = page({"explain": {"terms": [], "constants": [told]}})
    assert "1 constants used in this answer: 1 published." in html
    assert set(Parsed(html).text("td")) >= {"dram.bandwidth", "published", "paper"}
    assert "of the machine" in page({"a": 1}, constants=[told])


def test_the_words_of_an_answer_stand_first():
    text = "a on b\n  heads 2\n\n  latency  3 s\n  bound    1d\n\n1d is busy.\n\nWorst:\n  x: 1\n\n"
    text += "  unit   busy   part\n  1d     3 s    100 %"
    found = Parsed(page({"latency_s": 3.0, "cycles": 7}, wide=text))
    assert found.text("h1") == ["a on b"]
    assert {"heads 2", "1d is busy.", "Worst:"} <= set(found.text("p"))
    assert found.text("dt") == ["latency", "bound", "cycles"]
    assert "x: 1" in found.text("li")


# Data ---------------------------------------------------------------------------------------------


def test_the_data_is_the_record():
    record = {"name": "</script> & \u2028", "value": 0.1 + 0.2, "none": None, "rows": [{"a": [1]}]}
    assert data_of(page(record)) == record


def test_long_data_is_packed():
    rows = [{"name": f"row {i}", "value": i / 7} for i in range(MOST_JSON // 20)]
    html = page({"rows": rows})
    assert data_of(html) == {"rows": rows}
    assert len(html) < MOST_JSON
    assert json.loads(Parsed(html).text("script")[0])["encoding"] == "gzip+base64"


def test_a_file_that_is_no_page_has_no_data():
    with pytest.raises(ValueError, match="found no record"):
        data_of("<html></html>")


# Tables -------------------------------------------------------------------------------------------


def test_columns_have_units_and_numbers_that_sort():
    rows = [
        {"name": "a", "busy_s": 2e-3, "error": 0.5, "traffic_bytes": 3e9, "n": "12", "no": None},
        {"name": "b", "busy_s": 5e-3, "error": -0.1, "traffic_bytes": None, "n": "", "no": ""},
    ]
    found = columns(rows)
    heads = ["name", "busy [ms]", "error [%]", "traffic [GB]", "n"]
    assert [column.head for column in found] == heads
    assert [column.right for column in found] == [False, True, True, True, True]
    assert [column.cell(rows[0]) for column in found] == ["a", "2", "50", "3", "12"]
    assert [column.cell(rows[1]) for column in found] == ["b", "5", "-10", "", ""]


def test_mappings_of_the_same_names_become_columns():
    rows = [{"claim": "x", "ours": {"mean": 1.0}}, {"claim": "y", "ours": {"mean": 2.0}}]
    assert [column.head for column in columns(rows)] == ["claim", "ours mean"]
    rows = [{"ops": {"mac": 1}}, {"ops": {"exp": 1}}]
    assert columns(rows)[0].cell(rows[0]) == "mac 1"


def test_every_part_of_a_record_is_shown_once():
    record = {
        "latency_s": 2e-3,
        "strides": [1, 2],
        "none": None,
        "loss": {"from": "a", "part": 0.5},
        "busy_s": {"1d": 1.0},
        "summary": {"flash2": {"n": 3, "mape": 0.1}},
        "tables": {"results": [{"a": 1}], "ratios": [{"b": 2}]},
        "rows": [{"c": 3}],
        "empty": [],
    }
    names = [table.name for table in tables(record)]
    assert names == ["Busy", "Summary", "Tables: results", "Tables: ratios", "Rows"]
    told = [("latency", "2 ms"), ("strides", "1, 2"), ("loss", "from a, part 0.5")]
    assert facts(record) == told


def test_a_long_table_says_what_it_leaves_to_the_data():
    rows = [{"a": i} for i in range(MOST_ROWS + 5)]
    found = Parsed(Table("Rows", rows, ("rows",)).html())
    assert len(found.all("tr")) == MOST_ROWS + 1
    assert json.loads(found.all("table")[0]["data-path"]) == ["rows"]
    assert json.loads(found.all("table")[0]["data-columns"]) == [[["a"], 1.0, True]]
    assert "200 of 205 rows" in " ".join(found.text("p"))


def test_text_of_a_page_does_not_depend_on_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with width(10_000):
        assert terminal_columns() == 10_000
    assert terminal_columns() == 60


# Figures ------------------------------------------------------------------------------------------


def test_figures_of_a_page_do_not_share_ids_but_glyphs():
    svgs = [inline_svg(drawn(), name, "A & B") for name in ("f1", "f2")]
    html = once("".join(svgs))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)}
    assert used <= set(ids)
    assert "xmlns" not in html
    assert 'aria-label="A &amp; B"' in html
    Parsed(html)


def test_the_same_figure_gives_the_same_bytes():
    assert inline_svg(drawn(), "f1", "") == inline_svg(drawn(), "f1", "")


def test_hatches_of_dots_have_small_tiles():
    svg = inline_svg(drawn(), "f1", "")
    tile = re.search(r'<pattern[^>]*width="([\d.]+)" height="([\d.]+)">', svg)
    assert float(tile[2]) == 2 * float(tile[1]) < 20
    assert len(svg) < 20_000
