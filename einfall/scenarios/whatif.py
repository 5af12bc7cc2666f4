"""What if: one change before and after, every number of a machine moved, what each rate is worth.

All of it asks the same question of variants of a machine and compares the answers; what answers is
handed in, so that machines of every kind, and a toy of two fields, go the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import log
from typing import Any, Protocol, TypeAlias

from einfall.einsum_cascades.shapes import ShapeError
from einfall.hw_models.constants import Constant, constants
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.spatial_array import UnsupportedOpError
from einfall.hw_models.yaml_door import Spec, SpecError
from einfall.sim.gpu.schedule import ScheduleError
from einfall.sim.mapping import DoesNotFitError, MappingError

LEAST = 1e-4
"""A change of latency or energy, as a part, up to which a number counts as without effect."""

STEP = 0.01
"""By what part a rate is moved to find what it is worth."""

_SPEEDS = 0.25  # of the step: by more a resource's busy time falls with a rate that is its own
_COARSE = 2.0  # times the share: a whole number that can move only farther than this stays
_REFUSALS = (SpecError, MappingError, ScheduleError, ShapeError, UnsupportedOpError)


class Answered(Protocol):
    """An estimate of any kind of machine."""

    @property
    def latency_s(self) -> Any:  # noqa: ANN401  a float, or a NumPy one
        """Time [s]."""
        ...

    @property
    def energy_j(self) -> Any:  # noqa: ANN401
        """Energy [J]."""
        ...

    @property
    def bound(self) -> Any:  # noqa: ANN401
        """What binds."""
        ...

    @property
    def busy_s(self) -> Mapping[str, Any]:
        """Time for which each resource is in use [s]."""
        ...


Ask: TypeAlias = Callable[[Any], Answered]
"""A question with everything settled but the machine."""


@dataclass(frozen=True)
class Outcome:
    """What an estimate comes to: time [s], energy [J], what binds, busy time by resource [s]."""

    latency_s: float
    energy_j: float
    bound: str
    busy_s: Mapping[str, float]

    @classmethod
    def of(cls, found: Answered) -> Outcome:
        """The outcome of an estimate without arrays."""
        busy = {name: float(time) for name, time in found.busy_s.items()}
        return cls(float(found.latency_s), float(found.energy_j), str(found.bound), busy)

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Part of the time for which each resource is in use, the busiest first.

        >>> Outcome(2.0, 1.0, "alu", {"dram": 1.0, "alu": 2.0}).shares
        {'alu': 1.0, 'dram': 0.5}
        """
        ranked = sorted(self.busy_s, key=lambda name: -self.busy_s[name])
        return {name: self.busy_s[name] / self.latency_s for name in ranked}

    @property
    def next(self) -> str | None:
        """The busiest resource beside the one that binds; None if there is no other."""
        return next((name for name in self.shares if name != self.bound), None)

    def to_dict(self) -> dict[str, Any]:
        """The outcome for JSON."""
        return {
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "bound": self.bound,
            "bound_share": self.shares.get(self.bound),
            "next": self.next,
            "next_share": self.shares.get(self.next) if self.next else None,
            "busy_s": dict(self.busy_s),
        }


# One change ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A cascade before and after; without an `after`, why it does not fit then."""

    cascade: str
    before: Outcome
    after: Outcome | None
    refusal: str = ""

    @property
    def speedup(self) -> float | None:
        """Time before over time after."""
        return self.before.latency_s / self.after.latency_s if self.after else None

    @property
    def energy_ratio(self) -> float | None:
        """Energy after over energy before; None also where there was none."""
        if self.after is None or not self.before.energy_j:
            return None
        return self.after.energy_j / self.before.energy_j

    def to_dict(self) -> dict[str, Any]:
        """The change for JSON."""
        return {
            "cascade": self.cascade,
            "before": self.before.to_dict(),
            "after": self.after.to_dict() if self.after else None,
            "refusal": self.refusal or None,
            "speedup": self.speedup,
            "energy_ratio": self.energy_ratio,
        }


def compare(cascade: str, ask: Ask, before: Spec, after: Spec) -> Change:
    """The same question of two machines.

    Args:
        cascade: Name of what is asked.
        ask: The question; a mapping that it chooses is chosen anew on each machine.
        before: The machine as it is.
        after: The machine as it might be.

    Raises:
        MappingError: The cascade cannot be mapped onto one of them. Where it only does not fit the
            second one, the change says so instead.
    """
    first = Outcome.of(ask(before))
    try:
        return Change(cascade, first, Outcome.of(ask(after)))
    except DoesNotFitError as error:
        return Change(cascade, first, None, _in_a_line(error))


# Every number, up and down ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """A number moved to one side: its value there, what comes of it, or why it may not be there."""

    value: float
    text: str
    outcome: Outcome | None
    refusal: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The side for JSON."""
        found = self.outcome
        return {
            "value": self.value,
            "text": self.text,
            "latency_s": found and found.latency_s,
            "energy_j": found and found.energy_j,
            "bound": found and found.bound,
            "refusal": self.refusal or None,
        }


@dataclass(frozen=True, slots=True)
class Effect:
    """A number of a machine moved down and up, each of the effects as a part of what it was."""

    constant: Constant
    low: Side
    high: Side
    latency_effect: float
    energy_effect: float

    @property
    def path(self) -> str:
        """The number's path in the YAML."""
        return self.constant.path

    @property
    def moves(self) -> bool:
        """Whether it changes anything by more than `LEAST`."""
        return max(self.latency_effect, self.energy_effect) > LEAST

    @property
    def refused(self) -> tuple[Side, ...]:
        """The sides to which it may not be moved."""
        return tuple(side for side in (self.low, self.high) if side.outcome is None)

    def to_dict(self) -> dict[str, Any]:
        """The effect for JSON."""
        return {
            "path": self.path,
            "value": self.constant.value,
            "unit": self.constant.unit,
            "text": self.constant.text,
            "low": self.low.to_dict(),
            "high": self.high.to_dict(),
            "latency_effect": self.latency_effect,
            "energy_effect": self.energy_effect,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A number that is not moved, the value that was tried, if any, as text, and why."""

    path: str
    tried: str | None
    why: str

    def to_dict(self) -> dict[str, Any]:
        """The line for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tornado:
    """Every number of a machine down and up by a share, one at a time.

    `effects` are those that change something, the largest change of the time first, then of the
    energy; `unmoved` the paths of those that change nothing; `refused` the sides that the machine
    or the mapping does not allow; `left_out` what cannot be moved by such a share at all. Each
    number is in one of them at least.
    """

    share: float
    base: Outcome
    effects: tuple[Effect, ...]
    unmoved: tuple[str, ...]
    refused: tuple[LeftOut, ...]
    left_out: tuple[LeftOut, ...]

    def to_dict(self) -> dict[str, Any]:
        """The tornado for JSON."""
        return {
            "share": self.share,
            "base": self.base.to_dict(),
            "effects": [effect.to_dict() for effect in self.effects],
            "unmoved": list(self.unmoved),
            "refused": [side.to_dict() for side in self.refused],
            "left_out": [number.to_dict() for number in self.left_out],
        }


def tornado(
    ask: Ask,
    machine: Spec,
    share: float,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Tornado:
    """Move every number of a machine down and up by a share, one at a time.

    A whole number goes to the nearest one, and stays where that is itself or more than twice as far
    as the share asks. Words and compositions (`6 mac`) are not numbers; those of another machine
    that this one names, such as a host, are not its own.

    Args:
        ask: The question.
        machine: On what.
        share: By what part, between 0 and 1.
        told: Is told after each number how many of how many are done.

    >>> from einfall.hw_models import Spec
    >>> class Toy(Spec):
    ...     lanes: int
    ...     rate: float
    ...     spare: float
    >>> def ask(toy):
    ...     time = 60 / (toy.lanes * toy.rate)
    ...     return Outcome(time, 1.0, "lanes", {"lanes": time})
    >>> found = tornado(ask, Toy(lanes=10, rate=2.0, spare=1.0), 0.2)
    >>> [(e.path, e.low.outcome.latency_s, e.high.value) for e in found.effects], found.unmoved
    ([('lanes', 3.75, 12), ('rate', 3.75, 2.4)], ('spare',))
    """
    base = Outcome.of(ask(machine))
    moved: list[Effect] = []
    left_out: list[LeftOut] = []
    numbers = list(numeric(machine))
    for done, number in enumerate(numbers, start=1):
        values = [_moved(number.value, factor) for factor in (1 - share, 1 + share)]
        why = _why_not(number.value, values, share)
        if why:
            left_out.append(LeftOut(number.path, None, why))
        else:
            low, high = (_side(ask, machine, number, value) for value in values)
            moved.append(_effect(base, number, low, high))
        told(done, len(numbers))
    effects = sorted((effect for effect in moved if effect.moves), key=_by_effect)
    unmoved = [e.path for e in moved if not e.moves and len(e.refused) < 2]
    refused = [LeftOut(e.path, side.text, side.refusal) for e in moved for side in e.refused]
    return Tornado(share, base, tuple(effects), tuple(unmoved), tuple(refused), tuple(left_out))


def numeric(machine: Spec) -> Iterator[Constant]:
    """The numbers among all values of a machine, also those that ops leave at their default."""
    for constant in constants(machine, defaults=True).values():
        if isinstance(constant.value, int | float) and not isinstance(constant.value, bool):
            yield constant


def _moved(value: float, factor: float) -> float:
    """The value times the factor, without its last digits; of a whole number the nearest one."""
    return round(value * factor) if isinstance(value, int) else float(f"{value * factor:.12g}")


def _why_not(value: float, moved: list[float], share: float) -> str:
    """Why a number cannot be moved by such a share; nothing if it can."""
    if value == 0:
        return f"0 ± {share:.4g} of it is 0"
    near = [x != value and abs(x / value - 1) <= _COARSE * share for x in moved]
    if not all(near):
        return f"no other whole number within about {100 * share:.4g} % of {value:g}"
    return ""


def _side(ask: Ask, machine: Spec, number: Constant, value: float) -> Side:
    text = replace(number, value=value).text
    try:
        found = Outcome.of(ask(with_overrides(machine, {number.path: value})))
    except _REFUSALS as error:
        why = _in_a_line(error).removeprefix(f"--set {number.path}: ")
        why = why.removeprefix("--set : ").replace("--set ", "")
        return Side(value, text, None, why)
    return Side(value, text, found)


def _effect(base: Outcome, number: Constant, low: Side, high: Side) -> Effect:
    found = [side.outcome for side in (low, high) if side.outcome is not None]
    latency = max((_change(x.latency_s, base.latency_s) for x in found), default=0.0)
    energy = max((_change(x.energy_j, base.energy_j) for x in found), default=0.0)
    return Effect(number, low, high, latency, energy)


def _change(now: float, before: float) -> float:
    """By what part a value has changed, in either direction."""
    return abs(now / before - 1) if before else 0.0


def _by_effect(effect: Effect) -> tuple[float, ...]:
    """The largest first; a change of the time that counts goes before all of the energy alone."""
    latency = effect.latency_effect if effect.latency_effect > LEAST else 0.0
    return -latency, -effect.energy_effect


# What a rate is worth -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Price:
    """What a little more of a number is worth, or a little less of it where that is what helps.

    `gain` is -d ln(latency) / d ln(rate): 1 % more gives so many percent less time; `energy_gain`
    the same of the energy. `speeds` are the resources whose busy time falls with it. Of a whole
    number the step to the next one may be longer than 1 %; `there` is the outcome at its end.
    """

    constant: Constant
    to: float
    there: Outcome
    speeds: tuple[str, ...]
    gain: float
    energy_gain: float

    @property
    def path(self) -> str:
        """The number's path in the YAML."""
        return self.constant.path

    @property
    def less(self) -> bool:
        """Whether less of it is what helps: cycles, latencies, the size of a word."""
        return self.to < self.constant.value

    def to_dict(self) -> dict[str, Any]:
        """The price for JSON."""
        return {
            "path": self.path,
            "value": self.constant.value,
            "text": self.constant.text,
            "to": self.to,
            "to_text": replace(self.constant, value=self.to).text,
            "latency_s": self.there.latency_s,
            "energy_j": self.there.energy_j,
            "direction": "less" if self.less else "more",
            "speeds": list(self.speeds),
            "gain": self.gain,
            "energy_gain": self.energy_gain,
        }


def prices(ask: Ask, machine: Spec, step: float = STEP) -> tuple[Price, ...]:
    """What each rate of a machine is worth, by finite differences; the most worth first.

    A number is a rate of a resource if the resource's busy time falls by more than a quarter of its
    step (a clock under a power cap follows its limit in part); numbers that shorten the time in
    another way are listed, too. Where less of a number helps
    (cycles of an op), the step is downwards, so that a kink is met from the side one would go to; a
    number of which more changes nothing is taken for one of which less changes nothing, either.
    Whole numbers go to the next one. What a machine refuses has no price.

    Args:
        ask: The question.
        machine: On what.
        step: By what part each number is moved.

    >>> from einfall.hw_models import Spec
    >>> class Toy(Spec):
    ...     lanes: int
    ...     bandwidth: float
    >>> def ask(toy):
    ...     busy = {"lanes": 60 / toy.lanes, "link": 10 / toy.bandwidth}
    ...     return Outcome(sum(busy.values()), 1.0, "lanes", busy)
    >>> [(p.path, p.speeds, round(p.gain, 2)) for p in prices(ask, Toy(lanes=20, bandwidth=5.0))]
    [('lanes', ('lanes',), 0.59), ('bandwidth', ('link',), 0.4)]
    """
    base = Outcome.of(ask(machine))
    found = (_price(ask, machine, base, number, step) for number in numeric(machine))
    return tuple(sorted((price for price in found if price), key=lambda price: -price.gain))


def _price(ask: Ask, machine: Spec, base: Outcome, number: Constant, step: float) -> Price | None:
    """The price in the direction that helps; None for a number that is no rate and of no worth."""
    for sign in (1, -1):
        value = number.value
        to = value + sign if isinstance(value, int) else _moved(value, 1 + sign * step)
        if not value or to <= 0:
            continue
        there = _side(ask, machine, number, to).outcome
        if there is None:
            continue
        if there == base:
            return None
        size = abs(log(to / value))
        speeds = tuple(
            name
            for name in base.shares
            if _fall(base.busy_s[name], there.busy_s.get(name, 0.0)) > _SPEEDS * size
        )
        gain = _fall(base.latency_s, there.latency_s) / size
        if speeds or gain * step > LEAST:
            energy_gain = _fall(base.energy_j, there.energy_j) / size
            return Price(number, to, there, speeds, gain, energy_gain)
    return None


def _fall(before: float, after: float) -> float:
    """ln(before / after); 0 where either is 0."""
    return log(before / after) if before and after else 0.0


def unpriced(base: Outcome, found: tuple[Price, ...]) -> tuple[str, ...]:
    """Resources in use that no number of the machine speeds, the busiest first."""
    priced = {name for price in found for name in price.speeds}
    return tuple(name for name, share in base.shares.items() if share and name not in priced)


# What a resource is worth -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow price of a resource: what a little more of it alone is worth.

    It is that of the number that speeds the resource and the fewest others, without slowing the
    whole if there is one; of those a rate goes before what less of helps, and then the one with
    which most of the busy time falls. Without a number (`price` is None), `why` says so.
    """

    resource: str
    share: float
    price: Price | None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The shadow price for JSON."""
        found = self.price
        return {
            "resource": self.resource,
            "share": self.share,
            "path": found and found.path,
            "gain": found and found.gain,
            "speeds_too": [n for n in found.speeds if n != self.resource] if found else [],
            "why": self.why or None,
        }


def shadows(base: Outcome, found: tuple[Price, ...]) -> tuple[Shadow, ...]:
    """A shadow price for each resource in use, the busiest first.

    Args:
        base: The outcome on the machine whose prices these are.
        found: Its prices.

    >>> base = Outcome(2.0, 1.0, "link", {"link": 2.0, "port": 1.0})
    >>> [(shadow.resource, shadow.share, shadow.why) for shadow in shadows(base, ())][1]
    ('port', 0.5, 'no number of the machine speeds port')
    """
    return tuple(_shadow(base, name, share, found) for name, share in base.shares.items() if share)


def _shadow(base: Outcome, name: str, share: float, found: tuple[Price, ...]) -> Shadow:
    able = [price for price in found if name in price.speeds]
    if not able:
        return Shadow(name, share, None, f"no number of the machine speeds {name}")

    def alone(price: Price) -> tuple[bool, int, bool, float]:
        slows = price.gain < -LEAST
        return slows, len(price.speeds), price.less, -_elasticity(base, price, name)

    return Shadow(name, share, min(able, key=alone))


def _elasticity(base: Outcome, price: Price, name: str) -> float:
    """-d ln(busy time of a resource) / d ln(the number)."""
    size = abs(log(price.to / price.constant.value))
    return _fall(base.busy_s[name], price.there.busy_s.get(name, 0.0)) / size


FREED = 1000.0
"""How many times as fast a resource is made to see what is left without it."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What is left when the resource that binds takes next to no time.

    `outcome` is that with its number `path` at `text`, None where it cannot be moved so far. What
    binds there is the next in line, or `why` says what stands against it.
    """

    resource: str
    path: str | None
    text: str | None
    outcome: Outcome | None
    why: str

    def to_dict(self) -> dict[str, Any]:
        """What is left, for JSON."""
        found = self.outcome
        return {
            "resource": self.resource,
            "path": self.path,
            "to_text": self.text,
            "latency_s": found and found.latency_s,
            "bound": found and found.bound,
            "why": self.why or None,
        }


def freed(ask: Ask, machine: Spec, base: Outcome, found: tuple[Shadow, ...]) -> Freed:
    """Make the resource that binds `FREED` times as fast: does the next in line bind then?

    Args:
        ask: The question.
        machine: On what.
        base: Its outcome there.
        found: The shadow prices there.

    >>> from einfall.hw_models import Spec
    >>> class Toy(Spec):
    ...     lanes: float
    ...     bandwidth: float
    >>> def ask(toy):
    ...     busy = {"lanes": 6 / toy.lanes, "link": 4 / toy.bandwidth}
    ...     return Outcome(max(busy.values()), 1.0, max(busy, key=busy.get), busy)
    >>> toy = Toy(lanes=1.0, bandwidth=1.0)
    >>> left = freed(ask, toy, ask(toy), shadows(ask(toy), prices(ask, toy)))
    >>> left.path, left.outcome.bound, left.outcome.latency_s, left.why
    ('lanes', 'link', 4.0, '')
    """
    shadow = next((s for s in found if s.resource == base.bound), None)
    if shadow is None or shadow.price is None:
        why = shadow.why if shadow else f"{base.bound} is no unit with a rate of its own"
        return Freed(base.bound, None, None, None, why)
    price = shadow.price
    side = _side(ask, machine, price.constant, _far(price))
    there = side.outcome
    why = f"{price.path} cannot be {side.text}: {side.refusal}"
    if there is not None:
        why = _not_the_next(base, there, price)
    return Freed(base.bound, price.path, side.text, there, why)


def _far(price: Price) -> float:
    """The number at which its resource is `FREED` times as fast; a whole one stays whole."""
    value = price.constant.value
    if isinstance(value, int):
        return max(1, round(value / FREED)) if price.less else round(value * FREED)
    return value / FREED if price.less else value * FREED


def _not_the_next(base: Outcome, there: Outcome, price: Price) -> str:
    """Why it is not the next in line that binds when the resource that binds is out of the way."""
    if there.bound == base.next:
        return ""
    left = there.busy_s.get(base.bound, 0.0) / base.busy_s[base.bound]
    too = [name for name in price.speeds if name != base.bound]
    if there.bound == base.bound:
        return f"{base.bound} keeps {100 * left:.3g} % of its busy time, whatever {price.path} is"
    if base.next in too:
        return f"{price.path} speeds {base.next} too"
    if there.bound not in base.busy_s:
        return f"no unit binds then but {there.bound}"
    times = base.busy_s[there.bound], there.busy_s[there.bound]
    if _change(times[1], times[0]) > LEAST or not base.next:
        return f"{there.bound} is then busy {times[1] / times[0]:.3g} times as long"
    if _change(there.busy_s.get(base.next, 0.0), base.busy_s[base.next]) > LEAST:
        return f"{base.next} is then busy another time"
    return f"{base.next} is busy longer, but {there.bound} is in use where nothing else is"


def _in_a_line(error: Exception) -> str:
    return "; ".join(str(error).splitlines())
