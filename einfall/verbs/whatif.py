"""`whatif`: cascades on a machine before and after a change, and what each of its numbers does."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from einfall.report.files import unwritable
from einfall.verbs.answers import DONE, NO, PICTURES, Answer, BadInputError, Mistakes
from einfall.verbs.bounds import read_part
from einfall.verbs.figures import save
from einfall.verbs.kinds import Asked, kind_of
from einfall.verbs.questions import question_options
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.hw_models import Machine


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "cascades", metavar="CASCADE", nargs="+", help="names of the library, or files; a line each"
    )
    question_options(parser)
    option(parser, "--tornado", "20%", "move every number of the machine down and up by this part")
    option(parser, "--draw", "FILE.png", "draw the tornado")


def _whatif(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.report.whatif import whatif_text

    share = mistakes.note(lambda: _share(args.tornado))
    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    if args.draw is not None and args.tornado is None:
        mistakes.add("--draw: wanted --tornado, whose effects it draws, found none; add it")
    if not args.overrides and args.tornado is None:
        mistakes.add(
            "--set: wanted a change, found none; say --set dram.bandwidth=2x (show machines "
            f"{args.on or 'NAME'} lists what there is), or --tornado 20% to move every number"
        )
    questions, after = _asked(args, mistakes)
    rows = [_row(args, question, after, share) for question in questions]
    notes = dict.fromkeys(note for row in rows for note in row.pop("notes"))
    simulated = all(question.simulated for question in questions)
    if simulated:
        notes["what a little more of a rate is worth is by the closed form"] = None
    record = {
        "machine": after.name,
        "overrides": _overrides(args),
        "mask": args.mask or "dense",
        "dtype": args.dtype,
        "simulated": simulated,
        "tornado": share,
        "rows": rows,
        "notes": list(notes),
    }
    if args.draw:
        from einfall.report.whatif import tornado_figure

        save(tornado_figure(record), args.draw)
    fits = all(row["refusal"] is None for row in rows)
    return Answer(record, lambda: whatif_text(record), tuple(notes), DONE if fits else NO)


def _share(text: str | None) -> float | None:
    """The part of `--tornado`: of nothing and of the whole there is none."""
    share = read_part("--tornado", text)
    if share is not None and not 0 < share < 1:
        raise BadInputError([f"--tornado: wanted a part between 0 and 1, found {text!r}"])
    return share


def _overrides(args: argparse.Namespace) -> dict[str, str]:
    from einfall.hw_models import read_overrides

    return read_overrides(args.overrides)


def _asked(args: argparse.Namespace, mistakes: Mistakes) -> tuple[list[Asked], Machine]:
    """A question for each cascade of the machine as it is, and the machine with all that is set."""
    from einfall.hw_models import load, with_overrides

    kind = kind_of(args)
    found: list[Asked | None] = []
    for cascade in args.cascades:
        own = argparse.Namespace(**{**vars(args), "cascade": cascade, "overrides": []})
        found.append(mistakes.note(lambda own=own: kind.asked(own, Mistakes())))
    asked = next((question for question in found if question), None)

    def changed() -> Machine:
        machine = load(args.on) if asked is None else asked.machine
        return with_overrides(machine, _overrides(args))

    after = None if args.on is None else mistakes.note(changed)
    questions = [mistakes.settled(question) for question in found]
    return questions, mistakes.settled(after)


def _row(
    args: argparse.Namespace, question: Asked, after: Machine, share: float | None
) -> dict[str, Any]:
    """The record of one cascade."""
    from einfall.scenarios import whatif

    found: list[Any] = []

    def asked(machine: Machine) -> Any:  # noqa: ANN401  an estimate of the machine's kind
        return question.estimate(machine, question.simulated)

    def kept(machine: Machine) -> Any:  # noqa: ANN401
        found.append(asked(machine))
        return found[-1]

    change = whatif.compare(question.cascade, kept, question.machine, after)
    mappings = [*map(question.mapping, found), None]
    row: dict[str, Any] = {**change.to_dict(), "shape": dict(question.shape)}
    row |= {"mapping": mappings[0], "mapping_after": mappings[1]}
    row |= {"prices": [], "unpriced": [], "tornado": None, "notes": question.notes(found[-1])}
    if change.after is None:
        return row
    prices = whatif.prices(lambda machine: question.estimate(machine, False), after)
    row["prices"] = [price.to_dict() for price in prices]
    row["unpriced"] = list(whatif.unpriced(change.after, prices))
    if share is not None:
        row["tornado"] = whatif.tornado(asked, after, share, _told(question.cascade)).to_dict()
    return row


def _told(cascade: str) -> Any:  # noqa: ANN401  what `tornado` tells its progress
    """Progress on a terminal; nothing anywhere else."""

    def told(done: int, of: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == of else ""
            sys.stderr.write(f"\r{cascade}: {done} of {of} numbers{end}")
            sys.stderr.flush()

    return told


VERB = Verb(
    about="Before and after a change of the machine: time, energy, what binds, what else matters.",
    usage="einfall whatif --on MACHINE [--set PATH=VALUE …] CASCADE… --shape KEY=SIZE,… "
    "[--tornado 20%%] [options]",
    example="einfall whatif --on b200 --set sm.mufu_per_clock=2x attention_1pass attention_3pass "
    "--shape batch=4,heads=32,queries=4K,head_dim=128",
    options=_options,
    answer=_whatif,
)
