"""The tables as dlt is told of them: columns, keys, and the tables of members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import KEY, STREAM
from tap_visitor_sessions.sessions import kind_of

CHILDREN = ("hits", "communications")
"""Columns whose items can be rows of a table of their own."""
SESSION, POSITION, REMOVED = "session_id", "position", "_dlt_removed"
"""Columns of such a table: whose row it is, the which-eth, from 0, and that there is none."""

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


def child_keys(key: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that name the session in such a table, from the key of the sessions."""
    return tuple(SESSION if name == KEY else name for name in key)


def child_schema(schema: Mapping[str, Any], column: str, key: tuple[str, ...]) -> dict[str, Any]:
    """The JSON Schema of a row of a table of members."""
    whole = {"type": ["integer", "null"]}
    others = {name: schema["properties"][name] for name in key if name != KEY}
    return {
        "properties": {
            **others,
            SESSION: {**whole, "description": "`id` of its session."},
            POSITION: {**whole, "description": "Which it is of the session's, from 0."},
            REMOVED: {
                "type": ["boolean", "null"],
                "description": "Null. On the way it marks sessions that have none: what was loaded "
                "of them before goes.",
            },
            **schema["properties"][column]["items"]["properties"],
        }
    }


def days_hints(schema: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    """dlt's hints of the table of days."""
    columns = columns_of(schema, key)
    columns["date"]["data_type"] = "date"
    return {"columns": columns, "primary_key": list(key)}


def child_hints(child: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    """dlt's hints of such a table: all rows of a session that is read again are replaced."""
    keys = child_keys(key)
    columns = columns_of(child, (*keys, POSITION))
    columns[REMOVED]["hard_delete"] = True
    return {
        "columns": columns,
        "primary_key": [*keys, POSITION],
        "merge_key": list(keys),
    }


def check_types(
    table: str, hints: Mapping[str, Mapping[str, Any]], loaded: Mapping[str, Mapping[str, Any]]
) -> None:
    """Whether what is read can go into the columns of a table that was loaded before: a load that
    fails would stay pending, and each further run try it again.

    Args:
        table: Its name.
        hints: The columns as they are read now.
        loaded: As they were loaded.

    Raises:
        ConfigError: a hash would go into a column of numbers, or numbers into one of hashes.
    """
    for name, hint in hints.items():
        was, is_ = loaded.get(name, {}).get("data_type"), hint.get("data_type")
        if was and is_ and was != is_ and {was, is_} != {"json", "text"}:
            raise ConfigError(
                "hash_columns",
                f"{name} is {was} in the table {table} that was loaded, and would be {is_} now: "
                'run once with refresh="drop_resources", which reads all anew, or give the '
                "resource a table_name or the pipeline a dataset_name of its own",
            )
