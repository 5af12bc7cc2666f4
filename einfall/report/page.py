"""One answer as one HTML file that needs nothing else: works offline, in mail and in print."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from einfall import __version__
from einfall.report.page_tables import Record, Table, facts, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_JSON = 300_000
"""Characters of data that a page holds as they are; longer data is compressed."""

LARGEST_BYTES = 1_000_000
"""Size of a page above which its maker is told: mail may not take it."""

_FIGURE_ROWS = 60
_LONG = 40  # characters of a value that has a line of its own
_APART = frozenset(("einfall", "explain", "notes", "files"))
"""Keys of a record that have a place of their own."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a page: its name, and the records that it shows."""

    name: str
    figure: Figure
    rows: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page tells.

    Args:
        command: The command line that gives the same answer.
        record: Its JSON document.
        wide: What it prints for people, with lines as long as they want to be.
        printed: The same with lines for a terminal.
        figures: Its figures.
        constants: What the answer rests on, as `--explain` gives them; those of the record if none.
        notes: Remarks and mistakes that were told.
    """

    command: str
    record: Mapping[str, Any]
    wide: str
    printed: str
    figures: Sequence[Drawn] = ()
    constants: Sequence[Record] = ()
    notes: Sequence[str] = ()

    def html(self) -> str:
        """The document."""
        title, lead, prose, named = words(self.wide, self.command)
        said = " ".join([title, *(line for block in prose for line in block)])
        own = {k: v for k, v in self.record.items() if k not in _APART}
        sections = [
            ("Answer", paragraphs(prose) + told(named) + _facts(own, said, named)),
            ("Notes", _list(self.told_notes())),
            ("Figures", _figures(self.figures)),
            ("Tables", _tables(own)),
            ("Terms", self._terms()),
            ("Provenance", self._provenance()),
            ("As the terminal prints it", self._printed(bool(prose or named))),
        ]
        shown = [(name, body) for name, body in sections if body]
        return Template(_file("page.html")).substitute(
            title=escape(title),
            lead=escape(lead),
            command=escape(self.command),
            version=escape(__version__),
            style=_file("page.css"),
            script=_file("page.js"),
            links="".join(f'<li><a href="#{_id(n)}">{n}</a></li>' for n, _ in shown),
            sections="".join(_section(name, body) for name, body in shown),
            data=embedded(self.record),
        )

    def _printed(self, folded: bool) -> str:
        """The answer as it is printed, open where the page has no words of it."""
        text = f"<pre>{escape(self.printed)}</pre>"
        return _details("Show", text) if folded else text

    def told_notes(self) -> list[str]:
        """The remarks of the answer, each once."""
        return list(dict.fromkeys((*self.record.get("notes", ()), *self.notes)))

    def _terms(self) -> str:
        explained, path = self._explained()
        terms, changed = explained.get("terms", ()), self.record.get("explain", {}).get("changed")
        if not terms:
            return ""
        table = Table("Every term: equation, numbers, result", terms, (*path, "terms"))
        told = _details(f"{len(terms)} terms", table.html())
        if not changed:
            return told
        first = Table("Terms that changed", changed, ("explain", "changed"))
        return _details(f"{len(changed)} terms that changed", first.html()) + told

    def _explained(self) -> tuple[Record, tuple[str, ...]]:
        """What `--explain` gives, of a change what there is after it; and its place in the data."""
        explained = self.record.get("explain", {})
        side = next((name for name in ("after", "before") if explained.get(name)), None)
        return (explained[side], ("explain", side)) if side else (explained, ("explain",))

    def _provenance(self) -> str:
        """The constants with their sources, and how many have which status."""
        explained = self._explained()[0].get("constants", ())
        found = explained or self.constants
        if not found:
            return ""
        statuses: dict[str, int] = {}
        for constant in found:
            statuses[constant["status"]] = statuses.get(constant["status"], 0) + 1
        counted = ", ".join(f"{n} {status}" for status, n in statuses.items())
        which = "used in this answer" if explained else "of the machine"
        rows = [_constant(constant) for constant in found]
        return (
            f"<p>{len(found)} constants {which}: {escape(counted)}.</p>"
            + Table("Constants", rows, most=len(rows)).html()
        )


def _constant(constant: Record) -> dict[str, object]:
    place = f"{constant['file']}:{constant['line']}" if constant.get("file") else ""
    return {
        "constant": constant["path"],
        "value": constant["text"],
        "status": constant["status"],
        "source": constant["source"],
        "file": place,
    }


# Words --------------------------------------------------------------------------------------------


def words(text: str, command: str) -> tuple[str, str, list[list[str]], list[tuple[str, str]]]:
    r"""The title of an answer, what stands under it, its sentences, and its facts by name.

    Sentences are blocks of lines without columns: one line, or a line that ends in a colon and the
    list under it. A fact is a name and what it is. Tables are in the
    record already.

    >>> words("a on b\n  heads 2\n\n  latency  3 s\n\n1d is busy.", "einfall estimate a")
    ('a on b', 'heads 2', [['1d is busy.']], [('latency', '3 s')])
    """
    first, *blocks = text.strip("\n").split("\n\n")
    title, *under = first.split("\n")
    if len(title) > 160 or _columned(title):
        return command.partition(" --")[0], "", [], []
    prose = [found for block in blocks if (found := _sentences(block.split("\n")))]
    about = "" if any(_columned(line.strip()) for line in under) else " ".join(under).strip()
    told = [fact for block in blocks for fact in _named(block.split("\n"))]
    return title, about, prose, told


def _named(lines: Sequence[str]) -> list[tuple[str, str]]:
    """The facts of a block: two columns throughout, the second one without any of its own."""
    found = [re.fullmatch(r"  (\S(?:(?!  ).)*) {2,}(\S(?:(?! {3}).)*)", line) for line in lines]
    matches = [match for match in found if match]
    return [(m[1], m[2].replace("  ", ", ")) for m in matches] if len(matches) == len(lines) else []


def _columned(line: str) -> bool:
    return bool(re.search(r"\S {2,}\S|^-{5,}$|,\S*,\S*,", line))


def _sentences(lines: Sequence[str]) -> list[str]:
    if lines[0].startswith(" ") or any(_columned(line.strip()) for line in lines):
        return []
    told = lines[0].endswith(":") if len(lines) > 1 else not lines[0].endswith(":")
    return [line.strip() for line in lines] if told else []


# Parts of the document ----------------------------------------------------------------------------


def _file(name: str) -> str:
    return files("einfall.report").joinpath(name).read_text(encoding="utf-8")


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")


def _section(name: str, body: str) -> str:
    mark = _id(name)
    return (
        f'<section id="{mark}" aria-labelledby="{mark}-head"><h2 id="{mark}-head">{name}</h2>\n'
        f"{body}</section>\n"
    )


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n{body}</details>\n"


def paragraphs(prose: Iterable[Sequence[str]]) -> str:
    """Sentences, and lists under those that have one."""
    return "".join(f"<p>{escape(first)}</p>\n{_list(rest)}" for first, *rest in prose)


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>\n" if lines else ""


def told(found: Sequence[tuple[str, str]]) -> str:
    """Facts by name, one a line."""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in found)
    return f'<dl class="told">{pairs}</dl>\n' if pairs else ""


def _facts(record: Record, said: str, told: Iterable[tuple[str, str]]) -> str:
    """The single values of a record, those that take long after the others.

    What a paragraph or a fact says already is not said again.
    """
    names = {name for name, _ in told}
    found = [
        (name, text)
        for name, text in facts(record)
        if name not in names and (len(text) < _LONG or text not in said)
    ]
    found.sort(key=lambda fact: len(fact[1]) > _LONG)
    pairs = "".join(
        f"<div{' class=long' if len(text) > _LONG else ''}>"
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        for name, text in found
    )
    return f"<dl>{pairs}</dl>\n" if pairs else ""


def _tables(record: Record) -> str:
    found = "".join(table.html() for table in tables(record))
    return f'<div class="tables">{found}</div>\n' if found else ""


def _figures(drawn: Sequence[Drawn]) -> str:
    if not drawn:
        return ""
    from einfall.plots import once

    return once("".join(_figure(i, one) for i, one in enumerate(drawn, 1)))


def _figure(i: int, drawn: Drawn) -> str:
    from einfall.plots import inline_svg

    words = drawn.name.replace("_", " ")
    name = words[:1].upper() + words[1:]
    svg = inline_svg(drawn.figure, f"f{i}", f"{name}; its numbers are in the table below")
    table = Table(f"Data of figure {i}", drawn.rows, most=_FIGURE_ROWS).html()
    count = f"{len(drawn.rows):,} row{'' if len(drawn.rows) == 1 else 's'}"
    return (
        f'<figure><div class="drawing" role="region" tabindex="0" aria-label="Figure {i}">{svg}'
        f"</div><figcaption>Figure {i}: {escape(name)}</figcaption>\n"
        f"{_details(f'Data of figure {i}: {count}', table)}</figure>\n"
    )


# Data ---------------------------------------------------------------------------------------------


def embedded(record: Mapping[str, Any]) -> str:
    r"""A record as the text of a script element; long ones compressed, as base64 in JSON.

    >>> embedded({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) > MOST_JSON:
        packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")
        text = json.dumps({"encoding": "gzip+base64", "data": packed})
    return re.sub("[<&\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", text)


def data_of(html: str) -> dict[str, Any]:
    """The record that a page holds: what its command prints with `--json`.

    Raises:
        ValueError: The page holds none.

    >>> data_of('<script type="application/json" id="record">{"a":1}</script>')
    {'a': 1}
    """
    found = re.search(
        r'<script type="application/json" id="record">(.*?)</script>', html, re.DOTALL
    )
    if found is None:
        raise ValueError("page: wanted a page of einfall report, found no record in it")
    record = json.loads(found[1])
    if record.keys() == {"encoding", "data"}:
        record = json.loads(gzip.decompress(base64.b64decode(record["data"])))
    return record
