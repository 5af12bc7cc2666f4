"""FuseMax's machines from 16×16 to 512×512: `fusemax_cloud` with arrays and memories resized."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from einfall import hw_models
from einfall.hw_models.spatial_array import SpatialArray
from einfall.hw_models.yaml_door import SpecError

FILE = Path(__file__).parent / "data" / "pareto_sram.csv"
"""The buffers of the sweep, with their source."""

BASE = "fusemax_cloud"
SMALLEST_FILE = 64
"""Words below which the area of a register file does not shrink."""

_PJ, _MM2_OF_UM2 = 1e-12, 1e-6


@dataclass(frozen=True, slots=True)
class Registers:
    """A register file: energy of an access [J], area [mm²]."""

    depth: int
    read_energy_j: float
    write_energy_j: float
    area_mm2: float


def registers(depth: int) -> Registers:
    """The register file of one element, 16-bit words in 45 nm.

    With a = ⌈log2 depth⌉ address bits:

        write [pJ] = 64 · 0.02947 + address(a)          comparators, address adder
        read  [pJ] = write + 32 · 0.009
        area [µm²] = max(64, depth) · (32 · 5.98 + 71) + 11.63484 · a

    Args:
        depth: Words.

    Source:
        Accelergy tables behind the artifact of Nayak et al., FuseMax, MICRO 2024, as the reference
        notes resolve them. Its tables round energies to 1e-6 pJ.

    >>> r = registers(12)
    >>> round(r.read_energy_j * 1e12, 6), round(r.area_mm2 * 1e6, 5)
    (2.190435, 16837.57936)
    """
    bits = (depth - 1).bit_length()
    write = 64 * 0.02947 + _address_pj(bits)
    area = max(SMALLEST_FILE, depth) * (32 * 5.98 + 71) + _address_um2(bits)
    return Registers(depth, (write + 32 * 0.009) * _PJ, write * _PJ, area * _MM2_OF_UM2)


def _address_pj(bits: int) -> float:
    """Energy of the adder that forms an address [pJ]."""
    return 0.000276 + 0.0040197 * bits


def _address_um2(bits: int) -> float:
    """Its area [µm²]."""
    return 11.63484 * bits


def machine(pe_dim: int, head_dim: int) -> SpatialArray:
    """FuseMax with arrays of `pe_dim`, sized for heads of `head_dim`.

    With tiles = 2 · max(1, pe_dim / head_dim), the registers of the 2D array are 2 · tiles deep,
    those of the 1D array 8 · tiles; the buffer is that of `pareto_sram.csv`.

    Raises:
        SpecError: The table has no buffer for them.

    >>> m = machine(256, 64)
    >>> m.units["2d"].pes, m.buffer.capacity_bytes, m.units["1d"].registers.depth
    (65536, 262144.0, 64)
    """
    buffer = _buffers().get((head_dim, pe_dim))
    if buffer is None:
        have = ", ".join(f"{e}x{d}" for e, d in sorted(_buffers()))
        found = f"{head_dim}x{pe_dim}"
        raise SpecError(
            [f"pareto: want head_dim x pe_dim of {have}, found {found}; see {FILE.name}"]
        )
    tiles = 2 * max(1, pe_dim // head_dim)
    changes: dict[str, float] = {
        "units.2d.rows": pe_dim,
        "units.2d.cols": pe_dim,
        "units.1d.cols": pe_dim,
        "network_area": (pe_dim + 2) * _MM2_OF_UM2,  # an entry a column and one for each array
        **{f"buffer.{name}": value for name, value in buffer.items()},
    }
    for unit, depth in (("2d", 2 * tiles), ("1d", 8 * tiles)):
        file = registers(depth)
        changes[f"units.{unit}.registers.depth"] = file.depth
        changes[f"units.{unit}.registers.read_energy"] = file.read_energy_j
        changes[f"units.{unit}.registers.write_energy"] = file.write_energy_j
        changes[f"units.{unit}.registers.area"] = file.area_mm2
    return hw_models.with_overrides(hw_models.as_array(hw_models.load(BASE)), changes)


@cache
def _buffers() -> Mapping[tuple[int, int], Mapping[str, float]]:
    """Fields of the buffer by (head_dim, pe_dim); the address adder is added to CACTI's values."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    found = {}
    for row in rows:
        bits = int(row["address_bits"])
        found[int(row["head_dim"]), int(row["pe_dim"])] = {
            "capacity": float(row["capacity_bytes"]),
            "row": float(row["row_bytes"]),
            "read_energy": (float(row["read_pj"]) + _address_pj(bits)) * _PJ,
            "write_energy": (float(row["write_pj"]) + _address_pj(bits)) * _PJ,
            "area": (float(row["area_um2"]) + _address_um2(bits)) * _MM2_OF_UM2,
        }
    return found
