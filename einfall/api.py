"""Python asks what the command line asks: the same verbs, options and answers, as functions.

    import einfall

    found = einfall.estimate("attention_1pass", on="h100_sxm", mask="causal",
                             shape=dict(batch=4, heads=32, queries="4K", head_dim=128))
    found["latency_s"]; found.rows; found.to_dataframe(); found.figures(); print(found)

Options are those of `einfall VERB --help`, `_` in place of `-`. A cascade or a machine is a name, a
path, or a value that `cascade` or `machine` made. Every function raises `BadInputError` with all
mistakes at once, and answers a `Result`. That something does not fit is an answer: `ok` is False
and `why` says it. Remarks are in `notes`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from einfall.result import Result
from einfall.verbs import VERBS
from einfall.verbs.answers import Answer, BadInputError, Mistakes, lines, mistake
from einfall.verbs.words import answered, read_words

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.hw_models import Machine

__all__ = [
    "BadInputError",
    "Result",
    "analyze",
    "bounds",
    "cascade",
    "estimate",
    "ladder",
    "machine",
    "report",
    "run",
    "search",
    "show",
    "sweep",
    "validate",
    "whatif",
]

T = TypeVar("T")

CascadeLike: TypeAlias = "str | Path | Cascade"
"""A cascade: a name of the library, the path of a file, or a value that `cascade` made."""

MachineLike: TypeAlias = "str | Path | Machine"
"""A machine: a name of one that ships, the path of a YAML file, or a value that `machine` made."""

Shape: TypeAlias = Mapping[str, "int | str"] | str
"""Sizes by key, `dict(queries="4K", head_dim=128)`, or the text of `--shape`."""

Changes: TypeAlias = Mapping[str, "str | float"]
"""Values anew by dotted path: quantities, factors (`2x`), shares (`+10%`), or in base units."""

Dtype: TypeAlias = Literal["fp32", "bf16", "fp16", "fp8", "int8"] | str
Part: TypeAlias = float | str
"""A part of one: 0.2, or `20%`."""

Sizes: TypeAlias = Sequence[int] | int | str
"""Sizes by dimension: (30, 48, 80), or `30x48x80`."""

File: TypeAlias = str | Path


# What is asked with -------------------------------------------------------------------------------


def cascade(text: CascadeLike) -> Cascade:
    """A cascade from the text of one (of several lines), by its name, or from a file.

    Raises:
        BadInputError: All the mistakes in the text, with their lines.

    >>> cascade("attention_1pass").einsums[0].name
    'BQK'
    """
    from einfall.einsum_cascades import load, parse

    read: Any = parse if _is_text(text) else load
    return _raised(lambda: read(text))


def machine(text: MachineLike, *, set: Changes | None = None) -> Machine:
    r"""A machine from the YAML text of one (of several lines), by its name, or from a file.

    Args:
        text: Such as `"base: h100_sxm\nname: mine\nhbm: {bandwidth: 5 TB/s}"`, a name, or a path.
        set: Values anew by path, as in `estimate`.

    Raises:
        BadInputError: All the mistakes in the text, with their lines.

    >>> machine("fusemax_cloud", set={"clock": "2x"}).clock_hz  # of 940 MHz
    1880000000.0
    """
    from einfall.hw_models import load, parse, with_overrides

    read: Any = parse if _is_text(text) else load
    return _raised(lambda: with_overrides(read(text), set or {}))


def _is_text(given: object) -> bool:
    return isinstance(given, str) and "\n" in given


# Verbs --------------------------------------------------------------------------------------------


def analyze(
    cascade: CascadeLike,
    *,
    shape: Shape | None = None,
    mask: str | None = None,
    tile: Shape | None = None,
    word: str | None = None,
    draw: File | None = None,
) -> Result:
    """What a cascade alone says: passes, operations, footprints, compulsory traffic.

    Args:
        cascade: A name of the library, a file, or one that `cascade` made.
        shape: Sizes; without them only what needs none is told.
        mask: Which scores count: `causal`, `sliding:window=1024 & causal`, …
        tile: Inner tile of a rank that the cascade splits: `{"M": 256}`.
        word: Size of an element, `16 bit` if left out.
        draw: Write the figure there, .png or .svg.

    Returns:
        `passes`, `ops`, `compulsory_bytes`, `footprints`; rows are its Einsums.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    >>> analyze("attention_3pass")["passes"]["M"]
    3
    """
    return _ask(
        "analyze",
        {"cascade": cascade},
        shape=shape,
        mask=mask,
        tile=tile,
        word=word,
        draw=draw,
    )


def estimate(
    cascade: CascadeLike,
    *,
    on: MachineLike | None = None,
    shape: Shape | None = None,
    mapping: File | None = None,
    mask: str | None = None,
    dtype: Dtype | None = None,
    word: str | None = None,
    accounting: Literal["physical", "artifact"] | None = None,
    set: Changes | None = None,
    simulate: bool = False,
    trace: File | None = None,
    timeline: File | None = None,
    roofline: File | None = None,
    explain: bool = False,
) -> Result:
    """Time, energy and traffic of a cascade on a machine, and what stops it.

    Args:
        cascade: A name of the library, a file, or one that `cascade` made.
        on: A machine that ships, a file.yaml, or one that `machine` made.
        shape: Sizes; `kv_heads`, `keys` and `value_dim` are `heads`, `queries`, `head_dim` if
            left out.
        mapping: A mapping or a file.yaml, `best` for a search, on a GPU a kernel; else what
            suits.
        mask: Which scores count: `causal`, `sliding:window=1024 & causal`, …
        dtype: Type of the elements.
        word: Size of an element, such as `8bit`; that of the machine if left out.
        accounting: `physical` (default), or `artifact`: as published.
        set: Fields of the machine anew: `{"hbm.bandwidth": "2x", "clock": "+10%"}`.
        simulate: Place every task in time.
        trace: Simulate, and write the timeline there as a Chrome trace, .json.
        timeline: Simulate, and draw some steps of the timeline there.
        roofline: Draw the roofline there.
        explain: Add every term and the source of each constant, in `explain`.

    Returns:
        `latency_s`, `energy_j`, `traffic_bytes`, `utilization`, `bound`; rows are its
            `breakdown`.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    Four heads of 1,024 × 1,024 scores, at 2 · (64 + 64) FLOP each:

    >>> shape = dict(batch=1, heads=4, queries="1K", head_dim=64)
    >>> found = estimate("attention_1pass", on="fusemax_cloud", shape=shape)
    >>> round(found["latency_s"] * 940e6) >= 4 * 1024**2 * 128 / 65536  # cycles, of 65,536 PEs
    True
    """
    return _ask(
        "estimate",
        {"cascade": cascade},
        on=on,
        shape=shape,
        mapping=mapping,
        mask=mask,
        dtype=dtype,
        word=word,
        accounting=accounting,
        set=set,
        simulate=simulate,
        trace=trace,
        timeline=timeline,
        roofline=roofline,
        explain=explain,
    )


def bounds(
    *,
    input: Sizes | None = None,
    window: Sizes | None = None,
    stride: Sizes | None = None,
    dilation: Sizes | None = None,
    causal: Sizes | None = None,
    q_tile: Sizes | None = None,
    kv_tile: Sizes | None = None,
    mask: str | None = None,
    shape: Shape | None = None,
    cases: File | None = None,
    share: Part | None = None,
    near_sparsity: Part | None = None,
    sweep_strides: bool = False,
    draw: File | None = None,
    histogram: File | None = None,
) -> Result:
    """Exact counts of a mask and its tiles, and the speedups over dense attention they allow.

    Args:
        input: Tokens in each of one to three dimensions.
        window: Keys that a query attends in each dimension.
        stride: Queries that share a window; 1 if left out.
        dilation: Distance of the keys of a window; 1 if left out.
        causal: 1 where a dimension is causal.
        q_tile: Queries in a tile; a kernel's default if left out.
        kv_tile: Keys in a tile; a kernel's default if left out.
        mask: In place of `input` and `window`: any static mask.
        shape: `queries` and `keys` of a `mask`, or `heads`.
        cases: A CSV file of many problems, one a row.
        share: Part of the whole time that is this attention; adds the end-to-end speedup.
        near_sparsity: With `sweep_strides`: recommend near this sparsity.
        sweep_strides: Strides that earn their price, and advice.
        draw: Draw the mask and its tiles there; of a sweep of strides, a heat map.
        histogram: Draw how many key tiles the query tiles visit there.

    Returns:
        Counts and speedups; with `cases` rows, and `ok` is False where one could not be read.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    Each of 32 × 32 queries attends 8 × 8 of 32 × 32 keys, so 1,024 / 64 of dense attention:

    >>> bounds(input=(32, 32), window=(8, 8))["flop_speedup"]
    16.0
    """
    return _ask(
        "bounds",
        {},
        input=input,
        window=window,
        stride=stride,
        dilation=dilation,
        causal=causal,
        q_tile=q_tile,
        kv_tile=kv_tile,
        mask=mask,
        shape=shape,
        cases=cases,
        share=share,
        near_sparsity=near_sparsity,
        sweep_strides=sweep_strides,
        draw=draw,
        histogram=histogram,
    )


def ladder(
    cascade: CascadeLike,
    *,
    against: CascadeLike | None = None,
    on: MachineLike | None = None,
    shape: Shape | None = None,
    mapping: File | None = None,
    mask: str | None = None,
    dtype: Dtype | None = None,
    word: str | None = None,
    accounting: Literal["physical", "artifact"] | None = None,
    set: Changes | None = None,
    simulate: bool = False,
    base_mask: str | None = None,
    base_mapping: str | None = None,
    q_tile: Sizes | None = None,
    kv_tile: Sizes | None = None,
    processors: int | None = None,
    share: Part | None = None,
    draw: File | None = None,
) -> Result:
    """Speedup bounds over a baseline, each below the last, down to the simulated one.

    Args:
        cascade: A name of the library, a file, or one that `cascade` made; or a published use
            case.
        against: The cascade it is compared with; itself if left out.
        on: The machine; without one, what the counts of the mask say.
        shape: Sizes; `kv_heads`, `keys` and `value_dim` are `heads`, `queries`, `head_dim` if
            left out.
        mapping: A mapping or a file.yaml, `best` for a search, on a GPU a kernel; else what
            suits.
        mask: Which scores count: `causal`, `sliding:window=1024 & causal`, …
        dtype: Type of the elements.
        word: Size of an element, such as `8bit`; that of the machine if left out.
        accounting: `physical` (default), or `artifact`: as published.
        set: Fields of the machine anew: `{"hbm.bandwidth": "2x", "clock": "+10%"}`.
        simulate: Place every task in time.
        base_mask: Mask of the baseline, dense if left out.
        base_mapping: Mapping of the baseline; what suits if left out.
        q_tile: Queries in a tile, without a machine.
        kv_tile: Keys in a tile, without a machine.
        processors: Query tiles that run at once, without a machine.
        share: Part of the whole time that is this attention; adds the end-to-end speedup.
        draw: Write the figure there, .png or .svg.

    Returns:
        `rungs`, the rows.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    A causal mask of 4 × 4 leaves 10 of 16 pairs; the operation count alone would give 1.6:

    >>> shape = dict(batch=1, heads=1, queries=4, head_dim=64)
    >>> found = ladder("attention_1pass", mask="causal", shape=shape, q_tile=1, kv_tile=1)
    >>> found["rungs"][0]["speedup"]
    1.6
    """
    return _ask(
        "ladder",
        {"cascade": cascade},
        against=against,
        on=on,
        shape=shape,
        mapping=mapping,
        mask=mask,
        dtype=dtype,
        word=word,
        accounting=accounting,
        set=set,
        simulate=simulate,
        base_mask=base_mask,
        base_mapping=base_mapping,
        q_tile=q_tile,
        kv_tile=kv_tile,
        processors=processors,
        share=share,
        draw=draw,
    )


def whatif(
    cascades: CascadeLike | Sequence[CascadeLike],
    *,
    on: MachineLike | None = None,
    shape: Shape | None = None,
    mapping: File | None = None,
    mask: str | None = None,
    dtype: Dtype | None = None,
    word: str | None = None,
    accounting: Literal["physical", "artifact"] | None = None,
    set: Changes | None = None,
    simulate: bool = False,
    tornado: Part | None = None,
    draw: File | None = None,
    trace: File | None = None,
    explain: bool = False,
) -> Result:
    """Before and after a change of the machine: time, energy, what binds, what else matters.

    Args:
        cascades: One cascade, or a list of them; each is as in `estimate`.
        on: A machine that ships, a file.yaml, or one that `machine` made.
        shape: Sizes; `kv_heads`, `keys` and `value_dim` are `heads`, `queries`, `head_dim` if
            left out.
        mapping: A mapping or a file.yaml, `best` for a search, on a GPU a kernel; else what
            suits.
        mask: Which scores count: `causal`, `sliding:window=1024 & causal`, …
        dtype: Type of the elements.
        word: Size of an element, such as `8bit`; that of the machine if left out.
        accounting: `physical` (default), or `artifact`: as published.
        set: Fields of the machine anew: `{"hbm.bandwidth": "2x", "clock": "+10%"}`.
        simulate: Place every task in time.
        tornado: Move every number of the machine down and up by this part: 0.2.
        draw: Draw the tornado there.
        trace: Simulate, and write the timeline there as a Chrome trace, .json.
        explain: Add every term before and after.

    Returns:
        Rows: a cascade each, `before`, `after`, `speedup`, `prices`, …; not `ok` where one does
            not fit.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    Attention that the 1D array binds takes half the time with twice of it, or what binds next:

    >>> shape = dict(batch=1, heads=4, queries="1K", head_dim=64)
    >>> found = whatif("attention_1pass", on="fusemax_cloud", shape=shape, set={"clock": "2x"})
    >>> 1 < found["rows"][0]["speedup"] <= 2
    True
    """
    return _ask(
        "whatif",
        {"cascades": list(cascades) if isinstance(cascades, list | tuple) else [cascades]},
        on=on,
        shape=shape,
        mapping=mapping,
        mask=mask,
        dtype=dtype,
        word=word,
        accounting=accounting,
        set=set,
        simulate=simulate,
        tornado=tornado,
        draw=draw,
        trace=trace,
        explain=explain,
    )


def search(
    cascade: CascadeLike,
    *,
    on: MachineLike | None = None,
    shape: Shape | None = None,
    objective: Literal["latency", "energy", "edp"] | None = None,
    pareto: bool = False,
    seconds: float | None = None,
    limit: int | None = None,
    out: File | None = None,
    mask: str | None = None,
    dtype: Dtype | None = None,
    word: str | None = None,
    set: Changes | None = None,
) -> Result:
    """The best mapping of a cascade on a machine, with a proof or the gap to the bound.

    Args:
        cascade: A name of the library, a file, or one that `cascade` made.
        on: A machine that ships, a file.yaml, or one that `machine` made.
        shape: Sizes; `kv_heads`, `keys` and `value_dim` are `heads`, `queries`, `head_dim` if
            left out.
        objective: What is made small; latency if left out.
        pareto: Also all that none beats in time, energy and buffer.
        seconds: Stop then, and tell the gap; else search to the end.
        limit: Rows of the Pareto set, of kernels, that are printed.
        out: Write the mapping there, for `estimate(mapping=FILE.yaml)`.
        mask: On a GPU: which scores count.
        dtype: Type of the elements.
        word: Size of an element, such as `8bit`; that of the machine if left out.
        set: Fields of the machine anew: `{"hbm.bandwidth": "2x", "clock": "+10%"}`.

    Returns:
        `best`, `value`, `optimal`, `gap`; rows are the Pareto set.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    >>> shape = dict(heads=1, queries=256, head_dim=64)
    >>> found = search("attention_1pass", on="fusemax_edge", shape=shape, seconds=1)
    >>> found["value"] >= found["lower_bound"]
    True
    """
    return _ask(
        "search",
        {"cascade": cascade},
        on=on,
        shape=shape,
        objective=objective,
        pareto=pareto,
        seconds=seconds,
        limit=limit,
        out=out,
        mask=mask,
        dtype=dtype,
        word=word,
        set=set,
    )


def run(
    scenario: File,
    *,
    out: File | None = None,
    no_figures: bool = False,
    accounting: Literal["physical", "artifact"] | None = None,
) -> Result:
    """Run a scenario: tables, data and figures.

    Args:
        scenario: A scenario that ships, or a file.yaml.
        out: A folder for tables, JSON and figures.
        no_figures: Draw nothing there.
        accounting: `artifact` or `physical` alone; both if left out.

    Returns:
        `tables`, whose first one is the rows.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    >>> run("exponentials")["scenario"]
    'exponentials'
    """
    return _ask(
        "run",
        {"scenario": scenario},
        out=out,
        no_figures=no_figures,
        accounting=accounting,
    )


def sweep(
    sweep: File,
    *,
    out: File | None = None,
    workers: int | None = None,
    chunk: int | None = None,
    scheduler: str | None = None,
    format: Literal["csv", "parquet"] | None = None,
) -> Result:
    """Work out a grid of shapes and machines, from a YAML file; resumable.

    Args:
        sweep: A sweep that ships, or a file.yaml.
        out: A folder for the table and its summary.
        workers: Processes; all cores if left out, one where that is enough.
        chunk: Points that a killed sweep may lose.
        scheduler: Address of a Dask scheduler, or `local`.
        format: Of the table; csv if left out.

    Returns:
        What counts, what binds, the best points, what each axis does; rows are the effects of
            the axes. Every point is in the table of `files`, where `out` is given. Not `ok`
            where no point counts.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    Three kernels, two widths of a head, three lengths, five rates of exponentials:

    >>> sweep("exponentials")["points"]
    90
    """
    return _ask(
        "sweep",
        {"sweep": sweep},
        out=out,
        workers=workers,
        chunk=chunk,
        scheduler=scheduler,
        format=format,
    )


def validate(
    against: str | None = None,
    *,
    timings: File | None = None,
    energy: File | None = None,
    on: MachineLike | None = None,
    tolerance: Part | None = None,
    out: File | None = None,
    measure: bool = False,
    cases: File | None = None,
) -> Result:
    """Compare predictions with published and measured numbers.

    Args:
        against: What ships: `fusemax`, `gna`, `h100_unseen`, …; `fusemax` if left out.
        timings: A CSV file of timings of GPU kernels, one a row.
        energy: A CSV file of energies of GPU kernels.
        on: The GPU, where it is another than the file says.
        tolerance: Not `ok` where a kernel's mean error is above.
        out: A folder for rows as CSV and figures.
        measure: Time the kernels on the GPU at hand, then compare.
        cases: With `measure`: the list of cases; else what ships.

    Returns:
        `rows` and `summary`; not `ok` where one is off.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    >>> validate("fusemax")["ok"]
    True
    """
    return _ask(
        "validate",
        {"against": against},
        timings=timings,
        energy=energy,
        on=on,
        tolerance=tolerance,
        out=out,
        measure=measure,
        cases=cases,
    )


def show(
    kind: str,
    name: File | None = None,
) -> Result:
    """List or explain what there is: machines, cascades, mappings, kernels, scenarios.

    Args:
        kind: What: `machines`, `cascades`, `mappings`, `kernels`, `masks`, `scenarios`,
            `models`, …
        name: One of them, or the path of a file; all if left out.

    Raises:
        BadInputError: Mistakes in what is asked, all at once; places are arguments.

    >>> show("machines", "fusemax_cloud")["name"]
    'fusemax_cloud'
    """
    return _ask(
        "show",
        {"kind": kind, "name": name},
    )


def report(found: Result, out: File) -> Result:
    """Write the self-contained HTML page of an answer; nothing is worked out again.

    Args:
        found: An answer of any other function.
        out: The page, a path that ends in .html.

    Returns:
        `file`, `bytes`, `command` and `figures` of the page; it is a no where the answer is.

    Raises:
        BadInputError: The page cannot be written there.
    """
    from einfall.verbs.report import refused_page, written

    if problem := refused_page(str(out)):
        raise _told([problem], "out")
    page = found.page()
    answer = _raised(lambda: written(str(out), page, found.answer))
    return Result("report", answer, lambda: page)


# How it is asked ----------------------------------------------------------------------------------


def _ask(verb: str, subject: Mapping[str, Any], **options: Any) -> Result:  # noqa: ANN401
    """The answer of a verb to the same words that the command line would have.

    Args:
        verb: Its name.
        subject: What stands without a name on the command line: cascade, scenario, …
        options: The others; None and False are left out.
    """
    given = {k: v for k, v in options.items() if v is not None and v is not False}
    own = [word for value in subject.values() for word in _subject_words(value)]
    named = [word for name, value in given.items() for word in _words(name, value)]
    mistakes = Mistakes()

    def asked() -> tuple[argparse.Namespace, Answer]:
        placeholders = ["x"] * len(own)  # what is asked of may begin with a dash
        args = read_words(VERBS, [verb, *placeholders, *named], mistakes)
        _put(args, subject, given)
        return args, answered(args, mistakes)

    try:
        args, answer = asked()
    except mistake() as error:
        raise _told([*mistakes.problems, *lines(error)], *subject) from None
    words = [verb, *own, *named]
    return Result(verb, _answer_in_python(answer), partial(_page, args, words, answer))


def _answer_in_python(answer: Answer) -> Answer:
    """The answer with its remarks in the words of Python; its record stays as it is."""
    notes, problems = (
        tuple(_in_python(one, ()) for one in told) for told in (answer.notes, answer.problems)
    )
    return replace(answer, notes=notes, problems=problems)


def _put(args: argparse.Namespace, subject: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Put values in the places of their words, which objects have not; paths become text."""
    for name, value in subject.items():
        setattr(args, name, _plain(value))
    for name in ("on", "against"):
        if name in options:
            setattr(args, name, _plain(options[name]))
    if "set" in options:
        args.overrides = {k: _scalar(v) for k, v in options["set"].items()}


def _plain(value: Any) -> Any:  # noqa: ANN401  names, paths, cascades, machines, lists of them
    if isinstance(value, Path):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _scalar(value: Any) -> Any:  # noqa: ANN401  text, a number, or one of NumPy's
    return value.item() if hasattr(value, "item") else value


def _page(args: argparse.Namespace, words: Sequence[str], answer: Answer) -> Any:  # noqa: ANN401
    from einfall.verbs.report import page_of

    return page_of(args, words, answer)


def _subject_words(value: object) -> list[str]:
    if value is None:
        return []
    return [_word(one) for one in (value if isinstance(value, list | tuple) else [value])]


def _words(name: str, value: Any) -> list[str]:  # noqa: ANN401  any option
    """An option as the command line has it."""
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if name == "set":
        return [f"--set={path}={new}" for path, new in value.items()]
    if isinstance(value, Mapping):
        value = ",".join(f"{key}={size}" for key, size in value.items())
    elif isinstance(value, list | tuple):
        value = "x".join(map(str, value))
    return [f"{option}={_word(value)}"]


def _word(value: Any) -> str:  # noqa: ANN401  a value of any option
    """A value as a word; cascades and machines by their names."""
    is_plain = isinstance(value, str | Path | int | float)
    return str(value if is_plain else getattr(value, "name", value))


# Mistakes -----------------------------------------------------------------------------------------


def _raised(attempt: Callable[[], T]) -> T:
    """What the attempt gives; its mistakes as `BadInputError`."""
    try:
        return attempt()
    except mistake() as error:
        raise _told(lines(error)) from None


def _told(problems: Iterable[str], *subject: str) -> BadInputError:
    """Mistakes in the words of Python."""
    return BadInputError(_in_python(problem, subject) for problem in problems)


_SET = re.compile(r"--set ([a-z0-9_]+(?:\.[\w-]+)*)(?=:)")
_SET_TO = re.compile(r"--set ([\w.]+)=(\S+?)(?=[,;)]*(?:\s|$))")
_OPTION_TO = re.compile(r"--([a-z][a-z-]*) ([^\s;()]*(?:[A-Z]{2}|[\d=.])[^\s;()]*)")
_OPTION = re.compile(r"(?<![\w'])--([a-z][a-z-]*)")
_HELP = re.compile(r"einfall (\w+) --help")


def _in_python(problem: str, subject: Sequence[str]) -> str:
    """A mistake with its places as arguments of Python.

    >>> _in_python("--shape: wanted a value, found none; add --shape heads=2,queries=4K", ())
    'shape: wanted a value, found none; add shape="heads=2,queries=4K"'
    >>> _in_python("--set hbm.x: want one of a; say --set hbm.bandwidth=2x (or --q-tile)", ())
    'set["hbm.x"]: want one of a; say set={"hbm.bandwidth": "2x"} (or q_tile)'
    """
    place, colon, rest = problem.partition(":")
    if place.lower() in subject:
        problem = f"{place.lower()}{colon}{rest}"
    problem = _HELP.sub(r"help(einfall.\1)", problem)
    problem = _SET.sub(r'set["\1"]', problem)
    problem = _SET_TO.sub(r'set={"\1": "\2"}', problem)
    problem = _OPTION_TO.sub(lambda m: f'{m[1].replace("-", "_")}="{m[2]}"', problem)
    return _OPTION.sub(lambda m: m[1].replace("-", "_"), problem)
