"""A signal meets the main thread: what other threads write neither does nor delays what it asks."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, cast

import pytest

from tap_visitor_sessions.sessions.output import Chunk, Lines, write_all
from tap_visitor_sessions.sessions.windows.pipeline import Taken


def elsewhere(action: object) -> None:
    assert callable(action)
    thread = threading.Thread(target=action)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


class Slow(io.StringIO):
    """Does something in the middle of a write."""

    def __init__(self, meanwhile: object) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def write(self, text: str) -> int:
        assert callable(self._meanwhile)
        self._meanwhile()
        return super().write(text)


def test_while_the_main_thread_writes_it_waits_and_only_the_main_thread_does_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, done = Lines(), []
    monkeypatch.setattr(sys, "stdout", Slow(lambda: lines.when_whole(lambda: done.append(1))))
    lines.write_lines(b"{}\n")
    assert done == []
    elsewhere(lines.heed)
    assert done == []
    lines.heed()
    lines.heed()
    assert done == [1]


def test_while_another_thread_writes_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, done = Lines(), []
    writing, go_on = threading.Event(), threading.Event()

    def meanwhile() -> None:
        writing.set()
        go_on.wait(10)

    monkeypatch.setattr(sys, "stdout", Slow(meanwhile))
    thread = threading.Thread(target=lines.write_lines, args=[b"{}\n"])
    thread.start()
    assert writing.wait(10)
    lines.when_whole(lambda: done.append(1))
    assert done == [1]
    go_on.set()
    thread.join(10)


class Written:
    """A part that notes what of it has been written when its bookmarks move."""

    def __init__(self, out: io.StringIO) -> None:
        self.user = None
        self.out = out
        self.seen: list[tuple[str, str]] = []

    def windows(self) -> Iterator[Taken[list[Chunk]]]:
        at = datetime(2024, 5, 1, tzinfo=timezone.utc)
        for number in range(2):
            chunks = [Chunk(f"{number}{more}\n".encode(), 1, at) for more in "ab"]
            yield Taken(chunks, at)

    def emitted(self, _: datetime, __: int, *, whole_second: bool = False) -> None:
        self.seen.append(("emitted", self.out.getvalue()))

    def finished(self, _: Taken[list[Chunk]]) -> None:
        self.seen.append(("finished", self.out.getvalue()))


def test_bookmarks_move_after_the_lines_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    part = Written(out)
    list(write_all(cast(Any, [part]), Lines()))
    assert part.seen == [
        ("emitted", "0a\n"),
        ("emitted", "0a\n0b\n"),
        ("finished", "0a\n0b\n"),
        ("emitted", "0a\n0b\n1a\n"),
        ("emitted", "0a\n0b\n1a\n1b\n"),
        ("finished", "0a\n0b\n1a\n1b\n"),
    ]
