"""A machine laid open: every number with its unit, where it comes from, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from einfall.hw_models import Gpu, Machine, Source, SpatialArray, Spec
from einfall.hw_models.spatial_array import Op
from einfall.report.text import facts, page, paragraph, table
from einfall.units import format_quantity

_UNIT_OF = {
    "bytes_per_s": "B/s",
    "flops_per_s": "FLOP/s",
    "j_per_byte": "J/B",
    "j_per_flop": "J",
    "bytes": "B",
    "hz": "Hz",
    "mm2": "mm^2",
    "j": "J",
    "s": "s",
    "w": "W",
    "v": "V",
}
"""Base unit by the end of an attribute's name: names say the unit (`bandwidth_bytes_per_s`)."""

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
            "file": self.source.file,
            "line": self.source.line,
        }


def constants(machine: Machine) -> dict[str, Constant]:
    """Every value of a machine by its path, in the order of its fields.

    >>> from einfall.hw_models import load
    >>> found = constants(load("fusemax_cloud"))
    >>> found["dram.bandwidth"].text, found["units.2d.ops.exp"].text
    ('400 GiB/s', '6 mac')
    """
    skipped = {"kind", "name", "about"}
    return {
        path: Constant(path, value, unit, source_of(machine, path))
        for path, value, unit in _leaves(machine, "")
        if path not in skipped
    }


def source_of(machine: Machine, path: str) -> Source:
    """The source of a value, or of the nearest field around it that has one."""
    steps = path.split(".")
    around = (".".join(steps[:n]) for n in range(len(steps), 0, -1))
    return next((machine.sources[p] for p in around if p in machine.sources), _UNKNOWN)


def _leaves(spec: Spec, path: str) -> Iterator[tuple[str, Any, str]]:
    """(path, value, unit) of everything in a spec; what is at its default and free is left out."""
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        at = f"{path}{field.alias or name}"
        if isinstance(value, Spec):
            yield from _leaves(value, f"{at}.")
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                yield from _member(inner, f"{at}.{key}", _unit(name))
        elif value is not None and not (isinstance(spec, Op) and name not in spec.model_fields_set):
            yield at, value, _unit(name)


def _member(value: Any, at: str, unit: str) -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401  spec or number
    """One entry of a mapping: a composed op is one word, any other spec its fields."""
    if isinstance(value, Op) and value.parts is not None:
        yield at, " + ".join(op if n == 1 else f"{n:g} {op}" for op, n in value.parts.items()), ""
    elif isinstance(value, Spec):
        yield from _leaves(value, f"{at}.")
    else:
        yield at, value, unit


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNIT_OF.items() if name.endswith(f"_{end}")), "")


def machine_record(machine: Machine) -> dict[str, Any]:
    """The JSON document of `show machines NAME`."""
    return {
        "name": machine.name,
        "kind": machine.kind,
        "about": machine.about,
        **(_gpu_record(machine) if isinstance(machine, Gpu) else _array_record(machine)),
        "fields": [constant.record() for constant in constants(machine).values()],
    }


def machine_text(machine: Machine) -> str:
    """Every number of a machine in tables, a table for each part of it."""
    derived = _gpu_facts(machine) if isinstance(machine, Gpu) else _array_facts(machine)
    parts: dict[str, list[Constant]] = {}
    for constant in constants(machine).values():
        parts.setdefault(_part(constant), []).append(constant)
    tables = [_part_table(name, found) for name, found in parts.items()]
    head = f"{machine.name}, {machine.kind}\n{paragraph(machine.about, '  ')}"
    return page(head, facts(derived), *tables)


def _array_record(machine: SpatialArray) -> dict[str, Any]:
    return {
        "elements": {name: unit.pes for name, unit in machine.units.items()},
        "area_mm2": machine.area_mm2,
    }


def _array_facts(machine: SpatialArray) -> list[tuple[str, str]]:
    elements = [f"{name} {unit.rows} x {unit.cols}" for name, unit in machine.units.items()]
    area = format_quantity(machine.area_mm2, "mm^2")
    return [
        ("elements", ", ".join(elements)),
        ("area", f"{area}, all units, buffer and network"),
    ]


def _gpu_record(machine: Gpu) -> dict[str, Any]:
    return {
        "peak_flops_per_s": {d: machine.peak_flops_per_s(d) for d in machine.sm.tensor},
        "ridge_flops_per_byte": {d: machine.ridge_flops_per_byte(d) for d in machine.sm.tensor},
        "exps_per_s": machine.exps_per_clock * machine.clock.peak_at_hz,
        "achievable_bytes_per_s": machine.hbm.achievable_bytes_per_s,
    }


def _gpu_facts(machine: Gpu) -> list[tuple[str, str]]:
    record, at = _gpu_record(machine), format_quantity(machine.clock.peak_at_hz, "Hz")
    peaks = [f"{d} {format_quantity(x, 'FLOP/s')}" for d, x in record["peak_flops_per_s"].items()]
    ridges = [f"{d} {x:.0f}" for d, x in record["ridge_flops_per_byte"].items()]
    # an exp has no base unit of its own: the prefix is tera on every GPU
    return [
        ("dense peak", f"{', '.join(peaks)}, at {at}"),
        ("exp", f"{record['exps_per_s'] / 1e12:.3g} Texp/s, at {at}"),
        ("ridge", f"{', '.join(ridges)} FLOP/B"),
        ("HBM", f"{format_quantity(record['achievable_bytes_per_s'], 'B/s')} achievable"),
    ]


def _part(constant: Constant) -> str:
    """The part of a machine that a value belongs to: `dram`, `units.2d`, or the machine itself."""
    steps = constant.path.split(".")
    depth = 2 if steps[0] == "units" else 1
    return ".".join(steps[:depth]) if len(steps) > depth else ""


def _part_table(part: str, found: list[Constant]) -> str:
    rows = [
        [c.path.removeprefix(f"{part}."), c.text, c.source.status, c.source.text] for c in found
    ]
    return f"{part or 'whole machine'}\n" + table(["field", "value", "status", "source"], rows)
