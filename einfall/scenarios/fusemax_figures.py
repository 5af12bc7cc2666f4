"""The figures of FuseMax's evaluation, in the manner of the paper, saved beside their data.

Loads matplotlib; the runner imports it when figures are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from einfall import hw_models, plots
from einfall.einsum_cascades import library
from einfall.scenarios.fusemax import FuseMax
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate

if TYPE_CHECKING:
    from einfall.plots import Record
    from einfall.scenarios.findings import Drawing

KERNELS = ("attention", "end_to_end")
STEPS = 3
"""Steps of the steady state that the timeline shows."""


def draw(scenario: FuseMax, rows: Sequence[Record], out: Path) -> tuple[Path, ...]:
    """Draw and save every figure that the scenario has the rows for.

    Args:
        scenario: What was run.
        rows: Its rows as records.
        out: Folder.

    Returns:
        Paths of the PNG, SVG, CSV and JSON of each.
    """
    meta = {"command": f"einfall run {scenario.name}", "source": scenario.source}
    paths: list[Path] = []
    for name, figure, data in drawings(scenario, rows):
        paths += plots.save(figure, out / name, data, meta)
    return tuple(paths)


def drawings(scenario: FuseMax, rows: Sequence[Record]) -> Iterator[Drawing]:
    """Every figure that a scenario has the rows for: name, figure, the records it shows."""
    others = [scenario.baseline, *(c.against for c in scenario.claims)]
    kernels = [k for k in KERNELS if any(row["kernel"] == k for row in rows)]
    for kernel in kernels:
        for reference in dict.fromkeys(others):
            faster = plots.speedups(rows, kernel=kernel, reference=reference)
            yield f"{kernel}_speedup_over_{reference}", plots.speedup_figure(faster), faster
            part = plots.energy_ratios(rows, kernel=kernel, reference=reference)
            yield f"{kernel}_energy_of_{reference}", plots.energy_figure(part), part
    used = plots.utilization_table(rows)
    yield "attention_utilization", plots.utilization_figure(used), used
    if scenario.pareto:
        machines = plots.pareto_table(rows)
        figure = plots.figure()
        plots.plot_machines(machines, figure.subplots())
        yield "pareto", figure, machines
    if scenario.timeline:
        yield _timeline(scenario)


def _timeline(scenario: FuseMax) -> Drawing:
    """A few steps of the design, simulated task by task."""
    config = scenario.design
    cascade, machine = library.load(config.cascade), hw_models.load(config.machine)
    mapping = mapping_for(cascade, scenario.timeline, machine, name=config.mapping)
    answer = estimate(cascade, scenario.timeline, machine, mapping, simulate=True)
    spans = answer.simulation.timeline if answer.simulation else ()
    window = plots.steady_window(spans, STEPS)
    figure = plots.figure()
    plots.plot_timeline(spans, figure.subplots(), window)
    return "timeline", figure, plots.timeline_table(spans, window)
