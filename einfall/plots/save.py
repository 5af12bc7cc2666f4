"""`save`: a figure as PNG and SVG, beside the numbers that it shows and how they were made."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import matplotlib as mpl

from einfall import __version__
from einfall.plots.records import Record, some

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200
_SALT = "einfall"


def save(
    figure: Figure, path_stem: str | os.PathLike[str], data: Sequence[Record], meta: Mapping
) -> tuple[Path, ...]:
    """Write STEM.png, STEM.svg, STEM.csv of what is drawn, and STEM.json of where it comes from.

    Every file is first written beside its place and then moved there, so that a reader never finds
    half of one; no file moves before all four are written. The same figure, data and meta give the
    same bytes: the files hold no date.

    Args:
        figure: What to draw.
        path_stem: Path of the files without their ending; folders are made.
        data: The records drawn; a column that a record lacks stays empty.
        meta: What a reader needs to draw it again: command, version, commit. It must fit JSON.

    Returns:
        The paths: PNG, SVG, CSV, JSON.

    Raises:
        PlotError: There is nothing in `data`.
        TypeError: JSON cannot hold `meta`.
    """
    stem = Path(path_stem)
    records = some(data, f"save {stem.name}")
    columns = list(dict.fromkeys(column for record in records for column in record))
    about = {
        **meta,
        "einfall": meta.get("einfall", __version__),
        "matplotlib": mpl.__version__,
        "data": f"{stem.name}.csv",
        "columns": columns,
        "records": len(records),
    }
    contents: dict[str, Callable[[IO[bytes]], object]] = {
        "png": lambda file: figure.savefig(
            file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None}
        ),
        "svg": lambda file: _svg(figure, file),
        "csv": lambda file: file.write(_csv(records, columns)),
        "json": lambda file: file.write(_json(about)),
    }
    return _write_all({stem.with_name(f"{stem.name}.{e}"): c for e, c in contents.items()})


def _write_all(contents: Mapping[Path, Callable[[IO[bytes]], object]]) -> tuple[Path, ...]:
    """Write every file under a temporary name, then move all to their places."""
    temporary = {p: p.with_name(f".{p.name}.{os.getpid()}.part") for p in contents}
    try:
        for path, write in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary[path].open("wb") as file:
                write(file)
        for path, part in temporary.items():
            part.replace(path)
    finally:
        for part in temporary.values():
            part.unlink(missing_ok=True)
    return tuple(contents)


def _svg(figure: Figure, file: IO[bytes]) -> None:
    # The salt makes ids of clip paths the same in every run; matplotlib has no other door to it.
    with mpl.rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _csv(records: Sequence[Record], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _json(about: Mapping) -> bytes:
    return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()
