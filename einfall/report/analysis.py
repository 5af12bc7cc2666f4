"""What follows from a cascade alone, as a record and as text: passes, operations, footprints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einfall.einsum_cascades import counts
from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.einsum_cascades.language import to_text
from einfall.einsum_cascades.masked import masks_of
from einfall.einsum_cascades.passes import RankPasses, analyze_passes, taxonomy
from einfall.einsum_cascades.shapes import shape_keys
from einfall.report.text import count, facts, page, paragraph, percent, table

Sizes = Mapping[str, Any]


def analysis_record(cascade: Cascade, sizes: Sizes | None, word_bytes: float) -> dict[str, Any]:
    """The JSON document of `analyze`; without sizes every number that needs them is null.

    Args:
        cascade: What is analysed.
        sizes: Size of every rank symbol [elements], or None.
        word_bytes: Size of an element of any tensor [bytes].
    """
    passes = analyze_passes(cascade)
    kind = taxonomy(cascade)
    return {
        "cascade": cascade.name,
        "class": kind,
        "why": _why(kind, passes),
        "mask": mask_record(cascade, sizes),
        "passes": {rank: found.passes for rank, found in passes.items()},
        "passes_why": {rank: found.why for rank, found in passes.items()},
        "sizes": None if sizes is None else dict(sizes),
        "word_bytes": word_bytes,
        **_totals(cascade, sizes, word_bytes),
        "footprints": _footprints(cascade, sizes, word_bytes),
        "einsums": [_einsum(cascade, e, sizes) for e in cascade.einsums],
    }


def mask_record(cascade: Cascade, sizes: Sizes | None) -> dict[str, Any] | None:
    """The mask of a cascade and, with sizes, its pairs; `pairs` are those of `heads` heads.

    `heads` is 1 where all heads have the same mask. None for a cascade without one.
    """
    mask = cascade.mask
    if mask is None:
        return None
    known: dict[str, Any] = dict.fromkeys(("heads", "pairs", "density"))
    if sizes is not None:
        masks = masks_of(cascade, sizes)
        pairs, heads = sum(one.pairs for one in masks), len(masks)
        density = pairs / (heads * sizes[mask.queries] * sizes[mask.keys])
        known = {"heads": heads, "pairs": pairs, "density": density}
    return {"mask": str(mask.spec), "queries": mask.queries, "keys": mask.keys, **known}


def _why(kind: str, passes: Mapping[str, RankPasses]) -> list[str]:
    """Sentences on the ranks that decide the class: those with the most passes."""
    most = int(kind.partition("-")[0])
    deciding = [found for found in passes.values() if found.passes == most]
    chains = [link.why for found in deciding for link in found.chain]
    return chains or ["no Einsum has to see all of a rank before that rank is read again"]


def _totals(cascade: Cascade, sizes: Sizes | None, word_bytes: float) -> dict[str, Any]:
    """Operations, compulsory traffic and their ratio."""
    if sizes is None:
        kinds = {k: None for e in cascade.einsums for k in counts.ops_per_point(e)}
        return {"ops": kinds, "flops": None, "compulsory_bytes": None, "flops_per_byte": None}
    ops = counts.ops(cascade, sizes)
    flops, moved = counts.flops(ops), counts.compulsory_bytes(cascade, sizes, word_bytes)
    ratio = flops / moved if moved else None
    return {"ops": ops, "flops": flops, "compulsory_bytes": moved, "flops_per_byte": ratio}


def _footprints(cascade: Cascade, sizes: Sizes | None, word_bytes: float) -> dict[str, Any]:
    return {
        name: {
            "rank": found.rank,
            "fiber": found.fiber,
            "visits": found.visits,
            "elements": found.elements,
            "bytes": None if found.elements is None else found.elements * word_bytes,
            "read_again_elements": found.spill_elements,
            "why": found.why,
        }
        for name, found in counts.footprints(cascade, sizes).items()
    }


def _einsum(cascade: Cascade, einsum: Einsum, sizes: Sizes | None) -> dict[str, Any]:
    return {
        "einsum": einsum.name,
        "over": list(cascade.iteration_ranks(einsum)),
        "ops_per_point": counts.ops_per_point(einsum),
        "points": None if sizes is None else counts.points(cascade, einsum, sizes),
    }


def analysis_text(cascade: Cascade, record: Mapping[str, Any]) -> str:
    """The record of `analyze` for people."""
    title = f"{cascade.name}: {record['class']}"
    about = paragraph(cascade.about, "  ") if cascade.about else ""
    mask = paragraph(f"Mask: {record['mask']['mask']}", "  ") if record["mask"] else ""
    why = "\n".join(paragraph(sentence, "  ") for sentence in record["why"])
    return page(
        "\n".join(part for part in (title, about, mask) if part),
        why,
        paragraph(_pass_line(record["passes"])),
        "Einsums\n" + _einsum_table(record),
        "Live at least\n" + _footprint_lines(record),
        "Sizes and totals\n" + facts(_total_lines(record))
        if record["sizes"]
        else _without(cascade),
    )


def _pass_line(passes: Mapping[str, int]) -> str:
    """Ranks with more than one pass by name, the others together."""
    many = [f"{rank} {n}" for rank, n in passes.items() if n > 1]
    once = [rank for rank, n in passes.items() if n == 1]
    return "Passes: " + ", ".join([*many, f"1 over {', '.join(once)}"] if once else many)


def _einsum_table(record: Mapping[str, Any]) -> str:
    rows = [
        [
            line["einsum"],
            ", ".join(line["over"]),
            " + ".join(f"{n} {op}" if n > 1 else op for op, n in line["ops_per_point"].items()),
            "" if line["points"] is None else count(line["points"]),
        ]
        for line in record["einsums"]
    ]
    header = ["Einsum", "over", "each point"]
    if record["sizes"] is None:
        return table(header, [row[:3] for row in rows])
    return table([*header, "points"], rows, right={"points"})


def _footprint_lines(record: Mapping[str, Any]) -> str:
    from einfall.units import format_quantity

    held = {name: f for name, f in record["footprints"].items() if f["fiber"] != "1"}
    lines = []
    for name, found in held.items():
        size = "" if found["bytes"] is None else f"{format_quantity(found['bytes'], 'B')}: "
        lines.append((name, size + found["why"].removeprefix(f"{name} is ")))
    rest = "nothing" if not held else "of all others"
    lines.append((rest, "one element at a time" if held else "more than one element at a time"))
    return facts(lines)


def _total_lines(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    from einfall.units import format_quantity

    sizes = ", ".join(f"{rank} {size:,}" for rank, size in record["sizes"].items())
    total = sum(record["ops"].values())
    ops = [f"{count(n)} {k} ({percent(n / total)})" for k, n in record["ops"].items()]
    moved = format_quantity(record["compulsory_bytes"], "B")
    word = format_quantity(8 * record["word_bytes"], "bit")
    return [
        ("sizes", sizes),
        *_mask_lines(record["mask"]),
        ("operations", ", ".join(ops)),
        ("FLOP", f"{count(record['flops'])}, a multiply-add as two, anything else as one"),
        ("traffic", f"{moved} at least: each input and output once, in words of {word}"),
        ("intensity", f"{record['flops_per_byte']:,.4g} FLOP/B at most"),
    ]


def _mask_lines(mask: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if mask is None:
        return []
    where = "in each head" if mask["heads"] == 1 else f"in {mask['heads']} heads together"
    pairs = f"{count(mask['pairs'])} pairs of {mask['queries']} and {mask['keys']} {where}"
    return [("mask", f"{mask['mask']}: {pairs}, {percent(mask['density'])} of all")]


def _without(cascade: Cascade) -> str:
    keys = ", ".join(shape_keys(cascade))
    return paragraph(f"For numbers add --shape with {keys}; some have defaults.")


def cascade_record(cascade: Cascade) -> dict[str, Any]:
    """The JSON document of `show cascades NAME`."""
    return {
        "name": cascade.name,
        "about": cascade.about,
        "source": cascade.source,
        "class": taxonomy(cascade),
        "shape_keys": list(shape_keys(cascade)),
        "text": to_text(cascade),
    }


def cascade_text(record: Mapping[str, Any]) -> str:
    """The record of `show cascades NAME` for people."""
    keys = ", ".join(record["shape_keys"])
    return page(f"{record['name']}: {record['class']}, --shape {keys}", record["text"].rstrip())
