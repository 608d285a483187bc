"""An answer's bytes -> typed, conformed, sorted records.

The types are built from the stream's JSON Schema. A page that fits them is decoded at the
speed of msgspec; one that does not is conformed value by value (`conforming`).
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args

import msgspec

from tap_visitor_sessions.api import Unreadable
from tap_visitor_sessions.sessions.conforming import SPELLINGS, Conformer, decoded, kind_of
from tap_visitor_sessions.sessions.zones import UTC, Zone

logger = logging.getLogger("tap-visitor-sessions.records")

Raw = bytes | memoryview
"""The JSON of an answer's rows."""

Record = Any
"""A msgspec.Struct with an attribute per selected column; types from the schema."""

ORDER = attrgetter("date_time", "id")
"""The order of the stream."""

NUL = re.compile(rb"\\u0000")  # measured: twice as fast as `in`

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


_UNFIT = (msgspec.MsgspecError, RecursionError)
"""What the typed decoders raise of JSON that does not fit them."""


class _Key(msgspec.Struct, gc=False):
    id: int
    date_time: datetime


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
        return [self._wall(key.date_time) for key in self._keys_of(raw)]

    def ids(self, raw: Raw) -> list[int]:
        """Only the ids of the rows, cheaply."""
        return [key.id for key in self._keys_of(raw)]

    def _keys_of(self, raw: Raw) -> list[Any]:
        try:
            return self._keys.decode(raw)
        except _UNFIT:
            return self.rows(raw)

    def _wall(self, time: datetime) -> datetime:
        """A `date_time` as the account's wall clock shows it, in whole seconds. One that came
        with an offset is an instant."""
        if time.tzinfo is None:
            return time.replace(microsecond=0)
        try:
            return self._zone.wall(time)
        except (OverflowError, ValueError):
            raise Unreadable(f"The API sent a session of {time}: no clock shows it") from None

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
            except _UNFIT:
                pass
            else:
                return self._on_the_wall(rows)
        return self._on_the_wall(self._conformed(raw))

    def _on_the_wall(self, rows: list[Record]) -> list[Record]:
        for row in rows:
            time = row.date_time
            if time.tzinfo is not None or time.microsecond:
                row.date_time = self._wall(time)
        return rows

    def _look(self, raw: Raw) -> None:
        """Say which columns the first session lacks though they were asked for."""
        try:
            rows = msgspec.json.decode(raw, type=list[msgspec.Raw])
        except _UNFIT:
            return  # said where the rows are decoded
        if not rows:
            return
        self._looked = True
        try:
            names = msgspec.json.decode(rows[0], type=dict[str, msgspec.Raw])
        except _UNFIT:
            names = {}
        came = {SPELLINGS.get(name, name) for name in names}
        missing = [name for name in self._declared if name not in came]
        if missing:
            logger.warning(
                "The API leaves out columns that it was asked for: %s; emitted as null",
                ", ".join(missing),
            )

    def _conformed(self, raw: Raw) -> list[Record]:
        rows = self._conformer.rows(decoded(raw))
        try:
            typed: list[Record] = msgspec.convert(rows, _list(self._row), strict=False)
        except msgspec.ValidationError as problem:
            raise Unreadable(f"The API's answer cannot be read: {problem}") from None
        return typed

    def finish(self, rows: Iterable[Record]) -> list[Record]:
        """Records ready to emit: times in UTC, arrays and objects filled, sorted by
        (`date_time`, `id`)."""
        to_utc = self._zone.to_utc
        result = list(rows)
        for row in result:
            try:
                row.date_time = to_utc(row.date_time)
            except (OverflowError, ValueError):
                raise Unreadable(f"The API sent a session of {row.date_time}: no UTC") from None
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
                        if time is None:
                            continue
                        try:
                            # With an offset, or of an epoch number, it is an instant.
                            instant = to_utc(time) if time.tzinfo is None else time.astimezone(UTC)
                        except (OverflowError, ValueError):
                            instant = None
                            self._conformer.give_up(f"{column}.{name}", f"{time} has no UTC")
                        setattr(item, name, instant)
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
