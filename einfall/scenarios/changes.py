"""What the physical accounting changes against the published one: a rule at a time, and why.

A rule that is a switch of `Accounting` is turned from the published to the physical side with all
else physical. A rule that a mapping declares as `published` is taken out with all else published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from einfall import hw_models
from einfall.scenarios import workloads
from einfall.scenarios.fusemax import Config, FuseMax
from einfall.scenarios.points import Point, points
from einfall.sim import mapping
from einfall.sim.accounting import ARTIFACT, PHYSICAL, Accounting
from einfall.sim.mapping import Mapping as CascadeMapping


@dataclass(frozen=True, slots=True)
class Change:
    """A quantity under the published rule and under the physical one; a bare unit is a ratio."""

    rule: str
    quantity: str
    unit: str
    published: float
    physical: float
    why: str


def changes(scenario: FuseMax) -> list[Change]:
    """The effect of each rule at the scenario's reference; empty where it has none.

    Rules of FuseMax's own configurations are shown as far as the scenario has these.
    """
    if scenario.reference is None:
        return []
    at = _Reference(scenario)
    return [change for rule in (_energy, _plus_cascade, _buffer, _time) for change in rule(at)]


class _Reference:
    """Points of configurations at one model and length, each computed once."""

    def __init__(self, scenario: FuseMax) -> None:
        assert scenario.reference is not None
        loads = workloads.load()
        length = workloads.length_of(scenario.reference.seq_len)
        self.shape = loads.model(scenario.reference.model).attention(loads.batch, length)
        self.configs = {config.name: config for config in scenario.attention}
        self.point = cache(self._point)

    def _point(self, name: str, accounting: Accounting) -> Point:
        config = self.configs[name]
        return self.mapped(config, config.mapping, accounting)

    def mapped(
        self, config: Config, mapping: str | CascadeMapping, accounting: Accounting
    ) -> Point:
        machine = hw_models.as_array(hw_models.load(config.machine))
        return points(config.cascade, [self.shape], machine, mapping, accounting)[0]

    def has(self, *names: str) -> bool:
        return set(names) <= set(self.configs)


# Nothing that a mapping declares as published; tiles that fit need not divide a length.
DERIVED = replace(ARTIFACT, published=False, ragged=True)
FUSEMAX, FLAT = "plus_binding_fusemax", "flat"
CASCADE, ARCHITECTURE = "plus_cascade", "plus_architecture"
_NAMES = {FUSEMAX: "FuseMax", ARCHITECTURE: "+Architecture", CASCADE: "+Cascade"}


def _energy(at: _Reference) -> Iterator[Change]:
    """Registers of every element."""
    if not at.has(FUSEMAX, FLAT):
        return
    one = replace(PHYSICAL, every_register=False)
    modes = (one, PHYSICAL)
    ours, flat = ([at.point(name, mode) for mode in modes] for name in (FUSEMAX, FLAT))
    before, after = (a.energy_j / b.energy_j for a, b in zip(ours, flat, strict=True))
    yield Change(
        "registers of all elements", "FuseMax / FLAT energy", "", before, after,
        "one element's registers were charged, and all elements' multiplications",
    )  # fmt: skip
    before, after = (point.macs_j / point.energy_j for point in ours)
    yield Change(
        "registers of all elements", "2D multiply-adds / FuseMax energy", "", before, after,
        "an operand arrives in a register and is read from it, in every element",
    )  # fmt: skip


def _plus_cascade(at: _Reference) -> Iterator[Change]:
    """What the mapping of +Cascade declares as published."""
    if not at.has(CASCADE):
        return
    config = at.configs[CASCADE]
    before = at.point(CASCADE, ARTIFACT)

    def without(**declared: object) -> Point:
        return at.mapped(config, _redeclared(mapping.load(config.mapping), declared), ARTIFACT)

    yield Change(
        "exponentials paid", "+Cascade energy", "J", before.energy_j, without(unpaid=()).energy_j,
        "their energy stood under a key that was spelled in two ways, and was never summed",
    )  # fmt: skip
    yield Change(
        "exp and subtraction chained", "+Cascade latency", "s",
        before.latency_s, without(issue=None).latency_s,
        "the units that take one cycle for FLAT took two for +Cascade",
    )  # fmt: skip
    yield Change(
        "the machine's own buffer", "+Cascade DRAM traffic", "B",
        before.dram_bytes, without(buffer_capacity_bytes=None).dram_bytes,
        "tiles were sized by FuseMax's 16 MiB, but this machine has 32 MiB",
    )  # fmt: skip


def _redeclared(known: CascadeMapping, declared: dict[str, object]) -> CascadeMapping:
    """A mapping with other published declarations."""
    groups = tuple(
        group.model_copy(update={"published": group.published.model_copy(update=declared)})
        for group in known.groups
    )
    return known.model_copy(update={"groups": groups})


def _buffer(at: _Reference) -> Iterator[Change]:
    """What a buffer holds, and how fast it is."""
    single, free = replace(PHYSICAL, double_buffer=False), replace(PHYSICAL, buffer_bandwidth=False)
    if at.has(FLAT):
        yield Change(
            "FLAT's rows of scores fit the buffer", "FLAT latency", "s",
            at.point(FLAT, ARTIFACT).latency_s, at.point(FLAT, DERIVED).latency_s,
            "a table says what is on chip, not all of which fits; here two blocks of rows do",
        )  # fmt: skip
    if at.has(FUSEMAX):
        yield Change(
            "two slots for tiles in use", "FuseMax DRAM traffic", "B",
            at.point(FUSEMAX, single).dram_bytes, at.point(FUSEMAX, PHYSICAL).dram_bytes,
            "while one tile is worked on, the next one needs room, too",
        )  # fmt: skip
    for name in (n for n in (CASCADE, FUSEMAX) if at.has(n)):
        yield Change(
            "rows take time at the buffer's ports", f"{_NAMES[name]} latency", "s",
            at.point(name, free).latency_s, at.point(name, PHYSICAL).latency_s,
            "the published model gives the buffer unlimited bandwidth",
        )  # fmt: skip


def _time(at: _Reference) -> Iterator[Change]:
    """Fill, drain and the order of tasks."""
    instant = replace(PHYSICAL, fill_and_drain=False)
    shown = [name for name in (FUSEMAX, ARCHITECTURE) if at.has(name)]
    for name in shown:
        yield Change(
            "tasks scheduled, no lock-step epochs", f"{_NAMES[name]} latency", "s",
            at.point(name, ARTIFACT).latency_s, at.point(name, DERIVED).latency_s,
            "epochs were assumed; here tasks start when their operands and units are free",
        )  # fmt: skip
    for name in shown:
        yield Change(
            "fill and drain", f"{_NAMES[name]} latency", "s",
            at.point(name, instant).latency_s, at.point(name, PHYSICAL).latency_s,
            "results cross the array before they leave it; only interleaving hides that",
        )  # fmt: skip
