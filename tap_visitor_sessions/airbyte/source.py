"""What the source does: spec, check, discover, read."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from types import FrameType
from typing import Any, NoReturn

from tap_visitor_sessions.airbyte.catalog import columns, discovered
from tap_visitor_sessions.airbyte.messages import Messages, RecordLines, now
from tap_visitor_sessions.airbyte.spec import specification
from tap_visitor_sessions.airbyte.state import AirbyteState
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
from tap_visitor_sessions.config import Settings, core_settings
from tap_visitor_sessions.doctor import checks
from tap_visitor_sessions.sessions import (
    Columns,
    Connection,
    Extraction,
    Pace,
    exit_soon,
    write_all,
)

logger = logging.getLogger("tap-visitor-sessions.airbyte")

STATE_RECORDS = 10_000
"""STATE follows so many records at the latest."""
_PASSING = (
    TransientError,
    LimitExceeded,
    DailyLimitReached,
    Unreachable,
    CountMismatch,
    CustomersFailed,
)


def failure_type(problem: BaseException) -> str:
    """Who can do something about an error, in the protocol's words."""
    if isinstance(problem, _PASSING):
        return "transient_error"
    is_users = isinstance(problem, TapError) and not isinstance(problem, Unreadable)
    return "config_error" if is_users else "system_error"


class Source:
    """The source, as its command line runs it."""

    def __init__(self, output: Messages) -> None:
        self._output = output

    def spec(self) -> None:
        """SPEC."""
        self._output.say("SPEC", spec=specification())

    def check(self, config: Mapping[str, Any]) -> None:
        """CONNECTION_STATUS: the doctor's questions; FAILED with the first that is not ok."""
        failed = None
        try:
            settings = core_settings(config)
            connection = _connection(settings)
            try:
                for one in checks(connection):
                    logger.info("%s", one)
                    if one.ok is False and failed is None:
                        failed = f"{one.name}: {one.text}"
            finally:
                connection.client.close()
        except TapError as problem:
            failed = str(problem)
        status = (
            {"status": "SUCCEEDED"} if failed is None else {"status": "FAILED", "message": failed}
        )
        self._output.say("CONNECTION_STATUS", connectionStatus=status)

    def discover(self, config: Mapping[str, Any]) -> None:
        """CATALOG. No network."""
        self._output.say("CATALOG", catalog=discovered(core_settings(config)))

    def read(self, config: Mapping[str, Any], catalog: object, state: object) -> None:
        """RECORD, STATE and TRACE.

        Raises:
            TapError: the read ends early; what has been said is complete as far as STATE says.
        """
        settings = core_settings(config)
        wanted = columns(catalog, settings)
        held = AirbyteState(state, settings)
        if wanted is not None:
            _Read(self._output, settings, held).all(wanted)


class _Read:
    """One read."""

    def __init__(self, output: Messages, settings: Settings, state: AirbyteState) -> None:
        self._output = output
        self._state = state
        self._connection = _connection(settings)
        self._extraction = Extraction(self._connection, state)
        self._said = 0  # sessions that a STATE has counted
        self._estimated = 0

    def all(self, wanted: Columns) -> None:
        """All parts, with what surrounds them."""
        output = self._output
        self._heed_signals()
        output.status("STARTED")
        self._connection.client.pacer.on_wait = self._waiting
        try:
            with (
                self._extraction.run(),
                self._extraction.parts(wanted, RecordLines().chunks) as parts,
            ):
                output.status("RUNNING")
                pace = Pace(STATE_RECORDS)
                for _, count in write_all(parts, output):
                    if pace.due(count):
                        self._say_state()
                self._say_state()
        except Exception:
            output.heed()
            self._say_state()
            output.status("INCOMPLETE")
            raise
        output.status("COMPLETE")

    def _say_state(self) -> None:
        progress = self._extraction.progress
        if progress.fraction > 0:
            self._estimated = max(self._estimated, round(progress.sessions / progress.fraction))
            self._output.estimate(self._estimated)
        self._output.state(self._state.progress, progress.sessions - self._said)
        self._said = progress.sessions

    def _waiting(self, seconds: float) -> None:
        """Points are used up."""
        reset = now() + round(seconds * 1000)
        reason = {"type": "RATE_LIMITED", "rate_limited": {"quota_reset": reset}}
        self._output.status("RUNNING", reason)

    def _heed_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ended)

    def _ended(self, number: int, _: FrameType | None) -> None:
        """End with a last STATE, and a code that says that it was a signal."""
        self._connection.stop.set()
        exit_soon(128 + number)

        def last_words() -> NoReturn:
            self._say_state()
            self._output.status("INCOMPLETE")
            self._output.end(128 + number)

        self._output.when_whole(last_words)


def _connection(settings: Settings) -> Connection:
    return Connection(settings, "source-visitor-sessions")
