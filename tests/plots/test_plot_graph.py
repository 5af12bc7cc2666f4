from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from einfall import plots
from einfall.einsum_cascades import load, names
from einfall.einsum_cascades.graph import graph
from einfall.plots.layered import layout


def boxes(ax):
    """Boxes by the name written in them."""
    found = {}
    drawn = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    for patch, text in zip(drawn, ax.texts[::2], strict=True):
        found[text.get_text()] = patch
    return found


def fill(patch):
    return to_hex(patch.get_facecolor())


def overlap(a, b):
    return (
        abs(a.get_x() + a.get_width() / 2 - b.get_x() - b.get_width() / 2)
        < (a.get_width() + b.get_width()) / 2
        and abs(a.get_y() - b.get_y()) < a.get_height()
    )


@pytest.mark.parametrize("name", names())
def test_every_cascade_is_drawn_with_its_tensors_apart_and_all_edges(name):
    cascade = load(name)
    sheet = plots.graph_figure(cascade)
    sheet.draw_without_rendering()
    ax = sheet.axes[0]
    assert set(boxes(ax)) == set(cascade.tensor_ranks)
    assert not [pair for pair in combinations(boxes(ax).values(), 2) if overlap(*pair)]
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == graph(cascade).number_of_edges()


def test_the_fill_says_the_pass(ax):
    plots.plot_graph(load("attention_3pass"), ax, "M")
    drawn = {name: fill(patch) for name, patch in boxes(ax).items()}
    assert drawn["QK"] == drawn["GM"]
    assert drawn["SN"] == drawn["SD"]
    assert drawn["A"] == drawn["AV"]
    assert len({drawn[name] for name in ("Q", "QK", "SN", "A")}) == 4
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend[-3:] == ["pass 1 over M", "pass 2 over M", "pass 3 over M"]


def test_running_values_come_back_by_dashed_arrows(ax):
    plots.plot_graph(load("attention_1pass"), ax)
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert sum(arrow.get_linestyle() == "--" for arrow in arrows) == 3  # RM, RD, RNV
    assert boxes(ax)["RM"].get_linestyle() == "--"
    assert "to the next step" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_text_shrinks_with_the_drawing():
    sizes = []
    for side in (3, 12):
        ax = plots.figure(side, side).subplots()
        plots.plot_graph(load("attention_1pass"), ax)
        sizes.append(ax.texts[0].get_fontsize())
    assert sizes[0] < sizes[1]


def test_an_unknown_rank_is_refused(ax):
    message = r"want one of its ranks \(B, H, G, P, M, E, F\), found 'Z'"
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_graph(load("attention_1pass"), ax, "Z")


def test_the_table_holds_layers_passes_and_operands():
    table = {r["tensor"]: r for r in plots.graph_table(load("attention_3pass"), "M")}
    assert table["SN"] == {
        "tensor": "SN",
        "kind": "intermediate",
        "ranks": "B H M P",
        "layer": 3,
        "made_from": "QK GM",
        "pass": 2,
    }
    assert "pass" not in plots.graph_table(load("attention_3pass"))[0]


@st.composite
def layered(draw):
    """Layers of numbered boxes, and edges from earlier to later ones."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    layers = [[f"{n}.{i}" for i in range(size)] for n, size in enumerate(sizes)]
    pairs = [(a, b) for upper, lower in combinations(layers, 2) for a in upper for b in lower]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=12))
    widths = {name: draw(st.floats(0.3, 3.0)) for layer in layers for name in layer}
    return layers, edges, widths


@given(layered())
def test_boxes_of_a_layer_keep_their_gap_and_edges_bend_in_each_layer_between(given_graph):
    layers, edges, widths = given_graph
    placed = layout(layers, edges, widths, gap=0.2, pitch=1.0)
    assert set(placed.boxes) == set(widths)
    for n, layer in enumerate(layers):
        assert {placed.boxes[name][1] for name in layer} == {-float(n)}
        for a, b in combinations(layer, 2):
            room = (widths[a] + widths[b]) / 2 + 0.2
            assert abs(placed.boxes[a][0] - placed.boxes[b][0]) >= room - 1e-9
    for (a, b), bends in placed.bends.items():
        first, last = int(a.split(".")[0]), int(b.split(".")[0])
        assert [y for _, y in bends] == [-float(n) for n in range(first + 1, last)]


def test_an_order_without_crossings_is_found():
    layers = [["a", "b", "c"], ["x", "y", "z"]]
    edges = [("a", "z"), ("b", "x"), ("c", "y")]
    at = layout(layers, edges, dict.fromkeys("abcxyz", 1.0), gap=0.2, pitch=1.0).boxes
    for (a, x), (b, y) in combinations(edges, 2):
        assert (at[a][0] - at[b][0]) * (at[x][0] - at[y][0]) > 0
