"""The published accounting against formulas of the published model, and against the default."""

import pytest

from einfall.einsum_cascades import library
from einfall.hw_models import load
from einfall.sim import mapping as mappings
from einfall.sim.accounting import ARTIFACT, PHYSICAL
from einfall.sim.estimate import estimate

LENGTHS = [2**n for n in range(10, 21)]
D, WORD, MIB = 256, 2, 2**20


def attention(name, head_dim, length, accounting):
    machine = load("flat_cloud" if name == "plus_cascade" else "fusemax_cloud")
    shape = {"batch": 64, "heads": 12, "queries": length, "keys": length, "head_dim": head_dim}
    cascade, mapping = library.load("attention_1pass"), mappings.load(name)
    return estimate(cascade, shape, machine, mapping, accounting=accounting)


def published_tiles(name, head_dim, length):
    """P1, query tiles of 256 rows that stay in the buffer, as the artifact sizes them.

    Nayak et al., FuseMax, MICRO 2024, artifact f543beb, with E = F: bytes of a tile of keys and
    values kv = 2·D·(E + F); bytes of a row of queries q = 2·(E + F + 2), and 2·2·D more where
    tiles of scores pass through the buffer ("+Cascade"); of the tiles Pt = P/D

        P1 = the largest divisor of Pt that is at most min(⌊(16 MiB - kv) / (q·D)⌋, Pt)
    """
    E = F = head_dim
    row = WORD * (E + F + 2 + (2 * D if name == "plus_cascade" else 0))
    room = (16 * MIB - WORD * D * (E + F)) // (row * D)
    tiles = length // D
    return max(n for n in range(1, tiles + 1) if tiles % n == 0 and n <= min(room, tiles))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("name", ["fusemax", "plus_architecture", "plus_cascade"])
def test_published_query_tiles(name, head_dim, length):
    (phase,) = attention(name, head_dim, length, ARTIFACT).pipeline.phases
    (tile,) = (loop.tile for loop in phase.nest.loops if loop.name == "p2")
    assert tile == D * published_tiles(name, head_dim, length)


def test_published_query_tiles_of_width_64():
    # At a million keys FuseMax keeps 128 tiles of queries on chip, "+Cascade" 32.
    assert published_tiles("fusemax", 64, 2**20) == 128
    assert published_tiles("plus_cascade", 64, 2**20) == 32


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("head_dim", [64, 128])
def test_published_traffic(head_dim, length):
    # 2·B·H·(P·E + P·F + P2·M·(E + F)): Q and AV once, K and V once for each tile of queries.
    outer = length // (D * published_tiles("fusemax", head_dim, length))
    words = 64 * 12 * 2 * head_dim * (length + outer * length)
    estimated = attention("fusemax", head_dim, length, ARTIFACT)
    assert estimated.traffic_bytes["dram"] == pytest.approx(WORD * words, rel=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("head_dim", [64, 128])
def test_published_latency(head_dim, length):
    # T·(2F + 10) + B·H·Pt·F cycles for E = F, or the traffic at 400 GiB/s.
    tiles = 64 * 12 * (length // D)
    cycles = tiles * (length // D) * (2 * head_dim + 10) + tiles * head_dim
    estimated = attention("fusemax", head_dim, length, ARTIFACT)
    memory_s = estimated.traffic_bytes["dram"] / (400 * 2**30)
    assert estimated.latency_s == pytest.approx(max(cycles / 940e6, memory_s), rel=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["fusemax", "plus_architecture"])
def test_all_registers_cost_more_than_one(name, length):
    physical = attention(name, 64, length, PHYSICAL)
    published = attention(name, 64, length, ARTIFACT)
    assert physical.energy_j >= published.energy_j
    assert physical.latency_s >= published.latency_s
    ops = {k: v for k, v in physical.parts_j.items() if not k.startswith(("buffer", "dram"))}
    ops = {k: v for k, v in ops.items() if "register" not in k}
    assert ops == pytest.approx({k: published.parts_j[k] for k in ops})


def test_interleaving_changes_no_energy():
    # No leakage: "+Architecture" and "+Binding" do the same work in different times.
    slow = attention("plus_architecture", 64, 4096, ARTIFACT)
    fast = attention("fusemax", 64, 4096, ARTIFACT)
    assert slow.energy_j == fast.energy_j
    assert slow.latency_s > fast.latency_s


def test_exponentials_of_plus_cascade_are_published_without_energy():
    # 94.6475 pJ an exponential: of each score, and of each row of scores for PRM.
    counted = attention("plus_cascade", 64, 1024, PHYSICAL)
    unpaid = attention("plus_cascade", 64, 1024, ARTIFACT)
    exponentials = 64 * 12 * (1024 * 1024 + 1024 * 4)
    assert counted.parts_j["1d.exp"] == pytest.approx(exponentials * 94.6475e-12)
    assert "1d.exp" not in unpaid.parts_j
