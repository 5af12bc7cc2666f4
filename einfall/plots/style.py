"""Sizes, fonts and colours of every figure: the only file that chooses them.

Colours are those of Okabe and Ito, which people who see red and green alike can tell apart; every
colour comes with a hatch or a marker of its own, so that a figure survives a black and white print.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from einfall.units import SI

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

TITLE_PT = 10.0
LABEL_PT = 8.5
SMALL_PT = 7.0
LINE_PT = 1.4
HAIR_PT = 0.5
PAGE_IN = 7.2
"""Width of a text column pair, the default width of a figure [in]."""

CHARACTER_EM = 0.62
"""Mean width of a character, in sizes of the font."""

_PALE_STRENGTH = 0.5  # of a colour under a number
_ENTRY_EM = 1.75  # height of an entry of a legend, in sizes of its font

BLACK = "#000000"
GREY = "#8c8c8c"
PALE = "#d9d9d9"
WHITE = "#ffffff"
ORANGE = "#e69f00"
SKY = "#56b4e9"
GREEN = "#009e73"
YELLOW = "#f0e442"
BLUE = "#0072b2"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"

PALETTE = (BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE, YELLOW, GREY)
NO_ANSWER: dict[str, Any] = {
    "facecolor": WHITE,
    "hatch": "xxx",
    "edgecolor": PALE,
    "linewidth": HAIR_PT,
}
"""Keywords of a patch where there is nothing to show."""

LINE = 90
"""Characters in a line of the title of a figure."""

DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2, 1, 2, 1, 2)))
"""Lines that differ in a print in grey."""

EQUAL: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "linestyle": (0, (4, 2))}
"""Keywords of the line of no change."""

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True, slots=True)
class Look:
    """How one thing looks wherever it is drawn: fill colour, hatch and marker."""

    colour: str
    hatch: str
    marker: str

    def box(self) -> dict[str, Any]:
        """Keywords of a bar or a patch.

        >>> Look("#0072b2", "///", "o").box()["hatch"]
        '///'
        """
        return {
            "facecolor": self.colour,
            "hatch": self.hatch,
            "edgecolor": BLACK,
            "linewidth": HAIR_PT,
            "hatch_linewidth": HAIR_PT,
        }

    def cell(self) -> dict[str, Any]:
        """Keywords of a patch under a number: the hatch is in the colour, the colour pale.

        >>> Look("#0072b2", "///", "o").cell()["hatchcolor"]
        '#0072b2'
        """
        pale = {"facecolor": tint(self.colour, _PALE_STRENGTH), "edgecolor": WHITE}
        return self.box() | pale | {"hatchcolor": self.colour, "linewidth": 1.0}

    def point(self, size: float = 5.0, line: object = "none") -> dict[str, Any]:
        """Keywords of a marker, or of a line with markers.

        >>> Look("#0072b2", "///", "o").point()["marker"]
        'o'
        """
        return {
            "color": self.colour,
            "linestyle": line,
            "linewidth": LINE_PT,
            "marker": self.marker,
            "markersize": size,
            "markerfacecolor": self.colour,
            "markeredgecolor": BLACK,
            "markeredgewidth": HAIR_PT,
        }


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in order; colours come round again with another hatch.

    >>> looks(["QK", "LM", "QK"])["LM"].colour == ORANGE
    True
    """
    found: dict[str, Look] = {}
    for i, name in enumerate(dict.fromkeys(names)):
        turn, place = divmod(i, len(PALETTE))
        hatch = HATCHES[(place + 3 * turn) % len(HATCHES)]
        found[name] = Look(PALETTE[place], hatch, MARKERS[i % len(MARKERS)])
    return found


_PLACES = {
    0: ("tensor", "2d", "matrix", "mac", "compute"),
    1: ("mufu", "1d", "exp", "softmax"),
    2: ("hbm", "dram", "memory"),
    3: ("l2", "buffer", "global buffer"),
    4: ("link", "links", "network", "host"),
    5: ("shared", "smem", "load"),
    6: ("fma", "alu", "vector"),
    7: ("launch", "fixed", "none"),
}
"""Names of resources by their place in the palette; where several are there, the first has it."""


def resource_looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each resource that may bind, the same in every figure for those of known names.

    What is not known, or finds its place taken, gets one that no other name has.

    >>> resource_looks(["hbm", "tensor"])["tensor"] == resource_looks(["tensor"])["tensor"]
    True
    """
    wanted = list(dict.fromkeys(names))
    firsts = {place: next((n for n in known if n in wanted), None)
              for place, known in _PLACES.items()}  # fmt: skip
    taken = {name: place for place, name in firsts.items() if name is not None}
    free = (i for i in range(len(PALETTE) + len(wanted)) if i not in taken.values())
    places = {name: taken[name] if name in taken else next(free) for name in wanted}
    every = list(looks(str(i) for i in range(1 + max(places.values(), default=0))).values())
    return {name: every[place] for name, place in places.items()}


def task_looks(tasks: Iterable[str]) -> dict[str, Look]:
    """Looks of tasks: those of Einsums by `looks`; transfers ("load K") grey, as nothing computes.

    >>> [look.colour for look in task_looks(["load K", "QK"]).values()] == [PALE, BLUE]
    True
    """
    names = list(dict.fromkeys(tasks))
    einsums = looks(name for name in names if " " not in name)
    greys = (PALE, WHITE, GREY)
    moves = [name for name in names if " " in name]
    transfers = {n: Look(greys[i % 3], HATCHES[i % 8], MARKERS[i % 8]) for i, n in enumerate(moves)}
    return {name: (einsums | transfers)[name] for name in names}


def figure(width: float = PAGE_IN, height: float = 3.2) -> Figure:
    """An empty figure that belongs to no window and no global list.

    Args:
        width: Width [in].
        height: Height [in].

    >>> figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    return Figure(figsize=(width, height), layout="constrained", facecolor=WHITE)


def tint(colour: str, strength: float) -> str:
    """The colour mixed with white; strength 1 is the colour, 0 is white.

    >>> tint("#0072b2", 0.0)
    '#ffffff'
    """
    red, green, blue = (1 + (part - 1) * strength for part in to_rgb(colour))
    return to_hex((red, green, blue))


def ink(colour: str) -> str:
    """Black or white, whichever reads better on the colour.

    >>> ink(BLUE) == WHITE, ink(YELLOW) == BLACK
    (True, True)
    """
    red, green, blue = to_rgb(colour)
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else WHITE


def dress(
    ax: Axes, *, title: str, x: str = "", y: str = "", grid: Literal["", "x", "y", "both"] = ""
) -> Axes:
    """Title, labels of the axes with their units, and a pale grid along "x", "y" or "both"."""
    ax.set_title(title, fontsize=TITLE_PT, loc="left")
    ax.set_xlabel(x, fontsize=LABEL_PT)
    ax.set_ylabel(y, fontsize=LABEL_PT)
    ax.tick_params(which="both", labelsize=SMALL_PT)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color=PALE, linewidth=HAIR_PT)
    return ax


def title(sheet: Figure, text: str) -> None:
    """The title of a figure with several panels."""
    sheet.suptitle(text, fontsize=TITLE_PT, x=0.01, ha="left")


def heading(sheet: Figure, text: str, finding: str = "") -> None:
    """The title of a figure, and under it what the figure says; both in lines that fit a page."""
    title(sheet, "\n".join([*wrap(text, LINE), *wrap(finding, LINE)]))


def panel(ax: Axes, text: str) -> None:
    """The title of one of several panels, smaller than that of the figure."""
    ax.set_title(text, fontsize=LABEL_PT, loc="left")


def bare(ax: Axes, *, title: str) -> Axes:
    """A title and nothing else: for drawings without axes."""
    ax.set_title(title, fontsize=TITLE_PT, loc="left")
    ax.set_axis_off()
    return ax


def decades(ax: Axes, axis: str, values: Sequence[float]) -> bool:
    """Make an axis logarithmic where the values span a decade or more; say whether it is.

    Ticks stand at 1, 2 and 5 of each decade, as plain numbers, or at the decades alone where there
    are more than three.

    Raises:
        ValueError: A value that is not positive, which no logarithmic axis can show.
    """
    low, high = min(values), max(values)
    if low <= 0:
        raise ValueError(f"axis {axis}: want values above 0, found {low:g}")
    if high / low < 10:
        return False
    log_axis(ax, axis, wide=log10(high / low) > 3)
    return True


def log_axis(ax: Axes, axis: str, *, wide: bool = False) -> None:
    """A logarithmic axis with plain numbers as ticks; `wide` has ticks at the decades alone."""
    getattr(ax, f"set_{axis}scale")("log")
    side = getattr(ax, f"{axis}axis")
    side.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    side.set_minor_locator(NullLocator())
    if not wide:
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        side.set_minor_formatter(NullFormatter())


def room_in(ax: Axes) -> tuple[float, float]:
    """About the width and height of the axes [in]; known to a point only once they are drawn.

    >>> sheet = figure(4, 2)
    >>> room_in(sheet.add_axes((0, 0, 0.5, 1)))
    (2.0, 2.0)
    """
    sheet, box = ax.get_figure(root=True), ax.get_position()
    assert sheet is not None, "axes that are drawn on belong to a figure"
    return float(box.width * sheet.get_figwidth()), float(box.height * sheet.get_figheight())


def legend_inside(ax: Axes, handles: Sequence[Artist]) -> None:
    """A legend in the corner of the axes at the top right."""
    ax.legend(handles=list(handles), loc="upper right", frameon=False, fontsize=SMALL_PT)


def legend_below(sheet: Figure, handles: Sequence[Artist]) -> None:
    """A legend under all panels, in as many columns as its longest name leaves room for."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    width_pt = (longest * CHARACTER_EM + 4) * SMALL_PT  # 4: the box and the gaps around it
    columns = max(1, min(len(handles), int(72 * sheet.get_figwidth() / width_pt)))
    rows = -(-len(handles) // columns)
    sheet.legend(
        handles=list(handles), loc="outside lower center", ncols=-(-len(handles) // rows),
        frameon=False, fontsize=SMALL_PT,
    )  # fmt: skip


def legend_beside(ax: Axes, handles: Sequence[Artist]) -> None:
    """A legend to the right of the axes, in as many columns as its height asks for."""
    rows = max(1, int(72 * room_in(ax)[1] / (_ENTRY_EM * SMALL_PT)))
    ax.legend(
        handles=list(handles), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False,
        fontsize=SMALL_PT, ncols=-(-len(handles) // rows), columnspacing=1.0,
    )  # fmt: skip


def patches(named: Mapping[str, Look]) -> list[Artist]:
    """Legend boxes of the looks, in order."""
    return [Patch(label=name, **look.box()) for name, look in named.items()]


def prefix(largest: float, unit: str) -> tuple[float, str]:
    """The SI prefix under which the largest value has one to three digits before the point.

    Returns:
        What to divide by, and the unit with the prefix.

    >>> prefix(0.0021, "s")
    (0.001, 'ms')
    """
    names = {round(log10(scale)): name for name, scale in SI.items() if name not in ("u", "μ")}
    power = 3 * floor(log10(largest) / 3) if largest > 0 else 0
    power = max(min(names), min(max(names), power))
    return float(SI[names[power]]), names[power] + unit
