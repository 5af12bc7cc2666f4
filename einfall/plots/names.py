"""Where names of lines and points stand, so that none lies on another."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import log10
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from einfall.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEADER_PT = 10.0  # width of the lines that lead to names
_POINT_PT = 3.0  # half of the width of a point
_ACROSS_PT, _UP_PT = 5.0, 4.0  # from a point to its name


def brief(name: str, characters: int = 36) -> str:
    """A name with its middle left out where it is long.

    >>> brief("attention_2pass_splitk", 12)
    'attent…plitk'
    """
    if len(name) <= characters:
        return name
    end = (characters - 1) // 2
    return f"{name[: characters - 1 - end]}…{name[-end:]}"


def in_lines(name: str, characters: int) -> str:
    r"""A name in at most two lines of so many characters.

    >>> in_lines("attention_2pass with split keys", 20)
    'attention_2pass with\nsplit keys'
    """
    return "\n".join(wrap(brief(name, 2 * characters - 8), characters))


def name_ends(ax: Axes, ends: Mapping[str, float], bold: Container[str] = ()) -> None:
    """Names at the right edge of the axes, each as near its height as the others leave room for.

    If some have to move far, thin lines lead to all of them.

    Args:
        ax: Axes whose height has its scale and its limits.
        ends: Height by name, in data of the axis.
        bold: Names in bold.
    """
    low, high = ax.get_ylim()
    scale = log10 if ax.get_yscale() == "log" else float
    width_pt, height_pt = (72 * side for side in style.room_in(ax))
    heights = {n: (scale(y) - scale(low)) / (scale(high) - scale(low)) for n, y in ends.items()}
    names, gap = sorted(heights, key=heights.__getitem__), 1.15 * style.SMALL_PT / height_pt
    free = apart([heights[name] for name in names], gap)
    placed = dict(zip(names, within(free, gap), strict=True))
    led = any(abs(placed[name] - heights[name]) > gap for name in names)
    for name in names:
        if led:
            ax.annotate(
                "", (1, heights[name]), (1 + _LEADER_PT / width_pt, placed[name]),
                xycoords="axes fraction", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": style.HAIR_PT,
                            "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        ax.annotate(
            brief(name), (1, placed[name]), (_LEADER_PT + 2 if led else 4, 0),
            xycoords="axes fraction", textcoords="offset points", fontsize=style.SMALL_PT,
            va="center", annotation_clip=False, fontweight="bold" if name in bold else "normal",
        )  # fmt: skip


class _Box(NamedTuple):
    """A place on the page [pt]."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.low < other.high
            and other.low < self.high
        )


def name_points(
    ax: Axes, places: Mapping[str, tuple[float, float]], *, left: bool = False, above: bool = False
) -> None:
    """Names beside their points, the first ones first; one that would lie on another is left out.

    Args:
        ax: Axes that have their scales and limits.
        places: Point by name, in data of the axes.
        left: Whether a name stands at the left of its point, if there is room.
        above: Whether it stands above.
    """
    sheet = ax.get_figure(root=True)
    assert sheet is not None, "axes that are drawn on belong to a figure"
    ax.get_xlim(), ax.get_ylim()  # settles the limits, which are not until they are asked for
    to_pt = 72 / sheet.dpi
    frame = _Box(*(float(edge) * to_pt for edge in ax.bbox.extents))
    points = {n: tuple(ax.transData.transform(at) * to_pt) for n, at in places.items()}
    taken = [_Box(x - _POINT_PT, y - _POINT_PT, x + _POINT_PT, y + _POINT_PT)
             for x, y in points.values()]  # fmt: skip
    corners = [(side, up) for side in (left, not left) for up in (above, not above)]
    for name, place in places.items():
        for at_left, is_above in corners:
            box = _name_box(brief(name), points[name], at_left=at_left, above=is_above)
            if frame.left <= box.left and box.right <= frame.right and frame.low <= box.low and (
                not any(box.meets(other) for other in taken)
            ):  # fmt: skip
                offset = (-_ACROSS_PT if at_left else _ACROSS_PT, _UP_PT if is_above else -_UP_PT)
                ax.annotate(brief(name), place, offset, textcoords="offset points",
                            fontsize=style.SMALL_PT, ha="right" if at_left else "left",
                            va="bottom" if is_above else "top")  # fmt: skip
                taken.append(box)
                break


def _name_box(name: str, point: Sequence[float], *, at_left: bool, above: bool) -> _Box:
    """The place of a name beside its point."""
    x, y = point
    width, height = style.CHARACTER_EM * style.SMALL_PT * len(name), 1.2 * style.SMALL_PT
    left = x - _ACROSS_PT - width if at_left else x + _ACROSS_PT
    low = y + _UP_PT if above else y - _UP_PT - height
    return _Box(left, low, left + width, low + height)


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved as little as it takes to leave a gap between neighbours.

    Places that would be too near move as one block, whose middle stays.

    >>> apart([0.0, 0.1, 5.0], 1.0)
    [-0.45, 0.55, 5.0]
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _too_near(blocks[-2], blocks[-1], gap):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    spread = [
        sum(block) / len(block) + (i - (len(block) - 1) / 2) * gap
        for block in blocks
        for i in range(len(block))
    ]
    return [round(place, 12) for place in spread]


def within(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places, a gap apart, moved as little as it takes to lie from 0 to 1 if they can.

    >>> within([-0.5, 0.1, 0.9, 1.1], 0.2)
    [0.0, 0.2, 0.8, 1.0]
    """
    last = len(places) - 1
    above = [max(place, i * gap) for i, place in enumerate(places)]
    found = [min(place, 1.0 - (last - i) * gap) for i, place in enumerate(above)]
    return [round(place, 12) for place in found]


def _too_near(below: Sequence[float], above: Sequence[float], gap: float) -> bool:
    reach = gap * (len(below) + len(above)) / 2
    return sum(above) / len(above) - sum(below) / len(below) < reach
