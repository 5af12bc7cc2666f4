"""`search`: the contract's keys, the file it writes, GPUs, mistakes."""

import pytest

SHAPE = "heads=2,queries=512,head_dim=64"
ASKED = ("search", "attention_3pass", "--on", "fusemax_cloud", "--shape", SHAPE)
GPU = ("search", "attention_1pass", "--on", "h100_sxm", "--shape", "heads=8,queries=1K,head_dim=64")
KEYS = {"objective", "value", "optimal", "gap", "lower_bound", "seconds", "proof", "best", "pareto"}


def test_the_file_gives_the_numbers_of_the_search(answer):
    found = answer(*ASKED, "--objective", "energy", "--out", "best.yaml")
    assert found.keys() >= {*KEYS, "cascade", "machine", "shape", "shipped"}
    assert found["optimal"]
    assert found["gap"] == 0
    assert found["value"] == found["best"]["energy_j"] == found["lower_bound"]
    proof = found["proof"]
    pruned = sum(n for part, n in proof.items() if part.startswith("pruned"))
    assert proof["candidates"] == proof["evaluated"] + pruned
    again = answer("estimate", *ASKED[1:], "--mapping", "best.yaml")
    assert again["latency_s"] == found["best"]["latency_s"]
    assert again["energy_j"] == found["best"]["energy_j"]
    assert {"auto", "flat", "unfused"} == {f["origin"] for f in found["shipped"]}


def test_text_says_optimal_and_prints_the_mapping(ask):
    code, out, err = ask(*ASKED)
    assert (code, err) == (0, "")
    assert "Optimal: no mapping of the space is better" in " ".join(out.split())
    assert "cascades: [attention_3pass]" in out


def test_time_that_is_up_gives_the_gap(ask):
    code, out, _ = ask(*ASKED, "--seconds", "1e-6")
    assert code == 0
    assert "Not proved: time was up" in " ".join(out.split())


def test_a_gpu_ranks_all_schedules_and_tiles(answer, ask):
    found = answer(*GPU)
    assert found.keys() >= KEYS
    times = [c["latency_s"] for c in found["candidates"]]
    assert times == sorted(times)
    assert found["best"]["latency_s"] == times[0] == found["value"]
    for one in [c for c in found["candidates"] if c["tuned_choice"]][:4]:
        again = answer("estimate", *GPU[1:], "--mapping", one["kernel"])
        assert again["latency_s"] == pytest.approx(one["latency_s"])
        assert again["energy_j"] == pytest.approx(one["energy_j"])
    _, out, _ = ask(*GPU, "--limit", "3")
    assert len([line for line in out.splitlines() if " mJ" in line or " µs" in line]) >= 3


MISTAKES = {
    "objective": (("--objective", "latencies"), "did you mean latency?"),
    "seconds": (("--seconds", "0"), "--seconds: wanted a positive number of seconds such as 60"),
    "limit": (("--limit", "1.5"), "--limit: wanted a positive whole number such as 10"),
    "out": (("--out", "best.txt"), "--out: wanted a file that ends in .yaml or .yml"),
    "mask": (("--mask", "causal"), "search: wanted a dense cascade, found mask causal"),
    "option": (("--simulate",), "--simulate: wanted an option of einfall search"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(ask, name):
    words, said = MISTAKES[name]
    code, out, err = ask(*ASKED, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_mistakes_are_told_at_once_and_other_machines_are_refused(ask):
    code, _, err = ask("search", "attention_3pass", "--on", "fusemax_clod", "--seconds", "no")
    assert code == 2
    assert len(err.splitlines()) == 3
    code, _, err = ask(
        "search", "matmul", "--on", "optical_4f_ideal", "--shape", "rows=2,inner=2,cols=2"
    )
    assert (code, "wanted a spatial array or a GPU" in err) == (2, True)
    code, _, err = ask(*GPU, "--out", "x.yaml")
    assert (code, "--out: wanted none on a GPU" in err) == (2, True)


def test_what_does_not_fit_is_refused(ask):
    code, _, err = ask(*ASKED[:1], "matmul", *ASKED[2:4], "--shape", "rows=8,inner=8,cols=8",
                       "--set", "buffer.capacity=2B")  # fmt: skip
    assert code in (1, 2)
    assert "wanted a mapping of matmul that fits" in err
