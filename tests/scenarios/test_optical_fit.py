"""Global filters: costs by FFT and by frames, break-even factors that hold, knobs that turn."""

from math import log2

import pytest

from einfall import scenarios
from einfall.hw_models import load, with_overrides
from einfall.scenarios.optical.costs import roofline
from einfall.scenarios.optical.fit import (
    KNOBS,
    by_fft,
    filters,
    network_rows,
    on_optics,
    rate_factor,
    read_factor,
    sensitivity,
    sweep,
    varied,
)
from einfall.sim.optical.mapping import OpticalMapping

BEST = OpticalMapping()


@pytest.fixture(scope="module")
def scenario():
    return scenarios.load("spectral_filters")


@pytest.fixture(scope="module")
def ideal():
    return load("optical_4f_ideal")


@pytest.fixture(scope="module")
def swept(scenario):
    systems = tuple(s for s in scenario.systems if s.name in ("ideal", "SLM", "H100"))
    few = {"systems": systems, "sides": (14, 56, 512, 1024)}
    return list(sweep(scenario.model_copy(update=few)))


def ratios(swept, system, column):
    return [row[column] for row in swept if row["system"] == system]


def test_two_ffts_and_a_product_a_channel():
    n, flops = 14 * 14, by_fft(14, 256).operations["flop"]
    assert flops == pytest.approx(256 * (2 * 5 * n * log2(n) + 6 * n), rel=1e-12)
    assert by_fft(14, 256, images=1).moved_bytes == 2 * 256 * 3 * n
    assert by_fft(14, 256).moved_bytes == 2 * 256 * 2 * n


def test_the_reference_is_one_and_larger_maps_suit_optics_better(swept):
    assert set(ratios(swept, "H100", "time_ratio")) == {1.0}
    energies = ratios(swept, "ideal", "energy_ratio")
    assert energies == sorted(energies, reverse=True)
    times = ratios(swept, "ideal", "time_ratio")
    assert times[0] > 1 > times[-1]  # the idealised system and an H100 are about as fast


def test_maps_without_room_are_left_out(swept, ideal):
    assert len(ratios(swept, "SLM", "time_ratio")) == 3
    assert on_optics(1024, 8, load("optical_4f_slm"), BEST) is None
    assert on_optics(1024, 8, ideal, BEST) is not None


def test_channels_share_nothing(ideal):
    one, two = (on_optics(112, channels, ideal, BEST).cost for channels in (32, 64))
    assert two.time_s == pytest.approx(2 * one.time_s, rel=0.01)
    assert two.charged_j == pytest.approx(2 * one.charged_j, rel=0.01)


def test_planes_faster_by_the_factor_take_as_long_as_the_reference(ideal):
    reference_s = roofline(load("h100_sxm"), by_fft(56, 64)).time_s
    factor, others = rate_factor(on_optics(56, 64, ideal, BEST), reference_s)
    assert not others
    found = on_optics(56, 64, varied(ideal, "frame rate", factor), BEST)
    assert found.cost.time_s == pytest.approx(reference_s, rel=0.02)  # but for the fill


def test_what_else_is_too_slow_is_named_the_slowest_first():
    dmd = on_optics(56, 64, load("optical_4f_dmd"), BEST)
    _, others = rate_factor(dmd, 1e-6)
    assert others[0][0] == "link out"
    assert [factor for _, factor in others] == sorted((f for _, f in others), reverse=True)
    assert all(factor > 1 for _, factor in others)


def test_reads_of_the_factor_take_as_much_energy_as_the_reference(ideal):
    reference_j = roofline(load("h100_sxm"), by_fft(56, 64)).charged_j
    factor, _ = read_factor(on_optics(56, 64, ideal, BEST), reference_j)
    found = on_optics(56, 64, varied(ideal, "read-out energy", factor), BEST)
    assert found.cost.charged_j == pytest.approx(reference_j, rel=1e-9)


def test_no_read_makes_up_for_what_a_bought_system_draws():
    factor, rest = read_factor(on_optics(56, 64, load("optical_4f_slm"), BEST), 1e-4)
    assert factor < 0
    assert rest == "static"


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_turns_what_it_names(knob):
    dmd = load("optical_4f_dmd")
    turned = varied(dmd, knob, 2)
    assert turned != dmd
    assert varied(turned, knob, 0.5) == with_overrides(dmd, {})


def test_a_knob_that_a_system_lacks_is_left_out(ideal):
    assert varied(ideal, "link", 2) is None  # transfers are free
    assert varied(ideal, "static power", 2) is None


def test_what_optics_cannot_be_is_left_out(ideal):
    assert varied(ideal, "laser efficiency", 10) is None  # of 0.2
    assert varied(ideal, "frame rate", 10) is not None


def test_more_pixels_at_their_pitch_make_a_larger_plane(ideal):
    assert varied(ideal, "resolution", 2).side == 2 * ideal.side


def test_what_is_better_is_never_slower(scenario):
    found = list(sensitivity(scenario))
    assert {row["system"] for row in found} == {"ideal", "DMD"}
    for row in found:
        if row["knob"] != "read-out energy" and row["factor"] > 1:
            assert row["time_ratio"] <= 1 + 1e-9
        if row["knob"] in ("read-out energy", "laser efficiency", "static power"):
            assert row["time_ratio"] == 1


def test_networks_add_up_their_filters(scenario, swept):
    few = scenario.model_copy(update={"networks": ("GFNet-Ti",)})
    rows = {row["system"]: row for row in network_rows(few, swept)}
    single = next(r for r in swept if (r["system"], r["map_side"]) == ("ideal", 14))
    # GFNet-Ti: 12 blocks of 256 channels of 14 x 14
    expected = single["time_per_image_s"] * 12 * 256 / 64
    assert rows["ideal"]["time_per_image_s"] == pytest.approx(expected, rel=1e-12)


def test_only_global_filters_are_asked():
    assert {row["mixer"] for row in filters()} == {"global_filter"}
