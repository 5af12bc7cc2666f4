"""The edge that draws: `plot_x(table, ax) -> ax` on matplotlib Figures, and `save` beside its data.

Importing this package loads matplotlib; nothing below it does. Numbers come from elsewhere: here
they are picked, put in proportion to each other and drawn.
"""

from einfall.plots.bars import Bars, bars_figure, plot_bars
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
from einfall.plots.heatmap import Heatmap, heatmap_figure, plot_heatmap
from einfall.plots.inline import inline_svg, once
from einfall.plots.ladder import ladder_figure, ladders_figure, plot_ladder, plot_ladders
from einfall.plots.lines import Lines, lines_figure, plot_lines
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
    plot_region,
    plot_times,
    ratios_figure,
    region_figure,
    times_figure,
)
from einfall.plots.pareto import Pareto, pareto_figure, pareto_table, plot_machines, plot_pareto
from einfall.plots.quantity import Quantity
from einfall.plots.records import PlotError, Record
from einfall.plots.roofline import plot_roofline, roofline_figure
from einfall.plots.save import save
from einfall.plots.ski_slope import SkiSlope, plot_ski_slope, ski_slope_figure
from einfall.plots.stacks import (
    energy_stack_figure,
    plot_energy_stack,
    plot_time_stack,
    time_stack_figure,
)
from einfall.plots.style import figure
from einfall.plots.timeline import plot_timeline, steady_window, timeline_table
from einfall.plots.tornado import plot_tornado, tornado_figure
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
    "Bars",
    "Heatmap",
    "Lines",
    "MaskTiles",
    "Pareto",
    "PlotError",
    "Quantity",
    "Record",
    "SkiSlope",
    "bars_figure",
    "bound_heatmap_figure",
    "energy_figure",
    "energy_ratios",
    "energy_stack_figure",
    "energy_table",
    "error_bands",
    "error_by_size_figure",
    "figure",
    "graph_figure",
    "graph_table",
    "heatmap_figure",
    "inline_svg",
    "ladder_figure",
    "ladders_figure",
    "lines_figure",
    "mask_figure",
    "mask_table",
    "once",
    "pareto_figure",
    "pareto_table",
    "plot_bars",
    "plot_bound_heatmap",
    "plot_energy",
    "plot_energy_ratios",
    "plot_energy_stack",
    "plot_error_by_size",
    "plot_graph",
    "plot_heatmap",
    "plot_ladder",
    "plot_ladders",
    "plot_lines",
    "plot_machines",
    "plot_mask",
    "plot_pareto",
    "plot_predicted_measured",
    "plot_region",
    "plot_roofline",
    "plot_ski_slope",
    "plot_speedups",
    "plot_tile_histogram",
    "plot_time_stack",
    "plot_timeline",
    "plot_times",
    "plot_tornado",
    "plot_units",
    "plot_utilization",
    "predicted_measured_figure",
    "ratios_figure",
    "region_figure",
    "roofline_figure",
    "save",
    "ski_slope_figure",
    "speedup_figure",
    "speedups",
    "steady_window",
    "tile_histogram_table",
    "tile_order",
    "time_stack_figure",
    "timeline_table",
    "times_figure",
    "tornado_figure",
    "unit_table",
    "utilization_figure",
    "utilization_table",
    "validation_figure",
]
