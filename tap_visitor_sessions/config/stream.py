"""The stream as the settings make it."""

from __future__ import annotations

from typing import Any

from tap_visitor_sessions.config.hashing import hashed_schema
from tap_visitor_sessions.config.schema import key_columns, record_schema
from tap_visitor_sessions.config.settings import Settings


def emitted_schema(settings: Settings) -> dict[str, Any]:
    """The JSON Schema of a record with all columns, as it leaves."""
    schema = record_schema(is_partner=settings.is_partner, has_account=settings.account is not None)
    return hashed_schema(schema, settings.hash_columns)


def key_of(settings: Settings) -> tuple[str, ...]:
    """The columns of the key."""
    return key_columns(has_account=settings.account is not None)
