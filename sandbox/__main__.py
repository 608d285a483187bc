"""`python -m sandbox`: serve made-up sessions on loopback until interrupted."""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timedelta
from pathlib import Path

from sandbox import Faults, Limits, Sandbox


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--days", type=int, default=14, help="length of the data, up to now")
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
    sandbox = Sandbox(
        sessions=options.sessions,
        seed=options.seed,
        start=end - timedelta(days=options.days),
        end=end,
        timezone=options.timezone,
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
