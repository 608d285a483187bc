"""An error that ends a run, as one line with its fix."""

from __future__ import annotations

import traceback

from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError

from tap_visitor_sessions.api import TapError, unforeseen

_LENGTH = 1000
_MORE = "TAP_VISITOR_SESSIONS_LOGLEVEL=DEBUG shows where it happened"


def one_line(problem: Exception) -> str:
    """One line for the user."""
    if isinstance(problem, ConfigValidationError):
        text = "; ".join(problem.errors) or str(problem)
    elif isinstance(problem, (MapExpressionError, StreamMapConfigError)):
        text = f"Setting stream_maps: {problem}"
    elif isinstance(problem, TapError):
        text = str(problem)
    elif isinstance(problem, OSError) and problem.strerror:
        text = f"{problem.strerror}: {problem.filename}" if problem.filename else problem.strerror
        if problem.filename == "stdout":
            text = f"stdout cannot be written to: {problem.strerror}"
    else:
        text = f"{unforeseen(problem)}; {_MORE}"
    line = " ".join(text.split())
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}…"


def where(problem: BaseException) -> str:
    """The calls that led to an error, without its text and those of its causes: they may hold
    anything, a value of a session too."""
    frames = traceback.extract_tb(problem.__traceback__)
    return " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
