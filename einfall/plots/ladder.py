"""The ladder: from what the operation count promises down to what is measured, each loss named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from einfall.plots import style
from einfall.plots.records import (
    KINDS,
    LADDERS,
    RUNGS,
    PlotError,
    Record,
    check_columns,
    column,
    positive,
    short,
    some,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHADES = {
    "bound": (
        style.Look(style.BLUE, "", "o"),
        style.Look(style.SKY, "///", "s"),
        style.Look(style.tint(style.SKY, 0.3), "", "^"),
        style.Look(style.tint(style.BLUE, 0.6), "...", "D"),
    ),
    "simulated": (
        style.Look(style.GREEN, "\\\\\\", "v"),
        style.Look(style.tint(style.GREEN, 0.4), "", "P"),
    ),
    "measured": (
        style.Look(style.YELLOW, "", "X"),
        style.Look(style.ORANGE, "xxx", "*"),
    ),
}
"""Looks of a kind: a ladder has the first of each; ladders side by side have one for each name."""

_LOSS = style.Look(style.PALE, "", "")
_LARGEST = style.Look(style.VERMILION, "", "")
_GAIN = style.Look("none", "ooo", "")

_CHARACTERS = 32  # in a line of a name or of the text beside a step
_LINE = 90  # characters in a line of the title of a figure
_EM = 0.62  # mean width of a character, in sizes of the font
_THICK = 0.66  # of the bars of a ladder, where rungs are 1 apart
_SHORTEST = 0.18  # of a logarithmic axis: the bar of the lowest rung
_SAME = 0.0005  # a step that no percentage shows
_APART = 0.5  # between the groups of two GPUs, in groups
_ROOM = 0.3  # of the axis of ladders side by side: numbers above the bars


def plot_ladder(table: Iterable[Record], ax: Axes) -> Axes:
    """Rungs from the top down: a bar to the speedup of each, a box over what is lost on the way.

    Beside a box stand what limits there and what it takes, as a part of the rung before: 5.25 after
    11.11 is -53 %. The step that takes most is in colour and in bold; a rung above the one
    before it, such as a measurement that beats a bound, has its gain hatched. The axis is
    logarithmic where the speedups span a decade or more; bars then begin at its edge. The legend
    belongs to `ladder_figure`.

    Args:
        table: Records with the columns `records.RUNGS`: name, speedup, limit and kind ("bound",
            "simulated" or "measured"), from the first rung to the last.
        ax: Where to draw.

    Raises:
        PlotError: A rung has no speedup above 0, or a kind that is none of `KINDS`.
    """
    rungs = _checked(table, "ladder", RUNGS)
    speedups = _speedups(rungs)
    steps = [(speedups[0], speedups[0]), *pairwise(speedups)]
    largest = _largest_loss(speedups)
    least = _start_axis(ax, speedups)
    for i, (row, (before, after)) in enumerate(zip(rungs, steps, strict=True)):
        look = _SHADES[str(row["kind"])][0]
        ax.barh(i, after - least, _THICK, least, clip_on=False, **look.box())
        _draw_step(ax, i, before, after, largest=i == largest)
        _write(ax, _times(after), (after, i), -1, style.ink(look.colour), plate=look.colour)
        limit = str(row["limit"])
        text = f"{limit}: {_change(before, after)}" if i else limit
        text = _lines(text.removeprefix(": "), _CHARACTERS)
        _write(ax, text, (max(before, after), i), 1, plate=style.WHITE, bold=i == largest)
    ax.axvline(1.0, **_NO_GAIN)
    ax.set_yticks(range(len(rungs)), [_lines(str(row["name"]), _CHARACTERS) for row in rungs])
    ax.set_ylim(len(rungs) - 0.4, -0.6)
    style.dress(ax, title=_finding(rungs, speedups), x="Speedup [times]", grid="x")
    ax.tick_params(axis="y", length=0, labelsize=style.LABEL_PT)
    return ax


def ladder_figure(table: Iterable[Record], *, title: str = "") -> Figure:
    """`plot_ladder` as high as its rungs need, with a legend.

    Args:
        table: As in `plot_ladder`.
        title: What is compared with what, and where; the step that loses most is named under it.
    """
    rungs = _checked(table, "ladder", RUNGS)
    speedups = _speedups(rungs)
    most = max(len(wrap(str(row["name"]), _CHARACTERS)) for row in rungs)
    drawn = style.figure(height=1.3 + max(0.4, 0.16 * most) * len(rungs))
    style.panel(plot_ladder(rungs, drawn.subplots()), "")
    lines = [*wrap(title, _LINE), *wrap(_finding(rungs, speedups), _LINE)]
    style.title(drawn, "\n".join(lines))
    style.legend_below(drawn, _legend(rungs, speedups))
    return drawn


def plot_ladders(table: Iterable[Record], ax: Axes) -> Axes:
    """Several ladders side by side: a group of bars for each case, a bar for each rung of it.

    Groups stand in the order of their first record, those of one GPU together and under its name.
    A rung that a case lacks leaves its place empty. The axis is logarithmic where the speedups span
    a decade or more; bars then stand on 1. The legend belongs to `ladders_figure`.

    Args:
        table: Records with the columns `records.LADDERS`: case, gpu, name, speedup and kind.
        ax: Where to draw.

    Raises:
        PlotError: A speedup that is no number above 0, an unknown kind, or a rung that a case has
            twice.
    """
    records = _ladders(table)
    return _draw_ladders(records, ax, _rung_looks(records), _speedups(records))


def ladders_figure(table: Iterable[Record], *, title: str = "Bounds of the speedup") -> Figure:
    """`plot_ladders` with a panel for each GPU, the same axis in all, and one legend."""
    records = _ladders(table)
    gpus, looks = column(records, "gpu"), _rung_looks(records)
    drawn = style.figure(height=0.9 + 2.1 * len(gpus))
    panels = drawn.subplots(len(gpus), 1, squeeze=False).flat
    for ax, gpu in zip(panels, gpus, strict=True):
        own = [row for row in records if str(row["gpu"]) == gpu]
        style.panel(_draw_ladders(own, ax, looks, _speedups(records)), gpu)
    style.title(drawn, _lines(title, _LINE))
    style.legend_below(drawn, [*style.patches(looks), Line2D([], [], **_NO_GAIN)])
    return drawn


_NO_GAIN: dict[str, Any] = {
    "color": style.BLACK,
    "linewidth": 1.0,
    "linestyle": (0, (4, 2)),
    "label": "no gain (1×)",
}


def _checked(table: Iterable[Record], what: str, columns: Sequence[str]) -> list[Record]:
    rows = some(table, what)
    check_columns(rows, what, columns)
    for row in rows:
        positive(row, what, "speedup")
        if row["kind"] not in KINDS:
            raise PlotError(
                f"{what}: {row['name']}: want a kind of {', '.join(KINDS)}, found {row['kind']!r}"
            )
    return rows


def _ladders(table: Iterable[Record]) -> list[Record]:
    records = _checked(table, "ladders", LADDERS)
    places = Counter(f"{row['gpu']} {row['case']} {row['name']}" for row in records)
    twice = [place for place, times in places.items() if times > 1]
    if twice:
        raise PlotError(f"ladders: want each rung of a case once, found twice: {', '.join(twice)}")
    return records


def _speedups(rows: Iterable[Record]) -> list[float]:
    return [positive(row, "ladder", "speedup") for row in rows]


def _largest_loss(speedups: Sequence[float]) -> int | None:
    """The rung at which most is lost, as a part of the one before; None where nothing is lost."""
    kept = [after / before for before, after in pairwise(speedups)]
    return kept.index(min(kept)) + 1 if kept and min(kept) < 1 - _SAME else None


def _start_axis(ax: Axes, speedups: Sequence[float]) -> float:
    """Scale of the axis of a ladder; where its bars begin."""
    low, high = min(1.0, *speedups), max(1.0, *speedups)
    logarithmic = style.decades(ax, "x", speedups)
    least = low / (high / low) ** _SHORTEST if logarithmic else 0.0
    ax.set_xlim(least, high)
    return least


def _draw_step(ax: Axes, i: int, before: float, after: float, *, largest: bool) -> None:
    """The box between two rungs, and the line that leads down to it from the one before."""
    if i == 0:
        return
    ax.plot([before] * 2, [i - 1 + _THICK / 2, i - _THICK / 2], color=style.BLACK,
            linewidth=style.HAIR_PT)  # fmt: skip
    left, right = sorted((before, after))
    if _is_step(before, after):
        look = _GAIN if after > before else _LARGEST if largest else _LOSS
        ax.barh(i, right - left, _THICK, left, clip_on=False, **look.box())


def _write(  # noqa: PLR0913  where, on which side, and how
    ax: Axes,
    text: str,
    at: tuple[float, float],
    side: int,
    colour: str = style.BLACK,
    *,
    plate: str,
    bold: bool = False,
) -> None:
    """Text left (-1) or right (1) of a point; the plate keeps hatches and lines away."""
    ax.annotate(
        text, at, (4 * side, 0), textcoords="offset points", color=colour, va="center",
        ha="left" if side > 0 else "right", fontsize=style.LABEL_PT if side < 0 else style.SMALL_PT,
        fontweight="bold" if bold or side < 0 else "normal", annotation_clip=False,
        bbox={"facecolor": plate, "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _change(before: float, after: float) -> str:
    """The step from one rung to the next, in percent of the first.

    >>> _change(100.0, 0.8), _change(3.2, 3.5), _change(10.24, 10.2), _change(16.0, 16.0)
    ('−99.2 %', '+9 %', '−0.4 %', 'no loss')
    """
    if not _is_step(before, after):
        return "no loss"
    percent = 100 * abs(after / before - 1)
    digits = 1 if percent < 1 or (after < before and percent > 99) else 0
    return f"{'+' if after > before else '−'}{percent:.{digits}f} %"


def _is_step(before: float, after: float) -> bool:
    return abs(after / before - 1) >= _SAME


def _finding(rungs: Sequence[Record], speedups: Sequence[float]) -> str:
    """What a ladder says in one line."""
    i = _largest_loss(speedups)
    if i is None:
        return f"Nothing is lost: {_times(speedups[-1])} of {_times(speedups[0])}"
    cause = str(rungs[i]["limit"] or rungs[i]["name"])
    loss = _change(speedups[i - 1], speedups[i])
    return f"{_times(speedups[0])} → {_times(speedups[-1])}; most is lost at: {cause} ({loss})"


def _times(speedup: float) -> str:
    return f"{short(speedup)}×"


def _lines(text: str, characters: int) -> str:
    return "\n".join(wrap(text, characters))


def _legend(rungs: Sequence[Record], speedups: Sequence[float]) -> list[Artist]:
    """Boxes of the kinds and steps that are drawn, and the line of no gain."""
    kinds = column(rungs, "kind")
    steps = [pair for pair in pairwise(speedups) if _is_step(*pair)]
    losses = sum(after < before for before, after in steps)
    named = {kind: _SHADES[kind][0] for kind in KINDS if kind in kinds}
    named |= {"loss": _LOSS} if losses > 1 else {}
    named |= {"largest loss": _LARGEST} if losses else {}
    named |= {"gain": _GAIN} if losses < len(steps) else {}
    return [*style.patches(named), Line2D([], [], **_NO_GAIN)]


def _names(records: Sequence[Record]) -> list[str]:
    """Rungs in the order of the cases; one that the first case lacks stands where others have it.

    >>> rows = [("A", "top"), ("A", "end"), ("B", "top"), ("B", "middle"), ("B", "end")]
    >>> _names([{"gpu": "", "case": case, "name": name} for case, name in rows])
    ['top', 'middle', 'end']
    """
    names: list[str] = []
    for case in dict.fromkeys(map(_case, records)):
        place = 0
        for name in column([row for row in records if _case(row) == case], "name"):
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    return names


def _case(row: Record) -> tuple[str, str]:
    return str(row["gpu"]), str(row["case"])


def _rung_looks(records: Sequence[Record]) -> dict[str, style.Look]:
    """A look for each name, in order: a shade of the colour of its kind."""
    kinds = {str(row["name"]): str(row["kind"]) for row in reversed(records)}
    looks: dict[str, style.Look] = {}
    taken: Counter[str] = Counter()
    for name in _names(records):
        shades = _SHADES[kinds[name]]
        looks[name] = shades[taken[kinds[name]] % len(shades)]
        taken[kinds[name]] += 1
    return looks


def _draw_ladders(
    records: Sequence[Record], ax: Axes, looks: Mapping[str, style.Look], span: Sequence[float]
) -> Axes:
    """The groups of `plot_ladders`, on an axis for all speedups of `span`."""
    gpus = column(records, "gpu")
    groups = sorted(dict.fromkeys(map(_case, records)), key=lambda group: gpus.index(group[0]))
    middles = {group: i + _APART * gpus.index(group[0]) for i, group in enumerate(groups)}
    bottom = _start_groups(ax, span)
    width = 0.86 / len(looks)
    order = {name: i - (len(looks) - 1) / 2 for i, name in enumerate(looks)}
    for row, speedup in zip(records, _speedups(records), strict=True):
        name = str(row["name"])
        x = middles[_case(row)] + order[name] * width
        ax.bar(x, speedup - bottom, width, bottom, **looks[name].box())
        ax.annotate(
            short(speedup), (x, max(speedup, bottom)), (0, 2), textcoords="offset points",
            fontsize=style.SMALL_PT, rotation=90, ha="center", va="bottom",
        )  # fmt: skip
    ax.axhline(1.0, **_NO_GAIN)
    _name_cases(ax, middles)
    ax.set_xlim(-0.6, max(middles.values()) + 0.6)
    if len(gpus) > 1:
        _name_gpus(ax, gpus, middles)
    style.dress(ax, title=gpus[0] if len(gpus) == 1 else "", y="Speedup [times]", grid="y")
    ax.tick_params(axis="x", length=0)
    return ax


def _start_groups(ax: Axes, span: Sequence[float]) -> float:
    """Scale of the axis of ladders side by side, with room for numbers; where its bars begin."""
    low, high = min(1.0, *span), max(1.0, *span)
    if style.decades(ax, "y", span):
        room = (high / low) ** _ROOM
        ax.set_ylim(low / (1.25 if low < 1 else 1.0), high * room)
        return 1.0
    ax.set_ylim(0, high * (1 + _ROOM))
    return 0.0


def _name_cases(ax: Axes, middles: Mapping[tuple[str, str], float]) -> None:
    """Names under the groups, in lines as wide as a group, or aslant where a word is wider."""
    characters = int(72 * style.room_in(ax)[0] / len(middles) / (_EM * style.SMALL_PT))
    cases = [case for _, case in middles]
    ax.set_xticks(list(middles.values()), cases)
    if max(len(word) for case in cases for word in case.split()) <= characters:
        ax.set_xticklabels([_lines(case, characters) for case in cases])
    else:
        ax.set_xticklabels(cases, rotation=35, ha="right", rotation_mode="anchor")


def _name_gpus(ax: Axes, gpus: Sequence[str], middles: Mapping[tuple[str, str], float]) -> None:
    """Names of the GPUs over their groups, as a second axis at the top."""
    own = {gpu: [x for (name, _), x in middles.items() if name == gpu] for gpu in gpus}
    names = ax.secondary_xaxis("top")
    names.set_xticks([(min(xs) + max(xs)) / 2 for xs in own.values()], list(own))
    names.tick_params(length=0, labelsize=style.LABEL_PT)
    names.spines["top"].set_visible(False)
