"""ConvShareViT's 3.04: the numbers of the what-if network, and laws of the region."""

from itertools import product

import pytest

from einfall import scenarios
from einfall.scenarios.optical.region import (
    Way,
    beside,
    convolutions_per_image,
    curves,
    filling_batch,
    speedups,
    system_row,
    thresholds,
)

SIDE = 2160


@pytest.fixture(scope="module")
def scenario():
    return scenarios.load("convsharevit")


@pytest.fixture(scope="module")
def counted(scenario):
    return list(curves(scenario))


def at(rows, **wanted):
    return next(row for row in rows if all(row[k] == v for k, v in wanted.items()))


# Reference notes, model.md 6.2: 143 images a plane at the full pitch, 502 at the clean one.
@pytest.mark.parametrize(("pitch", "images"), [("full", 143), ("clean", 502)])
def test_images_of_a_plane(scenario, pitch, images):
    assert filling_batch(scenario, pitch) == images


def test_times_of_an_image_by_the_papers_count(scenario, counted):
    full = at(counted, tiling="batch", pitch="full", batch=143)
    low, high = (2.0e-6 * full[c] for c in ("convolutions_per_image", "with_projection"))
    assert f"{low:.2e}, {high:.2e}" == "1.15e-04, 1.43e-04"
    clean = at(counted, tiling="batch", pitch="clean", batch=502)
    assert f"{2.0e-6 * clean['convolutions_per_image']:.1e}" == "3.3e-05"


def test_gpu_times_that_304_would_mean(scenario, counted):
    row = at(
        thresholds(scenario, counted),
        tiling="batch", pitch="full", batch=143, sign_frames=1, convolution_s=2.0e-6,
    )  # fmt: skip
    assert f"{row['gpu_s']:.1e}" == "3.5e-04"
    assert f"{row['gpu_with_projection_s']:.1e}" == "4.4e-04"


def test_signs_and_clock_multiply_thresholds(scenario, counted):
    rows = list(thresholds(scenario, counted))
    assert len(rows) == len(counted) * len(scenario.signs) * len(scenario.convolutions)
    for row in rows:
        plain = at(
            rows, **{k: row[k] for k in ("tiling", "pitch", "batch")},
            sign_frames=1, convolution_s=2.0e-6,
        )  # fmt: skip
        factor = row["sign_frames"] * row["convolution_s"] / 2.0e-6
        assert row["gpu_s"] == pytest.approx(factor * plain["gpu_s"], rel=1e-12)


def test_no_tiling_beats_full_planes_and_mix_beats_the_others(scenario, counted):
    network = scenario.network
    for pitch, batch in product(("full", "clean"), scenario.batches):
        found = {
            row["tiling"]: row["convolutions_per_image"]
            for row in counted
            if (row["pitch"], row["batch"]) == (pitch, batch)
        }
        tiles = (SIDE // (15 if pitch == "full" else 8)) ** 2
        pairs = network.tokens * network.kernels(projection=False)
        assert found["mix"] >= pairs / tiles
        assert found["mix"] <= min(found["batch"], found["kernel"])


def test_a_clean_pitch_takes_no_more_than_a_full_one(counted):
    for row in counted:
        if row["pitch"] == "clean":
            full = at(counted, tiling=row["tiling"], pitch="full", batch=row["batch"])
            assert row["convolutions_per_image"] <= full["convolutions_per_image"]


def test_batches_that_fill_whole_planes_are_best_for_images_side_by_side(scenario):
    def count(batch):
        way = Way("batch", "full")
        return convolutions_per_image(scenario.network, SIDE, way, batch, projection=False)

    assert count(143) < count(142)
    assert count(143) < count(144)
    assert count(286) == pytest.approx(count(143), rel=1e-12)


def test_everything_charged_is_no_faster_than_frames_for_four_signs(scenario, counted):
    ideal = next(s for s in scenario.systems if s.name == "ideal")
    found = system_row(scenario, ideal, 143)
    clean = at(counted, tiling="mix", pitch="clean", batch=143)["convolutions_per_image"]
    assert found["time_per_image_s"] > 4 * clean * 0.5e-6  # 2 MHz
    assert 0 < found["host_per_image_s"] < found["time_per_image_s"]


def test_a_speedup_holds_where_the_gpu_time_is_in_the_region(scenario, counted):
    gpus = [row for row in beside(scenario.model_copy(update={"systems": ()}))]
    assert [row["system"] for row in gpus] == [known.name for known in scenario.known]
    for row in speedups(scenario, gpus):
        gpu = at(gpus, system=row["gpu"], batch=row["batch"])
        way = Way(row["tiling"], row["pitch"])
        count = convolutions_per_image(scenario.network, SIDE, way, row["batch"], projection=False)
        least = scenario.speedup * count * 2.0e-6
        assert row["holds"] == (gpu["time_per_image_s"] >= least)


def test_rooflines_of_gpus_lie_far_below_the_region(scenario, counted):
    h100 = next(s for s in scenario.systems if s.name == "H100")
    lowest = min(row["gpu_s"] for row in thresholds(scenario, counted))
    assert system_row(scenario, h100, 143)["time_per_image_s"] < lowest / 10
