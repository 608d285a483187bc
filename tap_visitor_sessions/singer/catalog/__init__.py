"""What a user's catalog asks of the stream: its entry, what is selected, and the SCHEMA message."""

from tap_visitor_sessions.singer.catalog.catalog import handed, wanted
from tap_visitor_sessions.singer.catalog.entry import (
    CatalogError,
    Declaration,
    declared,
    declared_days,
    meant,
    nearest,
)
from tap_visitor_sessions.singer.catalog.schema_message import for_loaders
from tap_visitor_sessions.singer.catalog.selection import Selection, dicts
from tap_visitor_sessions.singer.catalog.transform import transform_of

__all__ = [
    "CatalogError",
    "Declaration",
    "Selection",
    "declared",
    "declared_days",
    "dicts",
    "for_loaders",
    "handed",
    "meant",
    "nearest",
    "transform_of",
    "wanted",
]
