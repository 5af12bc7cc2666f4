"""Files that are there whole or not at all: written under another name, then moved."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def write_all(writers: Mapping[Path, Callable[[Path], object]]) -> tuple[Path, ...]:
    """Have each writer write its file; none moves to its place before all are written.

    Folders are made. The temporary name ends as the file does, so that a writer can tell the format
    by it.

    Args:
        writers: For each file what writes it, given the path to write to.

    Returns:
        The paths, in order.

    Raises:
        OSError: A folder or a file cannot be made.
    """
    parts = {p: p.with_name(f".{p.stem}.{os.getpid()}.part{p.suffix}") for p in writers}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            writers[path](part)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return tuple(parts)


def write_texts(texts: Mapping[Path, str]) -> tuple[Path, ...]:
    """Write texts as they are, in UTF-8 and with their own line ends; see `write_all`."""
    return write_all({path: _writer(text) for path, text in texts.items()})


def _writer(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8", newline="")


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """Records as CSV, empty where one lacks a column; reading a float gives the same float."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def rows_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Records as CSV with every column that one of them has, in the order in which they come.

    >>> print(*rows_text([{"a": 1}, {"a": 2, "b": 3}]).split())
    a,b 1, 2,3
    """
    return csv_text(list(dict.fromkeys(name for record in records for name in record)), records)


def json_text(record: Any) -> str:  # noqa: ANN401  what JSON can hold
    """A record as indented JSON."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
