"""Support's first questions, asked of the API one after the other; and a report of how the API of
an account behaves, with shapes and no values."""

from tap_visitor_sessions.doctor.checks import NAMES, Check, checks
from tap_visitor_sessions.doctor.report import reported

__all__ = ["NAMES", "Check", "checks", "reported"]
