"""Tables and numbers of benchmarks/results, as the pages show them: the one source of each figure.

Every ratio says how many times as fast the row is as the one named in the head: larger is better.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks/results"
NARROW = "\u202f"
"""Sets thousands apart, and never breaks a line."""


@cache
def result(name: str) -> dict[str, Any]:
    """What `python3 dev.py bench NAME` has kept."""
    kept: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return kept


def rows(name: str) -> list[dict[str, Any]]:
    """The table of a figure."""
    found: list[dict[str, Any]] = result(name)["table"]
    return found


def spaced(number: int) -> str:
    """A whole number, its thousands set apart."""
    return f"{number:,}".replace(",", NARROW)


def times(ratio: float) -> str:
    """A ratio; two digits below ten."""
    return f"{ratio:.2f} ×" if ratio < 0.995 else f"{ratio:.1f} ×"


def _lines(*cells: list[str]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def speeds(*stores: str) -> str:
    """Tables of `bench table`: from the API into a store, by whom, how fast."""
    kept = rows("table")
    [alone] = [row for row in kept if not row["into"]]
    blocks = []
    for store in stores:
        reference = "this tap" if store == "Parquet files" else "the shipped pair"
        lines = [[f"into {store}", "records/s", f"against {reference}", "CPU s", "peak MB"]]
        lines.append(["---", "--:", "--:", "--:", "--:"])
        for row in kept:
            if row["into"] == store:
                ratio = row["shipped is x"]
                against = "" if ratio == 1 else times(1 / ratio)
                cells = [row["who"], spaced(row["records/s"]), against]
                lines.append([*cells, f"{row['CPU s']:.0f}", spaced(row["peak MB"])])
        if store == "PostgreSQL":
            rate, cpu = spaced(alone["records/s"]), f"{alone['CPU s']:.0f}"
            lines.append(
                [f"{alone['who']}, output discarded", rate, "", cpu, str(alone["peak MB"])]
            )
        blocks.append(_lines(*lines))
    return "\n\n".join(blocks)


CONTENDERS = {
    "this tap": "this tap",
    "our Airbyte source": "the same core as an Airbyte source",
    "SDK, plain": "the same stream written plainly on the SDK",
    "Airbyte low-code": "an Airbyte low-code source",
    "dlt extract": "a dlt resource, extract step alone",
    "dlt, no gzip": "the same without dlt's compression",
    "baseline": "the baseline: download, typed decode, encode, no framework",
}
"""The rows of `bench throughput`, as the pages name them."""


def throughput() -> str:
    """The table of `bench throughput`: the stream alone, by whom, how fast."""
    lines = [["output discarded", "records/s", "against this tap"], ["---", "--:", "--:"]]
    found = {row["contender"]: row for row in rows("throughput")}
    for name, label in CONTENDERS.items():
        ratio = found[name]["tap is x"]
        against = "" if ratio == 1 else f"{1 / ratio:.2f} ×"
        lines.append([label, spaced(found[name]["records/s"]), against])
    return _lines(*lines)


def increment() -> str:
    """The table of `bench increment`: what a run costs where nothing is new."""
    lines = [["program, each by itself", "s", "CPU s"], ["---", "--:", "--:"]]
    lines += [[row["what"], f"{row['s']:.2f}", f"{row['CPU s']:.2f}"] for row in rows("increment")]
    return _lines(*lines)


def transform() -> str:
    """The table of `bench transform`: what a build of the dbt package costs."""
    lines = [["build", "s", "CPU s", "sessions made anew"], ["---", "--:", "--:", "--:"]]
    for row in rows("transform"):
        share = 1 if "full" in row["what"] else row["sessions made anew"]
        cells = [f"{row[name]:.0f}" for name in ("s of dbt's run", "CPU s")]
        lines.append([row["what"], *cells, f"{100 * share:.1f} %" if share else ""])
    return _lines(*lines)


def shapes() -> str:
    """The table of `bench shapes`: what deviates or is asked for, against the clean run."""
    lines = [["sessions", "seconds", "CPU", "peak memory"], ["---", "--:", "--:", "--:"]]
    lines += [
        [row["shape"], *(f"× {row[name]:.2f}" for name in ("x s", "x CPU", "x MB"))]
        for row in rows("shapes")
    ]
    return _lines(*lines)


def steps() -> str:
    """The table of `bench steps`: where the time of a page goes, in one thread."""
    lines = [["step", "ms a page", "share"], ["---", "--:", "--:"]]
    lines += [
        [row["step"], f"{row['ms a page']:.0f}", f"{100 * row['share']:.0f} %"]
        for row in rows("steps")
    ]
    return _lines(*lines)


def latency() -> str:
    """The table of `bench latency`: wall time by requests in flight."""
    lines = [["requests in flight", "seconds", "against one"], ["---", "--:", "--:"]]
    for row in rows("latency"):
        ratio = row["x faster"]
        against = "" if ratio == 1 else times(ratio)
        lines.append([row["concurrency"].split()[0], f"{row['s']:.0f}", against])
    return _lines(*lines)


def memory() -> str:
    """The table of `bench memory`: peak memory by sessions."""
    lines = [["sessions", "as", "peak MB"], ["--:", "---", "--:"]]
    lines += [[spaced(row["sessions"]), row["host"], str(row["peak MB"])] for row in rows("memory")]
    return _lines(*lines)


def customers() -> str:
    """The sentence of `bench customers`."""
    one, eight, alone, before = rows("customers")
    kept = result("customers")["settings"]
    return (
        f"{kept['customers']} customers of {kept['sessions each']} sessions, "
        f"{kept['seconds per request']} s of latency per request: {one['s']:.0f} s one request at "
        f"a time, {eight['s']:.0f} s with 8 in flight\n({times(eight['x faster'])}), "
        f"{eight['peak MB']} MB of memory. A large customer takes {before['s'] / alone['s']:.2f} × "
        "its time alone where\nsmall ones come after it (`python3 dev.py bench customers`)."
    )


def airbyte() -> str:
    """What the Airbyte source does against the tap's own lines."""
    [row] = [row for row in rows("throughput") if row["contender"] == "our Airbyte source"]
    sessions = spaced(result("throughput")["settings"]["sessions"])
    return (
        f"{1 / row['tap is x']:.2f} × the records per second of the tap's own lines ({sessions} "
        "sessions;\n`python3 dev.py bench throughput`)."
    )


FIGURES = ("table", "throughput", "latency", "customers", "memory", "requests", "shapes")


def goals() -> str:
    """How many goals each benchmark has, and those that were missed."""
    lines = [["benchmark", "goals met", "missed", "rounds"], ["---", "--:", "---", "--:"]]
    for name in (*FIGURES, "increment", "transform"):
        kept = result(name)
        missed = [goal for goal in kept["goals"] if not goal["met"]]
        said = "; ".join(f"{goal['name']}: {goal['value']:.2f}, {_bound(goal)}" for goal in missed)
        met = len(kept["goals"]) - len(missed)
        rounds = kept["settings"].get("rounds", "")
        lines.append([f"`{name}`", f"{met} of {len(kept['goals'])}", said, str(rounds)])
    return _lines(*lines)


def _bound(goal: dict[str, Any]) -> str:
    if goal["least"] is not None:
        return f"wanted at least {goal['least']:g}"
    return f"wanted at most {goal['most']:g}"


def summary() -> str:
    """README's three lines on speed."""
    into = {(row["into"], row["who"]): row for row in rows("table")}
    shipped = spaced(into["PostgreSQL", "the pair as shipped"]["records/s"])
    by_default = into["PostgreSQL", "the pair with default settings"]
    peaks = {(row["host"], row["sessions"]): row["peak MB"] for row in rows("memory")}
    eight = rows("latency")[-1]
    sdk = next(row for row in rows("throughput") if row["contender"] == "SDK, plain")
    return (
        f"- Into PostgreSQL, tap and loader as `meltano.yml` ships them: {shipped} "
        f"records/s, {times(by_default['shipped is x'])} the loader's default\n  settings.\n"
        f"- The tap alone: {times(sdk['tap is x'])} the same stream written plainly on the SDK.\n"
        f"- With a second of latency per request, 8 in flight: {times(eight['x faster'])} one at a "
        f"time.\n- Peak memory: {peaks['the tap', 1_000_000]} MB at a million sessions."
    )
