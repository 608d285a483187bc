"""The stream as the settings make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tap_visitor_sessions.config.excluding import without
from tap_visitor_sessions.config.hashing import hashed_schema
from tap_visitor_sessions.config.names import all_names
from tap_visitor_sessions.config.schema import key_columns, personal, record_schema
from tap_visitor_sessions.config.settings import Settings


def emitted_schema(settings: Settings) -> dict[str, Any]:
    """The JSON Schema of a record with all columns, as it leaves."""
    return stream_of(
        is_partner=settings.is_partner,
        has_account=settings.account is not None,
        excluded=settings.exclude_columns,
        hashed=settings.hash_columns,
    )


def stream_of(
    *, is_partner: bool, has_account: bool, excluded: Sequence[str], hashed: Sequence[str]
) -> dict[str, Any]:
    """The same of the settings that make it: a discovery has no others."""
    schema = record_schema(is_partner=is_partner, has_account=has_account, is_whole=True)
    return hashed_schema(without(schema, excluded), hashed)


def left_out(settings: Settings) -> set[str]:
    """The columns that there are, and that `exclude_columns` leaves out."""
    whole = record_schema(
        is_partner=settings.is_partner, has_account=settings.account is not None, is_whole=True
    )
    return set(whole["properties"]) - set(emitted_schema(settings)["properties"])


def key_of(settings: Settings) -> tuple[str, ...]:
    """The columns of the key."""
    return key_columns(is_partner=settings.is_partner, has_account=settings.account is not None)


def privacy_note(schema: Mapping[str, Any], hashed: Sequence[str]) -> str:
    """Which personal data leaves in clear, for the log.

    Args:
        schema: The JSON Schema of what is emitted.
        hashed: The names whose values are hashed.
    """
    clear = [name for name in all_names(schema) if name in personal() and name not in hashed]
    if not clear:
        return "No column of personal data is emitted in clear"
    return (
        f"Personal data emitted in clear: {', '.join(clear)} "
        "(exclude_columns leaves out, hash_columns hashes: docs/privacy.md)"
    )
