"""`show`: list or explain what there is."""

from __future__ import annotations

import argparse

from einfall.report.catalogue import KINDS
from einfall.verbs.answers import Answer, Mistakes, did_you_mean
from einfall.verbs.words import Verb


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="a name, or the path of a file")


def _show(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.report.catalogue import show

    if args.kind not in KINDS:
        way_out = did_you_mean(args.kind, KINDS, "einfall show machines lists the machines")
        known = ", ".join(KINDS)
        mistakes.add(f"KIND: wanted one of {known}, found {args.kind!r}; {way_out}")
    mistakes.refuse()
    record, text = show(args.kind, args.name)
    return Answer(record, lambda: text)


VERB = Verb(
    about=f"List or explain {', '.join(KINDS)}.",
    usage="einfall show KIND [NAME] [--json]",
    example="einfall show machines fusemax_cloud",
    options=_show_options,
    answer=_show,
)
