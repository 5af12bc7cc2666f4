"""The command line: `einfall VERB …`; a verb makes an answer, `main` prints it.

The answer goes to stdout, notes and mistakes to stderr. Exit code 0: done; 1: the answer is no
(does not fit, outside tolerance); 2: bad input, all mistakes at once, each `place: wanted, found`.
Nothing heavy is imported before a verb needs it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from einfall import __version__
from einfall.report.catalogue import KINDS
from einfall.report.files import unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from einfall.einsum_cascades import Cascade
    from einfall.hw_models import Machine
    from einfall.sim.accounting import Accounting
    from einfall.sim.estimate import Estimate
    from einfall.sim.events import Simulation, Span
    from einfall.sim.mapping import Mapping as CascadeMapping

T = TypeVar("T")

DONE, NO, BAD_INPUT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 130, 141
"""Exit codes; the last two are those of a program that is ended by the signal."""

DTYPES: Mapping[str, str] = {
    "fp32": "32 bit",
    "bf16": "16 bit",
    "fp16": "16 bit",
    "fp8": "8 bit",
    "int8": "8 bit",
}
"""Size of a word by element type."""

WORD = "16 bit"
"""Word of `analyze`, which knows no machine."""

_PICTURES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb answers: a JSON document, the same for people, remarks, and the exit code."""

    record: Mapping[str, Any]
    text: Callable[[], str]
    notes: tuple[str, ...] = ()
    code: int = DONE


class BadInputError(ValueError):
    """Mistakes of the one who asks; one line each, all at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one."""
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after `einfall`; those of the process by default.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks µ or ⌈ shows a ? there
            stream.reconfigure(errors="replace")
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has read enough; the interpreter must not complain when it flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(words: list[str]) -> int:
    try:
        args, unknown = _parser().parse_known_args(words)
    except SystemExit as done:  # --help and --version have been printed
        return int(done.code or DONE)
    except BadInputError as error:
        return _complain(error.problems)
    mistakes = Mistakes()
    mistakes.problems += _unknown_words(args.parser, unknown)
    try:
        answer: Answer = args.answer(args, mistakes)
    except _no() as error:
        if args.json:
            _print_json({"fits": False, "why": str(error)})
        _complain([str(error)])
        return NO
    except _mistake() as error:
        return _complain([*mistakes.problems, *_lines(error)])
    for note in answer.notes:
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        _print_json(answer.record)
    else:
        print(answer.text())
    return answer.code


def _complain(problems: Iterable[str]) -> int:
    print("\n".join(dict.fromkeys(problems)), file=sys.stderr)
    return BAD_INPUT


def _print_json(record: Mapping[str, Any]) -> None:
    print(json.dumps(record, indent=2, allow_nan=False))


# Mistakes -----------------------------------------------------------------------------------------


class Mistakes:
    """Gathers the mistakes of a command, so that all of them are told at once."""

    def __init__(self) -> None:
        """Begin without a mistake."""
        self.problems: list[str] = []

    def note(self, attempt: Callable[[], T]) -> T | None:
        """What the attempt gives; None, with its mistakes noted, where it fails."""
        try:
            return attempt()
        except _mistake() as error:
            self.problems += _lines(error)
            return None

    def add(self, problem: str | None) -> None:
        """Note a mistake; None is none."""
        if problem:
            self.problems.append(problem)

    def refuse(self) -> None:
        """Stop here if there is a mistake.

        Raises:
            BadInputError: With all of them.
        """
        if self.problems:
            raise BadInputError(self.problems)

    def settled(self, value: T | None) -> T:
        """The value that an attempt gave, once it is known that there was no mistake.

        Raises:
            BadInputError: There was one.
        """
        if self.problems or value is None:
            raise BadInputError(self.problems)
        return value


def _mistake() -> tuple[type[Exception], ...]:
    """What the parts of einfall raise on bad input; loaded only when something is raised."""
    from einfall.einsum_cascades import CascadeError
    from einfall.einsum_cascades.passes import PassError
    from einfall.einsum_cascades.shapes import ShapeError
    from einfall.hw_models import SpecError, UnsupportedOpError
    from einfall.sim.mapping import MappingError

    ours = (CascadeError, PassError, ShapeError, SpecError, UnsupportedOpError, MappingError)
    return (BadInputError, *ours, OSError)


def _no() -> type[Exception]:
    from einfall.sim.mapping import DoesNotFitError

    return DoesNotFitError


def _lines(error: Exception) -> list[str]:
    """The problems of an error, one a line."""
    if isinstance(error, OSError):
        if isinstance(error, BrokenPipeError):
            raise error
        place = error.filename or "file"
        return [f"{place}: wanted a file that can be read or written, found: {error.strerror}"]
    return str(error).splitlines()


def _did_you_mean(word: str, known: Iterable[str], else_: str) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else else_


# Words of the command -----------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes read like all others."""

    def error(self, message: str) -> NoReturn:
        for pattern, words in _REWRITTEN:
            match = re.fullmatch(pattern, message, re.DOTALL)
            if match:
                raise BadInputError([words(match, self.prog)])
        raise BadInputError([f"{self.prog}: {message}"])


def _unknown_verb(match: re.Match[str], _: str) -> str:
    way_out = _did_you_mean(match[1], VERBS, f"the verbs are {', '.join(VERBS)}")
    return f"einfall: wanted a verb ({', '.join(VERBS)}), found {match[1]!r}; {way_out}"


_REWRITTEN: tuple[tuple[str, Callable[[re.Match[str], str], str]], ...] = (
    (r"argument VERB: invalid choice: '(.*?)' \(.*", _unknown_verb),
    (
        r"the following arguments are required: (.+)",
        lambda m, prog: f"{prog}: wanted {m[1]}, found none; see {prog} --help",
    ),
    (
        r"argument (\S+): expected one argument",
        lambda m, prog: f"{m[1]}: wanted a value, found none; see {prog} --help",
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


def _unknown_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[str]:
    """A message for each option that the verb lacks, and each word that belongs to none."""
    known = sorted(name for name in parser._option_string_actions if name.startswith("--"))
    after_option = False
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-"):
            way_out = _did_you_mean(name, known, f"see {parser.prog} --help")
            way_out = "write it after the verb" if name in known else way_out
            yield f"{name}: wanted an option of {parser.prog}, found none of this name; {way_out}"
        elif not after_option:
            yield f"{parser.prog}: wanted nothing more, found {word!r}; see {parser.prog} --help"
        after_option = word.startswith("-") and "=" not in word


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="einfall",
        description="How fast can this attention go on that machine, what stops it, and what if?",
        epilog="einfall VERB --help says more; einfall show machines lists what there is.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"einfall {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for name, verb in VERBS.items():
        child = verbs.add_parser(
            name,
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


def _option(parser: argparse.ArgumentParser, name: str, metavar: str, about: str) -> None:
    parser.add_argument(name, metavar=metavar, help=about, action=_Once)


# show ---------------------------------------------------------------------------------------------


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="a name, or the path of a file")


def _show(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.report.catalogue import show

    if args.kind not in KINDS:
        way_out = _did_you_mean(args.kind, KINDS, "einfall show machines lists the machines")
        known = ", ".join(KINDS)
        mistakes.add(f"KIND: wanted one of {known}, found {args.kind!r}; {way_out}")
    mistakes.refuse()
    record, text = show(args.kind, args.name)
    return Answer(record, lambda: text)


# analyze ------------------------------------------------------------------------------------------


def _analyze_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="a name of the library, or a file")
    _option(parser, "--shape", "KEY=SIZE,…", "sizes, such as heads=12,queries=16K,head_dim=64")
    _option(parser, "--tile", "M=256", "inner tile of a rank that the cascade splits")
    _option(parser, "--word", "16bit", f"size of an element, {WORD} if left out")
    _option(parser, "--draw", "FILE.png", "draw what is made from what (png, svg)")


def _analyze(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.einsum_cascades import load
    from einfall.einsum_cascades.shapes import rank_sizes
    from einfall.report.analysis import analysis_record, analysis_text

    cascade = mistakes.note(lambda: load(args.cascade))
    shape = mistakes.note(lambda: _shape(args.shape)) if args.shape is not None else None
    tiles = mistakes.note(lambda: _tiles(args.tile, args.shape is not None)) or {}
    word_bytes = mistakes.note(lambda: _word_bytes(args.word or WORD)) or 0.0
    mistakes.add(unwritable("--draw", args.draw, _PICTURES))
    sizes = None
    if cascade and shape:
        sizes = mistakes.note(lambda: rank_sizes(cascade, shape, tiles))
    cascade = mistakes.settled(cascade)
    record = analysis_record(cascade, sizes, word_bytes)
    if args.draw:
        _draw(cascade, record["passes"], args.draw)
    return Answer(record, lambda: analysis_text(cascade, record))


def _shape(text: str) -> dict[str, int]:
    from einfall.einsum_cascades.shapes import parse_shape

    return parse_shape(text)


def _tiles(text: str | None, has_shape: bool) -> dict[str, int]:
    """The tiles of `--tile M=256`."""
    from einfall.einsum_cascades.shapes import ShapeError, parse_shape

    if text is None:
        return {}
    if not has_shape:
        raise BadInputError(["--tile: wanted a --shape that it cuts, found none; add --shape"])
    try:
        return parse_shape(text)
    except ShapeError as error:
        problems = (p.replace("queries=4096", "M=256") for p in error.problems)
        raise BadInputError(f"--tile: {p}" for p in problems) from None


def _word_bytes(text: str) -> float:
    from einfall.units import parse

    try:
        word_bytes = parse(text, "B")
    except ValueError as error:
        raise BadInputError([f"--word: {error}"]) from None
    if word_bytes <= 0:
        raise BadInputError([f"--word: wanted more than 0 bit, found {text!r}"])
    return word_bytes


def _draw(cascade: Cascade, passes: Mapping[str, int], path: str) -> None:
    """Draw the graph, its boxes filled by pass over the rank that has the most."""
    from einfall.plots import graph_figure

    most = max(passes, key=passes.__getitem__)
    _save(graph_figure(cascade, most if passes[most] > 1 else None), path)


def _save(figure: Figure, path: str) -> None:
    from einfall.report.files import write

    write(path, lambda part: figure.savefig(part, dpi=200))


# estimate -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Question:
    """What an estimate is asked of; everything in it has been checked by itself."""

    cascade: Cascade
    shape: Mapping[str, int]
    machine: Machine
    mapping: CascadeMapping
    accounting: Accounting

    def estimate(self, *, simulate: bool) -> Estimate:
        from einfall.sim.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.machine,
            self.mapping,
            accounting=self.accounting,
            simulate=simulate,
        )

    def whole_shape(self) -> dict[str, Any]:
        """Size of every shape key of the cascade, defaults filled in."""
        from einfall.einsum_cascades.shapes import rank_sizes

        sizes = rank_sizes(self.cascade, self.shape)
        return {r.shape_key: sizes[r.symbol] for r in self.cascade.ranks if r.shape_key}


def _estimate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="a name of the library, or a file")
    _option(parser, "--on", "MACHINE", "a machine that ships, or a file.yaml (needed)")
    _option(parser, "--shape", "KEY=SIZE,…", "sizes; heads=12,queries=16K,head_dim=64 (needed)")
    _option(parser, "--mapping", "NAME", "a mapping that ships, or a file.yaml; else what suits")
    _option(parser, "--mask", "dense", "which scores count: dense, all of them")
    _option(parser, "--dtype", "TYPE", f"size of an element by type: {', '.join(DTYPES)}")
    _option(parser, "--word", "8bit", "size of an element; that of the machine if left out")
    _option(parser, "--accounting", "MODE", "physical (default), or artifact: as published")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="a machine field anew: dram.bandwidth=2x, clock=+10%%, buffer.capacity=8MiB",
    )
    parser.add_argument("--simulate", action="store_true", help="place every task in time")
    _option(parser, "--trace", "FILE.json", "simulate; write the timeline as a Chrome trace")
    _option(parser, "--timeline", "FILE.png", "simulate; draw some steps of the timeline")
    parser.add_argument("--explain", action="store_true", help="print every term and its source")


def _estimate(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.report.estimates import closed_form_text, estimate_text

    question = _question(args, mistakes)
    simulate = bool(args.simulate or args.trace or args.timeline)
    found = question.estimate(simulate=simulate)
    shape, notes = question.whole_shape(), _remarks(args, question)
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
    _write_timeline(args, found)
    return Answer(record, lambda: "\n\n".join(text() for text in texts), notes)


def _question(args: argparse.Namespace, mistakes: Mistakes) -> _Question:
    """What is asked, all independent mistakes in it told at once."""
    from einfall.einsum_cascades import load
    from einfall.einsum_cascades.shapes import rank_sizes
    from einfall.report.catalogue import known_mapping
    from einfall.sim import choice, mapping

    cascade = mistakes.note(lambda: load(args.cascade))
    shape = mistakes.note(lambda: _needed(args.shape, "--shape", "heads=12,queries=4K,…", _shape))
    machine = mistakes.note(lambda: _machine(args, mistakes))
    accounting = mistakes.note(lambda: _accounting(args.accounting or "physical"))
    if args.mapping is not None:
        mistakes.note(lambda: known_mapping(args.mapping))
        if args.mapping.endswith((".yaml", ".yml")):
            mistakes.note(lambda: mapping.load(args.mapping))
    if args.mask not in (None, "dense"):
        mistakes.add(f"--mask: wanted dense, every score, found {args.mask!r}; leave it out")
    mistakes.add(unwritable("--trace", args.trace, (".json",)))
    mistakes.add(unwritable("--timeline", args.timeline, _PICTURES))
    if cascade and shape:
        mistakes.note(lambda: rank_sizes(cascade, shape))
    cascade, shape = mistakes.settled(cascade), mistakes.settled(shape)
    machine, accounting = mistakes.settled(machine), mistakes.settled(accounting)
    name = args.mapping
    chosen = choice.mapping_for(cascade, shape, machine, name=name, accounting=accounting)
    return _Question(cascade, shape, machine, chosen, accounting)


def _needed(value: str | None, option: str, example: str, read: Callable[[str], T]) -> T:
    """The value of an option that may not be left out."""
    if value is None:
        raise BadInputError([f"{option}: wanted a value, found none; add {option} {example}"])
    return read(value)


def _machine(args: argparse.Namespace, mistakes: Mistakes) -> Machine:
    """The machine with all that is set anew."""
    from einfall.hw_models import load, read_overrides, with_overrides

    machine = mistakes.note(lambda: _needed(args.on, "--on", "MACHINE", load))
    overrides = mistakes.note(lambda: read_overrides(args.overrides)) or {}
    word = mistakes.note(lambda: _word(args, overrides))
    if machine is None:
        raise BadInputError([])  # why has been noted
    return with_overrides(machine, overrides | ({"word": word} if word else {}))


def _word(args: argparse.Namespace, overrides: Mapping[str, str]) -> str | None:
    """The word that `--dtype` or `--word` sets, as an override does."""
    given = [name for name in ("dtype", "word") if getattr(args, name) is not None]
    given += ["set word=…"] if "word" in overrides else []
    if len(given) > 1:
        found = " and ".join(f"--{name}" for name in given)
        raise BadInputError([f"--{given[0]}: wanted the word once, found {found}"])
    if args.word is not None:
        _word_bytes(args.word)  # so that a mistake in it is one of --word
    if args.dtype is None:
        return args.word
    if args.dtype not in DTYPES:
        known = ", ".join(DTYPES)
        way_out = _did_you_mean(args.dtype, DTYPES, "or give its size: --word 4bit")
        raise BadInputError([f"--dtype: wanted one of {known}, found {args.dtype!r}; {way_out}"])
    return DTYPES[args.dtype]


def _accounting(name: str) -> Accounting:
    from einfall.sim.accounting import MODES

    if name not in MODES:
        way_out = _did_you_mean(name, MODES, "physical is the default")
        known = " or ".join(MODES)
        raise BadInputError([f"--accounting: wanted {known}, found {name!r}; {way_out}"])
    return MODES[name]


def _remarks(args: argparse.Namespace, question: _Question) -> tuple[str, ...]:
    """What a reader could take for granted and is not so."""
    remarks = []
    if args.dtype or args.word:
        remarks.append(
            f"--{'dtype' if args.dtype else 'word'} sets the size of every element; cycles, energy "
            f"and area of an operation stay those of {question.machine.name}"
        )
    if question.accounting.published:
        remarks.append(
            "--accounting artifact charges what the published artifact charges, known defects "
            "included; see docs/assumptions.md"
        )
    return tuple(remarks)


def _write_timeline(args: argparse.Namespace, found: Estimate) -> None:
    """The files that show the simulation."""
    simulation = found.simulation
    if simulation is not None and args.trace:
        from einfall.report.trace import write_trace

        title = f"{found.cascade} on {found.machine}, mapping {found.mapping.name}"
        write_trace(simulation, title, args.trace)
    if simulation is not None and args.timeline:
        _draw_timeline(_longest_phase(simulation), args.timeline)


def _longest_phase(simulation: Simulation) -> list[Span]:
    """The spans of the phase that takes longest, step by step as figures want them.

    The simulation records tasks as they are issued, those of older steps first.
    """
    times = [float(time) for _, time in simulation.timing.phases]
    longest = max(range(len(times)), key=times.__getitem__)
    begin, end = sum(times[:longest]), sum(times[: longest + 1])
    inside = [s for s in simulation.timeline if begin <= (s.start_s + s.end_s) / 2 <= end]
    return sorted(inside, key=lambda span: [index for _, index in span.step])


def _draw_timeline(spans: Sequence[Span], path: str) -> None:
    """As many steps of the steady state as there are, up to three; everything if there is none."""
    from einfall.plots import PlotError, figure, plot_timeline, steady_window

    window = None
    for steps in (3, 2, 1):
        try:
            window = steady_window(spans, steps)
            break
        except PlotError:
            continue
    sheet = figure()
    plot_timeline(spans, sheet.subplots(), window)
    _save(sheet, path)


# run ----------------------------------------------------------------------------------------------


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="a scenario that ships, or a file.yaml"
    )
    _option(parser, "--out", "DIR", "write tables, JSON and figures there; else only print")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    _option(parser, "--accounting", "MODE", "artifact or physical alone; both if left out")


def _run_scenario(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from pathlib import Path

    from einfall import scenarios

    mistakes.note(lambda: scenarios.load(args.scenario))
    if args.accounting is not None:
        mistakes.note(lambda: _accounting(args.accounting))
    mistakes.add(unwritable("--out", args.out))
    mistakes.refuse()
    out = Path(args.out) if args.out else None
    figures = out is not None and not args.no_figures
    found = scenarios.run(args.scenario, out=out, figures=figures, accounting=args.accounting)
    return Answer(found.record(), found.text)


# validate -----------------------------------------------------------------------------------------


def _validate_options(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(COMPARISONS)
    parser.add_argument(
        "against", metavar="AGAINST", nargs="?", default="fusemax", help=f"published: {known}"
    )


def _validate(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    if args.against not in COMPARISONS:
        known = ", ".join(COMPARISONS)
        way_out = _did_you_mean(args.against, COMPARISONS, "fusemax is the default")
        mistakes.add(f"AGAINST: wanted one of {known}, found {args.against!r}; {way_out}")
    mistakes.refuse()
    return COMPARISONS[args.against](args)


def _with_fusemax(args: argparse.Namespace) -> Answer:
    from einfall.report.validation import validation_record
    from einfall.validate import fusemax

    found = fusemax.compare()
    record = validation_record(args.against, found.record())
    return Answer(record, found.text, code=DONE if found.ok else NO)


COMPARISONS: Mapping[str, Callable[[argparse.Namespace], Answer]] = {"fusemax": _with_fusemax}
"""What `validate` compares with, by name."""


# The verbs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: what its help says, its options, and what answers."""

    about: str
    usage: str
    example: str
    options: Callable[[argparse.ArgumentParser], None]
    answer: Callable[[argparse.Namespace, Mistakes], Answer]


VERBS: Mapping[str, Verb] = {
    "show": Verb(
        about=f"List or explain {', '.join(KINDS)}.",
        usage="einfall show KIND [NAME] [--json]",
        example="einfall show machines fusemax_cloud",
        options=_show_options,
        answer=_show,
    ),
    "analyze": Verb(
        about="Passes, operations, footprints and compulsory traffic of a cascade.",
        usage="einfall analyze CASCADE [--shape KEY=SIZE,…] [options]",
        example="einfall analyze attention_3pass --shape heads=12,queries=4K,head_dim=64",
        options=_analyze_options,
        answer=_analyze,
    ),
    "estimate": Verb(
        about="Time, energy and traffic of a cascade on a machine, and what stops it.",
        usage="einfall estimate CASCADE --on MACHINE --shape KEY=SIZE,… [options]",
        example="einfall estimate attention_1pass --on fusemax_cloud "
        "--shape batch=64,heads=12,queries=16K,head_dim=64",
        options=_estimate_options,
        answer=_estimate,
    ),
    "run": Verb(
        about="Run a scenario: tables, data and figures.",
        usage="einfall run SCENARIO [--out DIR] [--no-figures] [--accounting MODE] [--json]",
        example="einfall run fusemax --out out/fusemax",
        options=_run_options,
        answer=_run_scenario,
    ),
    "validate": Verb(
        about="Compare with published numbers; exit code 1 where one is outside its tolerance.",
        usage="einfall validate [AGAINST] [--json]",
        example="einfall validate fusemax",
        options=_validate_options,
        answer=_validate,
    ),
}
"""Everything that the command line can do, in the order of its help."""
