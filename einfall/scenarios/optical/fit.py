"""Where optics fits best: filters of whole maps, whose kernels are as large as the map and known.

A global filter multiplies the spectrum of each channel by a learned one. Optics does that in a
frame, whatever the size; elsewhere it takes two FFTs and a product a channel:

    flops = channels · (2 · 5·n·log₂n + 6·n)     bytes = word · channels · (2·n + n / images)

for maps of n = side² numbers. Channels share nothing, so that a filter's cost goes by their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log2
from typing import Annotated, Literal

from pydantic import Field, model_validator

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import with_overrides
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.yaml_door import Spec, SpecError
from einfall.scenarios.findings import Findings, Record, number
from einfall.scenarios.optical.costs import Cost, Demand, optical, roofline, total
from einfall.scenarios.optical.layers import WORD_BYTES, rows
from einfall.scenarios.optical.systems import System, filling
from einfall.scenarios.optical.texts import amount, times
from einfall.scenarios.tables import text_table
from einfall.sim.optical.correlation import Correlation
from einfall.sim.optical.estimate import OpticalEstimate, estimate
from einfall.sim.optical.frames import FFT_FLOPS
from einfall.sim.optical.host import FLOP
from einfall.sim.optical.mapping import OpticalMapping

CASCADE = "global_filter"

PRODUCT_FLOPS = 6
"""Operations of a product of two complex numbers."""

PLANES = ("input", "mask", "camera")
"""Resources that a higher frame rate makes faster."""

READING = ("camera", "converter")
"""Parts of the energy that belong to reading a pixel."""

Count = Annotated[int, Field(ge=1)]


class Tornado(Spec):
    """Which systems are varied at which map side, and by what factor up and down."""

    side: Count
    factor: Annotated[float, Field(gt=1)]
    systems: Annotated[tuple[str, ...], Field(min_length=1)]


class OpticalFit(Spec):
    """A scenario of `kind: optical_fit`: global filters by map side, with planes filled."""

    kind: Literal["optical_fit"]
    name: str
    about: str = ""
    source: str = ""
    channels: Count
    sides: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)]
    systems: Annotated[tuple[System, ...], Field(min_length=1)]
    reference: str
    networks: tuple[str, ...] = ()
    tornado: Tornado

    @model_validator(mode="after")
    def _names_what_there_is(self) -> OpticalFit:
        names = {system.name for system in self.systems}
        optics = {system.name for system in self.systems if system.optics}
        wrong = [f"reference {self.reference!r}"] * (self.reference not in names - optics)
        wrong += [
            f"tornado.systems {name!r}" for name in self.tornado.systems if name not in optics
        ]
        known = {row["network"] for row in filters()}
        wrong += [f"networks {name!r}" for name in self.networks if name not in known]
        if wrong:
            raise ValueError(
                "want a reference that is no 4f system, 4f systems in tornado, and networks with "
                f"global filters, found {', '.join(wrong)}"
            )
        return self

    def system(self, name: str) -> System:
        """The system of that name."""
        return next(system for system in self.systems if system.name == name)


def filters() -> Iterator[dict[str, str]]:
    """Stages of `optical_mixers.csv` that are global filters."""
    return (row for row in rows("optical_mixers.csv") if row["mixer"] == "global_filter")


# Costs --------------------------------------------------------------------------------------------


def by_fft(side: int, channels: int, images: float = inf) -> Demand:
    """An image's part of the filters of so many by FFTs.

    >>> round(by_fft(14, 1).operations["flop"])
    16101
    """
    n = side**2
    flops = channels * (2 * FFT_FLOPS * n * log2(n) + PRODUCT_FLOPS * n)
    return Demand({FLOP: flops}, WORD_BYTES * channels * (2 * n + n / images))


@dataclass(frozen=True, slots=True)
class Optical:
    """An estimate of filters, and how many images it is of."""

    estimate: OpticalEstimate
    images: int

    @property
    def cost(self) -> Cost:
        """Of an image."""
        return optical(self.estimate).times(1 / self.images)


def on_optics(
    side: int, channels: int, optics: Optical4f, mapping: OpticalMapping
) -> Optical | None:
    """Filters of as many images as fill the planes; None where no map fits."""
    map_ = Correlation(1, 1, (side, side), (side, side), "circular")
    images = filling(map_, optics, mapping)
    if not images:
        return None
    shape = {"batch": images, "model_dim": channels, "height": side, "width": side}
    return Optical(estimate(load_cascade(CASCADE), shape, optics, mapping), images)


# Break-even ---------------------------------------------------------------------------------------


def rate_factor(found: Optical, reference_s: float) -> tuple[float, Sequence[tuple[str, float]]]:
    """By how much all planes have to be faster so that an image takes as long as elsewhere.

        factor = max busy time of a plane / time elsewhere

    Returns:
        The factor, and those of all other resources that are too slow, the slowest first.
    """
    busy = {name: float(b) / found.images for name, b in found.estimate.busy_s.items()}
    planes = max(busy[name] for name in PLANES)
    others = [(n, b / reference_s) for n, b in busy.items() if n not in PLANES and b > reference_s]
    return planes / reference_s, sorted(others, key=lambda other: -other[1])


def read_factor(found: Optical, reference_j: float) -> tuple[float, str]:
    """What part of its energy a read may take so that an image takes as much energy as elsewhere.

        factor = (energy elsewhere - all but reading) / reading

    Returns:
        The factor, below 0 where all but reading takes too much, and the largest part of that.
    """
    parts = {name: float(j) / found.images for name, j in found.estimate.parts_j.items()}
    rest = {name: j for name, j in parts.items() if name not in READING}
    reading = sum(parts[name] for name in READING)
    return (reference_j - sum(rest.values())) / reading, max(rest, key=rest.__getitem__)


# Sensitivity --------------------------------------------------------------------------------------

KNOBS: Mapping[str, tuple[str, ...]] = {
    "frame rate": ("input.rate", "mask.rate", "camera.rate", "camera.pixel_rate"),
    "resolution": (
        "input.columns", "input.rows", "mask.columns", "mask.rows", "camera.columns", "camera.rows",
        "lenses.focal_length", "lenses.second_focal_length", "lenses.diameter",
    ),
    "read-out energy": ("camera.read_energy", "converter.energy"),
    "link": ("host.link", "host.camera_link"),
    "laser power": ("laser.power",),
    "laser efficiency": ("laser.efficiency",),
    "static power": ("static_power",),
}  # fmt: skip
"""What is varied, by the fields that go together. More pixels at their pitch need a focal length
and lenses that are larger by as much; pixels a second stay what they are."""


def varied(optics: Optical4f, knob: str, factor: float) -> Optical4f | None:
    """The system with a knob turned; None if there is nothing to turn, or no such optics can be."""
    known = optics.model_dump(by_alias=True, exclude_none=True)
    paths = {path: value for path in KNOBS[knob] if (value := _value(known, path))}
    if not paths:
        return None
    changed = {
        path: round(value * factor) if isinstance(value, int) else value * factor
        for path, value in paths.items()
    }
    try:
        return with_overrides(optics, changed)
    except SpecError:
        return None


def _value(known: Mapping[str, object], path: str) -> int | float | None:
    here: object = known
    for key in path.split("."):
        here = here.get(key) if isinstance(here, Mapping) else None
    return here if isinstance(here, int | float) else None


def sensitivity(scenario: OpticalFit) -> Iterator[Record]:
    """Time and energy of an image over those of the system as it is, each knob up and down."""
    factor = scenario.tornado.factor
    for name in scenario.tornado.systems:
        system = scenario.system(name)
        base = _varied_cost(scenario, system)
        for knob in KNOBS:
            for turned in (1 / factor, factor):
                cost = _varied_cost(scenario, system, knob, turned)
                if base and cost:
                    yield _change(name, knob, turned, base, cost)


def _varied_cost(
    scenario: OpticalFit, system: System, knob: str | None = None, factor: float = 1.0
) -> Cost | None:
    """The cost with a knob turned; None where a map has no room, or the knob turns nothing."""
    optics = system.optics
    if optics is not None and knob is not None:
        optics = varied(optics, knob, factor)
    if optics is None:
        return None
    found = on_optics(scenario.tornado.side, scenario.channels, optics, system.tiling)
    return None if found is None else found.cost


def _change(system: str, knob: str, factor: float, before: Cost, after: Cost) -> Record:
    return {
        "system": system,
        "knob": knob,
        "factor": factor,
        "time_ratio": after.time_s / before.time_s,
        "energy_ratio": after.charged_j / before.charged_j,
        "bound": after.bound,
    }


# Tables -------------------------------------------------------------------------------------------


def sweep(scenario: OpticalFit) -> Iterator[Record]:
    """Every system at every map side, beside the reference."""
    reference = scenario.system(scenario.reference)
    for side in scenario.sides:
        base = roofline(reference.hardware, by_fft(side, scenario.channels))
        for system in scenario.systems:
            if system.optics is None:
                cost = roofline(system.hardware, by_fft(side, scenario.channels))
                yield _row(side, system, cost, base)
                continue
            found = on_optics(side, scenario.channels, system.optics, system.tiling)
            if found:
                row = _row(side, system, found.cost, base)
                yield row | {"images": found.images} | _break_even(found, base)


def _row(side: int, system: System, cost: Cost, base: Cost) -> dict[str, object]:
    return {
        "map_side": side,
        "system": system.name,
        "time_per_image_s": cost.time_s,
        "energy_per_image_j": cost.energy_j,
        "time_ratio": cost.time_s / base.time_s,
        "energy_ratio": cost.charged_j / base.charged_j,
        "bound": cost.bound,
    }


def _break_even(found: Optical, base: Cost) -> dict[str, object]:
    rate, others = rate_factor(found, base.time_s)
    read, rest = read_factor(found, base.charged_j)
    return {
        "frame_rate_factor": rate,
        "also_too_slow": "; ".join(f"{name} {factor:.3g}" for name, factor in others),
        "read_energy_factor": read,
        "largest_other_energy": rest,
    }


def network_rows(scenario: OpticalFit, swept: Sequence[Record]) -> Iterator[Record]:
    """All filters of a network, by the cost of its map sides, channels and blocks."""
    costs = {
        (int(number(row, "map_side")), str(row["system"])): Cost(
            number(row, "time_per_image_s"),
            number(row, "energy_per_image_j"),
            str(row["bound"]),
        )
        for row in swept
    }
    for network in scenario.networks:
        channels = _channels(network)
        for system in scenario.systems:
            if all((side, system.name) in costs for side in channels):
                cost = total(
                    costs[side, system.name].times(n / scenario.channels)
                    for side, n in channels.items()
                )
                yield {
                    "network": network,
                    "system": system.name,
                    "time_per_image_s": cost.time_s,
                    "energy_per_image_j": cost.energy_j,
                    "bound": cost.bound,
                }


def _channels(network: str) -> Counter[int]:
    """Channels of all blocks by map side: Σ blocks · channels."""
    found: Counter[int] = Counter()
    for row in filters():
        if row["network"] == network:
            found[int(row["map_side"])] += int(row["blocks"]) * int(row["channels"])
    return found


def findings(scenario: OpticalFit) -> Findings:
    """Ratios by map side, break-even factors, networks and sensitivity."""
    swept = list(sweep(scenario))
    of_networks = list(network_rows(scenario, swept))
    turned = list(sensitivity(scenario))
    tables = {"results": swept, "networks": of_networks, "sensitivity": turned}
    sections = [
        _by_side(scenario, swept, "time_per_image_s", "s", f"time, {scenario.channels} filters"),
        _by_side(scenario, swept, "energy_per_image_j", "J", "their energy"),
        _even_table(scenario, swept),
        _network_table(scenario, of_networks),
        _tornado_table(scenario, turned),
    ]
    return Findings(scenario, tables, [section for section in sections if section])


# Text ---------------------------------------------------------------------------------------------


def _by_side(
    scenario: OpticalFit, swept: Sequence[Record], column: str, unit: str, title: str
) -> str:
    names = [system.name for system in scenario.systems]
    said = {(row["map_side"], row["system"]): amount(number(row, column), unit) for row in swept}
    lines = [
        [f"map {side} x {side}", *(said.get((side, name), "no room") for name in names)]
        for side in scenario.sides
    ]
    return text_table([f"{title} of an image", *names], lines)


def _even_table(scenario: OpticalFit, swept: Sequence[Record]) -> str:
    """What would have to change for equality with the reference."""
    head = ["to equal " + scenario.reference, "map", "frame rate", "also too slow", "read energy"]
    lines = [
        [
            str(row["system"]),
            str(row["map_side"]),
            times(number(row, "frame_rate_factor")),
            _slow_text(str(row["also_too_slow"])),
            _read_text(row),
        ]
        for system in scenario.systems
        for row in swept
        if row["system"] == system.name and "frame_rate_factor" in row
    ]
    return text_table(head, lines)


def _slow_text(others: str) -> str:
    """The slowest of what else is too slow, and how many there are beside it."""
    slowest, *rest = others.split("; ")
    if not slowest:
        return "nothing"
    name, factor = slowest.rsplit(" ", 1)
    return f"{name} {times(float(factor))}" + (f" and {len(rest)} more" if rest else "")


def _read_text(row: Record) -> str:
    factor = number(row, "read_energy_factor")
    return times(factor) if factor > 0 else f"none, for {row['largest_other_energy']}"


def _network_table(scenario: OpticalFit, found: Sequence[Record]) -> str:
    if not found:
        return ""
    names = [system.name for system in scenario.systems]
    said = {(row["network"], row["system"]): row for row in found}
    lines = [
        [network, *(_time_energy(said.get((network, name))) for name in names)]
        for network in scenario.networks
    ]
    return text_table(["all filters of a network", *names], lines)


def _time_energy(row: Record | None) -> str:
    if row is None:
        return "no room"
    time_s, energy_j = (number(row, c) for c in ("time_per_image_s", "energy_per_image_j"))
    return f"{amount(time_s, 's')}, {amount(energy_j, 'J')}"


def _tornado_table(scenario: OpticalFit, found: Sequence[Record]) -> str:
    factor, side = scenario.tornado.factor, scenario.tornado.side
    turned = (1 / factor, factor)
    head = [f"map {side} x {side}", "", f"time /{factor:g}", f"time {factor:g}x"]
    head += [f"energy /{factor:g}", f"energy {factor:g}x"]
    said = {(row["system"], row["knob"], row["factor"]): row for row in found}
    lines = [
        [
            str(system),
            str(knob),
            *(
                times(number(row, column)) if (row := said.get((system, knob, f))) else "cannot be"
                for column in ("time_ratio", "energy_ratio")
                for f in turned
            ),
        ]
        for system, knob in dict.fromkeys((system, knob) for system, knob, _ in said)
    ]
    return text_table(head, lines)
