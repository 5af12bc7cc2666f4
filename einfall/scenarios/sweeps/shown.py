"""Values as people read them, by the name of their column."""

from __future__ import annotations

from typing import Any

from einfall.scenarios.sweeps.constraints import SUFFIXES, unit_of_column
from einfall.scenarios.sweeps.spec import RATIOS
from einfall.units import UNITS, format_quantity


def unit_of(name: str) -> str:
    """Unit of a column: what its name ends in, `×` of a ratio, `%` of a part; nothing of a size.

    >>> unit_of("machine.buffer.capacity_bytes"), unit_of("speedup"), unit_of("keys")
    ('B', '×', '')
    """
    if name in RATIOS:
        return "×"
    if name.startswith("utilization."):
        return "%"
    return unit_of_column(name) or unit_of_column(name.rpartition(".")[2])


def heading(name: str) -> str:
    """A column's name over a printed table, whose values bear their units.

    >>> heading("latency_s"), heading("traffic_bytes.dram"), heading("machine.clock_hz")
    ('latency', 'traffic.dram', 'clock')
    """
    head, dot, part = name.removeprefix("machine.").partition(".")
    return f"{_without_unit(head)}{dot}{_without_unit(part)}"


def _without_unit(word: str) -> str:
    end = next((f"_{end}" for end in SUFFIXES if word.endswith(f"_{end}")), "")
    return word.removesuffix(end)


_LABELS = {
    "energy_ratio": "Energy over the baseline's",
    "utilization": "Utilization of {}",
    "traffic_bytes": "Traffic of {}",
    "busy_s": "Busy time of {}",
}


def label(name: str) -> str:
    """A column's name on an axis of a figure.

    >>> label("latency_s"), label("traffic_bytes.dram"), label("head_dim")
    ('Latency', 'Traffic of dram', 'Head dim')
    """
    root, _, part = name.partition(".")
    if root in _LABELS:
        return _LABELS[root].format(part)
    if root == "machine":
        return heading(name)
    return heading(name).replace("_", " ").capitalize()


def shown(name: str, value: Any) -> str:  # noqa: ANN401  what stands in a table
    """A value with the unit of its column.

    >>> shown("latency_s", 0.00125), shown("keys", 65536), shown("utilization.tensor", 0.5)
    ('1.25 ms', '65,536', '50.0 %')
    >>> shown("speedup", 1.2345)
    '1.234×'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    unit = unit_of(name)
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "×":
        return f"{value:.4g}×"
    if unit in UNITS:
        return format_quantity(value, unit)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
