"""Which values are hashed before they leave: names of columns and members, and their schema."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tap_visitor_sessions.config.names import all_names, members_of, node_of, unknown_name
from tap_visitor_sessions.config.schema import ADDED, BOOKMARK, KEY, stream_schema

SETTING, SECRET = "hash_columns", "hash_key"
SHORTEST_KEY = 16
"""Characters: fewer can be tried one after the other."""
_MAKE = "make one with `openssl rand -hex 32`"
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


def hash_problems(
    names: Sequence[str], key: str | None, examples: Collection[str] = ()
) -> Iterator[str]:
    """A line for each thing that cannot work, beginning with the setting's name.

    Args:
        examples: Keys that everybody knows.
    """
    schema = stream_schema()
    for name in names:
        if name in (KEY, BOOKMARK):
            yield f"{SETTING}: {name} is the stream's own key or bookmark, and stays as it is"
        elif name in ADDED:
            yield f"{SETTING}: {name} is the stream's own, and stays as it is"
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
    if key is None:
        return
    if key.strip() in examples:
        yield f"{SECRET}: is the example of the documentation, which everybody knows: {_MAKE}"
    elif len(key.strip()) < SHORTEST_KEY:
        yield f"{SECRET}: must have {SHORTEST_KEY} characters or more, or it is guessed: {_MAKE}"
    elif key != key.strip():
        # Not taken away: it would be another key than that of the hashes in a table of before.
        yield f"{SECRET}: begins or ends with white space, such as a line end: take it away"
