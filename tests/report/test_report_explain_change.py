"""Terms before and after: what changed is marked, on both sides and on one."""

import pytest

from einfall.hw_models.constants import Constant
from einfall.hw_models.yaml_door import Source
from einfall.report.explain import Explanation, Term
from einfall.report.explain_change import ExplainedChange, changes_record

DATASHEET = Source("datasheet", "its data sheet")


def term(of, name, value, equation="bytes / rate"):
    return Term(of, name, equation, f"8 / {8 / value:g}", value, "s", ("rate",))


def explained(rate, *terms):
    return Explanation(terms, {"rate": Constant("rate", rate, "B/s", DATASHEET)})


BEFORE = explained(4.0, term("QK", "busy", 2.0), term("QK", "busy", 4.0), term("QK", "spill", 1.0))
AFTER = explained(8.0, term("QK", "busy", 2.0), term("QK", "busy", 1.0), term("AV", "busy", 1.0))
CHANGE = ExplainedChange("a", BEFORE, AFTER)


def test_terms_of_one_name_are_paired_in_their_order():
    found = [(pair.now.of, pair.now.name, pair.mark) for pair in CHANGE.pairs]
    assert found == [
        ("QK", "busy", " "), ("QK", "busy", "*"), ("AV", "busy", "+"), ("QK", "spill", "-"),
    ]  # fmt: skip


def test_only_what_changed_has_both_sides_in_the_text():
    lines = CHANGE.text().splitlines()
    assert lines[0].startswith("a: every term before and after (* changed")
    assert lines[2:8] == [
        "QK",
        "  busy = bytes / rate",
        "    = 8 / 4 = 2 s",
        "* busy = bytes / rate",
        "    before = 8 / 2 = 4 s",
        "    after  = 8 / 8 = 1 s",
    ]
    assert "- spill = bytes / rate" in lines
    assert "+ busy = bytes / rate" in lines
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert ["* rate", " 4 B/s → 8 B/s", " datasheet", " its data sheet"] in cells


def test_another_equation_is_a_change_and_stands_on_both_sides():
    other = explained(4.0, term("QK", "busy", 2.0, "words / rate"))
    text = ExplainedChange("a", explained(4.0, term("QK", "busy", 2.0)), other).text()
    assert "* busy\n    before = bytes / rate = 8 / 4 = 2 s\n    after  = words / rate" in text


def test_the_record_has_both_sides_and_lists_what_changed():
    record = changes_record([CHANGE, ExplainedChange("b", BEFORE, None)])
    assert [t["cascade"] for t in record["before"]["terms"]] == ["a"] * 3 + ["b"] * 3
    assert [t["value"] for t in record["after"]["terms"]] == [2.0, 1.0, 1.0]
    assert [c["text"] for c in record["after"]["constants"]] == ["8 B/s"]
    changed = [(c["of"], c["term"], c["before"], c["after"]) for c in record["changed"]]
    assert changed == [("QK", "busy", 4.0, 1.0), ("AV", "busy", None, 1.0),
                       ("QK", "spill", 1.0, None)]  # fmt: skip


@pytest.mark.parametrize("after", [None, BEFORE])
def test_without_a_change_each_term_stands_once(after):
    change = ExplainedChange("a", BEFORE, after)
    assert change.text() == f"a: every term\n\n{BEFORE.text()}"
    record = changes_record([change])
    assert record["changed"] == []
    assert (record["after"] is None) is (after is None)
