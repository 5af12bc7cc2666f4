"""The averages that the paper prints, recomputed: means of ratios over models and lengths."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, geometric_mean

from einfall.scenarios.fusemax import Answers, Claim, FuseMax


@dataclass(frozen=True, slots=True)
class Headline:
    """A claim and what it comes to: arithmetic and geometric mean of the same ratios."""

    claim: Claim
    arithmetic: float
    geometric: float
    ratios: int

    @property
    def name(self) -> str:
        """What it says: `attention speedup over flat`, `… at 1M`."""
        c = self.claim
        return f"{c.text} {'over' if c.metric == 'latency' else 'of'} {c.against}" + (
            f" at {c.only}" if c.only else ""
        )


def ratios(scenario: FuseMax, answers: Answers, claim: Claim) -> list[float]:
    """The ratios of a claim, by model and length.

    latency: latency of the reference / latency of the design; energy: energy of the design / energy
    of the reference.
    """
    design, found = scenario.design.name, []
    for model in scenario.models:
        for length in scenario.lengths if claim.only is None else (claim.only,):
            ours = answers.value(claim.kernel, design, model, length, claim.metric)
            other = answers.value(claim.kernel, claim.against, model, length, claim.metric)
            found.append(other / ours if claim.metric == "latency" else ours / other)
    return found


def headlines(scenario: FuseMax, answers: Answers) -> list[Headline]:
    """Every claim of the scenario that its lengths allow, recomputed from the answers."""
    found = []
    for claim in scenario.claims:
        if claim.only is None or claim.only in scenario.lengths:
            each = ratios(scenario, answers, claim)
            found.append(Headline(claim, fmean(each), geometric_mean(each), len(each)))
    return found


def shown(metric: str, value: float, digits: int | None = None) -> str:
    """A ratio as a reader expects it: times for a speedup, per cent for a part of energy.

    >>> shown("latency", 6.7), shown("latency", 6.7228, 2), shown("energy", 0.7875, 1)
    ('6.7×', '6.72×', '78.8 %')
    """
    number, mark = (value, "×") if metric == "latency" else (100 * value, " %")
    return (f"{number:g}" if digits is None else f"{number:.{digits}f}") + mark
