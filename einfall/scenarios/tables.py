"""Tables as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


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


def files_text(paths: Sequence[Path]) -> Iterator[str]:
    """The files that were written, if any, as one paragraph.

    A line a file; files that differ in their ending only share one: `pareto.{png,svg}`.

    >>> print(*files_text([Path("a.csv"), Path("b.png"), Path("b.svg")]))
    files:
      a.csv
      b.{png,svg}
    """
    endings: dict[Path, list[str]] = {}
    for path in paths:
        endings.setdefault(path.with_suffix(""), []).append(path.suffix[1:])
    lines = [
        f"  {stem}.{each[0]}" if len(each) == 1 else f"  {stem}.{{{','.join(each)}}}"
        for stem, each in endings.items()
    ]
    if lines:
        yield "\n".join(["files:", *lines])
