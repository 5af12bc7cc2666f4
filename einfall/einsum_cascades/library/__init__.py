"""The cascades that come with einfall, one a file, and `load`, which reads them or your own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from einfall.einsum_cascades.checks import hint
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.language import CascadeError, parse

_PACKAGE, _SUFFIX = "einfall.einsum_cascades.library", ".cascade"


@cache
def names() -> tuple[str, ...]:
    """Names of the cascades in the library, sorted.

    >>> "attention_1pass" in names()
    True
    """
    found = (Path(entry.name) for entry in files(_PACKAGE).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == _SUFFIX))


def load(name_or_path: str | Path | Cascade) -> Cascade:
    """The cascade of the library with this name, or the one in a file; a cascade is itself.

    A name of the library is read once. All else that ends in `.cascade`, has a folder in it or is
    there on disk is a file, and read anew each time.

    Raises:
        CascadeError: No such name or file, or a file with mistakes; all of them at once.

    >>> load("attention_1pass").einsums[0].name
    'BQK'
    """
    if isinstance(name_or_path, Cascade):
        return name_or_path
    name, path = str(name_or_path), Path(name_or_path)
    if name in names():
        return _from_library(name)
    if path.suffix == _SUFFIX or path.name != name or path.is_file():
        return _from_disk(path)
    way_out = hint(name, names(), f"there are {', '.join(names())}")
    raise CascadeError([f"{name}: wanted a cascade of the library or a {_SUFFIX} file; {way_out}"])


@cache
def _from_library(name: str) -> Cascade:
    file = name + _SUFFIX
    return parse(files(_PACKAGE).joinpath(file).read_text(encoding="utf-8"), file)


def _from_disk(path: Path) -> Cascade:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CascadeError([f"{path}: wanted a file to read, found: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise CascadeError([f"{path}: wanted text in UTF-8, found {error.reason}"]) from error
    return parse(text, str(path))
