"""One verb: `estimate(cascade, shape, gpu) -> GpuEstimate`; a launch by Einsum and unit.

The time is that of `predict`; this module lays it beside the cascade: how long each unit is busy,
what energy goes where, and by `by_einsum` what part of it is which Einsum's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.shapes import ShapeError, rank_sizes
from einfall.hw_models.gpu import Gpu
from einfall.hw_models.yaml_door import Source
from einfall.sim import events
from einfall.sim.gpu import decode, fused
from einfall.sim.gpu.asked import BEST, Asked, ask, kernels_for
from einfall.sim.gpu.by_einsum import shares_of
from einfall.sim.gpu.calibrated import TABLE, Calibration
from einfall.sim.gpu.counted import Counted
from einfall.sim.gpu.lowered import Lowered, with_parameters
from einfall.sim.gpu.lowering import pipeline
from einfall.sim.gpu.power import Work, core_j
from einfall.sim.gpu.predict import LOWER, Prediction, answer, predict, terms
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError, load
from einfall.sim.gpu.terms import AROUND, Terms
from einfall.sim.mapping import MappingError
from einfall.sim.pipeline_estimate import Line
from einfall.units import format_quantity

_CAPPED = 0.01  # by what part a clock below its highest is told


@dataclass(frozen=True, slots=True)
class FitParameter:
    """A parameter of a kernel: its value, half of its confidence interval, and where it is from."""

    name: str
    value: float
    unit: str
    half_width: float | None
    source: Source


@dataclass(frozen=True)
class GpuEstimate:
    """Time, energy and traffic of a cascade on a GPU, and what binds it.

    Its numbers are those of `burst`, a benchmark of some dozen launches; `sustained` is the same
    launch after seconds of replay under the power cap. `launch` are its blocks of steps, None for
    kernels that have none.
    """

    cascade: Cascade
    sizes: Mapping[str, Any] = field(repr=False)
    gpu: Gpu = field(repr=False)
    asked: Asked
    burst: Prediction
    sustained: Prediction
    terms: Terms = field(repr=False)
    launch: Lowered | None = field(repr=False)
    closed_form_s: float = field(repr=False)
    simulation: events.Simulation | None = field(default=None, repr=False, compare=False)

    @property
    def kernel(self) -> KernelSchedule:
        """The schedule that runs."""
        return self.asked.kernel

    @property
    def problem(self) -> Problem:
        """What it is given."""
        return self.asked.problem

    @property
    def fit(self) -> Calibration:
        """Its parameters."""
        return self.asked.fit

    @property
    def title(self) -> str:
        """What runs where, in a line."""
        mask = f" with {self.mask}" if self.mask else ""
        what = f"{self.cascade.name}{mask} on {self.gpu.name}"
        return f"{what}, kernel {self.kernel.kernel} in {self.problem.dtype}"

    @property
    def latency_s(self) -> float:
        """Time of a launch [s]."""
        return float(self.burst.latency_s)

    @property
    def clock_hz(self) -> float:
        """Clock of the SMs [Hz]."""
        return float(self.burst.clock_hz)

    @property
    def cycles(self) -> float:
        """The time in cycles of that clock."""
        return self.latency_s * self.clock_hz

    @property
    def energy_j(self) -> float:
        """Energy of a launch [J], what is drawn without work included."""
        return float(self.burst.energy_j)

    @property
    def attended_pairs(self) -> int | None:
        """Pairs of query and key of all heads and sequences that count."""
        return self.asked.attended_pairs

    @property
    def visited_tiles(self) -> int | None:
        """Pairs of query and key tiles that are run; None where the kernel has no such steps."""
        return None if self.launch is None else round(float(self.launch.steps))

    @property
    def mask(self) -> str | None:
        """The cascade's mask as text."""
        return str(self.cascade.mask.spec) if self.cascade.mask else None

    @cached_property
    def traffic_bytes(self) -> dict[str, float]:
        """Bytes through HBM and out of L2."""
        return {level: float(self._actions.get(level, 0.0)) for level in ("hbm", "l2")}

    @cached_property
    def flops(self) -> float:
        """FLOP of all products, of whole tiles."""
        if self.launch is not None:
            return float(self.launch.steps * self.launch.flops)
        return float(self._counted.flops)

    @property
    def product_unit(self) -> str:
        """The unit that does the products: tensor cores, or FP32 lanes."""
        return self._counted.product_unit

    @property
    def peak_flops_per_clock(self) -> float:
        """FLOP a clock of that unit on all SMs."""
        return float(self._counted.peak_flops_per_clock)

    @cached_property
    def full_rate_cycles(self) -> dict[str, float]:
        """Cycles of each pipe at its full rate, in the mean over the SMs: bounds of the time."""
        if self.launch is not None:
            each = self.launch.steps / self.gpu.sms
            return {name: float(x * each) for name, x in self.launch.step.pipes().items()}
        return {name: float(x) for name, x in self._counted.cycles.items()}

    @property
    def least_cycles(self) -> dict[str, float]:
        """Cycles that each pipe needs: as counted, or where the fit found fewer, those."""
        reached = {name: self.busy_s[name] * self.clock_hz for name in self.full_rate_cycles}
        return {name: min(x, reached[name]) for name, x in self.full_rate_cycles.items()}

    @cached_property
    def busy_s(self) -> dict[str, float]:
        """Time for which each pipe is in use at the rate the kernel reaches, mean over the SMs."""
        cycles = dict(self.full_rate_cycles)
        if self.launch is not None:
            each = self.launch.steps / self.gpu.sms
            step = with_parameters(self.launch, self.fit.parameters)
            cycles = {name: float(x * each) for name, x in step.pipes().items()}
        hbm = self.gpu.hbm.achievable_bytes_per_s * self.fit.parameters.memory_share
        moved = self.traffic_bytes
        return {name: x / self.clock_hz for name, x in cycles.items()} | {
            "l2": moved["l2"] / self.gpu.l2.bandwidth_bytes_per_s,
            "hbm": moved["hbm"] / hbm,
        }

    @cached_property
    def utilization(self) -> dict[str, float]:
        """For each unit the part of what it could do in that time; HBM by the datasheet's rate."""
        all_cycles = self.cycles
        pipes = {n: x / all_cycles for n, x in self.full_rate_cycles.items() if n != "load"}
        pipes[self.product_unit] = self.flops / (self.peak_flops_per_clock * all_cycles)
        moved = self.traffic_bytes
        return dict.fromkeys(("tensor", "mufu", "fma", "shared"), 0.0) | pipes | {
            "l2": self.busy_s["l2"] / self.latency_s,
            "hbm": moved["hbm"] / self.gpu.hbm.bandwidth_bytes_per_s / self.latency_s,
        }  # fmt: skip

    @cached_property
    def bound(self) -> str:
        """What stops it: a pipe, `hbm`, `l2`, `latency`, or `launch` and `host` around the work.

        `latency` are steps that wait for each other, blocks that begin and end, and SMs that wait
        for the last one, while neither a pipe nor a memory works for half of the SMs' time.
        """
        named = self.burst.bound
        if named == "memory":
            return max(("hbm", "l2"), key=self.busy_s.__getitem__)
        if named != "fixed":
            return named
        parts = {n: float(t) for n, t in self.burst.terms_s.items() if n in AROUND}
        parts |= self.busy_s
        return max(parts, key=parts.__getitem__)

    @property
    def power_capped(self) -> bool:
        """Whether the power cap holds the clock below its highest, by more than a percent.

        What binds is then bound by power, too: a faster unit draws more, and the clock falls.
        """
        return self.clock_hz < (1 - _CAPPED) * self.gpu.clock.boost_hz

    @property
    def binding_s(self) -> float:
        """Time for which what binds is in use, or waited for where it is no unit [s]."""
        terms = self.burst.terms_s
        return float({**self.busy_s, **terms}.get(self.bound, terms["compute"]))

    @cached_property
    def parts_j(self) -> dict[str, float]:
        """Energy by action, and what is drawn whatever is done [J]."""
        scale: Any = self.gpu.energy_scale(self.clock_hz)
        parts = {
            name: float(scale * core_j(Work({name: n}, 0.0, 0.0, 0.0), self.gpu))
            for name, n in self._actions.items()
        }
        parts["hbm"] = self.traffic_bytes["hbm"] * self.gpu.energy.hbm_j_per_byte
        return parts | {"static": self.gpu.power.active_floor_w * self.latency_s}

    @property
    def _counted(self) -> Counted:
        return Counted(self.kernel, self.gpu, self.problem, self._actions)

    @property
    def _actions(self) -> Mapping[str, Any]:
        return self.terms.work.actions

    @cached_property
    def breakdown(self) -> tuple[Line, ...]:
        """What each Einsum and each transfer takes, then the launch and the static power."""
        energy = {"tensor": sum(j for n, j in self.parts_j.items() if n.startswith("mma."))}
        energy |= {"mufu": self.parts_j.get("exp", 0.0), "fma": self.parts_j.get("fma", 0.0)}
        energy |= {n: self.parts_j.get(n, 0.0) for n in ("shared", "hbm", "l2")}
        shares = shares_of(self)
        lines = [
            Line(name, unit, part * self.busy_s.get(unit, 0.0), part * energy[unit],
                 part * self.utilization[unit])
            for (name, unit), part in shares.items()
        ]  # fmt: skip
        around = sum(float(self.burst.terms_s.get(n, 0.0)) for n in AROUND)
        lines.append(Line("launch", "host", around, 0.0, around / self.latency_s))
        lines.append(Line("static power", "board", self.latency_s, self.parts_j["static"], 1.0))
        return tuple(lines)

    def parameters(self) -> tuple[FitParameter, ...]:
        """The parameters of the kernel with their confidence and source."""
        return _parameters(self.kernel, self.fit)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line: plain numbers, lists and texts."""
        return {
            "cascade": self.cascade.name,
            "machine": self.gpu.name,
            "mapping": self.kernel.kernel,
            "kernel": {"title": self.kernel.title, "does": self.kernel.does},
            "dtype": self.problem.dtype,
            "mask": self.mask,
            "attended_pairs": self.attended_pairs,
            "visited_tiles": self.visited_tiles,
            "latency_s": self.latency_s,
            "cycles": self.cycles,
            "clock_hz": self.clock_hz,
            "power_w": float(self.burst.power_w),
            "energy_j": self.energy_j,
            "regime": self.burst.regime,
            "regimes": {p.regime: _regime(p) for p in (self.burst, self.sustained)},
            "traffic_bytes": self.traffic_bytes,
            "utilization": self.utilization,
            "bound": self.bound,
            "power_capped": self.power_capped,
            "why": self.burst.why,
            "busy_s": self.busy_s,
            "energy_parts_j": self.parts_j,
            "terms_s": {name: float(t) for name, t in self.burst.terms_s.items()},
            "fit": fit_record(self.fit),
            "breakdown": [asdict(line) for line in self.breakdown],
        }


def fit_record(fit: Calibration) -> dict[str, Any]:
    """Where the parameters come from, for JSON."""
    fitted = bool(fit.data)
    return {
        "status": "fitted" if fitted else "derived",
        "data": fit.data or None,
        "machine": fit.machine if fitted else None,
        "harness": fit.harness if fitted else None,
        "unseen_error": fit.unseen_mape,
        "text": str(fit),
    }


def _regime(found: Prediction) -> dict[str, float]:
    return {
        "latency_s": float(found.latency_s),
        "cycles": float(found.latency_s) * float(found.clock_hz),
        "clock_hz": float(found.clock_hz),
        "power_w": float(found.power_w),
        "energy_j": float(found.energy_j),
    }


def estimate(  # noqa: PLR0913  the values of the design, and a switch
    cascade: Cascade,
    shape: Mapping[str, int],
    gpu: Gpu,
    *,
    mapping: str | None = None,
    dtype: str = "bf16",
    simulate: bool = False,
) -> GpuEstimate:
    """Time, energy and traffic of a cascade of a shape on a GPU.

    Args:
        cascade: What is computed, with or without a mask.
        shape: Sizes by shape key.
        gpu: On what.
        mapping: Name of the kernel schedule, or `best` for the fastest of them; what suits if left
            out.
        dtype: Type of Q, K, V and O.
        simulate: Also step by step, on the SM that is done last: where its time goes. The time of
            the answer stays the calibrated one, which knows how far the kernel overlaps its steps.

    Raises:
        ShapeError: The shape does not fit the cascade, its mask or the schedule.
        MappingError: No such schedule, none for the cascade, or it does not take the problem.
        UnsupportedOpError: The tensor cores do not know the type.

    >>> from einfall.einsum_cascades import load
    >>> from einfall.hw_models import load as load_machine
    >>> shape = {"batch": 4, "heads": 32, "queries": 4096, "head_dim": 128}
    >>> found = estimate(load("attention_1pass"), shape, load_machine("h100_sxm"))
    >>> found.kernel.kernel, found.bound, 1.5e-3 < found.latency_s < 2.2e-3
    ('flash3', 'tensor', True)
    """
    if mapping == BEST:
        mapping = _fastest(cascade, shape, gpu, dtype)
    asked = ask(cascade, shape, gpu, mapping=mapping, dtype=dtype)
    kernel, problem, fit = asked.kernel, asked.problem, asked.fit.parameters
    found_terms = terms(kernel, gpu, problem, fit)
    rough = predict(kernel, gpu, problem, fit=fit, exact=False)
    launch = LOWER[kernel.does](kernel, gpu, problem, fit) if kernel.does in LOWER else None
    tiles = _tiles(kernel, gpu, problem, fit, cascade)
    found = GpuEstimate(
        cascade,
        rank_sizes(replace(cascade, mask=None), shape, tiles),
        gpu,
        asked,
        answer(kernel, gpu, found_terms, "burst"),
        answer(kernel, gpu, found_terms, "sustained"),
        found_terms,
        launch,
        float(rough.latency_s),
    )
    if not (simulate and kernel.does in LOWER):
        return found
    steps = pipeline(kernel, gpu, problem, fit, clock_hz=found.clock_hz)
    return replace(found, simulation=events.simulate(steps))


def _fastest(cascade: Cascade, shape: Mapping[str, int], gpu: Gpu, dtype: str) -> str:
    """The schedule that takes least time, each with the tile that it takes by itself.

    Raises:
        ShapeError, MappingError, UnsupportedOpError: None takes the problem.
    """
    ask(cascade, shape, gpu, dtype=dtype)  # refuses what no schedule takes
    times: dict[str, float] = {}
    for name in kernels_for(cascade.name, gpu):
        with suppress(MappingError, ScheduleError, ShapeError):
            times[name] = estimate(cascade, shape, gpu, mapping=name, dtype=dtype).latency_s
    return min(times, key=lambda name: times[name])


def _tiles(
    kernel: KernelSchedule,
    gpu: Gpu,
    problem: Problem,
    fit: Parameters,
    cascade: Cascade,
) -> dict[str, int]:
    """The tile of the keys, where the cascade splits them and the kernel cuts them."""
    keys = {split.rank for split in cascade.splits} & {"M"}
    if kernel.does not in LOWER or not keys:
        return {}
    if kernel.does == "fused":
        return {"M": fused.chosen(kernel, gpu, problem, fit).keys}
    tiles, splits = map(int, decode.split(kernel, gpu, problem)[1:])
    tile = kernel.tile(problem, gpu.generation)
    if cascade.name == "attention_2pass_splitk":  # there a part of M is a worker's, not a tile
        return {"M": min(int(problem.keys), -(-tiles // splits) * tile.keys)}
    return {"M": tile.keys}


# Parameters ---------------------------------------------------------------------------------------


def _parameters(kernel: KernelSchedule, fit: Calibration) -> tuple[FitParameter, ...]:
    """Fitted ones from the table of fits, all others from the schedule's file."""
    lines = _fitted(kernel, fit)
    values = fit.parameters.model_dump()
    found = []
    for name, value in values.items():
        line = lines.get(name)
        if name == "launch_s" and fit.moved_s:
            text = f"its fit, moved by {format_quantity(fit.moved_s, 's')} as launch.latency is"
            found.append(FitParameter(name, value, "s", None, Source("assumption", text)))
        elif line is not None and float(line["value"]) == value:
            text = f"{line['data']}, {line['rows']} rows of {fit.machine} ({fit.harness})"
            half, unit = float(line["half_width"]), line["unit"]
            found.append(FitParameter(name, value, unit, half, Source("fitted", text)))
        else:
            unit = "s" if name.endswith("_s") else "cycles" if name.endswith("_cycles") else ""
            found.append(FitParameter(name, value, unit, None, _of_file(kernel, name)))
    return tuple(found)


def _fitted(kernel: KernelSchedule, fit: Calibration) -> dict[str, dict[str, str]]:
    """Lines of the fit that serves a kernel: its own, or that of the kernel it is like."""
    if not fit.data or not TABLE.exists():
        return {}
    with TABLE.open(encoding="utf-8") as file:
        lines = [
            x
            for x in csv.DictReader(file)
            if (x["machine"], x["harness"]) == (fit.machine, fit.harness)
        ]
    name: str | None = kernel.kernel
    while name is not None:
        own = {x["parameter"]: x for x in lines if x["kernel"] == name}
        if own:
            return own
        name = load(name).like
    return {}


def _of_file(kernel: KernelSchedule, name: str) -> Source:
    alias = name.removesuffix("_s")
    paths = (f"parameters.{name}", f"parameters.{alias}", "parameters")
    unknown = Source("assumption", "default of every schedule")
    given = name in kernel.parameters.model_fields_set
    return next((kernel.sources[p] for p in paths if p in kernel.sources and given), unknown)
