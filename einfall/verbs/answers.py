"""What a verb answers, and how the mistakes of the one who asks are gathered and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from einfall.scenarios.findings import Drawing

T = TypeVar("T")

DONE, NO, BAD_INPUT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 130, 141
"""Exit codes; the last two are those of a program that is ended by the signal."""

PICTURES = (".png", ".svg")
"""Endings of the figures that a verb draws."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb answers: a JSON document, the same for people, remarks, and the exit code.

    `problems` are mistakes in parts of what was asked; the rest is answered all the same.
    `drawings` are the figures that show the answer, drawn when they are asked for.
    """

    record: Mapping[str, Any]
    text: Callable[[], str]
    notes: tuple[str, ...] = ()
    code: int = DONE
    problems: tuple[str, ...] = ()
    drawings: Callable[[], Iterable[Drawing]] = tuple


class BadInputError(ValueError):
    """Mistakes of the one who asks; one line each, all at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one."""
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


class Mistakes:
    """Gathers the mistakes of a command, so that all of them are told at once."""

    def __init__(self) -> None:
        """Begin without a mistake."""
        self.problems: list[str] = []

    def note(self, attempt: Callable[[], T]) -> T | None:
        """What the attempt gives; None, with its mistakes noted, where it fails."""
        try:
            return attempt()
        except mistake() as error:
            self.problems += lines(error)
            return None

    def add(self, problem: str | None) -> None:
        """Note a mistake; None is none."""
        if problem:
            self.problems.append(problem)

    def refuse(self) -> None:
        """Stop here if there is a mistake.

        Raises:
            BadInputError: With all of them.
        """
        if self.problems:
            raise BadInputError(self.problems)

    def settled(self, value: T | None) -> T:
        """The value that an attempt gave, once it is known that there was no mistake.

        Raises:
            BadInputError: There was one.
        """
        if self.problems or value is None:
            raise BadInputError(self.problems)
        return value


def mistake() -> tuple[type[Exception], ...]:
    """What the parts of einfall raise on bad input; loaded only when something is raised."""
    from einfall.einsum_cascades import CascadeError
    from einfall.einsum_cascades.masks import MaskError
    from einfall.einsum_cascades.passes import PassError
    from einfall.einsum_cascades.shapes import ShapeError
    from einfall.hw_models import SpecError, UnsupportedOpError
    from einfall.scenarios.mask_cases import CasesError
    from einfall.sim.gpu.schedule import ScheduleError
    from einfall.sim.mapping import MappingError
    from einfall.validate.timings import TimingsError

    of_cascades = (CascadeError, PassError, ShapeError, MaskError)
    of_machines = (SpecError, UnsupportedOpError, MappingError)
    of_files = (CasesError, TimingsError, ScheduleError)
    return (BadInputError, *of_cascades, *of_machines, *of_files, OSError)


def no() -> type[Exception]:
    """What is raised where the answer is no."""
    from einfall.sim.mapping import DoesNotFitError

    return DoesNotFitError


def refusal(error: Exception) -> Answer:
    """The answer no, with its reason."""
    record = {"fits": False, "why": str(error)}
    return Answer(record, lambda: "", code=NO, problems=(str(error),))


def lines(error: Exception) -> list[str]:
    """The problems of an error, one a line."""
    if isinstance(error, OSError):
        if isinstance(error, BrokenPipeError):
            raise error
        place = error.filename or "file"
        return [f"{place}: wanted a file that can be read or written, found: {error.strerror}"]
    return str(error).splitlines()


def did_you_mean(word: str, known: Iterable[str], else_: str) -> str:
    """A way out for a word that is not known: the close one, or what is said otherwise."""
    close = get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else else_
