"""The answer of `search` for people, as JSON, and the mapping it found as a YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from einfall.report.text import amount, count, facts, page, paragraph, percent, table

if TYPE_CHECKING:
    from einfall.sim.gpu.search import GpuFound, GpuSearch
    from einfall.sim.mapping import Binding, Group
    from einfall.sim.mapping import Mapping as CascadeMapping
    from einfall.sim.search import Found, SearchResult

_UNITS = {"latency": "s", "energy": "J", "edp": "J·s"}


def search_record(found: SearchResult) -> dict[str, Any]:
    """The JSON document, without what was asked."""
    pareto = None if found.pareto is None else [_with_text(f) for f in found.pareto]
    return {
        "objective": found.objective,
        "value": found.value,
        "optimal": found.optimal,
        "gap": found.gap,
        "lower_bound": found.lower_bound,
        "seconds": found.seconds,
        "proof": found.proof.record(),
        "best": _with_text(found.best),
        "shipped": [f.record() for f in found.shipped],
        "pareto": pareto,
        "pareto_tolerance": None if found.pareto is None else found.tolerance,
    }


def _with_text(found: Found) -> dict[str, Any]:
    return {**found.record(), "mapping": mapping_text(found.mapping)}


def objectives_table(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, time and energy of everything that a search tells of, each once, the best first.

    Mappings have the name of where they come from, kernels theirs and that of their tile.
    """
    told = [record["best"], *record.get("shipped", ()), *record.get("candidates", ())]
    told += record["pareto"] or ()
    rows: dict[tuple[float, float], dict[str, Any]] = {}
    for one in told:
        name = one.get("origin") or f"{one['kernel']} {one['tile'] or ''}".strip()
        both = {"latency_s": one["latency_s"], "energy_j": one["energy_j"]}
        rows.setdefault((one["latency_s"], one["energy_j"]), {"name": name, **both})
    return list(rows.values())


def search_text(found: SearchResult, title: str, limit: int) -> str:
    """The best mapping, the proof, the mappings that ship, the Pareto set."""
    rows = [found.best, *sorted(found.shipped, key=lambda f: f.latency_s)]
    parts = [title, facts(_totals(found)), paragraph(proof_text(found)), _table(rows)]
    if found.pareto is not None:
        shown = found.pareto[:limit]
        more = f", the first {limit}" if len(found.pareto) > limit else ""
        parts += [f"Pareto set, {len(found.pareto)} mappings{more}:", _table(shown)]
        parts += [paragraph(pareto_text(found))]
    return page(*parts, mapping_text(found.best.mapping).rstrip())


def pareto_text(found: SearchResult) -> str:
    """What is known of the Pareto set."""
    worse = percent(found.tolerance)
    if not found.optimal:
        return "Not proved: time was up; mappings may be missing that none of these beats."
    return (
        f"Every mapping of the space has one in the set that is at most {worse} worse in time, in "
        "energy and in buffer."
    )


def proof_text(found: SearchResult) -> str:
    """What is known of the answer, in a sentence or two."""
    p = found.proof
    if found.optimal:
        first = "Optimal: no mapping of the space is better"
    else:
        first = (
            f"Not proved: time was up with {count(p.unexplored)} candidates unexplored; no mapping "
            f"is better by more than {percent(found.gap)}"
        )
    return (
        f"{first}. The space has {count(p.mappings)} mappings, made of {count(p.candidates)} "
        f"candidates for a group; {count(p.bounded)} cannot beat the best by a bound, "
        f"{count(p.illegal)} are illegal, {count(p.too_large)} do not fit, "
        f"{count(p.evaluated)} were evaluated."
    )


def _totals(found: SearchResult) -> list[tuple[str, str]]:
    best = found.best
    groups = "; ".join(f"{group.name}" for group in best.mapping.groups)
    origin = "found by the search" if best.origin == "search" else f"{best.origin}, which ships"
    value = (
        amount(found.value, _UNITS[found.objective])
        if found.objective != "edp"
        else (f"{found.value:.4g} J·s")
    )
    return [
        (found.objective, value),
        ("mapping", f"{origin}; groups {groups}"),
        ("search", f"{found.seconds:.2f} s"),
    ]


def _table(rows: Iterable[Found]) -> str:
    lines = [
        [f.origin, amount(f.latency_s, "s"), amount(f.energy_j, "J"), amount(f.buffer_bytes, "B")]
        for f in rows
    ]
    return table(["mapping", "latency", "energy", "buffer"], lines, {"latency", "energy", "buffer"})


# The file -----------------------------------------------------------------------------------------


def mapping_text(mapping: CascadeMapping) -> str:
    """A mapping as a YAML file that reads as the same mapping."""
    lines = [f"name: {mapping.name}"]
    lines += [f'{k}: "{v}"' for k in ("about", "source") if (v := getattr(mapping, k))]
    lines += [f"cascades: {_flow(mapping.cascades)}", "bind:"]
    lines += [f"  - {{{', '.join(_bound(b))}}}" for b in mapping.bind]
    lines.append("groups:")
    for group in mapping.groups:
        lines += [f"  - name: {group.name}", *(f"    {line}" for line in _group(group))]
    return "\n".join(lines) + "\n"


def _bound(binding: Binding) -> Iterator[str]:
    yield f"unit: {binding.unit}"
    for side in ("rows", "cols", "order"):
        if getattr(binding, side):
            yield f"{side}: {_flow(getattr(binding, side))}"
    yield f"einsums: {_flow(binding.einsums)}"


def _group(group: Group) -> Iterator[str]:
    if group.einsums != "all":
        yield f"einsums: {_flow(group.einsums)}"
    if group.loops:
        yield "loops:"
        yield from (f"  {x.loop}: {x.rank} by {x.tile}" for x in group.loops)
    for name in ("hold", "place", "shares", "spill"):
        if getattr(group, name):
            yield f"{name}: {_pairs(getattr(group, name))}"
    if group.direct:
        yield f"direct: {_flow(group.direct)}"
    if group.in_flight != "auto":
        yield f"in_flight: {group.in_flight}"
    yield from _published(group.published.model_dump(exclude_defaults=True, by_alias=True))


def _published(fields: Mapping[str, Any]) -> Iterator[str]:
    if fields:
        yield "published:"
    for key, value in fields.items():
        if key == "stages":
            yield f"  stages: [{', '.join(map(_flow, value))}]"
        else:
            yield f"  {key}: {_flow(value) if isinstance(value, tuple | list) else value}"


def _flow(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


def _pairs(pairs: Mapping[str, Any]) -> str:
    quoted = ((k, '""' if v == "" else v) for k, v in pairs.items())
    return "{" + ", ".join(f"{k}: {v}" for k, v in quoted) + "}"


# GPUs ---------------------------------------------------------------------------------------------


def kernels_record(found: GpuSearch, objective: str) -> dict[str, Any]:
    """The JSON document, without what was asked."""
    ranked = ranked_kernels(found, objective)
    value = _score(ranked[0], objective)
    return {
        "objective": objective,
        "value": value,
        "optimal": True,
        "gap": 0.0,
        "lower_bound": value,
        "seconds": found.seconds,
        "proof": {"candidates": len(ranked), "evaluated": len(ranked), "refused": found.refused},
        "best": ranked[0].record(),
        "candidates": [f.record() for f in ranked],
        "pareto": [f.record() for f in pareto_kernels(found)],
    }


def ranked_kernels(found: GpuSearch, objective: str) -> list[GpuFound]:
    """Schedules and tiles, the best first."""
    return sorted(found.found, key=lambda f: _score(f, objective))


def pareto_kernels(found: GpuSearch) -> list[GpuFound]:
    """Those that no other beats in both time and energy, the fastest first."""
    front: list[GpuFound] = []
    for one in sorted(found.found, key=lambda f: (f.latency_s, f.energy_j)):
        if not front or one.energy_j < front[-1].energy_j:
            front.append(one)
    return front


def _score(one: GpuFound, objective: str) -> float:
    from einfall.sim.search import OBJECTIVES

    return float(OBJECTIVES[objective](one.latency_s, one.energy_j))


def kernels_text(found: GpuSearch, objective: str, title: str, limit: int) -> str:
    """The best schedules, and which were refused."""
    ranked = ranked_kernels(found, objective)
    front = pareto_kernels(found)
    lines = [
        [
            f.kernel,
            f.tile or "its own",
            amount(f.latency_s, "s"),
            amount(f.energy_j, "J"),
            "yes" if f in front else "",
        ]
        for f in ranked[:limit]
    ]
    head = f"Best by {objective} of {len(ranked)} schedules and tiles, all evaluated in "
    refused = f" Refused: {', '.join(found.refused)}." if found.refused else ""
    return page(
        title,
        paragraph(f"{head}{found.seconds:.2f} s.{refused}"),
        table(["kernel", "tile", "latency", "energy", "Pareto"], lines, {"latency", "energy"}),
    )
