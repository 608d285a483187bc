"""Where each account stands: what it takes over from former runs, what it asks for and keeps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts.account import Customer, User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    FormerState,
    Span,
    UserState,
    formatted,
)
from tap_visitor_sessions.sessions.bookmarks.positions import Positions
from tap_visitor_sessions.sessions.bookmarks.state import StreamState
from tap_visitor_sessions.sessions.zones import Timezone

UTC = Timezone("UTC", "setting")
BERLIN = Timezone("Europe/Berlin", "setting")
NOW = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
START = datetime(2024, 5, 1, tzinfo=timezone.utc)
Stretches = tuple[tuple[datetime, datetime], ...]


def day(number: int, hour: int = 0) -> datetime:
    """A time of May 2024."""
    return START + timedelta(days=number - 1, hours=hour)


def span(first: int, last: int) -> Span:
    return day(first), day(last)


def user(user_id: int, customer_id: int = 0) -> User:
    customer_id = customer_id or user_id * 10
    return User(user_id, Customer(customer_id, None, "active", user_id, (user_id,), None))


class Kept(StreamState):
    """What former runs say, and the bookmarks that it was given since, less their zone."""

    def __init__(self, former: FormerState) -> None:
        super().__init__({}, is_partner=False, account=None)
        self.former = former
        self.all: list[tuple[User | None, Bookmarks]] = []

    def keep(self, user: User | None, bookmarks: Bookmarks) -> None:
        self.all.append((user, replace(bookmarks, timezone=None)))


class Run:
    """A positions, and the bookmarks that its host was given."""

    def __init__(
        self,
        former: FormerState | None = None,
        *,
        incremental: bool = True,
        announces_version: bool = False,
        **config: Any,
    ) -> None:
        config = {
            "access_token": "x",
            "start_date": "2024-05-01",
            "lookback_window": "PT0S",
        } | config
        settings = Settings.from_config(config)
        settings.__dict__["now"] = NOW
        kept = Kept(former or FormerState())
        self.all = kept.all
        self.positions = Positions(
            settings,
            kept,
            incremental=incremental,
            announces_version=announces_version,
        )

    def opened(self, user: User | None = None, zone: Timezone = UTC) -> Stretches:
        return self.positions.opened(user, zone).stretches

    @property
    def last(self) -> Bookmarks:
        return self.all[-1][1]


def partner(*known: UserState, **options: Any) -> Run:
    return Run(FormerState(known=known), account_type="partner", **options)


def naive(*spans: Span) -> Stretches:
    return tuple((a.replace(tzinfo=None), b.replace(tzinfo=None)) for a, b in spans)


# Whose bookmarks


def test_an_account_goes_on_from_its_own_bookmarks() -> None:
    kept = Run(FormerState(Bookmarks(day(9), (span(1, 10),))))
    assert kept.opened() == naive((day(10), NOW + timedelta(seconds=1)))
    assert kept.all == [(None, Bookmarks(day(9), (span(1, 10),)))]


def test_an_account_without_bookmarks_is_read_from_start_date_on() -> None:
    wanted = naive((START, NOW + timedelta(seconds=1)))
    assert Run().opened() == partner().opened(user(1)) == wanted


FURTHEST = UserState(1, 10, Bookmarks(day(20), (span(1, 21),)))
BEHIND = UserState(2, 10, Bookmarks(day(5), (span(1, 6),)))
NOBODYS = UserState(3, None, Bookmarks(day(25), (span(1, 26),)))


def first_asked(kept: Run, user: User) -> datetime:
    return kept.opened(user)[0][0].replace(tzinfo=timezone.utc)


def test_a_customer_goes_on_from_what_any_of_its_users_has_read() -> None:
    """They see the same sessions, whoever of them is read, by whatever setting."""
    for number in (1, 2, 7):
        for more in ({}, {"user_ids": [number]}):
            assert first_asked(partner(FURTHEST, BEHIND, **more), user(number, 10)) == day(21)
    apart = UserState(2, 10, Bookmarks(day(9), (span(3, 12),), turn="2024"))
    early = UserState(1, 10, Bookmarks(day(2), (span(1, 5),), turn="2023"))
    kept = partner(apart, early)
    kept.opened(user(1, 10))
    assert kept.last == Bookmarks(day(9), (span(1, 12),), "2024")


def test_a_user_whose_customer_an_older_version_did_not_note_is_known_by_its_id() -> None:
    ours = User(8, Customer(10, None, "active", 8, (3, 8), None))
    assert first_asked(partner(NOBODYS), ours) == day(26)


def test_a_successor_goes_on_where_its_customer_has_come_the_furthest() -> None:
    assert first_asked(partner(NOBODYS, FURTHEST, BEHIND), user(7, 10)) == day(21)
    assert first_asked(partner(NOBODYS, FURTHEST, BEHIND), user(7, 11)) == START


def test_who_was_read_the_longest_ago_comes_first_and_before_them_the_never_read() -> None:
    turns = [formatted(day(n)).replace("Z", ".000000Z") for n in range(1, 4)]
    kept = partner(
        UserState(1, 10, Bookmarks(day(3), turn=turns[2])),
        UserState(2, 20, Bookmarks(day(9), turn=turns[0])),
        UserState(3, 30, Bookmarks(day(1), turn=turns[1])),
        UserState(4, 40, Bookmarks(day(8))),  # an older version's
        UserState(5, 50, Bookmarks(day(7))),
    )
    users = [user(number) for number in (4, 9, 3, 8, 2, 5, 1)]
    found = [one.user_id for one in kept.positions.in_turn(users)]
    assert found == [8, 9, 5, 4, 2, 3, 1]
    assert kept.positions.known == [1, 2, 3, 4, 5]


# What is asked for


def test_a_full_refresh_asks_for_all_and_keeps_the_bookmarks() -> None:
    kept = Run(
        FormerState(Bookmarks(day(9), (span(1, 10),))), incremental=False, end_date="2024-05-20"
    )
    assert kept.opened() == naive(span(1, 21))
    assert kept.last == Bookmarks(day(9), (span(1, 10),))


def test_the_look_back_is_read_again() -> None:
    kept = Run(FormerState(Bookmarks(day(9), (span(1, 10),))), lookback_window="P2D")
    assert kept.opened() == naive((day(8), NOW + timedelta(seconds=1)))


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2024-05-02", "2024-05-03", day(2), day(4)),
        ("2024-05-02T03:04:05", "2024-05-02T03:04:05", day(2, 3), day(2, 3)),
        ("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z", day(2, 2), day(3, 2)),
    ],
)
def test_times_are_of_the_accounts_clock_unless_they_have_an_offset(
    start: str, end: str, first: datetime, last: datetime
) -> None:
    if "T" in end:
        last += timedelta(seconds=1)
    if start.endswith("05"):
        first, last = (one + timedelta(minutes=4, seconds=5) for one in (first, last))
    kept = Run(start_date=start, end_date=end)
    assert kept.opened(zone=BERLIN) == naive((first, last))


def test_an_older_versions_bookmark_is_taken_over_and_one_of_the_future_is_not() -> None:
    kept = Run(FormerState(Bookmarks(day(9))))
    assert kept.opened() == naive((day(9), NOW + timedelta(seconds=1)))
    assert kept.last == Bookmarks(day(9), (span(1, 9),))
    kept = Run(FormerState(Bookmarks(day(900))))
    assert kept.opened() == naive((NOW, NOW + timedelta(seconds=1)))
    assert kept.last == Bookmarks(None, ((START, NOW),))


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == level]
    caplog.clear()
    return found


def test_what_is_asked_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Run(FormerState(Bookmarks(read=(span(2, 3),))), end_date="2024-05-10").opened()
    assert told(caplog, logging.INFO) == [
        "Reading sessions from 2024-05-01 00:00:00 to 2024-05-01 23:59:59, "
        "then from 2024-05-03 00:00:00 to 2024-05-10 23:59:59"
    ]
    partner(FURTHEST, end_date="2024-05-20").opened(user(1, 10))
    assert told(caplog, logging.INFO) == ["Reading sessions of customer 10 as user 1 of no time"]


def test_a_start_in_the_future_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    Run(start_date="2024-06-01T12:00:01Z", end_date="2024-06-02T12:00:00Z").opened()
    assert told(caplog) == [
        "start_date lies in the future: there are no sessions to read yet",
    ]
    Run(start_date="2024-06-01T12:00:00Z", end_date="2024-06-02T12:00:00Z").opened()
    assert told(caplog) == []


def test_an_end_before_what_has_been_read_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    former = FormerState(
        Bookmarks(read=(span(1, 9),)),
        [UserState(1, 10, Bookmarks(day(20))), UserState(2, 20, Bookmarks(day(20)))],
    )
    rest = (
        "have been read: those are not read again. To read a span again, run with a state of its "
        "own, or a full refresh"
    )
    Run(former, end_date="2024-05-07").opened()
    assert told(caplog) == [
        f"end_date lies before 2024-05-09T00:00:00Z, up to which the sessions {rest}"
    ]
    kept = Run(former, end_date="2024-05-07", account_type="partner")
    kept.opened(user(1))
    kept.opened(user(2))
    assert told(caplog) == [
        "end_date lies before 2024-05-20T00:00:00Z, up to which the sessions of customer 10 as "
        f"user 1 {rest}"
    ]
    for options in (
        {"end_date": "2024-05-08"},
        {},
        {"end_date": "2024-05-01", "incremental": False},
    ):
        Run(former, **options).opened()
        assert told(caplog) == []
    Run(end_date="2024-05-08").opened()
    assert told(caplog) == []


def test_a_version_that_drops_what_was_loaded_before_is_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warned(*read: Span, announces_version: bool = True) -> list[str]:
        former = FormerState(Bookmarks(read=read))
        Run(
            former,
            incremental=False,
            announces_version=announces_version,
            start_date="2024-05-03",
            end_date="2024-05-20",
        ).opened()
        return told(caplog)

    assert warned() == warned(span(3, 21)) == warned(span(4, 7), span(9, 10)) == []
    assert warned(span(1, 30), announces_version=False) == []
    for read in ([span(2, 7)], [span(4, 7), span(9, 22)], [span(1, 2), span(4, 7)]):
        first, last = formatted(read[0][0]), formatted(read[-1][1])
        assert warned(*read) == [
            f"ACTIVATE_VERSION follows, and sessions from {first} to {last} have been loaded "
            "before: the loader drops those outside of start_date and end_date"
        ]


# What is kept


def test_bookmarks_are_kept_as_sessions_are_written() -> None:
    kept = Run(end_date="2024-05-10")
    kept.opened()
    kept.positions.emitted(None, day(3))
    assert kept.last == Bookmarks(day(3), (span(1, 3),))
    kept.positions.finished(None, day(5).replace(tzinfo=None))
    assert kept.last == Bookmarks(day(3), (span(1, 5),))
    assert [who for who, _ in kept.all] == [None] * 3


def test_bookmarks_of_one_are_not_those_of_another() -> None:
    kept = partner()
    one, other = user(1), user(2)
    kept.opened(one)
    kept.opened(other)
    kept.positions.emitted(one, day(3))
    assert kept.all[-1] == (one, Bookmarks(day(3), (span(1, 3),)))
    kept.positions.finished(other, day(2).replace(tzinfo=None))
    assert kept.all[-1] == (other, Bookmarks(None, (span(1, 2),)))


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=6))
def test_turns_follow_each_other_and_those_of_former_runs(order: Sequence[int]) -> None:
    latest = "2999-01-01T00:00:00.000000Z"
    kept = partner(
        UserState(9, 90, Bookmarks(turn=latest)), UserState(8, 80, Bookmarks(turn="2024"))
    )
    for number in (1, 2, 3):
        kept.opened(user(number))
    before = len(kept.all)
    for number in order:
        kept.positions.take_turn(user(number))
    turns = [bookmarks.turn for _, bookmarks in kept.all[before:]]
    assert [one.user_id for one, _ in kept.all[before:] if one] == list(dict.fromkeys(order))
    assert turns == sorted({*turns})
    assert all(turn > latest for turn in turns)


def test_a_customers_account_has_no_turn() -> None:
    kept = Run()
    kept.opened()
    kept.positions.take_turn(None)
    assert kept.last.turn == ""


def test_one_that_could_not_be_opened_has_its_turn_and_keeps_its_bookmarks() -> None:
    kept = partner(FURTHEST)
    kept.positions.take_turn(user(1, 10))
    assert (kept.last.bookmark, kept.last.read) == (day(20), (span(1, 21),))
    assert kept.last.turn
    kept.positions.take_turn(user(7))
    assert kept.last == Bookmarks(turn=kept.last.turn)
    assert kept.last.turn


def test_a_turn_leaves_the_other_bookmarks() -> None:
    kept = partner(FURTHEST)
    kept.opened(user(1, 10))
    kept.positions.take_turn(user(1, 10))
    assert (kept.last.bookmark, kept.last.read) == (day(20), (span(1, 21),))
    assert kept.last.turn


def test_after_a_version_the_loader_holds_the_span_of_this_run_alone() -> None:
    """Neither a span nor a bookmark may stand for sessions that it has dropped."""
    for bookmark in (1, 3, 20, 21, 25):
        former = FormerState(Bookmarks(day(bookmark), (span(1, 2), span(4, 28))))
        kept = Run(former, incremental=False, start_date="2024-05-03", end_date="2024-05-20")
        kept.opened()
        kept.positions.version_activated()
        left = day(bookmark) if 3 <= bookmark < 21 else None
        assert kept.all[-1] == (None, Bookmarks(left, (span(3, 21),)))
    kept = Run(FormerState(Bookmarks(day(20))), incremental=False, start_date="2024-06-02")
    kept.opened()
    kept.positions.version_activated()
    assert kept.last == Bookmarks()
    kept = partner(incremental=False)
    for number in (1, 2):
        kept.opened(user(number))
    kept.positions.version_activated()
    assert kept.all[2:] == [(user(number), Bookmarks(None, ((START, NOW),))) for number in (1, 2)]


def test_how_far_a_run_came_is_where_the_last_of_all_stands() -> None:
    kept = partner(end_date="2024-05-10")
    assert kept.positions.reached() == {"bookmark": None, "read_until": None}
    for number in (1, 2, 3):
        kept.opened(user(number))
    kept.positions.emitted(user(1), day(6))
    kept.positions.emitted(user(2), day(4))
    kept.positions.finished(user(3), day(3).replace(tzinfo=None))
    assert kept.positions.reached() == {
        "bookmark": formatted(day(4)),
        "read_until": formatted(day(3)),
    }
