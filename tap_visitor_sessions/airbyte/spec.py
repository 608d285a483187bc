"""The settings as Airbyte's forms show them."""

from __future__ import annotations

import json
from typing import Any

from tap_visitor_sessions.airbyte.config import CREDENTIALS, KIND, WAYS
from tap_visitor_sessions.config import SCHEMA, SENSITIVE, SINGERS

DOCUMENTATION = (
    "https://github.com/tap-visitor-sessions/tap-visitor-sessions/blob/main/docs/airbyte.md"
)
_KEPT = (
    *("title", "description", "default", "enum", "pattern", "examples"),
    *("minimum", "exclusiveMinimum", "maximum", "maxLength"),
)
_DATES = ("start_date", "end_date")
_TITLES = {"access_token": "API key", "login": "Login and password"}


def specification() -> dict[str, Any]:
    """The ConnectorSpecification."""
    properties = {
        name: _property(name, schema, order)
        for order, (name, schema) in enumerate(SCHEMA["properties"].items(), start=1)
        if name not in SINGERS
    }
    choice = _choice(properties)
    for names in WAYS.values():
        for name in names:  # taken as before, and kept secret; the form shows the choice
            properties[name]["airbyte_hidden"] = True
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
            "properties": {CREDENTIALS: choice, **properties},
        },
    }


def _choice(properties: dict[str, Any]) -> dict[str, Any]:
    """Either the key, or login and password."""
    ways = [
        {
            "title": _TITLES[kind],
            "type": "object",
            "required": [KIND, *names],
            "properties": {
                KIND: {"type": "string", "const": kind, "default": kind, "order": 0},
                **{
                    name: {**properties[name], "order": order}
                    for order, name in enumerate(names, start=1)
                },
            },
        }
        for kind, names in WAYS.items()
    ]
    return {
        "title": "Authentication",
        "description": "A key from the client area, or login and password of a user with the "
        "right to the API.",
        "type": "object",
        "order": 0,
        "always_show": True,
        "oneOf": ways,
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
    if name in _DATES:  # what the form's picker of date and time makes
        found["format"] = "date-time"
        found["pattern_descriptor"] = "YYYY-MM-DDTHH:MM:SSZ"
        found["examples"] = [one for one in found["examples"] if one[10:] and one[19:]]
    if name in SENSITIVE:
        found["airbyte_secret"] = True
    return found
