"""The ladder of a machine: no rung rises, the simulated speedup is below every bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_questions import machines

from einfall.einsum_cascades import load
from einfall.einsum_cascades.masked import with_mask
from einfall.hw_models import load as load_machine
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.ladder import Rung, contractions, machine_ladder, with_measured

MASKS = st.one_of(
    st.just("causal"),
    st.integers(1, 40).map(lambda w: f"sliding:window={w}"),
    st.tuples(st.integers(1, 4), st.integers(1, 20)).map(
        lambda t: f"sink_window:sinks={t[0]},window={t[1]}"
    ),
    st.integers(1, 30).map(lambda b: f"block_diagonal:block={b}"),
    st.integers(1, 30).map(lambda b: f"causal & block_diagonal:block={b}"),
    st.integers(1, 9).map(lambda n: f"random:kept={n},seed={n}"),
)
CASCADES = ("attention_1pass", "attention_3pass", "attention_2pass")


def asked(cascade, shape, machine, *, simulate):
    mapping = mapping_for(cascade, shape, machine)
    return estimate(cascade, shape, machine, mapping, simulate=simulate)


@settings(max_examples=60)
@given(
    machines(bases=("fusemax_cloud",)),
    MASKS,
    st.sampled_from(CASCADES),
    st.sampled_from(CASCADES),
    st.integers(9, 70),
    st.booleans(),
)
def test_no_rung_rises_and_the_simulation_stays_below(  # noqa: PLR0913
    machine, mask, name, base, queries, simulate
):
    shape = {"heads": 2, "queries": queries, "head_dim": 4}
    masked, whole = with_mask(load(name), mask), load(base)
    found = asked(masked, shape, machine, simulate=simulate)
    baseline = asked(whole, shape, machine, simulate=simulate)
    ladder = machine_ladder(masked, found, whole, baseline)
    speedups = [rung.speedup for rung in ladder.rungs]
    assert speedups == sorted(speedups, reverse=True)
    exact = float(baseline.latency_s / found.latency_s)
    # The simulated rung is the quotient itself: nothing had to be cut down to stay below.
    assert speedups[-1] == pytest.approx(exact, rel=1e-9)


def test_a_causal_mask_has_half_of_the_products():
    shape = {"heads": 1, "queries": 1024, "head_dim": 64}
    machine, dense = load_machine("fusemax_cloud"), load("attention_1pass")
    causal = with_mask(dense, "causal")
    half = contractions(causal, asked(causal, shape, machine, simulate=False))["2d"]
    all_ = contractions(dense, asked(dense, shape, machine, simulate=False))["2d"]
    # 1024·1025/2 pairs are attended; 10 of 16 tiles of 256 x 256 are visited.
    assert half.attended_s / all_.attended_s == pytest.approx(1025 / 2048)
    assert half.visited_s / all_.visited_s == pytest.approx(10 / 16)
    assert all_.attended_s == all_.visited_s


def test_where_most_is_lost_has_a_name():
    dense = load("attention_1pass")
    masked = with_mask(dense, "sliding:window=8")
    shape = {"heads": 2, "queries": 2048, "head_dim": 64}
    machine = load_machine("fusemax_cloud")
    found = asked(masked, shape, machine, simulate=False)
    ladder = machine_ladder(masked, found, dense, asked(dense, shape, machine, simulate=False))
    # 8 keys a query, but tiles of 256 keys: the count falls by far most.
    assert ladder.largest_loss.between == ("operation count", "all tiles")
    assert ladder.largest_loss.part > 0.9
    measured = with_measured(ladder, [Rung("measured", 1.0, "a kernel", "measured")])
    assert measured.rungs[-1].name == "measured"
    assert len(measured.losses) == len(measured.rungs) - 1
