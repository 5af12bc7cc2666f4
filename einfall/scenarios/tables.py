"""Tables as text for people and as CSV for programs; files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns under their names: the first to the left, all others to the right.

    >>> print(text_table(["claim", "ours"], [["speedup", "6.72×"], ["energy", "78.7 %"]]))
    claim      ours
    ---------------
    speedup   6.72×
    energy   78.7 %
    """
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(_padded(line, widths)).rstrip() for line in lines]
    return "\n".join([texts[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *texts[1:]])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = zip(line, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """Records as CSV; a float is written so that reading it gives the same float."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def json_text(record: Any) -> str:  # noqa: ANN401  what JSON can hold
    """A record as indented JSON."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def write_files(folder: Path, contents: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts to files of a folder, made where there is none.

    Each is written under a temporary name first, and none moves to its place before all are
    written, so that no reader finds half a file.

    Args:
        folder: Where.
        contents: Text by file name.

    Returns:
        The paths.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in contents}
    try:
        for text, part in zip(contents.values(), parts.values(), strict=True):
            part.write_text(text, encoding="utf-8", newline="")
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return tuple(parts)
