"""`bounds` and `ladder` on the command line: the contract's keys, text, mistakes, figures."""

import csv

import pytest

HUNYUAN = ["--input", "30x48x80", "--window", "18x24x24", "--q-tile", "4x8x8", "--kv-tile", "2x8x8"]
KEYS = {
    "attended_pairs",
    "visited_kv_tiles",
    "dense_no_mask_tiles",
    "max_visited_per_q_tile",
    "flop_speedup",
    "tile_speedup_total",
    "tile_speedup_worst_q_tile",
    "fully_block_sparse",
}
ON = ["--on", "fusemax_cloud", "--shape", "heads=2,queries=2048,head_dim=64"]


def test_bounds_of_the_contract(answer):
    record = answer("bounds", *HUNYUAN, "--stride", "16x8x8")
    assert set(record) >= KEYS
    assert record["fully_block_sparse"] is True
    assert record["tile_speedup_total"] == pytest.approx(100 / 9)
    histogram = record["visited_per_q_tile"]
    assert sum(h["kv_tiles"] * h["q_tiles"] for h in histogram) == record["visited_kv_tiles"]


def test_bounds_as_text_names_the_three_notions(ask):
    code, out, err = ask("bounds", *HUNYUAN, "--share", "60.7%")
    assert (code, err) == (0, "")
    for text in ("11.11x", "5.245x", "3.273x", "NATTENSim", "end to end", "1.729x"):
        assert text in out


def test_tiles_that_are_left_out_are_a_kernels_and_said_so(ask):
    code, out, err = ask("bounds", "--input", "64x64", "--window", "16x16")
    assert code == 0
    assert "16x16 and 16x8" in err
    assert "q_tile 16x16" in out


def test_any_mask_of_a_sequence(answer):
    record = answer(
        *[
            "bounds",
            "--mask",
            "causal",
            "--shape",
            "queries=1024",
            "--q-tile",
            "128",
            "--kv-tile",
            "128",
        ]
    )
    assert record["visited_kv_tiles"] == 36
    assert record["attended_pairs"] == 1024 * 1025 // 2
    assert record["tile_speedup_worst_q_tile"] == 1


def test_masks_by_head_are_counted_together(answer):
    words = "--q-tile 64 --kv-tile 64 --shape queries=512,heads=4"
    one = answer("bounds", "--mask", "causal", *words.split())
    assert one["attended_pairs"] == 512 * 513 // 2


def test_sweep_recommends_only_what_has_full_tiles(answer):
    record = answer("bounds", *HUNYUAN, "--sweep-strides", "--near-sparsity", "0.9")
    assert next(row["stride"] for row in record["rows"]) == "1x1x1"
    assert record["rows"][-1]["fully_block_sparse"]
    assert all(row["fully_block_sparse"] for row in record["recommended"])


def test_cases_as_csv(ask, tmp_path):
    (tmp_path / "cases.csv").write_text(
        "case_id,input,window,q_tile,kv_tile,note\na,9,3,4,2,x\nb,9,30,4,2,x\n"
    )
    code, out, err = ask("bounds", "--cases", "cases.csv")
    assert code == 2  # one row is wrong, the other is answered
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["case_id"] for row in rows] == ["a"]
    assert set(rows[0]) >= KEYS
    assert "cases.csv:3: window: wanted window <= input (9), found 30" in err
    assert "'note' is not known" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--input 30 --window 40 --q-tile 4 --kv-tile 2", ["--window", "window <= input (30)"]),
        ("--input 30 --window 4 --stride 5 --q-tile 4 --kv-tile 2", ["--stride", "<= window (4)"]),
        ("--input 30 --window 4 --q-tile 0 --kv-tile 2", ["--q-tile", "at least 1"]),
        ("--input 30x30 --window 4 --q-tile 4 --kv-tile 2", ["--window: wanted 2 numbers"]),
        ("--input 30 --window 8 --dilation 4 --q-tile 4 --kv-tile 2", ["window·dilation"]),
        ("--input 30 --window x --q-tile 4 --kv-tile 2", ["--window", "found 'x'"]),
        ("", ["--input: wanted", "--window: wanted"]),
        ("--mask causl --shape queries=8", ["causl", "causal"]),
        ("--mask causal", ["--shape: wanted a value"]),
        ("--mask causal --shape queries=8,keys=4", ["4"]),
        ("--mask causal --shape queries=8 --window 4", ["--window: wanted a neighbourhood"]),
        ("--input 9 --window 3 --share 2", ["--share: wanted a part from 0 to 1"]),
        ("--cases nowhere.csv", ["nowhere.csv"]),
    ],
)
def test_bad_input_is_named(ask, words, says):
    code, out, err = ask("bounds", *words.split())
    assert (code, out) == (2, "")
    for text in says:
        assert text in err
    assert "Traceback" not in err


def test_pictures_of_a_mask(ask, tmp_path):
    words = ["--input", "24x24", "--window", "8x8", "--q-tile", "4x4", "--kv-tile", "4x4"]
    assert ask("bounds", *words, "--draw", "mask.png", "--histogram", "work.png")[0] == 0
    assert ask("bounds", *words, "--sweep-strides", "--draw", "heat.png")[0] == 0
    assert {p.name for p in tmp_path.iterdir()} == {"mask.png", "work.png", "heat.png"}


# ladder -------------------------------------------------------------------------------------------


def falls(rungs):
    speedups = [rung["speedup"] for rung in rungs if rung["kind"] != "measured"]
    return speedups == sorted(speedups, reverse=True)


def test_ladder_on_a_machine(answer):
    words = ["--against", "attention_3pass", *ON]
    record = answer("ladder", "attention_1pass", *words)
    names = [rung["name"] for rung in record["rungs"]]
    assert names == ["operation count", "all tiles", "roofline", "resource", "simulated"]
    assert falls(record["rungs"])
    assert all(set(rung) >= {"name", "speedup", "limit"} for rung in record["rungs"])
    last = record["rungs"][-1]["speedup"]
    assert last == pytest.approx(record["baseline_s"] / record["latency_s"])


def test_ladder_of_a_mask_on_a_machine(answer):
    record = answer("ladder", "attention_1pass", *ON, "--mask", "causal", "--share", "0.5")
    assert falls(record["rungs"])
    assert 1 < record["rungs"][-1]["speedup"] < 2
    assert record["rungs"][-1]["end_to_end"] < record["rungs"][-1]["speedup"]


def test_ladder_from_counts_alone(answer):
    words = [
        "--mask",
        "causal",
        "--shape",
        "queries=1024,head_dim=64",
        "--q-tile",
        "128",
        "--kv-tile",
        "128",
    ]
    record = answer("ladder", "attention_1pass", *words)
    assert [rung["name"] for rung in record["rungs"]] == ["operation count", "all tiles"]
    assert record["tile_speedup_worst_q_tile"] == 1
    record = answer("ladder", "attention_1pass", *words, "--processors", "132")
    assert record["rungs"][-1]["name"] == "worst query tile"


def test_ladder_of_a_published_use_case(ask, answer, tmp_path):
    record = answer("ladder", "hunyuan_video", "--draw", "ladder.png")
    assert (tmp_path / "ladder.png").exists()
    assert {(row["gpu"], row["pattern"]) for row in record["rows"]} == {
        (gpu, pattern) for gpu in ("B200", "H100") for pattern in ("NA", "GNA")
    }
    code, out, _ = ask("ladder", "hunyuan_video")
    assert code == 0
    for text in ("11.11", "5.24", "3.27", "3.20", "2.86", "NATTEN"):
        assert text in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ladder attention_1pass", ["--mask: wanted a value", "--shape: wanted a value"]),
        ("ladder nothing --mask causal --shape queries=8,head_dim=4", ["nothing"]),
        ("ladder hunyuan_video --on fusemax_cloud", ["--on", "has its own"]),
        (
            "ladder attention_1pass --against attention_3pass --mask causal "
            "--shape queries=8,head_dim=4",
            ["--on: wanted a machine"],
        ),
        ("ladder attention_1pass --on nowhere --shape queries=8", ["nowhere", "head_dim"]),
    ],
)
def test_mistakes_of_ladder(ask, words, says):
    code, out, err = ask(*words.split())
    assert (code, out) == (2, "")
    for text in says:
        assert text in err
