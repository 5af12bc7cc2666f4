"""Numbers as text, a whole column at once: byte for byte what `%.12g` and `%d` write.

Each text lies in a row of bytes of one width, with zero bytes where there is none; `joined` leaves
these out. A float is scaled to a whole number of 12 digits. Where that could round to either side,
in two of a thousand, Python writes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from einfall.sim.numeric import Number, floor_div

DIGITS = 12
"""Significant digits of a number in CSV."""

_WIDTH = 20  # bytes of the longest: sign, digit, point, eleven digits, e-308
_ZERO, _POINT, _MINUS, _COMMA, _NEWLINE = b"0.-,\n"
_FOURS = np.array([f"{n:04d}" for n in range(10_000)], dtype="S4").view(np.uint32)
_LARGEST = 99  # decimal exponent, to both sides, of what is scaled here
_TENS = np.array([float(f"1e{k}") for k in range(-_LARGEST, _LARGEST + DIGITS)])
_EITHER = 1e-3  # scaling is off by 3e-4 of the last digit at most


def floats(values: np.ndarray) -> np.ndarray:
    """Each float as `%.12g`, a row of bytes; nothing where it is nan.

    >>> joined([floats(np.array([0.5, 1e-7, -123456.789, np.nan, 2.0**50]))]).split()
    [b'0.5', b'1e-07', b'-123456.789', b'1.12589990684e+15']
    """
    text = np.zeros((len(values), _WIDTH), dtype=np.uint8)
    size = np.abs(values)
    usual = (size >= 10.0**-_LARGEST) & (size < 10.0**_LARGEST)
    known = np.where(usual, size, 1.0)
    exponents = np.floor(np.log10(known)).astype(np.int64)
    scaled = known * _TENS[DIGITS - 1 - exponents + _LARGEST]
    whole = np.rint(scaled)
    sure = np.abs(np.abs(scaled - whole) - 0.5) > _EITHER
    usual &= sure & (whole >= 10.0 ** (DIGITS - 1)) & (whole < 10.0**DIGITS)
    digits = _digits(np.where(usual, whole, 0.0), DIGITS)
    for exponent in np.flatnonzero(np.bincount(exponents[usual] + _LARGEST)) - _LARGEST:
        rows = np.flatnonzero(usual & (exponents == exponent))
        chosen = digits.view(np.uint32)[rows].view(np.uint8)
        text.view(np.uint32)[rows] = _set(chosen, int(exponent)).view(np.uint32)
    text[usual & (values < 0), 0] = _MINUS
    for row in np.flatnonzero(~usual & ~np.isnan(values)):
        written = f"{values[row]:.{DIGITS}g}".encode()
        text[row, : len(written)] = np.frombuffer(written, dtype=np.uint8)
    return text


def wholes(values: np.ndarray) -> np.ndarray:
    """Each whole number from 0 as `%d`, a row of bytes.

    >>> joined([wholes(np.array([0, 9, 10, 12345]))]).split()
    [b'0', b'9', b'10', b'12345']
    """
    most = len(str(int(values.max(initial=0))))
    text = _digits(values, most)
    for place in range(text.shape[1] - 1):
        text[values < 10 ** (text.shape[1] - 1 - place), place] = 0
    return text


def texts(values: np.ndarray) -> np.ndarray:
    """Each text in UTF-8, a row of bytes; of an array of texts, or of objects that are texts."""
    if values.dtype.kind == "U" and len(values):
        letters = np.ascontiguousarray(values).view(np.uint32).reshape(len(values), -1)
        if letters.max() < 128:
            return letters.astype(np.uint8)
    return rows_of(np.array([str(x).encode() for x in values.tolist()], dtype="S"))


def rows_of(written: np.ndarray) -> np.ndarray:
    """An array of bytes texts as rows of bytes."""
    wide = written.astype(f"S{max(written.itemsize, 1)}")
    return np.ascontiguousarray(wide).view(np.uint8).reshape(len(wide), -1)


def joined(columns: Sequence[np.ndarray]) -> bytes:
    """Lines of the columns, with a comma between two."""
    ends = np.cumsum([column.shape[1] + 1 for column in columns])
    text = np.empty((len(columns[0]), ends[-1]), dtype=np.uint8)
    for column, end in zip(columns, ends, strict=True):
        text[:, end - 1 - column.shape[1] : end - 1] = column
    text[:, ends[:-1] - 1], text[:, -1] = _COMMA, _NEWLINE
    return text.tobytes().translate(None, b"\0")


def _digits(values: np.ndarray, least: int) -> np.ndarray:
    """Decimal digits of whole numbers, with zeros before, in as many fours as it takes."""
    fours = -(-least // 4)
    found = np.empty((len(values), fours), dtype=np.uint32)
    left: Number = values
    for n in reversed(range(fours)):
        before = floor_div(left, 10_000)
        found[:, n] = _FOURS[np.asarray(left - 10_000 * before, dtype=np.intp)]
        left = before
    return found.view(np.uint8)


def _set(digits: np.ndarray, exponent: int) -> np.ndarray:
    """Twelve digits with point and exponent as `%g` sets them: neither zeros nor point at the end.

    The exponent is that of the first digit; before all is room for a sign.
    """
    fixed = -5 < exponent < DIGITS
    before = exponent + 1 if fixed else 1  # digits before the point
    _drop_zeros(digits, max(before, 1))
    whole = np.zeros((len(digits), _WIDTH), dtype=np.uint8)
    text = whole[:, 1:]
    if fixed and exponent < 0:
        lead = np.frombuffer(b"0." + b"0" * (-exponent - 1), dtype=np.uint8)
        text[:, : len(lead)] = lead
        text[:, len(lead) : len(lead) + DIGITS] = digits
        return whole
    text[:, :before] = digits[:, :before]
    if before < DIGITS:
        text[:, before] = np.where(digits[:, before] > 0, _POINT, 0)
        text[:, before + 1 : DIGITS + 1] = digits[:, before:]
    if not fixed:
        tail = np.frombuffer(f"e{exponent:+03d}".encode(), dtype=np.uint8)
        text[:, DIGITS + 1 : DIGITS + 1 + len(tail)] = tail
    return whole


def _drop_zeros(digits: np.ndarray, first: int) -> None:
    """Take away, in place, zeros at the end from the digit of number `first` on."""
    rows: slice | np.ndarray = slice(None)
    for place in reversed(range(first, DIGITS)):
        zero = np.flatnonzero(digits[rows, place] == _ZERO)
        if not zero.size:
            return
        rows = zero if isinstance(rows, slice) else rows[zero]
        digits[rows, place] = 0
