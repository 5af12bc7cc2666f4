"""What is to be timed: a list of cases as CSV, read with every mistake named at once."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

COLUMNS = (
    *("group", "kernel", "dtype", "batch", "heads", "kv_heads", "seq_q", "seq_k", "head_dim"),
    *("causal", "params"),
)
"""Columns of a list of cases."""

SIZES = ("batch", "heads", "kv_heads", "seq_q", "seq_k", "head_dim")

DTYPES = ("bf16", "fp16", "fp32")

OUR_WIDTHS = (64, 128)

PATTERNS = {
    "window": r"\d+(x\d+){0,2}",
    "shape": r"\d+x\d+(x\d+)?",
    "stride": r"\d+x\d+(x\d+)?",
    "density": r"0?\.\d+|1(\.0)?",
    "block": r"64|128",
    "seed": r"\d+",
    "decay": r"none|per_head",
    "chunk": r"64|128",
    "splits": r"[1-9]\d*",
    "piece": r"qk|softmax|pv|states|outputs",
    "MiB": r"[1-9]\d*",
    "n": r"[1-9]\d*(Mi)?",
    "decode": "",
    "empty-ish": "",
}
"""What the value of each parameter looks like; empty for a bare word."""


class CaseError(ValueError):
    """A list of cases that cannot be used; the message has a line for each mistake."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kernel can be asked.

    Args:
        required: Parameters that a case must give.
        optional: Parameters that it may give.
        widths: Head widths that it takes; empty means any multiple of 8 up to 256.
        causal: Values of `causal` that it takes.
        shaped: Has batch, heads and lengths; otherwise these columns are empty.
        axes: Of a neighbourhood, the axes of its grid.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    causal: tuple[int, ...] = (0, 1)
    shaped: bool = True
    axes: int = 0


def _ceiling(*required: str) -> Kernel:
    return Kernel(required, shaped=False)


KERNELS = {
    "triton_flash": Kernel((), ("window",), (*OUR_WIDTHS, 256)),
    "triton_na2d": Kernel(("shape", "window"), ("stride",), OUR_WIDTHS, (0,), axes=2),
    "triton_na3d": Kernel(("shape", "window"), ("stride",), OUR_WIDTHS, (0,), axes=3),
    "triton_block_sparse": Kernel(("density", "block"), ("seed",), OUR_WIDTHS, (0,)),
    "triton_linear": Kernel(("decay",), ("chunk", "piece"), (*OUR_WIDTHS, 256), (1,)),
    "triton_decode": Kernel(("splits",), (), OUR_WIDTHS, (0,)),
    "triton_softmax_3pass": Kernel((), ("piece",), OUR_WIDTHS),
    "sdpa_flash": Kernel((), ("decode",)),
    "sdpa_cudnn": Kernel((), ("decode",)),
    "sdpa_math": Kernel((), ("decode",)),
    "flex_dense": Kernel((), (), OUR_WIDTHS, (0,)),
    "flex_causal": Kernel((), (), OUR_WIDTHS, (1,)),
    "flex_sliding": Kernel(("window",), (), OUR_WIDTHS, (0,)),
    "flex_na2d": Kernel(("shape", "window"), (), OUR_WIDTHS, (0,), axes=2),
    "copy": _ceiling("MiB"),
    "matmul": _ceiling("n"),
    "exp_fp32": _ceiling("n"),
    "exp_l2": _ceiling("n"),
    "softmax": _ceiling("n"),
    "launch": _ceiling("empty-ish"),
}
"""Every kernel that can be timed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time: a kernel at a shape.

    Args:
        kernel: A key of `KERNELS`.
        dtype: `bf16`, `fp16` or `fp32`; empty for `launch`.
        batch: B, as the sizes that follow 0 for kernels without a shape.
        heads: H.
        kv_heads: G; H/G query heads share a key/value head.
        seq_q: P, queries [tokens].
        seq_k: M, keys [tokens].
        head_dim: E, the width of a head.
        causal: 1 if query p sees keys up to p + M - P.
        params: As in the file, `window=1024;…`.
        group: A word to sort recordings by.
    """

    kernel: str
    dtype: str = "bf16"
    batch: int = 0
    heads: int = 0
    kv_heads: int = 0
    seq_q: int = 0
    seq_k: int = 0
    head_dim: int = 0
    causal: int = 0
    params: str = ""
    group: str = field(default="", compare=False)

    @property
    def options(self) -> dict[str, str]:
        """`params` taken apart; a bare word has an empty value."""
        return parse_params(self.params)

    def box(self, name: str, fill: int = 1) -> tuple[int, int, int]:
        """Sizes `8x16` of a parameter along three axes, the missing first ones `fill`.

        >>> Case("triton_na2d", params="shape=64x32").box("shape")
        (1, 64, 32)
        """
        given = [int(n) for n in self.options.get(name, "").split("x") if n]
        first, second, third = [fill] * (3 - len(given)) + given
        return first, second, third

    def record(self) -> dict[str, str | int]:
        """As it stands in a file, sizes empty for kernels without a shape."""
        shaped = KERNELS[self.kernel].shaped
        sizes = {name: getattr(self, name) if shaped else "" for name in (*SIZES, "causal")}
        return {
            **{"group": self.group, "kernel": self.kernel, "dtype": self.dtype},
            **sizes,
            "params": self.params,
        }


def parse_params(text: str) -> dict[str, str]:
    """Key=value pairs with ';' between; a word alone has an empty value.

    >>> parse_params("shape=64x64;window=16x16")
    {'shape': '64x64', 'window': '16x16'}
    """
    pairs = (part.partition("=") for part in text.split(";") if part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read a list of cases, see `COLUMNS`.

    Args:
        path: A CSV file; further columns are not read.

    Returns:
        The cases, in order.

    Raises:
        CaseError: With one line a mistake, `file:line: column: wanted …, found …`.
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise CaseError(f"{path}:1: wanted columns {', '.join(missing)}, found none of them")
        read = [(rows.line_num, row) for row in rows]
    mistakes = [
        f"{path}:{line}: {mistake}" for line, row in read for mistake in _mistakes_of_row(row)
    ]
    if mistakes:
        raise CaseError("\n".join(mistakes))
    return tuple(_case(row) for _, row in read)


def _case(row: Mapping[str, str]) -> Case:
    sizes = {name: int(row[name] or 0) for name in (*SIZES, "causal")}
    return Case(row["kernel"], row["dtype"], **sizes, params=row["params"], group=row["group"])


def _mistakes_of_row(row: Mapping[str, str | None]) -> Iterator[str]:
    """What is wrong with a row: first its fields, and only if these are right what they mean."""
    if None in row.values() or None in row:
        yield f"wanted {len(COLUMNS)} fields or as many as the first line has, found another number"
        return
    texts = {name: row[name] or "" for name in COLUMNS}
    found = [*_mistakes_of_fields(texts)]
    yield from found or _mistakes_of_case(_case(texts))


def _mistakes_of_fields(row: Mapping[str, str]) -> Iterator[str]:
    kernel = KERNELS.get(row["kernel"])
    if kernel is None:
        yield f"kernel: wanted one of {', '.join(KERNELS)}, found '{row['kernel']}'"
        return
    if row["dtype"] not in DTYPES and row["kernel"] != "launch":
        yield f"dtype: wanted one of {', '.join(DTYPES)}, found '{row['dtype']}'"
    for name in SIZES:
        wanted = "a whole number above 0" if kernel.shaped else "nothing, the kernel has no shape"
        if not re.fullmatch(r"[1-9]\d*" if kernel.shaped else "", row[name]):
            yield f"{name}: wanted {wanted}, found '{row[name]}'"
    causal = [str(value) for value in kernel.causal] if kernel.shaped else [""]
    if row["causal"] not in causal:
        yield f"causal: wanted {' or '.join(causal) or 'nothing'}, found '{row['causal']}'"
    yield from _mistakes_of_params(row["kernel"], kernel, parse_params(row["params"]))


def _mistakes_of_params(name: str, kernel: Kernel, params: Mapping[str, str]) -> Iterator[str]:
    for key in kernel.required:
        if key not in params:
            yield f"params: wanted {key}=… for {name}, found none"
    known = (*kernel.required, *kernel.optional)
    for key, value in params.items():
        if key not in known:
            yield f"params: wanted {' or '.join(known) or 'nothing'} for {name}, found '{key}'"
        elif not re.fullmatch(PATTERNS[key], value):
            yield f"params: {key}: wanted /{PATTERNS[key]}/, found '{value}'"


def _mistakes_of_case(case: Case) -> Iterator[str]:
    kernel = KERNELS[case.kernel]
    if not kernel.shaped:
        return
    if case.heads % case.kv_heads:
        yield f"kv_heads: wanted a divisor of heads={case.heads}, found {case.kv_heads}"
    if kernel.widths and case.head_dim not in kernel.widths:
        yield f"head_dim: wanted one of {kernel.widths} for {case.kernel}, found {case.head_dim}"
    elif case.head_dim % 8 or case.head_dim > 256:
        yield f"head_dim: wanted a multiple of 8 up to 256, found {case.head_dim}"
    if kernel.axes:
        yield from _mistakes_of_boxes(case, kernel.axes)
    if case.kernel in RULES:
        ok, wanted = RULES[case.kernel]
        if not ok(case):
            yield f"{case.kernel}: wanted {wanted}, found {case.record()}"


def _mistakes_of_boxes(case: Case, axes: int) -> Iterator[str]:
    for key in ("shape", "window", "stride"):
        given = case.options.get(key)
        if given is not None and len(given.split("x")) != axes:
            yield f"params: {key}: wanted {axes} sizes, found '{given}'"
            return
    shape, window, stride = (case.box(key) for key in ("shape", "window", "stride"))
    if not prod(shape) == case.seq_q == case.seq_k:
        yield f"params: shape: wanted {case.seq_q} tokens as seq_q and seq_k, found {prod(shape)}"
    if not all(1 <= s <= w <= n for s, w, n in zip(stride, window, shape, strict=True)):
        yield f"params: wanted 1 ≤ stride ≤ window ≤ shape along each axis, found '{case.params}'"


RULES = {
    "triton_flash": (
        lambda case: "window" not in case.options or case.causal,
        "causal=1 where there is a window",
    ),
    "triton_linear": (
        lambda case: (
            case.heads == case.kv_heads
            and case.seq_q == case.seq_k
            and case.options.get("piece") in (None, "states", "outputs")
        ),
        "kv_heads as heads, seq_k as seq_q, and of pieces states or outputs",
    ),
    "triton_decode": (
        lambda case: case.seq_q == 1 and case.heads // case.kv_heads <= 16,
        "seq_q=1 and at most 16 query heads a key/value head",
    ),
    "triton_softmax_3pass": (
        lambda case: (
            (not case.causal or case.seq_q <= case.seq_k)
            and case.options.get("piece") in (None, "qk", "softmax", "pv")
        ),
        "seq_q at most seq_k with causal=1, and of pieces qk, softmax or pv",
    ),
    **{
        name: (
            lambda case: not case.causal or case.seq_q == case.seq_k,
            "seq_q as seq_k with causal=1, because torch aligns the mask at the top left",
        )
        for name in ("sdpa_flash", "sdpa_cudnn", "sdpa_math", "flex_causal")
    },
}
"""What a case of a kernel must satisfy beyond its fields, and how to say so."""
