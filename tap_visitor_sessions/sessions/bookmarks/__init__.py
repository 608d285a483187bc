"""How far each account has been read: bookmarks, their form in STATE, and their course in a run."""

from tap_visitor_sessions.sessions.bookmarks.bookmarks import ASKED_AGAIN, TURN, Bookmarks, Reading
from tap_visitor_sessions.sessions.bookmarks.positions import Positions
from tap_visitor_sessions.sessions.bookmarks.state import (
    ALL_IS_READ,
    FIX,
    MEMBERS,
    StateError,
    StreamState,
    check_progress,
    type_name,
    without_days,
)

__all__ = [
    "ALL_IS_READ",
    "ASKED_AGAIN",
    "FIX",
    "MEMBERS",
    "TURN",
    "Bookmarks",
    "Positions",
    "Reading",
    "StateError",
    "StreamState",
    "check_progress",
    "type_name",
    "without_days",
]
