"""The ladder on a GPU: upper bounds of a speedup, each rung below the last, down to the prediction.

A rung divides the time of the baseline by a lower bound of the algorithm's time. Each bound adds
something that the one before left out, so that no rung lies above the one before it:

    operation count    products of attended pairs at the peak of the unit that does them
    all tiles          products of whole tiles, all that are visited, at that peak
    worst query tile   those of the longest block on its SM: where all blocks fit one wave
    roofline           ... and the bytes of HBM at the datasheet's rate
    resource           ... and every pipe of an SM for as long as its work takes at its full rate
    power cap          ... at the clock that the power cap leaves, where it leaves less than boost
    simulated          blocks over SMs, what does not overlap, barriers, launch, as fitted

All but the last two run at the highest clock. Sources: as `sim.ladder`.
"""

from __future__ import annotations

from collections.abc import Iterator

from einfall.sim.gpu.estimate import GpuEstimate
from einfall.sim.gpu.lowered import Lowered
from einfall.sim.ladder import Ladder, Rung
from einfall.units import format_quantity


def gpu_ladder(algorithm: GpuEstimate, baseline: GpuEstimate) -> Ladder:
    """The rungs of an algorithm on a GPU against a baseline on the same."""
    base_s, latency_s = baseline.latency_s, algorithm.latency_s
    rungs, at_least = [], 0.0
    for name, time_s, limit in _bounds(algorithm):
        at_least = max(at_least, time_s)
        if at_least > 0:
            rungs.append(Rung(name, base_s / at_least, limit))
    rungs.append(
        Rung("simulated", base_s / max(at_least, latency_s), _left(algorithm), "simulated")
    )
    before, after = attended_flops(baseline), attended_flops(algorithm)
    ratio = before / after if before and after else None
    return Ladder(tuple(rungs), ratio, base_s, latency_s)


def attended_flops(found: GpuEstimate) -> float:
    """FLOP of the products of attended pairs; of a linear attention those of keys into states.

    2 · pairs · (E + F)        or, linear:  4 · B · H · P · E · F
    """
    p = found.problem
    if found.attended_pairs is not None:
        return 2.0 * found.attended_pairs * (p.head_dim + p.value_dim)
    return 4.0 * float(p.batch * p.heads * p.queries) * p.head_dim * p.value_dim


def _bounds(e: GpuEstimate) -> Iterator[tuple[str, float, str]]:
    """Lower bounds of the time [s], each with what limits it."""
    boost = e.gpu.clock.boost_hz
    peak = e.peak_flops_per_clock * boost
    unit = e.product_unit
    yield (
        "operation count",
        attended_flops(e) / peak,
        f"products of attended pairs at {unit}'s peak",
    )
    tiles = e.flops / peak
    yield "all tiles", tiles, f"products of whole tiles at {unit}'s peak"
    if e.launch is not None and _one_wave(e, e.launch):
        alone = float(e.launch.span.steps * e.launch.flops) / (peak / e.gpu.sms)
        yield "worst query tile", alone, "one wave: all query tiles of all heads start at once"
    hbm = e.traffic_bytes["hbm"] / e.gpu.hbm.bandwidth_bytes_per_s
    yield "roofline", hbm, "bytes of HBM" if hbm > tiles else f"peak of {unit}"
    cycles = e.least_cycles
    pipe = max(cycles, key=cycles.__getitem__)
    l2 = e.traffic_bytes["l2"] / e.gpu.l2.bandwidth_bytes_per_s
    busy = {pipe: cycles[pipe] / boost, "hbm": hbm, "l2": l2}
    busiest = max(busy, key=busy.__getitem__)
    yield "resource", busy[busiest], f"{busiest} is busy"
    if e.clock_hz < boost:
        clocks = " of ".join(format_quantity(f, "Hz") for f in (e.clock_hz, boost))
        cap = format_quantity(e.gpu.power.cap_w, "W")
        yield "power cap", cycles[pipe] / e.clock_hz, f"{clocks} under the cap of {cap}"


def _one_wave(e: GpuEstimate, launch: Lowered) -> bool:
    """Whether every block has a place of its own from the start."""
    return e.kernel.does == "fused" and float(launch.span.mean_blocks) <= 1


def _left(e: GpuEstimate) -> str:
    """What the last rung has beside the busiest resource."""
    busiest = max(e.busy_s, key=e.busy_s.__getitem__)
    waiting = max(0.0, 1 - e.busy_s[busiest] / e.latency_s)
    return f"{e.kernel.kernel}: {busiest} waits {waiting:.1%} of the time"
