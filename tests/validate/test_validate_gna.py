"""GNA as published: end-to-end bounds replayed, measured kernels beside their bounds."""

import pytest

from einfall.hw_models import load
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.predict import predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import find
from einfall.validate.gna import CASES, NEAR, compare, kernel_times, measured


def test_every_published_end_to_end_bound_is_reproduced():
    found = compare()
    assert len(found.rows) == 88  # 44 rows, each with two bounds
    assert [row for row in found.rows if not row.ok] == []
    assert found.ok
    assert "88 of 88" in found.text()


def test_the_comparison_can_fail():
    row = compare().rows[0]
    assert not type(row)(*(getattr(row, n) for n in row.__slots__[:5]), 1.5, 1.6, 1.6).ok


def test_no_published_speedup_beats_the_operation_count():
    for row in compare().rows:
        if row.bound == "operation":
            assert row.exact >= row.published - 0.01


@pytest.mark.parametrize("case", CASES)
def test_measured_kernels_of_a_use_case(case):
    rows = measured(case)
    assert {row.gpu for row in rows} == {"B200", "H100"}
    assert {row.pattern for row in rows} == {"NA", "GNA"}
    for row in rows:
        assert row.speedup_total <= row.speedup_kernel
        bounds = [rung.speedup for rung in row.ladder.rungs if rung.kind == "bound"]
        assert bounds == sorted(bounds, reverse=True)


def test_measured_times_are_those_of_the_charts():
    # Bar charts of NATTEN's documentation (0.20) against its profiler's outputs.
    charts = {("flux_4k", "B200", "NA"): 5.0, ("flux_4k", "B200", "GNA"): 10.2}
    charts |= {("hunyuan_video", "B200", "NA"): 3.2, ("hunyuan_video", "B200", "GNA"): 10.7}
    for (case, gpu, pattern), label in charts.items():
        row = next(r for r in measured(case) if (r.gpu, r.pattern) == (gpu, pattern))
        assert row.speedup_kernel == pytest.approx(label, rel=0.04)


def test_kernel_times_are_predicted_as_near_as_we_say():
    times = kernel_times()
    assert len(times) == 20  # three dense and seven of NATTEN on each of two GPUs
    assert all(time.measured_ms > 0 and time.record()["explanation"] for time in times)
    natten = [time for time in times if time.pattern != "dense"]
    assert max(abs(time.error) for time in natten) < 0.10
    assert sum(abs(time.error) <= NEAR for time in times) >= 18
    assert "of 20 kernel times" in compare().text()


def test_copies_between_launches_leave_the_clock_of_the_next_higher():
    gpu = load("b200")
    launch = Problem(heads=24, kv_heads=24, queries=65536, keys=65536, dtype="fp16")
    idle = Work({}, 0.0, 0.0, 20e-3)
    paced = predict(find("cudnn", "fwd", gpu), gpu, launch, between=idle)
    assert paced.clock_hz > predict(find("cudnn", "fwd", gpu), gpu, launch).clock_hz
