"""From a typed struct to the JSON Schema that the SDK, `--about`, Meltano and the hub want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Schema = dict[str, Any]


def json_schema(struct: type[msgspec.Struct]) -> Schema:
    """The JSON Schema of settings: without references, and null wherever none is required."""
    _, parts = msgspec.json.schema_components([struct], ref_template="{name}")
    whole = _plain(parts[struct.__name__], parts)
    return {
        "type": "object",
        "properties": whole["properties"],
        "required": whole.get("required", []),
        "additionalProperties": True,
    }


def _plain(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Schema:
    found = dict(schema)
    if "$ref" in found:
        found = {**parts[found.pop("$ref")], **found}
    if "anyOf" in found:
        options = [_plain(option, parts) for option in found.pop("anyOf")]
        given = [option for option in options if option.get("type") != "null"]
        found = {**(given[0] if len(given) == 1 else {"anyOf": options}), **found}
    if "enum" in found:
        found.setdefault("type", "string")
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _plain(found[key], parts)
    if "properties" in found:
        required = found.get("required", [])
        found["properties"] = {
            name: _member(_plain(member, parts), name in required)
            for name, member in found["properties"].items()
        }
    return found


def _member(schema: Schema, required: bool) -> Schema:
    if schema.get("default") in (None, [], (), {}):
        schema.pop("default", None)
    if not required and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema
