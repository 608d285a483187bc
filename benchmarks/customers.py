"""An agency: wall time for many small customers, 1 and 8 requests in flight."""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness import Run, interleaved, pipeline, show_in_flight, tap
from sandbox import Faults, Sandbox
from sandbox.data import make_sessions

IN_FLIGHT = (1, 8)
ZONE = "Etc/UTC"
START, END = datetime(2024, 5, 1), datetime(2024, 5, 31)


def main(options: argparse.Namespace) -> None:
    """Measure; each run's sessions are counted one by one."""
    names = {count: f"{count} in flight" for count in IN_FLIGHT}
    rows = {
        customer * 10: make_sessions(
            options.sessions, seed=customer, start=START, end=END, first_id=customer * 1_000_000
        )
        for customer in range(1, options.customers + 1)
    }
    sandbox = Sandbox(
        sessions=0,
        partner={user // 10: [user] for user in rows},
        rows_by_user=rows,
        faults=Faults(latency=options.latency),
    )
    wanted = {(user, row["id"]): row["date_time"] for user in rows for row in rows[user]}
    with tempfile.TemporaryDirectory() as folder, sandbox.running():
        runs = {
            names[count]: partial(measured, sandbox, Path(folder), count, wanted)
            for count in IN_FLIGHT
        }
        rounds = interleaved(options.rounds, runs)
    settings = {
        "customers": options.customers,
        "sessions each": options.sessions,
        "rounds": options.rounds,
        "seconds per request": options.latency,
    }
    show_in_flight("customers", names, settings, rounds)


def measured(
    sandbox: Sandbox, folder: Path, concurrency: int, wanted: dict[tuple[int, int], str]
) -> Run:
    """A run of all customers.

    Raises:
        SystemExit: a session is missing or came twice, or a bookmark is wrong.
    """
    config = {
        "access_token": sandbox.token,
        "api_url": sandbox.url,
        "account_type": "partner",
        "timezone": ZONE,
        "start_date": START.isoformat(),
        "end_date": END.isoformat(),
        "concurrency": concurrency,
    }
    kept = folder / "messages"
    sandbox.calls.clear()
    run, _ = pipeline(tap(folder, config), ["tee", str(kept)])
    run.requests, run.rows = len(sandbox.reports), sum(call.rows for call in sandbox.reports)
    check(kept, wanted)
    return run


def check(kept: Path, wanted: dict[tuple[int, int], str]) -> None:
    """Each session once, and the bookmark of each user at its last one."""
    left = dict(wanted)
    state: dict[str, Any] = {}
    decode = msgspec.json.Decoder().decode
    with kept.open("rb") as lines:
        for line in lines:
            message = decode(line)
            if message["type"] == "RECORD":
                record = message["record"]
                if left.pop((record["user_id"], record["id"]), None) is None:
                    raise SystemExit(f"Session {record['id']} came twice, or should not have come")
            elif message["type"] == "STATE":
                state = message["value"]
    last: dict[int, str] = {}
    for (user, _), time in wanted.items():
        last[user] = max(last.get(user, ""), time.replace(" ", "T") + "Z")
    partitions = state["bookmarks"]["visitor_sessions"]["partitions"]
    reached = {p["context"]["user_id"]: p["replication_key_value"] for p in partitions}
    if left or reached != last:
        raise SystemExit(f"{len(left)} sessions missing; bookmarks right: {reached == last}")
