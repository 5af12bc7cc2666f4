"""`bounds`: exact counts of a mask and its tiles, and the speedups that they allow."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from einfall.report.files import unwritable
from einfall.verbs.answers import BAD_INPUT, DONE, PICTURES, Answer, BadInputError, Mistakes
from einfall.verbs.figures import save
from einfall.verbs.questions import MASK_HELP, needed, read_shape
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import HeadMasks, Mask, Tiling
    from einfall.einsum_cascades.masks.problem import Problem

FIELDS = ("input", "window", "stride", "dilation", "causal", "q_tile", "kv_tile")


def _options(parser: argparse.ArgumentParser) -> None:
    option(parser, "--input", "30x48x80", "tokens in each of one to three dimensions")
    option(parser, "--window", "18x24x24", "keys that a query attends in each dimension")
    option(parser, "--stride", "16x8x8", "queries that share a window; 1 if left out")
    option(parser, "--dilation", "1x1x1", "distance of the keys of a window; 1 if left out")
    option(parser, "--causal", "0x0x0", "1 where a dimension is causal")
    option(parser, "--q-tile", "4x8x8", "queries in a tile; a kernel's default if left out")
    option(parser, "--kv-tile", "2x8x8", "keys in a tile; a kernel's default if left out")
    option(parser, "--mask", "MASK", f"in place of --input and --window; {MASK_HELP}")
    option(parser, "--shape", "KEY=SIZE,…", "queries=8K and keys=… of a --mask, or heads=…")
    option(parser, "--cases", "FILE.csv", "many problems, one a row; answers as CSV on stdout")
    option(parser, "--share", "0.6", "part of the whole time that is this attention: end to end")
    option(parser, "--near-sparsity", "0.9", "with --sweep-strides: recommend near this sparsity")
    parser.add_argument(
        "--sweep-strides", action="store_true", help="strides that earn their price, and advice"
    )
    option(parser, "--draw", "FILE.png", "draw the mask and its tiles; of a sweep, a heat map")
    option(parser, "--histogram", "FILE.png", "draw how many key tiles the query tiles visit")


def _bounds(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    mistakes.add(unwritable("--draw", args.draw, PICTURES))
    mistakes.add(unwritable("--histogram", args.histogram, PICTURES))
    if args.cases is not None:
        return _cases(args, mistakes)
    if args.sweep_strides:
        return _sweep(args, mistakes)
    return _one(args, mistakes)


# One problem --------------------------------------------------------------------------------------


def _one(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.report.bounds import bounds_record, bounds_text, end_to_end_record
    from einfall.report.drawings import bounds_drawings
    from einfall.sim.bounds import Bounds

    share = mistakes.note(lambda: read_part("--share", args.share))
    if args.near_sparsity is not None:
        mistakes.add("--near-sparsity: wanted with --sweep-strides, found it alone; add it")
    found = mistakes.note(lambda: _problem(args))
    mask, tiling, described, notes = mistakes.settled(found)
    bounds = Bounds(mask, tiling)
    record = bounds_record(bounds, described)
    if share is not None:
        record["end_to_end"] = end_to_end_record(record, share)
    record["notes"] = list(notes)
    _pictures(args, bounds)
    drawings = partial(bounds_drawings, bounds)
    return Answer(record, lambda: bounds_text(record), notes, drawings=drawings)


_Asked: TypeAlias = "tuple[Mask | HeadMasks, Tiling, dict[str, str], tuple[str, ...]]"


def _problem(args: argparse.Namespace) -> _Asked:
    """The mask and tiles that the options state, their words, and remarks."""
    if args.mask is not None:
        return _masked(args)
    notes: tuple[str, ...] = ()
    fields = {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    if args.input is not None and args.shape is not None:
        raise BadInputError(["--shape: wanted with --mask, found it with --input; leave it out"])
    if "q_tile" not in fields and "kv_tile" not in fields:
        fields |= (tiles := _default_tiles(args.input))
        shown = " and ".join(tiles.values())
        notes = (f"--q-tile, --kv-tile: none given, those of NATTEN's Blackwell kernel: {shown}",)
    problem = _read_options(fields)
    return problem.mask, problem.tiling, _described(fields, problem), notes


def _read_options(fields: Mapping[str, str]) -> Problem:
    """The problem; its mistakes named by option."""
    from einfall.einsum_cascades.masks import MaskError
    from einfall.einsum_cascades.masks.problem import read_problem

    try:
        return read_problem(fields)
    except MaskError as error:
        raise BadInputError(_as_option(problem) for problem in error.problems) from None


def _as_option(problem: str) -> str:
    name = problem.partition(":")[0].split()[0]
    return f"--{name.replace('_', '-')}{problem[len(name) :]}" if name in FIELDS else problem


def _default_tiles(text: str | None) -> dict[str, str]:
    """The default tiles for as many dimensions as the input has."""
    from einfall.sim.bounds import DENSE_TILES, text_of

    dims = (text or "").lower().count("x") + 1
    q, kv = DENSE_TILES[min(dims, 3)]
    return {"q_tile": text_of(q), "kv_tile": text_of(kv)}


def _described(fields: Mapping[str, str], problem: Problem) -> dict[str, str]:
    """The problem in words, what was left out filled in."""
    dims = len(problem.mask.query_layout)
    defaults = {"stride": "1", "dilation": "1", "causal": "0"}
    filled = {name: "x".join([one] * dims) for name, one in defaults.items()}
    described = {**filled, **{name: text.strip() for name, text in fields.items()}}
    return {name: described[name] for name in FIELDS}


def _masked(args: argparse.Namespace) -> _Asked:
    """Any mask of the command line's mask language, over a sequence."""
    from einfall.einsum_cascades.masks import MaskError, Tiling, parse_mask
    from einfall.einsum_cascades.masks.problem import read_sizes

    wrong = [
        f"--{name}: wanted a neighbourhood without --mask, found both; leave one out"
        for name in FIELDS[:5]
        if getattr(args, name) is not None
    ]
    mistakes = Mistakes()
    mistakes.problems += wrong
    spec = mistakes.note(lambda: parse_mask(args.mask))
    shape = mistakes.note(lambda: needed(args.shape, "--shape", "queries=8K", read_shape)) or {}
    foreign = sorted(set(shape) - {"queries", "keys", "heads"})
    mistakes.problems += [
        f"--shape: wanted queries, keys and heads for a mask, found {key}" for key in foreign
    ]
    if shape and "queries" not in shape:
        mistakes.add("--shape: wanted queries=…, found none")
    tiles = {}
    for name in ("q_tile", "kv_tile"):
        text = getattr(args, name) or ("256" if name == "q_tile" else "128")
        try:
            tiles[name] = read_sizes(text)
        except ValueError as error:
            mistakes.add(f"--{name.replace('_', '-')}: {error}")
    mistakes.refuse()
    spec = mistakes.settled(spec)
    queries = shape["queries"]
    try:
        tiling = Tiling(tiles["q_tile"], tiles["kv_tile"])
        mask = spec.bind(queries, shape.get("keys", queries), shape.get("heads", 1))
    except MaskError as error:
        raise BadInputError(_as_option(problem) for problem in error.problems) from None
    words = {"mask": str(spec), "input": str(queries)}
    return mask, tiling, words | {n: "x".join(map(str, t)) for n, t in tiles.items()}, ()


def read_part(option_name: str, text: str | None) -> float | None:
    """A part of one, such as `0.6` or `60%`."""
    if text is None:
        return None
    body, scale = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    try:
        value = float(body) / scale
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadInputError([f"{option_name}: wanted a part from 0 to 1, found {text!r}"])
    return value


def _pictures(args: argparse.Namespace, bounds: Any) -> None:  # noqa: ANN401  loaded when drawn
    from einfall.report.mask_figures import histogram_figure, mask_figure

    if args.draw:
        save(mask_figure(bounds), args.draw)
    if args.histogram:
        save(histogram_figure(bounds), args.histogram)


# Many problems ------------------------------------------------------------------------------------


def _cases(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """Every row answered that can be; exit code 2 where one cannot."""
    from einfall.report.bounds import cases_csv
    from einfall.scenarios.mask_cases import answer_cases

    others = [name for name in (*FIELDS, "mask", "shape", "share") if getattr(args, name)]
    others += [name for name in ("sweep_strides", "draw", "histogram") if getattr(args, name)]
    for name in others:
        word = name.replace("_", "-")
        mistakes.add(f"--{word}: wanted the problems of --cases alone, found both; leave one out")
    found = mistakes.note(lambda: answer_cases(args.cases))
    found = mistakes.settled(found)
    record = {
        "rows": list(found.rows),
        "problems": list(found.problems),
        "notes": list(found.remarks),
    }
    code = BAD_INPUT if found.problems else DONE
    return Answer(record, lambda: cases_csv(found), found.remarks, code, found.problems)


# Strides ------------------------------------------------------------------------------------------


def _sweep(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    from einfall.einsum_cascades.masks.natten import axes_of
    from einfall.report.bounds import choice_record, sweep_text
    from einfall.report.drawings import stride_drawings
    from einfall.sim.strides import Axis, recommend, sweep_strides

    for name in ("stride", "mask", "shape", "share", "histogram"):
        if getattr(args, name) is not None:
            mistakes.add(f"--{name}: wanted none with --sweep-strides, found it; leave it out")
    wanted = mistakes.note(lambda: read_part("--near-sparsity", args.near_sparsity))
    fields = {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    fields.pop("stride", None)
    own_tiles = "q_tile" in fields or "kv_tile" in fields
    if not own_tiles:
        fields |= _default_tiles(args.input)
    found = mistakes.note(lambda: _read_options(fields))
    problem = mistakes.settled(found)
    mask, tiling = problem.mask, problem.tiling
    parts = axes_of(mask)
    axes = [
        Axis(a.length, a.window, a.dilation, a.causal, q, kv)
        for a, q, kv in zip(parts, tiling.q, tiling.kv, strict=True)
    ]
    sparsity = 1 - mask.density if wanted is None else wanted
    tiles = [(tiling.q, tiling.kv)] if own_tiles else None
    near = recommend(mask.query_layout, sparsity, tiles=tiles, dilation=[a.dilation for a in parts])
    record = {
        **{name: text for name, text in _described(fields, problem).items() if name != "stride"},
        "wanted_sparsity": sparsity,
        "rows": [choice_record(choice) for choice in sweep_strides(axes)],
        "recommended": [choice_record(choice) for choice in near],
    }
    if args.draw:
        save(next(stride_drawings(axes))[1], args.draw)
    return Answer(record, lambda: sweep_text(record), drawings=lambda: stride_drawings(axes))


VERB = Verb(
    about="Exact counts of a mask and its tiles, and the speedups over dense attention they allow.",
    usage="einfall bounds --input 30x48x80 --window 18x24x24 [--stride …] [options]\n"
    "       einfall bounds --mask MASK --shape queries=8K [options]\n"
    "       einfall bounds --cases FILE.csv",
    example="einfall bounds --input 30x48x80 --window 18x24x24 --stride 16x8x8 "
    "--q-tile 4x8x8 --kv-tile 2x8x8",
    options=_options,
    answer=_bounds,
)
