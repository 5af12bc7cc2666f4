"""What is asked of a cascade on a 4f optical system: tilings take the place of mappings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from einfall.verbs.answers import Answer, BadInputError, Mistakes
from einfall.verbs.kinds import Asked, Estimated, Words, compared, told
from einfall.verbs.questions import BaseQuestion, read_accounting, read_machine, read_what

if TYPE_CHECKING:
    from einfall.hw_models import Optical4f
    from einfall.sim.accounting import Accounting
    from einfall.sim.ladder import Ladder
    from einfall.sim.optical.estimate import OpticalEstimate
    from einfall.sim.optical.mapping import OpticalMapping


@dataclass(frozen=True, slots=True)
class OpticalQuestion(BaseQuestion):
    """What an estimate on optics is asked of."""

    mapping: OpticalMapping
    accounting: Accounting

    def on(self, optics: Optical4f) -> OpticalQuestion:
        """The same question of another system; a tiling that is not named is chosen anew."""
        return replace(self, machine=optics)

    def estimate(self, *, simulate: bool = False) -> OpticalEstimate:
        """The answer, by the closed form or by the event simulation."""
        from einfall.sim.optical.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.machine,
            self.mapping,
            accounting=self.accounting,
            simulate=simulate,
        )


def read_optical_question(args: argparse.Namespace, mistakes: Mistakes) -> OpticalQuestion:
    """What is asked, all independent mistakes in it told at once."""
    from einfall.sim.optical.mapping import BEST, parse_mapping

    cascade, shape = read_what(args, mistakes)
    optics: Any = mistakes.note(lambda: read_machine(args, mistakes))
    mapping = mistakes.note(lambda: parse_mapping(args.mapping or BEST))
    accounting = mistakes.note(lambda: read_accounting(args.accounting or "physical"))
    return OpticalQuestion(
        mistakes.settled(cascade),
        mistakes.settled(shape),
        mistakes.settled(optics),
        mistakes.settled(mapping),
        mistakes.settled(accounting),
    )


def asked(args: argparse.Namespace, mistakes: Mistakes) -> Asked:
    """The question; `mistakes` may hold some of its options already."""
    from einfall.report.optical_estimates import explain_optics

    question = read_optical_question(args, mistakes)
    host = question.machine.host.machine
    whose = f"the numbers of the host, {host}, are its own: --set host.machine=FILE.yaml"
    return Asked(
        question.cascade.name,
        question.machine,
        question.whole_shape(),
        args.simulate,
        lambda machine, simulate: question.on(machine).estimate(simulate=simulate),
        lambda found: found.mapping.name,
        lambda found: (*found.notes, whose),
        explain_optics,
    )


def estimated(args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
    """The answer to `estimate`; `mistakes` may hold some of its options already."""
    from einfall.report.optical_estimates import explain_optics, optical_estimate_text

    return told(
        args,
        read_optical_question(args, mistakes),
        lambda found: Words(partial(optical_estimate_text, found), partial(explain_optics, found)),
        lambda found: found.notes,
    )


def searched(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """There is nothing to search: `estimate` tries every tiling.

    Raises:
        BadInputError: Always.
    """
    raise BadInputError(
        [
            *mistakes.problems,
            f"--on: wanted a spatial array or a GPU, found {args.on}, an optical system; its "
            "estimate takes the best tiling by itself",
        ]
    )


def laddered(
    args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
) -> tuple[Ladder, dict[str, object]]:
    """The rungs, and what they compare."""
    from einfall.sim.optical.ladder import optical_ladder

    return compared(
        args,
        baseline,
        mistakes,
        read_optical_question,
        lambda one, base: optical_ladder(one[1], base[1]),
        lambda found, before: {"notes": list(dict.fromkeys((*found.notes, *before.notes)))},
    )
