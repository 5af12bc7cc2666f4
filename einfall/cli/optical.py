"""What is asked of a cascade on a 4f optical system: tilings take the place of mappings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from einfall.cli.answers import Answer, BadInputError, Mistakes
from einfall.cli.kinds import Estimated, simulates
from einfall.cli.questions import read_accounting, read_machine, read_what, whole_shape

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.hw_models import Optical4f
    from einfall.sim.accounting import Accounting
    from einfall.sim.ladder import Ladder
    from einfall.sim.optical.estimate import OpticalEstimate
    from einfall.sim.optical.mapping import OpticalMapping


@dataclass(frozen=True, slots=True)
class OpticalQuestion:
    """What an estimate on optics is asked of; everything in it has been checked by itself."""

    cascade: Cascade
    shape: Mapping[str, int]
    optics: Optical4f
    mapping: OpticalMapping
    accounting: Accounting

    def estimate(self, *, simulate: bool = False) -> OpticalEstimate:
        """The answer, by the closed form or by the event simulation."""
        from einfall.sim.optical.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.optics,
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


def estimated(args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
    """The answer to `estimate`; `mistakes` may hold some of its options already."""
    from einfall.report.estimates import closed_form_text
    from einfall.report.optical_estimates import explain_optics, optical_estimate_text

    question = read_optical_question(args, mistakes)
    simulate = simulates(args)
    found = question.estimate(simulate=simulate)
    shape, notes = whole_shape(question.cascade, question.shape), found.notes
    record = {**found.record(), "shape": shape, "simulated": simulate, "notes": list(notes)}
    texts = [lambda: optical_estimate_text(found, shape)]
    if simulate:
        closed_s = float(question.estimate().latency_s)
        record["closed_form_s"] = closed_s
        texts.append(lambda: closed_form_text(found, closed_s))
    if args.explain:
        explanation = explain_optics(found)
        record["explain"] = explanation.record()
        texts.append(explanation.text)
    title = f"{found.cascade} on {found.machine}, mapping {found.mapping.name}"
    return Estimated(record, tuple(texts), notes, title, found.simulation)


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

    asked = mistakes.note(lambda: read_optical_question(args, Mistakes()))
    base = mistakes.note(lambda: read_optical_question(baseline, Mistakes()))
    question, before = mistakes.settled(asked), mistakes.settled(base)
    found, base_found = (q.estimate(simulate=args.simulate) for q in (question, before))
    return optical_ladder(found, base_found), {
        "cascade": question.cascade.name,
        "against": before.cascade.name,
        "machine": question.optics.name,
        "mapping": question.mapping.name,
        "base_mapping": before.mapping.name,
        "mask": args.mask or "dense",
        "base_mask": baseline.mask or "dense",
        "shape": whole_shape(question.cascade, question.shape),
        "simulated": args.simulate,
        "notes": list(dict.fromkeys((*found.notes, *base_found.notes))),
    }
