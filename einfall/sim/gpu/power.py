"""Energy of a launch and the clock it runs at: energy by action, static power, the power cap.

    E(f) = floor · T(f) + (V(f)/V_nominal)² · Σ n_a · e_a + n_hbm · e_hbm
    T(f) = fixed + max(cycles / f, memory) + exposed · min(cycles / f, memory)

Sustained, the clock is the highest at which E/T stays under the cap; in a short benchmark the cap
has pulled the clock down only in part (`burst`). Left out: temperature, spread of boards, the
clock's steps of 15 MHz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.numeric import Number, is_array, maximum, minimum

Regime = Literal["burst", "sustained", "boost"]

PEAK = 1.38
"""Power over the cap that a board gives at once, before its average is drawn down to the cap.

Measured: H100 SXM, bf16 products and cuDNN attention in groups of 10 ms with pauses draw 963 and
962 W; H200 951 and 930 W (validate/data/power_bursts.csv). What the clock is then, NVML does not
tell: it reads 1980 MHz, while the times are those of some 1550."""
AT_ONCE = 0.1
"""Share of the way down to the cap's clock that a launch of no length goes.

Assumption, chosen together with `BURST_S`: 33 launches of 0.4 to 4 ms, timed both in short
benchmarks and over seconds on H100 SXM and H200, have the ratio of the two within 2.7 %, on average
within 0.2 % (`calibrate_power.burst_ratios`). They tell the share at a millisecond, some 0.15, but
not how it grows with length: with `BURST_S` free, 0.1 to 0.4 serve as well."""
BURST_S = 20e-3
"""Length of a launch that goes half of what is left of that way [s]; assumption, see `AT_ONCE`."""
_STEPS, _EXACT = 50, 5e-6  # a Newton step of 5e-6 leaves an error of some 2e-11
_TINY = 1e-30  # keeps from dividing by nothing


@dataclass(frozen=True, slots=True)
class Work:
    """What one launch does: its actions, its cycles, and the times no clock changes [s].

    `actions` counts FLOP of the tensor cores (by dtype, `mma.bf16`), `exp`, `fma`, and bytes of
    `shared`, `l2` and `hbm`. `exposed` is the share of the shorter time that the longer does not
    hide.
    """

    actions: Mapping[str, Number]
    cycles: Number
    memory_s: Number
    fixed_s: Number
    exposed: float = 0.0

    def time_s(self, clock_hz: Number) -> Number:
        """Time at a clock [s]."""
        cores_s = self.cycles / clock_hz
        longer, shorter = maximum(cores_s, self.memory_s), minimum(cores_s, self.memory_s)
        return self.fixed_s + longer + self.exposed * shorter


def core_j(work: Work, gpu: Gpu) -> Number:
    """Energy of what goes with the SMs' voltage, at the nominal one [J]."""
    each = gpu.energy
    price = {
        "exp": each.exp_j,
        "fma": each.fma_j,
        "shared": each.shared_j_per_byte,
        "l2": each.l2_j_per_byte,
    }
    price |= {f"mma.{dtype}": j for dtype, j in each.mma_j_per_flop.items()}
    return sum((n * price[a] for a, n in work.actions.items() if a != "hbm"), start=0.0)


def hbm_j(work: Work, gpu: Gpu) -> Number:
    """Energy of HBM, which has a supply of its own [J]."""
    return work.actions.get("hbm", 0.0) * gpu.energy.hbm_j_per_byte


def energy_j(work: Work, gpu: Gpu, clock_hz: Number) -> Number:
    """Energy of the launch at a clock [J].

    >>> from einfall.sim.gpu.testing import toy
    >>> launch = Work({"hbm": 1e9, "exp": 1e9}, cycles=0, memory_s=1e-3, fixed_s=0.0)
    >>> round(energy_j(launch, toy(), 1e9), 4)  # 20 W · 1 ms + 0.01 J + 0.1 J
    0.13
    """
    scale: Any = gpu.energy_scale(clock_hz)
    floor = gpu.power.active_floor_w * work.time_s(clock_hz)
    return floor + scale * core_j(work, gpu) + hbm_j(work, gpu)


def power_w(work: Work, gpu: Gpu, clock_hz: Number) -> Number:
    """Mean power while launches follow each other at a clock [W]."""
    return energy_j(work, gpu, clock_hz) / work.time_s(clock_hz)


def sustained_hz(work: Work, gpu: Gpu, over: float = 1.0) -> Number:
    """The highest clock at which the power stays under the cap, or `over` times the cap [Hz].

    >>> from einfall.sim.gpu.testing import toy
    >>> idle = Work({}, cycles=1e6, memory_s=0.0, fixed_s=0.0)
    >>> sustained_hz(idle, toy()) == toy().clock.boost_hz
    True
    """
    return _capped_hz(_drawn(work, gpu), gpu, over)


@dataclass(frozen=True, slots=True)
class _Draw:
    """What a launch draws, and what no cap changes of it.

    At the clock `even_hz`, or the nearest there is, SMs and memory take as long; `even_j` and
    `boost_j` are energies without the floor.
    """

    work: Work
    core_j: Number
    hbm_j: Number
    even_hz: Number
    even_j: Number
    even_s: Number
    boost_j: Number
    boost_s: Number


def _drawn(work: Work, gpu: Gpu) -> _Draw:
    """Energies and times by which to find the clock under any cap."""
    boost = gpu.clock.boost_hz
    core, hbm = core_j(work, gpu), hbm_j(work, gpu)
    as_long_hz = work.cycles / maximum(work.memory_s, _TINY)
    even: Any = minimum(maximum(as_long_hz, gpu.clock.min_hz), boost)
    even_j = gpu.energy_scale(even) * core + hbm
    boost_j = gpu.energy_scale(boost) * core + hbm
    return _Draw(work, core, hbm, even, even_j, work.time_s(even), boost_j, work.time_s(boost))


def _capped_hz(draw: _Draw, gpu: Gpu, over: float) -> Number:
    """`sustained_hz` of what is drawn: boost, or the clock where energy meets what the cap leaves.

        scale(f) · core + hbm = room · (A + B/f)        room = over · cap - floor

    A + B/f is the time while the SMs take longest, or while memory does: that tells the side on
    which the energy lies at the clock where both take as long.
    """
    boost, work = gpu.clock.boost_hz, draw.work
    room_w = over * gpu.power.cap_w - gpu.power.active_floor_w
    excess: Any = draw.boost_j - room_w * draw.boost_s
    if not np.any(excess > 0):
        return np.broadcast_to(boost, excess.shape) if is_array(excess) else boost
    by_memory = (draw.even_hz < boost) & (draw.even_j <= room_w * draw.even_s)
    constant_s = work.fixed_s + np.where(by_memory, 1.0, work.exposed) * work.memory_s
    slowing = np.where(by_memory, room_w * work.exposed, room_w) * work.cycles
    found = _balanced_hz(gpu, draw.core_j, draw.hbm_j - room_w * constant_s, slowing)
    clock = np.where(excess > 0, found, boost)
    return clock if clock.ndim else float(clock)


def _balanced_hz(gpu: Gpu, core_j: Number, rest_j: Number, slowing: Number) -> Number:
    """The root of h(f) = f · scale(f) · core + f · rest - slowing, of launches over the cap [Hz].

    Up to the knee of the voltage h is a line. Beyond, it is a convex cubic: Newton's first step
    leads from the chord between knee and boost beyond the root, the others come down to it.
    Launches that have no root there are given one at knee or boost.
    """
    boost, knee = gpu.clock.boost_hz, gpu.power.voltage.knee_hz
    slope = gpu.power.slope_v_per_hz / gpu.energy.nominal_v
    base = gpu.power.voltage_v(knee) / gpu.energy.nominal_v - slope * knee
    at_boost = boost * (gpu.energy_scale(boost) * core_j + rest_j) - slowing
    flat_j = gpu.energy_scale(knee) * core_j + rest_j
    wanted = slowing + minimum(at_boost, 0.0)
    at_knee: Any = knee * flat_j - wanted
    wanted = wanted + maximum(at_knee, 0.0)
    chord = minimum(at_knee, 0.0) / (at_knee - maximum(at_boost, _TINY))
    clock: Any = knee + (boost - knee) * chord
    for _ in range(_STEPS):
        rise = slope * clock
        volts = base + rise
        drawn = core_j * volts
        each = drawn * volts + rest_j
        steepness = maximum(np.abs(each + 2 * drawn * rise), _TINY)
        before, clock = clock, minimum(clock - (clock * each - wanted) / steepness, boost)
        if np.all(np.abs(clock - before) <= _EXACT * np.abs(boost - knee)):
            break
    if np.any(at_knee > 0):
        clock = np.where(at_knee > 0, slowing / maximum(flat_j, _TINY), clock)
    return maximum(clock, gpu.clock.min_hz)


def clock_hz(work: Work, gpu: Gpu, regime: Regime, burst_s: float = BURST_S) -> Number:
    """The clock of a launch in a regime [Hz].

    `boost` is a locked highest clock, `sustained` the one after seconds of replay, and `burst` that
    of a benchmark of some dozen launches: at once no more than `PEAK` times the cap, and the cap
    itself acts the more the longer a launch is:

        share = at_once + (1 - at_once) · t/(t + burst_s)
        clock = first - share · (first - sustained)      first: sustained at PEAK · cap
    """
    boost = gpu.clock.boost_hz
    if regime == "boost":
        return boost
    draw = _drawn(work, gpu)
    lasting = _capped_hz(draw, gpu, 1.0)
    if regime == "sustained":
        return lasting
    share = AT_ONCE + (1 - AT_ONCE) * draw.boost_s / (draw.boost_s + burst_s)
    first = _capped_hz(draw, gpu, PEAK)
    return first - share * (first - lasting)
