"""`python -m sandbox`: serve made-up sessions on loopback until interrupted."""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox import Sandbox, sandbox_like
from sandbox.data import make_sessions
from sandbox.journeys import LEAST_DAYS, Journeys, make_journeys

JOURNEY_DAYS = 100
"""Length of the data of journeys, unless told."""


def partners(customers: int, **common: Any) -> Sandbox:
    """A partner's account of so many customers, each with so many sessions."""
    users = {number: [number * 10] for number in range(1, customers + 1)}
    span = {name: common[name] for name in ("start", "end")}
    rows = {
        user: make_sessions(
            common["sessions"], seed=common["seed"] + user, first_id=user * 10**8, **span
        )
        for [user] in users.values()
    }
    return Sandbox(**{**common, "sessions": 0}, partner=users, rows_by_user=rows)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--days",
        type=int,
        help=f"length of the data, up to now; 14, or {JOURNEY_DAYS} of journeys",
    )
    parser.add_argument(
        "--journeys",
        action="store_true",
        help="sessions of persons that come again until they call, in all the ways that an "
        "attribution can get wrong, in the place of --sessions",
    )
    parser.add_argument(
        "--wanderers", type=int, default=1000, help="persons at random beside the journeys"
    )
    parser.add_argument(
        "--truth-file", type=Path, help="the true credits of the journeys are written here"
    )
    parser.add_argument(
        "--customers", type=int, help="a partner account of so many, each with --sessions"
    )
    parser.add_argument("--timezone", default="Europe/Moscow")
    parser.add_argument("--token", default="sandbox-token")
    parser.add_argument("--minute-limit", type=int)
    parser.add_argument("--day-limit", type=int)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per request")
    parser.add_argument("--short-pages", type=int, help="rows that a page holds at most")
    parser.add_argument("--reshuffle", action="store_true", help="another order at each request")
    parser.add_argument("--error-rate", type=float, default=0.0, help="share of HTTP 502/503/504")
    parser.add_argument(
        "--like", type=Path, help="behave as an account does: a report of the doctor's (JSON)"
    )
    parser.add_argument("--ready-file", type=Path, help="the URL is written here when serving")
    options = parser.parse_args()
    end = datetime.now().replace(microsecond=0) - timedelta(minutes=5)
    days = options.days or (JOURNEY_DAYS if options.journeys else 14)
    if options.journeys and days < LEAST_DAYS:
        parser.error(f"--days: journeys take at least {LEAST_DAYS}")
    if options.truth_file and not options.journeys:
        parser.error("--truth-file: only --journeys have true credits")
    start = end - timedelta(days=days)
    common = {"seed": options.seed, "start": start, "end": end, "timezone": options.timezone}
    common |= {"sessions": options.sessions, "token": options.token}
    if options.like:
        if options.customers:
            parser.error("--customers does not go with --like: the report says which account it is")
        sandbox = sandbox_like(json.loads(options.like.read_text(encoding="utf-8")), **common)
    elif options.customers:
        sandbox = partners(options.customers, **common)
    else:
        sandbox = Sandbox(**common)
    if options.journeys:
        span = {"start": start, "end": end, "zone": options.timezone}
        users: list[int | None] = [user for [user] in (sandbox.partner or {}).values()]
        for user in users or [None]:
            seed = options.seed + (user or 0)
            made = make_journeys(options.wanderers, seed=seed, **span)
            sandbox.delete([row["id"] for row in sandbox.rows(user)], user)
            sandbox.add(made.rows, user)
        if options.truth_file:
            truth = as_lines(make_journeys(**span))
            options.truth_file.write_text(json.dumps(truth, indent=0), encoding="utf-8")
    for name, value in (("day", options.day_limit), ("minute", options.minute_limit)):
        if value is not None:
            setattr(sandbox.meters.limits, name, value)
    faults = sandbox.faults
    faults.latency, faults.http_error_rate = options.latency, options.error_rate
    faults.short_pages = options.short_pages or faults.short_pages
    faults.reshuffle = options.reshuffle
    with sandbox.running(options.port):
        print(f"Sandbox listening on {sandbox.url}, token {options.token}", flush=True)
        if options.ready_file:
            options.ready_file.write_text(sandbox.url)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


def as_lines(journeys: Journeys) -> list[dict[str, object]]:
    """The true credits: an object each."""
    return [
        {"type": kind, "id": id_, "model": model, "session_id": session, "credit": credit}
        for (kind, id_), models in journeys.credits.items()
        for model, credits in models.items()
        for session, credit in credits.items()
    ]


if __name__ == "__main__":
    main()
