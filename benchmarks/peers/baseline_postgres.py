"""The baseline for PostgreSQL: RECORD lines on stdin by COPY into a temporary table of jsonb, then
one INSERT … SELECT … ON CONFLICT. Knows the stream; no SCHEMA, no STATE, no checks.

Arguments: a URI and the schema to make the table in.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psycopg

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/visitor_sessions.json").read_text())
BYTES = 1 << 20
# JSON has no raw control characters: nothing in a line needs an escape.
COPY = "COPY lines FROM STDIN (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')"


def column_type(column: dict[str, object]) -> str:
    """The type in PostgreSQL that target-postgres would choose."""
    kinds = {*column["type"]} if isinstance(column["type"], list) else {column["type"]}
    if kinds & {"array", "object"}:
        return "jsonb"
    if "integer" in kinds:
        return "bigint"
    return "timestamp" if column.get("format") == "date-time" else "text"


def main(uri: str, schema: str) -> None:
    """Load what comes."""
    columns = {name: column_type(column) for name, column in SCHEMA["properties"].items()}
    names = ", ".join(f'"{name}"' for name in columns)
    news = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    table = f"{schema}.visitor_sessions"
    with psycopg.connect(uri) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {table} ({declared}, PRIMARY KEY (id))")
        connection.execute("CREATE TEMPORARY TABLE lines (line jsonb)")
        with connection.cursor().copy(COPY) as copy:
            rest = b""
            while read := os.read(0, BYTES):
                whole, end, rest = (rest + read).rpartition(b"\n")
                for line in (whole + end).splitlines(keepends=True):
                    if b'"RECORD"' in line[:100]:
                        copy.write(line)
        # Rows as composites: `->>` for each column would walk the line again and again.
        connection.execute(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM lines, "
            f"jsonb_populate_record(NULL::{table}, line->'record') "
            f"ON CONFLICT (id) DO UPDATE SET {news}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
