"""The energies that ship are those of the fit, what it holds is measured, errors are left out."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from einfall.hw_models import load
from einfall.sim.gpu.power import PEAK
from einfall.validate import calibrate_power as power

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def shipped():
    return power.shipped()


def test_the_energies_that_ship_are_those_of_the_fit(shipped):
    """Within a third of the interval, as they are rounded and the kernels' fits may move."""
    base = {name: j for name, j in power._picojoules("h100_sxm").items()}
    found = {path: base[power._name(path)] for path in shipped if path.startswith("h100_sxm")}
    found["h200: energy.hbm"] = power._picojoules("h200")["hbm"]
    assert found.keys() == shipped.keys()
    for path, (value, half_width) in shipped.items():
        assert found[path] == pytest.approx(value, rel=max(half_width / 3, 0.01)), path
        assert 0.02 < half_width < 0.6


def test_a_fit_finds_the_energies_by_which_launches_were_made_up():
    made = dict.fromkeys(["mma", "exp", "fma", "shared", "l2", "h100_sxm.hbm", "h200.hbm"], 1.2)
    rows = power.observed()
    energy, clock = power.errors(rows, made)
    made_up = [
        replace(row, energy_j=row.energy_j * np.exp(e), clock_hz=row.clock_hz * np.exp(c))
        for row, e, c in zip(rows, energy, clock, strict=True)
    ]
    found = power.fit(made_up)
    for name, factor in found.factors.items():
        assert factor == pytest.approx(1.2, rel=max(found.half_width[name], 0.02)), name


def test_the_floor_and_the_lowest_voltage_are_those_measured():
    for machine, watts in power.floors_w().items():
        assert load(machine).power.active_floor_w == pytest.approx(watts, abs=0.5)
    curve, volts = (
        load("h100_sxm").power.voltage,
        np.array(list(power.lowest_voltages_v().values())),
    )
    error = volts.std(ddof=1) / np.sqrt(len(volts))
    assert len(volts) == 8
    assert curve.min_v / curve.max_v == pytest.approx(volts.mean(), abs=error)


def test_the_noise_of_clocks_is_that_of_readings_of_one_launch():
    assert power.clock_spread() / np.sqrt(2) == pytest.approx(power.CLOCK_NOISE, abs=0.002)


def test_short_benchmarks_run_as_much_faster_as_measured():
    predicted, measured = power.burst_ratios()
    off = np.log(predicted / measured)
    assert len(off) > 30
    assert np.abs(off).mean() < 0.03
    assert abs(off.mean()) < 0.01
    assert max(power.peak_shares().values()) == pytest.approx(PEAK, abs=0.01)


def test_energies_and_clocks_left_out_of_the_fit():
    with power.ERRORS.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["left_out"] for line in lines} == {"nothing", *power.LEAVING}
    for line in lines:
        assert float(line["energy_mape"]) <= 0.08
        moved = line["left_out"] in ("recording", "machine", "machine but its copy")
        assert float(line["clock_mape"]) <= (0.05 if moved else 0.04)
    assert sum(int(line["rows"]) for line in lines if line["left_out"] == "nothing") == 65
