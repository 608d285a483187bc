"""`python -m sandbox`: serve made-up sessions on loopback until interrupted."""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timedelta
from pathlib import Path

from sandbox import Faults, Limits, Sandbox
from sandbox.data import make_sessions


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--days", type=int, default=14, help="length of the data, up to now")
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
    parser.add_argument("--ready-file", type=Path, help="the URL is written here when serving")
    options = parser.parse_args()
    end = datetime.now().replace(microsecond=0) - timedelta(minutes=5)
    start = end - timedelta(days=options.days)
    partner = {number: [number * 10] for number in range(1, (options.customers or 0) + 1)}
    sandbox = Sandbox(
        sessions=0 if partner else options.sessions,
        seed=options.seed,
        start=start,
        end=end,
        timezone=options.timezone,
        partner=partner or None,
        rows_by_user={
            user: make_sessions(
                options.sessions,
                seed=options.seed + user,
                start=start,
                end=end,
                first_id=user * 10**8,
            )
            for [user] in partner.values()
        },
        token=options.token,
        limits=Limits(day=options.day_limit, minute=options.minute_limit),
        faults=Faults(
            latency=options.latency,
            short_pages=options.short_pages,
            reshuffle=options.reshuffle,
            http_error_rate=options.error_rate,
        ),
    )
    with sandbox.running(options.port):
        print(f"Sandbox listening on {sandbox.url}, token {options.token}", flush=True)
        if options.ready_file:
            options.ready_file.write_text(sandbox.url)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
