"""FLAT: three-pass attention on chip, rows of scores at a time, as a family of mappings.

What is on chip, which operand is stationary and how many rows are worked on is a *dataflow*. The
published runs take it from a table that FLAT's own search made (`flat_dataflow.csv`); for all other
shapes `choose` takes the one that keeps most on chip.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from einfall.hw_models.spatial_array import SpatialArray
from einfall.sim.mapping import (
    MAPPINGS,
    Binding,
    Group,
    Level,
    LoopSpec,
    Mapping,
    MappingError,
    Published,
)

TABLE = Path(MAPPINGS) / "flat_dataflow.csv"
_TENSORS = ("Q", "K", "QK", "A", "V", "AV")


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One way of FLAT to run attention.

    Attributes:
        on_chip: Which of Q, K, QK, A, V, AV stay in the buffer.
        scores: "output" (scores stay in the array) or "weight" (keys stay in it).
        values: "output" or "weight" (values stay in it) for the second product.
        rows: Queries worked on at once (P1).
        spilled: The part of what is on chip that does not fit and goes to DRAM.
    """

    on_chip: frozenset[str]
    scores: str
    values: str
    rows: int
    spilled: float = 0.0


def mapping_of(dataflow: Dataflow) -> Mapping:
    """The mapping of a dataflow: one group, scores and softmax overlapping over blocks of rows."""
    softmax = ("GM", "SN", "SD", "A")
    hold = {"Q": "p2", "K": "g", "V": "g", "QK": "p2", "A": "p2", "AV": "p2"}
    hold = {name: loop for name, loop in hold.items() if name in dataflow.on_chip}
    place: dict[str, Level] = {
        name: "buffer" if name in dataflow.on_chip else "stream" for name in _TENSORS
    }
    if "QK" not in dataflow.on_chip:
        place["QK"], hold["QK"] = "spilled", "p2"
    on_chip: Level = "buffer"
    rows_of_scores = {"GM": "p2", "SN": "p2", "SD": "p2"}
    spill = dict.fromkeys((*dataflow.on_chip, "SN"), dataflow.spilled)
    if "QK" not in dataflow.on_chip:
        spill = {}
    return Mapping(
        name="flat",
        about="Three-pass attention with rows of scores on chip.",
        source="Kao et al., FLAT, ASPLOS 2023; artifact of FuseMax, MICRO 2024 (f543beb)",
        cascades=("attention_3pass",),
        bind=(
            _product("QK", dataflow.scores, "E"),
            _product("AV", dataflow.values, "F"),
            Binding(unit="1d", cols=("H/G", "P", "M"), order=("P", "M"), einsums=softmax),
        ),
        groups=(
            Group(
                name="attention",
                loops=(
                    LoopSpec(loop="b", rank="B", tile=1),
                    LoopSpec(loop="g", rank="G", tile=1),
                    LoopSpec(loop="r", rank="H/G", tile=1),
                    LoopSpec(loop="p2", rank="P", tile=dataflow.rows),
                ),
                hold={**hold, **rows_of_scores},
                place={**place, **dict.fromkeys(rows_of_scores, on_chip)},
                shares={"SN": "QK", "A": "SN"},
                spill=spill,
                in_flight=2,
                published=Published(registers="three_pass"),
            ),
        ),
    )


def _product(einsum: str, stationary: str, width: str) -> Binding:
    """A product on the 2D array with its output or its weights (keys, values) kept in place."""
    if stationary == "weight":
        return Binding(
            unit="2d", rows=(width,), cols=("M",), order=(width, "M", "P"), einsums=(einsum,)
        )
    rows = "M" if einsum == "QK" else width
    order = ("P", "M", width) if einsum == "QK" else ("P", width, "M")
    return Binding(unit="2d", rows=(rows,), cols=("H/G", "P"), order=order, einsums=(einsum,))


@cache
def _table() -> MappingOf[tuple[str, int, int], Dataflow]:
    """Published dataflows by (platform, head width, sequence length)."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {
        (row["platform"], int(row["head_dim"]), int(row["seq_len"])): Dataflow(
            on_chip=frozenset(name for name in _TENSORS if row[name] == "onchip"),
            scores=row["QK_stationarity"],
            values=row["AV_stationarity"],
            rows=int(row["rows"]),
            spilled=float(row["spilled"]),
        )
        for row in rows
    }


def published(machine: str, head_dim: int, seq_len: int) -> Dataflow:
    """The dataflow of the published runs for a head width and a sequence length.

    Raises:
        MappingError: The table has none for them, with what it has.
    """
    platform = "edge" if machine.endswith("edge") else "cloud"
    found = _table().get((platform, head_dim, seq_len))
    if found is None:
        have = sorted(_table())
        widths = sorted({e for p, e, _ in have if p == platform})
        lengths = sorted({n for p, _, n in have if p == platform})
        raise MappingError(
            f"mapping flat with --accounting artifact: wanted a published dataflow (head_dim "
            f"{', '.join(map(str, widths))}; queries = keys = {', '.join(map(str, lengths))}), "
            f"found head_dim {head_dim} and {seq_len} queries; drop --accounting artifact to let "
            f"einfall choose one"
        )
    return found


def choose(sizes: MappingOf[str, int], machine: SpatialArray) -> Dataflow | None:
    """The output-stationary dataflow that keeps most on chip; None if no row of scores fits.

    Two blocks of rows are in flight. Queries stay on chip; then, as far as there is room, the rows
    of scores (as many as fit, whole array widths if it is one at least), the keys and the values.
    """
    P, M, E, F = (sizes[rank] for rank in ("P", "M", "E", "F"))
    word, capacity = machine.word_bytes, machine.buffer.capacity_bytes
    cols = machine.units["2d"].cols
    row_bytes = 2 * word * (E + M + 2)
    rows = min(P, int(capacity // row_bytes))
    if cols < rows < P:
        rows = rows // cols * cols
    if rows < 1:
        return None
    kept, need = frozenset({"Q", "QK", "A"}), rows * row_bytes
    for name, width in (("K", E), ("V", F)):
        if need + 2 * word * M * width <= capacity:
            kept, need = kept | {name}, need + 2 * word * M * width
    return Dataflow(kept, "output", "output", rows)
