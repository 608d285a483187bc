"""Points shared by several processes, by the minute and by the day: real processes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, Tally
from hosts import HOSTS
from support import config_of, run_tap
from target import Target

from sandbox import Limits, Sandbox

MINUTE = 3.0  # seconds that the sandbox calls a minute
TAP = f"""
from tap_visitor_sessions.__main__ import main
from tap_visitor_sessions.api import limits
limits.WINDOW["minute"] = {MINUTE}
main()
"""


def start_all(configs: list[dict[str, Any]], directory: Path) -> list[subprocess.Popen[str]]:
    processes = []
    for number, config in enumerate(configs):
        path = directory / f"config{number}.json"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-c", TAP, "--config", str(path)]
        out = (directory / f"out{number}").open("w")
        processes.append(subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True))
    return processes


def rejected_by_window(sandbox: Sandbox) -> Counter[tuple[int, str]]:
    """Rejections by minute window and process (each reads with a page size of its own)."""
    began = sandbox.meters.windows_began
    found: Counter[tuple[int, str]] = Counter()
    for call in sandbox.calls:
        if call.mnemonic == "limit_exceeded":
            window = sum(at <= call.at for at in began)
            found[window, str(call.params.get("limit", call.method))] += 1
    return found


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("latency", [0.0, 0.15])
def test_processes_that_share_a_minute_limit_do_not_hammer(
    processes: int, latency: float, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sessions = 600 if processes == 1 else 400  # two minutes' points
    sandbox = make_sandbox(sessions=sessions, limits=Limits(minute=24, minute_seconds=MINUTE))
    sandbox.faults.latency = latency
    configs = [config_of(sandbox, page_size=30 + n, timezone="UTC") for n in range(processes)]
    running = start_all(configs, tmp_path)
    for number, process in enumerate(running):
        errors = process.communicate(timeout=90)[1]
        assert process.returncode == 0, errors
        lines = (tmp_path / f"out{number}").read_text().splitlines()
        assert sum(line.startswith('{"type":"RECORD"') for line in lines) == sessions
    rejected = rejected_by_window(sandbox)
    print(processes, latency, len(sandbox.calls), rejected)
    counts = sorted(rejected.values())
    # One each a window where others take points too. What happens while a process is kept off a
    # busy machine's cores it cannot know: once in the run, one more.
    free = 1 if processes > 1 else 0
    assert sum(count - free for count in counts) <= 1, rejected
    charged = sum(call.mnemonic is None for call in sandbox.calls)
    windows = math.ceil(charged / 24)
    assert windows > 1, "the points were never used up"
    tally(
        "Limits",
        f"minute's points used up, {processes} process(es) sharing them",
        injected=windows,
    )


def test_waiting_for_the_day_goes_on_by_itself(
    make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(sessions=1000, limits=Limits(day=9, day_seconds=3))
    config = config_of(sandbox, page_size=100, on_daily_limit="wait")
    run = run_tap(config, directory=tmp_path).check()
    lost = 1000 - len(run.records)
    rejected = sum(call.mnemonic == "limit_exceeded" for call in sandbox.calls)
    assert rejected <= len(sandbox.calls) / 9 + 1
    assert "waiting" in run.stderr
    tally("Limits", "day's points used up, `on_daily_limit: wait`", injected=1, lost=lost)


@pytest.mark.parametrize("batch", [False, True], ids=["records", "batches"])
def test_failing_at_the_daily_limit_loses_nothing_over_the_days(
    batch: bool, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(sessions=1000, limits=Limits(day=8))
    config = config_of(sandbox, page_size=100, lookback_window="PT0S")
    if batch:
        config["batch_config"] = {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": tmp_path.as_uri()},
            "batch_size": 77,
        }
    target, days = Target(HOSTS[0]), 0
    while days < 9:
        days += 1
        run = run_tap(config, state=target.state, directory=tmp_path)
        target.read(run.stdout.splitlines(keepends=True))
        if run.code == 0:
            break
        assert run.code == 1
        assert "daily API limit" in run.stderr
        assert "Traceback" not in run.stderr
        sandbox.meters.new_day()
    lost = {row["id"] for row in sandbox.rows()} - target.held
    tally(
        "Limits",
        "day's points used up, `on_daily_limit: fail`, next run the next day"
        + (" (BATCH)" if batch else ""),
        injected=days - 1,
        lost=len(lost),
    )
