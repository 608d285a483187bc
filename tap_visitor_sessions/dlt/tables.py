"""The records of a window as Arrow tables, by the name of their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tap_visitor_sessions.config import STREAM
from tap_visitor_sessions.dlt.hints import CHILDREN, POSITION, SESSION, child_schema, child_table
from tap_visitor_sessions.sessions import Record, Tables, Warnings


@dataclass(frozen=True)
class Made:
    """A window's records.

    Attributes:
        tables: By the name of their table, that of the sessions first.
        count: Of sessions.
        until: `date_time` of the last one.
    """

    tables: dict[str, Any]
    count: int
    until: datetime


class Maker:
    """Makes the tables of records. Safe to use from several threads.

    Args:
        schema: The JSON Schema of a record, with its columns in their order.
        child_tables: Whether hits and communications have tables of their own.
    """

    def __init__(self, schema: Mapping[str, Any], *, child_tables: bool) -> None:
        properties = schema["properties"]
        apart = [name for name in CHILDREN if child_tables and name in properties]
        self.schema = {"properties": {n: d for n, d in properties.items() if n not in apart}}
        self.children = {name: child_schema(schema, name) for name in apart}
        self._sessions = Tables(self.schema, texts=True)
        self._members = {name: _Members(name, child) for name, child in self.children.items()}

    def made(self, records: list[Record]) -> Made:
        """The records of a window."""
        tables = {
            child_table(name): members.table(records) for name, members in self._members.items()
        }
        tables = {STREAM: self._sessions.table(records), **tables}
        return Made(tables, len(records), records[-1].date_time)

    def say_by(self, warnings: Warnings) -> None:
        """Count and say there which numbers do not fit."""
        for tables in (self._sessions, *(one.tables for one in self._members.values())):
            tables.warnings = warnings


class _Members:
    """The table of a column's items."""

    def __init__(self, column: str, schema: Mapping[str, Any]) -> None:
        self._column = column
        self._names = list(schema["properties"])
        self._row: Any = msgspec.defstruct("Row", self._names, gc=False)
        self.tables = Tables(schema, texts=True, within=f"{column}.")

    def table(self, records: Sequence[Record]) -> Any:
        row, names = self._row, self._names[2:]
        assert self._names[:2] == [SESSION, POSITION]
        rows = [
            row(record.id, position, *[getattr(item, name) for name in names])
            for record in records
            for position, item in enumerate(getattr(record, self._column) or ())
        ]
        return self.tables.table(rows)
