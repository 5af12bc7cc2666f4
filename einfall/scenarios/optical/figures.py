"""The figures of scenarios of optics; loads matplotlib, so it is imported for figures alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from einfall import plots
from einfall.scenarios.findings import Drawing, Findings, Record, number
from einfall.scenarios.optical.fit import OpticalFit
from einfall.scenarios.optical.region import CHARGED, KNOWN, ROOFLINE, OpticalRegion
from einfall.scenarios.optical.systems import FILLED
from einfall.scenarios.optical.texts import amount, times

FAR = 100.0
"""Times as long as the reference from which a system is drawn on an axis of its own."""

# Networks -----------------------------------------------------------------------------------------


def _networks(found: Findings) -> Iterator[Drawing]:
    rows = found.tables["results"]
    batches = [b for b in dict.fromkeys(row["batch"] for row in rows) if b != 1]
    table: list[Record] = [
        {
            "panel": "planes filled" if batch == FILLED else f"batch {batch:,}",
            "system": _system(row),
            "network": row["network"],
            "time_s": row["time_per_image_s"],
            "kind": "published" if _is_published(row) else "computed",
        }
        for batch in batches
        for row in rows
        if row["batch"] == batch
    ]
    title = "Time of an image on 4f systems and GPUs"
    yield "times", plots.times_figure(table, title=title), table


def _is_published(row: Record) -> bool:
    return str(row["system"]).startswith("published")


def _system(row: Record) -> str:
    """Published 4f times stand beside the paper's count, published GPU times on their own."""
    names = {"published 4f": "paper", "published gpu": "paper's GPU"}
    return names.get(str(row["system"]), str(row["system"]))


# Region -------------------------------------------------------------------------------------------


def _region(found: Findings) -> Iterator[Drawing]:
    scenario = cast("OpticalRegion", found.scenario)
    others = found.tables["systems"]
    gpus = [*_points(others, KNOWN, plots.KNOWN), *_points(others, ROOFLINE, plots.ROOFLINE)]
    counted = [*_thresholds(scenario, found.tables["results"]), *gpus]
    charged = [*_charged(scenario, others), *gpus]
    s = times(scenario.speedup)
    clock = amount(scenario.convolutions[0], "s")
    panels = {
        f"Papers' count: {clock} a convolution, signs free": counted,
        "Everything charged": charged,
    }
    figure = plots.region_figure(
        panels,
        title=f"GPU times from which {s} over a GPU holds",
        claim=f"{s} or more, with the best tiling or system",
    )
    drawn = [{"panel": name, **row} for name, rows in panels.items() for row in rows]
    yield "region", figure, drawn


def _thresholds(scenario: OpticalRegion, needed: Sequence[Record]) -> list[Record]:
    """Lines of the papers' count; a tiling that does not depend on the pitch is one line."""
    lines: dict[tuple[str, str], list[Record]] = {}
    wanted = (scenario.signs[0], scenario.convolutions[0])
    for row in needed:
        if (row["sign_frames"], row["convolution_s"]) == wanted:
            lines.setdefault((str(row["tiling"]), str(row["pitch"])), []).append(row)
    alike: dict[tuple[object, ...], list[str]] = {}
    for (tiling, pitch), rows in lines.items():
        heights = tuple((row["batch"], row["gpu_s"]) for row in rows)
        alike.setdefault((tiling, heights), []).append(pitch)
    return [
        {
            "series": tiling if len(pitches) > 1 else f"{tiling}, {pitches[0]} pitch",
            "batch": row["batch"],
            "time_s": row["gpu_s"],
            "kind": plots.THRESHOLD,
        }
        for (tiling, _), pitches in alike.items()
        for row in lines[str(tiling), pitches[0]]
    ]


def _charged(scenario: OpticalRegion, others: Sequence[Record]) -> list[Record]:
    return [
        {
            "series": row["system"],
            "batch": row["batch"],
            "time_s": scenario.speedup * number(row, "time_per_image_s"),
            "kind": plots.THRESHOLD,
        }
        for row in others
        if row["status"] == CHARGED
    ]


def _points(others: Sequence[Record], status: str, kind: str) -> list[Record]:
    return [
        {
            "series": row["system"],
            "batch": row["batch"],
            "time_s": row["time_per_image_s"],
            "kind": kind,
        }
        for row in others
        if row["status"] == status
    ]


# Fit ----------------------------------------------------------------------------------------------


def _fit(found: Findings) -> Iterator[Drawing]:
    scenario = cast("OpticalFit", found.scenario)
    rows = [r for r in found.tables["results"] if r["system"] != scenario.reference]
    far = {row["system"] for row in rows if number(row, "time_ratio") > FAR}
    panels = [
        {
            f"{word} over that of {scenario.reference}": [
                {"series": row["system"], "x": row["map_side"], "y": row[f"{word.lower()}_ratio"]}
                for row in rows
                if (row["system"] in far) is is_far
            ]
            for word in ("Time", "Energy")
        }
        for is_far in (True, False)
    ]
    figure = plots.ratios_figure(
        panels, title="Global filters by map side, planes filled", x="Map side [pixels]",
        y=f"Ratio to {scenario.reference} [times]", equal=scenario.reference,
    )  # fmt: skip
    drawn = [{"panel": n, **row} for line in panels for n, t in line.items() for row in t]
    yield "ratios", figure, drawn
    yield _tornado(scenario, found.tables["sensitivity"])


def _tornado(scenario: OpticalFit, rows: Sequence[Record]) -> Drawing:
    panels = {
        str(system): {
            what: _turned([row for row in rows if row["system"] == system], f"{what}_ratio")
            for what in ("time", "energy")
        }
        for system in dict.fromkeys(row["system"] for row in rows)
    }
    turned = scenario.tornado
    title = f"What a global filter of {turned.side} × {turned.side} takes when one thing changes"
    sides = f"1/{turned.factor:g} as much", f"{turned.factor:g}× as much"
    figure = plots.tornado_figure(panels, title=title, sides=sides)
    return "tornado", figure, [
        {"panel": f"{system}: {what}", **row}
        for system, tables in panels.items() for what, table in tables.items() for row in table
    ]  # fmt: skip


def _turned(rows: Sequence[Record], ratio: str) -> list[Record]:
    """A record for each knob: what changes with less and with more of it."""
    found: dict[str, dict[str, object]] = {}
    for row in rows:
        knob = {"name": row["knob"], "text": "", "low": None, "high": None}
        side = "low" if number(row, "factor") < 1 else "high"
        found.setdefault(str(row["knob"]), knob)[side] = row[ratio]
    return list(found.values())


DRAWINGS: Mapping[str, Callable[[Findings], Iterable[Drawing]]] = {
    "optical_fit": _fit,
    "optical_networks": _networks,
    "optical_region": _region,
}
"""What draws the findings of each kind of scenario."""
