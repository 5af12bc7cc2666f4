"""WHAT: cascades of Einsums as text and values, how to read, check, run, count and draw them."""

from einfall.einsum_cascades.einsum import Cascade, Einsum
from einfall.einsum_cascades.language import CascadeError, parse, to_text
from einfall.einsum_cascades.library import load, names
from einfall.einsum_cascades.masked import with_mask

__all__ = ["Cascade", "CascadeError", "Einsum", "load", "names", "parse", "to_text", "with_mask"]
