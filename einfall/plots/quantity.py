"""What an axis or a cell shows: a column of a table, its name, its unit and its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING, Literal

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from einfall.plots import style
from einfall.plots.records import Record, number, positive, short
from einfall.units import UNITS, format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPAN = 30.0
"""Largest over smallest value from which an axis is logarithmic."""

RATIO, PART = "×", "%"
"""Units beside those of `einfall.units`: times as much, and a part of 1 written in percent."""

_MOST_TICKS = 10
_WIDE = 1e3  # largest over smallest value from which only decades have ticks
_KIBI = 1024


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column of numbers, as people read it.

    Args:
        column: Where the number stands in a record [unit].
        label: Its name on an axis, such as "Time".
        unit: A base unit of `einfall.units` (then it gets a prefix), `×` for a ratio, `%` for a
            part of 1, or a word for what is counted, such as "tokens".
        better: Whether the lower or the higher number is the better one.
    """

    column: str
    label: str
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"

    def number(self, row: Record, what: str) -> float:
        """The number in a record.

        Raises:
            PlotError: It is no finite number.
        """
        return number(row, what, self.column)

    def positive(self, row: Record, what: str) -> float:
        """The number above 0 in a record.

        Raises:
            PlotError: It is no finite number, or 0 or less.
        """
        return positive(row, what, self.column)

    def text(self, value: float) -> str:
        """A value with its unit, three digits.

        >>> Quantity("latency_s", "Time", "s").text(0.0004782)
        '478 µs'
        >>> Quantity("speedup", "Speedup", "×").text(1.2), Quantity("m", "Keys", "rows").text(2048)
        ('1.20×', '2K rows')
        """
        if self.unit == RATIO:
            return f"{value:.2f}×" if abs(value) < 9.995 else f"{short(value)}×"
        if self.unit in UNITS or self.unit == PART:
            return self.tick(value)
        return f"{count(value)} {self.unit}".strip()

    def tick(self, value: float) -> str:
        """A value on an axis, whose label says what is counted.

        >>> Quantity("q", "Keys", "tokens").tick(4096), Quantity("s", "Speedup", "×").tick(1.5)
        ('4K', '1.5×')
        """
        if self.unit in UNITS:
            return format_quantity(value, self.unit, digits=3).replace("^2", "²")
        if self.unit == RATIO:
            return f"{short(value)}×"
        return f"{short(100 * value)} %" if self.unit == PART else count(value)

    def scale(self, largest: float) -> tuple[float, str]:
        """What to divide by so that the largest value has few digits, and the unit after that.

        >>> Quantity("latency_s", "Time", "s").scale(0.0021)
        (0.001, 'ms')
        """
        if self.unit == PART:
            return 0.01, PART
        if self.unit == "mm^2":
            return 1.0, "mm²"
        return style.prefix(largest, self.unit) if self.unit in UNITS else (1.0, self.unit)

    def titled(self, unit: str = "") -> str:
        """The label with its unit, as it stands on an axis.

        >>> Quantity("latency_s", "Time", "s").titled("ms"), Quantity("speedup", "Speedup").titled()
        ('Time [ms]', 'Speedup')
        """
        shown = unit or self.scale(1.0)[1]
        return f"{self.label} [{shown}]" if shown else self.label


def count(value: float) -> str:
    """A number without a unit; whole multiples of 1024 as K and M, as lengths are written.

    >>> count(4096), count(1 << 20), count(1500), count(0.25)
    ('4K', '1M', '1500', '0.25')
    """
    for size, name in ((_KIBI**2, "M"), (_KIBI, "K")):
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{name}"
    return short(value) if value != int(value) or abs(value) < 1000 else f"{value:.0f}"


def spans(values: Sequence[float]) -> bool:
    """Whether values ask for a logarithmic axis: all above 0, and far apart."""
    return min(values) > 0 and max(values) > SPAN * min(values)


def fit_axis(
    ax: Axes, side: Literal["x", "y"], shown: Quantity, values: Sequence[float], *,
    log: bool | None = None,
) -> None:  # fmt: skip
    """Scale, ticks and label of an axis on which values stand in base units.

    Args:
        ax: The axes.
        side: Which of their two axes.
        shown: What stands on it.
        values: All that it shows.
        log: Whether it is logarithmic; by default where `spans` says so.
    """
    axis = ax.xaxis if side == "x" else ax.yaxis
    logarithmic = spans(values) if log is None else log
    wide = logarithmic and max(values) > _WIDE * min(values)
    scale, unit = shown.scale(max(map(abs, values)))
    own_units = logarithmic and shown.unit in UNITS
    if logarithmic:
        getattr(ax, f"set_{side}scale")("log")
        axis.set_major_locator(_log_ticks(shown, values, wide=wide))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: _tick(shown, value, 0.0 if own_units else scale))
    )
    label = shown.titled("" if own_units else unit)
    axis.set_label_text(label, fontsize=style.LABEL_PT)


def ticks_at(ax: Axes, side: Literal["x", "y"], shown: Quantity, values: Sequence[float]) -> None:
    """Ticks at the values themselves, as far as they have room on a logarithmic axis."""
    axis, different = ax.xaxis if side == "x" else ax.yaxis, sorted(set(values))
    gap = log2(different[-1] / different[0]) / _MOST_TICKS if len(different) > 1 else 0.0
    kept = different[:1]
    for value in different[1:]:
        if log2(value / kept[-1]) >= 0.99 * gap:
            kept.append(value)
    axis.set_major_locator(FixedLocator(kept))
    axis.set_major_formatter(FuncFormatter(lambda value, _: shown.tick(value)))
    axis.set_label_text(shown.titled(), fontsize=style.LABEL_PT)


def _tick(shown: Quantity, value: float, scale: float) -> str:
    """A tick in the unit of the axis, or with a prefix of its own if scale is 0."""
    if scale == 0.0:
        return shown.tick(value)
    plain = shown.unit in UNITS or scale != 1.0
    return f"{value / scale:.6g}" if plain else count(value)


def _log_ticks(shown: Quantity, values: Sequence[float], *, wide: bool) -> LogLocator:
    if shown.unit == "B":
        doublings = log2(max(values) / min(values)) / _MOST_TICKS
        return LogLocator(base=float(2 ** max(1, ceil(doublings))), numticks=2 * _MOST_TICKS)
    return LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=2 * _MOST_TICKS)
