"""Peak memory over the number of sessions, with default settings: of the tap, and, at the largest
number, of our dlt source into Parquet files."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Api,
    Figure,
    Goal,
    Run,
    environment,
    interleaved,
    measured,
    middle,
    serving,
    tap,
)

DLT = "by dlt"
DLT_ROUNDS = 1
"""A million takes minutes."""


def by_dlt(api: Api, folder: Path) -> Run:
    """Our dlt source into a folder of Parquet, from nothing."""
    config, state, place = folder / "dlt.json", folder / "dlt", folder / "parquet"
    config.write_text(json.dumps(api.config()))
    for old in (state, place):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
    python = str(environment("our-dlt"))
    command = [python, "-m", "benchmarks.our_dlt", str(config), str(state), "parquet", str(place)]
    return measured(api, command, {"RUNTIME__DLTHUB_TELEMETRY": "false"})


def main(options: argparse.Namespace) -> None:
    """Measure."""
    sizes = sorted(options.sizes)
    largest = sizes[-1]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs: dict[str, Callable[[], Run]] = {}
        for size in sizes:
            api = stack.enter_context(serving(size))
            runs[str(size)] = partial(measured, api, tap(folder, api.config()))
        rounds = interleaved(options.rounds, runs)
        dlt = interleaved(DLT_ROUNDS, {DLT: partial(by_dlt, api, folder)})
    peak = {size: middle(rounds, str(size), "peak_mb") for size in sizes}
    rows = [[size, "the tap", round(peak[size]), middle(rounds, str(size))] for size in sizes]
    dlt_peak = middle(dlt, DLT, "peak_mb")
    rows.append([largest, "dlt", round(dlt_peak), middle(dlt, DLT)])
    base = 100_000 if 100_000 in peak else sizes[0]
    goals = [
        Goal(f"peak at {largest} against {base} sessions", peak[largest] / peak[base], most=1.2),
        Goal(f"peak at {largest} sessions, MB", peak[largest], most=400),
        Goal(f"peak of dlt at {largest} sessions, MB", dlt_peak, most=500),
    ]
    head = ["sessions", "host", "peak MB", "s"]
    settings = {"rounds": options.rounds, "rounds of dlt": DLT_ROUNDS}
    Figure("memory", head, rows, goals, settings, [*rounds, *dlt]).show()
