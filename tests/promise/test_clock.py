"""A machine whose clock is ahead of the API's passes no session over."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSandbox, Tally
from hosts import EVERY_HOST, Host
from support import config_of

from sandbox import Faults

AHEAD = timedelta(hours=2)
BEFORE = datetime(2024, 5, 1, tzinfo=timezone.utc)


@EVERY_HOST
@pytest.mark.parametrize("zone", [None, "UTC"], ids=["asked", "set"])
def test_sessions_that_come_later_are_read_though_the_look_back_is_short(
    host: Host, zone: str | None, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    """With `timezone` set the API's time is known only once the first window has come."""
    sandbox = make_sandbox(
        sessions=0, timezone="UTC", faults=Faults(clock_behind=AHEAD.total_seconds())
    )
    more: dict[str, Any] = {"timezone": zone} if zone else {}
    config = config_of(sandbox, lookback_window="PT1M", start_date="2024-05-01", **more)
    del config["end_date"]
    state, read = None, []
    for number in range(1, 4):
        at = datetime.now(timezone.utc) - AHEAD - timedelta(seconds=5)
        sandbox.add([{"id": number, "date_time": f"{at:%Y-%m-%d %H:%M:%S}"}])
        run = host.run(config, state=state, directory=tmp_path).check()
        state = run.state
        read += [record["id"] for record in run.records]
        assert len(re.findall("clock is 2 h 0[01] min ahead of the API's", run.stderr)) == 1
        [[_, until]] = host.progress(state)["read"]
        assert abs(datetime.fromisoformat(until) - at) < timedelta(minutes=1)
    assert set(read) == {1, 2, 3}
    tally("Time", f"clock two hours ahead, zone {zone or 'asked'}, {host.name}", injected=3)


@EVERY_HOST
def test_a_clock_that_is_behind_is_told_since_the_latest_sessions_are_not_read(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(
        sessions=0, timezone="UTC", faults=Faults(clock_behind=-AHEAD.total_seconds())
    )
    config = config_of(sandbox, start_date="2024-05-01")
    del config["end_date"]
    run = host.run(config, directory=tmp_path).check()
    told = "clock is (1 h 59|2 h 00) min behind the API's"
    assert len(re.findall(told, run.stderr)) == 1
    tally("Time", f"clock two hours behind, {host.name}", injected=1)
