"""Shapes: text, defaults, what is refused, tiles, and arrays in place of numbers."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.einsum_cascades.language import parse
from einfall.einsum_cascades.library import load, names
from einfall.einsum_cascades.shapes import DEFAULT_TILE, ShapeError, parse_shape, rank_sizes

ATTENTION = {"queries": 512, "head_dim": 64}


def problems(shape, cascade="attention_1pass", tiles=None):
    with pytest.raises(ShapeError) as caught:
        rank_sizes(load(cascade), shape, tiles)
    return "\n".join(caught.value.problems)


def test_the_shape_of_the_command_line():
    text = "batch=4,heads=32,kv_heads=8,queries=4096,keys=4096,head_dim=128,value_dim=128"
    assert parse_shape(text) == {
        "batch": 4,
        "heads": 32,
        "kv_heads": 8,
        "queries": 4096,
        "keys": 4096,
        "head_dim": 128,
        "value_dim": 128,
    }


def test_suffixes_are_powers_of_two():
    assert parse_shape("queries=16K, keys=1M,rows=2k") == {
        "queries": 16384,
        "keys": 1048576,
        "rows": 2048,
    }


@pytest.mark.parametrize("value", ["0", "-4", "1.5", "4096q", "", "K", "٣", "1e3", "16KK"])
def test_sizes_that_are_no_positive_whole_numbers_are_refused(value):
    with pytest.raises(ShapeError) as caught:
        parse_shape(f"queries={value}")
    assert str(caught.value) == (
        f"shape: queries: wanted a positive whole number such as 4096 or 16K, found {value!r}"
    )


def test_all_problems_of_a_text_come_at_once():
    with pytest.raises(ShapeError) as caught:
        parse_shape("queries=x,heads,heads=2,=3,keys=0")
    assert caught.value.problems == (
        "queries: wanted a positive whole number such as 4096 or 16K, found 'x'",
        "wanted key=size such as queries=4096, found 'heads'",
        "heads: wanted once, found again in 'heads=2'",
        "wanted key=size such as queries=4096, found '=3'",
        "keys: wanted a positive whole number such as 4096 or 16K, found '0'",
    )


def test_defaults_follow_from_what_is_given():
    sizes = rank_sizes(load("attention_1pass"), ATTENTION | {"heads": 8})
    assert [sizes[rank] for rank in "BHGPMEF"] == [1, 8, 8, 512, 512, 64, 64]


def test_defaults_of_layers_follow_from_attention():
    shape = {"batch": 4, "heads": 8, "queries": 512, "head_dim": 64}
    sizes = rank_sizes(load("linear_layers"), shape)
    assert sizes["N"] == 4 * 512
    assert sizes["D"] == 8 * 64
    assert sizes["S"] == 4 * 8 * 64


def test_a_given_size_beats_its_default():
    assert rank_sizes(load("attention_1pass"), ATTENTION | {"keys": 100})["M"] == 100
    assert rank_sizes(load("mlp"), {"tokens": 6, "model_dim": 5, "ffn_dim": 7})["S"] == 7


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("attention")])
def test_one_shape_serves_all_attention(name):
    """Keys that only repeat what the others say are taken too."""
    shape = parse_shape("batch=2,heads=4,kv_heads=4,queries=64,keys=64,head_dim=8,value_dim=8")
    sizes = rank_sizes(load(name), shape)
    assert set(sizes) == {r.symbol for r in load(name).ranks} | set(load(name).parent)
    layers = rank_sizes(load("linear_layers"), shape)
    assert (layers["N"], layers["D"], layers["S"]) == (128, 32, 128)


def test_missing_sizes_are_all_named():
    assert problems({}) == (
        "queries: wanted a size for rank P, found none; add queries=…\n"
        "keys: wanted a size for rank M, found none; add keys=… or queries\n"
        "head_dim: wanted a size for rank E, found none; add head_dim=…\n"
        "value_dim: wanted a size for rank F, found none; add value_dim=… or head_dim"
    )


def test_a_foreign_key_gets_the_closest_one():
    assert problems(ATTENTION | {"querys": 3}) == (
        "querys: wanted a key of cascade attention_1pass, found none of this name; "
        "did you mean queries?"
    )
    assert "its keys are batch, heads, kv_heads" in problems(ATTENTION | {"zzz": 3})


def test_keys_are_refused_where_they_say_something_that_does_not_hold():
    """The causal recurrence has one rank for queries and keys, so there cannot be more keys."""
    cascade = load("linear_attention_causal")
    assert rank_sizes(cascade, ATTENTION | {"keys": 512})["P"] == 512
    assert "keys: wanted a key" in problems(ATTENTION | {"keys": 256}, "linear_attention_causal")
    assert "kv_heads: wanted a key" in problems({"tokens": 4, "model_dim": 2, "kv_heads": 2}, "mlp")


def test_a_given_size_agrees_with_what_it_could_be_made_from():
    cascade = load("mlp")
    shape = {"tokens": 8, "model_dim": 6, "batch": 2, "queries": 4}
    assert rank_sizes(cascade, shape)["N"] == 8
    assert "queries: wanted a key" in problems(shape | {"queries": 5}, "mlp")


def test_groups_divide_their_rank():
    shape = ATTENTION | {"heads": 32, "kv_heads": 5}
    assert problems(shape) == "kv_heads: wanted a divisor of heads = 32, found 5"


@pytest.mark.parametrize(
    "bad",
    [0, -1, 1.5, float("nan"), float("inf"), True, "4", None, np.array([4, 0]), np.array(["a"])],
)
def test_bad_sizes_are_refused(bad):
    assert "queries: wanted a positive whole number" in problems(ATTENTION | {"queries": bad})
    assert "tile of M: wanted a positive" in problems(ATTENTION, tiles={"M": bad})


def test_a_bad_size_makes_no_further_problems():
    shape = ATTENTION | {"heads": 0, "kv_heads": 8}
    assert problems(shape).splitlines() == [
        "heads: wanted a positive whole number such as 4096 or 16K, found 0"
    ]


def test_problems_of_all_kinds_come_at_once():
    found = problems({"queries": 0, "hedas": 2}, tiles={"P": 4, "M": 0}).splitlines()
    assert [line.split(":")[0] for line in found] == [
        "queries",
        "tile of M",
        "hedas",
        "tile of P",
        "head_dim",
        "value_dim",
    ]


def test_tiles_are_ragged_and_no_larger_than_the_rank():
    cascade = load("attention_1pass")
    sizes = rank_sizes(cascade, ATTENTION | {"keys": 1000}, {"M": 300})
    assert (sizes["M1"], sizes["M0"]) == (4, 300)
    sizes = rank_sizes(cascade, ATTENTION | {"keys": 100})
    assert (sizes["M1"], sizes["M0"]) == (1, 100)
    sizes = rank_sizes(cascade, ATTENTION | {"keys": DEFAULT_TILE + 1})
    assert (sizes["M1"], sizes["M0"]) == (2, DEFAULT_TILE)


def test_two_ranks_may_share_a_word():
    sizes = rank_sizes(load("encoder_layer"), ATTENTION)
    assert sizes["P"] == sizes["M"] == 512


@given(
    st.lists(st.tuples(*[st.integers(1, 2**40)] * 2), min_size=1, max_size=5), st.integers(1, 512)
)
def test_arrays_give_what_their_elements_give(pairs, tile):
    cascade = load("attention_1pass")
    keys, queries = (np.array(column) for column in zip(*pairs, strict=True))
    arrays = rank_sizes(cascade, {"keys": keys, "queries": queries, "head_dim": 64}, {"M": tile})
    for i, (k, q) in enumerate(pairs):
        single = rank_sizes(cascade, {"keys": k, "queries": q, "head_dim": 64}, {"M": tile})
        for rank, size in single.items():
            assert isinstance(size, int)
            assert np.broadcast_to(arrays[rank], len(pairs))[i] == size


def test_small_integer_arrays_do_not_wrap_around():
    sizes = rank_sizes(
        load("attention_1pass"), {"queries": np.array([30000], np.int16), "head_dim": 64}
    )
    assert (sizes["P"] * sizes["M"]).tolist() == [900_000_000]


def test_numpy_scalars_are_plain_numbers():
    sizes = rank_sizes(load("attention_1pass"), {"queries": np.int8(100), "head_dim": 64.0})
    assert {type(size) for size in sizes.values()} == {int}


def test_whatever_is_parsed_is_a_shape():
    cascade = parse("cascade copy\nranks N rows\ninput X[n]\nY[n] = X[n] * 1")
    assert rank_sizes(cascade, parse_shape("rows=2K")) == {"N": 2048}


def test_importing_shapes_does_not_import_numpy():
    code = "import sys, einfall.einsum_cascades.shapes; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
