"""A what-if for people: before and after, what each rate is worth, the tornado and its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from typing import TYPE_CHECKING, Any

from einfall.report.text import amount, count, facts, page, paragraph, percent, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]

_STEP = log(1.01)  # of ln(rate): 1 % more
_SHOWN = 1e-4  # gains of a step below this part are no gains


def whatif_text(record: Record) -> str:
    """The answer of `whatif`."""
    rows = record["rows"]
    return page(
        _title(record),
        _changes(record),
        *(_refusal(row) for row in rows if row["refusal"]),
        *(_remapped(row) for row in rows if row["mapping_after"] not in (None, row["mapping"])),
        *(_worth(row, _named(record, row)) for row in rows if row["shadow_prices"]),
        *(_tornado(row["tornado"], _named(record, row)) for row in rows if row["tornado"]),
    )


def _title(record: Record) -> str:
    """The machine and its change, and the sizes, once where all cascades have the same."""
    changed = changes(record)
    mask = "" if record["mask"] == "dense" else f", mask {record['mask']}"
    how = ", event simulation" if record["simulated"] else ""
    head = f"{record['machine']}{f' with {changed}' if changed else ''}{mask}{how}"
    shapes = list(dict.fromkeys(_sizes(row) for row in record["rows"]))
    if len(shapes) > 1:
        shapes = [f"{row['cascade']}: {_sizes(row)}" for row in record["rows"]]
    return "\n".join([paragraph(head), *(paragraph(sizes, "  ") for sizes in shapes)])


def _sizes(row: Record) -> str:
    return ", ".join(f"{key} {count(size)}" for key, size in row["shape"].items())


def _named(record: Record, row: Record) -> str:
    """The name of a row's cascade, where there are several."""
    return f"{row['cascade']}: " if len(record["rows"]) > 1 else ""


# Before and after ---------------------------------------------------------------------------------


def _changes(record: Record) -> str:
    """A line for each cascade; without a change, as it is."""
    if not record["overrides"]:
        header = ["cascade", "latency", "energy", "binds", "next in line"]
        cells = [[row["cascade"], *_state(row["before"])] for row in record["rows"]]
        return table(header, cells, right={"latency", "energy"})
    header = ["cascade", "latency", "energy", "speedup", "binds", "next in line"]
    return table(header, [_line(row) for row in record["rows"]], right={"speedup"})


def _state(outcome: Record) -> list[str]:
    return [
        amount(outcome["latency_s"], "s"),
        amount(outcome["energy_j"], "J"),
        _busy(outcome, "bound"),
        _busy(outcome, "next"),
    ]


def _line(row: Record) -> list[str]:
    before = _state(row["before"])
    if row["after"] is None:
        return [row["cascade"], before[0], before[1], "does not fit", before[2], before[3]]
    latency, energy, bound, following = map(_arrow, before, _state(row["after"]))
    return [row["cascade"], latency, energy, f"{row['speedup']:.4g}x", bound, following]


def _arrow(old: str, new: str) -> str:
    """From one to the other; a name and a unit that both have are written once.

    >>> _arrow("465.2 ms", "232.6 ms"), _arrow("1.2 s", "600 ms"), _arrow("1d 99 %", "2d 98 %")
    ('465.2 → 232.6 ms', '1.2 s → 600 ms', '1d 99 % → 2d 98 %')
    >>> _arrow("1d 99 %", "1d 98 %")
    '1d 99 → 98 %'
    """
    if old == new:
        return old
    was, now = old.split(" "), new.split(" ")
    differing = [i for i, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]]
    if len(was) != len(now) or len(differing) != 1:
        return f"{old} → {new}"
    at = differing[0]
    return " ".join([*was[:at], f"{was[at]} → {now[at]}", *was[at + 1 :]])


def _busy(outcome: Record, which: str) -> str:
    """A resource and the part of the time for which it is busy."""
    name, share = outcome[which], outcome[f"{which}_share"]
    return "" if name is None else name if share is None else f"{name} {percent(share)}"


def _refusal(row: Record) -> str:
    return paragraph(f"{row['cascade']} does not fit then: {row['refusal']}.")


def _remapped(row: Record) -> str:
    return paragraph(f"{row['cascade']} goes from {row['mapping']} to {row['mapping_after']}.")


# What a rate is worth -----------------------------------------------------------------------------


def _worth(row: Record, named: str) -> str:
    """What each number is worth, then each resource, then what is left without the one that binds.

    Without a number that changes anything, the resources say so.
    """
    return page(
        _prices(row, named) if row["prices"] else "",
        _shadows(row["shadow_prices"], named),
        paragraph(_freed(row)),
    )


def _shadows(shadows: Sequence[Record], named: str) -> str:
    """A line for each resource in use: its number, and by what part 1 % more of it alone helps."""
    header = ["resource", "in use", "by", "time by +1 %", "beside"]
    cells = [
        [
            shadow["resource"],
            percent(shadow["share"]),
            shadow["path"] or shadow["why"],
            "" if shadow["gain"] is None else f"{_percent(exp(-shadow['gain'] * _STEP) - 1)} %",
            ", ".join(shadow["speeds_too"]),
        ]
        for shadow in shadows
    ]
    head = f"{named}what a little more of each resource is worth"
    return f"{head}\n{table(header, cells, right={'in use', 'time by +1 %'})}"


def _freed(row: Record) -> str:
    """What is left when the resource that binds takes no time, and why it is not the next one."""
    freed, after = row["freed"], row["after"]
    if freed["latency_s"] is None:
        return f"What is left without {freed['resource']} is not known: {freed['why']}."
    part = 1 - freed["latency_s"] / after["latency_s"]
    gain = f"{percent(part)} less" if part >= 0 else f"{percent(-part)} more"
    text = (
        f"Were {freed['resource']} no limit ({freed['path']} = {freed['to_text']}), the time would "
        f"be {amount(freed['latency_s'], 's')}, {gain}, and {freed['bound']} would bind"
    )
    return f"{text}, not {after['next']}: {freed['why']}." if freed["why"] else f"{text}."


def _prices(row: Record, named: str) -> str:
    """A line for what shortens the time, and for each other resource what would speed it."""
    header = ["step", "speeds", "time", "energy"]
    cells = [
        [
            _step(price),
            ", ".join(price["speeds"]) or "",
            *(f"{_percent(_change(price, gain))} %" for gain in ("gain", "energy_gain")),
        ]
        for price in _worth_showing(row["prices"], row["after"]["busy_s"])
    ]
    head = f"{named}what a little more of each rate is worth"
    return f"{head}\n{table(header, cells, right={'time', 'energy'})}"


def _step(price: Record) -> str:
    """A number and its step: a percent, or the next whole number."""
    if isinstance(price["value"], int):
        return f"{price['path']} {price['text']} to {price['to_text']}"
    return f"{price['path']} {100 * (price['to'] / price['value'] - 1):+.3g} %"


def _change(price: Record, gain: str) -> float:
    """What the step changes, as a part: the gain is that of ln(rate)."""
    return exp(-price[gain] * abs(log(price["to"] / price["value"]))) - 1


def _percent(change: float) -> str:
    """A change in percent with three digits, 0 where there is none that counts.

    >>> _percent(12.616), _percent(-0.1667), _percent(0.0004), _percent(1e-6)
    ('+1262', '-16.7', '+0.04', '0')
    """
    if abs(change) < _SHOWN / 2:
        return "0"
    digits = 0 if abs(change) >= 1 else 1 if abs(change) >= 0.0995 else 2
    return f"{100 * change:+.{digits}f}"


def _worth_showing(prices: Sequence[Record], resources: Mapping[str, float]) -> list[Record]:
    """All that gain something, and for each resource the one that speeds it and little else."""
    shown = {price["path"] for price in prices if -_change(price, "gain") > _SHOWN}
    for name in resources:
        able = [price for price in prices if name in price["speeds"]]
        if able:
            shown.add(min(able, key=lambda price: len(price["speeds"]))["path"])
    return [price for price in prices if price["path"] in shown]


# Every number, up and down ------------------------------------------------------------------------


def _tornado(tornado: Record, named: str) -> str:
    """The effects, and what has none or could not be moved."""
    base, share = tornado["base"], f"{100 * tornado['share']:.4g} %"
    header = ["number", "value", "time -", "+", "energy -", " +"]
    cells = [
        [effect["path"], effect["text"], *_changes_of(effect, base)]
        for effect in tornado["effects"]
    ]
    title = f"{named}each number of the machine down (-) and up (+) by {share}: changes in percent"
    rest = facts(list(_rest(tornado)))
    return f"{paragraph(title)}\n{table(header, cells, right=set(header[2:]))}" + (
        f"\n\n{rest}" if rest else ""
    )


def _changes_of(effect: Record, base: Record) -> Iterator[str]:
    """Changes of time, then of energy, each down and up."""
    for what in ("latency_s", "energy_j"):
        for side in ("low", "high"):
            now = effect[side][what]
            before = base[what]
            yield "refused" if now is None else _percent(now / before - 1 if before else 0.0)


def _rest(tornado: Record) -> Iterator[tuple[str, str]]:
    if tornado["unmoved"]:
        few = ", ".join(tornado["unmoved"])
        yield "no effect", f"{len(tornado['unmoved'])} numbers: {few}"
    for number in tornado["refused"]:
        yield "refused", f"{number['path']} = {number['tried']}: {number['why']}"
    for number in tornado["left_out"]:
        yield "not moved", f"{number['path']}: {number['why']}"


def tornado_figure(record: Record) -> Figure:
    """The bars of every cascade, one below the other."""
    from einfall.plots import tornado_figure as drawn

    changed = changes(record)
    machine = f"{record['machine']}{f' with {changed}' if changed else ''}"
    share = f"{100 * record['tornado']:.3g} %"
    cases: dict[str, dict[str, list[Record]]] = {}
    for bar in tornado_table(record):
        panels = cases.setdefault(bar["cascade"], {})
        panels.setdefault(bar["quantity"], []).append(bar)
    title = f"What each number of {machine} changes, moved by {share}"
    return drawn(cases, title=title, sides=(f"{share} less", f"{share} more"))


def tornado_table(record: Record) -> list[dict[str, Any]]:
    """A record for each bar: a number of the machine, what it does to time or energy, as a ratio.

    A cascade on which no number has an effect has none.
    """
    return [
        {"cascade": row["cascade"], "quantity": name, **_bar(effect, row["tornado"]["base"], what)}
        for row in record["rows"]
        if row["tornado"]
        for name, what in (("time", "latency_s"), ("energy", "energy_j"))
        for effect in row["tornado"]["effects"]
    ]


def _bar(effect: Record, base: Record, what: str) -> dict[str, Any]:
    """A number of the machine, and what there is with less and more of it, over what there was."""
    sides = {side: effect[side][what] for side in ("low", "high")}
    ratios = {
        s: None if now is None or not base[what] else now / base[what] for s, now in sides.items()
    }
    return {"name": effect["path"], "text": effect["text"], **ratios}


def changes(record: Record) -> str:
    """What is set anew, as one reads it."""
    return ", ".join(f"{path} = {value}" for path, value in record["overrides"].items())


def latency_table(record: Record) -> list[dict[str, Any]]:
    """A record for each cascade and side of the change: its time, and what binds."""
    return [
        {
            "cascade": row["cascade"],
            "when": side,
            "latency_s": row[side]["latency_s"],
            "bound": row[side]["bound"],
        }
        for row in record["rows"]
        for side in ("before", "after")
        if row[side]
    ]


def unit_table(record: Record) -> list[dict[str, Any]]:
    """A record for each cascade, side of the change and unit: the unit's busy time, and the whole.

    Where there are several cascades, the case names them.
    """
    several = len(record["rows"]) > 1
    return [
        {
            "case": f"{row['cascade']}, {side}" if several else side,
            "unit": unit,
            "busy_s": busy_s,
            "latency_s": row[side]["latency_s"],
            "bound": row[side]["bound"],
        }
        for row in record["rows"]
        for side in ("before", "after")
        if row[side]
        for unit, busy_s in row[side]["busy_s"].items()
    ]
