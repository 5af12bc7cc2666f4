"""What a search answers: the best mapping, what was proved, and the Pareto set if asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from einfall.sim.mapping import Mapping as CascadeMapping

OBJECTIVES: Mapping[str, Any] = {
    "latency": lambda time_s, energy_j: time_s,
    "energy": lambda time_s, energy_j: energy_j,
    "edp": lambda time_s, energy_j: time_s * energy_j,
}
"""What is made small, of time [s] and energy [J]; numbers or arrays."""


@dataclass(frozen=True, slots=True)
class Found:
    """A mapping with its time [s], energy [J] and the bytes of the buffer that it needs."""

    mapping: CascadeMapping
    latency_s: float
    energy_j: float
    buffer_bytes: float
    origin: str

    def record(self) -> dict[str, Any]:
        """For JSON; the mapping by where it comes from."""
        return {
            "origin": self.origin,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "edp_js": self.latency_s * self.energy_j,
            "buffer_bytes": self.buffer_bytes,
            "groups": [list(g.einsums) for g in self.mapping.groups],
        }


@dataclass
class Proof:
    """Where every candidate of the space went; the four parts add up to `candidates`.

    mappings: how many mappings the candidates make. bounded: ruled out by a lower bound. illegal:
    refused by the rules for mappings. too_large: more than buffer or registers hold. evaluated:
    costed by the closed form. lowered: how often a candidate was lowered, for many tiles at once.
    unexplored: left when the time was up. stopped: whether it was up while pieces of mappings that
    are all evaluated were put together.
    """

    candidates: int = 0
    mappings: int = 0
    evaluated: int = 0
    bounded: int = 0
    illegal: int = 0
    too_large: int = 0
    unexplored: int = 0
    lowered: int = 0
    stopped: bool = False

    def record(self) -> dict[str, int]:
        """For JSON."""
        return {
            "mappings": self.mappings,
            "candidates": self.candidates,
            "evaluated": self.evaluated,
            "pruned_by_bound": self.bounded,
            "pruned_by_legality": self.illegal,
            "pruned_by_capacity": self.too_large,
            "unexplored": self.unexplored,
            "lowered": self.lowered,
        }


@dataclass(frozen=True)
class SearchResult:
    """The best mapping, the proof or the gap, and the mappings that ship beside it.

    `lower_bound` is of the objective: no mapping of the space is better. `pareto` is None unless it
    was asked for: every mapping of the space has one in it that is at most the part `tolerance`
    worse in time, in energy and in buffer.
    """

    objective: str
    best: Found
    proof: Proof
    lower_bound: float
    seconds: float
    shipped: tuple[Found, ...]
    pareto: tuple[Found, ...] | None = field(default=None)
    tolerance: float = 0.0

    @property
    def value(self) -> float:
        """The objective of the best mapping."""
        return float(OBJECTIVES[self.objective](self.best.latency_s, self.best.energy_j))

    @property
    def optimal(self) -> bool:
        """Whether nothing was left unexplored."""
        return self.proof.unexplored == 0 and not self.proof.stopped

    @property
    def gap(self) -> float:
        """Part by which the best could still be beaten; 0 with a proof."""
        return 1 - self.lower_bound / self.value
