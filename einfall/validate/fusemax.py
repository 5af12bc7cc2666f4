"""FuseMax's published results against the scenario `fusemax` in the artifact accounting.

Row by row, all must agree to rounding: 1e-9 for traffic, latency and utilization, 1e-6 for energy,
whose published tables hold six decimals of a picojoule. The one wider tolerance has a reason that
is not ours to remove:

    unfused, more than one group of queries (P2 > 1): 0.4 %

The tiles of the unfused products came from a randomised search of Timeloop's mapper, and two
generations of published results differ there. P2 is computed, not listed: with it, K and V are read
more than once, and how often is what the search decided.

Timeloop's integer overflow needs no tolerance. A result of U elements in tiles of S is charged
wrongly where U·S reaches 2^64 (`einfall.scenarios.overflow` has U and S of each tensor), and the
artifact accounting adds the same accesses; the comparison says in which rows, and how much.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from einfall import hw_models
from einfall.einsum_cascades import library as cascades
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.scenarios import library, workloads
from einfall.scenarios.fusemax import Answers, FuseMax, answers
from einfall.scenarios.tables import text_table
from einfall.sim.accounting import ARTIFACT
from einfall.sim.choice import mapping_for
from einfall.sim.layout import Layout
from einfall.sim.numeric import Number
from einfall.sim.tiling import group_context, split_tiles

FILE = Path(__file__).parent / "data" / "fusemax_published.csv"

ROUNDING, ENERGY, SEARCHED = 1e-9, 1e-6, 4e-3
"""Relative tolerances: of exact counts, of energies, and where a random search chose the tiles."""

Key = tuple[str, str, str, str, str]
"""kernel, config, model, seq_len, metric"""


@dataclass(frozen=True, slots=True)
class Compared:
    """One published number beside ours, in the unit of its metric.

    `error` is ours / published - 1. `overflow` is the part of the energy that wrapped integers add
    in both.
    """

    key: Key
    published: float
    ours: float
    tolerance: float
    why: str = ""
    overflow: float = 0.0

    @property
    def error(self) -> float:
        """Relative error: ours / published - 1."""
        return self.ours / self.published - 1

    @property
    def verdict(self) -> Literal["same", "off"]:
        """Whether the error is within the tolerance; a number that is not finite never is."""
        return "same" if abs(self.error) <= self.tolerance else "off"

    def record(self) -> dict[str, Any]:
        """The row as the command line's JSON has it."""
        names = ("kernel", "config", "model", "seq_len", "metric")
        return {
            **dict(zip(names, self.key, strict=True)),
            "published": self.published,
            "predicted": self.ours,
            "error": self.error,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "overflow": self.overflow,
            "why": self.why,
        }


@dataclass(frozen=True)
class Comparison:
    """All published rows beside ours, and published rows that we have no answer for."""

    rows: tuple[Compared, ...]
    unanswered: tuple[Key, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are rows, each has an answer, and each is within its tolerance."""
        return bool(self.rows) and not self.unanswered and not self.off

    @property
    def off(self) -> tuple[Compared, ...]:
        """Rows outside their tolerance, the worst first."""
        found = (row for row in self.rows if row.verdict == "off")
        return tuple(sorted(found, key=lambda row: -abs(row.error)))

    def summary(self) -> list[dict[str, Any]]:
        """Rows, worst error and tolerance by kernel, configuration and metric.

        The shares of single Einsums count as the metric `util_2d`; rows with a tolerance of their
        own stand apart.
        """
        groups: dict[tuple[str, ...], list[Compared]] = {}
        for row in self.rows:
            kernel, config, _, _, metric = row.key
            name = "util_2d" if metric.startswith("util_2d") else metric
            groups.setdefault((kernel, config, name, row.why), []).append(row)
        return [
            {
                "kernel": kernel,
                "config": config,
                "metric": metric,
                "n": len(rows),
                "worst": max(abs(row.error) for row in rows),
                "tolerance": rows[0].tolerance,
                "off": sum(row.verdict == "off" for row in rows),
                "why": why,
            }
            for (kernel, config, metric, why), rows in groups.items()
        ]

    def text(self) -> str:
        """The summary as a table, then each row that is off or has no answer."""
        head = ["kernel, configuration, metric", "rows", "worst error", "tolerance", "off"]
        lines = [
            [
                " ".join((s["kernel"], s["config"], s["metric"])) + (" *" if s["why"] else ""),
                str(s["n"]),
                f"{s['worst']:.1e}",
                f"{s['tolerance']:.0e}",
                str(s["off"] or "-"),
            ]
            for s in self.summary()
        ]
        reasons = dict.fromkeys(row.why for row in self.rows if row.why)
        parts = [text_table(head, lines), *(f"* {why}" for why in reasons)]
        parts += [
            f"off: {' '.join(row.key)}: published {row.published!r}, ours {row.ours!r}, "
            f"error {row.error:.2e}, tolerance {row.tolerance:.0e}"
            for row in self.off
        ]
        parts += [f"no answer: {' '.join(key)}" for key in self.unanswered]
        same = sum(row.verdict == "same" for row in self.rows)
        total = len(self.rows) + len(self.unanswered)
        lifted = sum(row.overflow > 0 for row in self.rows)
        parts.append(
            f"{same} of {total} published rows are the same; {lifted} energies hold the artifact's "
            f"integer overflow"
        )
        return "\n".join(parts)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line."""
        return {
            "rows": [row.record() for row in self.rows],
            "summary": self.summary(),
            "unanswered": [list(key) for key in self.unanswered],
            "ok": self.ok,
        }


@cache
def published() -> Mapping[Key, float]:
    """The published numbers by kernel, config, model, seq_len and metric.

    >>> published()["attention", "flat", "BERT", "1K", "traffic"]
    1308622848.0
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {
        (r["kernel"], r["config"], r["model"], r["seq_len"], r["metric"]): float(r["value"])
        for r in rows
    }


def compare(found: Answers | None = None, *, scenario: FuseMax | None = None) -> Comparison:
    """Every published row against an answer.

    Args:
        found: Answers in the artifact accounting; computed if left out.
        scenario: What they answer; the scenario that ships if left out.

    Returns:
        The comparison; it leaves no published row out.
    """
    scenario = scenario or library.as_fusemax(library.load("fusemax"))
    found = found or answers(scenario, ARTIFACT)
    ours = {row.key: row.value for row in found.rows if row.pe_dim is None}
    searched = frozenset(_searched(scenario, {key[1:4] for key in published()}))
    rows = [
        _compared(key, value, ours[key], searched, found)
        for key, value in published().items()
        if key in ours
    ]
    return Comparison(tuple(rows), tuple(key for key in published() if key not in ours))


def _compared(
    key: Key,
    value: float,
    ours: float,
    searched: Iterable[tuple[str, ...]],
    found: Answers,
) -> Compared:
    kernel, config, model, length, metric = key
    overflow = 0.0
    if metric == "energy" and (config, model, length) in found.attention:
        point = found.attention[config, model, length]
        overflow = point.overflow_j * 1e12 / ours
    if kernel != "linear_layers" and (config, model, length) in searched:
        return Compared(key, value, ours, SEARCHED, _BY_SEARCH, overflow)
    return Compared(key, value, ours, ENERGY if metric == "energy" else ROUNDING, "", overflow)


_BY_SEARCH = (
    "its tiles were chosen by a randomised search, where more than one group of queries fits"
)


def _searched(
    scenario: FuseMax, places: Iterable[tuple[str, ...]]
) -> Iterator[tuple[str, str, str]]:
    """Places whose tiles a random search chose: unfused, with more than one group of queries."""
    for name, model, length in places:
        config = next((c for c in scenario.attention if c.name == name), None)
        if config is not None and config.mapping == "unfused":
            loads = workloads.load()
            shape = loads.model(model).attention(loads.batch, workloads.length_of(length))
            if _query_groups(config.cascade, config.machine, shape) > 1:
                yield name, model, length


def _query_groups(cascade: str, machine: str, shape: Mapping[str, int]) -> Number:
    """P2: into how many groups the buffer cuts the queries of the unfused scores."""
    what, chip = cascades.load(cascade), hw_models.as_array(hw_models.load(machine))
    mapping = mapping_for(what, shape, chip, name="unfused", accounting=ARTIFACT)
    layout = Layout(what, rank_sizes(what, shape, split_tiles(what, chip, mapping)))
    context = group_context(layout, chip, mapping, mapping.groups[0], ARTIFACT)
    return context.nest.trips("P", ("p2",))
