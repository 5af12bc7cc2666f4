"""The ladder: upper bounds of a speedup, each rung below the last, down to what is simulated.

A rung divides the time of the baseline by a lower bound of the algorithm's time. Each bound adds
something that the one before left out, so that no rung lies above the one before it:

    operation count   products of attended pairs at the peak of the unit that does them
    all tiles         products of all pairs in visited tiles at that peak
    roofline          ... and the traffic of DRAM at its bandwidth
    resource          ... and every unit and memory for as long as it is busy
    simulated         the steps in their order: fill, drain and waiting

Without a machine there is no time: the first two rungs are ratios of counts. The third notion of a
tile bound, the worst query tile, bounds only where all query tiles run at once; then it is a rung.

Sources:
    Williams, Waterman, Patterson, Roofline, CACM 2009; the first two rungs: Hassani et al.,
    Generalized Neighborhood Attention, 2025, arXiv:2504.16922, appendix B.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from einfall.einsum_cascades.counts import ops_per_point
from einfall.einsum_cascades.einsum import Cascade
from einfall.sim.bounds import Bounds
from einfall.sim.estimate import Estimate
from einfall.sim.nest import Factor, Nest, Work
from einfall.sim.pipeline import Task

Kind = Literal["bound", "simulated", "measured"]


@dataclass(frozen=True, slots=True)
class Rung:
    """A speedup over the baseline that cannot be exceeded, or was reached, and what limits it."""

    name: str
    speedup: float
    limit: str
    kind: Kind = "bound"


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost between two rungs: the part of the upper one's speedup that is gone."""

    between: tuple[str, str]
    part: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs from the operation count down; times are those of baseline and algorithm [s].

    `flop_speedup` is the ratio of their operations: the first rung at the rate of the baseline, who
    may lose to the peak, too. None where they have no operations on one unit.
    """

    rungs: tuple[Rung, ...]
    flop_speedup: float | None = None
    baseline_s: float | None = None
    latency_s: float | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The loss from each rung to the next."""
        pairs = zip(self.rungs, self.rungs[1:], strict=False)
        return tuple(Loss((a.name, b.name), 1 - b.speedup / a.speedup) for a, b in pairs)

    @property
    def largest_loss(self) -> Loss | None:
        """Where most is lost; None if nothing is."""
        losses = [loss for loss in self.losses if loss.part > 1e-9]
        return max(losses, key=lambda loss: loss.part, default=None)


def counted_ladder(bounds: Bounds, processors: int | None = None) -> Ladder:
    """The rungs that counts alone give, against dense attention with the same kernel.

    Args:
        bounds: The mask with its tiles.
        processors: Query tiles that run at once; where it is not less than there are, the worst
            query tile is a rung.
    """
    tiles = bounds.tiles
    partial = 1 - tiles.full_ignoring_padding / tiles.visited
    rungs = [
        Rung(
            "operation count", bounds.flop_speedup, "attended pairs at the rate of dense attention"
        ),
        Rung("all tiles", bounds.total, f"{partial:.0%} of the visited tiles are partial"),
    ]
    if processors is not None and tiles.q_tiles <= processors:
        limit = f"one wave: {tiles.q_tiles} query tiles on {processors} processors"
        rungs.append(Rung("worst query tile", bounds.worst, limit))
    return Ladder(_never_rising(rungs), bounds.flop_speedup)


def machine_ladder(
    cascade: Cascade, algorithm: Estimate, base_cascade: Cascade, baseline: Estimate
) -> Ladder:
    """The rungs of an algorithm on a machine against a baseline on the same.

    Args:
        cascade: The algorithm's; its contractions are what the first two rungs count.
        algorithm: Plain numbers; its Pipeline gives the lower bounds.
        base_cascade: That of the baseline.
        baseline: What its time is divided into.
    """
    products = contractions(cascade, algorithm)
    busy = {name: float(time) for name, time in algorithm.busy_s.items()}
    busiest = max(busy, key=busy.__getitem__)
    unit = max(products, key=lambda name: products[name].visited_s, default=busiest)
    main = products.get(unit, Products())
    before = contractions(base_cascade, baseline).get(unit, Products())
    dram = busy.get("dram", 0.0)
    bounds = [
        ("operation count", main.attended_s, f"products of attended pairs at the peak of {unit}"),
        ("all tiles", main.visited_s, f"products of whole tiles at the peak of {unit}"),
        ("roofline", dram, "traffic of DRAM" if dram > main.visited_s else f"peak of {unit}"),
        ("resource", busy[busiest], f"{busiest} is busy"),
    ]
    base_s, latency_s = float(baseline.latency_s), float(algorithm.latency_s)
    rungs, at_least = [], 0.0
    for name, time_s, limit in bounds:
        at_least = max(at_least, time_s)
        if at_least > 0:  # without products there is no such bound
            rungs.append(Rung(name, base_s / at_least, limit))
    waiting = max(0.0, 1 - busy[busiest] / latency_s)
    how = "event simulation" if algorithm.simulation else "closed form"
    limit = f"{how}: {busiest} waits {waiting:.1%} of the time"
    rungs.append(Rung("simulated", base_s / max(at_least, latency_s), limit, "simulated"))
    return Ladder(tuple(rungs), _ratio(before.attended_s, main.attended_s), base_s, latency_s)


def _ratio(before: float, after: float) -> float | None:
    return before / after if before and after else None


@dataclass(frozen=True, slots=True)
class Products:
    """Time of contractions with every element of a unit at work [s].

    `visited_s` is that of all pairs in the tiles that are run, `attended_s` that of the attended
    pairs alone.
    """

    attended_s: float = 0.0
    visited_s: float = 0.0


def contractions(cascade: Cascade, estimate: Estimate) -> dict[str, Products]:
    """The contractions (sums of products) of an estimate, by the unit that does them.

    Over a masked pair of ranks, attended / visited = density of the mask / part of the dense
    iteration space that the visited tiles cover.
    """
    names = {e.name for e in cascade.einsums if "mac" in ops_per_point(e)}
    found: dict[str, Products] = {}
    for phase, task in estimate.pipeline.tasks():
        if task.name in names and task.useful_s is not None:
            visited = float(task.useful_s.total(phase.nest, task.at))
            before = found.get(task.resource, Products())
            found[task.resource] = Products(
                before.attended_s + visited * _attended_part(phase.nest, task),
                before.visited_s + visited,
            )
    return found


def _attended_part(nest: Nest, task: Task) -> float:
    """Part of the points of a task's visited tiles that the mask attends."""
    visits = nest.visits
    ranks = {r for factor in task.useful_s.factors for r in factor.ranks} if task.useful_s else ()
    if visits is None or not {visits.queries, visits.keys} <= set(ranks):
        return 1.0
    area = Work(1, tuple(Factor((rank,)) for rank in (visits.queries, visits.keys)))
    covered = area.total(nest, task.at) / area.total(nest.dense, task.at)
    density = sum(mask.density for mask in visits.masks) / len(visits.masks)
    return float(density / covered)


def with_measured(ladder: Ladder, measured: Iterable[Rung]) -> Ladder:
    """The ladder with what was measured at its foot; a measurement is no bound."""
    return replace(ladder, rungs=(*ladder.rungs, *measured))


def _never_rising(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """Rungs, each at most as high as the one before: a looser count bounds nothing.

    Tiles inside dilation classes are more than those of the dense problem where a class ends in a
    ragged tile, and static tiles can be cut so that fewer are visited than pairs suggest where the
    input ends in a ragged tile; the tighter bound before then stands.
    """
    kept: list[Rung] = []
    for rung in rungs:
        if kept and rung.speedup > kept[-1].speedup:
            rung = replace(rung, speedup=kept[-1].speedup, limit=kept[-1].limit)
        kept.append(rung)
    return tuple(kept)
