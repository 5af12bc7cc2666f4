"""Every point of a sweep as a row, those that cannot be with their reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps.cases import REFUSALS
from einfall.scenarios.sweeps.constraints import Constraint, read_constraint
from einfall.scenarios.sweeps.grid import Block
from einfall.scenarios.sweeps.plan import Plan
from einfall.scenarios.sweeps.points import Table, evaluate

MOST = 20_000
"""Points that are listed; a larger grid is summed up by `einfall sweep`."""

WHY = "cannot"
"""Column of the reason why a point cannot be."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """The points of a sweep that count, and those that cannot be, in their order.

    A row has the point's `index`, its axes, what was asked of it, `bound`, and what conditions of
    answers and figures need; `cannot` only where it cannot be, and then nothing that was asked.
    """

    plan: Plan
    rows: tuple[Row, ...]
    dropped: Mapping[str, int]
    without_baseline: str | None

    @property
    def answered(self) -> tuple[Row, ...]:
        """The rows of points that can be."""
        return tuple(row for row in self.rows if WHY not in row)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table: the axes, what is asked, and what binds."""
        names = [*self.plan.heads.values(), *self.plan.sweep.columns, "bound"]
        return tuple(dict.fromkeys(names))

    def column(self, key: str) -> str:
        """Name in a row of an axis or of what is asked.

        Of a machine's field with its unit: `machine.buffer.capacity_bytes`.
        """
        return self.plan.heads.get(key, key)

    def varied(self, rows: Sequence[Row], told: Sequence[str]) -> list[str]:
        """Axes in which rows differ, but for columns that are told anyway."""
        axes = (name for name in self.plan.heads.values() if name not in told)
        return [name for name in axes if len({row[name] for row in rows}) > 1]

    def where(self, texts: tuple[str, ...]) -> tuple[Row, ...]:
        """The rows that meet conditions, of which the plan knows that they can be read."""
        conditions = [read_constraint(text, self.plan.spoken_of) for text in texts]
        return tuple(row for row in self.answered if all(self._meets(row, c) for c in conditions))

    def _meets(self, row: Row, condition: Constraint) -> bool:
        values = {name: row.get(self.column(name)) for name in condition.names}
        known = all(value is not None for value in values.values())
        return known and bool(condition.holds(values))


def listed(plan: Plan) -> Listing:
    """Work out every point.

    Raises:
        SpecError: There are more than `MOST`.
    """
    if plan.grid.points > MOST:
        wanted = f"want at most {MOST:,} points for a table"
        way_out = f"einfall sweep {plan.sweep.name} sums them up"
        raise SpecError([f"{plan.sweep.name}: {wanted}, found {plan.grid.points:,}; {way_out}"])
    rows: list[Row] = []
    dropped = [0] * len(plan.constraints)
    lacking = None
    for block in plan.grid.blocks(0, plan.grid.block_count):
        table = evaluate(plan, block)
        rows += _rows(plan, block, table)
        dropped = [a + b for a, b in zip(dropped, table.dropped, strict=True)]
        lacking = lacking or table.without_baseline
    texts = [c.text for c in plan.constraints]
    return Listing(plan, tuple(rows), dict(zip(texts, dropped, strict=True)), lacking)


def _rows(plan: Plan, block: Block, table: Table) -> Iterator[Row]:
    """The rows of a block, in the order of their indices."""
    columns = {name: values.ravel() for name, values in table.columns.items()}
    kept, cannot = table.kept.ravel(), table.cannot.ravel()
    for place in range(block.points):
        if kept[place] or cannot[place]:
            index = block.first + place
            point = {"index": index, **plan.point(index)}
            own = {n: _plain(v[place]) for n, v in columns.items()} if kept[place] else {}
            yield {**point, **own} if kept[place] else {**point, WHY: _why(plan, index)}


def _plain(value: Any) -> Any:  # noqa: ANN401  a NumPy scalar
    """A number or text; None where there is none."""
    found = value.item()
    return None if found != found or found == "" else found


def _why(plan: Plan, index: int) -> str:
    """Why a point cannot be, in a line."""
    try:
        plan.estimate(index)
    except REFUSALS as error:
        return " ".join(str(error).split())
    raise AssertionError(f"point {index} can be by itself")
