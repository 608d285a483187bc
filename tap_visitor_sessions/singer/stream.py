"""The stream: key, bookmark, partitions, what a sync is.

Touches these private parts of singer_sdk.Stream 0.54, for which the SDK has no public way:
`_sync_records` (overridden: the typed lane), `_sync_batches` (overridden: STATE must not run
ahead of the files), `_increment_stream_state` (overridden: the bookmark must neither stop at
look-back records nor be lost on a kill), `_write_state_message` (overridden: it may not be
silent), `_write_starting_replication_value` (overridden: it reads start_date and bookmark in its
own way, and nobody reads what it writes), `_write_batch_message`,
`_write_activate_version_message`, `_finalize_state` and `_stream_version` (called or set).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.metrics import http_request_counter
from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from tap_visitor_sessions.api.errors import TapError, Unreadable
from tap_visitor_sessions.config.schema import (
    ACCOUNT,
    partner_schema,
    stream_schema,
    with_account,
)
from tap_visitor_sessions.sessions.account import User
from tap_visitor_sessions.sessions.customers import Failures
from tap_visitor_sessions.sessions.pipeline import Pipeline, Span, Taken
from tap_visitor_sessions.sessions.progress import SUMMARY, Progress, drawn
from tap_visitor_sessions.sessions.reader import METHOD, Query, Shared, WindowReader
from tap_visitor_sessions.sessions.records import Decoder, Record
from tap_visitor_sessions.sessions.zones import Zone
from tap_visitor_sessions.singer import state
from tap_visitor_sessions.singer.announced import announced
from tap_visitor_sessions.singer.batches import Files, Item
from tap_visitor_sessions.singer.catalog import Declaration, handed, wanted
from tap_visitor_sessions.singer.output import Output, RecordLines, drained
from tap_visitor_sessions.singer.selection import Selection
from tap_visitor_sessions.singer.standing import Standing

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.singerlib import Catalog, SchemaMessage

    from tap_visitor_sessions.singer.tap import TapVisitorSessions

KEY = "id"
BOOKMARK = state.REPLICATION_KEY
STATE_SECONDS = 5.0
"""The end of a window is worth a STATE when the last one is so long ago."""
Context = Mapping[str, Any]
T = TypeVar("T")


class VisitorSessions(Stream):
    """Sessions of visitors, each emitted at least once, in order of (`date_time`, `id`)."""

    name = "visitor_sessions"
    is_sorted = True

    def __init__(self, tap: TapVisitorSessions) -> None:
        is_partner = tap.config.get("account_type") == "partner"
        self._account_name = tap.config.get("account") or None
        schema = partner_schema() if is_partner else stream_schema()
        if self._account_name is not None:
            schema = with_account(schema)
        super().__init__(tap, schema=schema)
        self.primary_keys = (KEY,) if self._account_name is None else (KEY, ACCOUNT)
        self.replication_key = BOOKMARK
        self._declaration = Declaration(self.name, schema, self.primary_keys, BOOKMARK)
        self._take(tap.handed_catalog)
        self._source = tap
        self._is_partner = is_partner
        self._open_pipeline: Pipeline[int | None, list[Record]] | None = None
        self._progress = Progress()

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

    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """SCHEMA, so that loaders make good columns of it."""
        for message in super()._generate_schema_messages():
            yield replace(message, schema=announced(message.schema))

    # What is read

    @property
    def partitions(self) -> list[dict[str, Any]] | None:
        """Partner: one per user read; customer: none."""
        if not self._is_partner:
            return None
        return [{"user_id": user_id} for user_id in self._users]

    @cached_property
    def _users(self) -> dict[int, User]:
        """Partner: the users to read, in turn."""
        known = [known.user_id for known in self._standing.known]
        users, missing = self._source.account.users(known)
        for who, reason in missing.items():
            self._failures.missing(who, reason)
        return {user.user_id: user for user in self._standing.in_turn(users)}

    @cached_property
    def _failures(self) -> Failures:
        return Failures(skips=self._source.settings.skips_customers)

    @contextmanager
    def _pipeline(
        self, contexts: Sequence[Context | None], prepare: Callable[[list[Record]], T]
    ) -> Iterator[Pipeline[int | None, T]]:
        """Finished records of partitions, one after the other, as `prepare` makes them."""
        settings, account = self._source.settings, self._source.account
        concurrency = 1 if self._is_test else settings.concurrency
        selection, page_size = self._selection, self._page_size()
        added = selection.added
        decoder = Decoder(selection.schema, Zone(timezone.utc), dict.fromkeys(added))
        shared = Shared(page_size, concurrency=concurrency, stop=self._source.stop)

        def span_of(user_id: int | None) -> Span[T]:
            user = None if user_id is None else self._users[user_id]
            zone = account.zone(user)
            reading = self._standing.opened(user, zone)
            values = {n: self._account_name if n == ACCOUNT else getattr(user, n) for n in added}
            here = decoder.of_account(zone, values)
            query = Query(selection.asked, page_size, settings.filter, user_id)
            reader = WindowReader(self._source.client.call, here, query, prepare, shared)
            return Span(reader, reading.stretches)

        users = [_user_id(context) for context in contexts]
        with closing(Pipeline(users, span_of, concurrency)) as pipeline:
            yield pipeline

    def _windows(
        self, pipeline: Pipeline[int | None, T], context: Context | None
    ) -> Iterator[Taken[T]]:
        """What the pipeline has of a partition: all of it, or an error; or, where a run goes
        on without a customer that fails, what came before the error."""
        user_id, progress = _user_id(context), self._progress
        had_turn = False
        try:
            try:
                for taken in pipeline.read(user_id):
                    progress.share, progress.windows = pipeline.share, pipeline.windows
                    if not had_turn:
                        self._take_turn(user_id)
                        had_turn = True
                    yield taken
            except msgspec.MsgspecError as problem:
                raise _unreadable(problem) from None
        except TapError as problem:
            if pipeline.answered:
                self._take_turn(user_id)
            if user_id is None:
                raise
            self._failures.note(str(self._users[user_id]), problem)
            self._take_turn(user_id)
        else:
            self._failures.passed()
            self._take_turn(user_id)
        progress.windows, progress.share = pipeline.windows, 0.0
        progress.parts_done += 1

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Records as dicts, for the SDK's own path (stream maps, flattening)."""
        if self._open_pipeline is not None:
            yield from self._dicts(self._open_pipeline, context)
        else:
            with self._pipeline([context], _as_they_are) as pipeline:
                yield from self._dicts(pipeline, context)

    def _dicts(
        self, pipeline: Pipeline[int | None, list[Record]], context: Context | None
    ) -> Iterator[dict[str, Any]]:
        for taken in self._windows(pipeline, context):
            for record in taken.ready or []:
                self._progress.sessions += 1
                yield self._selection.changed(record)
            self._finished(context, taken.until)

    @property
    def _is_test(self) -> bool:
        """Whether `--test` wants a record or a few."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _page_size(self) -> int:
        size = self._source.settings.page_size
        return min(size, 500) if self._is_test else size

    # How far it has been read

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method == REPLICATION_INCREMENTAL

    @cached_property
    def _standing(self) -> Standing:
        return Standing(
            self._source.settings,
            self._progress_of,
            self.logger,
            incremental=self._is_incremental,
            announces_version=self._announces_version,
        )

    def _progress_of(self, user_id: int | None) -> dict[str, Any]:
        """The part of the state that holds the marks."""
        return self.get_context_state(None if user_id is None else {"user_id": user_id})

    def _take_turn(self, user_id: int | None) -> None:
        """A partner's customer has had its turn in this run."""
        self._standing.take_turn(user_id)
        self.state_manager.is_flushed = False

    def _advance(self, context: Context | None, date_time: datetime) -> None:
        """All sessions up to this one have been written."""
        self._standing.advance(_user_id(context), date_time)
        self.state_manager.is_flushed = False

    def _finished(self, context: Context | None, wall: datetime) -> None:
        """All sessions filed before a wall-clock second have been written."""
        self._standing.finished(_user_id(context), wall)
        self.state_manager.is_flushed = False

    def _increment_stream_state(
        self, latest_record: Mapping[str, Any], *, context: Context | None = None
    ) -> None:
        at = datetime.strptime(latest_record[BOOKMARK], "%Y-%m-%dT%H:%M:%SZ")
        self._advance(context, at.replace(tzinfo=timezone.utc))

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

    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The SDK's, but the bookmark follows a file once its BATCH message is out: records
        of a file that a failure or a signal keeps back must be read again."""
        selection = self._selection
        files = Files(
            batch_config,
            f"{self.tap_name}--{self.name}",
            selection.values,
            selection.change if selection.changes else None,
        )
        with self._run(), self.get_batch_counter() as counter:
            contexts = self._contexts(context)

            def announce(here: Context | None, items: list[Item]) -> None:
                self._write_batch_message(batch_config.encoding, files.write(items))
                counter.increment()
                self._progress.sessions += len(items)
                self._advance(here, items[-1][0])
                self._write_state_message()

            with self._pipeline(contexts, files.prepare) as pipeline:
                for here in contexts:
                    held: list[Item] = []
                    until = None
                    for taken in self._windows(pipeline, here):
                        held += taken.ready or []
                        until = taken.until
                        while len(held) >= batch_config.batch_size:
                            announce(here, held[: batch_config.batch_size])
                            del held[: batch_config.batch_size]
                        if not held:
                            self._finished(here, until)
                    if held:
                        announce(here, held)
                    if until is not None:
                        self._finished(here, until)
            self._write_state_message()

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
                with self._pipeline(self._contexts(context), _as_they_are) as pipeline:
                    self._open_pipeline = pipeline
                    yield from super()._sync_records(context, write_messages=write_messages)
                self._open_pipeline = None

    @contextmanager
    def _run(self) -> Iterator[None]:
        """What surrounds a sync: its progress; at the end the session's logout and a summary;
        STATE when it fails: what has been emitted is complete up to the bookmark, so the next
        run goes on there."""
        client = self._source.client
        self._progress = progress = Progress()
        state.name_account(self.stream_state, self._account_name)
        if self._announces_version:
            self._stream_version = self._initialized_at // 1000
        try:
            with drawn(progress, client.pacer.left):
                if self._is_partner:
                    progress.parts = len(self._users)
                yield
        except Exception as problem:
            self.state_manager.is_flushed = False
            self._write_state_message()
            self._source.disconnect()
            if isinstance(problem, msgspec.MsgspecError):
                raise _unreadable(problem) from None
            raise
        finally:
            with http_request_counter(self.name, METHOD) as counter:
                counter.increment(client.requests_made)
            self._summarize()
        self._source.disconnect()
        self._failures.end()
        self._announce_version()

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
        self._standing.version_activated()
        self.state_manager.is_flushed = False
        self._write_state_message()

    def _summarize(self) -> None:
        client = self._source.client
        figures = self._progress.figures() | client.figures() | self._standing.reached()
        self.logger.info(SUMMARY, figures, extra={"summary": figures})

    def _contexts(self, context: Context | None) -> list[Context | None]:
        """The partitions to read; None stands for the stream of a customer's account."""
        if context is not None:
            return [context]
        return [None] if self.partitions is None else list(self.partitions)

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

    def _sync_typed(self, context: Context | None) -> None:
        """The SDK's `_sync_records` without a dict, a flush and a schema walk per record."""
        output = self._source.message_writer
        assert isinstance(output, Output)
        selection = self._selection
        changed = selection.changed if selection.changes else None
        lines = RecordLines(self.name, self._stream_version, changed)
        contexts = self._contexts(context)
        with (
            self._pipeline(contexts, lines.chunks) as pipeline,
            self.get_record_counter() as counter,
            self.get_sync_timer() as timer,
        ):
            since_state, state_at = 0, time.monotonic()
            for here in contexts:
                counter.with_context(here)
                timer.with_context(here)
                for taken in self._windows(pipeline, here):
                    for chunk in drained(taken.ready or []):
                        output.write_lines(chunk.lines)
                        self._advance(here, chunk.bookmark)
                        output.heed()
                        counter.increment(chunk.count)
                        self._progress.sessions += chunk.count
                        since_state += chunk.count
                        if since_state >= self.STATE_MSG_FREQUENCY:
                            self._write_state_message()
                            since_state, state_at = 0, time.monotonic()
                    self._finished(here, taken.until)
                    if time.monotonic() - state_at > STATE_SECONDS:
                        self._write_state_message()
                        since_state, state_at = 0, time.monotonic()
                self._finalize_state(self.get_context_state(here))
        self._write_state_message()


def _as_they_are(records: list[Record]) -> list[Record]:
    return records


def _unreadable(problem: msgspec.MsgspecError) -> Unreadable:
    return Unreadable(f"The API's answer cannot be read: {problem}")


def _user_id(context: Context | None) -> int | None:
    return context["user_id"] if context else None
