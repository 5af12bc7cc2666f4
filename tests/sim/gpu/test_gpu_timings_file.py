"""Timings files as users write them: three headers, and mistakes told all at once."""

import pytest

from einfall.hw_models import load as load_machine
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import find
from einfall.validate.compared import compare, summarised
from einfall.validate.timings import TimingsError, harness_of, machine_of, read

HEADER = "gpu,group,kernel,dtype,batch,heads,kv_heads,seq_q,seq_k,head_dim,causal,params,median_ms"
GOOD = "NVIDIA H100 80GB HBM3,sdpa,sdpa_flash,bf16,16,16,16,1024,1024,64,0,,0.248576"
PUBLISHED = (
    "gpu,kernel,direction,dtype,batch,heads,kv_heads,"
    "seqlen_q,seqlen_k,head_dim,causal,time_ms,source"
)


def written(tmp_path, *lines):
    path = tmp_path / "timings.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_recording_is_predicted_and_keeps_its_fields(tmp_path):
    (row,) = compare(written(tmp_path, HEADER, GOOD)).rows
    assert row["median_ms"] == "0.248576"
    assert row["measured_ms"] == 0.248576
    assert row["predicted_ms"] == pytest.approx(0.2486, rel=0.05)
    assert row["error"] == pytest.approx(row["predicted_ms"] / 0.248576 - 1)
    assert row["bound"]
    assert row["why"] == ""


def test_a_published_row_is_told_by_its_header(tmp_path):
    line = "A100,FlashAttention-2,fwd,bf16,4,32,32,16384,16384,128,True,44.42,x sglang/0.5.10"
    (row,) = compare(written(tmp_path, PUBLISHED, line)).rows
    assert row["machine"] == "a100_sxm"
    assert abs(row["error"]) < 0.1


def test_rows_that_cannot_be_predicted_come_back_with_the_reason(tmp_path):
    lines = [
        GOOD.replace("sdpa_flash", "my_kernel"),
        GOOD.replace("NVIDIA H100 80GB HBM3", "Abacus"),
        GOOD.replace(",1024,64,", ",1024,512,"),
    ]
    rows = compare(written(tmp_path, HEADER, *lines)).rows
    assert [row["predicted_ms"] for row in rows] == [None] * 3
    assert "found 'my_kernel'" in rows[0]["why"]
    assert "abacus" in rows[1]["why"]
    assert "found 512" in rows[2]["why"]


def test_all_mistakes_of_a_file_at_once(tmp_path):
    lines = [GOOD.replace("0.248576", "fast"), GOOD.replace(",16,16,16,", ",0,16,16,")]
    path = written(tmp_path, HEADER, *lines)
    with pytest.raises(TimingsError) as error:
        read(path)
    assert error.value.problems == (
        f"{path}:2: median_ms: wanted a positive number, found 'fast'",
        f"{path}:3: batch: wanted a count, found '0'",
    )


def test_a_missing_column_is_named(tmp_path):
    path = written(tmp_path, HEADER.replace(",params", ""), "x")
    with pytest.raises(TimingsError, match=r":1: params: wanted this column"):
        read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TimingsError, match="wanted a readable CSV file"):
        read(tmp_path / "none.csv")


def test_energy_rows_have_energy_and_clock(tmp_path):
    shape = HEADER.removeprefix("gpu,group,").removesuffix("median_ms")
    header = f"gpu,{shape}ms,avg_w,mj_per_launch,sm_mhz"
    path = written(
        tmp_path,
        header,
        "H100,idle,,,,,,,,,,,119.1,,",
        "H100,copy,bf16,,,,,,,,MiB=1024,0.71453,480.4,343.2845,1980",
    )
    idle, copy = compare(path).rows
    assert "idle power" in idle["why"]
    assert copy["predicted_mj"] == pytest.approx(343, rel=0.08)
    assert copy["predicted_sm_mhz"] == 1980
    assert copy["measured_sm_mhz"] == 1980


def test_names():
    assert machine_of("NVIDIA H200") == "h200"
    assert harness_of("a table of vllm/0.24.0", "FlashAttention-3") == "vllm-0.24"
    assert harness_of("a blog", "PyTorch SDPA cuDNN") == "pytorch"
    assert harness_of("a blog", "cuDNN") == "bare"


def test_summary_by_hand():
    rows = [{"kernel": "k", "error": e} for e in (0.1, -0.2, 0.3, None)]
    assert summarised(rows)["k"] == pytest.approx({"n": 3, "mape": 0.2, "p90": 0.3, "worst": 0.3})


LENIENT = (
    "gpu,kernel,dtype,batch,heads,kv_heads,seqlen_q,seqlen_k,head_dim,causal,window,time_ms,note"
)


FNA = 'B200,blackwell-fna,fp16,1,24,24,115200,115200,128,False,sparse,42.2,"3D 30x48x80 w18,24,24"'


def test_a_table_of_others_is_read_line_by_line(tmp_path):
    lines = [
        "NVIDIA H100-SXM5-80GB,FA3,bfloat16,2,16,16,8192,8192,128,yes,-1,1.9,",
        "b200_sxm,FlashAttention-4 (CuTe-DSL),float16,2,16,16,8192,8192,128,no,,2.5,",
        "H100,FlashAttention-3,int3,2,16,16,8192,8192,128,True,0,1.9,",
        "H100,FlashAttention-3,bf16,2,16,16,8192,8192,128,True,0,OOM,",
        FNA,
    ]
    rows = compare(written(tmp_path, LENIENT, *lines)).rows
    assert [row["machine"] for row in rows[:2]] == ["h100_sxm", "b200"]
    assert all(row["predicted_ms"] for row in (rows[0], rows[1], rows[4]))
    assert "wanted one of fp32" in rows[2]["why"]
    assert "found 'OOM'" in rows[3]["why"]


@pytest.mark.parametrize(
    ("machine", "kv_dtype", "group", "kernel"),
    [
        ("h100_sxm", "fp8", 4, "trtllm_8bit_decode"),
        ("h100_sxm", "bf16", 4, "trtllm_decode"),
        ("h100_sxm", "fp8", 1, "trtllm_mmha"),
        ("a100_sxm", "fp8", 4, "trtllm_decode"),
        ("b200", "fp8", 4, "trtllm_gen_decode"),
    ],
)
def test_one_name_runs_the_kernel_that_takes_the_cache(machine, kv_dtype, group, kernel):
    problem = Problem(heads=8 * group, kv_heads=8, keys=4096, kv_dtype=kv_dtype)
    assert find("TRT-LLM FMHA", "decode", load_machine(machine), problem).kernel == kernel
