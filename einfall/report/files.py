"""Files that a command writes: checked before anything is computed, whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path


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
    """Have `writer` write the file under a temporary name, then move it to its place.

    The temporary name ends as the file does, so that a writer can tell the format by it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        writer(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
