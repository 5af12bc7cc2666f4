"""Tilings against the optics itself: every frame done by FFT, every output cut out and compared."""

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from plane_walk import camera, direct, laid, random_operands, walk, wanted
from scipy.signal import correlate2d

from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.tilings import NAMES, mix, mixes, tilings

EXACT = 1e-9
MODES = ("full", "same", "valid", "circular")
quick = settings(deadline=None, max_examples=12)


@st.composite
def correlations(draw, mode=None, most=3):
    """Small ones: maps not square, kernels even and odd, and for `valid` of the map's size too."""
    mode = mode or draw(st.sampled_from(MODES))
    maps = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    least = (lambda m: m) if mode in ("valid", "circular") else (lambda m: 6)
    kernels = tuple(draw(st.integers(1, least(m))) for m in maps)
    counts = {
        name: draw(st.integers(1, most)) for name in ("images", "kernels", "channels", "groups")
    }
    return Correlation(map_sides=maps, kernel_sides=kernels, mode=mode, **counts)


def leads(c):
    """The two ways to centre a kernel; they differ where it is even."""
    return {tuple((n - 1) // 2 for n in c.kernel_sides), tuple(n // 2 for n in c.kernel_sides)}


def error(c, tiling, side, lead, seed=0):
    """Largest error of any output, relative to the largest output."""
    operands = random_operands(c, seed)
    right = wanted(c, operands, lead)
    return np.abs(walk(c, tiling, side, operands, lead).outputs - right).max() / right.max()


def plane(c, tiles, pitch=None, more=0):
    """A side that holds as many tiles along each axis as asked for; the rest is as it comes."""
    return max(pitch or c.clean_pitch()) * tiles + more


# The camera ---------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 2**32))
def test_a_mask_of_mirrored_kernels_makes_the_convolution_a_correlation(seed):
    random = np.random.default_rng(seed)
    x, kernel = random.normal(size=(9, 9)), laid(9, [((2, 7), random.normal(size=(3, 4)))])
    mirrored = np.roll(kernel[::-1, ::-1], (1, 1), (0, 1))
    convolved = np.fft.ifft2(np.fft.fft2(x) * np.fft.fft2(mirrored)).real
    np.testing.assert_allclose(convolved, camera(x, kernel), atol=1e-12)


@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (5, 2)])
def test_same_is_centred_in_one_of_two_ways_as_libraries_do(kernel):
    c = Correlation(1, 1, (6, 5), kernel, "same")
    (x,), (w,) = (each[0, 0] for each in random_operands(c, 0))
    found = [direct(x, w, "same", lead) for lead in leads(c)]
    assert any(np.allclose(y, correlate2d(x, w, "same")) for y in found)


def test_a_product_of_matrices_is_a_valid_correlation_of_equal_sizes():
    # 5 rows of 12 numbers by 4 columns, each laid out as 3 x 4 pixels, in one frame.
    x, w = np.arange(60.0).reshape(5, 12), np.arange(48.0).reshape(12, 4) - 20
    c = Correlation(5, 4, (3, 4), (3, 4), "valid")
    tiling = min(mixes(c, 20, c.clean_pitch()), key=lambda t: t.frames)
    maps, kernels = x.reshape(1, 1, 5, 3, 4), w.T.reshape(1, 1, 4, 3, 4)
    found = walk(c, tiling, 20, (maps, kernels))
    assert found.frames == tiling.frames == 1
    np.testing.assert_allclose(found.outputs[0, :, :, 0, 0], x @ w)


# The clean pitch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", ["clean_pitch", "full_pitch"])
@pytest.mark.parametrize("name", NAMES)
@quick
@given(correlations(most=2), st.tuples(st.integers(1, 4), st.integers(0, 3)), st.integers(0, 99))
def test_all_outputs_are_exact_and_all_pairs_seen_once(name, pitch, c, room, seed):
    (tiles, more), pitch = room, getattr(c, pitch)()
    side = plane(c, tiles, pitch, more)
    operands = random_operands(c, seed)
    for tiling in tilings(c, side, pitch, name):
        for lead in leads(c):
            found = walk(c, tiling, side, operands, lead)
            assert (found.seen == 1).all()
            assert found.frames == tiling.frames
            right = wanted(c, operands, lead)
            np.testing.assert_allclose(found.outputs, right, rtol=EXACT, atol=EXACT)


def crowded(one, name, side, pitch):
    """As many images, kernels or channels of a pair's sizes as fill the plane, and their tiling."""
    rows, columns = tiles = [side // s for s in pitch]
    images, kernels, channels = {
        "none": (1, 1, 1),
        "batch": (rows * columns, 1, 1),
        "kernel": (1, rows * columns, 1),
        "mix": (columns // 2, 2 * rows, 1),
        "channel": (1, 1, min(tiles) ** 2),
    }[name]
    c = replace(one, images=images, kernels=kernels, channels=channels)
    if name == "mix":
        return c, mix(c, pitch, images, kernels)
    (tiling,) = tilings(c, side, pitch, name)
    return c, tiling


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_a_pitch_of_one_pixel_less_is_wrong(name, mode, axis, data):
    one = data.draw(correlations(mode, most=1))
    clean = one.clean_pitch()
    pitch = tuple(s - (n == axis) for n, s in enumerate(clean))
    assume(pitch[axis] > 0)
    # A whole number of pitches along that axis: neighbours on both sides, around the edge too.
    side = pitch[axis] * (1 if name == "none" else 2)
    assume(side // max(pitch) >= (1 if name == "none" else 2))
    c, tiling = crowded(one, name, side, pitch)
    assert max(error(c, tiling, side, lead) for lead in leads(c)) > 1e-3


@pytest.mark.parametrize("kernel", range(1, 9))
@pytest.mark.parametrize("size", [3, 6])
def test_same_needs_half_a_kernel_between_maps_and_not_a_whole_one(size, kernel):
    # FatNet, equation 6, has M+N-1 pixels; M+⌈(N-1)/2⌉ are as clean, and one less is not.
    c = Correlation(4, 1, (size, size), (kernel, kernel), "same")
    clean = c.clean_pitch()
    assert clean == (size + kernel // 2,) * 2
    for lead in leads(c):
        (tiling,) = tilings(c, 2 * clean[0], clean, "batch")
        assert error(c, tiling, 2 * clean[0], lead) < EXACT
        less = (clean[0] - 1,) * 2
        (tiling,) = tilings(c, 2 * less[0], less, "batch")
        assert error(c, tiling, 2 * less[0], lead) > 1e-3


def test_valid_needs_nothing_between_maps():
    c = Correlation(9, 9, (4, 4), (3, 3), "valid")
    assert c.clean_pitch() == c.map_sides
    assert c.full_pitch() == (6, 6)


# Frames -------------------------------------------------------------------------------------------


@quick
@given(correlations(most=9), st.integers(1, 6))
def test_no_frame_holds_more_tiles_than_the_plane(c, tiles):
    side, pitch = plane(c, tiles), c.clean_pitch()
    room = prod(side // s for s in pitch)
    for tiling in tilings(c, side, pitch):
        assert tiling.lit <= tiling.span <= room
        assert tiling.frames * tiling.lit * tiling.channels >= c.pairs
        assert tiling.frames * room >= c.pairs


def fewest_frames(c, tiles):
    """Of all mixes on a grid: a images along rows and b along columns, q groups on a plane."""
    rows, columns = tiles
    frames = []
    for a, b in product(range(1, rows + 1), range(1, columns + 1)):
        images, kernels = a * b, (rows // a) * (columns // b)
        for q in range(1, min(images, kernels, c.groups) + 1):
            counts = (c.groups, q), (c.images, images // q), (c.kernels, kernels // q)
            frames.append(c.channels * prod(-(-n // each) for n, each in counts))
    return min(frames)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*[st.integers(1, 6) | st.integers(1, 40)] * 3),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
@example((9, 2, 2), (10, 10))
@example((1, 4, 6), (5, 5))
@example((3, 1, 1), (5, 5))
def test_one_of_the_mixes_has_the_fewest_frames_that_any_has(counts, tiles):
    groups, images, kernels = counts
    c = Correlation(images, kernels, (5, 5), (1, 1), "valid", groups=groups, channels=2)
    side = 5 * max(tiles)
    pitch = tuple(side // n for n in tiles)
    found = min(t.frames for t in mixes(c, side, pitch))
    assert found == fewest_frames(c, tuple(side // s for s in pitch))


@quick
@given(correlations(most=30), st.integers(1, 8))
def test_a_mix_is_never_worse_than_images_or_kernels_alone(c, tiles):
    side, pitch = plane(c, tiles), c.clean_pitch()
    mixed = min(t.frames for t in tilings(c, side, pitch, "mix"))
    for name in ("none", "batch", "kernel"):
        (other,) = tilings(c, side, pitch, name)
        assert mixed <= other.frames


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_the_plane_has_no_tiling(name):
    c = Correlation(3, 3, (8, 8), (3, 3), "same", channels=4)
    assert list(tilings(c, 9, c.clean_pitch(), name))
    assert not list(tilings(c, 8, c.clean_pitch(), name))
