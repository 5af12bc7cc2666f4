"""A sweep over arrays is the loop of its questions, one by one."""

import numpy as np
import pytest
from random_questions import BASES, MAPPINGS, small_machine

from einfall.einsum_cascades import library
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.sim import mapping as mappings
from einfall.sim.accounting import ARTIFACT, PHYSICAL
from einfall.sim.estimate import estimate

FILES = [pair for pair in MAPPINGS if pair[0] != "flat"]
RAGGED = {
    "batch": [1, 2, 3, 1, 2, 1, 1],
    "heads": [4, 6, 8, 1, 8, 2, 2], "kv_heads": [4, 2, 1, 1, 8, 1, 2],
    "queries": [1, 16, 37, 61, 4, 100, 3], "keys": [33, 1, 37, 64, 4, 7, 257],
    "head_dim": [8, 16, 5, 1, 64, 8, 8], "value_dim": [8, 4, 5, 17, 64, 1, 8],
}  # fmt: skip
WHOLE = {
    "batch": [1, 2, 64], "heads": [2, 12, 16], "queries": [256, 1024, 16384],
    "keys": [256, 1024, 16384], "head_dim": [64, 64, 128],
}  # fmt: skip
FIELDS = {
    "dram.bandwidth": [1e9, 2e10, 4e11, 1e13],
    "clock": [1e8, 9.4e8, 9.4e8, 3e9],
    "buffer.capacity": [2e4, 4e4, 1e6, 1.6e7],
    "buffer.ports": [1, 2, 3, 4],
}


def rows(table):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def figures(estimated):
    numbers = {"latency": estimated.latency_s, "energy": estimated.energy_j}
    numbers |= {f"busy {k}": v for k, v in estimated.busy_s.items()}
    numbers |= {f"traffic {k}": v for k, v in estimated.traffic_bytes.items()}
    numbers |= {f"utilization {k}": v for k, v in estimated.utilization.items()}
    numbers |= {f"parts {k}": v for k, v in estimated.parts_j.items()}
    for line in estimated.breakdown:
        numbers |= {f"{line.einsum} busy": line.busy_s, f"{line.einsum} energy": line.energy_j}
    return numbers


def assert_equal(swept, alone):
    for key, numbers in figures(swept).items():
        wanted = [figures(one)[key] for one in alone]
        found = np.broadcast_to(numbers, len(alone))
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0, err_msg=key)
    bounds = np.broadcast_to(swept.bound, len(alone)).tolist()
    assert bounds == [one.bound for one in alone]


@pytest.mark.parametrize(("name", "cascade"), FILES)
def test_shapes_ragged_and_grouped(name, cascade):
    cascade, mapping = library.load(cascade), mappings.load(name)
    machine = small_machine(BASES[name], 4, buffer__capacity=4e4)
    shapes = {key: np.array(values) for key, values in RAGGED.items()}
    swept = estimate(cascade, shapes, machine, mapping)
    alone = [estimate(cascade, shape, machine, mapping) for shape in rows(RAGGED)]
    assert_equal(swept, alone)


@pytest.mark.parametrize("accounting", [PHYSICAL, ARTIFACT], ids=lambda a: a.name)
@pytest.mark.parametrize(("name", "cascade"), FILES)
def test_shapes_of_whole_tiles(name, cascade, accounting):
    cascade, mapping, machine = library.load(cascade), mappings.load(name), load(BASES[name])
    shapes = {key: np.array(values) for key, values in WHOLE.items()}
    swept = estimate(cascade, shapes, machine, mapping, accounting=accounting)
    alone = [
        estimate(cascade, shape, machine, mapping, accounting=accounting) for shape in rows(WHOLE)
    ]
    assert_equal(swept, alone)


@pytest.mark.parametrize("accounting", [PHYSICAL, ARTIFACT], ids=lambda a: a.name)
@pytest.mark.parametrize("field", [*FIELDS, "all"])
@pytest.mark.parametrize(("name", "cascade"), FILES)
def test_machine_fields(name, cascade, field, accounting):
    cascade, mapping = library.load(cascade), mappings.load(name)
    machine = small_machine(BASES[name], 4, buffer__banks=8)
    shape = {"batch": 2, "heads": 4, "queries": 64, "keys": 96, "head_dim": 16, "value_dim": 8}
    fields = FIELDS if field == "all" else {field: FIELDS[field]}
    arrays = {key: np.array(values) for key, values in fields.items()}
    swept = estimate(
        cascade, shape, with_overrides(machine, arrays), mapping, accounting=accounting
    )
    alone = [
        estimate(cascade, shape, with_overrides(machine, one), mapping, accounting=accounting)
        for one in rows(fields)
    ]
    assert_equal(swept, alone)


@pytest.mark.parametrize(("name", "cascade"), FILES)
def test_a_grid_of_shapes_and_machines_broadcasts(name, cascade):
    cascade, mapping = library.load(cascade), mappings.load(name)
    machine = small_machine(BASES[name], 4)
    lengths, widths = np.array([5, 64, 130]), np.array([1e9, 1e12])
    fast = with_overrides(machine, {"dram.bandwidth": widths})
    grid = {"queries": lengths[:, None], "keys": lengths[:, None], "head_dim": 8}
    swept = estimate(cascade, grid, fast, mapping)
    assert swept.latency_s.shape == (3, 2)
    for i, length in enumerate(lengths):
        for j, width in enumerate(widths):
            one = with_overrides(machine, {"dram.bandwidth": float(width)})
            shape = {"queries": int(length), "keys": int(length), "head_dim": 8}
            alone = estimate(cascade, shape, one, mapping)
            assert swept.latency_s[i, j] == pytest.approx(alone.latency_s, rel=1e-12)
            energy = np.broadcast_to(swept.energy_j, (3, 2))[i, j]
            assert energy == pytest.approx(alone.energy_j, rel=1e-12)
