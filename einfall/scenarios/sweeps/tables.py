"""The rows of a sweep as CSV or Parquet: a piece for each chunk, and the pieces made one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain, product
from pathlib import Path
from typing import IO, Any

import numpy as np

from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps.axes import CHOICES
from einfall.scenarios.sweeps.grid import Block
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.points import Table

FORMATS = ("csv", "parquet")
DIGITS = 12
"""Significant digits of a number in CSV."""

_GROUP = 2**20  # rows of a group in Parquet
_AT_ONCE = 8192  # rows that are formatted together


def check_format(name: str) -> None:
    """Refuse a format that cannot be written here.

    Raises:
        SpecError: With a way out.
    """
    if name not in FORMATS:
        raise SpecError([f"--format: want one of {', '.join(FORMATS)}, found {name!r}"])
    if name == "parquet":
        try:
            import_module("pyarrow")
        except ImportError:
            way_out = "pip install 'einfall[parquet]', or take --format csv"
            raise SpecError([f"--format parquet: want pyarrow, found none; {way_out}"]) from None


def piece(plan: Plan, blocks: Iterable[tuple[Block, Table]], form: str) -> bytes:
    """The rows of some blocks."""
    return _csv(plan, blocks) if form == "csv" else _arrow(plan, blocks)


def write(plan: Plan, pieces: Iterator[bytes], form: str, path: Path) -> None:
    """The table of all pieces, in their order."""
    if form == "csv":
        with path.open("wb") as file:
            file.write(_line(plan.columns).encode())
            for rows in pieces:
                file.write(rows)
    else:
        with path.open("wb") as file:
            _write_parquet(plan, pieces, file)


def number(value: Any) -> str:  # noqa: ANN401  what stands in a table
    """A value as CSV has it."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return str(value)


def _line(values: Iterable[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def axis_columns(plan: Plan, block: Block, kept: np.ndarray, read: Any) -> list[list[Any]]:  # noqa: ANN401
    """The values of every axis at the points that count, each as `read` makes it."""
    choosing = [a for a in range(len(block.dims)) if plan.is_choice(a)]
    found = []
    for axis, keys in enumerate(plan.axes):
        for key in keys:
            through = {*choosing, axis} if key not in CHOICES else {axis}
            dims = tuple(n if a in through else 1 for a, n in enumerate(block.dims))
            values = np.empty(dims, dtype=object)
            for places in product(*map(range, dims)):
                at = [r[i] for r, i in zip(block.ranges, places, strict=True)]
                names = plan.choice(at)
                values[places] = read(plan.values_of(key, names)[at[axis]])
            found.append(np.broadcast_to(values, block.dims)[kept].tolist())
    return found


# CSV ----------------------------------------------------------------------------------------------


def _csv(plan: Plan, blocks: Iterable[tuple[Block, Table]]) -> bytes:
    texts = []
    for block, table in blocks:
        kept = table.kept
        if not kept.any():
            continue
        places = np.flatnonzero(kept.ravel()) + block.first
        columns: list[list[Any]] = [places.tolist()]
        columns += axis_columns(plan, block, kept, lambda x: _line([number(x)])[:-1])
        form = ["%d", *["%s"] * (len(columns) - 1)]
        for name in plan.sweep.columns:
            own, how = _outputs(table.columns[name][kept])
            columns.append(own)
            form.append(how)
        row = ",".join(form) + "\n"
        for start in range(0, len(places), _AT_ONCE):
            part = [column[start : start + _AT_ONCE] for column in columns]
            flat = tuple(chain.from_iterable(zip(*part, strict=True)))
            texts.append((row * len(part[0])) % flat)
    return "".join(texts).encode()


def _outputs(values: np.ndarray) -> tuple[list[Any], str]:
    """A column and how it is written; empty where there is no answer."""
    if values.dtype.kind == "U":
        return values.tolist(), "%s"
    if np.isnan(values).any():
        return ["" if x != x else number(x) for x in values.tolist()], "%s"
    return values.tolist(), f"%.{DIGITS}g"


# Parquet ------------------------------------------------------------------------------------------


def _schema(plan: Plan) -> Any:  # noqa: ANN401  a pyarrow schema
    pa: Any = import_module("pyarrow")

    kinds: list[tuple[str, Any]] = [("index", pa.int64())]
    for key in plan.keys:
        values: dict[Any, Any] = {**plan.values, **{k: v for (k, _), v in plan.fields.items()}}
        of = {type(x) for x in values[key]}
        kind = pa.string() if str in of else pa.float64() if float in of else pa.int64()
        kinds.append((plan.heads[key], kind))
    for name in plan.sweep.columns:
        kinds.append((name, pa.string() if name == "bound" else pa.float64()))
    return pa.schema(kinds)


def _arrow(plan: Plan, blocks: Iterable[tuple[Block, Table]]) -> bytes:
    pa: Any = import_module("pyarrow")

    schema, sink = _schema(plan), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for block, table in blocks:
            kept = table.kept
            columns: list[Any] = [np.flatnonzero(kept.ravel()) + block.first]
            columns += axis_columns(plan, block, kept, lambda x: x)
            columns += [_or_null(table.columns[name][kept]) for name in plan.sweep.columns]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            stream.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def _or_null(values: np.ndarray) -> Any:  # noqa: ANN401
    pa: Any = import_module("pyarrow")

    if values.dtype.kind == "U":
        return pa.array(values.tolist(), pa.string())
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _write_parquet(plan: Plan, pieces: Iterator[bytes], file: IO[bytes]) -> None:
    """Groups of the same number of rows, whatever the pieces."""
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")

    schema = _schema(plan)
    waiting: list[Any] = []
    with pq.ParquetWriter(file, schema) as writer:
        for rows in pieces:
            waiting += pa.ipc.open_stream(rows).read_all().to_batches()
            while sum(batch.num_rows for batch in waiting) >= _GROUP:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table.slice(0, _GROUP).combine_chunks())
                waiting = table.slice(_GROUP).to_batches()
        writer.write_table(pa.Table.from_batches(waiting, schema).combine_chunks())
