"""What is asked of a cascade on a spatial array."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from einfall.verbs.answers import Answer, Mistakes
from einfall.verbs.kinds import Asked, Estimated, Words, compared, told
from einfall.verbs.questions import read_machine, read_question, read_what, remarks, whole_shape

if TYPE_CHECKING:
    from einfall.hw_models import SpatialArray
    from einfall.sim.estimate import Estimate
    from einfall.sim.ladder import Ladder


def asked(args: argparse.Namespace, mistakes: Mistakes) -> Asked:
    """The question; `mistakes` may hold some of its options already."""
    from einfall.report.explain import explain
    from einfall.sim.choice import BEST

    question = read_question(args, mistakes)

    def held(found: Estimate) -> Callable[[SpatialArray, bool], Estimate]:
        return lambda machine, simulate: replace(
            question, machine=machine, mapping=found.mapping
        ).estimate(simulate=simulate)

    return Asked(
        question.cascade.name,
        question.machine,
        question.whole_shape(),
        args.simulate,
        lambda machine, simulate: question.on(machine).estimate(simulate=simulate),
        lambda found: found.mapping.name,
        lambda _: remarks(args, question),
        lambda found: explain(question.cascade, found),
        hold=held if args.mapping == BEST else None,
    )


def estimated(args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
    """The answer to `estimate`; `mistakes` may hold some of its options already."""
    from einfall.report.estimates import estimate_text
    from einfall.report.explain import explain

    question = read_question(args, mistakes)
    return told(
        args,
        question,
        lambda found: Words(
            partial(estimate_text, found), partial(explain, question.cascade, found)
        ),
        lambda _: remarks(args, question),
    )


def searched(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """The answer to `search`."""
    from einfall.files import write_texts
    from einfall.report.drawings import search_drawings
    from einfall.report.search import mapping_text, search_record, search_text
    from einfall.sim.search import search

    what, on = read_what(args, mistakes), mistakes.note(lambda: read_machine(args, mistakes))
    cascade, shape = mistakes.settled(what[0]), mistakes.settled(what[1])
    machine = mistakes.settled(on)
    found = search(
        cascade,
        shape,
        machine,
        objective=args.objective,
        pareto=args.pareto,
        seconds=args.seconds,
    )
    if args.out:
        write_texts({Path(args.out): mapping_text(found.best.mapping)})
    sizes = whole_shape(cascade, shape)
    asked = {"cascade": cascade.name, "machine": machine.name, "shape": sizes, "out": args.out}
    title = f"Search of {cascade.name} on {machine.name}"
    record = {**asked, **search_record(found)}
    return Answer(
        record,
        lambda: search_text(found, title, args.limit),
        drawings=partial(search_drawings, record),
    )


def laddered(
    args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
) -> tuple[Ladder, dict[str, object]]:
    """The rungs, and what they compare."""
    from einfall.sim.ladder import machine_ladder

    return compared(
        args, baseline, mistakes, read_question, lambda one, base: machine_ladder(*one, *base)
    )
