"""A recheck costs what is promised, and finds what a count shows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.accounts.account import Customer
from tap_visitor_sessions.sessions.bookmarks import Bookmarks, Reading, StreamState
from tap_visitor_sessions.sessions.days import Calendar, Counted, Sum, Walls
from tap_visitor_sessions.sessions.recheck import PAGES, Recheck
from tap_visitor_sessions.sessions.windows import Window
from tap_visitor_sessions.sessions.zones import SECOND, Timezone

ZONE = Timezone("Europe/Moscow", "setting")
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
START = datetime(2026, 8, 1)


class Api:
    """Counts sessions filed under wall-clock seconds, and its requests."""

    def __init__(self, walls: list[datetime], *, till_inside: bool) -> None:
        self.walls, self.till_inside = walls, till_inside
        self.asked = 0

    def count(self, window: Window) -> tuple[int, datetime | None]:
        self.asked += 1
        assert window.end - window.start <= timedelta(days=89)
        last = window.end + (SECOND if self.till_inside else 0 * SECOND)
        found = [wall for wall in self.walls if window.start <= wall < last]
        return len(found), found[-1] if found else None


def reading() -> Reading:
    end = datetime(2026, 11, 26, 15)
    return Reading(Bookmarks(), START, end, ZONE.zone, NOW, DAY)


def remembered(recheck: Recheck, walls: list[datetime]) -> None:
    """All days have been read, as of these sessions; then the last of them again."""
    one = reading()
    recheck.opened(None, ZONE, one)
    read(recheck, walls, [(START, one.end)])
    recheck.end()


def read(recheck: Recheck, walls: list[datetime], stretches: Sequence[Walls]) -> None:
    """Days have been read, as of these sessions."""
    for cell in recheck._accounts[None].calendar.cells(stretches):
        its = [wall for wall in walls if cell.start <= wall < cell.end]
        last = sum(wall == cell.end - SECOND for wall in its)
        recheck.note(None, Counted(cell, Sum(len(its), last), NOW))


def begun(walls: list[datetime]) -> tuple[Settings, StreamState, Recheck]:
    """A run with a recheck of 88 days, all of which were read, as of these sessions."""
    state = StreamState({}, is_partner=False, account=None)
    config = {"access_token": "x", "start_date": "2026-08-01", "recheck_window": "P88D"}
    chosen = Settings.from_config(config)
    remembered(Recheck(chosen, state, None), walls)
    recheck = Recheck(chosen, state, None)
    recheck.opened(None, ZONE, reading())
    return chosen, state, recheck


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.integers(0, 115 * 86_400), max_size=80),
    st.lists(st.tuples(st.integers(24, 112), st.sampled_from([0, 43_200, 86_399])), max_size=4),
    st.integers(0, 5),
    st.integers(0, 2),
    st.booleans(),
)
def test_days_that_differ_are_found_within_the_points_promised(
    seconds: list[int], late: list[tuple[int, int]], gone: int, at_last: int, till_inside: bool
) -> None:
    first, last = datetime(2026, 8, 30), datetime(2026, 11, 25)  # the days of the window
    walls = [START + number * SECOND for number in seconds] + [last - SECOND] * at_last
    _, _, recheck = begun(walls)
    read(recheck, walls, [(last, reading().end)])
    now = walls[gone:] + [START + number * DAY + more * SECOND for number, more in late]
    api = Api(now, till_inside=till_inside)
    found = list(recheck.stretches(None, api.count, lambda _: {}, lambda: False))
    assert len(found) <= 1
    stretches = found[0] if found else []

    were, are = (Counter(w.date() for w in some if first <= w < last) for some in (walls, now))
    differ = {day for day in were | are if were[day] != are[day]}
    again = {a.date() + number * DAY for a, b in stretches for number in range((b - a).days)}
    assert api.asked <= 1 + 2 * max(len(again), 1) * math.log2(88)
    if not differ:
        # Whether sessions of the last second have been counted is asked, and then all once more.
        assert api.asked <= (3 if any(last - SECOND == w for w in walls) else 1)
        # Where no other sessions are, nothing tells.
        assert not stretches or not any(first <= w < last - SECOND for w in now)
    # A first session of the very last second is seen a day later, where date_till is not counted
    # in.
    ends = sum(w == last - SECOND for w in now) if not till_inside else 0
    if len(differ) == 1 and (not ends or any(w == last - SECOND for w in walls)):
        assert differ <= again


def test_where_few_points_are_left_each_day_is_read_as_soon_as_it_is_found() -> None:
    walls = [START + number * DAY for number in range(88)]
    chosen, state, recheck = begun(walls)
    late = [START + number * DAY + SECOND for number in (40, 50, 60, 70)]
    api = Api(sorted([*walls, *late]), till_inside=True)
    asked = []
    for stretches in recheck.stretches(None, api.count, lambda _: {}, lambda: True):
        asked.append(api.asked)
        read(recheck, api.walls, stretches)
        if len(asked) == 2:
            break  # the points are used up
    assert asked[0] <= 10
    recheck.end()
    again = Recheck(chosen, state, None)
    again.opened(None, ZONE, reading())
    found = list(again.stretches(None, api.count, lambda _: {}, lambda: False))
    assert sum(len(some) for some in found) <= 3  # the last one is new each day


@pytest.mark.parametrize("depth", ["count", "ids"])
def test_of_2000_customers_90_days_take_less_than_3_mb_of_state(depth: str) -> None:
    state = StreamState({}, is_partner=True, account=None)
    config = {
        "access_token": "x",
        "start_date": "2026-08-01",
        "account_type": "partner",
        "timezone": "Europe/Moscow",
        "recheck_window": "P90D",
        "recheck_depth": depth,
    }
    recheck = Recheck(Settings.from_config(config), state, None)
    cells = list(Calendar(ZONE.zone).cells([(datetime(2026, 8, 28), datetime(2026, 11, 26))]))
    for number in range(1, 201):  # a tenth of them
        user = User(
            100_000 + number, Customer(200_000 + number, "", "active", 100_000 + number, (), None)
        )
        one = reading()
        one.bookmarks = Bookmarks(
            NOW, ((NOW - 90 * DAY, NOW),), "2026-11-26T12:00:00.000001Z", timezone=ZONE
        )
        state.keep(user, one.bookmarks)
        recheck.opened(user, ZONE, one)
        for cell in cells:
            digest = (number * 7919 * cell.date.toordinal()) ** 5 % 2**64
            recheck.note(user, Counted(cell, Sum(400 + number % 90, 0, digest), NOW))
        recheck.completed(user)
    small = len(json.dumps(state.progress))
    recheck.end()
    size = len(json.dumps(state.progress))
    assert size * 10 < 3_000_000
    assert small < size * 0.8  # while the run goes on STATE is written without


class PointsAreUsedUp(Exception):
    pass


def test_where_the_points_end_before_all_ids_are_compared_the_next_run_begins_there() -> None:
    """With points for ten pages a day each day of the window has its turn, and what differs is read
    before others are asked for."""
    state = StreamState({}, is_partner=False, account=None)
    config = {"access_token": "x", "start_date": "2026-08-01", "recheck_window": "P88D"}
    more = {"recheck_depth": "ids", "page_size": 3}
    chosen = Settings.from_config({**config, **more})
    walls = [START + number * DAY // 4 for number in range(4 * 115)]
    remembered(Recheck(chosen, state, None), walls)
    looked_at: set[datetime] = set()
    for day in range(13):
        recheck, one = Recheck(chosen, state, None), reading()
        one.now += day * DAY
        recheck.opened(None, ZONE, one)
        asked: list[Sequence[Walls]] = []

        def sums(some: Sequence[Walls], asked: list[Sequence[Walls]] = asked) -> dict[date, Sum]:
            if asked:
                raise PointsAreUsedUp
            asked.append(some)
            return {}  # all of them are gone

        found = recheck.stretches(None, lambda _: (0, None), sums, lambda: False)
        assert next(found)
        with pytest.raises(PointsAreUsedUp):
            next(found)
        [its] = asked
        assert sum(start <= wall < end for wall in walls for start, end in its) <= PAGES * 3
        looked_at |= {a + number * DAY for a, b in its for number in range((b - a).days)}
        recheck.end()
        state = StreamState(json.loads(json.dumps(state.progress)), is_partner=False, account=None)
    assert looked_at >= {START + number * DAY for number in range(29, 115)}
