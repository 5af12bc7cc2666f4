"""Sizes of ranks: from `--shape` text, through the defaults, to one number for every rank symbol.

A shape is given by the words of the rank declarations (`queries`, `head_dim`), so that one text
serves every cascade. What is left out follows from what is given:

| key            | default          | meaning                                 |
|----------------|------------------|-----------------------------------------|
| `batch`        | 1                | sequences                               |
| `heads`        | 1                | query heads                             |
| `kv_heads`     | heads            | heads of K and V; divides `heads`       |
| `keys`         | queries          | keys and values                         |
| `value_dim`    | head_dim         | width of V in one head                  |
| `tokens`       | batch · queries  | rows of a layer that knows no sequences |
| `model_dim`    | heads · head_dim | width of the residual stream            |
| `ffn_dim`      | 4 · model_dim    | hidden width of the feed-forward layer  |
| `width`        | height           | columns of a map                        |
| `kernel_width` | kernel_height    | columns of a kernel                     |
| `map_width`    | map_height       | columns of a token that is a map        |

`tokens` has to be given where the cascade has `batch` too, for it is then the length of a sequence.
The output of a window (`window I -> Y, U`) gets its size from map and kernel and needs no key. All
other keys (`queries`, `head_dim`, …) have to be given. A key that the cascade does not have is
refused, unless it adds no information: `keys` equal to `queries`, `kv_heads` equal to `heads`,
`heads=1`, or `head_dim` where it was used for `model_dim`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from einfall.einsum_cascades.checks import hint
from einfall.einsum_cascades.windows import misfits, with_places

if TYPE_CHECKING:
    import numpy as np

    from einfall.einsum_cascades.einsum import Cascade

Number: TypeAlias = "int | float | np.ndarray"
"""A plain number, or an array of them: the same formula answers one question and a sweep."""

DEFAULT_TILE = 256
"""Size of the inner tile of a split [elements], the array edge of FuseMax (MICRO 2024)."""

DEFAULTS: Mapping[str, tuple[int, tuple[str, ...]]] = MappingProxyType(
    {
        "batch": (1, ()),
        "heads": (1, ()),
        "kv_heads": (1, ("heads",)),
        "keys": (1, ("queries",)),
        "value_dim": (1, ("head_dim",)),
        "tokens": (1, ("batch", "queries")),
        "model_dim": (1, ("heads", "head_dim")),
        "ffn_dim": (4, ("model_dim",)),
        "width": (1, ("height",)),
        "kernel_width": (1, ("kernel_height",)),
        "map_width": (1, ("map_height",)),
    }
)
"""The table above: key -> (factor, keys); the default is the factor times their product."""

_WANTED = "wanted a positive whole number such as 4096 or 16K"
_SUFFIXES = {"K": 2**10, "M": 2**20}


class ShapeError(ValueError):
    """A shape that cannot be read or does not fit its cascade; one line a problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one and join them into the message."""
        self.problems = tuple(problems)
        super().__init__("\n".join(f"shape: {problem}" for problem in self.problems))


def parse_shape(text: str) -> dict[str, int]:
    """Read `key=size` pairs with commas between them; K and M are powers of two.

    Args:
        text: For example `batch=4,heads=32,queries=16K,head_dim=128`; blanks are ignored.

    Returns:
        Sizes by key, in the order of the text.

    Raises:
        ShapeError: A pair without `=`, a size that is not a positive whole number, or a key that
            comes twice; all problems at once.

    >>> parse_shape("queries=16K, head_dim=128")
    {'queries': 16384, 'head_dim': 128}
    """
    shape: dict[str, int] = {}
    problems = []
    for pair in (part.strip() for part in text.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        size = _parse_size(value)
        if not equals or not key:
            problems.append(f"wanted key=size such as queries=4096, found {pair!r}")
        elif key in shape:
            problems.append(f"{key}: wanted once, found again in {pair!r}")
        elif size is None:
            problems.append(f"{key}: {_WANTED}, found {value!r}")
        if key:
            shape.setdefault(key, size or 1)
    if problems:
        raise ShapeError(problems)
    return shape


def rank_sizes(
    cascade: Cascade, shape: Mapping[str, Number], tiles: Mapping[str, Number] | None = None
) -> dict[str, Number]:
    """Size of every rank of the cascade, the two parts of each split included.

    For `split M -> M1, M0`, with the tile size t of M (`DEFAULT_TILE` if not given):

        M0 = min(t, M)          M1 = ⌈M / M0⌉

    Arrays are taken as float64: exact up to 2^53 and, unlike int64, they never wrap around.

    Args:
        cascade: Its rank declarations say which keys it needs.
        shape: Sizes by shape key; numbers or NumPy arrays that broadcast against each other.
        tiles: Inner tile sizes by the symbol of the whole rank, e.g. `{"M": 256}`.

    Returns:
        Sizes by rank symbol (`P`, `M`, `M1`, `M0` …) [elements].

    Raises:
        ShapeError: Keys that are missing or that the cascade does not have, sizes that are not
            positive whole numbers, a group that does not divide its rank, a kernel that does not
            fit its map, a tile of a rank that is not split; all problems at once. After those, a
            mask that does not fit the shape.
    """
    tiles = {} if tiles is None else tiles
    named = {**shape, **{f"tile of {rank}": tile for rank, tile in tiles.items()}}
    bad = [f"{name}: {_WANTED}, found {v!r}" for name, v in named.items() if not _is_size(v)]
    # One stands in for a bad size, so that the checks that follow can find the other mistakes.
    given = {key: _plain(v) if _is_size(v) else 1 for key, v in shape.items()}
    problems = [*bad, *_foreign_keys(cascade, given), *_foreign_tiles(cascade, tiles)]
    sizes: dict[str, Number] = {}
    for symbol, key in _sized_ranks(cascade).items():
        size = None if _in_sequences(cascade, key, given) else _resolve(key, given, set())
        if size is None:
            way_out = f"add {key}=…{_source(cascade, key)}"
            problems.append(f"{key}: wanted a size for rank {symbol}, found none; {way_out}")
        else:
            sizes[symbol] = size
    if not bad:
        problems += [*_uneven_groups(cascade, sizes), *_windows(cascade, given, sizes)]
    if problems:
        raise ShapeError(problems)
    sizes = with_places(cascade, sizes)
    for split in cascade.splits:
        whole = sizes[split.rank]
        sizes[split.inner] = smaller(_plain(tiles.get(split.rank, DEFAULT_TILE)), whole)
        sizes[split.outer] = -(-whole // sizes[split.inner])
    if cascade.mask is not None:
        from einfall.einsum_cascades.masked import masks_of

        masks_of(cascade, sizes)  # which refuses what does not fit
    return sizes


def _parse_size(text: str) -> int | None:
    """A positive whole number with an optional suffix K or M; None where it is not one."""
    factor = _SUFFIXES.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    # More than 15 digits would not be exact in the float64 of a sweep.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15) or int(digits) == 0:
        return None
    return int(digits) * factor


def _is_size(value: object) -> bool:
    """Whether a number, or every element of an array, is positive and whole."""
    if type(value) is int:
        return value > 0
    import numpy as np

    sizes = np.asarray(value)
    if sizes.dtype.kind not in "iuf" or not np.isfinite(sizes).all():
        return False
    return bool(((sizes > 0) & (sizes % 1 == 0)).all())


def _plain(value: Number) -> Number:
    """An int for a single number (NumPy scalars too), float64 for an array."""
    if type(value) is int:
        return value
    import numpy as np

    return np.asarray(value, dtype=float) if np.ndim(value) else int(value)


def smaller(a: Number, b: Number) -> Number:
    """The smaller of the two, element by element where one is an array."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    import numpy as np

    return np.minimum(a, b)


def shape_keys(cascade: Cascade) -> tuple[str, ...]:
    """The keys that a shape of the cascade consists of, in the order of its ranks.

    >>> from einfall.einsum_cascades.library import load
    >>> shape_keys(load("matmul"))
    ('rows', 'inner', 'cols')
    """
    return tuple(dict.fromkeys(_sized_ranks(cascade).values()))


def _sized_ranks(cascade: Cascade) -> dict[str, str]:
    """Shape key by symbol, for the ranks whose sizes come from the shape (two may share a key)."""
    derived = {*cascade.parent, *cascade.window_onto}
    return {r.symbol: r.shape_key for r in cascade.ranks if r.symbol not in derived}


def _resolve(key: str, given: Mapping[str, Number], used: set[str]) -> Number | None:
    """The size given for a key, or its default; notes the given keys that it rests on."""
    if key in given:
        used.add(key)
        return given[key]
    return _default(key, given, used)


def _default(key: str, given: Mapping[str, Number], used: set[str]) -> Number | None:
    """The default of a key from the given sizes, or None where it has none."""
    if key not in DEFAULTS:
        return None
    size, sources = DEFAULTS[key]
    for source in sources:
        factor = _resolve(source, given, used)
        if factor is None:
            return None
        size = size * factor
    return size


def _source(cascade: Cascade, key: str) -> str:
    """How a missing key could have got its size instead."""
    if key not in DEFAULTS or _in_sequences(cascade, key, {}):
        return ""
    return f" or {' and '.join(DEFAULTS[key][1])}"


def _in_sequences(cascade: Cascade, key: str, given: Mapping[str, Number]) -> bool:
    """Whether it is the tokens of one of a batch of sequences, which have to be given."""
    return key == "tokens" and key not in given and "batch" in shape_keys(cascade)


def _foreign_keys(cascade: Cascade, given: Mapping[str, Number]) -> Iterator[str]:
    """Problems with the keys that the cascade does not have."""
    keys = shape_keys(cascade)
    derived = {r.shape_key for r in cascade.ranks if r.symbol in cascade.window_onto}
    used: set[str] = set()
    for key in keys:
        _resolve(key, given, used)
    for key in given:
        if key in {*keys, *derived} or key in used or _says_nothing(key, keys, given):
            continue
        way_out = hint(key, keys, f"its keys are {', '.join(keys)}")
        yield f"{key}: wanted a key of cascade {cascade.name}, found none of this name; {way_out}"


def _says_nothing(key: str, keys: Iterable[str], given: Mapping[str, Number]) -> bool:
    """Whether a size agrees with what the other keys say already (keys=4096,queries=4096)."""
    others = {k: v for k, v in given.items() if k != key}
    if _same(_default(key, others, set()), given[key]):
        return True
    derived = [k for k in keys if k in given and key in DEFAULTS.get(k, (1, ()))[1]]
    return any(_same(_default(k, given, set()), given[k]) for k in derived)


def _same(a: Number | None, b: Number) -> bool:
    """Whether two sizes are equal everywhere."""
    if type(a) is int and type(b) is int:
        return a == b
    import numpy as np

    return bool(np.all(a == b))


def _windows(
    cascade: Cascade, given: Mapping[str, Number], sizes: Mapping[str, Number]
) -> Iterator[str]:
    """Problems with windows: kernels that do not fit, outputs that are given another size."""
    words = {rank.symbol: rank.shape_key for rank in cascade.ranks}
    known = with_places(cascade, sizes)
    for window in misfits(cascade, sizes):
        key, size = words[window.kernel], known[window.rank]
        text = f"{key}: wanted at most {words[window.rank]} = {size}, found {known[window.kernel]}"
        yield f"{text}; `{window}` keeps the kernel on the map, take a smaller one or mode `same`"
    derived = [rank for rank in cascade.window_onto if words[rank] not in shape_keys(cascade)]
    for rank in derived:
        key = words[rank]
        if rank in known and key in given and not _same(known[rank], given[key]):
            text = f"{key}: wanted {known[rank]}, as map and kernel give it, found {given[key]}"
            yield f"{text}; leave it out"


def _foreign_tiles(cascade: Cascade, tiles: Mapping[str, Number]) -> Iterator[str]:
    """Problems with tiles of ranks that are not split."""
    split = sorted({s.rank for s in cascade.splits})
    found = f"cascade {cascade.name} splits {', '.join(split) or 'no rank'}"
    return (f"tile of {rank}: wanted a split rank; {found}" for rank in tiles if rank not in split)


def _uneven_groups(cascade: Cascade, sizes: Mapping[str, Number]) -> Iterator[str]:
    """Problems with groups that do not divide their rank."""
    keys = _sized_ranks(cascade)
    for group in cascade.groups:
        if group.rank in sizes and group.outer in sizes:
            whole, outer = sizes[group.rank], sizes[group.outer]
            if not _same(whole % outer, 0):
                yield (
                    f"{keys[group.outer]}: wanted a divisor of {keys[group.rank]} = {whole}, "
                    f"found {outer}"
                )
