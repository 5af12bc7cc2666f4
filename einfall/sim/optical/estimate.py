"""One verb: `estimate(cascade, shape, optics) -> OpticalEstimate`; time, energy, frames, light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models.library import Machine
from einfall.hw_models.optical_4f import Optical4f
from einfall.sim import closed_form, events
from einfall.sim.accounting import PHYSICAL, Accounting
from einfall.sim.numeric import Number
from einfall.sim.optical import host, light
from einfall.sim.optical.frames import Layer
from einfall.sim.optical.lowering import lower
from einfall.sim.optical.mapping import OpticalMapping
from einfall.sim.optical.tilings import tiles_of
from einfall.sim.pipeline import Phase, Task
from einfall.sim.pipeline_estimate import PipelineEstimate, plain_record

MASK_BITS: Mapping[str, float] = {"complex": 5.9, "amplitude": 3.0, "phase": 1.6}
"""Bits that waves through lenses and mask leave of the output, by what the mask modulates.

Errors of 1.7, 13 and 33 % of the output: a camera pixel sees the mean intensity, and a mask without
phase, or without amplitude, was not trained for. Source: `sim.optical.diffraction`, mean of three
random images and kernels with lenses that cut no light; `einfall validate optics`.
"""


@dataclass(frozen=True)
class OpticalEstimate(PipelineEstimate):
    """Time, energy and traffic of a cascade on a 4f system, and what binds it.

    `layers` are the Einsums that optics does, with their tilings; everything else is the host's.
    """

    device: Optical4f = field(repr=False)
    mapping: OpticalMapping
    accounting: Accounting = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def machine(self) -> str:
        """Name of the machine."""
        return self.device.name

    @property
    def host(self) -> Machine:
        """The machine that does what optics does not."""
        return host.host_of(self.device.host.machine)

    @property
    def frames(self) -> int:
        """Frames of all layers."""
        return sum(layer.frames for layer in self.layers)

    @property
    def cycles(self) -> Number:
        """The time in frames at the rate at which every plane can change."""
        return self.latency_s * self.device.frame_hz

    @property
    def bits(self) -> Mapping[str, float]:
        """Bits of a result that each part of the system leaves; the least counts."""
        o = self.device
        shot = light.bits_of(o.camera.full_well, o.camera.read_noise)
        n = light.exposures(o, o.word_bits)
        averaged = min(o.word_bits, shot + light.averaging_bits(n))
        return {
            "word": o.word_bits,
            "camera": o.camera.bits,
            "shot": averaged,
            "optics": MASK_BITS[o.mask.modulates],
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader could take for granted and is not so."""
        o, found = self.device, []
        if self.accounting.published:
            return (
                "--accounting artifact counts each single-channel convolution as 4 frames, and "
                "nothing of signs, fill, masks, transfers or the host",
            )
        exposures = light.exposures(o, o.word_bits)
        if exposures > 1:
            well = light.bits_of(o.camera.full_well, o.camera.read_noise)
            found.append(
                f"each frame takes {exposures} exposures for {o.word_bits:g} bits: a full well "
                f"gives {well:.1f}"
            )
        if o.mask.modulates != "complex":
            found.append(
                f"a mask that modulates {o.mask.modulates} alone leaves about "
                f"{MASK_BITS[o.mask.modulates]:g} bits of kernels that were not trained for it"
            )
        return tuple(found)

    def action_energy_j(self, component: str, action: str) -> Number:
        """Energy of one action [J]."""
        o = self.device
        if component.startswith("host."):
            return host.memory(self.host).j if action == "byte" else host.rate(self.host, action).j
        each = {
            "input": o.input.update_energy_j,
            "mask": o.mask.update_energy_j,
            "camera": o.camera.read_energy_j,
            "converter": o.converter.energy_j,
            "laser": 1 / o.laser.efficiency,
            "link": o.host.link_j_per_byte,
        }
        return each[component]

    def line_name(self, phase: Phase, task: Task) -> str:
        """Tasks of frames are told apart by their layer."""
        return task.name if phase.name.startswith("host") else f"{phase.name}: {task.name}"

    @cached_property
    def parts_j(self) -> Mapping[str, Number]:
        """Energy by part: modulators, laser, camera, converter, link, host, static power [J]."""
        found: dict[str, Number] = {}
        for (component, action), n in self.counts.items():
            more = n * self.action_energy_j(component, action)
            found[component] = found.get(component, 0.0) + more
        return found | {"static": self.device.static_power_w * self.latency_s}

    @cached_property
    def traffic_bytes(self) -> Mapping[str, Number]:
        """Bytes over the link to the optics and back, and through the host's memory."""
        memory = self.counts.get(("host.memory", "byte"), 0.0)
        return {"link": self.counts.get(("link", "byte"), 0.0), "host.memory": memory}

    @cached_property
    def utilization(self) -> Mapping[str, Number]:
        """Part of the time for which each resource works; `plane`: useful of all multiply-adds.

        A frame could do R² multiply-adds of dot products, or those of its convolutions if all of
        the plane held tiles.
        """
        parts = {name: busy / self.latency_s for name, busy in self.busy_s.items()}
        return {"plane": self._plane} | parts

    @property
    def _plane(self) -> float:
        """Tiles that hold a useful pair, over all tiles of all frames."""
        full = sum(
            layer.frames * int(tiles_of(self.device.side, layer.tiling.pitch))
            for layer in self.layers
        )
        useful = sum(float(layer.correlation.pairs) for layer in self.layers)
        return useful / full if full else 0.0

    def record(self) -> dict[str, Any]:
        """The JSON document of the command line: plain numbers, lists and texts."""
        return {
            "cascade": self.cascade,
            "machine": self.machine,
            "mapping": self.mapping.name,
            "accounting": self.accounting.name,
            "host": self.device.host.machine,
            "mask": self.mask,
            "latency_s": plain_record(self.latency_s),
            "cycles": plain_record(self.cycles),
            "frames": self.frames,
            "energy_j": plain_record(self.energy_j),
            "traffic_bytes": plain_record(self.traffic_bytes),
            "utilization": plain_record(self.utilization),
            "bound": plain_record(self.bound),
            "bits": dict(self.bits),
            "busy_s": plain_record(self.busy_s),
            "energy_parts_j": plain_record(self.parts_j),
            "phases_s": plain_record(self.phases_s),
            "layers": [_layer_record(layer, self.device) for layer in self.layers],
            "breakdown": [plain_record(asdict(line)) for line in self.breakdown],
        }


def _layer_record(layer: Layer, optics: Optical4f) -> dict[str, Any]:
    tiling, c = layer.tiling, layer.correlation
    return {
        "einsum": layer.name,
        "tiling": tiling.name,
        "held": layer.held,
        "pitch": [int(p) for p in tiling.pitch],
        "images_a_frame": int(tiling.images),
        "kernels_a_frame": int(tiling.kernels),
        "channels_a_frame": int(tiling.channels),
        "groups_a_frame": int(tiling.groups),
        "frames": layer.frames,
        "sign_frames": layer.planes.sigma,
        "bit_frames": int(layer.planes.rho),
        "pairs": int(c.pairs),
        "macs": int(c.macs),
        "pixels_read": layer.pixels_read(optics),
    }


def estimate(  # noqa: PLR0913  the values of the design, and two switches
    cascade: Cascade,
    shape: Mapping[str, int],
    optics: Optical4f,
    mapping: OpticalMapping | None = None,
    *,
    accounting: Accounting = PHYSICAL,
    simulate: bool = False,
) -> OpticalEstimate:
    """Time, energy and traffic of a cascade of a shape on a 4f system and its host.

    Args:
        cascade: What is computed.
        shape: Sizes by shape key; plain numbers.
        optics: On what.
        mapping: How it is tiled; the fastest tiling of each layer if left out.
        accounting: What is charged; the published one counts convolutions and nothing else.
        simulate: Time by the event simulation in place of the closed form.

    Raises:
        ShapeError: The shape does not fit the cascade.
        MappingError: Nothing is for the optics, a pair does not fit the plane, or the host lacks an
            operation.

    >>> from einfall.einsum_cascades import load
    >>> from einfall.hw_models import load as load_machine
    >>> ideal = load_machine("optical_4f_ideal")
    >>> found = estimate(load("mlp"), {"tokens": 197, "model_dim": 768, "ffn_dim": 3072}, ideal)
    >>> found.accounting.name, [layer.tiling.name for layer in found.layers]
    ('physical', ['mix', 'mix'])
    """
    mapping = mapping or OpticalMapping()
    sizes = rank_sizes(cascade, shape)
    lowered = lower(cascade, sizes, optics, mapping, accounting)
    simulation = events.simulate(lowered.pipeline) if simulate else None
    timing = simulation.timing if simulation else closed_form.evaluate(lowered.pipeline)
    return OpticalEstimate(
        cascade.name,
        lowered.pipeline,
        timing,
        simulation,
        str(cascade.mask.spec) if cascade.mask else None,
        optics,
        mapping,
        accounting,
        lowered.layers,
    )
