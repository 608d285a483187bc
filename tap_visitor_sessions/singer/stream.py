"""The stream as Singer wants it: a catalog and a state in, messages and a state out.

Of singer_sdk.Stream it overrides `_sync_records` (the typed lane), `_sync_batches` (STATE must not
run ahead of the files) and `_increment_stream_state` (the bookmark must neither stop at records
of the look-back nor be lost on a kill), sets `_schema`, `_metadata` and `_mask`, and calls
`_write_batch_message`. The others: `sdk`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException

from tap_visitor_sessions.config import BOOKMARK, READ_AT, STREAM, privacy_note
from tap_visitor_sessions.sessions import Chunk, Connection, Pace, Part, Record, write_all
from tap_visitor_sessions.singer import maps
from tap_visitor_sessions.singer.batches import Files, write_files
from tap_visitor_sessions.singer.catalog import (
    declared,
    dicts,
    transform_of,
)
from tap_visitor_sessions.singer.days import VisitorSessionDays
from tap_visitor_sessions.singer.declared import DeclaredStream
from tap_visitor_sessions.singer.output import Output, RecordLines
from tap_visitor_sessions.singer.sync import Context, Reading, context_of

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BatchConfig


BATCH_NOTE = (
    "BATCH messages name files that the loader must read. One that does not know BATCH may pass "
    "them over, load nothing and still end well: see docs/loaders.md"
)


class VisitorSessions(DeclaredStream):
    """Sessions of visitors, each emitted at least once, in order of (`date_time`, `id`).

    Args:
        catalog: What is wanted of the stream; None: all of it.
        connect: Makes the connection, when it is needed first.
        days: The stream of days, whose rows come with the sessions.
    """

    name = STREAM
    is_sorted = True

    def __init__(
        self,
        tap: Tap,
        catalog: Mapping[str, Any] | None,
        connect: Callable[[], Connection],
        days: VisitorSessionDays,
    ) -> None:
        super().__init__(tap, declared(tap.config), catalog)
        self._connect = connect
        self._days = days
        self._parts: Iterator[Part[list[Chunk]]] | None = None
        self._part: Part[list[Chunk]] | None = None

    # State

    @cached_property
    def _reading(self) -> Reading:
        return Reading(
            self._connect(),
            self.get_context_state(None),
            self.state_waits,
            incremental=self.is_incremental,
            announces_version=self.announces_version,
            sample=self.is_test,
            write_days=self._days.write if self._counts_days else None,
            idle=self._idle,
        )

    def _idle(self) -> None:
        if not self.is_test:
            self._write_state_message()

    @property
    def _counts_days(self) -> bool:
        return self._days.selected and not self.is_test

    @property
    def partitions(self) -> list[dict[str, Any]] | None:
        """Partner: one per user read; customer: none."""
        is_partner = self.config.get("account_type") == "partner"
        return self._reading.partitions if is_partner else None

    def _increment_stream_state(
        self, latest_record: Mapping[str, Any], *, context: Context | None = None
    ) -> None:
        at = datetime.strptime(latest_record[BOOKMARK], "%Y-%m-%dT%H:%M:%SZ")
        if self._part is not None:
            self._part.emitted(at.replace(tzinfo=timezone.utc))

    def keep_days(self) -> None:
        """Put what is remembered of days into the state, which is about to be written for the last
        time."""
        if "_reading" in self.__dict__:
            self._reading.keep_days()

    # A sync

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        with self._run():
            if write_messages and self._fits_typed_lane():
                self._sync_typed(context)
            elif self.is_test:
                # Caught here, or the SDK calls its own stop an unhandled error.
                with suppress(AbortedSyncFailedException, AbortedSyncPausedException):
                    yield from super()._sync_records(context, write_messages=write_messages)
            else:
                with self._read(self._selection.chunks, context) as self._parts:
                    yield from super()._sync_records(context, write_messages=write_messages)
                self._parts = None
                self._write_state_message()

    def _sync_typed(self, context: Context | None) -> None:
        """The SDK's `_sync_records` without a dict, a flush and a schema walk per record."""
        output = self._tap.message_writer
        assert isinstance(output, Output)
        made = transform_of(self._selection, maps.flattening(self.stream_maps))
        lines = RecordLines(self.name, self._stream_version, made.change)
        with (
            self._read(lines.chunks, context) as parts,
            self.get_record_counter() as counter,
            self.get_sync_timer() as timer,
        ):
            pace = Pace(self.STATE_MSG_FREQUENCY)
            for user, count in write_all(parts, output):
                counter.with_context(context_of(user))
                timer.with_context(context_of(user))
                counter.increment(count)
                if pace.due(count):
                    self._write_state_message()
        self._write_state_message()

    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The SDK's, from typed records."""
        self.logger.info(BATCH_NOTE)
        stem, options = f"{self.tap_name}--{self.name}", maps.flattening(self.stream_maps)
        files = Files(batch_config, stem, self._selection, options, self._reading.warnings)
        announce = partial(self._write_batch_message, batch_config.encoding)
        with (
            self._run(),
            self.get_batch_counter() as counter,
            self._read(files.prepare, context) as parts,
        ):
            for _ in write_files(parts, files, batch_config.batch_size, announce):
                counter.increment()
                self._write_state_message()
            self._write_state_message()

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Records as dicts, for the SDK's own path (stream maps)."""
        if self._parts is not None:
            yield from self._dicts(next(self._parts))
        else:
            with self._read(self._selection.chunks, context) as parts:
                for part in parts:
                    yield from self._dicts(part)

    def _dicts(self, part: Part[list[Chunk]]) -> Iterator[dict[str, Any]]:
        self._part = part
        flat = maps.flattening(self.stream_maps) is not None
        for taken in part.windows():
            for record in dicts(taken.ready or []):
                yield self._selection.filled(record) if flat else record
            part.finished(taken)

    def _read(
        self, prepare: Callable[[list[Record]], Any], context: Context | None
    ) -> AbstractContextManager[Iterator[Part[Any]]]:
        columns = self._selection.columns
        for one in self.stream_maps if READ_AT in columns.names else ():
            self._reading.check_columns(one.transformed_schema["properties"])
        return self._reading.parts(columns, prepare, context)

    @contextmanager
    def _run(self) -> Iterator[None]:
        """What surrounds a sync: STATE when it fails, since what has been emitted is complete up
        to the bookmark, so the next run goes on there; ACTIVATE_VERSION when it is complete."""
        self.begin_version()
        if self._counts_days:
            self._days.begin(self._stream_version)
        self.logger.info(privacy_note(self.schema, self.config.get("hash_columns") or ()))
        try:
            with self._reading.run():
                try:
                    yield
                except Exception:
                    self.state_waits()
                    self._write_state_message()
                    raise
        except Exception:
            writer = self._tap.message_writer
            if isinstance(writer, Output):
                writer.heed()  # a signal that was put off is why it ended
            raise
        if self.announces_version and (unread := self._reading.unread()):
            self.logger.warning(
                "ACTIVATE_VERSION is not written, because the loader would drop the rows of %s. "
                "Make them readable, or exclude them with exclude_customer_ids, which drops their "
                "rows",
                ", ".join(f"{who} ({reason})" for who, reason in unread.items()),
            )
        elif self.announces_version:
            # First: whoever is killed in between leaves no bookmark of rows that are dropped.
            self._reading.version_activated()
            self._write_state_message()
            if self._counts_days:  # before the sessions: it never claims more than there is
                self._days.activate()
            self.announce_version()

    def _fits_typed_lane(self) -> bool:
        """Whether records go out as they are, to a writer of ours."""
        mapped = maps.change(self.stream_maps, self.name)
        return not self.is_test and not mapped and isinstance(self._tap.message_writer, Output)
