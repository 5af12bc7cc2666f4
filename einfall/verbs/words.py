"""The words of a command: options, the parser of all verbs, mistakes in our own phrases."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from einfall import __version__
from einfall.verbs.answers import Answer, BadInputError, Mistakes, did_you_mean, no, refusal


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: what its help says, its options, and what answers."""

    about: str
    usage: str
    example: str
    options: Callable[[argparse.ArgumentParser], None]
    answer: Callable[[argparse.Namespace, Mistakes], Answer]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes read like all others."""

    def __init__(self, verbs_by_name: Mapping[str, Verb], **options: Any) -> None:  # noqa: ANN401
        """Keep the verbs, so that a wrong one can be told which there are."""
        super().__init__(**options)
        self.verbs = verbs_by_name

    def error(self, message: str) -> NoReturn:
        for pattern, words in _REWRITTEN:
            match = re.fullmatch(pattern, message, re.DOTALL)
            if match:
                raise BadInputError([words(match, self)])
        raise BadInputError([f"{self.prog}: {message}"])


def _unknown_verb(match: re.Match[str], parser: _Parser) -> str:
    known = ", ".join(parser.verbs)
    way_out = did_you_mean(match[1], parser.verbs, f"the verbs are {known}")
    return f"einfall: wanted a verb ({known}), found {match[1]!r}; {way_out}"


_REWRITTEN: tuple[tuple[str, Callable[[re.Match[str], _Parser], str]], ...] = (
    (r"argument VERB: invalid choice: '(.*?)' \(.*", _unknown_verb),
    (
        r"the following arguments are required: (.+)",
        lambda m, p: f"{p.prog}: wanted {m[1]}, found none; see {p.prog} --help",
    ),
    (
        r"argument (\S+): expected one argument",
        lambda m, p: f"{m[1]}: wanted a value, found none; see {p.prog} --help",
    ),
    (
        r"argument (\S+): ignored explicit argument (.+)",
        lambda m, _: f"{m[1]}: wanted no value, found {m[2]}",
    ),
)
"""What argparse says, and how we say it."""


class _Once(argparse.Action):
    """Stores a value; a second one is a mistake and not the one that counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401  as argparse has it
        option_string: str | None = None,
    ) -> None:
        first = getattr(namespace, self.dest)
        if first is not None:
            raise BadInputError([f"{option_string}: wanted once, found {first!r} and {values!r}"])
        setattr(namespace, self.dest, values)


def unknown_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[str]:
    """A message for each option that the verb lacks, and each word that belongs to none."""
    known = sorted(name for name in parser._option_string_actions if name.startswith("--"))
    after_option = False
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-"):
            way_out = did_you_mean(name, known, f"see {parser.prog} --help")
            way_out = "write it after the verb" if name in known else way_out
            yield f"{name}: wanted an option of {parser.prog}, found none of this name; {way_out}"
        elif not after_option:
            yield f"{parser.prog}: wanted nothing more, found {word!r}; see {parser.prog} --help"
        after_option = word.startswith("-") and "=" not in word


def parser_of(verbs_by_name: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = _Parser(
        verbs_by_name,
        prog="einfall",
        description="How fast can this attention go on that machine, what stops it, and what if?",
        epilog="einfall VERB --help says more; einfall show machines lists what there is.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"einfall {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for name, verb in verbs_by_name.items():
        child = verbs.add_parser(
            name,
            verbs_by_name=verbs_by_name,
            help=verb.about,
            description=verb.about,
            epilog=f"example: {verb.example}",
            usage=verb.usage,
            allow_abbrev=False,
        )
        verb.options(child)
        child.add_argument("--json", action="store_true", help="print one JSON document")
        child.set_defaults(answer=verb.answer, parser=child)
    return parser


def read_words(
    verbs_by_name: Mapping[str, Verb], words: Sequence[str], mistakes: Mistakes
) -> argparse.Namespace:
    """The options of a command; words that its verb does not know are noted as mistakes."""
    args, unknown = parser_of(verbs_by_name).parse_known_args(words)
    mistakes.problems += unknown_words(args.parser, unknown)
    return args


def answered(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """What the verb answers; that nothing fits is an answer, too."""
    try:
        return args.answer(args, mistakes)
    except no() as error:
        return refusal(error)


def option(parser: argparse.ArgumentParser, name: str, metavar: str, about: str) -> None:
    """Add an option that takes one value, once."""
    parser.add_argument(name, metavar=metavar, help=about, action=_Once)
