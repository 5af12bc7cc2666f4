"""FatNet and Fat-U-Net: published times exactly, full planes, and laws of what is charged."""

import csv

import pytest

from einfall import scenarios
from einfall.scenarios.optical import layers
from einfall.scenarios.optical.costs import Cost, Demand, roofline, total
from einfall.scenarios.optical.networks import (
    NetworkSystem,
    OpticalNetworks,
    findings,
    layer_cost,
    network_cost,
)
from einfall.scenarios.optical.systems import FILLED, filling

SIDE = 2160  # short side of 4K
CONVOLUTION_S = 2.0e-6  # FatNet's four published times, see optical_published.csv
COUNTS = {"ResNet-18": 1_220_800, "FatNet": 148_637, "U-Net": 3_833_984, "Fat-U-Net": 7_123}


@pytest.fixture(scope="module")
def systems():
    return {system.name: system for system in scenarios.load("fatnet").systems}


def published():
    with (layers.DATA / "optical_published.csv").open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@pytest.mark.parametrize("row", [r for r in published() if r["system"] == "4f"], ids=str)
def test_the_papers_times_are_met_exactly(systems, row):
    batch = int(row["batch"])
    found = network_cost(row["network"], systems["paper"], batch)
    exact = COUNTS[row["network"]] * CONVOLUTION_S / batch
    assert found.time_s == pytest.approx(exact, rel=1e-12)
    assert f"{found.time_s:.3e}" == f"{float(row['time_per_image_s']):.3e}"
    assert found.energy_j is None  # the papers charge none


@pytest.mark.parametrize(
    ("network", "convolutions", "time_us"),
    [("ResNet-18", 8.75, 17.5), ("FatNet", 10.66, 21.3)],  # reference notes, model.md 6.1
)
def test_with_full_planes_fatnet_is_no_faster(systems, network, convolutions, time_us):
    found_s = network_cost(network, systems["paper"], FILLED).time_s
    each = (
        x.convolutions / (SIDE // (x.map_side + x.kernel_side - 1)) ** 2
        for x in layers.networks()[network]
    )
    assert found_s == pytest.approx(sum(each) * CONVOLUTION_S, rel=1e-12)
    assert round(found_s / CONVOLUTION_S, 2) == convolutions
    assert round(found_s * 1e6, 1) == time_us


def ratio(slower, faster, system, batch):
    return network_cost(slower, system, batch).time_s / network_cost(faster, system, batch).time_s


def test_ratios_of_the_papers_are_those_of_their_counts(systems):
    paper = systems["paper"]
    assert round(ratio("ResNet-18", "FatNet", paper, 64), 2) == 8.21
    assert round(ratio("U-Net", "Fat-U-Net", paper, 1), 2) == 538.25


def test_538_ends_where_the_larger_tiles_of_fat_u_net_fill_a_plane(systems):
    # Maps and kernels of 160: pitch 319, 6 x 6 = 36 tiles.
    assert round(ratio("U-Net", "Fat-U-Net", systems["paper"], 36), 2) == 538.25
    assert ratio("U-Net", "Fat-U-Net", systems["paper"], 37) < 538


def test_what_is_left_of_the_ratios_with_full_planes(systems):
    for name in ("paper", "ideal"):
        assert 0.8 < ratio("ResNet-18", "FatNet", systems[name], FILLED) < 0.9
        assert 10 < ratio("U-Net", "Fat-U-Net", systems[name], FILLED) < 13


def test_parts_that_can_be_bought_are_slower_than_the_ideal_and_cost_more_energy(systems):
    ideal = network_cost("FatNet", systems["ideal"], FILLED)
    for name in ("SLM", "LCOS"):
        found = network_cost("FatNet", systems[name], FILLED)
        assert found.time_s > 1000 * ideal.time_s
        assert found.charged_j > 1000 * ideal.charged_j


@pytest.mark.parametrize("name", ["paper", "ideal", "H100"])
def test_a_full_batch_is_no_slower_an_image_than_a_single_one(systems, name):
    first = layers.networks()["FatNet"][0]
    times = [layer_cost(first, systems[name], batch).time_s for batch in (1, 64, FILLED)]
    assert times == sorted(times, reverse=True)


# --- GPUs -----------------------------------------------------------------------------------------


def test_large_kernels_go_by_fft_and_small_ones_directly(systems):
    by_side = {layer.kernel_side: layer for layer in layers.networks()["Fat-U-Net"]}
    for layer, fft in ((by_side[160], True), (by_side[5], False)):
        direct, by_fft = (
            roofline(systems["H100"].hardware, demand(layer, 64)).time_s
            for demand in (layers.direct, layers.by_fft)
        )
        assert (by_fft < direct) is fft
        assert layer_cost(layer, systems["H100"], 64).time_s == min(direct, by_fft)


def test_a_roofline_is_the_longest_of_its_parts(systems):
    h100 = systems["H100"].hardware
    alone = [roofline(h100, d) for d in (Demand({"mac": 1e12}, 0), Demand({}, 1e10))]
    both = roofline(h100, Demand({"mac": 1e12}, 1e10))
    assert both.time_s == max(cost.time_s for cost in alone)
    assert both.time_s == pytest.approx(1e10 / (0.932 * 3.352e12), rel=1e-3)  # HBM3 of the SXM
    assert both.charged_j < sum(cost.charged_j for cost in alone)  # idle power is paid once


def test_costs_add_up_and_unpaid_energy_stays_unknown():
    paid, unpaid = Cost(2.0, 1.0, "mask"), Cost(1.0, None, "camera")
    assert total([paid, paid]) == Cost(4.0, 2.0, "mask")
    assert total([paid, unpaid]) == Cost(3.0, None, "mask")
    assert paid.times(3) == Cost(6.0, 3.0, "mask")


# --- tables ---------------------------------------------------------------------------------------


def test_filled_batches_are_whole_planes_and_not_too_few(systems):
    optics = systems["ideal"].optics
    for network in layers.networks().values():
        for layer in network:
            images = filling(layer.correlation(), optics, systems["paper"].tiling)
            tiles = (SIDE // (layer.map_side + layer.kernel_side - 1)) ** 2
            assert images % tiles == 0
            assert images >= 64


def test_what_has_no_room_is_refused_with_its_numbers():
    tiny = NetworkSystem(name="slm", machine="optical_4f_slm")
    large = layers.Layer("mine", "one", 1, 1, 1024, 1024)
    with pytest.raises(ValueError, match="wanted a map and a kernel that fit its plane of 1024"):
        layer_cost(large, tiny, FILLED)


def test_the_text_has_times_ratios_and_bounds(systems):
    asked = {
        "kind": "optical_networks",
        "name": "mine",
        "networks": ["ResNet-18", "FatNet"],
        "batches": [64],
        "systems": [systems["paper"].model_dump() | {"batches": []}],
        "ratios": [{"of": "ResNet-18", "to": "FatNet", "published": 8.21}],
    }

    text = findings(OpticalNetworks.model_validate(asked)).text()
    assert "4.64 ms" in text
    assert "8.213" in text
    assert "published gpu" in text
