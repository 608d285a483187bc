"""Programs of dbt's environment, and what sqlfluff says of compiled models."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from project import HOME, OFFLINE
from support import ROOT

PACKAGE = ROOT / "transform"


def run(program: str, *arguments: str, cwd: Path | None = None) -> None:
    """A program of dbt's environment, which must succeed."""
    done = subprocess.run(
        [str(HOME / "bin" / program), *arguments],
        cwd=cwd,
        env={**os.environ, **OFFLINE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def check_sql(target: Path, dialect: str) -> int:
    """sqlfluff parses each model that was compiled into a folder of dbt's, and finds nothing; how
    many they are."""
    models = list((target / "compiled/visitor_sessions/models").glob("*/*.sql"))
    assert models
    options = ["--config", str(PACKAGE / ".sqlfluff"), "--dialect", dialect, "--processes", "1"]
    run("sqlfluff", "lint", *options, *map(str, models))
    return len(models)
