"""The notebooks of examples/: their cells run, and say what the file says they do."""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
LARGEST_BYTES = 300_000


def cells(path):
    return [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]


def run(source, names):
    """What a cell prints, and the text of its last expression, as a kernel does it."""
    tree, printed, shown = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return printed.getvalue(), None if shown is None else repr(shown)


def saved(cell):
    printed = "".join("".join(o["text"]) for o in cell["outputs"] if "text" in o)
    shown = ["".join(o["data"]["text/plain"]) for o in cell["outputs"] if "data" in o]
    return printed, shown[0] if shown else None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_says_what_its_cells_do(path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = {}
    for cell in cells(path):
        found = run("".join(cell["source"]), names)
        if "varies" not in cell["metadata"].get("tags", []):  # how far a search gets in its time
            assert found == saved(cell)


def test_notebooks_are_small_and_tell_of_no_place():
    assert [path.stem for path in EXAMPLES] == ["new_accelerator", "what_if"]
    for path in EXAMPLES:
        text = path.read_text("utf-8")
        assert len(text.encode()) < LARGEST_BYTES
        assert not re.search(r"/(tmp|home|root)/", text)
