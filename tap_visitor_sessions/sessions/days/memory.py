"""What a state remembers of days: how many sessions were emitted of each, in a few bytes.

    ["2024-05-01", "6f1a2b3c", "..."]

The first day; a mark of all that makes days comparable (zone, filter, with digests or not); and for
each day from there on, in base 85, a number of varying length, 0 where the day is not known, and
eight bytes of digest where it has sessions and digests are kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from tap_visitor_sessions.sessions.days.calendar import ONE
from tap_visitor_sessions.sessions.days.counting import Sum

DIGEST = 8
"""Bytes."""
MOST_DAYS = 4000
Sums = Mapping[date, Sum]


def mark_of(*what: str | None) -> str:
    """Of all that days must have in common to be compared."""
    return hashlib.sha256("\0".join(one or "" for one in what).encode()).hexdigest()[:8]


def packed(days: Sums, mark: str, *, with_digests: bool) -> list[str] | None:
    """The days as a state holds them; None where there are none."""
    if not days:
        return None
    first = day = min(days)
    data = bytearray()
    while day <= max(days):
        found = days.get(day)
        if found is None:
            data += _number(0)
        else:
            data += _number((found.sessions << 1 | (found.at_last > 0)) + 1)
            if found.at_last:
                data += _number(found.at_last)
            if with_digests and found.sessions:
                data += found.digest.to_bytes(DIGEST, "big")
        day += ONE
    return [first.isoformat(), mark, base64.b85encode(bytes(data)).decode()]


def unpacked(given: Any, mark: str, *, with_digests: bool) -> dict[date, Sum]:
    """The days that a state remembers; none where they are of another mark, or cannot be read."""
    try:
        first, its, text = given
        if its != mark:
            return {}
        return dict(_days(date.fromisoformat(first), base64.b85decode(text), with_digests))
    except (TypeError, ValueError, IndexError, OverflowError):
        return {}


def _days(day: date, data: bytes, with_digests: bool) -> Iterator[tuple[date, Sum]]:
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    for _ in range(MOST_DAYS):
        if at == len(data):
            return
        code = number()
        if code:
            sessions, has_last = code - 1 >> 1, code - 1 & 1
            at_last = number() if has_last else 0
            digest = 0
            if with_digests and sessions:
                digest = int.from_bytes(data[at : at + DIGEST], "big")
                at += DIGEST
            yield day, Sum(sessions, at_last, digest)
        day += ONE


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)
