"""Values for each setting."""

from __future__ import annotations

from typing import Any

from tap_visitor_sessions.config.parsing import kind_of
from tap_visitor_sessions.config.settings import PROPERTIES

PREFIX = "TAP_VISITOR_SESSIONS_"


def value_of(name: str) -> Any:
    """A value of a setting, other than its default, that its declaration allows."""
    schema = PROPERTIES[name]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != schema.get("default"))
    return {
        "integer": schema.get("minimum", 0) + 2,
        "number": 30.5,
        "boolean": True,
        "array": [11, 21],
    }[kind_of(schema)]
