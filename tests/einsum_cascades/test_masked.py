"""Cascades with masks: computed like the plain masked formula, counted like a walk over all points.

Random cascades have every kind of projection of a mask: pairs, visits of tiles, groups of heads.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from cascade_references import sigmoid_attention, spread
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from masked_references import Listed, MaskedWalk, as_mask, listed
from random_cascades import SHAPE, cascades, sizes_of
from test_interpret import exact

from einfall.einsum_cascades import CascadeError, load, names, parse, to_text
from einfall.einsum_cascades.counts import (
    compulsory_elements,
    einsum_ops,
    elements,
    footprints,
    ops,
    points,
)
from einfall.einsum_cascades.einsum import CascadeMask
from einfall.einsum_cascades.interpret import evaluate
from einfall.einsum_cascades.masked import project, with_mask
from einfall.einsum_cascades.masks import Product
from einfall.einsum_cascades.masks.rows import visited_by_rows
from einfall.einsum_cascades.passes import analyze_passes
from einfall.einsum_cascades.shapes import ShapeError, rank_sizes
from einfall.report.analysis import analysis_record, analysis_text

SOFTMAX = [name for name in names() if name.startswith("attention_") and "sigmoid" not in name]


# What is computed ---------------------------------------------------------------------------------

SIZES = st.tuples(*(st.integers(1, n) for n in (2, 2, 3, 6, 9, 3, 3)))
"""Batch, key-value heads, query heads of each, queries, keys, width of Q·K and of V."""


def tensors(sizes, seed, scale=1.0):
    B, G, a_group, P, M, E, F = sizes
    random = np.random.default_rng(seed)
    shapes = {"Q": (B, G * a_group, P, E), "K": (B, G, M, E), "V": (B, G, M, F)}
    return {name: scale * random.normal(size=shape) for name, shape in shapes.items()}


def masked_attention(Q, K, V, mask):
    """Softmax over the attended keys, which each query has at least one of."""
    scores = np.where(mask, Q @ spread(K, Q).swapaxes(-1, -2), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ spread(V, Q)


def drawn(data, sizes, *, empty_queries):
    """A random mask for sizes, often one that differs from head to head."""
    heads = sizes[1] * sizes[2] if data.draw(st.booleans()) else None
    return data.draw(listed(sizes[3], sizes[4], heads, empty_queries=empty_queries))


@pytest.mark.parametrize("name", SOFTMAX)
def test_masked_softmax_attention_is_the_masked_formula(name):
    @settings(max_examples=60, deadline=None)
    @given(st.data(), SIZES, st.integers(1, 10), st.integers(0, 2**32))
    def check(data, sizes, tile, seed):
        mask = drawn(data, sizes, empty_queries=False)
        inputs = tensors(sizes, seed)
        cascade = with_mask(load(name), mask)
        found = evaluate(cascade, inputs, {s.rank: tile for s in cascade.splits})["AV"]
        wanted = masked_attention(*inputs.values(), mask.array)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)

    check()


@settings(max_examples=60, deadline=None)
@given(st.data(), SIZES, st.integers(0, 2**32))
def test_masked_sigmoid_attention_is_the_masked_formula(data, sizes, seed):
    mask = drawn(data, sizes, empty_queries=True)
    Q, K, V = tensors(sizes, seed).values()
    bias = np.array(-1.0)
    found = evaluate(
        with_mask(load("attention_sigmoid"), mask), {"Q": Q, "K": K, "V": V, "BIAS": bias}
    )
    weights = sigmoid_attention(Q, K, np.eye(sizes[4])[None, None].repeat(sizes[1], 1), bias)
    wanted = np.where(mask.array, weights, 0) @ spread(V, Q)
    np.testing.assert_allclose(found["AV"], wanted, rtol=1e-12, atol=1e-12)


FIRST_TILE_EMPTY = Listed(((0, 0, 0, 1, 1), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0)))
"""In tiles of two keys the first two queries begin with tiles without any of their keys."""


@pytest.mark.parametrize("name", SOFTMAX)
def test_tiles_without_an_attended_key_change_nothing(name):
    """Scores of some thousand: a tile that happened all the same would overflow or give NaN."""
    inputs = tensors((1, 1, 1, 3, 5, 4, 2), seed=1, scale=50.0)
    cascade = with_mask(load(name), FIRST_TILE_EMPTY)
    found = evaluate(cascade, inputs, {s.rank: 2 for s in cascade.splits})["AV"]
    wanted = masked_attention(*inputs.values(), FIRST_TILE_EMPTY.array)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_running_value_keeps_what_it_has_where_no_key_of_a_tile_is_attended():
    cascade = with_mask(replace(load("attention_1pass"), outputs=("RD",)), FIRST_TILE_EMPTY)
    found = evaluate(cascade, tensors((1, 1, 1, 3, 5, 4, 2), seed=1), {"M": 2})["RD"][0, 0]
    assert found[:2, 1].tolist() == [0, 0]  # the init, until key 4
    assert found[1:, 2].tolist() == [found[1, 2]] * 3  # key 0 only, then as it is


def test_the_softmax_of_a_query_without_keys_does_not_exist():
    inputs = tensors((1, 1, 1, 2, 3, 4, 2), seed=1)
    found = evaluate(with_mask(load("attention_1pass"), Listed(((0, 0, 0), (1, 1, 1)))), inputs)
    assert np.isnan(found["AV"][0, 0]).all(1).tolist() == [True, False]


def test_points_that_the_mask_leaves_out_are_nan():
    text = "cascade c\nranks P queries, M keys\ninput A[p], B[m]\nY[p,m] = A[p] + B[m]\n"
    cascade = with_mask(parse(text), Listed(((1, 0, 1), (0, 0, 1))))
    found = evaluate(cascade, {"A": np.zeros(2), "B": np.arange(3.0)})["Y"]
    np.testing.assert_array_equal(found, [[0, np.nan, 2], [np.nan, np.nan, 2]])


def test_self_attention_over_one_word_is_masked():
    """In `P queries, M queries` the first rank is that of the queries."""
    mask = Listed(tuple(map(tuple, np.tri(4, dtype=int).tolist())))
    cascade = with_mask(load("encoder_layer"), mask)
    assert (cascade.mask.queries, cascade.mask.keys) == ("P", "M")
    random = np.random.default_rng(0)
    shape = dict(zip("BHGPMDEFS", (1, 2, 1, 4, 4, 6, 3, 3, 5), strict=True))
    inputs = {a.tensor: random.normal(size=[shape[r] for r in a.ranks]) for a in cascade.inputs}
    changed = inputs | {"X": inputs["X"] + (np.arange(4) == 3)[None, :, None]}
    first, second = (evaluate(cascade, given, {"M": 3})["Y"] for given in (inputs, changed))
    np.testing.assert_allclose(first[:, :3], second[:, :3], rtol=1e-12)
    assert not np.allclose(first[:, 3], second[:, 3])


# Random cascades ----------------------------------------------------------------------------------


@st.composite
def masked_cascades(draw):
    """A random cascade with a mask over its queries and keys, where it goes over both."""
    cascade = draw(cascades())
    ranks = {rank.symbol for rank in cascade.ranks}
    assume({"P", "M"} <= ranks)
    heads = "H" if "H" in ranks else None
    per_head = SHAPE["heads"] if heads and draw(st.booleans()) else None
    mask = draw(listed(SHAPE["queries"], SHAPE["keys"], per_head))
    return replace(cascade, mask=CascadeMask("P", "M", mask, heads))


@settings(max_examples=200, deadline=None)
@given(masked_cascades(), st.integers(0, 2**32))
def test_random_masked_cascades_compute_what_a_walk_over_every_point_computes(cascade, seed):
    cascade = replace(cascade, einsums=tuple(map(exact, cascade.einsums)))
    sizes = sizes_of(cascade)
    random = np.random.default_rng(seed)
    inputs = {
        a.tensor: random.integers(-2, 3, [sizes[r] for r in a.ranks]) * 1.0 for a in cascade.inputs
    }
    found = evaluate(cascade, inputs, {s.rank: sizes[s.inner] for s in cascade.splits})
    walk = MaskedWalk(cascade, inputs, sizes)
    with np.errstate(all="ignore"):
        for name in cascade.outputs:
            wanted = np.full(found[name].shape, np.nan)
            for point in np.ndindex(wanted.shape):
                if stands(walk, name, point):
                    wanted[point] = walk.value(name, point)
            assume(np.abs(wanted[np.isfinite(wanted)]).max(initial=0) < 2**53)
            np.testing.assert_array_equal(found[name], wanted)


def stands(walk, name, point):
    """Whether an element of a tensor exists; that of a running value does at every step or none."""
    indices = walk.cascade.by_name[name].output.indices
    at = {i.rank: c for i, c in zip(indices, point, strict=True) if not i.offset}
    return walk.exists(at)


def walked(walk, ranks):
    """Every point over ranks that the mask and the edge of a ragged tile leave."""
    for values in product(*(range(walk.sizes[rank]) for rank in ranks)):
        point = dict(zip(ranks, values, strict=True))
        if walk.exists(point):
            yield point


@settings(max_examples=150, deadline=None)
@given(masked_cascades())
def test_points_ops_and_elements_are_those_of_a_walk(cascade):
    sizes = sizes_of(cascade)
    walk = MaskedWalk(cascade, {}, sizes)
    for einsum in cascade.einsums:
        space = cascade.iteration_ranks(einsum)
        found = len(list(walked(walk, space)))
        assert points(cascade, einsum, sizes) == found
        if einsum.reduce == "max":
            assert einsum_ops(cascade, einsum, sizes)["max"] == found
        written = len(list(walked(walk, einsum.output.ranks)))
        assert elements(cascade, einsum.name, sizes) == written


@settings(max_examples=150, deadline=None)
@given(masked_cascades())
def test_compulsory_elements_are_those_that_a_walk_reads(cascade):
    sizes = sizes_of(cascade)
    walk = MaskedWalk(cascade, {}, sizes)
    read = {access.tensor: set() for access in cascade.inputs}
    for einsum in cascade.einsums:
        for at in walked(walk, cascade.iteration_ranks(einsum)):
            if {"M1", "M0"} <= set(at):
                at["M"] = at["M1"] * sizes["M0"] + at["M0"]
            if "H" in at and "G" in sizes:
                at["G"] = at["H"] * sizes["G"] // sizes["H"]
            for access in einsum.operands:
                if access.tensor in read:
                    ranks = cascade.tensor_ranks[access.tensor]
                    read[access.tensor].add(tuple(at[rank] for rank in ranks))
    found = compulsory_elements(cascade, sizes)
    assert {name: found[name] for name in read} == {n: len(where) for n, where in read.items()}


@settings(max_examples=60, deadline=None)
@given(masked_cascades())
def test_a_mask_changes_no_pass(cascade):
    assert analyze_passes(cascade) == analyze_passes(replace(cascade, mask=None))


# Counts by hand -----------------------------------------------------------------------------------

SMALL = {"heads": 2, "kv_heads": 1, "queries": 4, "head_dim": 8, "value_dim": 16}
"""Causal over 4 keys has 10 pairs; in tiles of 2 its queries visit 1, 1, 2 and 2 of them."""


def small(name, mask, **shape):
    cascade = with_mask(load(name), mask)
    return cascade, rank_sizes(cascade, SMALL | shape, {s.rank: 2 for s in cascade.splits})


def test_points_of_causal_attention_by_hand():
    cascade, sizes = small("attention_1pass", "causal")
    found = {e.name: points(cascade, e, sizes) for e in cascade.einsums}
    assert found["BQK"] == 2 * 10 * 8
    assert found["LM"] == found["SLN"] == found["SLD"] == 2 * 10
    assert found["SLNV"] == 2 * 10 * 16
    assert found["RM"] == found["PRM"] == found["RD"] == 2 * 6  # visits of tiles
    assert found["RNV"] == 2 * 6 * 16
    assert found["AV"] == 2 * 4 * 16  # the mask says nothing of it


def test_ops_of_causal_attention_by_hand():
    assert ops(*small("attention_3pass", "causal")) == {
        "mac": 2 * 10 * (8 + 16),
        **dict.fromkeys(("max", "exp", "sub", "add", "div"), 2 * 10),
    }


def test_heads_that_differ_count_each_for_itself():
    mask = Listed((((1, 0), (1, 1)), ((0, 1), (0, 1))))  # 3 and 2 pairs, all keys of one group
    cascade = with_mask(load("attention_3pass"), mask)
    shape = {"heads": 2, "queries": 2, "head_dim": 8, "batch": 3}
    sizes = rank_sizes(cascade, shape | {"kv_heads": 1})
    assert points(cascade, cascade.by_name["SN"], sizes) == 3 * 5
    assert compulsory_elements(cascade, sizes)["K"] == 3 * 2 * 8
    sizes = rank_sizes(cascade, shape)  # a key-value head each: the second needs key 1 alone
    assert compulsory_elements(cascade, sizes)["K"] == 3 * 3 * 8


def test_families_of_heads_reach_the_counts():
    text = "head_windows:alpha=1+2,beta=0+0,sinks=0"
    cascade, sizes = small("attention_3pass", text)
    assert points(cascade, cascade.by_name["SN"], sizes) == 4 + 7


def test_keys_that_no_query_attends_are_not_loaded():
    cascade, sizes = small("attention_1pass", "sliding:window=3", keys=10)
    moved = compulsory_elements(cascade, sizes)
    keys = 3 + 3  # the last four queries stand at the last four keys
    assert moved == {"Q": 2 * 4 * 8, "K": keys * 8, "V": keys * 16, "AV": 2 * 4 * 16}


def test_a_bias_is_loaded_where_pairs_are_attended():
    text = "cascade c\nranks P queries, M keys\ninput A[p], B[p,m]\nY[p,m] = A[p] + B[p,m]\n"
    cascade = with_mask(parse(text), "causal")
    assert compulsory_elements(cascade, {"P": 4, "M": 4}) == {"A": 4, "B": 10, "Y": 10}


def test_an_input_that_something_reads_without_the_mask_is_loaded_whole():
    text = (
        "cascade c\nranks P queries, M keys\ninput A[p], B[m]\n"
        "Y[p,m] = A[p] + B[m]\nS[] = sum_m B[m]\n"
    )
    cascade = with_mask(parse(text), "sliding:window=1")
    assert compulsory_elements(cascade, {"P": 2, "M": 5})["B"] == 5
    assert points(cascade, cascade.by_name["S"], {"P": 2, "M": 5}) == 5


def test_a_masked_fiber_is_that_of_the_query_that_attends_most():
    cascade, sizes = small("attention_3pass", "sliding:window=3", keys=8)
    found = footprints(cascade, sizes)["SN"]
    assert (found.fiber, found.elements) == ("M", 3)
    assert found.spill_elements == 2 * 4 * 3
    cascade, sizes = small("attention_2pass", "sliding:window=3", keys=8)
    assert footprints(cascade, sizes)["LM"].elements == 2  # tiles of two keys that three touch


@settings(max_examples=60, deadline=None)
@given(st.data(), SIZES)
def test_the_longest_fiber_is_that_of_the_mask(data, sizes):
    mask = drawn(data, sizes, empty_queries=True)
    named = dict(zip(("batch", "kv_heads", "queries", "keys", "head_dim"), sizes, strict=False))
    named |= {"heads": sizes[1] * sizes[2], "queries": sizes[3], "keys": sizes[4], "head_dim": 1}
    cascade = with_mask(load("attention_3pass"), mask)
    found = footprints(cascade, rank_sizes(cascade, named))["SN"]
    assert found.elements == mask.array.sum(-1).max()


@pytest.mark.parametrize(
    ("ranks", "wanted"),
    [
        ("P", 115_200),
        ("M", 115_200),
        ("PM", 115_200 * 18 * 24 * 24),
        ("", 1),
    ],
)
def test_masks_of_many_dimensions_are_counted_dimension_by_dimension(ranks, wanted):
    mask = "gna:input=30x48x80,window=18x24x24,stride=16x8x8"
    cascade = with_mask(load("attention_3pass"), mask)
    sizes = rank_sizes(cascade, {"queries": 115_200, "head_dim": 64})
    assert project(cascade, ranks, sizes).points == wanted


def test_a_mask_of_many_dimensions_is_tiled_along_its_sequence():
    cascade = with_mask(load("attention_1pass"), "gna:input=4x6,window=3x3")
    sizes = rank_sizes(cascade, {"queries": 24, "head_dim": 4}, {"M": 5})
    dense = cascade.mask.spec.bind(24, 24).dense_array()
    tiled = np.pad(dense, ((0, 0), (0, 1))).reshape(24, 5, 5).any(2)
    assert points(cascade, cascade.by_name["RM"], sizes) == tiled.sum()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 14), st.booleans())
def test_tiles_of_single_queries_of_a_grid_are_those_of_its_pairs(data, dims, kv, at_random):
    """Of random masks along each dimension, and of windows, whose lines are often bridged."""
    axes = []
    for _ in range(dims):
        queries, keys = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
        array = data.draw(listed(queries, keys)).array[0]
        if not at_random:
            first = np.arange(queries)[:, None]
            array = abs(np.arange(keys) - first) <= data.draw(st.integers(0, 2))
        axes.append(as_mask(array))
    mask = Product(tuple(axes))
    dense = mask.dense_array()
    ends = range(0, mask.keys, kv)
    tiles = np.array([dense[:, lo : lo + kv].any(1) for lo in ends]).sum(0)
    assert visited_by_rows(mask, kv) == (tiles.sum(), tiles.max())


def test_a_mean_divides_once_an_element_that_the_mask_leaves():
    text = (
        "cascade c\nranks P queries, M keys, E head_dim\ninput A[p,e], B[m,e]\n"
        "Y[p,m] = mean_e A[p,e] * B[m,e]\n"
    )
    cascade = with_mask(parse(text), "causal")
    sizes = {"P": 4, "M": 4, "E": 8}
    assert einsum_ops(cascade, cascade.einsums[0], sizes) == {"mac": 80, "div": 10}


def test_a_dilated_mask_stays_in_place():
    cascade = with_mask(load("attention_1pass"), "gna:input=12,window=3,dilation=4")
    sizes = rank_sizes(cascade, {"queries": 12, "head_dim": 4}, {"M": 4})
    assert points(cascade, cascade.by_name["RM"], sizes) == 12 * 3


def test_arrays_as_sizes_are_refused():
    cascade = with_mask(load("attention_1pass"), "causal")
    lengths = np.array([1024, 2048])
    with pytest.raises(ShapeError, match="mask: wanted one shape at a time, found arrays as sizes"):
        rank_sizes(cascade, {"queries": lengths, "head_dim": 64})
    sizes = rank_sizes(load("attention_1pass"), {"queries": lengths, "head_dim": 64})
    with pytest.raises(ShapeError, match="sizes of P, M, M0, M1; a mask has the pairs of one"):
        points(cascade, cascade.by_name["BQK"], sizes)


# On the cascade and in its text -------------------------------------------------------------------


def test_a_mask_tells_cascades_apart():
    dense = load("attention_1pass")
    causal = with_mask(dense, "causal")
    assert causal != dense
    assert causal == with_mask(dense, "causal")
    assert (
        len({dense, causal, with_mask(dense, "causal"), with_mask(dense, "sliding:window=4")}) == 3
    )
    assert load("attention_1pass").mask is None


def test_a_mask_takes_the_place_of_another_and_dense_is_none():
    causal = with_mask(load("attention_1pass"), "causal")
    assert str(with_mask(causal, "sliding:window=4").mask.spec) == "sliding:window=4"
    assert with_mask(causal, "dense") == load("attention_1pass")


@pytest.mark.parametrize("name", [*SOFTMAX, "attention_sigmoid", "encoder_layer"])
def test_a_masked_cascade_is_printed_and_read(name):
    cascade = with_mask(load(name), "sliding:window=4K & ~(causal)")
    text = to_text(cascade)
    assert 'mask P, M "sliding:window=4096 & ~causal"\n' in text
    assert parse(text) == cascade


def test_another_rank_of_heads_is_named():
    text = to_text(load("attention_3pass")).replace("H heads", "H query_heads")
    text = text.replace("input", 'mask P, M, H "blocks:file=\\"a b.csv\\""\ninput', 1)
    cascade = parse(text)
    assert cascade.mask.heads == "H"
    assert 'mask P, M, H "' in to_text(cascade)
    assert parse(to_text(cascade)) == cascade


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("matmul", "`queries` and one rank `keys` for a mask, found N rows, D inner, S cols"),
        ("linear_attention_causal", "found B batch, H heads, G kv_heads, P queries, E head_dim"),
        ("linear_attention", "wanted an Einsum over both P and M for the mask {}, found none"),
    ],
)
def test_a_cascade_without_pairs_takes_no_mask(name, wanted):
    mask = "sliding:window=8"
    with pytest.raises(CascadeError) as error:
        with_mask(load(name), mask)
    assert wanted.format(mask) in str(error.value)
    assert str(error.value).startswith(f"{name}: wanted")
    assert with_mask(load(name), "dense") == load(name)


def test_a_mask_that_does_not_fit_the_shape_is_refused():
    cascade = with_mask(load("attention_1pass"), "gna:input=4x4,window=2x2")
    with pytest.raises(ShapeError, match=r"^shape: mask: .*16") as error:
        rank_sizes(cascade, {"queries": 15, "head_dim": 4})
    inputs = tensors((1, 1, 1, 15, 15, 4, 4), seed=0)
    with pytest.raises(CascadeError) as again:
        evaluate(cascade, inputs)
    assert again.value.problems == tuple(f"attention_1pass: {p}" for p in error.value.problems)


def test_a_mask_for_another_number_of_heads_is_refused():
    cascade = with_mask(load("attention_3pass"), Listed((((1, 1),), ((1, 1),))))
    with pytest.raises(ShapeError, match="wanted a mask for each of the 3 heads, found 2"):
        rank_sizes(cascade, {"heads": 3, "queries": 1, "keys": 2, "head_dim": 4})


# What analyze says --------------------------------------------------------------------------------


def test_the_analysis_shows_the_mask():
    cascade, sizes = small("attention_1pass", "causal")
    record = analysis_record(cascade, sizes, 2)
    assert record["mask"] == {
        "mask": "causal",
        "queries": "P",
        "keys": "M",
        "heads": 1,
        "pairs": 10,
        "density": 10 / 16,
    }
    text = analysis_text(cascade, record)
    assert "causal: 10 pairs of P and M in each head, 62.5 % of all" in " ".join(text.split())
    assert record["passes"] == analysis_record(load("attention_1pass"), None, 2)["passes"]


def test_the_analysis_without_a_shape_or_a_mask():
    cascade = with_mask(load("attention_1pass"), "causal")
    record = analysis_record(cascade, None, 2)
    assert (record["mask"]["mask"], record["mask"]["pairs"]) == ("causal", None)
    assert "Mask: causal" in analysis_text(cascade, record)
    dense = analysis_record(load("attention_1pass"), None, 2)
    assert dense["mask"] is None
    assert "ask:" not in analysis_text(load("attention_1pass"), dense)


def test_pairs_of_heads_that_differ_are_those_of_all_heads():
    cascade = with_mask(load("attention_3pass"), Listed((((1, 0),), ((1, 1),))))
    sizes = rank_sizes(cascade, {"heads": 2, "queries": 1, "keys": 2, "head_dim": 4})
    record = analysis_record(cascade, sizes, 2)
    assert [record["mask"][key] for key in ("heads", "pairs", "density")] == [2, 3, 0.75]
    assert "3 pairs of P and M in 2 heads together" in analysis_text(cascade, record)
