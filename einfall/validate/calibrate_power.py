"""Calibration of energies from sustained launches: boards of one chip are fitted together.

The kernels' times come from their own fits; what moves here is the energy of an action. Each launch
that is replayed for seconds gives two facts, its energy and the clock that the power cap left it:

    minimise Σ ρ( ln(predicted / measured) / σ )  +  Σ ( ln(value / prior) / s )²

H100 and H200 have the same SMs, whose energies they share; the energy of HBM is each one's own.
The floor and the lowest voltage are held at what `bursts` measured: sustained launches alone cannot
tell a lower voltage from energy that goes with the clock. Needs scipy.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from einfall.files import csv_text, write_texts
from einfall.hw_models import load as load_machine
from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.power import Work, clock_hz, energy_j, sustained_hz
from einfall.sim.gpu.predict import terms
from einfall.sim.gpu.problem import Problem
from einfall.validate.calibrate import DATA
from einfall.validate.compared import asked
from einfall.validate.timings import Row, read

RECORDINGS = ("h100_energy.csv", "h100_sxm_energy_2026.csv", "h200_energy.csv")
BASE = "h100_sxm"  # has what its siblings share
BOTH_WAYS = {  # launches of the one are timed in short benchmarks in the other
    "h100_energy.csv": "h100_recording.csv",
    "h100_sxm_energy_2026.csv": "h100_sxm_torch_2026.csv",
    "h200_energy.csv": "h200_recording.csv",
}
SHORTEST_S = 0.3e-3  # the latency of a launch is then less than 2 % of it
ENERGY_NOISE = 0.03  # assumption: counter, temperature
CAPPED_HZ = 1.9e9  # a clock of Hopper below this one is held down by the cap
CLOCK_NOISE = 0.042  # derived: `clock_spread`, 5.9 % between two readings of one launch, over √2


@dataclass(frozen=True, slots=True)
class Prior:
    """What an energy is expected to be [pJ, pJ/B], and how far from it, as a logarithm."""

    picojoules: float
    spread: float


SHARED: Mapping[str, Prior] = {  # spreads are assumptions: by half, or by a factor of e
    "mma": Prior(0.71, 0.5),  # derived: 700 W over the 989 TFLOP/s of the datasheet
    "exp": Prior(30.0, 1.0),  # assumption: some instructions of FP32
    "fma": Prior(10.0, 0.5),  # assumption: order of magnitude of an instruction with its operands
    "shared": Prior(5.7, 1.0),  # published: RTX 3090 component study, 0.714 pJ/bit
    "l2": Prior(36.0, 0.5),  # published: half of that study's 9.1 pJ/bit, two processes older
}
OWN: Mapping[str, Prior] = {  # of each machine
    "hbm": Prior(75.0, 0.5),  # derived: decode on H200, 13 pJ/bit over the floor (NVML), less L2
}
HELD: Mapping[str, float] = {"floor": 0.1, "v_min": 0.1, "switching": 0.2}
"""What may be freed to see where the launches would have it, and its spread as a logarithm;
`switching` is that of attention."""
ENERGIES = {**SHARED, **OWN}


@dataclass(frozen=True, slots=True)
class Observed:
    """A launch in sustained replay: what it does, its time [s], energy [J] and SM clock [Hz]."""

    machine: str
    recording: str
    kernel: str
    problem: Problem
    attention: bool
    work: Work
    latency_s: float
    energy_j: float
    clock_hz: float


@cache
def observed() -> tuple[Observed, ...]:
    """All launches of the recordings that a schedule can be found for."""
    rows = [(name, row) for name in RECORDINGS for row in read(DATA / name)]
    return tuple(_observed(name, row) for name, row in rows if not row.why and row.measured_mj)


def _observed(recording: str, row: Row) -> Observed:
    """One launch, in the tile that is fastest at boost where several may have run."""
    kernel, gpu, fit = asked(row)
    ways = (replace(row.problem, alternatives=()), *row.problem.alternatives)
    works = [terms(kernel, gpu, way, fit).work for way in ways]
    work = min(works, key=lambda work: float(work.time_s(gpu.clock.boost_hz)))
    return Observed(
        machine=row.machine,
        recording=recording,
        kernel=row.kernel,
        problem=replace(row.problem, tile=None),
        attention=kernel.does in ("fused", "decode"),
        work=work,
        latency_s=(row.measured_ms or 0.0) * 1e-3,
        energy_j=(row.measured_mj or 0.0) * 1e-3,
        clock_hz=(row.measured_mhz or 0.0) * 1e6,
    )


def adjusted(gpu: Gpu, factors: Mapping[str, float]) -> Gpu:
    """The machine with energies, floor and lowest voltage multiplied.

    >>> from einfall.sim.gpu.testing import toy
    >>> adjusted(toy(), {"hbm": 2.0}).energy.hbm_j_per_byte
    2e-10
    """
    f = {name: factors.get(name, 1.0) for name in (*ENERGIES, *HELD)}
    each, power = gpu.energy, gpu.power
    energy = each.model_copy(
        update={
            "mma_j_per_flop": {d: j * f["mma"] for d, j in each.mma_j_per_flop.items()},
            "exp_j": each.exp_j * f["exp"],
            "fma_j": each.fma_j * f["fma"],
            "shared_j_per_byte": each.shared_j_per_byte * f["shared"],
            "l2_j_per_byte": each.l2_j_per_byte * f["l2"],
            "hbm_j_per_byte": each.hbm_j_per_byte * f["hbm"],
        }
    )
    voltage = power.voltage.model_copy(update={"min_v": power.voltage.min_v * f["v_min"]})
    floor = power.active_floor_w * f["floor"]
    power = power.model_copy(update={"active_floor_w": floor, "voltage": voltage})
    return gpu.model_copy(update={"energy": energy, "power": power})


def _stacked(rows: Sequence[Observed], switching: float) -> Work:
    """Launches as one whose numbers are arrays; products of attention switch so much more."""
    names = dict.fromkeys(name for row in rows for name in row.work.actions)
    actions = {}
    for name in names:
        times = [switching if row.attention and name.startswith("mma") else 1.0 for row in rows]
        counts = [float(row.work.actions.get(name, 0.0)) for row in rows]
        actions[name] = np.array(counts) * np.array(times)
    fields = ("cycles", "memory_s", "fixed_s", "exposed")
    columns: Any = [np.array([getattr(row.work, f) for row in rows], float) for f in fields]
    return Work(actions, *columns)


def errors(rows: Sequence[Observed], factors: Mapping[str, float]) -> tuple[Any, Any]:
    """Logarithms of predicted over measured, of energies and of clocks.

    Args:
        rows: Launches, of any machines.
        factors: Of what is shared by its name, of a machine's own by `machine.name`.
    """
    off = np.zeros((2, len(rows)))
    for machine in {row.machine for row in rows}:
        gpu: Any = load_machine(machine)
        own = {n.split(".")[1]: f for n, f in factors.items() if n.startswith(f"{machine}.")}
        gpu = adjusted(gpu, {**factors, **own})
        which = [i for i, row in enumerate(rows) if row.machine == machine]
        chosen = [rows[i] for i in which]
        work = _stacked(chosen, factors.get("switching", 1.0))
        clock: Any = sustained_hz(work, gpu)
        off[0, which] = np.log(
            energy_j(work, gpu, clock) / np.array([row.energy_j for row in chosen])
        )
        off[1, which] = np.log(clock / [row.clock_hz for row in chosen])
    return off[0], off[1]


@dataclass(frozen=True, slots=True)
class Fit:
    """Factors of the YAML's values, and half-widths of their 95 % intervals as shares of them."""

    factors: Mapping[str, float]
    half_width: Mapping[str, float]


def fit(rows: Sequence[Observed], free: Sequence[str] = ()) -> Fit:
    """Least squares over the SM's energies and each machine's own, and what else is freed."""
    from scipy.optimize import least_squares

    machines = sorted({row.machine for row in rows})
    names = [*SHARED, *free, *(f"{m}.{name}" for m in machines for name in OWN)]
    centre, spread = np.array([_prior(name) for name in names]).T

    def factors(x: np.ndarray) -> dict[str, float]:
        return dict(zip(names, map(float, centre * np.exp(x * spread)), strict=True))

    def residuals(x: np.ndarray) -> np.ndarray:
        energy, clock = errors(rows, factors(x))
        off = np.concatenate([energy / ENERGY_NOISE, clock / CLOCK_NOISE])
        return np.append(np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1)), x)

    solved = least_squares(residuals, np.zeros(len(names)), diff_step=1e-3)
    widths = 1.96 * np.sqrt(np.diag(np.linalg.pinv(solved.jac.T @ solved.jac))) * spread
    return Fit(factors(solved.x), dict(zip(names, map(float, widths), strict=True)))


def _prior(name: str) -> tuple[float, float]:
    """Factor of the YAML's value that is expected, and its spread as a logarithm."""
    machine, _, own = name.rpartition(".")
    if own in HELD:
        return 1.0, HELD[own]
    prior = ENERGIES[own]
    return prior.picojoules / _picojoules(machine or BASE)[own], prior.spread


# What is held: measured otherwise -----------------------------------------------------------------


def floors_w() -> dict[str, float]:
    """Power of each machine while one thread counts clocks and nothing else runs [W]."""
    return {row["gpu"]: float(row["avg_w"]) for row in bursts() if row["kernel"] == "sleep"}


def bursts() -> tuple[Mapping[str, str], ...]:
    """The rows of `power_bursts.csv`: launches in groups, with pauses and without."""
    with (DATA / "power_bursts.csv").open(encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def lowest_voltages_v() -> dict[tuple[str, str, str], float]:
    """The lowest voltage, v_max being 1 V, by what each launch takes at boost and under the cap.

    In groups of 10 ms and pauses of 15 ms the clock reads 1980 MHz; back to back it falls to f. Of
    one launch the energies above floor and idle power then stand as the voltages squared:

        (V(f) / v_max)² = above floor, back to back / above floor, in groups
        V(f) = v_min + (v_max - v_min) · (f - knee) / (top - knee)
    """
    found = {}
    floor_w, idle_w = floors_w(), {r["gpu"]: float(r["avg_w"]) for r in bursts() if not r["ms"]}
    for row in bursts():
        key = (row["gpu"], row["kernel"], row["params"])
        capped = row["busy_ms"] == "300" and float(row["sm_mhz"]) * 1e6 < CAPPED_HZ
        for other in bursts():
            same = key == (other["gpu"], other["kernel"], other["params"])
            if capped and same and other["busy_ms"] == "10":
                slow, fast = (_above_j(r, floor_w[key[0]], idle_w[key[0]]) for r in (row, other))
                found[key] = _lowest_v(np.sqrt(slow / fast), float(row["sm_mhz"]) * 1e6)
    return found


def _above_j(row: Mapping[str, str], floor_w: float, idle_w: float) -> float:
    """Energy of a launch above the floor, the pauses' taken off [J]."""
    duty = float(row["duty"])
    busy_w = (float(row["avg_w"]) - (1 - duty) * idle_w) / duty
    return (busy_w - floor_w) * float(row["ms"]) * 1e-3


def _lowest_v(volts: float, clock_hz: float) -> float:
    """The lowest voltage of the curve through `volts` at a clock, v_max being 1 V."""
    gpu: Any = load_machine(BASE)
    curve = gpu.power.voltage
    up = (clock_hz - curve.knee_hz) / (curve.top_hz - curve.knee_hz)
    return (volts - up) / (1 - up)


def clock_spread() -> float:
    """How far readings of the clock differ for one launch, timed the same, on two boards.

    A launch that the SMs bind takes the same cycles on each board, so that clock times time should
    not differ: the standard deviation of the logarithm of its ratio, over pairs of recordings.
    """
    seen: dict[str, list[float]] = {}
    for row in observed():
        cores_s = float(row.work.cycles) / row.clock_hz
        if row.clock_hz < CAPPED_HZ and cores_s > 2 * float(row.work.memory_s):
            seen.setdefault(f"{row.kernel} {row.problem}", []).append(row.latency_s * row.clock_hz)
    pairs = [np.log(b / a) for v in seen.values() for i, a in enumerate(v) for b in v[i + 1 :]]
    return float(np.sqrt(np.mean(np.square(pairs))))


# Short benchmarks: constants of `power` checked, not fitted ---------------------------------------


def peak_shares() -> dict[tuple[str, str, str], float]:
    """Power of each launch in groups of 10 ms with pauses, as a share of the cap."""
    idle_w = {row["gpu"]: float(row["avg_w"]) for row in bursts() if not row["ms"]}
    found = {}
    for row in bursts():
        if row["busy_ms"] == "10":
            gpu: Any = load_machine(row["gpu"])
            key = (row["gpu"], row["kernel"], row["params"])
            found[key] = (
                _above_j(row, 0.0, idle_w[key[0]]) / float(row["ms"]) * 1e3 / gpu.power.cap_w
            )
    return found


def burst_ratios() -> tuple[np.ndarray, np.ndarray]:
    """Time after seconds over time in a short benchmark, predicted and measured.

    Of launches that the SMs bind for over 0.3 ms, that the cap slows down, and that were timed both
    ways on one machine: of such the ratio is one of clocks, whatever the kernel's fit.
    """
    predicted, measured = [], []
    for recording, timings in BOTH_WAYS.items():
        short_s: dict[str, float] = {}
        for row in read(DATA / timings):
            if row.measured_ms and not row.why:
                key = _both_ways(row.kernel, row.problem)
                short_s[key] = min(short_s.get(key, np.inf), row.measured_ms * 1e-3)
        for row in (row for row in observed() if row.recording == recording):
            gpu: Any = load_machine(row.machine)
            cores_s = float(row.work.cycles) / gpu.clock.boost_hz
            slowed = row.clock_hz < 0.99 * gpu.clock.boost_hz and cores_s > row.work.memory_s
            key = _both_ways(row.kernel, row.problem)
            if slowed and row.latency_s > SHORTEST_S and key in short_s:
                burst, lasting = (clock_hz(row.work, gpu, r) for r in ("burst", "sustained"))
                predicted.append(row.work.time_s(lasting) / row.work.time_s(burst))
                measured.append(row.latency_s / short_s[key])
    return np.array(predicted), np.array(measured)


def _both_ways(kernel: str, problem: Problem) -> str:
    """What a short and a long benchmark of one launch agree in."""
    return f"{kernel} {replace(problem, tile=None, chunk=0, cold=False)}"


# The tables ---------------------------------------------------------------------------------------

PATHS = {
    "mma": "energy.mma.bf16",
    "exp": "energy.exp",
    "fma": "energy.fma",
    "shared": "energy.shared",
    "l2": "energy.l2",
    "hbm": "energy.hbm",
}
UNITS = {"mma": "pJ", "exp": "pJ", "fma": "pJ", "shared": "pJ/B", "l2": "pJ/B", "hbm": "pJ/B"}
ERRORS = DATA / "power_errors.csv"
ERROR_COLUMNS = ("left_out", "predicted_on", "rows", "energy_mape", "clock_mape")
LEAVING: Mapping[str, Callable[[Observed], Any]] = {
    "kernel": lambda row: row.kernel,
    "recording": lambda row: row.recording,
    "machine": lambda row: row.machine,
    "machine but its copy": lambda row: row.machine,
}


def shipped() -> dict[str, tuple[float, float]]:
    """Value [pJ, pJ/B] and half-width [share of it] of each energy, as the YAMLs should have it.

    What is shared stands under `h100_sxm`, which H200 inherits.
    """
    found, table = fit(observed()), {}
    for name, factor in found.factors.items():
        machine, _, own = name.rpartition(".")
        before = _picojoules(machine or BASE)[own]
        table[f"{machine or BASE}: {PATHS[own]}"] = (before * factor, found.half_width[name])
    return table


def _picojoules(machine: str) -> dict[str, float]:
    """The energies that the YAML has [pJ, pJ/B]."""
    gpu: Any = load_machine(machine)
    each = gpu.energy
    joules = {
        "mma": each.mma_j_per_flop["bf16"],
        "exp": each.exp_j,
        "fma": each.fma_j,
        "shared": each.shared_j_per_byte,
        "l2": each.l2_j_per_byte,
        "hbm": each.hbm_j_per_byte,
    }
    return {name: value * 1e12 for name, value in joules.items()}


def left_out_errors() -> list[dict[str, Any]]:
    """Errors of energy and clock, of all launches and of those that the fit has not seen.

    `left_out` says what the fit lacked: nothing, each kernel in turn, each recording in turn, or
    the machine `predicted_on`, whose HBM then takes the energy of the other's, unless its copy is
    kept to tell it.
    """
    rows = observed()
    lines = _lines("nothing", rows, *errors(rows, fit(rows).factors))
    for what, key in LEAVING.items():
        off = np.zeros((2, len(rows)))
        for value in dict.fromkeys(key(row) for row in rows):
            kept = what == "machine but its copy"
            seen = [r for r in rows if key(r) != value or (kept and r.kernel == "copy")]
            which = [i for i, row in enumerate(rows) if key(row) == value]
            factors = _completed(fit(seen).factors)
            off[:, which] = errors([rows[i] for i in which], factors)
        lines += _lines(what, rows, *off)
    return lines


def _completed(factors: Mapping[str, float]) -> dict[str, float]:
    """Factors with HBM's energy of the one machine also for the other, where that was left out."""
    known = {name.split(".")[0]: f for name, f in factors.items() if name.endswith(".hbm")}
    (machine, factor), *others = known.items()
    joules = _picojoules(machine)["hbm"] * factor
    unknown = () if others else {row.machine for row in observed()} - {machine}
    return {**factors, **{f"{m}.hbm": joules / _picojoules(m)["hbm"] for m in unknown}}


def _lines(what: str, rows: Sequence[Observed], energy: Any, clock: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Mean absolute errors by machine."""
    lines = []
    for machine in sorted({row.machine for row in rows}):
        which = [i for i, row in enumerate(rows) if row.machine == machine]
        lines.append(
            {
                "left_out": what,
                "predicted_on": machine,
                "rows": len(which),
                "energy_mape": f"{np.abs(np.expm1(energy[which])).mean():.4f}",
                "clock_mape": f"{np.abs(np.expm1(clock[which])).mean():.4f}",
            }
        )
    return lines


def report() -> str:
    """The energies to write into the YAMLs, and what is held."""
    lines = [
        f"{path}: {value:.3g} {UNITS[_name(path)]}  # half-width {width:.0%}"
        for path, (value, width) in shipped().items()
    ]
    volts = np.array(list(lowest_voltages_v().values()))
    lines += [f"{machine}: power.active_floor: {w:.0f} W" for machine, w in floors_w().items()]
    width = 1.96 * volts.std(ddof=1) / np.sqrt(len(volts))
    lines.append(f"lowest voltage of 1 V at boost: {volts.mean():.2f} V, half-width {width:.2f} V")
    for name in HELD:
        free = fit(observed(), (name,))
        lines.append(f"{name}, free: x {free.factors[name]:.3f} +- {free.half_width[name]:.0%}")
    lines.append(f"spread of clocks: {clock_spread():.1%}")
    lines.append(f"highest power in groups of 10 ms: {max(peak_shares().values()):.2f} of the cap")
    off = np.log(np.divide(*burst_ratios()))
    lines.append(
        f"long over short times: {len(off)} within {np.abs(off).mean():.1%}, mean {off.mean():+.1%}"
    )
    return "\n".join(lines)


def _name(path: str) -> str:
    return next(name for name, end in PATHS.items() if path.endswith(end))


def write() -> None:
    """Fit everything again, replace the table of errors and print what the YAMLs should have."""
    write_texts({ERRORS: csv_text(ERROR_COLUMNS, left_out_errors())})
    print(report())  # noqa: T201  the values are for a person to write down
