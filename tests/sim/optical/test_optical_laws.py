"""One battery for every 4f system that ships: both evaluators, growth, faster parts, counts."""

from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from random_questions import SIZES, in_turn_s, shapes

from einfall.einsum_cascades import library
from einfall.hw_models import load, names
from einfall.hw_models.overrides import with_overrides
from einfall.sim import closed_form, events
from einfall.sim.mapping import MappingError
from einfall.sim.optical import light
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.estimate import estimate
from einfall.sim.optical.frames import Layer, phase
from einfall.sim.optical.host import host_of
from einfall.sim.optical.mapping import OpticalMapping, parse_mapping
from einfall.sim.optical.planes import SIGNS, planes
from einfall.sim.optical.tilings import tilings
from einfall.sim.pipeline import Pipeline, busy_s, counts

MACHINES = names("optical_4f")
DRAWN = {*SIZES, "heads", "kv_heads"}
CASCADES = tuple(
    name
    for name in library.names()
    if name != "linear_attention_causal"  # nothing for optics
    and {rank.shape_key for rank in library.load(name).ranks} <= DRAWN
)
CLOSE = 1e-9
REPEATED = 1e-6  # the simulation takes states that differ by less than rounding for a period
on_every_machine = pytest.mark.parametrize("machine", MACHINES)
few = settings(deadline=None, max_examples=8)
SINGLE = ("none", "batch", "kernel", "channel")


@st.composite
def layers(draw, optics, known=True):
    """A small correlation, on a plane of a few tiles, with a tiling, signs, and an order."""
    side = optics.side // draw(st.integers(1, 4))
    n = st.integers(1, 6)
    c = Correlation(
        draw(n), draw(n), (side, side), (side, side), "valid", channels=draw(n),
        groups=draw(st.integers(1, 3)), known=known,
        map_signed=draw(st.booleans()), kernel_signed=draw(st.booleans()),
    )  # fmt: skip
    name = draw(st.sampled_from(SINGLE))
    shown = planes(c, optics, draw(st.sampled_from(SIGNS)))
    return laid(c, optics, name, shown, draw(st.sampled_from(("input", "mask"))))


def laid(c, optics, name, shown, held):
    (tiling,) = tilings(c, optics.side, c.clean_pitch(), name)
    return Layer("layer", c, tiling, shown, held)


def phase_of(layer, optics):
    exposures = light.exposures(optics, optics.word_bits)
    return phase(layer, optics, host_of(optics.host.machine), exposures)


def simulated_s(one):
    return events.simulate(Pipeline((one,))).timing.latency_s


def time_s(layer, optics):
    return closed_form.phase_time_s(phase_of(layer, optics))


# Both evaluators ----------------------------------------------------------------------------------


@on_every_machine
@few
@given(data=st.data())
def test_closed_form_is_the_simulation(machine, data):
    optics = load(machine)
    layer = data.draw(layers(optics))
    one = phase_of(layer, optics)
    found, simulated = closed_form.phase_time_s(one), simulated_s(one)
    if layer.frames < 3:
        assert abs(simulated - found) <= closed_form.phase_terms(one).chain
        return
    assert found == pytest.approx(simulated, rel=REPEATED)


@on_every_machine
@pytest.mark.parametrize("known", [True, False])
@few
@given(data=st.data())
def test_both_times_lie_between_the_busiest_resource_and_one_after_the_other(machine, known, data):
    optics = load(machine)
    one = phase_of(data.draw(layers(optics, known)), optics)
    most, turn = max(busy_s(one).values()), in_turn_s(Pipeline((one,)))
    for time in (closed_form.phase_time_s(one), simulated_s(one)):
        assert most * (1 - REPEATED) <= time <= turn * (1 + REPEATED)


@on_every_machine
@settings(deadline=None, max_examples=4)
@given(data=st.data())
def test_estimates_of_any_cascade_add_up(machine, data):
    cascade = library.load(data.draw(st.sampled_from(CASCADES)))
    tiling = data.draw(st.sampled_from(("best", *SINGLE, "mix")))
    signs = data.draw(st.sampled_from(("", ",signs=shift", ",inputs=nonnegative")))
    mapping = parse_mapping(f"{tiling}:data=optics{signs}")
    try:
        found = estimate(cascade, data.draw(shapes(cascade)), load(machine), mapping)
    except MappingError:  # only products of data of one map and one kernel each
        reject()
    assert max(found.busy_s.values()) <= found.latency_s * (1 + CLOSE)
    assert found.latency_s <= in_turn_s(found.pipeline) * (1 + CLOSE)
    assert found.latency_s == pytest.approx(sum(t for _, t in found.timing.phases))
    assert found.energy_j == pytest.approx(sum(found.parts_j.values()))
    assert sum(line.energy_j for line in found.breakdown) <= found.energy_j * (1 + CLOSE)
    assert all(0 <= share <= 1 + CLOSE for share in found.utilization.values())
    assert found.frames == sum(layer.frames for layer in found.layers)
    assert found.bits["shot"] == pytest.approx(found.device.word_bits)


# What grows with what -----------------------------------------------------------------------------

GROWS = ("images", "kernels", "channels", "groups")


@on_every_machine
@settings(few, max_examples=16)
@given(grows=st.sampled_from(GROWS), data=st.data())
def test_more_never_takes_fewer_frames_less_energy_or_less_time(machine, grows, data):
    optics = load(machine)
    one = data.draw(layers(optics))
    grown = getattr(one.correlation, grows) + data.draw(st.integers(1, 9))
    c = replace(one.correlation, **{grows: grown})
    more = laid(c, optics, one.tiling.name, one.planes, one.held)
    assert more.frames >= one.frames
    assert time_s(more, optics) >= time_s(one, optics) * (1 - CLOSE)
    if (grows, one.tiling.name) == ("channels", "channel"):
        return  # fewer images lie beside each other, and the last frame is charged as a full one
    less_n, more_n = (counts(Pipeline((phase_of(x, optics),))) for x in (one, more))
    assert all(more_n[key] >= n * (1 - CLOSE) for key, n in less_n.items())


@pytest.mark.parametrize("name", ["none", "batch", "kernel", "channel"])
@pytest.mark.parametrize("times", [2, 5])
def test_frames_are_linear_in_what_fills_planes(name, times):
    optics = load(MACHINES[0])
    side = optics.side // 4
    full = Correlation(16, 16, (side, side), (side, side), "valid", channels=16)
    count = {"batch": "images", "kernel": "kernels"}.get(name, "channels")
    one, more = (
        laid(c, optics, name, planes(c, optics), "input")
        for c in (full, replace(full, **{count: times * 16}))
    )
    assert more.frames == times * one.frames


@on_every_machine
@few
@given(data=st.data())
def test_a_longer_word_never_takes_fewer_frames_or_exposures_or_less_time(machine, data):
    short, word = (
        with_overrides(load(machine), {"word": f"{bits} bit"}) for bits in sorted(data.draw(words))
    )
    one = data.draw(layers(short))
    c = one.correlation
    more = laid(c, word, one.tiling.name, planes(c, word), one.held)
    one = replace(one, planes=planes(c, short))
    assert more.frames >= one.frames
    assert light.exposures(word, word.word_bits) >= light.exposures(short, short.word_bits)
    assert time_s(more, word) >= time_s(one, short) * (1 - CLOSE)


words = st.lists(st.sampled_from((1, 2, 4, 6, 8, 12)), min_size=2, max_size=2, unique=True)


@on_every_machine
@few
@given(data=st.data())
def test_light_and_pixels_are_those_of_one_frame_times_frames(machine, data):
    optics = load(machine)
    layer = data.draw(layers(optics))
    found = counts(Pipeline((phase_of(layer, optics),)))
    window, bits = layer.window(optics.side), optics.word_bits
    exposures = light.exposures(optics, bits)
    lit = layer.frames * light.light_j(optics, bits, window)
    assert found["laser", "joule"] == pytest.approx(lit)
    pixels = layer.frames * exposures * layer.pixels_read(optics)
    assert found["camera", "read"] == found["converter", "conversion"] == pytest.approx(pixels)
    for plane in ("input", "mask"):
        written = layer.changes(plane) * getattr(optics, plane).side ** 2
        assert found[plane, "update"] == pytest.approx(written)


# Faster parts -------------------------------------------------------------------------------------

FASTER = {
    "input": ("input.rate",),
    "mask": ("mask.rate",),
    "camera": ("camera.rate", "camera.pixel_rate"),
    "laser": ("laser.power",),
    "well": ("camera.full_well",),
    "link": ("host.link",),
}


@on_every_machine
@settings(few, max_examples=16)
@given(data=st.data())
def test_a_faster_part_never_takes_longer(machine, data):
    optics = load(machine)
    layer = data.draw(layers(optics))
    linked = optics.host.link_bytes_per_s is not None
    part = data.draw(st.sampled_from([part for part in FASTER if part != "link" or linked]))
    better = with_overrides(optics, dict.fromkeys(FASTER[part], "2x"))
    after, before = (simulated_s(phase_of(layer, each)) for each in (better, optics))
    assert after <= before * (1 + REPEATED)


# Words --------------------------------------------------------------------------------------------


@given(
    st.builds(
        OpticalMapping,
        st.sampled_from((None, *SINGLE, "mix")),
        st.sampled_from(("clean", "full")),
        st.sampled_from(SIGNS),
        st.sampled_from(("signed", "nonnegative")),
        st.sampled_from(("host", "optics")),
    )
)
def test_a_mapping_is_what_its_name_says(mapping):
    assert parse_mapping(mapping.name) == mapping


def test_all_mistakes_of_a_mapping_are_told_at_once():
    with pytest.raises(MappingError) as told:
        parse_mapping("mixed:pitch=wide,sign=split,data=host,data=host")
    text = str(told.value)
    assert len(text.splitlines()) == 4
    assert all(word in text for word in ("'mixed'", "pitch=clean or full", "'sign'", "data once"))


@on_every_machine
def test_a_cascade_with_nothing_for_the_optics_is_told_the_way_out(machine):
    shape = {"heads": 1, "queries": 4, "keys": 4, "head_dim": 4}
    attention, optics = library.load("attention_3pass"), load(machine)
    with pytest.raises(MappingError, match="data=optics sends them there"):
        estimate(attention, shape, optics)
    assert estimate(attention, shape, optics, parse_mapping("best:data=optics")).frames > 0
