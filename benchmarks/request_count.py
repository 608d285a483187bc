"""Report requests against the least that pages of 10 000 rows allow, by shape of traffic, and those
of a recheck."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.harness import PAGE, Figure, Goal, Run, interleaved, measured, middle, serving, tap
from benchmarks.rechecks import rows_and_goals
from benchmarks.traffic import SHAPES


def main(options: argparse.Namespace) -> None:
    """Count; the goal is held at the largest size: a sample weighs little there."""
    sizes = sorted(options.sizes)
    cases = [(shape, size) for size in sizes for shape in SHAPES]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs: dict[str, Callable[[], Run]] = {}
        for shape, size in cases:
            api = stack.enter_context(serving(size, shape=shape))
            runs[f"{shape}, {size}"] = partial(measured, api, tap(folder, api.config()))
        rounds = interleaved(options.rounds, runs)
    rows = []
    goals = []
    for shape, size in cases:
        name = f"{shape}, {size}"
        least = -(-size // PAGE)
        counts = [done[name].requests for done in rounds]
        read = middle(rounds, name, "rows") / size
        times = median(counts) / least
        rows.append([shape, size, least, int(median(counts)), max(counts), times, read])
        if size == sizes[-1]:
            worst = max(counts) / least
            goals.append(Goal(f"requests on {shape} traffic, worst round", worst, most=1.5))
    more, held = rows_and_goals()
    rows += more
    goals += held
    head = ["traffic", "sessions", "least", "requests", "worst", "x the least", "rows read x"]
    Figure("requests", head, rows, goals, {"rounds": options.rounds}, rounds).show()
