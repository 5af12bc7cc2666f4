"""How long sweeps take, points a second and memory.

Run alone: `.venv/bin/pytest benchmarks/test_speed_sweep.py --benchmark-enable`. Nothing here is
asserted. Aimed at: over a million points a second and core worked out, ten million points as a CSV
within 2 GiB. The ten million run without benchmarks too, as a command:

    python benchmarks/test_speed_sweep.py OUT [WORKERS]
"""

import multiprocessing
import resource
import sys
import time
from pathlib import Path

import pytest

from einfall.scenarios.sweeps.reading import plan
from einfall.scenarios.sweeps.runner import cores, run_sweep

GPU = """
kind: sweep
name: gpu
cascade: attention_1pass
machine: b200
shape: {{head_dim: 128}}
axes:
  batch: {{from: 1, to: {batch}, step: 1}}
  heads: {{from: 16, to: 65, step: 1}}
  machine.sm.mufu_per_clock: {{from: 1x, to: 4x, points: 10}}
  machine.hbm.bandwidth: {{from: 0.5x, to: 2x, points: 10}}
  queries: {{from: 1K, to: 40K, step: 1K}}
"""
ARRAY = """
kind: sweep
name: array
cascade: attention_1pass
machine: fusemax_cloud
shape: {{heads: 12, head_dim: 64}}
axes:
  batch: {{from: 1, to: {batch}, step: 1}}
  machine.dram.bandwidth: {{from: 0.5x, to: 4x, points: 20}}
  machine.buffer.capacity: {{from: 2 MiB, to: 64 MiB, points: 20}}
  queries: {{from: 1000, to: 500000, step: 1000}}
"""


def ready(folder, text, batch):
    path = folder / "sweep.yaml"
    path.write_text(text.format(batch=batch))
    return plan(path)


@pytest.mark.parametrize("text", [GPU, ARRAY], ids=["gpu", "array"])
@pytest.mark.parametrize("written", [False, True], ids=["summary", "csv"])
def test_a_million_points(benchmark, tmp_path, text, written):
    found = ready(tmp_path, text, 5)
    out = tmp_path / "out" if written else None
    benchmark.pedantic(lambda: run_sweep(found, out=out), rounds=3, warmup_rounds=1)
    if benchmark.stats:  # none where benchmarks are off
        benchmark.extra_info["points_per_s"] = found.grid.points / benchmark.stats.stats.min


def peak_mib(pid):
    """The most memory that a process had (Linux), 0 where that is not known."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) // 1024 for x in text.splitlines() if "VmHWM" in x), 0)


def main(out, workers):
    """Ten million points, to a CSV."""
    for text in (GPU, ARRAY):
        Path(out).mkdir(parents=True, exist_ok=True)
        found, started = ready(Path(out), text, 50), time.perf_counter()
        most = 0

        def look(*_):
            nonlocal most
            most = max(most, sum(peak_mib(p.pid) for p in multiprocessing.active_children()))

        result = run_sweep(found, out=Path(out), workers=workers, progress=look)
        seconds = time.perf_counter() - started
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{result.plan.sweep.name}: {found.grid.points:,} points in {seconds:.1f} s, "
            f"{found.grid.points / seconds:,.0f} a second with {workers} workers; "
            f"at most {own} MiB, and {most} MiB in the workers"
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else cores())
