"""Decode, one key, one head, primes: everything is finite, positive and grows with the work."""

import os
import subprocess
import sys
from itertools import pairwise
from math import isfinite
from pathlib import Path

import pytest
from random_questions import ATTENTION, BASES, CASCADES, MAPPINGS, ask, small_machine

from einfall.hw_models import load
from einfall.sim import events

DECODE = {"batch": 2, "heads": 8, "kv_heads": 2, "queries": 1, "keys": 1031, "head_dim": 16}
ONE = {"batch": 1, "heads": 1, "queries": 1, "keys": 1, "head_dim": 1}
ONE_KEY = {"batch": 1, "heads": 3, "queries": 37, "keys": 1, "head_dim": 7, "value_dim": 5}
PRIMES = {"batch": 3, "heads": 7, "kv_heads": 7, "queries": 131, "keys": 257, "head_dim": 13,
          "value_dim": 11}  # fmt: skip
SHAPES = {"decode": DECODE, "one of each": ONE, "one key": ONE_KEY, "primes": PRIMES}


def fitting(cascade, shape):
    """The shape without keys that the cascade lacks; keys follow queries there."""
    keys = {rank.shape_key for rank in cascade.ranks}
    return {key: size for key, size in shape.items() if key in keys}


def assert_sane(estimated):
    numbers = [estimated.latency_s, estimated.energy_j, *estimated.traffic_bytes.values()]
    assert all(isfinite(x) and x > 0 for x in numbers)
    others = [*estimated.busy_s.values(), *estimated.counts.values(),
              *(line.energy_j for line in estimated.breakdown)]  # fmt: skip
    assert all(isfinite(x) and x >= 0 for x in others)
    assert all(0 <= x <= 1 + 1e-9 for x in estimated.utilization.values())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cascade", ATTENTION, ids=lambda c: c.name)
@pytest.mark.parametrize("base", ["fusemax_cloud", "flat_cloud", "tpu_v2_like"])
def test_answers_are_finite_and_positive(base, cascade, shape):
    for machine in (load(base), small_machine(base, 4)):
        estimated = ask(cascade, fitting(cascade, SHAPES[shape]), machine)
        assert_sane(estimated)
        simulated = events.simulate(estimated.pipeline).timing.latency_s
        assert isfinite(simulated)
        assert simulated >= max(estimated.busy_s.values()) * (1 - 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mapping", "cascade"), MAPPINGS)
def test_published_mappings_take_any_length(mapping, cascade, shape):
    assert_sane(ask(cascade, SHAPES[shape], load(BASES[mapping]), mapping))


@pytest.mark.parametrize("cascade", CASCADES, ids=lambda c: c.name)
def test_the_smallest_shape_of_all(cascade):
    keys = dict.fromkeys(rank.shape_key for rank in cascade.ranks if rank.shape_key)
    assert_sane(ask(cascade, dict.fromkeys(keys, 1), load("fusemax_cloud")))


@pytest.mark.parametrize("key", ["batch", "keys", "queries", "heads"])
@pytest.mark.parametrize(("mapping", "cascade"), MAPPINGS)
def test_more_work_takes_more(mapping, cascade, key):
    machine = small_machine(BASES[mapping], 4, buffer__capacity=64e3)
    sizes = [1, 2, 3, 5, 8, 13, 31, 32, 33, 61]
    shapes = [DECODE | {"kv_heads": 1, "heads": 1, "keys": 37, key: size} for size in sizes]
    answers = [ask(cascade, shape, machine, mapping) for shape in shapes]
    for less, more in pairwise(answers):
        assert more.latency_s >= less.latency_s * (1 - 1e-9)
        assert more.energy_j > less.energy_j
        assert more.traffic_bytes["dram"] > less.traffic_bytes["dram"]


def test_decode_on_shared_keys_reads_them_once():
    # 2 sequences of 1031 keys for 2 heads of K and V, 16 wide each, 2 bytes a word.
    estimated = ask("attention_1pass", DECODE, load("fusemax_cloud"), "fusemax")
    keys_and_values = 2 * 2 * 1031 * (16 + 16) * 2
    queries_and_outputs = 2 * 8 * (16 + 16) * 2
    assert estimated.traffic_bytes["dram"] == keys_and_values + queries_and_outputs


SAME_TWICE = """
from random_questions import library, mapping_for, small_machine
machine = small_machine("fusemax_cloud", 4, buffer__capacity=1000)
shape = {"rows": 12, "inner": 12, "cols": 12}
print(mapping_for(library.load("matmul"), shape, machine, name="auto").model_dump_json())
"""


def test_the_mapping_does_not_depend_on_the_order_of_sets():
    # Python orders sets of texts by a hash that differs between runs unless it is fixed.
    here = str(Path(__file__).parent)
    answers = {
        subprocess.run(
            [sys.executable, "-c", SAME_TWICE],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": here},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }  # fmt: skip
    assert len(answers) == 1
