"""`run`: a scenario."""

from __future__ import annotations

import argparse

from einfall.report.files import unwritable
from einfall.verbs.answers import Answer, Mistakes
from einfall.verbs.questions import read_accounting
from einfall.verbs.words import Verb, option


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="a scenario that ships, or a file.yaml"
    )
    option(parser, "--out", "DIR", "write tables, JSON and figures there; else only print")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    option(parser, "--accounting", "MODE", "artifact or physical alone; both if left out")


def _run_scenario(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from pathlib import Path

    from einfall import scenarios

    ready = mistakes.note(lambda: scenarios.ready(args.scenario))
    if args.accounting is not None:
        mistakes.note(lambda: read_accounting(args.accounting))
    mistakes.add(unwritable("--out", args.out))
    ready = mistakes.settled(ready)
    out = Path(args.out) if args.out else None
    figures = out is not None and not args.no_figures
    found = ready(out=out, figures=figures, accounting=args.accounting)
    return Answer(found.record(), found.text, drawings=found.drawings)


VERB = Verb(
    about="Run a scenario: tables, data and figures.",
    usage="einfall run SCENARIO [--out DIR] [--no-figures] [--accounting MODE] [--json]",
    example="einfall run fusemax --out out/fusemax",
    options=_run_options,
    answer=_run_scenario,
)
