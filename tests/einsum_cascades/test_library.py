"""One battery for all cascades of the library: they read, print, explain and compute themselves."""

import numpy as np
import pytest
from cascade_references import REFERENCES, reference
from hypothesis import example, given, settings
from hypothesis import strategies as st

from einfall.einsum_cascades import CascadeError, load, names, parse, to_text
from einfall.einsum_cascades.interpret import evaluate

ATTENTION = [name for name in names() if "attention" in name and "causal" not in name]
SOFTMAX = [name for name in names() if name.startswith("attention_") and "sigmoid" not in name]

SHAPES = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 2),
        "kv_heads": st.integers(1, 3),
        "queries_a_group": st.integers(1, 3),
        "queries": st.integers(1, 5),
        "keys": st.integers(1, 7),
        "head_dim": st.integers(1, 4),
        "value_dim": st.integers(1, 4),
        "model_dim": st.integers(2, 5),
        "ffn_dim": st.integers(1, 5),
        "tokens": st.integers(1, 4),
        "rows": st.integers(1, 4),
        "inner": st.integers(1, 4),
        "cols": st.integers(1, 4),
        "channels": st.integers(1, 3),
        "filters": st.integers(1, 3),
        "height": st.integers(1, 5),
        "width": st.integers(1, 5),
        "kernel_height": st.integers(1, 4),
        "kernel_width": st.integers(1, 4),
        "map_height": st.integers(1, 3),
        "map_width": st.integers(1, 3),
        "outputs": st.integers(1, 4),
    }
)
DECODE = {
    "batch": 2,
    "kv_heads": 2,
    "queries_a_group": 2,
    "queries": 1,
    "keys": 7,
    "head_dim": 3,
    "value_dim": 2,
    "model_dim": 4,
    "ffn_dim": 5,
    "tokens": 1,
    "rows": 1,
    "inner": 3,
    "cols": 2,
    "channels": 3,
    "filters": 2,
    "height": 5,
    "width": 4,
    "kernel_height": 3,
    "kernel_width": 2,
    "map_height": 3,
    "map_width": 2,
    "outputs": 2,
}
"""One query, grouped heads, value_dim other than head_dim, a prime number of keys, even kernels."""


def random_inputs(cascade, shape, seed, scale=1.0):
    shape = shape | {"heads": shape["kv_heads"] * shape["queries_a_group"]}
    sizes = {rank.symbol: shape[rank.shape_key] for rank in cascade.ranks}
    random = np.random.default_rng(seed)
    return {
        access.tensor: scale * random.normal(size=[sizes[rank] for rank in access.ranks])
        for access in cascade.inputs
    }


def same(cascade, inputs, tiles=None):
    found = evaluate(cascade, inputs, tiles or {})
    wanted = reference(cascade.name, inputs)
    for name, value in zip(cascade.outputs, wanted, strict=True):
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9)


def test_every_cascade_has_a_reference():
    assert set(REFERENCES) == set(names())


@pytest.mark.parametrize("name", names())
def test_computes_its_reference(name):
    cascade = load(name)

    @settings(max_examples=40, deadline=None)
    @given(SHAPES, st.integers(1, 8), st.integers(0, 2**32))
    @example(DECODE, 2, 0)
    @example(DECODE, 3, 1)
    def check(shape, tile, seed):
        tiles = {split.rank: tile for split in cascade.splits}
        same(cascade, random_inputs(cascade, shape, seed), tiles)

    check()


@pytest.mark.parametrize("name", names())
def test_prints_what_it_reads(name):
    cascade = load(name)
    assert parse(to_text(cascade)) == cascade


@pytest.mark.parametrize("name", names())
def test_says_what_it_is_and_where_it_comes_from(name):
    cascade = load(name)
    assert cascade.name == name
    assert cascade.about.endswith(".")
    assert cascade.source


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_has_grouped_queries(name):
    words = {rank.symbol: rank.shape_key for rank in load(name).ranks}
    assert words["H"] == "heads"
    assert words["G"] == "kv_heads"
    assert [(group.rank, group.outer) for group in load(name).groups] == [("H", "G")]


@pytest.mark.parametrize("name", SOFTMAX)
def test_large_scores_do_not_overflow(name):
    """Scores of some thousand: their plain exponential is infinite, the shifted one is not."""
    cascade = load(name)
    inputs = random_inputs(cascade, DECODE, seed=3, scale=50.0)
    assert (inputs["Q"] @ inputs["Q"].swapaxes(-1, -2)).max() > 1000
    same(cascade, inputs, {split.rank: 2 for split in cascade.splits})


def test_library_cascades_are_read_once():
    assert load("matmul") is load("matmul")


def test_reads_a_file(tmp_path):
    path = tmp_path / "mine.cascade"
    path.write_text(to_text(load("mlp")), encoding="utf-8")
    assert load(path) == load(str(path)) == load("mlp")


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "mine.cascade"
    path.write_text("cascade mine\noutput Y\n", encoding="utf-8")
    with pytest.raises(CascadeError, match=r"mine\.cascade:2:8: wanted a tensor that is defined"):
        load(path)


def test_an_existing_file_needs_no_ending(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text(to_text(load("mlp")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load("mine") == load("mlp")


def test_an_unknown_name_suggests_a_close_one():
    with pytest.raises(CascadeError, match=r"did you mean attention_1pass\?"):
        load("atention_1pass")


def test_a_name_unlike_any_other_lists_them_all():
    with pytest.raises(CascadeError) as error:
        load("zzz")
    assert all(name in str(error.value) for name in names())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CascadeError, match=r"none\.cascade: wanted a file to read, found: No such"):
        load(tmp_path / "none.cascade")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.cascade"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CascadeError, match=r"binary\.cascade: wanted text in UTF-8"):
        load(path)
