"""The ladder on a 4f system: upper bounds of a speedup, each rung below the last.

A rung divides the time of the baseline by a lower bound of the algorithm's time. Each bound adds
something that the one before left out, so that no rung lies above the one before it:

    operation count   useful tiles over those of a full plane, at the rate of the faster modulator
    signs and bits    ... times the frames for signs, digits and exposures
    whole frames      ... in whole frames of the tiling at hand
    modulators        ... and each plane written as often as it changes
    camera            ... and its pixels read
    light             ... and photons enough for the bits wanted, once planes have settled
    link              ... and bytes to and from the host
    host              ... and masks made of data, what is gathered, and what is no convolution
    simulated         frames in their order: fill, settling, waiting

A layer waits for the one before: bounds are the sums over layers of the largest floor so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from einfall.hw_models.optical_4f import Optical4f
from einfall.sim.ladder import Ladder, Rung
from einfall.sim.numeric import Number
from einfall.sim.optical import light
from einfall.sim.optical.estimate import OpticalEstimate
from einfall.sim.optical.frames import Layer
from einfall.sim.optical.tilings import tiles_of
from einfall.sim.pipeline import busy_s
from einfall.units import format_quantity

RESOURCES: Mapping[str, tuple[str, ...]] = {
    "modulators": ("input", "mask"),
    "camera": ("camera",),
    "light": ("light",),
    "link": ("link in", "link out"),
}
"""Resources of the Pipeline that each rung of a layer's frames adds."""


def optical_ladder(algorithm: OpticalEstimate, baseline: OpticalEstimate) -> Ladder:
    """The rungs of an algorithm on a 4f system against a baseline on the same."""
    base_s, latency_s = float(baseline.latency_s), float(algorithm.latency_s)
    busy = {phase.name: _plain(busy_s(phase)) for phase in algorithm.pipeline.phases}
    floors = [_floors(algorithm, layer, busy[layer.name]) for layer in algorithm.layers]
    limits = _limits(algorithm)
    bounds = {name: sum(each[name] for each in floors) for name in limits if name != "host"}
    host_s = sum(_host_s(times) for name, times in busy.items() if name.startswith("host"))
    bounds["host"] = sum(each["host"] for each in floors) + host_s
    rungs = [Rung(name, base_s / time_s, limits[name]) for name, time_s in bounds.items() if time_s]
    last = max(latency_s, *bounds.values())
    rungs.append(Rung("simulated", base_s / last, _left(algorithm), "simulated"))
    before, after = (
        sum(float(x.correlation.macs) for x in e.layers) for e in (baseline, algorithm)
    )
    return Ladder(tuple(rungs), before / after if after else None, base_s, latency_s)


def _plain(times: Mapping[str, Number]) -> dict[str, float]:
    return {name: float(time) for name, time in times.items()}


def _floors(e: OpticalEstimate, layer: Layer, busy: Mapping[str, float]) -> dict[str, float]:
    """Lower bounds of the time of a layer [s], none below the one before."""
    optics = e.device
    exposures = 1 if e.accounting.published else light.exposures(optics, optics.word_bits)
    single, frame = least_frame_s(optics), least_frame_s(optics, exposures)
    full = float(layer.correlation.pairs) / float(tiles_of(optics.side, layer.tiling.pitch))
    each = {
        "operation count": full * single,
        "signs and bits": full * layer.planes.sigma * float(layer.planes.rho) * frame,
        "whole frames": layer.frames * frame,
    }
    for name, resources in RESOURCES.items():
        each[name] = max(busy.get(resource, 0.0) for resource in resources)
    each["host"] = _host_s(busy)
    return dict(zip(each, accumulate(each.values(), max), strict=True))


def least_frame_s(optics: Optical4f, exposures: int = 1) -> float:
    """The least time between frames that differ: one modulator changes, the camera takes pictures.

    max( exposures/f_cam, min(1/f_in, 1/f_mask) )
    """
    written = min(1 / optics.input.rate_hz, 1 / optics.mask.rate_hz)
    return max(exposures / optics.camera.rate_hz, written)


def _host_s(busy: Mapping[str, float]) -> float:
    return max((t for name, t in busy.items() if name.startswith("host.")), default=0.0)


def _limits(e: OpticalEstimate) -> dict[str, str]:
    """What each bound is, in words."""
    o, n = e.device, len(e.layers)
    layers = "one layer" if n == 1 else f"{n} layers"
    pixels = f"{o.side} x {o.side} pixels"
    clock = format_quantity(1 / least_frame_s(o), "Hz")
    return {
        "operation count": f"every tile of {pixels} of use, {clock} frames",
        "signs and bits": _multiplied(e),
        "whole frames": f"{e.frames:,} frames of {layers}, {float(e.utilization['plane']):.1%} of "
        "their tiles of use",
        "modulators": "planes are written as often as they change",
        "camera": "pixels are read",
        "light": "photons for the bits wanted, after planes have settled",
        "link": "bytes to and from the host",
        "host": f"{o.host.machine}: what is no convolution",
    }


def _multiplied(e: OpticalEstimate) -> str:
    signs = sorted({layer.planes.sigma for layer in e.layers})
    digits = sorted({int(layer.planes.rho) for layer in e.layers})
    times = " or ".join(map(str, signs)), " or ".join(map(str, digits))
    return f"{times[0]} frames for signs, {times[1]} for {e.device.word_bits:g} bits"


def _left(e: OpticalEstimate) -> str:
    busiest = str(e.bound)
    waiting = max(0.0, 1 - float(e.busy_s[busiest]) / float(e.latency_s))
    how = "event simulation" if e.simulation else "closed form"
    return f"{how}: {busiest} waits {waiting:.1%} of the time"
