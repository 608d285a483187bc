"""The tap as a process: what a user of it gets."""

from __future__ import annotations

import copy
import gzip
import json
import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from oracle import as_emitted
from support import ZONE, check_injected, config_of, run_process, run_tap

from sandbox import Faults, Limits, Sandbox, make_sessions
from tap_visitor_sessions.config.schema import stream_schema

OTHERS = sorted(stream_schema()["properties"].keys() - {"id", "date_time"})
"""Columns that tests of many sessions go without: they cost time, and no request."""


def many(count: int, start: datetime, seconds: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` light sessions within so many seconds, ids in no relation to time."""
    source = random.Random(seed)
    [base] = make_sessions(1, seed=seed)
    ids = list(range(1, count + 1))
    source.shuffle(ids)
    light = {**base, "hits": [], "integrated_campaign_data": None}
    return [
        {
            **light,
            "id": id_,
            "visitor_id": source.randrange(10**9),
            "date_time": str(start + timedelta(seconds=source.randrange(seconds))),
        }
        for id_ in ids
    ]


def test_every_column_of_every_session_arrives(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=3000, seed=3, faults=Faults(reshuffle=True))
    run = run_tap(config_of(sandbox, page_size=700), directory=tmp_path).check()
    want = sorted((as_emitted(r, ZONE) for r in sandbox.rows()), key=lambda r: r["id"])
    assert sorted(run.records, key=lambda r: r["id"]) == want
    assert run.bookmark == max(r["date_time"] for r in run.records)


@pytest.mark.thinned
@pytest.mark.parametrize(
    "faults",
    [
        Faults(numbers_as_strings=True, null_arrays=True, single_hit_object=True),
        Faults(example_spelling=True),
        Faults(short_pages=25, gzip=True),
        Faults(short_pages_random=True, reshuffle=True),
        Faults(till_exclusive=True, order="descending"),
        Faults(http_error_rate=0.2, html_200_rate=0.2, internal_error_rate=0.2),
        Faults(cut_body_rate=0.2, truncated_json_rate=0.2, reset_rate=0.2),
        Faults(wrong_id_rate=0.2, bad_utf8_rate=0.2, duplicate_rate=0.2),
    ],
    ids=lambda faults: ",".join(k for k, v in vars(faults).items() if v and k != "errors"),
)
def test_the_same_sessions_arrive_however_the_api_behaves(
    faults: Faults, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    # So close together that spans end at seconds in which there are sessions.
    rows = make_sessions(600, seed=4, end=datetime(2024, 5, 1, 0, 8))
    sandbox = make_sandbox(rows=rows, faults=faults)
    config = config_of(sandbox, page_size=40, max_retries=30)
    run = run_tap(config, directory=tmp_path).check()
    want = sorted((as_emitted(r, ZONE) for r in sandbox.rows()), key=lambda r: r["id"])
    assert sorted(run.records, key=lambda r: r["id"]) == want
    check_injected(sandbox)


def test_150_000_in_two_days_take_at_most_24_requests(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = many(150_000, datetime(2024, 5, 1), 2 * 86_400)
    sandbox = make_sandbox(rows=rows, faults=Faults(reshuffle=True))
    config = config_of(sandbox, end_date="2024-05-02T23:59:59", exclude_columns=OTHERS)
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    order = [(r["date_time"], r["id"]) for r in run.records]
    assert len(order) == 150_000
    assert order == sorted(set(order))
    assert len(sandbox.reports) <= 24


def test_a_second_of_23_000_arrives_whole(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    rows = many(23_000, datetime(2024, 5, 3, 12), 1)
    sandbox = make_sandbox(rows=rows, faults=Faults(reshuffle=True))
    run = run_tap(config_of(sandbox, exclude_columns=OTHERS), directory=tmp_path)
    assert run.code == 0, run.stderr
    assert [r["id"] for r in run.records] == list(range(1, 23_001))


def test_a_second_of_110_500_is_an_error_that_names_it(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=many(110_500, datetime(2024, 5, 3, 12), 1))
    run = run_tap(config_of(sandbox, exclude_columns=OTHERS), directory=tmp_path)
    assert run.code == 1
    assert "2024-05-03 12:00:00" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_second_run_reads_only_the_look_back(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=2000, seed=5)
    last = max(row["date_time"] for row in sandbox.rows())
    config = config_of(sandbox, end_date=last.replace(" ", "T"))
    first = run_tap(config, directory=tmp_path).check()
    since = str(datetime.fromisoformat(last) - timedelta(days=1))  # of the second after it
    changed = next(r for r in sandbox.rows() if r["date_time"] > since)
    sandbox.update(changed["id"], duration=4321)
    second = run_tap(config, state=first.state, directory=tmp_path).check()
    want = {r["id"] for r in sandbox.rows() if r["date_time"] > since}
    assert {r["id"] for r in second.records} == want
    # Found by the model: with the bookmark where it was, the SDK says no last STATE.
    assert second.messages[-1]["type"] == "STATE"
    assert next(r for r in second.records if r["id"] == changed["id"])["duration"] == 4321
    assert {
        s["value"]["bookmarks"]["visitor_sessions"]["replication_key_value"]
        for s in second.of("STATE")
    } == {first.bookmark}


def test_full_table_ignores_the_bookmark(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=300)
    first = run_tap(config_of(sandbox), directory=tmp_path).check()
    catalog = json.loads(run_tap(config_of(sandbox), "--discover", directory=tmp_path).stdout)
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] == []:
            item["metadata"] |= {"selected": True, "forced-replication-method": "FULL_TABLE"}
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    run = run_tap(config_of(sandbox), state=first.state, catalog=catalog, directory=tmp_path)
    assert len(run.check().records) == 300


def test_only_selected_columns_are_asked_for(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=200)
    catalog = json.loads(run_tap(config_of(sandbox), "--discover", directory=tmp_path).stdout)
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] == []:
            item["metadata"]["selected"] = True
        elif item["breadcrumb"][1] not in ("id", "date_time"):
            item["metadata"]["selected"] = item["breadcrumb"] == ["properties", "channel"]
    run = run_tap(config_of(sandbox), catalog=catalog, directory=tmp_path).check()
    assert set(run.records[0]) == {"id", "date_time", "channel"}
    assert {tuple(sorted(c.params["fields"])) for c in sandbox.reports} == {
        ("channel", "date_time", "id")
    }


def test_a_filter_reaches_the_api(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=500)
    condition = {"field": "site_id", "operator": "in", "value": [101, 103]}
    run = run_tap(config_of(sandbox, filter=condition), directory=tmp_path).check()
    want = {r["id"] for r in sandbox.rows() if r["site_id"] in (101, 103)}
    assert {r["id"] for r in run.records} == want


@pytest.mark.parametrize(
    "more",
    [
        {"stream_maps": {"visitor_sessions": {"site": "str(site_id)"}}},
        {"flattening_enabled": True, "flattening_max_depth": 1},
    ],
    ids=["stream_maps", "flattening"],
)
def test_the_sdk_path_gives_the_same_sessions(
    more: dict[str, Any], make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=400, faults=Faults(reshuffle=True))
    run = run_tap(config_of(sandbox, **more), directory=tmp_path).check()
    assert {r["id"] for r in run.records} == {r["id"] for r in sandbox.rows()}
    record = run.records[0]
    if "stream_maps" in more:
        assert record["site"] == str(record["site_id"])
        plain = run_tap(config_of(sandbox), directory=tmp_path).check()
        undone = [{k: v for k, v in r.items() if k != "site"} for r in run.records]
        assert undone == plain.records
        for state in (run.state, plain.state):  # the hash of a key has a salt
            assert state["bookmarks"]["visitor_sessions"].pop("credential")
        assert run.state == plain.state
    else:
        assert "integrated_campaign_data__keyword" in record


def test_batch_files_hold_the_same_records(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=400)
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri(), "prefix": "b-"},
        "batch_size": 150,
    }
    run = run_tap(config_of(sandbox, batch_config=batch), directory=tmp_path)
    assert run.code == 0, run.stderr
    files = [Path(name[7:]) for m in run.of("BATCH") for name in m["manifest"]]
    assert len(files) == 3
    lines = [line for f in files for line in gzip.decompress(f.read_bytes()).splitlines()]
    plain = run_tap(config_of(sandbox), directory=tmp_path).check()
    assert [json.loads(line) for line in lines] == plain.records
    assert run.bookmark == plain.bookmark


def test_login_sessions_are_renewed_once_and_logged_out(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    ended = []

    def end_midway(sandbox: Sandbox, params: Any) -> None:
        if len(sandbox.reports) == 3 and not ended:
            ended.append(True)
            sandbox.expire_sessions()

    sandbox = make_sandbox(sessions=2000, faults=Faults(arrive=end_midway))
    config = config_of(sandbox, login=sandbox.login, password=sandbox.password, page_size=100)
    del config["access_token"]
    run = run_process(config, directory=tmp_path).check()
    assert len(run.records) == 2000
    methods = [call.method for call in sandbox.calls]
    assert methods.count("login.user") == 2
    assert methods[-1] == "logout.user"
    assert sandbox.password not in run.stderr + run.stdout


def test_partner_accounts_have_a_partition_and_a_bookmark_per_user(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = {user: make_sessions(100, seed=user, first_id=user * 1000) for user in (11, 21)}
    sandbox = make_sandbox(
        sessions=0, partner={1: [11, 12], 2: [21]}, rows_by_user=rows, timezone=ZONE
    )
    end = max(row["date_time"] for user in rows for row in rows[user]).replace(" ", "T")
    config = config_of(sandbox, account_type="partner", timezone=ZONE, end_date=end)
    run = run_tap(config, directory=tmp_path)
    assert run.code == 0, run.stderr
    got = {(r["customer_id"], r["user_id"], r["id"]) for r in run.records}
    want = {(1, 11, r["id"]) for r in rows[11]} | {(2, 21, r["id"]) for r in rows[21]}
    assert got == want
    partitions = run.state["bookmarks"]["visitor_sessions"]["partitions"]
    assert {p["context"]["user_id"]: p["replication_key_value"] for p in partitions} == {
        user: max(as_emitted(r, ZONE)["date_time"] for r in rows[user]) for user in rows
    }
    again = run_tap(config, state=run.state, directory=tmp_path)
    assert 0 < len(again.records) < 60


def test_a_minute_limit_is_waited_for(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=1000, limits=Limits(minute=8, minute_seconds=2))
    run = run_tap(config_of(sandbox, page_size=100), directory=tmp_path).check()
    assert len(run.records) == 1000
    windows = len(sandbox.calls) / 8 + 1
    assert sum(call.mnemonic == "limit_exceeded" for call in sandbox.calls) <= windows


def test_after_the_daily_limit_the_next_run_goes_on(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=1000, limits=Limits(day=8))
    config = config_of(sandbox, page_size=100, lookback_window="PT0S")
    first = run_tap(config, directory=tmp_path)
    assert first.code == 1
    assert "limit" in first.stderr
    assert "Traceback" not in first.stderr
    assert 0 < len(first.records) < 1000
    sandbox.meters.limits = Limits()
    second = run_tap(config, state=first.state, directory=tmp_path).check()
    held = {r["id"] for r in first.records} | {r["id"] for r in second.records}
    assert held == {r["id"] for r in sandbox.rows()}
    assert min(r["date_time"] for r in second.records) >= first.bookmark


@pytest.mark.parametrize(
    ("options", "more", "fix"),
    [
        ({}, {"access_token": "s3cret-wrong"}, "access_token"),
        ({"allowed_ips": {"192.0.2.1"}}, {}, "allowlist: add it under Administrator"),
        ({"disabled_component": True}, {}, "call_tracking"),
        ({}, {"api_url": "http://127.0.0.1:9/v2.0"}, "cannot be reached: check api_url"),
        ({"faults": Faults(errors={"get.account": ["account_inactive"]})}, {}, "inactive"),
        ({"faults": Faults(errors={"get.account": ["forbidden"]})}, {}, "right"),
    ],
    ids=["token", "address", "component", "host", "inactive", "forbidden"],
)
def test_errors_name_the_fix_within_a_minute_and_no_secret(
    options: dict[str, Any],
    more: dict[str, Any],
    fix: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(sessions=10, **copy.deepcopy(options))
    config = config_of(sandbox, **more)
    run = run_tap(config, directory=tmp_path, env={"TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG"})
    assert run.code == 1
    assert fix in run.stderr
    assert "Traceback" not in run.stderr
    assert config["access_token"] not in run.stderr + run.stdout


@pytest.mark.parametrize(
    ("more", "setting"),
    [
        ({"access_token": None}, "access_token"),
        ({"login": "x"}, "access_token"),
        ({"access_token": 12345678}, "access_token"),
        ({"api_url": "http://example.com/v2.0"}, "api_url"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"end_date": "2023-01-01"}, "end_date"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"lookback_window": "a day"}, "lookback_window"),
        ({"page_size": 10_001}, "page_size"),
        ({"concurrency": 0}, "concurrency"),
        ({"on_daily_limit": "hope"}, "on_daily_limit"),
        ({"filter": {"field": "nope", "operator": "=", "value": 1}}, "filter.field"),
        ({"user_ids": [1]}, "user_ids"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_fails_at_start(
    more: dict[str, Any], setting: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=1)
    config = {k: v for k, v in config_of(sandbox, **more).items() if v is not None}
    run = run_tap(config, directory=tmp_path)
    assert run.code == 1
    assert setting in run.stderr
    assert "Traceback" not in run.stderr
    assert not sandbox.calls
    assert "12345678" not in run.stderr


def test_discovery_and_about_need_no_network_and_no_settings(tmp_path: Path) -> None:
    config = {"api_url": "http://127.0.0.1:9/v2.0", "access_token": "x", "start_date": "2024-01-01"}
    stream, _ = json.loads(run_tap(config, "--discover", directory=tmp_path).stdout)["streams"]
    assert stream["key_properties"] == ["id"]
    assert stream["replication_key"] == "date_time"
    for arguments in (["--version"], ["--about"], ["--about", "--format=markdown"]):
        assert run_tap({}, *arguments, directory=tmp_path).code == 0
    about = json.loads(run_tap({}, "--about", "--format=json", directory=tmp_path).stdout)
    assert about["name"] == "tap-visitor-sessions"


def test_test_mode_and_settings_from_the_environment(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=100)
    assert run_tap(config_of(sandbox), "--test", directory=tmp_path).code == 0
    env = {
        f"TAP_VISITOR_SESSIONS_{name.upper()}": str(value)
        for name, value in config_of(sandbox).items()
    }
    command = [sys.executable, "-m", "tap_visitor_sessions", "--config=ENV"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env})
    assert done.stdout.count('"RECORD"') == 100, done.stderr


LOOK = """
import os, sys
sys.addaudithook(lambda event, _: event == "socket.connect" and os._exit(9))
from tap_visitor_sessions.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
FOR_LATER = {"dlt", "faker", "numpy", "pandas", "pyarrow", "sqlalchemy", "tqdm"}
FOR_LATER |= {f"tap_visitor_sessions.{name}" for name in ("airbyte", "dlt", "doctor")}


@pytest.mark.parametrize("argument", ["--version", "--about", "--discover"])
def test_what_needs_no_network_connects_to_nothing_and_loads_nothing_for_later(
    argument: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"access_token": "x", "start_date": "2024-01-01"}')
    command = [sys.executable, "-c", LOOK, "--config", str(tmp_path / "config.json"), argument]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "tap_visitor_sessions.singer" in loaded
    assert not FOR_LATER & loaded


def test_batch_files_and_stream_maps_do_not_go_together(tmp_path: Path) -> None:
    """The SDK would announce the mapped schema and write records unmapped, secrets and all."""
    config = {
        "access_token": "x",
        "start_date": "2024-01-01",
        "batch_config": {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
        },
        "stream_maps": {"visitor_sessions": {"visitor_ip_address": None}},
    }
    run = run_tap(config, directory=tmp_path)
    assert run.code == 1
    assert "batch_config: does not go with stream_maps" in run.stderr
