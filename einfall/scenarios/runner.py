"""Running a scenario of any kind: `run("fusemax", out=…)` gives what to print, and the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from einfall.scenarios import fusemax_run, library
from einfall.scenarios.optical import fit, networks, region
from einfall.scenarios.optical.run import runner

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


class Runner(Protocol):
    """Answers scenarios of one kind."""

    def __call__(
        self,
        scenario: Any,  # noqa: ANN401  each runner knows the scenarios of its kind
        *,
        out: Path | None,
        figures: bool,
        accounting: str | None,
    ) -> Result:
        """Run the scenario; write files into `out` unless it is None."""


RUNNERS: Mapping[str, Runner] = {
    "fusemax": fusemax_run.run,
    "optical_fit": runner(fit.findings),
    "optical_networks": runner(networks.findings),
    "optical_region": runner(region.findings),
}
"""What runs each kind of `library.KINDS`."""


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
    scenario = library.load(name_or_path)
    answer = RUNNERS[scenario.kind]
    return answer(scenario, out=out, figures=figures, accounting=accounting)
