"""A comparison with published or measured numbers, as the record that `validate` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any


def validation_record(what: str, compared: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document of `validate`: every row, and its errors summed up by kernel.

    Args:
        what: Name of what was compared with.
        compared: Record of a comparison: `rows` with `kernel` and `error`, and what else it says.
            A `summary` of its own, as finer groups, becomes `groups`.
    """
    errors: dict[str, list[float]] = {}
    for row in compared["rows"]:
        errors.setdefault(row["kernel"], []).append(abs(row["error"]))
    rest = {key: value for key, value in compared.items() if key != "summary"}
    summary = {kernel: _statistics(found) for kernel, found in errors.items()}
    return {"against": what, **rest, "summary": summary, "groups": compared.get("summary", [])}


def _statistics(errors: Sequence[float]) -> dict[str, float]:
    """Count, mean, nine tenths and worst of absolute relative errors.

    >>> _statistics([0.0, 0.1, 0.2, 0.5])
    {'n': 4, 'mape': 0.2, 'p90': 0.5, 'worst': 0.5}
    """
    n, ranked = len(errors), sorted(errors)
    return {"n": n, "mape": sum(errors) / n, "p90": ranked[ceil(0.9 * n) - 1], "worst": ranked[-1]}
