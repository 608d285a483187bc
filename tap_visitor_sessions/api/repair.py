"""Answers that are nearly JSON, made JSON: each odd token costs its own value. No I/O.

What is cut short or garbled stays so.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

TOO_DEEP = "\ufffd nested too deep \ufffd"
"""The text in place of what is nested deeper than parsers go."""

_DEEPEST = 300
_PIECE = 1 << 20
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_CONTROL = re.compile(rb"\\[^\x00-\x1f]|\\?[\x00-\x1f]")
_TOKEN = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"?|(?P<open>[\[{])|(?P<close>[\]}])|(?P<word>NaN|-?Infinity)',
    re.DOTALL,
)


def without_halves(body: bytes) -> bytes:
    """Halves of escaped surrogate pairs become U+FFFD."""
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)


def without_controls(body: bytes) -> bytes:
    """Raw control characters within texts become U+FFFD."""
    return _TOKEN.sub(
        lambda found: _CONTROL.sub(_replaced, found[0]) if found[0][:1] == b'"' else found[0], body
    )


def without_odd_bytes(body: bytes) -> bytes:
    """Bytes that are no UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    # Piece by piece, since the text of a whole answer would take much memory.
    ends = range(_PIECE, len(body) + _PIECE, _PIECE)
    return b"".join(
        decoder.decode(body[end - _PIECE : end], final=end >= len(body)).encode() for end in ends
    )


def _replaced(found: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if found[0][-1] < 0x20 else found[0]


def without_odd_tokens(body: bytes) -> bytes:
    """NaN and Infinity become texts, what is nested too deep becomes `TOO_DEEP`."""
    return b"".join(_pieces(body))


def _pieces(body: bytes) -> Iterator[bytes]:
    depth = done = 0
    for found in _TOKEN.finditer(body):
        kind = found.lastgroup
        if kind == "open":
            depth += 1
            if depth == _DEEPEST + 1:
                yield body[done : found.start()]
                done = found.start()
        elif kind == "close":
            depth -= 1
            if depth == _DEEPEST:
                yield b'"%b"' % TOO_DEEP.encode()
                done = found.end()
        elif kind == "word" and depth <= _DEEPEST:
            yield body[done : found.start()]
            yield b'"%b"' % found[0]
            done = found.end()
    yield body[done:]
