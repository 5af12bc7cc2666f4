"""Convolutional networks on 4f systems and on GPUs: time and energy of an image, layer by layer.

Layers follow each other, so that a network's time is the sum of its layers'. A batch `filled` gives
each layer as many images as fill its planes: the limit of large batches. Left out: what lies
between convolutions (pooling, activations, norms), and that the mask of one layer may be written
while another is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.yaml_door import Spec, did_you_mean
from einfall.scenarios.findings import Findings, Record, number
from einfall.scenarios.optical.costs import Cost, optical, roofline, total
from einfall.scenarios.optical.layers import Layer, by_fft, direct, networks, rows
from einfall.scenarios.optical.systems import FILLED, Batch, Images, System, filling
from einfall.scenarios.optical.texts import amount
from einfall.scenarios.tables import text_table
from einfall.sim.accounting import MODES
from einfall.sim.optical.estimate import estimate

CASCADE = "conv2d"

PHYSICAL: Literal["physical"] = "physical"


def _is_network(name: str) -> str:
    if name not in networks():
        known, hint = ", ".join(networks()), did_you_mean(name, networks())
        raise ValueError(f"want one of {known}, found {name!r}{hint}")
    return name


NetworkName = Annotated[str, AfterValidator(_is_network)]


class Ratio(Spec):
    """How many times as long one network takes as another, and what a paper says of it."""

    of: NetworkName
    to: NetworkName
    published: float

    @property
    def name(self) -> str:
        """The ratio as tables have it."""
        return f"{self.of} / {self.to}"


class NetworkSystem(System):
    """A system, how a 4f system is charged, and the batches: all of the scenario if left out."""

    accounting: Literal["physical", "artifact"] = PHYSICAL
    batches: tuple[Images, ...] = ()

    def for_optics(self) -> list[str]:
        """Fields with a value that only a 4f system takes."""
        return [*super().for_optics(), *["accounting"] * (self.accounting != PHYSICAL)]


class OpticalNetworks(Spec):
    """A scenario of `kind: optical_networks`: networks on systems, at several batches."""

    kind: Literal["optical_networks"]
    name: str
    about: str = ""
    source: str = ""
    networks: Annotated[tuple[NetworkName, ...], Field(min_length=1)]
    batches: Annotated[tuple[Images, ...], Field(min_length=1)]
    systems: Annotated[tuple[NetworkSystem, ...], Field(min_length=1)]
    ratios: tuple[Ratio, ...] = ()

    @field_validator("systems")
    @classmethod
    def _have_names_of_their_own(
        cls, systems: tuple[NetworkSystem, ...]
    ) -> tuple[NetworkSystem, ...]:
        names = [system.name for system in systems]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"want each name once, found twice: {', '.join(twice)}")
        return systems

    @model_validator(mode="after")
    def _compares_what_it_runs(self) -> OpticalNetworks:
        asked = {name for ratio in self.ratios for name in (ratio.of, ratio.to)}
        lacking = sorted(asked - set(self.networks))
        if lacking:
            raise ValueError(
                f"want ratios of networks listed in `networks`, found {', '.join(lacking)}"
            )
        return self

    def batches_of(self, system: NetworkSystem) -> Sequence[Batch]:
        """The batches that a system is asked of."""
        return system.batches or self.batches


# Costs --------------------------------------------------------------------------------------------


def network_cost(network: str, system: NetworkSystem, batch: Batch) -> Cost:
    """Time and energy of an image of a batch: the sum over the layers of a network.

    >>> how = {"mapping": "batch:pitch=full", "accounting": "artifact"}
    >>> paper = NetworkSystem(name="paper", machine="optical_4f_ideal", **how)
    >>> f"{network_cost('FatNet', paper, 64).time_s:.3e}"  # 148,637 convolutions of 2 us / 64
    '4.645e-03'
    """
    alike = Counter(replace(layer, name="") for layer in networks()[network])
    return total(layer_cost(layer, system, batch).times(n) for layer, n in alike.items())


def layer_cost(layer: Layer, system: NetworkSystem, batch: Batch) -> Cost:
    """An image's part of one layer: by the estimate on optics, elsewhere by the better roofline."""
    optics = system.optics
    if optics is not None:
        return _on_optics(layer, optics, system, batch)
    images = inf if batch == FILLED else float(batch)
    ways = [roofline(system.hardware, demand(layer, images)) for demand in (direct, by_fft)]
    return min(ways, key=lambda cost: cost.time_s)


def _on_optics(layer: Layer, optics: Optical4f, system: NetworkSystem, batch: Batch) -> Cost:
    mapping, mode = system.tiling, MODES[system.accounting]
    filled = filling(layer.correlation(), optics, mapping) or 1  # what has no room is refused below
    images = filled if batch == FILLED else int(batch)
    found = estimate(load_cascade(CASCADE), layer.shape(images), optics, mapping, accounting=mode)
    return optical(found).times(1 / images)


# Tables -------------------------------------------------------------------------------------------


def findings(scenario: OpticalNetworks) -> Findings:
    """Times, energies and ratios of a scenario, beside the published ones."""
    results = [*_computed(scenario), *_published(scenario)]
    ratios = list(_ratios(scenario, results))
    sections = [
        _table(scenario, results, "time_per_image_s", "s", "time of an image"),
        _ratio_table(scenario, ratios),
        _table(scenario, results, "energy_per_image_j", "J", "energy of an image"),
        _table(scenario, results, "bound", "", "what takes the time"),
    ]
    return Findings(scenario, {"results": results, "ratios": ratios}, sections)


def _computed(scenario: OpticalNetworks) -> Iterator[Record]:
    for network in scenario.networks:
        for system in scenario.systems:
            for batch in scenario.batches_of(system):
                cost = network_cost(network, system, batch)
                yield _record(network, batch, system, cost)


def _record(network: str, batch: Batch, system: NetworkSystem, cost: Cost) -> Record:
    return {
        "network": network,
        "batch": batch,
        "system": system.name,
        "machine": system.machine,
        "mapping": system.mapping if system.optics else "",
        "accounting": system.accounting if system.optics else "roofline",
        "time_per_image_s": cost.time_s,
        "energy_per_image_j": "" if cost.energy_j is None else cost.energy_j,
        "bound": cost.bound,
        "source": "einfall",
    }


def _published(scenario: OpticalNetworks) -> Iterator[Record]:
    """The times of the paper, as systems `published 4f` and `published gpu`."""
    for row in rows("optical_published.csv"):
        if row["network"] in scenario.networks:
            yield {
                "network": row["network"],
                "batch": int(row["batch"]),
                "system": f"published {row['system']}",
                "time_per_image_s": float(row["time_per_image_s"]),
                "source": row["source"],
            }


def _ratios(scenario: OpticalNetworks, results: Sequence[Record]) -> Iterator[Record]:
    times = {_place(row): number(row, "time_per_image_s") for row in results}
    for ratio in scenario.ratios:
        for network, batch, system in times:
            if network == ratio.of and (ratio.to, batch, system) in times:
                slower, faster = times[ratio.of, batch, system], times[ratio.to, batch, system]
                yield {
                    "ratio": ratio.name,
                    "batch": batch,
                    "system": system,
                    "value": slower / faster,
                    "published": ratio.published,
                }


def _place(row: Record) -> tuple[str, Batch, str]:
    batch = row["batch"]
    return str(row["network"]), batch if isinstance(batch, int) else FILLED, str(row["system"])


# Text ---------------------------------------------------------------------------------------------


def _table(
    scenario: OpticalNetworks, results: Sequence[Record], column: str, unit: str, title: str
) -> str:
    """Networks and batches by systems; what was not asked stays empty."""
    said = {_place(row): _shown(row.get(column, ""), unit) for row in results}
    named = dict.fromkeys(str(row["system"]) for row in results)
    systems = [s for s in named if any(said[p] for p in said if p[2] == s)]
    batches = dict.fromkeys(_place(row)[1] for row in results)
    lines = [
        [f"{network}, {_batch_text(batch)}", *(said.get((network, batch, s), "") for s in systems)]
        for network in scenario.networks
        for batch in batches
    ]
    return text_table([title, *systems], [line for line in lines if any(line[1:])])


def _ratio_table(scenario: OpticalNetworks, ratios: Sequence[Record]) -> str:
    systems = list(dict.fromkeys(str(row["system"]) for row in ratios))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in ratios:
        batch = row["batch"]
        name = (str(row["ratio"]), _batch_text(batch if isinstance(batch, int) else FILLED))
        lines.setdefault(name, {})[str(row["system"])] = f"{number(row, 'value'):.4g}"
    published = {ratio.name: f"{ratio.published:g}" for ratio in scenario.ratios}
    table = [
        [", ".join(name), published[name[0]], *(line.get(s, "") for s in systems)]
        for name, line in lines.items()
    ]
    return text_table(["times as long", "claimed", *systems], table)


def _batch_text(batch: Batch) -> str:
    return "planes filled" if batch == FILLED else f"batch {batch:,}"


def _shown(value: object, unit: str) -> str:
    return amount(value, unit) if isinstance(value, float) else str(value)
