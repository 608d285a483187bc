"""Local days: a session belongs to the day that a query finds, each day is one span, and counting
them by pieces gives what counting them at once gives."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import first_instant

from tap_visitor_sessions.sessions.days.calendar import Calendar, Cell
from tap_visitor_sessions.sessions.days.counting import DayCounts, Sum, Tally, digest_of
from tap_visitor_sessions.sessions.days.memory import Known, mark_of, packed, unpacked
from tap_visitor_sessions.sessions.zones import UTC, Zone

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
PLACES = [
    ("America/Sao_Paulo", datetime(2018, 11, 3, 22)),
    ("America/Sao_Paulo", datetime(2018, 2, 16, 22)),
    ("America/St_Johns", datetime(2010, 11, 6, 22)),
    ("Pacific/Apia", datetime(2011, 12, 29)),
    ("America/Havana", datetime(2024, 11, 2, 22)),
    ("Africa/Cairo", datetime(2023, 10, 26, 22)),
    ("Asia/Beirut", datetime(2024, 3, 30, 22)),
    ("Europe/Berlin", datetime(2024, 10, 26, 23)),
    ("Europe/Moscow", datetime(2024, 2, 28)),
]


@dataclass
class Session:
    id: int
    date_time: datetime


moments = st.tuples(st.sampled_from(PLACES), st.integers(0, 4 * 86_400))


@settings(max_examples=examples(300), deadline=None)
@given(moments)
def test_a_session_is_of_the_day_of_its_date_time_and_within_its_span(
    moment: tuple[tuple[str, datetime], int],
) -> None:
    (name, near), seconds = moment
    zone, wall = Zone(ZoneInfo(name)), near + seconds * SECOND
    calendar = Calendar(zone)
    day = calendar.of_wall(wall)
    instant = first_instant(wall, name)
    assert day == instant.astimezone(ZoneInfo(name)).date()
    assert calendar.first_wall(day) <= wall < calendar.first_wall(day + DAY)
    [cell] = calendar.cells([(wall, wall + SECOND)])
    assert cell.date == day


@settings(max_examples=examples(200), deadline=None)
@given(moments, st.integers(1, 5 * 86_400))
def test_cells_part_a_span_and_widened_ones_are_whole(
    moment: tuple[tuple[str, datetime], int], length: int
) -> None:
    (name, near), seconds = moment
    calendar = Calendar(Zone(ZoneInfo(name)))
    start = near + seconds * SECOND
    end = start + length * SECOND
    cells = list(calendar.cells([(start, end)]))
    assert (cells[0].start, cells[-1].end) == (start, end)
    for one, other in pairwise(cells):
        assert one.end == other.start
        assert one.date < other.date
    far = (start - 3 * DAY, end + 3 * DAY)
    [(low, high)] = calendar.widened([(start, end)], *far)
    assert low <= start < end <= high
    assert all(cell.is_whole for cell in calendar.cells([(low, high)]))
    assert calendar.widened([(start, end)], start, end) == [(start, end)]


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(PLACES),
    st.lists(st.integers(0, 4 * 86_400), max_size=40),
    st.lists(st.integers(1, 4 * 86_400), max_size=6),
    st.integers(1, 7),
)
def test_days_counted_by_pieces_are_those_counted_at_once(
    place: tuple[str, datetime], seconds: list[int], cuts: list[int], size: int
) -> None:
    name, near = place
    zone = Zone(ZoneInfo(name))
    calendar = Calendar(zone)
    end = near + 4 * DAY + SECOND
    walls = sorted(near + number * SECOND for number in seconds)
    want = Counter(first_instant(wall, name).astimezone(ZoneInfo(name)).date() for wall in walls)
    counts = DayCounts(calendar, [(near, end)])
    found: list[tuple[date, int]] = []
    total = 0
    for start, till in zip([near, *bounds(near, cuts)], [*bounds(near, cuts), end], strict=True):
        some = [Session(n, zone.to_utc(w)) for n, w in enumerate(walls) if start <= w < till]
        some.sort(key=lambda one: one.date_time)
        counts.take(Tally.of(some, calendar))
        for at in range(0, len(some), size):
            part = some[at : at + size]
            ended = counts.emitted(part[-1].date_time, len(part))
            total += len(part)
            found += [(one.cell.date, one.sum.sessions) for one in ended]
            assert all(one.cell.date < calendar.day(part[-1].date_time) for one in ended)
        found += [(one.cell.date, one.sum.sessions) for one in counts.finished(till)]
    assert dict(found) == {cell.date: want[cell.date] for cell in calendar.cells([(near, end)])}
    assert len(found) == len(dict(found))


def bounds(near: datetime, cuts: list[int]) -> list[datetime]:
    """Ends of windows, at noon: one inside a gap of the clock the pipeline joins with the next."""
    noons = {(near + cut * SECOND).replace(hour=12, minute=0, second=0) for cut in cuts}
    return sorted(noon for noon in noons if near < noon < near + 4 * DAY)


def test_a_day_that_is_gone_on_with_is_whole() -> None:
    calendar = Calendar(Zone(UTC))
    noon, after = datetime(2024, 5, 1, 12), datetime(2024, 5, 2)
    first = DayCounts(calendar, [(datetime(2024, 5, 1), noon)])
    first.take(Tally.of([Session(1, datetime(2024, 5, 1, 1, tzinfo=UTC))], calendar))
    assert first.emitted(datetime(2024, 5, 1, 1, tzinfo=UTC), 1) == []
    [half] = first.finished(noon)
    assert (half.sum.sessions, half.cell.is_whole) == (1, False)
    begun = first.begun(noon.replace(tzinfo=UTC))
    assert begun.sessions == 1

    second = DayCounts(calendar, [(noon, after)], begun)
    second.take(Tally.of([Session(2, datetime(2024, 5, 1, 13, tzinfo=UTC))], calendar))
    second.emitted(datetime(2024, 5, 1, 13, tzinfo=UTC), 1)
    [whole] = second.finished(after)
    assert (whole.sum.sessions, whole.cell.is_whole) == (2, True)
    assert whole.read_at == half.read_at
    within = DayCounts(calendar, [(noon, after - SECOND)])
    assert within.begun(noon.replace(tzinfo=UTC)).sessions is None


@settings(max_examples=examples(100), deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 200),
        st.builds(
            lambda n, last, ids: Sum(n, min(n, last), digest_of(ids) if n else 0),
            st.integers(0, 10**7),
            st.integers(0, 300),
            st.lists(st.integers(1, 10**11), max_size=3),
        ),
    ),
    st.sets(st.integers(0, 200), max_size=2),
    st.booleans(),
    st.none() | st.dates(),
)
def test_what_is_remembered_is_read_back(
    days: dict[int, Sum], cut: set[int], with_digests: bool, following: date | None
) -> None:
    first, held = date(2024, 1, 1), Known(next=following if days else None)
    for number, one in days.items():
        day = first + number * DAY
        start = datetime.combine(day, time(10 if number in cut else 0))
        cell = Cell(day, start, datetime.combine(day + DAY, time.min), number not in cut)
        held.take(cell, one if with_digests else Sum(one.sessions, one.at_last))
    form = packed(held, "a", with_digests=with_digests)
    assert unpacked(form, "a", with_digests=with_digests) == held
    assert unpacked(form, "b", with_digests=with_digests) == Known()
    assert mark_of("UTC", None) != mark_of("UTC", "x")
    for odd in (
        None,
        [],
        ["x", "a", ""],
        ["2024-01-01", "a", "\x00"],
        ["2024-01-01", "a", "01"],
        ["2024-01-01", "a", "", 7],
        ["2024-01-01", "a", "", {}, 7],
        ["2024-01-01", "a", "", {}, "tomorrow"],
        ["2024-01-01", "a", "", {"2024-01-01": ["2024-01-01T00:00:00"]}],
        ["2024-01-01", "a", "", {"2024-01-01": ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]}],
        7,
    ):
        assert unpacked(odd, "a", with_digests=with_digests) == Known()
