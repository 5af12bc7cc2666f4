"""The edge that draws: `plot_x(table, ax) -> ax` on matplotlib Figures, and `save` beside its data.

Importing this package loads matplotlib; nothing below it does. Numbers come from elsewhere: here
they are picked, put in proportion to each other and drawn.
"""

from einfall.plots.comparison import (
    energy_figure,
    energy_ratios,
    plot_energy_ratios,
    plot_speedups,
    speedup_figure,
    speedups,
)
from einfall.plots.estimates import (
    energy_table,
    plot_energy,
    plot_units,
    unit_table,
)
from einfall.plots.graph import graph_figure, graph_table, plot_graph
from einfall.plots.inline import inline_svg, once
from einfall.plots.ladder import ladder_figure, ladders_figure, plot_ladder, plot_ladders
from einfall.plots.masks import (
    MaskTiles,
    bound_heatmap_figure,
    mask_figure,
    mask_table,
    plot_bound_heatmap,
    plot_mask,
    plot_tile_histogram,
    tile_histogram_table,
    tile_order,
)
from einfall.plots.optical import (
    KNOWN,
    ROOFLINE,
    THRESHOLD,
    lines_figure,
    plot_lines,
    plot_region,
    plot_times,
    plot_tornado,
    region_figure,
    times_figure,
    tornado_figure,
)
from einfall.plots.pareto import pareto_table, plot_pareto
from einfall.plots.records import PlotError, Record
from einfall.plots.save import save
from einfall.plots.sensitivity import plot_sensitivity, sensitivity_figure
from einfall.plots.style import figure
from einfall.plots.timeline import plot_timeline, steady_window, timeline_table
from einfall.plots.utilization import plot_utilization, utilization_figure, utilization_table
from einfall.plots.validation import (
    error_bands,
    error_by_size_figure,
    plot_error_by_size,
    plot_predicted_measured,
    predicted_measured_figure,
    validation_figure,
)

__all__ = [
    "KNOWN",
    "ROOFLINE",
    "THRESHOLD",
    "MaskTiles",
    "PlotError",
    "Record",
    "bound_heatmap_figure",
    "energy_figure",
    "energy_ratios",
    "energy_table",
    "error_bands",
    "error_by_size_figure",
    "figure",
    "graph_figure",
    "graph_table",
    "inline_svg",
    "ladder_figure",
    "ladders_figure",
    "lines_figure",
    "mask_figure",
    "mask_table",
    "once",
    "pareto_table",
    "plot_bound_heatmap",
    "plot_energy",
    "plot_energy_ratios",
    "plot_error_by_size",
    "plot_graph",
    "plot_ladder",
    "plot_ladders",
    "plot_lines",
    "plot_mask",
    "plot_pareto",
    "plot_predicted_measured",
    "plot_region",
    "plot_sensitivity",
    "plot_speedups",
    "plot_tile_histogram",
    "plot_timeline",
    "plot_times",
    "plot_tornado",
    "plot_units",
    "plot_utilization",
    "predicted_measured_figure",
    "region_figure",
    "save",
    "sensitivity_figure",
    "speedup_figure",
    "speedups",
    "steady_window",
    "tile_histogram_table",
    "tile_order",
    "timeline_table",
    "times_figure",
    "tornado_figure",
    "unit_table",
    "utilization_figure",
    "utilization_table",
    "validation_figure",
]
