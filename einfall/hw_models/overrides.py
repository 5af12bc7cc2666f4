"""What if: any value of a spec set anew, as a quantity (`5TB/s`), a factor (`2x`) or `+10%`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from einfall.hw_models.yaml_door import (
    Keys,
    Source,
    SpecError,
    SpecT,
    did_you_mean,
    dotted,
    explain,
    names_at,
    read_document,
    short,
)

_FACTOR = re.compile(r"(\d+\.?\d*|\.\d+)x")
_SHARE = re.compile(r"([+-]\d+\.?\d*)%")


def read_overrides(texts: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Read `path=value` texts, as `--set` takes them; a mapping has been read already.

    Raises:
        SpecError: A text without path, `=` or value, or a path that is set twice.

    >>> read_overrides(["dram.bandwidth=5TB/s", "clock=+10%"])
    {'dram.bandwidth': '5TB/s', 'clock': '+10%'}
    """
    if isinstance(texts, Mapping):
        return dict(texts)
    found: dict[str, str] = {}
    problems: list[str] = []
    for text in texts:
        path, _, value = (part.strip() for part in text.partition("="))
        if not (path and value):
            problems.append(f"--set: want path=value, such as dram.bandwidth=2x, found {text!r}")
        elif path in found:
            problems.append(f"--set {path}: want one value, found {found[path]!r} and {value!r}")
        found.setdefault(path, value)
    if problems:
        raise SpecError(problems)
    return found


def with_overrides(spec: SpecT, overrides: Mapping[str, str | float | np.ndarray]) -> SpecT:
    """The spec with some of its values set anew, all of it checked again.

    Args:
        spec: A machine, or any other spec, without arrays in it yet.
        overrides: New value by the dotted path of the YAML file: text with its unit (`5 TB/s`), a
            factor of the value there (`2x`), a share more or less (`+10%`, `-5%`), fields in
            braces (`{energy: 95 pJ, area: 8240 um^2}`), a plain number in base units, or for a
            sweep an array of such numbers, which is checked by its smallest.

    Returns:
        A new spec; the source of what was set is an assumption, "set by user".

    Raises:
        SpecError: All unknown paths and wrong values at once, each as `--set path: wanted, found`.

    >>> from einfall.hw_models import load
    >>> twice = with_overrides(load("fusemax_cloud"), {"dram.bandwidth": "2x"})
    >>> twice.dram.bandwidth_bytes_per_s / 2**30, str(twice.sources["dram.bandwidth"])
    (800.0, 'assumption: set by user: 2x')
    """
    model = type(spec)
    data = spec.model_dump(by_alias=True, exclude_none=True, warnings=False)
    arrays: dict[Keys, np.ndarray] = {}
    problems: list[str] = []
    for path, value in overrides.items():
        keys = tuple(path.split("."))
        if isinstance(value, np.ndarray):
            arrays[keys], value = value, value.min().item()
        try:
            _put(data, model, keys, value)
        except ValueError as error:
            problems.append(f"--set {path}: {error}")
    try:
        changed = model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        found = explain(error, model, data)
        raise SpecError([*problems, *(f"--set {dotted(k)}: {text}" for k, text in found)]) from None
    if problems:
        raise SpecError(problems)
    for keys, array in arrays.items():
        changed = _replaced(changed, keys, array)
    return changed.with_sources(_sources(spec.sources, overrides))


def _put(data: dict[str, Any], model: type[BaseModel], keys: Keys, value: str | float) -> None:
    """Set one value in the data of a spec, in place."""
    here: Any = data
    for n, key in enumerate(keys):
        if not isinstance(here, dict):
            at = dotted(keys[:n])
            raise ValueError(f"want a field, but {at} is {here!r} and has none: set {at} itself")
        names = sorted({*names_at(model, keys[:n]), *here})
        is_new_name = n == len(keys) - 1 and not names_at(model, keys[:n])
        if key not in names and not is_new_name:
            known = ", ".join(names)
            raise ValueError(f"want one of {known}, found {key!r}{did_you_mean(key, names)}")
        if n < len(keys) - 1:
            here = here.setdefault(key, {})
    here[keys[-1]] = _new_value(value, here.get(keys[-1]))


def _new_value(value: str | float, old: object) -> object:
    """What an override puts in the place of the old value; text is read by the spec itself."""
    if not isinstance(value, str):
        return value
    factor, share = _FACTOR.fullmatch(value), _SHARE.fullmatch(value)
    if factor or share:
        if not isinstance(old, int | float):
            raise ValueError(f"want a number there for {value!r} to scale, found {short(old)}")
        return old * (float(factor[1]) if factor else 1 + float(share[1]) / 100 if share else 1)
    if value.startswith(("{", "[")):
        try:
            return read_document(f"value: {value}").data["value"]
        except SpecError:
            wanted = "{energy: 95 pJ, area: 8240 um^2}"
            raise ValueError(f"want fields in braces, such as {wanted}, found {value!r}") from None
    return value


def _replaced(spec: Any, keys: Keys, value: object) -> Any:  # noqa: ANN401  specs and mappings
    """A copy of a spec, or of a mapping of specs, with one value replaced, unchecked."""
    key, rest = keys[0], keys[1:]
    if isinstance(spec, Mapping):
        return {**spec, key: _replaced(spec[key], rest, value) if rest else value}
    fields = type(spec).model_fields
    name = next(n for n, field in fields.items() if key == (field.alias or n))
    new = _replaced(getattr(spec, name), rest, value) if rest else value
    return spec.model_copy(update={name: new})


def _sources(known: Mapping[str, Source], overrides: Mapping[str, Any]) -> dict[str, Source]:
    """The sources, those of all that was set replaced by what the user said."""
    kept = {
        path: source
        for path, source in known.items()
        if not any(path == new or path.startswith(f"{new}.") for new in overrides)
    }
    return kept | {p: Source("assumption", f"set by user: {v}") for p, v in overrides.items()}
