"""Lower bounds of candidates that need no lowering: arrays full, each tensor moved once.

time   ≥ max( busy time of each unit with all its elements at work, compulsory bytes / bandwidth )
energy ≥ operations and their registers + compulsory bytes through DRAM and buffer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from einfall.einsum_cascades.counts import ops_per_output, ops_per_point
from einfall.einsum_cascades.einsum import Einsum
from einfall.sim.layout import Dim
from einfall.sim.numeric import plain
from einfall.sim.search.space import Run, Spread, Variant

SAFE = 1 - 1e-9
"""Rounding must never make a bound larger than what it bounds."""


@dataclass(frozen=True, slots=True)
class Least:
    """No candidate takes less time or energy than this."""

    time_s: float
    energy_j: float


@dataclass(frozen=True)
class RunBound:
    """Bounds of the candidates of a run."""

    run: Run

    @cached_property
    def compulsory(self) -> Least:
        """Inputs in and results out, once each."""
        machine, layout = self.run.space.machine, self.run.space.coarse
        words_in = sum(
            prod(self._size(d) for d in layout.dims(access.ranks))
            for access in {
                a.tensor: a
                for e in self.run.einsums
                for a in e.operands
                if a.tensor in self.run.inputs
            }.values()
        )
        words_out = sum(prod(self._size(d) for d in layout.tensor(t)) for t in self.run.results)
        word, dram, buffer = machine.word_bytes, machine.dram, machine.buffer
        time_s = (words_in + words_out) * word / dram.bandwidth_bytes_per_s
        per_byte = dram.access_energy_j / dram.access_bytes
        through = buffer.write_energy_j * word / buffer.row_bytes
        return Least(time_s, (words_in + words_out) * word * per_byte + words_in * through)

    @cached_property
    def least(self) -> Least:
        """Of any candidate: work spread over all units by what each does best."""
        spreads = {
            e.name: {self._busy(e, s) for s in self.run.every_option(e)} for e in self.run.einsums
        }
        busy = sum(min(time for _, time, _ in found) for found in spreads.values())
        energy = sum(min(energy for _, _, energy in found) for found in spreads.values())
        alone: dict[str, float] = {}
        for found in spreads.values():
            units = {unit for unit, _, _ in found}
            if len(units) == 1:
                (unit,) = units
                alone[unit] = alone.get(unit, 0.0) + min(time for _, time, _ in found)
        shares = busy / len(self.run.space.machine.units)
        time = max(shares, self.compulsory.time_s, *alone.values())
        return Least(time * SAFE, (energy + self.compulsory.energy_j) * SAFE)

    def bound(self, spreads: Mapping[str, Spread], variant: Variant | None = None) -> Least:
        """Of the candidates with this binding, and with scores where the variant keeps them."""
        busy: dict[str, float] = {}
        energy = self.compulsory.energy_j
        for einsum in self.run.einsums:
            unit, time, spent = self._busy(einsum, spreads[einsum.name])
            busy[unit] = busy.get(unit, 0.0) + time
            energy += spent
        through = self._through_buffer(spreads, variant)
        energy += through.energy_j
        time = max(self.compulsory.time_s, through.time_s, *busy.values())
        return Least(time * SAFE, energy * SAFE)

    def _through_buffer(self, spreads: Mapping[str, Spread], variant: Variant | None) -> Least:
        """Scores that go from unit to unit, or are placed there, are written to the buffer."""
        rows = 0.0
        placed = variant is not None and variant.wide == "buffer"
        placed = placed or not self.run.in_step(spreads)
        for tensor in self.run.wide:
            readers = self.readers[tensor]
            elsewhere = any(spreads[e].unit != spreads[tensor].unit for e in readers)
            if (placed or elsewhere) and tensor not in self.may_grow:
                rows += self.rows_of[tensor]
        buffer, clock = self.run.space.machine.buffer, self.run.space.machine.clock_hz
        return Least(rows / (buffer.ports * clock), rows * buffer.write_energy_j)

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        """Einsums of the run that read each tensor."""
        return {
            t: [e.name for e in self.run.einsums if t in {a.tensor for a in e.operands}]
            for t in self.run.names
        }

    @cached_property
    def may_grow(self) -> set[str]:
        """Tensors that some order makes bit by bit, so that other rules apply to them."""
        return {e.name for e in self.run.einsums for o in self.run.orders if self.run.growth(e, o)}

    @cached_property
    def rows_of(self) -> dict[str, float]:
        """Rows of the buffer that each score tensor fills."""
        machine, layout = self.run.space.machine, self.run.space.coarse
        row_words = machine.buffer.row_bytes / machine.word_bytes
        return {t: prod(self._size(d) for d in layout.tensor(t)) / row_words for t in self.run.wide}

    def _input_rows(self, einsum: Einsum, spread: Spread) -> float:
        """Rows of inputs that an Einsum reads at the least, beyond one look at each.

        What lacks the ranks over one side of the array is fetched again for each filling of it, if
        a loop over a rank that it has is inside: columns, then rows, then what takes time.
        """
        space = self.run.space
        unit, machine = space.machine.units[spread.unit], space.machine
        rows, whole = 0.0, {d.rank for d in self.run.points(einsum)}
        in_time = whole - {*spread.rows, *spread.cols}
        for access in {
            a.tensor: a for a in einsum.operands if a.tensor in self.run.inputs
        }.values():
            dims = space.coarse.dims(access.ranks)
            own = {d.rank for d in dims}
            words = prod(self._size(d) for d in dims)
            again = 1.0
            sides = (
                (spread.rows, in_time, unit.rows),
                (spread.cols, in_time.union(spread.rows), unit.cols),
            )
            for side, inside, width in sides:
                if not own & set(side) and own & inside:
                    lanes = prod(float(space.extent(r)) for r in side if r in whole)
                    again *= max(1.0, lanes / width)
            rows += words * again * machine.word_bytes / machine.buffer.row_bytes
        return rows

    @cached_property
    def _known(self) -> dict[tuple[str, Spread], tuple[str, float, float]]:
        return {}

    def _busy(self, einsum: Einsum, spread: Spread) -> tuple[str, float, float]:
        """(unit, time, energy) that an Einsum takes at the least."""
        key = (einsum.name, spread)
        if key not in self._known:
            self._known[key] = self._least_busy(einsum, spread)
        return self._known[key]

    def _least_busy(self, einsum: Einsum, spread: Spread) -> tuple[str, float, float]:
        space = self.run.space
        unit = space.machine.units[spread.unit]
        dims = self.run.points(einsum)
        ops, after = ops_per_point(einsum), ops_per_output(einsum)
        points = prod(self._size(d) for d in dims)
        cycles = unit.cycles_per_point(ops) if ops else 1
        for d in dims:
            if d.rank not in (*spread.rows, *spread.cols):
                cycles *= self._size(d)
        for side, width in ((spread.rows, unit.rows), (spread.cols, unit.cols)):
            cycles *= max(1.0, prod(self._size(d) for d in dims if d.rank in side) / width)
        sums = 1 if einsum.reduce else 0
        registers = unit.registers.read_energy_j + unit.registers.write_energy_j
        spent = points * (unit.energy_per_point_j(ops) if ops else 0.0)
        spent += points * (len(einsum.operands) + sums) * registers
        if after:
            outputs = prod(self._size(d) for d in space.coarse.tensor(einsum.name))
            cycles += outputs / unit.pes * unit.cycles_per_point(after)
            spent += outputs * unit.energy_per_point_j(after)
        spent += self._input_rows(einsum, spread) * space.machine.buffer.read_energy_j
        return spread.unit, cycles / space.machine.clock_hz, spent

    def _size(self, dim: Dim) -> float:
        extent = self.run.space.extent(dim.rank)
        return 1.0 if dim.tile is not None else float(plain(extent))
