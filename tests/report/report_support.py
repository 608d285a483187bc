"""Tables as a target leaves them, for the tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

HOSTILE = [
    '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">',
    "]]></style></svg><svg onload='window.hacked = 1'>",
    'javascript:"&amp;\u202e\x0b\n’ %s {0} {campaign}',
    "x" * 3000,
]
COLUMNS = {
    "id": "bigint",
    "date_time": "timestamp",
    "channel": "text",
    "engine": "text",
    "campaign_name": "text",
    "visitor_id": "bigint",
    "visitor_device": "text",
    "visitor_country": "text",
    "communications": "jsonb",
}


def load(
    uri: str, table: str, rows: Sequence[dict[str, Any]], columns: dict[str, str] = COLUMNS
) -> None:
    """Make the table anew and put the rows in; their times are UTC."""
    schema = table.split(".")[0]
    with psycopg.connect(uri, autocommit=True) as database:
        database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        database.execute(f"DROP TABLE IF EXISTS {table}")
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        database.execute(f"CREATE TABLE {table} ({declared})")
        places = ", ".join(["%s"] * len(columns))
        with database.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} VALUES ({places})",
                [[_value(row.get(name), kind) for name, kind in columns.items()] for row in rows],
            )


def _value(value: Any, kind: str) -> Any:
    if kind == "jsonb[]" and value is not None:
        return [Jsonb(item) for item in value]
    return Jsonb(value) if isinstance(value, (list, dict)) else value
