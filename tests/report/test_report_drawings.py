"""Figures of published comparisons and of searches: the records that they show."""

import pytest

from einfall.report.drawings import published_drawings
from einfall.report.search import objectives_table


def published(config, model, seq_len, published, predicted):
    return {"kernel": "attention", "metric": "latency", "config": config, "model": model,
            "seq_len": seq_len, "published": published, "predicted": predicted}  # fmt: skip


def test_fusemax_is_drawn_for_one_model_at_its_longest_length():
    rows = [published(config, model, length, 2.0, 2.5) for config in ("unfused", "fusemax")
            for model in ("BERT", "T5") for length in ("1K", "1M")]  # fmt: skip
    ((name, _, shown),) = published_drawings({"against": "fusemax", "rows": rows})
    assert name == "published_and_ours"
    assert shown == [
        {"case": config, "from": origin, "value": value}
        for config in ("unfused", "fusemax")
        for origin, value in (("published", 2.0), ("ours", 2.5))
    ]


def test_optics_is_drawn_by_machine():
    rows = [{"machine": "ideal", "simulated_bits": 6.0, "stated_bits": 5.9}]
    ((name, _, shown),) = published_drawings({"against": "optics", "rows": rows})
    assert name == "bits_of_the_output"
    assert [(row["from"], row["value"]) for row in shown] == [("simulated", 6.0), ("stated", 5.9)]


@pytest.mark.parametrize("against", ["fusemax", "gna"])
def test_without_times_there_is_no_figure(against):
    assert list(published_drawings({"against": against, "rows": []})) == []


def test_a_search_shows_each_mapping_once_the_best_first():
    best = {"origin": "search", "latency_s": 1.0, "energy_j": 2.0}
    other = {"origin": "flat", "latency_s": 3.0, "energy_j": 1.0}
    record = {"best": best, "shipped": [other], "pareto": [best, other]}
    assert [row["name"] for row in objectives_table(record)] == ["search", "flat"]
    kernel = {"kernel": "flash3", "tile": None, "latency_s": 1.0, "energy_j": 2.0}
    tiled = {**kernel, "kernel": "flash2", "tile": "128x64", "latency_s": 2.0}
    record = {"best": kernel, "candidates": [kernel, tiled], "pareto": [kernel]}
    assert [row["name"] for row in objectives_table(record)] == ["flash3", "flash2 128x64"]
