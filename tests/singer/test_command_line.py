"""How an error looks: one ERROR line that names the fix, whatever the tap was handed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import LOGGING, Run, call_here, config_of, parsed, run_tap

from sandbox import Faults, Limits, Sandbox
from tap_visitor_sessions import __main__
from tap_visitor_sessions.singer.errors import one_line, where

CONFIG = {"access_token": "s3cret-key", "api_url": "http://127.0.0.1:9/v2.0"}
CONFIG |= {"start_date": "2024-05-01"}


def called(*arguments: str, directory: Path) -> Run:
    return parsed(*call_here(__main__.main, list(arguments)))


def the_error(run: Run) -> str:
    """The one ERROR line; the rest of stderr is INFO."""
    assert run.code == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert "unhandled" not in run.stderr.lower()
    [line] = [line for line in run.stderr.splitlines() if "| ERROR" in line]
    assert not [line for line in run.stderr.splitlines() if "| " not in line]
    return line


@pytest.mark.parametrize("kind", ["config", "state", "catalog"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"{", "no JSON"),
        (b'{"access_token": "s3cret-key" "x"}', "no JSON"),
        (b"[1]", "object"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "JSON|nested"),
    ],
    ids=["missing", "cut", "comma", "list", "bytes", "deep"],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    kind: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    files = {"config": tmp_path / "c.json"}
    files["config"].write_text(json.dumps(CONFIG))
    files[kind] = tmp_path / "handed.json"
    if content is not None:
        files[kind].write_bytes(content)
    arguments = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    line = the_error(called(*arguments, directory=tmp_path))
    assert f"{kind} file" in line
    assert str(files[kind]) in line
    assert any(word in line for word in said.split("|"))
    assert "s3cret-key" not in line


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    line = the_error(called("--config", str(tmp_path), directory=tmp_path))
    assert "config file" in line


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        ({}, {"access_token": "wrong"}, "access_token"),
        ({"limits": Limits(day=2)}, {"page_size": 20}, "limit"),
        ({}, {"page_size": 0, "concurrency": "many"}, "page_size"),
        (
            {},
            {"stream_maps": {"visitor_sessions": {"x": "int(channel) / 0"}}},
            "visitor_sessions",
        ),
        ({"faults": Faults(http_error_rate=1.0)}, {"max_retries": 0}, "HTTP"),
    ],
    ids=["key", "points", "settings", "map on a record", "gateway"],
)
def test_an_error_of_a_run_is_one_line(
    options: dict[str, Any],
    more: dict[str, Any],
    said: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    run = run_tap(config_of(make_sandbox(sessions=200, **options), **more), directory=tmp_path)
    assert said in the_error(run)


def test_in_a_structured_log_too_it_is_one(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    (tmp_path / "logging.yml").write_text(LOGGING)
    env = {"SINGER_SDK_LOG_CONFIG": str(tmp_path / "logging.yml")}
    config = config_of(make_sandbox(), access_token="wrong")
    run = run_tap(config, directory=tmp_path, env=env)
    assert run.code == 1
    entries = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    [error] = [entry for entry in entries if entry["level"].upper() == "ERROR"]
    assert "access_token" in error["message"]
    assert "Traceback" not in run.stderr


def test_what_nobody_foresaw_shows_its_kind_and_place_but_not_its_text() -> None:
    try:
        raise KeyError("s3cret-key")
    except KeyError as problem:
        line, places = one_line(problem), where(problem)
    assert "KeyError in test_command_line" in line
    assert "test_command_line.py" in places
    assert "s3cret" not in line + places


# get.account


def refusing(make_sandbox: MakeSandbox) -> Sandbox:
    return make_sandbox(sessions=20, faults=Faults(errors={"get.account": ["forbidden"] * 9}))


def test_where_get_account_is_refused_the_fix_names_timezone(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    for arguments in ([], ["--test"]):
        run = run_tap(config_of(refusing(make_sandbox)), *arguments, directory=tmp_path)
        assert "timezone" in the_error(run)


@pytest.mark.parametrize("argument", [None, "--test", "--doctor"])
def test_with_timezone_its_refusal_is_no_fault(
    argument: str | None, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = refusing(make_sandbox)
    config = config_of(sandbox, timezone="Europe/Moscow")
    run = run_tap(config, *([argument] if argument else []), directory=tmp_path)
    assert run.code == 0, run.stderr + run.stdout
    methods = {call.method for call in sandbox.calls}
    assert methods == {"get.account", "get.visitor_sessions_report"}


@pytest.mark.parametrize(
    ("options", "more", "failing"),
    [
        ({"disabled_component": True}, {}, "components"),
        ({}, {"access_token": "wrong"}, "key"),
        ({"allowed_ips": {"192.0.2.1"}}, {}, "address"),
        ({}, {"api_url": "http://127.0.0.1:9/v2.0", "max_retries": 0}, "host"),
    ],
    ids=["component", "key", "address", "host"],
)
def test_the_doctor_finds_the_same_cause_with_timezone(
    options: dict[str, Any],
    more: dict[str, Any],
    failing: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
) -> None:
    config = config_of(make_sandbox(**options), timezone="Europe/Moscow", **more)
    run = run_tap(config, "--doctor", directory=tmp_path)
    assert run.code == 1
    first = next(line for line in run.stdout.splitlines() if line.startswith("FAIL"))
    assert first.removeprefix("FAIL").strip().startswith(failing)
    assert "Traceback" not in run.stderr
