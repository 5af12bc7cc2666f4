"""Wrapped 64-bit products: when they happen and what they add."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall import hw_models
from einfall.einsum_cascades import library
from einfall.scenarios.overflow import overflow_j, wrapped
from einfall.sim.accounting import ARTIFACT
from einfall.sim.choice import mapping_for

CASES = [  # cascade, machine, mapping
    ("attention_1pass", "fusemax_cloud", "fusemax"),
    ("attention_1pass", "fusemax_cloud", "plus_architecture"),
    ("attention_1pass", "flat_cloud", "plus_cascade"),
    ("attention_3pass", "flat_cloud", "unfused"),
    ("attention_3pass", "flat_cloud", "flat"),
]


@given(st.integers(1, 2**50), st.integers(0, 40))
def test_nothing_is_forgotten_below_64_bits_and_never_more_than_there_is(elements, bits):
    tile = 2**bits
    if elements * tile < 2**64:
        assert wrapped(elements, tile) == 0
    assert 0 <= wrapped(elements, tile) <= elements


def test_a_product_of_exactly_64_bits_is_forgotten_whole():
    assert wrapped(2**44, 2**20) == 2**44
    assert wrapped(2**44 - 1, 2**20) == 0


def excess(cascade, machine, mapping, heads, length):
    what, chip = library.load(cascade), hw_models.load(machine)
    shape = {"batch": 64, "heads": heads, "queries": length, "head_dim": 64}
    chosen = mapping_for(what, shape, chip, name=mapping, accounting=ARTIFACT)
    return overflow_j(what, shape, chip, chosen)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[2])
def test_short_sequences_do_not_overflow(case):
    assert excess(*case, heads=16, length=2**14) == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[2])
def test_a_million_tokens_overflow_everywhere(case):
    assert excess(*case, heads=8, length=2**20) > 0


def test_softmax_wraps_at_the_first_power_of_two_of_its_product():
    # SN: U·S = B·H·M·P·M; with 64·16 heads and 2^18 keys this is 2^(10 + 36 + 18) = 2^64.
    case = ("attention_3pass", "flat_cloud", "flat")
    assert excess(*case, heads=16, length=2**18) > 0
    assert excess(*case, heads=8, length=2**18) == 0


def test_linear_layers_do_not_overflow():
    what, chip = library.load("linear_layers"), hw_models.load("fusemax_cloud")
    shape = {"tokens": 2**26, "model_dim": 768, "heads": 12, "head_dim": 64, "ffn_dim": 3072}
    mapping = mapping_for(what, shape, chip, name="auto", accounting=ARTIFACT)
    assert overflow_j(what, shape, chip, mapping) == 0
