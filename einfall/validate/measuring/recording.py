"""Recordings: a CSV written row by row, so that a run that is cut keeps what it has."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from einfall.validate.measuring.cases import COLUMNS, SIZES

TIMING_COLUMNS = (
    *("gpu", *COLUMNS, "median_ms", "p20_ms", "p80_ms", "tflops", "note"),
    *("max_abs_error", "relative_error", "sm_mhz", "power_w", "clock_reasons", "tile", "tried"),
    "repeats",
)
"""A timing. After `note`: the largest |ours - reference| and its norm over the reference's; clock
and power while it ran; the configuration that was fastest, and the time of each that was tried."""

ENERGY_COLUMNS = (
    *("gpu", "kernel", "dtype", *SIZES, "causal", "params", "ms", "avg_w", "mj_per_launch"),
    *("sm_mhz", "tile", "clock_reasons", "seconds", "launches", "temperature_c"),
)
"""A sustained loop: mean time of a launch, power, energy of a launch, clock of the second half."""

KEY = ("kernel", "dtype", *SIZES, "causal", "params")
"""What makes a case the same case."""


def key_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What identifies a record's case."""
    return tuple(str(record[name]) for name in KEY)


class Recording:
    """A CSV that grows by whole rows; an existing one is continued."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Start the file with its columns, or read which cases it has.

        Raises:
            ValueError: The file exists with other columns.
        """
        self.path, self.columns = path, columns
        self.done: set[tuple[str, ...]] = set()
        if path.exists() and path.stat().st_size:
            self._continue()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(dict(zip(columns, columns, strict=True)))

    def _continue(self) -> None:
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != self.columns:
                wanted, found = ",".join(self.columns), ",".join(rows.fieldnames or ())
                raise ValueError(f"{self.path}:1: wanted {wanted}, found {found}")
            self.done = {key_of(row) for row in rows}

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record; columns that it lacks stay empty."""
        self._write(record)
        self.done.add(key_of({name: record.get(name, "") for name in KEY}))

    def _write(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(record)
