"""`whatif`: a line for each cascade on machines of every kind, tornado, figure, mistakes."""

import json
from pathlib import Path

import pytest
from trace_format import check_trace

import einfall.sim.search as engine

ARRAY = ("--on", "fusemax_cloud", "--shape", "heads=1,queries=256,head_dim=64")
GPU = ("--on", "h100_sxm", "--shape", "batch=2,heads=16,queries=2048,head_dim=128")
OPTICS = ("--on", "optical_4f_dmd", "--shape",
          "batch=16,channels=3,filters=8,height=32,kernel_height=3")  # fmt: skip
CASES = {
    "array": ("attention_1pass", ARRAY, "clock=2x"),
    "gpu": ("attention_1pass", GPU, "sm.tensor.bf16=2x"),
    "optics": ("conv2d", OPTICS, "host.camera_link=2x"),
}
OUTCOME = {"latency_s", "energy_j", "bound", "bound_share", "next", "next_share", "busy_s"}


ANSWERS = {}


@pytest.fixture
def changed(answer):
    """What `whatif --explain` answers of a case, asked once."""

    def run(case):
        if case not in ANSWERS:
            cascade, on, change = CASES[case]
            ANSWERS[case] = answer("whatif", cascade, *on, "--set", change, "--explain")
        return ANSWERS[case]

    return run


@pytest.mark.parametrize("case", CASES)
def test_before_and_after_are_two_estimates(answer, changed, case):
    cascade, on, change = CASES[case]
    found = changed(case)
    (row,) = found["rows"]
    before = answer("estimate", cascade, *on)
    after = answer("estimate", cascade, *on, "--set", change)
    for now, there in ((row["before"], before), (row["after"], after)):
        assert now.keys() == OUTCOME
        for key in ("latency_s", "energy_j", "bound", "busy_s"):
            assert now[key] == there[key]
    assert row["mapping"] == before["mapping"]
    assert row["mapping_after"] == after["mapping"]
    assert row["speedup"] == before["latency_s"] / after["latency_s"] > 1
    assert row["energy_ratio"] == after["energy_j"] / before["energy_j"]
    assert found["overrides"] == dict([change.split("=")])
    assert {"path", "value", "direction", "speeds", "gain", "energy_gain"} <= row["prices"][
        0
    ].keys()
    assert {shadow["resource"] for shadow in row["shadow_prices"]} == {
        name for name, time in after["busy_s"].items() if time
    }
    assert row["freed"]["resource"] == after["bound"]
    gains = [price["gain"] for price in row["prices"]]
    assert gains == sorted(gains, reverse=True)


def test_simulated_times_are_those_of_a_simulated_estimate(answer):
    words = ("attention_1pass", *ARRAY, "--set", "dram.bandwidth=0.5x", "--simulate")
    found = answer("whatif", *words)
    assert found["simulated"]
    latency = answer("estimate", *words)["latency_s"]
    assert found["rows"][0]["after"]["latency_s"] == latency
    assert any("closed form" in note for note in found["notes"])


def test_several_cascades_have_a_line_each(ask):
    code, out, err = ask("whatif", "attention_1pass", "attention_3pass", *GPU,
                         "--set", "sm.mufu_per_clock=2x", "--mask", "causal")  # fmt: skip
    assert code == 0
    assert out.startswith("h100_sxm with sm.mufu_per_clock = 2x, mask causal\n  batch 2")
    lines = [line.split()[0] for line in out.splitlines() if line.startswith("  attention")]
    assert lines == ["attention_1pass", "attention_3pass"]
    assert "attention_3pass: what a little more of each rate is worth" in out
    assert "a benchmark's burst" in err


def test_a_tornado_is_listed_and_drawn(ask, answer, tmp_path):
    words = ("whatif", "attention_1pass", *GPU, "--tornado", "20%")
    code, out, _ = ask(*words, "--draw", "tornado.png")
    assert code == 0
    assert "each number of the machine down (-) and up (+) by 20 %" in out
    assert "refused    sm.mma_m = 51: want 16, 64 or 128" in " ".join(out.split("\n"))
    assert "not moved  l2.partitions: no other whole number" in out
    assert (tmp_path / "tornado.png").stat().st_size > 20_000
    found = answer(*words)
    row = found["rows"][0]
    assert row["before"] == row["after"] == row["tornado"]["base"]
    assert row["tornado"]["share"] == found["tornado"] == 0.2
    assert "hbm.achievable" in {refused["path"] for refused in row["tornado"]["refused"]}
    effects = {effect["path"]: effect for effect in row["tornado"]["effects"]}
    tensor = effects["sm.tensor.bf16"]
    less = answer("estimate", *words[1:-2], "--set", "sm.tensor.bf16=0.8x")
    assert tensor["low"]["latency_s"] == pytest.approx(less["latency_s"])
    assert tensor["low"]["energy_j"] == pytest.approx(less["energy_j"])


def test_a_dtype_is_there_before_and_a_word_may_be_set_after(answer):
    found = answer("whatif", "attention_1pass", *ARRAY, "--dtype", "fp8", "--set", "word=2x")
    row = found["rows"][0]
    word = answer("estimate", "attention_1pass", *ARRAY)
    assert row["before"]["energy_j"] < row["after"]["energy_j"] == word["energy_j"]


def test_a_kernel_that_is_not_named_is_chosen_anew(ask):
    code, out, _ = ask("whatif", "attention_1pass", *GPU, "--set", "generation=ampere")
    assert code == 0
    assert "attention_1pass goes from flash3 to flash2." in out


def test_the_best_mapping_is_searched_once_before_and_once_after(answer, monkeypatch):
    Path("product.cascade").write_text(
        "cascade product\nranks P queries, M keys, E head_dim\ninput A[p,e], B[m,e]\n"
        "C[p,m] = A[p,e] * B[m,e]\n"
    )
    search, asked = engine.search, []

    def counted(cascade, sizes, machine):
        asked.append(machine)
        return search(cascade, sizes, machine)

    monkeypatch.setattr(engine, "search", counted)
    on = ("product.cascade", "--on", "fusemax_edge", "--mapping", "best")
    on += ("--shape", "queries=64,keys=64,head_dim=16")
    found = answer("whatif", *on, "--set", "dram.bandwidth=0.5x", "--tornado", "20%")
    assert [machine.dram.bandwidth_bytes_per_s / 2**30 for machine in asked] == [50, 25]
    (row,) = found["rows"]
    assert row["after"] == row["tornado"]["base"]
    assert row["prices"][0]["path"] == "dram.bandwidth"
    assert any("found is held" in note for note in found["notes"])


def test_what_does_not_fit_is_a_no_beside_what_does(ask):
    code, out, _ = ask("whatif", "attention_1pass", "attention_2pass", *ARRAY,
                       "--set", "buffer.capacity=150 KiB")  # fmt: skip
    assert code == 1
    assert "attention_1pass does not fit then: mapping fusemax" in out
    assert "attention_2pass does not fit" not in out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), "--set: wanted a change, found none"),
        (("--set", "dram.bw=2x"), "--set dram.bw: want one of access, access_energy, bandwidth"),
        (("--set", "clock"), "--set: want path=value"),
        (("--set", "clock=2x", "--tornado", "2"), "--tornado: wanted a part from 0 to 1"),
        (("--tornado", "0%"), "--tornado: wanted a part between 0 and 1, found '0%'"),
        (("--set", "clock=2x", "--draw", "x.png"), "--draw: wanted --tornado"),
        (("--tornado", "20%", "--draw", "x.pdf"), "--draw: wanted a file that ends in .png"),
    ],
)
def test_mistakes_are_told_with_a_way_out(ask, words, wanted):
    code, out, err = ask("whatif", "attention_1pass", *ARRAY, *words)
    assert (code, out) == (2, "")
    assert wanted in err


def test_all_mistakes_are_told_at_once(ask):
    code, _, err = ask("whatif", "attention_1pas", "attention_3pass", "--on", "fusemax_cloud",
                       "--shape", "hads=4", "--set", "dram.bw=2x", "--tornado", "120%")  # fmt: skip
    assert code == 2
    for wanted in ("did you mean attention_1pass?", "did you mean heads?", "--set dram.bw",
                   "--tornado"):  # fmt: skip
        assert wanted in err
    assert len(err.splitlines()) == len(set(err.splitlines()))
    code, _, err = ask("whatif", "attention_1pass")
    assert code == 2
    assert "--on: wanted a value" in err
    assert "--shape: wanted a value" in err


def test_a_wrong_mask_hides_no_mistake_in_the_shape(ask):
    for words in (("whatif", "--set", "clock=2x"), ("estimate",)):
        code, _, err = ask(*words, "attention_1pass", "--on", "fusemax_cloud",
                           "--mask", "casual", "--shape", "hads=4")  # fmt: skip
        assert code == 2
        assert "mask: family" in err
        assert "did you mean heads?" in err


@pytest.mark.parametrize("case", CASES)
def test_a_trace_has_the_timelines_before_and_after(answer, tmp_path, case):
    cascade, on, change = CASES[case]
    answer("whatif", cascade, *on, "--set", change, "--trace", "t.json")
    trace = json.loads((tmp_path / "t.json").read_text())
    check_trace(trace)
    before, after = trace["otherData"]["timelines"]
    assert before["title"].startswith(f"before: {cascade} on ")
    assert after["title"].startswith(f"after: {cascade} on ")
    assert before["latency_s"] > after["latency_s"]
    for pid, timeline in enumerate((before, after), start=1):
        ends = [e["ts"] + e["dur"] for e in trace["traceEvents"] if e["pid"] == pid and "dur" in e]
        assert len(ends) == timeline["spans"]
        assert max(ends) <= 1e6 * timeline["latency_s"] * (1 + 1e-9)


def test_a_trace_of_several_cascades_has_a_group_each_and_simulates(answer, tmp_path):
    words = ("whatif", "attention_1pass", "attention_3pass", *ARRAY)
    found = answer(*words, "--set", "dram.bandwidth=0.25x", "--trace", "t.json")
    assert found["simulated"]
    trace = json.loads((tmp_path / "t.json").read_text())
    check_trace(trace)
    names = [t["title"].partition(" on ")[0] for t in trace["otherData"]["timelines"]]
    assert names == [f"{when}: {cascade}" for cascade in ("attention_1pass", "attention_3pass")
                     for when in ("before", "after")]  # fmt: skip


def test_without_a_change_a_trace_has_one_timeline(answer, tmp_path):
    answer("whatif", "attention_1pass", *GPU, "--tornado", "20%", "--trace", "t.json")
    (timeline,) = json.loads((tmp_path / "t.json").read_text())["otherData"]["timelines"]
    assert timeline["title"] == "attention_1pass on h100_sxm, flash3"


def test_what_has_no_steps_has_no_trace(ask, tmp_path):
    code, out, err = ask("whatif", "attention_1pass", "attention_3pass", *GPU,
                         "--set", "sm.mufu_per_clock=2x", "--trace", "t.json")  # fmt: skip
    assert (code, out) == (2, "")
    assert "--trace: wanted a kernel of key-tile steps, found triton_softmax_3pass" in err
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize("case", CASES)
def test_every_term_is_explained_before_and_after(answer, changed, case):
    cascade, on, change = CASES[case]
    found = changed(case)["explain"]
    for side, more in (("before", ()), ("after", ("--set", change))):
        terms = answer("estimate", cascade, *on, *more, "--explain")["explain"]["terms"]
        assert found[side]["terms"] == [{"cascade": cascade, **term} for term in terms]
    assert found["changed"]
    assert len(found["changed"]) < len(found["before"]["terms"])
    path = change.partition("=")[0]
    if any(path == constant["path"] for constant in found["before"]["constants"]):
        texts = [next(c["text"] for c in found[side]["constants"] if c["path"] == path)
                 for side in ("before", "after")]  # fmt: skip
        assert texts[0] != texts[1]


def test_explanations_are_printed_for_each_cascade(ask):
    code, out, _ = ask("whatif", "attention_1pass", "attention_3pass", *GPU,
                       "--set", "sm.mufu_per_clock=2x", "--explain")  # fmt: skip
    assert code == 0
    assert "attention_1pass: every term before and after (* changed" in out
    assert "attention_3pass: every term" in out
    assert "* exponential cycles = exp in hardware / exp a clock" in out
    assert "* sm.mufu_per_clock" in out
    assert "  tensor cycles = " in out
