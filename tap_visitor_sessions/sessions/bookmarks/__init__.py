"""How far each account has been read: bookmarks, their form in STATE, and their course in a run."""

from tap_visitor_sessions.sessions.bookmarks.bookmarks import ASKED_AGAIN, Bookmarks, FormerState
from tap_visitor_sessions.sessions.bookmarks.positions import Keep, Positions
from tap_visitor_sessions.sessions.bookmarks.state import (
    ALL_IS_READ,
    FIX,
    MEMBERS,
    StateError,
    StreamState,
    check_progress,
    former_state,
    name_account,
    name_customer,
    type_name,
    write_bookmarks,
)

__all__ = [
    "ALL_IS_READ",
    "ASKED_AGAIN",
    "FIX",
    "MEMBERS",
    "Bookmarks",
    "FormerState",
    "Keep",
    "Positions",
    "StateError",
    "StreamState",
    "check_progress",
    "former_state",
    "name_account",
    "name_customer",
    "type_name",
    "write_bookmarks",
]
