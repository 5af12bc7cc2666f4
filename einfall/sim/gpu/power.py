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

BURST_S = 20e-3  # fitted: H100 SXM, as AT_ONCE; NVML clocks meanwhile say 5 ms for the whole
PEAK = 1.4
"""Power over the cap that a board gives at once, before its average is drawn down to the cap.

Fitted: H100 SXM, bf16 products run at 774 TFLOP/s in a short benchmark and at 681 after seconds, at
1363 MHz: the same share of the tensor cores' rate only if the first has some 1550 MHz."""
AT_ONCE = 0.1  # fitted: H100 SXM, times of short and clocks of sustained runs of the same launches
_HALVINGS = 14  # the clock is then within 0.2 MHz


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


def energy_j(work: Work, gpu: Gpu, clock_hz: Number) -> Number:
    """Energy of the launch at a clock [J].

    >>> from einfall.sim.gpu.testing import toy
    >>> launch = Work({"hbm": 1e9, "exp": 1e9}, cycles=0, memory_s=1e-3, fixed_s=0.0)
    >>> round(energy_j(launch, toy(), 1e9), 4)  # 20 W · 1 ms + 0.01 J + 0.1 J
    0.13
    """
    scale: Any = gpu.energy_scale(clock_hz)
    hbm = work.actions.get("hbm", 0.0) * gpu.energy.hbm_j_per_byte
    floor = gpu.power.active_floor_w * work.time_s(clock_hz)
    return floor + scale * core_j(work, gpu) + hbm


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
    like = work.time_s(gpu.clock.boost_hz)
    high: Any = np.full_like(like, gpu.clock.boost_hz) if is_array(like) else gpu.clock.boost_hz
    cap_w = over * gpu.power.cap_w
    under = power_w(work, gpu, high) <= cap_w
    if bool(np.all(under)):
        return high
    low: Any = high * 0 + gpu.clock.min_hz
    top = high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = power_w(work, gpu, middle) <= cap_w
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    found = np.where(under, top, low)
    return found if is_array(like) else float(found)


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
    lasting = sustained_hz(work, gpu)
    if regime == "sustained":
        return lasting
    time = work.time_s(boost)
    share = AT_ONCE + (1 - AT_ONCE) * time / (time + burst_s)
    first = sustained_hz(work, gpu, PEAK)
    return first - share * (first - lasting)
