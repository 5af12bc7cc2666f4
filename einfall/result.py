"""`Result`: what Python is answered, as a record, rows, figures, text, and in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einfall.verbs.answers import DONE, PICTURES, Answer, BadInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame  # ty: ignore[import-not-found]  an extra, `pandas`

    from einfall.report.page import Page

Rows = list[dict[str, Any]]

ROWS = ("breakdown", "rungs", "rows", "einsums", "pareto", "effects")
"""Tables that are the rows of an answer where it has them, the first of these."""

_WHY = {
    "sweep": "no point counts: see dropped and refused",
    "validate": "a kernel or a row is outside its tolerance: see rows",
}


@dataclass(frozen=True, eq=False, repr=False)
class Figures(Mapping[str, "Figure"]):
    """Matplotlib figures by name, which a notebook shows as pictures.

    Args:
        drawn: The figures.
        answer: The answer that they show, as text.
    """

    drawn: Mapping[str, Figure]
    answer: str

    def __getitem__(self, name: str) -> Figure:
        """A figure."""
        return self.drawn[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the figures."""
        return iter(self.drawn)

    def __len__(self) -> int:
        """How many figures there are."""
        return len(self.drawn)

    def __repr__(self) -> str:
        """The names of the figures."""
        return f"figures: {', '.join(self) or 'none'}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures, in line."""
        from einfall.report.notebook import drawings

        return drawings(self.drawn, self.answer)


@dataclass(frozen=True, eq=False, repr=False)
class Result(Mapping[str, Any]):
    """An answer: a mapping, the JSON record of the command line, that draws and prints itself.

    Results are equal where their records are. What is printed, drawn and written comes from the
    answer that is there; nothing is worked out again.

    Args:
        verb: What was asked: `estimate`, …
        answer: The same answer that the command line prints.
        page: Makes its HTML page.
    """

    verb: str
    answer: Answer = field(repr=False)
    page: Callable[[], Page] = field(repr=False)

    @cached_property
    def _record(self) -> dict[str, Any]:
        """The record as JSON has it, so that it is the same as after `--json`."""
        return json.loads(self._json)

    @cached_property
    def _json(self) -> str:
        return json.dumps(self.answer.record, indent=2, allow_nan=False)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401  what JSON holds
        """A value of the record."""
        return self._record[key]

    def __iter__(self) -> Iterator[str]:
        """The keys of the record."""
        return iter(self._record)

    def __len__(self) -> int:
        """How many keys the record has."""
        return len(self._record)

    @property
    def ok(self) -> bool:
        """Whether the answer is yes: it fits, it is within its tolerance, every row has one."""
        return self.answer.code == DONE

    @property
    def why(self) -> str:
        """Why the answer is no; empty where it is yes."""
        if self.ok:
            return ""
        refused = [row["refusal"] for row in self.get("rows", ()) if row.get("refusal")]
        told = [*self.answer.problems, *refused] or [_WHY.get(self.verb, "see the record")]
        return "\n".join(told)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: what is assumed, left out, or not as one may think."""
        return self.answer.notes

    def to_dict(self) -> dict[str, Any]:
        """The document that the command line prints with `--json`; a copy of your own."""
        return json.loads(self._json)

    # Tables ---------------------------------------------------------------------------------------

    @property
    def tables(self) -> dict[str, Rows]:
        """Every table of the record by its path in it, such as `breakdown` or `tables.results`.

        A mapping of plain values is a table of the columns `name` and `value`. The record of one
        row, its single values, is the table `record`.
        """
        from einfall.report.page_tables import tables

        found = {".".join(table.path or ()): table.rows for table in tables(self._record)}
        single = {k: v for k, v in self._record.items() if not isinstance(v, Mapping | list)}
        return {name: [dict(row) for row in rows] for name, rows in found.items()} | {
            "record": [single]
        }

    @property
    def rows(self) -> Rows:
        """The rows of the answer, as `to_dataframe` has them.

        They are the first there is of `breakdown` (estimate: a row for each Einsum on each unit),
        `rungs` (ladder), `rows` (whatif, validate, bounds of many), `einsums` (analyze), `pareto`
        (search), `effects` (sweep); for bounds of one mask the single values of the record, as one
        row; else the first list of rows that the record has (`tables.results` of a scenario).
        """
        return self.table(None)

    def table(self, name: str | None = None) -> Rows:
        """The rows of one table.

        Args:
            name: A name of `tables`; by default the one that `rows` describes.

        Raises:
            BadInputError: There is no table of this name.
        """
        found = self.tables
        if name is None:
            name = next((one for one in ROWS if one in found), None) or self._first_list()
        if name not in found:
            known = ", ".join(found)
            raise BadInputError([f"table: wanted one of {known}, found {name!r}"])
        return found[name]

    def _first_list(self) -> str:
        """Path of the first list of rows, one level down at most; the record itself if none."""
        for key, value in () if self.verb == "bounds" else self._record.items():
            inner = value.items() if key == "tables" else [("", value)]
            for name, rows in inner:
                if isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
                    return f"{key}.{name}".rstrip(".")
        return "record"

    def to_dataframe(self, table: str | None = None) -> DataFrame:
        """A table as a pandas DataFrame; mappings in a row become columns such as `before.bound`.

        Args:
            table: A name of `tables`; by default `rows`.

        Raises:
            ImportError: pandas is not installed.
            BadInputError: There is no table of this name.
        """
        rows = self.table(table)
        try:
            import pandas as pd  # ty: ignore[import-not-found]  an extra, `pandas`
        except ImportError as error:
            raise ImportError(
                "to_dataframe: wanted pandas, found none; pip install 'einfall[pandas]', or use "
                "rows, a list of dicts"
            ) from error
        return pd.json_normalize(rows)

    # Figures and files ----------------------------------------------------------------------------

    def figures(self) -> Figures:
        """The figures that show the answer, drawn anew, by name; empty where there is none."""
        drawn = {name: figure for name, figure, _ in self.answer.drawings()}
        return Figures(drawn, self._json)

    def save(
        self, path: str | Path, *, figure: str | None = None, table: str | None = None
    ) -> Path:
        """Write the answer, as the end of the path says, whole or not at all.

        Args:
            path: `.json` (as `--json`), `.csv` (a table), `.html` (the page of `einfall report`),
                `.png` or `.svg` (a figure). Folders are made.
            figure: A name of `figures()`; the first by default.
            table: A name of `tables`; `rows` by default.

        Returns:
            The path.

        Raises:
            BadInputError: Another ending, a place that cannot be written, or nothing of this name.
        """
        from einfall.report.files import unwritable, write

        target = Path(path)
        makers: Mapping[str, Callable[[], Callable[[Path], object]]] = {
            ".json": lambda: _writer(f"{self._json}\n"),
            ".csv": lambda: _writer(_csv(self.table(table))),
            ".html": lambda: _writer(self.page().html()),
            **dict.fromkeys(PICTURES, lambda: self._picture(figure)),
        }
        if problem := unwritable("path", str(path), tuple(makers)):
            raise BadInputError([problem])
        return write(target, makers[target.suffix.lower()]())

    def _picture(self, name: str | None) -> Callable[[Path], object]:
        found = self.figures()
        if name is None and found:
            name = next(iter(found))
        if name is None or name not in found:
            known = ", ".join(found) or "none, this answer has no figure"
            raise BadInputError([f"figure: wanted one of {known}, found {name!r}"])
        sheet = found[name]
        return lambda part: sheet.savefig(part, dpi=200)

    # To look at -----------------------------------------------------------------------------------

    def __str__(self) -> str:
        """What the command line prints."""
        return self.answer.text() or self.why

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What a notebook shows: title, sentences, the rows, and the figures, in line."""
        from einfall.report.notebook import fragment

        return fragment(self.page(), self.rows if self.ok else ())


def _writer(text: str) -> Callable[[Path], object]:
    return lambda part: part.write_text(text, encoding="utf-8", newline="")


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; what is no plain value as JSON."""
    from einfall.files import rows_text

    return rows_text([{k: _cell(v) for k, v in row.items()} for row in rows])


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, Mapping | list) else value
