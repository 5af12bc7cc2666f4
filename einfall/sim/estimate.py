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
from einfall.sim.numeric import Number, product
from einfall.sim.pipeline_estimate import PipelineEstimate, plain_record
from einfall.sim.schedule import steps
from einfall.sim.spatial import lower
from einfall.sim.tiling import split_tiles

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import Mask


@dataclass(frozen=True)
class Estimate(PipelineEstimate):
    """Time, energy and traffic of a cascade on a spatial array, and what binds it.

    Numbers are in base units; in a sweep every number is an array. The time is worked out at once,
    everything else when it is asked for. `mask` is the text of the cascade's mask, and
    `attended_pairs` the (query, key) pairs that it leaves, of all heads and sequences.
    """

    device: SpatialArray = field(repr=False)
    mapping: Mapping = field(repr=False)
    accounting: Accounting = field(repr=False)
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
    def cycles(self) -> Number:
        """The same time in cycles of the machine's clock."""
        return self.latency_s * self.device.clock_hz

    def action_energy_j(self, component: str, action: str) -> Number:
        """Energy of one action [J]; no leakage, no network."""
        return action_energy_j(self.device, component, action)

    def is_charged(self, action: str) -> bool:
        """Whether its energy is charged: the published accounting leaves some operations out."""
        return action not in self._unpaid

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
            "attended_pairs": plain_record(self.attended_pairs),
            "visited_tiles": plain_record(self.visited_tiles),
            "latency_s": plain_record(self.latency_s),
            "cycles": plain_record(self.cycles),
            "energy_j": plain_record(self.energy_j),
            "traffic_bytes": plain_record(self.traffic_bytes),
            "utilization": plain_record(self.utilization),
            "bound": plain_record(self.bound),
            "busy_s": plain_record(self.busy_s),
            "energy_parts_j": plain_record(self.parts_j),
            "phases_s": plain_record(self.phases_s),
            "breakdown": [plain_record(asdict(line)) for line in self.breakdown],
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
        pipeline,
        timing,
        simulation,
        str(cascade.mask.spec) if cascade.mask else None,
        array,
        mapping,
        accounting,
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
