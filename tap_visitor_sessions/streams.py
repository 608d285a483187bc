"""The stream: key, bookmark, partitions, what a sync is.

Touches these private parts of singer_sdk.Stream 0.54, for which the SDK has no public way:
`_sync_records` (overridden: the typed lane), `_sync_batches` (overridden: STATE must not run
ahead of the files), `_increment_stream_state` (overridden: the
bookmark must neither stop at look-back records nor be lost on a kill),
`_write_state_message` (overridden: it may not be silent), `_write_starting_replication_value`,
`_write_batch_message`, `_finalize_state` and `_stream_version` (called or read). And
`pop_deselected_record_properties` of its catalog helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pendulum
from singer_sdk.helpers._catalog import pop_deselected_record_properties
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from tap_visitor_sessions.batches import Files, in_lists_of
from tap_visitor_sessions.errors import TapError
from tap_visitor_sessions.output import Output, RecordLines, bookmark_of
from tap_visitor_sessions.reader import Query, SpanReader, WindowReader
from tap_visitor_sessions.records import Decoder, Record
from tap_visitor_sessions.schema import PARTNER_PROPERTIES, partner_schema, stream_schema
from tap_visitor_sessions.zones import SECOND, Zone

if TYPE_CHECKING:
    from singer_sdk.helpers._batch import BatchConfig

    from tap_visitor_sessions.tap import TapVisitorSessions

KEY, BOOKMARK = "id", "date_time"
Context = Mapping[str, Any]
T = TypeVar("T")


class VisitorSessions(Stream):
    """Sessions of visitors, each emitted at least once, in order of (`date_time`, `id`)."""

    name = "visitor_sessions"
    is_sorted = True

    def __init__(self, tap: TapVisitorSessions) -> None:
        is_partner = tap.config.get("account_type") == "partner"
        super().__init__(tap, schema=partner_schema() if is_partner else stream_schema())
        self.primary_keys = (KEY,)
        self.replication_key = BOOKMARK
        self._source = tap
        self._is_partner = is_partner

    # What is read

    @property
    def partitions(self) -> list[dict[str, Any]] | None:
        """Partner: one per user read; customer: none."""
        if not self._is_partner:
            return None
        return [{"user_id": user.user_id} for user in self._source.account.users]

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Records as dicts, for the SDK's own path (stream maps, flattening, BATCH)."""
        for records in self._windows(context, _as_they_are):
            for record in records:
                yield msgspec.to_builtins(record)

    def _windows(
        self, context: Context | None, prepare: Callable[[list[Record]], T]
    ) -> Iterator[T]:
        """Finished records, window by window, in order, as `prepare` makes them."""
        settings, account = self._source.settings, self._source.account
        user_id = context["user_id"] if context else None
        zone = account.zone(user_id)
        start, end = self._span(zone, context)
        extra: dict[str, Any] = {}
        if self._is_partner:
            customer = next((u.customer_id for u in account.users if u.user_id == user_id), None)
            extra = {"customer_id": customer, "user_id": user_id}
        columns = self._columns()
        asked = [name for name in columns if name not in PARTNER_PROPERTIES]
        query = Query(asked, self._page_size(), settings.filter, user_id)
        decoder = Decoder(
            self._selected_schema(), zone, {k: v for k, v in extra.items() if k in columns}
        )
        reader = WindowReader(
            self._source.client.call,
            decoder,
            query,
            prepare,
            concurrency=settings.concurrency,
            stop=self._source.stop,
        )
        self.logger.info("Reading sessions of %s to %s, account time", start, end - SECOND)
        yield from SpanReader(reader, settings.concurrency).read(start, end)

    def _page_size(self) -> int:
        size = self._source.settings.page_size
        # --test wants a record or a few, not a page.
        return size if self.ABORT_AT_RECORD_COUNT is None else min(size, 500)

    def _columns(self) -> list[str]:
        """Selected top-level columns, in the schema's order; key and bookmark always."""
        return [
            name
            for name in self.schema["properties"]
            if name in (KEY, BOOKMARK) or self.mask.get(("properties", name), True)
        ]

    def _selected_schema(self) -> dict[str, Any]:
        """The stream's schema with the selected top-level columns."""
        declared = self.schema["properties"]
        return {"properties": {name: declared[name] for name in self._columns()}}

    def _span(self, zone: Zone, context: Context | None) -> tuple[datetime, datetime]:
        """First wall-clock second to read, and the one after the last."""
        settings = self._source.settings
        start = settings.start.value
        first = zone.first_wall(start) if start.tzinfo else start
        bookmark = self._bookmark(context)
        if bookmark is not None:
            since = pendulum.instance(bookmark) - settings.lookback
            first = max(first, zone.first_wall(since))
        end = settings.end.value if settings.end else settings.now
        last = zone.last_wall(end) if end.tzinfo else end
        return first, max(last + SECOND, first)

    # Bookmark

    def _bookmark(self, context: Context | None) -> datetime | None:
        """The bookmark of a former run, made to compare with this run's (UTC, `Z`)."""
        if self.replication_method != REPLICATION_INCREMENTAL:
            return None
        state = self.get_context_state(context)
        text = state.get("replication_key_value")
        if not text:
            return None
        try:
            value = pendulum.parse(text)
            assert isinstance(value, pendulum.DateTime)
        except (ValueError, TypeError, AssertionError):
            raise TapError(
                f"The state's bookmark {text!r} of {self.name} is no date and time: "
                "correct the state file, or start without it"
            ) from None
        bookmark = value.in_timezone("UTC").replace(microsecond=0)
        state["replication_key_value"] = bookmark.format("YYYY-MM-DD[T]HH:mm:ss[Z]")
        return bookmark

    def _advance(self, context: Context | None, date_time: str) -> None:
        """Move the bookmark on to `date_time`, never back."""
        if self.replication_method != REPLICATION_INCREMENTAL:
            return
        state = self.get_context_state(context)
        if date_time > (state.get("replication_key_value") or ""):
            state["replication_key"] = BOOKMARK
            state["replication_key_value"] = date_time

    def _increment_stream_state(
        self, latest_record: Mapping[str, Any], *, context: Context | None = None
    ) -> None:
        self._advance(context, latest_record[BOOKMARK])

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
        half_selected = self._is_half_selected()
        files = Files(
            batch_config,
            f"{self.tap_name}--{self.name}",
            self._selected_schema(),
            self._prune if half_selected else None,
        )
        with self._ending_with_state(), self.get_batch_counter() as counter:
            for here in self._contexts(context):
                windows = self._windows(here, files.prepare)
                for items in in_lists_of(batch_config.batch_size, windows):
                    self._write_batch_message(batch_config.encoding, files.write(items))
                    counter.increment()
                    self._advance(here, bookmark_of(items[-1][0]))
                    self._write_state_message()

    def _prune(self, record: dict[str, Any]) -> None:
        pop_deselected_record_properties(record, self.schema, self.mask)

    def _is_half_selected(self) -> bool:
        """Whether members within a column are deselected."""
        return any(len(path) > 2 and not chosen for path, chosen in self.mask.items())

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        with self._ending_with_state():
            if write_messages and self._fits_typed_lane():
                self._sync_typed(context)
            else:
                yield from super()._sync_records(context, write_messages=write_messages)

    @contextmanager
    def _ending_with_state(self) -> Iterator[None]:
        """STATE when a sync fails: what has been emitted is complete up to the bookmark, so
        the next run goes on there. And the end of a login session, either way."""
        try:
            yield
        except Exception as problem:
            self.state_manager.is_flushed = False
            self._write_state_message()
            self._source.disconnect()
            if isinstance(problem, msgspec.MsgspecError):
                raise TapError(f"The API's answer cannot be read: {problem}") from None
            raise
        self._source.disconnect()

    def _contexts(self, context: Context | None) -> list[Context | None]:
        """The partitions to read; None stands for the stream of a customer's account."""
        if context is not None:
            return [context]
        return [None] if self.partitions is None else list(self.partitions)

    def _fits_typed_lane(self) -> bool:
        """Whether records go out as they are: nothing mapped, flattened or half selected."""
        maps = self.stream_maps
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and maps[0].stream_alias == self.name
            and not self.config.get("flattening_enabled")
            and not self._is_half_selected()
            and isinstance(self._source.message_writer, Output)
        )

    def _sync_typed(self, context: Context | None) -> None:
        """The SDK's `_sync_records` without a dict, a flush and a schema walk per record."""
        output = self._source.message_writer
        assert isinstance(output, Output)
        lines = RecordLines(self.name, self._stream_version)
        since_state = 0
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            for here in self._contexts(context):
                counter.with_context(here)
                timer.with_context(here)
                self._write_starting_replication_value(here)
                for chunks in self._windows(here, lines.chunks):
                    for chunk in chunks:
                        output.write_lines(chunk.lines)
                        self._advance(here, chunk.bookmark)
                        output.heed()
                        counter.increment(chunk.count)
                        self.state_manager.is_flushed = False
                        since_state += chunk.count
                        if since_state >= self.STATE_MSG_FREQUENCY:
                            self._write_state_message()
                            since_state = 0
                self._finalize_state(self.get_context_state(here))
        self._write_state_message()


def _as_they_are(records: list[Record]) -> list[Record]:
    return records
