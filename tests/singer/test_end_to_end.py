"""Meltano -> target-postgres -> a real PostgreSQL, twice, row by row."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import MakeSandbox
from oracle import as_emitted
from postgresql import running_postgresql
from psycopg.rows import dict_row
from support import ROOT

ZONE = "Europe/Moscow"


@pytest.fixture
def database() -> Iterator[str]:
    with running_postgresql() as uri:
        yield uri


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Meltano project of its own, so that the checkout stays clean."""
    folder = tmp_path / "project"
    folder.mkdir()
    text = (ROOT / "meltano.yml").read_text(encoding="utf-8")
    (folder / "meltano.yml").write_text(
        text.replace("pip_url: -e .", f"pip_url: -e {ROOT}"), encoding="utf-8"
    )
    shutil.copytree(ROOT / "plugins", folder / "plugins")
    return folder


def meltano(project: Path, env: dict[str, str], *arguments: str) -> None:
    program = str(Path(sys.executable).with_name("meltano"))
    command = [program, "--environment=sandbox", *arguments]
    done = subprocess.run(
        command, cwd=project, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


def test_production_is_the_default_and_the_demo_is_never_meant_by_accident(
    make_sandbox: MakeSandbox, database: str, project: Path
) -> None:
    """Who leaves `--environment` out loads into production's schema, with production's state."""
    text = (project / "meltano.yml").read_text(encoding="utf-8")
    assert "default_environment: production\n" in text
    tap = project / ".meltano/extractors/tap-visitor-sessions/venv/bin/tap-visitor-sessions"
    tap.parent.mkdir(parents=True)
    tap.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tap_visitor_sessions "$@"\n')
    tap.chmod(0o755)
    sandbox = make_sandbox(sessions=20, timezone=ZONE)
    env = {**os.environ, "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": sandbox.token}
    env |= {"TAP_VISITOR_SESSIONS_API_URL": sandbox.url, "MELTANO_CLI_LOG_LEVEL": "info"}
    env |= {"TAP_VISITOR_SESSIONS_START_DATE": "2024-05-01"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("meltano")), *arguments]
        return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)

    done = run("invoke", "tap-visitor-sessions")
    assert "Environment 'production' is active" in done.stderr
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('"type":"RECORD"') == 20
    # The demo's variables are not set: an error that names one, and no run with less.
    before = len(sandbox.calls)
    env = {name: value for name, value in env.items() if not name.startswith("TAP_")}
    done = run("--environment=sandbox", "invoke", "tap-visitor-sessions")
    assert done.returncode != 0
    assert "SANDBOX_URL" in done.stdout + done.stderr
    assert len(sandbox.calls) == before


def stored(uri: str) -> dict[int, dict[str, Any]]:
    with psycopg.connect(uri, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM demo.visitor_sessions").fetchall()
    for row in rows:
        at: datetime = row["date_time"]
        at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
        row["date_time"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len({row["id"] for row in rows}) == len(rows)
    return {
        row["id"]: {name: value for name, value in row.items() if not name.startswith("_sdc_")}
        for row in rows
    }


def test_the_table_equals_the_api_row_by_row(
    make_sandbox: MakeSandbox, database: str, project: Path
) -> None:
    sandbox = make_sandbox(sessions=600, seed=8, timezone=ZONE)
    newest = max(sandbox.rows(), key=lambda row: (row["date_time"], row["id"]))
    env = {
        "SANDBOX_URL": sandbox.url,
        "SANDBOX_START": "2024-05-01T00:00:00",
        "SANDBOX_DATABASE": database.replace("postgresql://", "postgresql+psycopg://"),
        "TAP_VISITOR_SESSIONS_END_DATE": newest["date_time"].replace(" ", "T"),
    }
    meltano(project, env, "install", "extractor", "tap-visitor-sessions")
    meltano(project, env, "install", "loader", "target-postgres")
    meltano(project, env, "run", "tap-visitor-sessions", "target-postgres")
    assert stored(database) == {r["id"]: as_emitted(r, ZONE) for r in sandbox.rows()}

    hit = {"hit_time": "late", "hit_duration": "00:00:09", "hit_url": "https://shop.example/ы"}
    sandbox.update(newest["id"], duration=99_999, hits=[hit], hits_count=1)
    before = len(sandbox.reports)
    meltano(project, env, "run", "tap-visitor-sessions", "target-postgres")
    table = stored(database)
    assert table == {r["id"]: as_emitted(r, ZONE) for r in sandbox.rows()}
    assert table[newest["id"]]["hits"] == [hit]
    assert len(sandbox.reports) == before + 1

    # By files: another plugin, so a state of its own, and the same table.
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA demo CASCADE")
    env |= {
        "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
        "TAP_VISITOR_SESSIONS_ACCESS_TOKEN": "sandbox-token",
        "TAP_VISITOR_SESSIONS_START_DATE": "2024-05-01",
    }
    meltano(project, env, "run", "tap-visitor-sessions-files", "target-postgres")
    assert stored(database) == table
    [file] = (project / "output/batches").iterdir()
    assert file.name.endswith(".jsonl.gz")
