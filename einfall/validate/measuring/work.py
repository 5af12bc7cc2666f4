"""What a case asks for, counted from its mask: attended pairs, floating-point operations, bytes."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from einfall.validate.kernels.references import random_blocks, window_starts
from einfall.validate.measuring.cases import Case

Bools = NDArray[np.bool_]

ELEMENT_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}


def count(text: str) -> int:
    """A number of elements, `Mi` meaning 2^20.

    >>> count("2Mi"), count("512")
    (2097152, 512)
    """
    return int(text[:-2]) * 2**20 if text.endswith("Mi") else int(text)


def block_list(case: Case) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The block list of a block-sparse case: counts and indices, see `random_blocks`."""
    options = case.options
    block, seed = int(options["block"]), int(options.get("seed", "0"))
    tiles = (-(-case.seq_q // block), -(-case.seq_k // block))
    return random_blocks(*tiles, density=float(options["density"]), seed=seed)


def seen_by(case: Case, rows: NDArray[np.int64]) -> Bools:
    """Which keys the queries in `rows` attend, by the definition of the case's mask [rows, M].

    `flex_na2d` has the mask that is usual for it (attention-gym): a window of w means the keys at
    most w // 2 from the centre, so an even w attends one key more than it says.
    """
    if case.kernel in ("triton_na2d", "triton_na3d", "flex_na2d"):
        return _seen_in_window(case, rows)
    keys = np.arange(case.seq_k)[None, :]
    if case.kernel == "triton_block_sparse":
        counts, indices = block_list(case)
        block = int(case.options["block"])
        listed = [
            np.isin(keys[0] // block, indices[r // block, : counts[r // block]]) for r in rows
        ]
        return np.array(listed)
    ago = rows[:, None] + case.seq_k - case.seq_q - keys
    if not case.causal and case.kernel != "flex_sliding":
        return np.ones(ago.shape, dtype=bool)
    window = int(case.options.get("window", case.seq_k + case.seq_q))
    return (ago >= 0) & (ago < window)


def _seen_in_window(case: Case, rows: NDArray[np.int64]) -> Bools:
    """The product over axes of the windows of generalized neighbourhood attention."""
    shape, window, stride = (case.box(key) for key in ("shape", "window", "stride"))
    seen = np.ones((len(rows), 1), dtype=bool)
    for at, n, w, s in zip(np.unravel_index(rows, shape), shape, window, stride, strict=True):
        if case.kernel == "flex_na2d":
            w = min(w // 2 * 2 + 1, n)
        ahead = np.arange(n)[None, :] - window_starts(n, w, s)[at][:, None]
        inside = (ahead >= 0) & (ahead < w)
        seen = (seen[:, :, None] & inside[:, None, :]).reshape(len(rows), -1)
    return seen


def attended_pairs(case: Case) -> int:
    """Attended (query, key) pairs of one head, exactly.

    >>> attended_pairs(Case("triton_flash", seq_q=3, seq_k=4, causal=1))
    9
    """
    if case.kernel in ("triton_na2d", "triton_na3d"):
        return case.seq_q * prod(case.box("window"))
    if case.kernel == "flex_na2d":
        return int(seen_by(case, np.arange(1)).sum()) * case.seq_q
    if case.kernel == "triton_block_sparse":
        return _pairs_of_blocks(case)
    if not case.causal and case.kernel != "flex_sliding":
        return case.seq_q * case.seq_k
    ends = np.clip(np.arange(case.seq_q) + case.seq_k - case.seq_q + 1, 0, case.seq_k)
    window = int(case.options.get("window", case.seq_k + case.seq_q))
    return int(np.minimum(ends, window).sum())


def _pairs_of_blocks(case: Case) -> int:
    block = int(case.options["block"])
    counts, indices = block_list(case)
    keys = np.minimum(block, case.seq_k - indices * block)
    keys = np.where(np.arange(indices.shape[1]) < counts[:, None], keys, 0).sum(axis=1)
    rows = np.minimum(block, case.seq_q - np.arange(len(counts)) * block)
    return int((rows * keys).sum())


def flops(case: Case) -> float | None:
    """Floating-point operations that the case asks for, a multiply-add as 2; None if of no use.

    Attention: 4·B·H·pairs·E (q·k and p·v; a softmax is not counted). Linear attention: 4·B·H·P·E²
    (to build the state and to read it). A product of n x n: 2·n³. Causal pairs are counted
    exactly, not as half of all.
    """
    if case.kernel == "matmul":
        return 2.0 * count(case.options["n"]) ** 3
    if not case.seq_q or "piece" in case.options:
        return None
    heads = case.batch * case.heads
    if case.kernel == "triton_linear":
        return 4.0 * heads * case.seq_q * case.head_dim**2
    return 4.0 * heads * attended_pairs(case) * case.head_dim


def moved_bytes(case: Case) -> int | None:
    """Bytes read and written by a kernel that only streams; None for others."""
    if case.kernel == "copy":
        return 2 * int(case.options["MiB"]) * 2**20
    if case.kernel in ("exp_fp32", "exp_l2", "softmax"):
        return 2 * count(case.options["n"]) * ELEMENT_BYTES[case.dtype]
    return None
