"""The operations of the language: `OPS` map values at a point, `REDUCTIONS` fold a rank away.

A new operation is one line in one of the two tables. NumPy is handed to `evaluate` as its first
argument, so that reading, printing and counting cascades never imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from numpy import ndarray

Array: TypeAlias = "ndarray"


@dataclass(frozen=True, slots=True)
class Op:
    """A map operation: `evaluate(numpy, *args)` works element by element on `arity` arrays."""

    name: str
    arity: int
    evaluate: Callable[..., Array]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction over ranks: `evaluate(numpy, values, axes, where)` folds the points of `where`.

    `combine` is the operation of `OPS` applied to pairs of values, and `identity` the value that
    leaves it unchanged. The order of the points never matters.
    """

    name: str
    combine: str
    identity: float
    evaluate: Callable[..., Array]


def _softplus(np: ModuleType, x: Array) -> Array:
    """The logarithm of 1 + e^x, without overflow for large x."""
    return np.logaddexp(0, x)


def _sigmoid(np: ModuleType, x: Array) -> Array:
    """1 / (1 + e^-x) = e^-softplus(-x), precise on both sides."""
    return np.exp(-_softplus(np, -x))


def _erf(np: ModuleType, x: Array) -> Array:
    """The error function, which NumPy lacks."""
    return np.vectorize(math.erf, otypes=[float])(x)


_OPS = (
    Op("neg", 1, lambda np, x: -x),
    Op("add", 2, lambda np, x, y: x + y),
    Op("sub", 2, lambda np, x, y: x - y),
    Op("mul", 2, lambda np, x, y: x * y),
    Op("div", 2, lambda np, x, y: x / y),
    Op("max", 2, lambda np, x, y: np.maximum(x, y)),
    Op("min", 2, lambda np, x, y: np.minimum(x, y)),
    Op("pow", 2, lambda np, x, y: np.power(x, y)),
    Op("exp", 1, lambda np, x: np.exp(x)),
    Op("log", 1, lambda np, x: np.log(x)),
    Op("log1p", 1, lambda np, x: np.log1p(x)),
    Op("sqrt", 1, lambda np, x: np.sqrt(x)),
    Op("rsqrt", 1, lambda np, x: 1 / np.sqrt(x)),
    Op("reciprocal", 1, lambda np, x: 1 / x),
    Op("square", 1, lambda np, x: x * x),
    Op("abs", 1, lambda np, x: np.abs(x)),
    Op("sign", 1, lambda np, x: np.sign(x)),
    Op("floor", 1, lambda np, x: np.floor(x)),
    Op("round", 1, lambda np, x: np.rint(x)),
    Op("cos", 1, lambda np, x: np.cos(x)),
    Op("sin", 1, lambda np, x: np.sin(x)),
    Op("tanh", 1, lambda np, x: np.tanh(x)),
    Op("erf", 1, _erf),
    Op("softplus", 1, _softplus),
    Op("sigmoid", 1, _sigmoid),
    Op("relu", 1, lambda np, x: np.maximum(x, 0)),
    Op("elu1", 1, lambda np, x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))),  # elu(x) + 1
    Op("gelu", 1, lambda np, x: x * 0.5 * (1 + _erf(np, x / math.sqrt(2)))),
    Op("silu", 1, lambda np, x: x * _sigmoid(np, x)),
    Op("less", 2, lambda np, x, y: np.less(x, y) * 1.0),  # 1 where x < y, else 0
    Op("equal", 2, lambda np, x, y: np.equal(x, y) * 1.0),
    Op("select", 3, lambda np, c, x, y: np.where(c != 0, x, y)),  # x where c is not 0, else y
)

_REDUCTIONS = (
    Reduction("sum", "add", 0.0, lambda np, x, axes, where: np.sum(x, axes, where=where)),
    Reduction("prod", "mul", 1.0, lambda np, x, axes, where: np.prod(x, axes, where=where)),
    Reduction(
        "max",
        "max",
        -math.inf,
        lambda np, x, axes, where: np.max(x, axes, initial=-math.inf, where=where),
    ),
    Reduction(
        "min",
        "min",
        math.inf,
        lambda np, x, axes, where: np.min(x, axes, initial=math.inf, where=where),
    ),
    # The sum of the points, divided by how many exist; its identity is that of the sum.
    Reduction("mean", "add", 0.0, lambda np, x, axes, where: np.mean(x, axes, where=where)),
)

OPS: Mapping[str, Op] = MappingProxyType({op.name: op for op in _OPS})
"""Map operations by the name that the language gives them; `+ - * /` are add, sub, mul and div."""

REDUCTIONS: Mapping[str, Reduction] = MappingProxyType({r.name: r for r in _REDUCTIONS})
"""Reductions by name, written `max_m0` or `sum_{m,e}`."""
