"""The hierarchical roofline: what each unit and each memory alone would allow, and what is reached.

FLOP are those of products, a multiply-add being two; whatever else a unit does is a roof of its
own, as the FLOP a second of the whole if that unit were never idle. So every roof is

    FLOP / (time that the unit needs for its part)          a flat one
    bandwidth · FLOP / bytes of the level                   a sloped one, FLOP / bytes the intensity

and since no unit needs longer than all takes, no estimate reaches above a roof. An exponential unit
is flat at FLOP an exponential · exponentials a second.

Left out: the power cap (roofs of a GPU are at its highest clock), its FP32 lanes unless they do the
products, and the instructions of loops.

Source:
    Williams, Waterman, Patterson, "Roofline", CACM 2009; with levels: Ilic, Pratas, Sousa,
    "Cache-aware Roofline model", IEEE CAL 2014; Yang, Kurth, Williams, arXiv:2009.05257.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from einfall.einsum_cascades.counts import ops_per_point
from einfall.sim.estimate import Estimate
from einfall.sim.gpu.estimate import GpuEstimate

if TYPE_CHECKING:
    from einfall.einsum_cascades.einsum import Cascade
    from einfall.hw_models.spatial_array import SpatialArray
    from einfall.sim.optical.estimate import OpticalEstimate
    from einfall.sim.pipeline import Phase, Task


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that computes: the time that it needs for its part of the work [s]."""

    name: str
    needs_s: float
    resource: Literal["compute", "exp"] = "compute"


@dataclass(frozen=True, slots=True)
class Level:
    """A memory or a link: its rate [B/s], and the bytes that move through it."""

    name: str
    bytes_per_s: float
    moved_bytes: float
    resource: Literal["memory", "shared", "link"] = "memory"


@dataclass(frozen=True, slots=True)
class Work:
    """What a roofline shows: FLOP of products, and what units and levels have to do for them."""

    flops: float
    units: tuple[Unit, ...]
    levels: tuple[Level, ...]

    def table(self, name: str, latency_s: float, bound: str) -> list[dict[str, Any]]:
        """The roofs, and a point for each level.

        Args:
            name: What the points are called.
            latency_s: Time that was taken [s].
            bound: What binds.

        Returns:
            Records of kind "roof": name, resource, and flops_per_s or bytes_per_s; and of kind
            "point": name, level, flop_per_byte, flops_per_s, bound. What has nothing to do is left
            out.

        >>> work = Work(8e12, (Unit("tensor", 0.8),), (Level("hbm", 2e12, 1e12),))
        >>> tensor, hbm, point = work.table("a", latency_s=1.0, bound="tensor")
        >>> tensor["flops_per_s"], point["flop_per_byte"], point["flops_per_s"]
        (10000000000000.0, 8.0, 8000000000000.0)
        """
        levels = [level for level in self.levels if level.moved_bytes > 0]
        flat = [
            {"kind": "roof", "name": u.name, "resource": u.resource,
             "flops_per_s": self.flops / u.needs_s}
            for u in self.units if u.needs_s > 0
        ]  # fmt: skip
        sloped = [
            {"kind": "roof", "name": level.name, "resource": level.resource,
             "bytes_per_s": level.bytes_per_s}
            for level in levels
        ]  # fmt: skip
        points = [
            {"kind": "point", "name": name, "level": level.name,
             "flop_per_byte": self.flops / level.moved_bytes,
             "flops_per_s": self.flops / latency_s, "bound": bound}
            for level in levels
        ]  # fmt: skip
        return [*flat, *sloped, *points]


def roofline(
    cascade: Cascade, estimate: Estimate | GpuEstimate | OpticalEstimate
) -> list[dict[str, Any]]:
    """The roofs of a machine for a cascade, and the points of its estimate.

    Args:
        cascade: What was estimated.
        estimate: The answer, plain numbers, on a machine of any kind.

    Returns:
        Records as `Work.table` has them; none for a cascade without a product.
    """
    if isinstance(estimate, GpuEstimate):
        work = on_gpu(estimate)
    elif isinstance(estimate, Estimate):
        work = on_array(cascade, estimate)
    else:
        work = on_optics(estimate)
    if not work.flops:
        return []
    return work.table(cascade.name, float(estimate.latency_s), str(estimate.bound))


# Spatial arrays -----------------------------------------------------------------------------------


def on_array(cascade: Cascade, e: Estimate) -> Work:
    """Products at the peak of the units that do them, exponentials unit by unit, all else of each.

    A unit needs, with all its elements at work, `utilization · latency`; its peak of products is
    that of 2 FLOP every `cycles(mac)` in each element.
    """
    macs, exps = _of_units(cascade, e, "mac"), _of_units(cascade, e, "exp")
    array, latency = e.device, float(e.latency_s)
    rate = sum(_per_s(array, unit, "mac") for unit, n in macs.items() if n)
    whole = {unit: float(part) * latency for unit, part in e.utilization.items()}
    buffer = array.buffer
    return Work(
        2 * sum(macs.values()),
        (
            *([Unit("products", sum(macs.values()) / rate)] if rate else []),
            *(
                Unit(f"exp on {unit}", n / _per_s(array, unit, "exp"), "exp")
                for unit, n in exps.items()
                if n
            ),
            *(Unit(unit, needs_s) for unit, needs_s in whole.items()),
        ),
        (
            Level("buffer", buffer.ports * buffer.row_bytes * array.clock_hz,
                  float(e.traffic_bytes["buffer"])),
            Level("dram", array.dram.bandwidth_bytes_per_s, float(e.traffic_bytes["dram"])),
        ),
    )  # fmt: skip


def _per_s(array: SpatialArray, unit: str, kind: str) -> float:
    """Operations of a kind that all elements of a unit do in a second, composed or not."""
    return array.units[unit].pes * array.clock_hz / array.units[unit].cycles(kind)


def _of_units(cascade: Cascade, e: Estimate, kind: str) -> dict[str, float]:
    """How many operations of a kind, as the cascade writes them, each unit does."""
    found: dict[str, float] = dict.fromkeys(e.device.units, 0.0)
    for phase, task in e.pipeline.tasks():
        einsum = cascade.by_name.get(task.name)
        if einsum is not None and task.resource in found:
            ops = ops_per_point(einsum)
            if ops.get(kind):
                found[task.resource] += ops[kind] * _points(e.device, phase, task, ops)
    return found


def _points(array: SpatialArray, phase: Phase, task: Task, ops: Mapping[str, int]) -> float:
    """Points of an Einsum that are computed, from what its first dedicated op counts."""
    dedicated = array.units[task.resource].primitives_of(ops)
    for count in task.counts:
        if count.component == task.resource and dedicated.get(count.action):
            at = task.at if count.at is None else count.at
            return float(count.amount.total(phase.nest, at)) / dedicated[count.action]
    return 0.0


# GPUs ---------------------------------------------------------------------------------------------


def on_gpu(e: GpuEstimate) -> Work:
    """Tensor cores and exponential unit at the highest clock; shared memory, L2 and HBM.

    A pipe needs the cycles that are counted, or those that its fit found where they are fewer.
    """
    gpu, boost = e.gpu, e.gpu.clock.boost_hz
    needs = {name: float(x) / boost for name, x in e.least_cycles.items()}
    peak_s = e.flops / (e.peak_flops_per_clock * boost)
    moved = e.traffic_bytes
    shared = gpu.shared_bytes_per_clock * boost
    return Work(
        e.flops,
        (
            Unit(f"{e.product_unit} {e.problem.dtype}", peak_s),
            *([Unit("mufu", needs["mufu"], "exp")] if "mufu" in needs else []),
        ),
        (
            Level("shared", shared, needs.get("shared", 0.0) * shared, "shared"),
            Level("l2", gpu.l2.bandwidth_bytes_per_s, moved["l2"]),
            Level("hbm", gpu.hbm.bandwidth_bytes_per_s, moved["hbm"]),
        ),
    )


# Optics -------------------------------------------------------------------------------------------


def on_optics(e: OpticalEstimate) -> Work:
    """Planes, light, camera and host as long as each is busy; the link's two ways are slopes.

    FLOP are those of the layers that optics does, useful ones alone. A machine whose transfers cost
    no time has no slope, and so no point.
    """
    host, busy = e.device.host, {name: float(s) for name, s in e.busy_s.items()}
    moved = {name: float(n) for name, n in e.traffic_bytes.items()}
    rates = {"link in": host.link_bytes_per_s, "link out": host.camera_link_bytes_per_s}
    links = [Level(n, r, busy.get(n, 0.0) * r, "link") for n, r in rates.items() if r is not None]
    if busy.get("host.memory"):
        rate = moved["host.memory"] / busy["host.memory"]
        links.append(Level("host.memory", rate, moved["host.memory"]))
    levels = {level.name for level in links}
    return Work(
        2 * float(sum(layer.correlation.macs for layer in e.layers)),
        tuple(
            Unit(name, needs_s, "exp" if name == "host.mufu" else "compute")
            for name, needs_s in busy.items()
            if name not in levels
        ),
        tuple(links),
    )
