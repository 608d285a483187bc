"""The tables as dlt is told of them: columns, keys, and the tables of members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.config import KEY, STREAM
from tap_visitor_sessions.sessions import kind_of

CHILDREN = ("hits", "communications")
"""Columns whose items can be rows of a table of their own."""
SESSION, POSITION = "session_id", "position"
"""Columns of such a table: whose row it is, and the which-eth, from 0."""

CHILD_KEY = (SESSION, POSITION)

_TYPES = {
    "integer": "bigint",
    "number": "double",
    "boolean": "bool",
    "string": "text",
    "date-time": "timestamp",
    "array": "json",
    "object": "json",
}


def columns_of(schema: Mapping[str, Any], key: tuple[str, ...] = ()) -> dict[str, Any]:
    """dlt's column hints for the columns of a JSON Schema; nested ones are JSON."""
    return {
        name: {
            "name": name,
            "data_type": _TYPES[kind_of(declared)],
            "nullable": name not in key and "null" in declared["type"],
            "description": declared.get("description", ""),
            **({"timezone": True} if kind_of(declared) == "date-time" else {}),
        }
        for name, declared in schema["properties"].items()
    }


def child_table(column: str) -> str:
    """Its name."""
    return f"{STREAM}__{column}"


def child_schema(schema: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The JSON Schema of a row of a table of members."""
    whole = {"type": "integer"}
    return {
        "properties": {
            SESSION: {**whole, "description": f"`{KEY}` of its session in `{STREAM}`."},
            POSITION: {**whole, "description": "Which it is of the session's, from 0."},
            **schema["properties"][column]["items"]["properties"],
        }
    }
