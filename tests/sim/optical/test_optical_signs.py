"""Signs and bits: what amplitudes, intensities and digits give, against the count of planes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plane_walk import camera
from random_cascades import cascades, sizes_of

from einfall.einsum_cascades import library
from einfall.einsum_cascades.interpret import evaluate
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.planes import SIGNS, planes
from einfall.sim.optical.signs import never_negative

SIDE = 8
WORD = 8
BITS = (1, 2, 3, 4, 8)


def machine(input_bits, mask_bits):
    fields = {"input.bits": f"{input_bits} bit", "mask.bits": f"{mask_bits} bit"}
    return with_overrides(load("optical_4f_ideal"), fields)


def seen(plane, mask):
    """What the host has of a frame: the root of the intensity. Amplitudes are not negative."""
    assert plane.min() >= 0
    assert mask.min() >= 0
    return np.sqrt(np.abs(camera(plane, mask)) ** 2)


def split(values, signed):
    """(sign, plane) of both signs of a plane, or of the one that it has."""
    if not signed:
        return [(1, values)]
    return [(1, np.maximum(values, 0)), (-1, np.maximum(-values, 0))]


def digits(values, bits):
    """(weight, plane) of the digits of base 2^bits of whole numbers of a word."""
    each = range(0, WORD, bits)
    return [(2**low, values >> low & 2**bits - 1) for low in each]


def shown(values, signed, bits):
    """(weight, plane) of all planes that stand for one."""
    found = [
        (sign * weight, digit)
        for sign, part in split(values, signed)
        for weight, digit in digits(part, bits)
    ]
    assert all(digit.max() < 2**bits for _, digit in found)
    return found


def through_optics(x, kernel, c, signs, bits):
    """(result, frames) of maps and kernels of whole numbers, by frames of amplitudes alone."""
    shift = 2 ** (WORD - 1) if signs == "shift" and c.map_signed else 0
    maps = shown(x + shift, c.map_signed and signs == "split", bits[0])
    masks = shown(kernel, c.kernel_signed, bits[1])
    frames = [v * w * seen(plane, mask) for v, plane in maps for w, mask in masks]
    return sum(frames) - shift * kernel.sum(), len(frames)


def whole_numbers(seed, signed):
    low = -(2 ** (WORD - 1)) if signed else 0
    return np.random.default_rng(seed).integers(low, low + 2**WORD, (SIDE, SIDE))


@pytest.mark.parametrize("signs", SIGNS)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    signed=st.tuples(st.booleans(), st.booleans()),
    bits=st.tuples(st.sampled_from(BITS), st.sampled_from(BITS)),
)
def test_planes_of_signs_and_digits_give_the_exact_sum_in_as_many_frames(signs, seed, signed, bits):
    c = Correlation(
        1, 1, (SIDE, SIDE), (SIDE, SIDE), "circular", map_signed=signed[0], kernel_signed=signed[1]
    )
    x, kernel = whole_numbers(seed, signed[0]), whole_numbers(seed + 1, signed[1])
    found, frames = through_optics(x, kernel, c, signs, bits)
    np.testing.assert_allclose(found, camera(x, kernel), atol=1e-4)
    needed = planes(c, machine(*bits), signs)
    assert frames == needed.sigma * needed.rho == needed.inputs * needed.masks


@pytest.mark.parametrize(
    ("map_signed", "kernel_signed", "signs", "sigma"),
    [
        (False, False, "split", 1),
        (False, True, "split", 2),
        (True, False, "split", 2),
        (True, True, "split", 4),
        (True, True, "shift", 2),
        (True, False, "shift", 1),
    ],
)
def test_frames_for_signs(map_signed, kernel_signed, signs, sigma):
    # FatNet: after a ReLU kernels alone are signed, two frames. Tokens have both signs: four.
    c = Correlation(
        1, 1, (8, 8), (3, 3), "same", map_signed=map_signed, kernel_signed=kernel_signed
    )
    assert planes(c, load("optical_4f_ideal"), signs).sigma == sigma


def test_one_frame_of_both_signs_loses_them():
    x, kernel = whole_numbers(0, True), whole_numbers(1, True)
    field = camera(x, kernel)
    assert (field < 0).any()
    assert not np.allclose(np.sqrt(field**2), field)


@pytest.mark.parametrize("weights", [2, 4])
def test_grey_levels_by_the_time_a_mirror_is_on_are_wrong(weights):
    # Within one exposure the camera adds up the intensities of binary planes, digit by digit, for
    # times that grow by 2, or by 4 as the squares of amplitudes do; free choice of the scale.
    x, kernel = whole_numbers(0, False), np.zeros((SIDE, SIDE), int)
    kernel[:3, :3] = np.diag([40, 255, 130])
    right = camera(x, kernel)
    on = [camera(digit, kernel) ** 2 for _, digit in digits(x, 1)]
    intensity = sum(weights**n * each for n, each in enumerate(on))
    found = np.sqrt(intensity)
    scaled = found * (found * right).sum() / (found**2).sum()
    spread = np.abs(scaled - right).max() / (right.max() - right.min())
    assert spread > 0.1
    # Were intensities the operands, as in incoherent light, the same exposure would be exact.
    intensities = sum(2**n * camera(digit, kernel) for n, (_, digit) in enumerate(digits(x, 1)))
    np.testing.assert_allclose(intensities, right)


# Of a cascade -------------------------------------------------------------------------------------


def negative_tensors(cascade, inputs, tiles):
    """Tensors of which the interpreter gets a value below 0, inits included."""
    every = replace(cascade, outputs=tuple(dict.fromkeys(e.name for e in cascade.einsums)))
    with np.errstate(all="ignore"):
        return {name for name, x in evaluate(every, inputs, tiles).items() if (x < 0).any()}


def random_inputs(cascade, sizes, seed):
    random = np.random.default_rng(seed)
    return {a.tensor: random.normal(size=[sizes[r] for r in a.ranks]) for a in cascade.inputs}


SIZES = {
    "batch": 2, "heads": 2, "kv_heads": 1, "queries": 3, "keys": 5, "head_dim": 3, "value_dim": 2,
    "tokens": 3, "rows": 3, "inner": 4, "cols": 2, "model_dim": 4, "ffn_dim": 3,
}  # fmt: skip


SIZED = [n for n in library.names() if all(r.shape_key in SIZES for r in library.load(n).ranks)]


@pytest.mark.parametrize("name", SIZED)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_what_is_never_negative_never_is(name, seed):
    cascade = library.load(name)
    sizes = {rank.symbol: SIZES[rank.shape_key] for rank in cascade.ranks}
    tiles = {split.rank: 2 for split in cascade.splits}
    negative = negative_tensors(cascade, random_inputs(cascade, sizes, seed), tiles)
    assert not negative & never_negative(cascade)


@settings(deadline=None, max_examples=40)
@given(cascade=cascades(), seed=st.integers(0, 2**32))
def test_what_is_never_negative_in_random_cascades_never_is(cascade, seed):
    sizes = sizes_of(cascade)
    tiles = {s.rank: sizes[s.inner] for s in cascade.splits}
    negative = negative_tensors(cascade, random_inputs(cascade, sizes, seed), tiles)
    assert not negative & never_negative(cascade)


def test_weights_of_a_softmax_are_never_negative_and_scores_may_be():
    cascade = library.load("attention_1pass")
    assert {"SLN", "SLD", "PRM", "RD"} <= never_negative(cascade)
    assert not {"BQK", "RM", "RNV", "AV"} & never_negative(cascade)
