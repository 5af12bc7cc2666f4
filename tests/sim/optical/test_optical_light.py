"""Light: simulated photons against the bits that they are said to give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.hw_models import load, names
from einfall.hw_models.overrides import with_overrides
from einfall.sim.optical import light

MACHINES = names("optical_4f")
SAMPLES = 40_000
WITHIN = 0.03  # of a standard deviation from so many samples, and of a root that is nearly linear

bits = st.floats(1, 12)
noises = st.sampled_from((0.0, 1.0, 8.0, 100.0))


def noise(electrons, amplitude, read_noise=0.0, reads=1):
    """Standard deviation of the amplitude, full scale 1, from a sum of exposures."""
    random = np.random.default_rng(0)
    counted = random.poisson(electrons * amplitude**2, SAMPLES) * 1.0
    counted += random.normal(0, read_noise, (reads, SAMPLES)).sum(0)
    return np.sqrt(np.maximum(counted, 0) / electrons).std()


def step(levels_bits):
    """Noise of a quantiser of so many bits: a step / √12."""
    return 2.0**-levels_bits / np.sqrt(12)


@pytest.mark.parametrize("amplitude", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("b", [4, 6, 8])
def test_shot_noise_of_the_root_is_that_of_a_quantiser_at_every_level(b, amplitude):
    assert noise(light.electrons(b), amplitude) == pytest.approx(step(b), rel=WITHIN)


@pytest.mark.parametrize(("read_noise", "reads"), [(10, 1), (100, 1), (100, 9)])
@pytest.mark.parametrize("b", [6, 8])
def test_read_noise_needs_more_light_at_full_scale(b, read_noise, reads):
    n = light.electrons(b, read_noise, reads)
    assert n > light.electrons(b)
    assert noise(n, 1.0, read_noise, reads) == pytest.approx(step(b), rel=WITHIN)


@given(bits, noises)
def test_bits_and_electrons_are_inverse(b, read_noise):
    assert light.bits_of(light.electrons(b, read_noise), read_noise) == pytest.approx(b)


@given(bits, st.floats(0, 3), noises, st.integers(1, 9))
def test_more_bits_reads_or_noise_never_need_less_light(b, more, read_noise, reads):
    n = light.electrons(b, read_noise, reads)
    assert light.electrons(b + more, read_noise, reads) >= n
    assert light.electrons(b, read_noise + more, reads) >= n
    assert light.electrons(b, read_noise, reads + 1) >= n


@given(st.integers(1, 12), st.sampled_from((1e2, 1e4, 1e6)), st.sampled_from((0, 8, 100)))
def test_exposures_are_the_fewest_full_wells_that_give_the_bits(b, well, read_noise):
    fields = {"camera.full_well": well, "camera.read_noise": read_noise}
    optics = with_overrides(load("optical_4f_ideal"), fields)
    found, each = light.exposures(optics, b), light.bits_of(well, read_noise)
    assert each + light.averaging_bits(found) >= b - 1e-9
    assert found == 1 or each + light.averaging_bits(found - 1) < b
    assert light.electrons(b, read_noise, found) <= found * well * (1 + 1e-9)


def test_published_wells():
    # The notes' limits: 1e4 electrons are 5.9 bits, 4e4 6.9, 1e6 9.2; 8 bits are 196,608.
    assert [round(light.bits_of(w), 1) for w in (1e4, 4e4, 1e6)] == [5.9, 6.9, 9.2]
    assert light.electrons(8) == 3 * 4**8 == 196_608


@pytest.mark.parametrize("name", MACHINES)
def test_light_is_linear_in_pixels_and_four_times_as_much_for_a_bit(name):
    optics = with_overrides(load(name), {"camera.read_noise": 0})
    one = light.light_j(optics, 4, 100)
    assert light.light_j(optics, 4, 300) == pytest.approx(3 * one)
    assert light.light_j(optics, 5, 100) == pytest.approx(4 * one)
