"""Waves on grids against textbook solutions: beams, focal spots, energy, images turned around."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import j1

from einfall.sim.optical.waves import Grid, Pixel, coverage, envelope, lens, propagate, transfer

GREEN_M = 532e-9
GRID = Grid(256, 4e-6)
FOCAL_M = GRID.samples * GRID.sample_m**2 / GREEN_M  # where space, lens and space are a DFT
both = pytest.mark.parametrize("paraxial", [False, True])


def beam(waist_m, tilt_per_m=0.0):
    """A Gaussian beam at its waist, on the axis; its wave leans along the columns."""
    squares = GRID.positions_m**2
    wave = np.exp(2j * np.pi * tilt_per_m * GRID.positions_m)
    return np.exp(-(squares[:, None] + squares) / waist_m**2) * wave


def centre_and_width_m(field):
    """Mean of a beam's intensity along the columns, and twice its standard deviation."""
    share = (abs(field) ** 2).sum(axis=0)
    share /= share.sum()
    centre = share @ GRID.positions_m
    return centre, 2 * np.sqrt(share @ (GRID.positions_m - centre) ** 2)


@both
@pytest.mark.parametrize("rayleighs", [0, 0.5, 1, 2])
def test_a_gaussian_beam_widens_as_in_textbooks(rayleighs, paraxial):
    waist = 60e-6
    way = rayleighs * np.pi * waist**2 / GREEN_M
    field = propagate(beam(waist), transfer(GRID, way, GREEN_M, paraxial=paraxial))
    assert centre_and_width_m(field)[1] == pytest.approx(waist * np.hypot(1, rayleighs), rel=2e-3)


@pytest.mark.parametrize("sine", [0.0, 0.02, 0.05])
def test_a_leaning_beam_moves_by_the_tangent_of_its_angle(sine):
    way, waist = 4e-3, 60e-6
    field = propagate(beam(waist, sine / GREEN_M), transfer(GRID, way, GREEN_M))
    tangent = sine / np.sqrt(1 - sine**2)
    assert centre_and_width_m(field)[0] == pytest.approx(way * tangent, rel=1e-3, abs=1e-9)


def test_at_large_angles_fresnel_is_off_by_what_the_tangent_adds():
    fine = Grid(512, 0.4e-6)
    lean = np.exp(2j * np.pi * 0.5 / GREEN_M * fine.positions_m)  # 30 degrees
    waves = np.exp(-(fine.positions_m[:, None] ** 2 + fine.positions_m**2) / 12e-6**2) * lean
    moved = []
    for paraxial in (False, True):
        field = propagate(waves, transfer(fine, 80e-6, GREEN_M, paraxial=paraxial))
        share = (abs(field) ** 2).sum(axis=0)
        moved.append(share @ fine.positions_m / share.sum())
    assert moved[0] == pytest.approx(80e-6 * np.tan(np.pi / 6), rel=5e-3)
    assert moved[1] == pytest.approx(80e-6 * 0.5, rel=5e-3)


@both
def test_a_square_hole_before_a_lens_makes_a_sinc_at_its_focus(paraxial):
    side = 51 * GRID.sample_m
    hole = coverage(GRID, Pixel(side), 1)[:, 0]
    glass = lens(GRID, FOCAL_M, np.inf, GREEN_M, paraxial=paraxial)
    space = transfer(GRID, FOCAL_M, GREEN_M, paraxial=paraxial)
    spot = abs(propagate(np.outer(hole, hole) * glass, space))[GRID.samples // 2]
    wanted = abs(np.sinc(side * GRID.positions_m / (GREEN_M * FOCAL_M)))
    near = abs(GRID.positions_m) < 10 * GREEN_M * FOCAL_M / side
    assert spot[near] / spot.max() == pytest.approx(wanted[near], abs=0.01)


@both
def test_a_round_lens_makes_an_airy_pattern_at_its_focus(paraxial):
    diameter = 60 * GRID.sample_m
    glass = lens(GRID, FOCAL_M, diameter, GREEN_M, paraxial=paraxial)
    space = transfer(GRID, FOCAL_M, GREEN_M, paraxial=paraxial)
    spot = abs(propagate(glass, space))[GRID.samples // 2]
    x = np.pi * diameter * abs(GRID.positions_m) / (GREEN_M * FOCAL_M)
    wanted = np.divide(2 * abs(j1(x)), x, out=np.ones_like(x), where=x > 0)
    near = x < 30
    assert spot[near] / spot.max() == pytest.approx(wanted[near], abs=0.01)


@settings(max_examples=40)
@given(st.integers(0, 99), st.floats(0, 5e-3), st.booleans())
def test_free_space_makes_no_light_and_loses_none_that_it_carries(seed, way, paraxial):
    grid = Grid(64, 4e-6)
    field = np.random.default_rng(seed).standard_normal((64, 64))
    through = transfer(grid, way, GREEN_M, paraxial=paraxial)
    after = np.sum(abs(propagate(field, through)) ** 2)
    kept = abs(through[abs(through) > 0])
    assert abs(kept - 1).max() < 1e-12
    assert after <= np.sum(field**2) * (1 + 1e-12)
    if len(kept) == 64 * 64:
        assert after == pytest.approx(np.sum(field**2))


@settings(max_examples=15)
@given(st.floats(0, 2e-3), st.floats(0, 2e-3))
def test_two_ways_in_turn_are_their_sum_where_neither_leaves_the_window(one, other):
    field = beam(60e-6)
    stepwise = propagate(
        propagate(field, transfer(GRID, one, GREEN_M)), transfer(GRID, other, GREEN_M)
    )
    at_once = propagate(field, transfer(GRID, one + other, GREEN_M))
    assert abs(stepwise - at_once).max() < 1e-6


def test_evanescent_waves_decay_and_waves_that_leave_the_window_are_dropped():
    fine = Grid(8, 0.2e-6)
    near, far = (transfer(fine, way, GREEN_M) for way in (0.1e-6, 50e-6))
    decay = 2 * np.pi * np.sqrt(fine.frequencies_per_m[4] ** 2 - GREEN_M**-2)
    assert abs(near[0, 4]) == pytest.approx(np.exp(-decay * 0.1e-6))
    assert abs(far[0, 4]) < 1e-12
    assert far[0, 2] == 0
    assert abs(far[0, 0]) == pytest.approx(1)


def test_two_lenses_turn_an_image_by_180_degrees():
    glass = lens(GRID, FOCAL_M, 0.6 * GRID.window_m, GREEN_M)
    space = transfer(GRID, FOCAL_M, GREEN_M)
    squares = GRID.positions_m**2
    spot = np.exp(-(squares[:, None] + squares) / 30e-6**2)
    field = np.roll(spot, (20, -12), axis=(0, 1))
    for _ in range(2):
        field = propagate(propagate(field, space) * glass, space)
    assert abs(abs(field) - np.roll(spot, (-20, 12), axis=(0, 1))).max() < 0.01


@given(st.integers(1, 9), st.floats(0.05, 1), st.floats(-2, 2), st.booleans())
def test_pixels_cover_their_area_wherever_they_are(pixels, fill, shift, turned):
    grid = Grid(99, 1.0)
    covered = coverage(grid, Pixel(4.2, fill), pixels, shift_px=shift, turned=turned)
    assert covered.sum(axis=0) == pytest.approx(4.2 * fill)
    assert covered.sum(axis=1).max() <= 1 + 1e-9


@given(st.floats(0.05, 1), st.floats(0, 0.5))
def test_the_envelope_of_finer_samples_tends_to_the_pixels_own(fill, frequency):
    pixel, at = Pixel(1.0, fill), np.array([frequency])
    assert envelope(pixel, at, 1 / 101) == pytest.approx(envelope(pixel, at), rel=1e-3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Pixel(0.0), "pitch_m: wanted a length above 0, found 0"),
        (lambda: Pixel(1.0, fill=1.2), "fill: wanted a fraction .* found 1.2"),
        (lambda: transfer(GRID, -1.0, GREEN_M), "distance_m: wanted 0 or more, found -1"),
    ],
)
def test_refusals_say_what_was_wanted_and_found(call, says):
    with pytest.raises(ValueError, match=says):
        call()
