"""What docs/dlt.md shows, run."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import duckdb
import pages
import psycopg
import pytest
from conftest import MakeSandbox
from dlt_pipelines import NAME, MakePipeline, source_of, table
from support import ROOT, ZONE, config_of

from sandbox import make_sessions

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")


def blocks(language: str) -> list[str]:
    return [block.text for block in pages.blocks("docs/dlt.md", language)]


def test_its_python(make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    config = config_of(sandbox)
    for name in ("access_token", "api_url", "start_date"):
        for section in (NAME, "north", "south"):
            monkeypatch.setenv(f"SOURCES__{section}__{name}".upper(), config[name])
    for block in blocks("python"):
        if "postgres" not in block:
            head = blocks("python")[0] if "import dlt" not in block else ""
            text = (head + block).replace('access_token="your key", start_date="2024-01-01"', "")
            exec(compile(text, "docs/dlt.md", "exec"), {})


def test_its_python_and_sql_for_postgresql(
    make_sandbox: MakeSandbox, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(sessions=30, timezone=ZONE)
    config = config_of(sandbox)
    for name in ("access_token", "api_url", "start_date"):
        monkeypatch.setenv(f"SOURCES__{NAME}__{name}".upper(), config[name])
    monkeypatch.setenv("WAREHOUSE", postgres)
    [block] = [one for one in blocks("python") if "postgres" in one]
    head = "import dlt\nfrom tap_visitor_sessions.dlt import visitor_sessions\n"
    exec(compile(f"{head}source = visitor_sessions()\n{block}", "docs/dlt.md", "exec"), {})
    others = [one for one in blocks("sql") if "read_parquet" not in one]
    assert len(others) == 2
    with psycopg.connect(postgres) as connection:
        connection.execute("SET search_path = callgear")
        for sql in others:
            cursor = connection.execute(sql)
            if cursor.description:
                hits = sum(len(row["hits"]) for row in sandbox.rows())
                assert len(cursor.fetchall()) == hits > 30


def test_its_sql_for_files(make_sandbox: MakeSandbox, make_pipeline: MakePipeline) -> None:
    rows = make_sessions(60, end=datetime(2024, 5, 20))
    sandbox = make_sandbox(rows=rows, timezone=ZONE)
    pipeline = make_pipeline("lake")
    for city in ("Omsk", "Tomsk"):
        for row in rows[:5]:
            sandbox.update(row["id"], visitor_city=city)
        pipeline.run(source_of(sandbox, lookback_window="P60D"))
    assert len(table(pipeline)) == 120
    [sql] = [block for block in blocks("sql") if "read_parquet" in block]
    found = duckdb.sql(sql.replace("callgear", pipeline.dataset_name)).fetchall()
    assert len(found) == 60
    assert sum("Tomsk" in row for row in found) >= 5
    assert not any("Omsk" in row for row in found if row[0] in {r["id"] for r in rows[:5]})


def test_the_source_imports_nothing_of_singer() -> None:
    code = "import sys, tap_visitor_sessions.dlt; print([m for m in sys.modules if 'singer' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "singer_sdk" not in done.stdout, done.stdout + done.stderr
