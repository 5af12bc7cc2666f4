"""What is asked of a cascade on a machine: read from the options, all mistakes at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from einfall.verbs.answers import BadInputError, Mistakes, did_you_mean
from einfall.verbs.words import option

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.hw_models import Machine
    from einfall.sim.accounting import Accounting
    from einfall.sim.estimate import Estimate
    from einfall.sim.mapping import Mapping as CascadeMapping

T = TypeVar("T")

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

MASK_HELP = "which scores count: causal, 'sliding:window=1024 & causal', …; see show masks"


@dataclass(frozen=True, slots=True)
class BaseQuestion:
    """What an estimate is asked of, on a machine of any kind; each part is checked by itself."""

    cascade: Cascade
    shape: Mapping[str, int]
    machine: Any

    def whole_shape(self) -> dict[str, Any]:
        """Size of every shape key of the cascade, defaults filled in."""
        return whole_shape(self.cascade, self.shape)


@dataclass(frozen=True, slots=True)
class Question(BaseQuestion):
    """What an estimate on a spatial array is asked of."""

    mapping: CascadeMapping
    accounting: Accounting
    named: str | None = None

    def on(self, machine: Machine) -> Question:
        """The same question of another machine; a mapping that is not named is chosen anew."""
        from einfall.sim.choice import mapping_for

        if machine == self.machine:
            return self
        how = {"name": self.named, "accounting": self.accounting}
        chosen = mapping_for(self.cascade, self.shape, machine, **how)
        return replace(self, machine=machine, mapping=chosen)

    def estimate(self, *, simulate: bool) -> Estimate:
        """The answer, by the closed form or by the event simulation."""
        from einfall.sim.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.machine,
            self.mapping,
            accounting=self.accounting,
            simulate=simulate,
        )


def whole_shape(cascade: Cascade, shape: Mapping[str, int]) -> dict[str, Any]:
    """Size of every shape key of a cascade, defaults filled in."""
    from einfall.einsum_cascades.shapes import rank_sizes

    sizes = rank_sizes(cascade, shape)
    return {r.shape_key: sizes[r.symbol] for r in cascade.ranks if r.shape_key}


def where_options(parser: argparse.ArgumentParser) -> None:
    """The machine and the shape."""
    option(parser, "--on", "MACHINE", "a machine that ships, or a file.yaml (needed)")
    option(parser, "--shape", "KEY=SIZE,…", "sizes; heads=12,queries=16K,head_dim=64 (needed)")


def word_options(parser: argparse.ArgumentParser) -> None:
    """The size of an element, in either way to say it."""
    option(parser, "--dtype", "TYPE", f"size of an element by type: {', '.join(DTYPES)}")
    option(parser, "--word", "8bit", "size of an element; that of the machine if left out")


def set_option(parser: argparse.ArgumentParser) -> None:
    """Machine fields anew, as often as there are."""
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="a machine field anew: dram.bandwidth=2x, clock=+10%%, buffer.capacity=8MiB",
    )


def question_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that asks of a cascade on a machine."""
    where_options(parser)
    option(
        parser,
        "--mapping",
        "NAME",
        "a mapping, a file.yaml, best for a search, on a GPU a kernel; else what suits",
    )
    option(parser, "--mask", "MASK", MASK_HELP)
    word_options(parser)
    option(parser, "--accounting", "MODE", "physical (default), or artifact: as published")
    set_option(parser)
    parser.add_argument("--simulate", action="store_true", help="place every task in time")


def read_question(args: argparse.Namespace, mistakes: Mistakes) -> Question:
    """What is asked, all independent mistakes in it told at once."""
    from einfall.report.catalogue import known_mapping
    from einfall.sim import choice, mapping

    cascade, shape = read_what(args, mistakes)
    machine = mistakes.note(lambda: read_machine(args, mistakes))
    accounting = mistakes.note(lambda: read_accounting(args.accounting or "physical"))
    if args.mapping is not None:
        mistakes.note(lambda: known_mapping(args.mapping))
        if args.mapping.endswith((".yaml", ".yml")):
            mistakes.note(lambda: mapping.load(args.mapping))
    cascade, shape = mistakes.settled(cascade), mistakes.settled(shape)
    machine, accounting = mistakes.settled(machine), mistakes.settled(accounting)
    name = args.mapping
    chosen = choice.mapping_for(cascade, shape, machine, name=name, accounting=accounting)
    return Question(cascade, shape, machine, chosen, accounting, name)


def read_what(
    args: argparse.Namespace, mistakes: Mistakes
) -> tuple[Cascade | None, dict[str, int] | None]:
    """The cascade, with its mask, and its shape; None in place of one that has mistakes."""
    from einfall.einsum_cascades import load
    from einfall.einsum_cascades.shapes import rank_sizes

    cascade = mistakes.note(lambda: load(args.cascade))
    shape = mistakes.note(
        lambda: needed(args.shape, "--shape", "heads=12,queries=4K,…", read_shape)
    )
    masked = cascade
    if args.mask is not None:
        masked = mistakes.note(lambda: read_masked(cascade, args.mask))
    sized = masked or cascade  # a mistake in the mask hides none in the shape
    if sized and shape:
        mistakes.note(lambda: rank_sizes(sized, shape))
    return masked, shape


def read_masked(cascade: Cascade | None, text: str) -> Cascade | None:
    """The cascade with the mask of `--mask`; `dense` takes away the one that it carries.

    Without a cascade, because it has mistakes of its own, only the mask is looked at.
    """
    from einfall.einsum_cascades.masked import with_mask
    from einfall.einsum_cascades.masks import parse_mask

    mask = parse_mask(text)
    return cascade and with_mask(cascade, mask)


def needed(value: str | None, option: str, example: str, read: Callable[[str], T]) -> T:
    """The value of an option that may not be left out."""
    if value is None:
        raise BadInputError([f"{option}: wanted a value, found none; add {option} {example}"])
    return read(value)


def read_machine(args: argparse.Namespace, mistakes: Mistakes) -> Machine:
    """The machine with all that is set anew."""
    from einfall.hw_models import load, read_overrides, with_overrides

    machine = mistakes.note(lambda: needed(args.on, "--on", "MACHINE", load))
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
        read_word_bytes(args.word)  # so that a mistake in it is one of --word
    if args.dtype is None:
        return args.word
    if args.dtype not in DTYPES:
        known = ", ".join(DTYPES)
        way_out = did_you_mean(args.dtype, DTYPES, "or give its size: --word 4bit")
        raise BadInputError([f"--dtype: wanted one of {known}, found {args.dtype!r}; {way_out}"])
    return DTYPES[args.dtype]


def read_accounting(name: str) -> Accounting:
    """The accounting of that name."""
    from einfall.sim.accounting import MODES

    if name not in MODES:
        way_out = did_you_mean(name, MODES, "physical is the default")
        known = " or ".join(MODES)
        raise BadInputError([f"--accounting: wanted {known}, found {name!r}; {way_out}"])
    return MODES[name]


def remarks(args: argparse.Namespace, question: Question) -> tuple[str, ...]:
    """What a reader could take for granted and is not so."""
    found = []
    if args.dtype or args.word:
        found.append(
            f"--{'dtype' if args.dtype else 'word'} sets the size of every element; cycles, energy "
            f"and area of an operation stay those of {question.machine.name}"
        )
    if question.accounting.published:
        found.append(
            "--accounting artifact charges what the published artifact charges, known defects "
            "included; see docs/assumptions.md"
        )
    return tuple(found)


def read_shape(text: str) -> dict[str, int]:
    """The sizes of `--shape`."""
    from einfall.einsum_cascades.shapes import parse_shape

    return parse_shape(text)


def read_tiles(text: str | None, has_shape: bool) -> dict[str, int]:
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


def read_word_bytes(text: str) -> float:
    """The size of an element of `--word` [bytes]."""
    from einfall.units import parse

    try:
        word_bytes = parse(text, "B")
    except ValueError as error:
        raise BadInputError([f"--word: {error}"]) from None
    if word_bytes <= 0:
        raise BadInputError([f"--word: wanted more than 0 bit, found {text!r}"])
    return word_bytes
