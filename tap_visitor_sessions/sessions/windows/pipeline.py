"""Windows of many parts in flight at once, emitted part by part and front to back.

A *part* is the span of one account: the only one of a customer's account, one of many of a
partner's. The requests of the next parts are on their way while the first is being emitted, so
that the latency of many small accounts does not add up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from tap_visitor_sessions.sessions.records import Record
from tap_visitor_sessions.sessions.windows.agenda import Agenda, Slot
from tap_visitor_sessions.sessions.windows.in_flight import Place
from tap_visitor_sessions.sessions.windows.reader import Whole, WindowReader
from tap_visitor_sessions.sessions.windows.windows import SECOND, Region

IN_FLIGHT_PER_SPARE = 4
"""Beside those in flight, a window in so many is decoded or waits for its turn."""

IDLE = 5.0
"""Seconds without an answer after which whoever takes the windows is told."""
ZERO = timedelta(0)

K = TypeVar("K")
T = TypeVar("T")


@dataclass
class Span(Generic[T]):
    """What is to be read of one account.

    Attributes:
        stretches: Wall-clock spans `[start, end)`, in order and apart from each other.
    """

    reader: WindowReader[T]
    stretches: Sequence[tuple[datetime, datetime]]

    def share(self, wall: datetime) -> float:
        """How much of it lies before a wall-clock time, 0..1."""
        done = sum(
            ((min(end, wall) - start) for start, end in self.stretches if start < wall), ZERO
        )
        return done / max(sum(((end - start) for start, end in self.stretches), ZERO), SECOND)


@dataclass(frozen=True)
class Taken(Generic[T]):
    """A window whose turn has come.

    Attributes:
        ready: Its sessions as the reader's `prepare` made them; None where it has none.
        until: All sessions of the part filed before this wall-clock second have been taken,
            with these.
        ends: Whether a pass over the part ends here: whoever holds sessions back writes them now,
            before what they count for changes.
    """

    ready: T | None
    until: datetime
    ends: bool = False


class _Part(Generic[K, T]):
    """A span being read."""

    def __init__(self, key: K, span: Span[T]) -> None:
        self.key = key
        self.reader = span.reader
        self.span = span
        regions = [Region(start, end) for start, end in span.stretches]
        self.agenda = Agenda(span.reader, regions)


class _Workers:
    """Daemon threads: unlike those of a ThreadPoolExecutor, a request that hangs in one
    does not hold up the end of the process."""

    def __init__(self, most: int) -> None:
        self._tasks: deque[Slot[Any]] = deque()
        self._changed = threading.Condition()
        self._most = most
        self._count = self._idle = 0
        self._closed = False

    def submit(self, slot: Slot[Any]) -> None:
        with self._changed:
            self._tasks.append(slot)
            if len(self._tasks) > self._idle and self._count < self._most:
                name = f"fetch-{self._count}"
                self._count += 1
                threading.Thread(target=self._run, name=name, daemon=True).start()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            slot, place = task
            try:
                slot.result.set_result(slot.reader.read(slot.window, place))
            except BaseException as problem:
                slot.result.set_exception(problem)
            finally:
                place.leave()
            del slot, task  # or its records would be held until the next task comes

    def _next(self) -> tuple[Slot[Any], Place] | None:
        """The next window not given up, and its place in line: both in the order of submission."""
        with self._changed:
            while True:
                while self._tasks:
                    slot = self._tasks.popleft()
                    if slot.result.set_running_or_notify_cancel():
                        slot.place = slot.reader.join()
                        return slot, slot.place
                if self._closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1


class Pipeline(Generic[K, T]):
    """Reads the spans of several accounts, one wholly after the other.

    The part being read has as many windows as if it were alone, whatever those behind it hold:
    its requests go first, and look-ahead only takes what it leaves.

    Memory: at most `concurrency` and a quarter of windows of the part being read are held at any
    time, fewer than so many of those behind it, and the one being written; one of them as objects,
    the others as bytes.

    Args:
        keys: What tells the parts apart, in the order in which they will be read.
        open_span: The span of a part. Called once for each, when its turn to be asked for comes.
        answered: Called when the part being read has cost something: a window of it has been
            answered.
        opens_ahead: Whether a part can be opened while others are read, at once.
        idle: Called when nothing has come for IDLE seconds, by the thread that takes the windows,
            which waits: for points, for another try, or for a slow answer.
        is_scarce: Whether few points are left of the day: what is read ahead of the window at the
            head may be read for nothing, and day after day, where they are as few each day.
    """

    def __init__(
        self,
        keys: Iterable[K],
        open_span: Callable[[K], Span[T]],
        concurrency: int,
        answered: Callable[[K], None] = lambda _: None,
        opens_ahead: Callable[[K], bool] = lambda _: True,
        idle: Callable[[], object] = lambda: None,
        is_scarce: Callable[[], bool] = lambda: False,
    ) -> None:
        self._keys = deque(keys)
        self._opens_ahead = opens_ahead
        self._open_span = open_span
        self._answered = answered
        self._idle, self._is_scarce = idle, is_scarce
        self._windows_out = concurrency + max(concurrency // IN_FLIGHT_PER_SPARE, 1)
        self._parts: deque[_Part[K, T]] = deque()
        # Those behind the head may all be in a pause: then the head has threads of its own.
        self._workers = _Workers(2 * self._windows_out - 1)
        self.share = 0.0
        """How much of the span of the part being read has been taken, 0..1."""
        self.windows = 0
        """Windows taken so far."""

    def close(self) -> None:
        """Forget what is in flight."""
        self._workers.close()
        for part in self._parts:
            part.agenda.drop()
        self._parts.clear()

    def read(self, key: K, *, is_extra: bool = False) -> Iterator[Taken[T]]:
        """The windows of the next part, which is `key`, those without sessions too.

        Args:
            is_extra: It is none of the keys, and comes before them.

        Raises:
            TapError: of this part; the others can still be read.
        """
        if is_extra:
            self._parts.appendleft(_Part(key, self._open_span(key)))
        elif not self._parts:
            self._open()
        part, self.share = self._parts[0], 0.0
        assert part.key == key, f"{part.key} comes before {key}"
        try:
            yield from self._read(part)
        finally:
            part.agenda.drop()
            if part in self._parts:
                self._parts.remove(part)

    def _read(self, part: _Part[K, T]) -> Iterator[Taken[T]]:
        reader = part.reader
        # In a gap of the clock many seconds, so several windows, are read as one instant.
        carried: list[Record] = []
        end_of_window: datetime | None = None
        while part.agenda:
            self._fill()
            head = part.agenda.take()
            result = self._awaited(head)
            self._answered(part.key)
            if not isinstance(result, Whole):
                region = head.instead()
                assert region is not None
                part.agenda.put_first(region)
                continue
            if head.region.density is not None:
                head.region.density.learn(head.window, result.count)
            self._fill()
            if carried and end_of_window is not None and head.window.start > end_of_window:
                yield Taken(reader.prepare(carried), end_of_window)
                carried = []
            end_of_window = head.window.end
            self.windows += 1
            self.share = part.span.share(end_of_window)
            del head  # or what is written would be held until the next one is taken
            if result.ready is not None:
                yield Taken(result.ready, end_of_window)
                del result  # the next wait need not hold what has been written
                continue
            carried = reader.merged(carried, result.records)
            if carried and reader.shares_instant(carried[-1], end_of_window):
                continue
            yield Taken(reader.prepare(carried) if carried else None, end_of_window)
            carried = []
        if carried and end_of_window is not None:
            yield Taken(reader.prepare(carried), end_of_window)

    def _awaited(self, head: Slot[T]) -> Any:
        done, _ = futures.wait([head.result], timeout=IDLE)
        if not done:
            self._idle()
        return head.result.result()

    def _fill(self) -> None:
        """Cut and submit windows, front first, until enough are in flight."""
        for part in self._parts:
            part.agenda.settle()
        out = sum(len(part.agenda.slots) for part in self._parts)
        held = len(self._parts[0].agenda.slots)
        place = 0
        most = 1 if self._is_scarce() else self._windows_out
        while held < most:
            if place == len(self._parts):
                if not self._keys or not self._opens_ahead(self._keys[0]):
                    return
                self._open()
            slot = self._parts[place].agenda.cut()
            if slot is None:
                place += 1
                # From here on what the parts behind the head hold counts too.
                held = out
                continue
            self._workers.submit(slot)
            held, out = held + 1, out + 1

    def _open(self) -> None:
        """Take the next part in hand."""
        key = self._keys.popleft()
        self._parts.append(_Part(key, self._open_span(key)))
