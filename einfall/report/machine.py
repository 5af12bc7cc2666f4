"""A machine laid open: every number with its unit, where it comes from, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

import einfall
from einfall.hw_models import Gpu, Machine, Optical4f, Source, SpatialArray, Spec
from einfall.hw_models.spatial_array import Op
from einfall.report.text import facts, page, paragraph, table
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
                yield from _member(inner, f"{at}.{key}", _unit(field))
        elif value is not None and not (isinstance(spec, Op) and name not in spec.model_fields_set):
            yield at, value, _unit(field)


def _member(value: Any, at: str, unit: str) -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401  spec or number
    """One entry of a mapping: a composed op is one word, any other spec its fields."""
    if isinstance(value, Op) and value.parts is not None:
        yield at, " + ".join(op if n == 1 else f"{n:g} {op}" for op, n in value.parts.items()), ""
    elif isinstance(value, Spec):
        yield from _leaves(value, f"{at}.")
    else:
        yield at, value, unit


def _unit(field: FieldInfo) -> str:
    parts = (*field.metadata, field.annotation)
    return next((unit for part in parts if (unit := unit_of(part))), "")


def machine_record(machine: Machine) -> dict[str, Any]:
    """The JSON document of `show machines NAME`."""
    return {
        "name": machine.name,
        "kind": machine.kind,
        "about": machine.about,
        **DERIVED[machine.kind].record(machine),
        "fields": [constant.record() for constant in constants(machine).values()],
    }


def machine_text(machine: Machine) -> str:
    """Every number of a machine in tables, a table for each part of it."""
    parts: dict[str, list[Constant]] = {}
    for constant in constants(machine).values():
        parts.setdefault(_part(constant), []).append(constant)
    tables = [_part_table(name, found) for name, found in parts.items()]
    head = f"{machine.name}, {machine.kind}\n{paragraph(machine.about, '  ')}"
    return page(head, facts(DERIVED[machine.kind].facts(machine)), *tables)


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


def _optical_record(machine: Optical4f) -> dict[str, Any]:
    limit = min(machine.frame_limits_hz, key=machine.frame_limits_hz.__getitem__)
    return {
        "side": machine.side,
        "matched_side": machine.matched_side,
        "needed_diameter_m": machine.needed_diameter_m,
        "space_bandwidth_side": machine.space_bandwidth_side,
        "image_pitch_m": machine.image_pitch_m,
        "flight_s": machine.flight_s,
        "photon_j": machine.photon_j,
        "frame_hz": machine.frame_hz,
        "frame_limit": limit,
        "peak_macs_per_s": machine.peak_macs_per_s,
    }


def _optical_facts(machine: Optical4f) -> list[tuple[str, str]]:
    record, lenses = _optical_record(machine), machine.lenses
    needed, there, image, camera = (
        format_quantity(length, "m", 3)
        for length in (
            machine.needed_diameter_m,
            lenses.diameter_m,
            machine.image_pitch_m,
            machine.camera.pitch_m,
        )
    )
    frames = format_quantity(machine.frame_hz, "Hz")
    peak = format_quantity(machine.peak_macs_per_s, "FLOP/s").replace("FLOP", "MAC")
    return [
        ("usable", f"{machine.side} x {machine.side} pixels, the square that every plane holds"),
        ("lens", f"{needed} needed, {there} there"),
        ("", f"which pass {machine.space_bandwidth_side:.0f} pixels a side at the best pitch"),
        ("pitch", f"{machine.matched_side:.0f} pixels a side have a mask pixel for each bin"),
        ("", f"{image} on the camera is the image of an input pixel, the camera has {camera}"),
        ("flight", f"{format_quantity(machine.flight_s, 's', 3)} from input to camera"),
        ("photon", f"{machine.photon_j:.3g} J"),
        ("frames", f"{frames}, all planes changing, limited by {record['frame_limit']}"),
        ("peak", f"{peak} as dot products, side² multiply-adds a frame"),
    ]


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from a machine's numbers: for JSON, and as names and lines for people."""

    record: Callable[[Any], dict[str, Any]]
    facts: Callable[[Any], list[tuple[str, str]]]


DERIVED: Mapping[str, Derived] = {
    "gpu": Derived(_gpu_record, _gpu_facts),
    "optical_4f": Derived(_optical_record, _optical_facts),
    "spatial_array": Derived(_array_record, _array_facts),
}
"""By kind of machine: a new kind is one more line."""


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
