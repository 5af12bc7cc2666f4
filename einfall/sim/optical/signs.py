"""Which tensors of a cascade hold no values below zero: they take half of the frames."""

from __future__ import annotations

from collections.abc import Collection

from einfall.einsum_cascades.einsum import Access, Cascade, Expr, Number

ALWAYS = frozenset(
    [
        "exp",
        "square",
        "abs",
        "sqrt",
        "sigmoid",
        "softplus",
        "relu",
        "elu1",
        "less",
        "equal",
        "rsqrt",
    ]
)
"""Operations whose result is never negative."""

IF_ALL = frozenset(["add", "mul", "div", "min", "pow"])
"""Operations that keep numbers from getting negative if none was."""


def never_negative(cascade: Cascade) -> frozenset[str]:
    """Tensors without negative values, by the operations that make them.

    All tensors but the inputs are taken to be so at first; those of which an Einsum may write
    something negative are taken away, until nothing changes: running sums, too, come out right.

    >>> from einfall.einsum_cascades import load
    >>> sorted(never_negative(load("attention_3pass")))
    ['A', 'SD', 'SN']
    """
    # Every reduction of the language keeps numbers from getting negative if none was.
    found = {einsum.name for einsum in cascade.einsums}
    writers = (*cascade.inits, *cascade.einsums)
    while True:
        wrong = {e.name for e in writers if e.name in found and not _is_positive(e.expr, found)}
        if not wrong:
            return frozenset(found)
        found -= wrong


def _is_positive(expr: Expr, known: Collection[str]) -> bool:
    if isinstance(expr, Access):
        return expr.tensor in known
    if isinstance(expr, Number):
        return expr.value >= 0
    if expr.op in ALWAYS:
        return True
    signs = [_is_positive(arg, known) for arg in expr.args]
    if expr.op == "max":
        return any(signs)
    if expr.op == "select":
        return all(signs[1:])
    if expr.op == "mul" and len(expr.args) == 2 and expr.args[0] == expr.args[1]:
        return True
    return expr.op in IF_ALL and all(signs)
