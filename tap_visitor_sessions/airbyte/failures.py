"""Whose an error is, in the protocol's words, and where it happened."""

from __future__ import annotations

import traceback

from tap_visitor_sessions.api import (
    CountMismatch,
    CustomersFailed,
    DailyLimitReached,
    LimitExceeded,
    TapError,
    TransientError,
    Unreachable,
    Unreadable,
)

_PASSING = (TransientError, LimitExceeded, DailyLimitReached, Unreachable, CountMismatch)
_ORDER = ("config_error", "system_error", "transient_error")


def failure_type(problem: BaseException) -> str:
    """Who can do something about an error: `config_error` the user, `system_error` we, and
    `transient_error` nobody, since it passes."""
    if isinstance(problem, CustomersFailed) and problem.causes:
        # As long as one is the user's, another try fails too.
        return min(map(failure_type, problem.causes), key=_ORDER.index)
    if isinstance(problem, _PASSING):
        return "transient_error"
    is_users = isinstance(problem, TapError) and not isinstance(problem, Unreadable)
    return "config_error" if is_users else "system_error"


def stack_of(problem: BaseException) -> str:
    """The calls that led to an error and to those that it follows from: kinds and places, without
    their texts, which may hold anything."""
    found: list[str] = []
    at: BaseException | None = problem
    while at is not None and len(found) < 10:
        found.append("".join([*traceback.format_tb(at.__traceback__), type(at).__name__, "\n"]))
        at = at.__cause__ or at.__context__
    return "\nwhich follows from\n".join(found)
