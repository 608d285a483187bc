"""A signal meets the main thread: what other threads write neither does nor delays what it asks."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tap_visitor_sessions.sessions import output
from tap_visitor_sessions.sessions.output import (
    Chunk,
    Lines,
    Pace,
    Unwritable,
    chunked,
    drained,
    write_all,
)
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


# Lines


def test_a_capture_gets_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    Lines().write_lines("{ü}\n".encode())
    assert out.getvalue() == "{ü}\n"


class File(io.StringIO):
    """A stdout with a descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = 0

    def fileno(self) -> int:
        return 77

    def flush(self) -> None:
        self.flushed += 1


def written_in(
    monkeypatch: pytest.MonkeyPatch, steps: list[int | OSError]
) -> tuple[File, list[bytes], list[object]]:
    """What goes to the descriptor of stdout, a step at a time: so many bytes, or an error."""
    file, got, waited = File(), list[bytes](), list[object]()

    def write(descriptor: int, data: memoryview) -> int:
        assert descriptor == 77
        step = steps.pop(0) if steps else len(data)
        if isinstance(step, OSError):
            raise step
        got.append(bytes(data[:step]))
        return min(step, len(data))

    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setattr(output.os, "write", write)
    monkeypatch.setattr(output.select, "select", lambda *args: waited.append(args))
    return file, got, waited


def test_a_write_that_is_cut_short_or_would_block_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    file, got, waited = written_in(monkeypatch, [3, BlockingIOError(), 2])
    Lines().write_lines(b"0123456789")
    assert got == [b"012", b"34", b"56789"]
    assert waited == [([], [77], [])]
    assert file.flushed == 1  # what Python holds comes first


def test_a_reader_that_is_gone_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    written_in(monkeypatch, [BrokenPipeError()])
    with pytest.raises(SystemExit) as end:
        Lines().write_lines(b"{}\n")
    assert end.value.code == 141


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    written_in(monkeypatch, [OSError(28, "No space left on device")])
    with pytest.raises(Unwritable) as caught:
        Lines().write_lines(b"{}\n")
    assert str(caught.value) == "stdout cannot be written to: No space left on device"


def test_after_the_end_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    lines = Lines()
    with pytest.raises(SystemExit) as first:
        lines.end(143)
    with pytest.raises(SystemExit) as second:
        lines.write_lines(b"{}\n")
    assert (first.value.code, second.value.code, out.getvalue()) == (143, 143, "")


def test_blocks_within_blocks_are_whole_to_the_end_of_the_first() -> None:
    lines, done = Lines(), list[int]()
    with lines.whole():
        with lines.whole():
            pass
        lines.when_whole(lambda: done.append(1))
        lines.heed()
        assert done == []
    lines.heed()
    assert done == [1]
    lines.when_whole(lambda: done.append(2))
    assert done == [1, 2]


def test_a_process_that_hangs_is_ended_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LAST_WORDS", 0.01)
    ended, codes = threading.Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    output.exit_soon(143, end)
    assert ended.wait(60)
    assert codes == [143]


# Chunks


@dataclass(frozen=True)
class Row:
    id: int
    date_time: datetime


def rows_of(seconds: list[float]) -> list[Any]:
    start = datetime(2024, 5, 1, tzinfo=timezone.utc)
    return [Row(id_, start + timedelta(seconds=at)) for id_, at in enumerate(seconds)]


def encoded(records: list[Any]) -> bytes:
    return "".join(f"{record.id}\n" for record in records).encode()


def test_chunks_are_small_and_never_part_the_sessions_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "RECORDS_PER_WRITE", 3)
    rows = rows_of([0, 1, 2, 2.5, 2.9, 3, 4, 5, 6])
    chunks = chunked(rows, encoded)
    assert [chunk.lines.split() for chunk in chunks] == [
        [b"0", b"1", b"2", b"3", b"4"],
        [b"5", b"6", b"7"],
        [b"8"],
    ]
    assert [chunk.count for chunk in chunks] == [5, 3, 1]
    assert [chunk.bookmark for chunk in chunks] == [rows[n].date_time for n in (4, 7, 8)]
    assert chunked([], encoded) == []
    assert len(chunked(rows[:3], encoded)) == 1


def test_chunks_are_forgotten_as_they_are_written() -> None:
    chunks = chunked(rows_of([0, 1]), encoded) * 3
    left = [(chunk, len(chunks)) for chunk in drained(chunks)]
    assert [count for _, count in left] == [2, 1, 0]


def test_what_is_written_is_counted_by_user_and_a_window_ends_with_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    at = datetime(2024, 5, 1, tzinfo=timezone.utc)
    noted: list[tuple[Any, ...]] = []
    two = [Chunk(b"a\n", 2, at), Chunk(b"b\n", 3, at)]
    windows = [Taken(two, at), Taken(None, at)]
    part = SimpleNamespace(
        user="user",
        windows=lambda: iter(windows),
        emitted=lambda *args, **more: noted.append((*args, more)),
        finished=lambda taken: noted.append((taken,)),
    )
    assert list(write_all(cast(Any, [part]), Lines())) == [
        ("user", 2),
        ("user", 3),
        ("user", 0),
        ("user", 0),
    ]
    assert noted == [
        (at, 2, {"whole_second": True}),
        (at, 3, {"whole_second": False}),
        (windows[0],),
        (windows[1],),
    ]


def test_a_signal_put_off_is_heeded_after_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    lines, at = Lines(), datetime(2024, 5, 1, tzinfo=timezone.utc)
    done: list[str] = []
    part = SimpleNamespace(
        user=None,
        windows=lambda: iter([Taken([Chunk(b"a\n", 1, at)], at)]),
        emitted=lambda *_, **__: lines.when_whole(lambda: done.append("signal")),
        finished=lambda _: done.append("finished"),
    )
    next(write_all(cast(Any, [part]), lines))
    assert done == ["finished", "signal"]


# When a STATE is due


def test_a_state_is_due_after_so_many_records_or_late_at_the_end_of_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    pace = Pace(10)
    assert [pace.due(count) for count in (4, 5, 1, 9, 1)] == [False, False, True, False, True]
    assert not pace.due(0)
    now[0] += 5.0
    assert not pace.due(0)
    now[0] += 0.1
    assert not pace.due(3)  # in the middle of a window
    assert pace.due(0)
    assert not pace.due(0)
    assert [pace.due(count) for count in (9, 0, 1)] == [False, False, True]
