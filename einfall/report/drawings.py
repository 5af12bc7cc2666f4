"""The figures of an answer, drawn from its record: `(name, figure, the records it shows)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.scenarios.findings import Drawing
    from einfall.sim.bounds import Bounds
    from einfall.sim.events import Span
    from einfall.sim.strides import Axis


def estimate_drawings(record: Mapping[str, Any], spans: Sequence[Span] = ()) -> Iterator[Drawing]:
    """Time of each unit and energy by component, on any kind of machine; steps if simulated.

    Args:
        record: The JSON document of `estimate`.
        spans: The phase of the simulation that is shown.
    """
    from einfall.plots import energy_table, figure, plot_energy, plot_units, unit_table

    found: Any = _estimate(record)
    sheet = figure()
    plot_units(found, sheet.subplots())
    yield "time_by_unit", sheet, unit_table(found)
    if record["energy_j"]:
        sheet = figure(4.5)
        plot_energy([found], sheet.subplots())
        shown = ({k: row[k] for k in ("component", "energy_j")} for row in energy_table([found]))
        yield "energy_by_component", sheet, list(shown)
    yield from roofline_drawings(record)
    if spans:
        yield timeline_drawing(spans)


def roofline_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """The roofline of an estimate; none where no byte moves over a level that takes time."""
    from einfall.plots import roofline_figure

    table = record["roofline"]
    if any(row["kind"] == "point" for row in table):
        title = f"Roofline of {record['machine']} for {record['cascade']}"
        yield "roofline", roofline_figure(table, title=title), table


def whatif_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """Where the time goes before and after, and the tornado if there is one."""
    from einfall.report.whatif import tornado_figure, tornado_table

    if record["overrides"]:
        yield _before_and_after(record)
    if any(row["tornado"] for row in record["rows"]):
        yield "tornado", tornado_figure(record), tornado_table(record)


def _before_and_after(record: Mapping[str, Any]) -> Drawing:
    """Times by unit; where a launch or waiting binds, which no unit is, the times alone."""
    from einfall.plots import Bars, Quantity, bars_figure, time_stack_figure
    from einfall.report.whatif import changes, latency_table, unit_table

    title = f"Time on {record['machine']} before and after {changes(record)}"
    sides = [row[side] for row in record["rows"] for side in ("before", "after") if row[side]]
    if all(side["bound"] in side["busy_s"] for side in sides):
        table = unit_table(record)
        return "time_before_and_after", time_stack_figure(table, title=title), table
    table = latency_table(record)
    shown = Bars(Quantity("latency_s", "Time", "s"), case="cascade", series="when")
    return "time_before_and_after", bars_figure(table, title=title, shown=shown), table


def search_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """Time against energy of the best mapping, of those that ship, and of the Pareto set."""
    from einfall.plots import Pareto, Quantity, pareto_figure
    from einfall.report.search import objectives_table

    table = objectives_table(record)
    title = f"Mappings of {record['cascade']} on {record['machine']}"
    shown = Pareto(Quantity("energy_j", "Energy", "J"), Quantity("latency_s", "Time", "s"))
    yield "time_against_energy", pareto_figure(table, title=title, shown=shown), table


def _estimate(record: Mapping[str, Any]) -> SimpleNamespace:
    """What figures read of an estimate, as its record has it."""
    lines = [SimpleNamespace(**line) for line in record["breakdown"]]
    return SimpleNamespace(
        cascade=record["cascade"],
        machine=record["machine"],
        mapping=SimpleNamespace(name=record["mapping"]),
        latency_s=record["latency_s"],
        busy_s=record["busy_s"],
        bound=record["bound"],
        breakdown=lines,
        parts_j=record["energy_parts_j"],
    )


def timeline_drawing(spans: Sequence[Span]) -> Drawing:
    """As many steps of the steady state as there are, up to three; everything if there is none."""
    from einfall.plots import PlotError, figure, plot_timeline, steady_window, timeline_table

    window = None
    for steps in (3, 2, 1):
        try:
            window = steady_window(spans, steps)
            break
        except PlotError:
            continue
    sheet = figure()
    plot_timeline(spans, sheet.subplots(), window)
    return "timeline", sheet, timeline_table(spans, window)


def analysis_drawings(cascade: Cascade, passes: Mapping[str, int]) -> Iterator[Drawing]:
    """The graph of a cascade, its boxes filled by pass over the rank that has the most."""
    from einfall.plots import graph_figure, graph_table

    most = max(passes, key=passes.__getitem__)
    rank = most if passes[most] > 1 else None
    yield "what_is_made_from_what", graph_figure(cascade, rank), graph_table(cascade, rank)


def ladder_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """The ladder of one algorithm over another."""
    from einfall.report.ladder import ladder_figure

    yield "ladder", ladder_figure(record), record["rungs"]


def case_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """The ladders of a published use case."""
    from einfall.report.ladder import NOTIONS, case_figure

    names = ("gpu", "pattern", "stride", *NOTIONS)
    yield "ladders", case_figure(record), [{n: row[n] for n in names} for row in record["rows"]]


def bounds_drawings(bounds: Bounds) -> Iterator[Drawing]:
    """The mask with its tiles, where it is small enough to draw, and the work of query tiles."""
    from einfall.einsum_cascades.masks import MaskError
    from einfall.plots import tile_histogram_table
    from einfall.report.mask_figures import histogram_figure, mask_figure

    tiles = bounds.tiles
    table = tile_histogram_table(tiles.visits.tolist(), tiles.times.tolist())
    yield "work_of_query_tiles", histogram_figure(bounds), table
    try:
        mask = mask_figure(bounds)
    except MaskError:  # too large for a picture
        return
    visited, full = tiles.visited, tiles.full_ignoring_padding
    counts = {"full": full, "partial": visited - full, "left out": tiles.of_dense - visited}
    yield "mask_and_tiles", mask, [{"tiles": name, "number": n} for name, n in counts.items()]


def stride_drawings(axes: Sequence[Axis]) -> Iterator[Drawing]:
    """The worst-tile bound by stride and window."""
    from einfall.plots import bound_heatmap_figure
    from einfall.report.mask_figures import stride_table

    rows = stride_table(axes)
    title = "Worst-tile bound by stride and window"
    yield "bound_by_stride", bound_heatmap_figure(rows, title=title), rows


def comparison_drawings(rows: Iterable[Mapping[str, Any]]) -> Iterator[Drawing]:
    """Predicted against measured, and the error by size, of time or of energy."""
    from einfall.plots import error_bands, error_by_size_figure, predicted_measured_figure

    found = list(rows)
    for quantity, unit in (("time", "ms"), ("energy", "mj")):
        both = f"predicted_{unit}", f"measured_{unit}"
        shown = [row for row in found if all(row.get(name) for name in both)]
        if shown:
            names = ("kernel", "machine", *both, "error")
            table = [{name: row[name] for name in names} for row in shown]
            figure = predicted_measured_figure(shown, quantity=quantity)
            yield f"predicted_against_measured_{quantity}", figure, table
            bands = error_bands(shown, quantity=quantity)
            if bands:
                figure = error_by_size_figure(shown, quantity=quantity)
                yield f"error_by_size_of_{quantity}", figure, bands


def published_drawings(record: Mapping[str, Any]) -> Iterator[Drawing]:
    """What was published beside what einfall says, of the comparisons that are not of timings."""
    from einfall.plots import Bars, Quantity, bars_figure, predicted_measured_figure
    from einfall.report.validation import beside_each_other, kernels_table

    beside = beside_each_other(record)
    if beside is not None:
        value = Quantity("value", beside.label, beside.unit, beside.better)
        shown = Bars(value, series="from", bound=None)
        figure = bars_figure(beside.rows, title=beside.title, shown=shown)
        yield beside.name, figure, beside.rows
    kernels = kernels_table(record)
    if kernels:
        title = "Published kernel times against ours"
        figure = predicted_measured_figure(kernels, by="kernel", title=title)
        yield "predicted_against_measured_time", figure, kernels
