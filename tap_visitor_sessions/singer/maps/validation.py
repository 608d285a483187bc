"""Stream maps: checked before anything is read, and one line for what fails on a record.

The SDK evaluates an expression when a record is there, and ends with a traceback of its own. What
can be told from the expression alone is told here: does it parse, is there what it names.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from fnmatch import fnmatch
from importlib.util import find_spec
from math import isfinite
from typing import Any

from singer_sdk.helpers._flattening import FlatteningOptions
from singer_sdk.mapper import (
    CustomStreamMap,
    PluginMapper,
    RemoveRecordTransform,
    SameRecordTransform,
    StreamMap,
)

from tap_visitor_sessions.api import ConfigError, TapError

NULLS = (None, "__NULL__")
_SPECIAL = frozenset({"_", "record", "config", "__stream_name__", "__original_stream_name__"})
_KEPT = (str, int, float, bool, type(None), dict, list, tuple, date, time, Decimal)
"""Kinds of results that a RECORD can hold; a datetime is a date."""
_EXTRA = "install tap-visitor-sessions[faker]"


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """What the SDK says of a map that it does not take, as one line.

    Raises:
        ConfigError: names the setting.
    """
    try:
        yield
    except TapError:
        raise
    except Exception as problem:  # StreamMapConfigError, TypeError, NotImplementedError ...
        raise ConfigError(setting, _words(problem)) from None


def check_config(config: Mapping[str, Any]) -> None:
    """Check what needs no stream: kinds, syntax, faker.

    Raises:
        ConfigError: names `stream_maps` and map and column, or `faker_config`.
    """
    if config.get("faker_config"):
        _check_faker(config["faker_config"])
    for name, definition in (config.get("stream_maps") or {}).items():
        if name == "__else__":
            if definition not in NULLS:
                raise _problem(name, None, "must be null or __NULL__")
        elif definition in NULLS:
            continue
        elif not isinstance(definition, dict):
            raise _problem(name, None, "must be an object of columns, or null")
        else:
            for column, expression in definition.items():
                _check_kind(name, column, expression)


def change(maps: Sequence[StreamMap], stream: str) -> bool:
    """Whether a stream's maps make other records of its own, or send them to another name."""
    return (
        len(maps) != 1
        or type(maps[0]) is not SameRecordTransform
        or (maps[0].stream_alias != stream)
    )


def check_targets(config: Mapping[str, Any], mapper: PluginMapper) -> None:
    """Check that no two maps of a stream give records of one name.

    Raises:
        ConfigError: each session would come twice; names the maps.
    """
    for stream, maps in mapper.stream_maps.items():
        names = [one.stream_alias for one in maps if not isinstance(one, RemoveRecordTransform)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            of = [
                entry
                for entry, columns in (config.get("stream_maps") or {}).items()
                if isinstance(columns, Mapping) and "__source__" in columns
                if name in (entry, stream)
            ]
            reason = (
                f"with __source__ beside the map of {stream} itself, each session would come twice "
                f"in {name}, once without this map: take __source__ out, or choose another name"
            )
            raise _problem(", ".join(of), None, reason)


def flattening(maps: Sequence[StreamMap]) -> FlatteningOptions | None:
    """How records are flattened; None where they are not."""
    return maps[0].flattening_options if maps[0].flattening_enabled else None


def check_expressions(
    config: Mapping[str, Any], mapper: PluginMapper, columns: Mapping[str, Collection[str]]
) -> None:
    """Check the expressions of maps against the stream that they map.

    Args:
        columns: The selected columns of each stream. Not a map's `raw_schema`: the SDK writes
            into it.

    Raises:
        ConfigError: an expression names what is not there; names map and column.
    """
    for name, definition in (config.get("stream_maps") or {}).items():
        if not isinstance(definition, dict):
            continue
        source = definition.get("__source__", name)
        for stream, maps in mapper.stream_maps.items():
            if fnmatch(stream, source):
                for column, expression in definition.items():
                    if isinstance(expression, str) and _is_expression(column, expression):
                        _check_names(name, column, expression, maps, columns[stream], config)


def name_failures(mapper: PluginMapper) -> None:
    """From here on what fails on a record is a ConfigError that names map and column."""
    for maps in mapper.stream_maps.values():
        for one in maps:
            if isinstance(one, CustomStreamMap):
                one._eval = _naming(one)  # type: ignore[method-assign]


def _naming(one: CustomStreamMap) -> Callable[..., Any]:
    evaluate = one._eval
    # The SDK keeps the type that a column had, unless the expression begins with a type's name.
    columns = one.transformed_schema["properties"]
    others = {name: kind for name, column in columns.items() if (kind := _no_text(column))}

    def named(
        expr: str, expr_parsed: ast.Expr, record: dict[str, Any], property_name: str | None
    ) -> Any:
        column = property_name or "__filter__"
        try:
            result = evaluate(expr, expr_parsed, record, property_name)
            if property_name is None:  # the SDK logs at DEBUG what a filter gives
                return bool(result)
        except Exception as problem:
            # The SDK's own error only repeats the expression.
            cause = problem.__cause__ or problem
            # Its kind alone: its text can hold any part of a value, of a column taken out too.
            raise _problem(
                one.stream_alias,
                column,
                f"{type(cause).__name__} in {_short(expr)} on a session: try the expression on "
                "values of that column, null among them",
            ) from None
        if not _fits(result):
            raise _problem(
                one.stream_alias,
                column,
                f"{_short(expr)} gives {type(result).__name__}, which no record can hold",
            )
        if isinstance(result, str) and property_name in others:
            raise _problem(
                one.stream_alias,
                column,
                f"{_short(expr)} gives a text, but SCHEMA says {others[property_name]}: write "
                f"`str({_short(expr)[1:-1]})`, and SCHEMA says text",
            )
        return result

    return named


def _no_text(column: Mapping[str, Any]) -> str | None:
    """The type that a column's schema tells, where a text is none of it."""
    types = column.get("type") or "string"
    types = [types] if isinstance(types, str) else types
    return None if "string" in types else min(types, key=lambda kind: kind == "null", default=None)


def _fits(result: object) -> bool:
    return isinstance(result, _KEPT) and (not isinstance(result, float) or isfinite(result))


def _check_faker(faker_config: Mapping[str, Any]) -> None:
    if find_spec("faker") is None:
        raise ConfigError("faker_config", f"faker is not installed: {_EXTRA}")
    from faker import Faker

    with naming("faker_config"):
        Faker(faker_config.get("locale"))


def _check_kind(name: str, column: str, expression: object) -> None:
    if column == "__key_properties__":
        if expression is not None and not (
            isinstance(expression, list) and all(isinstance(key, str) for key in expression)
        ):
            raise _problem(name, column, "must be a list of columns, or null")
    elif column == "__else__":
        if expression not in NULLS:
            raise _problem(name, column, "must be null or __NULL__")
    elif column.startswith("__") and column not in ("__filter__", "__alias__", "__source__"):
        raise _problem(name, column, "is no option of a map")
    elif column in ("__filter__", "__alias__", "__source__"):
        if not isinstance(expression, str) or not expression.strip():
            raise _problem(name, column, "must be a text")
        if column == "__filter__":
            _parsed(name, column, expression)
    elif expression not in NULLS:
        if not isinstance(expression, str):
            raise _problem(name, column, "must be an expression as a text, or null")
        _parsed(name, column, expression)


def _is_expression(column: str, expression: str) -> bool:
    return expression not in NULLS and (column == "__filter__" or not column.startswith("__"))


def _parsed(name: str, column: str, expression: str) -> ast.expr:
    try:
        body = ast.parse(expression).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        words = problem.msg if isinstance(problem, SyntaxError) else str(problem)
        raise _problem(name, column, f"{_short(expression)} cannot be parsed: {words}") from None
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise _problem(name, column, f"{_short(expression)} is not one expression")
    return body[0].value


def _check_names(
    name: str,
    column: str,
    expression: str,
    maps: list[StreamMap],
    columns: Collection[str],
    config: Mapping[str, Any],
) -> None:
    custom = next((one for one in maps if isinstance(one, CustomStreamMap)), None)
    if custom is None:
        return
    functions = {*custom.functions, "list", "tuple", "dict", "set"}
    tree = _parsed(name, column, expression)
    own = {"self"} if column in columns else set()
    if custom.fake is not None:
        own.add("fake")
    bound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    known = {*columns, *_SPECIAL, *functions, *own, *bound}
    for node in ast.walk(tree):
        reason = _reason(node, known, functions, columns, config.get("stream_map_config") or {})
        if isinstance(node, ast.expr) and type(node) not in custom.expr_evaluator.nodes:
            reason = f"{type(node).__name__} cannot be used in a map"
        if reason:
            raise _problem(name, column, f"{_short(expression)}: {reason}")


def _reason(
    node: ast.AST,
    known: Collection[str],
    functions: Collection[str],
    columns: Collection[str],
    values: Collection[str],
) -> str | None:
    """Why a part of an expression cannot be evaluated."""
    match node:
        case ast.Name(id="fake") if "fake" not in known:
            return f"faker is not installed: {_EXTRA}"
        case ast.Name(id=name) if name not in known:
            return f"there is no column or name {name}"
        case ast.Call(func=ast.Name(id=name)) if name not in functions:
            return f"there is no function {name}"
        case ast.Subscript(value=ast.Name(id="_" | "record"), slice=ast.Constant(value=key)) if (
            key not in columns
        ):
            return f"there is no column {key!r}"
        case ast.Subscript(value=ast.Name(id="config"), slice=ast.Constant(value=key)) if (
            key not in values
        ):
            return f"stream_map_config has no {key!r}"
    return None


def _problem(name: str, column: str | None, reason: str) -> ConfigError:
    return ConfigError("stream_maps", f"{name}{f'.{column}' if column else ''}: {reason}")


def _short(expression: str) -> str:
    text = " ".join(expression.split())
    return f"`{text if len(text) <= 80 else text[:77] + '...'}`"


def _words(problem: BaseException) -> str:
    text = " ".join(str(problem).split()) or "fails"
    return (
        text[:300]
        if type(problem).__module__.startswith("singer")
        else (f"{type(problem).__name__}: {text[:300]}")
    )
