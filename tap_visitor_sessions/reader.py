"""Sessions of a span, complete and in order: windows in flight, emitted front to back.

Source: `get.visitor_sessions_report`. Its rows come in no promised order, its pages may be
short, and data moves while it is read; so each window is counted against `total_items` and
asked again until it adds up.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from tap_visitor_sessions.errors import CountMismatch, SecondTooFull, TapError
from tap_visitor_sessions.records import ORDER, Decoder, Raw, Record
from tap_visitor_sessions.windows import SECOND, PageCap, Region, Window, split

logger = logging.getLogger("tap-visitor-sessions.reader")

METHOD = "get.visitor_sessions_report"
MAX_OFFSET = 100_000
# Sortable (page, column Sorting) and nearly unique within a second: steadies pages by offset.
STEADY_SORT = [{"field": "visitor_id", "order": "asc"}]
TRIES = 8
IN_FLIGHT_PER_SPARE = 4
"""Beside those in flight, a window in so many is decoded or waits for its turn."""
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
    """An answer that cannot be trusted as it is, or data that moved; says why."""


@dataclass
class _Overfull:
    """A window that holds more than a page: how many, and the times of a sample."""

    total: int
    times: list[datetime]


@dataclass
class _Whole(Generic[T]):
    """A window whose sessions are complete: how many, and either made ready for output, or
    as records where they must first be joined with those of a neighbour."""

    count: int
    ready: T | None = None
    records: list[Record] = field(default_factory=list)


@dataclass
class _Slot(Generic[T]):
    """A window being fetched, and the region it was cut from."""

    window: Window
    region: Region
    result: Future[_Whole[T] | _Overfull] = field(default_factory=Future)


class WindowReader(Generic[T]):
    """Fetches one window. Safe to use from several threads.

    Args:
        prepare: Makes finished records ready for output, in the thread that fetched them: a
            window that waits for its turn is then 25 MB of lines, not 100 MB of objects.
    """

    def __init__(
        self,
        call: Call,
        decoder: Decoder,
        query: Query,
        prepare: Callable[[list[Record]], T],
        *,
        concurrency: int = 1,
        stop: threading.Event | None = None,
    ) -> None:
        self._call = call
        self._decoder = decoder
        # One page is decoded at a time: more would only wait for each other, with more memory.
        self._decoding = threading.Lock()
        self._in_flight = threading.Semaphore(concurrency)
        self.prepare = prepare
        self._query = query
        self._stop = stop or threading.Event()
        self.cap = PageCap(query.page_size)

    def read(self, window: Window) -> _Whole[T] | _Overfull:
        """All sessions of the window, finished and sorted, or how overfull it is.

        Raises:
            CountMismatch: the count did not add up in any of the tries.
            SecondTooFull: one second holds more than the API's offset can reach.
        """
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                logger.info("Asking %s again: %s", window, reason)
                self._stop.wait(min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE))
            if self._stop.is_set():
                raise TapError("Stopped")
            try:
                return self._read(window)
            except _Unsettled as problem:
                reason = str(problem)
        raise CountMismatch(
            f"The API's sessions of {window} did not add up in {TRIES} tries ({reason}). "
            "The data may be changing faster than it can be read: run again later"
        )

    def _read(self, window: Window) -> _Whole[T] | _Overfull:
        raw, total = self._page(window, 0, steady=window.is_one_second)
        with self._decoding:
            if total > self._query.page_size and not window.is_one_second:
                return _Overfull(total, self._decoder.times(raw))
            rows = self._decoder.rows(raw)
            del raw
            self.cap.observe(self._query.page_size, len(rows), total)
            if len(rows) >= total:
                ids = {row.id for row in rows}
                if len(ids) != total:
                    raise _Unsettled(f"total_items is {total}, {len(ids)} came")
                return self._whole(window, rows)
            if total > self.cap.rows and not window.is_one_second:
                return _Overfull(total, [row.date_time for row in rows])
        rows = self._by_offset(window, rows, total)
        with self._decoding:
            return self._whole(window, rows)

    def _whole(self, window: Window, rows: list[Record]) -> _Whole[T]:
        start, end = window.start, window.end
        outside = next((row for row in rows if not start <= row.date_time <= end), None)
        if outside is not None:
            raise _Unsettled(f"session {outside.id} of {outside.date_time} is outside the span")
        # The next window starts at `end`: right whether or not date_till is counted in.
        records = self._decoder.finish([row for row in rows if row.date_time < end])
        if not records or self._touches_gap(window):
            return _Whole(len(records), records=records)
        return _Whole(len(records), self.prepare(records))

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
        self, window: Window, offset: int, *, steady: bool, only_keys: bool = False
    ) -> tuple[Raw, int]:
        params = self._query.params(window, offset=offset, steady=steady)
        if only_keys:
            params["fields"] = ["id", "date_time"]
        with self._in_flight:
            answer = self._call(METHOD, params)
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
                f"and the API reaches only {MAX_OFFSET + self.cap.rows} of them. Set a `filter` "
                "(for example by site_id) and read the parts separately"
            )
        held = {row.id: row for row in first}
        offset = len(first)
        for _ in range(TRIES):
            for raw in self._pages(window, offset, total):
                held.update((row.id, row) for row in self._decoder.rows(raw))
            if len(held) >= total:
                break
            offset = 0
        if len(held) != total:
            raise _Unsettled(f"total_items is {total}, {len(held)} came by offset")
        seen: set[int] = set()
        for _ in range(TRIES):
            for raw in self._pages(window, 0, total, only_keys=True):
                seen.update(self._decoder.ids(raw))
            if len(seen) >= total:
                break
        if seen != held.keys():
            raise _Unsettled(f"{len(seen ^ held.keys())} sessions came or went during the read")
        return list(held.values())

    def _pages(
        self, window: Window, offset: int, total: int, *, only_keys: bool = False
    ) -> Iterator[Raw]:
        """The pages of a window from an offset on, in a steady order.

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
            yield raw


class _Workers(Generic[T]):
    """Daemon threads: unlike those of a ThreadPoolExecutor, a request that hangs in one
    does not hold up the end of the process."""

    def __init__(self, count: int, work: Callable[[_Slot[T]], None]) -> None:
        self._tasks: queue.SimpleQueue[_Slot[T] | None] = queue.SimpleQueue()
        self._count = count
        self._work = work
        for number in range(count):
            threading.Thread(target=self._run, name=f"fetch-{number}", daemon=True).start()

    def submit(self, slot: _Slot[T]) -> None:
        self._tasks.put(slot)

    def close(self) -> None:
        for _ in range(self._count):
            self._tasks.put(None)

    def _run(self) -> None:
        while (slot := self._tasks.get()) is not None:
            self._work(slot)
            del slot  # or its records would be held until the next task comes


class SpanReader(Generic[T]):
    """Reads a span with several windows in flight.

    Memory: at most `concurrency` and a quarter of windows are held at any time, and the one
    being written; one of them as objects, the others as bytes.
    """

    def __init__(self, reader: WindowReader[T], concurrency: int) -> None:
        self._reader = reader
        self._windows_out = concurrency + max(concurrency // IN_FLIGHT_PER_SPARE, 1)
        self.windows = 0

    def read(self, start: datetime, end: datetime) -> Iterator[T]:
        """The sessions window by window, each wholly after the one before, as `prepare` made
        them ready.

        Args:
            start: First wall-clock second wanted.
            end: The wall-clock second after the last one wanted.
        """
        agenda: deque[Region | _Slot[T]] = deque([Region(start, end)])
        workers = _Workers(self._windows_out, self._fetch)
        # In a gap of the clock many seconds, so several windows, are read as one instant.
        carried: list[Record] = []
        try:
            while agenda:
                self._fill(agenda, workers)
                head = agenda.popleft()
                if isinstance(head, Region):
                    continue  # used up
                result = head.result.result()
                if isinstance(result, _Overfull):
                    agenda.appendleft(self._split(head, result))
                    continue
                self.windows += 1
                self._learn(head, result.count)
                self._fill(agenda, workers)
                end_of_window = head.window.end
                del head  # or what is written would be held until the next one is taken
                if result.ready is not None:
                    yield result.ready
                    del result  # the next wait need not hold what has been written
                    continue
                carried = self._reader.merged(carried, result.records)
                if carried and not self._reader.shares_instant(carried[-1], end_of_window):
                    yield self._reader.prepare(carried)
                    carried = []
            if carried:
                yield self._reader.prepare(carried)
        finally:
            workers.close()
            for item in agenda:
                if isinstance(item, _Slot):
                    item.result.cancel()

    def _fill(self, agenda: deque[Region | _Slot[T]], workers: _Workers[T]) -> None:
        """Cut and submit windows, front first, until enough are in flight."""
        for place, item in enumerate(agenda):
            if isinstance(item, _Slot) and item.result.done() and not item.result.exception():
                result = item.result.result()
                if isinstance(result, _Overfull):
                    agenda[place] = self._split(item, result)
        out = sum(isinstance(item, _Slot) for item in agenda)
        while out < self._windows_out:
            uncut = ((i, x) for i, x in enumerate(agenda) if isinstance(x, Region) and x)
            place, region = next(uncut, (0, None))
            if region is None:
                break
            slot: _Slot[T] = _Slot(region.cut(self._reader.cap.rows), region)
            agenda.insert(place, slot)
            workers.submit(slot)
            out += 1

    def _split(self, slot: _Slot[T], overfull: _Overfull) -> Region:
        logger.debug("%s holds %d sessions: split", slot.window, overfull.total)
        return split(slot.window, overfull.total, overfull.times, self._reader.cap.rows)

    @staticmethod
    def _learn(slot: _Slot[Any], count: int) -> None:
        if slot.region.density is not None:
            slot.region.density.learn(slot.window, count)

    def _fetch(self, slot: _Slot[T]) -> None:
        if not slot.result.set_running_or_notify_cancel():
            return
        try:
            slot.result.set_result(self._reader.read(slot.window))
        except BaseException as problem:
            slot.result.set_exception(problem)
