"""Running a scenario of optics: findings, their files, and no accounting from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.findings import Drawing, Findings, Told

ScenarioT = TypeVar("ScenarioT", bound=Told)


def runner(answer: Callable[[ScenarioT], Findings]) -> Callable[..., Findings]:
    """A runner of scenarios that have systems of their own, each with its accounting.

    Args:
        answer: Finds what a scenario comes to.
    """

    def run(
        scenario: ScenarioT, *, out: Path | None, figures: bool, accounting: str | None
    ) -> Findings:
        if accounting is not None:
            raise SpecError([_no_accounting(scenario, accounting)])
        found = replace(answer(scenario), draw=_drawn)
        return found if out is None else found.written(out, found.drawings() if figures else ())

    return run


def _drawn(found: Findings) -> Iterable[Drawing]:
    """The figures of a scenario; matplotlib is loaded for them alone."""
    from einfall.scenarios.optical.figures import DRAWINGS

    return DRAWINGS[found.scenario.kind](found)


def _no_accounting(scenario: Told, accounting: str) -> str:
    return (
        f"--accounting: want none for {scenario.name} ({scenario.kind}), whose file gives each "
        f"system its own, found {accounting!r}: leave it out, or change `accounting` in a copy"
    )
