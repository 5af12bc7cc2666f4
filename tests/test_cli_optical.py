"""The command line on 4f optical systems: the same verbs, the same keys, the same mistakes."""

import json
from itertools import pairwise

import pytest

from einfall.cli import main
from einfall.hw_models import names

MLP = ["mlp", "--shape", "tokens=197,model_dim=768,ffn_dim=3072"]
CONV = ["conv2d", "--shape", "batch=3136,channels=3,filters=64,height=32,kernel_height=7"]
BLOCK = ["convsharevit_block", "--shape", "heads=4,tokens=145,map_height=8,ffn_dim=128,batch=2"]
GPU_KEYS = ("latency_s", "cycles", "energy_j", "traffic_bytes", "utilization", "bound", "breakdown")


def answer(capsys, *args: str) -> dict:
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("machine", names("optical_4f"))
@pytest.mark.parametrize("asked", [MLP, CONV, BLOCK], ids=lambda x: x[0])
def test_estimate_answers_as_on_other_machines(capsys, machine, asked):
    found = answer(capsys, "estimate", *asked, "--on", machine)
    assert all(key in found for key in GPU_KEYS)
    parts = sum(found["energy_parts_j"].values())
    assert found["energy_j"] == pytest.approx(parts)
    assert found["latency_s"] == pytest.approx(sum(found["phases_s"].values()))
    lines = sum(line["energy_j"] for line in found["breakdown"])
    assert lines == pytest.approx(parts - found["energy_parts_j"]["static"])
    assert all(0 <= part <= 1 + 1e-9 for part in found["utilization"].values())
    assert found["frames"] == sum(layer["frames"] for layer in found["layers"])


def test_the_published_accounting_gives_the_published_time_of_the_first_layer(capsys):
    """192 convolutions of 2.0 µs for 3,136 images: ResNet-18's first layer in FatNet's tables."""
    asked = [*CONV, "--on", "optical_4f_ideal", "--accounting", "artifact"]
    found = answer(capsys, "estimate", *asked)
    assert found["latency_s"] == pytest.approx(192 * 2e-6)
    assert found["frames"] == 192


def test_the_search_is_no_slower_than_any_tiling(capsys):
    times = {
        name: answer(capsys, "estimate", *CONV, "--on", "optical_4f_slm", "--mapping", name)
        for name in ("best", "none", "batch", "kernel", "mix", "channel")
    }
    assert times["best"]["latency_s"] == min(each["latency_s"] for each in times.values())


def test_products_of_data_go_to_the_optics_if_asked(capsys):
    on = ["--on", "optical_4f_ideal"]
    alone = answer(capsys, "estimate", *BLOCK, *on)
    both = answer(capsys, "estimate", *BLOCK, *on, "--mapping", "best:data=optics")
    names_of = [{layer["einsum"] for layer in found["layers"]} for found in (alone, both)]
    assert names_of[1] - names_of[0] == {"QK", "AV"}
    assert any("mask FFT" in line["einsum"] for line in both["breakdown"])


@pytest.mark.parametrize("machine", names("optical_4f"))
def test_no_rung_is_above_the_one_before(capsys, machine):
    found = answer(capsys, "ladder", *MLP, "--on", machine)
    speedups = [rung["speedup"] for rung in found["rungs"]]
    assert found["rungs"][0]["name"] == "operation count"
    assert all(a >= b * (1 - 1e-12) for a, b in pairwise(speedups))
    assert speedups[-1] == pytest.approx(1.0)


def test_every_term_is_explained_with_its_constants(capsys):
    found = answer(capsys, "estimate", *CONV, "--on", "optical_4f_dmd", "--explain")
    terms, constants = found["explain"]["terms"], found["explain"]["constants"]
    known = {constant["path"] for constant in constants}
    assert {path for term in terms for path in term["constants"]} == known
    assert {"wavelength", "mask.rate", "camera.pixel_rate", "laser.power"} <= known
    total = next(t for t in terms if (t["of"], t["term"]) == ("whole", "latency"))
    assert total["value"] == pytest.approx(found["latency_s"])


def test_a_simulation_is_drawn_and_agrees(capsys, tmp_path):
    trace, picture = tmp_path / "frames.json", tmp_path / "frames.png"
    files = ["--trace", str(trace), "--timeline", str(picture)]
    found = answer(capsys, "estimate", *CONV, "--on", "optical_4f_ideal", *files)
    assert found["simulated"]
    assert found["latency_s"] == pytest.approx(found["closed_form_s"], rel=1e-3)
    assert json.loads(trace.read_text())["traceEvents"]
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--mapping", "bach"], "did you mean batch?"),
        (["--mapping", "mix:pitch=half"], "wanted pitch=clean or full, found 'half'"),
        (["--set", "lenses.diameter=5 mm"], "--set lenses.diameter: want 16.16 mm"),
        (["--set", "host.machine=optical_4f_dmd"], "want a machine of another kind"),
        (["--accounting", "paper"], "--accounting: wanted"),
    ],
)
def test_mistakes_are_told_with_a_way_out(capsys, args, wanted):
    assert main(["estimate", *MLP, "--on", "optical_4f_ideal", *args]) == 2
    assert wanted in capsys.readouterr().err


def test_what_has_nothing_for_optics_is_refused(capsys):
    asked = ["attention_1pass", "--shape", "heads=1,queries=64,head_dim=64"]
    assert main(["estimate", *asked, "--on", "optical_4f_ideal"]) == 2
    assert "data=optics sends them there" in capsys.readouterr().err


def test_a_map_larger_than_the_plane_is_refused(capsys):
    asked = ["conv2d", "--shape", "batch=1,channels=1,filters=1,height=4000,kernel_height=3"]
    assert main(["estimate", *asked, "--on", "optical_4f_ideal"]) == 2
    assert "wanted a map and a kernel that fit its plane of 2160" in capsys.readouterr().err


def test_tilings_are_shown(capsys):
    assert main(["show", "tilings"]) == 0
    assert "channel" in capsys.readouterr().out
    assert main(["show", "tilings", "mix"]) == 0
    assert "pitch=clean|full" in capsys.readouterr().out
