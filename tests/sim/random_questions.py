"""Random questions for the laws of the simulator: machines, shapes of any cascade, mappings.

Machines are those that ship with fields set anew; arrays are small, so that small shapes already
make many steps. Shapes are ragged, have grouped heads, one query, or unequal widths.
"""

from itertools import product
from math import prod

from hypothesis import strategies as st

from einfall.einsum_cascades import library
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate

CASCADES = tuple(c for c in map(library.load, library.names()) if not c.windows)
ATTENTION = tuple(c for c in CASCADES if {"heads", "keys"} <= {r.shape_key for r in c.ranks})
MAPPINGS = (
    ("fusemax", "attention_1pass"),
    ("plus_architecture", "attention_1pass"),
    ("plus_cascade", "attention_1pass"),
    ("unfused", "attention_3pass"),
    ("flat", "attention_3pass"),
)
BASES = {
    "fusemax": "fusemax_cloud",
    "plus_architecture": "fusemax_cloud",
    "plus_cascade": "flat_cloud",
    "unfused": "flat_cloud",
    "flat": "flat_cloud",
}


def small_machine(base="fusemax_cloud", edge=4, **fields):
    """A machine of `base` with a square array of the given edge; fields as `dram__bandwidth`."""
    square = {"units.2d.rows": edge, "units.2d.cols": edge, "units.1d.cols": edge}
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return with_overrides(load(base), {**square, "buffer.row": 2.0 * edge, **named})


@st.composite
def machines(draw, bases=("fusemax_cloud", "flat_cloud", "tpu_v4_like")):
    """A shipped machine with a small array, and other memories, clock and op cycles."""
    base = draw(st.sampled_from(bases))
    edges = st.sampled_from((1, 2, 4, 8, 16))
    ports = draw(st.integers(1, 4))
    fields = {
        "clock": draw(st.sampled_from((2e8, 9.4e8, 3e9))),
        "dram.bandwidth": draw(st.sampled_from((1e9, 2e10, 4e11, 1e13))),
        "buffer.capacity": draw(st.sampled_from((16e3, 128e3, 16e6))),
        "buffer.row": draw(st.sampled_from((8.0, 64.0, 512.0))),
        "buffer.ports": ports,
        "buffer.banks": 8,
        "units.2d.rows": draw(edges),
        "units.2d.cols": draw(edges),
        "units.1d.cols": draw(edges),
        "units.2d.ops.mac.cycles": draw(st.sampled_from((1, 2))),
        "units.1d.ops.div.cycles": draw(st.sampled_from((1, 4))),
        "units.1d.issue": draw(st.sampled_from(("serial", "chained"))),
    }
    return with_overrides(load(base), fields)


SIZES = {
    "batch": st.integers(1, 3),
    "queries": st.sampled_from((1, 2, 5, 16, 37, 61, 128)),
    "keys": st.sampled_from((1, 2, 7, 16, 37, 67, 131)),
    "tokens": st.sampled_from((1, 5, 16, 37, 61)),
    "rows": st.sampled_from((1, 5, 16, 37, 61)),
    "inner": st.sampled_from((1, 3, 16, 35)),
    "cols": st.sampled_from((1, 3, 16, 35)),
    "head_dim": st.sampled_from((1, 3, 8, 16)),
    "value_dim": st.sampled_from((1, 4, 8, 17)),
    "model_dim": st.sampled_from((1, 8, 21)),
    "ffn_dim": st.sampled_from((1, 9, 32)),
    "map_height": st.sampled_from((1, 3, 4)),
    "map_width": st.sampled_from((1, 2, 4)),
    "outputs": st.sampled_from((1, 5, 16)),
}


@st.composite
def shapes(draw, cascade):
    """A small shape of a cascade: grouped, ragged, decoding, widths that differ."""
    keys = dict.fromkeys(r.shape_key for r in cascade.ranks if r.shape_key)
    shape = {key: draw(SIZES[key]) for key in keys if key in SIZES}
    if "heads" in keys:
        kv_heads, group = draw(st.sampled_from(((1, 1), (2, 1), (1, 3), (2, 2), (1, 8))))
        shape["heads"] = kv_heads * group
        if "kv_heads" in keys:
            shape["kv_heads"] = kv_heads
    return shape


def ask(cascade, shape, machine, name=None, **switches):
    """The estimate with a mapping by its name, or with the default one."""
    if isinstance(cascade, str):
        cascade = library.load(cascade)
    accounting = {k: v for k, v in switches.items() if k == "accounting"}
    mapping = mapping_for(cascade, shape, machine, name=name, **accounting)
    return estimate(cascade, shape, machine, mapping, **switches)


def in_turn_s(pipeline):
    """Every execution of every task after the other: on its slowest resource, and its latency."""
    total = 0.0
    for phase, task in pipeline.tasks():
        nest = phase.nest
        cut = [[(r, *piece) for piece in nest.pieces(r, task.at)] for r in nest.extents]
        for pieces in product(*cut):
            extents = {rank: extent for rank, extent, _ in pieces}
            slowest = max(task.times(lambda work, at=extents: work.at(at)).values())
            total += prod(times for *_, times in pieces) * (slowest + task.latency_s)
    return total
