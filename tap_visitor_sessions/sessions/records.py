"""An answer's bytes -> typed, conformed, sorted records.

The types are built from the stream's JSON Schema. A page that fits them is decoded at the
speed of msgspec; one that does not is conformed value by value, and each column that had
to give something up is warned about once.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args

import msgspec

from tap_visitor_sessions.api.errors import Unreadable
from tap_visitor_sessions.sessions.zones import Zone

logger = logging.getLogger("tap-visitor-sessions.records")

Raw = bytes | memoryview
"""The JSON of an answer's rows."""

Record = Any
"""A msgspec.Struct with an attribute per selected column; types from the schema."""

ORDER = attrgetter("date_time", "id")
"""The order of the stream."""

# Spellings of the page's own example (source: get.visitor_sessions_report).
SPELLINGS = {"hist": "hits", "camapign_id": "campaign_id"}
REPLACEMENT = "\ufffd"
NUL = re.compile(rb"\\u0000")  # measured: twice as fast as `in`


def _type_of(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", "string")
    return [kind] if isinstance(kind, str) else list(kind)


def kind_of(schema: Mapping[str, Any]) -> str:
    """One of integer, number, boolean, string, date-time, array, object."""
    kind = next(name for name in _type_of(schema) if name != "null")
    return "date-time" if kind == "string" and schema.get("format") == "date-time" else kind


_SCALARS: dict[str, type] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "string": str,
    "date-time": datetime,
}


def _list(item: Any) -> Any:
    return list[item]


def _python_type(name: str, schema: Mapping[str, Any]) -> Any:
    kind = kind_of(schema)
    if kind == "object":
        return _struct(name, schema["properties"], ())
    if kind == "array":
        item: Any = _python_type(f"{name}_item", schema["items"])
        # One hit as an object (the page's example) is an array of one.
        return _list(item) | item if kind_of(schema["items"]) == "object" else _list(item)
    return _SCALARS[kind]


def _struct(
    name: str,
    properties: Mapping[str, Any],
    required: Sequence[str],
) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for member, schema in properties.items():
        kind = _python_type(f"{name}_{member}", schema)
        fields.append((member, kind) if member in required else (member, kind | None, None))
    return msgspec.defstruct(name, fields, kw_only=True, gc=False, forbid_unknown_fields=True)


class Empty(msgspec.Struct, frozen=True):
    """An object with nothing in it: `{}`."""


EMPTY = Empty()


class _Key(msgspec.Struct, gc=False):
    id: int
    date_time: datetime


class _Warnings:
    """Each message once for the run, whichever thread meets it first."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def once(self, path: str, what: str) -> None:
        with self._lock:
            if (path, what) in self._seen:
                return
            self._seen.add((path, what))
        logger.warning("%s: %s (said once for this column)", path, what)


class _Unfit(Exception):
    """A value that cannot be made to fit; carries what to say of it."""


class Conformer:
    """Makes decoded JSON fit a schema, value by value, saying what it gave up."""

    def __init__(self, properties: Mapping[str, Any], required: Sequence[str]) -> None:
        self._properties = properties
        self._required = required
        self._warnings = _Warnings()

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
                self._warnings.once(here, f"{problem}; emitted as null")
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
            return _parse_time(value)
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
        if isinstance(value, (bool, int)):
            return int(value)
        if isinstance(value, str):
            try:
                value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
            except ValueError:
                raise _Unfit("a number is declared, another text came") from None
        if isinstance(value, float) and value == value and abs(value) != float("inf"):
            if not value.is_integer():
                self._warnings.once(path, "a whole number is declared, a fraction came; rounded")
            return round(value)
        if isinstance(value, int):
            return value
        raise _Unfit(f"a number is declared, a {type(value).__name__} came")

    def _text(self, path: str, value: Any) -> str:
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False)
        clean = value.replace("\x00", REPLACEMENT)
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if clean != value:
            self._warnings.once(path, f"NUL or half a character came; replaced by {REPLACEMENT}")
        return str(clean)


def _parse_time(value: Any) -> str:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Unfit("a date and time is declared, something else came") from None
    return str(value)


class Decoder:
    """Decodes the rows of answers into records of one set of columns.

    Args:
        schema: The stream's schema with the selected top-level columns.
        zone: The account's zone.
        extra: Columns that the tap adds itself (partner accounts), with their values.
    """

    def __init__(
        self, schema: Mapping[str, Any], zone: Zone, extra: Mapping[str, Any] | None = None
    ) -> None:
        self._extra = dict(extra or {})
        self._properties = dict(schema["properties"])
        self._required = ("id", "date_time")
        self._zone = zone
        declared = {k: v for k, v in self._properties.items() if k not in self._extra}
        self._declared = tuple(declared)
        self._looked = False
        self._conformer = Conformer(declared, self._required)
        self._row = _struct("Session", self._properties, self._required)
        self._decoder = msgspec.json.Decoder(_list(self._row), strict=False)
        self._keys = msgspec.json.Decoder(list[_Key], strict=False)
        self._arrays = [k for k, v in declared.items() if kind_of(v) == "array"]
        hints = {field.name: field.type for field in msgspec.structs.fields(self._row)}
        # An object of nulls only is told by comparing: its fields are compared in C.
        self._objects = [
            (name, _struct_in(hints[name])())
            for name, v in declared.items()
            if kind_of(v) == "object"
        ]
        self._times = [
            (column, members)
            for column, schema in declared.items()
            if kind_of(schema) == "array" and (members := _time_members(schema["items"]))
        ]

    def of_account(self, zone: Zone, extra: Mapping[str, Any]) -> Decoder:
        """One for another account's rows, which shares the types and what was warned about.

        Args:
            extra: Values for the same columns as this one's `extra`.
        """
        other = copy.copy(self)
        other._zone, other._extra = zone, dict(extra)
        return other

    def times(self, raw: Raw) -> list[datetime]:
        """Only the wall-clock times of the rows, cheaply."""
        return [key.date_time for key in self._keys_of(raw)]

    def ids(self, raw: Raw) -> list[int]:
        """Only the ids of the rows, cheaply."""
        return [key.id for key in self._keys_of(raw)]

    def _keys_of(self, raw: Raw) -> list[Any]:
        try:
            return self._keys.decode(raw)
        except msgspec.ValidationError:
            return self.rows(raw)

    def rows(self, raw: Raw) -> list[Record]:
        """Rows typed, in the order they came; `date_time` still naive wall clock.

        Raises:
            Unreadable: a row has no usable `id` or `date_time`.
        """
        if not self._looked:
            self._look(raw)
        if NUL.search(raw) is None:  # databases cannot store NUL
            try:
                rows: list[Record] = self._decoder.decode(raw)
            except msgspec.ValidationError:
                pass
            else:
                if all(row.date_time.tzinfo is None for row in rows):
                    return rows
        return self._conformed(raw)

    def _look(self, raw: Raw) -> None:
        """Say which columns the first session lacks though they were asked for."""
        rows = msgspec.json.decode(raw, type=list[msgspec.Raw])
        if not rows:
            return
        self._looked = True
        row = msgspec.json.decode(rows[0])
        came = {SPELLINGS.get(name, name) for name in row} if isinstance(row, dict) else set()
        missing = [name for name in self._declared if name not in came]
        if missing:
            logger.warning(
                "The API leaves out columns that it was asked for: %s; emitted as null",
                ", ".join(missing),
            )

    def _conformed(self, raw: Raw) -> list[Record]:
        rows = self._conformer.rows(msgspec.json.decode(raw))
        typed: list[Record] = msgspec.convert(rows, _list(self._row), strict=False)
        for row in typed:
            row.date_time = row.date_time.replace(tzinfo=None)
        return typed

    def finish(self, rows: Iterable[Record]) -> list[Record]:
        """Records ready to emit: times in UTC, arrays and objects filled, sorted by
        (`date_time`, `id`)."""
        to_utc = self._zone.to_utc
        result = list(rows)
        for row in result:
            row.date_time = to_utc(row.date_time)
            for name in self._arrays:
                value = getattr(row, name)
                if value is None:
                    setattr(row, name, [])
                elif type(value) is not list:
                    setattr(row, name, [value])
            for name, blank in self._objects:
                value = getattr(row, name)
                if value is None or value == blank:
                    setattr(row, name, EMPTY)
            for column, members in self._times:
                for item in getattr(row, column):
                    for name in members:
                        time = getattr(item, name)
                        if time is not None:
                            setattr(item, name, to_utc(time.replace(tzinfo=None)))
            for name, value in self._extra.items():
                setattr(row, name, value)
        # Measured: two sorts by one key cost less than one by a pair.
        result.sort(key=attrgetter("id"))
        result.sort(key=attrgetter("date_time"))
        return result

    def instant(self, wall: datetime) -> datetime:
        """The instant (UTC) as which a wall-clock time is emitted."""
        return self._zone.to_utc(wall)


def _struct_in(hint: Any) -> type[msgspec.Struct]:
    """The struct of an optional one."""
    struct: type[msgspec.Struct]
    [struct] = (kind for kind in get_args(hint) if kind is not type(None))
    return struct


def _time_members(item: Mapping[str, Any]) -> list[str]:
    members = item.get("properties", {}).items()
    return [name for name, schema in members if kind_of(schema) == "date-time"]
