"""From parts to what a loader reads: lines of RECORD messages, or files. What is written counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from tap_visitor_sessions.sessions.account import User
from tap_visitor_sessions.sessions.extraction import Part
from tap_visitor_sessions.sessions.lines import Chunk, drained
from tap_visitor_sessions.singer.batches import Files, Item
from tap_visitor_sessions.singer.output import Output

STATE_SECONDS = 5.0
"""The end of a window is worth a STATE when the last one is so long ago."""


def write_lines(
    parts: Iterable[Part[list[Chunk]]], output: Output
) -> Iterator[tuple[User | None, int]]:
    """Write all sessions; after each write the user and how many, 0 at the end of a window."""
    for part in parts:
        for taken in part.windows():
            for chunk in drained(taken.ready or []):
                output.write_lines(chunk.lines)
                part.emitted(chunk.bookmark, chunk.count)
                output.heed()
                yield part.user, chunk.count
            part.finished(taken)
            yield part.user, 0


def write_files(
    parts: Iterable[Part[list[Item]]],
    files: Files,
    size: int,
    announce: Callable[[list[str]], None],
) -> Iterator[None]:
    """Write all sessions into files of `size`; after each that has been announced.

    A bookmark follows a file once its BATCH message is out: records of a file that a failure or a
    signal keeps back must be read again.
    """
    for part in parts:
        held: list[Item] = []
        taken = None

        def send(items: list[Item], part: Part[list[Item]] = part) -> None:
            announce(files.write(items))
            part.emitted(items[-1][0], len(items))

        for taken in part.windows():
            held += taken.ready or []
            while len(held) >= size:
                send(held[:size])
                del held[:size]
                yield
            if not held:
                part.finished(taken)
        if held:
            send(held)
            yield
        if taken is not None:
            part.finished(taken)


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
