"""What is asked of a cascade on a spatial array."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from einfall.cli.answers import Answer, Mistakes
from einfall.cli.kinds import Estimated, simulates
from einfall.cli.questions import read_machine, read_question, read_what, remarks, whole_shape

if TYPE_CHECKING:
    from einfall.sim.ladder import Ladder


def estimated(args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
    """The answer to `estimate`; `mistakes` may hold some of its options already."""
    from einfall.report.estimates import closed_form_text, estimate_text

    question = read_question(args, mistakes)
    simulate = simulates(args)
    found = question.estimate(simulate=simulate)
    shape, notes = question.whole_shape(), remarks(args, question)
    record = {**found.record(), "shape": shape, "simulated": simulate, "notes": list(notes)}
    texts = [lambda: estimate_text(found, shape)]
    if simulate:
        closed_s = question.estimate(simulate=False).latency_s
        record["closed_form_s"] = closed_s
        texts.append(lambda: closed_form_text(found, closed_s))
    if args.explain:
        from einfall.report.explain import explain

        explanation = explain(question.cascade, found)
        record["explain"] = explanation.record()
        texts.append(explanation.text)
    title = f"{found.cascade} on {found.machine}, mapping {found.mapping.name}"
    return Estimated(record, tuple(texts), notes, title, found.simulation)


def searched(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """The answer to `search`."""
    from einfall.files import write_texts
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
    return Answer({**asked, **search_record(found)}, lambda: search_text(found, title, args.limit))


def laddered(
    args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
) -> tuple[Ladder, dict[str, object]]:
    """The rungs, and what they compare."""
    from einfall.sim.ladder import machine_ladder

    asked = mistakes.note(lambda: read_question(args, Mistakes()))
    base = mistakes.note(lambda: read_question(baseline, Mistakes()))
    question, before = mistakes.settled(asked), mistakes.settled(base)
    found, base_found = (q.estimate(simulate=args.simulate) for q in (question, before))
    ladder = machine_ladder(question.cascade, found, before.cascade, base_found)
    return ladder, {
        "cascade": question.cascade.name,
        "against": before.cascade.name,
        "machine": question.machine.name,
        "mapping": question.mapping.name,
        "base_mapping": before.mapping.name,
        "mask": args.mask or "dense",
        "base_mask": baseline.mask or "dense",
        "shape": question.whole_shape(),
        "simulated": args.simulate,
    }
