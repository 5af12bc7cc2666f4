"""What there is: machines, cascades, mappings, kernels, scenarios and others, listed or explained.

Each kind has a list of names with a line on each, and a door to one of them. An answer is a pair:
the JSON document, and the text for people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from einfall.report.text import facts, page, paragraph

Shown: TypeAlias = "tuple[dict[str, Any], str]"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of things: what there is of it, and one of them by name or path."""

    about: str
    lines: Callable[[], Mapping[str, str]]
    one: Callable[[str], Shown]


def show(kind: str, name: str | None) -> Shown:
    """The answer of `show KIND [NAME]`.

    Args:
        kind: A key of `KINDS`.
        name: A name or a path; without one, everything of the kind is listed.

    Raises:
        ValueError: There is none of that name, or its file has mistakes; with the close matches.
    """
    if name is not None:
        return KINDS[kind].one(name)
    lines = KINDS[kind].lines()
    record = {kind: [{"name": each, "about": about} for each, about in lines.items()]}
    if not lines:
        return record, f"{kind}: none; {KINDS[kind].about}"
    return record, f"{kind}: {KINDS[kind].about}\n" + facts(lines.items())


# Machines -----------------------------------------------------------------------------------------


def _machines() -> dict[str, str]:
    from einfall import hw_models

    return {name: hw_models.load(name).about for name in hw_models.names()}


def _machine(name: str) -> Shown:
    from einfall.hw_models import load
    from einfall.report.machine import machine_record, machine_text

    machine = load(name)
    return machine_record(machine), machine_text(machine)


# Cascades -----------------------------------------------------------------------------------------


def _cascades() -> dict[str, str]:
    from einfall import einsum_cascades
    from einfall.einsum_cascades.passes import taxonomy

    cascades = map(einsum_cascades.load, einsum_cascades.names())
    return {c.name: f"{c.about} ({taxonomy(c)})" for c in cascades}


def _cascade(name: str) -> Shown:
    from einfall.einsum_cascades import load
    from einfall.report.analysis import cascade_record, cascade_text

    record = cascade_record(load(name))
    return record, cascade_text(record)


# Masks --------------------------------------------------------------------------------------------


def _masks() -> dict[str, str]:
    from einfall.einsum_cascades.masks.catalogue import families

    return {name: about for name, (_, about) in families().items()}


def _mask(name: str) -> Shown:
    from einfall.einsum_cascades.checks import hint
    from einfall.einsum_cascades.masks import MaskError
    from einfall.einsum_cascades.masks.catalogue import FAMILIES, families

    if name not in FAMILIES:
        way_out = hint(name, FAMILIES, f"there are {', '.join(FAMILIES)}")
        raise MaskError([f"mask: wanted a family of masks, found {name!r}; {way_out}"])
    form, about = families()[name]
    record = {"name": name, "form": form, "about": about}
    legend = "N is a number; what stands in brackets may be left out."
    return record, page(f"{name}: {about}", f"  {form}", legend)


# Mappings -----------------------------------------------------------------------------------------


def _mappings() -> dict[str, str]:
    from einfall.sim import choice, mapping

    files = {name: mapping.load(name).about for name in mapping.names()}
    known = {**files, **choice.FAMILIES}
    return {name: known[name] for name in choice.names()}


def _mapping(name: str) -> Shown:
    from pathlib import Path

    from einfall.sim import choice, mapping

    if name in choice.FAMILIES:
        about = choice.FAMILIES[name]
        text = paragraph(f"{name}: a family, made for the shape at hand. {about}")
        return {"name": name, "about": about, "family": True, "text": None}, text
    known_mapping(name)
    found = mapping.load(name)
    path = mapping.MAPPINGS / f"{name}.yaml" if name in mapping.names() else Path(name)
    text = path.read_text(encoding="utf-8")
    record = {
        "name": found.name,
        "about": found.about,
        "source": found.source,
        "cascades": list(found.cascades),
        "family": False,
        "text": text,
    }
    return record, text.rstrip()


def known_mapping(name: str) -> None:
    """Refuse a name that is neither a mapping that ships, nor a family, nor a path.

    Raises:
        SpecError: With the closest name.
    """
    from pathlib import Path

    from einfall.einsum_cascades.checks import hint
    from einfall.hw_models import SpecError
    from einfall.sim import choice

    if name not in choice.names() and Path(name).suffix not in (".yaml", ".yml"):
        known = choice.names()
        way_out = hint(name, known, f"there are {', '.join(known)}")
        raise SpecError([f"mapping: wanted a name or a file.yaml, found {name!r}; {way_out}"])


# Tilings of 4f systems ----------------------------------------------------------------------------


def _tilings() -> dict[str, str]:
    from einfall.sim.optical.mapping import ABOUT

    return dict(ABOUT)


def _tiling(name: str) -> Shown:
    from einfall.sim.optical.mapping import ABOUT, options, parse_mapping

    word = parse_mapping(name).name.partition(":")[0]
    record = {"name": word, "about": ABOUT[word], "options": options()}
    form = ",".join(f"{key}={'|'.join(values)}" for key, values in options().items())
    legend = "Options may be left out; the first value of each goes without saying."
    return record, page(f"{word}: {ABOUT[word]}", f"  {word}:{form}", legend)


# Kernels ------------------------------------------------------------------------------------------


def _kernels() -> dict[str, str]:
    from einfall.sim.gpu import schedule

    kernels = map(schedule.load, schedule.names())
    return {k.kernel: f"{k.title}: {', '.join(k.generations)}" for k in kernels}


def _kernel(name: str) -> Shown:
    from einfall.report.kernels import kernel_record, kernel_text
    from einfall.sim.gpu.schedule import load

    record = kernel_record(load(name))
    return record, kernel_text(record)


# Scenarios and models -----------------------------------------------------------------------------


def _scenarios() -> dict[str, str]:
    from einfall import scenarios

    return {name: scenarios.load(name).about for name in scenarios.names()}


def _scenario(name: str) -> Shown:
    from importlib.resources import files
    from pathlib import Path

    from einfall import scenarios

    scenario = scenarios.load(name)
    shipped = files("einfall.scenarios.library").joinpath(f"{name}.yaml")
    file = shipped if name in scenarios.names() else Path(name)
    text = file.read_text(encoding="utf-8")
    return {"name": scenario.name, "about": scenario.about, "text": text}, text.rstrip()


def _models() -> dict[str, str]:
    from einfall.scenarios import workloads

    found = workloads.load()
    return {
        name: f"heads={m.heads},head_dim={m.head_dim},model_dim={m.model_dim},ffn_dim={m.ffn_dim}"
        for name, m in found.models.items()
    }


def _model(name: str) -> Shown:
    from einfall.scenarios import workloads

    found = workloads.load()
    widths = found.model(name).model_dump()
    source = found.sources.get(f"models.{name}.heads")
    record = {"name": name, "batch": found.batch, **widths, "source": source and source.text}
    pairs = [(key, str(value)) for key, value in record.items() if key != "name" and value]
    heads, width = widths["heads"], widths["head_dim"]
    usage = f"--shape batch={found.batch},heads={heads},queries=4K,head_dim={width}"
    return record, page(f"{name}, one encoder layer", facts(pairs), f"Attention: {usage}")


# Schemas ------------------------------------------------------------------------------------------


def _schemas() -> dict[str, str]:
    return {"scenario": "of scenario files; einfall show schemas scenario > scenario.schema.json"}


def _schema(name: str) -> Shown:
    from einfall.hw_models.yaml_door import SpecError, did_you_mean
    from einfall.scenarios.schema import json_schema

    if name not in _schemas():
        hint = did_you_mean(name, _schemas())
        raise SpecError([f"schema: want one of {', '.join(_schemas())}, found {name!r}{hint}"])
    record = json_schema()
    return record, json.dumps(record, indent=2)


KINDS: Mapping[str, Kind] = {
    "machines": Kind("what `--on` takes; a file.yaml does, too", _machines, _machine),
    "cascades": Kind("what is estimated; a file of your own is, too", _cascades, _cascade),
    "masks": Kind("what `--mask` takes, and a & b, a | b, ~a of them", _masks, _mask),
    "mappings": Kind("what `--mapping` takes; a file.yaml does, too", _mappings, _mapping),
    "tilings": Kind("what `--mapping` takes on a 4f optical system", _tilings, _tiling),
    "kernels": Kind("schedules of GPU kernels, with what was fitted", _kernels, _kernel),
    "scenarios": Kind("what `run` takes; a file.yaml does, too", _scenarios, _scenario),
    "models": Kind("widths of the transformers of the scenarios", _models, _model),
    "schemas": Kind("JSON schemas, by which editors complete and check files", _schemas, _schema),
}
"""Everything that `show` knows."""
