"""What a state remembers of days: how many sessions were emitted of each, in a few bytes.

    ["2024-05-01", "6f1a2b3c", "...",
     {"2024-05-01": ["2024-05-01T10:00:00", "2024-05-02T00:00:00"]}, "2024-05-09"]

The first day; a mark of all that makes days comparable (zone, filter, with digests or not); and for
each day from there on, in base 85, a number of varying length, 0 where the day is not known, and
eight bytes of digest where it has sessions and digests are kept; where the span wanted cuts days,
which wall-clock span of them was counted; and, where the points ended before all days had been
looked at, with which day to begin next.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tap_visitor_sessions.sessions.days.calendar import ONE, Cell, Walls
from tap_visitor_sessions.sessions.days.counting import Sum

DIGEST = 8
"""Bytes."""
MOST_DAYS = 4000


def cut_of(cell: Cell) -> Walls | None:
    """Which part of its day a cell is; None where it is all of it."""
    return None if cell.is_whole else (cell.start, cell.end)


@dataclass(frozen=True)
class Known:
    """How many sessions were emitted of each day.

    Attributes:
        cut: Of the days that were not wanted whole: which wall-clock span `[start, end)` was.
        next: The day with which to begin to look at them; None where it does not matter.
    """

    days: dict[date, Sum] = field(default_factory=dict)
    cut: dict[date, Walls] = field(default_factory=dict)
    next: date | None = None

    def take(self, cell: Cell, found: Sum) -> None:
        """A day has been counted anew."""
        self.drop(cell.date)
        self.days[cell.date] = found
        if cut := cut_of(cell):
            self.cut[cell.date] = cut

    def drop(self, day: date) -> None:
        """What was counted of a day counts no more."""
        self.days.pop(day, None)
        self.cut.pop(day, None)

    def since(self, first: date) -> Known:
        """The days from one on."""
        return Known(
            {day: found for day, found in self.days.items() if day >= first},
            {day: cut for day, cut in self.cut.items() if day >= first},
            self.next,
        )


def mark_of(*what: str | None) -> str:
    """Of all that days must have in common to be compared."""
    return hashlib.sha256("\0".join(one or "" for one in what).encode()).hexdigest()[:8]


def packed(known: Known, mark: str, *, with_digests: bool) -> list[Any] | None:
    """The days as a state holds them; None where there are none."""
    days = known.days
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
    form: list[Any] = [first.isoformat(), mark, base64.b85encode(bytes(data)).decode()]
    cut = {day.isoformat(): [one.isoformat() for one in span] for day, span in known.cut.items()}
    if known.next is not None:
        return [*form, cut, known.next.isoformat()]
    return [*form, cut] if cut else form


def unpacked(given: Any, mark: str, *, with_digests: bool) -> Known:
    """The days that a state remembers; none where they are of another mark, or cannot be read."""
    try:
        first, its, text, *more = given
        if its != mark:
            return Known()
        days = dict(_days(date.fromisoformat(first), base64.b85decode(text), with_digests))
        spans: dict[str, Any] = more[0] if more else {}
        cut = {date.fromisoformat(day): _span(*span) for day, span in spans.items()}
        following = date.fromisoformat(more[1]) if more[1:] else None
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError):
        return Known()
    return Known(days, cut, following)


def _span(start: str, end: str) -> Walls:
    span = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if any(one.tzinfo for one in span):
        raise ValueError
    return span


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
