"""Rooflines: no estimate above a roof, on machines of every kind, and numbers checkable by hand."""

import pytest

from einfall.einsum_cascades import load as cascade
from einfall.hw_models import load, with_overrides
from einfall.hw_models import names as machine_names
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate as on_array
from einfall.sim.gpu.estimate import estimate as on_gpu
from einfall.sim.optical.estimate import estimate as on_optics
from einfall.sim.roofline import roofline

ATTENTION = {"batch": 2, "heads": 4, "queries": 1024, "head_dim": 64}
DECODE = {"batch": 16, "heads": 32, "kv_heads": 8, "queries": 1, "keys": 4096, "head_dim": 128}
CONV = {"batch": 16, "channels": 3, "filters": 8, "height": 32, "kernel_height": 3}
CASCADES = ("attention_1pass", "attention_2pass", "attention_3pass")


def asked(machine, name="attention_1pass", shape=ATTENTION):
    found = cascade(name)
    if machine.kind == "gpu":
        return roofline(found, on_gpu(found, shape, machine))
    if machine.kind == "optical_4f":
        return roofline(cascade("conv2d"), on_optics(cascade("conv2d"), CONV, machine))
    mapping = mapping_for(found, shape, machine)
    return roofline(found, on_array(found, shape, machine, mapping))


def kinds(table):
    return [[row for row in table if row["kind"] == kind] for kind in ("roof", "point")]


def check_below_all_roofs(table, slack=1e-9):
    roofs, points = kinds(table)
    slopes = {roof["name"]: roof["bytes_per_s"] for roof in roofs if "bytes_per_s" in roof}
    assert {point["level"] for point in points} == set(slopes)
    for point in points:
        bounds = [roof["flops_per_s"] for roof in roofs if "flops_per_s" in roof]
        bounds.append(slopes[point["level"]] * point["flop_per_byte"])
        assert 0 < point["flops_per_s"] <= min(bounds) * (1 + slack)


@pytest.mark.parametrize("name", CASCADES)
@pytest.mark.parametrize("machine", machine_names("spatial_array"))
def test_no_array_reaches_above_its_roofs(machine, name):
    check_below_all_roofs(asked(load(machine), name))


@pytest.mark.parametrize("shape", [ATTENTION, DECODE], ids=["prefill", "decode"])
@pytest.mark.parametrize("machine", ["a100_sxm", "h100_sxm", "b200", "rtx4090"])
def test_no_gpu_reaches_above_its_roofs(machine, shape):
    check_below_all_roofs(asked(load(machine), shape=shape))


@pytest.mark.parametrize("machine", machine_names("optical_4f"))
def test_no_optics_reaches_above_its_roofs(machine):
    table = asked(load(machine))
    assert kinds(table)[0]
    check_below_all_roofs(table)


def test_the_numbers_of_a_fusemax_can_be_checked_by_hand():
    """2 · B·H·P·M·(E + F) FLOP; 65,536 elements at 940 MHz do 123.2 TFLOP/s, an exp in 6 cycles."""
    roofs, points = kinds(asked(load("fusemax_cloud")))
    named = {roof["name"]: roof for roof in roofs}
    assert named["products"]["flops_per_s"] == pytest.approx(2 * 65536 * 940e6)
    # An exponential for each score, in 6 multiply-adds: 2 · 128 FLOP in 6 cycles of an element.
    assert named["exp on 2d"]["flops_per_s"] == pytest.approx(256 * 65536 * 940e6 / 6)
    assert named["dram"]["bytes_per_s"] == 400 * 2**30
    dram = next(point for point in points if point["level"] == "dram")
    # Q, K, V and the result once, 2 bytes each; K and V of a head fit the buffer.
    once = 2 * 4 * 4 * 1024 * 64 * 2
    assert dram["flop_per_byte"] == pytest.approx(2 * 2 * 4 * 1024**2 * 128 / once)


def test_the_roof_of_a_gpus_exponentials_is_flop_an_exp_times_exps_a_second():
    """An exponential for each score of two products: 4 · head_dim FLOP, 16 a clock and SM."""
    gpu = load("h100_sxm")
    roofs, points = kinds(asked(gpu))
    named = {roof["name"]: roof for roof in roofs}
    peak = 132 * 4096 * gpu.clock.boost_hz
    assert named["tensor bf16"]["flops_per_s"] == pytest.approx(peak)
    assert named["mufu"]["resource"] == "exp"
    assert named["mufu"]["flops_per_s"] == pytest.approx(4 * 64 * 132 * 16 * gpu.clock.boost_hz)
    assert {point["level"] for point in points} == {"shared", "l2", "hbm"}


def test_a_roof_rises_with_its_rate_and_no_other_does():
    machine = load("fusemax_cloud")
    before, after = (
        {roof["name"]: roof.get("flops_per_s", roof.get("bytes_per_s")) for roof in kinds(t)[0]}
        for t in (asked(machine), asked(with_overrides(machine, {"dram.bandwidth": "2x"})))
    )
    assert after.pop("dram") == 2 * before.pop("dram")
    assert after == pytest.approx(before)
