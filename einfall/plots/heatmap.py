"""A value over two quantities, cell by cell: the number in it, its colour what binds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from matplotlib.collections import PatchCollection
from matplotlib.patches import Patch, Rectangle

from einfall.plots import names, style
from einfall.plots.quantity import RATIO, Quantity
from einfall.plots.records import PlotError, Record, check_columns, short, some, told

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = "heat map"

_LEGIBLE_PT, _SMALLEST_PT = 5.6, 4.8  # of numbers that read well, and that can be read at all
_MOST_NAMED = 4  # resources in a title


@dataclass(frozen=True, slots=True)
class Heatmap:
    """What a heat map shows.

    Args:
        x: What runs across: numbers, or texts such as the names of machines.
        y: What runs down.
        value: What the cells show.
        bound: Column of the resource that binds.
    """

    x: Quantity
    y: Quantity
    value: Quantity
    bound: str = "bound"

    @property
    def columns(self) -> tuple[str, ...]:
        """What each record has."""
        return (self.x.column, self.y.column, self.value.column, self.bound)


def heatmap_figure(table: Iterable[Record], *, title: str, shown: Heatmap) -> Figure:
    """`plot_heatmap` as high as its rows need, under what it finds, with a legend of resources.

    Args:
        table: As in `plot_heatmap`.
        title: What is compared, and where; the range of the values and what binds stand under it.
        shown: Which columns are drawn.

    Raises:
        PlotError: As in `plot_heatmap`.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    down, across = _steps(rows, shown.y), _steps(rows, shown.x)
    sheet = style.figure(height=1.5 + min(7.0, 0.26 * max(4, len(down))))
    style.panel(plot_heatmap(rows, sheet.subplots(), shown), "")
    answers = [row for row in rows if told(row, shown.value.column)]
    style.heading(sheet, title, _finding(answers, shown))
    looks = _looks(answers, shown.bound)
    handles: list[Artist] = [Patch(label=n, **look.cell()) for n, look in looks.items()]
    if len(answers) < len(down) * len(across):
        handles.append(Patch(label="no answer", **style.NO_ANSWER))
    style.legend_below(sheet, handles)
    return sheet


def plot_heatmap(table: Iterable[Record], ax: Axes, shown: Heatmap) -> Axes:
    """A cell for each pair of x and y, coloured and hatched by what binds, its value as a number.

    Numbers run from left to right and from the bottom up, a step each, texts in the order in which
    they come, from the top down. Where numbers in cells find no room for their unit, all have one
    prefix, and a line under the cells has the unit; where even they could not be read, they are
    left out. A cell without a row, or whose value is None, is crossed out.

    Args:
        table: Records with the columns of `shown`; a value may be None or empty.
        ax: Where to draw.
        shown: Which columns are drawn.

    Raises:
        PlotError: There is no record or no answer, a column is lacking, a value is no number, or a
            cell is there twice.
    """
    rows = some(table, WHAT)
    check_columns(rows, WHAT, shown.columns)
    x, y, value = shown.x, shown.y, shown.value
    across, down = _steps(rows, x), _steps(rows, y)
    if _numeric(rows, y):
        down.reverse()
    found = places(rows, WHAT, y.column, x.column)
    answers = {place: row for place, row in found.items() if told(row, value.column)}
    numbers = [value.number(row, WHAT) for row in some(answers.values(), f"{WHAT}: answers")]
    looks = _looks(answers.values(), shown.bound)
    text, size, note = _written(ax, (len(down), len(across)), value, numbers)
    bounds = [str(row[shown.bound]) for row in answers.values()]
    spots = [(across.index(step), down.index(name)) for name, step in answers]
    for bound, look in looks.items():
        cells = [at for at, found in zip(spots, bounds, strict=True) if found == bound]
        ax.add_collection(PatchCollection(map(_square, cells), **look.cell()))
    for at, number, bound in zip(spots, numbers, bounds, strict=True):
        if size >= _SMALLEST_PT:
            plate = {"facecolor": looks[bound].cell()["facecolor"], "edgecolor": "none", "pad": 0.6}
            ax.text(*at, text(number), fontsize=size, ha="center", va="center", bbox=plate)
    cross_out(ax, [(i, j) for i, row in enumerate(down) for j, step in enumerate(across)
                   if (row, step) not in answers])  # fmt: skip
    ax.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    name_cells(ax, _names(rows, x, across), _names(rows, y, down))
    label = "\n".join(line for line in (x.titled(), note) if line)
    return style.dress(ax, title=value.titled(), x=label, y=y.titled())


# Shared with other maps of cells ------------------------------------------------------------------


def places(
    rows: Iterable[Record], what: str, down: str, across: str
) -> dict[tuple[str, str], Record]:
    """The row of each cell, by the texts of two columns.

    Raises:
        PlotError: A cell is there twice.
    """
    found: dict[tuple[str, str], Record] = {}
    for row in rows:
        place = str(row[down]), str(row[across])
        if place in found:
            where = f"{down} {place[0]}, {across} {place[1]}"
            raise PlotError(f"{what}: {where}: want one row, found 2")
        found[place] = row
    return found


def cross_out(ax: Axes, cells: Iterable[Sequence[int]]) -> None:
    """Cells (row, column) without an answer."""
    for i, j in cells:
        ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **style.NO_ANSWER))


def _square(cell: tuple[int, int]) -> Rectangle:
    return Rectangle((cell[0] - 0.5, cell[1] - 0.5), 1, 1)


def text_pt(ax: Axes, shape: Sequence[int], texts: Sequence[str]) -> float:
    """Size of text that fits a cell, at most that of small text [pt]."""
    width, height = (72 * side for side in style.room_in(ax))
    longest = max(map(len, texts))
    wide = 0.75 * width / shape[1] / (style.CHARACTER_EM * longest)
    return min(style.SMALL_PT, wide, 0.7 * height / shape[0])


def name_cells(ax: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    """Names beside the rows and under the columns: aslant where wide, some where there are many."""
    width_pt, height_pt = (72 * side for side in style.room_in(ax))
    every = max(1, ceil(len(down) * 1.1 * style.SMALL_PT / height_pt))
    ax.set_yticks(range(0, len(down), every), down[::every])
    room = 0.9 * width_pt / len(across)
    every = max(1, ceil(1.1 * style.SMALL_PT / room))
    ax.set_xticks(range(0, len(across), every), across[::every])
    ax.tick_params(length=0)
    if max(map(len, across)) * style.CHARACTER_EM * style.SMALL_PT > room * every:
        for text in ax.get_xticklabels():
            slant = 35 if room * every > 2 * style.SMALL_PT else 60
            text.set(rotation=slant, ha="right", rotation_mode="anchor")


# What only this one needs -------------------------------------------------------------------------


def _looks(answers: Iterable[Record], bound: str) -> dict[str, style.Look]:
    return style.resource_looks(sorted({str(row[bound]) for row in answers}))


def _written(
    ax: Axes, shape: tuple[int, int], value: Quantity, values: Sequence[float]
) -> tuple[Callable[[float], str], float, str]:
    """How values are written into cells, how large [pt], and what then has to be said of them."""
    size = text_pt(ax, shape, [value.text(number) for number in values])
    if size >= _LEGIBLE_PT:
        return value.text, size, ""
    scale, unit = value.scale(max(map(abs, values)))

    def plain(number: float) -> str:
        return value.text(number)[:-1] if value.unit == RATIO else short(number / scale)

    size = text_pt(ax, shape, [plain(number) for number in values])
    note = f"in cells: {value.titled(unit)}" if size >= _SMALLEST_PT else ""
    return plain, size, note


def _steps(rows: Iterable[Record], shown: Quantity) -> list[str]:
    """The texts of a column: numbers by size, anything else as it comes."""
    found = list(dict.fromkeys(str(row[shown.column]) for row in rows))
    return sorted(found, key=float) if all(map(_is_number, found)) else found


def _numeric(rows: Iterable[Record], shown: Quantity) -> bool:
    return all(_is_number(str(row[shown.column])) for row in rows)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(rows: Sequence[Record], shown: Quantity, steps: Sequence[str]) -> list[str]:
    """Steps as they stand on an axis."""
    numeric = _numeric(rows, shown)
    return [shown.tick(float(step)) if numeric else names.brief(step) for step in steps]


def _finding(answers: Sequence[Record], shown: Heatmap) -> str:
    """The range of the values, and what binds where."""
    value = shown.value
    values = [value.number(row, WHAT) for row in answers]
    least, most = value.text(min(values)), value.text(max(values))
    span = least if least == most else f"{least} to {most}"
    cells = Counter(str(row[shown.bound]) for row in answers).most_common(_MOST_NAMED)
    binds = [f"{name} in {number}" for name, number in cells]
    binds[0] += f" of {len(answers)} cells"
    return f"{value.label} {span}; bound by {', '.join(binds)}"
