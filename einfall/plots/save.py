"""`save`: a figure as PNG and SVG, beside the numbers that it shows and how they were made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from einfall import __version__
from einfall.files import csv_text, json_text, write_all
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
    text, told = csv_text(columns, records), json_text(about)
    writers: dict[str, Callable[[Path], object]] = {
        "png": lambda path: figure.savefig(
            path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None}
        ),
        "svg": lambda path: _svg(figure, path),
        "csv": lambda path: path.write_text(text, encoding="utf-8", newline=""),
        "json": lambda path: path.write_text(told, encoding="utf-8", newline=""),
    }
    return write_all({stem.with_name(f"{stem.name}.{e}"): w for e, w in writers.items()})


def _svg(figure: Figure, path: Path) -> None:
    # The salt makes ids of clip paths the same in every run; matplotlib has no other door to it.
    with mpl.rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
