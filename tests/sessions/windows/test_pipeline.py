"""Many parts, windows of several in flight: whatever they hold, each comes whole and in turn."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import examples
from fake_api import FORMAT, FakeAnswer, FakeApi
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_visitor_sessions.api.errors import ApiError, TapError
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.windows.pipeline import Pipeline, Span
from tap_visitor_sessions.sessions.windows.reader import Query, Shared, WindowReader
from tap_visitor_sessions.sessions.zones import Zone

SCHEMA = {
    "properties": {
        "id": {"type": "integer"},
        "date_time": {"type": "string", "format": "date-time"},
        "visitor_id": {"type": ["integer", "null"]},
    }
}
START, DAYS = datetime(2024, 5, 1), 200
PAGE = 20


class Accounts:
    """FakeApis by user id; some of them refuse. Notes what is asked while nobody takes."""

    def __init__(self, counts: Mapping[int, int], refusing: set[int], seed: int) -> None:
        source = random.Random(seed)
        self.apis = {
            user: FakeApi(
                [
                    {
                        "id": user * 1000 + number,
                        "date_time": (
                            START + timedelta(seconds=source.randrange(DAYS * 86_400))
                        ).strftime(FORMAT),
                        "visitor_id": number,
                    }
                    for number in range(count)
                ],
                seed=seed,
            )
            for user, count in counts.items()
        }
        self.refusing = refusing
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def call(self, _method: str, params: Mapping[str, Any]) -> FakeAnswer:
        user = params["user_id"]
        with self._lock:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if user in self.refusing:
                raise ApiError("off", mnemonic="method_component_disabled")
            with self._lock:
                return self.apis[user].call("get.visitor_sessions_report", params)
        finally:
            with self._lock:
                self.at_once -= 1

    def wanted(self, user: int) -> list[int]:
        rows = self.apis[user].rows
        return [r["id"] for r in sorted(rows, key=lambda r: (r["date_time"], r["id"]))]


def ready(pipeline: Pipeline[int, list[Record]], user: int) -> Iterator[list[Record]]:
    """The sessions of the next part, window by window."""
    return (taken.ready for taken in pipeline.read(user) if taken.ready is not None)


def pipeline_of(
    accounts: Accounts,
    users: list[int],
    concurrency: int,
    idle: Callable[[], object] = lambda: None,
    is_scarce: Callable[[], bool] = lambda: False,
) -> Pipeline[int, list[Record]]:
    shared = Shared(PAGE, concurrency=concurrency)
    decoder = Decoder(SCHEMA, Zone(timezone.utc))

    def span(user: int) -> Span[list[Record]]:
        query = Query(list(SCHEMA["properties"]), PAGE, user_id=user)
        reader = WindowReader(accounts.call, decoder, query, list, shared)
        return Span(reader, [(START, START + timedelta(days=DAYS))])

    return Pipeline(users, span, concurrency, idle=idle, is_scarce=is_scarce)


@settings(max_examples=examples(80), deadline=None)
@given(
    counts=st.lists(st.one_of(st.integers(0, 5), st.integers(0, 300)), min_size=1, max_size=12),
    refusing=st.sets(st.integers(0, 11), max_size=4),
    concurrency=st.integers(1, 6),
    seed=st.integers(0, 9),
)
def test_each_part_comes_whole_in_turn_and_in_order(
    counts: list[int], refusing: set[int], concurrency: int, seed: int
) -> None:
    users = list(range(len(counts)))
    accounts = Accounts(dict(enumerate(counts)), refusing, seed)
    with closing(pipeline_of(accounts, users, concurrency)) as pipeline:
        for user in users:
            got = []
            try:
                for records in ready(pipeline, user):
                    got += [record.id for record in records]
            except TapError:
                assert user in refusing
            else:
                assert user not in refusing
            assert got == ([] if user in refusing else accounts.wanted(user))
    assert accounts.most_at_once <= concurrency


def test_where_points_are_few_nothing_is_asked_ahead_of_the_window_at_the_head() -> None:
    """Or day after day they would go to windows that the run does not come to."""
    alone, few = Accounts({1: 200, 2: 200}, set(), 0), Accounts({1: 200, 2: 200}, set(), 0)
    with closing(pipeline_of(alone, [1, 2], 1)) as pipeline:
        next(ready(pipeline, 1))
    with closing(pipeline_of(few, [1, 2], 4, is_scarce=lambda: True)) as pipeline:
        windows = ready(pipeline, 1)
        got = [record.id for record in next(windows)]
        assert few.asked <= alone.asked
        got += [record.id for records in windows for record in records]
        assert few.most_at_once == 1
    assert got == few.wanted(1)


@pytest.mark.parametrize("seconds", [0.05, 3600.0])
def test_whoever_takes_the_windows_is_told_of_a_long_wait_and_of_no_other(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.pipeline.IDLE", seconds)
    accounts = Accounts({1: 30}, set(), 0)
    is_told, call = threading.Event(), accounts.call

    def slow(method: str, params: Mapping[str, Any]) -> FakeAnswer:
        answer = call(method, params)
        if seconds < 1 and accounts.asked == 3:
            assert is_told.wait(60)  # it ends only once the wait has been told
        return answer

    def idle() -> None:
        assert threading.current_thread() is threading.main_thread()
        is_told.set()

    monkeypatch.setattr(accounts, "call", slow)
    with closing(pipeline_of(accounts, [1], 1, idle)) as pipeline:
        got = [record.id for records in ready(pipeline, 1) for record in records]
    assert got == accounts.wanted(1)
    assert is_told.is_set() == (seconds < 1)


def test_a_part_given_up_in_the_middle_leaves_the_next_ones_whole() -> None:
    accounts = Accounts({1: 300, 2: 300, 3: 5}, set(), 0)
    with closing(pipeline_of(accounts, [1, 2, 3], 4)) as pipeline:
        next(ready(pipeline, 1))
        for user in (2, 3):
            got = [record.id for records in ready(pipeline, user) for record in records]
            assert got == accounts.wanted(user)


def test_a_part_that_is_refused_is_not_asked_again_and_again() -> None:
    accounts = Accounts({1: 5, 2: 5}, {1}, 0)
    with closing(pipeline_of(accounts, [1, 2], 1)) as pipeline:
        with pytest.raises(ApiError):
            list(ready(pipeline, 1))
        assert accounts.asked <= 3  # what was in flight, not one per quarter of a long span


def test_memory_is_bounded_while_a_slow_target_takes_one_of_many() -> None:
    concurrency = 4
    accounts = Accounts(dict.fromkeys(range(200), 3), set(), 0)
    with closing(pipeline_of(accounts, list(range(200)), concurrency)) as pipeline:
        taken = ready(pipeline, 0)
        next(taken)
        settled = -1
        while settled != accounts.asked:
            settled = accounts.asked
            time.sleep(0.1)
        assert accounts.asked <= 2 * (concurrency + 1)
