"""One meter and one pacer, answer by answer: what is left, who may go, what is said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tap_visitor_sessions.api.errors import DailyLimitReached, LimitExceeded, TapError
from tap_visitor_sessions.api.limits import Meter, Pacer, spelled


def minute(remaining: Any, reset: Any = 60, limit: Any = 100) -> dict[str, Any]:
    return {"minute_limit": limit, "minute_remaining": remaining, "minute_reset": reset}


def day(remaining: Any, reset: Any = 3600, limit: Any = 1000) -> dict[str, Any]:
    return {"day_limit": limit, "day_remaining": remaining, "day_reset": reset}


def meter(*answers: dict[str, Any], kind: str = "minute", now: float = 0.0) -> Meter:
    made = Meter(kind)
    for one in answers:
        made.learn(one, now)
        made.answered(now)
    return made


def rejection(limit_type: str | None, reset: float | None) -> LimitExceeded:
    problem = LimitExceeded("")
    problem.limit_type, problem.reset = limit_type, reset
    return problem


# A meter


def test_nothing_is_known_before_the_first_answer() -> None:
    fresh = Meter("minute")
    assert (fresh.kind, fresh.limit, fresh.remaining, fresh.reset_at) == (
        "minute",
        None,
        None,
        None,
    )
    assert fresh.share == 1.0
    assert (fresh.capacity(), fresh.left(), fresh.wait(5.0)) == (1, "", 0.0)


def test_an_answer_tells_what_is_left_and_when_it_comes_back() -> None:
    known = meter(minute(99, 42), now=100.0)
    assert (known.limit, known.remaining, known.reset_at) == (100, 99, 142.0)
    assert known.left() == "99 of 100 per minute"
    assert (known.wait(100.0), known.wait(140.0), known.wait(150.0)) == (42.0, 2.0, 0.0)
    assert meter(day(7), kind="day").left() == "7 of 1000 per day"


def test_answers_that_come_late_change_nothing_for_the_better() -> None:
    known = meter(minute(90, 42), minute(95, 50), now=100.0)
    assert (known.remaining, known.reset_at) == (90, 142.0)
    known.learn(minute(80, 20), 100.0)
    assert (known.remaining, known.reset_at) == (80, 120.0)


def test_texts_are_numbers_too_and_halves_are_cut() -> None:
    known = meter(minute("9.5", "30", "100"))
    assert (known.limit, known.remaining, known.reset_at) == (100, 9, 30.0)


def test_an_answer_without_meters_tells_nothing() -> None:
    for answer in ({}, minute(None), minute(5, limit=None), minute(5, limit=0), day(5)):
        known = meter(answer)
        assert (known.remaining, known.reset_at) == (None, None)
    assert meter(minute(None)).limit == 100
    assert meter(minute(None)).left() == ""
    known = meter(minute(50), minute(7, limit=None))
    assert (known.limit, known.remaining) == (100, 7)


@pytest.mark.parametrize(
    ("kind", "reset", "want"),
    [
        ("minute", None, 60),
        ("minute", 600, 600),
        ("minute", 601, 600),
        ("day", None, 43_200),
        ("day", 90_000, 90_000),
        ("day", 90_001, 90_000),
        ("day", 0, 0),
    ],
)
def test_a_reset_that_cannot_be_is_bounded(kind: str, reset: float | None, want: float) -> None:
    answer = minute(5, reset) if kind == "minute" else day(5, reset)
    assert meter(answer, kind=kind, now=10.0).reset_at == 10.0 + want


def test_all_points_come_back_at_the_reset_and_not_before() -> None:
    known = meter(minute(3, 60))
    known.roll(59.9)
    assert (known.remaining, known.reset_at) == (3, 60.0)
    known.roll(60.0)
    assert (known.remaining, known.reset_at) == (100, None)


def test_a_rejection_leaves_nothing_until_its_reset() -> None:
    known = meter(minute(50, 60))
    known.exhaust(10, 5.0)
    assert (known.remaining, known.reset_at) == (0, 15.0)
    known.exhaust(50, 5.0)  # the earliest counts
    assert known.reset_at == 15.0


@pytest.mark.parametrize(
    ("reset", "want"), [(0, 1.0), (0.5, 1.0), (1.5, 1.5), (None, 60.0), (9999, 600.0)]
)
def test_a_rejection_is_no_busy_loop(reset: float | None, want: float) -> None:
    known = Meter("minute")
    known.exhaust(reset, 7.0)
    assert (known.remaining, known.reset_at) == (0, 7.0 + want)


def test_the_meters_of_a_rejection_do_not_undo_it() -> None:
    """A reset in whole seconds, rounded down, is 0 in the last one."""
    known = Meter("minute")
    known.exhaust(0, 7.0)
    known.learn(minute(0, 0), 7.0)
    known.answered(7.0)
    known.roll(7.9)
    assert (known.remaining, known.reset_at, known.capacity()) == (0, 8.0, 0)


@pytest.mark.parametrize("reset", [0, None])
def test_after_each_rejection_in_a_row_the_wait_is_longer(reset: float | None) -> None:
    known, now, waits = Meter("minute"), 0.0, []
    for _ in range(9):
        known.exhaust(reset, now)
        known.learn(minute(50, 0), now)
        known.answered(now)
        waits.append(known.wait(now))
        now += waits[-1]
    want = [1, 59, 4, 56, 16, 44, 64, 128, 256] if reset == 0 else [60] * 6 + [64, 128, 256]
    assert waits == want
    known.learn(minute(99), now)
    known.answered(now)
    known.exhaust(0, now)
    assert known.wait(now) == 1


def test_requests_rejected_together_count_once() -> None:
    known = Meter("minute")
    for _ in range(4):
        known.exhaust(10, 7.0)
    assert known.reset_at == 17.0
    known.roll(17.0)
    known.exhaust(30, 17.0)
    assert known.reset_at == 67.0  # a window after the first


def test_a_rejection_at_the_reset_itself_begins_a_new_wait() -> None:
    known = meter(minute(5, 0), now=7.0)
    assert known.reset_at == 7.0
    known.exhaust(20, 7.0)
    assert known.reset_at == 27.0


def test_a_request_without_an_answer_is_taken_for_charged() -> None:
    known = meter(minute(2, 60))
    for left in (1, 0, 0):
        known.charge(1.0)
        assert (known.remaining, known.reset_at) == (left, 60.0)
    known.charge(60.0)  # the first of a new window, which no answer has named
    assert (known.remaining, known.reset_at) == (99, 120.0)
    known.charge(61.0)
    assert (known.remaining, known.reset_at) == (98, 120.0)
    unknown = Meter("minute")
    unknown.charge(1.0)
    assert (unknown.remaining, unknown.reset_at) == (None, None)


# Others who share the account


def test_points_that_go_without_us_are_those_of_others() -> None:
    """In the first window of ours: what was gone before is no one's of now."""
    known = meter(minute(49))  # 50 were gone, and ours
    assert known.share == 1.0  # unknown, so somebody like us
    known.roll(60.0)
    for left in (97, 94, 91):  # three for each of ours
        known.learn(minute(left), 60.0)
    assert known.share == 2.0
    known.roll(120.0)
    known.learn(minute(99), 120.0)
    assert known.share == 1.0  # half as many are expected, they may have gone
    for _ in range(4):
        now = known.reset_at or 0
        known.learn(minute(99), now)
    assert known.share == 0.0625


def test_those_in_flight_are_ours() -> None:
    known = Meter("minute")
    known.learn(minute(99), 0.0)
    known.roll(60.0)
    known.learn(minute(95), 60.0, in_flight=4)
    assert known.share == 0.5
    known.learn(minute(94), 60.0, in_flight=3)
    assert known.share == 0.5
    known.learn(minute(80), 60.0, in_flight=0)
    assert known.share == 17 / 3


def test_what_others_took_before_us_in_our_first_window_is_not_counted() -> None:
    known = meter(minute(49), minute(46))
    assert known.share == 1.0
    known.learn(minute(40), 0.0)
    assert known.share == 7 / 3


def test_a_rejected_request_is_no_point_of_ours() -> None:
    known = meter(minute(99))
    known.roll(60.0)
    known.exhaust(30, 60.0)
    known.learn(minute(0), 60.0)
    assert known.share == 100.0


@pytest.mark.parametrize(
    ("remaining", "in_flight", "share", "free"),
    [
        (1, 0, 0.0, True),
        (0, 0, 0.0, False),
        (2, 1, 0.0, True),
        (1, 1, 0.0, False),
        (2, 1, 0.1, True),
        (1, 0, 9.0, True),
        (13, 1, 1.0, True),
        (12, 1, 1.0, False),
        (19, 2, 1.0, True),
        (18, 2, 1.0, False),
    ],
)
def test_near_the_end_of_the_points_a_request_goes_alone(
    remaining: int, in_flight: int, share: float, free: bool
) -> None:
    known = meter(minute(remaining))
    known.share = share
    assert (in_flight < known.capacity()) is free


def test_in_a_new_window_the_first_goes_alone_where_others_are_about() -> None:
    known = meter(minute(99))
    assert known.capacity() == 16
    known.roll(60.0)
    assert known.capacity() == 1
    known.learn(minute(99), 60.0)
    assert known.capacity() == 21


# A pacer


class Stage:
    """A pacer on a clock that moves only while it sleeps."""

    def __init__(self, **more: Any) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.told: list[float] = []
        self.pacer = Pacer(clock=lambda: self.now, sleep=self.sleep, **more)
        self.pacer.on_wait = self.told.append

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def asks(self, answer: dict[str, Any] | None) -> None:
        self.pacer.acquire()
        self.pacer.release(answer)


def test_the_first_request_goes_alone() -> None:
    stage = Stage()
    assert stage.pacer._admit()
    stage.pacer._changed.wait = lambda timeout=None: True  # type: ignore[method-assign]
    assert not stage.pacer._admit()
    stage.pacer.release(minute(99) | day(999))
    assert stage.pacer._admit()
    assert stage.pacer._admit()
    assert stage.pacer.in_flight == 2
    assert stage.slept == []


def test_used_up_points_are_waited_for_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.asks(minute(0, 42) | day(999))
    assert stage.pacer.left() == "0 of 100 per minute, 999 of 1000 per day"
    stage.asks(minute(99) | day(998))
    assert (stage.slept, stage.told, stage.pacer.seconds_waited) == ([42.0], [42.0], 42.0)
    stage.asks(minute(0, 10) | day(997))
    stage.asks(minute(99) | day(996))
    assert stage.pacer.seconds_waited == 52.0
    assert caplog.messages == [
        f"The API's limit per minute (100 points) is used up: waiting {seconds} s for its reset"
        for seconds in (42, 10)
    ]
    assert stage.pacer.in_flight == 0


def test_of_a_wait_in_pieces_one_line_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.asks(minute(0, 42))
    whole = stage.sleep
    stage.pacer._sleep = lambda seconds: whole(seconds / 2 if seconds > 5 else seconds)
    stage.asks(minute(0, 42))
    assert len(stage.slept) > 2
    assert (len(caplog.messages), stage.told) == (1, [42.0])
    stage.asks(minute(5, 42))
    assert len(caplog.messages) == 2


def test_a_limit_that_is_not_known_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.pacer.acquire()
    stage.pacer.exceeded(rejection("minute", 30))
    stage.pacer.release(None)
    stage.pacer.on_wait = None
    stage.asks(minute(5))
    assert caplog.messages == ["The API's limit per minute is used up: waiting 30 s for its reset"]


@pytest.mark.parametrize(
    ("kind", "meters", "day_counts"),
    [
        ("day", {}, True),
        ("minute", {}, False),
        (None, {}, False),
        (None, minute(5) | day(0), True),
        (None, minute(0) | day(0), False),
        (None, minute(5) | day(5), False),
        ("minute", minute(5) | day(0), False),
    ],
)
def test_a_rejection_is_of_the_limit_that_it_names_or_that_is_used_up(
    kind: str | None, meters: dict[str, Any], day_counts: bool
) -> None:
    stage = Stage()
    stage.asks(meters)
    stage.pacer.in_flight += 1
    before = stage.pacer.minute.reset_at, stage.pacer.day.reset_at
    stage.pacer.exceeded(rejection(kind, 7))
    after = stage.pacer.minute.reset_at, stage.pacer.day.reset_at
    own, other = (1, 0) if day_counts else (0, 1)
    assert after[own] == 1007.0
    assert after[other] == before[other]


def test_after_a_rejection_requests_go_alone_until_one_has_passed() -> None:
    stage = Stage()
    stage.pacer._changed.wait = lambda timeout=None: True  # type: ignore[method-assign]
    stage.asks(minute(99) | day(999))
    assert stage.pacer._admit()
    assert stage.pacer._admit()
    stage.pacer.exceeded(rejection("minute", 30))
    stage.pacer.release(minute(0, 30))
    stage.now += 29
    stage.pacer.release(minute(0, 1))  # the late answer of another: still before the reset
    stage.now += 1
    assert stage.pacer._admit()
    assert not stage.pacer._admit()
    stage.pacer.release(minute(99))
    stage.pacer.minute.share = 0.0
    assert stage.pacer._admit()
    assert stage.pacer._admit()


def test_the_day_s_points_end_a_run_or_are_waited_for() -> None:
    stage = Stage()
    stage.asks(minute(99) | day(0, 7300))
    with pytest.raises(DailyLimitReached) as caught:
        stage.pacer.acquire()
    assert str(caught.value) == (
        "The account's daily API limit of 1000 points is used up; it resets in 2 h 02 min. "
        "Run again after that, or set on_daily_limit to wait."
    )
    assert stage.slept == []
    patient = Stage(on_daily_limit="wait")
    patient.asks(minute(99) | day(0, 7300))
    patient.asks(minute(99) | day(999))
    assert patient.slept == [1500.0] * 4 + [1300.0]
    assert patient.told == [7300.0, 5800.0, 4300.0, 2800.0, 1300.0]
    unknown = Stage(on_daily_limit="fail")
    unknown.pacer.exceeded(rejection("day", 100))
    with pytest.raises(DailyLimitReached, match="daily API limit is used up; it resets in 100 s"):
        unknown.pacer.acquire()


def test_the_day_comes_before_the_minute() -> None:
    stage = Stage()
    stage.asks(minute(0, 5) | day(0, 7300))
    with pytest.raises(DailyLimitReached):
        stage.pacer.acquire()


def test_without_an_answer_each_meter_is_charged() -> None:
    stage = Stage()
    stage.asks(minute(50) | day(500))
    stage.asks(None)
    assert stage.pacer.left() == "49 of 100 per minute, 499 of 1000 per day"


def test_a_run_that_is_to_end_asks_nothing_more() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(TapError, match=r"^stopped$"):
        Pacer(stop=stop).acquire()


def test_one_that_waits_for_another_s_answer_is_woken_by_it() -> None:
    """No sleep: the answer may come sooner than the reset."""
    stage = Stage()
    stage.asks(minute(1, 60) | day(999))
    stage.pacer.minute.share = 0.0
    stage.pacer.acquire()
    waits: list[float | None] = []

    def answered(timeout: float | None = None) -> bool:
        waits.append(timeout)
        stage.now += 60
        stage.pacer.release(minute(99) | day(998))
        return True

    stage.pacer._changed.wait = answered  # type: ignore[method-assign]
    stage.pacer.acquire()
    assert (waits, stage.slept) == ([0.2], [])
    assert stage.pacer.seconds_waited == 60.0
    assert stage.pacer.in_flight == 1


def test_others_are_woken_by_an_answer() -> None:
    stage = Stage()
    stage.pacer.acquire()
    woken: list[bool] = []
    notify: Callable[[], None] = lambda: woken.append(True)  # noqa: E731
    stage.pacer._changed.notify_all = notify  # type: ignore[method-assign]
    stage.pacer.release(None)
    assert woken == [True]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (120, "0 h 02 min"),
        (121, "0 h 03 min"),
        (3600, "1 h 00 min"),
        (86_399, "24 h 00 min"),
    ],
)
def test_a_duration_is_spelled_for_people(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


def test_threads_that_wait_together_wait_once() -> None:
    now = [0.0]

    def passes() -> None:
        now[0] += 60

    together = threading.Barrier(2, passes)
    pacer = Pacer(clock=lambda: now[0], sleep=lambda _: together.wait(10))
    pacer.acquire()
    limit = LimitExceeded("used up", mnemonic="limit_exceeded")
    limit.limit_type = "minute"
    pacer.exceeded(limit)
    pacer.release()

    def ask() -> None:
        pacer.acquire()
        pacer.release({"minute_limit": 9, "minute_remaining": 8, "minute_reset": 60})

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert pacer.seconds_waited == 60.0
