"""The SQL of the pages, run in PostgreSQL over a table as target-postgres makes it.

That its columns have these types is tested with the loader itself, in tests/loaders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pages
import psycopg
import pytest
from oracle import as_emitted
from pages import Block
from postgresql import running_postgresql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from support import ROOT, ZONE

from sandbox import make_sessions

SQL = [block for block in pages.every("sql") if block.is_run_here]
TYPES = {"integer": "bigint", "string": "text", "array": "jsonb", "object": "jsonb"}
BEFORE = {
    "PRIMARY KEY (customer_id": "ALTER TABLE analytics.visitor_sessions ADD customer_id bigint; "
    "UPDATE analytics.visitor_sessions SET customer_id = 1",
    "TO loader": "CREATE ROLE loader",
}
"""What a statement takes for granted: a partner's table, a role."""


def types() -> dict[str, str]:
    """The columns' types in the table."""
    import json

    schema = json.loads((ROOT / "schemas/visitor_sessions.json").read_text(encoding="utf-8"))
    found = {}
    for name, declared in schema["properties"].items():
        kinds = declared["type"]
        kind = kinds if isinstance(kinds, str) else next(one for one in kinds if one != "null")
        found[name] = "timestamp" if name == "date_time" else TYPES[kind]
    return found


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [as_emitted(row, ZONE) for row in make_sessions(900, seed=7)]


@pytest.fixture(scope="module")
def table(rows: list[dict[str, Any]]) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to a database with `analytics.visitor_sessions`."""
    columns = types()
    with (
        running_postgresql() as uri,
        psycopg.connect(uri, row_factory=dict_row) as connection,
    ):
        connection.execute("SET TIME ZONE 'America/New_York'")  # no query depends on it
        connection.execute("CREATE SCHEMA analytics")
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        key = "CONSTRAINT visitor_sessions_pkey PRIMARY KEY (id)"
        connection.execute(f"CREATE TABLE analytics.visitor_sessions ({declared}, {key})")
        places = ", ".join(["%s"] * len(columns))
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO analytics.visitor_sessions VALUES ({places})",
                [[_value(row[name], kind) for name, kind in columns.items()] for row in rows],
            )
        connection.commit()
        yield connection


def _value(value: Any, kind: str) -> Any:
    if kind == "timestamp":
        return value.removesuffix("Z")
    return Jsonb(value) if kind == "jsonb" else value


def run(block: Block, connection: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    """A block's last result; whatever it changes is rolled back."""
    try:
        for words, before in BEFORE.items():
            if words in block.text:
                connection.execute(before)
        # The page's database has a name of its own.
        text = block.text.replace("DATABASE warehouse", "DATABASE postgres")
        cursor = connection.execute(text)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.rollback()


@pytest.mark.parametrize("block", SQL, ids=[block.place for block in SQL])
def test_every_block_of_sql_runs(block: Block, table: psycopg.Connection[dict[str, Any]]) -> None:
    found = run(block, table)
    if "SELECT" in block.text and not any(w in block.text for w in ("CREATE", "ALTER", "GRANT")):
        assert found


def titled(title: str) -> Block:
    [block] = [block for block in SQL if block.text.startswith(f"-- {title}\n")]
    return block


@pytest.mark.parametrize(
    ("title", "column", "kinds"),
    [
        (
            "Sessions, and those with a call, chat or message, by local day",
            "with_communication",
            {"call", "chat", "offline_message"},
        ),
        ("Сеансы и звонки по дням", "with_call", {"call"}),
    ],
)
def test_local_days_are_those_of_the_account(
    title: str,
    column: str,
    kinds: set[str],
    rows: list[dict[str, Any]],
    table: psycopg.Connection[dict[str, Any]],
) -> None:
    zone = ZoneInfo("Europe/Moscow")
    days: Counter[Any] = Counter()
    talked: Counter[Any] = Counter()
    for row in rows:
        at = datetime.strptime(row["date_time"], "%Y-%m-%dT%H:%M:%SZ")
        day = at.replace(tzinfo=timezone.utc).astimezone(zone).date()
        days[day] += 1
        talked[day] += bool(kinds & {c["communication_type"] for c in row["communications"]})
    found = run(titled(title), table)
    assert [(r["day"], r["sessions"], r[column]) for r in found] == [
        (day, days[day], talked[day]) for day in sorted(days)
    ]


def test_a_span_of_local_days_has_all_of_them(
    rows: list[dict[str, Any]], table: psycopg.Connection[dict[str, Any]]
) -> None:
    [found] = run(titled("The sessions of May 2024, local time"), table)
    first, end = "2024-04-30T21:00:00Z", "2024-05-31T21:00:00Z"
    assert found["sessions"] == sum(first <= row["date_time"] < end for row in rows) > 100


def test_the_rate_by_campaign_is_that_of_a_count_by_hand(
    rows: list[dict[str, Any]], table: psycopg.Connection[dict[str, Any]]
) -> None:
    for found in run(titled("Rate of sessions with a call, by campaign"), table):
        mine = [r for r in rows if r["campaign_name"] == found["campaign"]]
        calls = sum(
            any(c["communication_type"] == "call" for c in r["communications"]) for r in mine
        )
        assert found["sessions"] == len(mine)
        assert float(found["call_rate"]) == pytest.approx(100 * calls / len(mine), abs=0.051)
