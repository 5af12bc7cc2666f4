"""`whatif`: cascades on a machine before and after a change, and what each of its numbers does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
    from einfall.report.explain_change import ExplainedChange
    from einfall.scenarios.whatif import Answered, Change
    from einfall.sim.events import Simulation

_HELD = (
    "the mapping that the search found is held while numbers of the machine move: what a rate is "
    "worth and the tornado are those of this mapping"
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A cascade before and after: the question, both machines, and the estimate on each.

    There is one estimate where it does not fit after the change.
    """

    question: Asked
    machines: tuple[Machine, Machine]
    change: Change
    found: tuple[Any, ...]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "cascades", metavar="CASCADE", nargs="+", help="names of the library, or files; a line each"
    )
    question_options(parser)
    option(parser, "--tornado", "20%", "move every number of the machine down and up by this part")
    option(parser, "--draw", "FILE.png", "draw the tornado")
    option(parser, "--trace", "FILE.json", "simulate; write both timelines as one Chrome trace")
    parser.add_argument("--explain", action="store_true", help="print every term before and after")


def _whatif(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    share = mistakes.note(lambda: _share(args.tornado))
    _look_at_options(args, mistakes)
    args.simulate = args.simulate or args.trace is not None
    questions, after = _questions(args, mistakes)
    asked = [_asked(question, after) for question in questions]
    if args.trace:
        _write_trace(asked, args.trace)
    rows = [_row(one, share) for one in asked]
    notes = list(dict.fromkeys(note for row in rows for note in row.pop("notes")))
    simulated = all(question.simulated for question in questions)
    if simulated:
        notes.append("what a little more of a rate is worth is by the closed form")
    record = {
        "machine": after.name,
        "overrides": _overrides(args),
        "mask": args.mask or "dense",
        "dtype": args.dtype,
        "simulated": simulated,
        "tornado": share,
        "rows": rows,
        "notes": notes,
    }
    return _answer(args, record, [_explained(one) for one in asked] if args.explain else [])


def _answer(
    args: argparse.Namespace, record: dict[str, Any], explained: Sequence[ExplainedChange]
) -> Answer:
    """The answer, with the figure that was asked for."""
    from einfall.report.drawings import whatif_drawings
    from einfall.report.explain_change import changes_record
    from einfall.report.text import page
    from einfall.report.whatif import tornado_figure, whatif_text

    if explained:
        record["explain"] = changes_record(explained)
    if args.draw:
        save(tornado_figure(record), args.draw)
    fits = all(row["refusal"] is None for row in record["rows"])
    return Answer(
        record,
        lambda: page(whatif_text(record), *(change.text() for change in explained)),
        tuple(record["notes"]),
        DONE if fits else NO,
        drawings=partial(whatif_drawings, record),
    )


def _look_at_options(args: argparse.Namespace, mistakes: Mistakes) -> None:
    """Note options that cannot be written to, or that say nothing without others."""
    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    mistakes.add(unwritable("--trace", args.trace, (".json",)))
    if args.draw is not None and args.tornado is None:
        mistakes.add("--draw: wanted --tornado, whose effects it draws, found none; add it")
    if not args.overrides and args.tornado is None:
        mistakes.add(
            "--set: wanted a change, found none; say --set dram.bandwidth=2x (show machines "
            f"{args.on or 'NAME'} lists what there is), or --tornado 20% to move every number"
        )


def _share(text: str | None) -> float | None:
    """The part of `--tornado`: of nothing and of the whole there is none."""
    share = read_part("--tornado", text)
    if share is not None and not 0 < share < 1:
        raise BadInputError([f"--tornado: wanted a part between 0 and 1, found {text!r}"])
    return share


def _overrides(args: argparse.Namespace) -> dict[str, str]:
    from einfall.hw_models import read_overrides

    return read_overrides(args.overrides)


def _questions(args: argparse.Namespace, mistakes: Mistakes) -> tuple[list[Asked], Machine]:
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


def _asked(question: Asked, after: Machine) -> _Asked:
    """A question of the machine as it is and of the machine with all that is set."""
    from einfall.scenarios import whatif

    found: list[Any] = []

    def kept(machine: Machine) -> Any:  # noqa: ANN401  an estimate of the machine's kind
        found.append(question.estimate(machine, question.simulated))
        return found[-1]

    change = whatif.compare(question.cascade, kept, question.machine, after)
    return _Asked(question, (question.machine, after), change, tuple(found))


def _row(asked: _Asked, share: float | None) -> dict[str, Any]:
    """The record of one cascade."""
    from einfall.scenarios import whatif

    question, change, (_, after) = asked.question, asked.change, asked.machines
    mappings = [*map(question.mapping, asked.found), None]
    row: dict[str, Any] = {**change.to_dict(), "shape": dict(question.shape)}
    row |= {"mapping": mappings[0], "mapping_after": mappings[1]}
    notes = question.notes(asked.found[-1])
    row |= {"prices": [], "unpriced": [], "shadow_prices": [], "freed": None}
    row |= {"tornado": None, "notes": notes}
    if change.after is None:
        return row
    near = question.estimate
    if question.hold is not None:
        near = question.hold(asked.found[-1])
        notes += (_HELD,)
    row |= {"notes": notes, **_worth(near, after)}
    if share is not None:
        moved = whatif.tornado(
            lambda machine: near(machine, question.simulated),
            after,
            share,
            _told(question.cascade),
        )
        row["tornado"] = moved.to_dict()
    return row


def _worth(near: Callable[[Any, bool], Answered], machine: Machine) -> dict[str, Any]:
    """What each number and each resource of a machine is worth, by the closed form."""
    from einfall.scenarios import whatif

    def asked(machine: Machine) -> Any:  # noqa: ANN401  an estimate of the machine's kind
        return near(machine, False)

    base = whatif.Outcome.of(asked(machine))
    prices = whatif.prices(asked, machine)
    shadows = whatif.shadows(base, prices)
    return {
        "prices": [price.to_dict() for price in prices],
        "unpriced": list(whatif.unpriced(base, prices)),
        "shadow_prices": [shadow.to_dict() for shadow in shadows],
        "freed": whatif.freed(asked, machine, base, shadows).to_dict(),
    }


def _explained(asked: _Asked) -> ExplainedChange:
    """Every term on both machines."""
    from einfall.report.explain_change import ExplainedChange

    before, *after = map(asked.question.explain, asked.found)
    return ExplainedChange(asked.question.cascade, before, after[0] if after else None)


def _write_trace(asked: Sequence[_Asked], path: str) -> None:
    """The timelines of all cascades, before and after, as one trace."""
    from einfall.report.trace import write_trace

    mistakes = Mistakes()
    found = [mistakes.note(partial(_timelines, one)) for one in asked]
    mistakes.refuse()
    write_trace(
        {title: run for timelines in found for title, run in (timelines or {}).items()}, path
    )


def _timelines(asked: _Asked) -> dict[str, Simulation]:
    """The timelines of a cascade by what they show; once where nothing is changed.

    An estimate whose time is not simulated is simulated for them.
    """
    question, (before, after) = asked.question, asked.machines
    sides = [("", before)] if before == after else [("before: ", before), ("after: ", after)]
    timelines: dict[str, Simulation] = {}
    for (when, machine), found in zip(sides, asked.found, strict=False):
        run = found if found.simulation is not None else question.estimate(machine, True)
        title = f"{when}{question.cascade} on {machine.name}, {question.mapping(found)}"
        timelines[title] = question.timeline(run)
    return timelines


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
    "[--tornado 20%%] [--explain] [options]",
    example="einfall whatif --on b200 --set sm.mufu_per_clock=2x attention_1pass attention_3pass "
    "--shape batch=4,heads=32,queries=4K,head_dim=128",
    options=_options,
    answer=_whatif,
)
