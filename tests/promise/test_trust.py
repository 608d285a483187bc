"""Ledger, `read_at` and recheck through each host: off unless asked for, and what goes together."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from agencies import agency, rows_of
from agencies import config_of as config_of_agency
from hosts import AND_DLT, DAYS, Airbyte, Host, catalog_with_days, configured_with_days
from oracle import FORMAT
from support import config_of, run_tap

from sandbox import Sandbox, make_sessions
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.catalog import ConfiguredCatalogError, configured
from tap_visitor_sessions.airbyte.config import settings_of
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.sessions import output
from tap_visitor_sessions.singer.catalog import CatalogError
from tap_visitor_sessions.singer.tap import TapVisitorSessions

ZONE = "Europe/Moscow"
START = datetime(2024, 5, 1)


def heard(
    host: Host, config: dict[str, Any], state: Any = None, *, days: bool = True
) -> list[tuple[str, Any]]:
    out = io.StringIO()
    with patch.object(sys, "stdout", out):
        host.sync(config, state, days=days)
    return list(host.heard(out.getvalue().splitlines()))


def of(kind: str, said: list[tuple[str, Any]]) -> list[Any]:
    return [value for one, value in said if one == kind]


@AND_DLT
def test_both_are_off_unless_they_are_selected(
    host: Host, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    sandbox: Sandbox = make_sandbox(sessions=300, timezone=ZONE)
    config = config_of(sandbox)
    off, on = (heard(host, config, days=days) for days in (False, True))
    assert of("DAY", off) == []
    assert all("read_at" not in row for row in of("RECORD", off))
    assert "counted" not in host.progress(of("STATE", off)[-1])
    assert [{k: v for k, v in row.items() if k != "read_at"} for row in of("RECORD", on)] == (
        of("RECORD", off)
    )
    days = Counter(row["date_time"][:10] for row in sandbox.rows())
    rows = {row["date"]: row for row in of("DAY", on)}
    assert {day: row["sessions"] for day, row in rows.items() if row["sessions"]} == days
    assert [row["complete"] for row in rows.values()].count(False) == 1  # the last, of a second
    first = min(row["read_at"] for row in rows.values())
    assert all(row["read_at"] >= first for row in of("RECORD", on))
    requests = len(sandbox.reports)
    assert requests == 2  # one for each run: the ledger costs none


@AND_DLT
def test_each_day_is_read_whole_and_its_row_comes_after_its_sessions(
    host: Host, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    rows = make_sessions(200, seed=3, start=START, end=START + timedelta(days=6))
    sandbox: Sandbox = make_sandbox(rows=rows, timezone=ZONE)
    config = config_of(
        sandbox, start_date="2024-05-01", end_date="2024-05-04T15:00:00", lookback_window="PT1S"
    )
    first = heard(host, config)
    second = heard(host, {**config, "end_date": "2024-05-05T23:59:59"}, of("STATE", first)[-1])
    want = Counter(row["date_time"][:10] for row in rows)
    found = {row["date"]: row for row in of("DAY", second)}
    assert {day: row["sessions"] for day, row in found.items()} == {
        day: want[day] for day in ("2024-05-04", "2024-05-05")
    }
    assert all(row["complete"] for row in found.values())
    if host.name != "dlt":  # whose tables have no order among them
        seen: Counter[str] = Counter()
        for kind, value in first:
            if kind == "RECORD":
                at = datetime.strptime(value["date_time"], "%Y-%m-%dT%H:%M:%SZ")
                seen[(at + timedelta(hours=3)).strftime("%Y-%m-%d")] += 1
            elif kind == "DAY":
                assert seen[value["date"]] == value["sessions"]


@AND_DLT
def test_what_is_late_or_gone_beyond_the_look_back_is_noticed_at_a_point_where_nothing_is(
    host: Host,
    make_sandbox: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    host.without_signals(monkeypatch)
    now = datetime.now().replace(microsecond=0)
    rows = make_sessions(300, seed=3, start=now - timedelta(days=80), end=now - timedelta(days=3))
    sandbox: Sandbox = make_sandbox(rows=rows, timezone="UTC")
    config = config_of(sandbox, recheck_window="P60D", start_date=f"{now - timedelta(days=85):%F}")
    del config["end_date"]
    state = of("STATE", heard(host, config))[-1]
    requests = len(sandbox.reports)
    quiet = heard(host, config, state)
    assert len(sandbox.reports) == requests + 2  # what is new, and a count
    state = of("STATE", quiet)[-1]
    mark = host.mark(state)

    late = {**rows[0], "id": 10**9, "date_time": f"{now - timedelta(days=40):{FORMAT}}"}
    sandbox.add([late])
    gone = next(row for row in rows if f"{now - timedelta(days=21):%F}" == row["date_time"][:10])
    sandbox.delete([gone["id"]])
    sandbox.add([{**rows[0], "id": 10**9 + 1, "date_time": late["date_time"]}])
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        said = heard(host, config, state)
    assert {10**9, 10**9 + 1} <= {row["id"] for row in of("RECORD", said)}
    assert host.mark(of("STATE", said)[-1]) == mark
    counts = Counter(row["date_time"][:10] for row in sandbox.rows())
    days = {row["date"]: row["sessions"] for row in of("DAY", said)}
    assert days[late["date_time"][:10]] == counts[late["date_time"][:10]]
    assert days[gone["date_time"][:10]] == counts[gone["date_time"][:10]]
    [fewer] = [text for text in caplog.messages if "fewer sessions than before" in text]
    assert gone["date_time"][:10] in fewer


def test_the_days_alone_are_refused_by_name(make_sandbox: Any) -> None:
    config = config_of(make_sandbox(sessions=3))
    catalog = catalog_with_days(config)
    for item in catalog["streams"][0]["metadata"]:
        if not item["breadcrumb"]:
            item["metadata"]["selected"] = False
    with pytest.raises(CatalogError, match="select both"):
        TapVisitorSessions(config=config, catalog=catalog).sync_all()
    chosen = configured_with_days(config)
    settings = settings_of(config)
    with pytest.raises(ConfiguredCatalogError, match="select both"):
        configured({"streams": chosen["streams"][1:]}, settings)
    chosen["streams"][1]["sync_mode"] = "full_refresh"
    with pytest.raises(ConfiguredCatalogError, match="sync mode of visitor_sessions"):
        configured(chosen, settings)


def test_a_catalog_of_before_selects_neither(make_sandbox: Any, tmp_path: Path) -> None:
    config = config_of(make_sandbox(sessions=20))
    catalog = json.loads(json.dumps(TapVisitorSessions(config=config).catalog_dict))
    del catalog["streams"][1]
    entry = catalog["streams"][0]
    del entry["schema"]["properties"]["read_at"]
    entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"][-1:] != ["read_at"]]
    run = run_tap(config, catalog=catalog, directory=tmp_path).check()
    assert {message["stream"] for message in run.of("SCHEMA")} == {"visitor_sessions"}
    assert "read_at" not in run.stderr
    assert DAYS not in json.dumps(run.messages)


def test_a_changed_filter_and_a_later_beginning_are_told(
    make_sandbox: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hosts import Singer

    host = Singer()
    host.without_signals(monkeypatch)
    config = config_of(make_sandbox(sessions=60))
    before = of("STATE", heard(host, config, days=False))[-1]
    with caplog.at_level(logging.WARNING):
        state = of("STATE", heard(host, config, before))[-1]
        assert "visitor_session_days begins with 2024-05-31" in caplog.text
        caplog.clear()
        again = heard(host, config, state)
        assert caplog.messages == []
        chosen = {"field": "site_id", "operator": ">", "value": 0}
        said = heard(host, {**config, "filter": chosen}, of("STATE", again)[-1])
        assert "filter is another than in the last run" in caplog.text
    assert all(row["filter_hash"] for row in of("DAY", said))


def test_a_version_drops_the_days_before_the_sessions(make_sandbox: Any, tmp_path: Path) -> None:
    config = config_of(make_sandbox(sessions=20), emit_activate_version_messages=True)
    catalog = catalog_with_days(config)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["replication-method"] = "FULL_TABLE"
    run = run_tap(config, catalog=catalog, directory=tmp_path)
    assert run.code == 0, run.stderr
    assert [message["stream"] for message in run.of("ACTIVATE_VERSION")] == [
        DAYS,
        "visitor_sessions",
    ]
    versions = {message["version"] for message in (*run.of("RECORD"), *run.of("ACTIVATE_VERSION"))}
    assert len(versions) == 1


@AND_DLT
def test_a_partners_days_are_those_of_each_customers_clock(
    host: Host, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    rows = rows_of([10, 20, 30], 80)
    sandbox: Sandbox = make_sandbox(**agency(rows))
    config = config_of_agency(
        sandbox, customer_timezones={"2": "Asia/Tokyo"}, recheck_window="P10Y", concurrency=3
    )
    said = heard(host, config)
    days = of("DAY", said)
    assert {row["timezone"] for row in days if row["customer_id"] == 2} == {"Asia/Tokyo"}
    assert {row["timezone"] for row in days if row["customer_id"] != 2} == {ZONE}
    for user, its in rows.items():
        want = Counter(row["date_time"][:10] for row in its)
        found = {row["date"]: row["sessions"] for row in days if row["user_id"] == user}
        assert {day: count for day, count in found.items() if count} == want
    state = of("STATE", said)[-1]
    quiet = len(sandbox.reports)
    again = heard(host, config, state)
    # Of each customer what is new, and a count.
    assert len(sandbox.reports) - quiet == 6

    late = {**rows[20][0], "id": 10**9}
    rows[20].append(late)
    sandbox.add([late], 20)
    said = heard(host, config, of("STATE", again)[-1])
    assert [row["id"] for row in of("RECORD", said) if row["id"] == 10**9] == [10**9]
    [day] = [
        row
        for row in of("DAY", said)
        if row["customer_id"] == 2 and row["date"] == late["date_time"][:10]
    ]
    assert day["sessions"] == sum(row["date_time"][:10] == day["date"] for row in rows[20])


def test_a_full_refresh_that_goes_on_within_a_day_counts_all_of_it(
    make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airbyte: it gives no session twice, so the day is not read from its start."""
    host = Airbyte()
    host.without_signals(monkeypatch)
    monkeypatch.setattr(airbyte_source, "STATE_RECORDS", 30)
    monkeypatch.setattr(output, "RECORDS_PER_WRITE", 10)
    rows = make_sessions(400, seed=3, start=START, end=START + timedelta(days=6))
    config = config_of(make_sandbox(rows=rows, timezone=ZONE), end_date="2024-05-06T23:59:59")
    catalog = configured_with_days(config, "full_refresh")

    def lines(state: Any) -> list[str]:
        out = io.StringIO()
        with patch.object(sys, "stdout", out):
            airbyte_source.Source(Messages()).read(dict(config), catalog, state)
        return out.getvalue().splitlines()

    whole = lines(None)
    states = [number for number, line in enumerate(whole) if '"type":"STATE"' in line]
    assert len(states) > 10
    want = Counter(row["date_time"][:10] for row in rows)
    for cut in states[1:-2:4]:
        before = list(host.heard(whole[: cut + 1]))
        after = list(host.heard(lines(of("STATE", before)[-1])))
        ids = [row["id"] for row in (*of("RECORD", before), *of("RECORD", after))]
        assert len(ids) == len(set(ids)) == len(rows)
        days = {row["date"]: row for row in (*of("DAY", before), *of("DAY", after))}
        assert {day: row["sessions"] for day, row in days.items()} == want
        assert all(row["complete"] for row in days.values())
        assert len(of("DAY", before)) + len(of("DAY", after)) == len(days)


@pytest.mark.parametrize("batch_size", [7, 10_000])
def test_files_are_written_before_past_days_are_counted_and_before_they_are_remembered(
    make_sandbox: Any, tmp_path: Path, batch_size: int
) -> None:
    now = datetime.now().replace(microsecond=0)
    rows = make_sessions(60, seed=3, start=now - timedelta(days=30), end=now)
    sandbox: Sandbox = make_sandbox(rows=rows, timezone="UTC")
    batch = {
        "encoding": {"format": "jsonl"},
        "storage": {"root": str(tmp_path)},
        "batch_size": batch_size,
    }
    config = config_of(sandbox, recheck_window="P25D", batch_config=batch)
    config["start_date"] = f"{now - timedelta(days=33):%F}"
    del config["end_date"]
    catalog = catalog_with_days(config)

    def run(state: Any = None) -> tuple[Any, int]:
        requests = len(sandbox.reports)
        done = run_tap(config, catalog=catalog, state=state, directory=tmp_path)
        assert done.code == 0, done.stderr
        assert "remembers no count" not in done.stderr
        assert "begins with" not in done.stderr
        return done, len(sandbox.reports) - requests

    first, _ = run()
    days = [one["record"]["date"] for one in first.of("RECORD") if one["stream"] == DAYS]
    assert len(days) == len(set(days)) == 34
    state = first.of("STATE")[-1]["value"]
    assert state["bookmarks"]["visitor_sessions"]["read"]
    second, requests = run(state)
    assert requests == 2  # what is new, and a count
    sandbox.add([{**rows[0], "id": 1, "date_time": f"{now - timedelta(days=9):{FORMAT}}"}])
    third, requests = run(second.of("STATE")[-1]["value"])
    assert requests > 2
    assert run(third.of("STATE")[-1]["value"])[1] == 2


def test_a_ledger_without_the_days_before_says_so_where_they_were_counted_too(
    make_sandbox: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by a recheck, or written to a stream that was cleared since."""
    from hosts import Singer

    told = "visitor_session_days begins with"
    host, other = Singer(), Airbyte()
    host.without_signals(monkeypatch)
    other.without_signals(monkeypatch)
    config = config_of(make_sandbox(sessions=60), recheck_window="P3D")
    state = of("STATE", heard(host, config, days=False))[-1]
    with caplog.at_level(logging.WARNING):
        state = of("STATE", heard(host, config, state, days=False))[-1]
        assert told not in caplog.text
        state = of("STATE", heard(host, config, state))[-1]
        assert caplog.text.count(told) == 1
        caplog.clear()
        state = of("STATE", heard(host, config, state))[-1]
        assert told not in caplog.text

        cleared = {"stream_descriptor": {"name": DAYS}, "stream_state": None}
        alone = of("STATE", heard(other, config))[-1]
        alone = of("STATE", heard(other, config, alone))[-1]
        assert told not in caplog.text
        alone = of("STATE", heard(other, config, [*alone, {"type": "STREAM", "stream": cleared}]))[
            -1
        ]
        assert caplog.text.count(told) == 1
        caplog.clear()
        heard(other, config, alone)
        assert told not in caplog.text


def until_now(
    make_sandbox: Any, *, sessions: int, days: int, **settings: Any
) -> tuple[Sandbox, dict[str, Any], datetime]:
    """An account with sessions of so many days up to now, and the settings to read all of them."""
    now = datetime.now().replace(microsecond=0)
    rows = make_sessions(sessions, seed=3, start=now - timedelta(days=days), end=now)
    sandbox: Sandbox = make_sandbox(rows=rows, timezone="UTC")
    start = now - timedelta(days=days + 5)
    config = config_of(sandbox, start_date=f"{start:%F}", **settings)
    del config["end_date"]
    return sandbox, config, now


@AND_DLT
@pytest.mark.parametrize("depth", ["count", "ids"])
@pytest.mark.parametrize("moved", ["start_date", "end_date"])
def test_of_a_day_that_is_cut_later_the_part_that_is_wanted_is_looked_at(
    host: Host, depth: str, moved: str, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    recheck = {"recheck_window": "P25D", "recheck_depth": depth}
    sandbox, config, now = until_now(make_sandbox, sessions=300, days=30, **recheck)
    rows, day = sandbox.rows(), f"{now - timedelta(days=15):%F}"
    state = of("STATE", heard(host, config))[-1]
    config[moved] = f"{day}T12:00:00"
    sandbox.add([{**rows[0], "id": 1, "date_time": f"{day} 12:00:00"}])
    said = heard(host, config, state)
    assert 1 in {row["id"] for row in of("RECORD", said)}
    assert {row["complete"] for row in of("DAY", said) if row["date"] == day} == {False}
    read = sum(row["date_time"][:10] == day for row in of("RECORD", said))
    said = heard(host, config, of("STATE", said)[-1])
    assert read
    assert day not in {row["date_time"][:10] for row in of("RECORD", said)}  # known from here on


@AND_DLT
def test_what_the_correction_of_a_zone_moves_onto_other_days_is_not_taken_for_gone(
    host: Host, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    now = datetime.now().replace(microsecond=0)
    rows = make_sessions(300, seed=3, start=now - timedelta(days=20), end=now)
    sandbox: Sandbox = make_sandbox(rows=rows)
    config = config_of(sandbox, timezone="UTC", recheck_window="P10D", recheck_depth="ids")
    config["start_date"] = f"{now - timedelta(days=22):%F}"
    del config["end_date"]
    first = heard(host, config)
    assert any(row["complete"] for row in of("DAY", first))
    corrected = heard(host, {**config, "timezone": "Asia/Tokyo"}, of("STATE", first)[-1])
    days = of("DAY", corrected)
    assert len(days) > 8
    assert not any(row["complete"] for row in days)
    afresh = of("DAY", heard(host, {**config, "timezone": "Asia/Tokyo"}))
    assert any(row["complete"] for row in afresh)


@AND_DLT
@pytest.mark.parametrize("depth", ["count", "ids"])
def test_counts_that_a_run_without_the_setting_left_behind_are_not_compared_with(
    host: Host, depth: str, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    recheck = {"recheck_window": "P25D", "recheck_depth": depth}
    sandbox, config, now = until_now(make_sandbox, sessions=300, days=30, **recheck)
    rows, day = [*sandbox.rows()], f"{now - timedelta(days=9):%F}"
    state = of("STATE", heard(host, config))[-1]
    sandbox.add([{**rows[0], "id": 1, "date_time": f"{day} 12:00:00"}])
    off = {key: value for key, value in config.items() if not key.startswith("recheck")}
    said = heard(host, {**off, "lookback_window": "P20D"}, state)
    assert 1 in {row["id"] for row in of("RECORD", said)}
    state = of("STATE", said)[-1]
    assert "days" not in host.progress(state)
    sandbox.delete([1])
    said = heard(host, config, state)
    found = {row["date"]: row["sessions"] for row in of("DAY", said)}
    assert found[day] == sum(row["date_time"][:10] == day for row in rows)


def test_a_map_that_takes_read_at_out_is_warned_about(make_sandbox: Any, tmp_path: Path) -> None:
    config = config_of(make_sandbox(sessions=9))
    for map_, warns in (({"read_at": None}, 1), ({"channel": "channel.upper()"}, 0)):
        config["stream_maps"] = {"visitor_sessions": map_}
        run = run_tap(config, catalog=catalog_with_days(config), directory=tmp_path)
        assert (run.code, run.stderr.count("Select both")) == (0, warns)


@pytest.mark.parametrize(("window", "warns"), [("PT0S", 1), ("P1D", 1), ("P2D", 0)])
def test_a_window_that_holds_no_whole_day_is_warned_about(
    window: str,
    warns: int,
    make_sandbox: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hosts import Singer

    host = Singer()
    host.without_signals(monkeypatch)
    heard(host, config_of(make_sandbox(sessions=9), recheck_window=window))
    assert caplog.text.count("lies no day but those that are read anyway") == warns


@AND_DLT
@pytest.mark.parametrize("at", ["00:00:00", "00:00:01", "10:00:00", "23:59:59"])
def test_a_session_of_the_second_in_which_a_run_starts_is_counted_once(
    host: Host, at: str, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run reads that second again, since more may be filed in it."""
    host.without_signals(monkeypatch)
    [base] = make_sessions(1, seed=2)
    first = datetime.fromisoformat(f"2024-05-02T{at}+00:00")
    times = [first - timedelta(days=1), first, first + timedelta(days=1)]
    rows = [{**base, "id": i, "date_time": f"{t:{FORMAT}}"} for i, t in enumerate(times, 1)]
    sandbox = make_sandbox(rows=rows[:2], timezone="UTC")
    config = config_of(sandbox, start_date="2024-05-01", lookback_window="PT0S")
    del config["end_date"]
    state, days = None, {}
    for number, now in enumerate([first, first + timedelta(days=1), first + timedelta(days=3)]):
        monkeypatch.setattr(Settings, "now", now)
        said = heard(host, config, state)
        state = of("STATE", said)[-1]
        days |= {row["date"]: row for row in of("DAY", said)}
        if not number:
            sandbox.add(rows[2:])
    want = Counter(row["date_time"][:10] for row in rows)
    assert +Counter({day: row["sessions"] for day, row in days.items()}) == want
    assert [row["complete"] for row in days.values()] == [True] * (len(days) - 1) + [False]


def test_a_later_start_within_a_day_is_no_deletion(
    make_sandbox: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hosts import Singer

    host = Singer()
    host.without_signals(monkeypatch)
    sandbox, config, now = until_now(make_sandbox, sessions=300, days=20, recheck_window="P15D")
    state = of("STATE", heard(host, config))[-1]
    requests = len(sandbox.reports)
    config["start_date"] = f"{now - timedelta(days=6):%FT12:00:00}"
    with caplog.at_level(logging.WARNING):
        said = heard(host, config, state)
    assert "fewer sessions" not in caplog.text
    # Its row says that it is not all of the day; the rest of the table's is not gone.
    day = f"{now - timedelta(days=6):%F}"
    assert [row["complete"] for row in of("DAY", said) if row["date"] == day] == [False]
    assert len(sandbox.reports) <= requests + 4


def test_ids_notice_what_leaves_the_number_of_a_quarter_as_it_was(
    make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hosts import Singer

    host = Singer()
    host.without_signals(monkeypatch)
    sandbox, config, now = until_now(
        make_sandbox, sessions=200, days=40, recheck_window="P30D", recheck_depth="ids"
    )
    state = of("STATE", heard(host, config))[-1]
    before = len(sandbox.reports)
    state = of("STATE", heard(host, config, state))[-1]
    assert len(sandbox.reports) == before + 2  # no more than a count, where a page holds them
    day = f"{now - timedelta(days=20):%F}"
    moved = next(row for row in sandbox.rows() if row["date_time"][:10] == day)
    sandbox.update(moved["id"], date_time=f"{now - timedelta(days=10):{FORMAT}}")
    said = heard(host, config, state)
    days = {f"{now - timedelta(days=number):%F}" for number in (20, 10)}
    assert days <= {row["date"] for row in of("DAY", said)}
    assert len(of("DAY", said)) == 4


@AND_DLT
@pytest.mark.parametrize("depth", ["count", "ids"])
def test_what_a_run_without_the_ledger_found_gets_its_rows_later(
    host: Host,
    depth: str,
    make_sandbox: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its counts are remembered by the state; the table's rows of those days are of before."""
    host.without_signals(monkeypatch)
    sandbox, config, now = until_now(
        make_sandbox, sessions=90, days=9, recheck_window="P30D", recheck_depth=depth
    )
    days: dict[str, Any] = {}
    state = None
    for number, with_days in enumerate([True, False, True, True]):
        said = heard(host, config, state, days=with_days)
        state = of("STATE", said)[-1]
        days |= {row["date"]: row for row in of("DAY", said)}
        if not number:
            old = f"{now - timedelta(days=5):%F}"
            its = [row["id"] for row in sandbox.rows() if row["date_time"].startswith(old)]
            sandbox.delete(its[:1])
        if number == 1:
            caplog.clear()
    want = Counter(row["date_time"][:10] for row in sandbox.rows())
    assert +Counter({day: row["sessions"] for day, row in days.items()}) == want
    assert "has no rows" not in caplog.text  # of all that is wanted it has some now
    assert not of("RECORD", said) or min(r["date_time"] for r in of("RECORD", said)) > old


@AND_DLT
def test_days_counted_without_rows_are_read_again_once_where_nothing_else_is_to_be_read(
    host: Host, make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.without_signals(monkeypatch)
    _, config, now = until_now(
        make_sandbox, sessions=90, days=9, recheck_window="P30D", lookback_window="PT0S"
    )
    config["end_date"] = f"{now - timedelta(days=2):%F}"
    state, read = None, []
    for with_days in (False, False, True, True, True):
        said = heard(host, config, state, days=with_days)
        state = of("STATE", said)[-1]
        read.append(len(of("RECORD", said)))
    assert read == [read[0], 0, read[0], 0, 0]
