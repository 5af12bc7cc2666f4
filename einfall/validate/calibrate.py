"""Calibration: few physical parameters of a kernel schedule from timings, by least squares.

Each timing is lowered once to blocks of steps; a fit then moves the parameters, not the schedule:

    minimise Σ ρ( (ln predicted - ln measured) / σ )  +  Σ ((p - p₀) / s)²

σ is 3 % and the reading error of short times; ρ is robust; the second sum holds parameters that the
timings do not tell near what the schedule assumes. Errors are given for the rows fitted and for
rows left out: by shape, by head width, by mask. Needs scipy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from einfall.files import csv_text, write_texts
from einfall.hw_models import load as load_machine
from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import lowered
from einfall.sim.gpu.calibrated import COLUMNS, SIBLINGS, TABLE, calibration, forget
from einfall.sim.gpu.power import BURST_S, clock_hz
from einfall.sim.gpu.predict import LOWER, predict
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, find
from einfall.sim.gpu.schedule import load as load_kernel
from einfall.validate.timings import Row, read

NOISE = 0.03  # assumption: spread of medians of one kernel in one harness
INSIDE = 0.25  # spreads between a bound and where the search begins: at a bound it would not move
READING_S = 0.7e-6  # assumption: event timers and graph gaps


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a parameter may lie, and how far from the assumed value it is expected [its unit]."""

    low: float
    high: float
    spread: float
    unit: str


BOUNDS: Mapping[str, Bound] = {
    "tensor_share": Bound(0.05, 1.0, 0.15, "of the pipe's rate"),
    "fp8_share": Bound(0.2, 1.0, 0.2, "of the pipe's rate"),
    "softmax_factor": Bound(0.4, 3.0, 0.2, "of the counted slots"),
    "overlap": Bound(0.0, 1.0, 0.25, "of the shorter side"),
    "step_cycles": Bound(0.0, 12000.0, 300.0, "cycles"),
    "block_cycles": Bound(0.0, 40000.0, 3000.0, "cycles"),
    "mask_ops": Bound(0.0, 80.0, 10.0, "operations an element"),
    "load_share": Bound(0.1, 1.5, 0.4, "of the rate from L2"),
    "fetch_cycles": Bound(0.0, 400.0, 20.0, "cycles a KiB"),
    "miss_share": Bound(0.0, 2.0, 0.2, "of an SM's part of HBM's time"),
    "exposed": Bound(0.0, 1.0, 0.2, "of the shorter of SM and memory time"),
    "list_cycles": Bound(0.0, 2000.0, 150.0, "cycles"),
    "decay_cycles": Bound(0.0, 2000.0, 150.0, "cycles a chunk"),
    "launch_s": Bound(2e-6, 60e-6, 5e-6, "s"),
    "host_s": Bound(0.0, 2e-3, 300e-6, "s"),
    "memory_share": Bound(0.3, 1.1, 0.15, "of the reachable rate"),
    "side_passes": Bound(0.0, 4.0, 1.0, "passes"),
    "cast_s": Bound(0.0, 30e-6, 4e-6, "s"),
    "combine_s": Bound(0.0, 30e-6, 3e-6, "s"),
}
FREE = {
    "fused": ("tensor_share", "softmax_factor", "overlap", "step_cycles", "block_cycles",
              "launch_s"),
    "unfused": ("tensor_share", "memory_share", "softmax_factor", "launch_s"),
    "stream": ("memory_share", "softmax_factor", "launch_s"),
    "matmul": ("tensor_share", "fp8_share", "block_cycles", "launch_s"),
    "three_pass": ("tensor_share", "load_share", "softmax_factor", "step_cycles", "block_cycles",
                   "exposed", "launch_s"),
    "chunked": ("overlap", "exposed", "step_cycles", "fetch_cycles", "decay_cycles", "launch_s"),
    "launch": ("launch_s",),
    "decode": ("step_cycles", "block_cycles", "launch_s", "memory_share", "load_share",
               "fetch_cycles", "miss_share", "exposed", "softmax_factor", "combine_s"),
}  # fmt: skip


EAGER = ("pytorch", "eager")
"""Harnesses that call kernels from Python one by one: the host may take longer than the GPU."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Timings of one kernel on one machine, lowered together."""

    kernel: KernelSchedule
    gpu: Gpu
    rows: tuple[Row, ...]
    launch: lowered.Lowered | None
    measured_s: np.ndarray
    dtypes: tuple[str, ...]

    def part(self, which: np.ndarray) -> Sample:
        """The rows that a mask chooses."""
        chosen = tuple(r for r, w in zip(self.rows, which, strict=True) if w)
        types = tuple(d for d, w in zip(self.dtypes, which, strict=True) if w)
        launch = self.launch if self.launch is None else lowered.taken(self.launch, which)
        return Sample(self.kernel, self.gpu, chosen, launch, self.measured_s[which], types)


def sample(kernel: KernelSchedule, gpu: Gpu, rows: Sequence[Row]) -> Sample:
    """Lower timings of a kernel."""
    launch = None
    if kernel.does in LOWER:
        lower = LOWER[kernel.does]
        launch = lowered.stacked([lower(kernel, gpu, r.problem, kernel.parameters) for r in rows])
    measured = np.array([(row.measured_ms or np.nan) * 1e-3 for row in rows])
    types = tuple(row.problem.dtype for row in rows)
    return Sample(kernel, gpu, tuple(rows), launch, measured, types)


def predicted_s(sampled: Sample, fit: Parameters, burst_s: float = BURST_S) -> np.ndarray:
    """Times of all rows for one set of parameters [s]."""
    if sampled.launch is None:
        return np.array([_one_by_one(sampled, row, fit, burst_s) for row in sampled.rows])
    times = np.empty(len(sampled.rows))
    keys = [(r.problem.dtype, r.regime, r.locked_hz) for r in sampled.rows]
    for key in dict.fromkeys(keys):
        which = np.array([k == key for k in keys])
        dtype, regime, locked = key
        work = lowered.work(lowered.taken(sampled.launch, which), sampled.gpu, fit, dtype)
        clock = locked or clock_hz(work, sampled.gpu, regime, burst_s)
        times[which] = work.time_s(clock)
    return times


def _one_by_one(sampled: Sample, row: Row, fit: Parameters, burst_s: float) -> float:
    found = predict(sampled.kernel, sampled.gpu, row.problem, row.regime, fit=fit, burst_s=burst_s)
    return float(found.latency_s)


def with_values(fit: Parameters, names: Sequence[str], values: Iterable[float]) -> Parameters:
    """Parameters with some replaced."""
    return fit.model_copy(update=dict(zip(names, map(float, values), strict=True)))


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted parameters with half-widths of their 95 % intervals."""

    parameters: Parameters
    free: tuple[str, ...]
    half_width: Mapping[str, float]


def free_of(sampled: Sample) -> tuple[str, ...]:
    """The parameters that the rows can tell anything of."""
    free = list(FREE[sampled.kernel.does])
    if sampled.kernel.does == "chunked" and sampled.kernel.parameters.host_s > 0:
        free[-1] = "host_s"
    if "decay_cycles" in free and not any(r.problem.decays for r in sampled.rows):
        free.remove("decay_cycles")
    if sampled.kernel.does == "decode" and len({r.problem.kv_dtype for r in sampled.rows}) > 1:
        free.append("cast_s")
    if sampled.kernel.does == "fused":
        dtypes = set(sampled.dtypes)
        if "fp8" in dtypes:
            free.append("fp8_share")
        if any(r.problem.causal or r.problem.partial for r in sampled.rows):
            free += ["mask_ops", "list_cycles"]
        if any(r.harness != "bare" for r in sampled.rows):
            free.append("side_passes")
        if any(r.harness.startswith(EAGER) for r in sampled.rows):
            free.append("host_s")
    return tuple(free)


def fit(sampled: Sample, free: Sequence[str] | None = None) -> Fit:
    """Least squares over the free parameters.

    Needs scipy (`pip install einfall[calibrate]`).
    """
    from scipy.optimize import least_squares

    names = tuple(free or free_of(sampled))
    start = sampled.kernel.parameters
    bounds = [BOUNDS[name] for name in names]
    prior = np.array([getattr(start, name) for name in names])
    spread = np.array([b.spread for b in bounds])
    sigma = np.hypot(NOISE, READING_S / sampled.measured_s)

    def residuals(x: np.ndarray) -> np.ndarray:
        times = predicted_s(sampled, with_values(start, names, x * spread))
        off = np.log(times / sampled.measured_s) / sigma
        robust = np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1))
        return np.append(robust, x - prior / spread)

    low, high = (np.array([getattr(b, end) for b in bounds]) / spread for end in ("low", "high"))
    begin = np.clip(prior / spread, low + INSIDE, high - INSIDE)
    solved = least_squares(residuals, begin, bounds=(low, high), xtol=1e-6, ftol=1e-6)
    curvature = np.linalg.pinv(solved.jac.T @ solved.jac)
    widths = 1.96 * np.sqrt(np.diag(curvature)) * spread
    return Fit(
        with_values(start, names, solved.x * spread),
        names,
        dict(zip(names, map(float, widths), strict=True)),
    )


def errors(sampled: Sample, parameters: Parameters) -> np.ndarray:
    """Predicted over measured, less one."""
    return predicted_s(sampled, parameters) / sampled.measured_s - 1


def left_out(sampled: Sample, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Errors of each row with a fit that has not seen its part."""
    off = np.full(len(sampled.rows), np.nan)
    for part in parts:
        if part.any() and (~part).sum() >= 3:
            found = fit(sampled.part(~part), free_of(sampled))
            off[part] = errors(sampled.part(part), found.parameters)
    return off


def by(sampled: Sample, key: Callable[[Row], Any]) -> list[np.ndarray]:
    """Masks of the rows that agree in a key."""
    keys = [key(row) for row in sampled.rows]
    return [np.array([k == value for k in keys]) for value in dict.fromkeys(keys)]


def folds(sampled: Sample, count: int = 5) -> list[np.ndarray]:
    """Parts of the distinct shapes, dense and causal of a shape together."""
    shapes = [replace(row.problem, causal=False, head_dim=0, value_dim=0) for row in sampled.rows]
    order = {name: i for i, name in enumerate(dict.fromkeys(map(repr, shapes)))}
    index = np.array([order[repr(shape)] % count for shape in shapes])
    return [index == i for i in range(count)]


def groups(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows that can be predicted, by kernel schedule, machine and harness."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.why or row.measured_ms is None:
            continue
        try:
            gpu: Any = load_machine(row.machine)
            kernel = find(row.kernel, row.direction, gpu, row.problem)
            if kernel.does in LOWER:
                kernel.tile(row.problem, gpu.generation)
            found.setdefault((kernel.kernel, row.machine, row.harness), []).append(row)
        except ValueError:
            continue
    return found


LEAST_ROWS = 3  # fewer tell less than the schedule assumes


def mape(off: np.ndarray, times_s: np.ndarray, above_s: float = 0.0) -> float:
    """Mean of the absolute errors of times above a limit; NaN where there is none."""
    chosen = np.abs(off[(times_s > above_s) & np.isfinite(off)])
    return float(chosen.mean()) if len(chosen) else float("nan")


def _written(error: float) -> str:
    """An error as the tables hold it; empty where there is none.

    >>> _written(0.12345), _written(float("nan"))
    ('0.1235', '')
    """
    return "" if np.isnan(error) else f"{error:.4f}"


def calibrate(
    rows: Iterable[Row], data: str, fitted: Collection[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Fit every kernel, machine and harness that has no sibling to be predicted from.

    Args:
        rows: Timings.
        data: What they are, for the table.
        fitted: Kernels and machines that have a fit already, by which siblings are predicted.

    Returns:
        Lines of `calibration.csv`.
    """
    lines: list[dict[str, Any]] = []
    grouped = groups(rows)
    fitted_on = {(name, machine) for name, machine, _ in grouped} | set(fitted)
    for (name, machine, harness), found in sorted(grouped.items()):
        siblings = {(name, sibling) for sibling in SIBLINGS.get(machine, ())}
        if siblings & fitted_on or len(found) < LEAST_ROWS:
            continue
        gpu: Any = load_machine(machine)
        sampled = sample(load_kernel(name), gpu, found)
        found_fit = fit(sampled)
        off, unseen = errors(sampled, found_fit.parameters), left_out(sampled, folds(sampled))
        shared = {
            "kernel": name,
            "machine": machine,
            "harness": harness,
            "status": "fitted",
            "data": data,
            "rows": len(found),
            "fit_mape": _written(mape(off, sampled.measured_s)),
            "unseen_mape": _written(mape(unseen, sampled.measured_s)),
        }
        for parameter in found_fit.free:
            lines.append(
                shared
                | {
                    "parameter": parameter,
                    "value": f"{getattr(found_fit.parameters, parameter):.4g}",
                    "half_width": f"{found_fit.half_width[parameter]:.2g}",
                    "unit": BOUNDS[parameter].unit,
                }
            )
    return lines


DATA = Path(__file__).parent / "data"
OURS = ("h100_sxm_torch_2026.csv", "h100_recording.csv", "h100_scans.csv")
OTHERS = ("h200_recording.csv", "h200_scans.csv")
PUBLISHED = "published_timings.csv"
SOURCES = (OURS, OTHERS, (PUBLISHED,))


def shipped() -> list[dict[str, Any]]:
    """The lines of `calibration.csv` from the timings that ship.

    Our own come first; H200 is never fitted where H100 is, nor B300 where B200 is.
    """
    own = calibrate((row for name in OURS for row in read(DATA / name)), " and ".join(OURS))
    on = {(line["kernel"], line["machine"]) for line in own}
    done = {(line["kernel"], line["machine"], line["harness"]) for line in own}
    published = calibrate(read(DATA / PUBLISHED), PUBLISHED, on)
    key = ("kernel", "machine", "harness")
    return own + [line for line in published if tuple(line[k] for k in key) not in done]


ERRORS = DATA / "calibration_errors.csv"
ERROR_COLUMNS = ("kernel", "machine", "harness", "left_out", "predicted_on", "rows", "mape_long",
                 "rows_short", "mape_short")  # fmt: skip
LONG_S = 1e-4  # what counts as a long launch
LEAVING: Mapping[str, Callable[[Row], Any]] = {
    "head_dim": lambda row: (row.problem.head_dim, row.problem.value_dim),
    "mask": lambda row: (row.problem.causal, row.problem.window, row.problem.visited is not None),
}


def unseen_errors() -> list[dict[str, Any]]:
    """Errors on rows that no fit has seen: by shapes, head width, mask, and on other machines.

    `left_out` says what the fit lacked: a fifth of the shapes in turn, each head width in turn,
    each kind of mask in turn, or the machine `predicted_on`, which then has its sibling's fit. Long
    are launches of more than 0.1 ms.
    """
    lines: list[dict[str, Any]] = []
    sources = [groups(row for name in names for row in read(DATA / name)) for names in SOURCES]
    for grouped in sources:
        for (name, machine, harness), found in sorted(grouped.items()):
            kernel = load_kernel(name)
            gpu: Any = load_machine(machine)
            served = calibration(kernel, machine, harness)
            sampled = sample(kernel, gpu, found)
            if served.machine != machine:
                off = errors(sampled, served.parameters)
                lines.append(_line(name, served.machine, harness, "machine", machine, off, sampled))
                continue
            parts = {"shapes": folds(sampled)}
            parts |= {what: by(sampled, key) for what, key in LEAVING.items()}
            for what, part in parts.items():
                if len(part) > 1 and len(found) > LEAST_ROWS:
                    off = left_out(sampled, part)
                    lines.append(_line(name, machine, harness, what, machine, off, sampled))
    return [line for line in lines if line["rows"] or line["rows_short"]]


def _line(  # noqa: PLR0913  the columns of the table
    kernel: str, machine: str, harness: str, what: str, on: str, off: np.ndarray, sampled: Sample
) -> dict[str, Any]:
    times = sampled.measured_s
    long, short = (off[which & np.isfinite(off)] for which in (times > LONG_S, times <= LONG_S))
    return {
        "kernel": kernel,
        "machine": machine,
        "harness": harness,
        "left_out": what,
        "predicted_on": on,
        "rows": len(long),
        "mape_long": _written(float(np.abs(long).mean()) if len(long) else float("nan")),
        "rows_short": len(short),
        "mape_short": _written(float(np.abs(short).mean()) if len(short) else float("nan")),
    }


def write() -> None:
    """Fit everything again and replace the tables of parameters and of errors (two minutes)."""
    write_texts({TABLE: csv_text(COLUMNS, shipped())})
    forget()
    write_texts({ERRORS: csv_text(ERROR_COLUMNS, unseen_errors())})
