"""The compiled SQL: what sqlfluff says of it, on PostgreSQL, DuckDB and Snowflake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from linting import PACKAGE, check_sql, run
from suite import MakeLane, MakeProject

NOWHERE = {"account": "nowhere", "user": "nobody", "password": "none", "warehouse": "w"}
SNOWFLAKE = {"type": "snowflake", **NOWHERE, "database": "db", "schema": "answers", "threads": 1}


@pytest.mark.parametrize("name", ["meltano-postgres", "dlt-duckdb"])
def test_sqlfluff_finds_nothing(name: str, make_lane: MakeLane, make_project: MakeProject) -> None:
    lane = make_lane(name, wanderers=5)
    lane.load()
    project = make_project(lane)
    for _ in ("full", "increment"):
        project.build()
        assert check_sql(project.folder / "target", lane.database.adapter) > 15


@pytest.mark.parametrize("what", ["full", "increment"])
def test_it_compiles_for_snowflake(what: str, tmp_path: Path) -> None:
    """It has never run there."""
    project = tmp_path / "project"
    leave = shutil.ignore_patterns("target", "logs", "dbt_packages")
    shutil.copytree(PACKAGE, project, ignore=leave)
    profile = {"visitor_sessions": {"target": "dev", "outputs": {"dev": SNOWFLAKE}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    script = Path(__file__).with_name("compile_for_snowflake.py")
    run("python", str(script), str(project), what, cwd=project)
    assert check_sql(project / "target", "snowflake") > 15
