"""Is the model true: what it predicts against what was measured, and its error by size.

The tables are the rows of `einfall.validate.compared.compare`, or its CSV. A row that lacks one of
the two numbers is not drawn; the titles of the figures count them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from einfall.plots import style
from einfall.plots.records import (
    COMPARED,
    PlotError,
    Record,
    check_columns,
    positive,
    short,
    some,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Quantity: TypeAlias = Literal["time", "energy"]

MACHINES = ("h100_sxm", "h200", "b200", "a100_sxm")
"""The machines of the panels of `validation_figure`."""

FAMILIES = {
    "FlashAttention-4": ("flashattention-4",),
    "FlashAttention-3": ("flashattention-3",),
    "FlashInfer": ("flashinfer",),
    "FlashAttention-2": ("flashattention-2", "sdpa flashattention", "sdpa_flash"),
    "FlashMLA": ("flashmla",),
    "cuDNN": ("cudnn",),
    "trtllm-gen": ("trtllm-gen",),
    "TensorRT-LLM": ("trt-llm", "trtllm"),
    "FFPA": ("ffpa",),
    "NATTEN": ("-fna",),
    "FlexAttention": ("flex_",),
    "Triton": ("triton",),
    "SDPA math": ("math",),
}
"""Families of kernels, each with what the names of its kernels hold; the first that fits counts."""

OTHER = "other"
MOST_GROUPS = 8
"""Groups that have a colour; where there are more, the smallest share the last one as `OTHER`."""

_WHAT = "validation"
_TOLERANCE = 0.1
_WIDE, _STEPS, _FEWEST = 1.0, 4, 5  # window of the median [decades], its places, points in it
_UNITS = {"time": "ms", "energy": "mJ"}
# Points of yellow are hard to see on white, so black stands in its place; grey is for the rest.
_COLOURS = (*(c for c in style.PALETTE if c not in {style.YELLOW, style.GREY}), style.BLACK,
            style.GREY)  # fmt: skip
_LOOKS = [style.Look(c, "", m) for c, m in zip(_COLOURS, style.MARKERS, strict=True)]
_EQUAL: dict[str, Any] = {"color": style.BLACK, "linewidth": style.HAIR_PT, "zorder": 3}
_WITHIN: dict[str, Any] = {**_EQUAL, "linestyle": (0, (4, 2))}
_MEDIAN: dict[str, Any] = {"color": style.BLACK, "linewidth": 1.3 * style.LINE_PT, "zorder": 4}
_BAND: dict[str, Any] = {"facecolor": style.PALE, "edgecolor": style.BLACK,
                         "linewidth": 1.6 * style.HAIR_PT}  # fmt: skip
_ERROR = "Predicted / measured − 1 [%]"
_LINE = 100  # characters in a line of a title
_ROOM = 1.4  # around the values of a logarithmic axis, as a factor
_MANY = 200.0  # largest over smallest value of an axis with ticks at the decades alone
_POWERS = 1e5  # and with powers of ten as their names
_ARROW_PT2, _DOT_PT2 = 14.0, 4.0  # areas of an arrow and of the smallest dot
_CLIP, _EDGE = 0.5, 1.06  # largest error drawn; arrows beyond it, and the axis beyond them


def family(kernel: str) -> str:
    """The family of a kernel by its name; one that is in no family is its own.

    >>> family("PyTorch SDPA cuDNN"), family("triton_flash"), family("matmul")
    ('cuDNN', 'Triton', 'matmul')
    """
    name = kernel.lower()
    fits = (f for f, parts in FAMILIES.items() if any(part in name for part in parts))
    return next(fits, kernel)


def plot_predicted_measured(
    table: Iterable[Record], ax: Axes, *, by: str = "family", quantity: Quantity = "time"
) -> Axes:
    """Predicted against measured, both logarithmic, with the diagonal and lines at ±10 %.

    Points carry the name of their group, its mean absolute error and its count for a legend,
    which `predicted_measured_figure` draws. Small groups lie on top of large ones.

    Args:
        table: Rows with the columns `records.COMPARED` of the quantity.
        ax: Where to draw; it becomes a square.
        by: What groups the points: "family", or a column such as "machine" or "kernel". The
            `MOST_GROUPS` largest have a colour.
        quantity: "time" [ms] or "energy" [mJ].

    Raises:
        PlotError: A column lacks, no row has both numbers, or one is no number above 0.
    """
    points = _points(table, by, quantity)
    _scatter(points, ax, _looks(points), _span(points), among=len(points))
    unit = _UNITS[quantity]
    return style.dress(
        ax, title="Predicted against measured", grid="both",
        x=f"Measured {quantity} [{unit}]", y=f"Predicted {quantity} [{unit}]",
    )  # fmt: skip


def predicted_measured_figure(
    table: Iterable[Record],
    *,
    by: str = "family",
    quantity: Quantity = "time",
    title: str = "Predicted against measured",
) -> Figure:
    """`plot_predicted_measured` under a title with the mean absolute error, and its legend."""
    rows = list(table)
    drawn = style.figure(height=4.6)
    ax = plot_predicted_measured(rows, drawn.subplots(), by=by, quantity=quantity)
    points = _points(rows, by, quantity)
    style.panel(ax, "")
    style.title(drawn, _told(title, rows, points))
    style.legend_beside(ax, _legend(points))
    return drawn


def validation_figure(
    table: Iterable[Record],
    *,
    machines: Sequence[str] = MACHINES,
    by: str = "family",
    quantity: Quantity = "time",
    title: str = "Predicted against measured",
) -> Figure:
    """A column of panels for each machine, under one legend: `plot_predicted_measured` and errors.

    The lower panels are those of `plot_error_by_size`, as a line at 10 % is hard to see on an axis
    of many decades. The panels of a row have the same axes; a group looks the same in all of them.

    Raises:
        PlotError: As `plot_predicted_measured`, or a machine has no row with both numbers.
    """
    rows = [row for row in _checked(table, by, quantity) if row["machine"] in machines]
    points = _points(rows, by, quantity) if rows else []
    own = {name: [p for p in points if p.machine == name] for name in machines}
    if not own or not all(own.values()):
        lacking = ", ".join(name for name in own if not own[name]) or "no machine is asked for"
        raise PlotError(f"{_WHAT}: want rows with both numbers of each machine, none: {lacking}")
    looks, span, unit = _looks(points), _span(points), _UNITS[quantity]
    side = min(2.3, (style.PAGE_IN - 0.55) / len(machines) - 0.2)
    drawn = style.figure(height=2.05 + 2 * side)
    panels = drawn.subplots(2, len(machines), sharex=True, sharey="row", squeeze=False)
    for upper, lower, (name, shown) in zip(*panels, own.items(), strict=True):
        _scatter(shown, upper, looks, span, among=len(points))
        style.dress(upper, title="", grid="both")
        style.panel(upper, f"{_machine(name)}\n{_mape(shown)}, n {len(shown):,}")
        _errors(shown, lower, looks, _CLIP, among=len(points))
        style.dress(lower, title="", x=f"Measured [{unit}]", grid="both")
        _log(lower, "x", *span)
        lower.set_box_aspect(1)
    panels[0, 0].set_ylabel(f"Predicted {quantity} [{unit}]", fontsize=style.LABEL_PT)
    panels[1, 0].set_ylabel("Error [%]", fontsize=style.LABEL_PT)
    drawn.align_ylabels()
    style.title(drawn, _told(title, rows, points))
    style.legend_below(drawn, _error_legend(points, _CLIP))
    return drawn


def error_bands(table: Iterable[Record], *, quantity: Quantity = "time") -> list[Record]:
    """The median error and the band of eight in ten, by measured size.

    A window of one decade slides along the measured axis in quarters of a decade; where it holds
    five points or more, a record tells their count, their 10th percentile, median and 90th
    percentile of the error, predicted / measured − 1.

    Returns:
        Records of measured_ms (or measured_mj), the middle of the window, n, p10, median and p90.

    Raises:
        PlotError: As `plot_predicted_measured`.

    >>> row = {"kernel": "matmul", "machine": "h100_sxm", "measured_ms": 2.0, "predicted_ms": 2.2}
    >>> [(b["n"], round(b["median"], 3)) for b in error_bands([row] * 5)]
    [(5, 0.1)]
    """
    size = COMPARED[quantity][-1]
    return [
        {size: band.middle, "n": band.n, "p10": band.low, "median": band.median, "p90": band.high}
        for band in _bands(_points(table, "machine", quantity))
    ]


def plot_error_by_size(
    table: Iterable[Record],
    ax: Axes,
    *,
    by: str = "family",
    quantity: Quantity = "time",
    clip: float = _CLIP,
) -> Axes:
    """Error, predicted / measured − 1, by what was measured, with `error_bands` and ±10 % lines.

    Points beyond the clip stand at the edge as arrows. As with `plot_predicted_measured`,
    `error_by_size_figure` draws the legend, which counts them.

    Args:
        table: Rows with the columns `records.COMPARED` of the quantity.
        ax: Where to draw.
        by: What groups the points: "family", or a column such as "machine" or "kernel".
        quantity: "time" or "energy".
        clip: Largest error, up and down, that the axis has [fraction].

    Raises:
        PlotError: As `plot_predicted_measured`, or the clip is not above 0.
    """
    if not clip > 0:
        raise PlotError(f"{_WHAT}: want a clip above 0, found {clip:g}")
    points = _points(table, by, quantity)
    _errors(points, ax, _looks(points), clip, among=len(points))
    return style.dress(
        ax, title="Error by size", x=f"Measured {quantity} [{_UNITS[quantity]}]", y=_ERROR,
        grid="both",
    )  # fmt: skip


def error_by_size_figure(
    table: Iterable[Record],
    *,
    by: str = "family",
    quantity: Quantity = "time",
    clip: float = _CLIP,
    title: str = "Error by size",
) -> Figure:
    """`plot_error_by_size` under a title with the mean absolute error, and its legend."""
    rows = list(table)
    drawn = style.figure(height=4.3)
    ax = plot_error_by_size(rows, drawn.subplots(), by=by, quantity=quantity, clip=clip)
    points = _points(rows, by, quantity)
    style.panel(ax, "")
    style.title(drawn, _told(title, rows, points))
    style.legend_below(drawn, _error_legend(points, clip))
    return drawn


@dataclass(frozen=True, slots=True)
class _Point:
    """One row with both numbers, [ms] or [mJ]."""

    group: str
    machine: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def _checked(table: Iterable[Record], by: str, quantity: Quantity) -> list[Record]:
    rows = some(table, _WHAT)
    grouped = () if by == "family" else (by,)
    check_columns(rows, _WHAT, tuple(dict.fromkeys((*COMPARED[quantity], *grouped))))
    return rows


def _points(table: Iterable[Record], by: str, quantity: Quantity) -> list[_Point]:
    """The rows with both numbers, by group; the smallest groups are one where there are many."""
    rows = _checked(table, by, quantity)
    both = COMPARED[quantity][-2:]
    found = [row for row in rows if not any(row[name] in (None, "") for name in both)]
    if not found:
        raise PlotError(
            f"{_WHAT}: want a row with both {' and '.join(both)}, found none in {len(rows)}"
        )
    names = [_group(row, by) for row in found]
    sizes = Counter(names).most_common()
    kept = {name for name, _ in sizes[: MOST_GROUPS - (len(sizes) > MOST_GROUPS)]}
    return [
        _Point(name if name in kept else OTHER, str(row["machine"]), *_numbers(row, both))
        for row, name in zip(found, names, strict=True)
    ]


def _numbers(row: Record, both: Sequence[str]) -> tuple[float, float]:
    """Measured and predicted, or an error that says of which kernel where."""
    place = f"{row['kernel']} on {row['machine']}"
    predicted, measured = (positive({"name": place, c: row[c]}, _WHAT, c) for c in both)
    return measured, predicted


def _group(row: Record, by: str) -> str:
    if by == "family":
        return family(str(row["kernel"]))
    return _machine(str(row[by])) if by == "machine" else str(row[by])


def _machine(name: str) -> str:
    """The name of a machine as people write it.

    >>> _machine("h100_sxm")
    'H100 SXM'
    """
    return name.replace("_", " ").upper()


def _looks(points: Sequence[_Point]) -> dict[str, style.Look]:
    """A look for each group, the largest first, and `OTHER` last and grey."""
    sizes = Counter(p.group for p in points)
    rest = sizes.pop(OTHER, 0)
    named = dict(zip([name for name, _ in sizes.most_common()], _LOOKS, strict=False))
    return named | ({OTHER: _LOOKS[-1]} if rest else {})


def _span(points: Sequence[_Point]) -> tuple[float, float]:
    values = [value for p in points for value in (p.measured, p.predicted)]
    return min(values), max(values)


def _scatter(
    points: Sequence[_Point],
    ax: Axes,
    looks: Mapping[str, style.Look],
    span: tuple[float, float],
    *,
    among: int,
) -> None:
    """The points, the diagonal and the lines around it, on square axes that have all of `span`."""
    for name, look in looks.items():
        own = [p for p in points if p.group == name]
        if own:
            _dots(ax, [(p.measured, p.predicted) for p in own], look, among, _label(name, own))
    for axis in ("x", "y"):
        ends = _log(ax, axis, *span)
    for factor, line in ((1, _EQUAL), (1 + _TOLERANCE, _WITHIN), (1 - _TOLERANCE, _WITHIN)):
        ax.plot(ends, [factor * end for end in ends], **line)
    ax.set_box_aspect(1)


def _dots(
    ax: Axes, at: Sequence[tuple[float, float]], look: style.Look, among: int, label: str
) -> None:
    """Dots, the smaller the more a figure has; a picture in an SVG, as they are many."""
    size = min(20.0, max(_DOT_PT2, 5000 / among))
    xs, ys = [x for x, _ in at], [y for _, y in at]
    ax.scatter(xs, ys, size, look.colour, marker=look.marker, alpha=0.6, linewidths=0,
               rasterized=True, label=label)  # fmt: skip


def _log(ax: Axes, axis: Literal["x", "y"], low: float, high: float) -> tuple[float, float]:
    """A logarithmic axis with room around its values; its ends."""
    ends = (low / _ROOM, high * _ROOM)
    style.log_axis(ax, axis, wide=high / low > _MANY)
    getattr(ax, f"set_{axis}lim")(*ends)
    if high / low < _POWERS:
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        getattr(ax, f"{axis}axis").set_major_formatter(plain)
    return ends


def _errors(
    points: Sequence[_Point],
    ax: Axes,
    looks: Mapping[str, style.Look],
    clip: float,
    *,
    among: int,
) -> None:
    """The errors of `plot_error_by_size` on their axes."""
    for name, look in looks.items():
        own = [p for p in points if p.group == name]
        if own:
            inside = [(p.measured, 100 * p.error) for p in own if abs(p.error) <= clip]
            _dots(ax, inside, look, among, _label(name, own))
        for side, marker in ((1, "^"), (-1, "v")):
            beyond = [p.measured for p in own if side * p.error > clip]
            ax.scatter(beyond, [side * _EDGE * 100 * clip] * len(beyond), _ARROW_PT2, look.colour,
                       marker=marker, linewidths=0)  # fmt: skip
    bands = _bands(points)
    if bands:
        _draw_bands(bands, ax)
    for height, line in ((0, _EQUAL), (100 * _TOLERANCE, _WITHIN), (-100 * _TOLERANCE, _WITHIN)):
        ax.axhline(height, **line)
    sizes = [p.measured for p in points]
    _log(ax, "x", min(sizes), max(sizes))
    ax.set_ylim(-100 * clip * _EDGE**2, 100 * clip * _EDGE**2)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _signed(y)))


@dataclass(frozen=True, slots=True)
class _Band:
    """Errors of the points in a window around a measured size."""

    middle: float
    n: int
    low: float
    median: float
    high: float


def _bands(points: Sequence[_Point]) -> list[_Band]:
    sizes = np.log10([p.measured for p in points])
    errors = np.array([p.error for p in points])
    places = range(round(_STEPS * sizes.min()), round(_STEPS * sizes.max()) + 1)
    near = {i: errors[np.abs(sizes - i / _STEPS) <= _WIDE / 2] for i in places}
    return [
        _Band(10 ** (i / _STEPS), len(off), *np.quantile(off, (0.1, 0.5, 0.9)).tolist())
        for i, off in near.items()
        if len(off) >= _FEWEST
    ]


def _draw_bands(bands: Sequence[_Band], ax: Axes) -> None:
    """The running median and the edges of its band above the points, the band below them."""
    xs = [band.middle for band in bands]
    low, high = [100 * band.low for band in bands], [100 * band.high for band in bands]
    ax.fill_between(xs, low, high, color=style.PALE, linewidth=0, zorder=0.5)
    for edge in (low, high):
        ax.plot(xs, edge, color=style.BLACK, linewidth=_BAND["linewidth"])
    ax.plot(xs, [100 * band.median for band in bands], **_MEDIAN)


def _signed(percent: float) -> str:
    """A number with its sign.

    >>> _signed(20.0), _signed(-20.0), _signed(0.0)
    ('+20', '−20', '0')
    """
    return f"{'+' if percent > 0 else '−' if percent < 0 else ''}{abs(percent):g}"


def _mape(points: Sequence[_Point]) -> str:
    """The mean of |error|, in percent."""
    return f"{short(100 * fmean(abs(p.error) for p in points))} %"


def _label(name: str, points: Sequence[_Point]) -> str:
    """A group with its error and size."""
    return f"{name}: {_mape(points)}, n {len(points):,}"


def _told(title: str, rows: Sequence[Record], points: Sequence[_Point]) -> str:
    """The title with the mean absolute error, and how many rows are not drawn."""
    lacking = len(rows) - len(points)
    rest = f" ({lacking:,} of {len(rows):,} rows lack a number)" if lacking else ""
    found = f"{title}: mean |error| {_mape(points)}, n {len(points):,}{rest}"
    return "\n".join(wrap(found, _LINE))


def _legend(points: Sequence[_Point]) -> list[Artist]:
    """The groups with their errors and sizes, and the lines."""
    handles: list[Artist] = []
    for name, look in _looks(points).items():
        own = [p for p in points if p.group == name]
        handles.append(_mark(_label(name, own), look.marker, look.colour))
    within = f"±{100 * _TOLERANCE:g} %"
    return [*handles, Line2D([], [], label="predicted = measured", **_EQUAL),
            Line2D([], [], label=within, **_WITHIN)]  # fmt: skip


def _error_legend(points: Sequence[_Point], clip: float) -> list[Artist]:
    """`_legend`, the median and its band, and how many points stand at the edges."""
    handles = _legend(points)
    if _bands(points):
        handles.append(Line2D([], [], label="running median", **_MEDIAN))
        handles.append(Patch(label="10–90 %", **_BAND))
    for side, marker, sign in ((1, "^", "above +"), (-1, "v", "below −")):
        beyond = sum(side * p.error > clip for p in points)
        if beyond:
            label = f"{sign}{100 * clip:g} %: {beyond:,}"
            handles.append(_mark(label, marker, style.WHITE))
    return handles


def _mark(label: str, marker: str, colour: str) -> Line2D:
    return Line2D(
        [], [], label=label, linestyle="", marker=marker, markersize=5, markerfacecolor=colour,
        markeredgecolor=style.BLACK if colour == style.WHITE else colour,
        markeredgewidth=style.HAIR_PT,
    )  # fmt: skip
