"""FatNet's published counts and times, and what its planes would hold if they were full."""

import csv
from pathlib import Path

import pytest

from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.lowering import PUBLISHED_FRAMES
from einfall.sim.optical.tilings import NAMES, batch, tilings

GOLDEN = Path(__file__).parents[2] / "golden" / "fatnet_layers.csv"
SIDE = 2160  # the short side of 4K
RATE_HZ = 2e6  # published: FatNet, frame rate
MANY = 10**9  # images: every plane is full


def convolutions(net, images):
    """The layers of a network as correlations of so many images."""
    with GOLDEN.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return [
        Correlation(
            images, int(row["c_out"]), (int(row["map_side"]),) * 2, (int(row["kernel_side"]),) * 2,
            "same", channels=int(row["c_in"]), map_signed=False,
        )
        for row in rows
        if row["net"] == net
    ]  # fmt: skip


def frames_an_image(net, images, pitch):
    """Single-channel convolutions an image, images side by side."""
    layers = convolutions(net, images)
    return sum(batch(c, SIDE, getattr(c, pitch)()).frames for c in layers) / images


@pytest.mark.parametrize(("net", "count"), [("ResNet-18", 1_220_800), ("FatNet", 148_637)])
def test_convolutions_an_image(net, count):
    assert sum(c.channels * c.kernels for c in convolutions(net, 1)) == count


PUBLISHED_S = [  # FatNet, AI 2023, times an image on a 4f system
    ("ResNet-18", 64, 3.815e-2),
    ("ResNet-18", 3136, 7.786e-4),
    ("FatNet", 64, 4.645e-3),
    ("FatNet", 3136, 9.479e-5),
]


@pytest.mark.parametrize(("net", "images", "published_s"), PUBLISHED_S)
def test_published_times(net, images, published_s):
    found = frames_an_image(net, images, "full_pitch") * PUBLISHED_FRAMES / RATE_HZ
    assert found == pytest.approx(published_s, rel=5e-4)


def test_the_published_batch_is_what_the_first_layer_has_room_for():
    first = convolutions("FatNet", MANY)[0]
    assert batch(first, SIDE, first.full_pitch()).images == 3136  # published
    assert batch(first, SIDE, first.clean_pitch()).images == 61**2  # 35 pixels apart, not 38


# Convolution times an image with planes filled, at the pitch of FatNet's equation 6: derived by
# others. At the clean pitch 18 % more and better fit.
@pytest.mark.parametrize(("net", "full"), [("ResNet-18", 8.75), ("FatNet", 10.66)])
def test_filled_planes_leave_nothing_of_the_advantage(net, full):
    assert frames_an_image(net, MANY, "full_pitch") == pytest.approx(full, rel=5e-4)
    assert frames_an_image(net, MANY, "clean_pitch") < full / 1.18


@pytest.mark.parametrize("net", ["ResNet-18", "FatNet"])
def test_no_tiling_beats_a_full_plane_but_that_which_sums_channels_as_light(net):
    # Pairs over tiles is a bound for all that read each pair by itself; a mix is near it.
    for c in convolutions(net, 3136):
        pitch = c.full_pitch()
        room = (SIDE // pitch[0]) ** 2
        fewest = {name: min(t.frames for t in tilings(c, SIDE, pitch, name)) for name in NAMES}
        assert min(n for name, n in fewest.items() if name != "channel") >= c.pairs / room
        assert fewest["mix"] <= fewest["batch"]
        assert fewest["mix"] <= 1.25 * c.pairs / room
