from types import SimpleNamespace

import numpy as np
import pytest

from einfall import plots
from einfall.sim.pipeline_estimate import Line


class MadeUp(SimpleNamespace):
    """What the figures read of an estimate."""


ESTIMATE = MadeUp(
    cascade="attention_1pass",
    machine="fusemax_cloud",
    mapping=SimpleNamespace(name="fusemax"),
    latency_s=0.010,
    busy_s={"dram": 0.001, "buffer": 0.002, "2d": 0.008},
    bound="2d",
    breakdown=(
        Line("load K", "dram", 0.001, 0.0, 0.1),
        Line("QK", "2d", 0.005, 0.0, 0.5),
        Line("SLN", "2d", 0.003, 0.0, 0.3),
    ),
    parts_j={
        "2d.mac": 5.0,
        "2d.register_read": 1.5,
        "2d.register_write": 0.5,
        "buffer.read": 2.0,
        "buffer.write": 1.0,
        "dram.read_bytes": 0.01,
    },
)


def replace(estimate, **others):
    return MadeUp(**vars(estimate) | others)


def widths(ax):
    return [round(bar.get_width(), 9) for c in ax.containers for bar in c.patches]


def test_energy_goes_by_component_with_registers_on_their_own():
    found = {r["component"]: r["energy_j"] for r in plots.energy_table([ESTIMATE])}
    assert found == {"2d": 5.0, "2d registers": 2.0, "buffer": 3.0, "dram": 0.01}


def test_energy_bars_stack_to_the_total(ax):
    half = replace(ESTIMATE, parts_j={"2d.mac": 5.0}, mapping=SimpleNamespace(name="half"))
    plots.plot_energy([ESTIMATE, half], ax)
    tops = [max(c.patches[i].get_x() + c.patches[i].get_width() for c in ax.containers)
            for i in range(2)]  # fmt: skip
    assert tops == pytest.approx([10.01, 5.0])
    assert [t.get_text() for t in ax.texts] == ["10 J", "5 J"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["fusemax", "half"]
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["2d", "2d registers", "buffer", "others"]  # as stacked, from the left


def test_bars_are_named_by_what_tells_them_apart(ax):
    plots.plot_energy([ESTIMATE, replace(ESTIMATE, machine="my_chip")], ax)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["fusemax_cloud", "my_chip"]


def test_units_show_busy_time_by_einsum_and_what_they_do_beside_others(ax):
    table = [(r["unit"], r["einsum"], r["busy_s"]) for r in plots.unit_table(ESTIMATE)]
    assert table == [
        ("dram", "load K", 0.001),
        ("buffer", "beside another unit", 0.002),
        ("2d", "QK", 0.005),
        ("2d", "SLN", 0.003),
    ]
    plots.plot_units(ESTIMATE, ax)
    assert widths(ax) == [1.0, 2.0, 5.0, 3.0]
    assert ax.get_xlabel() == "Time [ms]"
    assert [t.get_text() for t in ax.texts] == ["10 %", "20 %", "80 %"]
    bold = [t.get_text() for t in ax.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["2d"]


def test_a_sweep_is_refused(ax):
    swept = replace(ESTIMATE, parts_j={"2d.mac": np.array([1.0, 2.0])})
    with pytest.raises(plots.PlotError, match=r"energy of 2d\.mac: want one number, found an arr"):
        plots.plot_energy([swept], ax)
    swept = replace(ESTIMATE, busy_s={"2d": np.array([1.0, 2.0])})
    with pytest.raises(plots.PlotError, match="busy time of 2d: want one number"):
        plots.plot_units(swept, ax)


def test_no_estimate_is_refused(ax):
    with pytest.raises(plots.PlotError, match="energy: want at least one"):
        plots.plot_energy([], ax)
