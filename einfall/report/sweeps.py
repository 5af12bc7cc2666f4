"""A sweep in text: how many points, the best of them, what each axis does, what binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from einfall.scenarios.sweeps.shown import shown
from einfall.scenarios.tables import text_table

if TYPE_CHECKING:
    from einfall.scenarios.sweeps.runner import SweepResult

_SHOWN = 12  # places of an axis


def sweep_text(found: SweepResult) -> str:
    """What is printed of a sweep."""
    return "\n\n".join(_parts(found.record()))


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    about = f": {record['about']}" if record["about"] else ""
    yield "\n".join([f"{record['sweep']}{about}", *_counts(record)])
    for name, rows in record["best"].items():
        if rows:
            yield f"best by {name}\n{_rows(rows)}"
    effects = _effects(record["effects"])
    if effects:
        yield f"what each axis does (geometric mean of latency over its first value)\n{effects}"
    if record["bounds"]:
        total = sum(record["bounds"].values())
        parts = ", ".join(f"{n} {k / total:.1%}" for n, k in record["bounds"].items())
        yield f"bound by: {parts}"
    if record["files"]:
        yield "\n".join(["files:", *(f"  {path}" for path in record["files"])])


def _counts(record: Mapping[str, Any]) -> Iterator[str]:
    rate = record["points_per_s"]
    speed = f", {rate:,.0f} points a second" if rate else ""
    before = record["resumed"]
    there = f"; {before:,} were there already" if before else ""
    yield f"{record['points']:,} points in {record['seconds']:.2f} s{speed}{there}"
    yield f"{record['kept']:,} count"
    for text, n in record["dropped"].items():
        yield f"{n:,} dropped by {text}"
    for kind, of in record["refused"].items():
        yield f"{of['count']:,} cannot be ({kind}), the first at index {of['first']}: {of['why']}"
    if lacking := record["without_baseline"]:
        yield f"{lacking['count']:,} without a baseline to compare with: {lacking['why']}"


def _rows(rows: list[dict[str, Any]]) -> str:
    head = list(rows[0])
    return text_table(head, [[shown(name, row[name]) for name in head] for row in rows])


def _effects(effects: list[dict[str, Any]]) -> str:
    """A line a place; of long axes only some, the ends among them."""
    by_axis: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for effect in effects:
        by_axis.setdefault(tuple(effect["axis"]), []).append(effect)
    lines: list[list[str]] = []
    for places in by_axis.values():
        last = len(places) - 1
        few = min(last, _SHOWN - 1)
        for n in sorted({round(i * last / few) for i in range(few + 1)}) if few else [0]:
            effect = places[n]
            names = ", ".join(f"{k} {shown(k, v)}" for k, v in effect["axis"].items())
            ratio = "" if effect["latency"] is None else f"{effect['latency']:.3g}×"
            binds = f"{effect['binds']} {effect['part']:.0%}" if effect["binds"] else ""
            lines.append([names, f"{effect['points']:,}", ratio, binds])
    return text_table(["axis", "points", "latency", "binds most"], lines) if lines else ""
