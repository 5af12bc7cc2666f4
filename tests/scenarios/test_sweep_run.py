"""A sweep that is killed goes on, and its table is the same to the byte, whoever works it out."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from einfall.hw_models import SpecError
from einfall.scenarios.sweeps import chunks, runner
from einfall.scenarios.sweeps.reading import plan
from einfall.scenarios.sweeps.runner import run_sweep

TEXT = """
kind: sweep
name: cloud
cascade: attention_1pass
machine: fusemax_cloud
shape: {batch: 2, heads: 4, head_dim: 64}
axes:
  machine.units.1d.cols: [128, 256]
  machine.dram.bandwidth: [0.5x, 1x, 2x]
  queries: {from: 100, to: 6000, step: 100}
keep: [latency_s < 1 ms]
"""
SINGLES = """
kind: sweep
name: singles
cascade: attention_3pass
machine: flat_cloud
shape: {heads: 4, head_dim: 64}
axes: {queries: {from: 512, to: 696, step: 8}}
"""
COLD = """
import sys, time
from pathlib import Path
from einfall.scenarios.sweeps import chunks, engines, runner

work_out = chunks.work_out
engines.work_out = lambda *asked: (time.sleep(0.08), work_out(*asked))[1]
runner.run_sweep(sys.argv[1], out=Path(sys.argv[2]), chunk=1)
"""


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "cloud.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def singles(tmp_path, monkeypatch):
    monkeypatch.setattr("einfall.scenarios.sweeps.arrays.SINGLES", 4)
    path = tmp_path / "singles.yaml"
    path.write_text(SINGLES)
    return path


def files(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_table_and_summary_are_the_same_whatever_workers_and_chunks(singles, tmp_path):
    ready = plan(singles)
    alone = run_sweep(ready, out=tmp_path / "alone")
    assert {path.name for path in alone.paths} == {"singles.csv", "singles.json"}
    assert alone.total["kept"] == 24
    for n, (workers, chunk) in enumerate([(1, 1), (2, 8)]):
        run_sweep(ready, out=tmp_path / str(n), workers=workers, chunk=chunk)
        assert files(tmp_path / str(n)) == files(tmp_path / "alone")


def test_a_sweep_that_is_killed_goes_on_where_it_was(cloud, tmp_path, monkeypatch):
    monkeypatch.setattr("einfall.scenarios.sweeps.arrays.ARRAYS", 16)
    ready = plan(cloud)
    whole = run_sweep(ready, out=tmp_path / "whole", chunk=1)
    assert whole.resumed == 0
    blocks = ready.grid.block_count
    assert blocks > 20

    code = COLD.replace(
        "work_out = chunks",
        "from einfall.scenarios.sweeps import arrays\narrays.ARRAYS = 16\nwork_out = chunks",
    )
    out = tmp_path / "killed"
    folder = out / ".cloud.chunks"
    for least in (2, 6):
        process = subprocess.Popen([sys.executable, "-c", code, str(cloud), str(out)])
        until = time.monotonic() + 30
        while time.monotonic() < until and len(list(folder.glob("*.chunk"))) < least:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    there = list(folder.glob("*.chunk"))
    assert 6 <= len(there) < blocks
    assert not list(out.glob("cloud.*"))

    there[0].write_bytes(there[0].read_bytes()[:-3])  # one is broken, another half written
    (folder / "x.123.part").write_bytes(b"x")
    seen = []
    found = run_sweep(ready, out=out, chunk=1, progress=lambda *now: seen.append(now))
    assert seen[0][0] == found.resumed > 0
    assert seen[-1] == (ready.grid.points, ready.grid.points)
    assert len(seen) == 1 + blocks - (len(there) - 1)  # only what is missing
    assert files(out) == files(tmp_path / "whole")
    assert found.answer() == whole.answer()


def test_chunks_of_another_sweep_are_not_taken(cloud, tmp_path):
    ready = plan(cloud)
    store = chunks.Store(tmp_path / "chunks", ready.key)
    store.write(0, chunks.packed({"points": 1}, [b"ro", b"w\n"]))
    assert store.read(0) == ({"points": 1}, b"row\n")
    cloud.write_text(TEXT.replace("latency_s < 1 ms", "latency_s < 2 ms"))
    assert chunks.Store(tmp_path / "chunks", plan(cloud).key).read(0) is None
    assert chunks.Store(tmp_path / "chunks", ready.key).read(1) is None


def test_a_worker_that_is_killed_is_replaced(singles, tmp_path):
    ready = plan(singles)
    run_sweep(ready, out=tmp_path / "alone")
    killed = []

    def kill_one(done, _):
        if done and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    run_sweep(ready, out=tmp_path / "wounded", workers=2, chunk=1, progress=kill_one)
    assert killed
    assert files(tmp_path / "wounded") == files(tmp_path / "alone")


def test_without_a_folder_nothing_is_written(cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_sweep(cloud)
    assert found.paths == ()
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.yaml"]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is here")
def test_parquet_without_pyarrow_says_what_to_install(cloud, tmp_path):
    with pytest.raises(
        SpecError, match=r"want pyarrow, found none; pip install 'einfall\[parquet\]'"
    ):
        run_sweep(cloud, out=tmp_path, form="parquet")


@pytest.mark.skipif(importlib.util.find_spec("distributed") is not None, reason="dask is here")
def test_a_scheduler_without_dask_says_what_to_install(cloud):
    with pytest.raises(SpecError, match=r"found none; pip install 'einfall\[dask\]'"):
        run_sweep(cloud, scheduler="local")


def test_parquet_has_the_rows_of_the_csv(cloud, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run_sweep(cloud, out=tmp_path / "a", form="parquet")
    run_sweep(cloud, out=tmp_path / "b", form="parquet", chunk=1)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    found = run_sweep(cloud, out=tmp_path / "c")
    rows = parquet.read_table(tmp_path / "a" / "cloud.parquet").to_pylist()
    lines = found.paths[0].read_text().splitlines()
    assert list(rows[0]) == lines[0].split(",")
    for row, line in zip(rows, lines[1:], strict=True):
        for value, text in zip(row.values(), line.split(","), strict=True):
            assert (
                (float(text) == pytest.approx(value))
                if isinstance(value, float)
                else text == str(value)
            )


@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_gives_the_same_bytes(cloud, tmp_path):
    pytest.importorskip("distributed")
    run_sweep(cloud, out=tmp_path / "a")
    run_sweep(cloud, out=tmp_path / "b", scheduler="local", workers=2)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_chunks_are_whole_blocks(cloud):
    ready = plan(cloud)
    asks = runner._asks(ready, 1)
    assert [ask[1] for ask in asks] == list(range(ready.grid.block_count))
    with pytest.raises(SpecError, match="--chunk: want a number of points, found 0"):
        runner._asks(ready, 0)
