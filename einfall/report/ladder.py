"""A ladder of speedup bounds as a record, as text and as a figure; so a published use case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from einfall.report.text import amount, count, facts, page, paragraph, percent, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from einfall.sim.ladder import Ladder
    from einfall.validate.gna import Measured


def ladder_record(ladder: Ladder, share: float | None = None) -> dict[str, Any]:
    """The JSON document of `ladder`: rungs from the top, and where most is lost."""
    from einfall.sim.bounds import end_to_end

    rungs: list[dict[str, Any]] = [
        {"name": r.name, "speedup": r.speedup, "limit": r.limit, "kind": r.kind}
        for r in ladder.rungs
    ]
    if share is not None:
        for rung, r in zip(rungs, ladder.rungs, strict=True):
            rung["end_to_end"] = end_to_end(r.speedup, share)
    loss = ladder.largest_loss
    return {
        "rungs": rungs,
        "largest_loss": loss
        and {"from": loss.between[0], "to": loss.between[1], "part": loss.part},
        "flop_speedup": ladder.flop_speedup,
        "baseline_s": ladder.baseline_s,
        "latency_s": ladder.latency_s,
        "share": share,
    }


def ladder_text(record: Mapping[str, Any]) -> str:
    """The rungs with what limits each, and the largest loss in a sentence."""
    sizes = ", ".join(f"{key} {count(size)}" for key, size in record["shape"].items())
    times = ""
    if record["baseline_s"] is not None:
        times = facts(
            [
                ("baseline", f"{amount(record['baseline_s'], 's')}, {record['base_mapping']}"),
                ("latency", f"{amount(record['latency_s'], 's')}, {record['mapping']}"),
                *([("operations", _rate(record))] if record["flop_speedup"] else []),
            ]
        )
    return page(
        f"{_title(record)}\n{paragraph(sizes, '  ')}",
        times,
        _rungs(record["rungs"]),
        _worst_tile(record),
        paragraph(_loss(record)),
    )


def _rate(record: Mapping[str, Any]) -> str:
    """The ratio of operations beside the first rung, which compares with the peak."""
    return f"{record['flop_speedup']:.4g}x fewer; rungs count the baseline's own losses as gain"


def _title(record: Mapping[str, Any]) -> str:
    """What is compared with what, and where."""
    machine = f" on {record['machine']}" if record["machine"] else ""
    title = f"{record['cascade']}{_mask(record['mask'])} against {record['against']}"
    return f"{title}{_mask(record['base_mask'])}{machine}"


def _mask(text: str) -> str:
    return "" if text == "dense" else f" with {text}"


def _rungs(rungs: Sequence[Mapping[str, Any]]) -> str:
    whole = any("end_to_end" in rung for rung in rungs)
    header = ["rung", "speedup", *(["end to end"] if whole else []), "limit"]
    cells = [
        [
            rung["name"],
            f"{rung['speedup']:.4g}x",
            *([f"{rung['end_to_end']:.4g}x"] if whole else []),
            rung["limit"],
        ]
        for rung in rungs
    ]
    return table(header, cells, right={"speedup", "end to end"})


def _worst_tile(record: Mapping[str, Any]) -> str:
    """The worst-tile notion where it stands beside the ladder."""
    worst = record.get("tile_speedup_worst_q_tile")
    if worst is None or any(rung["name"] == "worst query tile" for rung in record["rungs"]):
        return ""
    return paragraph(
        f"Worst query tile: {worst:.4g}x (NATTENSim's notion), a bound only if all query tiles run "
        "at once; --processors says how many do."
    )


def _loss(record: Mapping[str, Any]) -> str:
    loss = record["largest_loss"]
    if loss is None:
        return "No rung loses anything to the one above it."
    limit = next(rung["limit"] for rung in record["rungs"] if rung["name"] == loss["to"])
    return f"Most is lost from {loss['from']} to {loss['to']}: {percent(loss['part'])} ({limit})."


def ladder_figure(record: Mapping[str, Any]) -> Figure:
    """The waterfall of one ladder."""
    from einfall.plots import ladder_figure as drawn

    return drawn(record["rungs"], title=_title(record))


# Published use cases ------------------------------------------------------------------------------


def case_record(
    case: str, about: str, measured: Sequence[Measured], share: float | None
) -> dict[str, Any]:
    """The JSON document of `ladder USE_CASE`: one ladder for each pattern on each GPU."""
    rows = [{**m.record(), **ladder_record(m.ladder, share)} for m in measured]
    return {"case": case, "about": about, "rows": rows, "share": share}


def case_text(record: Mapping[str, Any]) -> str:
    """Bounds beside measurements, a line for each pattern on each GPU."""
    header = ["GPU, pattern, stride", "FLOP", "all tiles", "worst tile"]
    header += ["kernel", "permuted"]
    cells = [
        [
            f"{_case(record, row)}{row['gpu']} {row['pattern']} {row['stride']}",
            *(f"{row[name]:.2f}" for name in NOTIONS),
        ]
        for row in record["rows"]
    ]
    note = (
        "Speedups over dense attention by cuDNN. Measured by NATTEN's authors: the kernel alone, "
        "and with the permutation of tokens (permuted). A kernel can exceed the bounds where dense "
        "cuDNN takes longer a tile than it does (H100). The worst tile bounds only where all query "
        "tiles run at once."
    )
    text = f"{record['case']}: {record['about']}"
    return page(text, table(header, cells, right=set(header[1:])), paragraph(note))


def _case(record: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The name of a row's use case, where there are several."""
    return "" if row["case"] == record["case"] else f"{row['case']} "


NOTIONS = (
    "flop_speedup",
    "tile_speedup_total",
    "tile_speedup_worst_q_tile",
    "measured_kernel",
    "measured_with_permute",
)
"""Columns of a use case: three bounds, then what was measured."""


def case_figure(record: Mapping[str, Any]) -> Figure:
    """The ladders of a use case side by side, those of a GPU together."""
    from einfall.plots import ladders_figure

    names = ("operations", "all tiles", "worst tile", "measured, kernel", "measured, permuted")
    rows = [
        {
            "case": f"{_case(record, row)}{row['pattern']} {row['stride']}",
            "gpu": row["gpu"],
            "name": name,
            "speedup": row[notion],
            "kind": "measured" if name.startswith("measured") else "bound",
        }
        for row in record["rows"]
        for name, notion in zip(names, NOTIONS, strict=True)
    ]
    return ladders_figure(rows, title=record["about"])
