"""The 4f systems that ship, what optics refuses, and how its sizes grow with each other."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.hw_models import Optical4f, SpecError, load, names, read_spec, with_overrides
from einfall.hw_models.constants import constants
from einfall.hw_models.library import DEVICES, KINDS
from einfall.hw_models.optical_4f import LIGHT_M_PER_S
from einfall.hw_models.yaml_door import Status
from einfall.report.machine import DERIVED, machine_record, machine_text

SYSTEMS = names("optical_4f")
each_system = pytest.mark.parametrize("name", SYSTEMS)
DMD = (DEVICES / "optical_4f_dmd.yaml").read_text(encoding="utf-8")


def problems(**changes: str | float) -> tuple[str, ...]:
    """What is wrong with the mirror system once some of its values are set: `mask__rows=540`."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    with pytest.raises(SpecError) as error:
        with_overrides(load("optical_4f_dmd"), paths)
    return tuple(problem.removeprefix("--set ") for problem in error.value.problems)


def with_sizes(
    pitch_m: float, mask_pitch_m: float, focal_length_m: float, wavelength_m: float = 532e-9
) -> Optical4f:
    """The ideal system with other lengths, unchecked."""
    ideal = load("optical_4f_ideal")
    return ideal.model_copy(
        update={
            "wavelength_m": wavelength_m,
            "input": ideal.input.model_copy(update={"pitch_m": pitch_m}),
            "mask": ideal.mask.model_copy(update={"pitch_m": mask_pitch_m}),
            "lenses": ideal.lenses.model_copy(update={"focal_length_m": focal_length_m}),
        }
    )


# --- what ships -----------------------------------------------------------------------------------


def test_the_papers_system_ships_and_three_that_can_be_bought():
    assert set(SYSTEMS) == {"optical_4f_ideal"} | {
        f"optical_4f_{x}" for x in ("dmd", "lcos", "slm")
    }


@each_system
def test_its_numbers_fit_each_other(name):
    machine = load(name)
    assert machine.side == min(machine.input.side, machine.mask.side)
    assert machine.matched_side == pytest.approx(machine.side, rel=1e-3)
    assert machine.image_pitch_m == pytest.approx(machine.camera.pitch_m, rel=1e-3)
    assert machine.camera.side >= machine.side
    assert machine.needed_diameter_m <= machine.lenses.diameter_m
    assert machine.space_bandwidth_side >= machine.side
    assert machine.frame_hz == min(machine.frame_limits_hz.values())
    assert load(machine.host.machine).kind != "optical_4f"


@each_system
def test_every_number_has_a_source_with_a_status_and_words(name):
    for path, constant in constants(load(name)).items():
        assert constant.source.status in get_args(Status), path
        assert len(constant.source.text) >= 5, path
        assert constant.source.line, path


@each_system
def test_every_number_can_be_set_anew_and_stays_itself_times_one(name):
    machine = load(name)
    numbers = {p for p, c in constants(machine).items() if not isinstance(c.value, str)}
    assert with_overrides(machine, dict.fromkeys(numbers, "1x")) == machine


@each_system
def test_lengths_and_bits_are_shown_with_their_units(name):
    found = constants(load(name))
    assert found["wavelength"].text == "532 nm"
    assert found["input.pitch"].text.endswith(" µm")
    assert found["lenses.diameter"].text.endswith(" mm")
    assert found["camera.bits"].text.endswith(" bit")


def test_only_the_papers_system_has_parts_without_a_limit():
    """No link, no noise, and a camera 200 times as fast as any found (TMX 7510: 7.78e10 px/s)."""
    ideal, *bought = (load(f"optical_4f_{x}") for x in ("ideal", "dmd", "lcos", "slm"))
    assert ideal.host.link_bytes_per_s is None
    assert ideal.camera.pixel_rate_hz > 200 * 7.78e10
    for machine in bought:
        assert machine.host.link_bytes_per_s <= load("h100_sxm").links.pcie_bytes_per_s
        assert machine.camera.pixel_rate_hz < 7.78e10
        assert machine.camera.read_noise > 0
        assert machine.frame_hz < 25e3


# Focal length [mm] and lens [mm] of a matched plane: N·d²/λ and 2·N·d at 532 nm, by hand.
MATCHED = {
    "optical_4f_lcos": (56.8, 16.2),  # 2160 pixels of 3.74 um
    "optical_4f_dmd": (237, 23.3),  # 1080 pixels of 10.8 um
    "optical_4f_slm": (556, 34.8),  # 1024 pixels of 17 um
}


@pytest.mark.parametrize(("name", "lengths"), MATCHED.items())
def test_lenses_have_the_focal_length_of_a_matched_plane(name, lengths):
    machine = load(name)
    focal_mm, lens_mm = lengths
    assert machine.lenses.focal_length_m * 1e3 == pytest.approx(focal_mm, rel=2e-3)
    assert machine.needed_diameter_m * 1e3 == pytest.approx(lens_mm, rel=3e-3)


def test_frames_are_limited_by_the_slowest_plane():
    limits = {name: machine_record(load(name))["frame_limit"] for name in SYSTEMS}
    assert limits["optical_4f_dmd"] == "camera.rate"
    assert limits["optical_4f_slm"] == limits["optical_4f_lcos"] == "input.rate"
    slow = with_overrides(load("optical_4f_dmd"), {"camera.pixel_rate": "1166.4 MHz"})
    assert slow.frame_hz == pytest.approx(1000)  # 1080² pixels
    assert machine_record(slow)["frame_limit"] == "camera.pixel_rate"


def test_a_complex_pixel_is_two_numbers():
    ideal = load("optical_4f_ideal")
    pixels = 3840 * 2160
    assert (ideal.input.frame_bytes, ideal.mask.frame_bytes) == (pixels, 2 * pixels)
    assert load("optical_4f_dmd").input.frame_bytes == 1920 * 1080 / 8


# --- shown ----------------------------------------------------------------------------------------


def test_every_kind_of_machine_is_shown_with_what_follows_from_it():
    assert DERIVED.keys() == KINDS.keys()


@each_system
def test_it_is_shown_with_what_follows_from_it(name):
    machine = load(name)
    record, text = machine_record(machine), machine_text(machine)
    assert record["side"] == machine.side
    assert record["peak_macs_per_s"] == machine.side**2 * machine.frame_hz
    assert record["frame_limit"] in text
    for word in ("usable", "needed", "best pitch", "flight", "photon", "MAC/s", "full_well"):
        assert word in text


# --- what it refuses ------------------------------------------------------------------------------


def test_a_mask_that_is_smaller_than_the_spectrum():
    assert problems(mask__rows=540) == (
        "lenses.focal_length: want a mask as wide as the spectrum, λ·f/input.pitch = 11.66 mm, "
        "found 540 x 10.8 µm = 5.832 mm: a focal_length of 118.4 mm or less makes them fit",
    )
    longer = problems(lenses__focal_length="2x", lenses__second_focal_length="2x")
    assert longer[0].endswith("a focal_length of 236.8 mm or less makes them fit")


def test_a_mask_too_coarse_for_any_plane():
    assert problems(mask__pitch="200x") == (
        "mask.pitch: want λ·f/(input.pitch·mask.pitch) of 8 pixels a side at least, found 5.4: "
        "a finer mask pitch, or a longer focal_length",
    )


def test_a_camera_of_another_pitch_than_the_image():
    assert problems(camera__pitch="9.4 um") == (
        "camera.pitch: want a pitch of 9.27 µm, the image of an input pixel, found 9.4 µm: "
        "a second_focal_length of 206.1 mm makes them equal",
    )


def test_a_lens_that_cuts_the_light():
    assert problems(lenses__diameter="20 mm") == (
        "lenses.diameter: want 23.33 mm, N·d + λ·f/d for 1080 pixels of 10.8 µm, found 20 mm, "
        "which passes 794 pixels a side at the best pitch: larger lenses, or fewer columns "
        "and rows",
    )


def test_the_ways_out_are_ways_out():
    dmd = load("optical_4f_dmd")
    with_overrides(dmd, {"camera.pitch": "9.4 um", "lenses.second_focal_length": "206.1 mm"})
    with_overrides(dmd, {"lenses.diameter": "23.33 mm"})
    short = {"lenses.focal_length": "118.4 mm", "lenses.second_focal_length": "101.6 mm"}
    assert with_overrides(dmd, {"mask.rows": 540, **short}).side == 540


def test_all_that_optics_refuses_is_told_at_once():
    found = problems(mask__rows=540, camera__pitch="5 um", lenses__diameter="10 mm")
    fields = [problem.split(":")[0] for problem in found]
    assert fields == ["lenses.focal_length", "camera.pitch", "lenses.diameter"]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("lenses.transmission", 1.2, "want less than or equal to 1, got 1.2"),
        ("input.modulates", "colour", "want 'amplitude', 'phase' or 'complex', got 'colour'"),
        ("input.bits", "0 bit", "want greater than 0, got '0 bit'"),
        ("wavelength", "532", "want a quantity in m, such as '2 um', got '532'"),
        (
            "host.machine",
            "optical_4f_ideal",
            "want a machine of another kind to compute, found optical_4f_ideal (optical_4f)",
        ),
    ],
)
def test_a_wrong_value_is_refused(path, value, problem):
    with pytest.raises(SpecError) as error:
        with_overrides(load("optical_4f_dmd"), {path: value})
    assert error.value.problems == (f"--set {path}: {problem}",)


def test_a_system_that_is_its_own_host_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: optical_4f_dmd\nname: mine\nhost: {{machine: {path}}}\n")
    with pytest.raises(SpecError) as error:
        load(path)
    assert "mine.yaml:3: host.machine: want a machine of another kind" in error.value.problems[0]


def test_a_law_is_told_at_the_line_of_the_field_it_is_about():
    text = DMD.replace("diameter: 50.8 mm", "diameter: 20 mm")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "diameter:" in line)
    with pytest.raises(SpecError) as error:
        read_spec(text, Optical4f)
    assert error.value.problems[0].startswith(f"<text>:{line}: lenses.diameter: want 23.33 mm, ")


# --- how sizes grow with each other ---------------------------------------------------------------

pitches = st.floats(1e-6, 40e-6)
focal_lengths = st.floats(1e-3, 2.0)
factors = st.floats(0.1, 10)


@given(st.integers(8, 2160), st.integers(8, 2160))
def test_a_larger_plane_needs_a_larger_lens(one, other):
    ideal = load("optical_4f_ideal")
    few, many = (
        ideal.model_copy(update={"input": ideal.input.model_copy(update={"rows": rows})})
        for rows in sorted((one, other))
    )
    assert few.side <= many.side
    assert few.needed_diameter_m <= many.needed_diameter_m
    grown = many.needed_diameter_m - few.needed_diameter_m
    assert grown == pytest.approx((many.side - few.side) * ideal.input.pitch_m, abs=1e-12)


@given(st.floats(1e-3, 0.1), focal_lengths, st.floats(400e-9, 1600e-9))
def test_the_space_bandwidth_is_the_most_pixels_over_every_pitch(diameter_m, focal_m, wavelength_m):
    """Of D = N·d + λ·f/d, tried at a thousand pitches around 2·λ·F#."""
    machine = with_sizes(10e-6, 10e-6, focal_m, wavelength_m)
    lenses = machine.lenses.model_copy(update={"diameter_m": diameter_m})
    machine = machine.model_copy(update={"lenses": lenses})
    best_pitch_m = 2 * wavelength_m * focal_m / diameter_m
    tried = [best_pitch_m * (0.25 + 0.005 * n) for n in range(1000)]
    sides = [(diameter_m - wavelength_m * focal_m / pitch_m) / pitch_m for pitch_m in tried]
    assert max(sides) <= machine.space_bandwidth_side * (1 + 1e-9)
    assert max(sides) == pytest.approx(machine.space_bandwidth_side, rel=1e-4)


def test_the_lens_of_the_papers_simulator_passes_1175_pixels_a_side():
    """The source of optnn: 5 mm across, 10 mm of focal length, 532 nm: D² / (4·λ·f) by hand."""
    ideal = load("optical_4f_ideal")
    lenses = {"focal_length_m": 10e-3, "diameter_m": 5e-3}
    optnn = ideal.model_copy(update={"lenses": ideal.lenses.model_copy(update=lenses)})
    assert round(optnn.space_bandwidth_side) == 1175


@given(pitches, pitches, focal_lengths, factors)
def test_the_matched_side_is_linear_in_wavelength_and_focal_length(pitch, mask_pitch, f, factor):
    one = with_sizes(pitch, mask_pitch, f)
    for other in (
        with_sizes(pitch, mask_pitch, factor * f),
        with_sizes(pitch, mask_pitch, f, factor * 532e-9),
    ):
        assert other.matched_side == pytest.approx(factor * one.matched_side)


@given(pitches, pitches, focal_lengths, factors)
def test_the_matched_side_falls_with_either_pitch(pitch, mask_pitch, f, factor):
    one = with_sizes(pitch, mask_pitch, f)
    assert with_sizes(factor * pitch, mask_pitch, f).matched_side == pytest.approx(
        one.matched_side / factor
    )
    assert with_sizes(mask_pitch, pitch, f).matched_side == pytest.approx(one.matched_side)


@given(st.integers(8, 4096), pitches)
def test_a_matched_plane_needs_a_lens_of_twice_its_side(side, pitch):
    f = side * pitch**2 / 532e-9
    machine = with_sizes(pitch, pitch, f)
    planes = ("input", "mask", "camera")
    sizes = {"columns": side, "rows": side}
    machine = machine.model_copy(
        update={plane: getattr(machine, plane).model_copy(update=sizes) for plane in planes}
    )
    assert machine.matched_side == pytest.approx(side)
    assert machine.side == side
    assert machine.needed_diameter_m == pytest.approx(2 * side * pitch)


@given(focal_lengths)
def test_light_flies_four_focal_lengths_between_equal_lenses(f):
    assert with_sizes(10e-6, 10e-6, f).flight_s == pytest.approx(4 * f / LIGHT_M_PER_S)
