"""A 4f convolver by scalar waves: the DFT trap, errors of a reference run, and what must be so.

Images and kernels are independent and uniform in 0..1: these reproduce the reference table. Images
with the 1/f spectrum of photographs have errors of about half as much.
"""

from dataclasses import replace
from functools import lru_cache
from math import inf, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.sim.optical.diffraction import (
    Optics4f,
    convolved,
    crosstalk,
    mask_of,
    relative_error,
    simulate,
)
from einfall.sim.optical.waves import Pixel

PITCH_M, GREEN_M = 3.74e-6, 532e-9  # GAEA-2 and a green laser, as in the reference
IDEAL = {"lens_sides": inf, "paraxial": True}


def optics(**rest):
    return Optics4f.matched(**({"pixels": 64, "pitch_m": PITCH_M, "wavelength_m": GREEN_M} | rest))


def scene(seed=0, size=24, kernel=7):
    """A random image and a random kernel, neither negative."""
    random = np.random.default_rng(seed)
    return random.random((size, size)), random.random((kernel, kernel))


@lru_cache
def error(**rest):
    return simulate(optics(**rest), *scene()).relative_error


def small_error(seed, **rest):
    """Half the size in all respects, for means over seeds."""
    return simulate(optics(pixels=32, **rest), *scene(seed, 12, 5)).relative_error


# The reference: limits of 4f units, section 6, a run of one unnamed image (24 x 24) and a positive
# kernel (7 x 7) on a plane of 64 x 64; scale freely fitted, camera pixels average the field. Its
# masks are divided by the sinc of true pixels, and its lenses are ideal but for their edge.
REFERENCE = IDEAL | {"detection": "field"}
INPUT_SINC = REFERENCE | {"corrected": "input", "continuous_envelopes": True}
ALL_SINC = REFERENCE | {"corrected": "all", "continuous_envelopes": True}
TABLE = {
    "100 % fill, x3": (2.8e-2, REFERENCE),
    "100 % fill, x5": (2.9e-2, REFERENCE | {"oversample": 5}),
    "60 % fill": (2.2e-2, REFERENCE | {"oversample": 5, "modulator": Pixel(PITCH_M, 0.6)}),
    "mask / input sinc": (1.5e-2, INPUT_SINC),
    "mask / all envelopes, x3": (4.8e-3, ALL_SINC),
    "mask / all envelopes, x5": (1.7e-3, ALL_SINC | {"oversample": 5}),
    "lens 2.0": (5.4e-3, ALL_SINC | {"lens_sides": 2.0}),
    "lens 1.5": (1.3e-2, ALL_SINC | {"lens_sides": 1.5}),
    "lens 1.25": (2.7e-2, ALL_SINC | {"lens_sides": 1.25}),
    "lens 1.0": (4.7e-2, ALL_SINC | {"lens_sides": 1.0}),
    "mask off by 1/3": (4.9e-3, ALL_SINC | {"mask_shift_px": (1 / 3, 1 / 3)}),
    "mask off by 1": (8.7e-3, ALL_SINC | {"mask_shift_px": (1.0, 1.0)}),
    "gaps 0.1 % long": (4.7e-3, ALL_SINC | {"defocus": 0.001}),
    "gaps 0.3 % long": (4.1e-3, ALL_SINC | {"defocus": 0.003}),
    "gaps 1 % long": (2.5e-2, ALL_SINC | {"defocus": 0.01}),
    "mask 8 bits": (7.1e-3, ALL_SINC | {"mask_bits": 8}),
    "mask 6 bits": (1.9e-2, ALL_SINC | {"mask_bits": 6}),
    "mask 4 bits": (3.1e-2, ALL_SINC | {"mask_bits": 4}),
    "mask 2 bits": (6.7e-2, ALL_SINC | {"mask_bits": 2}),
    "phase only": (0.34, ALL_SINC | {"mask_kind": "phase"}),
    "amplitude only": (0.12, ALL_SINC | {"mask_kind": "amplitude"}),
}


@pytest.mark.parametrize("row", TABLE)
def test_reference_error_is_met_within_a_factor_of_two(row):
    reference, configuration = TABLE[row]
    assert reference / 2 < error(**configuration) < reference * 2


def test_a_grid_of_one_sample_a_pixel_and_no_edge_is_a_dft():
    """The trap: it passes for optics and shows nothing of them; with samples it does."""
    assert error(**REFERENCE, oversample=1) < 1e-14
    assert error(**REFERENCE) > 1e-2


def test_a_mask_divided_by_envelopes_of_true_pixels_leaves_an_error_of_the_grid():
    three, five = error(**ALL_SINC), error(**ALL_SINC, oversample=5)
    assert three / five == pytest.approx(25 / 9, rel=0.1)  # falls as the samples' width squared
    assert error(**REFERENCE, corrected="all") < three / 20


@pytest.mark.parametrize("detection", ["field", "intensity"])
def test_more_samples_do_not_change_the_error_of_real_lenses(detection):
    three, five = (
        small_error(0, corrected="all", detection=detection, oversample=q) for q in (3, 5)
    )
    assert three == pytest.approx(five, rel=0.07)


def test_a_camera_that_averages_intensity_keeps_an_error_that_no_mask_corrects():
    ideal = REFERENCE | {"corrected": "all"}
    assert error(**(ideal | {"detection": "intensity"})) > 20 * error(**ideal)
    pinhole = Pixel(PITCH_M, 0.1)
    assert error(**(ideal | {"detection": "intensity", "camera": pinhole})) < 1e-3


def test_a_mask_without_effect_shows_the_image_upright_on_a_turned_camera():
    image, _ = scene()
    frame = simulate(optics(**REFERENCE, corrected="all"), image, np.ones((1, 1)))
    assert frame.ideal[20:44, 20:44] == pytest.approx(image)
    assert relative_error(frame.amplitude[20:44, 20:44], image) < 1e-3


@given(st.integers(0, 99), st.integers(1, 6), st.integers(1, 4))
def test_the_ideal_is_the_sum_over_taps(seed, size, taps):
    image, kernel = scene(seed, size, min(taps, size))
    n = len(kernel)
    padded = np.pad(image, n)
    wanted = sum(
        kernel[i, j] * padded[n + n // 2 - i :, n + n // 2 - j :][:size, :size]
        for i, j in np.ndindex(n, n)
    )
    assert convolved(image, kernel) == pytest.approx(wanted)


@settings(max_examples=20)
@given(st.integers(0, 99), st.floats(3e-7, 2e-6), st.floats(2e-6, 2e-5))
def test_without_aberrations_only_ratios_of_lengths_matter(seed, wavelength, pitch):
    same = {"pixels": 8, "lens_sides": 1.5, "paraxial": True}
    one, other = (
        simulate(optics(**same, **lengths), *scene(seed, 4, 3)).amplitude
        for lengths in ({}, {"wavelength_m": wavelength, "pitch_m": pitch})
    )
    assert one == pytest.approx(other, abs=1e-9)


def test_finer_pixels_bend_light_more_and_lenses_show_aberrations():
    coarse, fine, ideal = (
        small_error(0, corrected="all", detection="field", pitch_m=pitch, paraxial=paraxial)
        for pitch, paraxial in ((30e-6, False), (2e-6, False), (2e-6, True))
    )
    assert coarse == pytest.approx(ideal, rel=0.05)
    assert fine > 2 * ideal


def test_planes_of_unequal_pitch_that_match_compute_the_same():
    """Twice the pitch of the mask at twice the focal length: the same spectrum, drawn larger."""
    equal = optics(pixels=32, **REFERENCE, corrected="all")
    wide = replace(equal, mask=Pixel(2 * PITCH_M), focal_length_m=2 * equal.focal_length_m)
    assert wide.grid.window_m == pytest.approx(2 * equal.grid.window_m)
    errors = [simulate(system, *scene(0, 12, 5)).relative_error for system in (equal, wide)]
    assert errors[0] == pytest.approx(errors[1], rel=0.25)


# Laws


@pytest.mark.parametrize(
    "better_first",
    [
        [{"lens_sides": sides} for sides in (2.0, 1.5, 1.25, 1.0)],
        [{"mask_bits": bits} for bits in (None, 8, 6, 4, 2)],
        [{"input_bits": bits} for bits in (None, 6, 4, 2, 1)],
        [{"mask_shift_px": (shift, 0.0)} for shift in (0.0, 0.5, 1.0, 2.0)],
        [{"defocus": part} for part in (0.0, 0.01, 0.02, 0.04)],
        [{"mask_kind": kind} for kind in ("complex", "amplitude", "phase")],
        [{"corrected": kind} for kind in ("all", "input", "none")],
    ],
    ids=lambda cases: next(iter(cases[0])),
)
def test_a_worse_part_makes_a_larger_error_on_average(better_first):
    base = {"corrected": "all", "detection": "field"}
    means = [
        np.mean([small_error(seed, **(base | case)) for seed in range(3)]) for case in better_first
    ]
    assert means == sorted(means)


def test_a_passive_system_reads_less_light_than_it_is_sent_and_a_smaller_lens_less():
    fractions = [
        simulate(optics(pixels=32, lens_sides=sides), *scene(0, 12, 5)).energy_fraction
        for sides in (2.0, 1.0, 0.5)
    ]
    assert 1 > fractions[0] > fractions[1] > fractions[2] > 0


def test_effective_bits_are_those_of_the_error():
    frame = simulate(optics(pixels=16), *scene(0, 8, 3))
    assert frame.effective_bits == pytest.approx(-log2(frame.relative_error))


@given(
    st.integers(0, 99),
    st.sampled_from(("complex", "phase", "amplitude")),
    st.sampled_from((None, 1, 2, 5)),
)
def test_a_mask_is_passive_and_has_no_more_levels_than_its_bits(seed, kind, bits):
    mask = mask_of(optics(pixels=16, mask_kind=kind, mask_bits=bits), scene(seed, 8, 5)[1])
    assert abs(mask).max() <= 1 + 1e-12
    if bits:
        assert len(np.unique(abs(mask).round(9))) <= 2**bits
        lit = mask[abs(mask) > 0]
        assert len(np.unique((lit / abs(lit)).round(6))) <= 2**bits


# Tiles


def tiles(count=3, size=10):
    random = np.random.default_rng(1)
    return random.random((count, count, size, size)), random.random((5, 5))


def test_crosstalk_falls_with_the_guard_down_to_the_error_of_a_tile_alone():
    images, kernel = tiles()
    system = optics(pixels=48, corrected="all")
    errors = [crosstalk(system, images, kernel, pitch_px=pitch) for pitch in (10, 11, 12, 13, 14)]
    assert errors == sorted(errors, reverse=True)
    alone = crosstalk(system, images[1:2, 1:2], kernel, pitch_px=0)
    assert errors[0] > 0.3
    assert errors[-1] < 1.5 * alone  # clean: 10 + 5 - 1
    assert crosstalk(system, images, kernel, pitch_px=18) < 1.5 * alone


@pytest.mark.parametrize(("output", "clean"), [("full", 14), ("same", 12), ("valid", 10)])
def test_ideal_optics_need_no_more_than_the_clean_pitch(output, clean):
    images, kernel = tiles()
    dft = optics(**IDEAL, oversample=1)
    assert crosstalk(dft, images, kernel, pitch_px=clean, output=output) < 1e-14
    if clean > 10:
        assert crosstalk(dft, images, kernel, pitch_px=clean - 1, output=output) > 0.05


# Refusals

EDGELESS = {"lens_diameter_m": inf, "paraxial": True}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"oversample": 4}, "oversample: wanted an odd number, found 4"),
        ({"oversample": 1}, "needs a window of .* but oversample=1 makes it .*; 3 fits"),
        (
            {"lens_diameter_m": 192 * PITCH_M},
            "needs a window of 0.0009574 m, .* 0.0007181 m; 5 fits",
        ),
        ({"lens_diameter_m": inf}, "lens_diameter_m: infinite with paraxial=False"),
        ({**EDGELESS, "focal_length_m": 1.7e-3}, "infinite needs pixels·d·d_mask = λ·f"),
        ({**EDGELESS, "oversample": 1, "defocus": 0.01}, "wanted 3 or more with defocus=0.01"),
        ({"focal_length_m": 5e-3}, "pitches of modulator and mask want .* = 0.001683, found 0.005"),
        ({"camera": Pixel(8e-6)}, "pitches of camera and mask want"),
        (
            {"mask_kind": "both", "mask_bits": 0},
            "mask_bits: wanted 1 .* found 0; mask_kind: .*'both'",
        ),
        ({"defocus": -2.0}, "defocus: .* found -2"),
        ({"wavelength_m": -1.0}, "wavelength_m: wanted a length above 0"),
    ],
)
def test_what_cannot_be_or_cannot_be_shown_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(optics(pixels=64), **change)


@pytest.mark.parametrize(
    ("image", "kernel", "says"),
    [
        (np.ones((65, 65)), np.ones((3, 3)), r"image: wanted a square of 1..64 .* \(65, 65\)"),
        (np.ones((8, 8)), np.ones((3, 2)), r"kernel: wanted a square .* \(3, 2\)"),
        (np.zeros((8, 8)), np.ones((3, 3)), "image: wanted a value other than 0"),
        (np.ones((8, 8)), np.zeros((3, 3)), "kernel: wanted a value other than 0"),
    ],
)
def test_images_and_kernels_that_say_nothing_are_refused(image, kernel, says):
    with pytest.raises(ValueError, match=says):
        simulate(optics(), image, kernel)


@pytest.mark.parametrize(
    ("shape", "pitch", "output", "says"),
    [
        ((2, 2, 8, 8), 8, "full", "wanted .* with T odd"),
        ((3, 3, 8, 8), 7, "full", "pitch_px: wanted 8 or more"),
        ((3, 3, 8, 8), 30, "full", "tiles: wanted pixels 0..64, found -2..66"),
        ((1, 1, 4, 4), 4, "valid", r"kernel: wanted an output \(valid\)"),
        ((1, 1, 62, 62), 4, "full", r"kernel: wanted an output \(full\)"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(shape, pitch, output, says):
    with pytest.raises(ValueError, match=says):
        crosstalk(optics(), np.ones(shape), np.ones((5, 5)), pitch_px=pitch, output=output)


def test_an_ideal_without_light_has_no_error():
    with pytest.raises(ValueError, match="ideal: wanted light somewhere"):
        relative_error(np.ones(3), np.zeros(3))
