"""Whether a kernel's output is right: sampled rows against the definition in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from einfall.validate.measuring.cases import Case
from einfall.validate.measuring.jobs import log2_decays
from einfall.validate.measuring.work import seen_by

ROWS, HEADS = 96, 3
"""Sampled rows of each sampled head, and sampled heads; the first and last are among them."""

TOLERANCE = {"bf16": 2e-2, "fp16": 4e-3, "fp32": 4e-3}
"""‖output - reference‖ / ‖reference‖ up to which an output is right: rounding of the inputs' type,
in the output and in the numerators (fp32: a matrix product in tf32)."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an output is from the reference; NaN if an element was not written."""

    largest: float
    relative: float
    rows: int

    def ok(self, dtype: str) -> bool:
        """Whether this is rounding; NaN never is."""
        return self.relative <= TOLERANCE[dtype]


def sampled(n: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Up to `wanted` different indices below n in rising order, the first and the last included.

    >>> sampled(3, 5, seed=0)
    array([0, 1, 2])
    >>> sampled(1000, 4, seed=0)[[0, -1]]
    array([  0, 999])
    """
    if n <= wanted:
        return np.arange(n)
    inner = np.random.default_rng(seed).permutation(n - 2)[: wanted - 2] + 1
    return np.sort(np.concatenate([[0, n - 1], inner]))


def deviation(case: Case, inputs: Mapping[str, Any], out: Any) -> Deviation:  # noqa: ANN401
    """Compare sampled rows of `out` [B, H, P, E] with the case's definition in float64.

    All of `out` is searched for NaN, which it is filled with before the launch.
    """
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    rows = sampled(case.seq_q, ROWS, seed=1)
    seen = torch.from_numpy(seen_by(case, rows)).to(out.device)
    at = torch.from_numpy(rows).to(out.device)
    largest: list[float] = []
    wrong, size = 0.0, 0.0
    for index in sampled(case.batch * case.heads, HEADS, seed=2):
        batch, head = divmod(int(index), case.heads)
        kv_head = head // (case.heads // case.kv_heads)
        q = inputs["q"][batch, head, at].double()
        k, v = (inputs[name][batch, kv_head].double() for name in ("k", "v"))
        want = _weights(case, head, q @ k.T / case.head_dim**0.5, seen, at) @ v
        difference = out[batch, head, at].double() - want
        largest.append(float(difference.abs().max()))
        wrong += float(difference.square().sum())
        size += float(want.square().sum())
    complete = size and not out.isnan().any()
    relative = (wrong / size) ** 0.5 if complete else float("nan")
    return Deviation(float(np.max(largest)), relative, len(rows))  # np.max keeps a NaN


def _weights(case: Case, head: int, scores: Any, seen: Any, at: Any) -> Any:  # noqa: ANN401
    """What each key counts for each sampled query [rows, M]."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    if case.kernel == "triton_linear":
        ago = at[:, None] - torch.arange(case.seq_k, device=at.device)[None, :]
        decay = log2_decays(case.heads)[head] if case.options["decay"] == "per_head" else 0.0
        return torch.where(seen, scores * torch.exp2(ago.double() * decay), 0.0)
    masked = torch.where(seen, scores, float("-inf"))
    return torch.nan_to_num(torch.softmax(masked, dim=1), nan=0.0)
