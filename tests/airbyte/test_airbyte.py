"""The Airbyte source as Airbyte calls it: messages, state, and the promise through this host."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from agencies import agency, rows_of
from agencies import config_of as partner_config
from airbyte_runs import COMMAND, NAME, Done, read, source, written
from conftest import MakeSandbox, Tally
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from oracle import as_emitted
from support import ROOT, ZONE, catalog_of, check_injected, config_of, run_tap

from sandbox import Faults, Limits, make_sessions
from tap_visitor_sessions.airbyte.catalog import (
    Configured,
    ConfiguredCatalogError,
    configured,
    discovered,
)
from tap_visitor_sessions.airbyte.failures import failure_type
from tap_visitor_sessions.airbyte.spec import specification
from tap_visitor_sessions.airbyte.state import AirbyteState
from tap_visitor_sessions.api.errors import (
    ApiError,
    ConfigError,
    CountMismatch,
    CustomersFailed,
    DailyLimitReached,
    InternalError,
    LimitExceeded,
    SecondTooFull,
    TapError,
    Unreachable,
    Unreadable,
)
from tap_visitor_sessions.api.limits import REMINDED_EVERY
from tap_visitor_sessions.config.dates import Moment
from tap_visitor_sessions.config.schema import partner_schema, stream_schema
from tap_visitor_sessions.config.settings import (
    PROPERTIES,
    SENSITIVE,
    SINGERS,
    Settings,
    SettingsError,
)
from tap_visitor_sessions.sessions import Columns
from tap_visitor_sessions.sessions.bookmarks.state import StateError

# spec, check, discover


def test_the_spec_shows_every_setting_of_the_core_once_and_hides_the_secrets(
    tmp_path: Path,
) -> None:
    done = source("spec", tmp_path)
    [message] = done.of("SPEC")
    assert (done.code, done.stderr, message["spec"]) == (0, "", specification())
    form = message["spec"]["connectionSpecification"]
    Draft7Validator.check_schema(form)
    assert form["required"] == ["start_date"]
    choice = form["properties"].pop("credentials")
    assert set(form["properties"]) == set(PROPERTIES) - SINGERS
    assert choice["order"] < min(one["order"] for one in form["properties"].values())
    assert sorted(one["order"] for one in form["properties"].values()) == sorted(
        {one["order"] for one in form["properties"].values()}
    )
    for name, shown in form["properties"].items():
        assert shown["title"]
        assert shown["description"]
        assert shown.get("airbyte_secret", False) is (name in SENSITIVE)
        if shown["type"] not in ("array", "string") or "enum" in shown:
            assert shown.get("default") == PROPERTIES[name].get("default"), name


def test_the_form_shows_a_choice_of_credentials_and_pickers_of_dates() -> None:
    form = specification()["connectionSpecification"]
    assert form["$schema"] == "http://json-schema.org/draft-07/schema#"
    shown = form["properties"]
    for name in ("start_date", "end_date"):
        assert shown[name]["format"] == "date-time"
        assert shown[name]["pattern_descriptor"]
        for example in shown[name]["examples"]:
            Draft7Validator(shown[name], format_checker=FormatChecker()).validate(example)
            assert Moment.parse(name, example)
    assert all("pattern_descriptor" in one for one in shown.values() if "pattern" in one)
    whole = Draft7Validator(form)
    for more, fits in (
        ({"credentials": {"auth_type": "access_token", "access_token": "x"}}, True),
        ({"credentials": {"auth_type": "login", "login": "x", "password": "y"}}, True),
        ({"access_token": "x"}, True),
        ({"credentials": {"auth_type": "login", "access_token": "x"}}, False),
    ):
        assert whole.is_valid({"start_date": "2024-01-31", **more}) is fits
    for way in shown["credentials"]["oneOf"]:
        for name, member in way["properties"].items():
            assert member.get("airbyte_secret", False) is (name in SENSITIVE)
            assert shown.get(name, {}).get("airbyte_hidden", name == "auth_type")


def test_what_the_form_gives_is_what_the_settings_take() -> None:
    """Objects are texts of JSON there; its examples and defaults work."""
    form = specification()["connectionSpecification"]["properties"]
    base = {"access_token": "x", "start_date": "2024-01-31", "account_type": "partner"}
    del form["credentials"]
    for name, shown in form.items():
        values = [*shown.get("examples", ()), *([shown["default"]] if "default" in shown else [])]
        for value in values:
            if name in ("login", "password"):
                continue
            config = {**base, "timezone": "UTC", name: value}
            assert Settings.from_config(config)
            Draft7Validator(shown).validate(value)
    zones = Settings.from_config({**base, "timezones": '{"7": "Asia/Omsk"}'}).timezones
    assert zones == {7: "Asia/Omsk"}


def test_check_reports_the_first_that_is_not_ok_and_its_fix(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=20)
    for more in ({}, {"account": "north"}):
        good = source("check", tmp_path, config=config_of(sandbox, **more))
        assert good.of("CONNECTION_STATUS")[0]["connectionStatus"] == {"status": "SUCCEEDED"}
    for config, word in (
        (config_of(sandbox, access_token="wrong-token-1"), "key"),
        (config_of(sandbox, page_size=0), "page_size"),
        (config_of(sandbox, start_date="05/2024"), "start_date"),
    ):
        done = source("check", tmp_path, config=config)
        [status] = [m["connectionStatus"] for m in done.of("CONNECTION_STATUS")]
        assert (done.code, done.stderr, status["status"]) == (0, "", "FAILED")
        assert word in status["message"]
        assert "wrong-token-1" not in json.dumps(done.messages)


@pytest.mark.parametrize("kind", ["customer", "partner", "account"])
def test_discover_lists_the_stream_as_airbyte_takes_it(kind: str, tmp_path: Path) -> None:
    config = {"access_token": "x", "start_date": "2024-01-01", "api_url": "https://localhost:9/v2"}
    if kind == "partner":
        config |= {"account_type": "partner", "timezone": "UTC"}
    if kind == "account":
        config["account"] = "north"
    done = source("discover", tmp_path, config=config)
    stream, _ = done.of("CATALOG")[0]["catalog"]["streams"]
    assert stream["source_defined_primary_key"] == (
        {"account": [["id"], ["account"]], "partner": [["customer_id"], ["id"]]}.get(kind, [["id"]])
    )
    assert stream["default_cursor_field"] == ["date_time"]
    assert stream["source_defined_cursor"] is stream["is_resumable"] is True
    assert stream["supported_sync_modes"] == ["full_refresh", "incremental"]
    schema = stream["json_schema"]
    Draft7Validator.check_schema(schema)
    assert "allOf" not in json.dumps(schema)
    declared = partner_schema() if kind == "partner" else stream_schema()
    assert set(schema["properties"]) == {
        *declared["properties"],
        "read_at",
        *(["account"] if kind == "account" else []),
    }
    assert schema["properties"]["date_time"]["airbyte_type"] == "timestamp_with_timezone"


# read


def test_it_reads_what_the_api_has_and_goes_on_from_there(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=8_000, seed=3, timezone=ZONE)
    first = read(config_of(sandbox, page_size=1300), tmp_path).check()
    assert first.of("STATE")
    want = {row["id"]: as_emitted(row, ZONE) for row in sandbox.rows()}
    assert {record["id"]: record for record in first.records} == want
    order = [(record["date_time"], record["id"]) for record in first.records]
    assert order == sorted(set(order))
    validator = Draft202012Validator(stream_schema(), format_checker=FormatChecker())
    for record in first.records[::50]:
        validator.validate(record)
    estimates = [trace["row_estimate"] for trace in first.traces("ESTIMATE")]
    # The last may come before the last window does.
    assert 7_000 < estimates[-1] < 9_000

    before = len(sandbox.reports)
    config = config_of(sandbox, page_size=1300, lookback_window="PT1S")
    again = read(config, tmp_path, state=first.state).check()
    assert len(sandbox.reports) == before + 1
    assert len(again.records) <= 1
    assert again.of("STATE")


def test_an_account_gone_silent_costs_one_request_and_writes_a_state(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=0)
    start = datetime.now(timezone.utc) - timedelta(days=1000)
    config = config_of(sandbox, start_date=f"{start:%Y-%m-%d}")
    del config["end_date"]
    first = read(config, tmp_path).check()
    assert len(sandbox.reports) > 9
    before = len(sandbox.reports)
    again = read(config, tmp_path, state=first.state).check()
    assert len(sandbox.reports) == before + 1
    assert again.of("STATE")[-1]["state"]["sourceStats"]["recordCount"] == 0


@pytest.mark.parametrize("mode", ["incremental", "full_refresh"])
def test_from_any_state_the_union_is_complete(
    mode: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """A full refresh too goes on within its generation: Airbyte drops the state with it."""
    sandbox = make_sandbox(sessions=600, seed=5)
    catalog = catalog_of(mode=mode)
    config = config_of(sandbox, page_size=50, lookback_window="PT0S")
    whole = read(config, tmp_path, catalog=catalog)
    ids = [record["id"] for record in whole.records]
    held: list[int] = []
    for message in whole.messages:
        if message["type"] == "RECORD":
            held.append(message["record"]["data"]["id"])
        if message["type"] == "STATE":
            rest = read(config, tmp_path, catalog=catalog, state=[message["state"]])
            assert {*held, *(record["id"] for record in rest.records)} == {*ids}


def test_only_what_the_catalog_wants_is_asked_and_written(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=30)
    schema = {"properties": {"channel": {}, "hits": {}}}
    done = read(config_of(sandbox), tmp_path, catalog=catalog_of(schema)).check()
    assert {frozenset(record) for record in done.records} == {
        frozenset({"id", "date_time", "channel", "hits"})
    }
    assert {*sandbox.reports[0].params["fields"]} == {"id", "date_time", "channel", "hits"}
    nothing = read(config_of(sandbox), tmp_path, catalog={"streams": []})
    assert (nothing.code, nothing.messages) == (0, [])


def test_a_member_that_the_catalog_lacks_leaves_in_no_message(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = make_sessions(20, seed=9)
    for row in rows:
        row["hits"] = [{"hit_time": "t", "hit_duration": "d", "hit_url": "annas-page"}]
        row["segments"] = [{"segment_name": "annas-segment", "segment_id": 3}]
    config = config_of(make_sandbox(rows=rows), hash_columns=["hits.hit_url"], hash_key="k" * 32)
    schema = copy.deepcopy(discovered(Settings.from_config(config))["streams"][0]["json_schema"])
    for column, member in (("hits", "hit_url"), ("segments", "segment_name")):
        del schema["properties"][column]["items"]["properties"][member]
    done = read(config, tmp_path, catalog=catalog_of(schema)).check()
    assert len(done.records) == 20
    for record in done.records:
        assert record["hits"] == [{"hit_time": "t", "hit_duration": "d"}]
        assert record["segments"] == [{"segment_id": 3}]
    assert "annas-" not in json.dumps(done.messages)


SETTINGS = Settings.from_config({"access_token": "x", "start_date": "2024-01-01"})
INCREMENTAL = Configured(Columns(["id"]), is_full_refresh=False)


@pytest.mark.parametrize(
    ("catalog", "word"),
    [
        (None, "no.* object|not an object"),
        ({"streams": [{"stream": {"name": "visits"}, "sync_mode": "incremental"}]}, "visits"),
        (catalog_of(mode="cdc"), "cdc"),
        (
            {"streams": [{**catalog_of()["streams"][0], "cursor_field": ["duration"]}]},
            "duration",
        ),
    ],
)
def test_a_catalog_that_asks_for_what_there_is_not_is_named(catalog: Any, word: str) -> None:
    with pytest.raises(ConfiguredCatalogError, match=word):
        configured(catalog, SETTINGS)


@pytest.mark.parametrize(
    "state",
    [
        "x",
        [1],
        [{"type": "LEGACY", "data": {"replication_key": "date_time"}}],
        {"replication_key_value": "2024-05-01T00:00:00Z"},
        {"type": "GLOBAL", "global": {"shared_state": {}}},
        [{"stream": {"stream_descriptor": {"name": NAME}, "stream_state": 3}}],
        [
            {
                "stream": {
                    "stream_descriptor": {"name": NAME},
                    "stream_state": {"replication_key_value": "05/2024"},
                }
            }
        ],
    ],
)
def test_a_state_that_cannot_be_used_is_named_before_any_request(
    state: Any, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    with pytest.raises(StateError):
        AirbyteState(state, SETTINGS, INCREMENTAL)
    sandbox = make_sandbox()
    done = read(config_of(sandbox), tmp_path, state=state)
    [error] = done.traces("ERROR")
    assert (done.code, error["failure_type"], sandbox.calls) == (1, "config_error", [])
    assert "start without a state" in error["message"]


def test_a_state_of_the_singer_tap_is_gone_on_from(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=100)
    config = config_of(sandbox, lookback_window="PT1S")
    tap = run_tap(config, directory=tmp_path).check()
    own = tap.state["bookmarks"][NAME]
    state = [
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": NAME}, "stream_state": own}}
    ]
    done = read(config, tmp_path, state=state).check()
    assert len(done.records) <= 1
    assert done.of("STATE")[-1]["state"]["stream"]["stream_state"]["read"] == own["read"]


# Errors


def test_an_error_is_reported_with_who_can_do_something_about_it(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=900, limits=Limits(day=4))
    for config, kind, word in (
        (config_of(sandbox, access_token="wrong-token-1"), "config_error", "token"),
        (config_of(sandbox, concurrency=99), "config_error", "concurrency"),
        (config_of(sandbox, page_size=50, concurrency=1), "transient_error", "daily API limit"),
    ):
        done = read(config, tmp_path)
        assert (done.code, done.stderr) == (1, "")
        [error] = done.traces("ERROR")
        assert error["failure_type"] == kind
        assert word in error["message"]
        assert "\n" not in error["message"]
        assert "wrong-token-1" not in json.dumps(done.messages)
        assert done.messages[-1]["type"] == "TRACE"
    assert done.statuses == ["STARTED", "RUNNING", "INCOMPLETE"]
    assert done.records


@pytest.mark.parametrize("arguments", [[], ["write"], ["read"], ["check", "--config", "gone.json"]])
def test_a_wrong_command_line_is_a_message_too(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    [message] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert message["trace"]["error"]["message"]


FAILURES = {
    ConfigError("x", "y"): "config_error",
    SettingsError(["x"]): "config_error",
    StateError("x"): "config_error",
    ConfiguredCatalogError("x"): "config_error",
    ApiError("x", mnemonic="access_token_invalid"): "config_error",
    SecondTooFull("x"): "config_error",
    TapError("a file that cannot be read"): "config_error",
    InternalError("x"): "transient_error",
    LimitExceeded("x"): "transient_error",
    DailyLimitReached("x"): "transient_error",
    Unreachable("x"): "transient_error",
    CountMismatch("x"): "transient_error",
    CustomersFailed("x", [InternalError("y"), CountMismatch("y")]): "transient_error",
    CustomersFailed("x", [InternalError("y"), ApiError("y", mnemonic="forbidden")]): "config_error",
    CustomersFailed("x", [InternalError("y"), Unreadable("y")]): "system_error",
    Unreadable("x"): "system_error",
    ValueError("x"): "system_error",
}


@pytest.mark.parametrize("problem", FAILURES, ids=lambda problem: type(problem).__name__)
def test_who_can_do_something_about_an_error(problem: Exception) -> None:
    assert failure_type(problem) == FAILURES[problem]


def mark_of(value: str, **more: Any) -> list[dict[str, Any]]:
    progress = {"replication_key": "date_time", "replication_key_value": value, **more}
    stream = {"stream_descriptor": {"name": NAME}, "stream_state": progress}
    return [{"type": "STREAM", "stream": stream}]


OTHER = [{"type": "STREAM", "stream": {"stream_descriptor": {"name": "calls"}, "stream_state": {}}}]


@pytest.mark.parametrize(
    ("state", "more", "word"),
    [
        (mark_of("2099-01-01T00:00:00Z"), {}, "lies in the future"),
        (
            mark_of("2024-05-10T00:00:00Z"),
            {"account_type": "partner", "timezone": "UTC"},
            "of a customer's account",
        ),
        (OTHER, {}, "has nothing about visitor_sessions"),
    ],
)
def test_a_state_that_is_passed_over_is_warned_about(
    state: Any, more: dict[str, Any], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"access_token": "x", "start_date": "2024-01-01", **more}
    AirbyteState(state, Settings.from_config(config), INCREMENTAL)
    [line] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert word in line.getMessage()


def test_an_empty_state_file_is_no_state_and_a_byte_order_mark_is_none_of_it(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=20)
    (tmp_path / "state").write_text("")
    text = json.dumps(config_of(sandbox))
    (tmp_path / "marked.json").write_text(text, encoding="utf-8-sig")
    files = [f"--state={tmp_path}/state", f"--config={tmp_path}/marked.json"]
    done = subprocess.run(
        [*COMMAND, "read", *files, *written(tmp_path, catalog=catalog_of())],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    run = Done(done.returncode, messages, done.stderr).check()
    assert len(run.records) == 20
    warnings = [m["log"]["message"] for m in run.of("LOG") if m["log"]["level"] == "WARN"]
    assert len(warnings) == 1
    assert "is empty: everything" in warnings[0]


def test_waiting_for_points_is_reported_with_its_reset(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=400, limits=Limits(minute=4, minute_seconds=2))
    started = time.time()
    done = read(config_of(sandbox, page_size=50, concurrency=1), tmp_path)
    assert done.code == 0
    reasons = [trace["reasons"] for trace in done.traces("STREAM_STATUS") if "reasons" in trace]
    assert reasons
    for [reason] in reasons:
        assert reason["type"] == "RATE_LIMITED"
        reset = reason["rate_limited"]["quota_reset"] / 1000
        assert started < reset < time.time() + 60
    assert len(done.records) == 400


# The promise, through this host


def test_a_partners_customers_come_and_a_failing_one_is_named_at_the_end(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = rows_of([10, 20, 30], 40)
    sandbox = make_sandbox(**agency(rows), refusals={2: "account_inactive"})
    done = read(partner_config(sandbox), tmp_path)
    assert done.code == 1
    assert {record["user_id"] for record in done.records} == {10, 30}
    assert {record["id"] for record in done.records} == {
        row["id"] for user in (10, 30) for row in rows[user]
    }
    [error] = done.traces("ERROR")
    assert "customer 2" in error["message"]
    partitions = done.of("STATE")[-1]["state"]["stream"]["stream_state"]["partitions"]
    bookmarks = {one["context"]["user_id"]: one.get("replication_key_value") for one in partitions}
    assert bookmarks[10]
    assert bookmarks[30]
    assert not bookmarks.get(20)
    assert {one["customer_id"] for one in partitions if "customer_id" in one} >= {1, 3}


def test_through_faults_nothing_is_lost(
    make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandboxes = []
    for seed in range(4):
        faults = Faults(
            http_error_rate=0.1,
            cut_body_rate=0.1,
            html_200_rate=0.1,
            internal_error_rate=0.1,
            duplicate_rate=0.1,
            short_pages=40 if seed < 2 else None,
            reshuffle=True,
            numbers_as_strings=bool(seed % 2),
            null_arrays=bool(seed % 2),
        )
        sandbox = make_sandbox(sessions=800, seed=seed, faults=faults, timezone=ZONE)
        sandboxes.append(sandbox)
        done = read(config_of(sandbox, page_size=60, max_retries=20), tmp_path).check()
        want = {row["id"]: as_emitted(row, ZONE) for row in sandbox.rows()}
        found = {record["id"]: record for record in done.records}
        assert found == want
        assert len(done.records) == len(want)
    check_injected(*sandboxes)
    for fault in vars(Faults()):
        if injected := sum(one.injected[fault] for one in sandboxes):
            tally("Airbyte", fault.removesuffix("_rate").replace("_", " "), injected=injected)


# Listing


def test_the_listing_says_what_the_source_is() -> None:
    """That it is valid by Airbyte's schema is looked at by `dev.py pyairbyte`."""
    folder = ROOT / "hub/airbyte"
    data = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))["data"]
    urls = [data["documentationUrl"], specification()["documentationUrl"]]
    assert urls[0] == urls[1]
    assert urls[0].endswith("docs/airbyte.md")
    assert (folder / data["icon"]).read_bytes() == (ROOT / "hub/logo.svg").read_bytes()
    brands = re.findall(r"https://([\w.]+)/v2.0", PROPERTIES["api_url"]["description"])
    assert data["allowedHosts"]["hosts"] == brands
    assert data["suggestedStreams"]["streams"] == [NAME]
    page = (ROOT / "docs/airbyte.md").read_text(encoding="utf-8")
    assert f"| {data['dockerImageTag']} |" in page.partition("## Changelog")[2]
    assert re.findall(r"^# (.+)", page, re.M)[0] == data["name"]
    headings = re.findall(r"^## (.+)", page, re.M)
    assert headings == [
        "Prerequisites",
        "Setup guide",
        f"Set up {data['name']}",
        "Supported sync modes",
        "Supported Streams",
        "Data type map",
        "Limitations & Troubleshooting",
        "Changelog",
    ]
    required = specification()["connectionSpecification"]["required"]
    assert all(f"`{name}`" in page.partition("## Setup guide")[0] for name in required)
    entry = yaml.safe_load((ROOT / "hub/tap-visitor-sessions.yml").read_text(encoding="utf-8"))
    assert data["releaseStage"] == entry["maintenance_status"]
    assert {one.partition(":")[0] for one in data["tags"]} == {"language", "cdk"}
    assert data["maxSecondsBetweenMessages"] > 2 * REMINDED_EVERY
    assert data["registryOverrides"]["cloud"] == {"enabled": False}
