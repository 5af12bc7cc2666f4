"""What-ifs: nothing changes nothing, faster is never slower, toys whose answers are known."""

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, model_validator

from einfall.einsum_cascades import load as cascade
from einfall.hw_models import Spec, load, with_overrides
from einfall.scenarios.whatif import (
    LEAST,
    Outcome,
    compare,
    freed,
    numeric,
    prices,
    shadows,
    tornado,
    unpriced,
)
from einfall.sim import estimate as arrays
from einfall.sim.choice import mapping_for
from einfall.sim.gpu import estimate as gpus
from einfall.sim.optical import estimate as optics

ATTENTION = {"batch": 2, "heads": 4, "queries": 1024, "head_dim": 64}
DECODE = {"batch": 8, "heads": 32, "kv_heads": 8, "queries": 1, "keys": 4096, "head_dim": 128}
CONV = {"batch": 16, "channels": 3, "filters": 8, "height": 32, "kernel_height": 3}


def on_array(name):
    asked = cascade(name)
    return lambda machine: arrays.estimate(
        asked, ATTENTION, machine, mapping_for(asked, ATTENTION, machine)
    )


def on_gpu(shape):
    return lambda machine: gpus.estimate(cascade("attention_1pass"), shape, machine)


def on_optics(machine):
    return optics.estimate(cascade("conv2d"), CONV, machine)


ASKED = {
    "fusemax_cloud": on_array("attention_1pass"),
    "flat_cloud": on_array("attention_3pass"),
    "tpu_v4_like": on_array("attention_2pass"),
    "h100_sxm": on_gpu(DECODE),
    "b200": on_gpu(ATTENTION),
    "optical_4f_dmd": on_optics,
}
RATES = [
    *((machine, path) for machine in ("fusemax_cloud", "flat_cloud", "tpu_v4_like")
      for path in ("clock", "dram.bandwidth", "buffer.capacity")),
    ("h100_sxm", "hbm.bandwidth"),
    ("h100_sxm", "l2.bandwidth"),
    ("b200", "sm.mufu_per_clock"),
    ("optical_4f_dmd", "host.camera_link"),
    ("optical_4f_dmd", "input.rate"),
]  # fmt: skip


class Toy(Spec):
    """Work on lanes, then bytes over a link, then a fixed time."""

    lanes: int = Field(ge=1)
    rate: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    fixed: float = Field(ge=0)
    part: float = Field(gt=0, le=1)
    energy: float
    spare: float = 1.0
    name: str = "toy"

    @model_validator(mode="after")
    def _keeps_spare_below_two(self):
        if self.spare != 1.0:
            raise ValueError(f"want spare of 1, found {self.spare:g}")
        return self


TOY = Toy(lanes=10, rate=2.0, bandwidth=5.0, fixed=0.5, part=1.0, energy=3.0)


def on_toy(toy):
    busy = {"lanes": 60 / (toy.lanes * toy.rate), "link": 10 / (toy.bandwidth * toy.part)}
    return Outcome(sum(busy.values()) + toy.fixed, toy.energy, "lanes", busy)


# One change ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_doing_nothing_changes_nothing(name):
    machine = load(name)
    path = next(number.path for number in numeric(machine) if number.value)
    change = compare("same", ASKED[name], machine, with_overrides(machine, {path: "1x"}))
    assert change.after == change.before
    assert (change.speedup, change.energy_ratio) == (1.0, 1.0)


@pytest.mark.parametrize(("name", "path"), RATES)
@given(factor=st.sampled_from([1.0, 1.25, 2.0, 3.0, 8.0]))
@settings(max_examples=3)
def test_faster_is_never_slower(name, path, factor):
    machine = load(name)
    faster = with_overrides(machine, {path: f"{factor}x"})
    assert compare("faster", ASKED[name], machine, faster).speedup >= 1 - 1e-9


@pytest.mark.parametrize(
    ("name", "path"), [RATES[0], ("h100_sxm", "hbm.bandwidth"), ("optical_4f_dmd", "word")]
)
def test_a_change_is_two_estimates(name, path):
    machine = load(name)
    changed = with_overrides(machine, {path: "0.5x"})
    change = compare("half", ASKED[name], machine, changed)
    for outcome, there in ((change.before, machine), (change.after, changed)):
        found = ASKED[name](there)
        assert outcome.latency_s == float(found.latency_s)
        assert outcome.energy_j == float(found.energy_j)
        assert outcome.bound == found.bound


def test_what_does_not_fit_any_more_says_so():
    machine = load("fusemax_cloud")
    small = with_overrides(machine, {"buffer.capacity": "1 KiB"})
    change = compare("attention_1pass", ASKED["fusemax_cloud"], machine, small)
    assert change.after is None
    assert change.speedup is None
    assert "buffer.capacity of fusemax_cloud is 1,024 B" in change.refusal
    assert change.to_dict()["refusal"] == change.refusal


def test_the_next_in_line_is_the_busiest_beside_what_binds():
    outcome = Outcome(4.0, 1.0, "launch", {"a": 1.0, "b": 2.0})
    assert outcome.next == "b"
    assert outcome.to_dict()["bound_share"] is None
    assert outcome.to_dict()["next_share"] == 0.5
    assert Outcome(1.0, 1.0, "a", {"a": 1.0}).next is None


# Every number, up and down ------------------------------------------------------------------------


@given(share=st.sampled_from([0.1, 0.2, 0.5]))
@settings(max_examples=3)
def test_the_tornado_of_a_toy_is_known(share):
    found = {effect.path: effect for effect in tornado(on_toy, TOY, share).effects}
    assert list(found) == ["lanes", "rate", "bandwidth", "part", "fixed", "energy"] or share == 0.1
    work, link, base = 3.0, 2.0, 5.5
    for path, time in (("lanes", work), ("rate", work), ("bandwidth", link)):
        low, high = found[path].low.outcome.latency_s, found[path].high.outcome.latency_s
        assert low == pytest.approx(base + time * share / (1 - share))
        assert high == pytest.approx(base - time * share / (1 + share))
        assert found[path].latency_effect == pytest.approx(low / base - 1)
    assert found["fixed"].high.outcome.latency_s == pytest.approx(base + 0.5 * share)
    assert found["energy"].energy_effect == pytest.approx(share)
    assert found["energy"].latency_effect == 0.0


def test_what_cannot_be_moved_is_told():
    found = tornado(on_toy, TOY, 0.2)
    part = next(effect for effect in found.effects if effect.path == "part")
    assert part.high.outcome is None
    assert [(x.path, x.tried) for x in found.refused] == [
        ("part", "1.2"), ("spare", "0.8"), ("spare", "1.2"),
    ]  # fmt: skip
    assert "less than or equal to 1" in found.refused[0].why
    assert found.refused[1].why == "want spare of 1, found 0.8"
    few = tornado(on_toy, TOY.model_copy(update={"lanes": 2, "fixed": 0.0}), 0.2)
    assert {x.path for x in few.left_out} == {"lanes", "fixed"}


def test_whole_numbers_stay_whole():
    effect = next(e for e in tornado(on_toy, TOY, 0.25).effects if e.path == "lanes")
    assert (effect.low.value, effect.high.value) == (8, 12)
    assert isinstance(effect.low.value, int)


@pytest.mark.parametrize("name", ["fusemax_cloud", "h100_sxm", "optical_4f_dmd"])
def test_no_number_is_dropped_and_effects_come_in_order(name):
    machine = load(name)
    told = []
    found = tornado(ASKED[name], machine, 0.2, lambda done, of: told.append((done, of)))
    moved = {effect.path for effect in found.effects}
    rest = {x.path for x in (*found.refused, *found.left_out)} | set(found.unmoved)
    assert moved | rest == {number.path for number in numeric(machine)}
    assert not moved & set(found.unmoved)
    assert told[-1] == (len(told), len(told))
    assert all(max(e.latency_effect, e.energy_effect) > LEAST for e in found.effects)
    times = [e.latency_effect for e in found.effects if e.latency_effect > LEAST]
    assert times == sorted(times, reverse=True)
    first = found.effects[0]
    there = ASKED[name](with_overrides(machine, {first.path: first.low.value}))
    assert first.low.outcome is None or first.low.outcome.latency_s == float(there.latency_s)


# What a rate is worth -----------------------------------------------------------------------------


def test_the_price_of_a_rate_is_its_share_of_the_time():
    found = {price.path: price for price in prices(on_toy, TOY)}
    assert found.keys() == {"lanes", "rate", "bandwidth", "fixed"}  # more of `part` is refused,
    assert found["rate"].gain == pytest.approx(3.0 / 5.5, rel=0.01)  # and less of it slows
    assert found["bandwidth"].gain == pytest.approx(2.0 / 5.5, rel=0.01)
    assert found["fixed"].gain == pytest.approx(0.5 / 5.5, rel=0.01)
    assert (found["rate"].speeds, found["fixed"].speeds) == (("lanes",), ())
    assert (found["rate"].less, found["fixed"].less) == (False, True)
    assert found["lanes"].to == 11
    assert found["lanes"].gain == pytest.approx(log(5.5 / (2.5 + 30 / 11)) / log(1.1))
    assert unpriced(on_toy(TOY), tuple(found.values())) == ()
    assert unpriced(on_toy(TOY), (found["rate"],)) == ("link",)


def test_all_of_a_compute_bound_array_goes_with_its_clock():
    found = prices(ASKED["fusemax_cloud"], load("fusemax_cloud"))
    assert found[0].path == "clock"
    assert found[0].gain == pytest.approx(1.0, abs=0.02)
    assert {"1d", "2d"} <= set(found[0].speeds)


def test_a_decode_step_on_a_gpu_is_worth_its_bandwidth():
    found = {price.path: price for price in prices(ASKED["h100_sxm"], load("h100_sxm"))}
    assert found["hbm.bandwidth"].speeds == ("hbm",)
    assert found["hbm.bandwidth"].gain > 0.5
    assert found["hbm.bandwidth"].gain == pytest.approx(found["hbm.achievable"].gain, rel=1e-6)


# What a resource is worth -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_every_resource_in_use_has_a_price_or_a_reason(name):
    """And without the one that binds, the next in line does, or a reason is told."""
    machine, ask = load(name), ASKED[name]
    base, priced = Outcome.of(ask(machine)), prices(ask, machine)
    found = shadows(base, priced)
    assert [shadow.resource for shadow in found] == [n for n, share in base.shares.items() if share]
    none = [shadow.resource for shadow in found if shadow.price is None]
    assert none == list(unpriced(base, priced))
    for shadow in found:
        if shadow.price is None:
            assert shadow.why == f"no number of the machine speeds {shadow.resource}"
        else:
            assert shadow.resource in shadow.price.speeds
    left = freed(ask, machine, base, found)
    assert left.resource == base.bound
    if left.outcome is None:
        assert left.why
    else:
        assert (left.outcome.bound == base.next) is not bool(left.why)
        there = ask(with_overrides(machine, {left.path: left.text}))
        assert left.outcome.latency_s == pytest.approx(float(there.latency_s))


work = st.floats(0.1, 10.0)


class Lanes(Spec):
    """Three units, each with a rate of its own."""

    a: float = 1.0
    b: float = 1.0
    c: float = 1.0
    name: str = "lanes"


@given(st.fixed_dictionaries({"a": work, "b": work, "c": work}), st.booleans())
def test_the_next_in_line_binds_when_the_one_that_binds_takes_no_time(each, overlapped):
    def ask(machine):
        busy = {name: n / getattr(machine, name) for name, n in each.items()}
        time = max(busy.values()) if overlapped else sum(busy.values())
        return Outcome(time, 1.0, max(busy, key=busy.__getitem__), busy)

    base = ask(Lanes())
    found = shadows(base, prices(ask, Lanes()))
    assert {shadow.resource: shadow.price.path for shadow in found} == {n: n for n in each}
    left = freed(ask, Lanes(), base, found)
    assert (left.outcome.bound, left.why) == (base.next, "")


@pytest.mark.parametrize(
    ("bound", "busy", "why"),
    [
        ("c", lambda a: {"a": 5 / a, "b": 4 / a, "c": 1.0}, "a speeds b too"),
        ("c", lambda a: {"a": 5 / a, "b": 4.0, "c": 3.0}, "c is then busy 3 times as long"),
        ("b", lambda a: {"a": 5 / a, "b": 4.0, "c": 1.0}, ""),
        ("launch", lambda a: {"a": 5 / a, "b": 4.0, "c": 1.0}, "no unit binds then but launch"),
        (
            "a",
            lambda a: {"a": 2.5 + 2.5 / a, "b": 1.0, "c": 1.0},
            "a keeps 50 % of its busy time, whatever a is",
        ),
    ],
)
def test_why_it_is_not_the_next_in_line(bound, busy, why):
    base = Outcome(5.0, 1.0, "a", {"a": 5.0, "b": 4.0, "c": 1.0})

    def ask(machine):
        return base if machine == Lanes() else Outcome(4.0, 1.0, bound, busy(machine.a))

    found = shadows(base, prices(ask, Lanes()))
    assert freed(ask, Lanes(), base, found).why == why
    assert freed(ask, Lanes(), base, shadows(base, ())).why == "no number of the machine speeds a"
