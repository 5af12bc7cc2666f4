"""Masks on cascades: put one on, and count the points that it leaves.

The points of a mask are (head, query, key). An Einsum over both the query and the key rank exists
at those of its points that lie under a point of the mask, seen along the ranks that it has:

    over p, m          the attended pairs
    over p, m1         the key tiles that each query visits
    over p alone       every query; the mask says nothing of it

All counts are exact and come from the mask itself, never from an array of P x M.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from einfall.einsum_cascades.checks import masked_einsums
from einfall.einsum_cascades.einsum import Cascade, CascadeMask
from einfall.einsum_cascades.language import CascadeError, heads_rank
from einfall.einsum_cascades.shapes import ShapeError

if TYPE_CHECKING:
    from einfall.einsum_cascades.masks import Mask, MaskSpec
    from einfall.einsum_cascades.masks.runs import Ints
    from einfall.einsum_cascades.shapes import Number

_MOST_PAIRS = 1 << 26
"""Pairs that are looked at one by one where no count of tiles answers."""


def with_mask(cascade: Cascade, mask: str | MaskSpec) -> Cascade:
    """The cascade with a mask over its queries and keys, in place of its own if it has one.

    `dense` is no mask: it leaves out nothing, of any cascade.

    The ranks are found by their words, `queries` and `keys`; in self-attention (`P queries, M
    queries`) the first is that of the queries and the second that of the keys.

    Args:
        cascade: Any cascade with an Einsum over both ranks.
        mask: As text, or read already.

    Raises:
        CascadeError: The cascade has no such ranks, or no Einsum over both.
        MaskError: The text is wrong; all its mistakes at once.

    >>> from einfall.einsum_cascades.counts import points
    >>> from einfall.einsum_cascades.library import load
    >>> from einfall.einsum_cascades.shapes import rank_sizes
    >>> causal = with_mask(load("attention_3pass"), "causal")
    >>> points(causal, causal.by_name["SN"], rank_sizes(causal, {"queries": 4, "head_dim": 64}))
    10
    """
    if isinstance(mask, str):
        from einfall.einsum_cascades.masks import parse_mask

        mask = parse_mask(mask)
    if mask.is_dense:
        return replace(cascade, mask=None)
    queries, keys = _sides(cascade)
    _refuse_windows(cascade, (queries, keys))
    masked = replace(cascade, mask=CascadeMask(queries, keys, mask, heads_rank(cascade.ranks)))
    if not masked_einsums(masked):
        text = f"wanted an Einsum over both {queries} and {keys} for the mask {mask}, found none"
        raise CascadeError([f"{cascade.name}: {text}; it makes no (query, key) pairs"])
    return masked


def _refuse_windows(cascade: Cascade, sides: Iterable[str]) -> None:
    for window in cascade.windows:
        for rank in {window.rank, window.output, window.kernel}.intersection(sides):
            text = f"wanted ranks that are in no window for a mask, found {rank} in `{window}`"
            raise CascadeError([f"{cascade.name}: {text}; masks and windows do not go together"])


def _sides(cascade: Cascade) -> tuple[str, str]:
    """The ranks of the queries and of the keys."""
    ranks = {
        word: [r.symbol for r in cascade.ranks if r.shape_key == word]
        for word in ("queries", "keys")
    }
    sides = [*ranks["queries"], *ranks["keys"]]
    if len(sides) == 2 and len(ranks["queries"]) >= 1:
        return sides[0], sides[1]
    found = ", ".join(f"{r.symbol} {r.shape_key}" for r in cascade.ranks) or "none"
    text = "wanted one rank `queries` and one rank `keys` for a mask"
    raise CascadeError([f"{cascade.name}: {text}, found {found}; take an attention cascade"])


# Bound to sizes -----------------------------------------------------------------------------------


def masks_of(cascade: Cascade, sizes: Mapping[str, Number]) -> tuple[Mask, ...]:
    """The mask at given sizes: one for all heads, or one for each; none without a mask.

    Raises:
        ShapeError: Arrays as sizes, or a mask that does not fit the queries and keys.
    """
    mask = cascade.mask
    if mask is None:
        return ()
    _refuse_arrays(sizes)
    heads = int(sizes[mask.heads]) if mask.heads else 1
    return _bound(mask.spec, int(sizes[mask.queries]), int(sizes[mask.keys]), heads)


@lru_cache(maxsize=32)
def _bound(spec: MaskSpec, queries: int, keys: int, heads: int) -> tuple[Mask, ...]:
    from einfall.einsum_cascades.masks import Mask, MaskError

    try:
        bound = spec.bind(queries, keys, heads=heads)
    except MaskError as error:
        raise ShapeError(error.problems) from error
    if isinstance(bound, Mask):
        return (bound,)
    if bound.heads != heads:
        text = f"mask: heads: wanted a mask for each of the {heads} heads, found {bound.heads}"
        raise ShapeError([text])
    return bound.masks


def _refuse_arrays(sizes: Mapping[str, Number]) -> None:
    import numpy as np

    arrays = [rank for rank, size in sizes.items() if np.ndim(size)]
    if arrays:
        text = f"mask: wanted one shape at a time, found arrays as sizes of {', '.join(arrays)}"
        raise ShapeError([f"{text}; a mask has the pairs of one shape, ask for each by itself"])


def coordinate(cascade: Cascade, part: str, at: Ints, sizes: Mapping[str, Number]) -> Ints:
    """Coordinates on a part of a split, or on a group, of coordinates on the whole rank."""
    for split in cascade.splits:
        if part == split.outer:
            return at // int(sizes[split.inner])
        if part == split.inner:
            return at % int(sizes[split.inner])
    whole = cascade.group_of.get(part)
    return at if whole is None else at * int(sizes[part]) // int(sizes[whole])


# Counting -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Projection:
    """A mask seen along some coordinates of it, for one shape; `project` makes it.

    `members` are the masks of the heads that fall on one coordinate, united; `q` and `kv` are how
    many neighbouring queries and keys do, None if others than neighbours fall on it too.
    """

    cascade: Cascade
    sizes: Mapping[str, Number]
    heads: tuple[str, ...]
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    members: tuple[tuple[Mask, ...], ...]
    q: int | None
    kv: int | None

    @property
    def ranks(self) -> tuple[str, ...]:
        """The ranks that the mask has a say in."""
        return (*self.heads, *self.queries, *self.keys)

    @property
    def points(self) -> int:
        """Points over the ranks under which some attended (head, query, key) lies."""
        if self.q == self.kv == 1:
            return sum(_united(masks).pairs for masks in self.members)
        return sum(points for points, _ in map(self._counted, self.members))

    @property
    def longest(self) -> int:
        """The most points with all coordinates but those of the keys fixed."""
        if self.q == self.kv == 1:
            return max(_longest_row(_united(masks)) for masks in self.members)
        return max(most for _, most in map(self._counted, self.members))

    def _counted(self, masks: tuple[Mask, ...]) -> tuple[int, int]:
        if self.q is None or self.kv is None:
            return _one_by_one(self, _united(masks))
        return _by_tiles(masks, self.q, self.kv)


def project(cascade: Cascade, ranks: Iterable[str], sizes: Mapping[str, Number]) -> Projection:
    """The points of the mask, seen along those of the ranks that are coordinates of it.

    Along the keys alone they are the keys that some query attends. Ranks on which the mask does not
    depend (the heads of a mask that is the same for all) are left out.

    Raises:
        ShapeError: Arrays as sizes, or a mask that does not fit the queries and keys.
    """
    mask, seen = cascade.mask, tuple(ranks)
    assert mask is not None, "only a masked cascade has points to project"
    masks = masks_of(cascade, sizes)
    queries, keys = (cascade.coordinates(side, seen) for side in (mask.queries, mask.keys))
    heads = cascade.coordinates(mask.heads, seen) if mask.heads and len(masks) > 1 else ()
    return Projection(
        cascade,
        sizes,
        heads,
        queries,
        keys,
        members=_together(cascade, heads, masks, sizes),
        q=_tile(cascade, mask.queries, queries, sizes),
        kv=_tile(cascade, mask.keys, keys, sizes),
    )


def _together(
    cascade: Cascade, heads: Iterable[str], masks: Sequence[Mask], sizes: Mapping[str, Number]
) -> tuple[tuple[Mask, ...], ...]:
    """The masks of the heads that fall on one coordinate, the very same mask once."""
    import numpy as np

    at = np.arange(len(masks))
    parts = [coordinate(cascade, part, at, sizes).tolist() for part in heads]
    groups: dict[tuple[int, ...], dict[Mask, None]] = {}
    for head, mask in enumerate(masks):
        groups.setdefault(tuple(part[head] for part in parts), {})[mask] = None
    return tuple(tuple(members) for members in groups.values())


def _tile(
    cascade: Cascade, whole: str, parts: tuple[str, ...], sizes: Mapping[str, Number]
) -> int | None:
    """How many neighbours on the whole rank fall on one coordinate; None if others do too."""
    if not parts:
        return int(sizes[whole])
    if whole in parts:
        return 1
    for split in cascade.splits:
        if split.rank == whole and split.outer in parts:
            return 1 if split.inner in parts else int(sizes[split.inner])
    grouped = len(parts) == 1 and parts[0] in cascade.group_of
    return int(sizes[whole]) // int(sizes[parts[0]]) if grouped else None


@lru_cache(maxsize=128)
def _united(masks: tuple[Mask, ...]) -> Mask:
    """The union, once for the same masks, so that what it counts of itself is kept."""
    from einfall.einsum_cascades.masks.mask import unite

    return unite(*masks)


@lru_cache(maxsize=128)
def _longest_row(mask: Mask) -> int:
    """Keys of the query that attends most."""
    from einfall.einsum_cascades.masks import Product
    from einfall.einsum_cascades.masks.mask import BUDGET

    if isinstance(mask, Product):
        return prod(map(_longest_row, mask.axes))
    chunk = max(1, int(BUDGET / mask.intervals_hint))
    ends = ((lo, min(lo + chunk, mask.queries)) for lo in range(0, mask.queries, chunk))
    return max(int(mask.rows(*each).length.max()) for each in ends)


@lru_cache(maxsize=512)
def _by_tiles(masks: tuple[Mask, ...], q: int, kv: int) -> tuple[int, int]:
    """Tiles that any of the masks visits, and those of the query tile that visits most.

    Masks are told apart by identity; an Einsum is asked for often, and most see the same tiles.
    """
    from einfall.einsum_cascades.masks import Product, Tiling, count_tiles
    from einfall.einsum_cascades.masks.rows import visited_by_rows

    mask, tiles = _united(masks), ((q,), (kv,))
    if isinstance(mask, Product) and q in (1, mask.queries) and kv in (1, mask.keys):
        # Single points and whole sides separate over the dimensions, tiles of the sequence do not.
        one = (1,) * len(mask.axes)
        tiles = (one if q == 1 else mask.query_layout, one if kv == 1 else mask.key_layout)
    elif isinstance(mask, Product) and q == 1:
        return visited_by_rows(mask, kv)
    found = count_tiles(mask, Tiling(*tiles, in_place=True))
    return found.visited, found.most_visited


def _one_by_one(view: Projection, mask: Mask) -> tuple[int, int]:
    """Like `_by_tiles`, for coordinates inside a tile (m0 without m1): by a look at every pair.

    Raises:
        ShapeError: There are more than 2^26 pairs.
    """
    import numpy as np

    if mask.pairs > _MOST_PAIRS:
        ranks = ", ".join((*view.queries, *view.keys))
        text = f"mask: wanted at most 2^26 pairs to count points over {ranks}, found {mask.pairs:,}"
        raise ShapeError([f"{text}; take a smaller shape"])
    pairs = zip((view.queries, view.keys), mask.rows().points(), strict=True)
    queries, keys = (
        [coordinate(view.cascade, part, at, view.sizes) for part in parts] for parts, at in pairs
    )
    points = np.unique(np.array([*queries, *keys]), axis=1)
    rows = np.unique(points[: len(queries)], axis=1, return_counts=True)[1]
    return points.shape[1], int(rows.max(initial=0))
