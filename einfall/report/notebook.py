"""An answer as a piece of HTML that stands in a notebook: words, rows and figures, no script."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from einfall.report.page import Page, paragraphs, told, words
from einfall.report.page_tables import Record, columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 20
"""Rows that a notebook shows; the answer has them all."""

_STYLE = (
    "<style>.einfall .said dt{font-weight:600}.einfall .said{display:grid;gap:0 1rem;"
    "grid-template-columns:max-content 1fr}.einfall dd{margin:0}.einfall td,.einfall th"
    "{text-align:left}.einfall .n{text-align:right}.einfall svg{max-width:100%;height:auto}"
    ".einfall figure{margin:.5rem 0;background:#fff;color:#1a1a1a;max-width:44rem}</style>"
)


def fragment(page: Page, rows: Sequence[Record]) -> str:
    """The title of an answer, its facts and sentences, its rows, notes and figures.

    Every text is escaped. Ids of figures begin with a hash of the answer, so that those of two
    answers in one notebook do not meet.
    """
    title, lead, prose, facts = words(page.wide, page.command)
    head = f"<p><b>{escape(title)}</b><br>{escape(lead)}</p>"
    notes = "".join(f"<p><i>note: {escape(note)}</i></p>" for note in page.told_notes())
    body = told(facts).replace('class="told"', 'class="said"') + paragraphs(prose)
    drawn = _in_line({one.name: one.figure for one in page.figures}, page.command + page.wide)
    return f'<div class="einfall">{_STYLE}{head}{body}{_table(rows)}{notes}{drawn}</div>'


def drawings(figures: Mapping[str, Figure], answer: str) -> str:
    """Figures alone; `answer` is a text that tells their answer apart from others."""
    return f'<div class="einfall">{_STYLE}{_in_line(figures, answer)}</div>'


def _table(rows: Sequence[Record]) -> str:
    """The first rows as a table without script."""
    if not rows:
        return ""
    found, shown = columns(rows), rows[:MOST_ROWS]
    side = {True: ' class="n"', False: ""}
    heads = "".join(f"<th{side[c.right]}>{escape(c.head)}</th>" for c in found)
    lines = (
        "".join(f"<td{side[c.right]}>{escape(c.cell(row))}</td>" for c in found) for row in shown
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    left = len(rows) - len(shown)
    more = (
        f"<p>The first {len(shown)} of {len(rows):,} rows; rows has them all.</p>" if left else ""
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def _in_line(figures: Mapping[str, Figure], answer: str) -> str:
    if not figures:
        return ""
    from einfall.plots import inline_svg, once

    mark = f"e{hashlib.sha256(answer.encode()).hexdigest()[:8]}"
    drawn = (
        f"<figure>{inline_svg(figure, f'{mark}f{i}', name.replace('_', ' '))}</figure>"
        for i, (name, figure) in enumerate(figures.items())
    )
    return once("".join(drawn))
