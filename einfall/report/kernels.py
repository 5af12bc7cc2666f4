"""A kernel schedule as a record and as text: its tiles, what overlaps, what was fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from einfall.report.text import facts, page, table

if TYPE_CHECKING:
    from einfall.sim.gpu.schedule import KernelSchedule

_HIDDEN = ("kernel", "title", "tiles", "parameters", "names")


def kernel_record(kernel: KernelSchedule) -> dict[str, Any]:
    """The schedule as its file has it, its fits, and the source of each number."""
    schedule = kernel.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    return {
        "name": kernel.kernel,
        "title": kernel.title,
        "schedule": schedule,
        "fits": [_fit(line) for line in _lines(kernel.kernel)],
        "sources": {path: str(source) for path, source in kernel.sources.items()},
    }


def _lines(kernel: str) -> Iterable[Mapping[str, str]]:
    import csv

    from einfall.sim.gpu.calibrated import TABLE

    with TABLE.open(encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if line["kernel"] == kernel]


def _fit(line: Mapping[str, str]) -> dict[str, Any]:
    """One line of the calibration table: numbers as numbers, None where there is none."""
    numbers = {n: _number(line[n]) for n in ("value", "half_width", "fit_mape", "unseen_mape")}
    texts = ("machine", "harness", "parameter", "unit", "status", "data", "rows")
    return {name: line[name] for name in texts} | numbers


def _number(text: str) -> float | None:
    value = float(text) if text else float("nan")
    return value if isfinite(value) else None


def kernel_text(record: Mapping[str, Any]) -> str:
    """The schedule for people: what it is, its tiles, its fitted parameters."""
    schedule = record["schedule"]
    named = [(name, _text(value)) for name, value in schedule.items() if name not in _HIDDEN]
    return page(
        f"{record['name']}: {record['title']}",
        facts([*named, ("timings call it", ", ".join(schedule["names"]))]),
        _tiles(schedule.get("tiles", [])),
        _fits(record["fits"]),
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tiles(tiles: Iterable[Mapping[str, Any]]) -> str:
    rows = list(tiles)
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")) for name in columns] for row in rows]
    return table(columns, cells, right=set(columns))


def _fits(fits: Iterable[Mapping[str, Any]]) -> str:
    cells = [
        [
            f["parameter"],
            f["machine"],
            f["harness"],
            f"{f['value']:.4g} ± {f['half_width']:.2g}" if f["half_width"] is not None else "",
            f["unit"],
            "" if f["unseen_mape"] is None else f"{f['unseen_mape']:.1%}",
        ]
        for f in fits
    ]
    if not cells:
        return "No timing of this kernel was fitted: its parameters are those of its file."
    header = ["fitted", "machine", "harness", "value", "unit", "unseen error"]
    return table(header, cells, right={"value", "unseen error"})
