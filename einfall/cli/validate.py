"""`validate`: predicted against published."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from einfall.cli.answers import DONE, NO, Answer, Mistakes, did_you_mean
from einfall.cli.words import Verb


def _validate_options(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(COMPARISONS)
    parser.add_argument(
        "against", metavar="AGAINST", nargs="?", default="fusemax", help=f"published: {known}"
    )


def _validate(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    if args.against not in COMPARISONS:
        known = ", ".join(COMPARISONS)
        way_out = did_you_mean(args.against, COMPARISONS, "fusemax is the default")
        mistakes.add(f"AGAINST: wanted one of {known}, found {args.against!r}; {way_out}")
    mistakes.refuse()
    return COMPARISONS[args.against](args)


def _with_fusemax(args: argparse.Namespace) -> Answer:
    from einfall.report.validation import validation_record
    from einfall.validate import fusemax

    found = fusemax.compare()
    record = validation_record(args.against, found.record())
    return Answer(record, found.text, code=DONE if found.ok else NO)


def _with_gna(args: argparse.Namespace) -> Answer:
    from einfall.report.validation import validation_record
    from einfall.validate import gna

    found = gna.compare()
    record = validation_record(args.against, found.record())
    return Answer(record, found.text, code=DONE if found.ok else NO)


COMPARISONS: Mapping[str, Callable[[argparse.Namespace], Answer]] = {
    "fusemax": _with_fusemax,
    "gna": _with_gna,
}
"""What `validate` compares with, by name."""


VERB = Verb(
    about="Compare with published numbers; exit code 1 where one is outside its tolerance.",
    usage="einfall validate [AGAINST] [--json]",
    example="einfall validate fusemax",
    options=_validate_options,
    answer=_validate,
)
