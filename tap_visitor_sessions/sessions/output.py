"""Lines to stdout: whole ones, in large writes, not torn by a signal."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.extraction import Part
from tap_visitor_sessions.sessions.records import Record

# How long last words may wait for a reader that has stopped reading, in seconds.
LAST_WORDS = 1.5
RECORDS_PER_WRITE = 1000
STATE_SECONDS = 5.0
"""The end of a window is worth a STATE when the last one is so long ago."""
READER_GONE = 141
"""Exit code when stdout is closed, as by `| head`: a shell's name for SIGPIPE."""


class Unwritable(TapError):
    """What is written leads nowhere."""


class Lines:
    """Writes lines, and knows when a signal must wait."""

    def __init__(self) -> None:
        super().__init__()
        self._writing = False
        self._afterwards: Callable[[], None] | None = None
        self._exit_code: int | None = None

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What the block writes and notes goes together: a signal waits for the next `heed`."""
        if not _is_main():  # a signal meets the main thread alone
            yield
            return
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    def write_lines(self, lines: bytes) -> None:
        """Write whole lines of JSON, past Python's buffer.

        Measured: a BufferedWriter loses the rest of a large write when a signal cuts it short.
        """
        if self._exit_code is not None:
            raise SystemExit(self._exit_code)
        stdout = sys.stdout
        with self.whole():
            try:
                target = stdout.fileno()
            except (AttributeError, io.UnsupportedOperation):  # a capture, as in tests
                stdout.write(lines.decode())
                return
            rest = memoryview(lines)
            try:
                stdout.flush()
                while rest:
                    try:
                        rest = rest[os.write(target, rest) :]
                    except BlockingIOError:  # whoever shares a pipe can set it not to block
                        select.select([], [target], [])
            except BrokenPipeError:
                raise SystemExit(READER_GONE) from None
            except OSError as problem:
                raise Unwritable(f"stdout cannot be written to: {problem.strerror}") from None

    def heed(self) -> None:
        """Do what a signal put off. Call it where the state fits what has been written; in
        another thread than the main one nothing happens."""
        if self._afterwards is not None and _is_main() and not self._writing:
            action, self._afterwards = self._afterwards, None
            action()

    def end(self, code: int) -> NoReturn:
        """Nothing more is to be written: end the process, now or at the next attempt to write.

        A signal can arrive where Python swallows exceptions, as in the closing of a file.
        """
        self._exit_code = code
        raise SystemExit(code)

    def when_whole(self, action: Callable[[], None]) -> None:
        """Do `action` now, or put it off to the next `heed` while a line is being written."""
        if self._writing:
            self._afterwards = action
        else:
            action()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def exit_soon(code: int, end: Callable[[int], object] = os._exit) -> None:
    """End the process after LAST_WORDS whatever it hangs on, by `end(code)`."""
    timer = threading.Timer(LAST_WORDS, end, (code,))
    timer.daemon = True
    timer.start()


@dataclass(frozen=True)
class Chunk:
    """Some records, ready to be written.

    Attributes:
        lines: Messages, or records, a line each.
        count: How many.
        bookmark: `date_time` of the last one.
    """

    lines: bytes
    count: int
    bookmark: datetime


def drained(chunks: list[Chunk]) -> Iterator[Chunk]:
    """The chunks in order, each forgotten once it is written: the wait for the next window is
    not the time to hold 25 MB of the last one."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()


def chunked(records: list[Record], encoded: Callable[[list[Record]], bytes]) -> list[Chunk]:
    """Records of a window as chunks small enough to be written between two messages of state,
    the sessions of a second in one of them."""
    chunks, first = [], 0
    while first < len(records):
        end = first + RECORDS_PER_WRITE
        while end < len(records) and _second(records[end]) == _second(records[end - 1]):
            end += 1
        part = records[first:end]
        chunks.append(Chunk(encoded(part), len(part), part[-1].date_time))
        first = end
    return chunks


def _second(record: Record) -> datetime:
    second: datetime = record.date_time.replace(microsecond=0)
    return second


def write_all(
    parts: Iterable[Part[list[Chunk]]], output: Lines
) -> Iterator[tuple[User | None, int]]:
    """Write all sessions; after each write the user and how many, 0 at the end of a window."""
    for part in parts:
        for taken in part.windows():
            chunks = taken.ready or []
            if not chunks:
                part.finished(taken)
            for chunk in drained(chunks):
                # Together: a state in between would have what is written come again.
                with output.whole():
                    output.write_lines(chunk.lines)
                    part.emitted(chunk.bookmark, chunk.count, whole_second=bool(chunks))
                    if not chunks:
                        part.finished(taken)
                output.heed()
                yield part.user, chunk.count
            yield part.user, 0


class Pace:
    """When the next STATE is due.

    Args:
        records: After so many at the latest.
    """

    def __init__(self, records: int) -> None:
        self._most = records
        self._since, self._at = 0, time.monotonic()

    def due(self, records: int) -> bool:
        """Whether it is now, after so many more records; 0: at the end of a window."""
        self._since += records
        late = not records and time.monotonic() - self._at > STATE_SECONDS
        if self._since < self._most and not late:
            return False
        self._since, self._at = 0, time.monotonic()
        return True
