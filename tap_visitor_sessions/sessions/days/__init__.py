"""Local days of an account: which there are, whose sessions are which, how many were read. Pure."""

from tap_visitor_sessions.sessions.days.calendar import Calendar, Cell, Walls
from tap_visitor_sessions.sessions.days.counting import (
    Begun,
    Counted,
    DayCounts,
    Sum,
    Tally,
)
from tap_visitor_sessions.sessions.days.memory import Known, cut_of, mark_of, packed, unpacked

__all__ = [
    "Begun",
    "Calendar",
    "Cell",
    "Counted",
    "DayCounts",
    "Known",
    "Sum",
    "Tally",
    "Walls",
    "cut_of",
    "mark_of",
    "packed",
    "unpacked",
]
