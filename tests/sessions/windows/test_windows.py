"""Date arithmetic of windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_visitor_sessions.sessions.windows.windows import (
    SECOND,
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


def test_the_furthest_end_is_within_three_months_and_within_ninety_days_from_any_day() -> None:
    for year in (2023, 2024):
        day = datetime(year, 1, 1, 13, 14, 15)
        while day.year == year:
            end = furthest_end(day)
            assert end - day == timedelta(days=89)
            assert end <= pendulum.instance(day).add(months=3).naive()
            day += timedelta(days=1)
    assert furthest_end(datetime(9999, 12, 1)) == datetime(9999, 12, 31, 23, 59, 59)


def test_a_span_that_is_refused_is_halved_down_to_a_day() -> None:
    cap, lengths = PageCap(10), []
    length = timedelta(days=89)
    while cap.too_long(Window(datetime(2024, 1, 1), datetime(2024, 1, 1) + length)):
        length = cap.longest
        lengths.append(length.days)
        assert Region(datetime(2024, 1, 1), datetime(2025, 1, 1)).cut(10, length) == Window(
            datetime(2024, 1, 1), datetime(2024, 1, 1) + length
        )
    assert lengths == [44, 22, 11, 5, 2, 1]


@given(start=walls, length=st.integers(1, 900 * 86_400), page=st.integers(1, 10_000))
def test_unknown_regions_are_cut_into_touching_windows_of_the_longest_span(
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


def window_of(seconds: int) -> Window:
    start = datetime(2024, 5, 1)
    return Window(start, start + timedelta(seconds=seconds))


def at(window: Window, seconds: Iterable[float]) -> list[datetime]:
    return [window.start + timedelta(seconds=second) for second in seconds]


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_without_a_sample_sessions_are_taken_to_come_evenly(length: int, total: int) -> None:
    density = Density(window_of(length), total, [])
    start = datetime(2024, 5, 1)
    for part in (1, length // 2, length):
        assert density.expected(start, start + timedelta(seconds=part)) == pytest.approx(
            total * part / length
        )


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize(
    ("hits", "total", "is_sample"),
    [
        (6, 100, False),  # one end of the window, and no sample of it
        (5, 100, True),  # a handful is in order by chance
        (6, 6, True),  # all there is
        (7, 6, True),
    ],
)
def test_sessions_in_order_of_time_are_no_sample(
    step: int, hits: int, total: int, is_sample: bool
) -> None:
    window = window_of(1000)
    density = Density(window, total, at(window, list(range(hits))[::step]))
    in_first_half = density.expected(window.start, window.start + timedelta(seconds=500))
    assert in_first_half == pytest.approx(total * (0.99 if is_sample else 0.5))


def test_one_time_repeated_and_times_in_no_order_are_a_sample() -> None:
    window = window_of(1000)
    half = window.start + timedelta(seconds=500)
    for seconds in ([7] * 20, [1, 3, 2, 5, 4, 7, 6]):
        density = Density(window, 100, at(window, seconds))
        assert density.expected(window.start, half) == pytest.approx(99)


@pytest.mark.parametrize(
    ("hits", "total", "page", "target"),
    [
        (1000, 1000, 1000, 980),  # known to the last one: full, but for a little
        (1500, 1000, 1000, 980),  # rows that came meanwhile
        (1000, 4000, 1000, 1000 * (0.99 - 2 * math.sqrt(0.75 / 250))),
        (48, 1000, 1000, 1000 * (0.99 - 2 * math.sqrt(0.952 / 48))),  # enough to cut finely
        (47, 1000, 1000, 10_000),  # too few: coarsely, for a sample of each part
        (1, 800, 800, 6400),
        (1, 799, 799, 799 / 2),  # a part would not be worth a sample of its own
        (0, 100, 100, 50),
        (10, 400, 400, 200),
    ],
)
def test_the_less_a_sample_says_the_further_a_window_stays_below_a_page(
    hits: int, total: int, page: int, target: float
) -> None:
    window = window_of(5000)
    density = Density(window, total, at(window, [n * 37 % 4999 for n in range(hits)]))
    assert density.target(page) == pytest.approx(target)


@given(st.integers(0, 300), st.integers(1, 3000), st.integers(1, 799))
def test_a_window_is_aimed_at_half_a_page_at_least_and_never_a_whole_one(
    hits: int, total: int, page: int
) -> None:
    window = window_of(5000)
    density = Density(window, total, at(window, range(hits)))
    assert page / 2 <= density.target(page) <= 0.98 * page


def learnt(*counts: float, total: int = 1000) -> float:
    """What is expected of a window of `total` after windows that held so many."""
    window = window_of(1000)
    density = Density(window, total, [])
    for count in counts:
        density.learn(window, int(count))
    return density.expected(window.start, window.end)


def test_a_window_that_held_far_fewer_than_expected_lowers_the_level() -> None:
    assert learnt(100) == pytest.approx(150)  # not quite so low: it may be a quiet one
    assert learnt(499) == pytest.approx(748.5)
    assert learnt(0) == pytest.approx(100)  # nor lower than a tenth at a time
    assert learnt(*[0] * 3) == pytest.approx(1)
    assert learnt(*[0] * 9, total=10**9) == pytest.approx(10**9 * 1e-4)  # nor for good


def test_a_window_that_held_about_what_was_expected_leaves_the_level() -> None:
    assert learnt(500) == learnt(1000) == learnt(5000) == 1000
    assert learnt(100, 76) == learnt(100, 150) == learnt(100)


def test_a_window_that_held_more_than_a_lowered_level_raises_it_again() -> None:
    assert learnt(100, 151) == pytest.approx(151)
    assert learnt(100, 300) == pytest.approx(300)
    assert learnt(100, 300, 600) == pytest.approx(600)
    assert learnt(100, 9000) == 1000


def test_a_window_in_which_nothing_was_expected_says_nothing() -> None:
    assert learnt(0, total=1) == pytest.approx(0.1)
    assert learnt(0, 0, total=1) == pytest.approx(0.1)
    assert learnt(0, 0, total=10) == pytest.approx(0.1)


@given(
    length=st.integers(1, 3000),
    seconds=st.lists(st.integers(0, 2999), max_size=60),
    excess=st.integers(0, 1000),
    page=st.integers(1, 100),
)
def test_a_window_reaches_as_far_as_its_rows_are_expected_to_fit(
    length: int, seconds: list[int], excess: int, page: int
) -> None:
    window = window_of(length)
    times = at(window, [second for second in seconds if second < length])
    density = Density(window, max(len(times) + excess, 1), times)
    target = density.target(page)
    end = Region(window.start, window.end, density).cut(page).end
    assert window.start < end <= window.end
    assert density.expected(window.start, end) <= target or end == window.start + SECOND
    assert end == window.end or density.expected(window.start, end + SECOND) > target


def test_a_window_that_is_expected_to_hold_just_the_target_fits() -> None:
    window = window_of(100)
    density = Density(window, 100, [])
    assert density.target(100) == 50
    assert Region(window.start, window.end, density).cut(100) == window_of(50)


def parts(region: Region, page: int) -> list[int]:
    """The lengths of the windows cut from a region."""
    found = []
    while region:
        window = region.cut(page)
        found.append(int((window.end - window.start).total_seconds()))
    return found


def test_a_split_cuts_where_the_sample_says() -> None:
    window = window_of(1000)
    seconds = [*range(0, 10), *range(500, 1000, 5)]
    times = at(window, [seconds[n * 37 % len(seconds)] for n in range(len(seconds))])
    region = split(window, 2 * len(times), times, 100)
    assert (region.start, region.end) == (window.start, window.end)
    assert parts(region, 100) == parts(
        Region(window.start, window.end, Density(window, 2 * len(times), times)), 100
    )
    first = split(window, 2 * len(times), times, 100).cut(100).end - window.start
    assert timedelta(seconds=500) < first < timedelta(seconds=900)


@given(
    length=st.integers(2, 10**6),
    sample=st.lists(st.floats(0, 0.99), max_size=47),
    page=st.integers(1000, 10_000),
)
def test_a_window_that_should_have_fit_is_halved(
    length: int, sample: list[float], page: int
) -> None:
    """A sample too small to cut finely asks for coarse parts, and the window is one already."""
    window = window_of(length)
    times = at(window, [int(hit * length) for hit in sample])
    region = split(window, page + len(times) + 1, times, page)
    assert (region.start, region.end) == (window.start, window.end)
    assert parts(region, page) == [length // 2, length - length // 2]


@given(st.integers(2, 10**6), st.integers(2, 90), st.integers(1, 60))
def test_where_all_lies_at_the_end_that_is_counted_in_the_last_second_is_cut_off(
    length: int, total: int, page: int
) -> None:
    window = window_of(length)
    for beyond in (0, 1):
        region = split(window, total, at(window, [length + beyond] * total), page)
        assert (region.start, region.end) == (window.start, window.end)
        if total * 0.02 <= page / 2:
            assert parts(region, page) == [length - 1, 1]


def test_a_full_page_of_an_unknown_cap_is_asked_for() -> None:
    assert PageCap(10_000).rows == 10_000


def test_an_empty_page_says_nothing_of_the_cap() -> None:
    cap = PageCap(10_000)
    cap.observe(10_000, 0, 50_000)
    assert cap.rows == 10_000
    cap.observe(10_000, 1, 50_000)
    assert cap.rows == 1


def test_a_firm_cap_is_not_tested_by_a_page_that_just_fills_it() -> None:
    cap = PageCap(10_000)
    for _ in range(2):
        cap.observe(10_000, 300, 50_000)
    cap.observe(300, 300, 50_000)
    assert cap.rows == 300
    cap.observe(10_000, 301, 301)
    assert cap.rows == 602


@pytest.mark.parametrize(("got", "rows"), [(10, 100), (40, 100), (50, 100), (51, 200), (90, 200)])
def test_a_mood_is_tested_upwards_by_a_page_that_nearly_fills_it(got: int, rows: int) -> None:
    cap = PageCap(10_000)
    cap.observe(10_000, 100, 50_000)
    cap.observe(10_000, got, got)
    assert cap.rows == rows


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
