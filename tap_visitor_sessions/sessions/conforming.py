"""Decoded JSON made to fit the schema, value by value, saying what it gave up.

The slow way, for pages that do not fit the types: one odd value costs that value.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from tap_visitor_sessions.api import TOO_DEEP, Unreadable, without_odd_tokens

logger = logging.getLogger("tap-visitor-sessions.records")

# Spellings of the page's own example (source: get.visitor_sessions_report).
SPELLINGS = {"hist": "hits", "camapign_id": "campaign_id"}
REPLACEMENT = "\ufffd"


def _type_of(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", "string")
    return [kind] if isinstance(kind, str) else list(kind)


def kind_of(schema: Mapping[str, Any]) -> str:
    """One of integer, number, boolean, string, date-time, array, object."""
    kind = next(name for name in _type_of(schema) if name != "null")
    return "date-time" if kind == "string" and schema.get("format") == "date-time" else kind


class Warnings:
    """One for each column in a run, whichever thread meets it first."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def once(self, path: str, what: str) -> None:
        with self._lock:
            if path in self._seen:
                return
            self._seen.add(path)
        logger.warning("%s: %s (said once for this column)", path, what)


class _Unfit(Exception):
    """A value that cannot be made to fit; carries what to say of it."""


class Conformer:
    """Makes decoded JSON fit a schema, value by value, saying what it gave up."""

    def __init__(self, properties: Mapping[str, Any], required: Sequence[str]) -> None:
        self._properties = properties
        self._required = required
        self._warnings = Warnings()

    def give_up(self, path: str, why: str) -> None:
        """Say that a value is emitted as null."""
        self._warnings.once(path, f"{why}; emitted as null")

    def rows(self, rows: object) -> list[dict[str, Any]]:
        """Rows of an answer as dicts that the typed decoder accepts."""
        if not isinstance(rows, list):
            raise Unreadable("The API's answer holds no list of sessions")
        return [self._row(row) for row in rows]

    def _row(self, row: object) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise Unreadable("The API's answer holds a session that is not an object")
        named = {SPELLINGS.get(str(name), str(name)): value for name, value in row.items()}
        result = self._members("", named, self._properties)
        for name in self._required:
            if result.get(name) is None:
                raise Unreadable(
                    f"The API sent a session without a usable {name}: nothing can be read past it. "
                    "Run again; if it stays, report it to the vendor"
                )
        return result

    def _members(
        self, path: str, value: dict[str, Any], properties: Mapping[str, Any]
    ) -> dict[str, Any]:
        result = {}
        for name, item in value.items():
            here = f"{path}{name}"
            if name not in properties:
                self._warnings.once(here, "the API sends it, it is not declared; left out")
                continue
            try:
                result[name] = self._value(here, item, properties[name])
            except _Unfit as problem:
                self.give_up(here, str(problem))
                result[name] = None
        return result

    def _value(self, path: str, value: Any, schema: Mapping[str, Any]) -> Any:
        if value is None:
            return None
        kind = kind_of(schema)
        if kind == "array":
            values = value if isinstance(value, list) else [value]
            return self._items(path, values, schema["items"])
        if kind == "object":
            if value == []:  # an empty object, as PHP spells it
                return None
            if not isinstance(value, dict):
                raise _Unfit(f"an object is declared, a {type(value).__name__} came")
            return self._members(f"{path}.", value, schema["properties"])
        if kind == "integer":
            return self._integer(path, value)
        if kind == "date-time":
            return _time(value)
        return self._text(path, value)

    def _items(self, path: str, values: list[Any], schema: Mapping[str, Any]) -> list[Any]:
        result = []
        for item in values:
            try:
                conformed = self._value(path, item, schema)
            except _Unfit as problem:
                self._warnings.once(f"{path}[]", f"{problem}; left out")
                continue
            if conformed is not None:
                result.append(conformed)
        return result

    def _integer(self, path: str, value: Any) -> int:
        if path in self._required and not isinstance(value, (str, int)):
            # Rounded it would be another's.
            raise _Unfit(f"a number is declared, a {type(value).__name__} came")
        if isinstance(value, bool) and path not in self._required:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            try:
                value = int(value) if _DIGITS.fullmatch(value.strip()) else float(value)
            except ValueError:
                raise _Unfit("a number is declared, another text came") from None
            if path in self._required and isinstance(value, float):
                raise _Unfit("a whole number is declared, another text came")
        if isinstance(value, float) and math.isfinite(value):
            if not value.is_integer():
                self._warnings.once(path, "a whole number is declared, a fraction came; rounded")
            return round(value)
        if isinstance(value, int):
            return value
        raise _Unfit(f"a number is declared, a {type(value).__name__} came")

    def _text(self, path: str, value: Any) -> str:
        if not isinstance(value, str):
            value = _as_text(value)
        clean = value.replace("\x00", REPLACEMENT)
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if clean != value:
            self._warnings.once(path, f"NUL or half a character came; replaced by {REPLACEMENT}")
        return str(clean)


def decoded(raw: bytes | memoryview) -> Any:
    """The JSON of an answer's rows as Python's types, whatever the size of its numbers and
    however deep it is nested.

    Raises:
        Unreadable: it is no JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        pass  # a number out of range, perhaps
    try:
        return json.loads(without_odd_tokens(bytes(raw)), parse_int=_whole)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"The API's answer cannot be read: {type(problem).__name__}") from None


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return math.inf


def _as_text(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        raise _Unfit("a text is declared, something that is no text came") from None
    if TOO_DEEP in text:
        raise _Unfit("a text is declared, something nested too deep came")
    return text


_DIGITS = re.compile(r"[+-]?[0-9]+")
_EPOCH = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_SECONDS = 253_402_300_800
"""Of the year 10000: an epoch number that is larger is one of milliseconds."""
_FIRST = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _time(value: Any) -> datetime:
    """A date and time as what it says: of a wall clock, or, with an offset or as an epoch
    number (seconds, or milliseconds), an instant."""
    if isinstance(value, str):
        text = value.strip()
        if _EPOCH.fullmatch(text):
            return _of_epoch(float(text))
        try:
            return msgspec.convert(text, datetime)
        except msgspec.ValidationError:
            pass
        if len(text) > 10:  # a date alone is no time
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                pass
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_epoch(value)
    raise _Unfit("a date and time is declared, something else came")


def _of_epoch(number: float) -> datetime:
    try:
        seconds = number if abs(number) < _SECONDS else number / 1000
        return _FIRST + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise _Unfit("a date and time is declared, another number came") from None
