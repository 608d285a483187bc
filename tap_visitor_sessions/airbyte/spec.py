"""The settings as Airbyte's forms show them."""

from __future__ import annotations

import json
from typing import Any

from tap_visitor_sessions.config import SCHEMA, SENSITIVE, SINGERS

DOCUMENTATION = (
    "https://github.com/tap-visitor-sessions/tap-visitor-sessions/blob/main/docs/airbyte.md"
)
_KEPT = ("title", "description", "default", "enum", "pattern", "minimum", "maximum", "examples")


def specification() -> dict[str, Any]:
    """The ConnectorSpecification."""
    properties = {
        name: _property(name, schema, order)
        for order, (name, schema) in enumerate(SCHEMA["properties"].items())
        if name not in SINGERS
    }
    return {
        "documentationUrl": DOCUMENTATION,
        "supportsIncremental": True,
        "supported_destination_sync_modes": ["append", "overwrite", "append_dedup"],
        "connectionSpecification": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "CallGear, CoMagic and UIS visitor sessions",
            "type": "object",
            "required": list(SCHEMA["required"]),
            "additionalProperties": True,
            "properties": properties,
        },
    }


def _property(name: str, schema: dict[str, Any], order: int) -> dict[str, Any]:
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next(one for one in kinds if one != "null")
    found: dict[str, Any] = {"type": kind, "order": order}
    found |= {key: schema[key] for key in _KEPT if key in schema}
    if kind == "object":  # its form has no free objects: a text of JSON, which we read as well
        found |= {"type": "string", "multiline": True}
        found["description"] += " As JSON."
        found.pop("default", None)
        found["examples"] = [json.dumps(one) for one in schema.get("examples", ())]
    elif kind == "array":
        found["items"] = {"type": schema["items"]["type"]}
    if name in SENSITIVE:
        found["airbyte_secret"] = True
    return found
