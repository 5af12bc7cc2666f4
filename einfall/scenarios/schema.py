"""The JSON schema of scenario files, by which editors complete and check them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from einfall.scenarios.library import KINDS

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_BASE = {"type": "string", "description": "A scenario that ships, or a file, to inherit from."}


def json_schema() -> dict[str, Any]:
    """The schema of a scenario of any kind, by its `kind`; with `base: …` nothing else is needed.

    >>> sorted(json_schema()["$defs"]["Sweep"]["properties"])[:3]
    ['about', 'accounting', 'answers']
    """
    models: Any = [(model, "validation") for model in KINDS.values()]
    by_model, shared = models_json_schema(models, by_alias=True, ref_template="#/$defs/{model}")
    definitions = shared["$defs"]
    names = {model: by_model[model, "validation"]["$ref"].rpartition("/")[2] for model, _ in models}
    for name in names.values():
        definitions[name] = _with_base(definitions[name])
    return {
        "$schema": DRAFT,
        "title": "einfall scenario",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in names.values()],
        "$defs": _quantities(definitions),
    }


def _quantities(schema: Any) -> Any:  # noqa: ANN401  any part of a schema
    """The schema where every number may also be text with a unit: `2.5 ms`."""
    if isinstance(schema, list):
        return [_quantities(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _quantities(part) for key, part in schema.items()}
    return found | ({"type": ["number", "string"]} if found.get("type") == "number" else {})


def _with_base(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a kind, whose fields but `kind` may also stand in its base."""
    required = [name for name in schema.get("required", []) if name != "kind"]
    return {
        **schema,
        "properties": {"base": _BASE, **schema["properties"]},
        "required": ["kind"],
        "anyOf": [{"required": ["base"]}, {"required": required}],
    }
