"""Bounds of one mask, a batch of them and a sweep of strides, as records and as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from einfall.report.text import count, facts, page, paragraph, percent, table

if TYPE_CHECKING:
    from einfall.scenarios.mask_cases import Cases
    from einfall.sim.bounds import Bounds
    from einfall.sim.strides import Choice


def bounds_record(bounds: Bounds, problem: Mapping[str, str]) -> dict[str, Any]:
    """The JSON document of `bounds`: the problem, every count and speedup, the histogram."""
    tiles = bounds.tiles
    histogram = zip(tiles.visits.tolist(), tiles.times.tolist(), strict=True)
    return {
        **problem,
        **bounds.record(),
        "fully_block_sparse": tiles.block_sparse,
        "imbalance": tiles.imbalance,
        "visited_per_q_tile": [{"kv_tiles": v, "q_tiles": n} for v, n in histogram],
    }


def bounds_text(record: Mapping[str, Any]) -> str:
    """The same for people: the three notions of speedup first, then what they come from."""
    r = record
    title = r["mask"] if "mask" in r else f"neighbourhood, input {r['input']}"
    q_tiles, kv_tiles = r["q_tiles"], r["kv_tiles_dense_per_q_tile"]
    visited, full = r["visited_kv_tiles"], r["dense_no_mask_tiles_ignoring_kv_pad"]
    partial = visited - full
    speedups = [
        ("operation count", f"{r['flop_speedup']:.4g}x  pairs: {count(r['attended_pairs'])}"),
        (
            "all tiles",
            f"{r['tile_speedup_total']:.4g}x  {count(visited)} of "
            f"{count(r['total_tiles_dense_attention'])} tiles; the bound with many waves",
        ),
        (
            "worst query tile",
            f"{r['tile_speedup_worst_q_tile']:.4g}x  {count(r['max_visited_per_q_tile'])} of "
            f"{count(kv_tiles)} key tiles; the bound if all {count(q_tiles)} query tiles "
            "run at once (NATTENSim's notion)",
        ),
    ]
    partly = f"{percent(partial / visited)} of them are partial and need the mask"
    need = "every visited tile is full: no mask needed" if not partial else partly
    others = [
        ("tiles visited", need),
        ("imbalance", f"{r['imbalance']:.4g}: the worst query tile over the mean one"),
        ("dynamic key tiles", f"{count(r['dynamic_visited_kv_tiles'])} visited"),
        (
            "flattened tiles",
            f"{count(r['visited_kv_tiles_1d_tiling'])} of "
            f"{count(r['total_tiles_dense_attention_1d_tiling'])} visited",
        ),
    ]
    if r.get("kernel_q_tiles", q_tiles) != q_tiles:
        extra = r["kernel_q_tiles"] - q_tiles
        others.append(("padding", f"the kernel runs {count(extra)} query tiles of nothing else"))
    end = r.get("end_to_end")
    if end:
        share = percent(end["share"])
        text = ", ".join(f"{name} {end[name]:.4g}x" for name in _END_TO_END)
        others.append(("end to end", f"{text}, with {share} of the time in this attention"))
    return page(_problem(title, r), facts(speedups), facts(others))


_END_TO_END = ("operation count", "all tiles", "worst query tile")


def _problem(title: str, record: Mapping[str, Any]) -> str:
    names = ("window", "stride", "dilation", "causal", "q_tile", "kv_tile")
    parts = [f"{name} {record[name]}" for name in names if name in record]
    return f"{title}\n{paragraph(', '.join(parts), '  ')}"


def end_to_end_record(record: Mapping[str, Any], share: float) -> dict[str, float]:
    """Amdahl's law on the three notions."""
    from einfall.sim.bounds import end_to_end

    names = ("flop_speedup", "tile_speedup_total", "tile_speedup_worst_q_tile")
    bounds = (end_to_end(record[name], share) for name in names)
    return {"share": share, **dict(zip(_END_TO_END, bounds, strict=True))}


# Batches ------------------------------------------------------------------------------------------


def cases_csv(cases: Cases) -> str:
    """The answers as CSV: counts as whole numbers, speedups with six decimals."""
    from einfall.files import csv_text
    from einfall.scenarios.mask_cases import ANSWERS

    rows = [{name: _cell(value) for name, value in row.items()} for row in cases.rows]
    return csv_text(("case_id", *ANSWERS), rows).rstrip("\n")


def _cell(value: object) -> object:
    return f"{value:.6f}" if isinstance(value, float) else value


# Strides ------------------------------------------------------------------------------------------


def choice_record(choice: Choice) -> dict[str, Any]:
    """One set of parameters with its bounds, as JSON has it."""
    from einfall.sim.bounds import text_of

    sizes = ("window", "stride", "dilation", "q_tile", "kv_tile")
    bounds = ("flop_speedup", "tile_speedup_total", "tile_speedup_worst_q_tile")
    return {
        **{name: text_of(getattr(choice, name)) for name in sizes},
        "sparsity": choice.sparsity,
        **{name: getattr(choice, name) for name in bounds},
        "fully_block_sparse": choice.fully_block_sparse,
    }


def sweep_text(record: Mapping[str, Any]) -> str:
    """The strides worth their price, and what is block-sparse near the sparsity."""
    kept = _table(record["rows"], {"stride": lambda row: row["stride"], **_BOUNDS})
    near = _table(record["recommended"], _ADVICE)
    wanted = percent(record["wanted_sparsity"])
    none = f"Nothing near {wanted} sparse has only full tiles with these tile shapes."
    return page(
        f"input {record['input']}, window {record['window']}, dilation {record['dilation']}, "
        f"tiles {record['q_tile']} and {record['kv_tile']}",
        "Strides that beat every smaller one in the worst-tile bound:",
        kept,
        f"Near {wanted} sparse, every visited tile full:" if record["recommended"] else none,
        near if record["recommended"] else "",
    )


_Column: TypeAlias = "Callable[[Mapping[str, Any]], str]"

_BOUNDS: dict[str, _Column] = {
    "operations": lambda row: f"{row['flop_speedup']:.2f}x",
    "all tiles": lambda row: f"{row['tile_speedup_total']:.2f}x",
    "worst tile": lambda row: f"{row['tile_speedup_worst_q_tile']:.2f}x",
    "full": lambda row: "yes" if row["fully_block_sparse"] else "",
}

_ADVICE: dict[str, _Column] = {
    "window": lambda row: row["window"],
    "stride": lambda row: row["stride"],
    "query and key tile": lambda row: f"{row['q_tile']}  {row['kv_tile']}",
    "sparse": lambda row: percent(row["sparsity"]),
    "speedup": lambda row: f"{row['tile_speedup_total']:.2f}x",
}


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, _Column]) -> str:
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return table(list(columns), cells, right=set(columns) - {"stride", "window", "full"})
