"""`search`: the best mapping of a cascade on a machine, with a proof or the gap."""

from __future__ import annotations

import argparse

from einfall.report.files import unwritable
from einfall.verbs.answers import Answer, BadInputError, Mistakes, did_you_mean
from einfall.verbs.kinds import kind_of
from einfall.verbs.questions import MASK_HELP, set_option, where_options, word_options
from einfall.verbs.words import Verb, option

OBJECTIVES = ("latency", "energy", "edp")
"""What can be made small."""

LIMIT = 10
"""Rows of a set that are printed unless told otherwise."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="a name of the library, or a file")
    where_options(parser)
    option(parser, "--objective", "WHAT", "latency (default), energy, or edp: their product")
    parser.add_argument(
        "--pareto", action="store_true", help="also all that none beats in time, energy and buffer"
    )
    option(parser, "--seconds", "60", "stop then, and tell the gap; else search to the end")
    option(parser, "--limit", "10", "rows of the Pareto set, of kernels, that are printed")
    option(parser, "--out", "FILE.yaml", "write the mapping, for estimate --mapping FILE.yaml")
    option(parser, "--mask", "MASK", f"on a GPU: {MASK_HELP}")
    word_options(parser)
    set_option(parser)
    parser.set_defaults(mapping=None, accounting=None)


def _search(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    mistakes.add(unwritable("--out", args.out, (".yaml", ".yml")))
    args.objective = mistakes.note(lambda: _objective(args.objective))
    args.seconds = mistakes.note(lambda: _number("--seconds", args.seconds, "60"))
    limit = mistakes.note(lambda: _number("--limit", args.limit, "10"))
    args.limit = LIMIT if limit is None else int(limit)
    return kind_of(args).searched(args, mistakes)


def _objective(name: str | None) -> str:
    if name is not None and name not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        way_out = did_you_mean(name, OBJECTIVES, "latency is the default")
        raise BadInputError([f"--objective: wanted one of {known}, found {name!r}; {way_out}"])
    return name or "latency"


def _number(option: str, text: str | None, example: str) -> float | None:
    """A positive number; whole for --limit."""
    if text is None:
        return None
    whole = option == "--limit"
    try:
        number = float(int(text)) if whole else float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        wanted = "a positive whole number" if whole else "a positive number of seconds"
        raise BadInputError([f"{option}: wanted {wanted} such as {example}, found {text!r}"])
    return number


VERB = Verb(
    about="The best mapping of a cascade on a machine, with a proof or the gap to the bound.",
    usage="einfall search CASCADE --on MACHINE --shape KEY=SIZE,… [options]",
    example="einfall search attention_1pass --on fusemax_cloud "
    "--shape heads=12,queries=4K,head_dim=64 --objective edp --out best.yaml",
    options=_options,
    answer=_search,
)
