"""The pipeline window by window: what is asked for while one waits, and what is told of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.sessions.windows.in_flight import InFlight, Place
from tap_visitor_sessions.sessions.windows.pipeline import Pipeline, Span, Taken
from tap_visitor_sessions.sessions.windows.reader import Overfull, Whole, WindowReader
from tap_visitor_sessions.sessions.windows.windows import PageCap, Window

START = datetime(2024, 1, 1)
DAY = timedelta(days=1)
Answer = Whole[list[int]] | Overfull | Exception


def whole(*records: int) -> Whole[list[int]]:
    return Whole(len(records), list(records) if records else None)


def waiting(*records: int) -> Whole[list[int]]:
    """Sessions that must be joined with a neighbour's."""
    return Whole(len(records), records=list(records))


class Reader:
    """Answers for windows by the day on which they begin; notes what it is asked."""

    def __init__(self, answers: dict[int, Answer], page: int = 10) -> None:
        self.answers = answers
        self.cap = PageCap(page)
        self.others: Answer = whole()
        """What is answered for all other days."""
        self.asked: list[Window] = []
        self.shared: set[int] = set()
        """Records that a session at the end of their window would share the instant with."""
        self.held: dict[int, threading.Event] = {}
        self.threads: set[tuple[str, bool]] = set()
        self._in_flight = InFlight(99)

    def join(self) -> Place:
        return self._in_flight.join()

    def prepare(self, records: list[int]) -> list[int]:
        assert records
        return [*records, 0]  # a mark of what was joined

    def merged(self, before: list[int], after: list[int]) -> list[int]:
        return [*before, *after]

    def shares_instant(self, record: int, wall: datetime) -> bool:
        assert isinstance(wall, datetime)
        return record in self.shared

    def read(self, window: Window, place: Place) -> Whole[list[int]] | Overfull:
        with place:
            self.asked.append(window)
            thread = threading.current_thread()
            self.threads.add((thread.name, thread.daemon))
        day = (window.start - START) // DAY
        if day in self.held:
            assert self.held[day].wait(60)
        answer = self.answers.pop(day, self.others)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def days(self) -> list[tuple[int, int]]:
        """The windows asked for, as days from the start, in order of time."""
        spans = ((one.start - START, one.end - START) for one in self.asked)
        return sorted((start // DAY, end // DAY) for start, end in spans)

    def settled(self, least: int = 0) -> list[tuple[int, int]]:
        """The same when there are so many, and no more are being asked for."""
        until = time.monotonic() + 60
        while len(self.asked) < least and time.monotonic() < until:
            time.sleep(0.01)
        count = -1
        while count != len(self.asked):
            count = len(self.asked)
            time.sleep(0.03)
        return self.days()


def span_of(reader: Reader, *stretches: tuple[int, int]) -> Span[list[int]]:
    days = [(START + first * DAY, START + last * DAY) for first, last in stretches]
    return Span(cast(WindowReader[Any], reader), days)


@contextmanager
def running(
    readers: dict[str, Reader],
    stretches: list[tuple[int, int]],
    concurrency: int = 1,
    answered: list[str] | None = None,
) -> Iterator[Pipeline[str, list[int]]]:
    def opened(key: str) -> Span[list[int]]:
        return span_of(readers[key], *stretches)

    note = ([] if answered is None else answered).append
    with closing(Pipeline(readers, opened, concurrency, note)) as pipeline:
        yield pipeline


def all_of(
    answers: dict[int, Answer],
    stretches: list[tuple[int, int]],
    prepare: Callable[[Reader], None] = lambda _: None,
) -> list[tuple[list[int] | None, int]]:
    """What comes of a part: what is ready, and up to which day."""
    reader = Reader(answers)
    prepare(reader)
    with running({"a": reader}, stretches) as pipeline:
        return [(one.ready, (one.until - START) // DAY) for one in pipeline.read("a")]


# The span and its share


def test_a_share_is_of_the_time_of_all_stretches() -> None:
    span = span_of(Reader({}), (0, 10), (20, 50))
    shares = [span.share(START + day * DAY) for day in (-5, 0, 5, 10, 15, 20, 35, 50, 60)]
    assert shares == [0, 0, 5 / 40, 10 / 40, 10 / 40, 10 / 40, 25 / 40, 1, 1]
    assert span_of(Reader({})).share(START) == 0


# What comes


def stretches(*days: int) -> list[tuple[int, int]]:
    """Windows of a day each, one beside the other."""
    return [(day, day + 1) for day in days]


def test_each_window_says_up_to_where_all_has_been_taken() -> None:
    answers: dict[int, Answer] = {0: whole(1), 1: waiting(2), 2: whole(), 5: whole(3)}
    assert all_of(answers, stretches(0, 1, 2, 5)) == [
        ([1], 1),
        ([2, 0], 2),
        (None, 3),
        ([3], 6),
    ]


def test_sessions_of_one_instant_in_two_windows_come_together() -> None:
    answers: dict[int, Answer] = {0: waiting(1), 1: waiting(2, 3), 2: waiting(4)}
    found = all_of(answers, stretches(0, 1, 2), lambda reader: reader.shared.update({1, 3}))
    assert found == [([1, 2, 3, 4, 0], 3)]


def test_they_end_where_a_window_has_none_that_could_share() -> None:
    answers: dict[int, Answer] = {0: waiting(1), 1: waiting(2), 2: waiting(3)}
    found = all_of(answers, stretches(0, 1, 2), lambda reader: reader.shared.update({1}))
    assert found == [([1, 2, 0], 2), ([3, 0], 3)]


def test_a_window_without_sessions_in_between_parts_nothing() -> None:
    answers: dict[int, Answer] = {0: waiting(1), 2: waiting(2)}
    found = all_of(answers, stretches(0, 1, 2), lambda reader: reader.shared.update({1}))
    assert found == [([1, 2, 0], 3)]


def test_they_end_with_the_stretch() -> None:
    """What follows a hole is of another time."""
    answers: dict[int, Answer] = {0: waiting(1), 5: waiting(2), 6: waiting(3)}
    found = all_of(answers, stretches(0, 5, 6), lambda reader: reader.shared.update({1, 2}))
    assert found == [([1, 0], 1), ([2, 3, 0], 7)]


def test_the_last_ones_come_though_no_neighbour_does() -> None:
    found = all_of({0: waiting(1)}, stretches(0), lambda reader: reader.shared.update({1}))
    assert found == [([1, 0], 1)]
    assert all_of({}, []) == []


def test_a_window_that_is_too_full_is_read_in_pieces(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    full = Overfull(20, [START + hour * timedelta(hours=1) for hour in range(0, 24, 3)])
    reader = Reader({0: full})
    with running({"a": reader}, stretches(0)) as pipeline:
        found = list(pipeline.read("a"))
    assert len(found) >= 2
    assert found[-1].until == START + DAY
    window = Window(START, START + DAY)
    assert caplog.messages == [f"{window} holds 20 sessions: split"]
    assert pipeline.windows == len(found)


def test_what_was_too_full_teaches_what_to_ask_for() -> None:
    """The sample says 20, and there are none: the next pieces are longer."""
    full = Overfull(400, [START + hour * timedelta(hours=1) for hour in range(0, 240, 3)])
    reader = Reader({0: full})
    with running({"a": reader}, [(0, 10)]) as pipeline:
        list(pipeline.read("a"))
    lengths = [one.end - one.start for one in sorted(reader.asked, key=lambda one: one.start)[1:]]
    assert max(lengths) > 4 * lengths[0]


# What is told


def test_it_tells_how_far_it_is() -> None:
    readers = {"a": Reader({0: whole(1)}), "b": Reader({})}
    with running(readers, stretches(0, 1, 2, 3)) as pipeline:
        assert (pipeline.share, pipeline.windows) == (0.0, 0)
        told = []
        for _ in pipeline.read("a"):
            told.append((pipeline.share, pipeline.windows))
        assert told == [(0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)]
        first = next(pipeline.read("b"))
        assert first == Taken(None, START + DAY)
        assert (pipeline.share, pipeline.windows) == (0.25, 5)


def test_a_part_that_is_refused_has_cost_nothing() -> None:
    readers = {"a": Reader({0: whole(1)}), "b": Reader({0: TapError("no")})}
    answered: list[str] = []
    with running(readers, stretches(0), answered=answered) as pipeline:
        list(pipeline.read("a"))
        with pytest.raises(TapError, match=r"^no$"):
            list(pipeline.read("b"))
        assert (pipeline.share, pipeline.windows, answered) == (0.0, 1, ["a"])


def test_a_full_window_is_an_answer_too() -> None:
    reader = Reader({0: Overfull(20, [START])})
    reader.others = TapError("no")
    answered: list[str] = []
    with running({"a": reader}, stretches(0), answered=answered) as pipeline:
        with pytest.raises(TapError, match=r"^no$"):
            list(pipeline.read("a"))
        assert (pipeline.windows, answered) == (0, ["a"])


def test_parts_are_read_in_their_order() -> None:
    with (
        running({"a": Reader({}), "b": Reader({})}, stretches(0)) as pipeline,
        pytest.raises(AssertionError, match="a comes before b"),
    ):
        list(pipeline.read("b"))


# What is in flight


@pytest.mark.parametrize(("concurrency", "out"), [(1, 2), (3, 4), (4, 5), (8, 10)])
def test_so_many_windows_are_asked_for_ahead(concurrency: int, out: int) -> None:
    reader = Reader({})
    with running({"a": reader}, stretches(*range(40)), concurrency) as pipeline:
        taken = pipeline.read("a")
        for number in range(1, 4):
            next(taken)
            assert len(reader.settled(out + number)) == out + number
        assert reader.threads <= {(f"fetch-{number}", True) for number in range(out)}
        assert reader.threads


def test_those_of_the_next_parts_fill_up_what_the_first_leaves() -> None:
    readers = {name: Reader({}) for name in "abcd"}
    with running(readers, stretches(0, 1), concurrency=4) as pipeline:
        taken = pipeline.read("a")  # dropped, it would be given up
        next(taken)
        wanted = [2, 2, 2, 0]
        counts = [len(readers[name].settled(n)) for name, n in zip("abcd", wanted, strict=True)]
        assert counts == wanted


def test_a_full_window_behind_the_first_is_cut_at_once() -> None:
    """Not only when its turn comes."""
    reader = Reader({1: Overfull(20, [START + DAY + hour * DAY / 24 for hour in range(24)])})
    reader.held = {0: threading.Event()}
    with running({"a": reader}, stretches(0, 1, 2), concurrency=2) as pipeline:
        taken = pipeline.read("a")
        threading.Timer(0.1, reader.held[0].set).start()
        next(taken)
        asked = reader.settled(4)
        assert sum(first == 1 for first, _ in asked) >= 2, asked


def test_a_part_that_cannot_be_opened_ahead_is_opened_in_its_turn() -> None:
    readers = {name: Reader({}) for name in "abc"}
    opened: list[str] = []

    def span(key: str) -> Span[list[int]]:
        opened.append(key)
        if key == "b":
            raise TapError("b")
        return span_of(readers[key], (0, 1))

    pipeline = Pipeline(readers, span, 4, opens_ahead=lambda key: key != "b")
    with closing(pipeline):
        assert len(list(pipeline.read("a"))) == 1
        assert opened == ["a"]
        with pytest.raises(TapError):
            list(pipeline.read("b"))
        assert len(list(pipeline.read("c"))) == 1
        assert opened == ["a", "b", "c"]
        readers["d"] = Reader({})
        assert len(list(pipeline.read("d", is_extra=True))) == 1  # none of the keys


def test_what_waits_behind_leaves_the_head_as_much_as_if_it_were_alone() -> None:
    """The parts behind have filled all that the first window left when it turns out too full."""
    readers = {name: Reader({}) for name in "abcdefg"}
    hours = [START + hour * timedelta(hours=1) for hour in range(24 * 40)]
    readers["a"].answers = {0: Overfull(400, hours)}
    readers["a"].held = {0: threading.Event()}
    with running(readers, [(0, 40)], concurrency=4) as pipeline:
        taken = pipeline.read("a")
        threading.Timer(0.1, readers["a"].held[0].set).start()
        next(taken)
        asked = {name: len(reader.settled()) for name, reader in readers.items()}
        assert asked == {**dict.fromkeys("abcdefg", 0), "a": 1 + 5 + 1, **dict.fromkeys("bcde", 1)}


def test_while_those_behind_pause_the_head_goes_on() -> None:
    readers = {name: Reader({}) for name in "abcdefg"}
    for name in "bcdefg":
        readers[name].held = {0: threading.Event()}
    with running(readers, stretches(*range(3)), concurrency=2) as pipeline:
        assert len(list(pipeline.read("a"))) == 3
        for name in "bcdefg":
            readers[name].held[0].set()


def test_nothing_is_asked_for_behind_one_that_is_lost() -> None:
    reader = Reader({1: TapError("lost")})
    reader.held = {0: threading.Event()}

    def go_on() -> None:
        reader.settled(3)
        time.sleep(0.5)  # by now it is lost
        reader.held[0].set()

    with running({"a": reader}, stretches(*range(9)), concurrency=2) as pipeline:
        taken = pipeline.read("a")
        threading.Thread(target=go_on).start()
        next(taken)
        before = reader.settled(3)
        assert before == [(0, 1), (1, 2), (2, 3)]
        with pytest.raises(TapError, match=r"^lost$"):
            next(taken)
        assert reader.settled() == before


def test_a_part_given_up_is_asked_for_no_more() -> None:
    readers = {"a": Reader({}), "b": Reader({0: whole(1)})}
    readers["a"].held = {day: threading.Event() for day in range(2, 9)}
    with running(readers, stretches(*range(9)), concurrency=1) as pipeline:
        taken = cast(Any, pipeline.read("a"))
        next(taken)
        taken.close()
        for event in readers["a"].held.values():
            event.set()
        assert [one.ready for one in pipeline.read("b")] == [[1], *[None] * 8]
        assert len(readers["a"].settled()) <= 3


def test_closing_ends_its_threads() -> None:
    before = set(threading.enumerate())
    with running({"a": Reader({})}, stretches(*range(20)), concurrency=4) as pipeline:
        next(pipeline.read("a"))
        ours = set(threading.enumerate()) - before
        # By name: a thread of another test may start here too.
        assert 1 <= len({thread.name for thread in ours}) <= 5
    for thread in ours:
        thread.join(60)
    assert not any(thread.is_alive() for thread in ours)
