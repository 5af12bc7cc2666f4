"""The machines that ship, and the door for a user's own: `load("fusemax_cloud")`, `load(path)`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from einfall.hw_models.gpu import Gpu
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.spatial_array import SpatialArray
from einfall.hw_models.yaml_door import Source, SpecError, did_you_mean, read_document

Machine: TypeAlias = SpatialArray | Gpu | Optical4f
KINDS: Mapping[str, type[Machine]] = {
    "gpu": Gpu,
    "optical_4f": Optical4f,
    "spatial_array": SpatialArray,
}

DEVICES = Path(__file__).parent / "devices"


def names(kind: str | None = None) -> tuple[str, ...]:
    """Names of the machines that ship, sorted; those of one kind, or all.

    >>> names("spatial_array")[:2]
    ('flat_cloud', 'flat_edge')
    """
    found = sorted(_files())
    return tuple(name for name in found if kind is None or load(name).kind == kind)


def load(name_or_path: str | Path | Machine) -> Machine:
    """Load a machine that ships by its name, or a user's by the path of its YAML file.

    Args:
        name_or_path: A name of `names()`; or a path, which has a `.yaml` or `.yml` at its end; a
            machine that is there already is given back.

    Returns:
        The machine; what ships is read once and kept.

    Raises:
        SpecError: No such machine, or all the mistakes in its file.

    >>> load("fusemax_cloud").clock_hz, load("h100_sxm").sms
    (940000000.0, 132)
    """
    if isinstance(name_or_path, SpatialArray | Gpu | Optical4f):
        return name_or_path
    name = str(name_or_path)
    return _shipped(name) if name in _files() else _read(_path(name_or_path))


def parse(text: str) -> Machine:
    r"""The machine that a YAML text describes, as a file of it would; `base:` is one that ships.

    Raises:
        SpecError: All the mistakes in the text.

    >>> parse("base: h100_sxm\nname: twice\nhbm: {bandwidth: 6.7 TB/s}").hbm.bandwidth_bytes_per_s
    6700000000000.0
    """
    return _read(text)


def kind_of(name_or_path: str | Path) -> str | None:
    """The kind that a machine's file or its base states, without asking whether the rest is right.

    Raises:
        SpecError: No such machine, or the file cannot be read.

    >>> kind_of("h100_sxm")
    'gpu'
    """
    name = str(name_or_path)
    return _shipped_kind(name) if name in _files() else _stated_kind(_path(name_or_path))


def machine_sources(name_or_path: str | Path) -> Mapping[str, Source]:
    """Source of every number of a machine by its path in the YAML, such as `dram.bandwidth`.

    Raises:
        SpecError: As `load`.

    >>> machine_sources("fusemax_cloud")["dram.bandwidth"].status
    'published'
    """
    return load(name_or_path).sources


def as_array(machine: Machine) -> SpatialArray:
    """The machine, where it is a spatial array; for mappings and all else that needs its parts.

    Raises:
        SpecError: It is of another kind; with the arrays that ship, and where GPUs are asked.

    >>> as_array(load("fusemax_cloud")).units["2d"].pes
    65536
    """
    if isinstance(machine, SpatialArray):
        return machine
    arrays, gpus = (", ".join(names(kind)) for kind in ("spatial_array", "gpu"))
    raise SpecError(
        [
            f"machine {machine.name}: wanted a spatial_array, whose units and buffers a mapping "
            f"divides work over, found a {machine.kind}; arrays are {arrays}; cascades run on GPUs "
            f"({gpus}) too, by kernel schedules: einfall.sim.gpu"
        ]
    )


def _path(name_or_path: str | Path) -> Path:
    """The file of a machine: a path that ends as one, or a machine that ships by its name."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    if (name := str(name_or_path)) not in _files():
        known = ", ".join(sorted(_files()))
        hint = did_you_mean(name, _files())
        raise SpecError([f"machine: want a file.yaml or one of {known}, found {name!r}{hint}"])
    return _files()[name]


@cache
def _files() -> Mapping[str, Path]:
    return {path.stem: path for path in DEVICES.glob("*.yaml")}


@cache
def _shipped_kind(name: str) -> str | None:
    return _stated_kind(_files()[name])


def _stated_kind(path: Path) -> str | None:
    return read_document(path, _files()).data.get("kind")


@cache
def _shipped(name: str) -> Machine:
    return _read(_files()[name])


def _read(source: Path | str) -> Machine:
    document = read_document(source, _files())
    kind = document.data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        if not document.lacks_base:  # the kind may stand in the base
            known = ", ".join(sorted(KINDS))
            found = "none" if kind is None else repr(kind)
            document.report(("kind",), f"want a kind of machine ({known}), found {found}")
        raise document.error()
    return document.build(KINDS[kind])
