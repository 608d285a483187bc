"""The records of a window as Arrow tables, by the name of their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tap_visitor_sessions.config import KEY
from tap_visitor_sessions.dlt.hints import CHILDREN, POSITION, REMOVED, child_keys, child_schema
from tap_visitor_sessions.sessions import Record, Tables, Warnings


@dataclass(frozen=True)
class Made:
    """A window's records.

    Attributes:
        sessions: Their table.
        members: Tables of their items, by the column.
        count: Of sessions.
        until: `date_time` of the last one.
    """

    sessions: Any
    members: dict[str, Any]
    count: int
    until: datetime


class Maker:
    """Makes the tables of records. Safe to use from several threads.

    Args:
        schema: The JSON Schema of a record, with its columns in their order.
        key: The columns of the key.
        child_tables: Whether hits and communications have tables of their own.

    Attributes:
        schema: That of the sessions' table.
        children: Those of the tables of items, by the column.
        marks_removed: Whether a session without items has a row there that says so: whatever was
            loaded of it before is to go.
    """

    def __init__(
        self, schema: Mapping[str, Any], key: tuple[str, ...] = (KEY,), *, child_tables: bool
    ) -> None:
        properties = schema["properties"]
        apart = [name for name in CHILDREN if child_tables and name in properties]
        self.schema = {"properties": {n: d for n, d in properties.items() if n not in apart}}
        self.children = {name: child_schema(schema, name, key) for name in apart}
        self.marks_removed = True
        self._sessions = Tables(self.schema, texts=True)
        self._members = {name: _Members(name, self.children[name], key) for name in apart}

    def made(self, records: list[Record]) -> Made:
        """The records of a window."""
        members = {
            name: one.table(records, self.marks_removed) for name, one in self._members.items()
        }
        sessions = self._sessions.table(records)
        return Made(sessions, members, len(records), records[-1].date_time)

    def warn(self, warnings: Warnings) -> None:
        """Count and say there which numbers do not fit."""
        for tables in (self._sessions, *(one.tables for one in self._members.values())):
            tables.warnings = warnings


class _Members:
    """The table of a column's items."""

    def __init__(self, column: str, schema: Mapping[str, Any], key: tuple[str, ...]) -> None:
        self._column = column
        self._key = sorted(key, key=KEY.__eq__)  # as in the schema: the id last
        names = list(schema["properties"])
        own = len(key) + 2
        assert names[:own] == [*child_keys(tuple(self._key)), POSITION, REMOVED]
        self._names = names[own:]
        self._nothing = [None] * len(self._names)
        self._row: Any = msgspec.defstruct("Row", names, gc=False)
        self.tables = Tables(schema, texts=True, within=f"{column}.")

    def table(self, records: Sequence[Record], marks_removed: bool) -> Any:
        row, names, key, column = self._row, self._names, self._key, self._column
        rows = []
        for record in records:
            of = [getattr(record, name) for name in key]
            items = getattr(record, column) or ()
            for position, item in enumerate(items):
                rows.append(row(*of, position, None, *[getattr(item, name) for name in names]))
            if not items and marks_removed:
                rows.append(row(*of, 0, True, *self._nothing))
        return self.tables.table(rows)
