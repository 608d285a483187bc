"""The compiled SQL: what sqlfluff says of it, on PostgreSQL, DuckDB and Snowflake."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from project import HOME, OFFLINE
from suite import MakeLane, MakeProject
from support import ROOT

NOWHERE = {"account": "nowhere", "user": "nobody", "password": "none", "warehouse": "w"}
SNOWFLAKE = {"type": "snowflake", **NOWHERE, "database": "db", "schema": "answers", "threads": 1}


def check_sql(project: Path, dialect: str) -> None:
    """sqlfluff parses each model, and finds nothing."""
    models = project / "target" / "compiled" / "visitor_sessions" / "models"
    assert len(list(models.glob("*/*.sql"))) > 15
    config = ROOT / "transform" / ".sqlfluff"
    options = ["--config", str(config), "--dialect", dialect, "--processes", "1"]
    command = [str(HOME / "bin/sqlfluff"), "lint", *options, *map(str, models.glob("*/*.sql"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["meltano-postgres", "dlt-duckdb"])
def test_sqlfluff_finds_nothing(name: str, make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(name, wanderers=5)
    lane.load()
    project = make_project(lane)
    for _ in ("full", "increment"):
        project.build()
        check_sql(project.folder, lane.database.adapter)


@pytest.mark.parametrize("what", ["full", "increment"])
def test_it_compiles_for_snowflake(what: str, tmp_path: Path) -> None:
    """It has never run there."""
    project = tmp_path / "project"
    leave = shutil.ignore_patterns("target", "logs", "dbt_packages")
    shutil.copytree(ROOT / "transform", project, ignore=leave)
    profile = {"visitor_sessions": {"target": "dev", "outputs": {"dev": SNOWFLAKE}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    script = Path(__file__).with_name("compile_for_snowflake.py")
    done = subprocess.run(
        [str(HOME / "bin/python"), str(script), str(project), what],
        cwd=project,
        env={**os.environ, **OFFLINE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    check_sql(project, "snowflake")
