"""The stream `visitor_session_days` as Singer wants it: written by the read of the sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tap_visitor_sessions.config import DAYS, STREAM
from tap_visitor_sessions.singer.catalog import CatalogError, declared_days
from tap_visitor_sessions.singer.declared import DeclaredStream

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_visitor_sessions.singer.sync import Context


class VisitorSessionDays(DeclaredStream):
    """How many sessions of each local day have been emitted."""

    name = DAYS

    def __init__(self, tap: Tap, catalog: Mapping[str, Any] | None) -> None:
        super().__init__(tap, declared_days(tap.config), catalog)

    def sync(self, context: Context | None = None) -> None:  # type: ignore[misc]
        """Nothing: its rows come with the sessions.

        Raises:
            CatalogError: they are not selected.
        """
        if not self._tap.streams[STREAM].selected:
            raise CatalogError(
                f"{DAYS} says which sessions have been emitted, and {STREAM} is not selected: "
                "select both"
            )

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """None of its own."""
        return ()

    def begin(self, version: int | None) -> None:
        """SCHEMA; rows from here on are of a version, where the sessions are of one."""
        self._stream_version = version
        self._write_schema_message()

    def write(self, days: Sequence[Any]) -> None:
        """Write rows."""
        for day in days:
            changed = self._selection.changed(day)
            row = {name: getattr(changed, name) for name in self._selection.pieces}
            self._write_record_message(msgspec.to_builtins(row))

    def activate(self) -> None:
        """The loader may drop what is not of this version."""
        if self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)
