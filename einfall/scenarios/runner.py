"""Running a scenario of any kind: `run("fusemax", out=…)` gives what to print, and the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from einfall.hw_models.yaml_door import Document
from einfall.scenarios import fusemax_run, library
from einfall.scenarios.optical import fit, networks, region
from einfall.scenarios.optical.run import runner
from einfall.scenarios.sweeps import findings as sweep_findings

if TYPE_CHECKING:
    from einfall.scenarios.findings import Drawing


class Result(Protocol):
    """What a scenario came to."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files written."""

    def text(self) -> str:
        """What is printed."""

    def record(self) -> dict[str, Any]:
        """The JSON document."""

    def drawings(self) -> Iterable[Drawing]:
        """The figures, drawn when they are asked for."""


class Ready(Protocol):
    """A scenario that is read and checked."""

    def __call__(self, *, out: Path | None, figures: bool, accounting: str | None) -> Result:
        """Run it; write files into `out` unless it is None."""


Prepare = Callable[[Document, str], Ready]
"""Checks the YAML of a scenario, which was asked for by a name or path."""


def _loaded(answer: Callable[..., Result]) -> Prepare:
    """For a scenario whose file is all that there is to check."""
    return lambda document, _: partial(answer, library.built(document))


def _planned(document: Document, asked_as: str) -> Ready:
    """For a sweep, and all that its names stand for."""
    return partial(sweep_findings.run, sweep_findings.planned(document, asked_as))


RUNNERS: Mapping[str, Prepare] = {
    "fusemax": _loaded(fusemax_run.run),
    "optical_fit": _loaded(runner(fit.findings)),
    "optical_networks": _loaded(runner(networks.findings)),
    "optical_region": _loaded(runner(region.findings)),
    "sweep": _planned,
}
"""What makes each kind of `library.KINDS` ready."""


def ready(name_or_path: str | Path) -> Ready:
    """A scenario, read and checked.

    Raises:
        SpecError: No such scenario, or all the mistakes in it.
    """
    document = library.read(name_or_path)
    return RUNNERS[library.kind_of(document)](document, str(name_or_path))


def run(
    name_or_path: str | Path,
    *,
    out: Path | None = None,
    figures: bool = False,
    accounting: str | None = None,
) -> Result:
    """Run a scenario.

    Args:
        name_or_path: A scenario that ships, or a YAML file.
        out: Folder for tables and JSON; nothing is written without one.
        figures: Whether to draw the figures, too; they need `out`.
        accounting: "artifact" or "physical" for one alone, where the kind has both.

    Returns:
        The `Result` of its kind, with the paths of all files written.

    Raises:
        SpecError: Mistakes in the scenario, or an accounting that it does not have.
        ValueError: Figures without a folder.
    """
    if figures and out is None:
        raise ValueError("figures: want a folder to write to (out=…, --out), found none")
    return ready(name_or_path)(out=out, figures=figures, accounting=accounting)
