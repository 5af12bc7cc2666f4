"""Which Einsums are correlations, of how many multiply-adds, and which tensors are weights."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_questions import shapes

from einfall.einsum_cascades import library, parse
from einfall.einsum_cascades.counts import einsum_ops
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.sim.optical.forms import correlation, is_weight

PRODUCTS = {
    "matmul": {"Y"},
    "mlp": {"HID", "Y"},
    "linear_layers": {"Q", "K", "V", "O", "FFN1", "FFN2"},
    "encoder_layer": {"Q", "K", "V", "BQK", "SLNV", "O", "HID", "FFN"},
    "attention_3pass": {"QK", "AV"},
    "attention_3pass_deferred": {"QK", "SNV"},
    "attention_2pass": {"BQK", "SD", "AV"},
    "attention_1pass": {"BQK", "SLNV"},
    "attention_sigmoid": {"QK", "AV"},
    "linear_attention": {"KV", "NUM", "DEN"},
    "linear_attention_causal": set(),  # its products belong to a running sum
}
"""Sums of products of two tensors, and nothing else."""


def found(cascade, sizes, side):
    """Correlations by name."""
    forms = {e.name: correlation(cascade, e, sizes, side) for e in cascade.einsums}
    return {name: c for name, c in forms.items() if c is not None}


@pytest.mark.parametrize("name", PRODUCTS)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_multiply_adds_are_those_of_the_einsum_and_what_fills_the_rectangle(name, data):
    cascade, side = library.load(name), data.draw(st.sampled_from((2, 3, 8, 2160)))
    shape = data.draw(shapes(cascade))
    sizes = rank_sizes(cascade, shape)
    forms = found(cascade, sizes, side)
    assert set(forms) == PRODUCTS[name]
    for einsum in (cascade.by_name[e] for e in forms):
        c, macs = forms[einsum.name], einsum_ops(cascade, einsum, sizes)["mac"]
        rows, columns = c.map_sides
        summed = macs // (c.groups * c.images * c.kernels)
        assert c.map_sides == c.kernel_sides
        assert c.output_pixels == 1
        assert max(rows, columns) <= side
        assert c.macs * summed == macs * c.channels * rows * columns
        # Less than a row is empty in each piece, and less than a number in all for being cut.
        assert 0 <= c.channels * (rows * columns) - summed < c.channels * (rows + 1)
        if c.channels * rows * columns == summed:
            assert c.macs == macs


@pytest.mark.parametrize("name", ["attention_1pass", "attention_3pass", "encoder_layer"])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_heads_and_batch_share_nothing_in_products_of_data_with_data(name, data):
    cascade = library.load(name)
    shape = data.draw(shapes(cascade))
    sizes = rank_sizes(cascade, shape)
    scores = found(cascade, sizes, 2160)["QK" if name == "attention_3pass" else "BQK"]
    keys = shape["keys"] if "keys" in shape else shape["queries"]
    assert scores.groups == shape.get("batch", 1) * shape["heads"]
    assert (scores.images, scores.kernels) == (shape["queries"], keys)
    assert not scores.known


WEIGHTS = {
    "matmul": {"W"},
    "mlp": {"W1", "W2"},
    "linear_layers": {"WQ", "WK", "WV", "WO", "W1", "W2"},
    "encoder_layer": {"WQ", "WK", "WV", "WO", "W1", "W2", "GAIN1", "SHIFT1", "GAIN2", "SHIFT2"},
    "attention_1pass": set(),
    "attention_3pass": set(),
    "linear_attention": set(),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_what_is_known_without_data(name):
    cascade = library.load(name)
    assert {t for t in cascade.tensor_ranks if is_weight(cascade, t)} == WEIGHTS[name]


def test_weights_are_kernels_on_whichever_side_they_stand():
    text = "cascade c\nranks N tokens, D model_dim, S ffn_dim\ninput X[n,d], W[d,s]\n"
    sizes = {"N": 5, "D": 12, "S": 7}
    for product in ("X[n,d] * W[d,s]", "W[d,s] * X[n,d]"):
        cascade = parse(f"{text}Y[n,s] = {product}\n")
        c = correlation(cascade, cascade.by_name["Y"], sizes, 2160)
        assert (c.images, c.kernels, c.known) == (5, 7, True)


@pytest.mark.parametrize(
    "einsum",
    ["max_d X[n,d]", "sum_d X[n,d]", "sum_d exp(X[n,d] * W[d])", "sum_d X[n,d] * X[n,d]"],
)
def test_what_is_no_sum_of_products_of_two_tensors_is_the_hosts(einsum):
    text = "cascade c\nranks N tokens, D model_dim\ninput X[n,d], W[d]\n"
    cascade = parse(f"{text}Y[n] = {einsum}\nZ[n] = X[n,d] * W[d]\noutput Y, Z\n")
    assert set(found(cascade, {"N": 5, "D": 4}, 2160)) == {"Z"}
