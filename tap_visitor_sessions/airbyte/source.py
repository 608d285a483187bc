"""What the source does: spec, check, discover, read."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from types import FrameType
from typing import Any

from tap_visitor_sessions.airbyte.catalog import Configured, configured, discovered
from tap_visitor_sessions.airbyte.checking import checked
from tap_visitor_sessions.airbyte.config import settings_of
from tap_visitor_sessions.airbyte.failures import failure_type
from tap_visitor_sessions.airbyte.messages import Messages, RecordLines, now
from tap_visitor_sessions.airbyte.spec import specification
from tap_visitor_sessions.airbyte.state import AirbyteState
from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import (
    DAYS,
    STREAM,
    Settings,
    emitted_schema,
    privacy_note,
    without,
)
from tap_visitor_sessions.sessions import (
    Connection,
    Extraction,
    Pace,
    exit_soon,
    write_all,
)
from tap_visitor_sessions.startup import end_by_signal

logger = logging.getLogger("tap-visitor-sessions.airbyte")

AGENT = "source-visitor-sessions"
GRACE = 0.3
"""Seconds that the main thread has to end by a signal."""
STATE_RECORDS = 10_000
"""STATE follows so many records at the latest."""


class Source:
    """The source, as its command line runs it."""

    def __init__(self, output: Messages) -> None:
        self._output = output

    def spec(self) -> None:
        """SPEC."""
        self._output.write("SPEC", spec=specification())

    def check(self, config: Mapping[str, Any]) -> None:
        """CONNECTION_STATUS: FAILED with what the user must change.

        Raises:
            TapError: what passes, or is ours: it says nothing of the settings.
        """
        failed = None
        try:
            with closing(checked(settings_of(config), AGENT)) as found:
                for one in found:
                    if one.problem is not None and failure_type(one.problem) != "config_error":
                        raise one.problem
                    if one.ok is False and failed is None:
                        failed = f"{one.name}: {one.text}"
        except TapError as problem:
            if failure_type(problem) != "config_error":
                raise
            failed = failed or str(problem)
        status = (
            {"status": "SUCCEEDED"} if failed is None else {"status": "FAILED", "message": failed}
        )
        self._output.write("CONNECTION_STATUS", connectionStatus=status)

    def discover(self, config: Mapping[str, Any]) -> None:
        """CATALOG. No network."""
        self._output.write("CATALOG", catalog=discovered(settings_of(config)))

    def read(self, config: Mapping[str, Any], catalog: object, state: object) -> None:
        """RECORD, STATE and TRACE.

        Raises:
            TapError: the read ends early; what has been said is complete as far as STATE says.
        """
        settings = settings_of(config)
        chosen = configured(catalog, settings)
        if chosen is not None:
            schema = without(emitted_schema(settings), chosen.columns.without)["properties"]
            emitted = {"properties": {name: schema[name] for name in chosen.columns.names}}
            logger.info(privacy_note(emitted, settings.hash_columns))
            _Read(self._output, settings, AirbyteState(state, settings, chosen)).all(chosen)


class _Read:
    """One read."""

    def __init__(self, output: Messages, settings: Settings, state: AirbyteState) -> None:
        self._output = output
        self._state = state
        self._connection = Connection(settings, AGENT)
        atexit.register(self._connection.client.close)  # once STATE and the error are out
        self._said = 0  # sessions that a STATE has counted
        self._days = self._days_said = 0
        self._estimated = 0
        self._ending = self._over = False

    def all(self, wanted: Configured) -> None:
        """All parts, with what surrounds them."""
        output, state = self._output, self._state
        lines, names = RecordLines(), wanted.days
        write_days = None
        if names is not None:
            output.streams = [STREAM, DAYS]

            def write_days(days: Sequence[Any]) -> None:
                output.write_lines(lines.days(days, names))
                self._days += len(days)

        # A full refresh that goes on gives no session twice: an overwritten table has no key.
        self._extraction = Extraction(
            self._connection,
            state,
            looks_back=not wanted.is_full_refresh,
            write_days=write_days,
        )
        self._heed_signals()
        output.status("STARTED")
        if state.is_complete:
            logger.info(
                "An earlier attempt of this sync has read everything: nothing is read again"
            )
            output.status("RUNNING")
            self._write_state()
            output.status("COMPLETE")
            return
        self._connection.client.pacer.on_wait = self._waiting
        self._extraction.on_idle = self._idle
        try:
            with (
                self._extraction.run(),
                self._extraction.parts(wanted.columns, lines.chunks) as parts,
            ):
                output.status("RUNNING")
                pace = Pace(STATE_RECORDS)
                for _, count in write_all(parts, output):
                    if pace.due(count):
                        self._write_state()
                self._write_state()
        except Exception:
            output.heed()
            self._write_state()
            output.status("INCOMPLETE")
            raise
        with output.whole():  # of a complete one all is read anew: no signal comes in between
            if wanted.is_full_refresh:
                state.complete()
                self._write_state()
            output.status("COMPLETE")

    def _write_state(self) -> None:
        output, progress = self._output, self._extraction.progress
        output.heed()
        with output.whole():  # a signal's last STATE counts what this one does not
            if progress.fraction > 0:
                estimate = round(progress.sessions / progress.fraction)
                self._estimated = max(self._estimated, estimate)
                output.estimate(self._estimated)
            states = [(self._state.progress, progress.sessions - self._said)]
            if len(output.streams) > 1:
                # Its rows go with the sessions: where the next read begins only theirs says.
                states.append(({"rows": self._days}, self._days - self._days_said))
            output.states(states)
            self._said, self._days_said = progress.sessions, self._days
        output.heed()

    def _idle(self) -> None:
        """It has waited for some seconds, and may wait for a day's points."""
        if self._extraction.progress.sessions > self._said:
            self._write_state()

    def _waiting(self, seconds: float) -> None:
        """Points are used up."""
        reset = now() + round(seconds * 1000)
        reason = {"type": "RATE_LIMITED", "rate_limited": {"quota_reset": reset}}
        self._output.status("RUNNING", reason)

    def _heed_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ended)

    def _ended(self, number: int, _: FrameType | None) -> None:
        """End with a last STATE, by the signal itself."""
        if self._over:
            end_by_signal(number)
        if self._ending:
            return
        self._ending = True
        self._connection.stop.set()
        exit_soon(number, self._give_up)

        def last_words() -> None:
            self._extraction.keep_days()
            self._write_state()
            self._output.status("INCOMPLETE")
            end_by_signal(number)

        self._output.when_whole(last_words)

    def _give_up(self, number: int) -> None:
        """End though the main thread hangs, as in a write that nobody reads."""
        self._over = True
        if hasattr(signal, "pthread_kill"):
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, number)  # wakes it, and `_ended` ends there
            time.sleep(GRACE)
        os._exit(128 + number)
