"""Masks combined at random equal their arrays combined, in pairs and in every way to cut tiles."""

import mask_references as by_definition
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.einsum_cascades.masks import HeadMasks, MaskError, Tiling, count_tiles, parse_mask
from einfall.einsum_cascades.masks import families as f
from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.below import Below
from einfall.einsum_cascades.masks.empty import has_keys
from einfall.einsum_cascades.masks.mask import Product

SOME = st.integers(1, 6)


@st.composite
def leaves(draw, queries, keys):
    """A mask of some family over a sequence, and its array by definition."""
    a, b, c = draw(SOME), draw(SOME), draw(SOME)
    size = queries, keys
    mask, predicate = draw(
        st.sampled_from(
            [
                (f.causal(*size), by_definition.causal(*size)),
                (
                    f.sliding_window(*size, left=a, right=b),
                    by_definition.sliding(*size, a, b),
                ),
                (
                    f.dilated_window(*size, left=a, right=b, dilation=c),
                    by_definition.dilated(*size, a, b, c),
                ),
                (
                    f.sink_window(*size, sinks=a, window=b),
                    by_definition.sink_window(*size, a, b),
                ),
                (
                    f.power(*size, block=a, window=b, sinks=c),
                    by_definition.power(*size, a, b, c),
                ),
                (
                    f.strided(*size, block=a, local=b, stride=c, offset=1),
                    by_definition.strided(size, a, b, c, (0, 1)),
                ),
                (
                    f.block_diagonal(*size, block=a),
                    by_definition.block_diagonal(*size, a, is_causal=False),
                ),
            ]
        )
    )
    return mask, by_definition.array(predicate, queries, keys)


@st.composite
def compounds(draw, queries, keys, depth=3):
    """Masks joined up to a depth, and their arrays joined likewise."""
    how = draw(st.sampled_from(["leaf", "&", "|", "~"])) if depth else "leaf"
    if how == "leaf":
        return draw(leaves(queries, keys))
    a, array = draw(compounds(queries, keys, depth - 1))
    if how == "~":
        return ~a, ~array
    b, other = draw(compounds(queries, keys, depth - 1))
    return (a & b, array & other) if how == "&" else (a | b, array | other)


def agrees(mask, array, layouts, tiling):
    assert mask.pairs == array.sum()
    assert np.array_equal(mask.dense_array(), array)
    assert mask.empty_queries == (~array.any(axis=1)).sum()
    assert np.array_equal(has_keys(mask), array.any(axis=1))
    c = count_tiles(mask, tiling)
    found = by_definition.Counts(
        c.visited, c.most_visited, c.full, c.full_ignoring_padding, c.q_tiles
    )
    assert found == by_definition.tiles(array, layouts, tiling.q, tiling.kv, tiling.dynamic)


@settings(max_examples=300)
@given(st.data(), st.integers(1, 16), st.integers(1, 16), SOME, SOME, st.booleans())
def test_masks_of_a_sequence(data, queries, keys, q, kv, dynamic):  # noqa: PLR0913  one problem
    mask, array = data.draw(compounds(queries, keys))
    tiling = Tiling((q,), (kv,), dynamic=dynamic, in_place=True)
    agrees(mask, array, ((queries,), (keys,)), tiling)


SIDE = st.integers(1, 4)


@st.composite
def products(draw, q_layout, k_layout):
    sides = zip(q_layout, k_layout, strict=True)
    axes = [draw(compounds(p, m, 1)) for p, m in sides]
    return Product(tuple(a for a, _ in axes)), by_definition.outer([a for _, a in axes])


@settings(max_examples=200)
@given(st.data(), st.integers(2, 3), st.booleans(), st.booleans())
def test_masks_of_a_grid(data, dims, flat, dynamic):
    q_layout, k_layout = (tuple(data.draw(SIDE) for _ in range(dims)) for _ in range(2))
    mask, array = data.draw(products(q_layout, k_layout))
    how = data.draw(st.sampled_from(["alone", "&", "|", "& ~", "| a sequence", "~"]))
    if how == "~":
        mask, array = ~mask, ~array
    elif how == "| a sequence":
        other, seen = data.draw(leaves(*array.shape))
        mask, array = mask | other, array | seen
    elif how != "alone":
        other, seen = data.draw(products(q_layout, k_layout))
        if how == "& ~":
            mask, array = mask & ~other, array & ~seen
        else:
            joined = (mask & other, array & seen) if how == "&" else (mask | other, array | seen)
            mask, array = joined
    sides = 1 if flat else dims
    q, kv = (tuple(data.draw(SOME) for _ in range(sides)) for _ in range(2))
    layouts = tuple((n,) for n in array.shape) if flat else (q_layout, k_layout)
    agrees(mask, array, layouts, Tiling(q, kv, dynamic=dynamic, in_place=True))


@settings(max_examples=50)
@given(st.data(), st.integers(1, 12), st.integers(1, 12))
def test_the_laws_of_sets(data, queries, keys):
    a, _ = data.draw(compounds(queries, keys, 2))
    b, _ = data.draw(compounds(queries, keys, 2))
    assert (a | b).pairs + (a & b).pairs == a.pairs + b.pairs
    assert (~(a | b)).pairs == (~a & ~b).pairs
    assert (~~a).pairs == a.pairs
    assert (a & ~a).pairs == 0


@settings(max_examples=100)
@given(st.data(), st.integers(1, 16), st.integers(1, 16), SOME, SOME)
def test_joining_changes_tiles_the_way_it_changes_pairs(data, queries, keys, q, kv):
    a, _ = data.draw(compounds(queries, keys, 1))
    b, _ = data.draw(compounds(queries, keys, 1))
    tiling = Tiling((q,), (kv,))
    of_a, of_b, union, both = (count_tiles(m, tiling) for m in (a, b, a | b, a & b))
    assert both.visited <= min(of_a.visited, of_b.visited)
    assert union.visited >= max(of_a.visited, of_b.visited)
    assert union.visited <= of_a.visited + of_b.visited
    assert a.pairs <= of_a.visited * q * kv
    assert of_a.full * q * kv <= a.pairs or queries % q


def test_heads_are_joined_head_by_head():
    heads = parse_mask("strided:block=1,local=1,stride=2 & sliding:window=3").bind(6, 6, heads=4)
    assert isinstance(heads, HeadMasks)
    window = by_definition.array(by_definition.sliding(6, 6, 2), 6, 6)
    for h, mask in enumerate(heads.masks):
        own = by_definition.array(by_definition.strided((6, 6), 1, 1, 2, (h, 4)), 6, 6)
        assert np.array_equal(mask.dense_array(), own & window)
    assert [times for _, times in heads.groups] == [2, 2]  # a stride of 2: two masks for 4 heads


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(MaskError, match=r"wanted masks of one size .* 4 x 4 and 4 x 5"):
        _ = f.dense(4, 4) & f.dense(4, 5)
    with pytest.raises(MaskError, match=r"wanted masks of one layout, found 2x3 and 3x2"):
        _ = f.blocked([2, 3], [1, 1]) | f.blocked([3, 2], [1, 1])
    with pytest.raises(MaskError, match="heads: wanted masks of one size"):
        HeadMasks((f.dense(4, 4), f.dense(4, 5)))
    with pytest.raises(MaskError, match="heads: wanted at least one mask"):
        HeadMasks(())


def test_limits_that_fall_and_blocks_without_a_query_are_refused():
    of_block = algebra.everything(2, 4)
    with pytest.raises(MaskError, match="limits that never fall"):
        Below(np.array([0, 2, 4]), of_block, np.array([2, 1, 3, 4]), 4)
    with pytest.raises(MaskError, match="blocks of at least one query"):
        Below(np.array([0, 2, 2]), of_block, np.array([1, 2]), 4)
