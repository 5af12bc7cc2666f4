"""A comparison with published or measured numbers, as record, text and files of `validate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from einfall.report.text import page, paragraph, percent, table

if TYPE_CHECKING:
    from einfall.validate.compared import Comparison

_NAME = 36
"""Characters of a kernel's name in a table."""

_WORST = 5
"""Rows that are explained one by one."""


def validation_record(what: str, compared: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document of `validate`: every row, and its errors summed up by kernel.

    Args:
        what: Name of what was compared with.
        compared: Record of a comparison: `rows` with `kernel` and `error`, and what else it says.
            A `summary` of its own, as finer groups, becomes `groups`.
    """
    errors: dict[str, list[float]] = {}
    for row in compared["rows"]:
        errors.setdefault(row["kernel"], []).append(abs(row["error"]))
    rest = {key: value for key, value in compared.items() if key != "summary"}
    summary = {kernel: _statistics(found) for kernel, found in errors.items()}
    return {"against": what, **rest, "summary": summary, "groups": compared.get("summary", [])}


def _statistics(errors: Sequence[float]) -> dict[str, float]:
    """Count, mean, nine tenths and worst of absolute relative errors.

    >>> _statistics([0.0, 0.1, 0.2, 0.5])
    {'n': 4, 'mape': 0.2, 'p90': 0.5, 'worst': 0.5}
    """
    n, ranked = len(errors), sorted(errors)
    return {"n": n, "mape": sum(errors) / n, "p90": ranked[ceil(0.9 * n) - 1], "worst": ranked[-1]}


# Figures of published numbers ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beside:
    """Values of two origins, case by case: `rows` of case, from and value."""

    name: str
    title: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    rows: Sequence[Mapping[str, Any]]


def beside_each_other(record: Mapping[str, Any]) -> Beside | None:
    """Some of the values of a comparison, published or simulated and ours; None if it has none.

    Of FuseMax the time of attention by configuration, of the first model at its longest length; of
    optics the bits that waves leave.
    """
    rows = record["rows"]
    if record["against"] == "optics":
        names = {"simulated": "simulated_bits", "stated": "stated_bits"}
        told = [side for row in rows for side in _sides(row["machine"], row, names)]
        title = "Bits of the output that waves through lenses and mask leave"
        return Beside("bits_of_the_output", title, "Bits", "bit", "higher", told)
    if record["against"] != "fusemax":
        return None
    times = [r for r in rows if (r["kernel"], r["metric"]) == ("attention", "latency")]
    if not times:
        return None
    place = times[0]["model"], times[-1]["seq_len"]
    names = {"published": "published", "ours": "predicted"}
    shown = [row for row in times if (row["model"], row["seq_len"]) == place]
    told = [side for row in shown for side in _sides(row["config"], row, names)]
    title = f"Attention of {place[0]} at {place[1]}, published and ours"
    return Beside("published_and_ours", title, "Time", "s", "lower", told)


def _sides(case: str, row: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"case": case, "from": name, "value": row[column]} for name, column in names.items()]


def kernels_table(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Published kernel times as figures of validations want them; none where there are none."""
    return [
        {
            "kernel": row["pattern"],
            "machine": row["gpu"],
            "case": row["case"],
            **{name: row[name] for name in ("predicted_ms", "measured_ms", "error")},
        }
        for row in record.get("kernels", ())
    ]


# Timings of GPU kernels ---------------------------------------------------------------------------


def timings_record(what: str, found: Comparison) -> dict[str, Any]:
    """The JSON document of `validate --timings`: every row, errors by kernel and by size."""
    return {
        "against": what,
        "rows": [dict(row) for row in found.rows],
        "summary": {name: dict(errors) for name, errors in found.summary.items()},
        "by_size": _by_size(found.rows),
        "unpredicted": dict(Counter(row["why"] for row in found.unpredicted).most_common()),
    }


_SIZES = (("below 10 us", 0.0, 0.01), ("10 to 100 us", 0.01, 0.1), ("above 0.1 ms", 0.1, 1e30))


def _by_size(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Errors of short, middling and long launches."""
    found = {}
    for name, least, most in _SIZES:
        errors = [
            abs(row["error"])
            for row in rows
            if row["error"] is not None and least < (row["measured_ms"] or 0) <= most
        ]
        if errors:
            found[name] = _statistics(errors)
    return found


def timings_text(record: Mapping[str, Any]) -> str:
    """Errors by kernel and size, the worst rows with what binds them, rows without an answer."""
    rows = [row for row in record["rows"] if row["error"] is not None]
    left = len(record["rows"]) - len(rows)
    energy = any("predicted_mj" in row for row in record["rows"])
    of = "energy" if energy else "time"
    head = f"{record['against']}: {of} of {len(rows)} rows predicted, {left} not"
    reasons = [f"{n} rows: {why}" for why, n in record["unpredicted"].items()]
    worst = sorted(rows, key=lambda row: -abs(row["error"]))[:_WORST]
    return page(
        head,
        _errors(record["summary"], "kernel"),
        "" if energy else _errors(record["by_size"], "size"),
        _clocks(rows) if energy else "",
        "\n".join(["Worst:", *(_explained(row) for row in worst)]) if worst else "",
        "\n".join(["Not predicted:", *(paragraph(text, "  ") for text in reasons)])
        if reasons
        else "",
    )


def _errors(groups: Mapping[str, Mapping[str, float]], what: str) -> str:
    cells = [
        [_shortened(name), f"{e['n']:.0f}", *(percent(e[key]) for key in ("mape", "p90", "worst"))]
        for name, e in groups.items()
    ]
    header = [what, "rows", "mean error", "nine in ten", "worst"]
    return table(header, cells, right=set(header[1:]))


def _shortened(name: str) -> str:
    """A name that leaves room for numbers beside it."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _clocks(rows: Sequence[Mapping[str, Any]]) -> str:
    errors = [abs(row["clock_error"]) for row in rows if row.get("clock_error") is not None]
    return f"Sustained clock: mean error {percent(sum(errors) / len(errors))}." if errors else ""


_SHAPE = ("dtype", "batch", "heads", "kv_heads", "seq_q", "seqlen_q", "seq_k", "seqlen_k")
_SHAPE += ("head_dim", "causal", "window", "params")


def _explained(row: Mapping[str, Any]) -> str:
    """One row: what it is, both numbers, what binds and how the model saw it."""
    shape = ", ".join(f"{name} {row[name]}" for name in _SHAPE if row.get(name))
    unit = "mj" if "predicted_mj" in row else "ms"
    numbers = f"{row[f'predicted_{unit}']:.4g} predicted, {row[f'measured_{unit}']:.4g} measured"
    why = row.get("explanation") or ""
    text = f"{row['kernel']} ({shape}): {numbers} {unit.replace('mj', 'mJ')}, "
    text += f"{100 * row['error']:+.1f} %; bound {row['bound']}{'; ' if why else ''}{why}"
    return paragraph(text, "  ")


def write_comparison(folder: Path, found: Comparison) -> None:
    """Rows as CSV and, of times, the figures: predicted against measured, error against size."""
    from einfall.files import csv_text, write_all, write_texts

    columns = list(dict.fromkeys(name for row in found.rows for name in row))
    write_texts({folder / "rows.csv": csv_text(columns, found.rows)})
    drawable = [row for row in found.rows if row["error"] is not None and row["measured_ms"]]
    if drawable and "predicted_ms" in columns:
        from einfall.plots import error_by_size_figure, predicted_measured_figure

        figures = {
            folder / "predicted_measured.png": predicted_measured_figure(drawable),
            folder / "error_by_size.png": error_by_size_figure(drawable),
        }
        write_all(
            {
                path: (lambda part, f=figure: f.savefig(part, dpi=200))
                for path, figure in figures.items()
            }
        )
