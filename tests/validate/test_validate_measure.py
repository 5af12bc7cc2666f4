"""Measuring, as far as it goes without a GPU: cases, counts, statistics, recordings, NVML."""

import csv
import itertools
import json
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.validate import measure
from einfall.validate.kernels import references
from einfall.validate.measuring import nvml
from einfall.validate.measuring.cases import COLUMNS, KERNELS, Case, CaseError, read_cases
from einfall.validate.measuring.check import TOLERANCE
from einfall.validate.measuring.recording import (
    ENERGY_COLUMNS,
    TIMING_COLUMNS,
    Recording,
    key_of,
)
from einfall.validate.measuring.statistics import spread_of
from einfall.validate.measuring.work import attended_pairs, flops, moved_bytes, seen_by

DATA = resources.files("einfall.validate") / "data"
HEAD = ",".join(COLUMNS)
SHAPE = {"batch": 1, "heads": 1, "kv_heads": 1, "head_dim": 64}


@pytest.fixture
def cases_file(tmp_path):
    def write(*lines):
        path = tmp_path / "cases.csv"
        path.write_text("\n".join((HEAD, *lines)) + "\n")
        return path

    return write


def test_cases_are_read(cases_file):
    path = cases_file(
        "flash,triton_flash,bf16,4,16,8,4096,4096,128,1,window=1024",
        "ceilings,copy,bf16,,,,,,,,MiB=64",
    )
    flash, copy = read_cases(path)
    assert flash == Case("triton_flash", "bf16", 4, 16, 8, 4096, 4096, 128, 1, "window=1024")
    assert copy == Case("copy", params="MiB=64")
    assert [list(map(str, case.record().values())) for case in (flash, copy)] == [
        line.split(",") for line in path.read_text().splitlines()[1:]
    ]


def test_all_mistakes_come_at_once_with_their_lines(cases_file):
    path = cases_file(
        "g,triton_flsh,bf16,1,1,1,8,8,64,0,",
        "g,triton_flash,int8,0,1,1,8,x,64,2,",
        "g,triton_na2d,bf16,1,1,1,64,64,64,0,shape=8x8;windw=3x3",
        "g,triton_flash,bf16,1,6,4,8,8,80,0,window=3",
        "g,triton_na2d,bf16,1,1,1,60,64,64,0,shape=8x8;window=3x3;stride=4x1",
        "g,triton_decode,bf16,1,1,1,2,64,64,0,splits=2",
        "g,copy,bf16,1,,,,,,,MiB=1",
        "g,triton_flash,bf16",
        "g,sdpa_flash,bf16,1,1,1,8,8,64,0,",
    )
    with pytest.raises(CaseError) as caught:
        read_cases(path)
    found = str(caught.value).splitlines()
    expected = [
        (2, "kernel: wanted one of triton_flash, triton_na2d,"),
        (3, "dtype: wanted one of bf16, fp16, fp32, found 'int8'"),
        (3, "batch: wanted a whole number above 0, found '0'"),
        (3, "seq_k: wanted a whole number above 0, found 'x'"),
        (3, "causal: wanted 0 or 1, found '2'"),
        (4, "params: wanted window=… for triton_na2d, found none"),
        (4, "params: wanted shape or window or stride for triton_na2d, found 'windw'"),
        (5, "kv_heads: wanted a divisor of heads=6, found 4"),
        (5, "head_dim: wanted one of (64, 128, 256) for triton_flash, found 80"),
        (5, "triton_flash: wanted causal=1 where there is a window, found"),
        (6, "params: shape: wanted 60 tokens as seq_q and seq_k, found 64"),
        (6, "params: wanted 1 ≤ stride ≤ window ≤ shape along each axis"),
        (7, "triton_decode: wanted seq_q=1 and at most 16 query heads"),
        (8, "batch: wanted nothing, the kernel has no shape, found '1'"),
        (9, "wanted 11 fields"),
    ]
    assert len(found) == len(expected)
    for line, (number, text) in zip(found, expected, strict=True):
        assert line.startswith(f"{path}:{number}: {text}")


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("kernel,dtype\n")
    with pytest.raises(CaseError, match=r"cases\.csv:1: wanted columns group, batch, heads"):
        read_cases(path)


@pytest.mark.parametrize(("gpu", "timings"), [("h100", 220), ("h200", 140)])
def test_shipped_cases_are_right_and_many(gpu, timings):
    cases = read_cases(DATA / f"cases_{gpu}.csv")
    energy = [case for case in cases if case.group == "energy"]
    assert len(cases) - len(energy) >= timings
    assert len(energy) >= 26
    assert len(set(cases)) >= len(cases) - len(energy)
    assert {case.kernel for case in cases} == set(KERNELS)


@pytest.mark.parametrize("gpu", ["h100", "h200"])
def test_shipped_recordings_hold_every_case_and_right_results(gpu):
    cases = read_cases(DATA / f"cases_{gpu}.csv")
    for kind, columns, time in (
        ("recording", TIMING_COLUMNS, "median_ms"),
        ("energy", ENERGY_COLUMNS, "ms"),
    ):
        with (DATA / f"{gpu}_{kind}.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kernel"] != "idle"]
        assert tuple(rows[0]) == columns
        wanted = [case for case in cases if (case.group == "energy") == (kind == "energy")]
        assert [key_of(row) for row in rows] == [key_of(case.record()) for case in wanted]
        assert all(float(row[time]) > 0 for row in rows)
        assert all(float(row.get("relative_error") or 0) < TOLERANCE["bf16"] for row in rows)
        about = json.loads((DATA / f"{gpu}_{kind}.json").read_text())
        assert {row["gpu"] for row in rows} == {about["gpu"]}
        assert about["failures"] == []


def test_dry_run_counts_and_needs_nothing_else():
    # What a machine with torch, triton and numpy alone lacks must not be imported.
    code = (
        "import sys; from einfall.validate import measure; "
        "status = measure.main([sys.argv[1], '--dry-run']); "
        "heavy = {'pydantic', 'lark', 'ruamel', 'matplotlib', 'networkx', 'rich', 'torch'}; "
        "sys.exit(status or ' '.join(heavy & set(sys.modules)) or 0)"
    )
    line = [sys.executable, "-c", code, str(DATA / "cases_h200.csv")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "triton_flash: " in done.stdout


def test_bad_cases_end_with_2(cases_file, capsys):
    assert measure.main([str(cases_file("g,copy,bf16,,,,,,,,")), "--dry-run"]) == 2
    assert ":2: params: wanted MiB=… for copy, found none" in capsys.readouterr().err


def test_shards_share_out_all_cases():
    cases = read_cases(DATA / "cases_h100.csv")
    shards = [measure.shard_of(cases, f"{i}/7") for i in range(7)]
    assert sorted(map(str, itertools.chain(*shards))) == sorted(map(str, cases))


MASKED = [
    Case("triton_flash", seq_q=7, seq_k=9, causal=1, **SHAPE),
    Case("triton_flash", seq_q=9, seq_k=7, causal=1, params="window=3", **SHAPE),
    Case("flex_sliding", seq_q=9, seq_k=9, params="window=4", **SHAPE),
    Case("triton_na2d", seq_q=35, seq_k=35, params="shape=5x7;window=3x4", **SHAPE),
    Case(
        "triton_na3d", seq_q=60, seq_k=60, params="shape=3x4x5;window=2x3x4;stride=1x2x3", **SHAPE
    ),
    Case("flex_na2d", seq_q=63, seq_k=63, params="shape=7x9;window=4x3", **SHAPE),
    Case("triton_block_sparse", seq_q=150, seq_k=300, params="density=.4;block=64", **SHAPE),
    Case("sdpa_flash", seq_q=5, seq_k=6, **SHAPE),
]


@pytest.mark.parametrize("case", MASKED, ids=lambda case: case.kernel)
def test_pairs_are_those_of_the_mask(case):
    seen = seen_by(case, np.arange(case.seq_q))
    assert seen.shape == (case.seq_q, case.seq_k)
    assert attended_pairs(case) == seen.sum()
    assert flops(case) == 4 * 64 * seen.sum()


@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_neighborhoods_are_products_of_axes(shape, random):
    window = [random.randint(1, n) for n in shape]
    stride = [random.randint(1, w) for w in window]
    tokens = int(np.prod(shape))
    texts = ("x".join(map(str, sizes)) for sizes in (shape, window, stride))
    params = "shape={};window={};stride={}".format(*texts)
    case = Case("triton_na3d", seq_q=tokens, seq_k=tokens, params=params, **SHAPE)
    seen = references.neighborhood_mask(shape, window, stride)
    assert (seen_by(case, np.arange(tokens)) == seen).all()
    assert (seen.sum(axis=1) == np.prod(window)).all()


def test_work_of_known_cases():
    # h100_open's rate of this shape: 343.79 TFLOP/s in 1.599104 ms
    dense = Case("sdpa_flash", "bf16", 4, 16, 16, 4096, 4096, 128)
    assert flops(dense) == pytest.approx(343.79e12 * 1.599104e-3, rel=1e-4)
    assert flops(Case("matmul", params="n=1024")) == 2 * 2**30
    assert moved_bytes(Case("copy", params="MiB=64")) == 2**27
    assert moved_bytes(Case("exp_fp32", "fp32", params="n=64Mi")) == 2**29
    assert moved_bytes(dense) is None


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_spread_is_ordered_and_inside(times_s):
    spread = spread_of(times_s)
    assert min(times_s) <= spread.p20_s <= spread.median_s <= spread.p80_s <= max(times_s)


@pytest.mark.parametrize("times_s", [[], [1.0, 0.0], [float("nan")], [float("inf")]])
def test_spread_refuses_what_is_no_time(times_s):
    with pytest.raises(ValueError, match="wanted at least one, each above 0 s"):
        spread_of(times_s)


def test_a_recording_grows_by_rows_and_is_continued(tmp_path):
    path = tmp_path / "made" / "r.csv"
    case = Case("triton_flash", "bf16", 1, 2, 2, 64, 64, 64)
    recording = Recording(path, TIMING_COLUMNS)
    recording.add({"gpu": "A GPU", **case.record(), "median_ms": "0.5"})
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["gpu"], row["median_ms"], row["p20_ms"]) == ("A GPU", "0.5", "")
    again = Recording(path, TIMING_COLUMNS)
    assert again.done == recording.done == {key_of(case.record())}
    again.add({"gpu": "A GPU", **Case("copy", params="MiB=1").record()})
    assert len(path.read_text().splitlines()) == 3


def test_a_recording_with_other_columns_is_not_continued(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("gpu,kernel\n")
    with pytest.raises(ValueError, match=r"r\.csv:1: wanted gpu,group,kernel,.*, found gpu,kernel"):
        Recording(path, TIMING_COLUMNS)


def test_no_nvml_is_said_plainly():
    with pytest.raises(nvml.NvmlError, match=r"wanted libnone\.so\.1, which comes with NVIDIA's"):
        nvml.open_gpu("GPU-0", library="libnone.so.1")


def test_nvml_errors_carry_its_words():
    class Broken:
        @staticmethod
        def nvmlDeviceGetPowerUsage(*_):  # noqa: N802  NVML's name
            return 3

        class nvmlErrorString:  # noqa: N801  NVML's name, called as a function
            restype = None

            def __new__(cls, _status):
                return b"Not Supported"

        @staticmethod
        def nvmlDeviceGetClockInfo(*_):  # noqa: N802  NVML's name
            return 0

    with pytest.raises(nvml.NvmlError, match="nvmlDeviceGetPowerUsage: Not Supported"):
        nvml.Gpu(Broken, None).sample()
