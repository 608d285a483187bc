"""Which values are hashed before they leave: names of columns and members, and their schema."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tap_visitor_sessions.config.names import all_names, members_of, node_of, unknown_name
from tap_visitor_sessions.config.schema import BOOKMARK, KEY, stream_schema

SETTING, SECRET = "hash_columns", "hash_key"
_HASH = {"type": ["string", "null"]}


def hashed_schema(schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A record's JSON Schema in which the named values are texts."""
    result = copy.deepcopy(dict(schema))
    for name in names:
        if node := node_of(result, name):
            leaf = node.get("items", node)
            leaf.pop("format", None)
            leaf |= _HASH
            node["description"] = f"{node.get('description', '')} Hashed: HMAC-SHA-256.".strip()
    return result


def hash_problems(names: Sequence[str], key: str | None) -> Iterator[str]:
    """A line for each thing that cannot work, beginning with the setting's name."""
    schema = stream_schema()
    for name in names:
        if name in (KEY, BOOKMARK):
            yield f"{SETTING}: {name} is the stream's own key or bookmark, and stays as it is"
        elif (node := node_of(schema, name)) is None:
            yield f"{SETTING}: {unknown_name(name, all_names(schema))}"
        elif members := members_of(node):
            first = next(iter(members))
            yield f"{SETTING}: {name} holds members: name those, such as {name}.{first}"
    if names and key is None:
        yield f"{SECRET}: is required with {SETTING}"
    elif key is not None and not names:
        # Or a misspelled name of the setting would leave all in clear text.
        yield f"{SETTING}: is required with {SECRET}"
