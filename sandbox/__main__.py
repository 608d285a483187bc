"""`python -m sandbox`: serve made-up sessions on loopback until interrupted."""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta
from pathlib import Path

from sandbox import Faults, Limits, Sandbox
from sandbox.data import make_sessions
from sandbox.journeys import LEAST_DAYS, Journeys, make_journeys

JOURNEY_DAYS = 100
"""Length of the data of journeys, unless told."""


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
    parser.add_argument("--ready-file", type=Path, help="the URL is written here when serving")
    options = parser.parse_args()
    end = datetime.now().replace(microsecond=0) - timedelta(minutes=5)
    days = options.days or (JOURNEY_DAYS if options.journeys else 14)
    start = end - timedelta(days=days)
    if options.journeys and days < LEAST_DAYS:
        parser.error(f"--days: journeys take at least {LEAST_DAYS}")
    if options.truth_file and not options.journeys:
        parser.error("--truth-file: only --journeys have true credits")

    def journeys_of(number: int) -> Journeys:
        """Of each customer, with the same ids."""
        seed, zone = options.seed + number, options.timezone
        return make_journeys(options.wanderers, seed=seed, start=start, end=end, zone=zone)

    partner = {number: [number * 10] for number in range(1, (options.customers or 0) + 1)}
    if options.truth_file:
        options.truth_file.write_text(json.dumps(as_lines(journeys_of(0)), indent=0))
    sandbox = Sandbox(
        rows=journeys_of(0).rows if options.journeys and not partner else None,
        sessions=0 if partner else options.sessions,
        seed=options.seed,
        start=start,
        end=end,
        timezone=options.timezone,
        partner=partner or None,
        rows_by_user={
            user: journeys_of(user).rows
            if options.journeys
            else make_sessions(
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
