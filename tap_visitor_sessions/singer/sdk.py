"""The SDK's Stream, less what would fail a user: where it is silent, early or repeats itself.

Touches these private parts of singer_sdk.Stream 0.54, for which the SDK has no public way:
`_generate_schema_messages` (overridden: what loaders make of it), `_write_state_message`
(overridden: it may not be silent), `_write_starting_replication_value` (overridden: it reads
start_date and bookmark in its own way, and nobody reads what it writes), `_stream_version` (set),
`_initialized_at` (read) and `_write_activate_version_message` (called).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from tap_visitor_sessions.singer.catalog import for_loaders

if TYPE_CHECKING:
    from singer_sdk.singerlib import SchemaMessage


class SdkStream(Stream):
    """A stream whose STATE and ACTIVATE_VERSION come when they are true."""

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message. What the SDK says of an error that it passes on is no second error."""
        if message.startswith("An unhandled error occurred"):
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    @property
    def is_incremental(self) -> bool:
        """Whether a run goes on where former ones ended."""
        return bool(self.replication_method == REPLICATION_INCREMENTAL)

    @property
    def is_test(self) -> bool:
        """Whether `--test` wants a record or a few."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """SCHEMA, so that loaders make good columns of it."""
        for message in super()._generate_schema_messages():
            typed = self.config.get("array_schema") == "typed"
            yield replace(message, schema=message.schema if typed else for_loaders(message.schema))

    # STATE

    def state_waits(self) -> None:
        """The state has changed, and is written with the next STATE."""
        self.state_manager.is_flushed = False

    def _write_state_message(self) -> None:
        """STATE after records, always: the SDK's writer is silent when the bookmark stands
        still, though sessions read again for the look-back wait for it in the target."""
        if not self.state_manager.is_flushed:
            _ = self.stream_state  # makes the stream's entry
            self._tap.write_message(StateMessage(value=self.tap_state))
            self.state_manager.is_flushed = True

    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        """Nothing: the bookmarks hold it."""

    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """None: the records are sorted, a bookmark never overtakes them."""

    # ACTIVATE_VERSION

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would say ACTIVATE_VERSION before the first record, and a loader drops
        the rows of the old version at once. It is written after a complete read."""
        return False

    @property
    def announces_version(self) -> bool:
        """Whether the loader is told afterwards to drop all that this read did not bring."""
        wanted = self.config.get("emit_activate_version_messages", False)
        return bool(wanted) and not self.is_incremental and not self.is_test

    def begin_version(self) -> None:
        """Records from here on are of a new version, if one is announced."""
        if self.announces_version:
            self._stream_version = self._initialized_at // 1000

    def announce_version(self) -> None:
        """Everything has been read: the loader may drop what is not of this version."""
        assert self._stream_version is not None, "begin_version comes first"
        self._write_activate_version_message(self._stream_version)
