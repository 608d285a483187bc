"""Messages of the Airbyte protocol, a line of JSON each, on stdout.

Source: the Airbyte protocol's specification, version 0.2.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tap_visitor_sessions.config import DAYS, STREAM
from tap_visitor_sessions.sessions import Chunk, Lines, Record, chunked

_LEVELS = {"CRITICAL": "FATAL", "WARNING": "WARN"}


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


class Messages(Lines):
    """Writes messages; the logs of other threads are among them."""

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = threading.RLock()
        self._has_begun = False
        self.streams = [STREAM]
        """The streams that are read."""

    def write_lines(self, lines: bytes) -> None:
        """Write whole lines, one caller after the other."""
        with self._one_at_a_time:
            super().write_lines(lines)

    def write(self, kind: str, **member: Any) -> None:
        """Write one message."""
        self.heed()
        self.write_lines(msgspec.json.encode({"type": kind, **member}) + b"\n")

    def status(self, status: str, *reasons: dict[str, Any]) -> None:
        """How the streams stand: STARTED, RUNNING, COMPLETE or INCOMPLETE."""
        self._has_begun = True
        for name in self.streams:
            found: dict[str, Any] = {"stream_descriptor": {"name": name}, "status": status}
            if reasons:
                found["reasons"] = list(reasons)
            self._trace("STREAM_STATUS", stream_status=found)

    def estimate(self, sessions: int) -> None:
        """How many sessions the read will come to, about."""
        self._trace(
            "ESTIMATE", estimate={"name": STREAM, "type": "STREAM", "row_estimate": sessions}
        )

    def error(self, text: str, failure_type: str, internal: str, stack: str | None = None) -> None:
        """Why the run ends; it names the stream once that has begun.

        Args:
            stack: Where it happened, for whoever debugs.
        """
        error: dict[str, Any] = {
            "message": text,
            "internal_message": internal,
            "failure_type": failure_type,
        }
        if self._has_begun:
            error["stream_descriptor"] = {"name": STREAM}
        if stack is not None:
            error["stack_trace"] = stack
        self._trace("ERROR", error=error)

    def _trace(self, kind: str, **member: Any) -> None:
        self.write("TRACE", trace={"type": kind, "emitted_at": float(now()), **member})

    def states(self, states: Sequence[tuple[dict[str, Any], int]]) -> None:
        """How far the streams have been read, in one write: none is saved without the others.

        Args:
            states: The state of each stream, and the records since the last one.
        """
        lines = [
            msgspec.json.encode(
                {
                    "type": "STATE",
                    "state": {
                        "type": "STREAM",
                        "stream": {"stream_descriptor": {"name": name}, "stream_state": state},
                        "sourceStats": {"recordCount": float(records)},
                    },
                }
            )
            + b"\n"
            for name, (state, records) in zip(self.streams, states, strict=True)
        ]
        self.heed()
        self.write_lines(b"".join(lines))


class LogMessages(logging.Handler):
    """Logging as LOG messages."""

    def __init__(self, output: Messages) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        level = _LEVELS.get(record.levelname, record.levelname)
        text = " ".join(self.format(record).split())
        line = msgspec.json.encode({"type": "LOG", "log": {"level": level, "message": text}})
        self._output.write_lines(line + b"\n")


class _Data(msgspec.Struct, gc=False):
    stream: str
    data: Any
    emitted_at: int


class _RecordMessage(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    record: _Data


class RecordLines:
    """Encodes typed records as RECORD lines. Safe to use from several threads."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def chunks(self, records: list[Record]) -> list[Chunk]:
        """The records as chunks small enough to be written between two STATE messages."""
        at = now()

        def encoded(part: list[Record]) -> bytes:
            messages = [_RecordMessage(_Data(STREAM, record, at)) for record in part]
            return self._encoder.encode_lines(messages)

        return chunked(records, encoded)

    def days(self, days: Sequence[Any], names: Sequence[str]) -> bytes:
        """Rows of `visitor_session_days` with the columns that are wanted."""
        at = now()
        rows = [{name: getattr(day, name) for name in names} for day in days]
        return self._encoder.encode_lines([_RecordMessage(_Data(DAYS, row, at)) for row in rows])
