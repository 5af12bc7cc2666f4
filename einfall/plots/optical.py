"""Optics against GPUs: times by system, ratios by size, the region of a speedup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from einfall.plots import names, style
from einfall.plots.lines import Lines, ends, plot_lines
from einfall.plots.quantity import Quantity
from einfall.plots.records import Record, check_columns, column, number, positive, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TIMES = ("panel", "system", "network", "time_s", "kind")
"""Columns of `plot_times`; the kind is `published` or anything else."""

REGION = ("series", "batch", "time_s", "kind")
"""Columns of `plot_region`."""

THRESHOLD, ROOFLINE, KNOWN = "threshold", "roofline", "known"
"""Kinds of `plot_region`: GPU times from which a speedup holds, least times, and told ones."""

_DODGE = 0.76  # part of the height between two systems over which networks spread


# Times by system ----------------------------------------------------------------------------------


def times_figure(table: Iterable[Record], *, title: str) -> Figure:
    """A panel for each batch: systems one under the other, their times on a logarithmic axis."""
    rows = some(table, "times")
    panels, systems = column(rows, "panel"), column(rows, "system")
    sheet = style.figure(height=0.9 + 0.36 * len(systems))
    axes = sheet.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    looks = style.looks(column(rows, "network"))
    for ax, name in zip(axes, panels, strict=True):
        plot_times([row for row in rows if row["panel"] == name], ax, systems, looks)
        style.panel(ax, name)
    axes[len(axes) // 2].set_xlabel("Time of an image [s]", fontsize=style.LABEL_PT)
    style.title(sheet, title)
    handles = [_point(look, name) for name, look in looks.items()]
    if any(row["kind"] == "published" for row in rows):
        handles.append(_ring("published"))
    style.legend_below(sheet, handles)
    return sheet


def plot_times(
    table: Sequence[Record], ax: Axes, systems: Sequence[str], looks: Mapping[str, style.Look]
) -> Axes:
    """A point a network and system, networks one under the other; a ring around published ones."""
    check_columns(table, "times", TIMES)
    steps = {name: (i + 0.5) / len(looks) - 0.5 for i, name in enumerate(looks)}
    for row in table:
        name, time_s = str(row["network"]), positive(row, "times", "time_s")
        y = systems.index(str(row["system"])) + _DODGE * steps[name]
        published = row["kind"] == "published"
        for marker in [_point(looks[name], ""), *([_ring("")] if published else [])]:
            marker.set_data([time_s], [y])
            ax.add_line(marker)
    style.dress(ax, title="", grid="x")
    for edge in range(1, len(systems)):
        ax.axhline(edge - 0.5, color=style.PALE, linewidth=style.HAIR_PT, zorder=0)
    ax.set_ylim(len(systems) - 0.5, -0.5)
    ax.set_yticks(range(len(systems)), systems)
    ax.tick_params(axis="y", length=0)
    ax.set_xscale("log")
    ax.relim()
    ax.autoscale(axis="x")
    return ax


def _point(look: style.Look, label: str) -> Line2D:
    """A marker on its own, for the axes or the legend."""
    return Line2D([], [], label=label, zorder=3, **look.point())


def _ring(label: str) -> Line2D:
    """A ring around a marker."""
    return Line2D(
        [], [], linestyle="none", label=label, marker="o", markersize=9.5,
        markerfacecolor="none", markeredgecolor=style.BLACK, markeredgewidth=1.0, zorder=4,
    )  # fmt: skip


# Ratios by size -----------------------------------------------------------------------------------


def ratios_figure(
    rows: Sequence[Mapping[str, Sequence[Record]]], *, title: str, x: str, y: str, equal: str
) -> Figure:
    """Panels of lines that are named at their ends; those of a row share their axis up.

    Args:
        rows: For each row of panels, from the top, tables of series, x and y by the title of their
            panel.
        title: Of the figure.
        x: Label of the axes along.
        y: Label of the axes up.
        equal: Name of the line y = 1, drawn in rows that come near it.
    """
    grid = [dict(row) for row in rows if any(row.values())]
    sheet = style.figure(height=0.8 + 2.1 * len(grid))
    axes = sheet.subplots(len(grid), len(grid[0]), sharex=True, sharey="row", squeeze=False)
    looks = style.looks(n for row in grid for t in row.values() for n in column(t, "series"))
    shown = Lines(Quantity("x", x), Quantity("y", y), reference=equal, log=True)
    for i, row in enumerate(grid):
        for j, (name, table) in enumerate(row.items()):
            ax = axes[i, j]
            plot_lines(table, ax, shown, looks)
            bottom = x if i == len(grid) - 1 else ""
            style.dress(ax, title="", x=bottom, y="" if j else y, grid="both")
            style.panel(ax, "" if i else name)
    style.title(sheet, title)
    sheet.draw_without_rendering()  # the room for names is known from now on
    for ax, table in zip(axes.flat, (t for row in grid for t in row.values()), strict=True):
        names.name_ends(ax, ends(table, shown))
    return sheet


# The region of a speedup --------------------------------------------------------------------------


def region_figure(panels: Mapping[str, Iterable[Record]], *, title: str, claim: str) -> Figure:
    """Panels side by side of the GPU times at which a speedup holds, by batch; see `plot_region`.

    Args:
        panels: Tables of `REGION` by the title of their panel.
        title: Of the figure.
        claim: What holds above the lines.
    """
    sheet = style.figure(height=3.9)
    axes = sheet.subplots(1, len(panels), squeeze=False)[0]
    tables = {name: some(table, "region") for name, table in panels.items()}
    known = dict.fromkeys(n for t in tables.values() for n in _series(t, KNOWN))
    looks = style.looks(known)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        plot_region(table, ax, looks)
        y = "Time of an image on the GPU [s]" if ax is axes[0] else ""
        style.dress(ax, title="", x="Batch [images]", y=y)
        style.panel(ax, name)
    style.title(sheet, title)
    shade = style.patches({claim: style.Look(style.PALE, "", "o")})
    style.legend_below(sheet, [*shade, *(_point(k, n) for n, k in looks.items())])
    sheet.draw_without_rendering()  # the room for names is known from now on
    for ax, table in zip(axes, tables.values(), strict=True):
        names.name_ends(ax, _region_ends(table))
    return sheet


def plot_region(table: Sequence[Record], ax: Axes, looks: Mapping[str, style.Look]) -> Axes:
    """Thresholds as lines with the region above the lowest in grey, rooflines, known times."""
    check_columns(table, "region", REGION)
    style.log_axis(ax, "x", wide=True)
    style.log_axis(ax, "y", wide=True)
    for kind, colour in ((THRESHOLD, style.BLACK), (ROOFLINE, style.GREY)):
        for i, name in enumerate(_series(table, kind)):
            xs, ys = _curve(table, name)
            dashes = style.DASHES[i % len(style.DASHES)]
            ax.plot(xs, ys, color=colour, linestyle=dashes, linewidth=1.2, zorder=2)
    for name in _series(table, KNOWN):
        marker = _point(looks[name], name)
        marker.set_data(*_curve(table, name))
        ax.add_line(marker)
    times = [positive(row, "region", "time_s") for row in table]
    ax.set_ylim(min(times) / 3, max(times) * 3)
    ax.set_xlim(*_span(table))
    _shade(table, ax)
    return ax


def _shade(table: Sequence[Record], ax: Axes) -> None:
    """Grey above the lowest threshold at each batch: there the speedup holds for some tiling."""
    lowest: dict[float, float] = {}
    for row in table:
        if row["kind"] == THRESHOLD:
            batch = number(row, "region", "batch")
            lowest[batch] = min(number(row, "region", "time_s"), lowest.get(batch, inf))
    batches = sorted(lowest)
    top = [ax.get_ylim()[1]] * len(batches)
    ax.fill_between(batches, [lowest[b] for b in batches], top, color=style.PALE, linewidth=0,
                    alpha=0.6, zorder=0)  # fmt: skip


def _span(table: Sequence[Record]) -> tuple[float, float]:
    batches = [positive(row, "region", "batch") for row in table]
    return min(batches) / 1.3, max(batches) * 1.3


def _series(table: Sequence[Record], kind: str) -> list[str]:
    return column([row for row in table if row["kind"] == kind], "series")


def _curve(table: Sequence[Record], name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in table if row["series"] == name]
    xs, ys = ([positive(row, "region", c) for row in rows] for c in ("batch", "time_s"))
    return xs, ys


def _region_ends(table: Sequence[Record]) -> dict[str, float]:
    """The last height of each line."""
    lines = [row for row in table if row["kind"] != KNOWN]
    return {str(row["series"]): number(row, "region", "time_s") for row in lines}
