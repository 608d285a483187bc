"""The SQL of docs/trust.md: what it finds in tables that the loaders have made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loading import ZONE, DuckDB, Loader, Postgres, each
from support import ROOT, Run, config_of, run_tap

from sandbox import Sandbox, make_sessions
from tap_visitor_sessions.singer.tap import TapVisitorSessions

NOT_AS_MANY = "Days of which the table has not as many sessions as were emitted"
GONE = "Rows of days that were read again without them: gone at the vendor"
TAKE_OUT = "Take them out"
DATABASES = ["target-postgres", "target-snowflake", "target-duckdb"]


def documented(name: str) -> dict[str, str]:
    """The page's SQL for a loader, by the comment that it begins with."""
    text = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
    section = next(part for part in text.split("\n## ") if part.startswith(f"{name}\n"))
    blocks = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    return {block.split("\n")[0].removeprefix("-- "): block for block in blocks}


def selected() -> dict[str, Any]:
    config = {"access_token": "x", "start_date": "2024-05-01"}
    catalog: dict[str, Any] = json.loads(json.dumps(TapVisitorSessions(config=config).catalog_dict))
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"] or item["breadcrumb"][-1] == "read_at":
                item["metadata"]["selected"] = True
    return catalog


@pytest.mark.parametrize("name", each(*DATABASES, "target-jsonl", "target-csv"))
def test_what_is_gone_is_found_and_can_be_taken_out(
    name: str,
    make_sandbox: Callable[..., Sandbox],
    make_loader: Callable[..., Loader],
    tmp_path: Path,
) -> None:
    sandbox = make_sandbox(rows=make_sessions(120, seed=5), timezone=ZONE)
    loader: Loader = make_loader(name)
    own, catalog = documented(name), selected()

    def query(title: str) -> list[dict[str, Any]]:
        if name in DATABASES:
            return loader.query(own[title])
        for view in own.values():
            _run(loader, view)
        return _run(loader, documented("target-duckdb")[title])

    def run(state: dict[str, Any] | None = None, **more: Any) -> Run:
        config = {**config_of(sandbox), "start_date": "2024-05-01", **more}
        done = run_tap(config, state=state, catalog=catalog, directory=tmp_path)
        assert done.code == 0, done.stderr
        return done

    first = run()
    loader.load(first)
    assert query(NOT_AS_MANY) == query(GONE) == []

    rows = sorted(sandbox.rows(), key=lambda row: row["date_time"])
    gone = [rows[40], rows[80]]
    sandbox.delete([row["id"] for row in gone])
    if name == "target-csv":
        for path in (loader.folder / "output").glob("*.csv"):
            stem = path.name.split("-")[0]
            path.rename(path.with_name(f"{stem}-2024-01-01.csv"))
    loader.load(run(first.state, lookback_window="P40D"))
    assert sorted(int(row["id"]) for row in query(GONE)) == sorted(row["id"] for row in gone)
    found = query(NOT_AS_MANY)
    off = {str(row["date"])[:10]: int(row["in_table"]) - int(row["sessions"]) for row in found}
    assert off == {row["date_time"][:10]: 1 for row in gone}
    if name in DATABASES:
        text = own[TAKE_OUT]
        assert len(text.strip().splitlines()) == 4  # three, and the comment
        if isinstance(loader, Postgres):
            loader.execute(text)
        elif name == "target-duckdb":
            _run(loader, text)
        else:
            loader.query(text)
        assert query(NOT_AS_MANY) == query(GONE) == []
        assert len(loader.table()) == len(sandbox.rows())


def _run(loader: Loader, sql: str) -> list[dict[str, Any]]:
    """A statement in DuckDB, without the views of docs/loaders.md."""
    assert isinstance(loader, DuckDB)
    return DuckDB.query(loader, sql)
