"""`estimate`: one cascade of one shape on one machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from einfall.report.files import unwritable
from einfall.verbs.answers import PICTURES, Answer, BadInputError, Mistakes
from einfall.verbs.figures import save
from einfall.verbs.kinds import Estimated, kind_of
from einfall.verbs.questions import question_options
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.scenarios.findings import Drawing
    from einfall.sim.events import Simulation, Span


def _estimate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="a name of the library, or a file")
    question_options(parser)
    option(parser, "--trace", "FILE.json", "simulate; write the timeline as a Chrome trace")
    option(parser, "--timeline", "FILE.png", "simulate; draw some steps of the timeline")
    option(parser, "--roofline", "FILE.png", "draw the roofline: units, memories, what is reached")
    parser.add_argument("--explain", action="store_true", help="print every term and its source")


def _estimate(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    mistakes.add(unwritable("--trace", args.trace, (".json",)))
    mistakes.add(unwritable("--timeline", args.timeline, PICTURES))
    mistakes.add(unwritable("--roofline", args.roofline, PICTURES))
    found = kind_of(args).estimated(args, mistakes)
    if args.roofline:
        _write_roofline(found, args.roofline)
    _write_timeline(args, found.simulation, found.title)
    return Answer(
        found.record,
        lambda: "\n\n".join(text() for text in found.texts),
        found.notes,
        drawings=partial(_drawings, found),
    )


def _drawings(found: Estimated) -> Iterator[Drawing]:
    from einfall.report.drawings import estimate_drawings

    spans = _longest_phase(found.simulation) if found.simulation else ()
    return estimate_drawings(found.record, spans)


def _write_roofline(found: Estimated, path: str) -> None:
    from einfall.report.drawings import roofline_drawings

    drawing = next(roofline_drawings(found.record), None)
    if drawing is None:
        raise BadInputError(
            [
                "--roofline: wanted products whose bytes move over a memory or link that takes "
                f"time, found none of {found.title}; leave it out"
            ]
        )
    save(drawing[1], path)


def _write_timeline(args: argparse.Namespace, simulation: Simulation | None, title: str) -> None:
    """The files that show the simulation."""
    if simulation is not None and args.trace:
        from einfall.report.trace import write_trace

        write_trace({title: simulation}, args.trace)
    if simulation is not None and args.timeline:
        from einfall.report.drawings import timeline_drawing

        save(timeline_drawing(_longest_phase(simulation))[1], args.timeline)


def _longest_phase(simulation: Simulation) -> list[Span]:
    """The spans of the phase that takes longest, step by step as figures want them.

    The simulation records tasks as they are issued, those of older steps first.
    """
    times = [float(time) for _, time in simulation.timing.phases]
    longest = max(range(len(times)), key=times.__getitem__)
    begin, end = sum(times[:longest]), sum(times[: longest + 1])
    inside = [s for s in simulation.timeline if begin <= (s.start_s + s.end_s) / 2 <= end]
    return sorted(inside, key=lambda span: [index for _, index in span.step])


VERB = Verb(
    about="Time, energy and traffic of a cascade on a machine, and what stops it.",
    usage="einfall estimate CASCADE --on MACHINE --shape KEY=SIZE,… [options]",
    example="einfall estimate attention_1pass --on fusemax_cloud "
    "--shape batch=64,heads=12,queries=16K,head_dim=64",
    options=_estimate_options,
    answer=_estimate,
)
