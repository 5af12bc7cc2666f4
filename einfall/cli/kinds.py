"""What a verb asks of a machine, whatever its kind: each kind has a module that answers.

A module of a kind has three functions:

    estimated(args, mistakes) -> Estimated               one cascade on the machine
    searched(args, mistakes) -> Answer                   its best mapping
    laddered(args, baseline, mistakes) -> (Ladder, what) the rungs of one against another
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from einfall.cli.answers import Answer, Mistakes
    from einfall.sim.events import Simulation
    from einfall.sim.ladder import Ladder

MODULES: Mapping[str, str] = {
    "gpu": "einfall.cli.gpu",
    "optical_4f": "einfall.cli.optical",
    "spatial_array": "einfall.cli.arrays",
}
"""The module that answers for each kind of machine; it is loaded when it is asked."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """An estimate for JSON and in texts, what a reader should know, and its simulation."""

    record: dict[str, Any]
    texts: tuple[Callable[[], str], ...]
    notes: tuple[str, ...]
    title: str
    simulation: Simulation | None


class Kind(Protocol):
    """The module of a kind."""

    def estimated(self, args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
        """The answer to `estimate`; `mistakes` may hold some of its options already."""
        ...

    def searched(self, args: argparse.Namespace, mistakes: Mistakes) -> Answer:
        """The answer to `search`."""
        ...

    def laddered(
        self, args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
    ) -> tuple[Ladder, dict[str, object]]:
        """The rungs, and what they compare."""
        ...


def kind_of(args: argparse.Namespace) -> Kind:
    """The module for the machine of `--on`.

    Where that cannot be read any of them will do: each reads it again and tells what is wrong.
    """
    from einfall.hw_models import SpecError, load

    kind = "spatial_array"
    if args.on is not None:
        with suppress(SpecError, OSError):
            kind = load(args.on).kind
    module: Any = import_module(MODULES[kind])
    return module


def simulates(args: argparse.Namespace) -> bool:
    """Whether a simulation is asked for, by itself or by a picture of it."""
    return bool(args.simulate or args.trace or args.timeline)
