"""The command line: `einfall VERB …`; a verb makes an answer, `main` prints it.

The answer goes to stdout, notes and mistakes to stderr. Exit code 0: done; 1: the answer is no
(does not fit, outside tolerance); 2: bad input, all mistakes at once, each `place: wanted, found`.
Nothing heavy is imported before a verb needs it.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from einfall.verbs import VERBS
from einfall.verbs.answers import (
    BAD_INPUT,
    CLOSED_PIPE,
    DONE,
    INTERRUPTED,
    Mistakes,
    lines,
    mistake,
)
from einfall.verbs.words import answered, read_words


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after `einfall`; those of the process by default.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks µ or ⌈ shows a ? there
            stream.reconfigure(errors="replace")
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has read enough; the interpreter must not complain when it flushes again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(words: list[str]) -> int:
    mistakes = Mistakes()
    try:
        args = read_words(VERBS, words, mistakes)
        answer = answered(args, mistakes)
    except SystemExit as done:  # --help and --version have been printed
        return int(done.code or DONE)
    except mistake() as error:
        return _complain([*mistakes.problems, *lines(error)])
    for problem in answer.problems:
        print(problem, file=sys.stderr)
    for note in answer.notes:
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        _print_json(answer.record)
    elif text := answer.text():
        print(text)
    return answer.code


def _complain(problems: Iterable[str]) -> int:
    print("\n".join(dict.fromkeys(problems)), file=sys.stderr)
    return BAD_INPUT


def _print_json(record: Mapping[str, Any]) -> None:
    print(json.dumps(record, indent=2, allow_nan=False))
