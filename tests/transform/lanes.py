"""The ways by which sessions come into a database: Meltano's loaders, dlt and PyAirbyte, into
PostgreSQL and DuckDB."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dlt
import duckdb
import loading
import psycopg
from feeds import Feed
from psycopg.rows import dict_row
from support import run_tap

from tap_visitor_sessions.dlt import raise_on_incomplete, visitor_sessions

HERE = Path(__file__).parent
ANSWERS = "answers"
"""The schema into which dbt builds."""
Row = dict[str, Any]


class Database(ABC):
    """Where a lane loads and dbt builds."""

    adapter: str

    @abstractmethod
    def target(self, schema: str) -> Row:
        """A target of dbt's profiles."""

    @abstractmethod
    def query(self, sql: str) -> list[Row]:
        """The rows of a statement."""

    @abstractmethod
    def execute(self, sql: str) -> None:
        """Run a statement."""


class PostgreSQL(Database):
    """By a URI on a socket of the file system."""

    adapter = "postgres"

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def target(self, schema: str) -> Row:
        parts = urlsplit(self.uri)
        return {
            "type": "postgres",
            "host": parse_qs(parts.query)["host"][0],
            "port": 5432,
            "user": parts.username,
            "password": parts.password or "none",
            "dbname": parts.path.lstrip("/"),
            "schema": schema,
            "threads": 2,
        }

    def query(self, sql: str) -> list[Row]:
        with psycopg.connect(self.uri, row_factory=dict_row) as connection:
            return connection.execute(sql.encode()).fetchall()

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(sql.encode())


class DuckDB(Database):
    """A file, opened no longer than for a statement."""

    adapter = "duckdb"

    def __init__(self, path: Path) -> None:
        self.path = path

    def target(self, schema: str) -> Row:
        # More threads of dbt-duckdb race with each other; DuckDB itself uses all cores.
        return {"type": "duckdb", "path": str(self.path), "schema": schema, "threads": 1}

    def query(self, sql: str) -> list[Row]:
        with duckdb.connect(str(self.path)) as connection:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute(self, sql: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(sql)


class Lane(ABC):
    """A way, with a folder of its own.

    Attributes:
        schema: Where the table of sessions is.
        more: dlt: further options of a run.
    """

    schema: str
    database: Database

    def __init__(self, feed: Feed, folder: Path) -> None:
        self.feed = feed
        self.folder = folder
        self.more: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def table(self) -> str:
        return f"{self.schema}.visitor_sessions"

    @abstractmethod
    def load(self) -> None:
        """One run over each account: at first all, then what the look-back reaches."""

    def forget(self) -> None:
        """Sessions that went in the API go in the table too, by a hand that deletes them."""
        for held in self.feed.held:
            ids = ", ".join(str(row["id"]) for row in held.gone)
            whose = "" if held.account is None else f" AND account = '{held.account}'"
            whose += "" if held.customer_id is None else f" AND customer_id = {held.customer_id}"
            if ids:
                self.database.execute(f"DELETE FROM {self.table} WHERE id IN ({ids}){whose}")
            held.gone.clear()


class Meltano(Lane):
    """The tap into a loader of meltano.yml."""

    def __init__(self, feed: Feed, folder: Path, loader: loading.Loader) -> None:
        super().__init__(feed, folder)
        self.loader = loader
        self.states: list[Any] = [None] * len(feed.configs)
        self._settings = folder / "tap"
        self._settings.mkdir()
        if isinstance(loader, loading.Postgres):
            self.schema, self.database = "analytics", PostgreSQL(loader.uri)
        else:
            self.schema = "main"
            self.database = DuckDB(loader.folder / loading.DuckDB.database)

    def load(self) -> None:
        for number, config in enumerate(self.feed.configs):
            run = run_tap(config, state=self.states[number], directory=self._settings)
            assert run.code == 0, run.stderr
            self.loader.load(run)
            self.states[number] = run.state


class Dlt(Lane):
    """The dlt source."""

    schema = "callgear"
    select: list[str] | None = None
    """The columns, where others than usual."""

    def __init__(self, feed: Feed, folder: Path, uri: str | None = None) -> None:
        super().__init__(feed, folder)
        self.database = PostgreSQL(uri) if uri else DuckDB(folder / "sessions.duckdb")
        self._place = (
            # dlt wants a host; of a URI's two, libpq takes the socket that the query names.
            dlt.destinations.postgres(uri.replace("@/", "@localhost/"))
            if uri
            else dlt.destinations.duckdb(str(folder / "sessions.duckdb"))
        )

    def load(self) -> None:
        for config in self.feed.configs:
            name = f"sessions_{config.get('account', '')}"
            pipeline = dlt.pipeline(
                name,
                pipelines_dir=str(self.folder / "work"),
                destination=self._place,
                dataset_name=self.schema,
            )
            source = visitor_sessions(**config, select=self.select)
            raise_on_incomplete(pipeline.run(source, **self.more))


class PyAirbyte(Lane):
    """The Airbyte source's script, run by PyAirbyte in an environment of its own."""

    schema = "sessions"

    def __init__(self, feed: Feed, folder: Path, python: Path, uri: str | None = None) -> None:
        super().__init__(feed, folder)
        self._python, self._uri = python, uri
        self.database = PostgreSQL(uri) if uri else DuckDB(folder / "cache.duckdb")

    def load(self) -> None:
        [config] = self.feed.configs
        what = {"config": config, "folder": str(self.folder), "uri": self._uri}
        done = subprocess.run(
            [str(self._python), str(HERE / "load_by_pyairbyte.py")],
            input=json.dumps(what),
            capture_output=True,
            text=True,
            env={"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1", "HOME": str(self.folder)},
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]


def spoken(command: list[str], folder: Path, **env: str) -> str:
    """What a command that must succeed writes."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout
