"""Evaluation of the API's filter trees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.columns import COLUMNS, FILTERABLE, kind

Row = Mapping[str, Any]
Test = Callable[[Row], bool]
OPERATORS = {
    "number": {"=", "!=", "<", ">", "<=", ">=", "in"},
    "string": {"=", "!=", "like", "regexp", "in"},
    "enum": {"=", "!=", "in"},
    "object": {"jsquery"},
    "array": {"jsquery"},
}


class Refused(Exception):
    """A request that the API refuses."""

    def __init__(self, mnemonic: str, field: str | None = None, value: Any = None) -> None:
        super().__init__(mnemonic)
        self.mnemonic, self.field, self.value = mnemonic, field, value


def compiled(tree: Any) -> Test:
    """A function that tells whether a row passes the tree.

    Raises:
        Refused: the tree is malformed, or names a field or operator that is not allowed.
    """
    if not isinstance(tree, dict):
        raise Refused("data_type_error", "filter", tree)
    if "filters" in tree or "condition" in tree:
        parts, condition = tree.get("filters"), tree.get("condition")
        if set(tree) != {"filters", "condition"} or condition not in ("and", "or"):
            raise Refused("invalid_parameter_value", "filter.condition", condition)
        if not isinstance(parts, list) or not parts:
            raise Refused("invalid_parameter_value", "filter.filters", parts)
        tests = [compiled(part) for part in parts]
        join = all if condition == "and" else any
        return lambda row: join(test(row) for test in tests)
    if set(tree) - {"value"} != {"field", "operator"}:
        raise Refused("invalid_parameter_value", "filter", sorted(tree))
    return _condition(tree["field"], tree["operator"], tree.get("value"))


def _condition(field: Any, operator: Any, value: Any) -> Test:
    if field not in COLUMNS:
        raise Refused("unexpected_parameters", "filter.field", field)
    if field not in FILTERABLE:
        raise Refused("filter_prohibited", "filter.field", field)
    if operator not in OPERATORS[kind(field)]:
        raise Refused("invalid_parameter_value", "filter.operator", operator)
    if operator == "jsquery":
        return _jsquery(field, value)
    _check_value(field, operator, value)
    if operator == "=":
        return lambda row: bool(row[field] == value)
    if operator == "!=":
        return lambda row: bool(row[field] != value)
    if operator == "in":
        return lambda row: row[field] in value
    if operator in ("like", "regexp"):
        pattern = re.compile(_like(value) if operator == "like" else value, re.DOTALL)
        match = pattern.fullmatch if operator == "like" else pattern.search
        return lambda row: row[field] is not None and match(row[field]) is not None
    compare: Callable[[Any, Any], bool] = {
        "<": lambda a, b: a < b,
        ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b,
        ">=": lambda a, b: a >= b,
    }[operator]
    return lambda row: row[field] is not None and compare(row[field], value)


def _jsquery(field: str, value: Any) -> Test:
    """`member = "text"` of an object, or of any item of an array; nothing more of the language."""
    found = re.fullmatch(
        r'(?:#\.)?(\w+)\s*=\s*"?([^"]*)"?', value if isinstance(value, str) else ""
    )
    if found is None:
        raise Refused("invalid_parameter_value", "filter.value", value)
    member, text = found.groups()

    def test(row: Row) -> bool:
        held = row[field] or []
        items = held if isinstance(held, list) else [held]
        return any(str(item.get(member)) == text for item in items)

    return test


def _check_value(field: str, operator: str, value: Any) -> None:
    if value is None and operator in ("=", "!="):
        return
    wanted: tuple[type, ...] = (int, float) if kind(field) == "number" else (str,)
    values = value if operator == "in" and isinstance(value, list) else [value]
    if operator == "in" and (not isinstance(value, list) or not value):
        raise Refused("data_type_error", "filter.value", value)
    if not all(isinstance(v, wanted) and not isinstance(v, bool) for v in values):
        raise Refused("data_type_error", "filter.value", value)
    if operator == "regexp":
        try:
            re.compile(value)
        except re.error:
            raise Refused("invalid_parameter_value", "filter.value", value) from None


def _like(pattern: str) -> str:
    return "".join(".*" if c == "%" else re.escape(c) for c in pattern)
