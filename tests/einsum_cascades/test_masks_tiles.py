"""Tile counts against numbers from outside: vectors of generalized neighbourhood attention."""

import csv
from math import prod
from pathlib import Path

import mask_references as by_definition
import pytest

from einfall.einsum_cascades.masks import MaskError, Tiling, count_tiles, neighborhood
from einfall.einsum_cascades.masks import families as f
from einfall.einsum_cascades.masks.natten import kernel_tiles

GOLDEN = Path(__file__).parents[1] / "golden" / "gna_vectors.csv"


def vectors():
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def sizes(text):
    return tuple(map(int, text.split("x")))


def problem(row):
    return neighborhood(
        sizes(row["input"]),
        sizes(row["window"]),
        sizes(row["stride"]),
        sizes(row["dilation"]),
        [bool(flag) for flag in sizes(row["causal"])],
    )


def counted(row):
    """Every column of the vectors that einfall has a count for."""
    mask, q, kv = problem(row), sizes(row["q_tile"]), sizes(row["kv_tile"])
    static = count_tiles(mask, Tiling(q, kv))
    dynamic = count_tiles(mask, Tiling(q, kv, dynamic=True))
    flat = count_tiles(mask, Tiling((prod(q),), (prod(kv),), in_place=True))
    kernel = kernel_tiles(mask, Tiling(q, kv))
    return {
        "n_tokens": mask.queries,
        "attended_pairs": mask.pairs,
        "q_tiles": static.q_tiles,
        "visited_kv_tiles": static.visited,
        "dense_no_mask_tiles": static.full,
        "dense_no_mask_tiles_ignoring_kv_pad": static.full_ignoring_padding,
        "max_visited_per_q_tile": static.most_visited,
        "total_tiles_dense_attention": static.of_dense,
        "kv_tiles_dense_per_q_tile": static.kv_tiles_of_dense,
        "dynamic_visited_kv_tiles": dynamic.visited,
        "dynamic_max_visited_per_q_tile": dynamic.most_visited,
        "kernel_q_tiles": kernel.q_tiles,
        "kernel_visited_kv_tiles": kernel.visited,
        "kernel_predicate_fully_block_sparse": int(kernel.skips_mask),
        "exactly_block_sparse": int(static.block_sparse),
        "visited_kv_tiles_1d_tiling": flat.visited,
        "dense_no_mask_tiles_1d_tiling": flat.full,
        "max_visited_per_q_tile_1d_tiling": flat.most_visited,
        "total_tiles_dense_attention_1d_tiling": flat.of_dense,
    }, {
        "flop_speedup": mask.queries**2 / mask.pairs,
        "tile_speedup_total": static.speedup_total,
        "tile_speedup_worst_q_tile": static.speedup_worst,
        "tile_speedup_worst_q_tile_dynamic": dynamic.speedup_worst,
    }


def test_every_column_of_every_vector():
    rows = vectors()
    assert len(rows) == 515
    wrong = []
    for row in rows:
        counts, speedups = counted(row)
        wrong += [(row["case_id"], n, row[n], v) for n, v in counts.items() if int(row[n]) != v]
        wrong += [
            (row["case_id"], n, row[n], v) for n, v in speedups.items() if f"{v:.6f}" != row[n]
        ]
        described = {"case_id", "tag", "dims", "input", "window", "stride", "dilation", "causal"}
        assert set(row) == {*counts, *speedups, *described, "q_tile", "kv_tile"}
    assert not wrong


HUNYUAN = "30x48x80", "4x8x8", "2x8x8"
COSMOS = "16x44x80", "8x4x8", "4x4x8"
# Published speedups of NATTENSim and their reconstruction.
# source: Hassani et al., Generalized Neighborhood Attention, 2025, tables of the review version;
# total-tile column recomputed from the recipe by others. Q/KV tiles of `*` rows are inferred.
ANCHORS = [
    # (input, q tile, kv tile), window, stride, operations, worst query tile, all tiles
    (("32768", "256", "128"), "2048", "1", 16, 14.22, 14.32),
    (("32768", "256", "128"), "2048", "256", 16, 16, 16),
    (("32768", "256", "128"), "2048", "2048", 16, 16, 16),
    (("256x256", "16x16", "16x8"), "80x80", "1x1", 10.24, 6.095, 7.061),
    (("256x256", "16x16", "16x8"), "80x80", "16x1", 10.24, 8.533, 9.002),
    (("256x256", "16x16", "16x8"), "80x80", "16x16", 10.24, 10.24, 10.24),
    (HUNYUAN, "18x24x24", "1x1x1", 11.11, 3.273, 5.245),
    (HUNYUAN, "18x24x24", "2x1x1", 11.11, 3.600, 5.455),
    (HUNYUAN, "18x24x24", "1x1x8", 11.11, 5.455, 7.692),
    (HUNYUAN, "18x24x24", "2x1x8", 11.11, 6.000, 8.000),
    (HUNYUAN, "18x24x24", "1x8x8", 11.11, 9.091, 10.256),
    (HUNYUAN, "18x24x24", "2x8x8", 11.11, 10.000, 10.667),
    (HUNYUAN, "18x24x24", "16x8x8", 11.11, 11.11, 11.11),
    (HUNYUAN, "18x24x24", "18x24x24", 11.11, 6.667, 10.256),
    (("30x48x80", "2x16x8", "2x8x8"), "30x40x40", "1x1x1", 2.40, 1.429, None),  # *
    (("30x48x80", "2x16x8", "2x8x8"), "30x40x40", "1x1x8", 2.40, 2.000, None),  # *
    (("30x48x80", "2x16x8", "2x8x8"), "30x40x40", "1x32x8", 2.40, 2.400, None),  # *
    (COSMOS, "16x24x16", "1x1x1", 9.167, 5.238, None),  # *
    (COSMOS, "16x24x16", "1x8x1", 9.167, 6.111, None),  # *
    (COSMOS, "16x24x16", "1x1x16", 9.167, 7.857, None),  # *
    (COSMOS, "16x24x16", "1x8x16", 9.167, 9.167, None),  # *
    (COSMOS, "16x32x48", "1x1x1", 2.292, 1.746, None),  # *
    (COSMOS, "16x32x48", "1x8x1", 2.292, 1.964, None),  # *
    (COSMOS, "16x32x48", "1x1x16", 2.292, 2.037, None),  # *
    (COSMOS, "16x32x48", "1x8x16", 2.292, 2.292, None),  # *
]


@pytest.mark.parametrize(("shape", "window", "stride", "ops", "worst", "total"), ANCHORS)
def test_published_bounds(shape, window, stride, ops, worst, total):  # noqa: PLR0913  one row
    layout, q_tile, kv_tile = map(sizes, shape)
    mask = neighborhood(layout, sizes(window), sizes(stride))
    counts = count_tiles(mask, Tiling(q_tile, kv_tile))
    assert 1 / mask.density == pytest.approx(ops, abs=0.005)
    assert counts.speedup_worst == pytest.approx(worst, abs=0.005)
    assert total is None or counts.speedup_total == pytest.approx(total, abs=0.005)


def test_tiles_of_one_element_give_back_the_pairs():
    mask = f.power(40, 50, block=4, window=2)
    counts = count_tiles(mask, Tiling((1,), (1,)))
    assert counts.visited == counts.full == mask.pairs
    assert counts.speedup_total == pytest.approx(1 / mask.density)


@pytest.mark.parametrize(
    "mask",
    [
        f.radial(20, 150, least_width=16),
        f.radial(100, 30),
        f.documents([100, 700, 3, 900, 1000], causal=True, front=150, behind=147),
        f.strided(3000, 3000, block=64, local=3, stride=4, offset=1),
        f.power(2900, 3000, block=64, window=2),
        f.triangle(3000, 2900, sinks=4, window=200, last=130),
        f.random_keys(3000, 3000, kept=100, seed=1, block=128),
    ],
    ids=lambda mask: type(mask).__name__,
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_tiles_of_thousands_of_tokens_agree_with_single_queries(mask, dynamic):
    """Tiles as large as those of kernels, which hold no whole number of blocks or frames."""
    tiling = Tiling((96,), (128,), dynamic=dynamic)
    c = count_tiles(mask, tiling)
    layouts = (mask.queries,), (mask.keys,)
    expected = by_definition.tiles(mask.dense_array(), layouts, tiling.q, tiling.kv, dynamic)
    assert expected == by_definition.Counts(
        c.visited, c.most_visited, c.full, c.full_ignoring_padding, c.q_tiles
    )


@pytest.mark.parametrize(
    ("q_tile", "kv_tile", "problems"),
    [
        ((0,), (4, 4), ["q_tile: wanted tile sizes of at least 1", "kv_tile: wanted as many"]),
        ((), (), ["q_tile: wanted", "kv_tile: wanted"]),
    ],
)
def test_tiles_without_a_size_are_refused(q_tile, kv_tile, problems):
    with pytest.raises(MaskError) as error:
        Tiling(q_tile, kv_tile)
    found = zip(problems, error.value.problems, strict=True)
    assert all(text.startswith(wanted) for wanted, text in found)


def test_tiles_of_other_dimensions_are_refused():
    with pytest.raises(MaskError, match=r"one for each dimension of the layout 8x8, found 2x2x2"):
        count_tiles(neighborhood([8, 8], [3, 3]), Tiling((2, 2, 2), (2, 2, 2)))
