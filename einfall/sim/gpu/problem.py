"""What a kernel is asked to do: the shape, dtypes and mask of one attention launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einfall.sim.numeric import Number

ELEMENT_BYTES: Mapping[str, float] = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1}


@dataclass(frozen=True, slots=True)
class Problem:
    """One launch: Q[B,H,P,E], K[B,Hk,M,E], V[B,Hk,M,F], each number also as an array of a sweep.

    causal: The last query is aligned with the last key.
    window: How many keys up to its own a query sees; without `causal` as many to both sides.
    visited: Key tiles that each query tile works on, where the mask is none of these, in blocks of
        `block` (queries, keys) where that is not the kernel's tile; `partial` of them are masked.
    axes: Along how many axes a neighbourhood extends; a mask compares along each.
    tile: The tile (rows, keys, warps, stages) that a tuner chose; `splits` into how many parts it
        cut the keys.
    cold: Nothing is found in L2: the benchmark rotates buffers or flushes.
    chunk: That of a linear attention, which `decays` where it forgets at a rate of each head.
    piece: One kernel of several.
    score: Name of a function that each score goes through: `alibi`, `softcap`.
    size: The count that a stream or matrix product has.
    alternatives: The same problem as other tiles would cut it, of which a tuner takes the fastest.
    """

    batch: Number = 1
    heads: Number = 1
    kv_heads: Number = 1
    queries: Number = 1
    keys: Number = 1
    head_dim: int = 128
    value_dim: int = 128
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    causal: bool = False
    window: int | None = None
    direction: str = "fwd"
    visited: tuple[int, ...] | None = None
    partial: tuple[int, ...] | None = None
    block: tuple[int, int] | None = None
    axes: int = 1
    tile: tuple[int, int, int, int] | None = None
    splits: int | None = None
    size: Number = 0
    chunk: int | None = None
    decays: bool = False
    piece: str = ""
    score: str = ""
    cold: bool = False
    alternatives: tuple[Problem, ...] = ()

    @property
    def group(self) -> Number:
        """Query heads that share a head of keys and values."""
        return self.heads / self.kv_heads

    @property
    def masked(self) -> int:
        """1 where a mask or a list chooses the key tiles."""
        return int(self.causal or self.window is not None or self.visited is not None)

    @property
    def low_bits(self) -> int:
        """1 where the products are of 8-bit numbers."""
        return int(self.dtype == "fp8")

    @property
    def element_bytes(self) -> float:
        """Bytes of an element of Q."""
        return ELEMENT_BYTES[self.dtype]

    @property
    def kv_element_bytes(self) -> float:
        """Bytes of an element of K and V."""
        return ELEMENT_BYTES[self.kv_dtype]

    @property
    def kv_bytes(self) -> Number:
        """K and V as they stand in memory [bytes].

        >>> Problem(batch=2, heads=8, kv_heads=2, keys=1024).kv_bytes
        2097152
        """
        width = self.head_dim + self.value_dim
        return self.batch * self.kv_heads * self.keys * width * int(self.kv_element_bytes)

    @property
    def qo_bytes(self) -> Number:
        """Q read and O written [bytes]; O of an fp8 kernel is written in 16 bits."""
        out_bytes = max(self.element_bytes, 2)
        width = self.head_dim * self.element_bytes + self.value_dim * out_bytes
        return self.batch * self.heads * self.queries * width
