"""Complete, once, in order, within bounds: whatever the data and the API's moods."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import Tally, examples
from fake_api import FORMAT, SCHEMA, START, FakeApi, read, read_span, rows_at
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import CountMismatch, SecondTooFull
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.windows import reader as reader_module
from tap_visitor_sessions.sessions.windows.reader import Query
from tap_visitor_sessions.sessions.zones import Zone


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(reader_module, "LONGEST_PAUSE", 0.0)


def expected(api: FakeApi, length: timedelta) -> list[tuple[datetime, int]]:
    end = (START + length).strftime(FORMAT)
    return sorted(
        (datetime.strptime(r["date_time"], FORMAT).replace(tzinfo=timezone.utc), r["id"])
        for r in api.rows
        if START.strftime(FORMAT) <= r["date_time"] < end
    )


seconds_lists = st.one_of(
    st.lists(st.integers(0, 200), max_size=150),
    st.lists(st.integers(0, 400 * 86_400), max_size=150),
    st.builds(lambda s, n: [s] * n, st.integers(0, 1000), st.integers(0, 200)),
    st.builds(
        lambda s, n, rest: [s] * n + rest,
        st.integers(0, 10_000),
        st.integers(0, 120),
        st.lists(st.integers(0, 20_000), max_size=80),
    ),
)


def test_complete_once_in_order() -> None:
    injected: Counter[str] = Counter()

    @settings(max_examples=examples(250), deadline=None)
    @given(
        seconds=seconds_lists,
        inclusive=st.booleans(),
        page_size=st.integers(1, 60),
        page_cap=st.sampled_from([1, 3, 17, 10_000]),
        moody=st.booleans(),
        reshuffle=st.booleans(),
        concurrency=st.integers(1, 4),
        days=st.integers(1, 400),
        seed=st.integers(0, 5),
    )
    def holds(
        seconds: list[int],
        inclusive: bool,
        page_size: int,
        page_cap: int,
        moody: bool,
        reshuffle: bool,
        concurrency: int,
        days: int,
        seed: int,
    ) -> None:
        api = FakeApi(
            rows_at(seconds, seed),
            seed=seed,
            inclusive=inclusive,
            page_cap=page_cap,
            moody=moody,
            reshuffle=reshuffle,
        )
        length = timedelta(days=days)
        got = read(api, length, page_size=page_size, concurrency=concurrency)
        assert got == expected(api, length)
        injected.update(api.injected)

    holds()
    assert all(injected[way] for way in ("exclusive", "page_cap", "moody", "reshuffle")), injected


def steady(count: int, days: int, source: random.Random) -> list[int]:
    return [source.randrange(days * 86_400) for _ in range(count)]


def bursty(count: int, days: int, source: random.Random) -> list[int]:
    """Nine tenths of the sessions in one per cent of the hours."""
    hours = [source.randrange(days * 24) for _ in range(max(days * 24 // 100, 1))]
    return [
        source.choice(hours) * 3600 + source.randrange(3600)
        if source.random() < 0.9
        else source.randrange(days * 86_400)
        for _ in range(count)
    ]


def growing(count: int, days: int, source: random.Random) -> list[int]:
    return [int(math.sqrt(source.random()) * days * 86_400) for _ in range(count)]


@pytest.mark.thinned
@pytest.mark.slow
@pytest.mark.parametrize("traffic", [steady, bursty, growing])
@pytest.mark.parametrize(("count", "days"), [(30_000, 2), (30_000, 80), (12_000, 365)])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_requests_stay_near_the_least_possible(
    traffic: Any, count: int, days: int, concurrency: int
) -> None:
    """With pages of a fifth of the real ones: as many requests, and a sample that tells less."""
    page = 2000
    api = FakeApi(rows_at(traffic(count, days, random.Random(1))))
    length = timedelta(days=days)
    got = read(api, length, page_size=page, concurrency=concurrency)
    assert got == expected(api, length)
    quarters = math.ceil(days / 89)
    per_quarter = [0] * quarters
    for row in api.rows:
        at = (datetime.strptime(row["date_time"], FORMAT) - START).days
        per_quarter[min(at // 89, quarters - 1)] += 1
    least = sum(max(math.ceil(rows / page), 1) for rows in per_quarter)
    assert len(api.requests) <= 1.5 * least + 2, (len(api.requests), least)  # the promise


@pytest.mark.slow
def test_a_second_of_23_000_is_read_by_offset() -> None:
    api = FakeApi(rows_at([500] * 23_000 + list(range(1000))), reshuffle=True)
    length = timedelta(hours=1)
    assert read(api, length) == expected(api, length)


@pytest.mark.slow
@pytest.mark.parametrize("neighbours", [0, 500])
def test_a_second_of_110_500_is_an_error_that_names_it(neighbours: int) -> None:
    api = FakeApi(rows_at([500] * 110_500 + list(range(neighbours))))
    with pytest.raises(SecondTooFull, match="2024-01-31 00:08:20"):
        read(api, timedelta(hours=1))


def test_a_burst_in_one_second_is_found_in_few_requests() -> None:
    """Found by the model: a split for each second around it took 40."""
    api = FakeApi(rows_at([500] * 20))
    length = timedelta(minutes=10)
    assert read(api, length, page_size=7) == expected(api, length)
    assert len(api.requests) <= 14


@pytest.mark.parametrize("page_size", [1, 3, 10_000])
def test_sessions_filed_inside_a_gap_of_the_clock_stay_in_order(page_size: int) -> None:
    """Found by the model: several windows are read as one instant, the end of the gap."""
    source = random.Random(2)
    api = FakeApi(rows_at([source.randrange(12 * 3600) for _ in range(60)]))
    for row in api.rows:  # a day that never was
        row["date_time"] = row["date_time"].replace("2024-01-31", "2011-12-30")
    decoder = Decoder(SCHEMA, Zone(ZoneInfo("Pacific/Apia")))
    query = Query(list(SCHEMA["properties"]), page_size)
    start = datetime(2011, 12, 29, 20)
    windows = read_span(api, decoder, query, start, start + timedelta(days=2))
    order = [(record.date_time, record.id) for records in windows for record in records]
    assert len(order) == 60
    assert order == sorted(order)


@pytest.mark.slow
def test_two_full_seconds_side_by_side_are_read_where_date_till_counts() -> None:
    api = FakeApi(rows_at([500] * 60_000 + [501] * 60_000))
    length = timedelta(hours=1)
    assert read(api, length) == expected(api, length)


def test_a_row_outside_the_span_is_never_emitted() -> None:
    api = FakeApi(rows_at([10]))
    stray = {**rows_at([90_000])[0], "id": 99}
    honest = api.call

    def call(method: str, params: Any) -> Any:
        answer = honest(method, params)
        answer.data = json.dumps([*json.loads(answer.data), stray]).encode()
        answer.total_items += 1
        return answer

    api.call = call  # type: ignore[method-assign]
    with pytest.raises(CountMismatch, match="outside the span"):
        read(api, timedelta(hours=1))


def test_rows_that_come_several_times_beside_all_others_are_emitted_once() -> None:
    """The ids add up to the count, and an append-only table would have the session twice."""
    api = FakeApi(rows_at(list(range(0, 3000, 100))))
    honest = api.call

    def call(method: str, params: Any) -> Any:
        answer = honest(method, params)
        answer.data = json.dumps(json.loads(answer.data) * 3).encode()
        return answer

    api.call = call  # type: ignore[method-assign]
    length = timedelta(hours=1)
    assert read(api, length) == expected(api, length)


DUPLICATE = "one row twice in the place of another, so that the count is right"


@pytest.mark.parametrize("times", [1, 3, 1000])
def test_one_row_twice_in_the_place_of_another_is_asked_again(times: int, tally: Tally) -> None:
    """As many rows as promised, and one of them missing: only the ids show it."""
    api = FakeApi(rows_at(list(range(0, 3000, 100))))
    honest, injected = api.call, 0

    def call(method: str, params: Any) -> Any:
        nonlocal injected
        answer = honest(method, params)
        rows = json.loads(answer.data)
        if len(rows) > 1 and injected < times:
            injected += 1
            answer.data = json.dumps([rows[1], *rows[1:]]).encode()
        return answer

    api.call = call  # type: ignore[method-assign]
    length = timedelta(hours=1)
    if times == 1000:
        with pytest.raises(CountMismatch, match="total_items is 30, 29 came"):
            read(api, length)
        tally("Data in motion", f"{DUPLICATE}, for good", injected=injected, ends="error")
    else:
        assert read(api, length) == expected(api, length)
        assert injected == times
        assert len(api.requests) == times + 1
        tally("Data in motion", DUPLICATE, injected=injected)
