"""The fastest tiling against every other one, by brute force over small correlations."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.hw_models import load, names
from einfall.hw_models.overrides import with_overrides
from einfall.sim import closed_form
from einfall.sim.optical import light, lowering
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.frames import Layer, phase
from einfall.sim.optical.host import host_of
from einfall.sim.optical.mapping import OpticalMapping
from einfall.sim.optical.planes import planes
from einfall.sim.optical.tilings import mix

BEST = OpticalMapping()
FILL = 0.05  # the search leaves out what differs by the first frame alone: 2 % of one or two frames


def time_s(layer, optics):
    exposures = light.exposures(optics, optics.word_bits)
    machine = host_of(optics.host.machine)
    return closed_form.phase_time_s(phase(layer, optics, machine, exposures))


def fastest_s(c, optics):
    chosen = lowering._fastest("layer", c, optics, BEST, host_of(optics.host.machine))
    return time_s(chosen, optics)


def every_mix(c, side):
    """Mixes of a images along rows and b along columns, and of fewer than there is room for."""
    rows, columns = (side // s for s in c.clean_pitch())
    seen = set()
    for a, b in product(range(1, rows + 1), range(1, columns + 1)):
        for q in range(1, min(c.groups, a * b, (rows // a) * (columns // b)) + 1):
            images = range(1, min(a * b // q, c.images) + 1)
            kernels = range(1, min((rows // a) * (columns // b) // q, c.kernels) + 1)
            seen |= set(product(images, kernels, [q]))
    return [mix(c, c.clean_pitch(), *counts) for counts in seen]


def fastest_mix_s(c, optics):
    shown = planes(c, optics)
    found = product(every_mix(c, optics.side), ("input", "mask"))
    return min(time_s(Layer("layer", c, tiling, shown, held), optics) for tiling, held in found)


@st.composite
def correlations(draw, side):
    """Products of matrices that take 1 to 4 tiles of the plane along each axis."""
    count = st.integers(1, 6)
    sides = tuple(side // draw(st.integers(1, 4)) for _ in range(2))
    return Correlation(
        draw(count), draw(count), sides, sides, "valid",
        channels=draw(st.integers(1, 2)), groups=draw(st.integers(1, 3)), known=draw(st.booleans()),
    )  # fmt: skip


@pytest.mark.parametrize("machine", names("optical_4f"))
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_best_is_at_most_as_slow_as_any_tiling_and_any_order(machine, data):
    optics = load(machine)
    c = data.draw(correlations(optics.side))
    every = [time_s(layer, optics) for layer in lowering.layers("layer", c, optics, BEST)]
    assert fastest_s(c, optics) <= min(every) * (1 + FILL)


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_no_mix_at_all_is_faster_where_frames_are_what_takes_time(data):
    optics = with_overrides(
        load("optical_4f_ideal"), {"camera.pixel_rate": 1e30, "laser.power": 1e9}
    )
    c = data.draw(correlations(optics.side))
    assert fastest_s(c, optics) <= fastest_mix_s(c, optics) * (1 + 1e-3)


@pytest.mark.parametrize("machine", names("optical_4f"))
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_no_mix_at_all_is_faster_by_a_third_where_pixels_take_time(machine, data):
    # The search tries mixes of fewest frames; a frame more may read fewer pixels. That matters on
    # planes of a few tiles, as here, where one more is much.
    optics = load(machine)
    c = data.draw(correlations(optics.side))
    assert fastest_s(c, optics) <= fastest_mix_s(c, optics) * 4 / 3
