"""Block maps from a file: measured sparsity as `.npz` or CSV, all mistakes of a file at once."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from einfall.einsum_cascades.masks.blocks import block_map
from einfall.einsum_cascades.masks.checks import at_least
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.mask import Mask, MaskError


def read_blocks(  # noqa: PLR0913  the problem and the blocks
    path: Path, queries: int, keys: int, heads: int = 1, *, q_block: int = 0, k_block: int = 0
) -> Mask | HeadMasks:
    """Read which blocks are kept, of one mask for all heads or of one a head.

    `.npz` holds the array `blocks`, booleans or 0 and 1, [⌈P/q_block⌉, ⌈M/k_block⌉] or with the
    heads in front, and may hold the numbers `q_block` and `k_block`. CSV has a line for each block
    that is kept, with the columns `q_block,k_block` (numbers of the blocks, from 0) and perhaps
    `head`; others are left alone.

    Args:
        path: The file; all but `.npz` is read as CSV.
        queries: P.
        keys: M.
        heads: H.
        q_block: Queries of a block; 0 if the file says so.
        k_block: Keys of a block; 0 if the file says so.

    Raises:
        MaskError: All that is wrong with the file, each as `file:line: column: wanted, found`.
    """
    try:
        if path.suffix == ".npz":
            blocks, q_block, k_block = _npz(path, q_block, k_block)
        else:
            _need_sizes(path, q_block, k_block)
            shape = heads, -(-queries // q_block), -(-keys // k_block)
            blocks = _csv(path, shape)
    except OSError as error:
        wanted = "wanted a .npz or CSV file of blocks"
        raise MaskError([f"{path}: {wanted}, found {error.strerror or error}"]) from None
    return _masks(path, blocks, (queries, keys, heads), q_block, k_block)


def _need_sizes(path: Path, q_block: int, k_block: int) -> None:
    wrong = at_least(1, q_block=q_block, k_block=k_block)
    if wrong:
        raise MaskError([f"{path}: {problem}; give it beside the file" for problem in wrong])


def _masks(
    path: Path, blocks: np.ndarray, problem: tuple[int, int, int], q_block: int, k_block: int
) -> Mask | HeadMasks:
    """One mask, or one a head; heads with the same blocks share theirs."""
    queries, keys, heads = problem
    if blocks.ndim == 3 and len(blocks) != heads:
        raise MaskError([f"{path}: blocks: wanted {heads} heads, found {len(blocks)}"])
    made: dict[bytes, Mask] = {}
    of_heads = []
    try:
        for of_head in blocks.reshape(-1, *blocks.shape[-2:]):
            key = np.packbits(of_head).tobytes()
            if key not in made:
                made[key] = block_map(of_head, queries, keys, q_block=q_block, k_block=k_block)
            of_heads.append(made[key])
    except MaskError as error:
        raise MaskError(f"{path}: {problem}" for problem in error.problems) from None
    return of_heads[0] if blocks.ndim == 2 else HeadMasks(tuple(of_heads))


def _npz(path: Path, q_block: int, k_block: int) -> tuple[np.ndarray, int, int]:
    """The array and the sizes of its blocks; what is said beside the file goes first."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError):
        raise MaskError(
            [f"{path}: wanted arrays as numpy.savez writes them, found others"]
        ) from None
    wrong = _array_problems(arrays)
    sizes = {"q_block": q_block, "k_block": k_block}
    for name, size in sizes.items():
        found = arrays.get(name)
        if size:
            continue
        if found is None:
            wrong.append(f"{name}: wanted a size, found none; save it in the file or say {name}=…")
        elif found.size != 1 or found.dtype.kind not in "iu" or found.item() < 1:
            wrong.append(f"{name}: wanted one whole number from 1 on, found {_shown(found)}")
        else:
            sizes[name] = int(found.item())
    if wrong:
        raise MaskError(f"{path}: {problem}" for problem in wrong)
    return arrays["blocks"].astype(bool), sizes["q_block"], sizes["k_block"]


def _array_problems(arrays: Mapping[str, np.ndarray]) -> list[str]:
    blocks = arrays.get("blocks")
    if blocks is None:
        names = ", ".join(arrays) or "none"
        return [f"blocks: wanted an array of that name, found {names}"]
    if blocks.ndim not in (2, 3):
        return [f"blocks: wanted 2 or 3 dimensions ([heads,] n_q, n_k), found {_shown(blocks)}"]
    if blocks.dtype.kind not in "biu" or not np.all((blocks == 0) | (blocks == 1)):
        return [f"blocks: wanted booleans, or 0 and 1, found {_shown(blocks)}"]
    return []


def _shown(array: np.ndarray) -> str:
    if array.size == 1:
        return str(array.item())
    return f"{array.dtype} of shape {' x '.join(map(str, array.shape))}"


def _csv(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The blocks of a CSV: [heads, n_q, n_k], or [n_q, n_k] if it has no column `head`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise MaskError([f"{path}: wanted CSV in UTF-8, found {error}"]) from None
    header = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in ("q_block", "k_block") if name not in header]
    if missing:
        found = ", ".join(header) or "none"
        raise MaskError(
            [f"{path}:1: {name}: wanted this column, found {found}" for name in missing]
        )
    limits = dict(zip(("head", "q_block", "k_block"), shape, strict=True))
    columns = [name for name in limits if name in header]
    places = [header.index(name) for name in columns]
    wrong: list[str] = []
    cells = []
    for line, row in enumerate(rows[1:], start=2):
        if row:
            found = [row[i].strip() if i < len(row) else "" for i in places]
            cells.append(found)
            wrong += _cell_problems(
                f"{path}:{line}", dict(zip(columns, found, strict=True)), limits
            )
    if wrong:
        raise MaskError(wrong)
    blocks = np.zeros([limits[name] for name in columns], dtype=bool)
    numbers = np.array(cells, dtype=np.int64).reshape(-1, len(columns))
    blocks[tuple(numbers.T)] = True
    return blocks


def _cell_problems(
    place: str, cells: Mapping[str, str], limits: Mapping[str, int]
) -> Sequence[str]:
    return [
        f"{place}: {name}: wanted a number from 0 to {limits[name] - 1}, found {cell or 'nothing'}"
        for name, cell in cells.items()
        if not (cell.isascii() and cell.isdigit() and int(cell) < limits[name])
    ]
