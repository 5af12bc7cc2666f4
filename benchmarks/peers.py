"""Error and speed of einfall and of its peers on the same rows in one run.

    python benchmarks/peers.py [--out FILE.md]

Forward softmax attention of the timings that ship. Of each group of rows (file, GPU, kernel,
harness, type, head widths) a quarter, drawn by a seed, is for fitting; the others are predicted:

    einfall     shipped calibration, which has seen some of the rows: a column says how many; and
                refitted on the training rows alone
    roofline    t0 + max(FLOP / peak, bytes / bandwidth); scaled: with a fitted efficiency
    tile model  t0 + max(makespan · t_tile, bytes / (share · bandwidth)); the makespan is that of
                longest-first list scheduling, and a query tile starts and ends in one tile's time
    genz-llm    its Logit and Attend operators, the scores on chip, as its prefill has them; as it
                comes, and with a fitted compute efficiency and t0

Peaks and bandwidths are those of the data sheets, the same for all. Roofline, tile model and
genz-llm are fitted for each group anew; einfall has one fit for the head widths, types and masks of
a kernel, GPU and harness. Where a recording names the tile that a tuner chose, einfall reads it,
but for the line that says not; lists of visited blocks are in tiles.

Needs scipy; the lines of genz-llm need `pip install genz-llm`.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from einfall.hw_models import load as load_machine
from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import calibration, find, predict
from einfall.sim.gpu.calibrated import TABLE
from einfall.sim.gpu.makespan import listed
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import Parameters
from einfall.sim.gpu.schedule import load as load_kernel
from einfall.sim.gpu.tiles import count
from einfall.validate import calibrate
from einfall.validate.timings import Row, read

FILES = ("h100_recording.csv", "h200_recording.csv", "published_timings.csv")
SEED, TRAINING_SHARE = 0, 0.25
LEAST_ROWS = 3  # as many as the tile model has scalars
SHORT_S, LONG_S = 10e-6, 100e-6
NO_ATTENTION = ("triton_linear", "triton_softmax_3pass", "softmax")  # no product, or no softmax


class RefusedError(ValueError):
    """A row that a peer cannot answer, and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a timings file; `group` is what a model of few scalars is fitted to."""

    file: str
    row: Row

    @property
    def group(self) -> tuple[Any, ...]:
        row, p = self.row, self.row.problem
        widths = (p.head_dim, p.value_dim)
        return self.file, row.machine, row.kernel, row.harness, p.dtype, p.kv_dtype, *widths

    @property
    def measured_s(self) -> float:
        return (self.row.measured_ms or math.nan) * 1e-3

    @property
    def gpu(self) -> Gpu:
        try:
            found: Any = load_machine(self.row.machine)
        except ValueError:
            raise RefusedError(f"no machine {self.row.machine}") from None
        return found


def cases(path: Path) -> list[Case]:
    """Rows of forward softmax attention with a time and a stated shape."""
    return [
        Case(path.name, row)
        for row in read(path)
        if row.direction == "fwd" and row.measured_ms and not row.why and not row.problem.size
        if row.kernel not in NO_ATTENTION and row.problem.heads * row.problem.queries > 1
    ]


def split(rows: Sequence[Case], seed: int = SEED) -> tuple[list[Case], list[Case]]:
    """A quarter of each group for fitting, at least one row, and the others for testing."""
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in rows:
        groups.setdefault(case.group, []).append(case)
    draw = np.random.default_rng(seed)
    training, testing = [], []
    for group in groups.values():
        chosen = set(draw.permutation(len(group))[: math.ceil(TRAINING_SHARE * len(group))])
        training += [case for i, case in enumerate(group) if i in chosen]
        testing += [case for i, case in enumerate(group) if i not in chosen]
    return training, testing


# What a launch has to do -------------------------------------------------------------------------


def pairs(p: Problem) -> float:
    """Pairs of query and key of one head."""
    if p.visited is not None:
        raise RefusedError("a mask other than causal or a window")
    if p.window is not None or (p.causal and p.queries > p.keys):
        return count(p, 1, 1).total
    full = float(p.queries * p.keys)
    return full - float(p.queries * (p.queries - 1) / 2) if p.causal else full


def compute_and_memory_s(case: Case) -> tuple[float, float]:
    """Products at the peak, and Q, K, V and O once at HBM's bandwidth [s]."""
    p, gpu = case.row.problem, case.gpu
    flops = 2.0 * float(p.batch * p.heads) * pairs(p) * (p.head_dim + p.value_dim)
    moved = float(p.kv_bytes + p.qo_bytes)
    return flops / _peak(case), moved / gpu.hbm.bandwidth_bytes_per_s


def _peak(case: Case) -> float:
    dtype = case.row.problem.dtype
    try:
        return float(case.gpu.peak_flops_per_s("tf32" if dtype == "fp32" else dtype))
    except ValueError:
        raise RefusedError(f"no peak of {dtype} on {case.row.machine}") from None


def tiles_and_memory(case: Case) -> tuple[float, float]:
    """Makespan in tiles of list scheduling, the longest first, and memory time [s]."""
    p = case.row.problem
    memory_s = compute_and_memory_s(case)[1]
    ragged = count(p, *tile_of(case))
    last = listed(ragged, int(p.batch * p.heads), case.gpu.sms, "lpt", overhead=1.0)
    return float(last.steps + last.blocks), memory_s


def tile_of(case: Case) -> tuple[int, int]:
    """Queries and keys of a tile by generation and head width; assumed, and not tuned.

    Source: the tiles that FlashAttention-2 and -3 and CUTLASS have for 64, up to 128, and beyond.
    """
    width, kernel = case.row.problem.head_dim, case.row.kernel.lower()
    generation = case.gpu.generation
    compiled = any(name in kernel for name in ("attention-2", "sdpa_flash", "triton", "flex"))
    if generation == "blackwell" and not compiled:
        return (256, 128) if width <= 128 else (128, 128)
    if generation == "hopper" and not compiled:
        return (192, 128) if width <= 64 else (128, 128) if width <= 128 else (128, 80)
    return (128, 128) if width <= 64 else (128, 64) if width <= 128 else (64, 64)


# Peers -------------------------------------------------------------------------------------------


class Peer(Protocol):
    """A model: `fit` it, then ask it; `seen` says which of the rows that it is asked it had."""

    name: str

    def fit(self, training: Sequence[Case]) -> None: ...
    def time_s(self, case: Case) -> float: ...
    def seen(self, testing: Sequence[Case]) -> str: ...


Scalars = np.ndarray


@dataclass
class FewScalars:
    """A formula of what a launch does and of a few scalars, fitted to each group of rows anew.

    The scalars are positive, and what is minimised is the logarithm of predicted over measured.
    """

    name: str
    does: Callable[[Case], tuple[float, ...]]
    formula: Callable[[np.ndarray, Scalars], np.ndarray]
    low: tuple[float, ...]
    start: tuple[tuple[float, ...], ...]
    high: tuple[float, ...]
    fitted: dict[tuple[Any, ...], Scalars] = field(default_factory=dict)

    def fit(self, training: Sequence[Case]) -> None:
        groups: dict[tuple[Any, ...], list[tuple[tuple[float, ...], float]]] = {}
        for case in training:
            try:
                found = self.does(case), case.measured_s
            except RefusedError:
                continue
            groups.setdefault(case.group, []).append(found)
        for group, found in groups.items():
            if len(found) >= LEAST_ROWS:
                does, measured = zip(*found, strict=True)
                self.fitted[group] = self._solved(np.array(does).T, np.array(measured))

    def _solved(self, does: np.ndarray, measured_s: np.ndarray) -> Scalars:
        from scipy.optimize import least_squares

        def off(x: np.ndarray) -> np.ndarray:
            return np.log(self.formula(does, np.exp(x)) / measured_s)

        ends = np.log(self.low), np.log(self.high)
        tried = [
            least_squares(off, np.log(s), bounds=ends, loss="soft_l1", f_scale=0.1)
            for s in self.start
        ]
        return np.exp(min(tried, key=lambda solved: solved.cost).x)

    def time_s(self, case: Case) -> float:
        does = self.does(case)
        if case.group not in self.fitted:
            raise RefusedError(f"fewer than {LEAST_ROWS} rows to fit")
        return float(self.formula(np.array(does), self.fitted[case.group]))

    def seen(self, testing: Sequence[Case]) -> str:
        return "none"


def roofline() -> FewScalars:
    """The roofline and a fitted time of launching, of 30 us at most: it stands for nothing else."""

    def formula(does: np.ndarray, x: Scalars) -> np.ndarray:
        return x[0] + np.maximum(does[0], does[1])

    name = "roofline + t0"
    return FewScalars(name, compute_and_memory_s, formula, (1e-7,), ((6e-6,),), (30e-6,))


def scaled_roofline() -> FewScalars:
    """The roofline over a fitted efficiency, and a fitted time of launching."""

    def formula(does: np.ndarray, x: Scalars) -> np.ndarray:
        return x[0] + np.maximum(does[0], does[1]) / x[1]

    starts = ((6e-6, 0.3), (6e-6, 0.6))
    name = "scaled roofline + t0"
    return FewScalars(name, compute_and_memory_s, formula, (1e-7, 1e-3), starts, (1e-2, 2.0))


def tile_model() -> FewScalars:
    """Three scalars: launch, time of a tile, share of the bandwidth."""

    def formula(does: np.ndarray, x: Scalars) -> np.ndarray:
        return x[0] + np.maximum(does[0] * x[1], does[1] / x[2])

    starts = tuple((6e-6, tile_s, share) for tile_s in (0.5e-6, 2e-6, 8e-6) for share in (0.3, 0.9))
    low, high = (1e-7, 1e-8, 0.02), (1e-2, 1e-3, 1.5)
    return FewScalars("3-scalar tile model", tiles_and_memory, formula, low, starts, high)


@dataclass
class Einfall:
    """Einfall with its shipped calibration; its makespan listed block by block, or closed.

    Not `told` the tile that the tuner of a recording chose, it chooses one itself.
    """

    name: str = "einfall, shipped"
    exact: bool = True
    told: bool = True

    def fit(self, training: Sequence[Case]) -> None:
        """It comes fitted."""

    def time_s(self, case: Case) -> float:
        if not self.told and case.row.problem.visited is None:
            problem = replace(case.row.problem, tile=None)
            case = Case(case.file, replace(case.row, problem=problem))
        return _asked(case, None, exact=self.exact)

    def seen(self, testing: Sequence[Case]) -> str:
        had = sum(map(_has_seen, testing))
        return f"{had} of {len(testing)}" if had else "none"


@dataclass
class Refitted:
    """Einfall with parameters from the training rows and nothing else."""

    name: str = "einfall, refitted"
    fitted: dict[tuple[str, ...], Parameters] = field(default_factory=dict)

    def fit(self, training: Sequence[Case]) -> None:
        for file in {case.file for case in training}:
            rows = [case.row for case in training if case.file == file]
            for (kernel, machine, harness), found in calibrate.groups(rows).items():
                if len(found) >= LEAST_ROWS:
                    gpu: Any = load_machine(machine)
                    solved = calibrate.fit(calibrate.sample(load_kernel(kernel), gpu, found))
                    self.fitted[file, kernel, machine, harness] = solved.parameters

    def time_s(self, case: Case) -> float:
        return _asked(case, self.fitted, exact=True)

    def seen(self, testing: Sequence[Case]) -> str:
        return "none"


def _asked(
    case: Case, refits: Mapping[tuple[str, ...], Parameters] | None, *, exact: bool
) -> float:
    row, gpu = case.row, case.gpu
    try:
        kernel = find(row.kernel, row.direction, gpu, row.problem)
        if refits is None:
            fit = calibration(kernel, gpu.name, row.harness).parameters
        else:
            fit = refits.get((case.file, kernel.kernel, row.machine, row.harness))
            if fit is None:
                raise RefusedError(f"fewer than {LEAST_ROWS} rows to fit")
        asked = predict(kernel, gpu, row.problem, fit=fit, exact=exact, locked_hz=row.locked_hz)
    except RefusedError:
        raise
    except (ValueError, KeyError) as error:
        raise RefusedError(_brief(str(error))) from None
    return float(asked.latency_s)


def _brief(why: str) -> str:
    """A reason without the kernel's name, so that rows can be counted by it."""
    briefs = {
        "has a schedule of": "a kernel without a schedule",
        "wanted a schedule for": "a kernel without a schedule on this GPU",
        "wanted head_dim": "a head too wide",
    }
    return next((brief for words, brief in briefs.items() if words in why), why.splitlines()[0])


def _has_seen(case: Case) -> bool:
    try:
        kernel = find(case.row.kernel, case.row.direction, case.gpu, case.row.problem)
    except ValueError:
        return False
    return case.file in _fitted_on().get((kernel.kernel, case.row.machine, case.row.harness), "")


@cache
def _fitted_on() -> Mapping[tuple[str, str, str], str]:
    with TABLE.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return {(line["kernel"], line["machine"], line["harness"]): line["data"] for line in lines}


@dataclass
class Genz:
    """genz-llm as it comes: nothing is fitted, and it knows no launch."""

    name: str = "genz-llm"

    def fit(self, training: Sequence[Case]) -> None:
        """Nothing is."""

    def time_s(self, case: Case) -> float:
        logit, logit_memory, attend, attend_memory = genz_s(case)
        return max(logit, logit_memory) + max(attend, attend_memory)

    def seen(self, testing: Sequence[Case]) -> str:
        return "none"


def fitted_genz() -> FewScalars:
    """genz-llm with a fitted compute efficiency, and a fitted time of launching beside it."""

    def formula(does: np.ndarray, x: Scalars) -> np.ndarray:
        return x[0] + np.maximum(does[0] / x[1], does[1]) + np.maximum(does[2] / x[1], does[3])

    starts = ((6e-6, 0.3), (6e-6, 0.6))
    return FewScalars(
        "genz-llm, efficiency + t0", genz_s, formula, (1e-7, 1e-3), starts, (1e-2, 2.0)
    )


def genz_s(case: Case) -> tuple[float, ...]:
    """Compute and memory time of genz-llm's Logit, and of its Attend [s]."""
    operators: Any = import_module("GenZ.operators")
    p = case.row.problem
    if p.masked:
        raise RefusedError("a mask")
    system = _genz_system(case.row.machine, p.dtype, _peak(case))
    heads, lengths = (int(p.batch), int(p.heads)), (int(p.queries), int(p.keys))
    unit: Any = import_module("GenZ").Unit()
    found = []
    for name, kind, width, pin in (
        ("Logit", 4, p.head_dim, "output"),
        ("Attend", 5, p.value_dim, "input_a"),
    ):
        dim = [name, *heads, *lengths, width, int(p.kv_heads), 0, kind]
        one = getattr(operators, name)(dim=dim, density=(1.0, 1.0, 1.0))
        one.set_mem_pin(**{pin: "on"})  # the scores
        answer = one.get_roofline(system, unit)
        found += [
            answer[f"{part} time ({unit.unit_time})"] * 1e-3 for part in ("Compute", "Memory")
        ]
    return tuple(map(float, found))


@cache
def _genz_system(machine: str, dtype: str, peak: float) -> Any:
    System: Any = import_module("GenZ").System
    gpu: Any = load_machine(machine)
    bits = {"fp16": "bf16", "fp32": "f32"}.get(dtype, dtype)
    return System(
        flops=peak * System.compute_multiplier[bits] / 1e12,  # its peak is that of bf16
        offchip_mem_bw=gpu.hbm.bandwidth_bytes_per_s / 2**30,  # its GB are 2^30 bytes
        bits=bits,
    )


# The table ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What a peer said of the testing rows, by their index, and what each answer took."""

    peer: Peer
    off: Mapping[int, float]
    refused: Mapping[str, int]
    each_s: float


def answers(peer: Peer, training: Sequence[Case], testing: Sequence[Case]) -> Answers:
    """Fit a peer and ask it for each row."""
    peer.fit(training)
    off, why, took = {}, Counter(), []
    for i, case in enumerate(testing):
        begin = time.perf_counter()
        try:
            found = peer.time_s(case)
        except RefusedError as refusal:
            why[str(refusal)] += 1
            continue
        took.append(time.perf_counter() - begin)
        off[i] = found / case.measured_s - 1
    return Answers(peer, off, why, float(np.median(took)) if took else math.nan)


def peers() -> list[Peer]:
    """Those that are here."""
    always: list[Peer] = [
        Einfall("einfall, shipped, closed form", exact=False),
        Einfall(),
        Einfall("einfall, shipped, tile not told", told=False),
        Refitted(),
        tile_model(),
        scaled_roofline(),
        roofline(),
    ]
    return [*always, fitted_genz(), Genz()] if find_spec("GenZ") else always


def errors(found: Answers, testing: Sequence[Case], rows: Iterable[int]) -> list[str]:
    """Cells of a line: rows, mean errors of long and short launches, 90th percentile."""
    chosen = sorted(rows)
    off = np.abs([found.off[i] for i in chosen])
    times = np.array([testing[i].measured_s for i in chosen])
    middle = (times > SHORT_S) & (times <= LONG_S)
    ninth = off[times > SHORT_S]
    means = [_percent(off[part], np.mean) for part in (times > LONG_S, middle)]
    return [str(len(chosen)), *means, _percent(ninth, _ninth).split(" (")[0]]


def _percent(off: np.ndarray, statistic: Callable[[np.ndarray], Any]) -> str:
    return f"{100 * statistic(off):.1f} % ({len(off)})" if len(off) else "-"


def _ninth(off: np.ndarray) -> float:
    return float(np.quantile(off, 0.9, method="inverted_cdf"))


HEADER = ("peer", "rows", "MAPE > 0.1 ms", "MAPE 10-100 us", "p90 > 10 us")
MORE = ("a prediction", "has seen", "refused")


def own_rows(said: Sequence[Answers], testing: Sequence[Case]) -> str:
    """Each peer on all rows that it answers."""
    lines = []
    for found in said:
        answered = [testing[i] for i in found.off]
        refused = "; ".join(f"{n} {why}" for why, n in sorted(found.refused.items())) or "-"
        more = [f"{found.each_s * 1e3:.3f} ms", found.peer.seen(answered), refused]
        lines.append([found.peer.name, *errors(found, testing, found.off), *more])
    return table([*HEADER, *MORE], lines)


def same_rows(said: Sequence[Answers], testing: Sequence[Case]) -> str:
    """The peers on the rows that every one of them answers."""
    shared = set.intersection(*(set(found.off) for found in said))
    return table(HEADER, [[a.peer.name, *errors(a, testing, shared)] for a in said])


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def report(file: str, seed: int = SEED) -> str:
    """Tables of one file."""
    training, testing = split(cases(calibrate.DATA / file), seed)
    said = [answers(peer, training, testing) for peer in peers()]
    others = [found for found in said if not found.peer.name.startswith("genz")]
    parts = [
        f"## {file}: {len(training)} rows to fit, {len(testing)} to predict",
        "Each on the rows that it answers:",
        own_rows(said, testing),
        "All on the same rows, dense, causal and windows:",
        same_rows(others, testing),
    ]
    if others == said:
        parts.append("genz-llm is not installed: pip install genz-llm")
    else:
        parts += ["All on the same rows, dense only:", same_rows(said, testing)]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the tables there too")
    parser.add_argument("--seed", type=int, default=SEED, help="of the split into fit and test")
    args = parser.parse_args()
    text = "\n\n".join(report(file, args.seed) for file in FILES) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
