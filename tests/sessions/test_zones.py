"""Wall clock to UTC: monotone, invertible where it matters, in every zone."""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo

import pytest
from conftest import Tally, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.sessions.zones import SECOND, Zone

ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
UTC = timezone.utc


def changes(tz: zoneinfo.ZoneInfo, start: int, end: int) -> list[datetime]:
    """Instants in years [start, end) at which the offset changes, to the hour."""
    found, hour = [], timedelta(hours=1)
    at = datetime(start, 1, 1, tzinfo=UTC)
    while at.year < end:
        after = at + timedelta(days=5)
        if at.astimezone(tz).utcoffset() != after.astimezone(tz).utcoffset():
            fine = at
            while fine < after:
                if fine.astimezone(tz).utcoffset() != (fine + hour).astimezone(tz).utcoffset():
                    found.append(fine + hour)
                fine += hour
        at = after
    return found


@pytest.mark.thinned
@pytest.mark.parametrize("letter", sorted({name[0] for name in ZONES}))
def test_order_never_goes_back_over_any_change_of_2015_to_2035(letter: str, tally: Tally) -> None:
    seen: set[tuple[object, ...]] = set()
    for name in (name for name in ZONES if name[0] == letter):
        tz = zoneinfo.ZoneInfo(name)
        zone = Zone(tz)
        for change in changes(tz, 2015, 2036):
            before, after = (
                (change + d).astimezone(tz).utcoffset() for d in (-SECOND * 3600, SECOND)
            )
            if (change, before, after) in seen:  # the same rule under another name
                continue
            seen.add((change, before, after))
            wall = change.astimezone(tz).replace(tzinfo=None) - timedelta(hours=5)
            previous = zone.to_utc(wall)
            for _ in range(10 * 6):
                wall += timedelta(minutes=10)
                instant = zone.to_utc(wall)
                assert instant >= previous, (name, wall)
                assert zone.first_wall(instant) <= wall <= zone.last_wall(instant), (name, wall)
                previous = instant
    if seen:
        tally(
            "Time",
            "a change of the clock in any zone of the tz database, 2015-2035",
            injected=len(seen),
        )


@settings(max_examples=examples(400), deadline=None)
@given(
    name=st.sampled_from(ZONES),
    instants=st.lists(
        st.datetimes(datetime(2015, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC)),
        min_size=2,
        max_size=2,
    ).map(sorted),
)
def test_a_span_holds_every_session_that_happened_in_it(
    name: str, instants: list[datetime]
) -> None:
    tz = zoneinfo.ZoneInfo(name)
    zone = Zone(tz)
    start, end = (instant.replace(microsecond=0) for instant in instants)
    for moment in (start, end, start + (end - start) / 2):
        wall = moment.astimezone(tz).replace(tzinfo=None, microsecond=0)
        assert zone.first_wall(start) <= wall <= zone.last_wall(end)


class OneChange(tzinfo):
    """A zone whose clock is set once, at any second; counts how often its offset is asked for."""

    def __init__(self, change: datetime, before: int, after: int) -> None:
        self.change = change  # in UTC, naive
        self.before, self.after = timedelta(seconds=before), timedelta(seconds=after)
        self.asked = 0

    def utcoffset(self, wall: datetime | None) -> timedelta:
        self.asked += 1
        assert wall is not None
        naive, late = wall.replace(tzinfo=None, fold=0), wall.fold
        was = naive - self.before < self.change
        will = naive - self.after >= self.change
        if was == will:  # twice, or never
            return self.after if late else self.before
        return self.before if was else self.after

    def fromutc(self, wall: datetime) -> datetime:
        naive = wall.replace(tzinfo=None)
        local = naive + (self.before if naive < self.change else self.after)
        again = naive >= self.change and local - self.before < self.change
        return local.replace(tzinfo=self, fold=int(again))

    def dst(self, wall: datetime | None) -> None:
        return None

    def tzname(self, wall: datetime | None) -> str:
        return "one change"


MIDNIGHT = datetime(2024, 3, 10)
offsets = st.integers(-50_000, 50_000)


@given(
    at=st.one_of(st.integers(-90_000, 90_000), st.integers(-5, 5)),
    before=offsets,
    by=st.one_of(st.integers(-7200, 7200), st.integers(-70, 70)),
    seconds=st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=8),
)
def test_a_wall_time_is_read_alike_whatever_was_asked_before(
    at: int, before: int, by: int, seconds: list[int]
) -> None:
    """A change at any second of the day, by any number of them; the first instant at which the
    clock has shown the time, or passed it."""
    change = MIDNIGHT + timedelta(seconds=at - before)
    tz = OneChange(change, before, before + by)
    zone = Zone(tz)
    for second in seconds:
        wall = MIDNIGHT + timedelta(seconds=at + second % 7300 - 100)
        first = wall - tz.before if wall - tz.before < change else max(wall - tz.after, change)
        assert zone.to_utc(wall) == Zone(tz).to_utc(wall) == first.replace(tzinfo=UTC), wall


@given(
    at=st.integers(-90_000, 90_000),
    by=st.integers(-7200, 7200) | st.sampled_from([-86_400, -1, 1, 86_400]),
    second=st.integers(-100_000, 100_000),
    later=st.lists(st.integers(0, 100_000), max_size=20),
)
def test_nothing_that_happens_later_is_filed_before_the_first_wall_of_an_instant(
    at: int, by: int, second: int, later: list[int]
) -> None:
    change = MIDNIGHT + timedelta(seconds=at)
    tz = OneChange(change, -(by // 2), by - by // 2)
    instant = (MIDNIGHT + timedelta(seconds=second)).replace(tzinfo=UTC)
    first = Zone(tz).first_wall(instant)
    turning = [change.replace(tzinfo=UTC)] if change >= instant.replace(tzinfo=None) else []
    walls = [
        one.astimezone(tz).replace(tzinfo=None, fold=0)
        for one in [instant, *turning, *(instant + timedelta(seconds=s) for s in later)]
    ]
    assert first <= min(walls)
    gap = max(by, 0) if instant.replace(tzinfo=None) == change else 0
    assert min(walls) - first <= timedelta(seconds=gap)


def test_a_day_without_a_change_asks_its_zone_twice_however_many_sessions_it_has() -> None:
    tz = OneChange(MIDNIGHT + timedelta(days=1, hours=1), 0, -1800)
    zone = Zone(tz)
    for day in (MIDNIGHT, MIDNIGHT + timedelta(days=2)):
        tz.asked = 0
        for second in range(50):
            zone.to_utc(day + timedelta(seconds=second * 1000))
        assert tz.asked <= 2, day


@given(
    name=st.sampled_from(ZONES), instant=st.datetimes(datetime(2015, 1, 1), timezones=st.just(UTC))
)
def test_what_a_clock_shows_is_naive_and_in_whole_seconds(name: str, instant: datetime) -> None:
    zone = Zone(zoneinfo.ZoneInfo(name))
    for wall in (zone.wall(instant), zone.first_wall(instant), zone.last_wall(instant)):
        assert (wall.microsecond, wall.tzinfo, wall.fold) == (0, None, 0)


def test_the_second_pass_of_an_hour_is_shown_as_the_first() -> None:
    second_pass = datetime(2024, 10, 27, 1, 30, 0, 5, tzinfo=UTC)
    zone = Zone(zoneinfo.ZoneInfo("Europe/Berlin"))
    for wall in (zone.wall(second_pass), zone.last_wall(second_pass)):
        assert (wall.microsecond, wall.fold) == (0, 0)


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own clock is another zone's."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
def test_the_zone_of_the_machine_does_not_matter() -> None:
    test_a_repeated_hour_is_read_as_the_first_and_a_gap_as_the_change()


def test_a_repeated_hour_is_read_as_the_first_and_a_gap_as_the_change() -> None:
    zone = Zone(zoneinfo.ZoneInfo("Europe/Berlin"))
    assert zone.to_utc(datetime(2024, 10, 27, 2, 30)) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert zone.to_utc(datetime(2024, 10, 27, 3)) == datetime(2024, 10, 27, 2, tzinfo=UTC)
    assert zone.to_utc(datetime(2024, 3, 31, 2, 30)) == datetime(2024, 3, 31, 1, tzinfo=UTC)
    first_pass = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert zone.first_wall(first_pass) == datetime(2024, 10, 27, 2)  # what is still to come
    second_pass = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    assert zone.first_wall(second_pass) == datetime(2024, 10, 27, 2, 30)
    assert zone.last_wall(second_pass) == datetime(2024, 10, 27, 2, 59, 59)
    assert zone.first_wall(datetime(2024, 3, 31, 1, tzinfo=UTC)) == datetime(2024, 3, 31, 2)
