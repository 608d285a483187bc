"""Peak memory of the tap's process over the number of sessions, with default settings."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.harness import Figure, Goal, Run, interleaved, measured, middle, serving, tap


def main(options: argparse.Namespace) -> None:
    """Measure."""
    sizes = sorted(options.sizes)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs: dict[str, Callable[[], Run]] = {}
        for size in sizes:
            api = stack.enter_context(serving(size))
            runs[str(size)] = partial(measured, api, tap(folder, api.config()))
        rounds = interleaved(options.rounds, runs)
    peak = {size: middle(rounds, str(size), "peak_mb") for size in sizes}
    rows = [[size, round(peak[size]), middle(rounds, str(size))] for size in sizes]
    largest = sizes[-1]
    base = 100_000 if 100_000 in peak else sizes[0]
    goals = [
        Goal(f"peak at {largest} against {base} sessions", peak[largest] / peak[base], most=1.2),
        Goal(f"peak at {largest} sessions, MB", peak[largest], most=400),
    ]
    head = ["sessions", "peak MB", "s"]
    Figure("memory", head, rows, goals, {"rounds": options.rounds}, rounds).show()
