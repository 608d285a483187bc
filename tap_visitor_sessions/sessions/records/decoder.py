"""An answer's bytes -> typed, coerced, sorted records.

The types are built from the stream's JSON Schema (`structs`). A page that fits them is decoded at
the speed of msgspec. One that does not is decoded row by row; a row that does not fit is coerced
by itself, value by value (`coercion`), and the types of the next rows take what it held.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from tap_visitor_sessions.api import Unreadable
from tap_visitor_sessions.config import READ_AT
from tap_visitor_sessions.sessions.records.coercion import Coercer, Warnings, decoded
from tap_visitor_sessions.sessions.records.kinds import SPELLINGS, kind_of
from tap_visitor_sessions.sessions.records.structs import Record, SessionTypes, WideningTypes
from tap_visitor_sessions.sessions.zones import UTC, Zone

logger = logging.getLogger("tap-visitor-sessions.records")

Raw = bytes | memoryview
"""The JSON of an answer's rows."""

ORDER = attrgetter("date_time", "id")
"""The order of the stream."""

NUL = re.compile(rb"\\u0000")  # measured: twice as fast as `in`


class Empty(msgspec.Struct, frozen=True):
    """An object with nothing in it: `{}`."""


EMPTY = Empty()


UNFIT = (msgspec.MsgspecError, RecursionError, ValueError)
"""What the typed decoders raise of JSON that does not fit them; ValueError of the year 10000."""


_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class _Key(msgspec.Struct, gc=False):
    id: int
    date_time: datetime


class _Time(msgspec.Struct, gc=False):
    date_time: datetime


class Decoder:
    """Decodes the rows of answers into records of one set of columns.

    Args:
        schema: The stream's schema with the selected top-level columns.
        zone: The account's zone.
        extra: Columns that the tap adds itself, with their values; `read_at` is set as rows are
            finished.
        warnings: Warnings of odd values, and how many were lost.
        excluded: Members that are passed over without a word, by their column.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        zone: Zone,
        extra: Mapping[str, Any] | None = None,
        warnings: Warnings | None = None,
        excluded: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._extra = dict(extra or {})
        properties = dict(schema["properties"])
        required = ("id", "date_time")
        self._zone = zone
        declared = {k: v for k, v in properties.items() if k not in self._extra}
        self._declared = tuple(declared)
        self._looked = False
        self._left_out: Callable[[], Collection[str]] = frozenset
        self._warnings = warnings = warnings or Warnings()
        self._coercer = Coercer(declared, required, warnings, excluded)
        self._types = WideningTypes(properties, required, self._coercer)
        self._keys = msgspec.json.Decoder(list[_Key], strict=False)
        self._arrays = [k for k, v in declared.items() if kind_of(v) == "array"]
        self._objects = [k for k, v in declared.items() if kind_of(v) == "object"]
        self._times = [
            (column, members)
            for column, schema in declared.items()
            if kind_of(schema) == "array" and (members := _time_members(schema["items"]))
        ]

    def of_account(
        self,
        zone: Zone,
        extra: Mapping[str, Any],
        left_out: Callable[[], Collection[str]] = frozenset,
    ) -> Decoder:
        """One for another account's rows, which shares the types and what was warned about.

        Args:
            extra: Values for the same columns as this one's `extra`.
            left_out: Columns that are not asked for: they are null.
        """
        other = copy.copy(self)
        other._zone, other._extra, other._left_out = zone, dict(extra), left_out
        return other

    def times(self, raw: Raw) -> list[datetime]:
        """Only the wall-clock times of the rows, cheaply."""
        return [self._wall(key.date_time) for key in self._keys_of(raw)]

    def one_time(self, raw: Raw) -> datetime | None:
        """The wall-clock time of the first row, which has no `id`; None where it has none."""
        try:
            rows = msgspec.json.decode(raw, type=list[_Time], strict=False)
        except UNFIT:
            return None
        return self._wall(rows[0].date_time) if rows else None

    def ids(self, raw: Raw) -> list[int]:
        """Only the ids of the rows, cheaply."""
        return [key.id for key in self._keys_of(raw)]

    def _keys_of(self, raw: Raw) -> list[Any]:
        try:
            return self._keys.decode(raw)
        except UNFIT:
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
        return self._on_the_wall(self._typed(raw))

    def _typed(self, raw: Raw) -> list[Record]:
        types = self._types.present()
        has_nul = NUL.search(raw) is not None  # databases cannot store NUL
        if not has_nul:
            try:
                page = types.page(raw)
            except UNFIT:
                pass
            else:
                return types.repair(page)
        try:
            rows = _ROWS.decode(raw)
        except UNFIT:
            return self._coerced(decoded(raw))
        result: list[Record] = []
        for one in rows:
            row = None if has_nul and NUL.search(one) else self._fitting(types, one)
            if row is None:
                result += self._coerced([decoded(one)])
                types = self._types.present()
            else:
                result += types.repair([row])
        return result

    def _fitting(self, types: SessionTypes, raw: Raw) -> Record | None:
        try:
            return types.one(raw)
        except UNFIT:
            return None

    def _on_the_wall(self, rows: list[Record]) -> list[Record]:
        for row in rows:
            time = row.date_time
            if time.tzinfo is not None or time.microsecond:
                row.date_time = self._wall(time)
        return rows

    def _look(self, raw: Raw) -> None:
        """Say which columns the first session lacks though they were asked for."""
        try:
            rows = _ROWS.decode(raw)
        except UNFIT:
            return  # said where the rows are decoded
        if not rows:
            return
        self._looked = True
        try:
            names = msgspec.json.decode(rows[0], type=dict[str, msgspec.Raw])
        except UNFIT:
            names = {}
        came = {SPELLINGS.get(name, name) for name in names}
        came.update(self._left_out())
        self._warnings.missing([name for name in self._declared if name not in came])

    def _coerced(self, rows: object) -> list[Record]:
        """Decoded rows, coerced value by value."""
        coerced = self._coercer.rows(rows)
        try:
            typed: list[Record] = msgspec.convert(coerced, self._types.declared_rows, strict=False)
        except msgspec.ValidationError as problem:
            raise Unreadable(f"The API's answer cannot be read: {problem}") from None
        return typed

    def finish(self, rows: Iterable[Record]) -> list[Record]:
        """Records ready to emit: times in UTC, arrays and objects filled, sorted by
        (`date_time`, `id`)."""
        to_utc, blanks = self._zone.to_utc, self._types.blanks
        # What is refused from now on may have come before: only its null is no empty one.
        left_out = frozenset(self._left_out())
        arrays = [(name, name not in left_out) for name in self._arrays]
        objects = [(name, name not in left_out) for name in self._objects]
        extra = dict(self._extra)
        if READ_AT in extra:
            extra[READ_AT] = datetime.now(UTC)
        result = list(rows)
        for row in result:
            try:
                row.date_time = to_utc(row.date_time)
            except (OverflowError, ValueError):
                raise Unreadable(f"The API sent a session of {row.date_time}: no UTC") from None
            for name, is_filled in arrays:
                value = getattr(row, name)
                if value is None:
                    if is_filled:
                        setattr(row, name, [])
                elif type(value) is not list:
                    setattr(row, name, [value])
            for name, is_filled in objects:
                value = getattr(row, name)
                # One of nulls only is told by comparing: its fields are compared in C.
                if is_filled if value is None else value == blanks.get(type(value)):
                    setattr(row, name, EMPTY)
            for column, members in self._times:
                for item in getattr(row, column) or ():
                    for name in members:
                        time = getattr(item, name)
                        if time is None:
                            continue
                        try:
                            # With an offset, or of an epoch number, it is an instant.
                            instant = to_utc(time) if time.tzinfo is None else time.astimezone(UTC)
                        except (OverflowError, ValueError):
                            instant = None
                            self._coercer.give_up(f"{column}.{name}", "a time came that has no UTC")
                        setattr(item, name, instant)
            for name, value in extra.items():
                setattr(row, name, value)
        # Measured: two sorts by one key cost less than one by a pair.
        result.sort(key=attrgetter("id"))
        result.sort(key=attrgetter("date_time"))
        return result

    def instant(self, wall: datetime) -> datetime:
        """The instant (UTC) as which a wall-clock time is emitted."""
        return self._zone.to_utc(wall)


def _time_members(item: Mapping[str, Any]) -> list[str]:
    members = item.get("properties", {}).items()
    return [name for name, schema in members if kind_of(schema) == "date-time"]
