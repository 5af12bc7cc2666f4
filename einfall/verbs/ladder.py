"""`ladder`: speedup bounds of an algorithm over a baseline, from the operation count downwards."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from einfall.report.files import unwritable
from einfall.verbs.answers import PICTURES, Answer, BadInputError, Mistakes
from einfall.verbs.bounds import read_part
from einfall.verbs.figures import save
from einfall.verbs.kinds import kind_of
from einfall.verbs.questions import MASK_HELP, needed, question_options, read_shape
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.sim.bounds import Bounds
    from einfall.sim.ladder import Ladder


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "cascade", metavar="CASCADE", help="a name of the library, a file, or a published use case"
    )
    option(parser, "--against", "BASE", "the cascade it is compared with; itself if left out")
    question_options(parser)
    option(parser, "--base-mask", "MASK", f"mask of the baseline, dense if left out; {MASK_HELP}")
    option(parser, "--base-mapping", "NAME", "mapping of the baseline; what suits if left out")
    option(parser, "--q-tile", "256", "queries in a tile, without a machine")
    option(parser, "--kv-tile", "128", "keys in a tile, without a machine")
    option(parser, "--processors", "132", "query tiles that run at once, without a machine")
    option(parser, "--share", "0.6", "part of the whole time that is this attention: end to end")
    option(parser, "--draw", "FILE.png", "draw the ladder")


def _ladder(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.validate.gna import CASES

    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    if isinstance(args.cascade, str) and args.cascade in CASES:
        return _published(args, mistakes)
    share = mistakes.note(lambda: read_part("--share", args.share))
    ladder, what = (_counted if args.on is None else _on_machine)(args, mistakes)
    return _answer(args, ladder, what, share)


def _answer(
    args: argparse.Namespace, ladder: Ladder, what: dict[str, object], share: float | None
) -> Answer:
    from einfall.report.drawings import ladder_drawings
    from einfall.report.ladder import ladder_record, ladder_text

    record = {**what, **ladder_record(ladder, share)}
    drawings = partial(ladder_drawings, record)
    if args.draw:
        save(next(drawings())[1], args.draw)
    notes: Any = what.get("notes", ())
    return Answer(record, lambda: ladder_text(record), tuple(notes), drawings=drawings)


# On a machine -------------------------------------------------------------------------------------


def _on_machine(args: argparse.Namespace, mistakes: Mistakes) -> tuple[Ladder, dict[str, object]]:
    for name in ("q_tile", "kv_tile", "processors"):
        if getattr(args, name) is not None:
            word = name.replace("_", "-")
            mistakes.add(f"--{word}: wanted none with --on, found it; the mapping has the tiles")
    return kind_of(args).laddered(args, _baseline(args), mistakes)


def _baseline(args: argparse.Namespace) -> argparse.Namespace:
    """The options of the question that the baseline is."""
    own = {
        "cascade": args.against or args.cascade,
        "mapping": args.base_mapping,
        "mask": args.base_mask or "dense",
    }
    return argparse.Namespace(**{**vars(args), **own})


# From counts alone --------------------------------------------------------------------------------


def _counted(args: argparse.Namespace, mistakes: Mistakes) -> tuple[Ladder, dict[str, object]]:
    """Without a machine: what the counts of the mask say, over the same cascade without it."""
    from einfall.einsum_cascades import load
    from einfall.sim.ladder import counted_ladder

    cascade = mistakes.note(lambda: load(args.cascade))
    for name in ("mapping", "base_mapping", "accounting", "base_mask", "dtype", "word"):
        if getattr(args, name) is not None:
            mistakes.add(f"--{name.replace('_', '-')}: wanted with --on MACHINE, found it alone")
    if args.against not in (None, args.cascade):
        mistakes.add(
            f"--on: wanted a machine to compare {args.cascade} with {args.against}, found none; "
            "counts alone compare a cascade under a mask with itself"
        )
    if args.overrides or args.simulate:
        mistakes.add("--on: wanted a machine for --set and --simulate, found none")
    mask = mistakes.note(lambda: needed(args.mask, "--mask", "causal, or --on MACHINE", str))
    shape = mistakes.note(lambda: needed(args.shape, "--shape", "queries=8K", read_shape))
    processors = mistakes.note(lambda: _processors(args.processors))
    mistakes.refuse()
    cascade, shape = mistakes.settled(cascade), mistakes.settled(shape)
    bounds = _bounds(args, cascade, shape)
    what = {
        "cascade": cascade.name,
        "against": cascade.name,
        "machine": None,
        "mask": mask,
        "base_mask": "dense",
        "shape": shape,
        "q_tile": args.q_tile or "256",
        "kv_tile": args.kv_tile or "128",
    }
    return counted_ladder(bounds, processors), what | _notions(bounds)


def _bounds(args: argparse.Namespace, cascade: Cascade, shape: dict[str, int]) -> Bounds:
    from einfall.einsum_cascades.masked import masks_of
    from einfall.einsum_cascades.masks import HeadMasks, Tiling
    from einfall.einsum_cascades.shapes import rank_sizes
    from einfall.sim.bounds import Bounds
    from einfall.verbs.questions import read_masked

    masked = read_masked(cascade, args.mask) or cascade
    tiling = Tiling(
        _tile("--q-tile", args.q_tile or "256"), _tile("--kv-tile", args.kv_tile or "128")
    )
    masks = masks_of(masked, rank_sizes(masked, shape))
    if not masks:
        raise BadInputError(["--mask: wanted a mask that leaves something out, found dense"])
    mask = masks[0] if len(masks) == 1 else HeadMasks(masks)
    return Bounds(mask, tiling)


def _tile(name: str, text: str) -> tuple[int, ...]:
    from einfall.einsum_cascades.masks.problem import read_sizes

    try:
        return read_sizes(text)
    except ValueError as error:
        raise BadInputError([f"{name}: {error}"]) from None


def _notions(bounds: Bounds) -> dict[str, float]:
    """The two notions of a tile bound, whichever of them are rungs."""
    return {
        "tile_speedup_total": bounds.total,
        "tile_speedup_worst_q_tile": bounds.worst,
    }


def _processors(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise BadInputError([f"--processors: wanted a whole number from 1, found {text!r}"])
    return int(text)


# Published use cases ------------------------------------------------------------------------------


def _published(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """The bounds of a published use case beside what was measured."""
    from einfall.report.drawings import case_drawings
    from einfall.report.ladder import case_record, case_text
    from einfall.validate.gna import CASES, measured

    for name in ("against", "shape", "mask", "mapping", "q_tile", "kv_tile", "processors", "on"):
        if getattr(args, name) is not None:
            word = name.replace("_", "-")
            mistakes.add(f"--{word}: wanted none with use case {args.cascade}, which has its own")
    share = mistakes.note(lambda: read_part("--share", args.share))
    mistakes.refuse()
    record = case_record(args.cascade, CASES[args.cascade], measured(args.cascade), share)
    drawings = partial(case_drawings, record)
    if args.draw:
        save(next(drawings())[1], args.draw)
    return Answer(record, lambda: case_text(record), drawings=drawings)


VERB = Verb(
    about="Speedup bounds over a baseline, each below the last, down to the simulated one.",
    usage="einfall ladder CASCADE [--against BASE] --on MACHINE --shape KEY=SIZE,… [options]\n"
    "       einfall ladder CASCADE --mask MASK --shape KEY=SIZE,… [--q-tile 256] [--kv-tile 128]\n"
    "       einfall ladder USE_CASE [--draw FILE.png]",
    example="einfall ladder attention_1pass --against attention_3pass --on fusemax_cloud "
    "--shape batch=64,heads=12,queries=16K,head_dim=64",
    options=_options,
    answer=_ladder,
)
