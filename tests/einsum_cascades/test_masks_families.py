"""Every family against its element-wise definition: pairs, and tiles cut in every way."""

import mask_references as by_definition
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.einsum_cascades.masks import MaskError, Tiling, count_tiles
from einfall.einsum_cascades.masks import families as f

MANY = settings(max_examples=200)


def agrees(draw, mask, expected):
    """The pairs, the array, the queries without a key, and tiles of a random cut."""
    assert mask.pairs == expected.sum()
    assert np.array_equal(mask.dense_array(), expected)
    assert mask.empty_queries == (~expected.any(axis=1)).sum()
    dims = len(mask.query_layout)
    flat = dims == 1 or draw(st.booleans(), label="flat")
    size = st.integers(1, 11 if flat else 4)
    sides = 1 if flat else dims
    q_tile, kv_tile = (tuple(draw(size) for _ in range(sides)) for _ in range(2))
    dynamic = draw(st.booleans(), label="dynamic")
    counts = count_tiles(mask, Tiling(q_tile, kv_tile, dynamic=dynamic, in_place=True))
    layouts = ((mask.queries,), (mask.keys,)) if flat else (mask.query_layout, mask.key_layout)
    found = by_definition.Counts(
        counts.visited,
        counts.most_visited,
        counts.full,
        counts.full_ignoring_padding,
        counts.q_tiles,
    )
    assert found == by_definition.tiles(expected, layouts, q_tile, kv_tile, dynamic)
    assert (counts.visits * counts.times).sum() == counts.visited


LENGTHS = st.integers(1, 20)
SIZES = st.tuples(LENGTHS, LENGTHS)
SMALL = st.integers(0, 7)
SOME = st.integers(1, 7)
DATA = st.data()


@MANY
@given(DATA, SIZES)
def test_dense(data, size):
    agrees(data.draw, f.dense(*size), np.ones(size, dtype=bool))


@MANY
@given(DATA, SIZES)
def test_causal(data, size):
    expected = by_definition.array(by_definition.causal(*size), *size)
    agrees(data.draw, f.causal(*size), expected)


@MANY
@given(DATA, SIZES, SMALL, SMALL)
def test_sliding_window(data, size, left, right):
    expected = by_definition.array(by_definition.sliding(*size, left, right), *size)
    agrees(data.draw, f.sliding_window(*size, left=left, right=right), expected)


@MANY
@given(DATA, SIZES, SMALL, SOME)
def test_sink_window(data, size, sinks, window):
    expected = by_definition.array(by_definition.sink_window(*size, sinks, window), *size)
    agrees(data.draw, f.sink_window(*size, sinks=sinks, window=window), expected)


@MANY
@given(DATA, SIZES, st.integers(0, 4), st.integers(0, 4), st.integers(1, 4))
def test_dilated_window(data, size, left, right, dilation):
    predicate = by_definition.dilated(*size, left, right, dilation)
    mask = f.dilated_window(*size, left=left, right=right, dilation=dilation)
    agrees(data.draw, mask, by_definition.array(predicate, *size))


@MANY
@given(DATA, SIZES, SMALL, SOME, st.integers(0, 25))
def test_triangle(data, size, sinks, window, last):
    expected = by_definition.array(by_definition.triangle(*size, sinks, window, last), *size)
    agrees(data.draw, f.triangle(*size, sinks=sinks, window=window, last=last), expected)


# Grids --------------------------------------------------------------------------------------------

_LONGEST = {1: 24, 2: 6, 3: 4}


def over_a_grid(draw, axis, predicate):
    """Layout, numbers of each dimension, and the mask by definition."""
    dims = draw(st.integers(1, 3), label="dimensions")
    layout = [draw(st.integers(1, _LONGEST[dims]), label="length") for _ in range(dims)]
    axes = [draw(axis(length), label="axis") for length in layout]
    sides = zip(layout, axes, strict=True)
    arrays = [by_definition.array(predicate(n, *a), n, n) for n, a in sides]
    return layout, list(zip(*axes, strict=True)), by_definition.outer(arrays)


@st.composite
def gna_axis(draw, length):
    window = draw(st.integers(1, length))
    stride = draw(st.integers(1, window))
    return window, stride, draw(st.integers(1, length // window)), draw(st.booleans())


@MANY
@given(DATA)
def test_neighborhood(data):
    layout, sides, expected = over_a_grid(data.draw, gna_axis, by_definition.gna)
    agrees(data.draw, f.neighborhood(layout, *sides), expected)


@MANY
@given(DATA)
def test_blocked(data):
    def axis(length):
        return st.tuples(st.integers(1, length), st.integers(0, 5))

    layout, sides, expected = over_a_grid(data.draw, axis, by_definition.blocked)
    agrees(data.draw, f.blocked(layout, *sides), expected)


@MANY
@given(DATA)
def test_halo(data):
    def axis(length):
        return st.tuples(st.integers(1, length), st.integers(0, 4))

    layout, sides, expected = over_a_grid(data.draw, axis, by_definition.halo)
    agrees(data.draw, f.halo(layout, *sides), expected)


@MANY
@given(DATA)
def test_grid(data):
    def axis(length):
        return st.tuples(st.sampled_from([g for g in range(1, length + 1) if length % g == 0]))

    layout, sides, expected = over_a_grid(data.draw, axis, by_definition.grid)
    agrees(data.draw, f.grid(layout, *sides), expected)


def test_the_grid_of_maxvit_is_gna_once_its_tokens_are_gathered():
    """Seven tokens a dimension over 56 x 56: dense blocks of 49 after the permutation."""
    gathered = f.neighborhood([56, 56], [7, 7], dilation=[8, 8])
    counts = count_tiles(gathered, Tiling((7, 7), (7, 7)))
    assert f.grid([56, 56], [7, 7]).pairs == gathered.pairs == 56 * 56 * 49
    assert counts.block_sparse
    assert counts.visited == 64


# Blocks, heads, video, documents ------------------------------------------------------------------


@MANY
@given(DATA, SIZES, st.integers(1, 4), SMALL, SOME)
def test_strided_heads(data, size, block, local, stride):
    heads = data.draw(st.integers(1, 5), label="heads")
    masks = f.strided_heads(*size, heads, block=block, local=local, stride=stride)
    head = data.draw(st.integers(0, heads - 1), label="head")
    predicate = by_definition.strided(size, block, local, stride, (head, heads))
    agrees(data.draw, masks.masks[head], by_definition.array(predicate, *size))


@MANY
@given(DATA, SIZES, st.integers(1, 5), SMALL)
def test_head_windows(data, size, heads, sinks):
    alpha = [data.draw(st.integers(1, 6)) for _ in range(heads)]
    beta = [data.draw(st.sampled_from([0, 0.25, 0.5, 1.5])) for _ in range(heads)]
    masks = f.head_windows(*size, alpha=alpha, beta=beta, sinks=sinks)
    head = data.draw(st.integers(0, heads - 1), label="head")
    window = int(alpha[head] + beta[head] * size[1])
    expected = by_definition.array(by_definition.sink_window(*size, sinks, window), *size)
    agrees(data.draw, masks.masks[head], expected)


@MANY
@given(DATA, SIZES, st.integers(1, 4), SOME, st.integers(0, 3))
def test_power(data, size, block, window, sinks):
    expected = by_definition.array(by_definition.power(*size, block, window, sinks), *size)
    agrees(data.draw, f.power(*size, block=block, window=window, sinks=sinks), expected)


@MANY
@given(DATA, st.integers(1, 9), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_radial(data, frames, tokens, least, sink):
    size = frames * tokens
    expected = by_definition.array(by_definition.radial(tokens, least, sink), size, size)
    agrees(data.draw, f.radial(frames, tokens, least_width=least, sink=sink), expected)


def test_radial_keeps_to_the_bound_of_the_paper():
    """At most 4 s N (log2 N - log2 s) pairs beside the sink (section 4.2)."""
    frames, tokens = 128, 3600
    size = frames * tokens
    pairs = f.radial(frames, tokens, sink=False).pairs
    assert pairs <= 4 * tokens * size * (np.log2(size) - np.log2(tokens))


DOCUMENTS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@MANY
@given(DATA, DOCUMENTS, st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_documents(data, lengths, is_causal, front, behind):
    cross = data.draw(st.booleans(), label="cross attention")
    key_lengths = [data.draw(st.integers(1, 6)) for _ in lengths] if cross else lengths
    mask = f.documents(
        lengths, causal=is_causal, key_lengths=key_lengths, front=front, behind=behind
    )
    predicate = by_definition.documents(lengths, key_lengths, is_causal, front, behind)
    size = (sum(n) + front + behind for n in (lengths, key_lengths))
    agrees(data.draw, mask, by_definition.array(predicate, *size))


@MANY
@given(DATA, st.integers(0, 4), DOCUMENTS, st.integers(0, 4))
def test_block_rank(data, instruction, lengths, query):
    size = instruction + sum(lengths) + query
    predicate = by_definition.block_rank(instruction, lengths, query)
    expected = by_definition.array(predicate, size, size)
    agrees(data.draw, f.block_rank(instruction, lengths, query), expected)


@MANY
@given(DATA, SIZES, SOME, st.booleans())
def test_block_diagonal(data, size, block, is_causal):
    expected = by_definition.array(by_definition.block_diagonal(*size, block, is_causal), *size)
    agrees(data.draw, f.block_diagonal(*size, block=block, causal=is_causal), expected)


@MANY
@given(DATA, SIZES, SOME, SOME)
def test_block_map_and_list(data, size, q_block, k_block):
    shape = -(-size[0] // q_block), -(-size[1] // k_block)
    cells = st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    blocks = np.array(data.draw(cells)).reshape(shape)
    expected = by_definition.array(by_definition.block_map(blocks, q_block, k_block), *size)
    agrees(data.draw, f.block_map(blocks, *size, q_block=q_block, k_block=k_block), expected)
    listed = f.block_list(np.argwhere(blocks), *size, q_block=q_block, k_block=k_block)
    assert np.array_equal(listed.dense_array(), expected)


# Random keys --------------------------------------------------------------------------------------


@MANY
@given(DATA, SIZES, st.integers(0, 2**32), st.sampled_from([None, 1, 2, 5]))
def test_random_keys(data, size, seed, block):
    """A draw for each block of queries, each with as many keys, and the same for the same seed."""
    queries, keys = size
    kept = data.draw(st.integers(1, keys))
    mask = f.random_keys(*size, kept=kept, seed=seed, block=block)
    generator = np.random.default_rng(seed)
    expected = np.zeros(size, dtype=bool)
    for first in range(0, queries, block or queries):
        drawn = generator.choice(keys, kept, replace=False)
        expected[first : first + (block or queries), drawn] = True
    agrees(data.draw, mask, expected)


@pytest.mark.parametrize("block", [None, 1, 3])
@pytest.mark.parametrize("kept", [1, 5, 7])
def test_expected_tiles_are_the_mean_over_all_draws(block, kept):
    """Few enough keys to average over many seeds; four standard errors."""
    size, q_tile, kv_tile = (7, 7), 4, 3
    expected = f.expected_random_keys(*size, kept=kept, q_tile=q_tile, kv_tile=kv_tile, block=block)
    seen = []
    for seed in range(400):
        mask = f.random_keys(*size, kept=kept, seed=seed, block=block)
        c = count_tiles(mask, Tiling((q_tile,), (kv_tile,)))
        seen.append((c.visited, c.full, c.full_ignoring_padding))
        assert (mask.pairs, c.q_tiles, c.of_dense) == (
            expected.pairs,
            expected.q_tiles,
            expected.of_dense,
        )
    mean, error = np.mean(seen, axis=0), np.std(seen, axis=0) / np.sqrt(len(seen))
    found = expected.visited, expected.full, expected.full_ignoring_padding
    assert np.all(np.abs(mean - found) <= 4 * error + 1e-12)


# Heads --------------------------------------------------------------------------------------------


def test_heads_are_counted_one_by_one_and_in_sum():
    """Two heads share a mask, so that two of three are counted."""
    heads = f.head_windows(64, 64, alpha=[8, 32, 8], beta=[0, 0, 0], sinks=0)
    tiles = heads.count_tiles(Tiling((16,), (16,)))
    assert [times for _, times in heads.groups] == [2, 1]
    assert tiles.per_head[0] is tiles.per_head[2]
    assert heads.pairs == sum(heads.pairs_per_head) == sum(m.pairs for m in heads.masks)
    assert tiles.total.visited == sum(c.visited for c in tiles.per_head)
    assert tiles.total.of_dense == 3 * 16
    assert tiles.total.most_visited == 3
    assert int(tiles.total.times.sum()) == tiles.total.q_tiles == 12
    assert tiles.imbalance == max(c.visited for c in tiles.per_head) * 3 / tiles.total.visited
    assert heads.imbalance > 1
    assert heads.density == heads.pairs / (3 * 64 * 64)
    assert heads.empty_queries == 0
    assert heads.map(lambda mask: ~mask).pairs == 3 * 64 * 64 - heads.pairs


def test_the_heads_of_s2_attention_cover_every_block():
    """With as many heads as the stride, each block before is kept by one of them."""
    heads = f.strided_heads(32, 32, 4, block=2, local=1, stride=4)
    union = np.logical_or.reduce([mask.dense_array() for mask in heads.masks])
    assert np.array_equal(union, np.tri(32, dtype=bool))


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "problems"),
    [
        (lambda: f.sliding_window(4, 4, left=-1), ["left: wanted at least 0, found -1"]),
        (lambda: f.dense(0, 0), ["queries: wanted at least 1, found 0", "keys: wanted at least"]),
        (lambda: f.blocked([8, 8], [9, 0]), ["block: wanted at least 1, found 0", "block: wanted"]),
        (lambda: f.blocked([], []), ["input: wanted at least one dimension, found none"]),
        (lambda: f.documents([]), ["lengths: wanted at least one document, found none"]),
        (
            lambda: f.random_keys(4, 4, kept=1, seed=0, block=0),
            ["block: wanted at least 1, found 0"],
        ),
        (lambda: f.grid([9], [2]), ["tokens: wanted a divisor of the input"]),
        (lambda: f.halo([9, 9], [2], [1, 1]), ["block: wanted one number for each of the 2"]),
        (lambda: f.documents([3, 0, 0]), ["for document 1", "for document 2"]),
        (lambda: f.documents([3], key_lengths=[1, 2]), ["key_lengths: wanted one for each of"]),
        (lambda: f.radial(0, 4, least_width=0), ["frames: wanted", "least_width: wanted"]),
        (lambda: f.random_keys(4, 4, kept=9, seed=0), ["kept: wanted at most all 4 keys, found 9"]),
        (
            lambda: f.block_list(np.array([[0, 5], [7, 1]]), 4, 4, q_block=2, k_block=2),
            ["q_block: wanted blocks 0..1, found 7", "k_block: wanted blocks 0..1, found 5"],
        ),
        (
            lambda: f.block_map(np.ones((2, 3)), 4, 4, q_block=2, k_block=2),
            ["blocks: wanted 2 x 2 for 4 queries in blocks of 2 and 4 keys in blocks of 2"],
        ),
        (lambda: f.head_windows(4, 4, alpha=[0], beta=[0.1]), ["alpha: wanted a window"]),
        (lambda: f.head_windows(4, 4, alpha=[0], beta=[]), ["beta: wanted one for each alpha"]),
    ],
)
def test_what_no_mask_is_made_of_is_refused_all_at_once(build, problems):
    with pytest.raises(MaskError) as error:
        build()
    found = error.value.problems
    assert len(found) == len(problems)
    assert all(wanted in text for wanted, text in zip(problems, found, strict=True)), found
