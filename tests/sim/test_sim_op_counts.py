"""Ops of an estimate against the ops that the cascade itself has, and their energy."""

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_questions import BASES, CASCADES, MAPPINGS, ask, machines, shapes, small_machine

from einfall.einsum_cascades import library
from einfall.einsum_cascades.counts import einsum_ops, ops
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.sim.mapping import DoesNotFitError
from einfall.sim.tiling import split_tiles


def op_counts(estimated):
    units = estimated.device.units
    return {
        (unit, op): n
        for (unit, op), n in estimated.counts.items()
        if unit in units and not op.startswith("register") and n
    }


def resolved(cascade, sizes, estimated):
    """Dedicated ops on each unit that the cascade needs, every Einsum once."""
    wanted = Counter()
    for einsum in cascade.einsums:
        name = estimated.mapping.binding(einsum.name).unit
        unit = estimated.device.units[name]
        kinds = einsum_ops(cascade, einsum, sizes)
        for op, n in unit.primitives_of(kinds).items():
            wanted[name, op] += n
    return dict(wanted)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_every_op_of_the_cascade_happens_once(data):
    cascade = data.draw(st.sampled_from(CASCADES))
    shape, machine = data.draw(shapes(cascade)), data.draw(machines())
    name = data.draw(st.sampled_from((None, "auto")))
    try:
        estimated = ask(cascade, shape, machine, name)
    except DoesNotFitError:
        assume(False)
    tiles = split_tiles(cascade, machine, estimated.mapping)
    wanted = resolved(cascade, rank_sizes(cascade, shape, tiles), estimated)
    assert op_counts(estimated) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("mapping", "cascade"), MAPPINGS)
def test_products_are_those_of_attention(mapping, cascade):
    # B·H·P·M·(E + F) multiply-adds for the two products, on an array that has the macs.
    machine = small_machine(BASES[mapping], 4)
    shape = {"batch": 2, "heads": 3, "queries": 21, "keys": 34, "head_dim": 8, "value_dim": 5}
    counts = op_counts(ask(cascade, shape, machine, mapping))
    products = 2 * 3 * 21 * 34 * (8 + 5)
    exps = 2 * 3 * 21 * 34 * 6 if mapping in ("fusemax", "plus_architecture") else 0
    assert counts["2d", "mac"] == pytest.approx(products + exps)


@pytest.mark.parametrize("base", ["fusemax_cloud", "flat_cloud"])
def test_energy_of_multiply_adds_is_their_number_times_the_energy_of_one(base):
    # 17.1645 pJ a 16-bit multiply-add, of Nayak et al., FuseMax, MICRO 2024, artifact.
    estimated = ask("matmul", {"rows": 600, "inner": 300, "cols": 200}, load(base))
    assert estimated.parts_j["2d.mac"] == pytest.approx(600 * 300 * 200 * 17.1645e-12)


@pytest.mark.parametrize(("mapping", "cascade"), MAPPINGS)
def test_every_energy_is_a_count_times_the_energy_of_one(mapping, cascade):
    machine = small_machine(BASES[mapping], 4)
    shape = {"queries": 21, "keys": 34, "head_dim": 8}
    estimated = ask(cascade, shape, machine, mapping)
    n, buffer, dram = estimated.counts, machine.buffer, machine.dram
    each = dram.access_energy_j / dram.access_bytes
    assert estimated.parts_j["dram.read_bytes"] == n["dram", "read_bytes"] * each
    assert estimated.parts_j["buffer.read"] == n["buffer", "read"] * buffer.read_energy_j
    assert estimated.parts_j["buffer.write"] == n["buffer", "write"] * buffer.write_energy_j
    for (unit, op), count in op_counts(estimated).items():
        energy = machine.units[unit].ops[op].energy_j
        assert estimated.parts_j[f"{unit}.{op}"] == pytest.approx(count * energy)
    assert estimated.energy_j == pytest.approx(sum(estimated.parts_j.values()))


def test_deferred_division_divides_less():
    # 10 queries: 10·70 divisions of scores against 10·4 of outputs.
    shape = {"queries": 10, "keys": 70, "head_dim": 8, "value_dim": 4}
    machine = small_machine("flat_cloud", 4)
    divisions = {
        name: op_counts(ask(name, shape, machine, "auto"))["1d", "div"]
        for name in ("attention_3pass", "attention_3pass_deferred")
    }
    assert divisions == {"attention_3pass": 700, "attention_3pass_deferred": 40}


@pytest.mark.parametrize("name", [c.name for c in CASCADES])
def test_ops_add_up_to_those_of_the_cascade(name):
    # The divisions of the four means over the 12 rows of a layer are among them.
    sizes = {
        "batch": 2, "heads": 4, "kv_heads": 2, "queries": 6, "keys": 9, "head_dim": 4,
        "value_dim": 3, "tokens": 7, "rows": 7, "inner": 5, "cols": 6, "model_dim": 8, "ffn_dim": 9,
        "map_height": 3, "map_width": 2, "outputs": 5,
    }  # fmt: skip
    cascade = library.load(name)
    keys = {rank.shape_key for rank in cascade.ranks}
    shape = {key: size for key, size in sizes.items() if key in keys}
    # Compositions taken apart would hide which op is short: all ops have units of their own.
    kinds = ops(cascade, rank_sizes(cascade, shape))
    fields = {
        f"units.{unit}.ops.{kind}": "{energy: 1 pJ}" for unit in ("1d", "2d") for kind in kinds
    }
    machine = with_overrides(small_machine("flat_cloud", 4), fields)
    estimated = ask(cascade, shape, machine, "auto")
    done = Counter()
    for (_, op), n in op_counts(estimated).items():
        done[op] += n
    wanted = ops(cascade, rank_sizes(cascade, shape, {split.rank: 4 for split in cascade.splits}))
    assert done == pytest.approx(wanted)
