"""A scenario of a grid as a file: what is fixed, what is varied, what is asked, which points count.

`einfall run` prints a line for each point, answers the questions of the file and draws its figures;
`einfall sweep` works out millions of points of the same file, and sums them up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from einfall.hw_models.yaml_door import Document, Spec, SpecError, did_you_mean
from einfall.scenarios.sweeps.axes import Value
from einfall.scenarios.workloads import length_of

COLUMNS = ("latency_s", "energy_j", "bound")
"""What is asked of each point if nothing is named; with a baseline also the speedup."""

RATIOS: Mapping[str, str] = {"speedup": "latency_s", "energy_ratio": "energy_j"}
"""Columns that compare with the baseline, and what they compare: time before over time now, energy
now over energy before."""

ROOTS = ("latency_s", "energy_j", "power_w", "cycles", "clock_hz", "bound", *RATIOS)
PARTED = ("utilization", "traffic_bytes", "busy_s")
"""Columns by name, and those that have parts: `utilization.tensor`, `traffic_bytes.dram`."""


def _is_column(name: str) -> str:
    root, dot, part = name.partition(".")
    if (root in ROOTS and not dot) or (root in PARTED and part):
        return name
    known = ", ".join((*ROOTS, *(f"{r}.…" for r in PARTED)))
    raise ValueError(f"want a column ({known}), found {name!r}{did_you_mean(name, ROOTS)}")


def _is_file_name(name: str) -> str:
    if not name.replace("-", "_").replace("_", "a").isalnum() or not name.isascii():
        raise ValueError(f"want letters, digits, - and _, for files bear it, found {name!r}")
    return name


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("want a column at least, found none")
    return names


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_size(value: object) -> object:
    return length_of(value) if isinstance(value, str) else value


def _asked(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns if none are named."""
    return (*COLUMNS, "speedup") if data.get("baseline") else COLUMNS


_TEXT = {"type": "string"}
_VALUE = {"type": ["number", "string"]}
_NAMES_SCHEMA = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_COLUMN_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": list(ROOTS)},
        {"type": "string", "pattern": rf"^({'|'.join(PARTED)})\..+$"},
    ]
}
_AXIS_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": _VALUE, "minItems": 1},
        {
            "type": "object",
            "properties": {
                "from": _VALUE,
                "to": _VALUE,
                "step": _VALUE,
                "points": {"type": "integer", "minimum": 2},
                "scale": {"enum": ["linear", "log"]},
            },
            "required": ["from", "to"],
            "additionalProperties": False,
        },
    ]
}
_TOGETHER_SCHEMA = {"type": "object", "additionalProperties": _AXIS_SCHEMA, "minProperties": 2}
_AXES_SCHEMA = {
    "type": "object",
    "properties": {
        "together": {
            "description": "Axes that go together: the first value with the first …",
            "anyOf": [_TOGETHER_SCHEMA, {"type": "array", "items": _TOGETHER_SCHEMA}],
        }
    },
    "additionalProperties": _AXIS_SCHEMA,
}

Names = Annotated[
    tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1), WithJsonSchema(_NAMES_SCHEMA)
]
Size = Annotated[int, BeforeValidator(_as_size), Field(ge=1), WithJsonSchema(_VALUE)]
Name = Annotated[str, AfterValidator(_is_file_name)]
ColumnName = Annotated[str, AfterValidator(_is_column), WithJsonSchema(_COLUMN_SCHEMA)]
Shape = Mapping[str, Size]
Axes = Annotated[Mapping[str, Any], WithJsonSchema(_AXES_SCHEMA)]


# What is told and drawn ---------------------------------------------------------------------------


class Question(Spec):
    """A question to the table: of the points where conditions hold, the least or most of a column.

    One answer for each set of values of the `for_each` columns; columns are axes and what is asked.

    Example: `{ask: "Smallest buffer within 1 %", least: machine.buffer.capacity,
    where: "speedup > 0.99", for_each: queries}`.
    """

    ask: str
    least: str | None = None
    most: str | None = None
    where: Names = ()
    for_each: Names = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> Question:
        if (self.least is None) == (self.most is None):
            found = "none" if self.least is None else "both"
            raise ValueError(f"want either least or most, found {found}")
        return self

    @property
    def column(self) -> str:
        """What is to be least or most."""
        return str(self.least if self.most is None else self.most)


class _Figure(Spec):
    """What all figures have: `name` of its files, `title` above it, which points are in it."""

    columns: ClassVar[tuple[str, ...]] = ()
    name: Name | None = None
    title: str = ""
    where: Names = ()

    def used(self) -> dict[str, str]:
        """Columns that it shows, by the field that names them."""
        values = {field: getattr(self, field) for field in self.columns}
        return {field: name for field, name in values.items() if name is not None}


class Heatmap(_Figure):
    """A value over two columns, in the colour of what binds."""

    columns = ("value", "x", "y")
    kind: Literal["heatmap"]
    value: str
    x: str
    y: str


class Lines(_Figure):
    """A value along a column, a line for each value of `series`, marked by what binds."""

    columns = ("y", "x", "series")
    kind: Literal["lines"]
    y: str
    x: str
    series: str | None = None


class Bars(_Figure):
    """A value for each point, what binds at its end."""

    columns = ("value",)
    kind: Literal["bars"]
    value: str


class Pareto(_Figure):
    """Two values of each point, and those that no other point beats in both."""

    columns = ("x", "y", "series")
    kind: Literal["pareto"]
    x: str = "latency_s"
    y: str = "energy_j"
    series: str | None = None


class SkiSlope(_Figure):
    """Traffic, or another value, against a capacity."""

    columns = ("y", "x", "series")
    kind: Literal["ski_slope"]
    x: str
    y: str
    series: str | None = None


class Inside(_Figure):
    """Of each point the time of every unit, the energy of every part, or the roofs above it."""

    kind: Literal["time_stack", "energy_stack", "roofline"]


AnyFigure = Annotated[
    Heatmap | Lines | Bars | Pareto | SkiSlope | Inside, Field(discriminator="kind")
]


# The file -----------------------------------------------------------------------------------------


class Sweep(Spec):
    """A scenario of `kind: sweep`: every point of a grid.

    Several cascades, machines, mappings, masks or dtypes are axes of their own, before those of
    `axes`; so are `workloads`, shapes by name, and `changes`, settings of the machine by name.
    `set` changes the machine for all points, `keep` says which points count, `best` by which
    columns the best are shown. `baseline` says what a speedup is over: the same point with these
    settings instead. `method: closed_form` spreads the blocks of a GPU's causal kernels over the
    SMs by their closed form, a million points a second; `exact` is what `einfall estimate` does;
    `simulate` places every task in time.
    """

    kind: Literal["sweep"]
    name: Name
    about: str = ""
    source: str = ""
    workloads: Mapping[str, Shape] = Field(default_factory=dict)
    cascade: Names = ()
    machine: Names = ()
    changes: Mapping[str, Mapping[str, Value]] = Field(default_factory=dict)
    mapping: Names | None = None
    mask: Names | None = None
    dtype: Names | None = None
    shape: Shape = Field(default_factory=dict)
    set: Mapping[str, Value] = Field(default_factory=dict)
    axes: Axes = Field(default_factory=dict)
    baseline: Mapping[str, Value] = Field(default_factory=dict)
    columns: Annotated[tuple[ColumnName, ...], AfterValidator(_some), Field(default_factory=_asked)]
    keep: Names = ()
    best: tuple[ColumnName, ...] | None = None
    answers: tuple[Question, ...] = ()
    figures: tuple[AnyFigure, ...] = ()
    accounting: Literal["physical", "artifact"] = "physical"
    simulate: bool = False
    method: Literal["exact", "closed_form"] = "exact"

    @property
    def ranked(self) -> tuple[str, ...]:
        """Columns by which the best points are shown."""
        if self.best is not None:
            return self.best
        return tuple(c for c in ("latency_s", "energy_j") if c in self.columns)

    def names_of(self, choice: str) -> tuple[str, ...]:
        """The names that a choice of `CHOICES` is between, outside of `axes`."""
        if choice in ("workload", "change"):
            return tuple(getattr(self, f"{choice}s"))
        return getattr(self, choice) or ()


def remaining(document: Document) -> Sweep | None:
    """The sweep that a document describes.

    Mistakes in it are in the document; the sweep is then what can be read without them, or None.
    """
    try:
        return document.build(Sweep)
    except SpecError:
        pass
    data = copy.deepcopy(document.data)
    for problem in document.problems:
        data.pop(str(problem.keys[0]) if problem.keys else "", None)
    try:
        kept = {"name": "unnamed", "kind": "sweep"} | data
        return Sweep.model_validate(kept, by_alias=True, by_name=False, context={"text": True})
    except ValidationError:
        return None
