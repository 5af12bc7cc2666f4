"""Counts: numbers by hand, the paper's statements, and random cascades walked point by point."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from random_cascades import cascades, sizes_of

from einfall.einsum_cascades.counts import (
    compulsory_bytes,
    compulsory_elements,
    einsum_ops,
    elements,
    flops,
    footprints,
    ops,
    ops_per_point,
    points,
    volume,
)
from einfall.einsum_cascades.language import parse
from einfall.einsum_cascades.library import load, names
from einfall.einsum_cascades.passes import fusable, visits
from einfall.einsum_cascades.shapes import rank_sizes

# B·H·P = 6 query rows, 5 keys in tiles of 2 (the last one ragged), widths 4 and 6.
SMALL = {
    "batch": 1,
    "heads": 2,
    "kv_heads": 1,
    "queries": 3,
    "keys": 5,
    "head_dim": 4,
    "value_dim": 6,
}
TILES = {"M": 2}


def small(name):
    cascade = load(name)
    return cascade, rank_sizes(cascade, SMALL, TILES if cascade.splits else {})


def one(text):
    """The last Einsum of a short cascade over M keys, E head_dim."""
    head = "cascade t\nranks M keys, E head_dim\ninput A[m,e], B[m,e], C[e]\n"
    used = [name for name in "ABC" if f"{name}[" in text]
    shapes = {"A": "A[m,e]", "B": "B[m,e]", "C": "C[e]"}
    head = head.replace("A[m,e], B[m,e], C[e]", ", ".join(shapes[name] for name in used))
    return parse(head + text).einsums[-1]


def test_points_by_hand():
    cascade, sizes = small("attention_1pass")
    found = {e.name: points(cascade, e, sizes) for e in cascade.einsums}
    assert found["BQK"] == 1 * 2 * 3 * 5 * 4  # M1·M0 = 6 slots hold M = 5 keys
    assert found["LM"] == 1 * 2 * 3 * 5
    assert found["RM"] == 1 * 2 * 3 * 3  # M1 steps
    assert found["SLNV"] == 1 * 2 * 3 * 5 * 6
    assert found["RNV"] == 1 * 2 * 3 * 3 * 6
    assert found["AV"] == 1 * 2 * 3 * 6


def test_ops_of_the_3_pass_cascade_by_hand():
    cascade, sizes = small("attention_3pass")
    assert ops(cascade, sizes) == {
        "mac": 6 * 5 * 4 + 6 * 5 * 6,
        "max": 6 * 5,
        "exp": 6 * 5,
        "sub": 6 * 5,
        "add": 6 * 5,
        "div": 6 * 5,
    }


def test_ops_of_the_1_pass_cascade_by_hand():
    cascade, sizes = small("attention_1pass")
    assert ops(cascade, sizes) == {
        "mac": 6 * 5 * 4 + 6 * 5 * 6,
        "max": 6 * 5 + 6 * 3,  # LM, RM
        "exp": 6 * 5 + 6 * 3,  # SLN, PRM
        "sub": 6 * 5 + 6 * 3,
        "add": 6 * 5 + 6 * 3 + 6 * 3 * 6,  # SLD, RD, RNV
        "mul": 6 * 3 + 6 * 3 * 6,  # SPD, SPNV
        "div": 6 * 6,
    }


def test_deferral_divides_once_an_output():
    """FuseMax, section 2: F·P divisions in place of M·P."""
    for name, expected in (("attention_3pass", 6 * 5), ("attention_3pass_deferred", 6 * 6)):
        assert ops(*small(name))["div"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Y[m] = A[m,e] * B[m,e]", {"mac": 1}),
        ("Y[m] = A[m,e] * B[m,e] * C[e]", {"mul": 1, "mac": 1}),
        ("Y[m] = A[m,e] * (B[m,e] * (C[e] * 2))", {"mul": 2, "mac": 1}),
        ("Y[m] = exp(A[m,e]) * B[m,e]", {"exp": 1, "mac": 1}),
        ("Y[m] = sum_e A[m,e]", {"add": 1}),
        ("Y[m] = sum_e exp(A[m,e] - C[e])", {"exp": 1, "sub": 1, "add": 1}),
        ("Y[m] = sum_e A[m,e] * B[m,e] / C[e]", {"div": 1, "mul": 1, "add": 1}),
        ("Y[m] = max_e A[m,e] * B[m,e]", {"mul": 1, "max": 1}),
        ("Y[m] = min_e A[m,e]", {"min": 1}),
        ("Y[m] = prod_e A[m,e]", {"mul": 1}),
        ("Y[m,e] = -A[m,e]", {"neg": 1}),
        ("Y[m,e] = max(A[m,e], B[m,e]) * C[e]", {"mul": 1, "max": 1}),
        ("Y[m,e] = A[m,e]", {}),
    ],
)
def test_ops_at_one_point(text, expected):
    assert ops_per_point(one(text)) == expected


def test_a_mean_divides_once_an_element():
    cascade = parse("cascade t\nranks M keys, E head_dim\ninput A[m,e]\nY[m] = mean_e A[m,e]")
    sizes = {"M": 5, "E": 4}
    assert einsum_ops(cascade, cascade.einsums[0], sizes) == {"add": 20, "div": 5}


def test_ops_of_initial_values_count():
    text = """
        cascade t
        ranks M keys, E head_dim
        input A[m,e], C[e]
        init R[0,e] = exp(C[e])
        R[m+1,e] = R[m,e] + A[m,e]
    """
    assert ops(parse(text), {"M": 5, "E": 4}) == {"exp": 4, "add": 20}


def test_flops_count_a_multiply_add_twice():
    assert flops({"mac": 5, "exp": 2, "max": 1}) == 13
    assert flops({}) == 0


def test_compulsory_traffic_by_hand():
    cascade, sizes = small("attention_3pass")
    moved = {"Q": 2 * 3 * 4, "K": 5 * 4, "V": 5 * 6, "AV": 2 * 3 * 6}  # one key-value head
    assert compulsory_elements(cascade, sizes) == moved
    assert compulsory_bytes(cascade, sizes, 2) == 2 * (24 + 20 + 30 + 36)
    words = {"Q": 2, "K": 1, "V": 0.5, "AV": 4}
    assert compulsory_bytes(cascade, sizes, words) == 48 + 20 + 15 + 144


def test_compulsory_traffic_is_what_fusemax_moves_with_all_queries_on_chip():
    """FuseMax: 2·B·H·(P·E + P·F + P2·M·(E+F)) bytes, here BERT-Base at 1K and P2 = 1."""
    cascade = load("attention_1pass")
    sizes = rank_sizes(cascade, {"batch": 64, "heads": 12, "queries": 1024, "head_dim": 64})
    assert compulsory_bytes(cascade, sizes, 2) == 2 * 64 * 12 * (4 * 1024 * 64) == 402_653_184


@pytest.mark.parametrize(
    "name",
    ["attention_1pass", "attention_2pass", "attention_2pass_splitk", "attention_3pass_deferred"],
)
def test_compulsory_traffic_belongs_to_the_function_and_not_to_its_cascade(name):
    assert compulsory_bytes(*small(name), 2) == compulsory_bytes(*small("attention_3pass"), 2)


def test_only_what_is_read_of_an_input_is_compulsory():
    text = """
        cascade t
        ranks M keys, P queries, E head_dim
        input A[m,e], B[m,e], C[p,e]
        Y[e] = A[0,e] * A[3,e]
        Z[m] = B[m,0] * 1
        W[m] = sum_e B[m,e] * Z[m]
        X[p] = C[p,1] - C[p,1]
    """
    found = compulsory_elements(parse(text), {"M": 5, "P": 3, "E": 4})
    assert found == {"A": 2 * 4, "B": 5 * 4, "C": 3, "Y": 4, "W": 5, "X": 3}


def test_elements_of_tensors():
    cascade, sizes = small("attention_1pass")
    assert elements(cascade, "K", sizes) == 20
    assert elements(cascade, "BQK", sizes) == 6 * 5
    assert elements(cascade, "RNV", sizes) == 6 * 3 * 6
    assert volume(cascade, ["M1", "E", "M0"], sizes) == 5 * 4
    assert volume(cascade, [], sizes) == 1


def walk(cascade, einsum, sizes):
    """Every point of an Einsum as rank -> coordinate."""
    ranks = cascade.iteration_ranks(einsum)
    for values in itertools.product(*(range(sizes[rank]) for rank in ranks)):
        at = dict(zip(ranks, values, strict=True))
        if {"M1", "M0"} <= set(at):
            at["M"] = at["M1"] * sizes["M0"] + at["M0"]
        if at.get("M", 0) < sizes.get("M", 1):
            yield at


@settings(max_examples=60, deadline=None)
@given(cascades())
def test_points_are_those_of_the_loop_nest(cascade):
    sizes = sizes_of(cascade)
    for einsum in cascade.einsums:
        assert points(cascade, einsum, sizes) == sum(1 for _ in walk(cascade, einsum, sizes))


@settings(max_examples=60, deadline=None)
@given(cascades())
def test_compulsory_elements_are_those_that_the_loop_nest_reads(cascade):
    sizes = sizes_of(cascade)
    read = {access.tensor: set() for access in cascade.inputs}
    for einsum in cascade.einsums:
        for at in walk(cascade, einsum, sizes):
            if "H" in at and "G" in sizes:
                at["G"] = at["H"] * sizes["G"] // sizes["H"]
            for access in einsum.operands:
                if access.tensor in read:
                    ranks = cascade.tensor_ranks[access.tensor]
                    read[access.tensor].add(tuple(at[rank] for rank in ranks))
    found = compulsory_elements(cascade, sizes)
    assert {name: found[name] for name in read} == {n: len(where) for n, where in read.items()}


@settings(max_examples=60, deadline=None)
@given(cascades())
def test_traffic_and_ops_grow_with_every_rank(cascade):
    sizes = sizes_of(cascade)
    for rank in cascade.ranks:
        if rank.symbol in ("P", "E"):  # neither split nor grouped
            more = sizes | {rank.symbol: sizes[rank.symbol] + 1}
            assert compulsory_bytes(cascade, more, 2) >= compulsory_bytes(cascade, sizes, 2)
            assert flops(ops(cascade, more)) >= flops(ops(cascade, sizes))


def live(name):
    """Fibers that have to stay, by tensor, of those that need more than one element or tile."""
    found = footprints(load(name))
    return {t: f.fiber for t, f in found.items() if f.rank == "M"}


def test_footprints_of_the_paper():
    """FuseMax, sections 2 and 3: what each class keeps of the keys, for each query."""
    assert live("attention_3pass") == {"QK": "M", "SN": "M"}
    assert live("attention_3pass_deferred") == {"QK": "M"}
    assert live("attention_2pass") == {"SLN": "M", "LM": "M1", "SLD": "M1", "PLM": "M1"}
    assert live("attention_2pass_splitk") == {"LM": "M1", "SLD": "M1", "SLNV": "M1"}
    assert live("attention_1pass") == {}


def test_a_footprint_says_why_and_what_a_spill_costs():
    cascade, sizes = small("attention_3pass")
    found = footprints(cascade, sizes)["SN"]
    assert found.why == (
        "SN is used in pass 2 by SN and SD, in pass 3 by A, over M: "
        "M elements stay or are read again"
    )
    assert (found.elements, found.visits, found.spill_elements) == (5, 2, 30)
    assert footprints(cascade)["SN"].elements is None
    streamed = footprints(cascade, sizes)["A"]
    assert streamed.why == "A is used as it comes: one element at a time"
    assert (streamed.fiber, streamed.elements, streamed.spill_elements) == ("1", 1, 0)


def test_a_tile_is_looked_at_twice_in_one_pass():
    cascade, sizes = small("attention_1pass")
    found = footprints(cascade, sizes)["BQK"]
    assert (found.rank, found.fiber, found.elements) == ("M0", "M0", 2)
    assert found.why == (
        "BQK is used in look 1 by BQK and LM, in look 2 by SLN, at each tile: "
        "the M0 elements of a tile stay"
    )


def test_one_pass_keeps_nothing_that_grows_with_the_keys():
    cascade = load("attention_1pass")
    shape = {"queries": 1024, "head_dim": 64}
    short = footprints(cascade, rank_sizes(cascade, shape | {"keys": 2**12}))
    long = footprints(cascade, rank_sizes(cascade, shape | {"keys": 2**20}))
    assert {t: f.elements for t, f in short.items()} == {t: f.elements for t, f in long.items()}


def test_an_input_that_is_read_twice_in_a_tile_keeps_the_tile():
    cascade = parse("""
        cascade t
        ranks M keys
        split M -> M1, M0
        input K[m]
        LM[m1] = max_m0 K[m1,m0]
        Y[m1,m0] = K[m1,m0] - LM[m1]
    """)
    assert footprints(cascade)["K"].fiber == "M0"


def test_a_whole_fiber_is_worse_than_a_tile():
    """K is read in two passes over M, and is looked at thrice in each tile of the second."""
    cascade = parse("""
        cascade t
        ranks M keys
        split M -> M1, M0
        input K[m]
        G[] = max_{m1,m0} K[m1,m0]
        L[m1] = max_m0 K[m1,m0] - G[]
        D[m1,m0] = K[m1,m0] - L[m1]
        S[m1] = sum_m0 D[m1,m0]
        Y[m1,m0] = K[m1,m0] / S[m1]
    """)
    assert len(visits(cascade, "M0")["K"]) == 4
    found = footprints(cascade)["K"]
    assert (found.rank, found.visits) == ("M", 2)


def test_the_rank_with_the_most_visits_counts():
    cascade = parse("""
        cascade t
        ranks D inner, N rows
        input X[n,d]
        MU[n] = mean_d X[n,d]
        VAR[n] = mean_d square(X[n,d] - MU[n])
        C[d] = sum_n X[n,d]
        Y[n,d] = X[n,d] * VAR[n] / C[d]
    """)
    assert [len(visits(cascade, rank)["X"]) for rank in "DN"] == [3, 2]
    assert footprints(cascade)["X"].rank == "D"


def test_an_einsum_that_can_wait_keeps_nothing():
    """V2 could be made in pass 1, but nobody needs it before pass 2, where V is read anyway."""
    cascade = parse("""
        cascade t
        ranks M keys
        input K[m], V[m]
        G[] = sum_m K[m]
        V2[m] = V[m] * 2
        Y[m] = (K[m] - G[]) * V[m] * V2[m]
    """)
    assert {t: f.fiber for t, f in footprints(cascade).items()} == {
        "K": "M",
        "V": "1",
        "G": "1",
        "V2": "1",
        "Y": "1",
    }


def test_summaries_can_wait_for_a_pass():
    """X and T belong to pass 1 and Y comes after it, but all three can run in pass 2."""
    cascade = parse("""
        cascade t
        ranks M keys
        split M -> M1, M0
        input K[m], V[m]
        G[] = max_{m1,m0} K[m1,m0]
        Z[m1,m0] = K[m1,m0] - G[]
        T[m1] = sum_m0 V[m1,m0]
        X[m1,m0] = V[m1,m0] + T[m1]
        Y[m1] = T[m1] - G[]
    """)
    assert visits(cascade, "M")["T"] == (((2, 0), ("T", "X", "Y")),)


def test_a_tensor_read_in_three_passes_is_read_again_twice():
    cascade = parse("""
        cascade norm
        ranks N rows, D inner
        input X[n,d]
        MU[n] = mean_d X[n,d]
        VAR[n] = mean_d square(X[n,d] - MU[n])
        Y[n,d] = (X[n,d] - MU[n]) * rsqrt(VAR[n])
    """)
    found = footprints(cascade, {"N": 7, "D": 10})["X"]
    assert (found.rank, found.visits, found.elements, found.spill_elements) == ("D", 3, 10, 140)


@settings(max_examples=100, deadline=None)
@given(cascades())
def test_what_fits_into_one_loop_keeps_no_fiber(cascade):
    for rank in cascade.ranks:
        if fusable(cascade, [e.name for e in cascade.einsums], rank.symbol):
            assert all(len(when) == 1 for when in visits(cascade, rank.symbol).values())
            assert all(f.rank != rank.symbol for f in footprints(cascade).values())


MAPS = {
    "conv2d": ("height", {"channels": 3, "filters": 2, "kernel_height": 3}),
    "convsharevit_block": ("tokens", {"heads": 4, "map_height": 3, "ffn_dim": 8}),
    "depthwise_conv2d": ("height", {"channels": 3, "kernel_height": 3}),
    "gfnet_block": ("height", {"model_dim": 5}),
    "global_filter": ("height", {"model_dim": 5}),
    "shared_linear": ("tokens", {"map_height": 3, "outputs": 5}),
}
"""Of cascades over maps the key that grows, and the rest of a shape."""


@pytest.mark.parametrize("name", sorted(set(names()) - {"matmul"}))
def test_arrays_give_what_their_elements_give(name):
    cascade = load(name)
    words = {rank.shape_key for rank in cascade.ranks}
    rest = {"heads": 4, "head_dim": 8} if words & {"heads", "model_dim"} else {}
    grows, rest = MAPS.get(name, ("queries", rest))
    lengths = [1, 7, 256, 1000, *([] if grows == "height" else [2**20])]

    def answers(length):
        sizes = rank_sizes(cascade, rest | {grows: length})
        kept = footprints(cascade, sizes)
        found = {tensor: footprint.spill_elements for tensor, footprint in kept.items()}
        return found | ops(cascade, sizes) | {"bytes": compulsory_bytes(cascade, sizes, 2)}

    arrays = answers(np.array(lengths))
    for i, length in enumerate(lengths):
        single = answers(length)
        assert {k: np.broadcast_to(v, len(lengths))[i] for k, v in arrays.items()} == single
