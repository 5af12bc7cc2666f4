"""The scenarios that come with einfall, one YAML each, and `load`, which reads them or yours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from einfall.hw_models.yaml_door import Document, SpecError, did_you_mean, read_document
from einfall.scenarios.fusemax import FuseMax
from einfall.scenarios.optical.fit import OpticalFit
from einfall.scenarios.optical.networks import OpticalNetworks
from einfall.scenarios.optical.region import OpticalRegion
from einfall.scenarios.sweeps.spec import Sweep

Scenario: TypeAlias = FuseMax | OpticalFit | OpticalNetworks | OpticalRegion | Sweep
KINDS: Mapping[str, type[Scenario]] = {
    "fusemax": FuseMax,
    "optical_fit": OpticalFit,
    "optical_networks": OpticalNetworks,
    "optical_region": OpticalRegion,
    "sweep": Sweep,
}
"""What a scenario file may describe, by its `kind`."""


def names(kind: str | None = None) -> tuple[str, ...]:
    """Names of the scenarios that ship, sorted; those of one kind, or all.

    >>> "fusemax" in names(), "fusemax" in names("sweep")
    (True, False)
    """
    found = sorted(_files())
    return tuple(n for n in found if kind is None or read(n).data.get("kind") == kind)


def load(name_or_path: str | Path) -> Scenario:
    """The scenario that ships under a name, or a user's by the path of its YAML file.

    A file may begin with `base: fusemax` and change only what differs.

    Raises:
        SpecError: No such scenario, or all the mistakes in its file.

    >>> load("fusemax").kind, load("fatnet").kind
    ('fusemax', 'optical_networks')
    """
    return built(read(name_or_path))


def built(document: Document) -> Scenario:
    """The scenario that a YAML describes.

    Raises:
        SpecError: All the mistakes in it.
    """
    return document.build(KINDS[kind_of(document)])


def read(name_or_path: str | Path) -> Document:
    """The YAML of a scenario, its base merged in, with the mistakes that it has as YAML.

    Raises:
        SpecError: No such scenario, or no such file.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name not in _files():
            hint, known = did_you_mean(name, names()), ", ".join(names())
            raise SpecError([f"scenario: want a file.yaml or one of {known}, found {name!r}{hint}"])
        path = _files()[name]
    return read_document(path, _files())


def kind_of(document: Document) -> str:
    """The kind of a scenario, one of `KINDS`.

    Raises:
        SpecError: It states none of them; all the mistakes of its YAML.
    """
    kind = document.data.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return kind
    if not document.lacks_base:
        known, found = ", ".join(sorted(KINDS)), "none" if kind is None else repr(kind)
        document.report(("kind",), f"want a kind of scenario ({known}), found {found}")
    raise document.error()


def as_fusemax(scenario: Scenario) -> FuseMax:
    """The scenario, where it is FuseMax's evaluation; for what compares with its published rows.

    Raises:
        SpecError: It is of another kind.

    >>> as_fusemax(load("fusemax")).models
    ('BERT', 'TrXL', 'T5', 'XLM')
    """
    if isinstance(scenario, FuseMax):
        return scenario
    raise SpecError([f"scenario {scenario.name}: want kind fusemax, found {scenario.kind}"])


@cache
def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
