"""Draws docs/benchmarks.svg from the results of `throughput` and `memory`."""

from __future__ import annotations

import argparse
import json
from typing import Any

import matplotlib

from benchmarks.harness import RESULTS, ROOT, say

matplotlib.use("svg")
from matplotlib import pyplot

TARGET = ROOT / "docs" / "benchmarks.svg"
INK = "#808890"  # legible on white and on black
OURS, OTHERS, BOUND = "#2f81f7", "#9aa4ae", "#d4722a"
STYLE: Any = {
    "svg.fonttype": "none",  # text as text: small, and the reader's own font
    "svg.hashsalt": "benchmarks",  # the same ids each time
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def result(name: str) -> dict[str, Any]:
    """A stored figure.

    Raises:
        SystemExit: it has not been taken yet.
    """
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"First: python3 dev.py bench {name}")
    figure: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figure


def bars(axes: Any, figure: dict[str, Any]) -> None:
    """Records per second by contender."""
    rows = figure["table"][::-1]
    names = [row["contender"] for row in rows]
    rates = [row["records/s"] for row in rows]
    colours = [OURS if name == "this tap" else OTHERS for name in names]
    drawn = axes.barh(names, rates, color=colours, height=0.65)
    axes.bar_label(drawn, [f"{rate:,}".replace(",", " ") for rate in rates], padding=4)
    axes.set_xlim(0, max(rates) * 1.2)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    sessions = f"{figure['settings']['sessions']:,}".replace(",", " ")
    axes.set_title(f"Records per second, {sessions} sessions", loc="left")


def line(axes: Any, figure: dict[str, Any]) -> None:
    """Peak memory over size."""
    rows = [row for row in figure["table"] if row["host"] == "the tap"]
    sizes, peaks = [row["sessions"] for row in rows], [row["peak MB"] for row in rows]
    axes.plot(sizes, peaks, color=OURS, marker="o")
    for size, peak in zip(sizes, peaks, strict=True):
        axes.annotate(f"{peak}", (size, peak), (0, -14), textcoords="offset points", ha="center")
    axes.axhline(400, color=BOUND, linestyle="--", linewidth=1)
    axes.annotate("400 MB", (sizes[0], 400), (0, 4), textcoords="offset points", color=BOUND)
    axes.set_xscale("log")
    labels = [f"{size:,}".replace(",", " ") for size in sizes]
    axes.set_xticks(sizes, labels)
    axes.minorticks_off()
    axes.set_ylim(0, max(460, max(peaks) * 1.15))
    axes.set_title("Peak memory of the tap in MB, by sessions", loc="left")


def main(options: argparse.Namespace) -> None:
    """Draw."""
    with pyplot.rc_context(STYLE):
        canvas, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
        bars(left, result("throughput"))
        line(right, result("memory"))
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas.savefig(TARGET, transparent=True, metadata=nothing)
    say(f"Drew {TARGET.relative_to(ROOT)}, {TARGET.stat().st_size // 1024} KB")
