"""Sessions complete and in order: account and customers, zones, windows, reader, pipeline,
records. Knows no host.
"""

from tap_visitor_sessions.sessions import saved
from tap_visitor_sessions.sessions.account import User
from tap_visitor_sessions.sessions.columns import Tables
from tap_visitor_sessions.sessions.conforming import Warnings, kind_of
from tap_visitor_sessions.sessions.connection import Connection
from tap_visitor_sessions.sessions.extraction import Columns, Extraction, Part
from tap_visitor_sessions.sessions.lines import (
    Chunk,
    Lines,
    Pace,
    chunked,
    drained,
    exit_soon,
    write_all,
)
from tap_visitor_sessions.sessions.marks import Marks
from tap_visitor_sessions.sessions.reader import METHOD, Query
from tap_visitor_sessions.sessions.records import Decoder
from tap_visitor_sessions.sessions.saved import (
    ALL_IS_READ,
    CURE,
    StateError,
    check_progress,
    type_name,
)
from tap_visitor_sessions.sessions.shapes import Record
from tap_visitor_sessions.sessions.windows import Window
from tap_visitor_sessions.sessions.zones import SECOND

__all__ = [
    "ALL_IS_READ",
    "CURE",
    "METHOD",
    "SECOND",
    "Chunk",
    "Columns",
    "Connection",
    "Decoder",
    "Extraction",
    "Lines",
    "Marks",
    "Pace",
    "Part",
    "Query",
    "Record",
    "StateError",
    "Tables",
    "User",
    "Warnings",
    "Window",
    "check_progress",
    "chunked",
    "drained",
    "exit_soon",
    "kind_of",
    "saved",
    "type_name",
    "write_all",
]
