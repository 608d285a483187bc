"""Date arithmetic of windows."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.sessions.windows import (
    Density,
    PageCap,
    Region,
    Window,
    furthest_end,
    split,
)

walls = st.datetimes(datetime(2015, 1, 1), datetime(2034, 12, 31)).map(
    lambda at: at.replace(microsecond=0)
)


def test_the_furthest_end_is_three_calendar_months_from_each_day_of_the_year() -> None:
    for year in (2023, 2024):
        day = datetime(year, 1, 1, 13, 14, 15)
        while day.year == year:
            end = furthest_end(day)
            assert end.time() == day.time()
            assert (end.year * 12 + end.month) - (day.year * 12 + day.month) == 3
            last_of_month = (date(end.year, end.month, 28) + timedelta(days=4)).replace(day=1)
            last_day = (last_of_month - timedelta(days=1)).day
            assert end.day == min(day.day, last_day)
            day += timedelta(days=1)


@given(start=walls, length=st.integers(1, 900 * 86_400), page=st.integers(1, 10_000))
def test_unknown_regions_are_cut_into_touching_windows_of_three_months(
    start: datetime, length: int, page: int
) -> None:
    end = start + timedelta(seconds=length)
    region, at = Region(start, end), start
    while region:
        window = region.cut(page)
        assert window.start == at < window.end <= furthest_end(window.start)
        at = window.end
    assert at == end


@given(
    start=walls,
    length=st.integers(2, 90 * 86_400),
    hits=st.lists(st.floats(0, 1), max_size=50),
    excess=st.integers(1, 10_000),
    page=st.integers(1, 100),
)
def test_a_split_makes_headway_and_leaves_nothing_out(
    start: datetime, length: int, hits: list[float], excess: int, page: int
) -> None:
    window = Window(start, start + timedelta(seconds=length))
    times = [start + timedelta(seconds=int(hit * length)) for hit in hits]
    region = split(window, max(len(hits), page) + excess, times, page)
    at, cuts = start, 0
    while region and cuts < 50:
        part = region.cut(page)
        assert part.start == at < part.end <= window.end
        assert (part.end - part.start) < (window.end - window.start)
        at, cuts = part.end, cuts + 1
    assert region or at == window.end


@given(walls, st.lists(st.integers(0, 86_399), min_size=1, max_size=200))
def test_expected_counts_add_up_to_the_total(start: datetime, seconds: list[int]) -> None:
    window = Window(start, start + timedelta(days=1))
    density = Density(window, len(seconds) * 3, [start + timedelta(seconds=s) for s in seconds])
    noon = start + timedelta(hours=12)
    both = density.expected(start, noon) + density.expected(noon, window.end)
    assert both == pytest.approx(density.expected(start, window.end))
    assert both == pytest.approx(len(seconds) * 3)


def test_a_firm_cap_is_learnt_and_kept() -> None:
    cap = PageCap(10_000)
    for _ in range(3):
        cap.observe(10_000, 3000, 50_000)
        assert cap.rows == 3000
        cap.observe(10_000, 2500, 2500)
    assert cap.rows == 3000


def test_a_mood_is_forgotten() -> None:
    cap = PageCap(10_000)
    cap.observe(10_000, 100, 50_000)
    assert cap.rows == 100
    for _ in range(10):
        cap.observe(10_000, cap.rows, cap.rows)
    assert cap.rows == 10_000
