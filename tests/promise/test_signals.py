"""A run that is ended from outside: last STATE, no traceback, and nothing lost on resuming."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from conftest import MakeSandbox, Tally, examples
from hosts import EVERY_HOST, HOSTS, Host
from support import config_of
from target import Target

from sandbox import Faults, Limits, Sandbox

SOON = 20
"""Seconds, ten times what it takes to end; what is waited for comes after sixty."""
FULL = 55_000
"""Bytes, of the 65 536 that a pipe holds."""
COMMAND = [sys.executable, "-m", "tap_visitor_sessions", "--config", "config.json"]
SIGNALS = pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGKILL],
    ids=["SIGTERM", "SIGINT", "SIGKILL"],
)


def code_of(host: Host, number: signal.Signals) -> int:
    """That of a run that was ended: Airbyte's source ends by the signal itself."""
    by_itself = host.name == "airbyte" or number is signal.SIGKILL
    return -number if by_itself else 128 + number


def is_of_python(code: int, number: signal.Signals, errors: str) -> bool:
    """Whether Python itself was still starting: not ours to handle."""
    return code == -number or errors.startswith(("Fatal Python error: init_", "Could not import"))


def until(ready: Callable[[], object]) -> None:
    """Wait for what surely comes."""
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_requests(sandbox: Sandbox, count: int, process: subprocess.Popen[str]) -> None:
    """Until the process has sent so many more, or has ended."""
    seen = len(sandbox.calls) + count
    until(lambda: len(sandbox.calls) >= seen or process.poll() is not None)


def unread(pipe: IO[str]) -> int:
    """How many bytes wait in a pipe."""
    found = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(found, sys.byteorder)


def end(process: subprocess.Popen[str], number: signal.Signals, code: int) -> list[str]:
    """Send a signal; check that the process ends in time and quietly; its remaining lines."""
    assert process.stdout
    assert process.stderr
    told = time.monotonic()
    process.send_signal(number)
    lines = process.stdout.readlines()
    errors = process.stderr.read()
    assert process.wait(SOON) in (code, 0), errors  # 0: it was done already
    assert time.monotonic() - told < SOON
    assert "Traceback" not in errors
    return lines


@pytest.mark.one_host
@SIGNALS
@pytest.mark.parametrize(
    ("host", "batch"),
    [*((host, False) for host in HOSTS), (HOSTS[0], True)],
    ids=[*(host.name for host in HOSTS), "batches"],
)
def test_killed_at_a_random_line_and_resumed_the_union_is_complete(
    number: signal.Signals,
    host: Host,
    batch: bool,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    tally: Tally,
) -> None:
    sandbox = make_sandbox(sessions=3000, seed=6, faults=Faults(latency=0.02))
    config = config_of(sandbox, page_size=60, concurrency=2, lookback_window="PT1S")
    if batch:
        config["batch_config"] = {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
            "batch_size": 101,
        }
    target, source = Target(host), random.Random(int(number))
    kills = examples(3)
    for _ in range(kills):
        process = host.start(config, target.state, tmp_path)
        assert process.stdout
        lines: list[str] = []
        stop_after = source.randrange(2, 12) if batch else source.randrange(5, 700)
        for line in process.stdout:
            lines.append(line)
            if len(lines) == stop_after:
                break
        lines += end(process, number, code_of(host, number))
        if number is not signal.SIGKILL:
            assert list(host.heard(lines))[-1][0] == "STATE"
        target.read(lines)
    last = host.run(config, state=target.state, directory=tmp_path).check()
    target.held |= {record["id"] for record in last.records}
    lost = {row["id"] for row in sandbox.rows()} - target.held
    what = "BATCH files" if batch else "records"
    tally("Kills", f"{number.name} between {what} ({host.name})", injected=kills, lost=len(lost))


@pytest.mark.one_host
@SIGNALS
@EVERY_HOST
def test_killed_at_a_random_moment_and_resumed_the_union_is_complete(
    host: Host,
    number: signal.Signals,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    tally: Tally,
) -> None:
    """Moments from the first import to the last record."""
    sandbox = make_sandbox(sessions=3000, seed=7, faults=Faults(latency=0.02))
    config = config_of(sandbox, page_size=60, concurrency=3, lookback_window="PT0S")
    target, source, injected = Target(host), random.Random(100 + int(number)), 0
    # After so many requests, and seconds more.
    early = [(0, 0.15), (0, 0.4)]
    later = [(source.randint(1, 15), source.random() / 30) for _ in range(examples(3))]
    moments = [*early, *later]
    for requests, pause in moments:
        process = host.start(config, target.state, tmp_path)
        lines: list[str] = []
        assert process.stdout
        reader = threading.Thread(target=lines.extend, args=(iter(process.stdout.readline, ""),))
        reader.start()
        wait_for_requests(sandbox, requests, process)
        time.sleep(pause)
        process.send_signal(number)
        ended = process.wait(SOON)
        reader.join(SOON)
        assert process.stderr
        errors = process.stderr.read()
        injected += ended != 0
        if not lines and number is not signal.SIGKILL and is_of_python(ended, number, errors):
            continue
        assert ended in (code_of(host, number), 0), errors
        assert "Traceback" not in errors
        before = target.state
        target.read(lines)
        assert host.mark(target.state) >= host.mark(before)
    last = host.run(config, state=target.state, directory=tmp_path).check()
    target.held |= {record["id"] for record in last.records}
    lost = {row["id"] for row in sandbox.rows()} - target.held
    fault = f"{number.name} at a random moment ({host.name})"
    assert injected >= len(moments) - 1
    tally("Kills", fault, injected=injected, lost=len(lost))


@pytest.mark.one_host
@EVERY_HOST
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("waits_for", ["an answer", "a retry", "the minute", "a login"])
def test_a_signal_ends_every_kind_of_wait(
    host: Host,
    number: signal.Signals,
    waits_for: str,
    make_sandbox: MakeSandbox,
    tmp_path: Path,
    tally: Tally,
) -> None:
    sandbox = make_sandbox(sessions=900, seed=8)
    calm = 6

    def then_wait(sandbox: Sandbox, _: object) -> None:
        if len(sandbox.reports) == calm:
            if waits_for == "an answer":
                sandbox.faults.latency = 60
            elif waits_for == "a retry":
                sandbox.faults.http_error_rate = 1
            elif waits_for == "the minute":
                sandbox.meters.limits = Limits(minute=calm)

    sandbox.faults.arrive = then_wait
    config = config_of(sandbox, page_size=60, concurrency=2)
    if waits_for == "a login":
        sandbox.faults.latency = 60
        config |= {"login": sandbox.login, "password": sandbox.password}
        del config["access_token"]
    began = "2024-05-02T00:00:00Z"
    state = host.state_of({"replication_key": "date_time", "replication_key_value": began})
    process = host.start(config, state, tmp_path)
    assert process.stdout
    lines: list[str] = []
    reader = threading.Thread(target=lines.extend, args=(iter(process.stdout.readline, ""),))
    reader.start()
    until(lambda: len(sandbox.reports) >= calm or (waits_for == "a login" and sandbox.most_at_once))
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(SOON) == code_of(host, number)
    reader.join(SOON)
    assert process.stderr
    assert "Traceback" not in process.stderr.read()
    kind, last = list(host.heard(lines))[-1]
    assert kind == "STATE"
    assert host.mark(last) >= began
    tally("Kills", f"{number.name} while waiting for {waits_for} ({host.name})", injected=1)


def test_a_closed_pipe_ends_quietly(
    make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(sessions=3000)
    (tmp_path / "config.json").write_text(json.dumps(config_of(sandbox, page_size=60)))
    tap = " ".join(COMMAND)
    done = subprocess.run(
        ["bash", "-c", f"{tap} | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["type"] == "SCHEMA"
    assert done.returncode == 141  # as a shell names SIGPIPE: not a success
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr
    tally("Kills", "stdout closed (`| head -1`)", injected=1)


@EVERY_HOST
def test_a_reader_that_stopped_reading_does_not_hold_up_the_end(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(sessions=3000)
    process = host.start(config_of(sandbox), None, tmp_path)
    pipe = process.stdout
    assert pipe
    os.read(pipe.fileno(), 100)
    until(lambda: unread(pipe) > FULL)
    time.sleep(0.3)
    process.terminate()
    assert process.wait(SOON) == code_of(host, signal.SIGTERM)
    tally("Kills", f"SIGTERM while the reader has stopped reading ({host.name})", injected=1)
