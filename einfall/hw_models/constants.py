"""Every number of a machine by its path, with its unit and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

import einfall
from einfall.hw_models.spatial_array import Op
from einfall.hw_models.yaml_door import Source, Spec
from einfall.units import format_quantity, unit_of

_PACKAGE = Path(einfall.__file__).parent
_UNKNOWN = Source("assumption", "no source given")


@dataclass(frozen=True, slots=True)
class Constant:
    """One number or word of a machine: its path in the YAML, value [unit], text and source."""

    path: str
    value: Any
    unit: str
    source: Source

    @property
    def text(self) -> str:
        """The value as people write it."""
        if self.unit:
            return format_quantity(self.value, self.unit)
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def record(self) -> dict[str, Any]:
        """The constant for JSON."""
        return {
            "path": self.path,
            "value": self.value,
            "unit": self.unit,
            "text": self.text,
            "status": self.source.status,
            "source": self.source.text,
            "file": told_file(self.source.file),
            "line": self.source.line,
        }


def told_file(path: str) -> str:
    """A file without the folders of this computer: those of the package begin with `einfall/`.

    >>> told_file(str(_PACKAGE / "hw_models" / "x.yaml")), told_file("/home/me/chip.yaml")
    ('einfall/hw_models/x.yaml', 'chip.yaml')
    """
    file = Path(path)
    if file.is_relative_to(_PACKAGE):
        return file.relative_to(_PACKAGE.parent).as_posix()
    return file.name if file.is_absolute() else path


def constants(machine: Spec, *, defaults: bool = False) -> dict[str, Constant]:
    """Every value of a machine by its path, in the order of its fields.

    Args:
        machine: A machine, or any other spec.
        defaults: Also what an op leaves at its default: one cycle, and no area of its own.

    >>> from einfall.hw_models import load
    >>> found = constants(load("fusemax_cloud"))
    >>> found["dram.bandwidth"].text, found["units.2d.ops.exp"].text
    ('400 GiB/s', '6 mac')
    """
    skipped = {"kind", "name", "about"}
    return {
        path: Constant(path, value, unit, source_of(machine, path))
        for path, value, unit in _leaves(machine, "", defaults)
        if path not in skipped
    }


def source_of(machine: Spec, path: str) -> Source:
    """The source of a value, or of the nearest field around it that has one."""
    steps = path.split(".")
    around = (".".join(steps[:n]) for n in range(len(steps), 0, -1))
    return next((machine.sources[p] for p in around if p in machine.sources), _UNKNOWN)


def _leaves(spec: Spec, path: str, defaults: bool) -> Iterator[tuple[str, Any, str]]:
    """(path, value, unit) of everything in a spec; without `defaults`, less what is free."""
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        at = f"{path}{field.alias or name}"
        if isinstance(value, Spec):
            yield from _leaves(value, f"{at}.", defaults)
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                yield from _member(inner, f"{at}.{key}", _unit(field), defaults)
        elif value is not None and (defaults or not _is_free(spec, name)):
            yield at, value, _unit(field)


def _is_free(spec: Spec, name: str) -> bool:
    """Whether nobody has given this cost of an op."""
    return isinstance(spec, Op) and name not in spec.model_fields_set


def _member(
    value: Any,  # noqa: ANN401  spec or number
    at: str,
    unit: str,
    defaults: bool,
) -> Iterator[tuple[str, Any, str]]:
    """One entry of a mapping: a composed op is one word, any other spec its fields."""
    if isinstance(value, Op) and value.parts is not None:
        yield at, " + ".join(op if n == 1 else f"{n:g} {op}" for op, n in value.parts.items()), ""
    elif isinstance(value, Spec):
        yield from _leaves(value, f"{at}.", defaults)
    else:
        yield at, value, unit


def _unit(field: FieldInfo) -> str:
    parts = (*field.metadata, field.annotation)
    return next((unit for part in parts if (unit := unit_of(part))), "")
