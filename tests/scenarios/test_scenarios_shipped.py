"""Every sweep that ships: it asks something, and what it finds can be told and drawn."""

import math
from functools import cache
from itertools import groupby

import pytest

from einfall.scenarios.library import names, read
from einfall.scenarios.sweeps import findings

SHIPPED = names("sweep")
MOST_POINTS = 2_000
"""So that a table is worked out while one waits; more belongs into a file of one's own."""


@cache
def found(name):
    """What a scenario is, its tables and its text; each is worked out once."""
    ready = findings.planned(read(name), name)
    told = findings.run(ready, out=None, figures=False, accounting=None)
    return ready, told.record()["tables"], told.text()


def test_there_are_scenarios_for_many_questions():
    assert len(SHIPPED) >= 14


@pytest.mark.parametrize("name", SHIPPED)
def test_each_asks_one_question_and_draws_up_to_three_figures(name):
    ready, _, _ = found(name)
    assert ready.sweep.about.endswith("?")
    assert ready.grid.points < MOST_POINTS
    assert 1 <= len(ready.sweep.answers) <= 4
    assert 1 <= len(ready.sweep.figures) <= 3
    assert all(figure.title for figure in ready.sweep.figures)


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_are_whole_and_finite(name):
    _, tables, _ = found(name)
    rows = [row for row in tables[name] if row.get("cannot") is None]
    assert rows
    for row in rows:
        assert row["bound"]
        numbers = [x for x in row.values() if isinstance(x, float)]
        assert all(math.isfinite(x) and x >= 0 for x in numbers)
        assert row["latency_s"] > 0
        if "speedup" in row:
            assert row["speedup"] > 0


@pytest.mark.parametrize("name", SHIPPED)
def test_a_baseline_is_among_the_points_that_it_is_compared_with(name):
    ready, tables, _ = found(name)
    speedups = [row["speedup"] for row in tables[name] if row.get("speedup") is not None]
    assert bool(speedups) == (ready.base is not None)
    assert not speedups or 1 in [pytest.approx(x, rel=1e-12) for x in speedups]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_question_has_an_answer_that_is_a_row(name):
    _, tables, text = found(name)
    by_index = {row["index"]: row for row in tables[name]}
    for ask, records in groupby(tables["answers"], key=lambda record: record["ask"]):
        answered = [record for record in records if record["index"] is not None]
        assert answered, ask
        assert ask in text
        for record in answered:
            told = {k: v for k, v in record.items() if k not in ("ask", "index")}
            assert told.items() <= by_index[record["index"]].items()


# What is known from outside: the sign of an answer, not our own numbers ---------------------------


def _answers(name, ask):
    return [record for record in found(name)[1]["answers"] if record["ask"] == ask]


def test_exponentials_are_worth_more_where_heads_are_narrow():
    """FlashAttention-4, arXiv:2603.05451: at 128 products and exponentials take the same time."""
    worth = {
        (record["mapping"], record["head_dim"]): record["speedup"]
        for record in _answers("exponentials", "What twice the exponentials bring at 16K")
    }
    for kernel in ("flash4", "cudnn_blackwell", "trtllm_blackwell"):
        assert worth[kernel, 64] > worth[kernel, 128]


def test_one_pass_needs_no_more_buffer_for_more_keys():
    """FuseMax, MICRO 2024: the footprint of one pass does not grow with the length."""
    needed = {
        record["cascade"]: record["machine.buffer.capacity_bytes"]
        for record in _answers("million_keys", "Smallest buffer where DRAM does not bind")
    }
    assert needed["attention_1pass"] < 16 * 2**20  # what FuseMax has
    others = [bytes_ for cascade, bytes_ in needed.items() if cascade != "attention_1pass"]
    assert all(bytes_ is None or bytes_ > 64 * needed["attention_1pass"] for bytes_ in others)


def test_a_group_of_heads_divides_the_time_of_decode():
    """GQA, arXiv:2305.13245: decode waits for keys and values, of which a group reads one copy."""
    for record in _answers("grouped_decode", "Speedup of 8 key heads of 64"):
        assert 6 < record["speedup"] <= 8


def test_the_operation_count_bounds_neighbourhoods_but_for_what_dense_attention_loses():
    """GNA, arXiv:2504.16922, figure 1: 10.2 of operations, 10.5 measured on B200 at stride 16."""
    speedups = {
        (record["machine"], record["mask"].rpartition("stride=")[2]): record["speedup"]
        for record in _answers("neighbourhoods", "Speedup of 10.24, by stride")
    }
    assert speedups["b200", "16x16"] == pytest.approx(10.24, rel=0.2)
    assert all(x < 8 for (_, stride), x in speedups.items() if stride != "16x16")
