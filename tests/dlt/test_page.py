"""What docs/dlt.md shows, run."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime

import duckdb
import pytest
from conftest import MakeSandbox
from dlt_pipelines import NAME, MakePipeline, source_of, table
from support import ROOT, ZONE, config_of

from sandbox import make_sessions

pytest_plugins = ["dlt_pipelines"]
pytestmark = pytest.mark.usefixtures("alone")
PAGE = (ROOT / "docs/dlt.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


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
