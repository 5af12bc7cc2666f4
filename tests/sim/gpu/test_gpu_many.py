"""Many launches as arrays are what `estimate` says of each, for every schedule that ships."""

from dataclasses import replace

import numpy as np
import pytest

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load as load_machine
from einfall.hw_models import names as machine_names
from einfall.sim.gpu.asked import SERVES, ask, kernels_for
from einfall.sim.gpu.estimate import estimate
from einfall.sim.gpu.many import launches
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import ScheduleError, load
from einfall.sim.gpu.terms import Terms
from einfall.sim.gpu.tuned import fastest

CASCADES = sorted({cascade for served in SERVES.values() for cascade in served})
NUMBERS = ("latency_s", "energy_j", "clock_hz", "cycles")
PARTS = ("traffic_bytes", "busy_s", "utilization")
SHAPES = 6


def machines():
    """Every schedule once for each cascade it computes, on the first machine that has it."""
    found = {}
    for gpu in map(load_machine, machine_names("gpu")):
        for cascade in CASCADES:
            for kernel in kernels_for(cascade, gpu):
                found.setdefault((kernel, cascade), gpu)
    return [pytest.param(*key, gpu, id="-".join(key)) for key, gpu in found.items()]


def random_shapes(kernel, cascade):
    """Batch, heads and lengths, from a query to 32 K."""
    rng = np.random.default_rng(sum(kernel.encode()))
    lengths = np.floor(2 ** rng.uniform(0, 15, (2, SHAPES)))
    shapes = {"batch": rng.integers(1, 64, SHAPES), "heads": rng.integers(1, 64, SHAPES)}
    shapes |= {"queries": lengths[0], "keys": lengths[1]}
    if load(kernel).does == "chunked":  # as many keys as queries
        del shapes["keys"]
    fixed = {"head_dim": int(rng.choice([64, 80, 128]))}
    return [{k: int(v[i]) for k, v in shapes.items()} | fixed for i in range(SHAPES)], load_cascade(
        cascade
    )


@pytest.mark.parametrize(("kernel", "cascade", "gpu"), machines())
def test_arrays_are_what_estimate_says_of_each(kernel, cascade, gpu):
    shapes, cascade = random_shapes(kernel, cascade)
    single = [estimate(cascade, shape, gpu, mapping=kernel) for shape in shapes]
    asked = ask(cascade, shapes[0], gpu, mapping=kernel)
    own = [n for n, each in enumerate(single) if each.kernel is asked.kernel]
    numbers = ("batch", "heads", "kv_heads", "queries", "keys")
    arrays = {
        key: np.array([float(getattr(single[n].problem, key)) for n in own]) for key in numbers
    }
    problem = replace(asked.problem, **arrays)
    found = launches(asked.kernel, gpu, problem, asked.fit.parameters)
    for place, n in enumerate(own):
        for name in NUMBERS:
            value = np.broadcast_to(getattr(found, name), len(own))[place]
            assert value == pytest.approx(getattr(single[n], name), rel=1e-9)
        for root in PARTS:
            parts, wanted = getattr(found, root), getattr(single[n], root)
            got = {k: float(np.broadcast_to(v, len(own))[place]) for k, v in parts.items()}
            assert got == pytest.approx({k: wanted[k] for k in got}, rel=1e-9)
        assert str(np.broadcast_to(found.bound, len(own))[place]) == single[n].bound


def test_the_fastest_way_is_chosen_for_each_launch():
    def way(cycles, tile):
        work = Work({"hbm": 1.0}, np.array(cycles), memory_s=0.0, fixed_s=0.0)
        return Terms(work, "scan", f"tile {tile}", parts_s={"host": np.array(cycles) * 2})

    ways = [way([1.0, 9.0], 64), way([4.0, 4.0], 128)]
    found = fastest(ways, [each.work.cycles for each in ways])
    assert found.work.cycles.tolist() == [1.0, 4.0]
    assert found.parts_s["host"].tolist() == [2.0, 8.0]
    assert (found.work.actions, found.pipe) == ({"hbm": 1.0}, "scan")
    assert found.why == "tile 64 or tile 128"
    assert fastest(ways, [1.0, 2.0]) is ways[0]


def test_what_is_no_attention_is_refused():
    gpu = load_machine("h100_sxm")
    with pytest.raises(ScheduleError, match="wanted a kernel of attention, dense or causal"):
        launches(load("triton_flash"), gpu, Problem(window=64), load("triton_flash").parameters)
