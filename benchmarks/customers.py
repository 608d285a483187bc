"""An agency: wall time for many small customers, 1 and 8 requests in flight; and what they cost a
large customer that is read before them."""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness import (
    Goal,
    Run,
    against,
    interleaved,
    pipeline,
    ratio,
    show_in_flight,
    tap,
)
from sandbox import Faults, Sandbox
from sandbox.data import make_sessions

IN_FLIGHT = (1, 8)
ZONE = "Etc/UTC"
LARGE, LARGE_PAGE = 20_000, 100
"""Sessions of the large customer, and rows asked per request of it: hundreds of windows."""
ALONE, BEFORE_OTHERS = "a large customer alone", "a large customer before small ones"
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
    larges = large_rounds(options, rows)
    slower = ratio(larges, BEFORE_OTHERS, ALONE)
    more = [against(larges, ALONE, name) for name in (ALONE, BEFORE_OTHERS)]
    settings = {
        "customers": options.customers,
        "sessions each": options.sessions,
        "rounds": options.rounds,
        "seconds per request": options.latency,
    }
    goal = Goal("seconds of a large customer before small ones, times alone", slower, most=1.15)
    show_in_flight("customers", names, settings, rounds, more, [goal])


def large_rounds(
    options: argparse.Namespace, rows: dict[int, list[dict[str, Any]]]
) -> list[dict[str, Run]]:
    """The seconds until a large customer's last request is answered, 8 in flight: alone, and where
    small ones come after it."""
    large = make_sessions(LARGE, seed=1, start=START, end=END, first_id=1)
    users = {1: large, **rows}
    sandbox = Sandbox(
        sessions=0,
        partner={user // 10: [user] for user in users},  # the large one: customer 0
        rows_by_user=users,
        faults=Faults(latency=options.latency),
    )
    wanted = {(user, row["id"]): row["date_time"] for user in users for row in users[user]}
    alone = {key: time for key, time in wanted.items() if key[0] == 1}

    def until_read(folder: Path, wanted: dict[tuple[int, int], str], **more: Any) -> Run:
        run = measured(sandbox, folder, 8, wanted, page_size=LARGE_PAGE, **more)
        its = [call.at for call in sandbox.reports if call.params["user_id"] == 1]
        run.seconds, run.requests = its[-1] - its[0], len(its)
        return run

    with tempfile.TemporaryDirectory() as folder, sandbox.running():
        where = Path(folder)
        contenders = {
            ALONE: partial(until_read, where, alone, user_ids=[1]),
            BEFORE_OTHERS: partial(until_read, where, wanted),
        }
        return interleaved(options.rounds, contenders)


def measured(
    sandbox: Sandbox,
    folder: Path,
    concurrency: int,
    wanted: dict[tuple[int, int], str],
    **more: Any,
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
        **more,
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
