"""States and customers as the Airflow DAGs meet them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from support import ROOT

sys.path.insert(0, str(ROOT / "orchestrate" / "airflow" / "dags"))
from visitor_sessions_plan import Plan, Row
from visitor_sessions_states import Position, positions

PREFIX = "production:tap-visitor-sessions-to-target-postgres:"
NOW = datetime(2024, 8, 20, 3, tzinfo=timezone.utc)
START = "2024-01-01"


def rows(*ids: int) -> list[Row]:
    return [Row(customer_id=id_, user_id=id_ * 10) for id_ in ids]


def partition(customer: int, *spans: tuple[str, str], **more: Any) -> dict[str, Any]:
    """As the tap writes it; `spans` are days."""
    found: dict[str, Any] = {"context": {"user_id": customer * 10}, "customer_id": customer}
    if spans:
        found["read"] = [[f"{a}T00:00:00Z", f"{b}T00:00:00Z"] for a, b in spans]
    return found | more


def state(*partitions: dict[str, Any], **root: Any) -> dict[str, Any]:
    streams = {"visitor_sessions": {**root, "partitions": list(partitions)}}
    return {"completed": {"singer_state": {"bookmarks": streams}}, "partial": {}}


def saved(states: Mapping[str, Any]) -> dict[str, Any]:
    """As `meltano state export` gives what `meltano state import` was given."""
    return {PREFIX + suffix: one for suffix, one in states.items()}


def known_by(states: Mapping[str, Any]) -> dict[int, Position]:
    return positions(saved(states), PREFIX, {})


def plan(
    customers: Iterable[Row],
    states: Mapping[str, Any] | None = None,
    *,
    now: datetime = NOW,
    most: int = 1000,
    again: bool = False,
) -> Plan:
    return Plan(list(customers), known_by(states or {}), now, most, again)
