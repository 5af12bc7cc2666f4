"""One verb: `predict(kernel, gpu, problem, regime) -> Prediction`; time, energy, clock and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import decode, fused, scans, streams, unfused
from einfall.sim.gpu.lowered import Lowered
from einfall.sim.gpu.power import BURST_S, Regime, Work, clock_hz, energy_j
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters
from einfall.sim.gpu.terms import HALF, Terms
from einfall.sim.numeric import Number, largest

LOWER: Mapping[str, Callable[..., Lowered]] = {"fused": fused.lower, "decode": decode.lower}
"""Kernels that are loops of key-tile steps, by what they do: the launch as blocks of steps."""

_TERMS: Mapping[str, Callable[..., Terms]] = {
    "fused": fused.terms,
    "decode": decode.terms,
    "unfused": unfused.unfused,
    "three_pass": unfused.three_pass,
    "chunked": scans.chunked,
    "stream": streams.stream,
    "matmul": streams.matmul,
    "launch": streams.launch,
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a launch takes, and what stops it from being faster.

    `terms_s` are the parts of the time that stand beside each other or follow each other, `why`
    says it in a line. In a sweep the numbers are arrays.
    """

    kernel: str
    machine: str
    regime: Regime
    latency_s: Number
    clock_hz: Number
    energy_j: Number
    bound: str
    why: str
    terms_s: Mapping[str, Number]
    busy_cycles: Mapping[str, Number] = field(default_factory=dict)

    @property
    def power_w(self) -> Number:
        """Mean power of launches that follow each other [W]."""
        return self.energy_j / self.latency_s


def terms(
    kernel: KernelSchedule, gpu: Gpu, problem: Problem, fit: Parameters, *, exact: bool = True
) -> Terms:
    """One launch of a kernel as cycles, bytes and fixed times, before any clock is known."""
    return _TERMS[kernel.does](kernel, gpu, problem, fit, exact=exact)


def predict(  # noqa: PLR0913  the three values, and how to read them
    kernel: KernelSchedule,
    gpu: Gpu,
    problem: Problem,
    regime: Regime = "burst",
    *,
    fit: Parameters | None = None,
    exact: bool = True,
    locked_hz: float | None = None,
    burst_s: float = BURST_S,
    between: Work | None = None,
) -> Prediction:
    """What one launch of a kernel takes on a GPU.

    Args:
        kernel: The schedule.
        gpu: The machine.
        problem: Shape, dtypes, mask.
        regime: Clock of a short benchmark, of sustained replay, or the highest.
        fit: Calibrated parameters; those of the schedule if left out.
        exact: List scheduling block by block, or its closed form.
        locked_hz: A clock that the benchmark locked [Hz], instead of the regime's.
        burst_s: Length of a launch of which the power cap acts by half in a benchmark [s].
        between: What runs between two launches of the benchmark: the board's power, and with it the
            clock, is that of both in the mean.

    Raises:
        ScheduleError: The kernel cannot take the problem.
    """
    if problem.alternatives:
        ways = (replace(problem, alternatives=()), *problem.alternatives)
        tried = [
            predict(kernel, gpu, way, regime, fit=fit, exact=exact, locked_hz=locked_hz,
                    burst_s=burst_s, between=between)
            for way in ways
        ]  # fmt: skip
        return min(tried, key=lambda answer: float(answer.latency_s))
    found = terms(kernel, gpu, problem, fit or kernel.parameters, exact=exact)
    return answer(kernel, gpu, found, regime, locked_hz=locked_hz, burst_s=burst_s, between=between)


def answer(  # noqa: PLR0913  the launch, and how to read it
    kernel: KernelSchedule,
    gpu: Gpu,
    found: Terms,
    regime: Regime = "burst",
    *,
    locked_hz: float | None = None,
    burst_s: float = BURST_S,
    between: Work | None = None,
) -> Prediction:
    """What a launch takes whose terms are known, at the clock of a regime; see `predict`."""
    paced = found.work if between is None else _one_after_other(found.work, between)
    clock = locked_hz or clock_hz(paced, gpu, regime, burst_s)
    latency = found.work.time_s(clock)
    parts = {
        "compute": found.work.cycles / clock,
        "memory": found.work.memory_s,
        "fixed": found.work.fixed_s,
    }
    return Prediction(
        kernel=kernel.kernel,
        machine=gpu.name,
        regime=regime,
        latency_s=latency,
        clock_hz=clock,
        energy_j=energy_j(found.work, gpu, clock),
        bound=_bound(found, parts),
        why=found.why,
        terms_s=parts | dict(found.parts_s),
        busy_cycles=found.busy_cycles,
    )


def _bound(found: Terms, parts_s: Mapping[str, Number]) -> str:
    """What stops a launch: `memory`, `fixed`, a pipe of the SMs, or `latency`.

    The longest side does. Where that is the SMs', it is their busiest pipe only if that works for
    at least `HALF` of their time; else steps wait, for memory where that takes half of it, for each
    other and for the last SM otherwise.
    """
    sides = {name: largest(time) for name, time in parts_s.items()}
    side = max(sides, key=sides.__getitem__)
    if side != "compute":
        return side
    pipe = found.busy_cycles.get(found.pipe)
    if pipe is None or largest(pipe / found.work.cycles) >= HALF:
        return found.pipe
    return "memory" if sides["memory"] >= HALF * sides["compute"] else "latency"


def _one_after_other(launch: Work, between: Work) -> Work:
    """A launch and what follows it until the next; its time does not go with the launch's clock.

    >>> launch, copy = Work({"hbm": 1.0}, 8.0, 0.0, 0.5), Work({"hbm": 2.0}, 0.0, 3.0, 0.25)
    >>> both = _one_after_other(launch, copy)
    >>> both.actions, both.cycles, both.fixed_s
    ({'hbm': 3.0}, 8.0, 3.75)
    """
    actions = dict(launch.actions)
    for name, number in between.actions.items():
        actions[name] = actions.get(name, 0.0) + number
    fixed_s = launch.fixed_s + between.fixed_s + between.memory_s
    return replace(launch, actions=actions, fixed_s=fixed_s)
