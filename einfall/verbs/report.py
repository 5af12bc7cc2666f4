"""`report`: the answer of any other verb as one HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from einfall.report.files import unwritable
from einfall.verbs.answers import Answer, BadInputError, Mistakes
from einfall.verbs.words import Verb, answered, option, read_words

if TYPE_CHECKING:
    from einfall.report.page import Page

_PAGES = (".html", ".htm")
_WIDE, _TERMINAL = 10_000, 100  # characters of a line


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "asked", metavar="VERB …", nargs=argparse.REMAINDER, help="any other verb and its options"
    )
    option(parser, "--out", "FILE.html", "the page; before or after VERB and its options")


def _report(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.verbs import VERBS

    words, outs = _split(args.asked)
    outs = [out for out in (args.out, *outs) if out is not None]
    mistakes.add(_refused_out(outs))
    if words[:1] == ["report"]:
        mistakes.add("report: wanted another verb, found report twice; write it once")
        mistakes.refuse()
    others = {name: verb for name, verb in VERBS.items() if name != "report"}
    asked = mistakes.note(lambda: read_words(others, words, mistakes))
    if asked is None:
        raise BadInputError(mistakes.problems)
    args.json = args.json or asked.json
    words = [word for word in words if word != "--json"]
    if "explain" in vars(asked) and not asked.explain:
        asked.explain, words = True, [*words, "--explain"]
    answer = answered(asked, mistakes)
    mistakes.add(_without_record(asked.verb, answer.record))
    mistakes.refuse()
    return written(outs[0], page_of(asked, words, answer), answer)


def _split(asked: Sequence[str]) -> tuple[list[str], list[str | None]]:
    """The words of the other verb, and what `--out` among them says: the page is its own."""
    words, outs = [], []
    left = iter(asked)
    for word in left:
        name, is_set, value = word.partition("=")
        if name == "--out":
            outs.append(value if is_set else next(left, ""))
        else:
            words.append(word)
    return words, outs


def _refused_out(outs: Sequence[str]) -> str | None:
    if not outs:
        return "--out: wanted the path of the page, found none; add --out page.html"
    if len(outs) > 1:
        found = " and ".join(map(repr, outs))
        return (
            f"--out: wanted once, found {found}; a page holds tables and figures, "
            "einfall VERB without report writes its own files"
        )
    return refused_page(outs[0])


def _without_record(verb: str, record: Mapping[str, Any]) -> str | None:
    if record:
        return None
    return f"report: wanted a verb with a record, found {verb}; einfall {verb} prints its answer"


def refused_page(out: str) -> str | None:
    """Why a page cannot be written there; None if it can."""
    return unwritable("--out", out, _PAGES)


def page_of(asked: argparse.Namespace, words: Sequence[str], answer: Answer) -> Page:
    """The page of an answer that is there: nothing is worked out again.

    Args:
        asked: The options that were asked with.
        words: The same as words of the command line.
        answer: What the verb answered.
    """
    from einfall.report.page import Drawn, Page
    from einfall.report.text import width

    with width(_WIDE):
        wide = answer.text()
    with width(_TERMINAL):
        printed = answer.text()
    return Page(
        command=_command(words),
        record=answer.record,
        wide=wide or "\n".join(answer.problems),
        printed=printed or "\n".join(answer.problems),
        figures=[Drawn(*drawing) for drawing in answer.drawings()],
        constants=_constants(asked),
        notes=(*answer.notes, *answer.problems),
    )


def _command(words: Sequence[str]) -> str:
    """The command line; of files that were named in full only the name is told."""
    from shlex import join

    return join(["einfall", *map(_without_folders, words)])


def _without_folders(word: str) -> str:
    name, is_set, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{name}{is_set}{PurePath(value).name}" if PurePath(value).is_absolute() else word


def _constants(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Every number of the machine that was asked of, changes included."""
    if getattr(asked, "on", None) is None:
        return []
    from einfall.hw_models import load, read_overrides, with_overrides
    from einfall.report.machine import constants

    changes = read_overrides(getattr(asked, "overrides", None) or [])
    word = getattr(asked, "word", None)
    machine = with_overrides(load(asked.on), changes | ({"word": word} if word else {}))
    return [constant.record() for constant in constants(machine).values()]


def written(out: str, page: Page, answer: Answer) -> Answer:
    """Write a page, and tell of it."""
    from einfall.report.files import write
    from einfall.report.page import LARGEST_BYTES
    from einfall.report.text import amount

    html = page.html()
    write(out, lambda part: part.write_text(html, encoding="utf-8", newline=""))
    size = len(html.encode())
    record = {"file": out, "bytes": size, "command": page.command, "figures": len(page.figures)}
    told = f"{out}: {amount(size, 'B')}, one file that needs nothing else"
    notes = answer.notes
    if size > LARGEST_BYTES:
        notes = (*notes, f"{out} has more than {amount(LARGEST_BYTES, 'B')}: mail may refuse it")
    return Answer(record, lambda: told, notes, answer.code, answer.problems)


VERB = Verb(
    about="One self-contained HTML page of what any other verb answers.",
    usage="einfall report VERB … --out FILE.html [--json]",
    example="einfall report estimate attention_1pass --on h100_sxm "
    "--shape batch=4,heads=32,queries=4K,head_dim=128 --out page.html",
    options=_options,
    answer=_report,
)
