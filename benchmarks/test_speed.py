"""How long einfall itself takes. Run alone: `.venv/bin/pytest benchmarks --benchmark-enable`.

Nothing here is asserted: timings belong to a machine, not to a test.
"""

import subprocess
import sys

import numpy as np

from einfall import hw_models, scenarios
from einfall.einsum_cascades.library import load as load_cascade
from einfall.hw_models import with_overrides
from einfall.sim.estimate import estimate
from einfall.sim.mapping import load as load_mapping

SHAPE = {"batch": 64, "heads": 12, "queries": 4096, "head_dim": 64}
POINTS, CHUNK = 2**20, 2**15


def _fusemax():
    machine = hw_models.load("fusemax_cloud")
    return load_cascade("attention_1pass"), machine, load_mapping("fusemax")


def test_help(benchmark):
    benchmark(subprocess.run, [sys.executable, "-m", "einfall", "--help"], capture_output=True)


def test_one_estimate(benchmark):
    cascade, machine, mapping = _fusemax()
    benchmark(estimate, cascade, SHAPE, machine, mapping)


def test_one_simulation_of_a_thousand_keys(benchmark):
    cascade, machine, mapping = _fusemax()
    benchmark(estimate, cascade, SHAPE | {"queries": 1024}, machine, mapping, simulate=True)


def test_one_simulation_of_a_million_keys(benchmark):
    cascade, machine, mapping = _fusemax()
    benchmark(estimate, cascade, SHAPE | {"queries": 2**20}, machine, mapping, simulate=True)


def test_a_million_points_of_shape_and_machine(benchmark):
    """Latency of 2^20 points: queries, keys, batch, DRAM bandwidth and buffer capacity differ."""
    cascade, machine, mapping = _fusemax()
    draw = np.random.default_rng(seed=0)
    chunks = [
        (
            {
                "batch": draw.integers(1, 65, CHUNK),
                "heads": 12,
                "queries": draw.integers(1, 2**20, CHUNK),
                "keys": draw.integers(1, 2**20, CHUNK),
                "head_dim": 64,
            },
            with_overrides(
                machine,
                {
                    "dram.bandwidth": draw.uniform(1e11, 1e12, CHUNK),
                    "buffer.capacity": draw.integers(2**23, 2**26, CHUNK),
                },
            ),
        )
        for _ in range(POINTS // CHUNK)
    ]

    def sweep():
        return sum(estimate(cascade, s, m, mapping).latency_s.sum() for s, m in chunks)

    benchmark.pedantic(sweep, rounds=5, warmup_rounds=1)
    benchmark.extra_info["points_per_s"] = POINTS / benchmark.stats.stats.min


def test_run_fusemax_without_figures(benchmark, tmp_path):
    benchmark(scenarios.run, "fusemax", out=tmp_path, figures=False)
