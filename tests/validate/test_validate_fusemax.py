"""All published rows of FuseMax against what einfall computes."""

import json
from dataclasses import replace

import pytest

from einfall.scenarios import load
from einfall.scenarios.fusemax import answers
from einfall.sim.accounting import ARTIFACT
from einfall.validate.fusemax import compare, published


@pytest.fixture(scope="module")
def ours():
    return answers(load("fusemax").model_copy(update={"pareto": None}), ARTIFACT)


@pytest.fixture(scope="module")
def comparison(ours):
    return compare(ours)


def test_every_published_row_is_reproduced(comparison):
    assert comparison.unanswered == ()
    assert [(row.key, row.error) for row in comparison.off] == []
    assert len(comparison.rows) == 660
    assert comparison.ok


def test_wider_tolerance_only_where_a_search_chose_the_tiles(comparison):
    wide = {row.key[:2] + row.key[3:4] for row in comparison.rows if row.tolerance > 1e-6}
    kernels = ("attention", "end_to_end")
    assert wide == {(kernel, "unfused", n) for kernel in kernels for n in ("256K", "1M")}
    assert all(row.why for row in comparison.rows if row.tolerance > 1e-6)


def test_overflow_lifts_flat_from_64k_and_others_from_256k(comparison):
    # Reference notes, caveat 2; registers of single elements wrap earlier, but count for nothing.
    lengths = {}
    for row in comparison.rows:
        if row.overflow > 1e-4 and row.key[0] == "attention":
            lengths.setdefault(row.key[1], set()).add(row.key[3])
    assert lengths == {
        "unfused": {"1M"},
        "flat": {"64K", "1M"},
        "plus_cascade": {"256K", "1M"},
        "plus_architecture": {"256K", "1M"},
        "plus_binding_fusemax": {"256K", "1M"},
    }


@pytest.mark.parametrize("metric", ["traffic", "latency", "energy", "util_2d_einsum_SLN"])
@pytest.mark.parametrize("by", [1 + 3e-6, float("nan"), -1])
def test_a_number_that_is_off_is_found(ours, metric, by):
    wrong = ("attention", "plus_binding_fusemax", "T5", "16K", metric)
    rows = tuple(replace(r, value=r.value * by) if r.key == wrong else r for r in ours.rows)
    found = compare(replace(ours, rows=rows))
    assert [row.key for row in found.off] == [wrong]
    assert not found.ok
    assert "off: " + " ".join(wrong) in found.text()


def test_a_row_without_an_answer_is_not_dropped(ours):
    key = ours.rows[0].key
    found = compare(replace(ours, rows=ours.rows[1:]))
    assert found.unanswered == (key,)
    assert not found.ok
    assert "no answer: " + " ".join(key) in found.text()


def test_summary_counts_every_row(comparison):
    summary = comparison.summary()
    assert sum(line["n"] for line in summary) == len(published())
    assert all(line["worst"] <= line["tolerance"] and line["off"] == 0 for line in summary)


def test_the_record_is_json(comparison):
    record = json.loads(json.dumps(comparison.record()))
    assert record["ok"]
    assert {"published", "predicted", "error", "verdict", "why"} <= set(record["rows"][0])


def test_published_data_has_its_source():
    from einfall.validate.fusemax import FILE

    head = [line for line in FILE.read_text().splitlines() if line.startswith("#")]
    assert any("MICRO 2024" in line and "f543beb" in line for line in head)
