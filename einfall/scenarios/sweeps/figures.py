"""The figures of a sweep: its rows as the tables that `einfall.plots` draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from einfall import plots
from einfall.hw_models.yaml_door import SpecError
from einfall.plots import PlotError, Quantity
from einfall.scenarios.findings import Drawing
from einfall.scenarios.sweeps.axes import MACHINE
from einfall.scenarios.sweeps.listing import Listing, Row
from einfall.scenarios.sweeps.shown import heading, label, shown, unit_of
from einfall.scenarios.sweeps.spec import RATIOS, Bars, Heatmap, Inside, Lines, Pareto, SkiSlope
from einfall.sim.roofline import roofline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CASES = 24
"""Points of a stack, whose bars a page has room for."""

_BETTER_HIGHER = ("speedup", "utilization", "clock_hz")

Table = list[dict[str, Any]]
Drawn = tuple["Figure", Table]


def drawings(listing: Listing) -> Iterator[Drawing]:
    """The figures that the file asks for, each with the records that it shows.

    Raises:
        SpecError: One of them has nothing to show, or too much.
    """
    sweep = listing.plan.sweep
    kinds = [figure.kind for figure in sweep.figures]
    for n, figure in enumerate(sweep.figures):
        number = f"_{kinds[: n + 1].count(figure.kind)}" if kinds.count(figure.kind) > 1 else ""
        name = figure.name or f"{figure.kind}{number}"
        rows = listing.where(figure.where)
        try:
            drawn, table = _DRAW[type(figure)](listing, figure, rows)
        except PlotError as error:
            raise SpecError([f"{sweep.name}: figures.{n} ({name}): {error}"]) from None
        yield name, drawn, table


def quantity(listing: Listing, key: str) -> Quantity:
    """A column as an axis shows it."""
    name = listing.column(key)
    better = "higher" if name.partition(".")[0] in _BETTER_HIGHER else "lower"
    return Quantity(name, label(name), unit_of(name), better)


def _title(listing: Listing, figure: Any) -> str:  # noqa: ANN401  any of our figures
    return figure.title or listing.plan.sweep.about or listing.plan.sweep.name


def _heatmap(listing: Listing, figure: Heatmap, rows: tuple[Row, ...]) -> Drawn:
    table = _alone(listing, figure, rows)
    x, y, value = (quantity(listing, key) for key in (figure.x, figure.y, figure.value))
    shown = plots.Heatmap(x, y, value)
    return plots.heatmap_figure(table, title=_title(listing, figure), shown=shown), table


def _alone(listing: Listing, figure: Heatmap, rows: tuple[Row, ...]) -> Table:
    """The rows, of which no two may share a cell.

    Raises:
        PlotError: Two do; with the axes by which they differ.
    """
    varied = listing.varied(rows, [listing.column(key) for key in (figure.x, figure.y)])
    if varied:
        wanted = f"want one point for each {figure.x} and {figure.y}"
        raise PlotError(f"{wanted}, found several {', '.join(varied)}; choose with where")
    return [dict(row) for row in rows]


def _lines(listing: Listing, figure: Lines, rows: tuple[Row, ...]) -> Drawn:
    table = _series(listing, figure.series, rows, apart=(figure.x,))
    x, y = quantity(listing, figure.x), quantity(listing, figure.y)
    reference = "the baseline" if figure.y in RATIOS else ""
    shown = plots.Lines(x, y, bound="bound", reference=reference)
    return plots.lines_figure(table, title=_title(listing, figure), shown=shown), table


def _bars(listing: Listing, figure: Bars, rows: tuple[Row, ...]) -> Drawn:
    table = _cases(listing, rows)
    shown = plots.Bars(quantity(listing, figure.value))
    return plots.bars_figure(table, title=_title(listing, figure), shown=shown), table


def _pareto(listing: Listing, figure: Pareto, rows: tuple[Row, ...]) -> Drawn:
    table = _series(listing, figure.series, tuple(_cases(listing, rows)))
    x, y = quantity(listing, figure.x), quantity(listing, figure.y)
    shown = plots.Pareto(x, y, name="case", series="series" if figure.series else None)
    return plots.pareto_figure(table, title=_title(listing, figure), shown=shown), table


def _ski_slope(listing: Listing, figure: SkiSlope, rows: tuple[Row, ...]) -> Drawn:
    table = _series(listing, figure.series, rows, apart=(figure.x,))
    shown = plots.SkiSlope(quantity(listing, figure.x), quantity(listing, figure.y), floor=None)
    return plots.ski_slope_figure(table, title=_title(listing, figure), shown=shown), table


def _inside(listing: Listing, figure: Inside, rows: tuple[Row, ...]) -> Drawn:
    """What goes on at each point, for which it is estimated by itself."""
    if len(rows) > MOST_CASES:
        way_out = "say which with where"
        raise PlotError(f"want at most {MOST_CASES} points, found {len(rows)}; {way_out}")
    if figure.kind == "roofline":
        table = _roofs(listing, rows)
        return plots.roofline_figure(table, title=_title(listing, figure)), table
    times = figure.kind == "time_stack"
    table = [
        {"case": row["case"], **part}
        for row in _cases(listing, rows)
        for part in (_times if times else _energies)(listing.plan.estimate(row["index"]))
    ]
    draw = plots.time_stack_figure if times else plots.energy_stack_figure
    return draw(table, title=_title(listing, figure)), table


def _roofs(listing: Listing, rows: tuple[Row, ...]) -> Table:
    """Points of one machine under its roofs; a roof that depends on the cascade is there for each.

    Raises:
        PlotError: They are of several machines.
    """
    machines = {listing.plan.set_at(row["index"])[0].variant for row in rows}
    if len(machines) > 1 or any(key.startswith(MACHINE) for key in listing.plan.keys):
        raise PlotError("want one machine for a roofline, found several; choose with where")
    roofs: dict[tuple[str, float], dict[str, Any]] = {}
    points: Table = []
    for row in _cases(listing, rows):
        case = listing.plan.cases[listing.plan.set_at(row["index"])[0]]
        for record in roofline(case.cascade, listing.plan.estimate(row["index"])):
            if record["kind"] == "point":
                points.append({**record, "name": row["case"]})
                continue
            rate = float(f"{record.get('flops_per_s', record.get('bytes_per_s')):.6g}")
            names = {name for name, _ in roofs}
            own = f"{record['name']}, {row['case']}" if record["name"] in names else record["name"]
            if (record["name"], rate) not in roofs:
                roofs[record["name"], rate] = {**record, "name": own}
    return [*roofs.values(), *points]


def _times(found: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Busy time of each unit; of what binds also where it is none, such as a launch."""
    of = {"latency_s": float(found.latency_s), "bound": str(found.bound)}
    busy_s = dict(found.busy_s)
    if found.bound not in busy_s:
        busy_s[found.bound] = found.binding_s
    for unit, time_s in busy_s.items():
        yield {"unit": unit, "busy_s": float(time_s), **of}


def _energies(found: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Energy by component: what stands before the dot of a part, `2d.mac`."""
    by: dict[str, float] = {}
    for part, energy_j in found.parts_j.items():
        component = part.partition(".")[0]
        by[component] = by.get(component, 0.0) + float(energy_j)
    for component, energy_j in by.items():
        yield {"component": component, "energy_j": energy_j}


# Names of points ----------------------------------------------------------------------------------


def _series(
    listing: Listing, series: str | None, rows: tuple[Row, ...], apart: tuple[str, ...] = ()
) -> Table:
    """The rows, each with the name of its line: a column, or all axes that the figure leaves."""
    if series is not None:
        name = listing.column(series)
        return [{**row, "series": _told(name, row[name])} for row in rows]
    return [{**row, "series": row["case"]} for row in _cases(listing, rows, apart)]


def _cases(listing: Listing, rows: tuple[Row, ...], apart: tuple[str, ...] = ()) -> Table:
    """The rows, each with a name: its values on the axes where rows differ."""
    varied = listing.varied(rows, [listing.column(key) for key in apart])
    return [
        {
            **row,
            "case": ", ".join(_told(head, row[head]) for head in varied) or listing.plan.sweep.name,
        }
        for row in rows
    ]


def _told(name: str, value: Any) -> str:  # noqa: ANN401
    """A value that stands alone: a name as it is, a number with what it is of."""
    if isinstance(value, str):
        return value
    return f"{heading(name)} {shown(name, value)}"


_DRAW: Mapping[type, Callable[..., Drawn]] = {
    Heatmap: _heatmap,
    Lines: _lines,
    Bars: _bars,
    Pareto: _pareto,
    SkiSlope: _ski_slope,
    Inside: _inside,
}
