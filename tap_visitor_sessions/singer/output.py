"""Singer messages to stdout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import msgspec
from singer_sdk.io_base import SingerWriter
from singer_sdk.singerlib.encoding.simple import Message

from tap_visitor_sessions.sessions import Chunk, Lines, Record, chunked


class Output(Lines, SingerWriter):
    """The SDK's writer, on ours."""

    def write_message(self, message: Message) -> None:
        """Write one message."""
        self.heed()
        self.write_lines(f"{self.format_message(message)}\n".encode())


class _RecordMessage(msgspec.Struct, tag_field="type", tag="RECORD", gc=False, omit_defaults=True):
    stream: str
    record: Any
    version: int | None = None
    time_extracted: datetime | None = None


class RecordLines:
    """Encodes typed records as RECORD lines. Safe to use from several threads.

    Args:
        changed: What to emit in a record's stead; None: the record as it is.
    """

    def __init__(
        self,
        stream: str,
        version: int | None,
        changed: Callable[[Record], Any] | None = None,
    ) -> None:
        self._changed = changed
        self._stream = stream
        self._version = version
        self._encoder = msgspec.json.Encoder()

    def chunks(self, records: list[Record]) -> list[Chunk]:
        """The records as chunks small enough to be written between two STATE messages."""
        now = datetime.now(timezone.utc)
        stream, version = self._stream, self._version

        def encoded(part: list[Record]) -> bytes:
            emitted = part if self._changed is None else map(self._changed, part)
            messages = [_RecordMessage(stream, record, version, now) for record in emitted]
            return self._encoder.encode_lines(messages)

        return chunked(records, encoded)
