"""Our Triton kernels against their float64 references, on the CPU under Triton's interpreter."""

import os

import numpy as np
import pytest

os.environ["TRITON_INTERPRET"] = "1"
torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from einfall.validate.kernels import references  # noqa: E402  after the interpreter is chosen
from einfall.validate.kernels.block_sparse import block_sparse  # noqa: E402
from einfall.validate.kernels.configs import BoxTile, Tile  # noqa: E402
from einfall.validate.kernels.decode import decode, partials_for  # noqa: E402
from einfall.validate.kernels.flash import flash  # noqa: E402
from einfall.validate.kernels.linear import linear, states_for  # noqa: E402
from einfall.validate.kernels.neighborhood import (  # noqa: E402
    from_boxes,
    neighborhood,
    to_boxes,
)
from einfall.validate.kernels.unfused import scores_for, unfused  # noqa: E402
from einfall.validate.measuring.cases import Case  # noqa: E402
from einfall.validate.measuring.check import deviation  # noqa: E402
from einfall.validate.measuring.jobs import inputs_of, variants_of  # noqa: E402

TILE = Tile(16, 16, warps=4, stages=2)
ROUNDING = 2e-5  # of float32 sums of a few hundred terms


def qkv(*shape):
    batch, heads, kv_heads, seq_q, seq_k, width = shape
    random = torch.Generator().manual_seed(0)
    sizes = ((heads, seq_q), (kv_heads, seq_k), (kv_heads, seq_k))
    q, k, v = (torch.randn(batch, *size, width, generator=random) for size in sizes)
    return torch.full_like(q, float("nan")), q, k, v


def assert_close(out, expected):
    assert np.abs(out.double().numpy() - expected).max() <= ROUNDING


def reference(tensors, seen=None):
    return references.attention(*(x.double().numpy() for x in tensors), seen)


@pytest.mark.parametrize(
    ("shape", "causal", "window"),
    [
        ((1, 2, 1, 37, 53, 16), False, None),
        ((2, 2, 2, 37, 53, 16), True, None),
        ((1, 4, 2, 53, 37, 16), True, None),  # the first queries see no key
        ((1, 1, 1, 64, 64, 32), True, None),
        ((1, 2, 1, 70, 70, 32), True, 21),
        ((1, 1, 1, 33, 65, 64), True, 3),
        ((1, 1, 1, 40, 40, 16), True, 40),
        ((1, 1, 1, 17, 50, 16), True, 1),
    ],
)
@pytest.mark.parametrize("tile", [TILE, Tile(32, 16, 4, 2), Tile(16, 32, 4, 2)], ids=str)
def test_flash(shape, causal, window, tile):
    out, *tensors = qkv(*shape)
    flash(out, *tensors, tile=tile, causal=causal, window=window)
    seen = references.causal_mask(shape[3], shape[4], window) if causal else None
    assert_close(out, reference(tensors, seen))


@pytest.mark.parametrize("width", [128, 256])
def test_flash_with_wide_heads(width):
    out, *tensors = qkv(1, 1, 1, 19, 35, width)
    flash(out, *tensors, tile=TILE)
    assert_close(out, reference(tensors))


def test_flash_refuses_a_window_that_looks_ahead():
    with pytest.raises(ValueError, match="causal=True"):
        flash(*qkv(1, 1, 1, 16, 16, 16), tile=TILE, window=4)


@pytest.mark.parametrize(
    ("shape", "window", "stride", "q_box", "k_box"),
    [
        ((1, 7, 9), (1, 3, 4), (1, 1, 1), (1, 4, 4), (1, 4, 4)),
        ((1, 8, 8), (1, 4, 4), (1, 4, 4), (1, 4, 4), (1, 4, 4)),  # blocks
        ((1, 8, 12), (1, 8, 12), (1, 1, 1), (1, 4, 4), (1, 2, 8)),  # all
        ((1, 9, 10), (1, 5, 6), (1, 2, 2), (1, 4, 4), (1, 2, 8)),
        ((3, 5, 6), (2, 3, 4), (1, 2, 3), (2, 2, 4), (2, 4, 2)),
        ((4, 6, 5), (3, 2, 4), (2, 1, 3), (2, 2, 4), (4, 2, 2)),
    ],
)
def test_neighborhood(shape, window, stride, q_box, k_box):
    tokens = int(np.prod(shape))
    _, *tensors = qkv(1, 2, 1, tokens, tokens, 16)
    boxes = [to_boxes(x, shape, b) for x, b in zip(tensors, (q_box, k_box, k_box), strict=True)]
    out = torch.full_like(boxes[0], float("nan"))
    tile = BoxTile(q_box, k_box, 4, 2)
    neighborhood(out, *boxes, tile=tile, shape=shape, window=window, stride=stride)
    seen = references.neighborhood_mask(shape, window, stride)
    assert_close(from_boxes(out, shape, q_box), reference(tensors, seen))


def test_boxes_and_back():
    x = torch.arange(2 * 3 * 30.0).reshape(1, 2, 30, 3)
    assert torch.equal(from_boxes(to_boxes(x, (2, 3, 5), (2, 2, 4)), (2, 3, 5), (2, 2, 4)), x)


@pytest.mark.parametrize(("seq_q", "seq_k", "density"), [(64, 64, 0.5), (50, 70, 0.3), (33, 16, 1)])
def test_block_sparse(seq_q, seq_k, density):
    out, *tensors = qkv(2, 2, 1, seq_q, seq_k, 16)
    blocks = references.random_blocks(-(-seq_q // 16), -(-seq_k // 16), density, seed=0)
    block_sparse(out, *tensors, *(torch.from_numpy(x) for x in blocks), tile=TILE)
    seen = references.block_mask(*blocks, block=16, seq_k=seq_k)[:seq_q]
    assert_close(out, reference(tensors, seen))


def test_block_sparse_row_without_blocks_is_zero():
    out, *tensors = qkv(1, 1, 1, 32, 32, 16)
    counts, indices = np.array([0, 1], np.int32), np.array([[0], [1]], np.int32)
    block_sparse(out, *tensors, torch.from_numpy(counts), torch.from_numpy(indices), tile=TILE)
    seen = references.block_mask(counts, indices, block=16, seq_k=32)
    assert_close(out, reference(tensors, seen))


@pytest.mark.parametrize("decay", [None, (0.9, 0.99)])
@pytest.mark.parametrize(("seq", "width"), [(50, 32), (64, 16), (7, 32)])
def test_linear(seq, width, decay):
    out, *tensors = qkv(2, 2, 2, seq, seq, width)
    log2_decay = None if decay is None else torch.log2(torch.tensor(decay))
    states = states_for(tensors[0], chunk=16)
    linear(out, *tensors, states, tile=TILE, chunk=16, log2_decay=log2_decay)
    arrays = (x.double().numpy() for x in tensors)
    expected = references.linear_attention(*arrays, None if decay is None else np.array(decay))
    assert_close(out, expected)


@pytest.mark.parametrize(
    ("seq_k", "splits", "heads", "kv_heads"),
    [(100, 3, 8, 2), (64, 1, 4, 4), (33, 8, 8, 1), (200, 5, 6, 2)],  # 8 splits of 3 tiles: 5 empty
)
def test_decode(seq_k, splits, heads, kv_heads):
    out, *tensors = qkv(2, heads, kv_heads, 1, seq_k, 16)
    decode(out, *tensors, partials_for(tensors[0], splits), tile=TILE, splits=splits)
    assert_close(out, reference(tensors))


def test_decode_refuses_a_group_larger_than_its_tile():
    out, *tensors = qkv(1, 32, 1, 1, 16, 16)
    with pytest.raises(ValueError, match="at most 16 query heads a key/value head, found 32"):
        decode(out, *tensors, partials_for(tensors[0], 1), tile=TILE, splits=1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(1, 2, 1, 33, 47, 16), (2, 2, 2, 16, 16, 32)])
def test_unfused(shape, causal):
    out, *tensors = qkv(*shape)
    unfused(out, *tensors, scores_for(*tensors[:2]), tile=TILE, causal=causal)
    seen = references.causal_mask(shape[3], shape[4]) if causal else None
    assert_close(out, reference(tensors, seen))


SIZES = {"dtype": "fp32", "batch": 1, "heads": 2, "kv_heads": 1, "head_dim": 64}
BOXES = {"seq_q": 96, "seq_k": 96}


@pytest.mark.parametrize(
    "case",
    [
        Case("triton_flash", seq_q=70, seq_k=90, causal=1, params="window=33", **SIZES),
        Case("triton_na2d", params="shape=8x12;window=5x6;stride=2x3", **BOXES, **SIZES),
        Case("triton_na3d", params="shape=4x4x6;window=3x3x4", **BOXES, **SIZES),
        Case("triton_block_sparse", seq_q=150, seq_k=200, params="density=0.5;block=64", **SIZES),
        Case("triton_decode", seq_q=1, seq_k=150, params="splits=2", **SIZES),
        Case("triton_softmax_3pass", seq_q=40, seq_k=70, causal=1, **SIZES),
        Case(
            *("triton_linear", "fp32", 1, 2, 2, 70, 70, 64, 1),
            params="decay=per_head;chunk=64",
        ),
    ],
    ids=lambda case: case.kernel,
)
def test_what_is_measured_is_what_a_case_defines(case):
    inputs = inputs_of(case, "cpu", seed=0)
    for variant in variants_of(case)[:1]:
        tensors = variant.prepare(inputs)
        assert tensors["out"].isnan().all()
        assert not deviation(case, inputs, variant.result(tensors)).ok(case.dtype)
        variant.launch(tensors)
        right = variant.result(tensors)
        hole = right.clone()
        hole[0, 0, -1, -1] = float("nan")
        assert not deviation(case, inputs, hole).ok(case.dtype)
        assert deviation(case, inputs, right).relative < ROUNDING
