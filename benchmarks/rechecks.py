"""Report requests of a recheck against what docs/trust.md promises, by how many days differ."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.harness import Goal
from sandbox import Faults, Sandbox, make_sessions

DIFFER = (0, 1, 3, 10)
SESSIONS, DAYS = 9000, 88
"""A quarter: the past days of P90D that a look-back of a day leaves to a recheck."""


def rows_and_goals() -> tuple[list[list[Any]], list[Goal]]:
    """Rows of `bench requests`, and the goal that each holds."""
    rows, goals = [], []
    for differ, requests, pages in _counted():
        promised = 1 + 2 * differ * math.log2(DAYS) + pages
        name = f"recheck of a quarter, {differ} days differ"
        rows.append([name, SESSIONS, 1 + pages, requests, requests, requests / (1 + pages), 1.0])
        goals.append(Goal(f"points of a {name}, of those promised", requests / promised, most=1.0))
    return rows, goals


def _counted() -> Iterator[tuple[int, int, int]]:
    """Days that differ, the requests that it takes to know and to read them, and their pages."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    start = now - timedelta(days=100)
    rows = make_sessions(SESSIONS, seed=1, start=start, end=now - timedelta(days=3))
    with Sandbox(sessions=0).running() as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.hold(rows, timezone="UTC", faults=Faults())
        config = {
            "api_url": sandbox.url,
            "access_token": sandbox.token,
            "start_date": f"{start:%Y-%m-%d}",
            "recheck_window": "P90D",
        }
        state = _run(config, None, Path(folder))
        for differ in DIFFER:
            for number in range(differ):
                at = now - timedelta(days=10 + 7 * number)
                late = {**rows[0], "id": 10**9 + 100 * differ + number}
                sandbox.add([{**late, "date_time": f"{at:%Y-%m-%d} 12:00:00"}])
            sandbox.calls.clear()
            state = _run(config, state, Path(folder))
            yield differ, len(sandbox.reports) - 1, differ  # one is of what is new


def _run(config: dict[str, Any], state: Any, folder: Path) -> Any:
    """A run of the tap; its last STATE."""
    command = [sys.executable, "-m", "tap_visitor_sessions"]
    for name, value in {"config": config, "state": state}.items():
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value))
            command += [f"--{name}", str(folder / f"{name}.json")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout.splitlines()[-1])["value"]
