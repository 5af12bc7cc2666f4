"""Energy and clock: the cap holds, and less voltage costs less."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from einfall.hw_models import load, with_overrides
from einfall.sim.gpu.power import PEAK, Work, clock_hz, energy_j, power_w, sustained_hz
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


# --- the clock under the cap, by bisection --------------------------------------------------------

H100 = load("h100_sxm")
CURVES = {
    "toy": toy(),
    "h100_sxm": H100,
    "flat": with_overrides(H100, {"power.voltage.v_max": "0.74 V"}),
    "early knee": with_overrides(H100, {"power.voltage.knee": "300 MHz"}),
    "knee at boost": with_overrides(H100, {"power.voltage.knee": "1979 MHz"}),
    "boost above top": with_overrides(H100, {"clock.boost": "3 GHz"}),
    "boost below knee": with_overrides(H100, {"clock.boost": "1 GHz"}),
    "low cap": with_overrides(H100, {"power.cap": "140 W"}),
}
mostly_some = st.one_of(st.just(0.0), st.floats(1e-4, 1.0))
works = st.builds(
    lambda cycles, memory_s, fixed_s, exposed, core, hbm: Work(
        {"fma": core * 1e11, "hbm": hbm * 1e10}, cycles * 1e7, memory_s * 1e-2, fixed_s, exposed
    ),
    mostly_some, mostly_some, st.floats(1e-6, 1e-3), mostly_some, mostly_some, mostly_some,
)  # fmt: skip


def bisected_hz(work, gpu, over):
    """The highest clock with the power under the cap, by halving what is left."""
    low, high, cap_w = gpu.clock.min_hz, gpu.clock.boost_hz, over * gpu.power.cap_w
    if power_w(work, gpu, high) <= cap_w:
        return high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if power_w(work, gpu, middle) <= cap_w else (low, middle)
    return low


@pytest.mark.parametrize("curve", CURVES)
@given(works, st.sampled_from([1.0, PEAK]))
def test_the_clock_is_that_of_bisection(curve, work, over):
    gpu = CURVES[curve]
    clock, halved = sustained_hz(work, gpu, over), bisected_hz(work, gpu, over)
    draws = [power_w(work, gpu, hz) for hz in (gpu.clock.min_hz, gpu.clock.boost_hz)]
    assume(draws[1] > draws[0] * 1.001)  # else all clocks are as good
    assert clock == pytest.approx(halved, rel=1e-9)
    assert energy_j(work, gpu, clock) == pytest.approx(energy_j(work, gpu, halved), rel=1e-9)


@given(st.lists(works, min_size=2, max_size=20))
def test_clocks_of_many_launches_are_those_of_each(launches):
    """Also where some lie under the cap, and others below the knee."""
    together = Work(
        {a: np.array([w.actions[a] for w in launches]) for a in ("fma", "hbm")},
        *(np.array([getattr(w, name) for w in launches]) for name in ("cycles", "memory_s")),
        np.array([w.fixed_s for w in launches]),
        launches[0].exposed,
    )
    alone = [replace(w, exposed=together.exposed) for w in launches]
    for regime in ("burst", "sustained"):
        each = [clock_hz(w, H100, regime) for w in alone]
        assert clock_hz(together, H100, regime) == pytest.approx(each, rel=1e-9)
