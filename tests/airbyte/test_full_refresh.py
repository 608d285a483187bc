"""A full refresh: all sessions of a generation, each once, however often it is cut."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from agencies import agency, rows_of
from agencies import config_of as partner_config
from airbyte_runs import NAME, Done, full_refresh, read_here
from conftest import MakeSandbox
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ZONE, catalog_of, config_of, run_tap

from sandbox import Limits, Sandbox
from sandbox.data import make_sessions
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.sessions import output


@pytest.fixture(autouse=True)
def _a_state_after_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal at that place would have it."""
    monkeypatch.setattr(airbyte_source, "STATE_RECORDS", 1)
    monkeypatch.setattr(output, "RECORDS_PER_WRITE", 3)


def cuts(done: Done) -> list[tuple[list[int], Any]]:
    """At each STATE: the ids before it, and the state as it is handed in again."""
    found, ids = [], []
    for message in done.messages:
        if message["type"] == "RECORD":
            ids.append(message["record"]["data"]["id"])
        elif message["type"] == "STATE":
            found.append(([*ids], [message["state"]]))
    return found


def progress_of(state: Any) -> dict[str, Any]:
    progress: dict[str, Any] = state[0]["stream"]["stream_state"]
    return progress


def of_seconds(*seconds: int) -> list[dict[str, Any]]:
    """A session at each second after the start of May, in the wall clock."""
    rows = make_sessions(len(seconds), seed=len(seconds))
    for row, second in zip(rows, sorted(seconds), strict=True):
        row["date_time"] = f"{datetime(2024, 5, 1) + timedelta(seconds=second):%Y-%m-%d %H:%M:%S}"
    return rows


@pytest.mark.parametrize("generation", [None, 0])
def test_cut_at_any_state_and_resumed_all_come_once(
    generation: int | None, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(rows=of_seconds(*(n // 2 * 3600 for n in range(40)), *[90_000] * 8))
    config = config_of(sandbox, page_size=20, lookback_window="P7D")
    catalog = full_refresh(generation)
    whole = read_here(config, catalog)
    ids = [record["id"] for record in whole.records]
    assert sorted(ids) == sorted(row["id"] for row in sandbox.rows())
    places = cuts(whole)
    assert len(places) > 10
    for held, state in places[:-1]:
        assert progress_of(state)["full_refresh"] == "running"
        rest = read_here(config, catalog, state).check_once()
        assert held + [record["id"] for record in rest.records] == ids
    held, state = places[-1]
    assert progress_of(state).get("generation_id") == generation
    assert progress_of(state)["full_refresh"] == "complete"
    assert [r["id"] for r in read_here(config, catalog, state).records] == ids


@settings(max_examples=10)
@given(
    seconds=st.lists(st.integers(0, 3) | st.integers(0, 200_000), min_size=1, max_size=60),
    page_size=st.integers(1, 30),
    per_write=st.integers(1, 9),
    data=st.data(),
)
def test_sessions_of_one_second_are_never_torn_by_a_cut(
    seconds: list[int], page_size: int, per_write: int, data: st.DataObject
) -> None:
    with (
        Sandbox(rows=of_seconds(*seconds)).running() as sandbox,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(output, "RECORDS_PER_WRITE", per_write)
        config = config_of(sandbox, page_size=page_size, lookback_window="P1D")
        held: list[int] = []
        state = None
        while True:
            places = cuts(read_here(config, full_refresh(3), state))
            before_the_end = data.draw(st.integers(0, len(places) - 1))
            more, state = places[-1 - before_the_end]
            held += more
            if not before_the_end:
                break
        assert sorted(held) == sorted(row["id"] for row in sandbox.rows())


def test_of_another_generation_or_of_an_incremental_read_all_is_read(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(rows=of_seconds(*range(0, 40_000, 1000)))
    config = config_of(sandbox)
    everything = {row["id"] for row in sandbox.rows()}
    half = cuts(read_here(config, full_refresh(1)))[3][1]
    incremental = cuts(read_here(config, catalog_of()))[3][1]
    for state, generation, word in (
        (half, 2, "of generation 1, and this is 2"),
        (incremental, 2, "of an incremental read"),
        (incremental, None, "of an incremental read"),
    ):
        caplog.clear()
        done = read_here(config, full_refresh(generation), state)
        assert {record["id"] for record in done.records} == everything
        [line] = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
        assert word in line
        assert progress_of(done.state).get("generation_id") == generation
    # An older platform counts no generations: one that is under way goes on.
    assert len(read_here(config, full_refresh(None), half).records) < len(everything)


def test_a_retry_of_a_sync_whose_refresh_is_complete_reads_nothing(
    make_sandbox: MakeSandbox,
) -> None:
    """The destination failed after the source's end: it has the rows, and no key to merge by."""
    sandbox = make_sandbox(rows=of_seconds(*range(0, 40_000, 1000)))
    config = config_of(sandbox)
    catalog = full_refresh(3)
    catalog["streams"][0]["sync_id"] = 17
    first = read_here(config, catalog)
    assert len(first.records) == 40
    asked = len(sandbox.calls)
    retry = read_here(config, catalog, first.state).check_once()
    assert not retry.records
    assert len(sandbox.calls) == asked
    assert progress_of(retry.state) == progress_of(first.state)
    assert not read_here(config, catalog, retry.state).records
    for changed in ({"sync_id": 18}, {"sync_id": None}, {"generation_id": 4}):
        other = copy.deepcopy(catalog)
        other["streams"][0] |= changed
        assert len(read_here(config, other, retry.state).records) == 40


def test_an_incremental_read_goes_on_from_a_complete_one_and_not_from_a_half(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(rows=of_seconds(*range(0, 40_000, 1000)))
    config = config_of(sandbox, lookback_window="PT1S")
    places = cuts(read_here(config, full_refresh(4)))
    after = read_here(config, catalog_of(), places[-1][1])
    assert len(after.records) <= 1
    assert "full_refresh" not in progress_of(after.state)
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    anew = read_here(config, catalog_of(), places[3][1])
    assert len(anew.records) == 40
    assert "was not completed" in caplog.text
    caplog.clear()
    dropped = catalog_of()
    dropped["streams"][0] |= {"generation_id": 5, "minimum_generation_id": 5}
    assert len(read_here(config, dropped, places[-1][1]).records) == 40
    assert "whose rows the destination drops" in caplog.text
    caplog.clear()
    nameless = copy.deepcopy(
        places[-1][1]
    )  # as the tap writes it, or a platform without generations
    del progress_of(nameless)["generation_id"], progress_of(nameless)["full_refresh"]
    assert len(read_here(config, dropped, nameless).records) == 40
    assert "of no generation, whose rows the destination drops" in caplog.text


def test_a_full_refresh_from_the_taps_state_reads_all(
    make_sandbox: MakeSandbox, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make_sandbox(sessions=30)
    tap = run_tap(config_of(sandbox), directory=tmp_path).check()
    done = read_here(config_of(sandbox), full_refresh(1), tap.state)
    assert len(done.records) == 30
    assert "of an incremental read" in caplog.text


def test_a_partners_goes_on_customer_by_customer(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(**agency(rows_of([10, 20, 30], 5)))
    config = partner_config(sandbox, concurrency=1, lookback_window="P7D")
    whole = read_here(config, full_refresh(1))
    ids = sorted(record["id"] for record in whole.records)
    assert len(ids) == 15
    for held, state in cuts(whole)[:-1]:
        rest = read_here(config, full_refresh(1), state)
        assert sorted(held + [record["id"] for record in rest.records]) == ids
    sandbox.refusals[2] = "forbidden"
    failed = read_here(config, full_refresh(2), whole.state)
    assert (failed.code, progress_of(failed.state)["full_refresh"]) == (1, "running")
    sandbox.refusals.clear()
    rest = read_here(config, full_refresh(2), failed.state)
    assert sorted(r["id"] for r in [*failed.records, *rest.records]) == ids


def test_cut_by_the_days_points_again_and_again(make_sandbox: MakeSandbox) -> None:
    rows = of_seconds(*(day * 86_400 for day in range(28)))
    sandbox = make_sandbox(rows=rows, limits=Limits(day=8))
    config = config_of(sandbox, page_size=5, concurrency=1, lookback_window="P7D")
    held: list[int] = []
    state = None
    for _ in range(30):
        done = read_here(config, full_refresh(7), state)
        held += [record["id"] for record in done.records]
        state = done.state
        if done.code == 0:
            break
        sandbox.meters.new_day()
    assert sorted(held) == sorted(row["id"] for row in rows)


def test_what_the_apis_clock_dates_ahead_of_ours_comes_once(make_sandbox: MakeSandbox) -> None:
    now = datetime.now(timezone.utc)
    wall = now.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None, microsecond=0)
    rows = make_sessions(12, start=wall - timedelta(hours=1), end=wall)
    for minute, row in enumerate(sorted(rows, key=lambda row: str(row["date_time"])), start=-6):
        row["date_time"] = f"{wall + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S}"
    sandbox = make_sandbox(rows=rows, timezone=ZONE)
    days = {
        "start_date": f"{wall - timedelta(days=2):%Y-%m-%d}",
        "end_date": f"{wall + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}",
    }
    whole = read_here(config_of(sandbox, **days), full_refresh(1))
    assert len(whole.records) == 12
    for held, state in cuts(whole)[:-1]:
        rest = read_here(config_of(sandbox, **days), full_refresh(1), state)
        assert sorted(held + [record["id"] for record in rest.records]) == sorted(
            row["id"] for row in rows
        )


def test_a_state_of_before_generations_is_read_anew(make_sandbox: MakeSandbox) -> None:
    """An older version kept neither generation nor course."""
    sandbox = make_sandbox(sessions=30)
    own = {"replication_key": "date_time", "replication_key_value": "2024-05-20T00:00:00Z"}
    stream = {"stream_descriptor": {"name": NAME}, "stream_state": own}
    state = [{"type": "STREAM", "stream": stream}]
    assert len(read_here(config_of(sandbox), full_refresh(1), state).records) == 30
