"""Wall time when each request takes a second, with 1, 2, 4 and 8 of them in flight."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness import interleaved, measured, serving, show_in_flight, tap

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
    settings = {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "seconds per request": options.latency,
    }
    show_in_flight("latency", names, settings, rounds)
