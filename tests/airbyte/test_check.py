"""`check`: a verdict on what the user can change, and none on what passes."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_runs import COMMAND, Done, source, written
from conftest import MakeSandbox
from support import ROOT, config_of, run_tap

from sandbox import Faults, Limits, make_sessions
from tap_visitor_sessions.airbyte import checking
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.api import TapError, TransientError, client


def recent(**more: Any) -> list[dict[str, Any]]:
    end = datetime.now().replace(microsecond=0) - timedelta(days=1)
    return [{**row, **more} for row in make_sessions(20, start=end - timedelta(days=1), end=end)]


def check_here(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Any:
    """The verdict of a check in this process; an error escapes."""
    airbyte_source.Source(Messages()).check(config)
    [line] = capsys.readouterr().out.splitlines()
    return json.loads(line)["connectionStatus"]


@pytest.mark.parametrize(
    "faults",
    [
        {"http_error_rate": 1.0},
        {"reset_rate": 1.0},
        {"cut_body_rate": 1.0},
        {"truncated_json_rate": 1.0},
        {"html_200_rate": 1.0},
        {"wrong_id_rate": 1.0},
        {"internal_error_rate": 1.0},
        {"errors": {"get.account": ["internal_error"] * 20}},
    ],
    ids=lambda faults: next(iter(faults)),
)
@pytest.mark.parametrize("zone", [{}, {"timezone": "Europe/Moscow"}], ids=["asked", "set"])
def test_what_passes_is_no_verdict(
    faults: dict[str, Any],
    zone: dict[str, str],
    make_sandbox: MakeSandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "BACKOFF", (0.001, 0.001))
    sandbox = make_sandbox(rows=recent(), faults=Faults(**faults))
    config = config_of(sandbox, max_retries=1000, request_timeout=86_400, **zone)
    with pytest.raises(TapError) as caught:
        check_here(config, capsys)
    assert airbyte_source.failure_type(caught.value) == "transient_error"
    assert capsys.readouterr().out == ""
    assert len(sandbox.calls) <= 3 * (checking.RETRIES + 1)


@pytest.mark.parametrize("limits", [Limits(day=0), Limits(day=1)], ids=["none", "one"])
def test_points_used_up_are_not_waited_for(
    limits: Limits, make_sandbox: MakeSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = make_sandbox(rows=recent(), limits=limits)
    with pytest.raises(TapError, match=r"limit|points") as caught:
        check_here(config_of(sandbox, on_daily_limit="wait"), capsys)
    assert airbyte_source.failure_type(caught.value) == "transient_error"


@pytest.mark.parametrize("waits", ["answer", "minute"])
def test_it_ends_whatever_it_waits_for(
    waits: str,
    make_sandbox: MakeSandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert checking.LONGEST + checking.LOGOUT < 60
    monkeypatch.setattr(checking, "LONGEST", 0.3)
    monkeypatch.setattr(checking, "LOGOUT", 0.1)
    sandbox = make_sandbox(rows=recent())
    if waits == "answer":
        sandbox.faults.latency = 20
    else:
        sandbox.meters.limits = Limits(minute=0)
    with pytest.raises(TransientError):
        check_here(config_of(sandbox, request_timeout=600), capsys)


def test_the_command_says_what_passes_as_an_error_that_names_no_stream(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(limits=Limits(day=0))
    done = source("check", tmp_path, config=config_of(sandbox, on_daily_limit="wait"))
    [error] = done.traces("ERROR")
    assert (done.code, done.of("CONNECTION_STATUS")) == (1, [])
    assert error["failure_type"] == "transient_error"
    assert "stream_descriptor" not in error


@pytest.mark.parametrize(
    "odd", [{"duration": "n/a"}, {"brand_new": 1}, {"hits": 7}, {"segments": {"x": []}}], ids=str
)
def test_an_odd_value_is_a_warning_as_it_is_for_a_read(
    odd: dict[str, Any],
    make_sandbox: MakeSandbox,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = make_sandbox(rows=recent())
    [name] = odd
    if name == "brand_new":
        sandbox.faults.mangle = lambda data: data.replace(b'{"', b'{"brand_new":1,"', 1)
    else:
        sandbox = make_sandbox(rows=recent(**odd))
    assert check_here(config_of(sandbox), capsys) == {"status": "SUCCEEDED"}
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any(name in line for line in warned), warned


def test_a_sample_that_no_read_could_take_is_ours(
    make_sandbox: MakeSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = make_sandbox(rows=recent())
    sandbox.faults.mangle = lambda data: data.replace(b'"id":', b'"id":"no number", "x":')
    with pytest.raises(TapError, match="without a usable id") as caught:
        check_here(config_of(sandbox), capsys)
    assert airbyte_source.failure_type(caught.value) == "system_error"


# The zone


@pytest.mark.parametrize(
    ("setting", "named", "differ"),
    [
        ("Asia/Tokyo", "Europe/Moscow", True),
        ("Europe/Moscow", "Europe/Moscow", False),
        ("W-SU", "Europe/Moscow", False),
        ("Europe/Minsk", "Europe/Moscow", False),
        ("Europe/London", "Etc/UTC", True),
        ("Europe/Moscow", "Mars/Olympus", False),
    ],
)
def test_a_zone_that_get_account_contradicts_is_warned_about(
    setting: str,
    named: str,
    differ: bool,
    make_sandbox: MakeSandbox,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = make_sandbox(rows=recent(), timezone="Europe/Moscow")
    sandbox.timezone = named
    assert check_here(config_of(sandbox, timezone=setting), capsys)["status"] == "SUCCEEDED"
    lines = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any(setting in line and named in line for line in lines) is differ, lines


@pytest.mark.parametrize("mnemonic", ["forbidden", "method_component_disabled", "whatever"])
def test_a_refusal_of_get_account_is_no_fault(
    mnemonic: str, make_sandbox: MakeSandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = make_sandbox(rows=recent(), faults=Faults(errors={"get.account": [mnemonic] * 20}))
    config = config_of(sandbox, timezone="Asia/Tokyo")
    assert check_here(config, capsys) == {"status": "SUCCEEDED"}
    for option in ("--doctor", "--test") if mnemonic == "forbidden" else ():
        run = run_tap(config, option, directory=tmp_path)
        assert run.code == 0, run.stdout + run.stderr
        assert "FAIL" not in run.stdout
        assert "| ERROR" not in run.stderr


def test_the_doctor_and_test_warn_of_the_zone_too(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(rows=recent(), timezone="Europe/Moscow")
    config = config_of(sandbox, timezone="Asia/Tokyo")
    doctor = run_tap(config, "--doctor", directory=tmp_path)
    [line] = [line for line in doctor.stdout.splitlines() if line.startswith("WARN")]
    assert doctor.code == 0
    assert "Asia/Tokyo" in line
    assert "Europe/Moscow" in line
    test = run_tap(config, "--test", directory=tmp_path)
    [line] = [line for line in test.stderr.splitlines() if "| WARNING" in line]
    assert test.code == 0
    assert "Asia/Tokyo" in line
    assert "Europe/Moscow" in line


def test_a_login_session_is_logged_out(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(rows=recent())
    config = config_of(sandbox, login=sandbox.login, password=sandbox.password)
    del config["access_token"]
    done = source("check", tmp_path, config=config)
    assert done.of("CONNECTION_STATUS")[0]["connectionStatus"] == {"status": "SUCCEEDED"}
    assert sandbox.calls[-1].method == "logout.user"


# The form's choice of key or login


def test_the_forms_choice_of_key_or_login_is_taken_as_the_flat_settings_are(
    make_sandbox: MakeSandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = make_sandbox(rows=recent())
    flat = config_of(sandbox)
    token = flat.pop("access_token")
    login = {"login": sandbox.login, "password": sandbox.password}
    for credentials in (
        {"auth_type": "access_token", "access_token": token},
        {"access_token": token},
        {"auth_type": "login", **login},
        {"auth_type": "login", **login, "access_token": ""},
    ):
        config = {**flat, "credentials": credentials}
        assert check_here(config, capsys) == {"status": "SUCCEEDED"}
    for credentials, word in (
        ({"auth_type": "access_token", **login}, "does not go with"),
        ({"auth_type": "oauth"}, "auth_type"),
        ({"auth_type": "login"}, "access_token: set it, or login"),
        ("secret-key-1", "must be an object"),
        ({"auth_type": "access_token", "access_token": "secret-key-2"}, "another value"),
    ):
        beside = {"access_token": token} if word == "another value" else {}
        status = check_here({**flat, **beside, "credentials": credentials}, capsys)
        assert status["status"] == "FAILED"
        assert word in status["message"]
        assert "secret-key" not in status["message"]


# The command line


@pytest.mark.parametrize("arguments", [["--help"], ["read", "--help"]])
def test_help_lists_what_there_is(arguments: list[str]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT)
    words = ("spec", "check", "discover", "read") if len(arguments) == 1 else ("--state", "--debug")
    assert done.returncode == 0
    assert all(word in done.stdout for word in words)


@pytest.mark.parametrize("way", ["--debug", "LOGLEVEL", None])
def test_where_an_error_happened_is_logged_for_whoever_debugs(
    way: str | None, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(faults=Faults(http_error_rate=1.0), token="key-of-the-account")
    options = written(tmp_path, config=config_of(sandbox, max_retries=0))
    done = subprocess.run(
        [*COMMAND, "check", *options, *(["--debug"] if way == "--debug" else [])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"TAP_VISITOR_SESSIONS_LOGLEVEL": "debug"} if way == "LOGLEVEL" else {},
    )
    run = Done(done.returncode, [json.loads(one) for one in done.stdout.splitlines()], "")
    [error] = run.traces("ERROR")
    assert run.code == 1
    assert ("stack_trace" in error) is (way is not None)
    if way is not None:
        assert "File " in error["stack_trace"]
        assert ", line " in error["stack_trace"]
        assert "HTTP 50" not in error["stack_trace"]  # the error's text may hold anything
    assert sandbox.token not in done.stdout + done.stderr
