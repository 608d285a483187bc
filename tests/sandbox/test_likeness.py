"""A sandbox by a report behaves as the account that it was made of: the doctor says the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import MakeSandbox
from support import ROOT, run_tap

from sandbox import Faults, Limits, Sandbox, sandbox_like

NOW = datetime.now().replace(microsecond=0)
SPAN: dict[str, Any] = {"start": NOW - timedelta(days=2), "end": NOW - timedelta(days=1)}
SPELLINGS = {
    "single_hit_object": True,
    "numbers_as_strings": True,
    "null_arrays": True,
    "null_objects": True,
    "example_spelling": True,
}
MADE: dict[str, dict[str, Any]] = {
    "plain": {"limits": Limits(day=3000, minute=60)},
    "as the example spells it": {"faults": Faults(**SPELLINGS)},
    "other rules": {
        "faults": Faults(till_exclusive=True, order="ascending", gzip=True, deprecated=True),
        "longest_days": 90,
        "most_rows": 20_000,
        "no_rows": "null",
        "bare_errors": True,
        "default_columns": ["id", "channel"],
        "refused_columns": {"source_new": "unexpected_parameters"},
    },
    "shorter": {"longest_days": 89, "faults": Faults(from_exclusive=True)},
    "longer": {"longest_days": 400, "faults": Faults(clock_behind=900)},
    "agency": {"partner": {1: [10], 2: [20]}},
    "closed": {"disabled_component": True},
}


def report_of(sandbox: Sandbox, directory: Path) -> dict[str, Any]:
    config = {"access_token": sandbox.token, "api_url": sandbox.url, "start_date": "2024-05-01"}
    if sandbox.partner:
        config |= {"account_type": "partner", "timezone": "Europe/Moscow"}
    path = directory / "report.json"
    run_tap(config, "--doctor", "--report", str(path), directory=directory)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def types_of(report: dict[str, Any], share: float) -> dict[str, set[str]]:
    """What comes at each place, of those where something comes a hundred times, in so large a
    share of them at the least."""
    places: dict[str, Any] = report.get("shapes", {}).get("places", {})
    came = {path: told["came"] for path, told in places.items()}
    return {
        path: {kind for kind, count in types.items() if count > share * sum(types.values())}
        for path, types in came.items()
        if sum(types.values()) >= 100
    }


@pytest.mark.thinned
@pytest.mark.parametrize("name", MADE)
def test_the_doctor_says_the_same_of_both(
    name: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    first = report_of(make_sandbox(sessions=300, **SPAN, **MADE[name]), tmp_path)
    with sandbox_like(first, sessions=300, **SPAN).running() as sandbox:
        second = report_of(sandbox, tmp_path)
    for member in ("account", "behaviour", "refused_columns", "points"):
        if (name, member) != ("agency", "behaviour"):  # there each customer has its own sessions
            assert second.get(member) == first.get(member), member
    for member in ("order_by_time", "is_short", "asked"):
        assert first.get("sample", {}).get(member) == second.get("sample", {}).get(member), member
    ours, theirs = first["wire"], second["wire"]
    for meter in ("day_limit", "minute_limit"):
        assert ours["limits"].get(meter) == theirs["limits"].get(meter)
    assert ours["is_deprecated"] == theirs["is_deprecated"]
    for member in ("encodings", "errors", "no_rows"):
        assert ours[member].keys() == theirs[member].keys(), member
    assert abs(ours["clock_ahead_seconds"] - theirs["clock_ahead_seconds"]) < 10
    for one, other in ((first, second), (second, first)):
        at_all = types_of(other, 0.0)
        for path, types in types_of(one, 0.2).items():
            assert types <= at_all.get(path, types), path
    if "shapes" in first:
        assert first["shapes"]["undeclared"].keys() == second["shapes"]["undeclared"].keys()


def test_a_session_is_written_the_same_way_whenever_it_is_asked_for(tmp_path: Path) -> None:
    report = {
        "shapes": {
            "places": {
                "duration": {"came": {"text": 1, "number": 1, "null": 1}, "texts": {"digits": 1}},
                "utm_term": {"came": {"text": 1, "missing": 1}, "texts": {"URL": 1, "other": 1}},
            }
        }
    }
    with sandbox_like(report, sessions=50).running() as sandbox:
        mangle = sandbox.faults.mangle
        assert mangle is not None
        rows = sandbox.rows()
        whole = json.loads(mangle(json.dumps(rows).encode()))
        few = [{name: row[name] for name in ("id", "duration")} for row in reversed(rows)]
        again = json.loads(mangle(json.dumps(few).encode()))
    assert [row["duration"] for row in whole] == [row["duration"] for row in reversed(again)]
    assert len({str(type(row["duration"])) for row in whole}) == 3
    assert {"utm_term" in row for row in whole} == {True, False}


def test_it_is_served_by_its_command(tmp_path: Path) -> None:
    path, ready = tmp_path / "report.json", tmp_path / "ready"
    path.write_text(json.dumps({"account": "partner", "wire": {"limits": {"day_limit": 7}}}))
    options = ["--like", str(path), "--ready-file", str(ready), "--sessions", "5"]
    served = subprocess.Popen([sys.executable, "-m", "sandbox", *options], cwd=ROOT)
    try:
        for _ in range(600):
            if ready.exists() and ready.read_text():
                break
            time.sleep(0.1)
        body = {"jsonrpc": "2.0", "id": 1, "method": "get.customers"}
        body["params"] = {"access_token": "sandbox-token"}  # type: ignore[assignment]
        answer = requests.post(ready.read_text(), json=body, timeout=60).json()
    finally:
        served.kill()
        served.wait()
    assert len(answer["result"]["data"]) == 2
    assert answer["result"]["metadata"]["limits"]["day_limit"] == 7
