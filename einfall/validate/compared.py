"""Predicted against measured: every row of a timings file, and the error by kernel.

`compare(path)` reads a CSV of timings or of energies, predicts each row with the calibrated model
and gives them all back; a row that the model cannot take says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einfall.hw_models import load as load_machine
from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.calibrated import calibration
from einfall.sim.gpu.predict import Prediction, predict
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, find
from einfall.validate.timings import Row, read


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows as the JSON of `einfall validate` has them, and their summary by kernel."""

    rows: tuple[Mapping[str, Any], ...]
    summary: Mapping[str, Mapping[str, float]]

    @property
    def unpredicted(self) -> tuple[Mapping[str, Any], ...]:
        """Rows without a prediction, each with its reason in `why`."""
        return tuple(row for row in self.rows if row["why"])


def compare(path: Path, *, on: str | None = None) -> Comparison:
    """Predict every row of a CSV of timings or energies.

    Args:
        path: Columns of our recordings, of the published table, or of energies.
        on: The machine, where it is another than the `gpu` column says.

    Raises:
        TimingsError: The file cannot be read; all its mistakes.
    """
    rows = [record(row, on) for row in read(path)]
    return Comparison(tuple(rows), summarised(rows))


def record(row: Row, on: str | None = None) -> dict[str, Any]:
    """The fields of a row with what is predicted, or with `why` it is not."""
    found, why = prediction(row, on)
    if row.measured_mj is not None or "mj_per_launch" in row.fields:
        return dict(row.fields) | _energy(row, found) | {"why": why}
    predicted = None if found is None else float(found.latency_s) * 1e3
    return dict(row.fields) | {
        "machine": on or row.machine,
        "predicted_ms": predicted,
        "measured_ms": row.measured_ms,
        "error": _error(predicted, row.measured_ms),
        "bound": None if found is None else found.bound,
        "explanation": "" if found is None else found.why,
        "why": why or ("" if row.measured_ms else "no finite time was measured"),
    }


def prediction(row: Row, on: str | None = None) -> tuple[Prediction | None, str]:
    """What the model says of a row, or nothing and the reason."""
    if row.why:
        return None, row.why
    try:
        kernel, gpu, fit = asked(row, on)
        return (
            predict(
                kernel,
                gpu,
                row.problem,
                row.regime,
                fit=fit,
                locked_hz=row.locked_hz,
            ),
            "",
        )
    except (ValueError, KeyError) as error:  # no such machine, kernel, tile or dtype
        return None, str(error).splitlines()[0]


def asked(row: Row, on: str | None = None) -> tuple[KernelSchedule, Gpu, Parameters]:
    """The schedule that a row timed, its machine and the parameters that serve it.

    Raises:
        ValueError: The machine is no GPU, or has no such kernel.
    """
    gpu: Any = load_machine(on or row.machine)
    if not isinstance(gpu, Gpu):
        raise ValueError(f"wanted a GPU, found {gpu.name}")
    kernel = find(row.kernel, row.direction, gpu, row.problem)
    fit = calibration(kernel, gpu.name, row.harness).parameters
    if row.replayed:
        fit = fit.model_copy(update={"launch_s": gpu.launch.gap_s, "host_s": 0.0})
    return kernel, gpu, fit


def _energy(row: Row, found: Prediction | None) -> dict[str, Any]:
    predicted = None if found is None else float(found.energy_j) * 1e3
    clock = None if found is None else float(found.clock_hz) / 1e6
    return {
        "machine": row.machine,
        "predicted_ms": None if found is None else float(found.latency_s) * 1e3,
        "measured_ms": row.measured_ms,
        "predicted_mj": predicted,
        "measured_mj": row.measured_mj,
        "error": _error(predicted, row.measured_mj),
        "predicted_sm_mhz": clock,
        "measured_sm_mhz": row.measured_mhz,
        "clock_error": _error(clock, row.measured_mhz),
        "bound": None if found is None else found.bound,
    }


def _error(predicted: float | None, measured: float | None) -> float | None:
    return None if predicted is None or measured is None else predicted / measured - 1


def summarised(
    rows: Iterable[Mapping[str, Any]], key: Sequence[str] = ("kernel",)
) -> dict[str, dict[str, float]]:
    """Errors by kernel, or by other fields: n, mean, 90th percentile and worst of |error|.

    >>> summarised([{"kernel": "k", "error": 0.1}, {"kernel": "k", "error": -0.3}])["k"]["mape"]
    0.2
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get("error") is not None:
            name = ", ".join(str(row[k]) for k in key)
            found.setdefault(name, []).append(abs(row["error"]))
    return {name: _statistics(off) for name, off in sorted(found.items())}


def _statistics(off: list[float]) -> dict[str, float]:
    """Count, mean, 90th percentile (the value that nine in ten do not pass) and worst."""
    ordered = sorted(off)
    ninth = ordered[min(len(ordered) - 1, -(-9 * len(ordered) // 10) - 1)]
    mean = sum(ordered) / len(ordered)
    return {"n": len(ordered), "mape": mean, "p90": ninth, "worst": ordered[-1]}
