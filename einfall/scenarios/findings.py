"""`Findings`: what a scenario came to as tables and text, and their files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from einfall import __version__
from einfall.files import json_text, rows_text, write_texts
from einfall.scenarios.tables import files_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "einfall/scenario/1"
"""Version of the JSON document; it goes up when a key goes or means something else."""

Record = Mapping[str, object]
Drawing = tuple[str, "Figure", Sequence[Record]]
"""Name of its files, the figure, and the records that it shows."""


class Told(Protocol):
    """What any scenario says of itself."""

    @property
    def kind(self) -> str:
        """What runs it."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def about(self) -> str:
        """What it asks."""

    @property
    def source(self) -> str:
        """Where its numbers come from."""


@dataclass(frozen=True)
class Findings:
    """What a scenario came to: tables by the name of their file, what to print, what to draw.

    `asked` is the name or path by which it was asked for, if that is not its name.
    """

    scenario: Told
    tables: Mapping[str, Sequence[Record]]
    sections: Sequence[str]
    paths: tuple[Path, ...] = ()
    asked: str = ""
    draw: Callable[[Findings], Iterable[Drawing]] = field(default=lambda _: (), repr=False)

    def drawings(self) -> Iterable[Drawing]:
        """The figures, drawn when they are asked for."""
        return self.draw(self)

    def text(self) -> str:
        """What is printed: the sections, and the files."""
        title = ": ".join(filter(None, (self.scenario.name, self.scenario.about)))
        return "\n\n".join([title, *self.sections, *files_text(self.paths)])

    def record(self) -> dict[str, Any]:
        """The JSON document: all tables, with their source."""
        return {
            **self._about(),
            "tables": {name: [dict(row) for row in rows] for name, rows in self.tables.items()},
            "files": [str(path) for path in self.paths],
        }

    def _about(self) -> dict[str, Any]:
        told = self.scenario
        return {
            "schema": SCHEMA,
            "scenario": told.name,
            "about": told.about,
            "source": told.source,
            "einfall": __version__,
        }

    def written(self, out: Path, drawings: Iterable[Drawing] = ()) -> Findings:
        """The findings with their files: a CSV a table, `results.json` of all, the drawings.

        All is drawn before anything is written.
        """
        drawn = list(drawings)
        texts = {out / f"{name}.csv": rows_text(rows) for name, rows in self.tables.items()}
        record = {key: value for key, value in self.record().items() if key != "files"}
        paths = write_texts({**texts, out / "results.json": json_text(record)})
        for name, figure, data in drawn:
            from einfall import plots

            command = shlex.join(["einfall", "run", self.asked or self.scenario.name])
            meta = {"command": command, "source": self.scenario.source}
            paths += plots.save(figure, out / name, data, meta)
        return replace(self, paths=paths)


def number(row: Record, column: str) -> float:
    """The number in a column of a row.

    >>> number({"batch": 64}, "batch")
    64.0
    """
    value = row[column]
    assert isinstance(value, int | float), f"{column} holds numbers, found {value!r}"
    return float(value)
