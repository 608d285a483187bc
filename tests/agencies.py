"""A partner's account in the sandbox, and the settings that read it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from support import ZONE, Run

from sandbox import Sandbox
from sandbox.data import make_sessions

FIRST = 10_000_000


def rows_of(users: list[int], count: int = 60) -> dict[int, list[dict[str, Any]]]:
    return {
        user: make_sessions(count, seed=user, first_id=user * FIRST, end=datetime(2024, 5, 4))
        for user in users
    }


def agency(rows: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Options of a sandbox with a customer for each user: user 10 is the one of customer 1."""
    return {
        "sessions": 0,
        "partner": {user // 10: [user] for user in rows},
        "rows_by_user": rows,
    }


def config_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "access_token": sandbox.token,
        "api_url": sandbox.url,
        "account_type": "partner",
        "timezone": ZONE,
        "start_date": "2024-04-30",
        "end_date": "2024-06-30",
        **more,
    }


def ids_by_user(run: Run) -> dict[int, list[int]]:
    found = defaultdict(list)
    for record in run.records:
        found[record["user_id"]].append(record["id"])
    return dict(found)
