"""The doctor's questions within a minute, whatever the settings of a read allow."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Generator

import msgspec

from tap_visitor_sessions.api import TransientError
from tap_visitor_sessions.config import Settings
from tap_visitor_sessions.doctor import Check, checks
from tap_visitor_sessions.sessions import Connection

logger = logging.getLogger("tap-visitor-sessions.airbyte")

LONGEST = 45.0
"""Seconds for all questions together."""
RETRIES = 2
LOGOUT = 5.0
"""Seconds for a login session to be logged out."""


def checked(settings: Settings, agent: str) -> Generator[Check, None, None]:
    """What the doctor finds, each as soon as it is known, and logged.

    Raises:
        TransientError: it is not known within LONGEST seconds.
    """
    limited = msgspec.structs.replace(
        settings,
        request_timeout=min(settings.request_timeout, LONGEST),
        max_retries=min(settings.max_retries, RETRIES),
        on_daily_limit="fail",
    )
    connection = Connection(limited, agent)
    found: queue.SimpleQueue[Check | BaseException | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            for one in checks(connection):
                found.put(one)
        except BaseException as problem:
            found.put(problem)
        finally:
            found.put(None)
            connection.client.close()

    # A thread: the resolving of a name, for one, heeds no timeout.
    thread = threading.Thread(target=ask, name="check", daemon=True)
    thread.start()
    until = time.monotonic() + LONGEST
    try:
        while True:
            try:
                one = found.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                connection.stop.set()
                raise TransientError(
                    f"The check did not finish within {LONGEST:g} s: the API is slow, or "
                    "the points of the minute are used up. Try again later"
                ) from None
            if one is None:
                return
            if isinstance(one, BaseException):
                raise one
            logger.log(logging.WARNING if one.warns else logging.INFO, "%s", one)
            yield one
    finally:
        thread.join(LOGOUT)
