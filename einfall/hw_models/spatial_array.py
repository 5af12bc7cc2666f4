"""The spatial array: processing elements in a grid, a row of helpers, one buffer, one DRAM.

The machine of FLAT, FuseMax and of the TPUs: a two-dimensional array ("2d" in all machines that
ship) does the products, a one-dimensional one ("1d") at its foot does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ModelWrapValidatorHandler, model_serializer, model_validator
from pydantic import SerializerFunctionWrapHandler as Serialize

from einfall.hw_models.yaml_door import Spec, Wrong, did_you_mean, refused
from einfall.units import Bytes, BytesPerSecond, Hertz, Joules, SquareMillimetres

Count = Annotated[int, Field(ge=1)]

_TERM = re.compile(r"(?:(\d+\.?\d*)\s*\*?\s*)?([A-Za-z_]\w*)")


class UnsupportedOpError(ValueError):
    """An op was asked of a unit that cannot do it."""


class Dram(Spec):
    """Off-chip memory: a bandwidth, and an energy for each access of a fixed size."""

    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    access_bytes: Bytes = Field(alias="access")
    access_energy_j: Joules = Field(alias="access_energy")


class Buffer(Spec):
    """The global buffer: `ports` rows are served in a cycle, each from a bank of its own."""

    capacity_bytes: Bytes = Field(alias="capacity")
    row_bytes: Bytes = Field(alias="row")
    ports: Count
    banks: Count
    read_energy_j: Joules = Field(alias="read_energy")
    write_energy_j: Joules = Field(alias="write_energy")
    area_mm2: SquareMillimetres = Field(alias="area")

    @model_validator(mode="after")
    def _has_a_bank_for_each_port(self) -> Buffer:
        if self.banks < self.ports:
            message = f"want at least as many banks as ports ({self.ports}), got {self.banks}"
            raise refused([(("banks",), message, self.banks)])
        return self


class Registers(Spec):
    """The register file of one processing element; energy per word, area per element."""

    depth: Count
    read_energy_j: Joules = Field(alias="read_energy")
    write_energy_j: Joules = Field(alias="write_energy")
    area_mm2: SquareMillimetres = Field(alias="area")


class Op(Spec):
    """What one op costs: a dedicated unit in each element, or a composition of other ops.

    Dedicated: `{energy: 36.25 pJ, area: 23741 um^2}`, and `cycles` from the start of one point to
    the start of the next (1 unless given). Composed: `6 mac + add`, or `{as: {mac: 6, add: 1}}`.
    """

    cycles: float = Field(default=1.0, gt=0)
    energy_j: Joules | None = Field(default=None, alias="energy")
    area_mm2: SquareMillimetres = Field(default=0.0, alias="area")
    parts: Mapping[str, Annotated[float, Field(gt=0)]] | None = Field(default=None, alias="as")

    @model_validator(mode="wrap")
    @classmethod
    def _reads_a_composition(cls, value: Any, handler: ModelWrapValidatorHandler[Op]) -> Op:  # noqa: ANN401
        return handler({"as": _terms(value)} if isinstance(value, str) else value)

    @model_validator(mode="after")
    def _is_dedicated_or_composed(self) -> Op:
        if (self.energy_j is None) == (self.parts is None):
            raise ValueError("want either energy (a unit of its own) or other ops ('6 mac + add')")
        if self.parts is not None and self.model_fields_set > {"parts"}:
            raise ValueError("want no cycles and no area for a composition: its parts have them")
        return self

    @model_serializer(mode="wrap")
    def _writes_a_composition(self, handler: Serialize) -> Any:  # noqa: ANN401
        if self.parts is None:
            return handler(self)
        return " + ".join(f"{n:g} {kind}" for kind, n in self.parts.items())


def _terms(text: str) -> dict[str, float]:
    """Read `6 mac + add` as {"mac": 6, "add": 1}."""
    terms: dict[str, float] = {}
    for term in text.split("+"):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise ValueError(f"want ops such as '6 mac + add', got {text!r}")
        terms[match[2]] = terms.get(match[2], 0) + float(match[1] or 1)
    return terms


class Unit(Spec):
    """An array of equal processing elements that all do the same op.

    `issue` says how the ops of one Einsum point follow each other in an element: "serial", one
    after the other; "chained", each op has its own pipelined unit and the next point follows after
    the slowest of them.
    """

    rows: Count
    cols: Count
    issue: Literal["serial", "chained"]
    ops: Annotated[Mapping[str, Op], Field(min_length=1)]
    registers: Registers

    @model_validator(mode="after")
    def _compositions_lead_to_dedicated_ops(self) -> Unit:
        wrong = [p for kind in self.ops for p in _wrong_parts(self.ops, kind)]
        if wrong:
            raise refused(wrong)
        return self

    @property
    def pes(self) -> int:
        """Processing elements: rows · cols."""
        return self.rows * self.cols

    @property
    def area_mm2(self) -> float:
        """Area of all elements [mm²]: rows · cols · (registers + dedicated op units)."""
        return self.pes * (self.registers.area_mm2 + sum(op.area_mm2 for op in self.ops.values()))

    def supports(self, kind: str) -> bool:
        """Whether an element can do the op, by a unit of its own or by composition."""
        return kind in self.ops

    def primitives(self, kind: str) -> Mapping[str, float]:
        """Dedicated ops that one op of this kind is made of, each with how many of them.

        Raises:
            UnsupportedOpError: The unit cannot do the op.
        """
        if kind not in self.ops:
            known = ", ".join(sorted(self.ops))
            hint = did_you_mean(kind, self.ops)
            raise UnsupportedOpError(f"want an op of this unit ({known}), found {kind!r}{hint}")
        parts = self.ops[kind].parts
        if parts is None:
            return {kind: 1}
        return self.primitives_of(parts)

    def primitives_of(self, ops: Mapping[str, float]) -> Mapping[str, float]:
        """Dedicated ops that an Einsum point with these ops is made of."""
        total: dict[str, float] = {}
        for kind, count in ops.items():
            for primitive, n in self.primitives(kind).items():
                total[primitive] = total.get(primitive, 0) + count * n
        return total

    def cycles_per_point(self, ops: Mapping[str, float]) -> float:
        """Cycles between two Einsum points in one element.

        With n_k dedicated ops of kind k a point, compositions resolved:

            serial:  Σ_k n_k · cycles_k          chained:  max_k n_k · cycles_k

        Args:
            ops: Ops of one point by kind, such as {"sub": 1, "exp": 1}.

        Returns:
            Cycles a point and element.

        Raises:
            UnsupportedOpError: The unit cannot do one of the ops.

        Source:
            Artifact of Nayak et al., FuseMax, MICRO 2024: 7 cycles for exp(x - y) on a FuseMax
            element (6 mac + sub), 1 on the chained softmax unit of FLAT.

        >>> from einfall.hw_models import load
        >>> [load(m).units["1d"].cycles_per_point({"sub": 1, "exp": 1})
        ...  for m in ("fusemax_cloud", "flat_cloud")]
        [7.0, 1.0]
        """
        busy = [n * self.ops[k].cycles for k, n in self.primitives_of(ops).items()]
        if self.issue == "serial":
            return sum(busy)
        slowest: Any = np.asarray(reduce(np.maximum, busy, 0))
        return slowest if slowest.ndim else slowest.item()

    def energy_per_point_j(self, ops: Mapping[str, float]) -> float:
        """Energy of the ops of one Einsum point [J]: Σ_k n_k · energy_k; registers are apart.

        >>> from einfall.hw_models import load
        >>> load("fusemax_cloud").units["2d"].energy_per_point_j({"mac": 2})
        3.4329e-11

        Raises:
            UnsupportedOpError: The unit cannot do one of the ops.
        """
        counts = self.primitives_of(ops).items()
        return sum(n * energy for k, n in counts if (energy := self.ops[k].energy_j) is not None)

    def cycles(self, kind: str) -> float:
        """Cycles of one op in one element; `cycles_per_point` of that op alone."""
        return self.cycles_per_point({kind: 1})

    def energy_j(self, kind: str) -> float:
        """Energy of one op [J]; `energy_per_point_j` of that op alone."""
        return self.energy_per_point_j({kind: 1})


class SpatialArray(Spec):
    """A spatial array with its memories: one YAML file of `kind: spatial_array`.

    All numbers are in base units. They may be replaced by NumPy arrays with `model_copy(update=…)`
    and every property and method goes on working, element by element.
    """

    kind: Literal["spatial_array"]
    name: str
    about: str = ""
    clock_hz: Hertz = Field(alias="clock")
    word_bytes: Bytes = Field(alias="word")
    dram: Dram
    buffer: Buffer
    units: Annotated[Mapping[str, Unit], Field(min_length=1)]
    network_area_mm2: SquareMillimetres = Field(default=0, alias="network_area")

    @property
    def area_mm2(self) -> float:
        """Area of the chip [mm²]: all units, the buffer and the network between them.

        Left out: DRAM and its interface, control, wiring beyond the network entries.

        Source:
            Artifact of Nayak et al., FuseMax, MICRO 2024: FuseMax 1302.95 mm², FLAT 1391.82 mm².

        >>> from einfall.hw_models import load
        >>> round(load("fusemax_cloud").area_mm2, 2)
        1302.95
        """
        units = sum(unit.area_mm2 for unit in self.units.values())
        return units + self.buffer.area_mm2 + self.network_area_mm2


def _wrong_parts(ops: Mapping[str, Op], kind: str) -> Iterator[Wrong]:
    """What is wrong with a composition: parts that the unit lacks, or that lead back to it."""
    parts = ops[kind].parts or {}
    for part in parts:
        if part not in ops:
            known = ", ".join(sorted(ops))
            message = f"want ops of this unit ({known}), found {part!r}{did_you_mean(part, ops)}"
            yield ("ops", kind), message, part
    loop = _way_back(ops, kind, (kind,))
    if loop:
        message = f"want a composition that ends in dedicated ops, found {' -> '.join(loop)}"
        yield ("ops", kind), message, parts


def _way_back(ops: Mapping[str, Op], kind: str, way: tuple[str, ...]) -> tuple[str, ...]:
    """The way from an op through its parts back to the op it began with; empty if there is none."""
    for part in ops[kind].parts or {}:
        if part == way[0]:
            return (*way, part)
        if part in ops and part not in way:
            found = _way_back(ops, part, (*way, part))
            if found:
                return found
    return ()
