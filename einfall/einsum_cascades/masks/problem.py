"""A neighbourhood problem as text: sizes joined with x, read with all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from einfall.einsum_cascades.masks.mask import Mask, MaskError
from einfall.einsum_cascades.masks.neighborhood import neighborhood
from einfall.einsum_cascades.masks.tiles import Tiling

NEEDED = ("input", "window", "q_tile", "kv_tile")
OPTIONAL = ("stride", "dilation", "causal")


@dataclass(frozen=True, slots=True)
class Problem:
    """One neighbourhood problem with its tiles."""

    mask: Mask
    tiling: Tiling


def read_problem(fields: Mapping[str, str]) -> Problem:
    """The problem that texts such as {"input": "30x48x80", "window": "18x24x24"} state.

    Raises:
        MaskError: Everything that is wrong with it, each as `field: wanted, found`.

    >>> read_problem({"input": "9", "window": "3", "q_tile": "4", "kv_tile": "2"}).mask.pairs
    27
    """
    wrong: list[str] = []
    sizes: dict[str, tuple[int, ...]] = {}
    for name in (*NEEDED, *OPTIONAL):
        text = (fields.get(name) or "").strip()
        if text:
            try:
                sizes[name] = read_sizes(text, flags=name == "causal")
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        elif name in NEEDED:
            wrong.append(f"{name}: wanted numbers such as 30x48x80, found none")
    odd = dict(_wrong_dims(sizes))
    # What is left is still looked at, so that one mistake does not hide another.
    good = {name: size for name, size in sizes.items() if name not in odd}
    wrong += [*odd.values(), *_empty_tiles(sizes)]
    mask = None
    if "input" in good and "window" in good:
        try:
            mask = _mask(good)
        except MaskError as error:
            wrong += error.problems
    if wrong or mask is None:
        raise MaskError(wrong)
    return Problem(mask, Tiling(sizes["q_tile"], sizes["kv_tile"]))


def _mask(sizes: Mapping[str, tuple[int, ...]]) -> Mask:
    causal = tuple(bool(c) for c in sizes["causal"]) if "causal" in sizes else None
    return neighborhood(
        sizes["input"], sizes["window"], sizes.get("stride"), sizes.get("dilation"), causal
    )


def _wrong_dims(sizes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """(field, problem) of those that have another number of dimensions than the input."""
    dims = len(sizes.get("input", ()))
    for name, found in sizes.items():
        if dims and len(found) != dims:
            shown = "x".join(map(str, found))
            text = f"{name}: wanted {dims} numbers, one a dimension of the input, found {shown}"
            yield name, text
    if dims > 3:
        yield "input", f"input: wanted one to three dimensions, found {dims}"


def _empty_tiles(sizes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Problems with tiles of no size."""
    for name in ("q_tile", "kv_tile"):
        if name in sizes and min(sizes[name]) < 1:
            shown = "x".join(map(str, sizes[name]))
            yield f"{name}: wanted tile sizes of at least 1, found {shown}"


def read_sizes(text: str, *, flags: bool = False) -> tuple[int, ...]:
    """Numbers joined with x.

    Raises:
        ValueError: What was wanted and found.

    >>> read_sizes("30x48x80")
    (30, 48, 80)
    """
    parts = text.lower().split("x")
    if flags and not all(part in ("0", "1") for part in parts):
        raise ValueError(f"wanted 0 or 1 for each dimension, such as 0x0x1, found {text!r}")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 9 for part in parts):
        raise ValueError(f"wanted whole numbers joined with x, such as 30x48x80, found {text!r}")
    return tuple(int(part) for part in parts)
