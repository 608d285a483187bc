"""How a value may be spelled: as JSON, as a text from the environment or Meltano, as the SDK's
Decimal. What is declared decides what a text is; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

Schema = Mapping[str, Any]
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_LARGEST = 2.0**63
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,3})?", re.ASCII)


class Misspelled(ValueError):
    """A value that is not what is declared; the message says what would be, never the value."""


def is_unset(value: object) -> bool:
    """Whether a value stands for "not set": null, or a text with nothing in it."""
    return value is None or (isinstance(value, str) and not value.strip())


def spelled_out(value: Any, schema: Schema) -> Any:
    """A value as the JSON type that is declared.

    Raises:
        Misspelled: it cannot be read as one.
    """
    read = _READERS[kind_of(schema)]
    try:
        return read(value, schema)
    except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
        raise Misspelled(f"must be {wanted(schema)}") from None


def kind_of(schema: Schema) -> str:
    """The JSON type of a setting, but for null."""
    kinds = schema.get("type", "string")
    return next(kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")


def wanted(schema: Schema) -> str:
    """What a value must be, for a message: "a whole number from 1 to 64"."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = kind_of(schema)
    if kind == "array":
        if _holds_names(schema):
            return 'a list of names such as ["channel", "hits"] or in the environment channel,hits'
        return "a list of whole numbers such as [11, 21] or 11,21"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "object": "an object (as a text: in JSON)",
        "string": "a text (a number in quotes)",
    }[kind]
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    if low is not None:
        words += f" from {low}"
    elif above is not None:
        words += f" above {above}"
    if "maximum" in schema:
        words += f" {'to' if low is not None else 'and up to'} {schema['maximum']}"
    if "maxLength" in schema:
        words += f" of at most {schema['maxLength']} characters"
    return words


def plain(value: Any) -> Any:
    """A value of JSON with the SDK's Decimals as numbers, as deep as they lie."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def texts_in(value: object) -> list[str]:
    """All texts in a value of JSON, as deep as they lie: what a message must not show."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in texts_in(item)]
    return [text for item in value for text in texts_in(item)] if isinstance(value, list) else []


def _string(value: Any, _: Schema) -> str:
    if isinstance(value, date):  # and datetime: YAML has dates of its own
        return value.isoformat()
    if not isinstance(value, str):
        raise Misspelled
    return value


def _number(value: Any, _: Schema) -> float:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            raise Misspelled
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Misspelled
    number = float(value)
    if not math.isfinite(number):
        raise Misspelled
    return number


def _integer(value: Any, schema: Schema) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _number(value, schema)
    exactly = Decimal(value.strip() if isinstance(value, str) else value)
    if abs(number) > _LARGEST or exactly != int(exactly):
        raise Misspelled
    return int(exactly)


def _boolean(value: Any, _: Schema) -> bool:
    word = str(value).strip().lower()
    if isinstance(value, bool | int | str) and word in _TRUE + _FALSE:
        return word in _TRUE
    raise Misspelled


def _array(value: Any, schema: Schema) -> list[Any]:
    is_split = isinstance(value, str) and value.strip()[0] != "["
    if isinstance(value, str):
        value = value.split(",") if is_split else msgspec.json.decode(value.strip())
    elif isinstance(value, int | float | Decimal):
        value = [value]
    if not isinstance(value, list | tuple):
        raise Misspelled
    items = [item.strip() if isinstance(item, str) else item for item in value]
    given = [item for item in items if not is_unset(item)]
    # Between commas nothing may stand; a name of a list that is empty was to be one.
    if len(given) < (min(len(items), 1) if is_split else len(items)) and _holds_names(schema):
        raise Misspelled
    return [spelled_out(item, schema["items"]) for item in given]


def _holds_names(schema: Schema) -> bool:
    return kind_of(schema["items"]) == "string"


def _object(value: Any, schema: Schema) -> dict[str, Any]:
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    if not isinstance(value, Mapping):
        raise Misspelled
    found: dict[str, Any] = plain(value)
    for name, member in schema.get("properties", {}).items():
        if found.get(name) is not None and "type" in member:
            with suppress(Misspelled):  # whoever checks the whole can say where it lies
                found[name] = spelled_out(found[name], member)
    return found


_READERS: dict[str, Any] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
