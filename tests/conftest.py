"""Commands as fixtures; settings of hypothesis: `ci` repeats examples, `dev` looks for new ones."""

import json

import pytest
from hypothesis import settings

from einfall.cli import main

settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("dev")


@pytest.fixture
def ask(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def answer(ask):
    """The JSON document of a command that works."""

    def run(*words):
        code, out, err = ask(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run
