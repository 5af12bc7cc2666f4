"""Chunks of a sweep on disk: there whole or not at all, so that a killed sweep goes on.

A chunk's file is a line of JSON, the tally and a check sum, and its rows. Its name is the hash of
the sweep, of the code and of which points it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.points import evaluate
from einfall.scenarios.sweeps.tables import pieces
from einfall.scenarios.sweeps.tally import Tally, merged, tally


def work_out(plan: Plan, start: int, stop: int, form: str | None) -> bytes:
    """The chunk of the blocks from a number up to another, as its file has it.

    Args:
        plan: The sweep.
        start: Number of the first block.
        stop: That after the last.
        form: How the rows are written; not at all without it.
    """
    tallies: list[Tally] = []
    rows: list[bytes] = []
    for block in plan.grid.blocks(start, stop):
        table = evaluate(plan, block)
        tallies.append(tally(plan, block, table))
        if form is not None:
            rows += pieces(plan, block, table, form)
    return packed(merged(tallies), rows)


def packed(own: Tally, rows: Sequence[bytes]) -> bytes:
    """A chunk as bytes, its rows in pieces."""
    crc = 0
    for part in rows:
        crc = zlib.crc32(part, crc)
    head = {"bytes": sum(map(len, rows)), "crc": crc, "tally": own}
    return b"".join((json.dumps(head).encode(), b"\n", *rows))


def tally_of(data: bytes) -> Tally:
    """The tally of a chunk that is whole."""
    return json.loads(data[: data.index(b"\n")])["tally"]


def unpacked(data: bytes) -> tuple[Tally, memoryview] | None:
    """Tally and rows of a chunk, these without a copy; None where it is broken."""
    end = data.find(b"\n")
    body = memoryview(data)[end + 1 :]
    try:
        head = json.loads(data[: max(end, 0)])
    except ValueError:
        return None
    if head.get("bytes") != len(body) or head.get("crc") != zlib.crc32(body):
        return None
    return head["tally"], body


@dataclass(frozen=True)
class Store:
    """The chunk files of a sweep in a folder of their own."""

    folder: Path
    key: str

    def path(self, number: int) -> Path:
        """Where a chunk lies."""
        name = hashlib.sha256(f"{self.key} {number}".encode()).hexdigest()[:24]
        return self.folder / f"{name}.chunk"

    def read(self, number: int) -> tuple[Tally, memoryview] | None:
        """A chunk, if it is there and whole."""
        try:
            return unpacked(self.path(number).read_bytes())
        except OSError:
            return None

    def write(self, number: int, data: bytes) -> None:
        """Keep a chunk: under another name first, then moved to its place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(number)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(data)
        part.replace(path)

    def bodies(self, count: int) -> Iterator[memoryview]:
        """The rows of all chunks in their order."""
        for number in range(count):
            found = self.read(number)
            if found is None:
                raise OSError(f"{self.path(number)}: wanted a chunk of the sweep, found none")
            yield found[1]

    def clear(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)
