"""`best` in place of a mapping: what the search finds, on a GPU the fastest schedule."""

import pytest

from einfall import scenarios
from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load
from einfall.sim.accounting import ARTIFACT
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.gpu.asked import kernels_for
from einfall.sim.gpu.estimate import estimate as gpu_estimate
from einfall.sim.mapping import MappingError
from einfall.sim.search import search

SHAPE = {"heads": 2, "queries": 256, "head_dim": 64}


def test_on_an_array_it_is_what_the_search_finds():
    cascade, machine = load_cascade("attention_3pass"), load("fusemax_cloud")
    found = search(cascade, SHAPE, machine).best
    mapping = mapping_for(cascade, SHAPE, machine, name="best")
    assert estimate(cascade, SHAPE, machine, mapping).latency_s == pytest.approx(found.latency_s)


def test_the_published_accounting_has_none():
    cascade, machine = load_cascade("attention_3pass"), load("fusemax_cloud")
    with pytest.raises(MappingError, match="mapping best: is searched by what the hardware does"):
        mapping_for(cascade, SHAPE, machine, name="best", accounting=ARTIFACT)


@pytest.mark.parametrize("machine", ["h100_sxm", "b200"])
def test_on_a_gpu_no_schedule_is_faster(machine):
    cascade, gpu = load_cascade("attention_1pass"), load(machine)
    shape = {"batch": 4, "heads": 16, "queries": 2048, "head_dim": 128}
    best = gpu_estimate(cascade, shape, gpu, mapping="best")
    times = []
    for name in kernels_for(cascade.name, gpu):
        try:
            times.append(gpu_estimate(cascade, shape, gpu, mapping=name).latency_s)
        except ValueError:
            continue
    assert best.latency_s == min(times)
    assert len(times) > 3


def test_a_sweep_searches_at_every_point(tmp_path):
    path = tmp_path / "best.yaml"
    path.write_text(
        "kind: sweep\nname: best\ncascade: attention_1pass\nmachine: h100_sxm\n"
        "mapping: [best, flash2]\nshape: {heads: 16, head_dim: 64}\n"
        "axes: {queries: [512, 1K, 4K]}\nbaseline: {mapping: flash2}\n"
    )
    rows = scenarios.run(path).record()["tables"]["best"]
    assert all(row["speedup"] >= 1 for row in rows if row["mapping"] == "best")
    assert max(row["speedup"] for row in rows) > 1
