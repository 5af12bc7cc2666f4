"""Timings of kernels as people write them down, and what the model says of each row.

Three kinds of CSV are told apart by their header: our own recordings (`median_ms`), published
tables (`time_ms`, `direction`) and energy (`mj_per_launch`). Every row comes back; one that is no
question to the model says why.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from einfall.sim.gpu.power import Regime
from einfall.sim.gpu.problem import ELEMENT_BYTES, Problem

MACHINES: Mapping[str, str] = {
    "gb300": "gb300",
    "gb200": "gb200",
    "b300": "b300",
    "b200": "b200",
    "h800": "h800",
    "h200": "h200",
    "h100": "h100_sxm",
    "h20": "h20",
    "a100": "a100_sxm",
    "l40s": "l40s",
    "l20": "l20",
    "4090": "rtx4090",
    "rtx pro 6000": "rtx_pro_6000",
}
"""Machines by what a timing's `gpu` has in it, in whatever words around it; the first that fits."""

ALIASES: Mapping[str, str] = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float8": "fp8",
    "e4m3": "fp8",
    "e5m2": "fp8",
}
"""Other ways to write a type."""

OTHER_BOARDS = ("pcie", "nvl", "mig", "laptop", "4090 d", "max-q")
"""Words that name another board than the one the machine's file describes."""

RECORDING = (
    "kernel",
    "dtype",
    "batch",
    "heads",
    "seq_q",
    "seq_k",
    "head_dim",
    "params",
    "median_ms",
)
PUBLISHED = ("kernel", "batch", "heads", "seqlen_q", "head_dim", "time_ms")
ENERGY = ("kernel", "dtype", "batch", "heads", "seq_q", "seq_k", "head_dim", "params",
          "mj_per_launch")  # fmt: skip


class TimingsError(ValueError):
    """A timings file that cannot be read: every mistake in it, as `file:line: column: …`."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Join the problems, one a line; they stay apart in `problems`."""
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Row:
    """One timing: its fields as they stand, and what the model needs of them.

    `harness` names what was timed around the kernel; `replayed` launches follow each other in a
    graph without their latency; `why` why the row is no question to the model.
    """

    fields: Mapping[str, str] = field(repr=False)
    machine: str
    kernel: str
    direction: str
    harness: str
    problem: Problem
    measured_ms: float | None
    measured_mj: float | None = None
    measured_mhz: float | None = None
    regime: Regime = "burst"
    locked_hz: float | None = None
    replayed: bool = False
    why: str = ""


def read(path: Path) -> tuple[Row, ...]:
    """Read a CSV of timings or energies.

    Raises:
        TimingsError: All that is wrong with the file, each as `file:line: column: wanted, found`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TimingsError([f"{path}: wanted a readable CSV file, found: {error}"]) from None
    lines = csv.DictReader(text.splitlines())
    header = tuple(lines.fieldnames or ())
    build = _reader(path, header)
    rows, problems = [], []
    for fields in lines:
        reading = _Reading(fields, f"{path}:{lines.line_num}")
        rows.append(build(reading))
        problems += reading.problems
    if problems:
        raise TimingsError(problems)
    if not rows:
        raise TimingsError([f"{path}:2: wanted at least one row, found none"])
    return tuple(rows)


def _reader(path: Path, header: tuple[str, ...]) -> Any:  # noqa: ANN401
    kinds = {PUBLISHED: _published, ENERGY: _energy, RECORDING: _recorded}
    lacking = {}
    for columns, build in kinds.items():
        missing = [name for name in columns if name not in header]
        if not missing:
            return build
        lacking[columns] = missing
    nearest = min(lacking.values(), key=len)
    raise TimingsError(
        [f"{path}:1: {name}: wanted this column, found none of that name" for name in nearest]
    )


@dataclass(slots=True)
class _Reading:
    """One line's fields, read with their mistakes noted."""

    fields: Mapping[str, str]
    place: str
    problems: list[str] = field(default_factory=list)

    def text(self, *names: str) -> str:
        return next((self.fields[n].strip() for n in names if self.fields.get(n)), "")

    def whole(self, *names: str, default: int | None = None) -> int:
        found = self.text(*names)
        if not found and default is not None:
            return default
        try:
            number = int(float(found))
            if number >= 1 and number == float(found):
                return number
        except ValueError:
            pass
        self.problems.append(f"{self.place}: {names[0]}: wanted a count, found {found!r}")
        return 1

    def number(self, *names: str, required: bool = False) -> float | None:
        found = self.text(*names)
        if not found and not required:
            return None
        try:
            number = float(found)
            if number > 0:
                return number if isfinite(number) else None  # inf stands for a run that failed
        except ValueError:
            pass
        self.problems.append(f"{self.place}: {names[0]}: wanted a positive number, found {found!r}")
        return None

    def flag(self, *names: str) -> bool:
        found = self.text(*names).lower()
        if found not in ("", "0", "1", "true", "false", "yes", "no"):
            self.problems.append(f"{self.place}: {names[0]}: wanted 0 or 1, found {found!r}")
        return found in ("1", "true", "yes")

    def dtype(self) -> tuple[str, str]:
        """Types of Q and of the cache: `bf16 (fp8 KV)` has both."""
        found = self.text("dtype") or "bf16"
        written = found.lower()
        for alias, name in ALIASES.items():
            written = written.replace(alias, name)
        words = re.findall(r"fp8|bf16|fp16|fp32", written)
        if not words:
            known = ", ".join(ELEMENT_BYTES)
            self.problems.append(f"{self.place}: dtype: wanted one of {known}, found {found!r}")
            return "bf16", "bf16"
        return words[0], words[-1] if "kv" in written else words[0]


def machine_of(gpu: str) -> str:
    """Name of the machine that a timing calls `gpu`; its own words where there is none.

    >>> machine_of("NVIDIA H100 80GB HBM3"), machine_of("A100-SXM4-80GB"), machine_of("b200_sxm")
    ('h100_sxm', 'a100_sxm', 'b200')
    >>> machine_of("H100 PCIe"), machine_of("RTX 5090")
    ('h100_pcie', 'rtx_5090')
    """
    name = re.sub(r"[\s_-]+", " ", gpu.strip().lower())
    if not any(board in name for board in OTHER_BOARDS):
        for words, machine in MACHINES.items():
            if re.search(rf"(?<![a-z0-9]){words}(?![a-z0-9])", name):
                return machine
    return name.removeprefix("nvidia ").replace(" ", "_")


def params_of(text: str) -> dict[str, str]:
    """The `params` column: `window=1024;tile` -> {"window": "1024", "tile": ""}.

    >>> params_of("shape=64x64;window=16x16")
    {'shape': '64x64', 'window': '16x16'}
    """
    parts = (part.partition("=") for part in text.split(";") if part)
    return {name.strip(): value.strip() for name, _, value in parts}


def count_of(text: str) -> int:
    """A count with a binary suffix.

    >>> count_of("64Mi"), count_of("1048576")
    (67108864, 1048576)
    """
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30)):
        if text.endswith(suffix):
            return int(float(text[: -len(suffix)]) * factor)
    return int(float(text))


def _recorded(line: _Reading) -> Row:
    return _own(line, measured_ms=line.number("median_ms", required=True))


def _energy(line: _Reading) -> Row:
    row = _own(
        line,
        measured_ms=line.number("ms"),
        measured_mj=line.number("mj_per_launch"),
        measured_mhz=line.number("sm_mhz"),
        regime="sustained",
        replayed=bool(line.text("launches")),
    )
    if row.kernel == "idle":
        return replace(row, why="no kernel runs: idle power is a number of the machine")
    return row


def _own(line: _Reading, **measured: Any) -> Row:  # noqa: ANN401
    params = params_of(line.text("params"))
    dtype, kv_dtype = line.dtype()
    sized = params.keys() & {"MiB", "n"} or not line.text("batch")
    shape: dict[str, Any] = {"dtype": dtype, "kv_dtype": kv_dtype}
    masked: tuple[dict[str, Any], ...] = ({},)
    why = ""
    try:
        if sized:
            shape["size"] = _size(params, dtype)
        else:
            shape |= _shape(line) | _tuned(line, params) | _flexible(line.text("kernel"))
            masked = _masked(line, params)
    except ValueError as error:
        why = str(error)
    decode = "decode" in params or line.text("group") == "decode" or "decode" in line.text("kernel")
    shape["cold"] = not sized  # recordings flush or rotate what a launch reads
    decode = decode or (not sized and shape.get("queries", 2) == 1)
    return Row(
        fields=line.fields,
        machine=machine_of(line.text("gpu") or "h100"),
        kernel=line.text("kernel"),
        direction="decode" if decode else "fwd",
        harness="bare",
        problem=_alternatives(shape, masked) if not why else Problem(),
        why=why,
        **measured,
    )


def _size(params: Mapping[str, str], dtype: str) -> int:
    if "MiB" in params:
        return int(float(params["MiB"]) * 2**20 / ELEMENT_BYTES[dtype])
    return count_of(params.get("n", "0"))


def _shape(line: _Reading) -> dict[str, Any]:
    heads, queries = line.whole("heads"), line.whole("seq_q", "seqlen_q")
    head_dim = line.whole("head_dim")
    return {
        "batch": line.whole("batch"),
        "heads": heads,
        "kv_heads": line.whole("kv_heads", default=heads),
        "queries": queries,
        "keys": line.whole("seq_k", "seqlen_k", default=queries),
        "head_dim": head_dim,
        "value_dim": line.whole("head_dim_v", "value_dim", default=head_dim),
        "causal": line.flag("causal"),
    }


def _tuned(line: _Reading, params: Mapping[str, str]) -> dict[str, Any]:
    """Tile and splits that a tuner chose, where the recording says so."""
    config = params_of(line.text("tile", "config"))
    found: dict[str, Any] = {}
    if {"q", "k", "warps"} <= config.keys():
        rows, keys = (_volume(config[name]) for name in ("q", "k"))
        found["tile"] = (rows, keys, int(config["warps"]), int(config.get("stages", 2)))
    if "chunk" in params:
        found["chunk"] = int(params["chunk"])
    found["decays"] = params.get("decay", "none") != "none"
    if "piece" in params:
        found["piece"] = params["piece"]
    splits = params.get("splits") or config.get("splits")
    if splits:
        found["splits"] = int(splits)
    return found


_FLEX_MASKS = ("dense", "causal", "sliding", "na2d", "na3d")
_FLEX_SCORES = ("alibi", "softcap")


def _flexible(kernel: str) -> dict[str, str]:
    """The score function of FlexAttention that a kernel's name ends in.

    >>> _flexible("flex_softcap"), _flexible("flex_causal"), _flexible("triton_flash")
    ({'score': 'softcap'}, {}, {})
    """
    word = kernel.removeprefix("flex_")
    if word == kernel or word in _FLEX_MASKS:
        return {}
    if word not in _FLEX_SCORES:
        known = ", ".join((*_FLEX_MASKS, *_FLEX_SCORES))
        raise ValueError(f"wanted a mask or score function of flex ({known}), found {word!r}")
    return {"score": word}


def _volume(text: str) -> int:
    total = 1
    for size in text.split("x"):
        total *= int(size)
    return total


def _alternatives(shape: Mapping[str, Any], masked: tuple[dict[str, Any], ...]) -> Problem:
    """The problem as each of the tiles that may run cuts it."""
    first, *others = (Problem(**{**shape, **mask}) for mask in masked)
    return replace(first, alternatives=tuple(others))


def _masked(line: _Reading, params: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The mask that the parameters name: a window, a neighbourhood, a list of blocks."""
    from einfall.validate import masks

    kernel, config = line.text("kernel"), params_of(line.text("tile", "config"))
    if "shape" in params:
        flattened = kernel.startswith("flex")
        return masks.neighborhood_fields(params, config, flattened=flattened)
    if "density" in params:
        return (masks.block_sparse_fields(params, line.whole("seq_q"), line.whole("seq_k")),)
    if "window" in params:
        return ({"window": int(params["window"]), "causal": True},)
    return ({},)


_LOCKED = re.compile(r"clock (?:locked )?(\d{4}) MHz")


def _published(line: _Reading) -> Row:
    """A row of a table that others wrote: what cannot be read of it becomes its `why`."""
    own = _Reading(line.fields, line.place)
    source, note, kernel = line.text("source"), line.text("note"), line.text("kernel")
    measured = own.number("time_ms")
    problem, why = _asked(own, note)
    if own.problems and not why:
        why = own.problems[0].removeprefix(f"{line.place}: ")
    locked = _LOCKED.search(note)
    return Row(
        fields=line.fields,
        machine=machine_of(line.text("gpu")),
        kernel=shipped_as(source, kernel),
        direction=line.text("direction").lower() or "fwd",
        harness=harness_of(source, kernel),
        problem=Problem() if why else problem,
        measured_ms=measured,
        locked_hz=float(locked[1]) * 1e6 if locked else None,
        why=why,
    )


def _asked(line: _Reading, note: str) -> tuple[Problem, str]:
    """The problem of a published row, or why it is none."""
    stated = line.text("batch") and line.text("heads") and line.text("seqlen_q")
    if not stated or not line.text("head_dim"):
        return Problem(), "batch, heads, length or head width is not stated"
    if "variable length" in note:
        return Problem(), "lengths vary, and only their mean is given"
    dtype, kv_dtype = line.dtype()
    shape: dict[str, Any] = _shape(line) | {"dtype": dtype, "kv_dtype": kv_dtype}
    window = line.text("window")
    masked = _noted(line.text("kernel"), note) if window == "sparse" else ({},)
    if window.isdigit() and int(window):
        shape["window"] = int(window)
    elif not masked or window not in ("", "0", "-1", "sparse"):
        return Problem(), f"the mask is given as {window!r} only"
    if line.text("causal") == "" and shape["queries"] > 1:
        return Problem(), "whether the mask is causal is not stated"
    return _alternatives(shape, masked), ""


_NEIGHBORHOOD = re.compile(r"(\d+(?:x\d+)*) w(\d+(?:,\d+)*)(?: s(\d+(?:,\d+)*))?")


def _noted(kernel: str, note: str) -> tuple[dict[str, Any], ...]:
    """The neighbourhood that a note tells, in each box that NATTEN's kernel ships; none if none.

    >>> len(_noted("hopper-fna", "3D 30x48x80 w18,24,24 s16,8,8 (sparse)")), _noted("x", "sparse")
    (2, ())
    """
    from einfall.validate import masks

    found = _NEIGHBORHOOD.search(note)
    if found is None:
        return ()
    window, stride = (part.replace(",", "x") for part in (found[2], found[3] or ""))
    params = {"shape": found[1], "window": window} | ({"stride": stride} if stride else {})
    boxes = masks.NATTEN_BOXES.get(kernel.lower(), {}).get(found[1].count("x") + 1, ())
    return tuple(
        fields
        for q, kv in boxes
        for fields in masks.neighborhood_fields(params, {"q": q, "k": kv}, flattened=False)
    )


def shipped_as(source: str, kernel: str) -> str:
    """The kernel's name, with the framework's beside it where it ships a build of its own.

    SGLang's `flash_attention` is FlashAttention-3's repository, on Ampere compiled for sm80.

    >>> shipped_as("systems/data sglang/0.5.10", "FlashAttention-2")
    'FlashAttention-2 (SGLang)'
    """
    own = "sglang/" in source and kernel.lower() == "flashattention-2"
    return f"{kernel} (SGLang)" if own else kernel


def harness_of(source: str, kernel: str) -> str:
    """What was timed around the kernel: the framework and version whose operation a table timed.

    cuDNN's benchmark times others' kernels as Python calls them one by one (`pytorch`, `eager`),
    which the host limits; two runs of it ship whose short backward passes differ up to three times.
    Two versions of one framework that ship different builds of a kernel are two harnesses.

    >>> harness_of("ai-dynamo/aiconfigurator 095f58a51 systems/data sglang/0.5.14", "")
    'sglang'
    >>> harness_of("cudnn-frontend benchmark/bf16_training_artifacts_x.csv", "FlashAttention-2")
    'eager-1'
    """
    own = kernel.lower().startswith("cudnn")
    caller = "pytorch" if kernel.lower().startswith("pytorch") else "eager"
    run = re.search(r"cudnn-frontend.*/(bf16_)?training_artifacts", source)
    if run and not own:
        return f"{caller}-{1 if run[1] else 2}"
    if caller == "pytorch":
        return caller
    found = re.search(r"(sglang|vllm|trtllm)/(\d+)\.(\d+)", source)
    if found is None:
        return "bare"
    framework, minor = found[1], int(found[3])
    if framework == "vllm":
        return "vllm-0.24" if minor >= 23 else "vllm-0.22"
    return framework
