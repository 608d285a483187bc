"""Meltano's log, which it writes as JSON, as lines with a level. Pure: no I/O."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
LONGEST = 2000
"""Characters of the reason why a run failed."""
NOISE = "DeprecationWarning: The 'version' field in meltano.yml"


class Log:
    """The log of one command.

    Args:
        write: Takes a line with its level.

    Attributes:
        reason: Why it failed: the tap's own error, else the first error that was logged.
        passes: Whether another try may go better.
    """

    def __init__(self, write: Callable[[int, str], object]) -> None:
        self._write = write
        self._summaries: list[tuple[int, str]] = []
        self._first_error = ""
        self._taps_error = ""
        self.passes = True

    @property
    def reason(self) -> str:
        """Why it failed; "" where nothing was said."""
        return " ".join((self._taps_error or self._first_error).split())[:LONGEST]

    def take(self, line: str) -> None:
        """A line as it was printed."""
        entry = _entry(line)
        if entry is None:
            if line.strip():
                self._write(logging.INFO, line.rstrip())
            return
        event = str(entry.get("event", "")).strip()
        if NOISE in event:
            return
        level = LEVELS.get(str(entry.get("level")), logging.INFO)
        who = entry.get("plugin_logger") or entry.get("name") or "meltano"
        shown = f"{who} | {event}" + _metric(entry) + _exception(entry)
        failure = entry.get("failure")
        if isinstance(failure, Mapping):
            self._taps_error, self.passes = event, bool(failure.get("passes", True))
        elif level >= logging.ERROR and not self._first_error:
            self._first_error = event + _exception(entry)
        if "summary" in entry:
            self._summaries.append((level, shown))
        else:
            self._write(level, shown)

    def end(self) -> None:
        """What comes last: the tap's summary."""
        for level, line in self._summaries:
            self._write(level, line)
        self._summaries.clear()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _metric(entry: Mapping[str, Any]) -> str:
    """A figure of the SDK's, which has an event of its own."""
    metric = entry.get("metric_info")
    return f" {json.dumps(metric)}" if isinstance(metric, Mapping) else ""


def _exception(entry: Mapping[str, Any]) -> str:
    """What an exception says in itself, without the calls that led to it."""
    for name in ("plugin_exception", "exception"):
        found = entry.get(name)
        if isinstance(found, Mapping):
            return f" ({found.get('type')}: {found.get('message') or found.get('value')})"
        if isinstance(found, list) and found and isinstance(found[-1], Mapping):
            return f" ({found[-1].get('exc_type')}: {found[-1].get('exc_value')})"
        if isinstance(found, str) and found.strip():
            return f" ({found.strip().splitlines()[-1].strip()})"
    return ""
