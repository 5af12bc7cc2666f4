"""A step's cycles against the tables of the FlashAttention papers, and what every step obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.hw_models import load as load_machine
from einfall.sim.gpu.lowered import hidden
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Tile, blocks_per_sm
from einfall.sim.gpu.steps import Step, checked, rules, step

# GPU, path, rows x keys, head width, dtype, warps: cycles of MMA, exponentials, shared memory.
# Source: FlashAttention-4, arXiv:2603.05451, for B200; the same arithmetic for the others by hand:
# 4·M·N·d / (FLOP/clk), M·N / (ex2/clk), operand bytes / 128 (mma.sync: 4 warps K and V, all Q).
PUBLISHED_CYCLES = [
    ("a100_sxm", "mma_sync", 128, 64, 128, "bf16", 4, 2048, 512, 1280),
    ("h100_sxm", "wgmma", 128, 128, 128, "bf16", 8, 2048, 1024, 1280),
    ("h100_sxm", "wgmma", 128, 176, 128, "bf16", 8, 2816, 1408, 1664),
    ("h100_sxm", "wgmma", 192, 128, 64, "bf16", 12, 1536, 1536, 960),
    ("h100_sxm", "wgmma", 128, 80, 256, "bf16", 8, 2560, 640, 1792),
    ("b200", "tcgen05", 128, 128, 128, "bf16", 16, 1024, 1024, 768),
    ("b200", "tcgen05", 256, 128, 128, "bf16", 16, 2048, 2048, 1536),
    ("b300", "tcgen05", 256, 128, 128, "bf16", 16, 2048, 1024, 1536),
]


@pytest.mark.parametrize("row", PUBLISHED_CYCLES, ids=lambda row: f"{row[0]}-{row[2]}x{row[3]}")
def test_published_cycles_of_a_tile(row):
    machine, path, rows, keys, width, dtype, warps, tensor, mufu, shared = row
    kernel = KernelSchedule(kernel="k", title="", does="fused", names=(), path=path)
    tile = Tile(head_dim=width, rows=rows, keys=keys, warps=warps)
    problem = Problem(head_dim=width, value_dim=width, dtype=dtype)
    found = step(kernel, tile, problem, load_machine(machine))
    assert (found.tensor, found.mufu, found.shared) == (tensor, mufu, shared)


cycles = st.floats(0, 1e4)
shares = st.floats(0, 1)


@given(cycles, cycles, cycles, cycles, shares, st.integers(1, 4))
def test_step_lies_between_the_longer_side_and_the_sum(  # noqa: PLR0913
    tensor, shared, mufu, fma, overlap, blocks
):
    one = Step(tensor=tensor, shared=shared, mufu=mufu, fma=fma, mask=0, wait=0)
    time = one.cycles(overlap, blocks)
    longer, total = max(one.matrix, one.softmax), one.matrix + one.softmax
    assert blocks * longer * 0.999999 <= time <= blocks * total * 1.000001


@given(shares, st.integers(1, 8))
def test_more_warps_hide_more(overlap, streams):
    assert hidden(overlap, streams) <= hidden(overlap, streams + 1) <= 1


def test_masked_step_takes_no_less():
    one = Step(tensor=100, shared=50, mufu=80, fma=40, mask=30, wait=5)
    assert one.cycles(0.5, masked=True) >= one.cycles(0.5)


def test_blocks_of_an_sm():
    # 227 KiB hold Q (16 KiB) and three stages of K and V (32 KiB each) of 64 x 64 x 128 twice.
    assert blocks_per_sm(64, 64, 4, 3, width=128) == 2
    assert blocks_per_sm(128, 128, 8, 2, width=256) == 1


def test_a_group_of_warps_alone_hides_nothing_and_two_hide_the_overlap():
    assert hidden(0.7, 1) == 0
    assert hidden(0.7, 2) == pytest.approx(0.7)


def test_a_mask_takes_the_more_the_more_it_compares():
    causal, window = (rules(Problem(causal=True, window=w)) for w in (None, 512))
    listed = [rules(Problem(visited=(4,), axes=n)) for n in (1, 2, 3)]
    assert causal == listed[0] < window < listed[1] < listed[2]


@pytest.mark.parametrize(
    ("checks", "length", "causal", "found"),
    [
        ("always", 1024, False, False),
        ("always", 1088, True, True),  # whole tiles of 64 keys, but no whole blocks of the mask
        ("dense", 1000, False, True),
        ("dense", 1000, True, False),
        ("never", 1000, False, False),
        ("never", 1000, True, False),
    ],
)
def test_bounds_are_checked_where_lengths_are_ragged(checks, length, causal, found):
    block = 128 if checks == "always" else None
    kernel = KernelSchedule(
        kernel="k", title="", does="fused", names=(), checks_ragged=checks, mask_block=block
    )
    problem = Problem(queries=length, keys=length, causal=causal)
    assert checked(kernel, Tile(head_dim=128, rows=64, keys=64), problem) == found
