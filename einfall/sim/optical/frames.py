"""Frames of one layer as steps of the Pipeline: planes are written, light passes, pixels are read.

A step is one frame. Parts share nothing; within one, each input plane meets each mask. Of the two
modulators the one in the inner loop changes with every frame, the other holds what it shows.

    frame = max( 1/f_in where the input changes, 1/f_mask where the mask does,
                 settling + exposures · exposure, exposures · max(1/f_cam, pixels/pixel rate),
                 bytes/link, mask FFT, gathering )

as frames overlap: the next is written beside the modulator while this one is shown, but nothing is
exposed while a plane settles. The first frame fills: load, settle, expose, fly 4f/c, read, convert.
Spectra of kernels that are data are made when they are first shown; where all of them are needed in
one round of the outer loop, the closed form takes the host to have begun earlier than it can.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Literal

from einfall.hw_models.library import Machine
from einfall.hw_models.optical_4f import Modulator, Optical4f
from einfall.sim.nest import Loop, Nest, Work
from einfall.sim.numeric import minimum
from einfall.sim.optical import host, light
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.planes import Planes
from einfall.sim.optical.tilings import Tiling
from einfall.sim.pipeline import Count, Dep, Phase, Task, Use

Held = Literal["input", "mask"]
"""The modulator that holds its plane while the other one changes."""

PLANES: tuple[Held, Held] = ("input", "mask")

EVERY = ("part", "input", "mask")
"""The loops of a frame."""

FFT_FLOPS = 5
"""Floating point operations of an FFT: 5 · n · log₂ n, split radix left out."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An Einsum on the planes: what it is, how it is tiled, in which order frames come."""

    name: str
    correlation: Correlation
    tiling: Tiling
    planes: Planes
    held: Held

    @property
    def inputs(self) -> int:
        """Input planes of a part."""
        return int(self.tiling.inputs * self.planes.inputs)

    @property
    def masks(self) -> int:
        """Masks of a part."""
        return int(self.tiling.masks * self.planes.masks)

    @property
    def frames(self) -> int:
        """Frames of the whole layer, each with all its exposures."""
        return int(self.tiling.parts) * self.inputs * self.masks

    def changes(self, plane: Held) -> int:
        """How often a modulator is written anew."""
        own = self.inputs if plane == "input" else self.masks
        other = self.masks if plane == "input" else self.inputs
        again = other if plane != self.held and own > 1 else 1
        return int(self.tiling.parts) * own * again

    @property
    def outputs(self) -> float:
        """Useful pixels of a full frame."""
        return float(self.tiling.lit * self.correlation.output_pixels)

    def window(self, side: int) -> float:
        """Pixels on which light falls in a full frame: those of its tiles, R² at most."""
        rows, columns = self.tiling.pitch
        return float(minimum(self.tiling.span * rows * columns, side**2))

    def pixels_read(self, optics: Optical4f) -> float:
        """Pixels that the camera reads of a full frame."""
        return self.outputs if optics.camera.reads == "useful" else self.window(optics.side)


def camera_s(optics: Optical4f, pixels: float) -> float:
    """Time in which a camera takes a picture of so many pixels: max(1/f, pixels/rate) [s]."""
    return max(1 / optics.camera.rate_hz, pixels / optics.camera.pixel_rate_hz)


def mask_fft_flops(side: int) -> float:
    """Operations that make a mask of a kernel: 5 · R² · log₂ R² [FLOP].

    >>> round(mask_fft_flops(2160) / 1e8, 1)
    5.2
    """
    return FFT_FLOPS * side**2 * log2(side**2)


def phase(layer: Layer, optics: Optical4f, machine: Machine, exposures: int) -> Phase:
    """The frames of a layer as a loop of steps."""
    outer, inner = ("input", "mask") if layer.held == "input" else ("mask", "input")
    extents = {"parts": int(layer.tiling.parts), "input": layer.inputs, "mask": layer.masks}
    loops = [Loop("part", "parts", 1), *(Loop(n, n, 1) for n in (outer, inner))]
    nest = Nest(extents, tuple(loops))
    return Phase(
        name=layer.name,
        nest=nest,
        tasks=tuple(_tasks(layer, optics, machine, exposures)),
    )


def _tasks(layer: Layer, optics: Optical4f, machine: Machine, exposures: int) -> list[Task]:
    fft = () if layer.correlation.known else (_mask_fft(optics, machine),)
    settles = [s for plane in PLANES for s in _settle(layer, optics, plane)]
    return [
        _load(layer, optics, "input"),
        *fft,
        _load(layer, optics, "mask"),
        *settles,
        _expose(layer, optics, tuple(task.name for task in settles)),
        _read(layer, optics, exposures),
        _gather(layer, machine, exposures),
    ]


def _at(layer: Layer, plane: Held) -> tuple[str, ...]:
    """The loops in each iteration of which a plane changes."""
    own = layer.inputs if plane == "input" else layer.masks
    outer = layer.held
    return ("part", plane) if plane == outer or own == 1 else ("part", outer, plane)


def _load(layer: Layer, optics: Optical4f, plane: Held) -> Task:
    """A frame goes over the link and onto its modulator, while the one before is shown."""
    modulator: Modulator = getattr(optics, plane)
    uses = [Use(plane, Work(1 / modulator.rate_hz))]
    counts = [Count(plane, "update", Work(modulator.side**2))]
    if not _is_stored(layer, modulator, plane):
        counts.append(Count("link", "byte", Work(modulator.frame_bytes)))
        if optics.host.link_bytes_per_s:
            uses.append(Use("link in", Work(modulator.frame_bytes / optics.host.link_bytes_per_s)))
    after = (Dep("mask FFT"),) if plane == "mask" and not layer.correlation.known else ()
    return Task(
        f"load {plane}",
        tuple(uses),
        _at(layer, plane),
        after=after,
        ahead=True,
        counts=tuple(counts),
    )


def _settle(layer: Layer, optics: Optical4f, plane: Held) -> list[Task]:
    """Time after a plane has changed in which no light may pass; none if it settles at once."""
    settling_s = getattr(optics, plane).settling_s
    if not settling_s:
        return []
    use = Use("light", Work(settling_s))
    return [Task(f"settle {plane}", (use,), _at(layer, plane), after=(Dep(f"load {plane}"),))]


def _is_stored(layer: Layer, modulator: Modulator, plane: Held) -> bool:
    """Whether the masks of all weights lie in memory beside the modulator, for every image."""
    distinct = int(layer.tiling.parts) * layer.masks
    return plane == "mask" and layer.correlation.known and distinct <= modulator.stored_frames


def _mask_fft(optics: Optical4f, machine: Machine) -> Task:
    flops = mask_fft_flops(optics.side)
    each = host.rate(machine, host.FLOP)
    count = Count(each.unit, host.FLOP, Work(flops))
    use = Use(each.unit, Work(flops * each.s), shared=True)
    return Task("mask FFT", (use,), ("part", "mask"), ahead=True, counts=(count,))


def _expose(layer: Layer, optics: Optical4f, settles: tuple[str, ...]) -> Task:
    """All exposures of a frame."""
    joules = light.light_j(optics, optics.word_bits, layer.window(optics.side))
    return Task(
        "expose",
        (Use("light", Work(joules / optics.laser.power_w)),),
        EVERY,
        after=tuple(Dep(name) for name in ("load input", "load mask", *settles)),
        latency_s=optics.flight_s,
        counts=(Count("laser", "joule", Work(joules)),),
    )


def _read(layer: Layer, optics: Optical4f, exposures: int) -> Task:
    """A picture of each exposure."""
    each = layer.pixels_read(optics)
    pixels = exposures * each
    sent = pixels * optics.camera.bits / 8
    uses = [Use("camera", Work(exposures * camera_s(optics, each)))]
    if optics.host.camera_link_bytes_per_s:
        uses.append(Use("link out", Work(sent / optics.host.camera_link_bytes_per_s), shared=True))
    return Task(
        "read",
        tuple(uses),
        EVERY,
        after=(Dep("expose"),),
        latency_s=optics.camera.latency_s + optics.converter.latency_s,
        counts=(
            Count("camera", "read", Work(pixels)),
            Count("converter", "conversion", Work(pixels)),
            Count("link", "byte", Work(sent)),
        ),
    )


def _gather(layer: Layer, machine: Machine, exposures: int) -> Task:
    """The root of each intensity, and its sum with other signs, digits, exposures and channels."""
    uses, counts = [], []
    for op in ("sqrt", "add"):
        each, n = host.rate(machine, op), exposures * layer.outputs
        uses.append(Use(each.unit, Work(n * each.s), shared=True))
        counts.append(Count(each.unit, op, Work(n)))
    return Task("gather", tuple(uses), EVERY, after=(Dep("read"),), counts=tuple(counts))
