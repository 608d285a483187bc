"""The same stream as a dlt pipeline into a table, merged on `id`.

`dicts` keeps nested values as JSON columns, `children` makes the child tables of dlt's default.
Either by the kind of file that is quickest; `dicts-default` by the one that dlt takes by itself.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt

from benchmarks.peers.dlt_source import FORMAT, SCHEMA, pages

DATASET = "bench"
FASTEST = {"postgres": "csv", "duckdb": "parquet", "parquet": "parquet"}
"""The kind of file by which dlt loads quickest, of those that it can."""


def destination(kind: str, place: str) -> Any:
    """Where to: a URI of PostgreSQL, a file of DuckDB, a folder for Parquet."""
    if kind == "postgres":
        # dlt wants a host; of a URI's two, libpq takes the socket that the query names.
        return dlt.destinations.postgres(place.replace("@/", "@localhost/"))
    if kind == "duckdb":
        return dlt.destinations.duckdb(place)
    return dlt.destinations.filesystem(place)


def main(config_path: str, folder: str, nesting: str, kind: str, place: str) -> None:
    """Extract, normalize and load."""
    config = json.loads(Path(config_path).read_text())
    first = datetime.fromisoformat(config["start_date"]).strftime(FORMAT)
    cursor = dlt.sources.incremental("date_time", initial_value=first)
    nested = [n for n, c in SCHEMA["properties"].items() if {"array", "object"} & {*c["type"]}]

    def visitor_sessions(date_time: Any = cursor) -> Any:
        yield from pages(config, date_time)

    hints: dict[str, Any] = {
        "write_disposition": "append" if kind == "parquet" else "merge",  # files have no merge
        "file_format": None if nesting == "dicts-default" else FASTEST[kind],
        "columns": {n: {"data_type": "json"} for n in nested} if nesting != "children" else None,
    }
    resource: Any = dlt.resource(visitor_sessions, primary_key="id", **hints)
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=folder,
        destination=destination(kind, place),
        dataset_name=DATASET,
    )
    print(pipeline.run(resource))


if __name__ == "__main__":
    main(*sys.argv[1:])
