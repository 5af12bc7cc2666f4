"""The command-line contract: keys of every JSON document, exit codes, files, what --help loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHAPE = "heads=2,queries=512,head_dim=64"
ATTENTION = ["estimate", "attention_1pass", "--on", "fusemax_cloud", "--shape", SHAPE]
HEAVY = ("numpy", "pydantic", "matplotlib", "networkx", "lark", "rich", "ruamel", "scipy", "torch")


def python(*words, **keywords):
    env = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, **keywords)


# What is loaded -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["estimate", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words):
    code = (
        f"import sys; from einfall.cli import main; code = main({words!r}); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = python("-c", code)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert "einfall" in done.stdout


def test_the_module_is_the_command():
    done = python("-m", "einfall", "show", "kernels", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "flash2" in {kernel["name"] for kernel in json.loads(done.stdout)["kernels"]}


def test_the_exit_code_reaches_the_shell():
    done = python("-m", "einfall", "estimat")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean estimate?" in done.stderr


def test_a_reader_that_stops_early_gets_no_traceback():
    command = f"{sys.executable} -m einfall show machines fusemax_cloud | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fusemax_cloud")
    assert done.stderr == ""


def test_a_closed_pipe_has_the_code_of_the_signal():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "einfall", "show", "kernels"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_that_lacks_characters_is_served():
    words = ["-m", "einfall", *ATTENTION, "--explain"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, *words], capture_output=True, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"latency" in done.stdout


# show ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("machines", {"fusemax_cloud", "flat_cloud"}),
        ("cascades", {"attention_1pass", "attention_3pass"}),
        ("mappings", {"auto", "flat", "fusemax"}),
        ("kernels", {"flash2", "flash3", "flash4"}),
        ("masks", {"causal", "gna", "radial"}),
        ("scenarios", {"fusemax"}),
        ("models", {"BERT", "TrXL", "T5", "XLM"}),
    ],
)
def test_show_lists_and_explains_each(ask, answer, kind, some):
    listed = answer("show", kind)[kind]
    names = {each["name"] for each in listed}
    assert names >= some
    assert all(each["about"] for each in listed)
    text = ask("show", kind)[1]
    assert all(name in text for name in names)
    for name in names:
        assert answer("show", kind, name)["name"] == name
        code, explained, err = ask("show", kind, name)
        assert (code, err) == (0, "")
        assert name in explained


def test_a_machine_shows_each_number_with_unit_source_and_status(answer, ask):
    fields = {each["path"]: each for each in answer("show", "machines", "fusemax_cloud")["fields"]}
    bandwidth = fields["dram.bandwidth"]
    assert (bandwidth["value"], bandwidth["unit"]) == (400 * 2**30, "B/s")
    assert (bandwidth["text"], bandwidth["status"]) == ("400 GiB/s", "published")
    assert "artifact" in bandwidth["source"]
    assert fields["units.2d.ops.exp"]["text"] == "6 mac"
    assert all(each["status"] for each in fields.values())
    assert "400 GiB/s" in ask("show", "machines", "fusemax_cloud")[1]


def test_files_of_the_user_are_shown_too(answer, tmp_path):
    (tmp_path / "mine.yaml").write_text("base: fusemax_cloud\nname: mine\nclock: 2 GHz\n")
    (tmp_path / "mine.cascade").write_text(
        "cascade mine\nranks P queries\ninput X[p]\nY[p] = exp(X[p])\n"
    )
    fields = {each["path"]: each for each in answer("show", "machines", "mine.yaml")["fields"]}
    assert fields["clock"]["value"] == 2e9
    assert fields["clock"]["status"] == "assumption"
    assert answer("show", "cascades", "mine.cascade")["class"] == "1-pass"


# analyze ------------------------------------------------------------------------------------------


def test_analyze_has_the_keys_of_the_contract(answer):
    found = answer("analyze", "attention_3pass", "--shape", "heads=2,queries=4,keys=6,head_dim=8")
    assert found["cascade"] == "attention_3pass"
    assert found["class"] == "3-pass"
    assert found["passes"]["M"] == 3
    assert any("GM" in sentence for sentence in found["why"])
    assert found["ops"]["exp"] == 2 * 4 * 6
    assert found["ops"]["mac"] == 2 * (2 * 4 * 6 * 8)
    # Q and AV are 2*4*8 words each, K and V 2*6*8 each, of two bytes
    assert found["compulsory_bytes"] == 2 * (2 * 2 * 4 * 8 + 2 * 2 * 6 * 8)
    assert found["footprints"]["QK"]["elements"] == 6
    assert found["footprints"]["QK"]["bytes"] == 12


def test_analyze_without_a_shape_has_symbols_and_no_numbers(answer, ask):
    found = answer("analyze", "attention_1pass")
    assert found["class"] == "1-pass"
    assert found["ops"]["mac"] is None
    assert found["compulsory_bytes"] is None
    assert found["footprints"]["BQK"]["fiber"] == "M0"
    assert "For numbers add --shape" in ask("analyze", "attention_1pass")[1]


def test_analyze_takes_a_tile_and_a_word(answer):
    words = ["analyze", "attention_1pass", "--shape", SHAPE, "--tile", "M=128"]
    found = answer(*words, "--word", "8bit")
    assert (found["sizes"]["M1"], found["sizes"]["M0"]) == (4, 128)
    assert found["compulsory_bytes"] == 4 * 2 * 512 * 64


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_analyze_draws(ask, tmp_path, suffix):
    file = tmp_path / "new" / f"graph.{suffix}"
    assert ask("analyze", "attention_3pass", "--draw", file)[0] == 0
    head = file.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in head
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# estimate -----------------------------------------------------------------------------------------


def test_estimate_has_the_keys_of_the_contract(answer):
    found = answer(*ATTENTION)
    assert found["cycles"] == pytest.approx(found["latency_s"] * 940e6)
    assert found["latency_s"] > 0
    assert found["energy_j"] == pytest.approx(sum(found["energy_parts_j"].values()))
    assert found["traffic_bytes"]["dram"] == 2 * (4 * 2 * 512 * 64)
    assert set(found["utilization"]) == {"1d", "2d"}
    assert found["bound"] in found["busy_s"]
    assert {"einsum", "unit", "busy_s", "energy_j"} <= set(found["breakdown"][0])
    assert found["shape"]["keys"] == 512
    assert found["simulated"] is False


def test_estimate_for_people_fits_80_columns_and_says_why(ask):
    code, out, err = ask(*ATTENTION)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    for word in ("latency", "energy", "traffic", "utilization", "bound", "SLNV", "is busy"):
        assert word in out


def test_a_file_is_as_good_as_a_name(answer, tmp_path):
    from einfall.sim.mapping import MAPPINGS

    (tmp_path / "chip.yaml").write_text("base: fusemax_cloud\nname: chip\n")
    (tmp_path / "my.yaml").write_text((MAPPINGS / "fusemax.yaml").read_text())
    found = answer(
        "estimate", "attention_1pass", "--on", "chip.yaml", "--shape", SHAPE, "--mapping", "my.yaml"
    )
    assert found["machine"] == "chip"
    assert found["latency_s"] == answer(*ATTENTION)["latency_s"]


def test_what_is_set_counts(answer):
    slow = answer(*ATTENTION, "--set", "clock=0.5x", "--set", "dram.bandwidth=0.5x")
    assert slow["latency_s"] == pytest.approx(2 * answer(*ATTENTION)["latency_s"])


@pytest.mark.parametrize(
    "words", [["--dtype", "fp8"], ["--word", "8bit"], ["--set", "word=8 bit"]], ids=" ".join
)
def test_the_size_of_an_element_is_set_in_three_ways(answer, words):
    found = answer(*ATTENTION, *words)
    assert found["traffic_bytes"]["dram"] == 4 * 2 * 512 * 64


def test_dtype_says_what_it_does_not_change(ask):
    code, out, err = ask(*ATTENTION, "--dtype", "int8")
    assert code == 0
    assert err.startswith("note: --dtype sets the size")
    assert "note" not in out


def test_accounting_is_named(answer, ask):
    found = answer(*ATTENTION, "--accounting", "artifact")
    assert found["accounting"] == "artifact"
    assert found["latency_s"] < answer(*ATTENTION)["latency_s"]
    assert "artifact accounting" in ask(*ATTENTION, "--accounting", "artifact")[1]


def test_the_dense_mask_is_every_score(answer):
    assert answer(*ATTENTION, "--mask", "dense") == answer(*ATTENTION)


@pytest.mark.parametrize(
    "shape", ["queries=1,keys=1000,heads=6,kv_heads=2,head_dim=77", "queries=1,head_dim=1"]
)
@pytest.mark.parametrize("cascade", ["attention_1pass", "attention_3pass", "attention_2pass"])
def test_odd_shapes_have_answers(answer, ask, cascade, shape):
    words = ["estimate", cascade, "--on", "fusemax_edge", "--shape", shape]
    assert answer(*words)["latency_s"] > 0
    code, out, _ = ask(*words, "--simulate", "--explain")
    assert code == 0
    assert "The closed form says" in out


def test_simulating_writes_a_chrome_trace(answer, tmp_path):
    found = answer(*ATTENTION, "--simulate", "--trace", "out/trace.json")
    assert found["simulated"] is True
    assert found["closed_form_s"] == answer(*ATTENTION)["latency_s"]
    trace = json.loads((tmp_path / "out" / "trace.json").read_text())
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} <= set(spans[0])
    assert max(s["ts"] + s["dur"] for s in spans) <= 1e6 * found["latency_s"] * (1 + 1e-9)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["trace.json"]


def test_a_trace_simulates_by_itself(answer, tmp_path):
    assert answer(*ATTENTION, "--trace", "t.json")["simulated"] is True
    assert (tmp_path / "t.json").is_file()


def test_a_timeline_is_drawn(ask, tmp_path):
    shape = "heads=2,queries=2048,head_dim=64"
    words = ["estimate", "attention_1pass", "--on", "fusemax_cloud", "--shape", shape]
    assert ask(*words, "--timeline", "t.png")[0] == 0
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_a_roofline_is_in_the_record_and_drawn(answer, ask, tmp_path):
    found = answer(*ATTENTION, "--roofline", "r.png")
    assert {row["kind"] for row in found["roofline"]} == {"roof", "point"}
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = ask(*ATTENTION, "--roofline", "r.pdf")
    assert (code, out) == (2, "")
    assert "--roofline: wanted a file that ends in .png" in err


def test_explain_is_in_both_forms(answer, ask):
    found = answer(*ATTENTION, "--explain")["explain"]
    paths = {constant["path"] for constant in found["constants"]}
    assert {"clock", "dram.bandwidth", "units.2d.ops.mac.energy"} <= paths
    assert all(set(term["constants"]) <= paths for term in found["terms"])
    text = ask(*ATTENTION, "--explain")[1]
    assert "cycles / clock" in text
    assert "published" in text


# run and validate ---------------------------------------------------------------------------------

SMALL = """\
base: fusemax
name: small
about: "One model, one length."
models: [BERT]
lengths: [1K]
claims: []
pareto: null
reference: null
timeline: null
"""


def test_run_prints_and_writes_what_was_asked(ask, answer, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    code, out, err = ask("run", "small.yaml", "--accounting", "physical")
    assert (code, err) == (0, "")
    assert "small" in out
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
    found = answer("run", "small.yaml", "--out", "made/here", "--no-figures")
    assert found["scenario"] == "small"
    assert all(Path(file).is_file() for file in found["files"])
    assert {path.suffix for path in (tmp_path / "made" / "here").iterdir()} == {".csv", ".json"}


def test_validate_has_the_keys_of_the_contract(ask):
    code, out, err = ask("validate", "--json")
    found = json.loads(out)
    assert err == ""
    assert code == (0 if found["ok"] else 1)
    assert {"kernel", "predicted", "published", "error"} <= set(found["rows"][0])
    assert set(found["summary"]["attention"]) == {"n", "mape", "p90", "worst"}
    assert found["summary"]["attention"]["worst"] < 0.01


def test_validate_says_no_where_a_number_is_off(ask, monkeypatch):
    from einfall.validate import fusemax

    real = fusemax.compare

    def off():
        found = real()
        return type(found)(found.rows, (found.rows[0].key,))

    monkeypatch.setattr(fusemax, "compare", off)
    code, out, err = ask("validate")
    assert (code, err) == (1, "")
    assert "no answer: attention" in out


# validate with timings of GPU kernels -------------------------------------------------------------

HEADER = "gpu,group,kernel,dtype,batch,heads,kv_heads,seq_q,seq_k,head_dim,causal,params,median_ms"
TIMED = "NVIDIA H100 80GB HBM3,sdpa,sdpa_flash,bf16,4,16,16,4096,4096,128,0,,1.6"


def timings(path, *lines):
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return str(path)


def test_a_timings_file_is_predicted_row_by_row(ask, tmp_path):
    unknown = TIMED.replace("sdpa_flash", "my_kernel")
    file = timings(tmp_path / "mine.csv", TIMED, unknown)
    code, out, err = ask("validate", "--timings", file, "--json")
    assert code == 0, err
    record = json.loads(out)
    known, other = record["rows"]
    assert set(known) >= {*HEADER.split(","), "predicted_ms", "measured_ms", "error", "bound"}
    assert abs(known["error"]) < 0.2
    assert known["seq_q"] == "4096"
    assert other["predicted_ms"] is None
    assert "my_kernel" in other["why"]
    assert set(record["summary"]["sdpa_flash"]) == {"n", "mape", "p90", "worst"}
    code, out, _ = ask("validate", "--timings", file)
    assert code == 0
    assert "my_kernel" in out  # a row without an answer is listed with its reason


def test_a_tolerance_makes_the_answer_a_no(ask, tmp_path):
    far = TIMED.replace(",1.6", ",16")
    file = timings(tmp_path / "mine.csv", far)
    assert ask("validate", "--timings", file, "--tolerance", "0.1")[0] == 1
    assert ask("validate", "--timings", file)[0] == 0


def test_energy_rows_have_millijoules_and_clocks(ask, tmp_path):
    header = HEADER.replace("gpu,group,", "gpu,").replace(
        "median_ms", "ms,avg_w,mj_per_launch,sm_mhz"
    )
    line = TIMED.replace("sdpa,sdpa_flash", "sdpa_flash").replace(",1.6", ",1.66,691,1145,1811")
    path = tmp_path / "energy.csv"
    path.write_text(f"{header}\n{line}\n")
    code, out, err = ask("validate", "--energy", path, "--json")
    assert code == 0, err
    (row,) = json.loads(out)["rows"]
    assert row["predicted_mj"] == pytest.approx(1145, rel=0.2)
    assert row["measured_sm_mhz"] == 1811
    assert row["predicted_sm_mhz"] == pytest.approx(1811, rel=0.2)


def test_validate_writes_rows_and_figures(ask, tmp_path):
    file = timings(tmp_path / "mine.csv", TIMED, TIMED.replace("4096,4096", "8192,8192"))
    assert ask("validate", "--timings", file, "--out", "out")[0] == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"rows.csv", "predicted_measured.png", "error_by_size.png"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timings", "nowhere.csv"], ["nowhere.csv", "wanted a readable CSV"]),
        (["--timings", "a.csv", "--energy", "b.csv"], ["wanted one thing to compare with"]),
        (["fusemax", "--on", "h100_sxm"], ["--on: wanted none with fusemax"]),
        (["h100", "--on", "nowhere"], ["nowhere"]),
        (["--measure"], ["--out: wanted a folder"]),
        (["h100", "--cases", "c.csv"], ["--cases: wanted with --measure"]),
        (["h100", "--tolerance", "x"], ["--tolerance"]),
    ],
)
def test_mistakes_of_validate(ask, words, says):
    code, out, err = ask("validate", *words)
    assert (code, out) == (2, "")
    for text in says:
        assert text in err


def test_measuring_without_a_gpu_says_what_it_wants(ask):
    code, out, err = ask("validate", "--measure", "--out", "out")
    assert (code, out) == (2, "")
    assert "torch" in err or "GPU" in err
