"""Sessions of one window, complete and in order.

Source: `get.visitor_sessions_report`. Its rows come in no promised order, its pages may be
short, and data moves while it is read; so each window is counted against `total_items` and
asked again until it adds up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from tap_visitor_sessions.api import ApiError, CountMismatch, SecondTooFull, TapError, Unreadable
from tap_visitor_sessions.config import BOOKMARK, KEY
from tap_visitor_sessions.sessions.records import ORDER, Decoder, Raw, Record
from tap_visitor_sessions.sessions.windows.fields import Fields
from tap_visitor_sessions.sessions.windows.in_flight import InFlight, Place
from tap_visitor_sessions.sessions.windows.windows import SECOND, PageCap, Window

logger = logging.getLogger("tap-visitor-sessions.reader")

METHOD = "get.visitor_sessions_report"
MAX_OFFSET = 100_000
# Sortable (page, column Sorting) and nearly unique within a second: steadies pages by offset.
STEADY_SORT = [{"field": "visitor_id", "order": "asc"}]
LARGEST_PAGE = 10_000
TRIES = 8
SAME_TRIES = 4
"""So many tries in which the count is off by the same number: it is not the data that moves."""
TOO_LONG = "date_interval_limit_reached"
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries of a count that does not add up


class Answer(Protocol):
    """What the reader needs of an answer of the API."""

    @property
    def data(self) -> Raw:
        """The raw JSON of the rows."""

    @property
    def total_items(self) -> int | None:
        """Rows that the query has."""


T = TypeVar("T")
Call = Callable[[str, Mapping[str, object]], Answer]


@dataclass(frozen=True)
class Query:
    """What stays the same in all requests of a read.

    Attributes:
        fields: Columns to ask for.
        page_size: Rows to ask for per request, 1..10000.
        filter: The API's filter tree, or None.
        user_id: Partner accounts: the user on whose behalf to read.
    """

    fields: Sequence[str]
    page_size: int
    filter: Mapping[str, Any] | None = None
    user_id: int | None = None

    def params(self, window: Window, *, offset: int = 0, steady: bool = False) -> dict[str, object]:
        """Parameters of a request for the closed span of a window."""
        params: dict[str, object] = {
            "date_from": f"{window.start:%Y-%m-%d %H:%M:%S}",
            "date_till": f"{window.end:%Y-%m-%d %H:%M:%S}",
            "fields": list(self.fields),
            "limit": self.page_size,
            "offset": offset,
        }
        if steady:
            params["sort"] = STEADY_SORT
        if self.filter is not None:
            params["filter"] = dict(self.filter)
        if self.user_id is not None:
            params["user_id"] = self.user_id
        return params


class _Unsettled(Exception):
    """An answer that cannot be trusted as it is, or data that moved; says why.

    Args:
        counted: Rows that the API counts, and
        given: those that it gives, where it gives others and no more.
    """

    def __init__(self, why: str, counted: int = 0, given: int = 0) -> None:
        super().__init__(why)
        self.counted, self.given = counted, given


class TooLong:
    """A window that the API refuses as too long a span: shorter ones are to be asked for."""


@dataclass
class Overfull:
    """A window that holds more than a page: how many, and the times of a sample."""

    total: int
    times: list[datetime]


@dataclass
class Whole(Generic[T]):
    """A window whose sessions are complete: how many, and either made ready for output, or
    as records where they must first be joined with those of a neighbour."""

    count: int
    ready: T | None = None
    records: list[Record] = field(default_factory=list)


class Shared:
    """What the readers of one run share: threads, slots, and what is known of the API.

    Args:
        page_size: Rows asked for per request.
        concurrency: Requests in flight.
        stop: Set when the run is to end.
    """

    def __init__(
        self, page_size: int, *, concurrency: int = 1, stop: threading.Event | None = None
    ) -> None:
        # One page is decoded at a time: more would only wait for each other, with more memory.
        self.decoding = threading.Lock()
        self.in_flight = InFlight(concurrency)
        self.stop = stop or threading.Event()
        self.cap = PageCap(page_size)


class WindowReader(Generic[T]):
    """Fetches windows of one account, one at a time. Safe to use from several threads.

    Args:
        prepare: Makes finished records ready for output, in the thread that fetched them: a
            window that waits for its turn is then 25 MB of lines, not 100 MB of objects.
        fields: The columns asked for; else all of the query.
        order: Of the account; requests of a lower one go first.
    """

    def __init__(
        self,
        call: Call,
        decoder: Decoder,
        query: Query,
        prepare: Callable[[list[Record]], T],
        shared: Shared | None = None,
        *,
        fields: Fields | None = None,
        order: int = 0,
    ) -> None:
        self._call = call
        self._fields = fields or Fields(query.fields)
        self._order = order
        self._decoder = decoder
        self._query = query
        self.prepare = prepare
        self._shared = shared or Shared(query.page_size)
        self.cap = self._shared.cap

    def join(self) -> Place:
        """A place in the line of those who wait to send a request."""
        return self._shared.in_flight.join(self._order)

    def read(self, window: Window, place: Place | None = None) -> Whole[T] | Overfull | TooLong:
        """All sessions of the window, finished and sorted, or why it cannot be read as one.

        Args:
            place: Where its first request stands in line; else at the end.

        Raises:
            CountMismatch: the count did not add up in any of the tries.
            SecondTooFull: one second holds more than the API's offset can reach.
        """
        reason, off, same = "", 0, 0
        for attempt in range(TRIES):
            if attempt:
                logger.info("Asking %s again: %s", window, reason)
                self._shared.stop.wait(min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE))
            if self._shared.stop.is_set():
                raise TapError("Stopped")
            try:
                return self._read(window, place, off)
            except _Unsettled as problem:
                reason, place = str(problem), None
                by = problem.counted - problem.given
                off, same = by, same + 1 if by == off else 1
                if by and same == SAME_TRIES:
                    raise CountMismatch(
                        f"The API counts {problem.counted} sessions of {window} (total_items) and "
                        f"gives {problem.given}, off by the same number in all of {same} tries: "
                        "the data does not move, its count is wrong. Report it to the vendor; "
                        "start_date and end_date can leave that span out"
                    ) from None
            except ApiError as problem:
                if problem.mnemonic != TOO_LONG or not self.cap.too_long(window):
                    raise
                return TooLong()
            except Unreadable as problem:
                problem.args = (f"{problem} (asked for the sessions of {window})",)
                raise
        raise CountMismatch(
            f"The API's sessions of {window} did not add up in {TRIES} tries ({reason}). "
            "The data may be changing faster than it can be read: run again later"
        )

    def count(self, window: Window) -> tuple[int, datetime | None]:
        """How many sessions the API counts in a window, its end as the API takes it, and the
        wall-clock time of one of them; at the price of a request of one row and one column."""
        params = self._query.params(window) | {"fields": [BOOKMARK], "limit": 1}
        with self.join():
            answer = self._call(METHOD, params)
        if answer.total_items is None:
            raise Unreadable("The API's answer to a count says no total_items")
        return answer.total_items, self._decoder.one_time(answer.data)

    def _read(self, window: Window, place: Place | None, off: int) -> Whole[T] | Overfull:
        """One try.

        Args:
            off: By how much the count was off in the last one; 0: it was not, or is not known.
        """
        page_size = self._query.page_size
        raw, total = self._page(window, 0, steady=window.is_one_second, place=place)
        with self._shared.decoding:
            if total > page_size and not window.is_one_second:
                times = self._decoder.times(raw)
                if len(times) >= page_size or self.cap.is_proven:
                    return Overfull(total, times)
                rows = None
            else:
                rows = self._decoder.rows(raw)
                times = [row.date_time for row in rows]
            del raw
        got = len(times)
        if got < min(page_size, total) and not self.cap.is_proven:
            self._prove(window, got, total, off)
        with self._shared.decoding:
            if rows is None:
                return Overfull(total, times)
            self.cap.observe(page_size, got, total)
            if got >= total:
                ids = {row.id for row in rows}
                if len(ids) != total:
                    raise _Unsettled(f"total_items is {total}, {len(ids)} came", total, got)
                return self._whole(window, rows)
            if total > self.cap.rows and not window.is_one_second:
                return Overfull(total, times)
        rows = self._by_offset(window, rows, total)
        with self._shared.decoding:
            return self._whole(window, rows)

    def _prove(self, window: Window, got: int, total: int, off: int) -> None:
        """Look whether more rows follow those of a short page.

        Raises:
            _Unsettled: none do.
        """
        if got and total - got != off:
            raw, now = self._page(window, got, steady=window.is_one_second, only_keys=True)
            if now != total:
                raise _Unsettled(f"total_items went from {total} to {now} during the read")
            if self._decoder.ids(raw):
                self.cap.is_proven = True
                return
        raise _Unsettled(f"total_items is {total}, {got} came and none after them", total, got)

    def _whole(self, window: Window, rows: list[Record]) -> Whole[T]:
        start, end = window.start, window.end
        outside = next((row for row in rows if not start <= row.date_time <= end), None)
        if outside is not None:
            raise _Unsettled(f"session {outside.id} of {outside.date_time} is outside the span")
        # The next window starts at `end`: right whether or not date_till is counted in.
        records = self._decoder.finish([row for row in rows if row.date_time < end])
        if not records or self._touches_gap(window):
            return Whole(len(records), records=records)
        return Whole(len(records), self.prepare(records))

    def _touches_gap(self, window: Window) -> bool:
        """Whether a neighbour's sessions can be read as the same instant as one of these."""
        instant = self._decoder.instant
        return any(instant(at - SECOND) == instant(at) for at in (window.start, window.end))

    def merged(self, before: list[Record], after: list[Record]) -> list[Record]:
        """Records of two windows in one order."""
        return sorted([*before, *after], key=ORDER) if before else after

    def shares_instant(self, record: Record, wall: datetime) -> bool:
        """Whether a session filed under `wall` would be read as the instant of the record."""
        return bool(record.date_time == self._decoder.instant(wall))

    def _page(
        self,
        window: Window,
        offset: int,
        *,
        steady: bool,
        only_keys: bool = False,
        place: Place | None = None,
    ) -> tuple[Raw, int]:
        params = self._query.params(window, offset=offset, steady=steady)

        def request(names: Sequence[str], **more: object) -> Answer:
            return self._call(METHOD, {**params, "fields": list(names), **more})

        with place or self.join():
            answer = request((KEY, BOOKMARK)) if only_keys else self._fields.ask(request)
        if answer.total_items is None:
            raise _Unsettled("the answer says no total_items")
        return answer.data, answer.total_items

    def _by_offset(self, window: Window, first: list[Record], total: int) -> list[Record]:
        """The rows of a window that takes several pages, `first` being those of the first.

        Rows move from page to page as others come and go, and a count that stays the same
        does not show it. So the ids are read once more: they must be the same.

        Raises:
            _Unsettled: the data moved, or the pages do not hold all rows.
            SecondTooFull: the API's offset cannot reach them all.
        """
        if window.is_one_second and any(row.date_time >= window.end for row in first):
            # date_till is counted in, so the query spans two seconds: ask for the one.
            window = Window(window.start, window.start)
            raw, total = self._page(window, 0, steady=True)
            first = self._decoder.rows(raw)
        if total > MAX_OFFSET + self.cap.rows:
            raise SecondTooFull(
                f"{total} sessions are filed under the second {window.start:%Y-%m-%d %H:%M:%S}, "
                f"and the API reaches only {MAX_OFFSET + self.cap.rows} of them. {self._way(total)}"
            )
        held = {row.id: row for row in first}
        end = len(first)
        for _ in range(TRIES):
            for raw, until in self._pages(window, end, total):
                held.update((row.id, row) for row in self._decoder.rows(raw))
                end = until
            if end != total:
                why = f"total_items is {total}, {len(held)} came by offset"
                raise _Unsettled(why, total, len(held))
            if len(held) >= total:
                break
            end = 0
        if len(held) != total:
            raise _Unsettled(f"total_items is {total}, {len(held)} came by offset")
        seen: set[int] = set()
        for _ in range(TRIES):
            for raw, _ in self._pages(window, 0, total, only_keys=True):
                seen.update(self._decoder.ids(raw))
            if len(seen) >= total:
                break
        if seen != held.keys():
            raise _Unsettled(f"{len(seen ^ held.keys())} sessions came or went during the read")
        return list(held.values())

    def _way(self, total: int) -> str:
        """How a second that cannot be reached can be read all the same."""
        if self.cap.rows >= self._query.page_size and total <= MAX_OFFSET + LARGEST_PAGE:
            return f"Set page_size to {LARGEST_PAGE}, with which all of them can be reached"
        return "Set a `filter` (for example by site_id) and read the parts separately"

    def _pages(
        self, window: Window, offset: int, total: int, *, only_keys: bool = False
    ) -> Iterator[tuple[Raw, int]]:
        """The pages of a window from an offset on, in a steady order, each with where it ends.

        Raises:
            _Unsettled: the number of rows changed underneath.
        """
        while offset < total:
            start = min(offset, MAX_OFFSET)
            raw, now = self._page(window, start, steady=True, only_keys=only_keys)
            if now != total:
                raise _Unsettled(f"total_items went from {total} to {now} during the read")
            end = start + len(self._decoder.ids(raw))
            if end <= offset:
                return
            offset = end
            yield raw, end
