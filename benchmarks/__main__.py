"""`python -m benchmarks NAME`: take a figure, print its table, keep it in benchmarks/results."""

from __future__ import annotations

import argparse
from importlib import import_module

ROUNDS = 5
FIGURES = {
    # name: (module, default sessions or None, what it shows)
    "throughput": ("throughput", 300_000, "records/s of the tap, its peers and the baseline"),
    "latency": ("latency", 500_000, "wall time with 1 s per request, 1 to 8 in flight"),
    "customers": ("customers", 200, "an agency of small customers, 1 and 8 requests in flight"),
    "memory": ("memory", None, "peak memory over the number of sessions"),
    "requests": ("request_count", None, "requests against the least possible"),
    "table": ("table", 60_000, "into PostgreSQL, DuckDB and Parquet, against the peers"),
    "shapes": ("shapes", 60_000, "values that deviate, selection, flattening, hashing, maps"),
    "increment": ("increment", 20_000, "meltano run where nothing is new"),
    "transform": ("transform", 1_000_000, "the dbt package: a full build and a day's increment"),
    "steps": ("steps", None, "where the time of a page goes"),
    "plot": ("plot", None, "docs/benchmarks.svg from throughput and memory"),
}
FEW = ("table", "transform")
"""Fewer rounds: they take long."""
SIZES = {"memory": [30_000, 100_000, 300_000, 1_000_000], "requests": [30_000, 300_000]}


def main() -> None:
    """Parse the command line and take the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="figure", required=True, metavar="NAME")
    for name, (_, sessions, text) in FIGURES.items():
        command = commands.add_parser(name, help=text, description=text)
        if name != "plot":
            command.add_argument("--rounds", type=int, default=3 if name in FEW else ROUNDS)
        if sessions is not None:
            command.add_argument("--sessions", type=int, default=sessions)
        if name in SIZES:
            command.add_argument("--sizes", type=int, nargs="+", default=SIZES[name])
        if name == "customers":
            command.add_argument("--customers", type=int, default=500)
            command.add_argument("--latency", type=float, default=0.3, help="seconds per request")
        if name in ("table", "shapes", "transform"):
            command.add_argument("--only", default="", help="some of them; keeps no result")
        if name == "latency":
            command.add_argument("--latency", type=float, default=1.0, help="seconds per request")
    options = parser.parse_args()
    # Only here: not every figure needs what another imports.
    import_module(f"benchmarks.{FIGURES[options.figure][0]}").main(options)


if __name__ == "__main__":
    main()
