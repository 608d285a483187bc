"""The commands of the pages that need Meltano and a loader, run as they stand: see
tests/stranger.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pages
import psycopg
import pytest
import stranger
from loading import HOME, ZONE
from psycopg.sql import SQL, Identifier
from support import ROOT

from sandbox import Sandbox

CHECKOUT = ["docs/meltano.md", "docs/production.md", "docs/quick-start.md"]
"""Whose reader stands in a clone."""
OWN = ["docs/loaders.md", "hub/README.md"]
"""Whose reader stands in a Meltano project beside a clone."""
OURS = "In a project of your own"


def of(page: str) -> list[pages.Block]:
    return [block for block in pages.blocks(page) if block.mark == "run by"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(sessions=200, seed=3, timezone=ZONE).running() as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As git would bring it, `meltano.yml` a file of its own: Meltano writes into it."""
    folder = tmp_path / "tap-visitor-sessions"
    stranger.checkout(folder)
    (folder / "meltano.yml").unlink()
    shutil.copy(ROOT / "meltano.yml", folder)
    return folder


def rows_in(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM analytics.visitor_sessions").fetchone()
    return int(row[0]) if row else 0


@pytest.fixture
def empty(postgres: str) -> str:
    with psycopg.connect(postgres, autocommit=True) as connection:
        # Other tests of the session leave tables of that name too.
        left = connection.execute(
            "SELECT table_schema FROM information_schema.tables "
            "WHERE table_name = 'visitor_sessions'"
        ).fetchall()
        for name in {"analytics", *(row[0] for row in left)}:
            connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))
    return postgres


def test_in_a_clone(sandbox: Sandbox, clone: Path, empty: str) -> None:
    blocks = [block for page in CHECKOUT for block in of(page) if block.section != OURS]
    env = {"LOADERS": str(HOME / ".meltano/loaders")}
    done = stranger.run(blocks, sandbox, clone, empty, **env)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert rows_in(empty) == 200
    assert json.loads((clone / "state-backup.json").read_text())["singer_state"]["bookmarks"]
    assert "Visitor sessions" in (clone / "report.html").read_text(encoding="utf-8")
    # All of these went on from one state: the account was read once, and then its end.
    starts = [str(call.params["date_from"]) for call in sandbox.reports]
    assert sum(start.startswith("2024-01-01") for start in starts) == 1


def test_in_a_project_of_ones_own(sandbox: Sandbox, tmp_path: Path, empty: str) -> None:
    blocks = [block for block in of("docs/meltano.md") if block.section == OURS]
    env = {
        "LOADERS": str(HOME / ".meltano/loaders"),
        "TAP_VISITOR_SESSIONS_API_URL": sandbox.url,
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    folder = tmp_path / "empty"
    done = stranger.run(blocks, sandbox, folder, empty, **env)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert rows_in(empty) == 200
    # What other pages say of a project beside a clone.
    shutil.rmtree(folder / "sessions")
    init = pages.Block("here", 1, "sh", "meltano init sessions\ncd sessions\n", "")
    added = [block for page in OWN for block in of(page)]
    assert len(added) == 2
    done = stranger.run([init, *added], sandbox, folder, empty, **env)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
