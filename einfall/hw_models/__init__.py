"""On what it runs: machines as pydantic specs by kind, and one YAML file a device."""

from einfall.hw_models.gpu import Gpu
from einfall.hw_models.library import Machine, as_array, load, machine_sources, names, parse
from einfall.hw_models.optical_4f import Optical4f
from einfall.hw_models.overrides import read_overrides, with_overrides
from einfall.hw_models.spatial_array import SpatialArray, UnsupportedOpError
from einfall.hw_models.yaml_door import Source, Spec, SpecError, read_spec

__all__ = [
    "Gpu",
    "Machine",
    "Optical4f",
    "Source",
    "SpatialArray",
    "Spec",
    "SpecError",
    "UnsupportedOpError",
    "as_array",
    "load",
    "machine_sources",
    "names",
    "parse",
    "read_overrides",
    "read_spec",
    "with_overrides",
]
