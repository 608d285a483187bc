"""How far an account has been read: spans, gaps, bookmarks; the rules that hold for all of them."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import first_instant

from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    TURN,
    Bookmarks,
    Reading,
    Span,
    before,
    next_turn,
    union,
    unread,
)
from tap_visitor_sessions.sessions.zones import SECOND, Zone

BASE = datetime(2024, 10, 26, 12, tzinfo=timezone.utc)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Europe/Moscow"]
seconds = st.integers(0, 60)
lengths = st.integers(0, 20)


def at(second: int) -> datetime:
    return BASE + timedelta(seconds=second)


def span(start: int, length: int) -> Span:
    return at(start), at(start + length)


def instants(spans: tuple[Span, ...]) -> set[datetime]:
    """Each whole second in the spans: an oracle that knows no arithmetic of spans."""
    return {
        start + timedelta(seconds=n)
        for start, end in spans
        for n in range(int((end - start).total_seconds()))
    }


spans = st.lists(st.builds(span, seconds, lengths), max_size=6)


@given(spans)
def test_a_union_is_the_same_instants_in_order_and_apart(given_: list[Span]) -> None:
    result = union(given_)
    assert instants(result) == instants(tuple(given_))
    assert all(start < end for start, end in result)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(result))


@given(spans, seconds)
def test_what_lies_before_an_instant(given_: list[Span], second: int) -> None:
    assert instants(before(given_, at(second))) == {
        one for one in instants(tuple(given_)) if one < at(second)
    }


@given(seconds, lengths, spans, st.integers(0, 30))
def test_what_is_unread_is_read_and_the_look_back_after_each_span(
    start: int, length: int, given_: list[Span], look_back: int
) -> None:
    wanted, read = span(start, length), union(given_)
    back = timedelta(seconds=look_back)
    result = unread(wanted, read, back)
    todo = instants(result)
    assert instants((wanted,)) - instants(read) <= todo <= instants((wanted,))
    assert result == union(result)
    for _, end in read:
        # What follows a span that was read begins the look-back before its end.
        if at(start) <= end < at(start + length) and end not in instants(read):
            assert instants((wanted,)) & instants(((max(end - back, at(start)), end),)) <= todo


@given(
    st.sampled_from(ZONES),
    st.integers(-(10**5), 10**5),
    st.integers(0, 10**5),
    st.lists(st.tuples(st.integers(-(10**5), 10**5), st.integers(0, 10**5)), max_size=3),
    st.lists(st.integers(-(10**5), 2 * 10**5), min_size=1, max_size=20),
    st.booleans(),
)
def test_on_every_wall_clock_no_session_of_an_unread_instant_is_left_out(
    name: str,
    start: int,
    length: int,
    read: list[tuple[int, int]],
    filed: list[int],
    in_spring: bool,
) -> None:
    """Sessions are filed by the wall clock; what was read is known in UTC. Around a change of
    the clock each second wanted is asked for unless its instant has been read."""
    base = {"Pacific/Apia": datetime(2011, 12, 30)}.get(name, datetime(2024, 10, 27, 1))
    if in_spring and name != "Pacific/Apia":
        base = datetime(2024, 3, 31, 1)
    if in_spring and name == "America/New_York":
        base = datetime(2024, 3, 10, 1)
    first = base + timedelta(seconds=start)
    end = first + timedelta(seconds=length)
    utc = base.replace(tzinfo=timezone.utc)
    known = union((utc + timedelta(seconds=a), utc + timedelta(seconds=a + n)) for a, n in read)
    now = utc + timedelta(days=30)
    reading = Reading(Bookmarks(read=known), first, end, Zone(ZoneInfo(name)), now, timedelta(0))
    for second in filed:
        wall = base + timedelta(seconds=second)
        instant = first_instant(wall, name)
        was_read = any(a <= instant < b for a, b in known)
        asked = any(a <= wall < b for a, b in reading.stretches)
        if first <= wall < end and not was_read:
            assert asked, (wall, instant)
        assert not asked or first <= wall < end


@given(
    st.lists(st.tuples(seconds, lengths), max_size=3),
    seconds,
    lengths,
    st.lists(st.tuples(seconds, st.booleans()), max_size=10),
)
def test_spans_grow_and_the_bookmark_never_goes_back(
    read: list[tuple[int, int]], start: int, length: int, steps: list[tuple[int, bool]]
) -> None:
    bookmarks = Bookmarks(at(10), union(span(*one) for one in read))
    wall = at(start).replace(tzinfo=None)
    reading = Reading(
        bookmarks,
        wall,
        wall + timedelta(seconds=length),
        Zone(timezone.utc),
        at(45),
        timedelta(seconds=3),
    )
    for second, is_record in sorted(steps):
        earlier = reading.bookmarks
        if is_record:
            reading.emitted(at(second))
        else:
            reading.finished(at(second).replace(tzinfo=None))
        now = reading.bookmarks
        assert now.bookmark
        assert earlier.bookmark
        assert now.bookmark >= earlier.bookmark
        assert instants(now.read) >= instants(earlier.read)
        new = instants(now.read) - instants(bookmarks.read)
        assert all(one < at(second) and one < at(45) for one in new)
        assert new <= instants((span(start, length + 1),))


@given(spans, seconds, lengths, st.integers(0, 30), st.booleans())
def test_where_no_clock_changes_what_is_asked_for_is_what_is_unread(
    read: list[Span], start: int, length: int, look_back: int, afresh: bool
) -> None:
    wanted, bookmarks = span(start, length), Bookmarks(read=union(read))
    first, end = (one.replace(tzinfo=None) for one in wanted)
    back = timedelta(seconds=look_back)
    options = {"afresh": True} if afresh else {}
    reading = Reading(bookmarks, first, end, Zone(timezone.utc), at(99), back, **options)
    stretches = unread(wanted, () if afresh else bookmarks.read, back)
    assert reading.stretches == tuple(
        (a.replace(tzinfo=None), b.replace(tzinfo=None)) for a, b in stretches
    )


def test_a_bookmark_moves_on_with_what_is_emitted() -> None:
    bookmarks = Bookmarks().with_emitted(at(5))
    assert bookmarks.bookmark == at(5)
    assert bookmarks.with_emitted(at(9)).bookmark == at(9)
    assert bookmarks.with_emitted(at(3)) == bookmarks


def test_a_bookmark_of_now_is_none_of_the_future() -> None:
    assert Bookmarks(at(50)).taken_over(at(0), at(50)) == Bookmarks(at(50), (span(0, 50),))


@pytest.mark.parametrize("last", ["", "nonsense", "2024-05-01T00:00:00.000000Z"])
def test_a_turn_is_now(last: str) -> None:
    before = datetime.now(timezone.utc)
    turn = datetime.strptime(next_turn(last), TURN).replace(tzinfo=timezone.utc)
    assert before <= turn <= datetime.now(timezone.utc)


def test_a_turn_is_later_than_the_last_whatever_the_clock_says() -> None:
    last = "2999-01-01T00:00:00.000000Z"
    for number in range(1, 4):
        last = next_turn(last)
        assert last == f"2999-01-01T00:00:00.00000{number}Z"
    assert next_turn("9999-12-31T23:59:59.999999Z") < last


def test_an_older_versions_bookmark_stands_for_what_lies_before_it() -> None:
    assert Bookmarks(at(20)).taken_over(at(5), at(99)) == Bookmarks(at(20), (span(5, 15),))
    assert Bookmarks(at(20)).taken_over(at(30), at(99)) == Bookmarks(at(20), ())
    # An older version has gone on from a newer one's state.
    assert Bookmarks(at(20), (span(5, 10),)).taken_over(at(0), at(99)).read == (span(5, 15),)


def test_a_bookmark_in_the_future_is_forgotten_and_now_is_where_to_go_on() -> None:
    bookmarks = Bookmarks(at(5000), (span(0, 5000),)).taken_over(at(0), at(50))
    assert bookmarks == Bookmarks(None, (span(0, 50),))
    assert bookmarks.until == at(50)


@pytest.mark.parametrize("look_back", [timedelta(days=10**6), timedelta.max])
def test_a_look_back_before_all_time_is_from_the_start(look_back: timedelta) -> None:
    assert unread(span(0, 50), (span(0, 30),), look_back) == (span(0, 50),)


def test_a_month_of_a_duration_is_one_of_the_calendar() -> None:
    import pendulum

    read = (
        (datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 3, 31, tzinfo=timezone.utc)),
    )
    wanted = (read[0][0], datetime(2024, 4, 1, tzinfo=timezone.utc))
    [(start, _)] = unread(wanted, read, pendulum.duration(months=1))
    assert start == datetime(2024, 2, 29, tzinfo=timezone.utc)


def test_the_second_after_the_end_is_where_a_span_ends() -> None:
    reading = Reading(
        Bookmarks(), datetime(2024, 5, 1), datetime(2024, 5, 2), Zone(timezone.utc), at(0), SECOND
    )
    assert reading.stretches == ((datetime(2024, 5, 1), datetime(2024, 5, 2)),)
    reading.finished(datetime(2024, 5, 2))
    assert reading.bookmarks.until == datetime(2024, 5, 2, tzinfo=timezone.utc)
