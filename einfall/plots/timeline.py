"""The timeline of a simulation: who works when, over a few steps of the steady state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from math import isclose
from typing import TYPE_CHECKING, TypeAlias

from einfall.plots import style
from einfall.plots.records import PlotError, Record, some
from einfall.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

    from einfall.sim.events import Span

Step: TypeAlias = tuple[tuple[str, int], ...]
"""Where the loops stand: (name, index) from the outermost to the innermost."""

_HEIGHTS = (0.86, 0.62)  # of boxes of even and of odd steps, where lanes are 1 apart
_ROUNDING = 1e-6  # of the length of a window
_CHARACTER_EM = 0.65  # mean width of a character, in sizes of the font
_AXIS_SHARE = 0.85  # of the place of the axes, what the legend leaves


def steady_window(spans: Iterable[Span], steps: int = 3) -> tuple[float, float]:
    """Begin and end [s] of so many consecutive steps of the steady state.

    The window begins where the busiest resource begins a step and ends where it begins the step
    `steps` later. Left out are the fill, the end of the recording, where later steps are missing,
    and every place at which the simulation leapt over repetitions. Of what remains, it is the first
    window in which every task of a step begins and that looks like the one after it; where none
    does, a middle one.

    Args:
        spans: The timeline of a simulation; steps in program order.
        steps: Steps in the window.

    Raises:
        PlotError: Too few steps were recorded.

    >>> from einfall.sim.events import Span
    >>> boxes = [Span("QK", "2d", 2.0 * i, 2.0 * i + 1, (("m1", i),)) for i in range(9)]
    >>> steady_window(boxes, steps=2)
    (2.0, 6.0)
    """
    recorded = some(spans, "timeline")
    if steps < 1:
        raise PlotError(f"timeline: want at least 1 step, found {steps}")
    runs = _runs(recorded)
    windows, run = max(((_windows(run, steps), run) for run in runs), key=lambda pair: len(pair[0]))
    if not windows:
        raise PlotError(
            f"timeline: want {steps} steps between the fill and the end of the recording, found "
            f"{max(map(len, runs))} consecutive steps in all; record more spans or ask for fewer"
        )
    patterns = {window: _pattern(run, window) for window in windows}
    regular = _regular(run)
    whole = [w for w in windows if regular <= {task for task, _, _ in patterns[w]}] or windows
    at = {window[0]: window for window in windows}
    for window in whole:
        after = at.get(window[1])
        if after and _alike(window, after) and patterns[window] == patterns[after]:
            return window
    return whole[len(whole) // 2]


def timeline_table(
    spans: Iterable[Span], window: tuple[float, float] | None = None
) -> list[Record]:
    """The boxes that are at least partly in the window, or all of them.

    Returns:
        Records of resource, task, step ("m1 3, p1 0"), start_s and end_s.
    """
    return [
        {
            "resource": span.resource,
            "task": span.task,
            "step": ", ".join(f"{name} {index}" for name, index in span.step),
            "start_s": span.start_s,
            "end_s": span.end_s,
        }
        for span in _inside(spans, window)
    ]


def plot_timeline(
    spans: Iterable[Span], ax: Axes, window: tuple[float, float] | None = None
) -> Axes:
    """A lane for each resource, a box for each task on it, coloured by task.

    A box that is wide enough holds the name of its task and the coordinates that tell its step from
    the others in the window, such as `SLN 3,1` for m1 = 3 and p1 = 1. Boxes of every second step
    are less high. Time counts from the begin of the window.

    Args:
        spans: The timeline of a simulation.
        ax: Where to draw.
        window: Begin and end of what is shown [s], by default everything.

    Raises:
        PlotError: There is nothing in the window.
    """
    recorded = some(spans, "timeline")
    shown = _inside(recorded, window)
    begin, end = window or (min(s.start_s for s in shown), max(s.end_s for s in shown))
    scale, unit = style.prefix(end - begin, "s")
    used, seen = {span.resource for span in shown}, {span.task for span in shown}
    order = dict.fromkeys(span.resource for span in recorded if span.resource in used)
    lanes = {name: -i for i, name in enumerate(order)}
    # Looks go by all that was recorded, so that a task looks the same in every window.
    looks = style.task_looks(span.task for span in recorded)
    loops, steps = _distinct(shown)
    axis_pt = _AXIS_SHARE * 72 * style.room_in(ax)[0]
    for span in shown:
        left, right = max(span.start_s, begin), min(span.end_s, end)
        x, width = (left - begin) / scale, (right - left) / scale
        height = _HEIGHTS[steps[span.step] % 2]
        bar = ax.barh(lanes[span.resource], width, height, x, **looks[span.task].box())
        name = _name(span, loops, (right - left) / (end - begin) * axis_pt)
        if name:
            _write(ax, bar.patches[0], name, looks[span.task].colour)
    ax.set_xlim(0, (end - begin) / scale)
    ax.set_ylim(min(lanes.values()) - 0.6, 0.6)
    ax.set_yticks(list(lanes.values()), list(lanes))
    since = format_quantity(begin, "s")
    style.dress(ax, title=_title(loops), x=f"Time since {since} [{unit}]", grid="x")
    ax.tick_params(axis="y", length=0)
    style.legend_beside(ax, style.patches({t: k for t, k in looks.items() if t in seen}))
    return ax


def _inside(spans: Iterable[Span], window: tuple[float, float] | None) -> list[Span]:
    recorded = some(spans, "timeline")
    if window is None:
        return recorded
    begin, end = window
    shown = [s for s in recorded if s.end_s > begin and s.start_s < end]
    return some(shown, f"timeline from {begin:g} s to {end:g} s")


def _runs(spans: Sequence[Span]) -> list[list[list[Span]]]:
    """Consecutive steps, each as its spans; cut where the simulation leapt or a phase began."""
    steps = [list(group) for _, group in groupby(spans, key=lambda span: span.step)]
    runs = [steps[:1]]
    for before, after in pairwise(steps):
        if _follows(before[0].step, after[0].step):
            runs[-1].append(after)
        else:
            runs.append([after])
    return runs


def _follows(before: Step, after: Step) -> bool:
    """Whether one loop moved on by one and all inside it began again."""
    if [name for name, _ in before] != [name for name, _ in after]:
        return False
    moved = [new - old for (_, old), (_, new) in zip(before, after, strict=True)]
    first = next((i for i, by in enumerate(moved) if by), None)
    if first is None:
        return False
    return moved[first] == 1 and all(index == 0 for _, index in after[first + 1 :])


def _windows(run: Sequence[Sequence[Span]], steps: int) -> list[tuple[float, float]]:
    """Every window of so many steps of the run in which all spans that belong there are known."""
    busy: dict[str, float] = {}
    last: dict[str, float] = {}
    for step in run:
        for span in step:
            busy[span.resource] = busy.get(span.resource, 0.0) + span.end_s - span.start_s
            last[span.task] = max(span.start_s, last.get(span.task, span.start_s))
    # Steps before the run may reach into it as far as its first step does, and those after it
    # begin a task no earlier than the run did last.
    known_from = max(span.end_s for span in run[0])
    known_until = min(last[task] for task in _regular(run))
    busiest = max(busy, key=busy.__getitem__)
    begins = [min((s.start_s for s in step if s.resource == busiest), default=None) for step in run]
    pairs = zip(begins, begins[steps:], strict=False)
    return [
        (begin, end)
        for begin, end in pairs
        if begin is not None and end is not None and known_from <= begin < end <= known_until
    ]


def _alike(window: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two windows are equally long."""
    return isclose(window[1] - window[0], other[1] - other[0], rel_tol=_ROUNDING)


def _regular(run: Sequence[Sequence[Span]]) -> set[str]:
    """Tasks of at least every second step; one of a few steps only tells nothing of the rest."""
    tasks = Counter(task for step in run for task in {span.task for span in step})
    return {task for task, n in tasks.items() if 2 * n >= len(run)}


def _pattern(run: Iterable[Iterable[Span]], window: tuple[float, float]) -> Counter:
    """What begins in the window, seen from its begin; equal for windows that repeat each other."""
    begin, end = window
    unit = (end - begin) * _ROUNDING
    return Counter(
        (span.task, span.resource, round((span.start_s - begin) / unit))
        for step in run
        for span in step
        if begin - unit <= span.start_s < end - unit
    )


def _distinct(spans: Sequence[Span]) -> tuple[list[str], dict[Step, int]]:
    """The loops whose index differs among the spans, and the steps numbered in order."""
    steps = {step: i for i, step in enumerate(dict.fromkeys(span.step for span in spans))}
    seen: dict[str, set[int]] = {}
    for step in steps:
        for name, index in step:
            seen.setdefault(name, set()).add(index)
    return [name for name, indices in seen.items() if len(indices) > 1], steps


def _name(span: Span, loops: Sequence[str], width_pt: float) -> str:
    """What is written into a box so wide: task and step, the task alone, or nothing."""
    at = dict(span.step)
    step = ",".join(str(at[name]) for name in loops if name in at)
    for text in (f"{span.task} {step}".strip(), f"{span.task}\n{step}".strip(), span.task):
        if max(map(len, text.split("\n"))) * _CHARACTER_EM * style.SMALL_PT < width_pt:
            return text
    return ""


def _write(ax: Axes, box: Rectangle, text: str, colour: str) -> None:
    """Text in the middle of a box; the plate behind it keeps a hatch from running through it."""
    x, y = box.get_center()
    plate = {"facecolor": colour, "edgecolor": "none", "pad": 0.6}
    written = ax.text(
        x, y, text, fontsize=style.SMALL_PT, color=style.ink(colour), ha="center", va="center",
        bbox=plate,
    )  # fmt: skip
    written.set_clip_on(True)


def _title(loops: Sequence[str]) -> str:
    numbered = f", numbered by {', '.join(loops)}" if loops else ""
    return f"Who works when: tasks on each resource{numbered}"
