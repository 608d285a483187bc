"""The sandbox's journeys."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support import ROOT

from sandbox.journeys import JOURNEYS, LEAST_DAYS, make_journeys


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Yekaterinburg"])
def test_every_conversion_has_its_credit(zone: str) -> None:
    made = make_journeys(zone=zone)
    for rows, credits in ((made.rows, made.credits), (made.later_rows, made.later_credits)):
        ids = {row["id"] for row in rows}
        told = {
            (item["communication_type"], item["communication_id"])
            for row in rows
            for item in row["communications"]
        }
        assert set(credits) == told
        for models in credits.values():
            assert len(models) == 6
            for shares in models.values():
                assert sum(shares.values()) == pytest.approx(1)
                assert set(shares) <= ids


def test_journeys_end_as_they_are_named() -> None:
    rows = {row["id"]: row for row in make_journeys().rows}
    place = [journey.name for journey in JOURNEYS].index(
        "a call in the hour that the clocks repeat"
    )
    own = rows[1_000_000 + place * 100 + 1]
    [call] = own["communications"]
    assert own["date_time"] == call["communication_date_time"] == "2024-10-27 02:30:00"


def test_the_same_ids_whatever_zone_and_seed() -> None:
    there = make_journeys(50, seed=1, zone="Europe/Berlin")
    here = make_journeys(50, seed=2, zone="Asia/Yekaterinburg")
    again = make_journeys(50, seed=1, zone="Europe/Berlin")
    assert there == again
    met = {row["id"] for row in there.rows} & {row["id"] for row in here.rows}
    assert len(met) > len(JOURNEYS)


def test_they_fit_into_the_shortest_span() -> None:
    end = datetime(2024, 6, 1)
    start = end - timedelta(days=LEAST_DAYS)
    rows = make_journeys(100, start=start, end=end).rows
    assert min(row["date_time"] for row in rows) >= str(start)
    assert max(row["date_time"] for row in rows) < str(end)


def test_by_the_command_line(tmp_path: Path) -> None:
    truth, ready = tmp_path / "truth.json", tmp_path / "url"
    options = ["--journeys", "--wanderers=5", f"--truth-file={truth}", f"--ready-file={ready}"]
    command = [sys.executable, "-m", "sandbox", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as sandbox:
        while not ready.exists() and sandbox.poll() is None:
            time.sleep(0.05)
        sandbox.terminate()
    lines = json.loads(truth.read_text())
    assert {line["model"] for line in lines} >= {"first_touch", "time_decay"}
    refused = subprocess.run([*command, "--days=20"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--days" in refused.stderr.splitlines()[-1]
