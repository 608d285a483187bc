"""PyAirbyte runs the source's script: into DuckDB and into PostgreSQL, twice each, rows compared.

`python3 dev.py pyairbyte` runs it in PyAirbyte's own environment, with this checkout installed.
Arguments: the sandbox's URL, a folder, a URI of PostgreSQL, and a file with the rows wanted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import airbyte
from airbyte.caches import DuckDBCache, PostgresCache
from airbyte.secrets.base import SecretString

NAME = "visitor_sessions"


def cache_of(kind: str, folder: Path, uri: str) -> Any:
    """A cache of PyAirbyte."""
    if kind == "duckdb":
        return DuckDBCache(db_path=folder / "cache.duckdb", schema_name="sessions")

    class Local(PostgresCache):  # type: ignore[misc]
        """By a URI as it stands: the server listens on a socket of the file system."""

        def get_sql_alchemy_url(self) -> SecretString:
            return SecretString(uri.replace("postgresql://", "postgresql+psycopg2://"))

    where = {"host": "localhost", "port": 5432, "username": "postgres", "password": ""}
    return Local(**where, database="postgres", schema_name="sessions")


def main(url: str, folder: str, uri: str, wanted: str) -> None:
    """Run it.

    Raises:
        SystemExit: a table does not hold what the API has.
    """
    script = Path(sys.executable).with_name("source-visitor-sessions")
    rows: dict[str, Any] = json.loads(Path(wanted).read_text())
    config = {"access_token": "sandbox-token", "api_url": url, "start_date": "2024-05-01"}
    for kind in ("duckdb", "postgres"):
        source = airbyte.get_source(
            "source-visitor-sessions", config=config, local_executable=script
        )
        source.check()
        source.select_all_streams()
        cache = cache_of(kind, Path(folder), uri)
        for number in (1, 2):
            result = source.read(cache=cache)
            found = {str(row["id"]): row["channel"] for row in result[NAME]}
            if found != rows:
                raise SystemExit(f"{kind}, run {number}: {len(found)} rows of {len(rows)}")
            print(f"{kind}, run {number}: {result.processed_records} read, {len(found)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
