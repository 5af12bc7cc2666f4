"""Numbers written by the column are, to the byte, what Python writes one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.scenarios.sweeps.digits import floats, joined, texts, wholes

HALVES = [99999999999.95, 999999999999.5, 999999999999.4, 0.00099999999999999, 9.9999999999995e-5]
ENDS = [0.0, -0.0, np.inf, -np.inf, 1e-4, 1e-5, 1e11, 1e12, 1e99, 1e100, 5e-324, 1.7e308]


def written(values):
    return joined([floats(np.array(values))]).decode().splitlines()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_floats_are_those_of_python(values):
    assert written(values) == [f"{x:.12g}" for x in values]


@given(st.lists(st.integers(0, 10**14), min_size=1), st.integers(-20, 20))
def test_floats_between_two_roundings(numbers, exponent):
    values = [n / 8 * 10.0**exponent for n in numbers]
    assert written(values) == [f"{x:.12g}" for x in values]


@pytest.mark.parametrize("value", [*HALVES, *ENDS, *(-x for x in HALVES)])
def test_floats_at_the_ends(value):
    assert written([value, 1.5]) == [f"{value:.12g}", "1.5"]


def test_powers_of_ten_and_their_neighbours():
    tens = [float(f"1e{k}") for k in range(-300, 300)]
    values = [*tens, *np.nextafter(tens, 0).tolist(), *np.nextafter(tens, np.inf).tolist()]
    assert written(values) == [f"{x:.12g}" for x in values]


@given(st.lists(st.integers(0, 2**50), min_size=1))
def test_wholes_are_those_of_python(values):
    assert joined([wholes(np.array(values))]).decode().splitlines() == list(map(str, values))


def test_columns_are_joined_by_commas_and_empty_where_there_is_no_answer():
    columns = [wholes(np.array([9, 10])), texts(np.array(["hbm", ""])), texts(np.array(["µ", "b"]))]
    rows = joined([*columns, floats(np.array([np.nan, 0.25]))])
    assert rows.decode() == "9,hbm,µ,\n10,,b,0.25\n"
