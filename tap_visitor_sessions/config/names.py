"""Columns and members of a JSON Schema by name: `visitor_id`, `hits.hit_url`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

Schema = Mapping[str, Any]


def node_of(schema: Schema, name: str) -> dict[str, Any] | None:
    """The schema of a column or of a member; None where there is none."""
    node: dict[str, Any] | None = dict(schema)
    for step in name.split("."):
        node = members_of(node or {}).get(step)
    return node


def members_of(node: Schema) -> dict[str, Any]:
    """The members of an object, or of the objects that an array holds."""
    found: dict[str, Any] = node.get("items", node).get("properties", {})
    return found


def all_names(schema: Schema) -> Iterator[str]:
    """All columns, each followed by its members."""
    for name, node in schema["properties"].items():
        yield name
        yield from (f"{name}.{member}" for member in members_of(node))


def unknown_name(name: str, known: Iterable[str]) -> str:
    """What to say of a name that there is not, with the nearest that there is."""
    near = get_close_matches(name[:100], list(known), n=1)
    meant = f": did you mean {near[0]}?" if near else ""
    return f"there is no column or member {name[:100]}{meant}"
