"""Bad input: a clear message for each mistake, all at once, exit code 2, nothing written."""

import json
from pathlib import Path

import pytest

from einfall.cli import main
from einfall.sim.mapping import MAPPINGS

GOOD = "estimate attention_1pass --on fusemax_cloud --shape queries=512,head_dim=64"
ON = "--on fusemax_cloud --shape queries=512,head_dim=64"
FUSEMAX = (MAPPINGS / "fusemax.yaml").read_text()
CONV = "channels=3,filters=4,height=8,kernel_height=3"
HEAD = "cascade c\nranks P queries, M keys\n"

# name -> (files, command, how many lines, what they say)
MISTAKES = {
    # words of the command
    "no verb": ({}, "", 1, ["wanted VERB", "einfall --help"]),
    "unknown verb": ({}, "estimat", 1, ["wanted a verb", "'estimat'", "did you mean estimate?"]),
    "a verb of later": ({}, "claims", 1, ["wanted a verb", "'claims'", "the verbs are show"]),
    "no cascade": ({}, "estimate", 1, ["einfall estimate", "wanted CASCADE", "found none"]),
    "unknown option": ({}, GOOD + " --simulat", 1, ["--simulat", "did you mean --simulate?"]),
    "option of no verb": ({}, GOOD + " --zzz=3", 1, ["--zzz", "estimate --help"]),
    "option before the verb": ({}, "--json show machines", 1, ["--json", "after the verb"]),
    "no value": ({}, GOOD + " --mapping", 1, ["--mapping: wanted a value, found none"]),
    "a value too many": ({}, GOOD + " --json=1", 1, ["--json: wanted no value", "'1'"]),
    "a word too many": ({}, GOOD + " more", 1, ["wanted nothing more, found 'more'"]),
    "an option twice": ({}, GOOD + " --on flat_cloud", 1, ["--on: wanted once", "'flat_cloud'"]),
    "unknown kind": ({}, "show machine", 1, ["KIND", "'machine'", "did you mean machines?"]),
    "unknown kernel": ({}, "show kernels flash22", 1, ["kernel", "'flash22'", "flash2"]),
    "unknown model": ({}, "show models BRT", 1, ["models", "'BRT'", "BERT"]),
    "unknown comparison": ({}, "validate flash", 1, ["AGAINST", "fusemax", "'flash'"]),
    # what is left out, and what does not exist
    "no machine, no shape": (
        {},
        "estimate attention_1pass",
        2,
        ["--shape: wanted a value, found none", "--on: wanted a value, found none; add --on"],
    ),
    "unknown cascade": (
        {},
        f"estimate attention_1pas {ON}",
        1,
        ["attention_1pas: wanted a cascade", "did you mean attention_1pass?"],
    ),
    "missing cascade file": ({}, f"estimate no.cascade {ON}", 1, ["no.cascade", "No such file"]),
    "a folder for a cascade": ({}, f"analyze ./ {ON[19:]}", 1, ["directory"]),
    "unknown machine": ({}, GOOD.replace("fusemax_", "fusmax_"), 1, ["'fusmax_cloud'", "fusemax_"]),
    "unknown mapping": ({}, GOOD + " --mapping fusmax", 1, ["mapping", "did you mean fusemax?"]),
    "missing mapping file": ({}, GOOD + " --mapping no.yaml", 1, ["no.yaml"]),
    "unknown scenario": ({}, "run fusmax", 1, ["scenario", "'fusmax'", "fusemax"]),
    # cascades that a machine does not take
    "windows on a spatial array": (
        {},
        f"estimate conv2d --on fusemax_cloud --shape {CONV}",
        1,
        [
            "cascade conv2d: wanted tensors read at plain coordinates",
            "found a window: OUT reads MAP",
        ],
    ),
    "windows on a GPU": (
        {},
        f"estimate conv2d --on h100_sxm --shape {CONV}",
        1,
        ["cascade conv2d: wanted one that a kernel schedule on h100_sxm computes, found none"],
    ),
    "windows under a mask": (
        {},
        f"analyze conv2d --shape {CONV} --mask causal",
        1,
        ["conv2d: wanted one rank `queries` and one rank `keys` for a mask"],
    ),
    # shapes
    "shape without size": ({}, GOOD.replace("=512", ""), 1, ["shape", "key=size", "'queries'"]),
    "shape of zero": ({}, GOOD.replace("=512", "=0"), 1, ["queries", "positive", "'0'"]),
    "shape of halves": ({}, GOOD.replace("=512", "=1.5"), 1, ["queries", "positive", "'1.5'"]),
    "unknown key": ({}, GOOD + ",hedas=2", 1, ["hedas", "did you mean heads?"]),
    "missing key": ({}, GOOD.replace("queries=512,", ""), 2, ["queries", "keys", "add queries="]),
    "uneven groups": ({}, GOOD + ",heads=6,kv_heads=4", 1, ["kv_heads", "divisor", "found 4"]),
    "empty shape": ({}, "analyze matmul --shape=", 1, ["shape", "key=size"]),
    "tile of no split": (
        {},
        "analyze attention_1pass --shape queries=8,head_dim=2 --tile P=2",
        1,
        ["tile of P", "splits M"],
    ),
    "tile without size": (
        {},
        "analyze attention_1pass --shape queries=8,head_dim=2 --tile 2",
        1,
        ["--tile", "M=256", "'2'"],
    ),
    "tile without shape": ({}, "analyze attention_1pass --tile M=2", 1, ["--tile", "add --shape"]),
    # flags
    "mask": ({}, GOOD + " --mask causl", 1, ["mask", "causl", "did you mean causal?"]),
    "mask of no pairs": (
        {},
        "estimate matmul --on fusemax_cloud --shape rows=8,inner=8,cols=4 --mask causal",
        1,
        ["matmul", "`queries`", "for a mask"],
    ),
    "an empty row": (
        {},
        "estimate attention_1pass --on fusemax_cloud --shape queries=8,keys=4,head_dim=4 "
        "--mask causal",
        1,
        ["mask", "4"],
    ),
    "dtype": ({}, GOOD + " --dtype fp4", 1, ["--dtype", "fp16", "'fp4'"]),
    "dtype and word": ({}, GOOD + " --dtype fp8 --word 8bit", 1, ["--dtype and --word"]),
    "word in metres": ({}, GOOD + " --word 2m", 1, ["--word", "quantity in B", "'2m'"]),
    "word of nothing": ({}, "analyze matmul --word 0bit", 1, ["--word", "more than 0"]),
    "accounting": ({}, GOOD + " --accounting artefact", 1, ["--accounting", "mean artifact?"]),
    "run accounting": ({}, "run fusemax --accounting both", 1, ["--accounting", "'both'"]),
    # --set
    "set without value": ({}, GOOD + " --set clock", 1, ["--set", "path=value", "'clock'"]),
    "set unknown path": ({}, GOOD + " --set dram.bandwith=2x", 1, ["dram.bandwith", "bandwidth"]),
    "set unknown unit": ({}, GOOD + " --set clock=2GB", 1, ["--set clock", "quantity in Hz"]),
    "set too deep": ({}, GOOD + " --set clock.rate=2GHz", 1, ["--set clock.rate", "clock is"]),
    "set below nothing": ({}, GOOD + " --set clock=-200%", 1, ["--set clock", "greater than 0"]),
    "set twice": ({}, GOOD + " --set clock=2x --set clock=3x", 1, ["clock", "'2x' and '3x'"]),
    # cascade files
    "cascade: text": ({"c.cascade": "hello"}, "analyze c.cascade", 1, ["c.cascade:1:", "hello"]),
    "cascade: empty": ({"c.cascade": ""}, "analyze c.cascade", 2, ["c.cascade:1:1", "wanted"]),
    "cascade: undefined": (
        {"c.cascade": HEAD + "input X[p,m]\nY[p,m] = X[p,m] - Z[p]\n"},
        "analyze c.cascade",
        1,
        ["c.cascade:4:19", "Z"],
    ),
    "cascade: no reduction": (
        {"c.cascade": HEAD + "input X[p,m]\nY[p] = exp(X[p,m])\n"},
        "analyze c.cascade",
        1,
        ["c.cascade:4:", "reduction", "sum_m"],
    ),
    "cascade: unknown op": (
        {"c.cascade": HEAD + "input X[p,m]\nY[p,m] = expp(X[p,m])\n"},
        "analyze c.cascade",
        1,
        ["c.cascade:4:", "expp", "did you mean exp?"],
    ),
    "cascade: bytes": ({"c.cascade": b"\xff\xfe\x00"}, "analyze c.cascade", 1, ["UTF-8"]),
    # machine files
    "machine: no YAML": (
        {"m.yaml": "a: [1\n"},
        GOOD.replace("fusemax_cloud", "m.yaml"),
        1,
        ["m.yaml:", "YAML"],
    ),
    "machine: a list": (
        {"m.yaml": "- 1\n"},
        GOOD.replace("fusemax_cloud", "m.yaml"),
        1,
        ["m.yaml:1", "fields"],
    ),
    "machine: two mistakes": (
        {"m.yaml": "base: fusemax_cloud\nclok: 2 GHz\nbuffer:\n  capacity: 24\n"},
        GOOD.replace("fusemax_cloud", "m.yaml"),
        2,
        ["m.yaml:2: clok", "clock", "m.yaml:4: buffer.capacity", "quantity in B"],
    ),
    "machine: unknown base": (
        {"m.yaml": "base: fusemax\n"},
        "show machines m.yaml",
        1,
        ["m.yaml:1", "fusemax"],
    ),
    # mapping files
    "mapping: unknown field": (
        {"m.yaml": FUSEMAX + "tiles: 3\n"},
        GOOD + " --mapping m.yaml",
        1,
        ["m.yaml:", "tiles"],
    ),
    "mapping: bad tile": (
        {"m.yaml": FUSEMAX.replace("m1: M by 2d.rows", "m1: M by 2d.depth")},
        GOOD + " --mapping m.yaml",
        1,
        ["loop m1", "2d.rows", "'2d.depth'"],
    ),
    "mapping: unknown names": (
        {"m.yaml": FUSEMAX.replace("RNV: p2", "RNW: p3").replace("unit: 1d", "unit: 3d")},
        GOOD + " --mapping m.yaml",
        3,
        ["'RNW'", "'p3'", "'3d'"],
    ),
    "mapping: two passes": (
        {
            "m.yaml": FUSEMAX.split("bind:")[0].replace("1pass", "3pass")
            + "bind:\n  - {unit: 1d, cols: [P], einsums: [rest]}\n"
            + "groups:\n  - {name: all, loops: {m1: M by 256}}\n"
        },
        GOOD.replace("attention_1pass", "attention_3pass") + " --mapping m.yaml",
        1,
        ["loop m1", "needs all of m", "groups of their own"],
    ),
    # files to write
    "trace: suffix": ({}, GOOD + " --trace t.txt", 1, ["--trace", ".json", "'t.txt'"]),
    "trace: empty": ({}, GOOD + " --trace=", 1, ["--trace: wanted the path of a file"]),
    "out: empty": ({}, "run fusemax --out=", 1, ["--out: wanted the path of a folder"]),
    "trace: under a file": ({"f": ""}, GOOD + " --trace f/t.json", 1, ["--trace", "folder"]),
    "timeline: suffix": ({}, GOOD + " --timeline t.gif", 1, ["--timeline", ".png or .svg"]),
    "draw: suffix": ({}, "analyze matmul --draw g", 1, ["--draw", ".png or .svg", "'g'"]),
    "out: a file": ({"f": ""}, "run fusemax --out f", 1, ["--out", "folder"]),
    # everything at once
    "all at once": (
        {"f": ""},
        "estimate nope --on nope --shape queries=0 --set clock --mask causl --dtype fp4 "
        "--trace f/t.json --mapping nope --accounting nope --nope",
        10,
        ["nope", "queries", "--set", "mask: ", "--dtype", "--trace", "mapping", "--accounting"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_message(name, capsys, monkeypatch, tmp_path):
    files, command, lines, said = MISTAKES[name]
    monkeypatch.chdir(tmp_path)
    for file, text in files.items():
        Path(file).write_bytes(text if isinstance(text, bytes) else text.encode())
    code = main(command.split())
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert all(words in err for words in said), err
    assert len(err.splitlines()) == lines, err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_what_does_not_fit_is_a_no(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = [*GOOD.split(), "--set", "buffer.capacity=1KiB", "--trace", "t.json"]
    assert main(small) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "buffer.capacity of fusemax_cloud is 1,024 B" in err
    assert len(err.splitlines()) == 1
    assert main([*small, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False
    assert "1,024 B" in found["why"]
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_bad_input(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def full(self, *args, **keywords):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    assert main([*GOOD.split(), "--trace", "t.json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "No space left on device" in err
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_quietly(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("einfall.report.catalogue.show", interrupted)
    assert main(["show", "machines"]) == 130
    assert capsys.readouterr() == ("", "")
