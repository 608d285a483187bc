"""The bookmark as STATE holds it: read, moved on, handed down. Pure: works on plain dicts.

A *progress* is the part of the SDK's state that belongs to the stream or to one of its
partitions: `{"replication_key": "date_time", "replication_key_value": "2024-05-01T00:00:00Z"}`.
A partition's has its `context` too, and we add the `customer_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pendulum

from tap_visitor_sessions.api.errors import TapError

REPLICATION_KEY = "date_time"
_VALUE = "replication_key_value"

Progress = dict[str, Any]


def spelled(date_time: datetime) -> str:
    """An instant in UTC, as STATE spells it."""
    return f"{date_time:%Y-%m-%dT%H:%M:%SZ}"


def moment(progress: Mapping[str, Any]) -> datetime | None:
    """The bookmark (aware, UTC, whole seconds); None when there is none.

    Raises:
        TapError: it is no date and time.
    """
    text = progress.get(_VALUE)
    if not text:
        return None
    try:
        value = pendulum.parse(text)
        assert isinstance(value, pendulum.DateTime)
    except (ValueError, TypeError, AssertionError):
        raise TapError(
            f"The state's bookmark {text!r} is no date and time: "
            "correct the state file, or start without it"
        ) from None
    return value.in_timezone("UTC").replace(microsecond=0)


def advance(progress: Progress, value: str) -> None:
    """Move the bookmark on to a spelled instant, never back."""
    if value > (progress.get(_VALUE) or ""):
        progress["replication_key"] = REPLICATION_KEY
        progress[_VALUE] = value


def take_up(progress: Progress) -> datetime | None:
    """The bookmark of a former run, from here on spelled to compare with this run's."""
    value = moment(progress)
    if value is not None:
        progress[_VALUE] = spelled(value)
    return value


@dataclass(frozen=True)
class Known:
    """A partner's bookmark of a former run: whose, and how far."""

    user_id: int
    customer_id: int | None
    value: datetime


def known(partitions: Iterable[Mapping[str, Any]]) -> list[Known]:
    """The bookmarks of a partner's partitions, the furthest first."""
    found = []
    for progress in partitions:
        user_id, value = progress.get("context", {}).get("user_id"), moment(progress)
        if user_id is not None and value is not None:
            found.append(Known(user_id, progress.get("customer_id"), value))
    return sorted(found, key=lambda one: one.value, reverse=True)
