"""A sweep as a file: what is fixed, what is varied, what is asked, which points count."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from einfall.hw_models.yaml_door import Document, Spec, SpecError, did_you_mean, read_document
from einfall.scenarios.sweeps.axes import Value
from einfall.scenarios.workloads import length_of

COLUMNS = ("latency_s", "energy_j", "bound")
"""What is asked of each point if nothing is named."""

ROOTS = ("latency_s", "energy_j", "power_w", "cycles", "clock_hz", "bound")
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


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]
Size = Annotated[int, BeforeValidator(_as_size), Field(ge=1)]
Name = Annotated[str, AfterValidator(_is_file_name)]
ColumnName = Annotated[str, AfterValidator(_is_column)]


class Sweep(Spec):
    """A sweep of `kind: sweep`.

    Several cascades, machines, mappings, masks or dtypes are axes of their own, before those of
    `axes`. `set` changes the machine for all points, `keep` says which points count, `best` by
    which columns the best are shown. `method: closed_form` spreads the blocks of a GPU's causal
    kernels over the SMs by their closed form, a million points a second; `exact` is what
    `einfall estimate` does.
    """

    kind: Literal["sweep"]
    name: Name
    about: str = ""
    source: str = ""
    cascade: Names = ()
    machine: Names = ()
    mapping: Names | None = None
    mask: Names | None = None
    dtype: Names | None = None
    shape: Mapping[str, Size] = Field(default_factory=dict)
    set: Mapping[str, Value] = Field(default_factory=dict)
    axes: Annotated[Mapping[str, Any], Field(min_length=1)]
    columns: Annotated[tuple[ColumnName, ...], AfterValidator(_some)] = COLUMNS
    keep: tuple[str, ...] = ()
    best: tuple[ColumnName, ...] | None = None
    method: Literal["exact", "closed_form"] = "exact"

    @property
    def ranked(self) -> tuple[str, ...]:
        """Columns by which the best points are shown."""
        if self.best is not None:
            return self.best
        return tuple(c for c in ("latency_s", "energy_j") if c in self.columns)


def names() -> tuple[str, ...]:
    """Names of the sweeps that ship, sorted."""
    return tuple(sorted(files()))


@cache
def files() -> Mapping[str, Path]:
    """The sweeps that ship, by name."""
    return {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}


def read(name_or_path: str | Path) -> tuple[Sweep | None, Document]:
    """A sweep that ships under a name, or a user's by the path of its YAML file.

    Mistakes in it are in the document; the sweep is then what can be read without them, or None.

    Raises:
        SpecError: No such sweep, or no such file.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name not in files():
            hint, known = did_you_mean(name, names()), ", ".join(names())
            raise SpecError([f"sweep: want a file.yaml or one of {known}, found {name!r}{hint}"])
        path = files()[name]
    document = read_document(path, files())
    try:
        return document.build(Sweep), document
    except SpecError:
        return _remaining(document), document


def _remaining(document: Document) -> Sweep | None:
    """The sweep without the fields that have mistakes, so that others can be looked for."""
    data = copy.deepcopy(document.data)
    for problem in document.problems:
        data.pop(str(problem.keys[0]) if problem.keys else "", None)
    try:
        kept = {"name": "unnamed", "kind": "sweep"} | data
        return Sweep.model_validate(kept, by_alias=True, by_name=False, context={"text": True})
    except ValidationError:
        return None
