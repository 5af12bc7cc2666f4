"""Numbers as the tables of optics show them."""

from __future__ import annotations

from einfall.units import format_quantity


def amount(value: float, unit: str, digits: int = 3) -> str:
    """A quantity in three digits; seconds and joules above a thousand stay as they are.

    >>> amount(1.7534e-5, "s"), amount(3223.4, "s"), amount(484_000.0, "J")
    ('17.5 µs', '3,220 s', '484,000 J')
    """
    rounded = float(f"{value:.{digits}g}")
    return format_quantity(rounded, unit) if rounded < 1000 else f"{rounded:,.0f} {unit}"


def times(value: float) -> str:
    """A ratio in three digits.

    >>> times(8.213), times(538.25), times(0.82063), times(12345.6), times(3.2e-6)
    ('8.21×', '538×', '0.821×', '12,300×', '3.2e-06×')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}×" if rounded >= 100 else f"{rounded:.3g}×"
