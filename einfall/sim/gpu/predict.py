"""One verb: `predict(kernel, gpu, problem, regime) -> Prediction`; time, energy, clock and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu import decode, fused, scans, streams, unfused
from einfall.sim.gpu.power import BURST_S, Regime, clock_hz, energy_j
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters
from einfall.sim.gpu.terms import Terms
from einfall.sim.numeric import Number, largest

LOWER: Mapping[str, Callable[..., Terms]] = {
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

    Raises:
        ScheduleError: The kernel cannot take the problem.
    """
    if problem.alternatives:
        ways = (replace(problem, alternatives=()), *problem.alternatives)
        tried = [
            predict(
                kernel, gpu, way, regime, fit=fit, exact=exact, locked_hz=locked_hz, burst_s=burst_s
            )
            for way in ways
        ]
        return min(tried, key=lambda answer: float(answer.latency_s))
    found = LOWER[kernel.does](kernel, gpu, problem, fit or kernel.parameters, exact=exact)
    clock = locked_hz or clock_hz(found.work, gpu, regime, burst_s)
    latency = found.work.time_s(clock)
    parts = {
        "compute": found.work.cycles / clock,
        "memory": found.work.memory_s,
        "fixed": found.work.fixed_s,
    }
    bound = max(parts, key=lambda name: largest(parts[name]))
    if bound == "compute":
        bound = found.pipe
    return Prediction(
        kernel=kernel.kernel,
        machine=gpu.name,
        regime=regime,
        latency_s=latency,
        clock_hz=clock,
        energy_j=energy_j(found.work, gpu, clock),
        bound=bound,
        why=found.why,
        terms_s=parts | dict(found.parts_s),
        busy_cycles=found.busy_cycles,
    )
