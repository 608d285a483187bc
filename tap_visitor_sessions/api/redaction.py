"""Texts of others as they may be shown: without secrets, on one line, nothing in them a command.

What is kept secret is known to the whole process: whoever makes a connection adds to it, whoever
shows a text of the API asks here. Pure but for that.
"""

from __future__ import annotations

import base64
import html
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

LONGEST = 500
"""Characters of a text that are shown."""
LOOKED_AT = 8 * LONGEST
"""Characters of a text that are looked at: escaped, one can take several."""
RUN = 6
"""No so many characters in a row of a secret are shown."""
_SHORTEST = 3
_KEPT = 500

_known: dict[str, None] = {}
_lock = threading.Lock()


def keep_secret(*secrets: str | None) -> None:
    """From here on no text that `shown` or `redacted` gives holds them."""
    with _lock:
        for secret in secrets:
            if secret:
                _known.pop(secret, None)
                _known[secret] = None
        for oldest in list(_known)[:-_KEPT]:
            del _known[oldest]


def shown(text: object) -> str:
    """A text of the API on one line of bounded length, ready for a log or a message."""
    line = " ".join(redacted(str(text)[:LOOKED_AT]).split())
    return printable(line if len(line) <= LONGEST else line[:LONGEST] + "…")


def printable(text: str) -> str:
    """A text on one line, with what is no letter to be seen escaped."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else _escaped(char) for char in line)


def redacted(text: str, more: Iterable[str] = ()) -> str:
    """A text without the secrets that are kept, and more, however spelled, whole or in part."""
    with _lock:
        secrets = {*_known, *more}
    hidden = [False] * len(text)
    for view in _views(text):
        for secret in secrets:
            for start, end in _matches(view.text, secret):
                for at in range(view.starts[start], view.ends[end - 1]):
                    hidden[at] = True
    pieces: list[str] = []
    for at, char in enumerate(text):
        if not hidden[at]:
            pieces.append(char)
        elif not at or not hidden[at - 1]:
            pieces.append("***")
    return "".join(pieces)


def holds(text: str, secret: str) -> bool:
    """Whether a secret stands in a text, however spelled, whole or in part."""
    return any(True for view in _views(text) for _ in _matches(view.text, secret))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


# How a text can be spelled


@dataclass(frozen=True)
class _View:
    """A text as one of its readings gives it, and where in the text each character comes from."""

    text: str
    starts: list[int]
    ends: list[int]


def _views(text: str) -> Iterator[_View]:
    """Its readings: as it is, and with escapes of JSON, URL and HTML taken for what they stand
    for, two of them within each other."""
    plain = _View(text, list(range(len(text))), list(range(1, len(text) + 1)))
    seen = {text}
    layer = [plain]
    yield _folded(plain)
    for _ in range(2):
        found = []
        for view in layer:
            for pattern, meaning in _ESCAPES:
                read = _read(view, pattern, meaning)
                if read.text not in seen:
                    seen.add(read.text)
                    found.append(read)
                    yield _folded(read)
        layer = found


def _read(view: _View, pattern: re.Pattern[str], meaning: Callable[[str], str]) -> _View:
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for found in pattern.finditer(view.text):
        text.append(view.text[done : found.start()])
        starts += view.starts[done : found.start()]
        ends += view.ends[done : found.start()]
        done = found.end()
        meant = meaning(found[0])
        text.append(meant)
        starts += [view.starts[found.start()]] * len(meant)
        ends += [view.ends[done - 1]] * len(meant)
    text.append(view.text[done:])
    return _View("".join(text), starts + view.starts[done:], ends + view.ends[done:])


def _folded(view: _View) -> _View:
    """With white space and case as they are compared."""
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for at, char in enumerate(view.text):
        for one in _fold(char):
            if one == " " and text and text[-1] == " ":
                ends[-1] = view.ends[at]
                continue
            text.append(one)
            starts.append(view.starts[at])
            ends.append(view.ends[at])
    return _View("".join(text), starts, ends)


def _fold(char: str) -> str:
    return " " if char.isspace() else char.upper().casefold()


def _of_json(escape: str) -> str:
    letters = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
    if len(escape) == 2:
        return letters.get(escape[1], escape[1])
    if escape[1] in "xU":
        code = int(escape[2:], 16)
        return chr(code) if code < 0x110000 else escape
    units = bytes.fromhex(escape.replace("\\u", ""))
    return units.decode("utf-16-be", "surrogatepass")


def _of_url(escape: str) -> str:
    if escape == "+":
        return " "
    return unquote_to_bytes(escape).decode("utf-8", "replace")


def _of_html(escape: str) -> str:
    if escape[1] != "#":
        return html.unescape(escape)
    code = int(escape[3:-1], 16) if escape[2] in "xX" else int(escape[2:-1])
    return chr(code) if code < 0x110000 else escape  # html.unescape has some mean others


_HEX = "[0-9a-fA-F]"
_ESCAPES: list[tuple[re.Pattern[str], Callable[[str], str]]] = [
    (
        re.compile(
            rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}"
            rf"|\\U{_HEX}{{8}}|\\x{_HEX}{{2}}|\\[\\\"'/bfnrt]"
        ),
        _of_json,
    ),
    (re.compile(rf"(?:%{_HEX}{{2}})+|\+"), _of_url),
    (re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});"), _of_html),
]


# How a secret can be spelled


def _matches(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where in a folded text any spelling of a secret stands, or a part of it."""
    for length, parts in _parts(secret).items():
        for start in range(len(text) - length + 1):
            if text[start : start + length] in parts:
                yield start, start + length


@lru_cache(maxsize=_KEPT)
def _parts(secret: str) -> dict[int, frozenset[str]]:
    """The parts of it that may not be shown, folded, by their length."""
    found: dict[int, set[str]] = {}
    for form in _forms(secret):
        folded = _folded(_View(form, [0] * len(form), [0] * len(form))).text.strip()
        length = min(RUN, len(folded))
        if length >= _SHORTEST:
            parts = (folded[at : at + length] for at in range(len(folded) - length + 1))
            found.setdefault(length, set()).update(parts)
    return {length: frozenset(parts) for length, parts in found.items()}


def _forms(secret: str) -> Iterator[str]:
    """As it is, as hex, and as base64 on its own and within something longer."""
    yield secret
    data = secret.encode("utf-8", "surrogatepass")
    yield data.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
        for shift in range(3):
            encoded = encode(b"\0" * shift + data).decode()
            within = encoded[(0, 2, 3)[shift] : (len(data) + shift) * 8 // 6]
            if len(within) >= RUN:
                yield within
