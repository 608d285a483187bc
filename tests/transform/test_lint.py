"""The SQL in each dialect: compiled without a database, parsed and linted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from linting import PACKAGE, check_sql, run

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
    models = check_sql(tmp_path / "target", dialect)
    assert models == len(list(PACKAGE.glob("models/*/*.sql"))) - 2  # two are off
