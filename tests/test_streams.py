"""Standard streams as other programs hand them over: closed, not blocking, in another encoding."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MakeSandbox
from hosts import EVERY_HOST, Host
from support import config_of

TAP = [sys.executable, "-m", "tap_visitor_sessions"]


def shell(redirected: str, command: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    line = ["sh", "-c", f'exec "$@" {redirected}', "sh", *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload, no-any-return]


@EVERY_HOST
@pytest.mark.parametrize("redirected", ["2>&-", "<&-", "<&- 2>&-"])
def test_all_records_come_where_stderr_or_stdin_is_closed(
    redirected: str, host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    config = config_of(make_sandbox(sessions=120), page_size=50)
    command = [*host.command, *host.arguments(config, None, tmp_path)]
    done = shell(redirected, command)
    assert done.returncode == 0
    assert len(host.parsed(0, done.stdout, done.stderr).records) == 120


@EVERY_HOST
@pytest.mark.parametrize("redirected", [">&-", "<&- >&-", "1</dev/null", ">/dev/full"])
def test_a_stdout_that_takes_nothing_is_one_line(
    redirected: str, host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    config = config_of(make_sandbox(sessions=20))
    done = shell(redirected, [*host.command, *host.arguments(config, None, tmp_path)])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [*_, last] = done.stderr.splitlines()
    assert "stdout" in last
    assert sum("stdout" in line for line in done.stderr.splitlines()) == 1


@EVERY_HOST
def test_a_stdout_that_does_not_block_is_waited_for(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    config = config_of(make_sandbox(sessions=120), page_size=50)
    command = [*host.command, *host.arguments(config, None, tmp_path)]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as file:
            out = file.read()
    assert process.returncode == 0
    assert len(host.parsed(0, out, "").records) == 120


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_printed_is_waited_for_too(number: int) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    code = (
        "import sys; from tap_visitor_sessions.startup import use_standard_streams as use; use();"
        f"print('x' * 50_000, file={'sys.stdout' if number == 1 else 'sys.stderr'})"
    )
    others = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams = {**others, ("stdout" if number == 1 else "stderr"): writer}
    with subprocess.Popen([sys.executable, "-c", code], **streams) as process:
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as file:
            assert file.read() == "x" * 50_000 + "\n"
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["Ромашка", "日本"])
def test_letters_that_the_encoding_lacks_are_escaped(
    name: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    config = config_of(make_sandbox(sessions=20))
    (tmp_path / "config.json").write_text(json.dumps(config))
    variable = b"TAP_VISITOR_SESSIONS_ACCOUNT"
    env = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    env |= {variable: name.encode(), b"PYTHONUTF8": b"0", b"LC_ALL": b"C"}
    env |= {b"PYTHONCOERCECLOCALE": b"0", b"PYTHONIOENCODING": b"ascii"}
    command = [*TAP, "--config", str(tmp_path / "config.json"), "--config=ENV"]
    done = subprocess.run(command, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert {m["record"]["account"] for m in messages if m["type"] == "RECORD"} == {name}


NO_SHARED_MEMORY = """
import _multiprocessing
def refused(*_, **__):
    raise OSError(38, "no /dev/shm")
_multiprocessing.SemLock = refused
"""


def test_no_warning_of_a_library_reaches_stderr_from_the_first_import_on(tmp_path: Path) -> None:
    """joblib, which comes with the SDK, warns where /dev/shm cannot be written to."""
    (tmp_path / "sitecustomize.py").write_text(NO_SHARED_MEMORY)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    env.pop("PYTHONWARNINGS", None)

    def stderr_of(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "UserWarning" in stderr_of("-c", "import singer_sdk")
    for command in (
        ["tap_visitor_sessions", "--version"],
        ["tap_visitor_sessions.airbyte", "spec"],
    ):
        assert stderr_of("-m", *command) == ""


def test_a_name_that_is_printed_is_escaped_where_the_encoding_lacks_its_letters() -> None:
    code = (
        "from tap_visitor_sessions.startup import use_standard_streams as use; use();"
        "print('ok   account  Ромашка')"
    )
    env = {**os.environ, "PYTHONIOENCODING": "latin-1:strict"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("ok   account  \\u0420"), done.stderr


ENCODINGS = ["ascii", "latin-1", "koi8-r", "cp1251", "utf-8"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_names_of_the_account_come_whole_or_escaped_in_any_encoding(
    encoding: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """By the doctor for a reader; by --customers as JSON, whatever reads it."""
    name = "Ромашка é 🚗"
    sandbox = make_sandbox(sessions=0, partner={1: [10]})
    sandbox.called = name
    config = tmp_path / "настройки.json"
    settings = {"access_token": sandbox.token, "api_url": sandbox.url, "start_date": "2024-05-01"}
    settings |= {"account_type": "partner", "timezone": "Etc/UTC", "account": "Счёт é"}
    config.write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    env["PYTHONCOERCECLOCALE"] = "0"

    def said(*options: str) -> str:
        command = [*TAP, "--config", str(config), *options]
        done = subprocess.run(command, env=env, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(encoding)

    report = tmp_path / "отчёт.json"
    lines = said("--doctor", "--report", str(report)).splitlines()
    escaped = name.encode(encoding, "backslashreplace").decode(encoding)
    [line] = [line for line in lines if line.startswith("ok   components")]
    assert escaped in line
    assert lines[-1].startswith("ok   report")
    assert json.loads(report.read_text(encoding="utf-8"))["account"] == "partner"
    [customer] = json.loads(said("--customers"))
    assert customer["name"] == f"{name} 1"


@pytest.mark.parametrize(
    ("variable", "content", "code"),
    [
        ("TAP_VISITOR_SESSIONS_LOGLEVEL", "LOUD", 0),
        ("LOGLEVEL", "LOUD", 0),
        ("SINGER_SDK_LOG_CONFIG", None, 0),
        ("SINGER_SDK_LOG_CONFIG", "a: [", 1),
        ("SINGER_SDK_LOG_CONFIG", "version: 9", 1),
        ("SINGER_SDK_LOG_CONFIG", "", 1),
    ],
)
def test_what_cannot_be_used_of_the_log_is_a_line_that_names_the_variable(
    variable: str, content: str | None, code: int, tmp_path: Path
) -> None:
    value = str(content)
    if variable == "SINGER_SDK_LOG_CONFIG":
        path = tmp_path / "logging.yml"
        value = str(path)
        if content is not None:
            path.write_text(content)
    env = {**os.environ, variable: value}
    done = subprocess.run([*TAP, "--version"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if variable in line]
    assert len(lines) == 1, done.stderr


@EVERY_HOST
@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&1 >/dev/null | true"])
def test_a_log_that_nobody_takes_is_no_failure(
    redirected: str, host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """The disk of the logs is full, or whoever read them has gone: all sessions came."""
    config = config_of(make_sandbox(sessions=20))
    command = [*host.command, *host.arguments(config, None, tmp_path)]
    code = tmp_path / "code"
    script = f'{{ "$@"; echo $? >{code}; }} {redirected}'
    subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, timeout=60)
    assert code.read_text().strip() == "0"


@pytest.mark.parametrize("option", ["--about", "--version", "--help", "--discover", "--doctor"])
def test_what_a_full_disk_does_not_take_is_said_in_one_line(
    option: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(make_sandbox(sessions=20))))
    done = shell(">/dev/full", [*TAP, "--config", str(config), option])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [*_, last] = done.stderr.splitlines()
    assert "stdout cannot be written to: No space left on device" in last
