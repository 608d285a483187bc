"""A run that is ended from outside: last STATE, no traceback, and nothing lost on resuming."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import run_tap
from test_tap import config_of

from sandbox import Faults

COMMAND = [sys.executable, "-m", "tap_visitor_sessions", "--config", "config.json"]


def start(config: dict[str, Any], state: dict[str, Any], directory: Path) -> subprocess.Popen[str]:
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "state.json").write_text(json.dumps(state))
    return subprocess.Popen(
        [*COMMAND, "--state", "state.json"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",  # a kill may cut a character in two
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)],
    ids=lambda value: str(value),
)
def test_killed_anywhere_and_resumed_the_union_is_complete(
    number: signal.Signals, code: int, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=3000, seed=6, faults=Faults(latency=0.02))
    config = config_of(sandbox, page_size=60, concurrency=2, lookback_window="PT1S")
    state: dict[str, Any] = {}
    held: set[int] = set()
    source = random.Random(int(number))
    for _ in range(4):
        process = start(config, state, tmp_path)
        assert process.stdout
        assert process.stderr
        lines = []
        stop_after = source.randrange(5, 700)
        for line in process.stdout:
            lines.append(line)
            if len(lines) == stop_after:
                process.send_signal(number)
                told = time.monotonic()
                break
        lines += process.stdout.readlines()
        errors = process.stderr.read()
        assert process.wait(10) == code
        assert time.monotonic() - told < 2
        assert "Traceback" not in errors
        if number is signal.SIGKILL and lines and not lines[-1].endswith("\n"):
            lines.pop()
        # A target commits what came before the last STATE that it saw.
        pending: set[int] = set()
        for message in map(json.loads, lines):
            if message["type"] == "RECORD":
                pending.add(message["record"]["id"])
            elif message["type"] == "STATE":
                held |= pending
                state = message["value"]
        if number is not signal.SIGKILL:
            assert json.loads(lines[-1])["type"] == "STATE"
    last = run_tap(config, state=state, directory=tmp_path).check()
    held |= {record["id"] for record in last.records}
    assert held == {row["id"] for row in sandbox.rows()}


def test_a_closed_pipe_ends_quietly(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=3000)
    process = start(config_of(sandbox, page_size=60), {}, tmp_path)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(20) != 0
    assert "Traceback" not in errors


def test_a_reader_that_stopped_reading_does_not_hold_up_the_end(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=3000)
    process = start(config_of(sandbox), {}, tmp_path)
    assert process.stdout
    os.read(process.stdout.fileno(), 100)
    time.sleep(2)  # by now the pipe is full
    process.terminate()
    assert process.wait(3) == 143
