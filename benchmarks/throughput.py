"""Records per second from process start to exit, this tap against its peers and the baseline."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    BASELINE_DAYS,
    PAGE,
    WINDOW_DAYS,
    Api,
    Figure,
    Goal,
    Run,
    days,
    environment,
    interleaved,
    measured,
    middle,
    ratio,
    say,
    serving,
    tap,
    version,
)

TAP, FASTEST_PEER, BASELINE = "this tap", "dlt, no gzip", "baseline"
SOURCE = "our Airbyte source"
CHECKED = 20_000
CATALOG = {
    "streams": [
        {
            "stream": {
                "name": "visitor_sessions",
                "json_schema": {},
                "supported_sync_modes": ["full_refresh", "incremental"],
            },
            "sync_mode": "incremental",
            "destination_sync_mode": "append_dedup",
        }
    ]
}


@dataclass(frozen=True)
class Contender:
    """Somebody who reads the sessions: a command, and what the tap is to reach against it."""

    command: list[str]
    goal: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    leaves: Path | None = None

    def run(self, api: Api) -> Run:
        """Once, from nothing and leaving nothing: dlt's state would end the next run early."""
        run = measured(api, self.command, self.env)
        if self.leaves is not None:
            shutil.rmtree(self.leaves)
        return run


def contenders(api: Api, folder: Path) -> dict[str, Contender]:
    """All of them, their configs written to `folder`."""
    config = api.config(window_days=WINDOW_DAYS, page_size=PAGE)
    peer, catalog, baseline, airbyte_config = (
        folder / f"{name}.json" for name in ("peer", "catalog", "baseline", "airbyte")
    )
    peer.write_text(json.dumps(config))
    baseline.write_text(json.dumps({**config, "window_days": BASELINE_DAYS}))
    airbyte_config.write_text(json.dumps({**config, "num_workers": 4}))
    catalog.write_text(json.dumps(CATALOG))
    airbyte, dlt = str(environment("airbyte")), str(environment("dlt"))

    def module(name: str, python: str = sys.executable) -> list[str]:
        return [python, "-m", f"benchmarks.peers.{name}"]

    read = ["read", f"--config={airbyte_config}", f"--catalog={catalog}"]
    own_config = folder / "own.json"
    own_config.write_text(json.dumps(api.config()))
    own = ["read", f"--config={own_config}", f"--catalog={catalog}"]
    extracted = folder / "dlt"
    extract = [*module("dlt_source", dlt), str(peer), str(extracted)]
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
    plain = {**quiet, "DATA_WRITER__DISABLE_COMPRESSION": "true"}
    return {
        TAP: Contender(tap(folder, api.config())),
        SOURCE: Contender([sys.executable, "-m", "tap_visitor_sessions.airbyte", *own], 0.8),
        "SDK, plain": Contender([*module("sdk_plain"), f"--config={peer}"], 6),
        "Airbyte low-code": Contender([*module("airbyte_source", airbyte), *read], 6),
        "dlt extract": Contender(extract, 6, quiet, extracted),
        FASTEST_PEER: Contender(extract, None, plain, extracted),
        BASELINE: Contender([*module("baseline"), str(baseline)], 0.6),
    }


def check(api: Api, folder: Path) -> None:
    """The first days of all: the tap and the baseline give the same records, the rest as many.

    Raises:
        SystemExit: they do not.
    """
    part = replace(api, days=days(min(api.sessions, CHECKED)))
    held: dict[str, dict[int, Any]] = {}
    counts: dict[str, int] = {}
    for name, contender in contenders(part, folder).items():
        if name.startswith("dlt"):  # writes files of its own kind
            continue
        done = subprocess.run(contender.command, capture_output=True, check=True)
        lines = [line for line in done.stdout.splitlines() if b'"RECORD"' in line[:400]]
        counts[name] = len(lines)
        if name in (TAP, BASELINE):
            records = [json.loads(line)["record"] for line in lines]
            held[name] = {record["id"]: record for record in records}
    if held[TAP] != held[BASELINE] or len(set(counts.values())) != 1:
        raise SystemExit(f"The contenders do not give the same sessions: {counts}")
    say(f"Checked: all give the same {counts[TAP]} sessions of the first {part.days} day(s)")


def main(options: argparse.Namespace) -> None:
    """Measure."""
    cache_mb = options.sessions * 8 // 1000  # pages of the tap, the peers and the baseline
    with (
        tempfile.TemporaryDirectory() as name,
        serving(options.sessions, cache_mb=cache_mb) as api,
    ):
        folder = Path(name)
        check(api, folder)
        everyone = contenders(api, folder)
        # The server renders each page once, before the clock starts: the peers ask for the same.
        for warm in (TAP, FASTEST_PEER, BASELINE):
            everyone[warm].run(api)
        runs = {name: partial(who.run, api) for name, who in everyone.items()}
        rounds = interleaved(options.rounds, runs)
    rows = []
    for name in everyone:
        seconds = middle(rounds, name)
        rows.append(
            [
                name,
                seconds,
                round(options.sessions / seconds),
                ratio(rounds, name, TAP),
                middle(rounds, name, "cpu_seconds"),
                f"{middle(rounds, name, 'server_cpu_seconds') / seconds:.1%}",
                round(middle(rounds, name, "peak_mb")),
                int(middle(rounds, name, "requests")),
            ]
        )
    goals = [
        Goal(
            f"records/s against {name}" if name != SOURCE else f"records/s of {name} against ours",
            ratio(rounds, name, TAP) if name != SOURCE else ratio(rounds, TAP, name),
            least=who.goal,
        )
        for name, who in everyone.items()
        if who.goal
    ]
    head = ["contender", "s", "records/s", "tap is x", "CPU s", "server", "peak MB", "requests"]
    settings = {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "versions": "; ".join(
            [
                version(sys.executable, "singer-sdk"),
                version(environment("airbyte"), "airbyte-cdk"),
                version(environment("dlt"), "dlt"),
            ]
        ),
    }
    Figure("throughput", head, rows, goals, settings, rounds).show()
