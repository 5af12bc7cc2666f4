"""Quantities as text and as plain floats in base units: the only file that knows a prefix.

Inside the program every number is a float in base units and its name says which (`_bytes`,
`_bytes_per_s`, `_hz`, `_s`, `_j`, `_w`, `_m`, `_mm2`). People write `3.35 TB/s`, `227 KiB`,
`94.6 pJ`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field, ValidationInfo

_LARGE = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_SMALL = {"m": -3, "u": -6, "µ": -6, "μ": -6, "n": -9, "p": -12, "f": -15}  # two characters for µ
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}

LARGE: Mapping[str, Fraction] = {p: Fraction(10) ** n for p, n in _LARGE.items()}
SI: Mapping[str, Fraction] = LARGE | {p: Fraction(10) ** n for p, n in _SMALL.items()}
BINARY: Mapping[str, Fraction] = {p: Fraction(2) ** n for p, n in _BINARY.items()}
SQUARED: Mapping[str, Fraction] = {p: SI[p] ** 2 for p in ("", "m", "u", "µ", "μ", "n")}


@dataclass(frozen=True, slots=True)
class Unit:
    """A base unit: the symbols it may be written in, their size in it, and their prefixes.

    Bytes and rates take no small prefix: whoever writes `5 mB` or `940 mHz` means mega.
    """

    symbols: Mapping[str, Fraction]
    prefixes: Mapping[str, Fraction]
    example: str

    def scale(self, text: str) -> Fraction | None:
        """Size of `text`, such as `GiB`, in the base unit; None where it is no such unit."""
        for symbol, size in self.symbols.items():
            prefix = self.prefixes.get(text.removesuffix(symbol))
            if text.endswith(symbol) and prefix is not None:
                return prefix * size
        return None


_ONE, _BIT = Fraction(1), Fraction(1, 8)

UNITS: Mapping[str, Unit] = {
    "B": Unit({"B": _ONE, "bit": _BIT}, LARGE | BINARY, "2 MiB"),
    "bit": Unit({"bit": _ONE, "B": 1 / _BIT}, LARGE | BINARY, "16 bit"),
    "B/s": Unit({"B/s": _ONE, "bit/s": _BIT}, LARGE | BINARY, "2 GB/s"),
    "FLOP/s": Unit({"FLOP/s": _ONE}, LARGE, "2 TFLOP/s"),
    "Hz": Unit({"Hz": _ONE}, LARGE, "2 GHz"),
    "s": Unit({"s": _ONE}, SI, "2 us"),
    "J": Unit({"J": _ONE}, SI, "2 pJ"),
    "J/B": Unit({"J/B": _ONE, "J/bit": 1 / _BIT}, SI, "2 pJ/B"),
    "W": Unit({"W": _ONE}, SI, "2 W"),
    "V": Unit({"V": _ONE}, SI, "2 V"),
    "m": Unit({"m": _ONE}, SI, "2 um"),
    "mm^2": Unit({"m^2": Fraction(10) ** 6}, SQUARED, "2 mm^2"),
}

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?)\s*(\S+)")


def parse(text: str, unit: str) -> float:
    """Read a quantity such as `3.35 TB/s` as a float in the base unit.

    The number is scaled exactly and rounded once, so `94.6 pJ` is the float 94.6e-12. Prefixes are
    the SI ones from f to P and, for bytes and bits, Ki, Mi, Gi and Ti. `bit` is 1/8 B.

    Args:
        text: A number and a unit, with or without a space between them.
        unit: The base unit wanted, a key of `UNITS`.

    Returns:
        The quantity [unit].

    Raises:
        ValueError: The text is no quantity in that unit; the message gives an example of one.

    >>> parse("400 GiB/s", "B/s"), parse("16 bit", "B"), parse("1030 um^2", "mm^2")
    (429496729600.0, 2.0, 0.00103)
    """
    match = _QUANTITY.fullmatch(text.strip())
    scale = UNITS[unit].scale(match[2]) if match else None
    if match is None or scale is None:
        raise ValueError(_wanted(text, unit))
    try:
        return float(Fraction(match[1]) * scale)
    except OverflowError:
        raise ValueError(_wanted(text, unit)) from None


def format_quantity(value: float, unit: str, digits: int = 4) -> str:
    """Write a float in a base unit with the prefix that a reader expects.

    The SI prefix that leaves 1 to 999 before the point; for bytes a binary one where only that
    shows the number exactly. An area is written in mm^2, or µm^2 below 0.01 mm^2.

    Args:
        value: The quantity [unit].
        unit: Its base unit, a key of `UNITS`.
        digits: Significant digits.

    >>> format_quantity(429496729600, "B/s"), format_quantity(3.35e12, "B/s")
    ('400 GiB/s', '3.35 TB/s')
    >>> format_quantity(94.6475e-12, "J"), format_quantity(1391.8172, "mm^2")
    ('94.65 pJ', '1392 mm^2')
    >>> format_quantity(2**30, "B", digits=3), format_quantity(999.99e3, "B", digits=3)
    ('1 GiB', '1 MB')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    if unit == "mm^2":
        small = abs(value) < 0.01
        return f"{_digits(value * 1e6 if small else value, digits)} {'µm^2' if small else unit}"
    prefixes = {p: s for p, s in UNITS[unit].prefixes.items() if p not in ("u", "μ")}
    decimal = {p: s for p, s in prefixes.items() if p not in BINARY}
    binary = {p: s for p, s in prefixes.items() if p in BINARY}
    text = _with_prefix(value, unit, decimal, digits)
    if binary and abs(value) >= BINARY["Ki"] and parse(text, unit) != value:
        exact = _with_prefix(value, unit, binary, digits)
        return exact if parse(exact, unit) == value else text
    return text


def _with_prefix(value: float, unit: str, prefixes: Mapping[str, Fraction], digits: int) -> str:
    """The value under its largest prefix that leaves at least 1 before the point.

    That is looked at in the digits that are shown: 999.99 k is 1 M and not 1000 k, and 2**30 is
    1 Gi also in three digits.
    """
    size = abs(value)
    fitting = [p for p, s in prefixes.items() if float(_digits(size / float(s), digits)) >= 1]
    best = max(fitting, key=prefixes.__getitem__, default=min(prefixes, key=prefixes.__getitem__))
    return f"{_digits(value / float(prefixes[best]), digits)} {best}{unit}"


def _digits(value: float, digits: int) -> str:
    """The value with so many significant digits, never in the form 1e+06."""
    rounded = float(f"{value:.{digits}g}")
    return str(int(rounded)) if rounded.is_integer() else repr(rounded)


def _wanted(found: object, unit: str) -> str:
    return f"want a quantity in {unit}, such as '{UNITS[unit].example}', got {found!r}"


@dataclass(frozen=True, slots=True)
class Reads:
    """A pydantic validator that reads text in `unit` and lets plain numbers pass.

    Numbers are in base units already when they come from Python; from a file (context
    `{"text": True}`) a number without its unit is refused.
    """

    unit: str

    def __call__(self, value: object, info: ValidationInfo) -> object:
        """The number in base units."""
        if isinstance(value, str):
            return parse(value, self.unit)
        if info.context and info.context.get("text"):
            raise ValueError(_wanted(value, self.unit))
        return value


def unit_of(hint: object) -> str:
    """Base unit of the numbers that a type stands for, or those within it; none is ''.

    >>> unit_of(Hertz), unit_of(Mapping[str, Joules] | None), unit_of(float)
    ('Hz', 'J', '')
    """
    if isinstance(hint, BeforeValidator):
        return hint.func.unit if isinstance(hint.func, Reads) else ""
    return next((unit for part in get_args(hint) if (unit := unit_of(part))), "")


# Spelled out, one line a unit: type checkers refuse a function that returns an Annotated.
Bytes = Annotated[float, BeforeValidator(Reads("B")), Field(gt=0)]
Bits = Annotated[float, BeforeValidator(Reads("bit")), Field(gt=0)]
BytesPerSecond = Annotated[float, BeforeValidator(Reads("B/s")), Field(gt=0)]
FlopsPerSecond = Annotated[float, BeforeValidator(Reads("FLOP/s")), Field(gt=0)]
Hertz = Annotated[float, BeforeValidator(Reads("Hz")), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(Reads("s")), Field(ge=0)]
Joules = Annotated[float, BeforeValidator(Reads("J")), Field(ge=0)]
JoulesPerByte = Annotated[float, BeforeValidator(Reads("J/B")), Field(ge=0)]
Watts = Annotated[float, BeforeValidator(Reads("W")), Field(ge=0)]
Volts = Annotated[float, BeforeValidator(Reads("V")), Field(gt=0)]
Metres = Annotated[float, BeforeValidator(Reads("m")), Field(gt=0)]
SquareMillimetres = Annotated[float, BeforeValidator(Reads("mm^2")), Field(ge=0)]
