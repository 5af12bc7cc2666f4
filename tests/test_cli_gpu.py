"""`estimate` and `ladder` on a GPU: the contract's keys, kernels as mappings, masks, mistakes."""

import json

import pytest

SHAPE = "batch=2,heads=16,queries=2048,head_dim=128"
DECODE = "batch=16,heads=32,kv_heads=8,queries=1,keys=8K,head_dim=128"
ASKED = ("estimate", "attention_1pass", "--on", "h100_sxm", "--shape", SHAPE)
LADDER = ("ladder", "attention_1pass", "--on", "h100_sxm", "--shape", SHAPE)

CONTRACT = {
    "latency_s", "cycles", "energy_j", "traffic_bytes", "utilization", "bound", "breakdown",
    "clock_hz", "power_w", "regime", "regimes", "why", "fit", "mapping", "machine", "cascade",
}  # fmt: skip


@pytest.mark.parametrize("machine", ["a100_sxm", "h100_sxm", "h200", "b200", "gb300", "rtx4090"])
@pytest.mark.parametrize("cascade", ["attention_1pass", "attention_3pass", "linear_attention"])
def test_estimate_has_the_keys_of_the_contract(answer, machine, cascade):
    record = answer("estimate", cascade, "--on", machine, "--shape", SHAPE)
    assert record.keys() >= CONTRACT
    assert record["traffic_bytes"].keys() == {"hbm", "l2"}
    assert record["utilization"].keys() >= {"tensor", "mufu", "fma", "shared", "hbm"}
    assert record["cycles"] == pytest.approx(record["latency_s"] * record["clock_hz"])
    assert record["energy_j"] == pytest.approx(record["power_w"] * record["latency_s"])
    for line in record["breakdown"]:
        assert line.keys() >= {"einsum", "unit", "busy_s", "energy_j"}
    assert sum(x["energy_j"] for x in record["breakdown"]) == pytest.approx(record["energy_j"])
    assert record["regimes"].keys() == {"burst", "sustained"}
    assert record["regimes"]["burst"]["latency_s"] == record["latency_s"]
    assert record["regimes"]["sustained"]["latency_s"] >= record["latency_s"] * 0.9999
    assert record["fit"]["status"] in ("fitted", "derived")
    assert (record["fit"]["status"] == "fitted") == (record["fit"]["data"] is not None)


def test_einsums_stand_on_the_pipes_that_work_for_them(answer):
    lines = {(x["einsum"], x["unit"]) for x in answer(*ASKED)["breakdown"]}
    assert lines >= {("BQK", "tensor"), ("SLNV", "tensor"), ("SLN", "mufu"), ("LM", "fma"),
                     ("SLD", "fma"), ("load K", "hbm"), ("store AV", "hbm")}  # fmt: skip
    lines = answer("estimate", "attention_3pass", *ASKED[2:])["breakdown"]
    assert {("QK", "tensor"), ("SN", "mufu"), ("AV", "tensor")} <= {
        (x["einsum"], x["unit"]) for x in lines
    }


def test_mapping_names_a_kernel_schedule(answer):
    assert answer(*ASKED)["mapping"] == "flash3"
    assert answer(*ASKED, "--mapping", "flex")["mapping"] == "flex"
    assert answer(*ASKED[:-1], DECODE)["mapping"] == "flash3_decode"


def test_a_mask_that_attends_everything_is_dense_and_a_causal_one_is_faster(answer):
    dense = answer(*ASKED)
    for mask in ("dense", "sliding:left=4K,right=4K", "causal | ~causal"):
        assert answer(*ASKED, "--mask", mask)["latency_s"] == dense["latency_s"]
    causal = answer(*ASKED, "--mask", "causal")
    assert causal["latency_s"] < dense["latency_s"]
    assert causal["mask"] == "causal"
    assert 2 * causal["attended_pairs"] == dense["attended_pairs"] + 2 * 16 * 2048


def test_a_mask_that_the_kernel_has_not_is_said(ask):
    code, out, err = ask(*ASKED, "--mask", "sink_window:sinks=4,window=512")
    assert code == 0
    assert "attention_1pass with sink_window" in out
    assert "note: flash3 as it is published has no mask" in err
    assert ask(*ASKED, "--mask", "sink_window:sinks=4,window=512", "--mapping", "flex")[2] == ""


def test_set_changes_what_it_should(answer):
    decode = (*ASKED[:-1], DECODE)
    before = answer(*decode)
    assert answer(*decode, "--set", "hbm.bandwidth=2x")["latency_s"] < before["latency_s"]
    assert answer(*ASKED, "--set", "sm.tensor.bf16=2x")["latency_s"] < answer(*ASKED)["latency_s"]
    capped = answer(*ASKED, "--set", "power.cap=300W")["regimes"]["sustained"]
    assert capped["power_w"] <= 301
    assert capped["clock_hz"] < answer(*ASKED)["regimes"]["sustained"]["clock_hz"]


def test_a_fitted_launch_takes_as_much_longer_as_launch_latency_is_set(ask, answer):
    shipped, slow = answer(*ASKED), answer(*ASKED, "--set", "launch.latency=104.8 us")
    assert slow["latency_s"] - shipped["latency_s"] == pytest.approx(100e-6, rel=0.1)
    assert answer(*ASKED, "--set", "launch.latency=1x") == shipped
    text = ask(*ASKED, "--set", "launch.latency=104.8 us", "--explain")[1]
    assert "its fit, moved by" in text


def test_dtype_is_the_type_of_the_tensor_cores(answer):
    eight, sixteen, wide = (answer(*ASKED, "--dtype", t) for t in ("fp8", "bf16", "fp32"))
    assert eight["latency_s"] < sixteen["latency_s"] < wide["latency_s"]
    assert 2 * sixteen["traffic_bytes"]["hbm"] == wide["traffic_bytes"]["hbm"]


def test_a_machine_of_ones_own(answer, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "base: h100_sxm\nname: mine\nsms: 264  # assumption: twice\n"
    )
    mine = answer("estimate", "attention_1pass", "--on", "mine.yaml", "--shape", SHAPE)
    assert mine["machine"] == "mine"
    assert mine["latency_s"] < answer(*ASKED)["latency_s"]


def test_simulate_and_trace(answer, ask, tmp_path):
    plain = answer(*ASKED)
    record = answer(*ASKED, "--trace", "t.json", "--timeline", "t.png")
    assert record["simulated"] is True
    assert record["latency_s"] == plain["latency_s"]
    assert record["step_simulation_s"] > 0
    assert record["closed_form_s"] == pytest.approx(plain["latency_s"], rel=0.1)
    names = {e["name"] for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"]}
    assert names >= {"Q·K", "softmax", "P·V"}
    assert (tmp_path / "t.png").stat().st_size > 1000
    _, out, _ = ask(*ASKED, "--simulate")
    assert "Step by step" in out


@pytest.mark.parametrize(
    ("cascade", "kernel"),
    [
        ("attention_1pass", "flash3"),
        ("attention_1pass", "flash2"),
        ("attention_1pass", "fna_hopper"),
        ("attention_1pass", "flash3_decode"),
        ("attention_2pass_splitk", "triton_split_decode"),
        ("attention_3pass", "sdpa_math"),
        ("attention_3pass", "triton_softmax_3pass"),
        ("linear_attention", "triton_linear"),
    ],
)
def test_explain_gives_every_term_and_the_source_of_its_constants(answer, ask, cascade, kernel):
    words = ("estimate", cascade, *ASKED[2:], "--mapping", kernel, "--explain")
    explained = answer(*words)["explain"]
    terms = {t["term"]: t for t in explained["terms"]}
    record = answer(*words)
    assert terms["latency"]["value"] == pytest.approx(record["latency_s"])
    assert terms["energy"]["value"] == pytest.approx(record["energy_j"])
    assert terms["burst clock"]["value"] == pytest.approx(record["clock_hz"])
    known = {c["path"]: c for c in explained["constants"]}
    for term in explained["terms"]:
        assert term["equation"]
        assert term["numbers"]
        assert set(term["constants"]) <= known.keys()
    assert all(c["source"] for c in known.values())
    code, out, _ = ask(*words)
    assert code == 0
    assert "Constants" in out
    assert f"{kernel}." in out


# The ladder ---------------------------------------------------------------------------------------


def test_ladder_goes_down_to_the_simulated_rung(answer):
    record = answer(*LADDER, "--mask", "causal")
    names = [rung["name"] for rung in record["rungs"]]
    rest = [n for n in names if n not in ("worst query tile", "power cap")]
    assert rest == ["operation count", "all tiles", "roofline", "resource", "simulated"]
    speedups = [rung["speedup"] for rung in record["rungs"]]
    assert speedups == sorted(speedups, reverse=True)
    assert speedups[-1] == pytest.approx(record["baseline_s"] / record["latency_s"])
    assert (record["mapping"], record["base_mapping"]) == ("flash3", "flash3")
    assert record["flop_speedup"] == pytest.approx(2, rel=0.01)


def test_ladder_against_another_cascade_mask_and_kernel(answer, ask):
    other = ("--against", "attention_3pass", "--base-mapping", "sdpa_math", "--mapping", "flash2")
    record = answer(*LADDER, *other)
    assert (record["mapping"], record["base_mapping"]) == ("flash2", "sdpa_math")
    assert record["rungs"][-1]["speedup"] > 5
    same = answer(*LADDER, "--mask", "causal", "--base-mask", "causal")
    assert same["rungs"][-1]["speedup"] == 1
    code, out, _ = ask(*LADDER, "--mask", "causal", "--draw", "l.png")
    assert code == 0
    assert "Most is lost" in out


# Mistakes -----------------------------------------------------------------------------------------

MISTAKES = {
    "all at once": (
        (*ASKED, "--word", "8bit", "--accounting", "artifact", "--dtype", "int8", "--mapping",
         "flsh3", "--mask", "causl", "--set", "hbm.bandwith=2x"),
        6,
        ["--dtype: wanted", "--word: wanted none on a GPU", "--accounting: wanted none on a GPU",
         "did you mean flash3?", "did you mean causal?", "did you mean 'bandwidth'?"],
    ),
    "a type of later machines": (
        ("estimate", "attention_1pass", "--on", "a100_sxm", "--shape", SHAPE, "--dtype", "fp8"),
        1,
        ["--dtype: wanted one that a100_sxm takes", "found 'fp8'"],
    ),
    "a mapping of arrays": ((*ASKED, "--mapping", "fusemax"), 1, ["kernel schedule", "'fusemax'"]),
    "a kernel of later machines": ((*ASKED, "--mapping", "flash4"), 1, ["hopper", "blackwell"]),
    "a cascade without a schedule": (
        ("estimate", "mlp", "--on", "h100_sxm", "--shape", "queries=64,heads=2,head_dim=64"),
        1,
        ["cascade mlp", "there are schedules of attention_1pass"],
    ),
    "a width too large": (
        (*ASKED[:-1], "queries=64,heads=2,head_dim=1024"), 1, ["wanted head_dim of at most 256"],
    ),
    "no pairs to mask": (
        ("estimate", "linear_attention", *ASKED[2:], "--mask", "causal"), 1, ["linear_attention"],
    ),
    "a trace without steps": (
        ("estimate", "attention_3pass", *ASKED[2:], "--trace", "t.json", "--timeline", "t.png"),
        2,
        ["--trace: wanted a kernel of key-tile steps", "--timeline: wanted"],
    ),
    "no shape": (ASKED[:-2], 1, ["--shape: wanted a value"]),
    "an unknown key": ((*ASKED[:-1], SHAPE + ",hedas=2"), 1, ["did you mean heads?"]),
    "a ladder of unknown kernels": (
        (*LADDER, "--mapping", "flsh3", "--base-mapping", "flsh2"), 2, ["flash3?", "flash2?"],
    ),
    "a ladder with tiles": ((*LADDER, "--q-tile", "64"), 1, ["--q-tile: wanted none with --on"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(ask, tmp_path, name):
    words, lines, said = MISTAKES[name]
    code, out, err = ask(*words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == lines, err
    assert all(word in err for word in said), err
    assert not list(tmp_path.iterdir())
