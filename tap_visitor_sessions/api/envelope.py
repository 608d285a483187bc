"""An answer's bytes -> its JSON-RPC envelope, checked before anything of it counts. No I/O."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from tap_visitor_sessions.api.errors import TransientError, number
from tap_visitor_sessions.api.repair import (
    TOO_DEEP,
    without_halves,
    without_odd_bytes,
    without_odd_characters,
    without_odd_tokens,
)

_PIECE = 1 << 20
_CUT = TOO_DEEP.encode()


class OddBytes(TransientError):
    """An answer whose bytes are not all UTF-8: garbled on its way, or for good."""


@dataclass(frozen=True)
class Reply:
    """What an answer holds: `error`, or else `data` and `metadata`.

    Attributes:
        error: The `error` member.
        data: The raw JSON of `result.data`, a view of the answer's bytes; empty when there is
            none.
        metadata: The result's metadata.
        repaired: Whether characters that are none had to be replaced.
    """

    error: dict[str, Any] | None
    data: memoryview
    metadata: dict[str, Any]
    repaired: bool = False

    def rows(self, total: int | None) -> memoryview:
        """The raw JSON array of rows; `total` is how many the query has.

        Raises:
            TransientError: there is no array.
        """
        if bytes(self.data[:5]) == b"null" and total == 0:  # an empty array, as some see it
            return memoryview(b"[]")
        if bytes(self.data[:1]) != b"[":
            raise TransientError("The answer contains no list of rows")
        return self.data


class _Result(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"")
    metadata: dict[str, Any] | None = None
    meta_data: dict[str, Any] | None = None  # get.account spells it so


class _Envelope(msgspec.Struct):
    id: Any = None
    result: _Result | None = None
    error: dict[str, Any] | None = None


def opened(body: bytes, request_id: str, *, mends_bytes: bool = False) -> Reply:
    """What the answer to this request holds.

    Args:
        mends_bytes: Whether bytes that are no UTF-8 are replaced.

    Raises:
        OddBytes: some are no UTF-8.
        TransientError: it is no answer, is damaged, or answers another request.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise TransientError("The answer is empty")
    repaired = not _is_utf8(body)
    if repaired and not mends_bytes:
        raise OddBytes("The answer is not in UTF-8")
    if repaired:
        body = without_odd_bytes(body)
    envelope = _parsed(body)
    if envelope is None:
        body, envelope, mended = _mended(body)
        repaired = repaired or mended
    result = envelope.result or _Result()
    data = memoryview(result.data)
    _check_members(body, data)
    # A request that the API could not read is answered without its id.
    ids = (request_id,) if envelope.error is None else (request_id, None)
    if envelope.id not in ids:
        raise TransientError("The answer belongs to another request")
    if envelope.error is None and envelope.result is None:
        raise TransientError("The answer contains neither a result nor an error")
    return Reply(envelope.error, data, result.metadata or result.meta_data or {}, repaired)


def count(value: object) -> int | None:
    """A whole number that is not negative, as number or string; else None."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def _parsed(body: bytes) -> _Envelope | None:
    """The envelope; None when msgspec cannot read it as JSON."""
    try:
        return msgspec.json.decode(body, type=_Envelope)
    except msgspec.ValidationError:
        raise TransientError("The answer is not a JSON-RPC response") from None
    except (msgspec.DecodeError, RecursionError):
        return None


def _mended(body: bytes) -> tuple[bytes, _Envelope, bool]:
    """An answer made JSON, its envelope, and whether characters that are none were replaced."""
    whole = without_halves(without_odd_characters(body))
    envelope, repaired = _parsed(whole), whole
    if envelope is None:
        repaired = without_odd_tokens(whole)
        envelope = _parsed(repaired)
    if envelope is None:
        what = "HTML" if body.lstrip()[:1] == b"<" else "not valid JSON"
        raise TransientError(f"The answer is {what}")
    data = bytes(envelope.result.data) if envelope.result else b""
    if repaired.count(_CUT) > data.count(_CUT):  # what is too deep is no session's
        raise TransientError("The answer is not valid JSON")
    return repaired, envelope, whole != body


def _is_utf8(body: bytes) -> bool:
    """Whether all of it is UTF-8: msgspec does not look into what stays raw."""
    if body.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # Piece by piece, since the text of a whole answer would take much memory.
        for at in range(0, len(body), _PIECE):
            decoder.decode(body[at : at + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _check_members(body: bytes, data: memoryview) -> None:
    """A member that occurs twice could hide rows: JSON parsers keep one of them."""
    # Without its rows the answer is small, so a slow look at it costs nothing.
    frame = body
    if len(data) > 1000:
        at = body.find(data[:100])
        end = at + len(data)
        if at >= 0 and body[end - 100 : end] == data[-100:]:
            frame = body[:at] + b"null" + body[end:]

    try:
        _check_unique(json.loads(frame, object_pairs_hook=_Pairs, parse_int=str))
    except (ValueError, RecursionError):
        raise TransientError("The answer is not valid JSON") from None


class _Pairs(list[tuple[str, Any]]):
    """The members of an object."""


def _check_unique(value: object) -> None:
    """Rows are left out: what occurs twice in one of them hides none."""
    if not isinstance(value, _Pairs):
        return
    if len(dict(value)) != len(value):
        raise TransientError("The answer contains a member twice")
    for name, member in value:
        if name != "data":
            _check_unique(member)
