"""What a user hands in beside the sessions: zones, values of communications, what was spent."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from lanes import Lane
from reckoning import Rules

DAYS = [date(2024, 9, 1) + timedelta(days=number) for number in range(0, 100, 3)]


def hand_in(lane: Lane, shift: int = 0, **rules: Any) -> tuple[dict[str, str], Rules]:
    """Make the relations beside the sessions: the vars that name them, and the rules of what they
    say. Another `shift` gives others to some of the communications."""
    owners = [(one.account, one.customer_id) for one in lane.feed.held]
    zones = [
        {"account": one.account, "customer_id": one.customer_id, "timezone": one.zone}
        for one in lane.feed.held
    ]
    calls = {
        (one.account, one.customer_id, item["communication_id"])
        for one in lane.feed.held
        for row in [*one.journeys.rows, *one.journeys.later_rows]
        for item in row["communications"]
    }
    values = [
        {
            "account": account,
            "customer_id": customer,
            "communication_id": id_,
            "value": [None, 100.0, 33.3][(id_ + shift) % 3],
            "currency": [None, "EUR", "RUB"][(id_ + shift) % 3],
            "qualified": (id_ + shift) % 2 == 0,
            "spam": (id_ + shift) % 7 == 0,
        }
        for account, customer, id_ in sorted(calls, key=str)
        if (id_ + shift) % 5
    ]
    spend = [
        {
            "account": account,
            "customer_id": customer,
            "date": day,
            "campaign": campaign,
            "spend": 12.5 + day.day,
            "currency": "EUR",
        }
        for account, customer in owners
        for day in DAYS
        for campaign in ("4999", "5007", "of nobody")
    ]
    kinds = {"customer_id": "bigint", "communication_id": "bigint", "value": "double precision"}
    kinds |= {"qualified": "boolean", "spam": "boolean", "date": "date", "spend": "numeric(18, 2)"}
    relations = {"zones": zones, "values": values, "spend": spend}
    for name, rows in relations.items():
        columns = ", ".join(f"{column} {kinds.get(column, 'varchar(99)')}" for column in rows[0])
        lines = ", ".join(f"({', '.join(map(_sql, row.values()))})" for row in rows)
        lane.database.execute(f"DROP TABLE IF EXISTS {lane.schema}.handed_{name}")
        lane.database.execute(f"CREATE TABLE {lane.schema}.handed_{name} ({columns})")
        lane.database.execute(f"INSERT INTO {lane.schema}.handed_{name} VALUES {lines}")
    known = {(row["account"], row["customer_id"], row["communication_id"]): row for row in values}
    names = {f"{name}_relation": f"{lane.schema}.handed_{name}" for name in relations}
    return names, Rules(values=known, spend=spend, **rules)


def _sql(value: Any) -> str:
    return "NULL" if value is None else str(value) if value in (True, False) else f"'{value}'"
