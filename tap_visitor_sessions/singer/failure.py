"""How an error that ends a run is told: in one line, with its cure."""

from __future__ import annotations

from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError

from tap_visitor_sessions.api.errors import TapError

_LENGTH = 1000


def told(problem: Exception) -> str:
    """One line for the user. Of what nobody has foreseen only the kind is told: its text may
    hold anything, a secret too."""
    if isinstance(problem, ConfigValidationError):
        text = "; ".join(problem.errors) or str(problem)
    elif isinstance(problem, (MapExpressionError, StreamMapConfigError)):
        text = f"Setting stream_maps: {problem}"
    elif isinstance(problem, TapError):
        text = str(problem)
    elif isinstance(problem, OSError) and problem.strerror:
        text = f"{problem.strerror}: {problem.filename}" if problem.filename else problem.strerror
    else:
        text = (
            f"Unforeseen ({type(problem).__name__}{_where(problem)}): please report it; "
            "TAP_VISITOR_SESSIONS_LOGLEVEL=DEBUG shows where it happened"
        )
    line = " ".join(text.split())
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}…"


def _where(problem: Exception) -> str:
    """The place in the code where it was raised."""
    at = problem.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return ""
    return f" in {at.tb_frame.f_globals.get('__name__')}, line {at.tb_lineno}"
