"""How well the arrays are used: the 2D array by Einsum, and the 1D array beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from einfall.plots import style
from einfall.plots.configs import in_order, label
from einfall.plots.records import PlotError, Record, column, length, number, pick, some

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BY_EINSUM = "util_2d_einsum_"
_WHOLE = "all Einsums"


def utilization_table(rows: Iterable[Record], *, kernel: str = "attention") -> list[Record]:
    """Utilization of both arrays by configuration, model and length.

    Metrics `util_2d_einsum_X` give the 2D array's share of each Einsum X; where a configuration has
    none, its `util_2d` stands for all Einsums together. `util_1d` is the 1D array.

    Returns:
        Records of config, model, seq_len, array ("2d" or "1d"), einsum and utilization [fraction].

    Raises:
        PlotError: No utilization in the rows, or one outside 0 to 1.
    """
    what = f"utilization of {kernel}"
    chosen = [r for r in pick(rows, what, kernel=kernel) if str(r["metric"]).startswith("util_")]
    split = {_place(r) for r in chosen if str(r["metric"]).startswith(_BY_EINSUM)}
    table: list[Record] = []
    for row in chosen:
        metric = str(row["metric"])
        if metric == "util_2d" and _place(row) in split:
            continue
        share = number(row, what)
        if not -1e-9 <= share <= 1 + 1e-9:
            place = " ".join((*_place(row), metric))
            raise PlotError(f"{what}: {place}: want a fraction from 0 to 1, found {share:g}")
        einsum = metric.removeprefix(_BY_EINSUM) if metric.startswith(_BY_EINSUM) else _WHOLE
        kept = {name: row[name] for name in ("config", "model", "seq_len")}
        array = "1d" if metric == "util_1d" else "2d"
        table.append({**kept, "array": array, "einsum": einsum, "utilization": share})
    return some(table, f"{what}: metrics util_1d, util_2d or {_BY_EINSUM}…")


def plot_utilization(table: Iterable[Record], ax: Axes) -> Axes:
    """Stacked bars of one model: the 2D array by Einsum; a diamond marks the 1D array.

    Bars stand in groups by configuration, and in a group by length. The legend of Einsums belongs
    to `utilization_figure`.

    Raises:
        PlotError: The table has several models; draw one, or use `utilization_figure`.
    """
    records = some(table, "utilization")
    models = column(records, "model")
    if len(models) != 1:
        raise PlotError(f"utilization: want one model on an axis, found {', '.join(models)}")
    lengths = sorted(column(records, "seq_len"), key=length)
    configs = in_order(column(records, "config"))
    x = {
        (config, seq_len): i * (len(lengths) + 1) + j
        for i, config in enumerate(configs)
        for j, seq_len in enumerate(lengths)
    }
    _stack(records, x, ax)
    ax.set_xticks(list(x.values()), [seq_len for _, seq_len in x], rotation=90)
    middles = [x[config, lengths[0]] + (len(lengths) - 1) / 2 for config in configs]
    names = ax.secondary_xaxis("top")
    names.set_xticks(middles, [label(config) for config in configs])
    names.tick_params(length=0, labelsize=style.SMALL_PT)
    names.spines["top"].set_visible(False)
    ax.set_xlim(-0.9, max(x.values()) + 0.9)
    ax.set_ylim(0, 1)
    ax.tick_params(axis="x", length=0)
    return style.dress(ax, title=models[0], y="Utilization [fraction]", grid="y")


def utilization_figure(table: Iterable[Record]) -> Figure:
    """`plot_utilization` with a panel for each model and one legend."""
    records = some(table, "utilization")
    models = column(records, "model")
    drawn = style.figure(height=0.7 + 1.75 * len(models))
    panels = drawn.subplots(len(models), 1, sharex=True, squeeze=False).flat
    for ax, model in zip(panels, models, strict=True):
        plot_utilization([row for row in records if row["model"] == model], ax)
        style.panel(ax, model)
    style.title(drawn, "Utilization of the 2D array by Einsum, and of the 1D array")
    style.legend_below(drawn, _legend(records))
    return drawn


def _place(row: Record) -> tuple[str, str, str]:
    return str(row["config"]), str(row["model"]), str(row["seq_len"])


def _looks(records: Sequence[Record]) -> dict[str, style.Look]:
    """Einsums of the 2D array in order; what is not split is grey."""
    einsums = column([r for r in records if r["array"] == "2d"], "einsum")
    named = style.looks(e for e in einsums if e != _WHOLE)
    return named | {e: style.Look(style.PALE, "", "o") for e in einsums if e == _WHOLE}


def _stack(records: Sequence[Record], x: dict[tuple[str, str], int], ax: Axes) -> None:
    top = dict.fromkeys(x, 0.0)
    looks = _looks(records)
    for row in records:
        place = str(row["config"]), str(row["seq_len"])
        share = number(row, "utilization", "utilization")
        if row["array"] == "1d":
            ax.plot(x[place], share, **_DIAMOND)
        else:
            look = looks[str(row["einsum"])]
            ax.bar(x[place], share, 0.84, top[place], **look.box())
            top[place] += share


def _legend(records: Sequence[Record]) -> list[Artist]:
    handles = style.patches({f"2D: {name}": look for name, look in _looks(records).items()})
    return [*handles, Line2D([], [], label="1D array", **_DIAMOND)]


_DIAMOND: dict[str, Any] = {
    "marker": "D",
    "markersize": 4.0,
    "markerfacecolor": style.WHITE,
    "markeredgecolor": style.BLACK,
    "markeredgewidth": 1.0,
    "linestyle": "none",
    "clip_on": False,
    "zorder": 3,
}
