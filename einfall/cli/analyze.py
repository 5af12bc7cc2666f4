"""`analyze`: what a cascade alone says, without a machine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from einfall.cli.answers import PICTURES, Answer, Mistakes
from einfall.cli.figures import save
from einfall.cli.questions import (
    MASK_HELP,
    WORD,
    read_masked,
    read_shape,
    read_tiles,
    read_word_bytes,
)
from einfall.cli.words import Verb, option
from einfall.report.files import unwritable

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade


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

    cascade = mistakes.note(lambda: load(args.cascade))
    if args.mask is not None:
        cascade = mistakes.note(lambda: read_masked(cascade, args.mask))
    shape = mistakes.note(lambda: read_shape(args.shape)) if args.shape is not None else None
    tiles = mistakes.note(lambda: read_tiles(args.tile, args.shape is not None)) or {}
    word_bytes = mistakes.note(lambda: read_word_bytes(args.word or WORD)) or 0.0
    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    sizes = None
    if cascade and shape:
        sizes = mistakes.note(lambda: rank_sizes(cascade, shape, tiles))
    cascade = mistakes.settled(cascade)
    record = analysis_record(cascade, sizes, word_bytes)
    if args.draw:
        _draw(cascade, record["passes"], args.draw)
    return Answer(record, lambda: analysis_text(cascade, record))


def _draw(cascade: Cascade, passes: Mapping[str, int], path: str) -> None:
    """Draw the graph, its boxes filled by pass over the rank that has the most."""
    from einfall.plots import graph_figure

    most = max(passes, key=passes.__getitem__)
    save(graph_figure(cascade, most if passes[most] > 1 else None), path)


VERB = Verb(
    about="Passes, operations, footprints and compulsory traffic of a cascade.",
    usage="einfall analyze CASCADE [--shape KEY=SIZE,…] [options]",
    example="einfall analyze attention_3pass --shape heads=12,queries=4K,head_dim=64",
    options=_analyze_options,
    answer=_analyze,
)
