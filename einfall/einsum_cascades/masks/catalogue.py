"""The families that the text form of masks knows: their arguments, and how each is built.

A new family is one `Family` here: its arguments become the text form, its message and its help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from einfall.einsum_cascades.masks import families as f
from einfall.einsum_cascades.masks.arguments import (
    COUNT,
    FILE,
    FLAG,
    FLAGS,
    LENGTHS,
    REALS,
    SIZE,
    SIZES,
    Kind,
    lengths_of_file,
)
from einfall.einsum_cascades.masks.checks import refuse
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.mask import Mask, MaskError


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a mask is bound to."""

    queries: int
    keys: int
    heads: int


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a family."""

    name: str
    kind: Kind
    optional: bool = False

    @property
    def signature(self) -> str:
        """As help shows it: `window=N`, in brackets where it may be left out."""
        text = f"{self.name}={self.kind.form}"
        return f"[{text}]" if self.optional else text


@dataclass(frozen=True, slots=True)
class Family:
    """A family: `build` gets the sizes and the arguments that were given."""

    about: str
    example: str
    build: Callable[..., Mask | HeadMasks]
    arguments: tuple[Argument, ...] = ()

    @property
    def by_name(self) -> dict[str, Argument]:
        """The arguments by name."""
        return {argument.name: argument for argument in self.arguments}


# What is built ------------------------------------------------------------------------------------


def _of_grid(build: Callable[..., Mask]) -> Callable[..., Mask]:
    """A family over a grid of tokens, which has to hold as many as there are queries and keys."""

    def built(sizes: Sizes, **arguments: Any) -> Mask:  # noqa: ANN401  one type an argument
        layout = arguments.pop("input")
        _of_size(sizes, "input", "x".join(map(str, layout)), prod(layout), prod(layout))
        return build(layout, **arguments)

    return built


def _of_size(sizes: Sizes, name: str, text: str, queries: int, keys: int) -> None:
    """Refuse what makes another number of queries or keys than there are."""
    sides = (("queries", sizes.queries, queries), ("keys", sizes.keys, keys))
    refuse(
        [
            f"{name}: wanted {wanted:,} {side}, found {text} = {found:,}; "
            f"change it, or set {side}={found}"
            for side, wanted, found in sides
            if wanted != found
        ]
    )


def _sliding(
    sizes: Sizes, window: int | None = None, left: int | None = None, right: int = 0
) -> Mask:
    reach = _reach(window, left, right)
    return f.sliding_window(sizes.queries, sizes.keys, left=reach, right=right)


def _dilated(
    sizes: Sizes,
    dilation: int,
    window: int | None = None,
    left: int | None = None,
    right: int = 0,
) -> Mask:
    reach = _reach(window, left, right)
    return f.dilated_window(sizes.queries, sizes.keys, left=reach, right=right, dilation=dilation)


def _reach(window: int | None, left: int | None, right: int) -> int:
    """Keys before the query's own: of a causal window that counts it, or as given."""
    if (window is None) == (left is None) or (window is not None and right):
        found = "neither" if window is None and left is None else "both"
        raise MaskError(
            [
                f"window: wanted either a causal window or left and right, found {found}; "
                "window=1024 is left=1023,right=0"
            ]
        )
    return (window or 1) - 1 if left is None else left


def _radial(sizes: Sizes, frames: int, tokens: int, width: int = 1, sink: bool = True) -> Mask:
    size = frames * tokens
    _of_size(sizes, "frames", f"{frames} frames of {tokens}", size, size)
    return f.radial(frames, tokens, least_width=width, sink=sink)


def _documents(sizes: Sizes, lengths: Any, **arguments: Any) -> Mask:  # noqa: ANN401
    q = _lengths("lengths", lengths)
    kv = _lengths("key_lengths", arguments.pop("key_lengths", lengths))
    shared = arguments.get("front", 0) + arguments.get("behind", 0)
    _of_size(sizes, "lengths", f"documents of {_brief(q)}", sum(q) + shared, sum(kv) + shared)
    return f.documents(q, key_lengths=kv, **arguments)


def _block_rank(sizes: Sizes, instruction: int, documents: Any, query: int) -> Mask:  # noqa: ANN401
    lengths = _lengths("documents", documents)
    size = instruction + sum(lengths) + query
    text = f"{instruction} + {_brief(lengths)} + {query}"
    _of_size(sizes, "documents", text, size, size)
    return f.block_rank(instruction, lengths, query)


def _lengths(name: str, value: str | tuple[int, ...]) -> tuple[int, ...]:
    """The lengths, read from the file that is named by @."""
    if isinstance(value, tuple):
        return value
    try:
        return lengths_of_file(Path(value[1:]))
    except ValueError as error:
        raise MaskError(f"{name}: {line}" for line in str(error).splitlines()) from None


def _brief(lengths: tuple[int, ...]) -> str:
    """The lengths, or how many there are where they are many."""
    if len(lengths) <= 4:
        return " + ".join(map(str, lengths)) or "none"
    return f"{len(lengths):,} lengths"


def _random(sizes: Sizes, kept: int, seed: int = 0, block: int | None = None) -> Mask:
    return f.random_keys(sizes.queries, sizes.keys, kept=kept, seed=seed, block=block)


def _blocks(sizes: Sizes, file: str, q_block: int = 0, k_block: int = 0) -> Mask | HeadMasks:
    of_mask = sizes.queries, sizes.keys, sizes.heads
    try:
        return f.read_blocks(Path(file), *of_mask, q_block=q_block, k_block=k_block)
    except MaskError as error:
        raise MaskError(f"file: {problem}" for problem in error.problems) from None


def _head_windows(sizes: Sizes, alpha: Any, beta: Any, sinks: int = 64) -> HeadMasks:  # noqa: ANN401
    """One number stands for all heads."""
    heads = sizes.heads
    alpha, beta = (x * heads if len(x) == 1 else x for x in (alpha, beta))
    refuse(
        [
            f"{name}: wanted one number, or one for each of the {heads} heads, found {len(x)}"
            for name, x in (("alpha", alpha), ("beta", beta))
            if len(x) != heads
        ]
    )
    return f.head_windows(sizes.queries, sizes.keys, alpha=alpha, beta=beta, sinks=sinks)


def _over_sequence(build: Callable[..., Mask]) -> Callable[..., Mask]:
    """A family over one sequence of queries and one of keys."""

    def built(sizes: Sizes, **arguments: Any) -> Mask:  # noqa: ANN401  one type an argument
        return build(sizes.queries, sizes.keys, **arguments)

    return built


def _strided(sizes: Sizes, **arguments: int) -> HeadMasks:
    return f.strided_heads(sizes.queries, sizes.keys, sizes.heads, **arguments)


def _gna(layout: tuple[int, ...], window: tuple[int, ...], **arguments: Any) -> Mask:  # noqa: ANN401
    if "causal" in arguments:
        arguments["causal"] = tuple(map(bool, arguments["causal"]))
    return f.neighborhood(layout, window, **arguments)


# The table ----------------------------------------------------------------------------------------

_INPUT = Argument("input", SIZES)
_WINDOWS = (
    Argument("window", SIZE, optional=True),
    Argument("left", COUNT, optional=True),
    Argument("right", COUNT, optional=True),
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "dense": Family("every key", "dense", _over_sequence(f.dense)),
        "causal": Family(
            "the query's own key and all before; the last query stands at the last key",
            "causal",
            _over_sequence(f.causal),
        ),
        "sliding": Family(
            "the last `window` keys, or `left` before and `right` after the query's own",
            "sliding:window=1024",
            _sliding,
            _WINDOWS,
        ),
        "sink_window": Family(
            "the first keys and the last ones, causal (StreamingLLM)",
            "sink_window:sinks=4,window=1024",
            _over_sequence(f.sink_window),
            (Argument("sinks", COUNT), Argument("window", SIZE)),
        ),
        "dilated": Family(
            "every `dilation`-th key of a window (Longformer)",
            "dilated:window=512,dilation=2",
            _dilated,
            (*_WINDOWS, Argument("dilation", SIZE)),
        ),
        "triangle": Family(
            "sinks and a recent window; the last queries attend everything (TriangleMix)",
            "triangle:sinks=4,window=1024,last=128",
            _over_sequence(f.triangle),
            (Argument("sinks", COUNT), Argument("window", SIZE), Argument("last", COUNT)),
        ),
        "gna": Family(
            "generalized neighbourhood attention in one to three dimensions (NATTEN)",
            "gna:input=30x48x80,window=18x24x24,stride=16x8x8",
            _of_grid(_gna),
            (
                _INPUT,
                Argument("window", SIZES),
                Argument("stride", SIZES, optional=True),
                Argument("dilation", SIZES, optional=True),
                Argument("causal", FLAGS, optional=True),
            ),
        ),
        "blocked": Family(
            "windows side by side, cut at a shift (Swin)",
            "blocked:input=64x64,block=8x8,shift=4x4",
            _of_grid(f.blocked),
            (_INPUT, Argument("block", SIZES), Argument("shift", SIZES, optional=True)),
        ),
        "halo": Family(
            "blocks of queries with the keys around them (HaloNet)",
            "halo:input=64x64,block=8x8,halo=3x3",
            _of_grid(f.halo),
            (_INPUT, Argument("block", SIZES), Argument("halo", SIZES)),
        ),
        "grid": Family(
            "tokens at equal distances over the whole grid (MaxViT)",
            "grid:input=56x56,tokens=7x7",
            _of_grid(f.grid),
            (_INPUT, Argument("tokens", SIZES)),
        ),
        "strided": Family(
            "local blocks and one in `stride`, moved from head to head, causal (S2-Attention)",
            "strided:block=64,local=16,stride=16",
            _strided,
            (Argument("block", SIZE), Argument("local", COUNT), Argument("stride", SIZE)),
        ),
        "head_windows": Family(
            "sinks and a window alpha + beta·keys of each head's own, causal (MoA)",
            "head_windows:alpha=512,beta=0.1+0.5",
            _head_windows,
            (Argument("alpha", REALS), Argument("beta", REALS), Argument("sinks", COUNT, True)),
        ),
        "power": Family(
            "a window of blocks, blocks at distances 2^i, and sinks, causal (PowerAttention)",
            "power:block=256,window=5",
            _over_sequence(f.power),
            (Argument("block", SIZE), Argument("window", SIZE), Argument("sinks", COUNT, True)),
        ),
        "radial": Family(
            "windows that halve as the frames of a video lie further apart (Radial Attention)",
            "radial:frames=32,tokens=3600,width=128",
            _radial,
            (
                Argument("frames", SIZE),
                Argument("tokens", SIZE),
                Argument("width", SIZE, optional=True),
                Argument("sink", FLAG, optional=True),
            ),
        ),
        "documents": Family(
            "ragged documents one after the other, perhaps with shared tokens around them",
            "documents:lengths=100+200+50,causal=yes",
            _documents,
            (
                Argument("lengths", LENGTHS),
                Argument("causal", FLAG, optional=True),
                Argument("key_lengths", LENGTHS, optional=True),
                Argument("front", COUNT, optional=True),
                Argument("behind", COUNT, optional=True),
            ),
        ),
        "block_rank": Family(
            "an instruction, documents that see it and themselves, a query that sees all",
            "block_rank:instruction=64,documents=160*100,query=32",
            _block_rank,
            (
                Argument("instruction", COUNT),
                Argument("documents", LENGTHS),
                Argument("query", COUNT),
            ),
        ),
        "block_diagonal": Family(
            "the keys of the query's own block (DiagAttention)",
            "block_diagonal:block=64",
            _over_sequence(f.block_diagonal),
            (Argument("block", SIZE), Argument("causal", FLAG, optional=True)),
        ),
        "random": Family(
            "keys drawn at random, for all queries or for each block of them",
            "random:kept=1024,seed=1",
            _random,
            (
                Argument("kept", SIZE),
                Argument("seed", COUNT, optional=True),
                Argument("block", SIZE, optional=True),
            ),
        ),
        "blocks": Family(
            "blocks that a file lists: `.npz` (array `blocks`) or CSV (q_block,k_block[,head])",
            "blocks:file=measured.npz",
            _blocks,
            (
                Argument("file", FILE),
                Argument("q_block", SIZE, optional=True),
                Argument("k_block", SIZE, optional=True),
            ),
        ),
    }
)


def families() -> dict[str, tuple[str, str]]:
    """For each family its text form, arguments that may be left out in brackets, and one line.

    >>> families()["sink_window"][0]
    'sink_window:sinks=N,window=N'
    """
    return {name: (_signature(name, family), family.about) for name, family in FAMILIES.items()}


def _signature(name: str, family: Family) -> str:
    arguments = ",".join(argument.signature for argument in family.arguments)
    return f"{name}:{arguments}" if arguments else name
