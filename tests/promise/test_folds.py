"""Where the clock is set back or forth between runs and within them, and where its zone turns out
to be another: no session that the API files is lost, in any host.

A world: sessions happen at instants and are filed under what the clock shows then. A run is at an
instant, and finds what has happened by then. It may be cut short; start and end may be moved.
"""

from __future__ import annotations

import io
import logging
import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from conftest import Tally, examples
from hosts import AND_DLT, Host
from hypothesis import given
from hypothesis import strategies as st
from oracle import FORMAT

from sandbox import Faults, Sandbox, make_sessions

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
CHANGES = {
    "Europe/Berlin": ["2024-10-27T01:00", "2024-03-31T01:00"],
    "America/New_York": ["2024-11-03T06:00", "2024-03-10T07:00"],
    "America/Santiago": ["2024-04-07T03:00", "2024-09-08T04:00"],  # the southern hemisphere
    "Australia/Lord_Howe": ["2024-04-06T15:00", "2024-10-05T15:30"],  # half an hour
    "Antarctica/Troll": ["2024-10-27T01:00", "2024-03-31T01:00"],  # two hours
    "Pacific/Apia": ["2011-12-30T10:00"],  # a day skipped
}
"""Zone -> instants at which its clock is set: folds before gaps."""
places = st.sampled_from([(zone, at) for zone, all_ in CHANGES.items() for at in all_])
EXAMPLES = int(os.environ.get("FOLDS_EXAMPLES", examples(15)))
[BASE] = make_sessions(1, seed=2)
BASE = {**BASE, "hits": [], "communications": []}


@dataclass
class Run:
    """A run.

    Attributes:
        at: Minutes from the change at which it is; what happens later it cannot find.
        cut: How much of its output arrives; 1: all.
        start: Minutes by which start_date lies before or after where it first lay.
    """

    at: int
    cut: float
    start: int


runs = st.builds(
    lambda ats, cuts, starts: [Run(*one) for one in zip(sorted(ats), cuts, starts, strict=True)],
    # One before the change, which is where an hour is that comes again; the others anywhere.
    st.tuples(st.integers(-119, -1), st.integers(-119, 240), st.integers(-60, 240)),
    st.tuples(*[st.sampled_from([1.0, 1.0, 0.3, 0.6, 0.9])] * 3),
    st.tuples(*[st.sampled_from([0, 0, 0, -60, -7, 60])] * 3),
)


@dataclass
class World:
    sandbox: Sandbox
    host: Host
    held: set[int] = field(default_factory=set)
    state: Any = None

    def read(self, config: dict[str, Any], cut: float = 1.0) -> set[int]:
        out = io.StringIO()
        with patch.object(sys, "stdout", out):
            self.host.sync(config, self.state)
        lines = out.getvalue().splitlines(keepends=True)
        kept = lines[: round(len(lines) * cut)]
        pending: set[int] = set()
        for kind, value in self.host.heard(kept):
            if kind == "RECORD":
                pending.add(value["id"])
            else:
                self.held |= pending
                pending, self.state = set(), value
        every = [value["id"] for kind, value in self.host.heard(lines) if kind == "RECORD"]
        assert len(every) == len(set(every)), "an id twice in one run"
        return set(every)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        yield stack.enter_context(Sandbox(sessions=0).running())
    logging.disable(logging.NOTSET)


def instant(text: str, minutes: float) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) + minutes * MINUTE


def filed(id_: int, at: datetime, zone: str) -> dict[str, Any]:
    return {**BASE, "id": id_, "date_time": at.astimezone(ZoneInfo(zone)).strftime(FORMAT)}


def config_at(sandbox: Sandbox, start: datetime, end: datetime, **more: Any) -> dict[str, Any]:
    texts = [f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (start, end)]
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "start_date": texts[0],
        "end_date": texts[1],
        "concurrency": 1,
        **more,
    }


@AND_DLT
def test_around_a_change_of_the_clock_three_runs_bring_all(
    host: Host, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    host.without_signals(monkeypatch)
    counted = 0

    @host.search(EXAMPLES)
    @given(
        place=places,
        # Many: hypothesis draws few by itself, and one in the wrong minute is enough.
        sessions=st.builds(
            lambda seed: random.Random(seed).choices(range(-120, 241), k=24), st.integers(0, 2**16)
        ),
        runs=runs,
        look_back=st.sampled_from(["PT0S", "PT10M", "PT30M", "PT90M", "PT2H"]),
        page_size=st.sampled_from([8, 10_000]),
    )
    def check(
        place: tuple[str, str], sessions: list[int], runs: list[Run], look_back: str, page_size: int
    ) -> None:
        nonlocal counted
        zone, change = place
        first = instant(change, -180)
        world = World(sandbox, host)
        every = {number: instant(change, at) for number, at in enumerate(sessions, 1)}
        for run in [*runs, Run(300, 1.0, 0)]:
            now = instant(change, run.at)
            rows = [filed(id_, at, zone) for id_, at in every.items() if at <= now]
            sandbox.hold(rows, timezone=zone, faults=Faults())
            start = first + run.start * MINUTE
            more = {"lookback_window": look_back, "page_size": page_size}
            world.read(config_at(sandbox, start, now, **more), run.cut)
        assert world.held >= every.keys(), {
            id_: str(every[id_]) for id_ in every if id_ not in world.held
        }
        counted += 1

    check()
    fault = f"the clock is set between runs and within them, the look-back short ({host.name})"
    tally("Time", fault, injected=counted)


ZONES = ["Europe/Moscow", "Asia/Omsk", "America/New_York", "Europe/Berlin"]


@AND_DLT
def test_a_zone_that_is_corrected_loses_nothing_and_reads_nothing_twice(
    host: Host, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the API files, by its own wall clock, comes once, as it was filed."""
    host.without_signals(monkeypatch)
    start = datetime(2024, 5, 10)
    walls = {number: start + number * 11 * MINUTE for number in range(1, 200)}

    def world(by_setting: bool, zones: list[str]) -> tuple[World, list[set[int]]]:
        one, read = World(sandbox, host), []
        for number, zone in enumerate(zones, 1):
            until = start + number * 9 * 60 * MINUTE
            rows = [
                {**BASE, "id": id_, "date_time": wall.strftime(FORMAT)}
                for id_, wall in walls.items()
                if wall < until
            ]
            sandbox.hold(rows, timezone="Asia/Tokyo" if by_setting else zone, faults=Faults())
            config = {
                "api_url": sandbox.url,
                "access_token": sandbox.token,
                "start_date": str(start.date()),
                "end_date": f"{until - MINUTE:%Y-%m-%dT%H:%M:%S}",
                "lookback_window": "PT0S",
                "timezone": zone if by_setting else None,
            }
            read.append(one.read(config))
        return one, read

    for zones in (
        ZONES[:2],
        ZONES[1::-1],
        ZONES[:3],
        ["Europe/Berlin", "Asia/Omsk", "Europe/Berlin"],
    ):
        one, read = world(True, zones)
        all_ = {id_ for id_, wall in walls.items() if wall < start + len(zones) * 9 * 60 * MINUTE}
        assert one.held == all_, zones
        assert sum(map(len, read)) == len(all_), zones
        loaded = host.progress(one.state).get("loaded_under", [])
        assert [name for name, _ in loaded] == sorted(set(zones[:-1]) - {zones[-1]})
    # The API's own change: what has been read stays as it is.
    one, _ = world(False, ["Europe/Moscow", "Europe/Moscow"])
    progress = host.progress(one.state)
    assert (progress["timezone"], progress["timezone_by"]) == ("Europe/Moscow", "api")
    moved, _ = world(False, ["Europe/Moscow", "Asia/Omsk"])
    assert host.progress(moved.state)["timezone"] == "Asia/Omsk"
    assert "loaded_under" not in host.progress(moved.state)
