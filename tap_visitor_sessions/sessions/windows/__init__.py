"""Windows of an account: cut, fetched, counted, several in flight, front to back."""

from tap_visitor_sessions.sessions.windows.fields import UNKNOWN, Fields
from tap_visitor_sessions.sessions.windows.pipeline import Pipeline, Span, Taken
from tap_visitor_sessions.sessions.windows.reader import (
    METHOD,
    TOO_LONG,
    Query,
    Shared,
    WindowReader,
)
from tap_visitor_sessions.sessions.windows.windows import LONGEST, Window

__all__ = [
    "LONGEST",
    "METHOD",
    "TOO_LONG",
    "UNKNOWN",
    "Fields",
    "Pipeline",
    "Query",
    "Shared",
    "Span",
    "Taken",
    "Window",
    "WindowReader",
]
