import math

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from einfall.units import UNITS, Bytes, BytesPerSecond, format_quantity, parse

REGISTRY = pint.UnitRegistry()
REGISTRY.define("FLOP = count")

SPELLINGS = [
    (unit, prefix + symbol)
    for unit, known in UNITS.items()
    for symbol in known.symbols
    for prefix in known.prefixes
]
finite = st.floats(min_value=1e-20, max_value=1e20)


@pytest.mark.parametrize(("unit", "written"), SPELLINGS)
def test_every_prefix_of_every_unit_is_that_of_pint(unit, written):
    expected = REGISTRY.Quantity(3.7, written).to(unit).magnitude
    assert parse(f"3.7 {written}", unit) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.35 TB/s", "B/s", 3.35e12),
        ("227 KiB", "B", 232448),
        ("5TB/s", "B/s", 5e12),
        (" 16 bit ", "B", 2),
        ("249.6 pJ", "J", 249.6e-12),  # correctly rounded: 249.6 * 1e-12 is another float
        ("3.9 pJ/bit", "J/B", 31.2e-12),
        ("1e3 MHz", "Hz", 1e9),
        ("-1.5 s", "s", -1.5),
        (".5 mm^2", "mm^2", 0.5),
        ("0 J", "J", 0),
    ],
)
def test_parse_gives_the_nearest_float(text, unit, value):
    assert parse(text, unit) == value


@pytest.mark.parametrize(
    "text",
    ["", "3", "B/s", "3 TB", "3 KB/s", "3 mB/s", "3 tB/s", "3 TB/s/s", "three GB/s", "1e999 B/s"],
)
def test_what_is_no_quantity_of_that_unit_is_refused(text):
    with pytest.raises(ValueError, match="want a quantity in B/s, such as '2 GB/s', got"):
        parse(text, "B/s")


def test_the_message_shows_what_was_found():
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        parse("3.35 TB", "B/s")
    assert str(error.value) == "want a quantity in B/s, such as '2 GB/s', got '3.35 TB'"


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(ValueError, match="want a quantity in B, such as '2 MiB'"):
        parse("1" + "0" * 400 + " B", "B")


@pytest.mark.parametrize("unit", UNITS)
def test_the_example_of_each_unit_is_one(unit):
    assert parse(UNITS[unit].example, unit) > 0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (16 * 2**20, "B", "16 MiB"),
        (65536, "B", "64 KiB"),
        (1e6, "B", "1 MB"),
        (232448, "B", "227 KiB"),
        (3.35e12, "B/s", "3.35 TB/s"),
        (429496729600, "B/s", "400 GiB/s"),
        (999_999, "B", "1 MB"),
        (999_999, "Hz", "1 MHz"),
        (1.234567e-3, "s", "1.235 ms"),
        (2.8036e-14, "J", "28.04 fJ"),
        (1e-6, "s", "1 µs"),
        (1e-18, "J", "0.001 fJ"),
        (5e18, "Hz", "5000 PHz"),
        (0, "J", "0 J"),
        (math.inf, "s", "inf s"),
        (-2e9, "Hz", "-2 GHz"),
        (1545e-6, "mm^2", "1545 µm^2"),
        (84.2013745, "mm^2", "84.2 mm^2"),
    ],
)
def test_format_chooses_the_prefix_a_reader_expects(value, unit, text):
    assert format_quantity(value, unit) == text


@given(finite, st.sampled_from(sorted(UNITS)), st.integers(1, 9))
def test_what_is_formatted_reads_back_to_so_many_digits(value, unit, digits):
    assert parse(format_quantity(value, unit, digits), unit) == pytest.approx(
        value, rel=0.5000001 * 10 ** (1 - digits)
    )


def test_python_may_pass_base_units_but_a_file_may_not():
    adapter = TypeAdapter(Bytes)
    assert adapter.validate_python(5) == adapter.validate_python("5 B") == 5
    with pytest.raises(ValidationError, match="want a quantity in B, such as '2 MiB', got 5"):
        adapter.validate_python(5, context={"text": True})


def test_a_negative_bandwidth_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        TypeAdapter(BytesPerSecond).validate_python("-3 GB/s")
