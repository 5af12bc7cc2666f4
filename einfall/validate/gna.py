"""Generalized neighbourhood attention as published: end-to-end bounds replayed, kernels measured.

The authors' bounds come from a simulator that was never released; its recipe is Amdahl's law on the
operation count, and on the worst query tile with static key tiles. Before Amdahl's law they round
a bound to two decimals and then to one, which `as_printed` repeats; the unrounded bound stands
beside it. Kernel times are those of NATTEN on B200 and H100.

Source:
    Hassani et al., Generalized Neighborhood Attention, 2025, arXiv:2504.16922; documentation of
    NATTEN (SHI-Labs) 0.20 and 0.21. The files in `data/` say which row is from where.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from einfall.einsum_cascades.masks import Tiling, neighborhood
from einfall.einsum_cascades.masks.problem import read_sizes
from einfall.scenarios.tables import text_table
from einfall.sim.bounds import Bounds, as_printed, end_to_end, share_of_sparse
from einfall.sim.ladder import Ladder, Rung, counted_ladder, with_measured

DATA = Path(__file__).parent / "data"
END_TO_END, MEASURED = DATA / "gna_end_to_end.csv", DATA / "gna_measured.csv"

TOLERANCE = 0.01
"""Between a published bound, printed with two decimals, and ours."""

CASES: Mapping[str, str] = {
    "sequence_32k": "1-D, 32,768 tokens, window 2,048",
    "flux_4k": "FLUX.1-dev, 4K image, 256x256 tokens, window 80x80",
    "hunyuan_video": "HunyuanVideo, 5 s at 720p, 30x48x80 tokens, window 18x24x24",
    "cosmos_7b": "Cosmos-7B, 5 s at 720p, 16x44x80 tokens, window 16x24x16",
    "gna": "Published use cases of generalized neighbourhood attention",
}
"""Published use cases by name, and all of them together."""


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _bounds(row: Mapping[str, str]) -> Bounds:
    names = ("input", "window", "stride", "q_tile", "kv_tile")
    length, window, stride, q, kv = (read_sizes(row[name]) for name in names)
    return Bounds(neighborhood(length, window, stride), Tiling(q, kv))


# Kernels ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """One published kernel measurement beside its bounds.

    Speedups are over dense attention by cuDNN: of the kernel alone, and with the permutation of
    tokens before and after it. Times [s] are there where the source has them.
    """

    case: str
    gpu: str
    bounds: Bounds
    stride: str
    fields: Mapping[str, str]
    speedup_kernel: float
    speedup_total: float

    @property
    def pattern(self) -> str:
        """NA with stride 1 in every dimension, GNA otherwise."""
        return "NA" if set(self.stride) <= {"1", "x"} else "GNA"

    @property
    def ladder(self) -> Ladder:
        """The counted rungs, and the measured ones below."""
        rungs = [Rung("measured, kernel", self.speedup_kernel, "over cuDNN dense", "measured")]
        if self.speedup_total != self.speedup_kernel:
            limit = "tokens permuted by PyTorch copies"
            rungs.append(Rung("measured, with permute", self.speedup_total, limit, "measured"))
        return with_measured(counted_ladder(self.bounds), rungs)

    def record(self) -> dict[str, Any]:
        """The row as the command line's JSON has it."""
        return {
            "case": self.case,
            "gpu": self.gpu,
            "pattern": self.pattern,
            **{name: self.fields[name] for name in ("input", "window", "stride")},
            **{name: self.fields[name] for name in ("q_tile", "kv_tile")},
            "flop_speedup": self.bounds.flop_speedup,
            "tile_speedup_total": self.bounds.total,
            "tile_speedup_worst_q_tile": self.bounds.worst,
            "measured_kernel": self.speedup_kernel,
            "measured_with_permute": self.speedup_total,
            "source": "NATTEN documentation, " + ("profiler" if self.has_times else "bar chart"),
        }

    @property
    def has_times(self) -> bool:
        """Whether the source prints times, and not only a bar's label."""
        return bool(self.fields["dense_ms"])


@cache
def measured(case: str) -> tuple[Measured, ...]:
    """The published measurements of a use case (`gna`: of all), GPU by GPU, by stride.

    >>> [(m.gpu, m.pattern, round(m.speedup_kernel, 2)) for m in measured("flux_4k")]
    [('B200', 'NA', 4.98), ('B200', 'GNA', 10.53), ('H100', 'NA', 6.01), ('H100', 'GNA', 12.31)]
    """
    rows = [_measured(row) for row in _rows(MEASURED) if case in ("gna", row["case"])]
    names = list(CASES)
    return tuple(sorted(rows, key=lambda m: (names.index(m.case), m.gpu, read_sizes(m.stride))))


def _measured(row: dict[str, str]) -> Measured:
    if row["dense_ms"]:
        dense, kernel, permute = (float(row[f"{x}_ms"]) for x in ("dense", "kernel", "permute"))
        speedups = dense / kernel, dense / (kernel + permute)
    else:
        speedups = float(row["speedup_kernel"]), float(row["speedup_total"])
    return Measured(row["case"], row["gpu"], _bounds(row), row["stride"], row, *speedups)


# End to end ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """One published end-to-end bound beside ours; `exact` is ours without the paper's rounding."""

    case: str
    window: str
    stride: str
    dense_steps: str
    bound: str
    published: float
    ours: float
    exact: float

    @property
    def error(self) -> float:
        """Ours minus published."""
        return self.ours - self.published

    @property
    def ok(self) -> bool:
        """Whether they agree as far as the published digits go."""
        return abs(self.error) <= TOLERANCE

    def record(self) -> dict[str, Any]:
        """The row as the command line's JSON has it; `error` is relative, as in all comparisons."""
        return {
            "kernel": f"end to end, {self.bound} bound",
            "case": self.case,
            "window": self.window,
            "stride": self.stride,
            "dense_steps": self.dense_steps,
            "published": self.published,
            "predicted": self.ours,
            "exact": self.exact,
            "error": self.ours / self.published - 1,
            "tolerance": TOLERANCE,
            "verdict": "same" if self.ok else "off",
        }


@dataclass(frozen=True)
class Comparison:
    """Every published bound beside ours."""

    rows: tuple[Replayed, ...]

    @property
    def ok(self) -> bool:
        """Whether every bound agrees."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line."""
        return {"rows": [row.record() for row in self.rows], "ok": self.ok}

    def text(self) -> str:
        """A line for each published row: both bounds, published and ours."""
        head = ["case", "window", "stride", "dense steps", "bound", "published", "ours", "exact"]
        cells = [
            [r.case, r.window, r.stride, r.dense_steps, r.bound]
            + [f"{x:.2f}" for x in (r.published, r.ours)]
            + [f"{r.exact:.4f}" + ("" if r.ok else " off")]
            for r in self.rows
        ]
        same = sum(row.ok for row in self.rows)
        note = "ours rounds a bound before Amdahl's law as the paper does; exact does not"
        total = f"{same} of {len(self.rows)} published bounds agree within {TOLERANCE}; {note}"
        return f"{text_table(head, cells)}\n{total}"


def compare() -> Comparison:
    """The end-to-end bounds of the paper's tables against ours, in the paper's own rounding."""
    return Comparison(tuple(found for row in _rows(END_TO_END) for found in _replayed(row)))


def _replayed(row: Mapping[str, str]) -> list[Replayed]:
    bounds = _bounds(row)
    share = share_of_sparse(float(row["share"]), int(row["dense_steps"]), int(row["steps"]))
    names = (row["case"], row["window"], row["stride"], f"{row['dense_steps']} of {row['steps']}")
    return [
        Replayed(
            *names,
            kind,
            float(row[column]),
            end_to_end(as_printed(speedup), share),
            end_to_end(speedup, share),
        )
        for kind, column, speedup in (
            ("operation", "flop_bound", bounds.flop_speedup),
            ("worst-tile", "simulator_bound", bounds.worst),
        )
    ]
