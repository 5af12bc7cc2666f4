from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.colors import to_hex

from einfall import plots
from einfall.plots import style
from einfall.plots.records import BOUNDS

CAUSAL = np.tri(64, dtype=bool)


def kinds(mask, tiles):
    return Counter(row["kind"] for row in plots.mask_table(mask, tiles))


def legend(thing):
    return [text.get_text() for text in thing.get_texts()]


def bounds(*rows):
    return [dict(zip(BOUNDS, row, strict=True)) for row in rows]


def grid(strides, windows):
    return bounds(
        *(
            (f"{s}×8×8", f"{w}×24×24", 40 / w * (1 + s / 9), i % 3 == 0)
            for i, (s, w) in enumerate(product(range(1, strides + 1), range(1, windows + 1)))
        )
    )


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.integers(1, 5),
       st.integers(1, 5))  # fmt: skip
def test_tiles_are_what_a_walk_over_their_pairs_finds(mask, q, kv):
    queries, keys = mask.shape
    for row in plots.mask_table(mask, plots.MaskTiles(q, kv)):
        i, j = row["q_tile"] * q, row["kv_tile"] * kv
        pairs = [bool(mask[a, b]) for a in range(i, min(i + q, queries))
                 for b in range(j, min(j + kv, keys))]  # fmt: skip
        whole = all(pairs) and j + kv <= keys
        assert row["attended"] == sum(pairs)
        assert row["kind"] == ("skipped" if not any(pairs) else "full" if whole else "partial")


def test_a_causal_mask_has_partial_tiles_on_its_diagonal(ax):
    assert kinds(CAUSAL, plots.MaskTiles(16, 16)) == {"full": 6, "partial": 4, "skipped": 6}
    plots.plot_mask(CAUSAL, ax, plots.MaskTiles(16, 16))
    assert legend(ax.get_legend()) == [
        "skipped: 6 (37.5 %)",
        "full: 6 (37.5 %)",
        "partial: 4 (25 %)",
        "masked in a partial tile",
    ]
    paint = ax.images[0].get_array()
    colours = {at: to_hex(paint[at]) for at in ((0, 0), (0, 15), (0, 63), (63, 0))}
    assert colours == {
        (0, 0): style.ORANGE,
        (0, 15): style.tint(style.ORANGE, 0.3),
        (0, 63): style.WHITE,
        (63, 0): style.BLUE,
    }


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3)), min_size=1,
                max_size=3))  # fmt: skip
def test_the_order_of_tiles_has_each_token_once_and_keeps_classes_and_tiles_together(axes):
    layout, tile, dilation = zip(*axes, strict=True)
    order = plots.tile_order(layout, tile, dilation)
    assert sorted(order[order >= 0]) == list(range(int(np.prod(layout))))
    for tokens in order.reshape(-1, int(np.prod(tile))):
        places = np.stack(np.unravel_index(tokens[tokens >= 0], layout))
        for at, size, classes in zip(places, tile, dilation, strict=True):
            assert len(set(at % classes)) <= 1
            assert len(set(at // classes // size)) <= 1


def test_tiles_of_padding_only_are_hatched(ax):
    order = plots.tile_order((9,), (4,), (2,))  # two classes of 5 and 4 tokens, of 2 tiles each
    assert order.tolist() == [0, 2, 4, 6, 8, -1, -1, -1, 1, 3, 5, 7, -1, -1, -1, -1]
    tiles = plots.MaskTiles(4, 4, order, order)
    assert kinds(np.ones((9, 9), bool), tiles)["padding only"] == 16 - 3 * 3
    plots.plot_mask(np.ones((9, 9), bool), ax, tiles)
    assert legend(ax.get_legend())[-2:] == ["padding only: 7 (43.8 %)", "padding"]
    hatched = [c for c in ax.collections if c.get_hatch()]
    assert [len(collection.get_paths()) for collection in hatched] == [7]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "Key, in order of tiles",
        "Query, in order of tiles",
    )


def test_padding_needs_a_mask_among_keys_but_not_among_queries():
    dense = np.ones((6, 8), bool)
    assert kinds(dense, plots.MaskTiles(4, 4)) == {"full": 4}
    assert kinds(dense.T, plots.MaskTiles(4, 4)) == {"full": 2, "partial": 2}


@pytest.mark.parametrize("shape", [(512, 512), (16, 512), (512, 16)])
def test_figures_of_masks_hold_their_labels(shape):
    sheet = plots.mask_figure(np.tri(*shape, dtype=bool), plots.MaskTiles(16, 8), title="causal")
    sheet.draw_without_rendering()
    assert sheet.get_suptitle().startswith("causal: attends ")
    ax = sheet.axes[0]
    for thing in (ax.get_legend(), ax.xaxis.label, ax.yaxis.label, sheet.texts[0]):
        box = thing.get_window_extent()
        assert sheet.bbox.x0 - 1 <= box.x0 <= box.x1 <= sheet.bbox.x1 + 1
        assert sheet.bbox.y0 - 1 <= box.y0 <= box.y1 <= sheet.bbox.y1 + 1


@pytest.mark.parametrize(
    ("mask", "tiles", "message"),
    [
        (np.ones((4, 4)), plots.MaskTiles(2, 2), "want booleans .* found float64 of 4 × 4"),
        (np.ones(4, bool), plots.MaskTiles(2, 2), "found bool of 4"),
        (np.ones((4, 0), bool), plots.MaskTiles(2, 2), "at least one query by one key"),
        (CAUSAL, plots.MaskTiles(0, 2), "want tiles of at least 1 of the queries, found 0"),
        (CAUSAL, plots.MaskTiles(2, 2, kv_order=[0, 1]), "each of the 64 keys once"),
        (np.ones((1, 4096), bool), plots.MaskTiles(1, 64), "at most 2048 keys .* found 4096"),
    ],
)
def test_masks_that_cannot_be_drawn_are_refused(ax, mask, tiles, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_mask(mask, ax, tiles)


def test_a_histogram_marks_the_mean_and_the_worst(ax):
    plots.plot_tile_histogram(plots.tile_histogram_table([2, 4, 12], [6, 3, 1]), ax)
    assert ax.get_title(loc="left") == "Work per query tile: imbalance 3.33 (worst over mean)"
    assert legend(ax.get_legend()) == ["worst 12", "mean 3.6"]
    assert [bar.get_height() for bar in ax.patches] == [6, 3, 1]
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == [2, 4, 12]


@settings(max_examples=30)
@given(st.dictionaries(st.integers(0, 5000), st.integers(1, 10_000), min_size=1, max_size=80))
def test_bars_share_values_but_lose_no_query_tile(counts):
    ax = plots.figure(6, 3).subplots()
    plots.plot_tile_histogram(plots.tile_histogram_table(counts, counts.values()), ax)
    heights = [bar.get_height() for bar in ax.patches]
    assert sum(heights) == sum(counts.values())
    assert len(heights) <= 60
    assert ax.get_yscale() == ("log" if max(heights) >= 100 * min(heights) else "linear")


def test_wrong_histograms_are_refused(ax):
    with pytest.raises(plots.PlotError, match=r"and a query tile, found .* q_tiles from 0 to 0"):
        plots.plot_tile_histogram(plots.tile_histogram_table([3], [0]), ax)
    with pytest.raises(plots.PlotError, match="found visited_kv_tiles from -1"):
        plots.plot_tile_histogram(plots.tile_histogram_table([-1], [2]), ax)
    with pytest.raises(plots.PlotError, match=r"lacking: q_tiles \(row 1\)"):
        plots.plot_tile_histogram([{"visited_kv_tiles": 3}], ax)


def test_cells_are_annotated_and_block_sparse_ones_framed(ax):
    table = bounds(
        ("1×1", "80×80", 6.0952, 0), ("16×16", "80×80", 10.24, 1), ("1×1", "8×8", 300.0, "0"),
    )  # fmt: skip
    plots.plot_bound_heatmap(table, ax)
    assert [text.get_text() for text in ax.texts] == ["6.1", "10.2", "300"]
    assert [t.get_fontweight() for t in ax.texts] == ["normal", "bold", "normal"]
    frames = [p.get_xy() for p in ax.patches if to_hex(p.get_edgecolor()) == style.VERMILION]
    crossed = [p.get_xy() for p in ax.patches if p.get_hatch()]
    assert frames == [(-0.47, 0.56)]
    assert crossed == [(0.5, 0.5)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1×1", "16×16"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["80×80", "8×8"]


@pytest.mark.parametrize(("strides", "windows"), [(1, 1), (3, 2), (30, 12)])
def test_digits_of_a_heat_map_stay_in_their_cells_and_labels_on_the_page(strides, windows):
    sheet = plots.bound_heatmap_figure(grid(strides, windows), title="a long title " * 12)
    sheet.draw_without_rendering()
    ax = sheet.axes[0]
    width, height = ax.bbox.width / windows, ax.bbox.height / strides
    for text in ax.texts:
        assert text.get_window_extent().width < width
        assert text.get_window_extent().height < height
    for text in (*sheet.texts, *ax.get_xticklabels(), *ax.get_yticklabels()):
        box = text.get_window_extent()
        assert sheet.bbox.x0 - 1 <= box.x0 <= box.x1 <= sheet.bbox.x1 + 1
    assert legend(sheet.legends[0]) == ["fully block-sparse: no tile needs a mask"]


def test_the_legend_of_a_heat_map_names_what_there_is():
    whole = bounds(("1", "8", 2.0, 0), ("2", "8", 2.0, 0))
    assert plots.bound_heatmap_figure(whole).legends == []
    ragged = [*whole, *bounds(("1", "4", 4.0, 0))]
    assert legend(plots.bound_heatmap_figure(ragged).legends[0]) == ["no bound"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("1", "8", 3.0, 1), "stride 1, window 8: want one row, found 2"),
        (("2", "8", -3.0, 1), "want speedup above 0, found -3"),
        (("2", "8", 3.0, "maybe"), "want 1 or 0 in fully_block_sparse, found 'maybe'"),
    ],
)
def test_wrong_bounds_are_refused(ax, row, message):
    with pytest.raises(plots.PlotError, match=message):
        plots.plot_bound_heatmap(bounds(("1", "8", 2.0, 0), row), ax)
