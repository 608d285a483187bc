"""What has been written is in a state before a long wait, as for a day's points: a run that is
killed while it waits repeats nothing."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, Tally
from hosts import EVERY_HOST, Host
from support import ZONE, config_of

from sandbox import Limits, Sandbox, make_sessions

LONGEST = 60.0
"""Seconds until something that should come within one has not come."""
SESSIONS = 200
RUN = """
import sys
from tap_visitor_sessions.sessions.windows import pipeline
from {module} import main
pipeline.IDLE = 0.3
main()
"""


def heard_before_the_wait(
    host: Host, sandbox: Sandbox, config: dict[str, Any], directory: Path
) -> tuple[list[int], Any]:
    """The ids and the last state that a run has written when it waits; then it is killed."""
    code = RUN.format(module=".".join([*host.command[2].split("."), "__main__"]))
    command = [sys.executable, "-c", code, *host.arguments(config, None, directory)]
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(
        target=lambda out: [lines.put(line) for line in out],
        args=(process.stdout,),
        daemon=True,
    ).start()
    ids: list[int] = []
    state: Any = None
    try:
        while not ids or state is None:
            for kind, value in host.heard([lines.get(timeout=LONGEST)]):
                if kind == "RECORD":
                    ids.append(value["id"])
                    state = None  # what comes must stand for these too
                else:
                    state = value
    finally:
        process.kill()
        process.wait()
    return ids, state


@EVERY_HOST
@pytest.mark.parametrize("form", ["plain", "mapped", "partner"])
def test_a_run_killed_while_it_waits_for_points_repeats_nothing(
    form: str, host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    config: dict[str, Any] = {"page_size": 60, "lookback_window": "PT0S", "concurrency": 1}
    if form == "mapped":
        if host.name != "singer":
            pytest.skip("maps are Singer's")
        config["stream_maps"] = {"visitor_sessions": {"text": "str(id)"}}
    options: dict[str, Any] = {"sessions": SESSIONS, "limits": Limits(day=4)}
    if form == "partner":
        rows = make_sessions(SESSIONS)
        options = {"partner": {1: [10], 2: [20]}, "limits": Limits(day=6), "sessions": 0}
        options["rows_by_user"] = {10: rows[: SESSIONS // 4], 20: rows[SESSIONS // 4 :]}
        config |= {"account_type": "partner", "timezone": ZONE}
    sandbox = make_sandbox(**options)
    config = config_of(sandbox, on_daily_limit="wait", **config)
    ids, state = heard_before_the_wait(host, sandbox, config, tmp_path)
    assert len(ids) < SESSIONS
    sandbox.meters.limits.day = None
    rest = host.run(config, directory=tmp_path, state=state)
    assert rest.code == 0, rest.stderr
    users: list[int | None] = [10, 20] if sandbox.partner else [None]
    wanted = [row["id"] for user in users for row in sandbox.rows(user)]
    assert sorted([*ids, *(record["id"] for record in rest.records)]) == sorted(wanted)
    tally("Kills", f"killed while it waits for points: {form}, {host.name}", injected=1)
