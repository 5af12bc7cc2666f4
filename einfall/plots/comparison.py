"""Configurations against a reference: how many times faster, and with what part of the energy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from einfall.plots import style
from einfall.plots.configs import config_looks, in_order, label
from einfall.plots.records import PlotError, Record, column, length, number, pick, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KERNELS = {
    "attention": "attention",
    "linear_layers": "linear layers",
    "end_to_end": "one encoder layer",
}
"""How a reader knows the kernels of a table of results."""

_APART, _SPREAD = 0.45, 1.5  # of the group of means: how far from the others, and its bars


def speedups(rows: Iterable[Record], *, kernel: str, reference: str = "flat") -> list[Record]:
    """How many times faster each configuration is than the reference.

        speedup = latency of the reference / latency

    Args:
        rows: Results with the columns `records.COLUMNS`.
        kernel: "attention", "end_to_end" or another kernel of the rows.
        reference: The configuration to compare with.

    Returns:
        Records of model, seq_len, config, reference, kernel and speedup, the reference left out.

    Raises:
        PlotError: No latency of the kernel, or none of the reference for a model and length.

    >>> row = {"kernel": "attention", "model": "T5", "seq_len": "1K", "pe_dim": "", "unit": "s"}
    >>> flat = row | {"config": "flat", "metric": "latency", "value": 6.0}
    >>> ours = row | {"config": "plus_cascade", "metric": "latency", "value": 2.0}
    >>> speedups([flat, ours], kernel="attention")[0]["speedup"]
    3.0
    """
    found = _against(rows, kernel, "latency", reference)
    return [{**row, "speedup": base / value} for row, value, base in found]


def energy_ratios(rows: Iterable[Record], *, kernel: str, reference: str = "flat") -> list[Record]:
    """Energy of each configuration as a fraction of the reference's.

        energy_ratio = energy / energy of the reference

    Arguments, errors and other columns are those of `speedups`.
    """
    found = _against(rows, kernel, "energy", reference)
    return [{**row, "energy_ratio": value / base} for row, value, base in found]


def plot_speedups(table: Iterable[Record], ax: Axes) -> Axes:
    """Bars of `speedups` on a logarithmic axis, up where faster than the reference, else down.

    The last group is the arithmetic mean over the groups shown, with its numbers. Bars carry the
    names of their configurations for a legend, which `speedup_figure` draws.
    """
    records = some(table, "speedups")
    groups = _groups(records, "speedup")
    style.log_axis(ax, "y")
    low, high = _span(groups)
    ax.set_ylim(low / 1.25, high * 1.6)
    _bars(groups, ax, bottom=1.0)
    return style.dress(ax, title=_title(records), y=f"Speedup over {_reference(records)} [times]")


def plot_energy_ratios(table: Iterable[Record], ax: Axes) -> Axes:
    """Bars of `energy_ratios`; the last group is the mean over those shown, with its numbers."""
    records = some(table, "energy ratios")
    groups = _groups(records, "energy_ratio")
    ax.set_ylim(0, 1.3 * _span(groups)[1])
    _bars(groups, ax, bottom=0.0)
    return style.dress(ax, title=_title(records), y=f"Energy over {_reference(records)} energy")


def speedup_figure(table: Iterable[Record]) -> Figure:
    """`plot_speedups` with a panel for each model, the means over all in the legend."""
    return _panels(some(table, "speedups"), plot_speedups, "speedup", "Speedup")


def energy_figure(table: Iterable[Record]) -> Figure:
    """`plot_energy_ratios` with a panel for each model, the means over all in the legend."""
    return _panels(some(table, "energy ratios"), plot_energy_ratios, "energy_ratio", "Energy")


def _against(
    rows: Iterable[Record], kernel: str, metric: str, reference: str
) -> Iterator[tuple[dict[str, object], float, float]]:
    """Each row of the metric, its value, and the value of the reference at its model and length."""
    what = f"{metric} of {kernel} over {reference}"
    chosen = pick(rows, what, kernel=kernel, metric=metric)
    base = {_place(row): _positive(row, what) for row in chosen if row["config"] == reference}
    lacking = dict.fromkeys(" ".join(_place(row)) for row in chosen if _place(row) not in base)
    if lacking:
        raise PlotError(
            f"{what}: want config {reference!r} for each model and length, lacking: "
            f"{', '.join(lacking)}; the configs are {', '.join(column(chosen, 'config'))}"
        )
    for row in chosen:
        if row["config"] != reference:
            kept = {name: row[name] for name in ("kernel", "config", "model", "seq_len")}
            yield {**kept, "reference": reference}, _positive(row, what), base[_place(row)]


def _place(row: Record) -> tuple[str, str]:
    return str(row["model"]), str(row["seq_len"])


def _positive(row: Record, what: str) -> float:
    value = number(row, what)
    if value <= 0:
        place = " ".join((str(row["config"]), *_place(row)))
        raise PlotError(f"{what}: {place}: want a value above 0, found {value:g}")
    return value


@dataclass(frozen=True, slots=True)
class _Group:
    """Bars that stand together: value by configuration."""

    name: str
    bars: Mapping[str, float]


def _groups(records: Sequence[Record], value: str) -> list[_Group]:
    """A group for each model and length, by model and growing length, and the means at the end."""
    models = column(records, "model")
    bars: dict[tuple[str, str], dict[str, float]] = {}
    for row in records:
        bars.setdefault(_place(row), {})[str(row["config"])] = number(row, value, value)
    places = sorted(bars, key=lambda place: (models.index(place[0]), length(place[1])))
    groups = [_Group(s if len(models) == 1 else f"{s}\n{m}", bars[m, s]) for m, s in places]
    return [*groups, _Group("mean", _means(records, value))]


def _means(records: Sequence[Record], value: str) -> dict[str, float]:
    """The arithmetic mean of each configuration over its records."""
    return {
        config: fmean(number(r, value, value) for r in records if r["config"] == config)
        for config in in_order(column(records, "config"))
    }


def _span(groups: Sequence[_Group]) -> tuple[float, float]:
    values = [1.0, *(value for group in groups for value in group.bars.values())]
    return min(values), max(values)


def _bars(groups: Sequence[_Group], ax: Axes, *, bottom: float) -> None:
    """Draw the groups; the last one, of the means, stands apart and has its numbers written."""
    looks = config_looks(groups[-1].bars)
    width = 0.84 / len(looks)
    middles = [*map(float, range(len(groups) - 1)), len(groups) - 1 + _APART]
    for i, (config, look) in enumerate(looks.items()):
        places = [
            (x + (i - (len(looks) - 1) / 2) * width * (_SPREAD if group is groups[-1] else 1.0),
             group.bars[config])
            for x, group in zip(middles, groups, strict=True)
            if config in group.bars
        ]  # fmt: skip
        xs, heights = [x for x, _ in places], [value - bottom for _, value in places]
        ax.bar(xs, heights, width, bottom, label=label(config), **look.box())
        x, mean = places[-1]
        ax.annotate(
            f"{mean:.2f}", (x, max(mean, bottom)), (0, 2), textcoords="offset points",
            fontsize=style.SMALL_PT, rotation=90, ha="center", va="bottom",
            bbox={"facecolor": style.WHITE, "edgecolor": "none", "pad": 0.0},
        )  # fmt: skip
    ax.axhline(1.0, color=style.BLACK, linewidth=2 * style.HAIR_PT)
    ax.axvline(len(groups) - 1.4, color=style.GREY, linewidth=style.HAIR_PT, linestyle=":")
    ax.set_xlim(-0.6, middles[-1] + 0.5 * _SPREAD)
    ax.set_xticks(middles, [group.name for group in groups])
    ax.tick_params(axis="x", length=0)


def _reference(records: Sequence[Record]) -> str:
    return label(str(records[0]["reference"]))


def _title(records: Sequence[Record]) -> str:
    """The model where it is one, else what is compared."""
    models = column(records, "model")
    return models[0] if len(models) == 1 else _kernel(records).capitalize()


def _kernel(records: Sequence[Record]) -> str:
    name = str(records[0]["kernel"])
    return KERNELS.get(name, name)


def _panels(
    records: Sequence[Record],
    plot: Callable[[Sequence[Record], Axes], Axes],
    value: str,
    quantity: str,
) -> Figure:
    """A panel for each model, two beside each other, under one title and one legend."""
    models = column(records, "model")
    columns = min(2, len(models))
    rows = -(-len(models) // columns)
    drawn = style.figure(height=0.75 + 2.0 * rows)
    panels = drawn.subplots(rows, columns, sharey=True, squeeze=False)
    limits: list[tuple[float, float]] = []
    for ax, model in zip(panels.flat, models, strict=False):
        plot([row for row in records if row["model"] == model], ax)
        style.panel(ax, model)
        limits.append(ax.get_ylim())
    # The panels share an axis, of which the last one drawn would have the say.
    panels.flat[0].set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    for ax in panels[:, 1:].flat:
        ax.set_ylabel("")
    for ax in panels.flat[len(models) :]:
        ax.set_axis_off()
    style.title(drawn, f"{quantity} of {_kernel(records)} against {_reference(records)}")
    means = _means(records, value)
    named = {f"{label(c)}, mean {means[c]:.2f}": look for c, look in config_looks(means).items()}
    style.legend_below(drawn, style.patches(named))
    return drawn
