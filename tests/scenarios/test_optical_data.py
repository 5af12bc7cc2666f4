"""Networks that suit optics: layer lists that count what the papers count, and their times."""

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import einfall.scenarios

DATA = Path(einfall.scenarios.__file__).parent / "data"
FILES = (
    "optical_networks.csv", "optical_published.csv", "optical_mixers.csv",
    "optical_mixers_published.csv",
)  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return list(csv.DictReader(lines, strict=True))


def convolutions() -> Counter[str]:
    """Single-channel convolutions of each network: Σ channels · filters."""
    found: Counter[str] = Counter()
    for row in rows("optical_networks.csv"):
        found[row["network"]] += int(row["channels"]) * int(row["filters"])
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_whole_and_says_where_it_is_from(name):
    for row in rows(name):
        assert None not in row
        assert None not in row.values()
        assert len(row["source"]) > 20


# --- layers ---------------------------------------------------------------------------------------

# FatNet, AI 2023 4(2) 361: 1,220,800 convolutions become 148,637, "8.2 times fewer". Fat-U-Net,
# SPIE 12903, 1290308: 538 times faster than U-Net; the counts follow from the authors' code.
COUNTS = {"ResNet-18": 1_220_800, "FatNet": 148_637, "U-Net": 3_833_984, "Fat-U-Net": 7_123}


def test_the_networks_have_as_many_single_channel_convolutions_as_the_papers_count():
    counts = convolutions()
    assert counts == COUNTS
    assert round(counts["ResNet-18"] / counts["FatNet"], 2) == 8.21
    assert round(counts["U-Net"] / counts["Fat-U-Net"], 2) == 538.25


def test_the_layers_of_a_network_have_names_of_their_own():
    layers = [(row["network"], row["layer"]) for row in rows("optical_networks.csv")]
    assert len(set(layers)) == len(layers)


def test_no_kernel_is_larger_than_its_map_but_the_three_by_three_on_two_by_two_of_resnet():
    for row in rows("optical_networks.csv"):
        kernel, side = int(row["kernel_side"]), int(row["map_side"])
        assert kernel <= side or (row["network"], kernel, side) == ("ResNet-18", 3, 2)
        assert row["mode"] == "same"


def test_u_net_goes_down_to_a_sixteenth_and_comes_back():
    sides = [int(r["map_side"]) for r in rows("optical_networks.csv") if r["network"] == "U-Net"]
    down, up = [160, 160, 80, 80, 40, 40, 20, 20], [20] * 3 + [40] * 3 + [80] * 3 + [160] * 4
    assert sides == [*down, 10, 10, *up]


def test_fat_u_net_never_pools():
    fat = [row for row in rows("optical_networks.csv") if row["network"] == "Fat-U-Net"]
    assert {row["map_side"] for row in fat} == {"160"}
    assert max(int(row["kernel_side"]) for row in fat) == 160


# --- times ----------------------------------------------------------------------------------------


def test_the_eight_times_of_fatnet_are_there():
    keys = [(r["network"], r["batch"], r["system"]) for r in rows("optical_published.csv")]
    assert len(set(keys)) == len(keys) == 8
    assert Counter(system for _, _, system in keys) == {"gpu": 4, "4f": 4}


def test_times_of_the_4f_system_are_two_microseconds_a_convolution_over_the_batch():
    counts = convolutions()
    optical = [row for row in rows("optical_published.csv") if row["system"] == "4f"]
    for row in optical:
        time_s = counts[row["network"]] * 2.0e-6 / int(row["batch"])
        assert f"{time_s:.3e}" == f"{float(row['time_per_image_s']):.3e}"


# --- mixers ---------------------------------------------------------------------------------------


def test_every_mixer_has_its_accuracy_and_maps_that_halve_from_stage_to_stage():
    published = {row["network"]: row for row in rows("optical_mixers_published.csv")}
    stages: dict[str, list[int]] = {}
    for row in rows("optical_mixers.csv"):
        stages.setdefault(row["network"], []).append(int(row["map_side"]))
    assert stages.keys() == published.keys()
    for name, sides in stages.items():
        assert all(large == 2 * small for large, small in pairwise(sides))
        side = int(published[name]["image_side"])
        assert side % sides[-1] == 0


def parameters(network: str, image_side: int) -> int:
    """Patches, positions, and in a block a mask a channel, side·(side/2 + 1) complex, and an MLP.

    Between stages 2x2 patches; at the end 1000 classes. Biases and norms are left out.
    """
    stages = [row for row in rows("optical_mixers.csv") if row["network"] == network]
    sides, channels, blocks, ratios = (
        [int(row[name]) for row in stages]
        for name in ("map_side", "channels", "blocks", "mlp_ratio")
    )
    patch = image_side // sides[0]
    total = channels[0] * (3 * patch**2 + sides[0] ** 2) + 1000 * channels[-1]
    total += sum(4 * before * after for before, after in pairwise(channels))
    for side, c, n, ratio in zip(sides, channels, blocks, ratios, strict=True):
        total += n * (side * (side // 2 + 1) * c * 2 + 2 * c**2 * ratio)
    return total


GFNETS = [row for row in rows("optical_mixers_published.csv") if row["network"].startswith("GFNet")]


@pytest.mark.parametrize("row", GFNETS, ids=lambda row: row["network"])
def test_the_stages_of_gfnet_have_its_published_parameters_to_the_million(row):
    ours_m = parameters(row["network"], int(row["image_side"])) / 1e6
    assert ours_m == pytest.approx(float(row["parameters_m"]), abs=0.7)
