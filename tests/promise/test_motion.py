"""Data that moves while a window is read, by offset above all."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from conftest import Tally, examples
from fake_api import SCHEMA, START, FakeApi, read, read_span, rows_at
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import CountMismatch
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.windows import reader as reader_module
from tap_visitor_sessions.sessions.windows.reader import Query
from tap_visitor_sessions.sessions.zones import UTC, Zone

SECOND = 500  # the full one, after the start of the span


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FIRST_PAUSE", 0.0)


def insert(api: FakeApi, place: int) -> None:
    [new] = rows_at([SECOND])
    api.rows.append({**new, "id": 10_000 + len(api.requests), "visitor_id": place * 3000})


def delete(api: FakeApi, place: int) -> None:
    if api.rows:
        api.rows.pop(place % len(api.rows))


def change(api: FakeApi, place: int) -> None:
    row = api.rows[place % len(api.rows)]
    row["visitor_id"] = place * 3000  # sorted elsewhere from now on


def swap(api: FakeApi, place: int) -> None:
    """One goes as another comes: the count stays the same while rows change pages."""
    delete(api, place)
    insert(api, place)


@pytest.mark.parametrize("move", [insert, delete, change, swap])
def test_rows_that_move_between_pages_hide_none_that_stays(
    move: Callable[[FakeApi, int], None], tally: Tally
) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=examples(200), deadline=None)
    @given(
        size=st.integers(8, 40),
        page_size=st.integers(3, 9),
        moves=st.lists(st.tuples(st.integers(2, 20), st.integers(0, 50)), min_size=1, max_size=4),
        moody=st.booleans(),
        seed=st.integers(0, 20),
    )
    def holds(
        size: int, page_size: int, moves: list[tuple[int, int]], moody: bool, seed: int
    ) -> None:
        api = FakeApi(rows_at([SECOND] * size, seed), seed=seed, moody=moody)
        at_start = {row["id"] for row in api.rows}

        def before(api: FakeApi) -> None:
            for request, place in moves:
                if len(api.requests) == request:
                    move(api, place)
                    seen["injected"] += 1

        api.before = before
        try:
            got = [id_ for _, id_ in read(api, timedelta(minutes=10), page_size=page_size)]
        except CountMismatch:
            return
        assert len(got) == len(set(got))
        lost = (at_start & {row["id"] for row in api.rows}) - set(got)
        assert not lost, lost

    holds()
    what = {
        insert: "rows inserted",
        delete: "rows deleted",
        change: "rows changed so that they sort elsewhere",
        swap: "a row deleted as another is inserted, so that the count stands still",
    }[move]
    tally("Data in motion", f"{what} during a read by offset", injected=seen["injected"])


@pytest.mark.parametrize("restless", ["growing", "flickering", "wrong by one"])
def test_a_count_that_never_settles_is_an_error_and_no_loop(restless: str, tally: Tally) -> None:
    api = FakeApi(rows_at([1] * 50))
    source = random.Random(1)

    def before(api: FakeApi) -> None:
        if restless == "growing" or (restless == "flickering" and source.random() < 0.5):
            api.rows.append({**api.rows[0], "id": 10_000 + len(api.requests)})
        elif restless == "flickering":
            api.rows.pop()

    api.before = before
    if restless == "wrong by one":
        honest = api.call

        def call(method: str, params: dict[str, object]) -> object:
            answer = honest(method, params)
            answer.total_items = (answer.total_items or 0) + 1
            return answer

        api.call = call  # type: ignore[method-assign, assignment]
    told = "off by the same number" if restless == "wrong by one" else "did not add up"
    with pytest.raises(CountMismatch, match=told):
        read(api, timedelta(minutes=1), page_size=7)
    assert len(api.requests) < 1500
    tally(
        "Data in motion",
        f"a count that never settles ({restless})",
        injected=len(api.requests),
        ends="error",
    )


def test_memory_is_bounded_by_the_windows_in_flight(tally: Tally) -> None:
    """A target that stops reading stops the requests."""
    api = FakeApi(rows_at(list(range(0, 86_400, 60))))
    concurrency, page = 4, 40
    spans = read_lazily(api, concurrency, page)
    longest = 0
    for number in range(1, 6):
        taken = next(spans)
        longest = max(longest, len(taken))
        while True:  # until no thread asks any more
            settled = len(api.requests)
            time.sleep(0.05)
            if settled == len(api.requests):
                break
        assert len(api.requests) <= 2 * concurrency * number
    assert longest <= page
    tally("Data in motion", "a target that is slower than the API", injected=5)


def read_lazily(api: FakeApi, concurrency: int, page: int) -> Iterator[list[Record]]:
    query = Query(list(SCHEMA["properties"]), page)
    end = START + timedelta(days=1)
    return read_span(api, Decoder(SCHEMA, Zone(UTC)), query, START, end, concurrency)
