"""What docs/loaders.md says under "What to know" of target-postgres."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loading import ZONE, Loader, Postgres, sessions, tap
from support import Run, parsed, run_tap

from sandbox import Sandbox, make_sessions

NAME = "target-postgres"
MakeLoader = Callable[..., Loader]


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox(rows=sessions(), timezone=ZONE)


def catalog_of(sandbox: Sandbox, folder: Path, **root: Any) -> dict[str, Any]:
    config = {"access_token": "x", "start_date": "2024-05-01", "api_url": sandbox.url}
    catalog: dict[str, Any] = json.loads(run_tap(config, "--discover", directory=folder).stdout)
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] == []:
            item["metadata"] |= {"selected": True, **root}
    return catalog


@pytest.mark.parametrize("method", ["append-only", "upsert", "overwrite"])
def test_load_method_changes_nothing(
    method: str, sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME, load_method=method)
    loader.load(tap(sandbox, tmp_path))
    loader.load(tap(sandbox, tmp_path, start_date="2024-05-20"))
    assert loader.table() == loader.expected(sandbox.rows())


def test_a_column_selected_later_is_filled_for_what_is_read_from_then_on(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    catalog = catalog_of(sandbox, tmp_path)
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"] == ["properties", "channel"]:
            item["metadata"]["selected"] = False
    first = tap(sandbox, tmp_path, catalog=catalog)
    loader.load(first)
    second = tap(sandbox, tmp_path, first.state)
    loader.load(second)
    count = "SELECT count(channel) AS n FROM visitor_sessions"
    assert 0 < len(second.records) < 400
    [row] = loader.query(count)
    assert row["n"] == sum(record["channel"] is not None for record in second.records)
    loader.load(tap(sandbox, tmp_path))
    assert loader.table() == loader.expected(sandbox.rows())


def test_date_time_made_a_timestamptz_stays_one(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    first = tap(sandbox, tmp_path)
    loader.load(first)
    assert isinstance(loader, Postgres)
    blocks = loader.docs.blocks("sql")
    [statement] = [block for block in blocks if "ALTER COLUMN date_time" in block]
    loader.execute(statement)
    loader.load(first)
    [row] = loader.query("SELECT pg_typeof(date_time)::text AS kind FROM visitor_sessions LIMIT 1")
    assert row["kind"] == "timestamp with time zone"
    assert loader.table() == loader.expected(sandbox.rows())


def test_a_version_drops_what_the_span_does_not_hold(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME, hard_delete=True, activate_version=True)
    catalog = catalog_of(sandbox, tmp_path, **{"replication-method": "FULL_TABLE"})
    more = {"catalog": catalog, "emit_activate_version_messages": True}
    whole = tap(sandbox, tmp_path, **more)
    loader.load(whole)
    assert len(loader.table()) == 400
    time.sleep(1.1)  # a version is a second
    part = tap(sandbox, tmp_path, whole.state, start_date="2024-05-20", **more)
    loader.load(part)
    assert len(loader.table()) == len(part.records) < 400
    assert "ACTIVATE_VERSION follows" in part.stderr


def test_accounts_in_one_table_have_the_account_in_their_key(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    for account in ("shop", "agency", "shop"):
        loader.load(tap(sandbox, tmp_path, account=account))
    found = loader.query(
        "SELECT account, count(*) AS n FROM visitor_sessions GROUP BY 1 ORDER BY 1"
    )
    assert [(row["account"], row["n"]) for row in found] == [("agency", 400), ("shop", 400)]


def test_an_account_set_later_wants_a_table_of_its_own(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    loader.load(tap(sandbox, tmp_path))
    first = tap(sandbox, tmp_path)
    config = {"access_token": "x", "start_date": "2024-05-01", "api_url": sandbox.url}
    later = run_tap({**config, "account": "shop"}, state=first.state, directory=tmp_path)
    assert (later.code, later.messages) == (1, [])
    assert "without the setting account" in later.stderr
    assert loader.run(tap(sandbox, tmp_path, account="shop").stdout).returncode == 1
    assert len(loader.table()) == 400


@pytest.mark.parametrize("use_copy", [True, False], ids=["COPY", "INSERT"])
def test_a_server_of_another_zone_has_the_same_times(
    use_copy: bool, sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME, use_copy=use_copy)
    assert isinstance(loader, Postgres)
    assert loader.env == {"PGTZ": "UTC"}
    loader.execute("ALTER ROLE CURRENT_USER SET timezone = 'America/New_York'")
    try:
        loader.load(tap(sandbox, tmp_path))
    finally:
        loader.execute("ALTER ROLE CURRENT_USER RESET timezone")
    assert loader.table() == loader.expected(sandbox.rows())


def test_a_partners_table_of_before_goes_on_and_never_overwrites(
    make_sandbox: Callable[..., Sandbox], make_loader: MakeLoader, tmp_path: Path
) -> None:
    rows = {user: make_sessions(30, seed=user, first_id=user * 100) for user in (10, 20)}
    sandbox = make_sandbox(sessions=0, partner={1: [10], 2: [20]}, rows_by_user=rows)
    partner = {"account_type": "partner", "timezone": ZONE, "end_date": "2024-06-30"}
    run = tap_partner(sandbox, tmp_path, **partner)
    before = parsed(0, run.stdout.replace('["customer_id","id"]', '["id"]'), run.stderr)
    [schema] = before.of("SCHEMA")
    assert schema["key_properties"] == ["id"]
    loader = make_loader(NAME)
    assert isinstance(loader, Postgres)
    loader.load(before)
    loader.load(run)
    assert len(loader.query("SELECT id FROM visitor_sessions")) == 60

    meeting = {10: rows[10], 20: [*rows[20], {**rows[20][0], "id": rows[10][0]["id"]}]}
    other = make_sandbox(sessions=0, partner={1: [10], 2: [20]}, rows_by_user=meeting)
    met = tap_partner(other, tmp_path, **partner)
    refused = loader.run(met.stdout)
    assert refused.returncode != 0
    assert "duplicate key" in refused.stderr
    [statement] = [block for block in loader.docs.blocks("sql") if "PRIMARY KEY" in block]
    loader.execute(statement)
    loader.load(met)
    found = loader.query("SELECT customer_id, id FROM visitor_sessions")
    assert len({(row["customer_id"], row["id"]) for row in found}) == len(found) == 61


def tap_partner(sandbox: Sandbox, folder: Path, **settings: Any) -> Run:
    config = {"access_token": "sandbox-token", "api_url": sandbox.url, "start_date": "2024-04-30"}
    run = run_tap({**config, **settings}, directory=folder)
    assert run.code == 0, run.stderr
    return run


def as_role(loader: Loader, role: str) -> None:
    """Have the loader log in as another user of the database."""
    url = loader.config["sqlalchemy_url"]
    config = {**loader.config, "sqlalchemy_url": url.replace("//postgres:", f"//{role}:")}
    assert config != loader.config
    (loader.folder / "config.json").write_text(json.dumps(config))


def test_the_rights_that_the_page_names_are_enough(
    sandbox: Sandbox, make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    assert isinstance(loader, Postgres)
    loader.execute("DROP ROLE IF EXISTS loader")
    loader.execute("CREATE ROLE loader LOGIN")
    first = tap(sandbox, tmp_path)
    loader.load(first)  # by another user, so that the table is not the loader's own
    loader.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC")
    loader.execute("GRANT CONNECT ON DATABASE postgres TO loader")
    as_role(loader, "loader")
    try:
        assert "permission denied" in loader.run(first.stdout).stderr
        [block] = [one for one in loader.docs.blocks("sql") if "GRANT" in one]
        for line in block.replace("DATABASE warehouse", "DATABASE postgres").splitlines()[1:]:
            loader.execute(line.replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS"))
        loader.load(first)
        assert loader.table() == loader.expected(sandbox.rows())
        loader.execute("DROP TABLE analytics.visitor_sessions")
        loader.load(first)  # and makes the table
        assert loader.table() == loader.expected(sandbox.rows())
        loader.execute("DROP SCHEMA analytics CASCADE")
        assert "permission denied for database" in loader.run(first.stdout).stderr
        loader.execute("GRANT CREATE ON DATABASE postgres TO loader")
        loader.load(first)
        assert loader.table() == loader.expected(sandbox.rows())
    finally:
        loader.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres TO PUBLIC")
        loader.execute("DROP OWNED BY loader CASCADE")
        loader.execute("DROP ROLE loader")


def test_of_two_first_loads_at_once_nothing_is_lost_when_they_run_again(
    make_sandbox: Callable[..., Sandbox], make_loader: MakeLoader, tmp_path: Path
) -> None:
    loader = make_loader(NAME)
    runs = [
        tap(make_sandbox(rows=sessions(), timezone=ZONE), tmp_path, account=name)
        for name in ("north", "south")
    ]
    both = [
        subprocess.Popen(
            loader.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=loader.folder,
            env={**os.environ, **loader.env},
            text=True,
        )
        for _ in runs
    ]
    for process, run in zip(both, runs, strict=True):
        assert process.stdin is not None
        process.stdin.write(run.stdout)
        process.stdin.close()
    for process, run in zip(both, runs, strict=True):
        if process.wait():
            loader.load(run)
    found = loader.query("SELECT account, count(*) AS n FROM visitor_sessions GROUP BY account")
    assert {row["account"]: row["n"] for row in found} == {"north": 400, "south": 400}
