"""Answers that are nearly JSON, made JSON: each odd character or token costs itself. No I/O.

What is cut short or garbled stays so. However much is odd, the work takes no more memory than two
more copies of the answer, so matches are written out as they are found and never gathered.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

TOO_DEEP = "\ufffd nested too deep \ufffd"
"""The text in place of what is nested deeper than parsers go."""

_REPLACEMENT = "\ufffd".encode()
_DEEPEST = 300
_PIECE = 1 << 20

# A repeated group costs memory for each time, so it is held to a number: what is longer is matched
# in several goes.
_HALVES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<odd>(?:\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|[c-fC-F][0-9a-fA-F]{2})){1,1000})"
    rb"|\\.",
    re.DOTALL,
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_CHARACTERS = re.compile(
    rb'(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})){1,1000}'  # escapes that there are
    rb"|(?P<odd>\\?[\x00-\x1f]+|\\)"
)
_TEXT = rb'[^"\\]*(?:\\.[^"\\]*){0,1000}(?P<end>")?'
_REST = re.compile(_TEXT, re.DOTALL)
_TEXTS = re.compile(rb'(?P<text>"' + _TEXT + rb")", re.DOTALL)
_TOKENS = re.compile(
    _TEXTS.pattern + rb"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<word>NaN|-?Infinity)",
    re.DOTALL,
)


def without_halves(body: bytes) -> bytes:
    """Halves of escaped surrogate pairs become U+FFFD."""
    if _HALF.search(body) is None:
        return body
    changes = ((m.start(), m.end()) for m in _HALVES.finditer(body) if m.lastgroup == "odd")
    return _written(body, ((at, end, _REPLACEMENT * ((end - at) // 6)) for at, end in changes))


def without_odd_characters(body: bytes) -> bytes:
    """Raw control characters within texts, and backslashes that begin no escape of JSON, become
    U+FFFD."""
    return _written(body, _odd_characters(body))


def _odd_characters(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    for _, start, end in _tokens(body, _TEXTS):
        for found in _CHARACTERS.finditer(body, start, end):
            if found.lastgroup == "odd":
                at, after = found.span()
                count = max(after - at - (body[at] == 0x5C), 1)
                yield at, after, _REPLACEMENT * count


def without_odd_bytes(body: bytes) -> bytes:
    """Bytes that are no UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    # Piece by piece, since the text of a whole answer would take much memory.
    ends = range(_PIECE, len(body) + _PIECE, _PIECE)
    return b"".join(
        decoder.decode(body[end - _PIECE : end], final=end >= len(body)).encode() for end in ends
    )


def without_odd_tokens(body: bytes) -> bytes:
    """NaN and Infinity become texts, what is nested too deep becomes `TOO_DEEP`."""
    return _written(body, _odd_tokens(body))


def _odd_tokens(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    depth = deep = 0
    for kind, start, end in _tokens(body, _TOKENS):
        if kind == "open":
            depth += 1
            if depth == _DEEPEST + 1:
                deep = start
        elif kind == "close":
            depth -= 1
            if depth == _DEEPEST:
                yield deep, end, b'"%b"' % TOO_DEEP.encode()
        elif kind == "word" and depth <= _DEEPEST:
            yield start, end, b'"%b"' % body[start:end]


def _tokens(body: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[str, int, int]]:
    """The tokens of an answer, in order: kind, start, end. A long text is several of them."""
    at, is_whole = 0, False
    while not is_whole:
        is_whole = True
        for found in pattern.finditer(body, at):
            kind = found.lastgroup or ""
            yield kind, found.start(), found.end()
            if kind == "text" and found["end"] is None:
                at, is_whole = found.end(), False
                break
        while not is_whole and (rest := _REST.match(body, at)) is not None:
            if rest.end() == at:  # the answer ends within it
                return
            yield "text", at, rest.end()
            at = rest.end()
            if rest["end"] is not None:
                break


def _written(body: bytes, changes: Iterator[tuple[int, int, bytes]]) -> bytes:
    """The body with spans of it (start, end, what stands there instead) changed."""
    view, out, done = memoryview(body), bytearray(), 0
    for start, end, instead in changes:
        out += view[done:start]
        out += instead
        done = end
    if not done:
        return body
    out += view[done:]
    return bytes(out)
