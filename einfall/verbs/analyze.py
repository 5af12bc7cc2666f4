"""`analyze`: what a cascade alone says, without a machine."""

from __future__ import annotations

import argparse
from functools import partial

from einfall.report.files import unwritable
from einfall.verbs.answers import PICTURES, Answer, Mistakes
from einfall.verbs.figures import save
from einfall.verbs.questions import (
    MASK_HELP,
    WORD,
    read_masked,
    read_shape,
    read_tiles,
    read_word_bytes,
)
from einfall.verbs.words import Verb, option


def _analyze_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="a name of the library, or a file")
    option(parser, "--shape", "KEY=SIZE,…", "sizes, such as heads=12,queries=16K,head_dim=64")
    option(parser, "--mask", "MASK", MASK_HELP)
    option(parser, "--tile", "M=256", "inner tile of a rank that the cascade splits")
    option(parser, "--word", "16bit", f"size of an element, {WORD} if left out")
    option(parser, "--draw", "FILE.png", "draw what is made from what (png, svg)")


def _analyze(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.einsum_cascades import load
    from einfall.einsum_cascades.shapes import rank_sizes
    from einfall.report.analysis import analysis_record, analysis_text
    from einfall.report.drawings import analysis_drawings

    cascade = mistakes.note(lambda: load(args.cascade))
    if args.mask is not None:
        cascade = mistakes.note(lambda: read_masked(cascade, args.mask)) or cascade
    shape = mistakes.note(lambda: read_shape(args.shape)) if args.shape is not None else None
    tiles = mistakes.note(lambda: read_tiles(args.tile, args.shape is not None)) or {}
    word_bytes = mistakes.note(lambda: read_word_bytes(args.word or WORD)) or 0.0
    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    sizes = None
    if cascade and shape:
        sizes = mistakes.note(lambda: rank_sizes(cascade, shape, tiles))
    cascade = mistakes.settled(cascade)
    record = analysis_record(cascade, sizes, word_bytes)
    drawings = partial(analysis_drawings, cascade, record["passes"])
    if args.draw:
        save(next(drawings())[1], args.draw)
    return Answer(record, lambda: analysis_text(cascade, record), drawings=drawings)


VERB = Verb(
    about="Passes, operations, footprints and compulsory traffic of a cascade.",
    usage="einfall analyze CASCADE [--shape KEY=SIZE,…] [options]",
    example="einfall analyze attention_3pass --shape heads=12,queries=4K,head_dim=64",
    options=_analyze_options,
    answer=_analyze,
)
