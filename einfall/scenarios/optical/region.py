"""Where a published speedup of optics over a GPU holds, when neither GPU nor tiling is public.

    speedup = T_gpu / T_4f >= s      is the region      T_gpu >= s · T_4f

    T_4f(batch) = depth · Σ over linear layers of frames(tiling, batch) · σ · t_conv / batch

in which only linear layers count, as in the papers' own convention. A token is a map of p x p
numbers; a linear layer is a set of kernels of its size, one number each (`shared_linear`). Beside
the region stand GPU times that are known, rooflines of GPUs for the same network, and 4f systems
with everything charged (`convsharevit_block`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from einfall.einsum_cascades import load as load_cascade
from einfall.einsum_cascades.counts import elements, ops
from einfall.einsum_cascades.shapes import rank_sizes
from einfall.hw_models import load
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.yaml_door import Spec
from einfall.scenarios.findings import Findings, Record, number
from einfall.scenarios.optical.costs import Cost, Demand, optical, roofline
from einfall.scenarios.optical.layers import WORD_BYTES
from einfall.scenarios.optical.systems import System
from einfall.scenarios.optical.texts import amount, times
from einfall.scenarios.tables import text_table
from einfall.sim.optical.correlation import Correlation, Pitch
from einfall.sim.optical.estimate import estimate
from einfall.sim.optical.tilings import Name, tiles_of, tilings
from einfall.units import Seconds

CASCADE = "convsharevit_block"

Count = Annotated[int, Field(ge=1)]
PITCHES: tuple[Pitch, ...] = ("full", "clean")


CHARGED, ROOFLINE, KNOWN = "everything charged", "roofline", "known"
"""Status of a time: of a 4f system with nothing left out, of another machine, of a GPU as told."""


class Way(NamedTuple):
    """How tokens and kernels lie on a plane."""

    tiling: Name
    pitch: Pitch


class Network(Spec):
    """A transformer whose tokens are maps of `map_side` x `map_side` numbers, heads as wide."""

    map_side: Count
    tokens: Count
    depth: Count
    heads: Count
    ffn_dim: Count

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return self.map_side**2

    def shape(self, batch: int) -> dict[str, int]:
        """The shape of one block."""
        return {
            "batch": batch,
            "heads": self.heads,
            "tokens": self.tokens,
            "map_height": self.map_side,
            "map_width": self.map_side,
            "ffn_dim": self.ffn_dim,
        }

    def layers(self, batch: int, *, projection: bool) -> Iterator[Correlation]:
        """The linear layers of a block as (kernels, maps that are summed) for all tokens.

        Q, K, V: (heads·width, 1)   projection: (width, heads)   MLP: (ffn, 1), (width, ffn/width)
        """
        pieces = -(-self.ffn_dim // self.width)
        pairs = [(self.heads * self.width, 1)] * 3 + [(self.ffn_dim, 1), (self.width, pieces)]
        sides = (self.map_side, self.map_side)
        for kernels, channels in [*pairs, *[(self.width, self.heads)] * projection]:
            yield Correlation(
                batch * self.tokens, kernels, sides, sides, "valid", channels=channels
            )

    def kernels(self, *, projection: bool) -> int:
        """Kernels of all blocks, each as large as a token.

        >>> vit = Network(map_side=8, tokens=145, depth=8, heads=4, ffn_dim=128)
        >>> vit.kernels(projection=False), vit.kernels(projection=True)
        (8192, 10240)
        """
        each = self.layers(1, projection=projection)
        return self.depth * sum(int(c.kernels * c.channels) for c in each)


class Known(Spec):
    """A GPU time that somebody published: of an image, at a batch; the network may be another."""

    name: str
    batch: Count
    time_s: Seconds = Field(alias="time")


class OpticalRegion(Spec):
    """A scenario of `kind: optical_region`."""

    kind: Literal["optical_region"]
    name: str
    about: str = ""
    source: str = ""
    note: str = ""
    speedup: Annotated[float, Field(gt=0)]
    network: Network
    planes: str
    tilings: Annotated[tuple[Name, ...], Field(min_length=1)]
    signs: Annotated[tuple[Count, ...], Field(min_length=1)]
    convolutions: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    batches: Annotated[tuple[Count, ...], Field(min_length=1)]
    known: tuple[Known, ...] = ()
    systems: tuple[System, ...] = ()
    system_batches: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)

    @model_validator(mode="after")
    def _counts_on_planes(self) -> OpticalRegion:
        machine = load(self.planes)
        if not isinstance(machine, Optical4f):
            raise ValueError(f"want planes of an optical_4f machine, found {self.planes}")
        return self

    @property
    def optics(self) -> Optical4f:
        """The system whose planes are tiled."""
        machine: Any = load(self.planes)
        return machine

    @property
    def ways(self) -> list[Way]:
        """Every tiling at either pitch."""
        return [Way(tiling, pitch) for tiling in self.tilings for pitch in PITCHES]


# The region ---------------------------------------------------------------------------------------


def convolutions_per_image(
    network: Network, side: int, way: Way, batch: int, *, projection: bool
) -> float:
    """Frames of an image's linear layers on planes of a side, signs left out.

    >>> vit = Network(map_side=8, tokens=145, depth=8, heads=4, ffn_dim=128)
    >>> round(convolutions_per_image(vit, 2160, Way("batch", "full"), 143, projection=False), 2)
    57.29
    """
    frames = 0
    for layer in network.layers(batch, projection=projection):
        pitch = layer.pitch(way.pitch)
        frames += min(int(t.frames) for t in tilings(layer, side, pitch, way.tiling))
    return network.depth * frames / batch


def filling_batch(scenario: OpticalRegion, pitch: Pitch) -> int:
    """Images whose tokens fill a plane beside each other: ⌊⌊R/s⌋² / T⌋, 1 at least."""
    layer = next(scenario.network.layers(1, projection=False))
    tiles = int(tiles_of(scenario.optics.side, layer.pitch(pitch)))
    return max(1, tiles // scenario.network.tokens)


def curves(scenario: OpticalRegion) -> Iterator[Record]:
    """Convolutions of an image by tiling, pitch and batch, with and without the projection."""
    network, side = scenario.network, scenario.optics.side
    filled = {filling_batch(scenario, pitch) for pitch in PITCHES}
    for way in scenario.ways:
        for batch in sorted({*scenario.batches, *filled}):
            low, high = (
                convolutions_per_image(network, side, way, batch, projection=projection)
                for projection in (False, True)
            )
            yield {
                "tiling": way.tiling,
                "pitch": way.pitch,
                "batch": batch,
                "convolutions_per_image": low,
                "with_projection": high,
            }


def thresholds(scenario: OpticalRegion, found: Sequence[Record]) -> Iterator[Record]:
    """GPU times from which the speedup holds, by time of a convolution and frames for signs."""
    for row in found:
        for convolution_s in scenario.convolutions:
            for signs in scenario.signs:
                each_s = scenario.speedup * signs * convolution_s
                yield {
                    "tiling": row["tiling"],
                    "pitch": row["pitch"],
                    "batch": row["batch"],
                    "convolution_s": convolution_s,
                    "sign_frames": signs,
                    "gpu_s": each_s * number(row, "convolutions_per_image"),
                    "gpu_with_projection_s": each_s * number(row, "with_projection"),
                }


# Beside it ----------------------------------------------------------------------------------------


def system_row(scenario: OpticalRegion, system: System, batch: int) -> Record:
    """Time and energy of an image with everything charged: a block's, times the depth.

    On a machine that is no 4f system, its roofline; `host_per_image_s` is the part of what is no
    convolution: softmax, norms, products of data with data.
    """
    part, optics = scenario.network.depth / batch, system.optics
    if optics is None:
        cost = roofline(system.hardware, block_demand(scenario.network, batch)).times(part)
        return _system_record(system, ROOFLINE, batch, cost)
    shape = scenario.network.shape(batch)
    found = estimate(load_cascade(CASCADE), shape, optics, system.tiling)
    host_s = sum(float(s) for name, s in found.phases_s.items() if name.startswith("host"))
    cost = optical(found).times(part)
    record = _system_record(system, CHARGED, batch, cost)
    return {**record, "host_per_image_s": host_s * part}


def _system_record(system: System, status: str, batch: int, cost: Cost) -> Record:
    return {
        "system": system.name,
        "status": status,
        "batch": batch,
        "time_per_image_s": cost.time_s,
        "energy_per_image_j": cost.energy_j,
        "bound": cost.bound,
    }


def block_demand(network: Network, batch: int) -> Demand:
    """What a block asks of a machine: its operations, and its inputs and output moved once."""
    cascade = load_cascade(CASCADE)
    sizes = rank_sizes(cascade, network.shape(batch))
    tensors = [*(access.tensor for access in cascade.inputs), *cascade.outputs]
    moved = sum(float(elements(cascade, tensor, sizes)) for tensor in tensors)
    operations = {op: float(n) for op, n in ops(cascade, sizes).items()}
    return Demand(operations, WORD_BYTES * moved)


def beside(scenario: OpticalRegion) -> Iterator[Record]:
    """Every system at every batch, and the known GPU times."""
    for system in scenario.systems:
        for batch in scenario.system_batches:
            yield system_row(scenario, system, batch)
    for known in scenario.known:
        yield {
            "system": known.name,
            "status": KNOWN,
            "batch": known.batch,
            "time_per_image_s": known.time_s,
        }


def speedups(scenario: OpticalRegion, others: Sequence[Record]) -> Iterator[Record]:
    """Every GPU time over T_4f of each tiling at its batch, by the count alone, without signs."""
    for row in others:
        if not _charged(row):
            for way in scenario.ways:
                yield _speedup(scenario, row, way)


def _speedup(scenario: OpticalRegion, row: Record, way: Way) -> Record:
    batch, side = int(number(row, "batch")), scenario.optics.side
    count = convolutions_per_image(scenario.network, side, way, batch, projection=False)
    speedup = number(row, "time_per_image_s") / (count * scenario.convolutions[0])
    return {
        "gpu": row["system"],
        "batch": batch,
        "tiling": way.tiling,
        "pitch": way.pitch,
        "speedup": speedup,
        "holds": speedup >= scenario.speedup,
    }


# Text ---------------------------------------------------------------------------------------------


def findings(scenario: OpticalRegion) -> Findings:
    """The region, what stands beside it, and under which assumptions the speedup holds."""
    counted = list(curves(scenario))
    needed = list(thresholds(scenario, counted))
    others = list(beside(scenario))
    found = list(speedups(scenario, others))
    sections = [
        _conclusion(scenario, needed, others),
        _needed_table(scenario, needed),
        _speedup_table(scenario, found),
        _charged_table(scenario, others),
    ]
    tables = {"results": needed, "convolutions": counted, "systems": others, "speedups": found}
    return Findings(scenario, tables, sections)


def _conclusion(scenario: OpticalRegion, needed: Sequence[Record], others: Sequence[Record]) -> str:
    """Under which assumptions the speedup holds, in one paragraph."""
    s, clock = times(scenario.speedup), amount(scenario.convolutions[0], "s")
    full, clean = (_range(scenario, needed, pitch) for pitch in PITCHES)
    signs = " or ".join(map(str, scenario.signs[1:]))
    roofs, charged = _least(others, ROOFLINE), _least(others, CHARGED)
    lowest = min(number(row, "gpu_s") for row in _counted(scenario, needed))
    sentences = [
        f"{s} holds where a GPU takes at least {s} what the 4f system takes.",
        f"By the papers' count ({clock} a convolution, linear layers alone, signs free) and with "
        f"images side by side, that is {full} at the full pitch and {clean} at the clean one, "
        "without and with an output projection.",
        f"With {signs} frames for signs it is as many times that." if signs else "",
        f"With everything charged an image takes {_listed(charged)}." if charged else "",
        f"At their rooflines GPUs take {_listed(roofs)}; with the best tiling {s} needs "
        f"{times(lowest / min(roofs.values()))} that."
        if roofs
        else "",
        scenario.note,
    ]
    return "\n".join(wrap(" ".join(filter(None, sentences)), 100))


def _listed(times_s: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount(time_s, 's')}" for name, time_s in times_s.items())


def _least(others: Sequence[Record], status: str) -> dict[str, float]:
    """The systems of a status, each with its least time."""
    least: dict[str, float] = {}
    for row in others:
        if row["status"] == status:
            name, time_s = str(row["system"]), number(row, "time_per_image_s")
            least[name] = min(time_s, least.get(name, time_s))
    return least


def _range(scenario: OpticalRegion, needed: Sequence[Record], pitch: Pitch) -> str:
    """GPU times without and with the output projection, at the batch that fills a plane."""
    batch, tiling = filling_batch(scenario, pitch), scenario.tilings[0]
    wanted = (tiling, pitch, batch)
    row = next(
        row
        for row in _counted(scenario, needed)
        if (row["tiling"], row["pitch"], row["batch"]) == wanted
    )
    low, high = (amount(number(row, c), "s") for c in ("gpu_s", "gpu_with_projection_s"))
    return f"{low} to {high} an image ({batch} images a plane)"


def _counted(scenario: OpticalRegion, needed: Sequence[Record]) -> Iterator[Record]:
    """Thresholds by the papers' count: the first of the scenario's signs and convolution times."""
    wanted = (scenario.signs[0], scenario.convolutions[0])
    return (row for row in needed if (row["sign_frames"], row["convolution_s"]) == wanted)


def _charged(row: Record) -> bool:
    return row["status"] == CHARGED


def _needed_table(scenario: OpticalRegion, needed: Sequence[Record]) -> str:
    """For each tiling one image and a full plane: GPU times from which the speedup holds."""
    clocks = [(c, n) for c in scenario.convolutions for n in scenario.signs]
    head = [f"GPU time for {times(scenario.speedup)}", "batch"]
    head += [f"{amount(c, 's')} x {n}" for c, n in clocks]
    said: dict[tuple[object, object, object], list[str]] = {}
    for row in needed:
        place = (row["tiling"], row["pitch"], row["batch"])
        said.setdefault(place, []).append(amount(number(row, "gpu_s"), "s"))
    lines = [
        [f"{way.tiling}, {way.pitch} pitch", str(batch), *said[way.tiling, way.pitch, batch]]
        for way in scenario.ways
        for batch in dict.fromkeys((scenario.batches[0], filling_batch(scenario, way.pitch)))
    ]
    return text_table(head, lines)


def _speedup_table(scenario: OpticalRegion, found: Sequence[Record]) -> str:
    """Speedups over each GPU; `*` where the claim holds."""
    cells: dict[tuple[str, str], list[str]] = {}
    for row in found:
        place = (str(row["gpu"]), str(row["batch"]))
        mark = "*" if row["holds"] else " "
        cells.setdefault(place, []).append(times(number(row, "speedup")) + mark)
    head = [f"speedup by the count (* {times(scenario.speedup)} holds)", "batch"]
    lines = [[*place, *texts] for place, texts in cells.items()]
    return text_table(head + [f"{tiling} {pitch}" for tiling, pitch in scenario.ways], lines)


def _charged_table(scenario: OpticalRegion, others: Sequence[Record]) -> str:
    head = [CHARGED, "batch", "time", "of it the host", f"{times(scenario.speedup)} needs"]
    return text_table(
        [*head, "energy", "bound"],
        [_charged_line(scenario, row) for row in others if _charged(row)],
    )


def _charged_line(scenario: OpticalRegion, row: Record) -> list[str]:
    time_s, host_s = number(row, "time_per_image_s"), number(row, "host_per_image_s")
    needed = [amount(t, "s") for t in (time_s, host_s, scenario.speedup * time_s)]
    energy = amount(number(row, "energy_per_image_j"), "J")
    return [str(row["system"]), str(row["batch"]), *needed, energy, str(row["bound"])]
