"""`validate`: predicted against published and measured."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from einfall.report.files import unwritable
from einfall.verbs.answers import BAD_INPUT, DONE, NO, Answer, BadInputError, Mistakes, did_you_mean
from einfall.verbs.bounds import read_part
from einfall.verbs.words import Verb, option

if TYPE_CHECKING:
    from einfall.validate.compared import Comparison


def _validate_options(parser: argparse.ArgumentParser) -> None:
    known = ", ".join((*COMPARISONS, *RECORDINGS))
    parser.add_argument(
        "against", metavar="AGAINST", nargs="?", help=f"what ships: {known}; fusemax if left out"
    )
    option(parser, "--timings", "FILE.csv", "timings of GPU kernels, one a row")
    option(parser, "--energy", "FILE.csv", "energies of GPU kernels, one a row")
    option(parser, "--on", "MACHINE", "the GPU, where it is another than the file says")
    option(parser, "--tolerance", "0.1", "exit code 1 where a kernel's mean error is above")
    option(parser, "--out", "DIR", "write rows as CSV and figures there")
    parser.add_argument(
        "--measure", action="store_true", help="time the kernels on the GPU at hand, then compare"
    )
    option(parser, "--cases", "FILE.csv", "with --measure: the list of cases; else what ships")


def _validate(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    mistakes.add(unwritable("--out", args.out))
    asked = [
        name
        for name, given in (
            ("AGAINST", args.against),
            ("--timings", args.timings),
            ("--energy", args.energy),
            ("--measure", args.measure),
        )
        if given
    ]
    if len(asked) > 1:
        mistakes.add(f"{asked[1]}: wanted one thing to compare with, found {' and '.join(asked)}")
    if args.cases is not None and not args.measure:
        mistakes.add("--cases: wanted with --measure, found it alone; add --measure")
    if args.measure and args.out is None:
        mistakes.add("--out: wanted a folder for the recording, found none; add --out DIR")
    tolerance = mistakes.note(lambda: read_part("--tolerance", args.tolerance))
    against = args.against or ("" if asked else _default(args))
    known = (*COMPARISONS, *RECORDINGS)
    if against and against not in known:
        way_out = did_you_mean(against, known, "fusemax is the default")
        mistakes.add(f"AGAINST: wanted one of {', '.join(known)}, found {against!r}; {way_out}")
    if against in COMPARISONS:
        mistakes.problems += [
            f"--{name}: wanted none with {against}, found it; leave it out"
            for name in ("on", "tolerance", "out")
            if getattr(args, name) is not None
        ]
    mistakes.refuse()
    if against in COMPARISONS:
        return _with_published(against)
    file = _measured(args) if args.measure else _file(args, against)
    return _with_timings(args, against or file.name, file, tolerance)


def _default(args: argparse.Namespace) -> str:
    """What is compared with where nothing is said: of a GPU its recording, else FuseMax."""
    return next((n for n, (_, gpu) in RECORDINGS.items() if gpu == args.on), "fusemax")


# Published rows of models that are not GPUs -------------------------------------------------------


def _with_published(against: str) -> Answer:
    from importlib import import_module

    from einfall.report.drawings import published_drawings
    from einfall.report.validation import validation_record

    found = import_module(f"einfall.validate.{against}").compare()
    record = validation_record(against, found.record())
    drawings = partial(published_drawings, record)
    return Answer(record, found.text, code=DONE if found.ok else NO, drawings=drawings)


COMPARISONS: tuple[str, ...] = ("fusemax", "gna", "optics")
"""Published or simulated numbers, each with a tolerance of its own, by name."""


# Timings of GPU kernels ---------------------------------------------------------------------------

RECORDINGS: Mapping[str, tuple[str, str]] = {
    "h100": ("h100_recording.csv", "h100_sxm"),
    "h200": ("h200_recording.csv", "h200"),
    "h100_probe": ("h100_probe.csv", ""),
    "h100_scans": ("h100_scans.csv", ""),
    "h200_scans": ("h200_scans.csv", ""),
    "h100_unseen": ("h100_unseen.csv", ""),
    "h200_unseen": ("h200_unseen.csv", ""),
    "h100_energy": ("h100_energy.csv", ""),
    "h200_energy": ("h200_energy.csv", ""),
    "published": ("published_timings.csv", ""),
}
"""Timings that ship: file, and the machine whose recording it is."""


def _file(args: argparse.Namespace, against: str) -> Path:
    from einfall.validate import compared

    if against:
        return Path(compared.__file__).parent / "data" / RECORDINGS[against][0]
    return Path(args.timings or args.energy)


def _measured(args: argparse.Namespace) -> Path:
    """The recording that `--measure` makes, in the folder of `--out`."""
    from einfall.validate import compared, measure

    shipped = Path(compared.__file__).parent / "data" / "cases_h100.csv"
    record = Path(args.out) / "recording.csv"
    record.parent.mkdir(parents=True, exist_ok=True)
    code = measure.main([str(args.cases or shipped), "--record", str(record)])
    if code == BAD_INPUT:  # what was wrong has been told
        raise BadInputError([])
    return record


def _with_timings(
    args: argparse.Namespace, name: str, file: Path, tolerance: float | None
) -> Answer:
    from einfall.hw_models import load
    from einfall.report.drawings import comparison_drawings
    from einfall.report.validation import timings_record, timings_text
    from einfall.validate.compared import compare

    if args.on is not None:
        load(args.on)  # a mistake in it is told before anything is compared
    found = compare(file, on=args.on)
    record = timings_record(name, found)
    if args.out is not None:
        _write(args.out, found)
    above = tolerance is not None and any(
        errors["mape"] > tolerance for errors in record["summary"].values()
    )
    return Answer(
        record,
        lambda: timings_text(record),
        code=NO if above else DONE,
        drawings=lambda: comparison_drawings(record["rows"]),
    )


def _write(folder: str, found: Comparison) -> None:
    from einfall.report.validation import write_comparison

    write_comparison(Path(folder), found)


VERB = Verb(
    about="Compare with published and measured numbers; exit code 1 where one is off.",
    usage="einfall validate [AGAINST] [--json]\n"
    "       einfall validate --timings FILE.csv [--on MACHINE] [--tolerance 0.1] [--out DIR]\n"
    "       einfall validate --energy FILE.csv\n"
    "       einfall validate --measure --out DIR [--cases FILE.csv]",
    example="einfall validate --timings my_kernels.csv --out out/validate",
    options=_validate_options,
    answer=_validate,
)
