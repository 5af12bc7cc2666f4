"""What every estimate made of a Pipeline answers, whatever the machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from einfall.sim import events
from einfall.sim.numeric import Number, is_array
from einfall.sim.pipeline import Phase, Pipeline, Task, Timing, counts, task_busy_s


@dataclass(frozen=True, slots=True)
class Line:
    """What one Einsum or transfer takes: its unit, busy time [s], energy [J], utilization."""

    einsum: str
    unit: str
    busy_s: Number
    energy_j: Number
    utilization: Number


@dataclass(frozen=True)
class PipelineEstimate(ABC):
    """Time and energy of a cascade by its Pipeline, and what binds it.

    Numbers are in base units; in a sweep every number is an array. The time is worked out at once,
    everything else when it is asked for. `mask` is the text of the cascade's mask.
    """

    cascade: str
    pipeline: Pipeline = field(repr=False, compare=False)
    timing: Timing
    simulation: events.Simulation | None = field(repr=False, compare=False)
    mask: str | None

    @abstractmethod
    def action_energy_j(self, component: str, action: str) -> Number:
        """Energy of one action [J]."""

    def is_charged(self, action: str) -> bool:
        """Whether the accounting charges the energy of an action."""
        return True

    def utilization_of(self, phase: Phase, task: Task) -> Number:
        """Part of the time in which every element of the task's main resource works for it."""
        busy = task_busy_s(phase, task)
        useful = busy if task.useful_s is None else task.useful_s.total(phase.nest, task.at)
        return useful / self.latency_s

    @property
    def latency_s(self) -> Number:
        """Time of the whole cascade [s]."""
        return self.timing.latency_s

    @property
    def busy_s(self) -> MappingOf[str, Number]:
        """Time for which each resource is in use [s]."""
        return self.timing.busy_s

    @property
    def phases_s(self) -> MappingOf[str, Number]:
        """Time of each phase [s]; they follow each other."""
        return dict(self.timing.phases)

    @cached_property
    def bound(self) -> Any:  # noqa: ANN401
        """The resource that is busy longest; an array of names in a sweep."""
        return _argmax(self.busy_s)

    @cached_property
    def counts(self) -> MappingOf[tuple[str, str], Number]:
        """How often each action happens: {(component, action): n}."""
        return counts(self.pipeline)

    @cached_property
    def parts_j(self) -> MappingOf[str, Number]:
        """Energy by component and action, such as `2d.mac` [J]."""
        return {
            f"{component}.{action}": n * self.action_energy_j(component, action)
            for (component, action), n in self.counts.items()
            if self.is_charged(action)
        }

    @property
    def energy_j(self) -> Number:
        """Energy of all parts [J]."""
        return sum(self.parts_j.values(), start=0.0)

    @cached_property
    def breakdown(self) -> tuple[Line, ...]:
        """What each Einsum and each transfer takes, in program order."""
        return tuple(self._line(phase, task) for phase, task in self.pipeline.tasks())

    def _line(self, phase: Phase, task: Task) -> Line:
        energy: Number = 0.0
        for count in task.counts:
            if self.is_charged(count.action):
                n = count.amount.total(phase.nest, task.at if count.at is None else count.at)
                energy = energy + n * self.action_energy_j(count.component, count.action)
        busy = task_busy_s(phase, task)
        name = self.line_name(phase, task)
        return Line(name, task.resource, busy, energy, self.utilization_of(phase, task))

    def line_name(self, phase: Phase, task: Task) -> str:
        """What a task is called beside those of other phases."""
        return task.name


def _argmax(busy_s: MappingOf[str, Number]) -> Any:  # noqa: ANN401
    """Name of the busiest resource; an array of names in a sweep."""
    if not any(is_array(x) for x in busy_s.values()):
        return max(busy_s, key=lambda name: busy_s[name])
    import numpy as np

    names = np.array(list(busy_s))
    return names[np.argmax(np.stack(np.broadcast_arrays(*busy_s.values())), axis=0)]


def plain_record(value: Any) -> Any:  # noqa: ANN401
    """Numbers, lists and dicts that JSON can hold."""
    if isinstance(value, MappingOf):
        return {key: plain_record(x) for key, x in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
