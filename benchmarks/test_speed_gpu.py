"""How long predictions of GPU kernels and counts of large masks take.

Run alone: `.venv/bin/pytest benchmarks/test_speed_gpu.py --benchmark-enable`. Nothing here is
asserted. Aimed at: a prediction in closed form under 1 ms, a simulated one under 20 ms, two
million points a second in a sweep. Each call of a single prediction has a length that no call had
before, so that nothing is found kept.
"""

from itertools import count
from typing import Any

import numpy as np
import pytest

from einfall import hw_models
from einfall.einsum_cascades.masks import Tiling, count_tiles, neighborhood
from einfall.einsum_cascades.masks.radial import radial
from einfall.sim import events
from einfall.sim.bounds import Bounds
from einfall.sim.gpu import Problem, calibration, load, predict
from einfall.sim.gpu.lowering import pipeline
from einfall.sim.gpu.sweep import latency_s

H100: Any = hw_models.load("h100_sxm")
FLASH3 = load("flash3")
FIT = calibration(FLASH3, "h100_sxm").parameters
POINTS, CHUNK = 2**20, 2**12  # a chunk's arrays stay in the caches


def fresh(benchmark, ask, *, heads, rounds=200):
    """Time a function of causal problems, each a tile longer and with heads of this test alone."""
    lengths = count(8192, 128)

    def setup():
        length = next(lengths)
        shape: dict[str, Any] = {"batch": 2, "heads": heads, "kv_heads": heads}
        return (FLASH3, H100, Problem(queries=length, keys=length, causal=True, **shape)), {}

    benchmark.pedantic(ask, setup=setup, rounds=rounds, warmup_rounds=1)


def test_one_prediction_in_closed_form(benchmark):
    fresh(benchmark, lambda *asked: predict(*asked, fit=FIT, exact=False), heads=16)


def test_one_prediction_with_blocks_listed_one_by_one(benchmark):
    fresh(benchmark, lambda *asked: predict(*asked, fit=FIT), heads=17)


def test_one_prediction_with_the_steps_of_the_last_sm_simulated(benchmark):
    fresh(benchmark, lambda *asked: events.simulate(pipeline(*asked, fit=FIT)), heads=18, rounds=50)


@pytest.mark.parametrize("causal", [False, True], ids=["dense", "causal"])
def test_a_million_shapes(benchmark, causal):
    """Latency of 2^20 points: batch, heads, queries and keys differ."""
    draw = np.random.default_rng(seed=0)
    chunks = []
    for _ in range(POINTS // CHUNK):
        heads, length = draw.integers(1, 65, CHUNK), draw.integers(1, 2**10, CHUNK) * 128
        shape: dict[str, Any] = {
            "heads": heads,
            "kv_heads": heads,
            "queries": length,
            "keys": length,
        }
        chunks.append(Problem(batch=draw.integers(1, 17, CHUNK), causal=causal, **shape))

    def sweep():
        return sum(np.sum(latency_s(FLASH3, H100, chunk, FIT)) for chunk in chunks)

    benchmark.pedantic(sweep, rounds=5, warmup_rounds=1)
    if benchmark.stats:  # none where benchmarks are off
        benchmark.extra_info["points_per_s"] = POINTS / benchmark.stats.stats.min


def test_bounds_of_a_video_of_115200_tokens(benchmark):
    def bounds():
        mask = neighborhood((30, 48, 80), (18, 24, 24), (16, 8, 8))
        return Bounds(mask, Tiling((2, 8, 8), (2, 8, 8))).record()

    benchmark(bounds)


def test_tiles_of_radial_attention_over_a_million_tokens(benchmark):
    def tiles():
        return count_tiles(radial(256, 4096, least_width=128), Tiling((128,), (128,))).visited

    benchmark(tiles)
