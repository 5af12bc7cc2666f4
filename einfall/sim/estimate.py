"""One verb: `estimate(cascade, shape, machine, mapping) -> Estimate`; time, energy and traffic."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.masked import masks_of
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.library import Machine, as_array
from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim import closed_form, events
from einfall.sim.accounting import PHYSICAL, Accounting
from einfall.sim.mapping import Mapping
from einfall.sim.numeric import Number, is_array, product
from einfall.sim.pipeline import Phase, Pipeline, Task, Timing, counts, task_busy_s
from einfall.sim.schedule import steps
from einfall.sim.spatial import lower
from einfall.sim.tiling import split_tiles

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import Mask


@dataclass(frozen=True, slots=True)
class Line:
    """What one Einsum or transfer takes: its unit, busy time [s], energy [J], utilization."""

    einsum: str
    unit: str
    busy_s: Number
    energy_j: Number
    utilization: Number


@dataclass(frozen=True)
class Estimate:
    """Time, energy and traffic of a cascade on a machine, and what binds it.

    Numbers are in base units; in a sweep every number is an array. The time is worked out at once,
    everything else when it is asked for. `mask` is the text of the cascade's mask, and
    `attended_pairs` the (query, key) pairs that it leaves, of all heads and sequences.
    """

    cascade: str
    device: SpatialArray = field(repr=False)
    mapping: Mapping = field(repr=False)
    accounting: Accounting = field(repr=False)
    pipeline: Pipeline = field(repr=False, compare=False)
    timing: Timing
    simulation: events.Simulation | None = field(default=None, repr=False, compare=False)
    mask: str | None = None
    attended_pairs: Number | None = None

    @property
    def visited_tiles(self) -> Number | None:
        """Pairs of query and key tiles that are run, by the first group that cuts the keys.

        Of all heads and sequences; None without a mask, or where whole rows of keys are run.
        """
        for nest in (phase.nest for phase in self.pipeline.phases):
            if nest.visits and nest.visits.keys in {loop.rank for loop in nest.loops}:
                return steps(nest)
        return None

    @property
    def machine(self) -> str:
        """Name of the machine."""
        return self.device.name

    @property
    def latency_s(self) -> Number:
        """Time of the whole cascade [s]."""
        return self.timing.latency_s

    @property
    def cycles(self) -> Number:
        """The same time in cycles of the machine's clock."""
        return self.latency_s * self.device.clock_hz

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
        unpaid = self._unpaid
        return {
            f"{component}.{action}": n * action_energy_j(self.device, component, action)
            for (component, action), n in self.counts.items()
            if action not in unpaid
        }

    @property
    def energy_j(self) -> Number:
        """Energy of all actions [J]; no leakage, no network."""
        return sum(self.parts_j.values(), start=0.0)

    @cached_property
    def traffic_bytes(self) -> MappingOf[str, Number]:
        """Bytes through DRAM and through the buffer (whole rows)."""
        moved: dict[str, Number] = {"dram": 0.0, "buffer": 0.0}
        for (component, _), n in self.counts.items():
            if component in moved:
                moved[component] = moved[component] + n
        moved["buffer"] = moved["buffer"] * self.device.buffer.row_bytes
        return moved

    @cached_property
    def utilization(self) -> MappingOf[str, Number]:
        """For each unit the part of all its elements' time in which they work."""
        useful: dict[str, Number] = dict.fromkeys(self.device.units, 0.0)
        for phase, task in self.pipeline.tasks():
            if task.useful_s is not None:
                spent = task.useful_s.total(phase.nest, task.at)
                useful[task.resource] = useful[task.resource] + spent
        return {unit: spent / self.latency_s for unit, spent in useful.items()}

    @cached_property
    def breakdown(self) -> tuple[Line, ...]:
        """What each Einsum and each transfer takes, in program order."""
        return tuple(self._line(phase, task) for phase, task in self.pipeline.tasks())

    def _line(self, phase: Phase, task: Task) -> Line:
        energy: Number = 0.0
        for count in task.counts:
            if count.action not in self._unpaid:
                n = count.amount.total(phase.nest, task.at if count.at is None else count.at)
                each = action_energy_j(self.device, count.component, count.action)
                energy = energy + n * each
        busy = task_busy_s(phase, task)
        useful = busy if task.useful_s is None else task.useful_s.total(phase.nest, task.at)
        return Line(task.name, task.resource, busy, energy, useful / self.latency_s)

    @property
    def _unpaid(self) -> frozenset[str]:
        """Ops whose energy the published accounting leaves out."""
        if not self.accounting.published:
            return frozenset()
        return frozenset(op for group in self.mapping.groups for op in group.published.unpaid)

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line: plain numbers, lists and texts."""
        return {
            "cascade": self.cascade,
            "machine": self.machine,
            "mapping": self.mapping.name,
            "accounting": self.accounting.name,
            "mask": self.mask,
            "attended_pairs": _plain(self.attended_pairs),
            "visited_tiles": _plain(self.visited_tiles),
            "latency_s": _plain(self.latency_s),
            "cycles": _plain(self.cycles),
            "energy_j": _plain(self.energy_j),
            "traffic_bytes": _plain(self.traffic_bytes),
            "utilization": _plain(self.utilization),
            "bound": _plain(self.bound),
            "busy_s": _plain(self.busy_s),
            "energy_parts_j": _plain(self.parts_j),
            "phases_s": _plain(self.phases_s),
            "breakdown": [_plain(asdict(line)) for line in self.breakdown],
        }


def estimate(  # noqa: PLR0913 - the four values of the design, and two switches
    cascade: Cascade,
    shape: MappingOf[str, Number],
    machine: Machine,
    mapping: Mapping,
    *,
    accounting: Accounting = PHYSICAL,
    simulate: bool = False,
) -> Estimate:
    """Time, energy and traffic of a cascade of a shape, mapped onto a machine.

    Tiles that the cascade's mask does not visit are left out of all of them; a tile that it visits
    in part is work as a whole (`spatial.lower` has the rules).

    Args:
        cascade: What is computed.
        shape: Sizes by shape key (`batch`, `heads`, `queries` …); numbers or arrays, of a masked
            cascade only such arrays that the mask does not depend on.
        machine: On what; its fields may be arrays.
        mapping: How.
        accounting: What is charged.
        simulate: Time by the event simulation in place of the closed form; plain numbers only.

    Returns:
        The estimate; arrays in, arrays out.

    Raises:
        SpecError: The machine is no spatial array.
        ShapeError: The shape does not fit the cascade, or its mask.
        MappingError: The mapping does not fit the cascade or the machine, or there are too many
            tiles under a mask to be simulated one by one.
    """
    array = as_array(machine)
    sizes = rank_sizes(cascade, shape, split_tiles(cascade, array, mapping))
    masks = masks_of(cascade, sizes)
    pipeline = lower(cascade, sizes, array, mapping, accounting, masks)
    simulation = events.simulate(pipeline) if simulate else None
    timing = simulation.timing if simulation else closed_form.evaluate(pipeline)
    return Estimate(
        cascade.name,
        array,
        mapping,
        accounting,
        pipeline,
        timing,
        simulation,
        mask=str(cascade.mask.spec) if cascade.mask else None,
        attended_pairs=_attended_pairs(cascade, sizes, masks),
    )


def _attended_pairs(
    cascade: Cascade, sizes: MappingOf[str, Number], masks: tuple[Mask, ...]
) -> Number | None:
    """Pairs that the masks leave, of all heads and sequences; None without a mask."""
    if cascade.mask is None:
        return None
    heads = sizes[cascade.mask.heads] if cascade.mask.heads and len(masks) == 1 else 1
    sequences = [sizes[rank.symbol] for rank in cascade.ranks if rank.shape_key == "batch"]
    return product([sum(mask.pairs for mask in masks), heads, *sequences])


def action_energy_j(machine: SpatialArray, component: str, action: str) -> Number:
    """Energy of one action [J]: an op or a register access of a unit, a buffer row, a DRAM byte."""
    if component == "dram":
        return machine.dram.access_energy_j / machine.dram.access_bytes
    if component == "buffer":
        return getattr(machine.buffer, f"{action}_energy_j")
    unit = machine.units[component]
    if action.startswith("register_"):
        return getattr(unit.registers, f"{action.removeprefix('register_')}_energy_j")
    return unit.energy_j(action)


def _argmax(busy_s: MappingOf[str, Number]) -> Any:  # noqa: ANN401
    """Name of the busiest resource; an array of names in a sweep."""
    if not any(is_array(x) for x in busy_s.values()):
        return max(busy_s, key=lambda name: busy_s[name])
    import numpy as np

    names = np.array(list(busy_s))
    return names[np.argmax(np.stack(np.broadcast_arrays(*busy_s.values())), axis=0)]


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Numbers, lists and dicts that JSON can hold."""
    if isinstance(value, MappingOf):
        return {key: _plain(x) for key, x in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
