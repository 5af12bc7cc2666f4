"""A mapping: which rank is tiled, what is fused, what stays where, which unit runs which Einsum.

Mappings are data: a YAML file each in `mappings/`, read by the same door as machines. A mapping
names ranks and tiles in terms of a machine (`2d.rows`, `fit`), so that one file serves arrays and
shapes of any size; `spatial` resolves the names and refuses what is illegal.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from einfall.hw_models.yaml_door import Spec, SpecError, did_you_mean, read_spec

if TYPE_CHECKING:
    import numpy as np

MAPPINGS = Path(__file__).parent / "mappings"

Level: TypeAlias = Literal["registers", "buffer", "stream", "spilled"]
"""Where a tensor lives while a group runs.

registers: handed on inside the arrays. buffer: written to the global buffer and read from it.
stream: between DRAM and the arrays, past the buffer. spilled: an intermediate that goes out to DRAM
and comes back through the buffer.
"""


class MappingError(ValueError):
    """A mapping that cannot be carried out, with what it needs and what there is."""


class DoesNotFitError(MappingError):
    """A legal mapping that needs more of the buffer than the machine has.

    In a sweep `where` tells for which of its elements.
    """

    where: np.ndarray | bool = True


class LoopSpec(Spec):
    """One temporal loop: `p2: P by fit`.

    `tile` is how many coordinates an iteration takes: a whole number; `2d.rows` or `2d.cols`, an
    edge of a unit; `fit`, as many multiples of the next loop's tile over this rank as the buffer
    holds; `fill`, as many as occupy the columns that the other ranks of the binding leave free.
    """

    loop: str
    rank: str
    tile: int | str


def _read_loops(value: object) -> object:
    """Read {"p2": "P by fit"} in its order."""
    if not isinstance(value, MappingOf):
        return value
    loops = []
    for name, text in value.items():
        words = str(text).split(" by ")
        if len(words) != 2:
            raise ValueError(f"want a rank and its tile, such as 'P by fit', found {text!r}")
        tile = words[1].strip()
        loops.append(
            {
                "loop": name,
                "rank": words[0].strip(),
                "tile": int(tile) if tile.isdecimal() else tile,
            }
        )
    return loops


Loops = Annotated[tuple[LoopSpec, ...], BeforeValidator(_read_loops)]


class Binding(Spec):
    """Einsums on a unit: the ranks spread over its rows and its columns; the rest takes time.

    Several ranks on one side are flattened onto it. `order` lists ranks from the slowest to the
    fastest within one execution; without it the spatial ranks come first, then those of the output,
    then those that are reduced.
    """

    unit: str
    einsums: tuple[str, ...]
    rows: tuple[str, ...] = ()
    cols: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


class Published(Spec):
    """What a published model charges where it differs; used with `--accounting artifact` only.

    stages: lock-step epochs, Einsums of one stage overlap; `drain X` is the array stalled for as
    many cycles as it has rows in each execution of X. buffer_capacity: the capacity that sized the
    tiles. issue: how ops of a point follow each other. unpaid: ops whose energy is not summed.
    registers: which of the register counts of `accounting` applies.
    """

    stages: tuple[tuple[str, ...], ...] = ()
    buffer_capacity_bytes: int | None = Field(default=None, alias="buffer_capacity", gt=0)
    issue: Literal["serial", "chained"] | None = None
    unpaid: tuple[str, ...] = ()
    registers: Literal["fusemax", "plus_cascade", "three_pass", "gemm"] | None = None


class Group(Spec):
    """Einsums that run together in one loop nest, and what they keep where.

    einsums: names, or "all". hold: for a tensor in the buffer, the loop inside which one tile of it
    is kept ("" for the whole run of the group). place: where a tensor lives if not by default
    (inputs and held running values in the buffer, results streamed out, all else in registers).
    direct: tensors whose first reader takes them as they leave the array, without a buffer read.
    shares: a tensor that overwrites another in the buffer, element by element.
    spill: the part of a buffered tensor that does not fit and is exchanged with DRAM instead.
    in_flight: how many steps overlap; "auto", as many as the busiest resource needs.
    """

    name: str
    einsums: tuple[str, ...] | Literal["all"] = "all"
    loops: Loops = ()
    hold: MappingOf[str, str] = Field(default_factory=dict)
    place: MappingOf[str, Level] = Field(default_factory=dict)
    direct: tuple[str, ...] = ()
    shares: MappingOf[str, str] = Field(default_factory=dict)
    spill: MappingOf[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field(default_factory=dict)
    in_flight: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    published: Published = Published()


class Mapping(Spec):
    """A cascade laid out on a spatial array; see the modules's sentence and `docs/mappings.md`."""

    name: str
    about: str = ""
    source: str = ""
    cascades: tuple[str, ...]
    bind: tuple[Binding, ...]
    groups: Annotated[tuple[Group, ...], Field(min_length=1)]

    def binding(self, einsum: str) -> Binding:
        """The binding of an Einsum; one without a name of its own falls to the one with `rest`.

        Raises:
            MappingError: No binding names the Einsum.
        """
        for wanted in (einsum, "rest"):
            for binding in self.bind:
                if wanted in binding.einsums:
                    return binding
        raise MappingError(
            f"mapping {self.name}: want every Einsum bound to a unit, found none for {einsum}"
        )


@cache
def _files() -> MappingOf[str, Path]:
    return {path.stem: path for path in sorted(MAPPINGS.glob("*.yaml"))}


def names() -> tuple[str, ...]:
    """Names of the mappings that ship as files, sorted."""
    return tuple(_files())


@cache
def _shipped(name: str) -> Mapping:
    return read_spec(_files()[name], Mapping)


def load(name_or_path: str | Path) -> Mapping:
    """Load a mapping that ships by its name, or a user's by the path of its YAML file.

    Raises:
        SpecError: No such mapping, or all the mistakes in its file.

    >>> load("fusemax").groups[0].hold["K"]
    'm1'
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return read_spec(path, Mapping)
    if name not in _files():
        hint = did_you_mean(name, names())
        known = ", ".join(names())
        raise SpecError([f"mapping: want a file.yaml or one of {known}, found {name!r}{hint}"])
    return _shipped(name)
