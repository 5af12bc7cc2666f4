"""`inline_svg`: a figure as SVG that stands inside an HTML page beside others."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

import matplotlib as mpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GLYPH = "g-"  # ids of glyphs begin with it, in all figures alike
_DIGITS = 2  # after the point, of lengths in points
_NOT_DRAWN = {"Date": None, "Creator": None, "Format": None, "Type": None}


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as one `<svg>` element, text as outlines so that it looks the same everywhere.

    Its ids begin with the name, so that figures of one page do not meet; lengths are rounded to a
    hundredth of a point, and styles that come twice or more stand once, as classes.

    Args:
        figure: What to draw.
        name: Word for ids and classes, another one for each figure of a page.
        label: What it shows, for those who do not see it.
    """
    text = io.StringIO()
    # The salt makes ids of clip paths the same in every run, as `save` does.
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata=_NOT_DRAWN)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href=", "href=").replace(">*{", ">svg *{")
    svg = _rounded(_small_tiles(_own_ids(svg, name)))
    return _headed(_classed(svg, name), label)


def once(html: str) -> str:
    """A page whose figures share the glyphs of their texts: each stands in the first that has it.

    >>> glyph = f'<path id="{_GLYPH}A-1" d="M 0 0"/>'
    >>> once(glyph + glyph) == glyph
    True
    """
    seen: set[str] = set()

    def first(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return match[0]

    return re.sub(rf'<path id="({_GLYPH}[^"]+)"[^>]*/>\s*', first, html)


def _headed(svg: str, label: str) -> str:
    """With a head that fits its column, has no address of a name space, and says what is shown."""
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box, "matplotlib gives every SVG its box"
    width = re.search(r'width="([\d.]+)pt"', head)
    across = f' width="{float(width[1]) * 4 / 3:.0f}"' if width else ""
    text = escape(label)
    return f'<svg {box[0]}{across} role="img" aria-label="{text}">{body.strip()}\n'


def _own_ids(svg: str, name: str) -> str:
    """Ids that something refers to begin with the name, but those of glyphs; others go."""
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    wanted = {one or other for one, other in used}

    def renamed(match: re.Match[str]) -> str:
        return f' id="{own[match[1]]}"' if match[1] in wanted else ""

    glyphs = set(re.findall(r'<path id="([^"]+)" d="[^"]*" transform="scale\(0.015625\)"', svg))
    own = {word: _GLYPH + word if word in glyphs else f"{name}-{word}" for word in wanted}
    svg = re.sub(r' id="([^"]+)"', renamed, svg)
    svg = re.sub(r'href="#([^"]+)"', lambda match: f'href="#{own[match[1]]}"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)


def _rounded(svg: str) -> str:
    """Lengths with two digits after the point, in paths and places; scales keep theirs."""

    def fewer(match: re.Match[str]) -> str:
        return f"{round(float(match[0]), _DIGITS):g}" if abs(float(match[0])) < 1e5 else match[0]

    def inside(match: re.Match[str]) -> str:
        words = re.sub(r"-?\d+\.\d{3,}", fewer, match[2])
        return f'{match[1]}="{" ".join(words.split())}"'

    svg = re.sub(r'\b(d|x|y|width|height)="([^"]*)"', inside, svg)
    return re.sub(r">\s+<", ">\n<", svg)


_TILE = re.compile(r'width="72" height="72">(.*?<path d=")([^"]*)', re.DOTALL)


def _small_tiles(svg: str) -> str:
    """Hatches of dots and rings with one period in their tile, not the thousand of matplotlib's.

    Their rows are as far apart as the dots in them, every other one shifted by half of that.
    """

    def smaller(match: re.Match[str]) -> str:
        rings = [f"M{ring}" for ring in match[2].split("M")[1:]]
        if "C" not in match[2] or len(rings) < _RINGS:
            return match[0]
        middles = [_middle(ring) for ring in rings]
        step = min(x for x, y in middles if x > _NEAR and abs(y - middles[0][1]) < _NEAR)
        inside = [
            ring
            for ring, (x, y) in zip(rings, middles, strict=True)
            if x < step + _NEAR and y < 2 * step + _NEAR
        ]
        return f'width="{step:g}" height="{2 * step:g}">{match[1]}{"".join(inside)}'

    return _TILE.sub(smaller, svg)


_RINGS, _NEAR = 20, 0.01  # fewest rings of a hatch with periods; lengths that are the same [pt]


def _middle(path: str) -> tuple[float, float]:
    """The middle of what a path covers."""
    numbers = [float(word) for word in path.split() if not word.isalpha()]
    x, y = numbers[::2], numbers[1::2]
    return (min(x) + max(x)) / 2, (min(y) + max(y)) / 2


def _classed(svg: str, name: str) -> str:
    """Styles that come more than once as classes of the figure."""
    counts: dict[str, int] = {}
    for style in re.findall(r' style="([^"]*)"', svg):
        counts[style] = counts.get(style, 0) + 1
    classes = {s: f"{name}-{i}" for i, s in enumerate(s for s, n in counts.items() if n > 1)}

    def classed(match: re.Match[str]) -> str:
        known = classes.get(match[1])
        return f' class="{known}"' if known else match[0]

    rules = "".join(f".{known}{{{style}}}" for style, known in classes.items())
    svg = re.sub(r' style="([^"]*)"', classed, svg)
    return svg.replace(">", f"><style>{rules}</style>", 1) if rules else svg
