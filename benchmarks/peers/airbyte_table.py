"""The same stream as an Airbyte low-code source, through PyAirbyte into a cache.

Arguments: the source's config, `duckdb` or `postgres`, and a file or URI.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import airbyte
from airbyte.caches import DuckDBCache, PostgresCache
from airbyte.secrets.base import SecretString

from benchmarks.peers.airbyte_source import manifest

SCHEMA_NAME = "bench"


def cache_of(kind: str, place: str) -> DuckDBCache | PostgresCache:
    """Where to."""
    if kind == "duckdb":
        return DuckDBCache(db_path=place, schema_name=SCHEMA_NAME)

    class Local(PostgresCache):  # type: ignore[misc]
        """By a URI as it stands: the server listens on a socket of the file system."""

        def get_sql_alchemy_url(self) -> SecretString:
            return SecretString(place.replace("postgresql://", "postgresql+psycopg2://"))

    where = {"host": "localhost", "port": 5432, "username": "postgres", "password": ""}
    return Local(**where, database="postgres", schema_name=SCHEMA_NAME)


def main(config_path: str, kind: str, place: str) -> None:
    """Read into the cache."""
    config = json.loads(Path(config_path).read_text())
    source = airbyte.get_source("source-visits", config=config, source_manifest=manifest())
    source.select_all_streams()
    result = source.read(cache=cache_of(kind, place))
    print(result.processed_records)


if __name__ == "__main__":
    main(*sys.argv[1:])
