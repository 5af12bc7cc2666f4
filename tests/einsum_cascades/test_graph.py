"""Graphs of cascades: nodes, edges, back edges and layers."""

import subprocess
import sys

import networkx as nx
import pytest
from hypothesis import given, settings
from random_cascades import WINDOWS, cascades

from einfall.einsum_cascades.graph import graph, layers, positions
from einfall.einsum_cascades.library import load, names


def without_back_edges(drawn):
    return nx.DiGraph([(a, b) for a, b, back in drawn.edges.data("back") if not back])


def test_nodes_of_the_1_pass_cascade():
    drawn = graph(load("attention_1pass"))
    kinds = {}
    for tensor, kind in drawn.nodes.data("kind"):
        kinds.setdefault(kind, []).append(tensor)
    assert kinds["input"] == ["Q", "K", "V"]
    assert kinds["output"] == ["AV"]
    assert kinds["state"] == ["RM", "RD", "RNV"]
    assert "SLN" in kinds["intermediate"]
    assert drawn.nodes["BQK"]["ranks"] == ("B", "H", "M1", "M0", "P")


def test_passes_stand_at_the_nodes():
    drawn = graph(load("attention_3pass"))
    passes = {tensor: by_rank["M"] for tensor, by_rank in drawn.nodes.data("passes")}
    assert passes == {
        "Q": 0, "K": 0, "V": 0, "QK": 1, "GM": 1, "SN": 2, "SD": 2, "A": 3, "AV": 3
    }  # fmt: skip


def test_edges_say_what_is_read_and_what_comes_from_the_step_before():
    drawn = graph(load("attention_1pass"))
    assert drawn.edges["K", "BQK"] == {
        "accesses": ("K[b,g,m1,m0,e]",),
        "carried": False,
        "back": False,
    }
    assert drawn.edges["RM", "PRM"] == {
        "accesses": ("RM[b,h,m1,p]", "RM[b,h,m1+1,p]"),
        "carried": True,
        "back": False,
    }
    back = [(a, b) for a, b, back in drawn.edges.data("back") if back]
    assert back == [("RM", "RM"), ("RD", "SPD"), ("RNV", "SPNV")]
    assert not drawn.edges["RD", "AV"]["carried"]


def test_layers_put_inputs_beside_their_readers():
    assert layers(load("attention_3pass")) == (
        ("Q", "K"),
        ("QK",),
        ("GM",),
        ("SN",),
        ("SD",),
        ("V", "A"),
        ("AV",),
    )


def test_positions_are_centred():
    placed = positions(load("attention_3pass"))
    assert placed["Q"] == (-0.5, 0.0)
    assert placed["K"] == (0.5, 0.0)
    assert placed["AV"] == (0.0, -6.0)


def check(cascade):
    drawn = graph(cascade)
    assert set(drawn) == set(cascade.tensor_ranks)
    expected = {(a.tensor, e.name) for e in cascade.einsums for a in e.operands}
    assert set(drawn.edges) == expected
    forward = without_back_edges(drawn)
    assert nx.is_directed_acyclic_graph(forward)
    depth = {t: n for n, layer in enumerate(layers(cascade)) for t in layer}
    assert set(depth) == set(drawn)
    assert all(depth[a] < depth[b] for a, b in forward.edges)
    assert len(set(positions(cascade).values())) == len(drawn)


@pytest.mark.parametrize("name", names())
def test_graphs_of_the_library(name):
    check(load(name))


@settings(max_examples=60, deadline=None)
@given(cascades() | cascades(windows=WINDOWS))
def test_graphs_of_random_cascades(cascade):
    check(cascade)


def test_importing_graph_does_not_import_networkx():
    code = "import sys, einfall.einsum_cascades.graph; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
