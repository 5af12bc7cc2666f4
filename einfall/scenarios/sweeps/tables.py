"""The rows of a sweep as CSV or Parquet: a piece for each chunk, and the pieces made one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import IO, Any

import numpy as np

from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps import digits
from einfall.scenarios.sweeps.axes import CHOICES
from einfall.scenarios.sweeps.grid import Block
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.points import Table

FORMATS = ("csv", "parquet")
_GROUP = 2**20  # rows of a group in Parquet
_AT_ONCE = 16_384  # rows that are written together: they stay in a core's cache


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


def pieces(plan: Plan, block: Block, table: Table, form: str) -> Iterator[bytes]:
    """The rows of a block, a piece after another."""
    return _csv(plan, block, table) if form == "csv" else _arrow(plan, block, table)


def write(plan: Plan, chunks: Iterator[bytes | memoryview], form: str, path: Path) -> None:
    """The table of all chunks' rows, in their order."""
    if form == "csv":
        with path.open("wb") as file:
            file.write(_line(plan.columns).encode())
            for rows in chunks:
                file.write(rows)
    else:
        with path.open("wb") as file:
            _write_parquet(plan, chunks, file)


def number(value: Any) -> str:  # noqa: ANN401  what stands in a table
    """A value as CSV has it."""
    if isinstance(value, float):
        return f"{value:.{digits.DIGITS}g}"
    return str(value)


def _line(values: Iterable[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def axis_columns(plan: Plan, block: Block, read: Callable[[Any], Any]) -> Iterator[np.ndarray]:
    """The values of every axis as `read` makes them, an array over the places of the axes each.

    It has one place on those axes on which the value does not depend.
    """
    choosing = {a for a in range(len(block.dims)) if plan.is_choice(a)}
    for axis, keys in enumerate(plan.axes):
        for key in keys:
            through = {axis} if key in CHOICES else choosing | {axis}
            dims = tuple(n if a in through else 1 for a, n in enumerate(block.dims))
            values = np.empty(dims, dtype=object)
            for chosen in product(*(range(n if a in choosing else 1) for a, n in enumerate(dims))):
                names = plan.choice([r[i] for r, i in zip(block.ranges, chosen, strict=True)])
                known = plan.values_of(key, names)
                for place in chosen[axis : axis + 1] if axis in choosing else range(dims[axis]):
                    at = (*chosen[:axis], place, *chosen[axis + 1 :])
                    values[at] = read(known[block.ranges[axis][place]])
            yield values


# CSV ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536, typed=True)  # every block has most of the values again
def _field(value: Any) -> bytes:  # noqa: ANN401  what stands in a table
    return _line([number(value)])[:-1].encode()


def _csv(plan: Plan, block: Block, table: Table) -> Iterator[bytes]:
    kept = table.kept
    if not kept.any():
        return
    columns = [np.flatnonzero(kept.ravel()) + block.first]
    for values in axis_columns(plan, block, _field):
        columns.append(np.broadcast_to(values.astype("S"), block.dims)[kept])
    columns += [table.columns[name][kept] for name in plan.sweep.columns]
    for start in range(0, len(columns[0]), _AT_ONCE):
        part = [_WRITTEN[own.dtype.kind](own[start : start + _AT_ONCE]) for own in columns]
        yield digits.joined(part)


_WRITTEN: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "i": digits.wholes,
    "f": digits.floats,
    "S": digits.rows_of,
    "U": digits.texts,
}
"""How a column is written, by the kind of its numbers."""


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


def _arrow(plan: Plan, block: Block, table: Table) -> Iterator[bytes]:
    """A stream of one batch."""
    pa: Any = import_module("pyarrow")

    schema, sink, kept = _schema(plan), pa.BufferOutputStream(), table.kept
    columns: list[Any] = [np.flatnonzero(kept.ravel()) + block.first]
    for values in axis_columns(plan, block, lambda x: x):
        columns.append(np.broadcast_to(values, block.dims)[kept].tolist())
    columns += [_or_null(table.columns[name][kept]) for name in plan.sweep.columns]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    yield sink.getvalue().to_pybytes()


def _batches(rows: bytes | memoryview) -> Iterator[Any]:
    """The batches of the streams of a chunk, one stream after another."""
    pa: Any = import_module("pyarrow")

    reader = pa.BufferReader(rows)
    while reader.tell() < reader.size():
        yield from pa.ipc.open_stream(reader).read_all().to_batches()


def _or_null(values: np.ndarray) -> Any:  # noqa: ANN401
    pa: Any = import_module("pyarrow")

    if values.dtype.kind == "U":
        return pa.array(values.tolist(), pa.string())
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _write_parquet(plan: Plan, chunks: Iterator[bytes | memoryview], file: IO[bytes]) -> None:
    """Groups of the same number of rows, whatever the chunks."""
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")

    schema = _schema(plan)
    waiting: list[Any] = []
    with pq.ParquetWriter(file, schema) as writer:
        for rows in chunks:
            waiting += _batches(rows)
            while sum(batch.num_rows for batch in waiting) >= _GROUP:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table.slice(0, _GROUP).combine_chunks())
                waiting = table.slice(_GROUP).to_batches()
        writer.write_table(pa.Table.from_batches(waiting, schema).combine_chunks())
