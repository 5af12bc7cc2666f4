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
    if spans:
        yield timeline_drawing(spans)


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
