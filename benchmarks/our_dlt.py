"""Our dlt source into a table, as docs/dlt.md has it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dlt

from tap_visitor_sessions.dlt import visitor_sessions

DATASET = "bench"


def destination(kind: str, place: str) -> Any:
    """Where to: a URI of PostgreSQL, a file of DuckDB, a folder for Parquet."""
    if kind == "postgres":
        # dlt wants a host; of a URI's two, libpq takes the socket that the query names.
        return dlt.destinations.postgres(place.replace("@/", "@localhost/"))
    if kind == "duckdb":
        return dlt.destinations.duckdb(place)
    return dlt.destinations.filesystem(place)


def main(config_path: str, folder: str, kind: str, place: str) -> None:
    """Extract, normalize and load."""
    source = visitor_sessions(**json.loads(Path(config_path).read_text()))
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=folder,
        destination=destination(kind, place),
        dataset_name=DATASET,
    )
    how: Any = {"write_disposition": "append"} if kind == "parquet" else {}
    print(pipeline.run(source, **how))


if __name__ == "__main__":
    main(*sys.argv[1:])
