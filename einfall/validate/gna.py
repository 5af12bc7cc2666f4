"""Generalized neighbourhood attention as published: end-to-end bounds replayed, kernels measured.

The authors' bounds come from a simulator that was never released; its recipe is Amdahl's law on the
operation count, and on the worst query tile with static key tiles. Before Amdahl's law they round
a bound to two decimals and then to one, which `as_printed` repeats; the unrounded bound stands
beside it. Kernel times are those of NATTEN on B200 and H100, and beside them what the schedules of
its kernels and of cuDNN's predict.

Source:
    Hassani et al., Generalized Neighborhood Attention, 2025, arXiv:2504.16922; documentation of
    NATTEN (SHI-Labs) 0.20 and 0.21. The files in `data/` say which row is from where.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from einfall.einsum_cascades.masks import Tiling, neighborhood
from einfall.einsum_cascades.masks.problem import read_sizes
from einfall.hw_models import load as load_machine
from einfall.hw_models.gpu import Gpu
from einfall.scenarios.tables import text_table
from einfall.sim.bounds import Bounds, as_printed, end_to_end, share_of_sparse
from einfall.sim.gpu.calibrated import calibration
from einfall.sim.gpu.power import BURST_S, Work
from einfall.sim.gpu.predict import Prediction, predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import find
from einfall.sim.ladder import Ladder, Rung, counted_ladder, with_measured
from einfall.validate.masks import neighborhood_fields
from einfall.validate.timings import machine_of

DATA = Path(__file__).parent / "data"
END_TO_END, MEASURED = DATA / "gna_end_to_end.csv", DATA / "gna_measured.csv"

TOLERANCE = 0.01
"""Between a published bound, printed with two decimals, and ours."""

NEAR = 0.1
"""Error of a kernel time that counts as near."""

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


# Kernels as the model predicts them ---------------------------------------------------------------

LAUNCHES = 11  # published: NATTEN repository, profiler.py: 10 warm-up steps, then one is timed
PROFILED_S = 2.6e-6  # published: aiconfigurator, smallest kernels by CUPTI, which counts no launch
HEADS: Mapping[str, int] = {"sequence_32k": 1, "flux_4k": 24, "hunyuan_video": 24}
HEAD_DIM = 128  # published: NATTEN profiler, of all cases
FNA: Mapping[str, str] = {"B200": "blackwell-fna", "H100": "hopper-fna"}


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One published kernel time beside the predicted one; `pattern` is dense, NA or GNA."""

    case: str
    gpu: str
    pattern: str
    stride: str
    measured_ms: float
    predicted: Prediction

    @property
    def predicted_ms(self) -> float:
        """Predicted kernel time [ms]."""
        return float(self.predicted.latency_s) * 1e3

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_ms / self.measured_ms - 1

    def cells(self) -> list[str]:
        """The row as the command line's table has it."""
        return [
            self.case,
            self.gpu,
            self.pattern,
            self.stride,
            f"{self.measured_ms:.4g}",
            f"{self.predicted_ms:.4g}",
            f"{100 * self.error:+.1f} %",
            f"{float(self.predicted.clock_hz) / 1e6:.0f} MHz",
        ]

    def record(self) -> dict[str, Any]:
        """The row as the command line's JSON has it."""
        return {
            "case": self.case,
            "gpu": self.gpu,
            "pattern": self.pattern,
            "stride": self.stride,
            "measured_ms": self.measured_ms,
            "predicted_ms": self.predicted_ms,
            "error": self.error,
            "bound": self.predicted.bound,
            "sm_mhz": float(self.predicted.clock_hz) / 1e6,
            "explanation": self.predicted.why,
        }


@cache
def kernel_times() -> tuple[KernelTime, ...]:
    """Every published kernel time with its prediction, case by case, dense attention first."""
    timed = [m for m in measured("gna") if m.has_times]
    first = {(m.case, m.gpu): m for m in reversed(timed)}
    return tuple(
        time
        for key, of_dense in sorted(first.items(), key=lambda item: list(HEADS).index(item[0][0]))
        for time in (_dense_time(of_dense), *(_time(m) for m in timed if (m.case, m.gpu) == key))
    )


def _dense_time(m: Measured) -> KernelTime:
    """Dense attention of a case by cuDNN."""
    predicted = _predicted("cudnn", m.gpu, _problem(m), _copies(m, permute_s=0.0))
    return KernelTime(m.case, m.gpu, "dense", "", float(m.fields["dense_ms"]), predicted)


def _time(m: Measured) -> KernelTime:
    """Neighbourhood attention of a case by NATTEN, in the tiles that the source names."""
    fields = {name: m.fields[name] for name in ("window", "stride")}
    config = {"q": m.fields["q_tile"], "k": m.fields["kv_tile"]}
    (mask,) = neighborhood_fields({"shape": m.fields["input"]} | fields, config, flattened=False)
    between = _copies(m, permute_s=float(m.fields["permute_ms"]) * 1e-3)
    predicted = _predicted(FNA[m.gpu], m.gpu, replace(_problem(m), **mask), between)
    return KernelTime(m.case, m.gpu, m.pattern, m.stride, float(m.fields["kernel_ms"]), predicted)


def _problem(m: Measured) -> Problem:
    """The dense problem of a case."""
    tokens, heads = prod(read_sizes(m.fields["input"])), HEADS[m.case]
    return Problem(
        heads=heads,
        kv_heads=heads,
        queries=tokens,
        keys=tokens,
        head_dim=HEAD_DIM,
        value_dim=HEAD_DIM,
        dtype="fp16",
        kv_dtype="fp16",
    )


def _copies(m: Measured, *, permute_s: float) -> Work:
    """What the profiler runs between two launches: Q, K, V and O copied, and permuted for boxes.

    The copies run at HBM's rate, the permutation as long as it was measured to; both read and write
    every byte once. The clock is that of the mean power, which is low meanwhile.

    Source: NATTEN repository, profiling_utils/profiling.py.
    """
    gpu = _machine(m.gpu)
    problem = _problem(m)
    copied = 2.0 * (problem.kv_bytes + problem.qo_bytes)
    moved = copied * (2 if permute_s else 1)
    memory_s = copied / gpu.hbm.achievable_bytes_per_s
    return Work({"hbm": moved, "l2": moved}, 0.0, memory_s, permute_s)


def _predicted(kernel: str, gpu_name: str, problem: Problem, between: Work) -> Prediction:
    """A kernel as NATTEN's profiler times it: the last of `LAUNCHES`, without its launch."""
    gpu = _machine(gpu_name)
    schedule = find(kernel, "fwd", gpu, problem)
    fit = calibration(schedule, gpu.name).parameters.model_copy(update={"launch_s": PROFILED_S})
    return predict(schedule, gpu, problem, fit=fit, burst_s=BURST_S / LAUNCHES, between=between)


def _machine(name: str) -> Gpu:
    found = load_machine(machine_of(name))
    assert isinstance(found, Gpu)
    return found


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
    """Every published bound beside ours, and every kernel time beside what is predicted."""

    rows: tuple[Replayed, ...]
    kernels: tuple[KernelTime, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every bound agrees."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line."""
        return {
            "rows": [row.record() for row in self.rows],
            "kernels": [time.record() for time in self.kernels],
            "ok": self.ok,
        }

    def text(self) -> str:
        """A line for each published bound, and for each kernel time: published and ours."""
        return f"{self._bounds()}\n\n{self._kernels()}" if self.kernels else self._bounds()

    def _kernels(self) -> str:
        head = ["case", "GPU", "pattern", "stride", "measured ms", "predicted", "error", "clock"]
        cells = [time.cells() for time in self.kernels]
        near = sum(abs(t.error) <= NEAR for t in self.kernels)
        total = f"{near} of {len(self.kernels)} kernel times are predicted within {NEAR:.0%}"
        return f"{text_table(head, cells)}\n{total}"

    def _bounds(self) -> str:
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
    """The paper's end-to-end bounds against ours, in its own rounding, and the kernel times."""
    bounds = tuple(found for row in _rows(END_TO_END) for found in _replayed(row))
    return Comparison(bounds, kernel_times())


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
