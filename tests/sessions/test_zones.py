"""Wall clock to UTC: monotone, invertible where it matters, in every zone."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Tally
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


@settings(max_examples=400, deadline=None)
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


def test_a_repeated_hour_is_read_as_the_first_and_a_gap_as_the_change() -> None:
    zone = Zone(zoneinfo.ZoneInfo("Europe/Berlin"))
    assert zone.to_utc(datetime(2024, 10, 27, 2, 30)) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert zone.to_utc(datetime(2024, 10, 27, 3)) == datetime(2024, 10, 27, 2, tzinfo=UTC)
    assert zone.to_utc(datetime(2024, 3, 31, 2, 30)) == datetime(2024, 3, 31, 1, tzinfo=UTC)
    second_pass = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    assert zone.first_wall(second_pass) == datetime(2024, 10, 27, 2, 30)
    assert zone.last_wall(second_pass) == datetime(2024, 10, 27, 2, 59, 59)
    assert zone.first_wall(datetime(2024, 3, 31, 1, tzinfo=UTC)) == datetime(2024, 3, 31, 2)
