"""The quick half of `dev.py bench table`: its baseline, its stores, its figures. No peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from conftest import MakeSandbox
from oracle import as_emitted
from psycopg.rows import dict_row
from support import ROOT, ZONE, config_of, run_tap

from benchmarks.harness import Run
from benchmarks.stores import SCHEMA, TABLE, Parquet, postgres
from benchmarks.table import (
    ALONE,
    BASELINE,
    DEFAULT,
    DICTS,
    DICTS_FAST,
    DUCKDB,
    OURS,
    PARQUET,
    POSTGRES,
    SHIPPED,
    figures,
    goals,
    shipped,
)


def test_the_baseline_loads_what_the_tap_writes(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(sessions=300, seed=4, timezone=ZONE)
    lines = run_tap(config_of(sandbox), directory=tmp_path).check().stdout
    with postgres() as store:
        store.clear()
        module = "benchmarks.peers.baseline_postgres"
        command = [sys.executable, "-m", module, store.place, SCHEMA]
        subprocess.run(command, input=lines, text=True, cwd=ROOT, check=True)
        assert store.rows() == 300
        with psycopg.connect(store.place, row_factory=dict_row) as connection:
            rows: list[dict[str, Any]] = connection.execute(f"SELECT * FROM {TABLE}").fetchall()
        store.clear()
    for row in rows:
        row["date_time"] = f"{row['date_time']:%Y-%m-%dT%H:%M:%SZ}"
    assert {row["id"]: row for row in rows} == {
        row["id"]: as_emitted(row, ZONE) for row in sandbox.rows()
    }


def test_of_parquet_files_only_the_sessions_are_counted(tmp_path: Path) -> None:
    store = Parquet(tmp_path / "parquet")
    store.clear()
    table = pa.table({"id": [1, 2, 3]})
    for folder in ("bench/visitor_sessions", "bench/visitor_sessions__hits", "bench/_dlt_loads"):
        path = Path(store.place) / folder
        path.mkdir(parents=True)
        pq.write_table(table, path / "1.parquet")
    pq.write_table(table, Path(store.place) / "tap.parquet")
    assert store.rows() == 6
    store.clear()
    assert store.rows() == 0


def test_the_figures_are_those_of_the_rounds() -> None:
    seconds = {ALONE: 1.0} | {
        f"{POSTGRES}: {who}": taken for who, taken in ((DEFAULT, 40), (SHIPPED, 10), (DICTS, 20))
    }
    seconds[f"{POSTGRES}: {BASELINE}"] = 5
    seconds |= {f"{where}: {OURS}": 4.0 for where in (POSTGRES, DUCKDB, PARQUET)}
    seconds |= {f"{DUCKDB}: {DICTS}": 12, f"{DUCKDB}: {SHIPPED}": 6, f"{PARQUET}: {DICTS_FAST}": 8}
    seconds[f"{PARQUET}: {ALONE}"] = 2
    slow = {name: Run(2 * taken, taken, 100) for name, taken in seconds.items()}
    rounds = [{name: Run(taken, taken, 100) for name, taken in seconds.items()}, slow, slow]
    assert [goal.value for goal in goals(rounds)] == [4, 2, 5, 1.25, 3, 1.5, 2]
    rows = {row[1]: row for row in figures(rounds, 60_000) if row[0] in ("", POSTGRES)}
    assert rows[SHIPPED] == [POSTGRES, SHIPPED, 20, 3000, 1, "50%", 10, 100]
    assert rows[DEFAULT][3:6] == [750, 4, "12%"]
    assert rows[ALONE][:5] == ["", ALONE, 2, 30_000, None]


def test_what_is_shipped_is_what_meltano_yml_sets() -> None:
    fast = {"use_copy": True, "validate_records": False}
    assert shipped("target-postgres") == {"default_target_schema": "analytics", **fast}
