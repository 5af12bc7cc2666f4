"""Transformer models of the evaluations: widths as data (`workloads.yaml`), shapes by length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from einfall.hw_models.yaml_door import Spec, SpecError, did_you_mean, read_spec

FILE = Path(__file__).parent / "workloads.yaml"
_SUFFIXES = {"K": 2**10, "M": 2**20}

Count = Annotated[int, Field(ge=1)]


class Model(Spec):
    """Widths of one encoder layer; keys and values are equally wide, and no head is shared."""

    model_dim: Count
    heads: Count
    head_dim: Count
    ffn_dim: Count

    def attention(self, batch: int, length: int) -> dict[str, int]:
        """Shape of attention with as many keys as queries."""
        return {
            "batch": batch,
            "heads": self.heads,
            "queries": length,
            "head_dim": self.head_dim,
        }

    def linear_layers(self, batch: int, length: int) -> dict[str, int]:
        """Shape of the matrix products beside attention."""
        return {
            "tokens": batch * length,
            "model_dim": self.model_dim,
            "heads": self.heads,
            "head_dim": self.head_dim,
            "ffn_dim": self.ffn_dim,
        }


class Workloads(Spec):
    """Models by name, and the batch that all are evaluated with."""

    batch: Count
    models: Annotated[Mapping[str, Model], Field(min_length=1)]

    def model(self, name: str) -> Model:
        """The model of that name.

        Raises:
            SpecError: There is none.
        """
        if name not in self.models:
            known, hint = ", ".join(self.models), did_you_mean(name, self.models)
            raise SpecError([f"models: want one of {known}, found {name!r}{hint}"])
        return self.models[name]


@cache
def load() -> Workloads:
    """The workloads that ship.

    >>> load().batch, load().model("BERT").heads
    (64, 12)
    """
    return read_spec(FILE, Workloads)


def length_of(text: str) -> int:
    """A sequence length; K and M are 2^10 and 2^20.

    Raises:
        ValueError: The text is no such number.

    >>> length_of("16K"), length_of("1M"), length_of("384")
    (16384, 1048576, 384)
    """
    factor = _SUFFIXES.get(text[-1:], 1)
    digits = text[:-1] if factor > 1 else text
    if not (digits.isascii() and digits.isdecimal() and int(digits)):
        raise ValueError(f"want a length such as 4096 or 4K, found {text!r}")
    return int(digits) * factor
