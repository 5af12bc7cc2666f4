"""The evaluation of FuseMax as data, and its rows: attention, linear layers, both, and the sweep.

One row a number, in the columns of `COLUMNS`. Attention has traffic, latency, energy and
utilization for each configuration; linear layers are the six matrix products beside it on each
machine; end to end is their sum for one encoder layer; the sweep resizes FuseMax's arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from einfall import hw_models
from einfall.hw_models.yaml_door import Spec, SpecError
from einfall.scenarios import pareto, workloads
from einfall.scenarios.points import Point, points
from einfall.sim.accounting import Accounting

COLUMNS = ("kernel", "config", "model", "seq_len", "pe_dim", "metric", "unit", "value")

_UNITS = {"traffic": "B", "latency": "s", "energy": "pJ", "area": "um^2", "array_2d_area": "um^2"}
_PJ, _UM2 = 1e12, 1e6  # in a joule, in a square millimetre

# The published rows call the first product QK in all cascades.
_PUBLISHED_NAME = {"BQK": "QK"}


def _is_model(name: str) -> str:
    try:
        workloads.load().model(name)
    except SpecError as error:
        raise ValueError(error.problems[0].removeprefix("models: ")) from None
    return name


def _is_length(text: str) -> str:
    workloads.length_of(text)
    return text


ModelName = Annotated[str, AfterValidator(_is_model)]
Length = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_is_length)]


class Config(Spec):
    """A cascade on a machine with a mapping.

    `linear_layers` names what it is summed with end to end, `by_einsum` asks for the utilization of
    the 2D array by Einsum.
    """

    name: str
    cascade: str
    machine: str
    mapping: str
    linear_layers: str = ""
    by_einsum: bool = True


class ArraySizes(Spec):
    """A configuration on arrays of several sizes, at one length."""

    config: str
    seq_len: Length
    pe_dims: Annotated[tuple[int, ...], Field(min_length=1)]


class Claim(Spec):
    """A published mean over models and lengths: of a speedup (latency), or of a part of energy."""

    text: str
    kernel: Literal["attention", "end_to_end"]
    metric: Literal["latency", "energy"]
    against: str
    only: Length | None = None
    published: float


class Reference(Spec):
    """One model at one length."""

    model: ModelName
    seq_len: Length


class FuseMax(Spec):
    """A scenario of `kind: fusemax`: configurations of attention on models and lengths.

    The last of `attention` is the design that claims speak of; `baseline` is what it is drawn
    against.
    """

    kind: Literal["fusemax"]
    name: str
    about: str = ""
    source: str = ""
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)]
    lengths: Annotated[tuple[Length, ...], Field(min_length=1)]
    baseline: str
    attention: Annotated[tuple[Config, ...], Field(min_length=1)]
    linear_layers: tuple[Config, ...] = ()
    pareto: ArraySizes | None = None
    claims: tuple[Claim, ...] = ()
    reference: Reference | None = None
    timeline: Mapping[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_what_there_is(self) -> FuseMax:
        configs = {c.name for c in self.attention}
        layers = {c.name for c in self.linear_layers} | {""}
        wrong = [("baseline", self.baseline)] * (self.baseline not in configs)
        wrong += [("claims.against", c.against) for c in self.claims if c.against not in configs]
        if self.pareto and self.pareto.config not in configs:
            wrong.append(("pareto.config", self.pareto.config))
        lacking = [c.linear_layers for c in self.attention if c.linear_layers not in layers]
        wrong += [("attention.linear_layers", name) for name in lacking]
        if wrong:
            found = ", ".join(f"{place} {name!r}" for place, name in dict.fromkeys(wrong))
            raise ValueError(f"want names of configurations listed in this file, found {found}")
        return self

    @property
    def design(self) -> Config:
        """What claims speak of: the last configuration of attention."""
        return self.attention[-1]

    def config(self, name: str) -> Config:
        """The configuration of attention with that name."""
        return next(c for c in self.attention if c.name == name)


@dataclass(frozen=True, slots=True)
class Row:
    """One number of the evaluation, in base units of its column `unit`."""

    kernel: str
    config: str
    model: str
    seq_len: str
    metric: str
    unit: str
    value: float
    pe_dim: int | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What identifies a row beside its `pe_dim`: kernel, config, model, seq_len, metric."""
        return self.kernel, self.config, self.model, self.seq_len, self.metric

    def record(self) -> dict[str, object]:
        """The row in `COLUMNS`; bytes that are whole are written as whole numbers."""
        whole = self.unit == "B" and float(self.value).is_integer()
        return {
            "kernel": self.kernel,
            "config": self.config,
            "model": self.model,
            "seq_len": self.seq_len,
            "pe_dim": "" if self.pe_dim is None else self.pe_dim,
            "metric": self.metric,
            "unit": self.unit,
            "value": int(self.value) if whole else self.value,
        }


Place = tuple[str, str, str]
"""Configuration, model, length."""


@dataclass(frozen=True)
class Answers:
    """All rows of a scenario in one accounting, and the points behind those of attention."""

    accounting: str
    rows: tuple[Row, ...]
    attention: Mapping[Place, Point]
    _index: dict[tuple[str, ...], float] = field(default_factory=dict, repr=False, compare=False)

    def value(self, *key: str) -> float:
        """The value at (kernel, config, model, seq_len, metric)."""
        if not self._index:
            self._index.update({row.key: row.value for row in self.rows if row.pe_dim is None})
        return self._index[key]


def answers(scenario: FuseMax, accounting: Accounting) -> Answers:
    """Every row of the scenario, in the order kernel, configuration, model, length, metric.

    Args:
        scenario: What to run.
        accounting: What is charged; the published one includes its integer overflow, so that it
            gives the published numbers (`overflow`).

    Raises:
        SpecError: An unknown machine or mapping.
        MappingError: A mapping that does not fit.
    """
    attention = _attention(scenario, accounting)
    layers = _linear_layers(scenario, accounting)
    rows = [
        *_attention_rows(scenario, attention),
        *_layer_rows(layers),
        *_end_to_end_rows(scenario, attention, layers),
        *_sweep_rows(scenario, accounting),
    ]
    return Answers(accounting.name, tuple(rows), attention)


def _places(scenario: FuseMax) -> list[tuple[str, str]]:
    return [(model, length) for model in scenario.models for length in scenario.lengths]


def _attention(scenario: FuseMax, accounting: Accounting) -> dict[Place, Point]:
    loads = workloads.load()
    places = _places(scenario)
    shapes = [
        loads.model(model).attention(loads.batch, workloads.length_of(length))
        for model, length in places
    ]
    return _points(scenario.attention, places, shapes, accounting)


def _linear_layers(scenario: FuseMax, accounting: Accounting) -> dict[Place, Point]:
    loads = workloads.load()
    places = _places(scenario)
    shapes = [
        loads.model(model).linear_layers(loads.batch, workloads.length_of(length))
        for model, length in places
    ]
    return _points(scenario.linear_layers, places, shapes, accounting)


def _points(
    configs: Iterable[Config],
    places: list[tuple[str, str]],
    shapes: list[dict[str, int]],
    accounting: Accounting,
) -> dict[Place, Point]:
    found: dict[Place, Point] = {}
    for config in configs:
        machine = hw_models.as_array(hw_models.load(config.machine))
        answers = points(config.cascade, shapes, machine, config.mapping, accounting)
        found |= {(config.name, *p): a for p, a in zip(places, answers, strict=True)}
    return found


def _row(kernel: str, place: Place, metric: str, value: float, pe_dim: int | None = None) -> Row:
    return Row(kernel, *place, metric, _UNITS.get(metric, "fraction"), value, pe_dim)


def _attention_rows(scenario: FuseMax, found: Mapping[Place, Point]) -> Iterator[Row]:
    by_einsum = {config.name: config.by_einsum for config in scenario.attention}
    for place, point in found.items():
        yield _row("attention", place, "traffic", point.dram_bytes)
        yield _row("attention", place, "latency", point.latency_s)
        yield _row("attention", place, "energy", point.energy_j * _PJ)
        yield _row("attention", place, "util_2d", point.array_2d)
        yield _row("attention", place, "util_1d", point.array_1d)
        for einsum, part in point.einsums.items() if by_einsum[place[0]] else ():
            name = _PUBLISHED_NAME.get(einsum, einsum)
            yield _row("attention", place, f"util_2d_einsum_{name}", part)


def _layer_rows(found: Mapping[Place, Point]) -> Iterator[Row]:
    for place, point in found.items():
        yield _row("linear_layers", place, "traffic", point.dram_bytes)
        yield _row("linear_layers", place, "latency", point.latency_s)
        yield _row("linear_layers", place, "energy", point.energy_j * _PJ)


def _end_to_end_rows(
    scenario: FuseMax, attention: Mapping[Place, Point], layers: Mapping[Place, Point]
) -> Iterator[Row]:
    """One encoder layer: attention and its linear layers, one after the other."""
    beside = {config.name: config.linear_layers for config in scenario.attention}
    for (config, model, length), point in attention.items():
        if not beside[config]:
            continue
        rest = layers[beside[config], model, length]
        place = (config, model, length)
        yield _row("end_to_end", place, "latency", point.latency_s + rest.latency_s)
        yield _row("end_to_end", place, "energy", (point.energy_j + rest.energy_j) * _PJ)


def _sweep_rows(scenario: FuseMax, accounting: Accounting) -> Iterator[Row]:
    sweep = scenario.pareto
    if sweep is None:
        return
    loads, length = workloads.load(), workloads.length_of(sweep.seq_len)
    config = scenario.config(sweep.config)
    widths: dict[int, list[str]] = {}
    for name in scenario.models:
        widths.setdefault(loads.model(name).head_dim, []).append(name)
    found: dict[tuple[str, int], list[Row]] = {}
    for head_dim, models in widths.items():
        shapes = [loads.model(name).attention(loads.batch, length) for name in models]
        for edge in sweep.pe_dims:
            machine = pareto.machine(edge, head_dim)
            answered = points(config.cascade, shapes, machine, config.mapping, accounting)
            for name, point in zip(models, answered, strict=True):
                values = {
                    "latency": point.latency_s,
                    "energy": point.energy_j * _PJ,
                    "area": machine.area_mm2 * _UM2,
                    "array_2d_area": machine.units["2d"].area_mm2 * _UM2,
                }
                place = (config.name, name, sweep.seq_len)
                found[name, edge] = [_row("pareto", place, m, v, edge) for m, v in values.items()]
    for name in scenario.models:
        for edge in sweep.pe_dims:
            yield from found[name, edge]
