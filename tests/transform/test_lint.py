"""The SQL in each dialect: compiled without a database, parsed and linted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from project import HOME, OFFLINE
from support import ROOT

PACKAGE = ROOT / "transform"
TARGETS = {
    "duckdb": {"path": ":memory:"},
    "postgres": {"host": "localhost", "port": 5432, "password": "none", "dbname": "none"},
    "snowflake": {"account": "none", "password": "none", "warehouse": "none"},
}


@pytest.mark.parametrize("dialect", TARGETS)
def test_models_compile_and_are_clean(dialect: str, tmp_path: Path) -> None:
    """Snowflake's SQL is compiled and parsed, and never run."""
    output = {"type": dialect, "user": "none", "database": "warehouse", "schema": "marts"}
    output |= TARGETS[dialect]
    if dialect == "duckdb":
        output = {"type": dialect, "schema": "marts", **TARGETS[dialect]}
    if dialect == "postgres":
        del output["database"]
    profile = {"visitor_sessions": {"target": "one", "outputs": {"one": output}}}
    (tmp_path / "profiles.yml").write_text(yaml.safe_dump(profile))
    run(
        *("dbt", "compile", "--no-introspect", "--no-populate-cache", "--quiet"),
        *("--project-dir", str(PACKAGE), "--profiles-dir", str(tmp_path)),
        *("--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path)),
    )
    compiled = tmp_path / "target/compiled/visitor_sessions/models"
    models = [str(path) for path in compiled.glob("*/*.sql")]
    assert len(models) == len(list(PACKAGE.glob("models/*/*.sql"))) - 2  # two are off
    config = str(PACKAGE / ".sqlfluff")
    run("sqlfluff", "lint", "--config", config, "--dialect", dialect, *models)


def run(program: str, *arguments: str) -> None:
    """A program of dbt's environment, which must succeed."""
    done = subprocess.run(
        [str(HOME / "bin" / program), *arguments],
        env={**os.environ, **OFFLINE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
