"""The interpreter against a walk over every point, and its words for arrays that do not fit."""

import re
from dataclasses import replace

import numpy as np
import pytest
from cascade_references import Walk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_cascades import WINDOWS, cascades, sizes_of

from einfall.einsum_cascades import CascadeError, load, parse
from einfall.einsum_cascades.einsum import Apply
from einfall.einsum_cascades.interpret import evaluate
from einfall.einsum_cascades.ops import OPS, REDUCTIONS

EXACT = {"exp": "sign", "div": "min", "mul": "sub"}
"""Operations that stay exact on whole numbers; sums of products are left as they are."""


def exact(einsum):
    """The Einsum with operations for which float64 rounds nothing."""
    if einsum.reduce is not None or not isinstance(einsum.expr, Apply):
        return einsum
    expr = Apply(EXACT.get(einsum.expr.op, einsum.expr.op), einsum.expr.args)
    return replace(einsum, expr=expr)


@settings(max_examples=200, deadline=None)
@given(cascades() | cascades(windows=WINDOWS), st.integers(0, 2**32))
def test_random_cascades_compute_what_a_walk_over_every_point_computes(cascade, seed):
    cascade = replace(cascade, einsums=tuple(map(exact, cascade.einsums)))
    sizes = sizes_of(cascade)
    random = np.random.default_rng(seed)
    inputs = {
        a.tensor: random.integers(-2, 3, [sizes[r] for r in a.ranks]) * 1.0 for a in cascade.inputs
    }
    found = evaluate(cascade, inputs, {s.rank: sizes[s.inner] for s in cascade.splits})
    walk = Walk(cascade, inputs, sizes)
    for name in cascade.outputs:
        points = np.argwhere(~np.isnan(found[name])).tolist()
        assert len(points) == existing(cascade, name, sizes)
        wanted = np.array([walk.value(name, tuple(point)) for point in points])
        assume(np.abs(wanted).max() < 2**53)
        np.testing.assert_array_equal([found[name][tuple(point)] for point in points], wanted)


def existing(cascade, name, sizes):
    """How many points a tensor has: both parts of a split together have those of the whole rank."""
    indices = cascade.by_name[name].output.indices
    extents = {index.rank: sizes[index.rank] + index.offset for index in indices}
    for split in cascade.splits:
        if {split.outer, split.inner} <= set(extents):
            extents[split.outer], extents[split.inner] = sizes[split.rank], 1
    return np.prod(list(extents.values()), dtype=int)


def running(body, **inputs):
    """Run the statements of a small cascade over keys m in tiles of 3, with 7 keys."""
    text = f"cascade small\nranks M keys\nsplit M -> M1, M0\ninput X[m]\n{body}"
    return evaluate(parse(text), inputs or {"X": SEVEN}, {"M": 3})


SEVEN = np.array([3.0, 1.0, 4.0, -1.0, 5.0, -9.0, 2.0])
"""Two whole tiles of three and a last one of a single key."""


@pytest.mark.parametrize(
    ("reduction", "tiles"),
    [
        ("sum", [8, -5, 2]),
        ("max", [4, 5, 2]),
        ("min", [1, -9, 2]),
        ("prod", [12, 45, 2]),
        ("mean", [8 / 3, -5 / 3, 2]),
    ],
)
def test_a_ragged_tile_has_only_its_own_points(reduction, tiles):
    found = running(f"Y[m1] = {reduction}_m0 X[m1,m0]\n")["Y"]
    np.testing.assert_allclose(found, tiles, rtol=1e-15)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reducing_both_parts_reduces_the_whole(reduction):
    parts = running(f"Y[] = {reduction}_{{m1,m0}} X[m1,m0]\n")["Y"]
    whole = running(f"Z[m1,m0] = exp(X[m1,m0])\nY[] = {reduction}_m X[m]\noutput Y, Z\n")
    np.testing.assert_allclose(parts, whole["Y"], rtol=1e-15)


def test_points_that_do_not_exist_are_nan_and_nowhere_else():
    found = running("Y[m1,m0] = exp(X[m1,m0])\n")["Y"]
    np.testing.assert_array_equal(np.isnan(found), [[0, 0, 0], [0, 0, 0], [0, 1, 1]])


def test_tiles_are_gathered_into_the_whole_rank():
    found = running("Y[m] = X[m1,m0] + 1\n")["Y"]
    np.testing.assert_array_equal(found, SEVEN + 1)


def test_a_product_of_an_outer_and_an_inner_part_stops_at_the_edge():
    body = "A[m1] = max_m0 X[m1,m0]\nB[m0] = max_m1 X[m1,m0]\nY[] = A[m1] * B[m0]\n"
    a, b = np.array([4, 5, 2]), np.array([3, 5, 4])
    assert running(body)["Y"] == a[:2].sum() * b.sum() + a[2] * b[0]


def test_infinite_factors_do_not_meet_points_that_do_not_exist():
    """0·inf is NaN, so what stands for a point beyond the edge must not meet an infinite factor."""
    found = running("A[m1] = max_m0 X[m1,m0] + inf\nY[m1] = X[m1,m0] * A[m1]\n")["Y"]
    np.testing.assert_array_equal(found, [np.inf, np.nan, np.inf])  # inf - inf in the second tile


def test_an_iterative_tensor_keeps_its_init():
    text = "cascade scan\nranks P queries\ninput X[p]\ninit S[0] = 10\nS[p+1] = S[p] + X[p]\n"
    found = evaluate(parse(text), {"X": np.array([1.0, 2.0, 3.0])})["S"]
    np.testing.assert_array_equal(found, [10, 11, 13, 16])


def test_an_init_may_read_an_input():
    text = (
        "cascade scan\nranks B batch, P queries\ninput X[b,p], START[b]\n"
        "init S[b,0] = START[b]\nS[b,p+1] = S[b,p] * X[b,p]\nY[b] = S[b,P] - S[b,0]\n"
    )
    found = evaluate(parse(text), {"X": np.array([[2.0, 3.0]]), "START": np.array([5.0])})["Y"]
    np.testing.assert_array_equal(found, [25])


def test_group_coordinates_follow_their_rank():
    text = (
        "cascade g\nranks H heads, G kv_heads\ngroup H -> G\ninput X[h], W[g]\nY[h] = X[h] + W[g]\n"
    )
    found = evaluate(parse(text), {"X": np.zeros(6), "W": np.array([1.0, 2.0])})["Y"]
    np.testing.assert_array_equal(found, [1, 1, 1, 2, 2, 2])


def test_ranks_with_one_word_are_two_coordinates_over_the_same_things():
    text = "cascade pairs\nranks P queries, M queries\ninput X[p]\nY[p,m] = X[p] - X[m]\n"
    found = evaluate(parse(text), {"X": np.array([1.0, 5.0])})["Y"]
    np.testing.assert_array_equal(found, [[0, -4], [4, 0]])


def test_the_inputs_are_left_alone():
    inputs = {"X": np.ones((2, 3)), "W": np.ones((3, 2))}
    evaluate(load("matmul"), inputs)["Y"][:] = 7
    assert inputs["X"].max() == inputs["W"].max() == 1


OPERATIONS = {
    "neg": (-2.0, 2.0),
    "add": (2.0, 3.0, 5.0),
    "sub": (2.0, 3.0, -1.0),
    "mul": (2.0, 3.0, 6.0),
    "div": (3.0, 2.0, 1.5),
    "max": (2.0, 3.0, 3.0),
    "min": (2.0, 3.0, 2.0),
    "pow": (2.0, 3.0, 8.0),
    "exp": (1.0, 2.718281828459045),
    "log": (2.718281828459045, 1.0),
    "log1p": (1e-20, 1e-20),
    "sqrt": (9.0, 3.0),
    "rsqrt": (4.0, 0.5),
    "reciprocal": (4.0, 0.25),
    "square": (-3.0, 9.0),
    "abs": (-3.0, 3.0),
    "sign": (-3.0, -1.0),
    "floor": (-1.5, -2.0),
    "round": (1.6, 2.0),
    "cos": (0.0, 1.0),
    "sin": (0.5235987755982988, 0.5),  # pi/6
    "tanh": (0.5493061443340549, 0.5),  # log(3)/2
    "erf": (1.0, 0.8427007929497149),  # Abramowitz and Stegun, table 7.1
    "softplus": (0.0, 0.6931471805599453),  # log 2
    "sigmoid": (1.0986122886681098, 0.75),  # log 3
    "relu": (-2.0, 0.0),
    "elu1": (-0.6931471805599453, 0.5),  # e^-log 2
    "gelu": (1.0, 0.8413447460685429),  # the normal distribution at 1
    "silu": (1.0986122886681098, 0.8239592165010823),  # 0.75 log 3
    "less": (2.0, 3.0, 1.0),
    "equal": (2.0, 3.0, 0.0),
    "select": (0.0, 2.0, 3.0, 3.0),
}


def test_every_operation_is_tested():
    assert set(OPERATIONS) == set(OPS)
    assert all(len(case) == OPS[name].arity + 1 for name, case in OPERATIONS.items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_at_a_known_point(name):
    *args, wanted = OPERATIONS[name]
    assert OPS[name].evaluate(np, *map(np.array, args)) == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=list(REDUCTIONS))
def test_the_identity_leaves_a_value_as_it_is(reduction):
    assert OPS[reduction.combine].evaluate(np, np.array(3.0), reduction.identity) == 3


@pytest.mark.parametrize(("x", "wanted"), [(800.0, 800.0), (-800.0, 0.0)])
def test_softplus_and_silu_do_not_overflow(x, wanted):
    with np.errstate(over="raise", invalid="raise"):
        assert OPS["softplus"].evaluate(np, np.array(x)) == wanted
        assert OPS["silu"].evaluate(np, np.array(x)) == wanted


Q, K, V = np.ones((1, 4, 3, 5)), np.ones((1, 2, 7, 5)), np.ones((1, 2, 7, 6))


@pytest.mark.parametrize(
    ("inputs", "tiles", "problems"),
    [
        ({"Q": Q, "K": K}, {}, ["wanted the input V[b,g,m,f], found no array of that name"]),
        ({"Q": Q, "K": K, "V": V, "W": V}, {}, ["wanted the inputs Q, K, V, found W too"]),
        (
            {"Q": Q[0], "K": K, "V": V},
            {},
            ["Q[b,h,p,e]: wanted 4 axes, found 3 in shape (4, 3, 5)"],
        ),
        (
            {"Q": Q, "K": K[..., :4], "V": V[:, :, :6]},
            {},
            [
                "K[b,g,m,e]: wanted E = 5 as in Q, found 4 in shape (1, 2, 7, 4)",
                "V[b,g,m,f]: wanted M = 7 as in K, found 6 in shape (1, 2, 6, 6)",
            ],
        ),
        ({"Q": Q[:, :3], "K": K, "V": V}, {}, ["wanted a divisor of H = 3 as G, found 2"]),
        ({"Q": Q[:, :, :0], "K": K, "V": V}, {}, ["Q[b,h,p,e]: wanted P of at least 1, found 0"]),
        (
            {"Q": Q, "K": K, "V": V},
            {"M0": 2},
            ["wanted a tile of a split rank, found M0; there are M"],
        ),
        ({"Q": Q, "K": K, "V": V}, {"M": 0}, ["wanted a tile of M of at least 1, found 0"]),
    ],
)
def test_all_that_does_not_fit_is_said_at_once(inputs, tiles, problems):
    with pytest.raises(CascadeError) as error:
        evaluate(load("attention_1pass"), inputs, tiles)
    assert len(error.value.problems) == len(problems)
    for found, wanted in zip(error.value.problems, problems, strict=True):
        assert found.startswith(f"attention_1pass: {wanted}")


def test_a_rank_that_no_input_has_is_named():
    cascade = parse(
        "cascade c\nranks P queries, M keys\ninput X[p]\nZ[m] = 2\nY[p] = X[p] * Z[m]\n"
    )
    with pytest.raises(CascadeError, match=re.escape("c: wanted inputs that give every rank")):
        evaluate(cascade, {"X": np.ones(3)})


def test_a_coordinate_beyond_the_end_is_named():
    cascade = parse("cascade c\nranks P queries\ninput X[p]\nY[p] = X[p] - X[3]\n")
    with pytest.raises(CascadeError, match=re.escape("c: X[3]: wanted a coordinate below 3 of P")):
        evaluate(cascade, {"X": np.ones(3)})
