"""Which columns and members never leave: the setting `exclude_columns`. Pure."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tap_visitor_sessions.config.names import all_names, members_of, node_of, unknown_name
from tap_visitor_sessions.config.schema import BOOKMARK

SETTING = "exclude_columns"


def without(schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A record's JSON Schema that lacks the named columns and members, and columns of which no
    member is left."""
    result = copy.deepcopy(dict(schema))
    columns = result["properties"]
    for name in names:
        column, _, member = name.partition(".")
        if not member:
            columns.pop(column, None)
        elif column in columns:
            members = members_of(columns[column])
            members.pop(member, None)
            if not members:
                del columns[column]
    return result


def excluded_members(names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Those of the names that are members, by their column."""
    found: dict[str, frozenset[str]] = {}
    for name in names:
        column, _, member = name.partition(".")
        if member:
            found[column] = found.get(column, frozenset()) | {member}
    return found


def exclude_problems(
    names: Sequence[str], schema: Mapping[str, Any], key: Collection[str]
) -> Iterator[str]:
    """A line for each name that cannot be left out, beginning with the setting's.

    Args:
        schema: A record's JSON Schema with all columns.
        key: The columns of the key.
    """
    for name in names:
        if name in (*key, BOOKMARK):
            yield f"{SETTING}: {name} is the stream's own key or bookmark, and cannot be left out"
        elif node_of(schema, name) is None:
            yield f"{SETTING}: {unknown_name(name, all_names(schema))}"
