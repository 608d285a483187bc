"""What a person sees on a terminal, and what a pipeline's log holds."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox
from support import LOGGING, config_of, run_tap

from sandbox import Faults, Limits
from sandbox.data import make_sessions
from tap_visitor_sessions.sessions.progress import Progress


def on_a_terminal(config: dict[str, Any], directory: Path) -> tuple[int, str, bytes]:
    """Exit code, what the terminal showed, and stdout, which goes to a file."""
    (directory / "config.json").write_text(json.dumps(config))
    try:
        ours, theirs = pty.openpty()
    except OSError as problem:
        pytest.skip(f"there is no pseudo-terminal here: {problem}")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    command = [sys.executable, "-m", "tap_visitor_sessions", f"--config={directory}/config.json"]
    with (directory / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    return process.wait(60), shown.decode(), (directory / "out").read_bytes()


def test_a_terminal_shows_how_far_the_run_is(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(
        sessions=3000, limits=Limits(minute=1000, day=5000), faults=Faults(latency=0.3)
    )
    code, shown, out = on_a_terminal(config_of(sandbox, page_size=200, concurrency=2), tmp_path)
    assert code == 0, shown
    lines = re.findall(
        r"(\d+)% \|[^|]*\| ([\d ]+) sessions, [\d ]+/s, points left: (\d+) of 1000 per minute, "
        r"\d+ of 5000 per day, ETA [\d:?]+",
        shown,
    )
    assert len(lines) >= 3, shown
    shares = [int(share) for share, _, _ in lines]
    assert shares == sorted(shares)
    assert any(0 < share < 100 for share in shares)
    assert lines[-1][:2] == ("100", "3 000")
    assert "Summary: 3000 sessions" in shown
    # What follows the tap must not notice.
    assert [json.loads(line)["type"] for line in out.splitlines()].count("RECORD") == 3000


def test_a_partners_line_counts_customers(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    users = range(10, 130, 10)
    sandbox = make_sandbox(
        sessions=0,
        partner={user // 10: [user] for user in users},
        rows_by_user={user: make_sessions(5, seed=user, first_id=user * 100) for user in users},
        faults=Faults(latency=0.3),
    )
    config = config_of(sandbox, account_type="partner", timezone="Etc/UTC", concurrency=1)
    code, shown, _ = on_a_terminal(config, tmp_path)
    assert code == 0, shown
    assert re.search(r"customer [2-9] of 12, \d+ sessions", shown), shown


def test_no_line_where_nobody_watches(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=100)
    run = run_tap(config_of(sandbox), directory=tmp_path).check()
    assert "%" not in run.stderr
    assert "\r" not in run.stderr


def test_the_summary_counts_what_was_done(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=500, faults=Faults(fail_first=2))
    run = run_tap(config_of(sandbox, page_size=100), directory=tmp_path).check()
    [line] = [line for line in run.stderr.splitlines() if "Summary: " in line]
    assert "500 sessions in " in line
    assert f"{len(sandbox.calls)} requests, 2 retries" in line
    assert f"bookmark {run.bookmark}" in line


def test_the_summary_counts_the_values_that_were_lost(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    rows = make_sessions(60)
    for row in rows[:30]:
        row["integrated_campaign_data"] = {"group_id": "abc", "keyword": "k"}
    rows[7]["duration"] = {}
    run = run_tap(config_of(make_sandbox(rows=rows)), directory=tmp_path).check()
    assert "integrated_campaign_data.group_id 30, duration 1\n" in run.stderr
    assert "31 values lost" in run.stderr


def test_the_summary_comes_after_a_failure_too(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=500, limits=Limits(day=4))
    run = run_tap(config_of(sandbox, page_size=50), directory=tmp_path)
    assert run.code == 1
    [line] = [line for line in run.stderr.splitlines() if "Summary: " in line]
    assert f"{len(run.records)} sessions" in line


@pytest.mark.parametrize("fails", [False, True])
def test_a_pipelines_log_is_structured_to_the_last_line(
    fails: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """The log configuration that Meltano gives to a plugin with `structured-logging`."""
    (tmp_path / "logging.yml").write_text(LOGGING)
    sandbox = make_sandbox(sessions=300, disabled_component=fails)
    run = run_tap(
        config_of(sandbox),
        directory=tmp_path,
        env={"SINGER_SDK_LOG_CONFIG": str(tmp_path / "logging.yml")},
    )
    assert run.code == int(fails)
    events = [json.loads(line) for line in run.stderr.splitlines()]
    for event in events:
        assert event["level"] in ("info", "warning", "error")
        assert event["message"]
        assert {"ts", "pid", "logger_name"} <= set(event)
    metrics = {
        event["metric_info"]["metric"]: event["metric_info"]["value"]
        for event in events
        if "metric_info" in event
    }
    [summary] = [event["extra"]["summary"] for event in events if "summary" in event["extra"]]
    if fails:
        assert events[-1]["level"] == "error"
        assert "component" in events[-1]["message"]
    else:
        assert metrics["record_count"] == summary["sessions"] == 300
        assert metrics["http_request_count"] == summary["requests"] == len(sandbox.calls)
        assert summary["bookmark"] == run.bookmark
        assert metrics["sync_duration"] > 0


def test_the_share_of_many_parts_never_exceeds_one() -> None:
    progress = Progress(parts=4)
    shares = []
    for _ in range(4):
        for share in (0.0, 0.5, 1.0):
            progress.share = share
            shares.append(progress.fraction)
        progress.parts_done += 1
        progress.share = 0.0
    assert shares == sorted(shares)
    assert progress.fraction == 1.0
    assert Progress(parts=0).fraction == 0.0
