"""Energy and clock: the cap holds, and less voltage costs less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.sim.gpu.power import Work, clock_hz, energy_j, power_w, sustained_hz
from einfall.sim.gpu.testing import toy

counts = st.floats(0, 1e12)


@given(st.floats(0, 1e11), st.floats(1e3, 1e8), st.floats(0, 1e-2))
def test_sustained_power_stays_under_the_cap(exps, cycles, memory_s):
    work = Work({"exp": exps}, cycles, memory_s, 1e-6)
    clock = sustained_hz(work, toy())
    lowest = toy().clock.min_hz
    assert lowest <= clock <= toy().clock.boost_hz
    if power_w(work, toy(), lowest) <= toy().power.cap_w:
        assert power_w(work, toy(), clock) <= toy().power.cap_w * 1.001


@given(st.floats(1e6, 1e11))
def test_burst_lies_between_sustained_and_boost(exps):
    work = Work({"exp": exps}, 1e6, 0.0, 1e-6)
    low, high = (clock_hz(work, toy(), regime) for regime in ("sustained", "boost"))
    assert low <= clock_hz(work, toy(), "burst") <= high


def test_a_board_gives_more_than_its_cap_at_once_but_not_any_power():
    work = Work({"exp": 1.4e10}, 1e6, 0.0, 1e-6)  # 140 mJ a millisecond: 160 W with the floor
    at_once = clock_hz(work, toy(), "burst")
    assert sustained_hz(work, toy()) < at_once < toy().clock.boost_hz


def test_clocks_of_a_sweep_are_those_of_each():
    exps = np.array([1e6, 1e9, 5e9, 2e10])
    together = sustained_hz(Work({"exp": exps}, np.full(4, 1e6), 0.0, 1e-6), toy())
    alone = [sustained_hz(Work({"exp": e}, 1e6, 0.0, 1e-6), toy()) for e in exps]
    assert together == pytest.approx(alone, rel=1e-3)


def test_energy_by_hand():
    # 1 ms at 20 W of floor, 1e9 FMA of 5 pJ at 1 V, 1e8 B of HBM at 100 pJ
    work = Work({"fma": 1e9, "hbm": 1e8}, cycles=1e6, memory_s=0.0, fixed_s=0.0)
    assert energy_j(work, toy(), 1e9) == pytest.approx(0.02 + 0.005 + 0.01)
