"""The JSON Schema as SCHEMA announces it to a loader.

Loaders make a column's type of what stands beside each other in its schema. target-postgres makes
`jsonb[]` of an array whose items are objects, which loads slowly and which `jsonb_array_elements`
does not take; without `items` beside `type` it makes `jsonb`. The others make their JSON type of
any array. So the items go one step down, where JSON Schema reads them just the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def for_loaders(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A record's schema that allows the same records, its arrays in a database's JSON type."""
    columns = schema.get("properties", {})
    return {**schema, "properties": {name: _column(column) for name, column in columns.items()}}


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    if "items" not in column:
        return dict(column)
    rest = {key: value for key, value in column.items() if key != "items"}
    # With its type, which the SDK looks for in each of allOf.
    whole = {key: column[key] for key in ("type", "items") if key in column}
    return {**rest, "allOf": [*column.get("allOf", ()), whole]}
