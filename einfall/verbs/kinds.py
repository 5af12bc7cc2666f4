"""What a verb asks of a machine, whatever its kind: each kind has a module that answers.

A module of a kind has three functions:

    asked(args, mistakes) -> Asked                       a question, of any variant of the machine
    estimated(args, mistakes) -> Estimated               one cascade on the machine
    searched(args, mistakes) -> Answer                   its best mapping
    laddered(args, baseline, mistakes) -> (Ladder, what) the rungs of one against another
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from einfall.hw_models import Machine
    from einfall.report.explain import Explanation
    from einfall.scenarios.whatif import Answered
    from einfall.sim.events import Simulation
    from einfall.sim.ladder import Ladder
    from einfall.verbs.answers import Answer, Mistakes

MODULES: Mapping[str, str] = {
    "gpu": "einfall.verbs.gpu",
    "optical_4f": "einfall.verbs.optical",
    "spatial_array": "einfall.verbs.arrays",
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with everything settled, which can be asked of variants of its machine.

    `estimate` of a machine, simulated or not, gives the same answer as the verb; mappings, kernels
    and tilings that are not named are chosen anew on each machine. `simulated` says whether a
    simulation is asked for and is what gives the times; `mapping` names that of an estimate,
    `notes` tells what a reader of it should know, `explain` its terms. `timeline` is that of a
    simulated estimate; it raises BadInputError where what runs has no steps. `hold` of an estimate
    is `estimate` with its mapping held, where choosing one anew takes a search.
    """

    cascade: str
    machine: Machine
    shape: Mapping[str, Any]
    simulated: bool
    estimate: Callable[[Any, bool], Answered]
    mapping: Callable[[Any], str]
    notes: Callable[[Any], tuple[str, ...]]
    explain: Callable[[Any], Explanation]
    timeline: Callable[[Any], Simulation] = lambda found: found.simulation
    hold: Callable[[Any], Callable[[Any, bool], Answered]] | None = None


class Kind(Protocol):
    """The module of a kind."""

    def asked(self, args: argparse.Namespace, mistakes: Mistakes) -> Asked:
        """The question; `mistakes` may hold some of its options already."""
        ...

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


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind tells an estimate: its text, of a shape, and its terms if they are asked for."""

    text: Callable[[Mapping[str, Any]], str]
    explain: Callable[[], Explanation]


def told(
    args: argparse.Namespace,
    question: Any,  # noqa: ANN401  that of the kind, a `BaseQuestion` that estimates
    words: Callable[[Any], Words],
    notes: Callable[[Any], tuple[str, ...]],
) -> Estimated:
    """An estimate by a Pipeline: by itself, beside its closed form if simulated, and explained."""
    from einfall.report.estimates import closed_form_text
    from einfall.sim.roofline import roofline

    simulate, shape = simulates(args), question.whole_shape()
    found = question.estimate(simulate=simulate)
    said, remarks = words(found), notes(found)
    record = {**found.record(), "shape": shape, "simulated": simulate, "notes": list(remarks)}
    record["roofline"] = roofline(question.cascade, found)
    texts = [partial(said.text, shape)]
    if simulate:
        closed_s = float(question.estimate(simulate=False).latency_s)
        record["closed_form_s"] = closed_s
        texts.append(lambda: closed_form_text(found, closed_s))
    if args.explain:
        explanation = said.explain()
        record["explain"] = explanation.record()
        texts.append(explanation.text)
    title = f"{found.cascade} on {found.machine}, mapping {found.mapping.name}"
    return Estimated(record, tuple(texts), remarks, title, found.simulation)


def compared(  # noqa: PLR0913  two questions, and how a kind reads and compares them
    args: argparse.Namespace,
    baseline: argparse.Namespace,
    mistakes: Mistakes,
    read: Callable[[argparse.Namespace, Mistakes], Any],
    ladder: Callable[[Any, Any], Ladder],
    notes: Callable[[Any, Any], Mapping[str, object]] = lambda found, before: {},
) -> tuple[Ladder, dict[str, object]]:
    """The rungs of one question by a Pipeline against another, and what they compare.

    `ladder` is given both as (cascade, estimate), `notes` both estimates.
    """
    from einfall.verbs.answers import Mistakes as Own

    asked = mistakes.note(lambda: read(args, Own()))
    base = mistakes.note(lambda: read(baseline, Own()))
    question, before = mistakes.settled(asked), mistakes.settled(base)
    found, base_found = (q.estimate(simulate=args.simulate) for q in (question, before))
    return ladder((question.cascade, found), (before.cascade, base_found)), {
        "cascade": question.cascade.name,
        "against": before.cascade.name,
        "machine": question.machine.name,
        "mapping": question.mapping.name,
        "base_mapping": before.mapping.name,
        "mask": args.mask or "dense",
        "base_mask": baseline.mask or "dense",
        "shape": question.whole_shape(),
        "simulated": args.simulate,
        **notes(found, base_found),
    }
