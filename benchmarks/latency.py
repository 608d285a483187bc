"""Wall time when each request takes a second, with 1, 2, 4 and 8 of them in flight."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness import Figure, Goal, interleaved, measured, middle, ratio, serving, tap

IN_FLIGHT = (1, 2, 4, 8)


def main(options: argparse.Namespace) -> None:
    """Measure."""
    names = {count: f"{count} in flight" for count in IN_FLIGHT}
    cache_mb = options.sessions * 4 // 1000
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(options.sessions, latency=options.latency, cache_mb=cache_mb) as api,
    ):
        runs = {
            names[count]: partial(measured, api, tap(Path(folder), api.config(concurrency=count)))
            for count in IN_FLIGHT
        }
        runs[names[8]]()  # the server renders each page once, before the clock starts
        rounds = interleaved(options.rounds, runs)
    one = names[1]
    rows = [
        [
            name,
            middle(rounds, name),
            ratio(rounds, one, name),
            int(middle(rounds, name, "requests")),
            round(middle(rounds, name, "peak_mb")),
        ]
        for name in names.values()
    ]
    goals = [Goal("speed with 8 in flight against 1", ratio(rounds, one, names[8]), least=5)]
    settings = {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "seconds per request": options.latency,
    }
    head = ["concurrency", "s", "x faster", "requests", "peak MB"]
    Figure("latency", head, rows, goals, settings, rounds).show()
