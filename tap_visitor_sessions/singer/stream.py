"""The stream as Singer wants it: a catalog and a state in, messages and a state out.

Touches these private parts of singer_sdk.Stream 0.54, for which the SDK has no public way:
`_sync_records` (overridden: the typed lane), `_sync_batches` (overridden: STATE must not run
ahead of the files), `_generate_schema_messages` (overridden: what loaders make of it),
`_increment_stream_state` (overridden: the bookmark must neither stop at look-back records nor be
lost on a kill), `_write_state_message` (overridden: it may not be silent),
`_write_starting_replication_value` (overridden: it reads start_date and bookmark in its own way,
and nobody reads what it writes), `_write_batch_message`, `_write_activate_version_message` and
`_stream_version` (called or set).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.metrics import http_request_counter
from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from tap_visitor_sessions.config import BOOKMARK, STREAM, key_columns, record_schema
from tap_visitor_sessions.sessions import (
    METHOD,
    Columns,
    Extraction,
    Marks,
    Pace,
    Part,
    Record,
    User,
    saved,
    write_all,
)
from tap_visitor_sessions.singer.announced import announced
from tap_visitor_sessions.singer.batches import Files, write_files
from tap_visitor_sessions.singer.catalog import handed, wanted
from tap_visitor_sessions.singer.entry import Declaration
from tap_visitor_sessions.singer.output import Output, RecordLines
from tap_visitor_sessions.singer.selection import Selection

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.singerlib import Catalog, SchemaMessage

    from tap_visitor_sessions.singer.tap import TapVisitorSessions

Context = Mapping[str, Any]


class VisitorSessions(Stream):
    """Sessions of visitors, each emitted at least once, in order of (`date_time`, `id`)."""

    name = STREAM
    is_sorted = True

    def __init__(self, tap: TapVisitorSessions) -> None:
        is_partner = tap.config.get("account_type") == "partner"
        self._account_name = tap.config.get("account") or None
        has_account = self._account_name is not None
        schema = record_schema(is_partner=is_partner, has_account=has_account)
        super().__init__(tap, schema=schema)
        self.primary_keys = key_columns(has_account=has_account)
        self.replication_key = BOOKMARK
        self._declaration = Declaration(self.name, schema, self.primary_keys, BOOKMARK)
        self._take(tap.handed_catalog)
        self._source = tap
        self._is_partner = is_partner
        self._parts: Iterator[Part[list[Record]]] | None = None
        self._part: Part[list[Record]] | None = None

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message. What the SDK says of an error that it passes on is no second error."""
        if message.startswith("An unhandled error occurred"):
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    # What is selected

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take from a catalog what it can choose; refuse the rest."""
        self._take(handed(catalog))

    @property
    def declared(self) -> Mapping[str, Any]:
        """The JSON Schema of a record with all columns, whatever is selected."""
        return self._declaration.schema

    def _take(self, catalog: Mapping[str, Any] | None) -> None:
        chosen = wanted(self._declaration, catalog)
        for level, note in chosen.notes:
            self.logger.log(level, note)
        # SCHEMA is made of these too, by way of the tap's catalog.
        self._schema, self._metadata, self._mask = chosen.schema, chosen.metadata, None
        self.forced_replication_method = REPLICATION_FULL_TABLE if chosen.full_table else None
        self._selection = Selection(self.declared, chosen.pieces)

    @property
    def _columns(self) -> Columns:
        chosen = self._selection
        return Columns(chosen.schema, chosen.asked, chosen.added)

    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """SCHEMA, so that loaders make good columns of it."""
        for message in super()._generate_schema_messages():
            yield replace(message, schema=announced(message.schema))

    # State

    @cached_property
    def _extraction(self) -> Extraction:
        return Extraction(
            self._source.connection,
            saved.former_of(self.get_context_state(None)),
            self._keep,
            incremental=self._is_incremental,
            announces_version=self._announces_version,
            sample=self._is_test,
        )

    def _keep(self, user: User | None, marks: Marks) -> None:
        """Put marks into the state. They are said when the next STATE is."""
        context = None if user is None else {"user_id": user.user_id}
        progress = self.get_context_state(context)
        if user is not None:
            saved.name_customer(progress, user.customer_id)
        saved.write_marks(progress, marks, with_bookmark=self._is_incremental)
        self.state_manager.is_flushed = False

    @property
    def partitions(self) -> list[dict[str, Any]] | None:
        """Partner: one per user read; customer: none."""
        if not self._is_partner:
            return None
        return [{"user_id": user.user_id} for user in self._extraction.users if user is not None]

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method == REPLICATION_INCREMENTAL

    def _increment_stream_state(
        self, latest_record: Mapping[str, Any], *, context: Context | None = None
    ) -> None:
        at = datetime.strptime(latest_record[BOOKMARK], "%Y-%m-%dT%H:%M:%SZ")
        if self._part is not None:
            self._part.emitted(at.replace(tzinfo=timezone.utc))

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Not: the marks say it."""

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the records are sorted, a bookmark never overtakes them."""

    def _write_state_message(self) -> None:
        """STATE after records, always: the SDK's writer is silent when the bookmark stands
        still, though sessions read again for the look-back wait for it in the target."""
        if not self.state_manager.is_flushed:
            _ = self.stream_state  # makes the stream's entry
            self._source.write_message(StateMessage(value=self.tap_state))
            self.state_manager.is_flushed = True

    # A sync

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        with self._run():
            if write_messages and self._fits_typed_lane():
                self._sync_typed(context)
            elif self._is_test:
                # Caught here, or the SDK calls its own stop an unhandled error.
                with suppress(AbortedSyncFailedException, AbortedSyncPausedException):
                    yield from super()._sync_records(context, write_messages=write_messages)
            else:
                with self._extraction.parts(self._columns, list, self._users(context)) as parts:
                    self._parts = parts
                    yield from super()._sync_records(context, write_messages=write_messages)
                self._parts = None

    def _sync_typed(self, context: Context | None) -> None:
        """The SDK's `_sync_records` without a dict, a flush and a schema walk per record."""
        output = self._source.message_writer
        assert isinstance(output, Output)
        selection = self._selection
        changed = selection.changed if selection.changes else None
        lines = RecordLines(self.name, self._stream_version, changed)
        with (
            self._extraction.parts(self._columns, lines.chunks, self._users(context)) as parts,
            self.get_record_counter() as counter,
            self.get_sync_timer() as timer,
        ):
            pace = Pace(self.STATE_MSG_FREQUENCY)
            for user, count in write_all(parts, output):
                here = None if user is None else {"user_id": user.user_id}
                counter.with_context(here)
                timer.with_context(here)
                counter.increment(count)
                if pace.due(count):
                    self._write_state_message()
        self._write_state_message()

    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The SDK's, from typed records."""
        selection = self._selection
        files = Files(
            batch_config,
            f"{self.tap_name}--{self.name}",
            selection.values,
            selection.change if selection.changes else None,
        )

        def announce(manifest: list[str]) -> None:
            self._write_batch_message(batch_config.encoding, manifest)

        with (
            self._run(),
            self.get_batch_counter() as counter,
            self._extraction.parts(self._columns, files.prepare, self._users(context)) as parts,
        ):
            for _ in write_files(parts, files, batch_config.batch_size, announce):
                counter.increment()
                self._write_state_message()
            self._write_state_message()

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Records as dicts, for the SDK's own path (stream maps, flattening)."""
        if self._parts is not None:
            yield from self._dicts(next(self._parts))
        else:
            with self._extraction.parts(self._columns, list, self._users(context)) as parts:
                for part in parts:
                    yield from self._dicts(part)

    def _dicts(self, part: Part[list[Record]]) -> Iterator[dict[str, Any]]:
        self._part = part
        for taken in part.windows():
            for record in taken.ready or []:
                yield self._selection.changed(record)
            part.finished(taken)

    def _users(self, context: Context | None) -> list[User | None]:
        """Whom to read: all, or the partition's."""
        users = self._extraction.users
        if context is None:
            return users
        return [user for user in users if user and user.user_id == context["user_id"]]

    @contextmanager
    def _run(self) -> Iterator[None]:
        """What surrounds a sync: STATE when it fails, since what has been emitted is complete up
        to the bookmark, so the next run goes on there; ACTIVATE_VERSION when it is complete."""
        saved.name_account(self.stream_state, self._account_name)
        if self._announces_version:
            self._stream_version = self._initialized_at // 1000
        with self._counted(), self._extraction.run():
            try:
                yield
            except Exception:
                self.state_manager.is_flushed = False
                self._write_state_message()
                raise
        self._announce_version()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        finally:
            with http_request_counter(self.name, METHOD) as counter:
                counter.increment(self._source.connection.client.requests_made)

    @property
    def _is_test(self) -> bool:
        """Whether `--test` wants a record or a few."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _fits_typed_lane(self) -> bool:
        """Whether records go out as they are: nothing mapped or flattened."""
        maps = self.stream_maps
        return (
            not self._is_test
            and len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and maps[0].stream_alias == self.name
            and not self.config.get("flattening_enabled")
            and isinstance(self._source.message_writer, Output)
        )

    # ACTIVATE_VERSION

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would say ACTIVATE_VERSION before the first record, and a loader drops
        the rows of the old version at once. It is said after a complete read."""
        return False

    @property
    def _announces_version(self) -> bool:
        wanted = self.config.get("emit_activate_version_messages", False)
        return bool(wanted) and not self._is_incremental and not self._is_test

    def _announce_version(self) -> None:
        """Everything has been read: the loader may drop what is not of this version."""
        if not self._announces_version or self._stream_version is None:
            return
        self._write_activate_version_message(self._stream_version)
        self._extraction.standing.version_activated()
        self._write_state_message()
