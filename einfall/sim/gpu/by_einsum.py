"""The cascade beside the pipes of a GPU: what part of each unit's work is which Einsum's.

Work of a pipe belongs to the Einsums whose operations it does, in proportion to how many they are;
that of a memory to the tensors that pass through it:

    tensor, shared   products over three of queries, keys and the two widths
    mufu             exp
    fma              every other operation; of an unfused kernel in fp32 its products
    l2, hbm          inputs and outputs once, the rest by what passes again

Left out: what a pipe waits for, which no Einsum causes alone; masks, which hardly change a share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from einfall.einsum_cascades.counts import einsum_ops, elements
from einfall.einsum_cascades.einsum import Cascade, Einsum

if TYPE_CHECKING:
    from einfall.sim.gpu.estimate import GpuEstimate

_FULL = {"queries", "keys", "head_dim", "value_dim"}


def shares_of(found: GpuEstimate) -> dict[tuple[str, str], float]:
    """Part of each unit's work that each Einsum, or tensor moved, is: {(name, unit): part}."""
    cascade = replace(found.cascade, mask=None)
    work = dict(_operations(cascade, found))
    if "shared" in found.full_rate_cycles:
        work |= {(name, "shared"): n for (name, unit), n in work.items() if unit == "tensor"}
    for level in ("l2", "hbm"):
        work |= {(name, level): n for name, n in _moved(cascade, found, level)}
    total: dict[str, float] = {}
    for (_, unit), n in work.items():
        total[unit] = total.get(unit, 0.0) + n
    return {key: n / total[key[1]] for key, n in work.items() if total[key[1]]}


def _operations(cascade: Cascade, found: GpuEstimate) -> Iterator[tuple[tuple[str, str], float]]:
    """Operations of each Einsum by the unit that does them.

    A product and a sum that are Einsums of their own are one multiply-add of the tensor cores.
    """
    for einsum in cascade.einsums:
        done: dict[str, float] = {}
        product = is_product(cascade, einsum)
        for op, n in einsum_ops(cascade, einsum, found.sizes).items():
            unit = found.product_unit if product else "mufu" if op == "exp" else "fma"
            half = product and op != "mac"
            done[unit] = done.get(unit, 0.0) + float(n) * (0.5 if half else 1.0)
        for unit, n in done.items():
            if product or unit != found.product_unit:
                yield (einsum.name, unit), n


def is_product(cascade: Cascade, einsum: Einsum) -> bool:
    """Whether an Einsum is a matrix product: over three of queries, keys, and the two widths.

    >>> from einfall.einsum_cascades import load
    >>> cascade = load("attention_1pass")
    >>> [e.name for e in cascade.einsums if is_product(cascade, e)]
    ['BQK', 'SLNV']
    """
    words = {r.symbol: r.shape_key for r in cascade.ranks}
    inner = {split.inner: split.rank for split in cascade.splits}
    ranks = {words.get(inner.get(r, r)) for r in cascade.iteration_ranks(einsum)}
    return len(ranks & _FULL) >= 3


def _moved(cascade: Cascade, found: GpuEstimate, level: str) -> Iterator[tuple[str, float]]:
    """Bytes of the tensors through a memory.

    What passes again are keys and values of kernels of steps, the states of scans, the scores of
    unfused kernels.
    """
    size = found.problem.kv_element_bytes
    loads = {f"load {a.tensor}": _bytes(found, cascade, a.tensor, size) for a in cascade.inputs}
    stores = {
        f"store {name}": _bytes(found, cascade, name, max(size, 2)) for name in cascade.outputs
    }
    again = {name: n for name, n in loads.items() if name in ("load K", "load V")}
    if found.launch is None:
        again = {f"pass over {e.name}": 1.0 for e in _between(cascade, found.kernel.does)}
    once = loads | stores
    total, least, weight = found.traffic_bytes[level], sum(once.values()), sum(again.values())
    scale, rest = min(1.0, total / least), max(0.0, total - least)
    for name in dict.fromkeys((*loads, *again, *stores)):
        yield name, scale * once.get(name, 0.0) + rest * again.get(name, 0.0) / weight


def _bytes(found: GpuEstimate, cascade: Cascade, tensor: str, size: float) -> float:
    return float(elements(cascade, tensor, found.sizes)) * size


def _between(cascade: Cascade, does: str) -> Iterator[Einsum]:
    """Einsums whose results pass through memory: scores, or the states of a scan."""
    words = {r.symbol: r.shape_key for r in cascade.ranks}
    wanted = {"head_dim", "value_dim"} if does == "chunked" else {"queries", "keys"}
    for einsum in cascade.einsums:
        if wanted <= {words.get(rank) for rank in einsum.output.ranks}:
            yield einsum
