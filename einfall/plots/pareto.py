"""Area against latency: which machines are worth building."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from einfall.plots import style
from einfall.plots.records import PlotError, Record, column, number, pick, some
from einfall.units import SQUARED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AREA_UNITS = {f"{prefix}m^2": float(size) * 1e6 for prefix, size in SQUARED.items()}


def pareto_table(rows: Iterable[Record], *, kernel: str = "pareto") -> list[Record]:
    """Area and latency of each machine of a sweep over the edge of its array, and who dominates.

    A machine is on the frontier of its model if no other is both smaller and faster.

    Args:
        rows: Results; metrics `area` [um^2 or mm^2] and `latency` [s] of each model and pe_dim.
        kernel: The kernel of these rows.

    Returns:
        Records of model, pe_dim, area_mm2, latency_s and frontier (True or False), by pe_dim.

    Raises:
        PlotError: A machine lacks its area or its latency, or a unit is unknown.

    >>> row = {"kernel": "pareto", "config": "fusemax", "model": "T5", "seq_len": "256K"}
    >>> area = row | {"pe_dim": 16, "metric": "area", "unit": "um^2", "value": 5e6}
    >>> time = row | {"pe_dim": 16, "metric": "latency", "unit": "s", "value": 2.0}
    >>> pareto_table([area, time])[0]["area_mm2"]
    5.0
    """
    what = f"pareto of {kernel}"
    found = list(rows)
    areas = {_place(r): _area_mm2(r, what) for r in pick(found, what, kernel=kernel, metric="area")}
    latencies = pick(found, what, kernel=kernel, metric="latency")
    # The area of a machine is the same for every model, so its rows may name none.
    pairs = [
        (_place(row), areas.get(_place(row), areas.get(("", _place(row)[1]))), number(row, what))
        for row in latencies
    ]
    lacking = [f"{model} {pe_dim}" for (model, pe_dim), area, _ in pairs if area is None]
    lacking += [f"{m} {d}" for m, d in areas if m and (m, d) not in {place for place, *_ in pairs}]
    if lacking:
        raise PlotError(f"{what}: want an area and a latency each, lacking: {', '.join(lacking)}")
    machines = [
        {"model": model, "pe_dim": pe_dim, "area_mm2": area, "latency_s": latency}
        for (model, pe_dim), area, latency in sorted(pairs, key=itemgetter(0))
    ]
    return [{**m, "frontier": not any(_dominates(o, m) for o in machines)} for m in machines]


def plot_pareto(table: Iterable[Record], ax: Axes) -> Axes:
    """Machines by area and latency: points labelled with the edge of the array, and the frontier.

    Filled points are on the frontier of their model, which is drawn through them; hollow ones are
    dominated.
    """
    records = some(table, "pareto")
    looks = style.looks(column(records, "model"))
    handles = []
    for model, look in looks.items():
        points = sorted((r for r in records if r["model"] == model), key=_area)
        front = [r for r in points if r["frontier"]]
        ax.plot([_area(r) for r in front], [_latency(r) for r in front], "-", color=look.colour,
                linewidth=style.LINE_PT)  # fmt: skip
        for row in points:
            face = look.colour if row["frontier"] else style.WHITE
            ax.plot(_area(row), _latency(row), **_marker(look, face))
        handles.append(Line2D([], [], label=model, color=look.colour, **_marker(look, look.colour)))
    if not all(row["frontier"] for row in records):
        handles.append(Line2D([], [], label="dominated", color=style.WHITE,
                              **_marker(looks[next(iter(looks))], style.WHITE)))  # fmt: skip
    _name_machines(records, ax)
    style.decades(ax, "x", [_area(r) for r in records])
    style.decades(ax, "y", [_latency(r) for r in records])
    ax.margins(0.12)
    style.legend_inside(ax, handles)
    return style.dress(
        ax, title="Area against latency, by edge of the array [PEs]",
        x="Area [mm²]", y="Latency [s]", grid="both",
    )  # fmt: skip


def _name_machines(records: Sequence[Record], ax: Axes) -> None:
    """The edge of the array once for each machine, under its fastest model."""
    fastest: dict[str, Record] = {}
    for row in sorted(records, key=_latency):
        fastest.setdefault(str(row["pe_dim"]), row)
    for name, row in fastest.items():
        ax.annotate(
            name, (_area(row), _latency(row)), (0, -6), textcoords="offset points",
            fontsize=style.SMALL_PT, ha="center", va="top",
        )  # fmt: skip


def _dominates(other: Record, machine: Record) -> bool:
    """Whether the other is no larger and no slower for the same model, and not the same."""
    better = _area(other) <= _area(machine) and _latency(other) <= _latency(machine)
    same = (_area(other), _latency(other)) == (_area(machine), _latency(machine))
    return other["model"] == machine["model"] and better and not same


def _place(row: Record) -> tuple[str, int]:
    return str(row["model"]), int(number(row, "pareto", "pe_dim"))


def _area_mm2(row: Record, what: str) -> float:
    unit = str(row["unit"])
    if unit not in _AREA_UNITS:
        raise PlotError(f"{what}: area: want a unit of {', '.join(_AREA_UNITS)}, found {unit!r}")
    return number(row, what) * _AREA_UNITS[unit]


def _area(row: Record) -> float:
    return number(row, "pareto", "area_mm2")


def _latency(row: Record) -> float:
    return number(row, "pareto", "latency_s")


def _marker(look: style.Look, face: str) -> dict[str, Any]:
    return {
        "marker": look.marker,
        "markersize": 5.5,
        "markerfacecolor": face,
        "markeredgecolor": style.BLACK,
        "markeredgewidth": style.HAIR_PT,
    }
