"""Many neighbourhood problems from one CSV: exact counts and bounds for each, wrong rows named.

A row is a problem: `input, window, stride, dilation, causal, q_tile, kv_tile`, numbers of the
dimensions joined with `x` (`30x48x80`); stride, dilation and causal may be left out. `case_id`
names the row, its number does where there is none. Columns that hold answers are not read; other
columns are not known, and the reader is told.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einfall.einsum_cascades.masks import MaskError
from einfall.einsum_cascades.masks.problem import NEEDED, OPTIONAL, Problem, read_problem
from einfall.sim.bounds import Bounds

NAMES = ("case_id", "tag", "dims")
ANSWERS = (
    "n_tokens",
    "attended_pairs",
    "flop_speedup",
    "q_tiles",
    "visited_kv_tiles",
    "dense_no_mask_tiles",
    "dense_no_mask_tiles_ignoring_kv_pad",
    "max_visited_per_q_tile",
    "total_tiles_dense_attention",
    "kv_tiles_dense_per_q_tile",
    "tile_speedup_total",
    "tile_speedup_worst_q_tile",
    "dynamic_visited_kv_tiles",
    "dynamic_max_visited_per_q_tile",
    "tile_speedup_worst_q_tile_dynamic",
    "kernel_q_tiles",
    "kernel_visited_kv_tiles",
    "kernel_predicate_fully_block_sparse",
    "exactly_block_sparse",
    "visited_kv_tiles_1d_tiling",
    "dense_no_mask_tiles_1d_tiling",
    "max_visited_per_q_tile_1d_tiling",
    "total_tiles_dense_attention_1d_tiling",
    "fully_block_sparse",
)
"""Columns that are answered, beside `case_id`."""


class CasesError(ValueError):
    """A file of cases that cannot be read at all; one line a problem."""


@dataclass(frozen=True, slots=True)
class Cases:
    """What became of a file: a record for each good row, problems of the others, remarks."""

    rows: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def answer_cases(path: str | Path) -> Cases:
    """Answer every row of a CSV of problems.

    Raises:
        CasesError: It is no CSV with the columns that are needed.
        OSError: It cannot be read.
    """
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            remarks = _check_header(str(path), header)
            return _answered(str(path), reader, remarks)
        except (csv.Error, UnicodeDecodeError) as error:
            raise CasesError(f"{path}: wanted a CSV in UTF-8, found: {error}") from None


def _check_header(path: str, header: list[str]) -> tuple[str, ...]:
    """Remarks on columns that are not known, once those that are needed are there."""
    missing = [name for name in NEEDED if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [f"{path}:1: {name}: wanted this column once, found it twice" for name in twice]
    if missing:
        found = ", ".join(header) or "an empty file"
        problems.append(f"{path}:1: wanted the columns {', '.join(missing)}, found {found}")
    if problems:
        raise CasesError("\n".join(problems))
    known = {*NEEDED, *OPTIONAL, *NAMES, *ANSWERS}
    foreign = [name for name in header if name not in known]
    return tuple(f"{path}: column {name!r} is not known and was ignored" for name in foreign)


def _answered(path: str, reader: csv.DictReader, remarks: tuple[str, ...]) -> Cases:
    rows, problems = [], []
    for number, fields in enumerate(reader, 1):
        line = reader.line_num
        if None in fields or None in fields.values():
            cells = sum(v is not None for k, v in fields.items() if k) + len(fields.get(None) or [])
            wanted = len(reader.fieldnames or [])
            problems.append(f"{path}:{line}: wanted {wanted} cells, found {cells}")
            continue
        try:
            problem = read_problem(fields)
        except MaskError as error:
            problems += [f"{path}:{line}: {text}" for text in error.problems]
            continue
        name = fields.get("case_id") or str(number)
        rows.append({"case_id": name, **record_of(problem)})
    return Cases(tuple(rows), tuple(problems), remarks)


def record_of(problem: Problem) -> dict[str, Any]:
    """The answers of one problem under the names of `ANSWERS`."""
    bounds = Bounds(problem.mask, problem.tiling)
    return {**bounds.record(), "fully_block_sparse": int(bounds.tiles.block_sparse)}
