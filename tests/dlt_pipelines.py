"""What the tests of the dlt source share, as a plugin of pytest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import pytest
from agencies import config_of as partner_config
from oracle import as_emitted
from postgresql import running_postgresql
from support import ZONE, config_of

from sandbox import Sandbox
from tap_visitor_sessions.dlt import visitor_sessions

NAME = "visitor_sessions"
MakePipeline = Callable[..., Any]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and an environment of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgresql() as uri:
        # dlt wants a host; of a URI's two, libpq takes the socket that the query names.
        yield uri.replace("@/", "@localhost/")


@pytest.fixture
def make_pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> MakePipeline:
    """A pipeline into a destination by name, its working folder as new."""

    def make(kind: str = "duckdb", folder: str = "work") -> Any:
        if kind == "postgres":
            place = dlt.destinations.postgres(request.getfixturevalue("postgres"))
        elif kind == "sqlite":
            place = dlt.destinations.sqlalchemy(f"sqlite:///{tmp_path}/tables.db")
        elif kind == "duckdb":
            place = dlt.destinations.duckdb(str(tmp_path / "tables.duckdb"))
        else:
            place = dlt.destinations.filesystem(str(tmp_path / "lake"))
        name = "".join(letter for letter in tmp_path.name if letter.isalnum())
        return dlt.pipeline(
            f"p{name}", pipelines_dir=str(tmp_path / folder), destination=place, dataset_name=name
        )

    return make


def source_of(sandbox: Sandbox, *, partner: bool = False, **more: Any) -> Any:
    arguments = (partner_config if partner else config_of)(sandbox)
    return visitor_sessions(**{**arguments, **more})


def table(pipeline: Any, name: str = NAME) -> list[dict[str, Any]]:
    """The rows of a table, their JSON read and their times as RECORD spells them."""
    with (
        pipeline.sql_client() as client,
        client.execute_query(f"SELECT * FROM {client.make_qualified_table_name(name)}") as cursor,
    ):
        native = cursor.native_cursor
        is_sqlalchemys = hasattr(native, "keys")
        names = native.keys() if is_sqlalchemys else [one[0] for one in native.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [{k: _plain(v) for k, v in row.items() if not k.startswith("_dlt")} for row in found]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str) and value.endswith(".000000"):  # SQLite has no times
        return f"{value[:10]}T{value[11:19]}Z"
    if isinstance(value, str) and value[:1] in ("[", "{"):
        return json.loads(value)
    return value


def by_id(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def wanted(sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    return {row["id"]: as_emitted(row, ZONE) for row in sandbox.rows()}
