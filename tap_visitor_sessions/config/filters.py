"""Validation of the `filter` setting against what the API allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tap_visitor_sessions.config.schema import columns

MAX_DEPTH = 200
"""How many conditions may be nested in each other, the innermost counted in."""

_SCALAR = ("=", "!=")
_ORDER = ("<", ">", "<=", ">=")
OPERATORS: dict[str, tuple[str, ...]] = {
    "number": (*_SCALAR, *_ORDER, "in"),
    "string": (*_SCALAR, "like", "regexp", "in"),
    "enum": (*_SCALAR, "in"),
    "object": ("jsquery",),
    "array": ("jsquery",),
}
"""The operators that fit each type of the API."""

_CONDITION_KEYS = ("field", "operator", "value")
_GROUP_KEYS = ("filters", "condition")
_OPTIONAL = ("value",)
"""Keys that may be left out: the value is then empty."""


def filter_problems(tree: object) -> list[str]:
    """Say in one line each, path first, what the API would not accept in a filter."""
    return list(_node(tree, "filter", 1))


def _node(node: object, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"{path}: nested deeper than {MAX_DEPTH} levels"
    elif not isinstance(node, dict):
        yield f"{path}: must be an object, not {_kind(node)}"
    elif any(key in node for key in _GROUP_KEYS):
        yield from _keys(node, path, _GROUP_KEYS)
        yield from _group(node, path, depth)
    else:
        yield from _keys(node, path, _CONDITION_KEYS)
        yield from _condition(node, path)


def _keys(node: dict[Any, Any], path: str, wanted: tuple[str, ...]) -> Iterator[str]:
    for key in wanted:
        if key not in node and key not in _OPTIONAL:
            yield f"{path}: {key!r} is missing"
    for key in node:
        if key not in wanted:
            yield f"{path}: unknown key {_shown(key)}: the keys are {', '.join(wanted)}"


def _group(node: dict[Any, Any], path: str, depth: int) -> Iterator[str]:
    if "condition" in node and node["condition"] not in ("and", "or"):
        yield f"{path}.condition: must be 'and' or 'or', not {_shown(node['condition'])}"
    if "filters" not in node:
        return
    filters = node["filters"]
    if not isinstance(filters, list):
        yield f"{path}.filters: must be an array, not {_kind(filters)}"
    elif not filters:
        yield f"{path}.filters: must not be empty"
    else:
        for index, child in enumerate(filters):
            yield from _node(child, f"{path}.filters[{index}]", depth + 1)


def _condition(node: dict[Any, Any], path: str) -> Iterator[str]:
    if "field" not in node:
        return
    name = node["field"]
    column = columns().get(name) if isinstance(name, str) else None
    if column is None:
        yield f"{path}.field: unknown field {_shown(name)}{_meant(name)}"
        return
    if name == "date_time":
        yield (
            f"{path}.field: 'date_time' cannot be filtered: "
            "the span is set by start_date and end_date"
        )
        return
    if not column.filterable:
        yield f"{path}.field: the API does not filter by {name!r}"
        return
    if "operator" not in node:
        return
    operator = node["operator"]
    fitting = OPERATORS[column.api_type]
    if operator not in fitting:
        yield (
            f"{path}.operator: {_shown(operator)} does not fit {name} ({column.api_type}): "
            f"use {'one of ' if len(fitting) > 1 else ''}{', '.join(fitting)}"
        )
        return
    if "value" in node:
        yield from _value(node["value"], operator, column.api_type, f"{path}.value")


def _value(value: object, operator: str, api_type: str, path: str) -> Iterator[str]:
    wanted = "a number" if api_type == "number" else "a string"
    if operator == "in":
        if not isinstance(value, list):
            yield f"{path}: 'in' needs an array, each item {wanted}, not {_kind(value)}"
        elif not value:
            yield f"{path}: 'in' needs an array that is not empty"
        else:
            for index, item in enumerate(value):
                if not _fits(item, api_type):
                    yield f"{path}[{index}]: must be {wanted}, not {_kind(item)}"
    elif value is None:
        if operator not in _SCALAR:
            yield f"{path}: null fits only the operators = and !=, not {operator!r}"
    elif not _fits(value, api_type):
        yield f"{path}: must be {wanted}, not {_kind(value)}"


def _fits(value: object, api_type: str) -> bool:
    """Whether a value other than null can be compared with a column of this type."""
    if api_type != "number":
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _shown(name: object) -> str:
    """A name as a short text on one line; of what is none only the kind."""
    if isinstance(name, str):
        return repr(name if len(name) <= 40 else f"{name[:40]}...")
    return _kind(name)


def _kind(value: object) -> str:
    """What a value is: it may be a visitor's."""
    if value is None:
        return "null"
    kinds: dict[type, str] = {
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "an array",
        dict: "an object",
    }
    return kinds.get(type(value), type(value).__name__)


def _meant(name: object) -> str:
    """The known field nearest to a name, as the end of a message."""
    if not isinstance(name, str):
        return ""
    from difflib import get_close_matches

    known = [column.name for column in columns().values() if column.filterable]
    close = get_close_matches(name[:100], known, n=1)
    return f": did you mean {close[0]!r}?" if close else ""
