"""One battery for the figures of the what-if engine, on usual and on odd tables."""

from functools import cache
from itertools import combinations

import gallery
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from einfall import plots
from einfall.plots import records
from einfall.plots.roofline import COLUMNS as ROOFLINE_COLUMNS

UNITLESS = ("Machine", "Cascade")  # axes of names


def shown_axes(name):
    return [ax for ax in gallery.draw(name).axes if ax.axison]


@cache
def words(name):
    """Texts that are on the page of a figure, each with the box that it fills and its slant."""
    sheet = gallery.draw(name)
    hidden = {
        id(label)
        for ax in sheet.axes
        for axis in (ax.xaxis, ax.yaxis)
        for label, at in zip(axis.get_majorticklabels(), axis.get_majorticklocs(), strict=False)
        if not min(axis.get_view_interval()) <= at <= max(axis.get_view_interval())
    } | {id(text) for ax in sheet.axes if not ax.axison for text in ax.yaxis.findobj(Text)}
    hidden |= {id(text) for ax in sheet.axes if not ax.axison for text in ax.xaxis.findobj(Text)}
    return [
        (text.get_text(), text.get_window_extent(), text.get_rotation() % 90)
        for text in sheet.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden
    ]


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_no_word_leaves_the_page(name):
    sheet = gallery.draw(name)
    for word, box, _ in words(name):
        assert sheet.bbox.x0 - 2 <= box.x0 <= box.x1 <= sheet.bbox.x1 + 2, word
        assert sheet.bbox.y0 - 2 <= box.y0 <= box.y1 <= sheet.bbox.y1 + 2, word


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_axes_have_labels_with_units(name):
    for ax in shown_axes(name):
        for label in (ax.get_xlabel(), ax.get_ylabel()):
            assert not label or "[" in label or label in UNITLESS
        assert ax.get_xlabel()
    first = shown_axes(name)[0]
    assert first.get_ylabel() or all(label.get_text() for label in first.get_yticklabels())


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_a_title_says_what_is_drawn_and_what_is_found(name):
    lines = gallery.draw(name).get_suptitle().split("\n")
    assert lines[0].startswith(f"What {name} finds of attention")
    assert len(lines) > 1 or name == "roofline_least"  # a roof alone tells nothing
    assert not any(ax.get_title() for ax in gallery.draw(name).axes)


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_a_legend_is_legible_in_grey(name):
    """Any two entries differ in hatch, marker, dashes, or by a tenth of the way to white."""
    for legend in gallery.draw(name).legends:
        for (a, dark), (b, light) in combinations(map(_seen, legend.legend_handles), 2):
            assert a != b or abs(dark - light) > 0.1


def _seen(handle):
    """What is left of an entry of a legend without colour, and how bright it is."""
    if hasattr(handle, "get_hatch"):
        return (handle.get_hatch(), "patch"), _grey(handle.get_facecolor()[:3])
    return (handle.get_marker(), handle.get_linestyle(), handle.get_markersize()), _grey(
        handle.get_color()
    )


def _grey(colour):
    return sum(w * c for w, c in zip((0.299, 0.587, 0.114), to_rgb(colour), strict=True))


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_no_word_lies_on_another(name):
    upright = [(word, box) for word, box, slant in words(name) if not slant]
    low, high = (np.array([corner(box) for _, box in upright]) for corner in CORNERS)
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    on_another = (shared > 3).all(axis=2) & ~np.eye(len(upright), dtype=bool)
    assert not [upright[i][0] for i in np.unique(np.argwhere(on_another))]


CORNERS = (lambda box: (box.x0, box.y0), lambda box: (box.x1, box.y1))
FIXED = {
    "time_stack": records.STACKED_TIME,
    "energy_stack": records.STACKED_ENERGY,
    "ski_slope": plots.SkiSlope().columns,
    "roofline": ("kind", *ROOFLINE_COLUMNS["roof"]),
}
FIGURES = {function: name for name, (function, _, _) in reversed(gallery.GALLERY.items())}


@pytest.mark.parametrize("name", FIGURES.values())
def test_no_record_is_refused(name):
    function, _, options = gallery.GALLERY[name]
    with pytest.raises(plots.PlotError, match="want at least one to draw, found none"):
        function([] if name != "tornado" else {}, title="", **options)


COLUMNS = {
    name: options["shown"].columns if "shown" in options else FIXED[name]
    for name, (_, _, options) in gallery.GALLERY.items()
    if name in FIGURES.values() and ("shown" in options or name in FIXED)
}


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name, columns in COLUMNS.items() for column in columns]
)
def test_a_record_without_a_column_is_refused(name, column):
    function, table, options = gallery.GALLERY[name]
    wrong = [{key: value for key, value in table[0].items() if key != column}, *table[1:]]
    with pytest.raises(plots.PlotError, match=rf"lacking: {column} \(row 1\)"):
        function(wrong, title="", **options)


@pytest.mark.parametrize(
    ("name", "column"),
    [("heatmap", "speedup"), ("lines", "latency_s"), ("bars", "latency_s"), ("pareto", "price"),
     ("ski_slope", "traffic_bytes"), ("time_stack", "busy_s"), ("energy_stack", "energy_j"),
     ("roofline", "flops_per_s")],
)  # fmt: skip
def test_a_value_that_is_no_number_is_refused(name, column):
    function, table, options = gallery.GALLERY[name]
    with pytest.raises(plots.PlotError, match=f"want a number in {column}, found 'fast'"):
        function([table[0] | {column: "fast"}, *table[1:]], title="", **options)
