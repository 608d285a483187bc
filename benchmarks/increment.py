"""What a scheduled run costs besides its rows: `meltano run` where nothing is new."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    ROOT,
    VENVS,
    Api,
    Figure,
    Goal,
    Run,
    interleaved,
    middle,
    pipeline,
    say,
    serving,
    version,
)
from benchmarks.stores import SCHEMA, postgres

TAP, TARGET = "tap-visitor-sessions", "target-postgres"
PROJECT = VENVS / "meltano"
MELTANO = str(Path(sys.executable).with_name("meltano"))
PAIR = [TAP, TARGET]
WHOLE, NO_INSTALL = "meltano run", "meltano run --no-install"
REFRESH = "meltano run --no-install --refresh-catalog"
OURS, DISCOVERY = "the tap: start, state, one request", "the tap: --discover"
LOADER = "target-postgres: SCHEMA and STATE alone"


def prepared() -> None:
    """A Meltano project with this checkout's tap and the loader, installed."""
    wanted = (ROOT / "meltano.yml").read_text().replace("pip_url: -e .", f"pip_url: -e {ROOT}")
    stamp = PROJECT / "made-for"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    PROJECT.mkdir(parents=True, exist_ok=True)
    (PROJECT / "meltano.yml").write_text(wanted)
    for kind, name in (("extractor", TAP), ("loader", TARGET)):
        say(f"Meltano installs {name}")
        subprocess.run([MELTANO, "install", kind, name], cwd=PROJECT, check=True, stdout=2)
    stamp.write_text(wanted)


def program(kind: str, name: str) -> str:
    """A program that Meltano has installed."""
    return str(PROJECT / ".meltano" / kind / name / "venv/bin" / name)


def environment(api: Api, uri: str) -> dict[str, str]:
    """The settings of both, for Meltano; no end_date, as in a schedule."""
    config = api.config()
    return {
        "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": config["access_token"],
        "TAP_VISITOR_SESSIONS_API_URL": config["api_url"],
        "TAP_VISITOR_SESSIONS_START_DATE": config["start_date"],
        "TARGET_POSTGRES_SQLALCHEMY_URL": uri.replace("postgresql://", "postgresql+psycopg://"),
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMA,
    }


def contenders(api: Api, uri: str, folder: Path) -> dict[str, list[list[str]]]:
    """Commands by what they measure: Meltano's whole run, and the parts by themselves."""
    suffix = f"--state-id-suffix={time.time_ns()}"
    run = [MELTANO, f"--cwd={PROJECT}", "run", suffix]
    config = {key: value for key, value in api.config().items() if key != "end_date"}
    written: dict[str, Path] = {name: folder / f"{name}.json" for name in ("tap", "target")}
    written["tap"].write_text(json.dumps(config))
    url = uri.replace("postgresql://", "postgresql+psycopg://")
    target = {"sqlalchemy_url": url, "default_target_schema": SCHEMA}
    written["target"].write_text(json.dumps(target))
    say("The first load")
    own_tap = [program("extractors", TAP), f"--config={written['tap']}"]
    first = subprocess.run(own_tap, capture_output=True, text=True, check=True)
    state = json.loads(first.stdout.strip().split("\n")[-1])["value"]
    (folder / "state.json").write_text(json.dumps(state))
    pipeline([*run, *PAIR], env=environment(api, uri))
    again = [*own_tap, f"--state={folder / 'state.json'}"]
    nothing = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    if '"RECORD"' in nothing:
        raise SystemExit("There is something new")
    (folder / "messages").write_text(nothing)
    load = [program("loaders", TARGET), f"--config={written['target']}"]
    return {
        WHOLE: [[*run, *PAIR]],
        NO_INSTALL: [[*run, "--no-install", *PAIR]],
        REFRESH: [[*run, "--no-install", "--refresh-catalog", *PAIR]],
        OURS: [again],
        DISCOVERY: [[*own_tap, "--discover"]],
        LOADER: [["cat", str(folder / "messages")], load],
    }


def main(options: argparse.Namespace) -> None:
    """Measure."""
    prepared()
    with (
        tempfile.TemporaryDirectory() as name,
        postgres() as server,
        serving(options.sessions) as api,
    ):
        commands = contenders(api, server.place, Path(name))
        env = {**os.environ, **environment(api, server.place)}

        def run(command: list[list[str]]) -> Run:
            return pipeline(*command, env=env)[-1]

        rounds = interleaved(options.rounds, {n: partial(run, c) for n, c in commands.items()})
    rows: list[list[Any]] = [
        [name, middle(rounds, name), middle(rounds, name, "cpu_seconds")] for name in commands
    ]
    goals = [Goal("seconds of the tap", middle(rounds, OURS), most=1)]
    settings = {
        "rounds": options.rounds,
        "versions": "; ".join(version(sys.executable, n) for n in ("meltano", "singer-sdk")),
    }
    Figure("increment", ["what", "s", "CPU s"], rows, goals, settings, rounds).show()
