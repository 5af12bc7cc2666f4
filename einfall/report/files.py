"""Files that a command writes: checked before anything is computed, whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from einfall.files import write_all


def unwritable(option: str, path: str | None, suffixes: Collection[str] = ()) -> str | None:
    """Why a file (or, without suffixes, a folder) cannot be written; None if it can.

    No path is no problem. The folder of the file may be missing: it is made when the file is
    written.

    >>> unwritable("--trace", "trace.txt", [".json"])
    "--trace: wanted a file that ends in .json, found 'trace.txt'"
    """
    if path is None:
        return None
    if not path:
        return f"{option}: wanted the path of a {'file' if suffixes else 'folder'}, found none"
    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        return f"{option}: wanted a file that ends in {' or '.join(suffixes)}, found {path!r}"
    if suffixes and target.is_dir():
        return f"{option}: wanted a file to write, found the folder {path!r}"
    folder = target.absolute().parent if suffixes else target.absolute()
    there = next(f for f in (folder, *folder.parents) if f.exists())
    if not there.is_dir():
        return f"{option}: wanted a folder to write {target.name} into, found the file {there}"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{option}: wanted a folder that may be written to, found {there}; name another one"
    return None


def write(path: str | Path, writer: Callable[[Path], object]) -> Path:
    """Have `writer` write the file, whole or not at all."""
    return write_all({Path(path): writer})[0]
