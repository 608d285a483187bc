"""Sessions complete and in order, from settings, columns and bookmarks. Knows no host."""

from tap_visitor_sessions.sessions.accounts import PATIENCE, Connection, User, is_customers
from tap_visitor_sessions.sessions.bookmarks import (
    ALL_IS_READ,
    FIX,
    MEMBERS,
    StateError,
    StreamState,
    check_progress,
    type_name,
    without_days,
)
from tap_visitor_sessions.sessions.extraction import Columns, Extraction, Part
from tap_visitor_sessions.sessions.identity import listing
from tap_visitor_sessions.sessions.output import (
    READER_GONE,
    Chunk,
    Lines,
    Pace,
    Unwritable,
    chunked,
    drained,
    exit_soon,
    write_all,
)
from tap_visitor_sessions.sessions.records import Decoder, Record, Tables, Warnings, kind_of
from tap_visitor_sessions.sessions.windows import METHOD, Fields, Query, Window
from tap_visitor_sessions.sessions.zones import SECOND, Zone

__all__ = [
    "ALL_IS_READ",
    "FIX",
    "MEMBERS",
    "METHOD",
    "PATIENCE",
    "READER_GONE",
    "SECOND",
    "Chunk",
    "Columns",
    "Connection",
    "Decoder",
    "Extraction",
    "Fields",
    "Lines",
    "Pace",
    "Part",
    "Query",
    "Record",
    "StateError",
    "StreamState",
    "Tables",
    "Unwritable",
    "User",
    "Warnings",
    "Window",
    "Zone",
    "check_progress",
    "chunked",
    "drained",
    "exit_soon",
    "is_customers",
    "kind_of",
    "listing",
    "type_name",
    "without_days",
    "write_all",
]
